//! What a store is asked about its history when it is met, and what the answer means.

use bytes::Bytes;
use redis::{FromRedisValue, Pipeline, Value};

use super::History;
use crate::ledger::Position;
use crate::ledger::remote::script::Keys;
use crate::ledger::remote::wire::event::Entry;

/// A place in the history of a ledger.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Marker {
    /// The change.
    pub position: Position,
    /// End of the hash chain after it.
    pub tip: Vec<u8>,
}

impl Marker {
    /// Whether both are the end of the same batch. An entry of the stream keeps the epoch in which
    /// it was written.
    pub(in crate::ledger::remote) fn is_same_end(&self, other: &Self) -> bool {
        self.position.sequence == other.position.sequence && self.tip == other.tip
    }
}

/// The question, as part of a pipeline.
#[derive(Debug)]
pub(in crate::ledger::remote) struct Question {
    seen: Option<Marker>,
    was_lost: bool,
}

impl Question {
    /// Adds its commands: two at most, the second only where anything was seen.
    pub(in crate::ledger::remote) fn add_to(
        history: &History,
        keys: &[Vec<u8>],
        commands: &mut Pipeline,
    ) -> Self {
        // In this order: what is missing when `seen` is read is missing when the store is asked.
        let was_lost = history.is_lost();
        let seen = history
            .seen()
            .filter(|seen| seen.position.sequence > 0 && keys.len() > Keys::EVENTS);
        commands.cmd("HMGET").arg(keys.first());
        commands.arg(&["ledger", "epoch", "seq", "tip", "lost"]);
        if let (Some(seen), Some(events)) = (&seen, keys.get(Keys::EVENTS)) {
            ask_for_end(commands, events, seen.position.sequence);
        }
        Self { seen, was_lost }
    }

    /// Understands the replies to them.
    pub(in crate::ledger::remote) fn answer(
        self,
        replies: &mut impl Iterator<Item = Value>,
    ) -> Contact {
        let meta: Option<Meta> = understood(replies.next());
        let (marker, stopped) = meta.map_or((None, None), read_meta);
        Contact {
            marker,
            stopped,
            at_seen: self.seen.as_ref().and_then(|_| end_at(replies.next())),
            seen: self.seen,
            was_lost: self.was_lost,
        }
    }
}

type Meta = (
    Option<Vec<u8>>,
    Option<u32>,
    Option<u64>,
    Option<Vec<u8>>,
    Option<String>,
);

fn read_meta((ledger, epoch, sequence, tip, lost): Meta) -> (Option<Marker>, Option<String>) {
    let marker = ledger.map(|_| Marker {
        position: Position {
            shard: 0,
            epoch: epoch.unwrap_or_default(),
            sequence: sequence.unwrap_or_default(),
        },
        tip: tip.unwrap_or_default(),
    });
    (marker, lost)
}

/// Asks for the entry of the stream that holds the event with this sequence.
pub(in crate::ledger::remote) fn ask_for_end(
    commands: &mut Pipeline,
    events: &[u8],
    sequence: u64,
) {
    commands.cmd("XREVRANGE").arg(events).arg(sequence).arg("-");
    commands.arg("COUNT").arg(1);
}

/// Where the batch ends that the stream was asked for; `None`: the stream does not reach back to it.
pub(in crate::ledger::remote) fn end_at(reply: Option<Value>) -> Option<Marker> {
    let entries: Vec<(String, Vec<Bytes>)> = understood(reply)?;
    let (_, fields) = entries.into_iter().next()?;
    let [_, argument, _, reply]: [Bytes; 4] = fields.try_into().ok()?;
    let entry = Entry::parse(argument, reply).ok()?;
    let header = entry.header();
    Some(Marker {
        position: Position {
            shard: 0,
            epoch: header.epoch,
            sequence: header.last,
        },
        tip: header.tip.clone().into_bytes(),
    })
}

/// A reply of the expected form; `None` for anything else, refusals among it.
fn understood<T: FromRedisValue>(reply: Option<Value>) -> Option<T> {
    let reply = reply?.extract_error().ok()?;
    redis::from_redis_value(reply).ok()
}

/// What a store said about its history.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Contact {
    /// Where the ledger stands; `None`: there is none, or the server does not tell.
    pub marker: Option<Marker>,
    /// Name of the loss for which the partition is stopped.
    pub stopped: Option<String>,
    /// Where the batch ends that holds the last change that was seen.
    pub at_seen: Option<Marker>,
    /// The last change that was seen when it was asked.
    pub seen: Option<Marker>,
    /// It was known to be missing already.
    pub was_lost: bool,
}

impl Contact {
    /// What was seen and is not part of the store's history.
    pub fn missing(&self) -> Option<&Marker> {
        let (seen, marker) = (self.seen.as_ref()?, self.marker.as_ref()?);
        let is_there = if self.is_accepted(seen) {
            true
        } else if marker.position <= seen.position {
            marker == seen
        } else {
            // What the stream does not reach back to cannot be compared.
            self.at_seen
                .as_ref()
                .is_none_or(|end| end.is_same_end(seen))
        };
        (!is_there).then_some(seen)
    }

    /// Whether somebody has accepted that what came after this was lost.
    pub fn is_accepted(&self, seen: &Marker) -> bool {
        let marker = self.marker.as_ref();
        marker.is_some_and(|marker| marker.position.epoch > seen.position.epoch)
    }

    /// Where the history stands, if it goes on from what was seen.
    pub(super) fn continued(&self) -> Option<&Marker> {
        if self.stopped.is_some() || self.missing().is_some() {
            return None;
        }
        self.marker.as_ref()
    }
}
