//! Names and counts of what a simulation must have gone through: the faults that it made, and what
//! is to be seen sometimes. A fault that never fires and a path that is never taken prove nothing.

/// An enumeration whose members have names for people.
macro_rules! named {
    ($(#[$doc:meta])* $name:ident { $($variant:ident => $text:literal,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(crate) enum $name {
            $($variant,)*
        }

        impl $name {
            pub(crate) const ALL: &[Self] = &[$(Self::$variant,)*];

            pub(crate) const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $text,)*
                }
            }

            fn place(self) -> usize {
                Self::ALL.iter().position(|one| *one == self).unwrap()
            }
        }
    };
}

named! {
    /// A fault that the simulation makes.
    Fault {
        CutBetween => "power cut between two steps",
        CutInCommit => "power cut within a group commit",
        CutInSnapshot => "power cut within the end of a snapshot",
        CutInRecovery => "power cut within a recovery",
        LossNothing => "power cut that keeps all unsynced bytes",
        LossEverything => "power cut that drops all unsynced bytes",
        LossTorn => "power cut that tears the last write",
        LossWrites => "power cut that keeps any of the unsynced writes",
        LossSectors => "power cut that keeps any of the unsynced sectors",
        Kill => "process killed",
        Restart => "closed and opened again",
        ErrorCreate => "creating a file fails",
        ErrorWrite => "a write fails",
        ErrorSync => "a sync fails",
        ErrorRename => "a rename fails",
        ErrorRemove => "a removal fails",
        ErrorSyncDir => "a sync of the folder fails",
        ErrorFull => "the disk is full",
        ErrorBroken => "the disk is broken",
        ErrorStays => "the error stays until the next start",
        SlowDisk => "the disk is slow",
        ClockForward => "the clock jumps forwards",
        ClockFarForward => "the clock jumps forwards by hours",
        ClockBack => "the clock jumps back",
        DueAtOnce => "many holds are due at once",
        Idle => "nobody does anything for a while",
        GivesUp => "a caller gives up waiting",
        AnswerLost => "an answer is lost on its way",
        SentTwice => "a caller sends a command twice at once",
        KeyReused => "a caller uses a key again for something else",
    }
}

named! {
    /// What must be seen sometimes.
    Sometimes {
        RetryFound => "a retry found its first attempt's answer",
        RetryDid => "a retry did what its first attempt had not",
        Unknown => "a caller was told that the result is unknown",
        Looked => "a caller looked an unknown result up by its key",
        Read => "a reservation was read",
        SoldAgain => "a hold expired and its units were sold again",
        Expired => "a hold expired",
        Extended => "a hold was extended",
        Shipped => "units were shipped",
        Returned => "units were returned",
        Refused => "a reservation was refused for lack of stock",
        ToldEarly => "a refusal was told before it was durable",
        EarlyLost => "a refusal that was told early was lost in a crash",
        KeyReused => "a key with another content was refused",
        Group => "a group commit held the commands of several callers",
        LostUnacknowledged => "a crash lost a command that nobody was told of",
        KeptUnacknowledged => "a command that nobody was told of survived a crash",
        CutWhileRotating => "power was cut while a segment was begun",
        TailCut => "a recovery cut an unfinished end",
        Snapshot => "a snapshot was made",
        DuringSnapshot => "a command was decided between two parts of a snapshot",
        FromSnapshot => "a recovery began with a snapshot",
        Pruned => "segments were dropped that a snapshot replaces",
        Poisoned => "a failed write or sync ended the service",
        OpenFailed => "an opening failed by a fault of the disk, and a later one did not",
        Overloaded => "a command was turned away for a full queue",
        ClockBehind => "a command was decided while the clock was behind the ledger",
        Policy => "a policy was put",
        PolicyLost => "a crash lost a policy that nobody was told of",
        Low => "a SKU became low",
        Deficit => "promises exceeded supply after a count",
        Dated => "units were promised for a later day",
        DatedRefused => "a promise for a day was refused",
        Received => "announced supply arrived",
        Forgotten => "an answer was forgotten after its retention",
    }
}

/// How often each was met.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Counts {
    faults: Vec<u64>,
    sometimes: Vec<u64>,
}

impl Default for Counts {
    fn default() -> Self {
        Self {
            faults: vec![0; Fault::ALL.len()],
            sometimes: vec![0; Sometimes::ALL.len()],
        }
    }
}

impl Counts {
    pub(crate) fn fired(&mut self, fault: Fault) {
        self.faults[fault.place()] += 1;
    }

    pub(crate) fn saw(&mut self, what: Sometimes) {
        self.sometimes[what.place()] += 1;
    }

    pub(crate) fn add(&mut self, other: &Self) {
        let add = |(sum, of): (&mut u64, &u64)| *sum += of;
        self.faults.iter_mut().zip(&other.faults).for_each(add);
        let sometimes = self.sometimes.iter_mut().zip(&other.sometimes);
        sometimes.for_each(add);
    }

    fn faults(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let names = Fault::ALL.iter().map(|fault| fault.name());
        names.zip(self.faults.iter().copied())
    }

    fn sometimes(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let names = Sometimes::ALL.iter().map(|what| what.name());
        names.zip(self.sometimes.iter().copied())
    }

    /// The names of faults that fired less often than that, and of what was never seen.
    pub(crate) fn missing(&self, least: u64) -> Vec<String> {
        let seldom = self.faults().filter(|(_, count)| *count < least);
        let never = self.sometimes().filter(|(_, count)| *count == 0);
        let name = |(name, count): (&str, u64)| format!("{name}: {count}");
        seldom.map(name).chain(never.map(name)).collect()
    }

    /// One line each.
    pub(crate) fn table(&self) -> String {
        let line = |(name, count): (&str, u64)| format!("{count:>9}  {name}\n");
        self.faults().chain(self.sometimes()).map(line).collect()
    }
}
