//! Label values: closed sets, each with its spelling.

macro_rules! label {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $text:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum $name { $($(#[$vdoc])* $variant,)+ }

        impl $name {
            /// Every value, in order of [`Self::index`].
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The spelling in metrics.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)+ }
            }

            /// Position in [`Self::ALL`].
            pub fn index(self) -> usize {
                Self::ALL.iter().position(|one| *one == self).unwrap_or_default()
            }
        }
    };
}

label! {
    /// What was asked of the ledger.
    Op {
        /// Promise units.
        Reserve = "reserve",
        /// Make held units firm.
        Confirm = "confirm",
        /// Give units back.
        Release = "release",
        /// Move a deadline.
        Extend = "extend",
        /// Send units out.
        Ship = "ship",
        /// Take shipped units back.
        Return = "return",
        /// Move stock between nodes.
        Transfer = "transfer",
    }
}

label! {
    /// What became of it.
    OutcomeKind {
        /// Done.
        Ok = "ok",
        /// Refused: some limit left too few units.
        Insufficient = "insufficient",
        /// The same key again: the first answer was given again.
        Duplicate = "duplicate",
        /// Refused: the state does not allow it.
        Conflict = "conflict",
        /// Failed: overloaded, poisoned, unavailable or unknown.
        Error = "error",
    }
}

label! {
    /// Which kind of exclusion was waited for.
    LockKind {
        /// A shard of the pool in memory.
        Shard = "shard",
        /// A script of the remote store.
        Script = "script",
        /// A lease on a job.
        Lease = "lease",
    }
}

label! {
    /// Which backend answered.
    Store {
        /// The pool in memory with its journal.
        Embedded = "embedded",
        /// A store that several instances share.
        Remote = "remote",
    }
}

label! {
    /// Which script of the remote store was called.
    Script {
        /// Commands of all kinds; refused by a store that is out of memory.
        Batch = "batch",
        /// Commands that only give back or finish, and reads; run even without memory to spare.
        Relief = "relief",
    }
}

label! {
    /// What the mirror of the remote store said in its place.
    MirrorAnswer {
        /// What may be promised.
        Availability = "availability",
        /// That nothing is left.
        Refusal = "refusal",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn index_is_the_position_in_all() {
        for (at, op) in Op::ALL.iter().enumerate() {
            assert_eq!(op.index(), at);
        }
        for (at, outcome) in OutcomeKind::ALL.iter().enumerate() {
            assert_eq!(outcome.index(), at);
        }
    }
}
