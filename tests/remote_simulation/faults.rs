//! What a seed of this simulation must have gone through.

use crate::sim::counts::{self, named};

/// How often each was met.
pub(crate) type Counts = counts::Counts<Fault, Sometimes>;

named! {
    /// A fault that the simulation makes.
    Fault {
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
        SlotMoved => "a slot moves to another node",
        ScriptsForgotten => "a node forgets its scripts",
        MemoryFull => "a store has no memory left",
        ClockBack => "the clock of a node is behind",
        ClockForward => "the clock of a node is ahead",
        InstanceKilled => "an instance is killed",
        InstanceStopped => "an instance is stopped",
        GaveUp => "a caller gives up waiting",
        SentTwice => "a caller sends a command to two instances at once",
    }
}

named! {
    /// What must be seen sometimes.
    Sometimes {
        ToldUnknown => "a caller is told that the result is unknown",
        ToldUnavailable => "a caller is told that nothing happened",
        Repeated => "a retry gets the answer of an earlier attempt",
        Done => "a retry does what no earlier attempt did",
        Expired => "a hold expires",
        Mirrored => "a mirror refuses",
    }
}
