//! Names and counts of what a simulation must have gone through: a fault that never happens and a path
//! that is never taken prove nothing.

macro_rules! named {
    ($($variant:ident => $text:literal,)*) => {
        /// Something that is to happen sometimes.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(crate) enum Point {
            $($variant,)*
        }

        impl Point {
            const ALL: &[Self] = &[$(Self::$variant,)*];

            pub(crate) const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $text,)*
                }
            }
        }
    };
}

named! {
    CommandLost => "a command is lost, and its connection",
    ReplyLost => "a reply is lost, and its connection",
    ReplyCut => "a connection ends within a reply",
    Delayed => "a command or a reply is late",
    Refused => "a node refuses a command before it does anything",
    CutOff => "an instance is cut off from the store",
    ReplicaFrozen => "a replica gets nothing more for a while",
    ReplicaCrashed => "a replica stops and starts",
    PrimaryRestarted => "a primary stops and starts as a primary",
    FailedOver => "a primary dies and is replaced",
    Replaced => "a primary is replaced while it goes on",
    ScriptsForgotten => "a node forgets its scripts",
    MemoryFull => "a store has no memory left",
    ClockBack => "the clock of a node is behind",
    ClockForward => "the clock of a node is ahead",
    InstanceKilled => "an instance is killed",
    InstanceStopped => "an instance is stopped",
    GaveUp => "a caller gives up waiting",
    SentTwice => "a caller sends a command to two instances at once",
    ToldUnknown => "a caller is told that the result is unknown",
    ToldUnavailable => "a caller is told that nothing happened",
    Repeated => "a retry gets the answer of an earlier attempt",
    Done => "a retry does what no earlier attempt did",
    Expired => "a hold expires",
    Mirrored => "a mirror refuses",
}

/// How often each was met.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Counts(Vec<u64>);

impl Default for Counts {
    fn default() -> Self {
        Self(vec![0; Point::ALL.len()])
    }
}

impl Counts {
    pub(crate) fn met(&mut self, point: Point) {
        let at = Point::ALL.iter().position(|one| *one == point);
        self.0[at.unwrap()] += 1;
    }

    pub(crate) fn add(&mut self, other: &Self) {
        let sums = self.0.iter_mut().zip(&other.0);
        sums.for_each(|(sum, of)| *sum += of);
    }

    fn named(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let names = Point::ALL.iter().map(|point| point.name());
        names.zip(self.0.iter().copied())
    }

    /// What was met less often than that.
    pub(crate) fn missing(&self, least: u64) -> Vec<String> {
        let seldom = self.named().filter(|(_, count)| *count < least);
        seldom
            .map(|(name, count)| format!("{name}: {count}"))
            .collect()
    }

    /// One line each.
    pub(crate) fn table(&self) -> String {
        let line = |(name, count)| format!("{count:>9}  {name}\n");
        self.named().map(line).collect()
    }
}
