//! What a seed of this simulation must have gone through.

use crate::sim::counts::{self, named};

/// How often each was met.
pub(crate) type Counts = counts::Counts<Fault, Sometimes>;

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
