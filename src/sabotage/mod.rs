//! Faults that can be put into this program, each of a kind that has cost other systems data, to see
//! that the tests notice them. Compiled only with the feature `sabotage`; without it [`is_on`] is
//! false at compile time, and nothing of a fault is left. `scripts/sabotage` runs them one by one.

#[cfg(all(feature = "sabotage", not(debug_assertions)))]
compile_error!("the faults of the feature `sabotage` are for tests alone");

#[cfg(feature = "sabotage")]
mod armed;
#[cfg(feature = "sabotage")]
mod scripts;

#[cfg(feature = "sabotage")]
pub use armed::is_on;
#[cfg(feature = "sabotage")]
pub(crate) use scripts::spoiled;

/// Without the feature no fault is on.
#[cfg(not(feature = "sabotage"))]
pub const fn is_on(_fault: Fault) -> bool {
    false
}

/// Declares the faults with the names under which they are asked for.
macro_rules! faults {
    ($($(#[$what:meta])+ $fault:ident $name:literal,)+) => {
        /// A fault.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Fault {
            $($(#[$what])+ $fault,)+
        }

        impl Fault {
            /// All.
            pub const ALL: &'static [Self] = &[$(Self::$fault,)+];

            /// The name that `SABOTAGE_FAULT` gives it.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$fault => $name,)+
                }
            }
        }
    };
}

faults! {
    /// An answer at `disk` does not wait for the sync.
    AckBeforeSync "ack-before-sync",
    /// A sync that failed is tried again, and believed.
    RetryFailedSync "retry-failed-sync",
    /// The name of a new segment is not made durable.
    NoFolderSync "no-folder-sync",
    /// Checksums are not looked at.
    NoChecksum "no-checksum",
    /// A journal is cut at the first damage, whatever follows.
    CutInTheMiddle "cut-in-the-middle",
    /// `WAIT` goes over a connection of its own.
    WaitElsewhere "wait-elsewhere",
    /// A script that finds its commands done writes nothing.
    MuteDuplicate "mute-duplicate",
    /// What `WAIT` answers is not looked at.
    WaitIgnored "wait-ignored",
    /// One replica less than could be promoted is enough.
    OneCopyLess "one-copy-less",
    /// A command id that was seen before is not recognised.
    NoDedupe "no-dedupe",
    /// What is free is looked at under one lock and taken under the next.
    CheckThenTake "check-then-take",
    /// Units are taken before all lines were checked.
    WriteBeforeCheck "write-before-check",
    /// Deadlines go by the clock of the instance.
    InstanceClock "instance-clock",
    /// What the index of deadlines names is given back without a look at the reservation.
    BlindReaper "blind-reaper",
    /// The mirror promises what it believes to be there.
    MirrorAccepts "mirror-accepts",
    /// The key of a command is stored by the next call.
    KeyAfterEffect "key-after-effect",
    /// A reservation whose result is unknown is released.
    ReleaseOnUnknown "release-on-unknown",
    /// The feed tells of what is not durable yet.
    FeedAhead "feed-ahead",
    /// Each caller of a batch gets the answer of the next.
    NextReply "next-reply",
    /// A SKU that nobody knows is one with nothing on hand.
    UnknownIsZero "unknown-is-zero",
}
