//! One shard of the command records: what each idempotency key was answered.
//!
//! The record of a reserve command is the reservation's head, since a reservation's id is its
//! key's hash; the record of any other command is its encoded event, from which the answer is
//! read back.

use super::index::Index;
use super::slab::Slab;
use crate::domain::command::CommandKey;
use crate::domain::line::Inconsistent;
use crate::domain::{ChannelIx, NodeIx, Ttl, Units, UnixMillis};
use crate::ledger::Position;
use crate::limits::{NODES_MAX, RECORD_SHARDS};

/// Where a reservation's line lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct LineRef {
    pub(super) requested: Units,
    pub(super) slot: u32,
    pub(super) shard: u16,
    /// Index of the node it was pinned to when it was made; a transfer does not change it.
    made_at: u16,
}

/// Stands for "any node" in [`LineRef`]; no node has this index.
const ANYWHERE: u16 = u16::MAX;
const _: () = assert!(NODES_MAX < 65_535);

impl LineRef {
    /// A line that is not placed yet.
    pub(super) fn missing(requested: Units, made_at: Option<NodeIx>) -> Self {
        let made_at = made_at.map_or(ANYWHERE, |node| node.0);
        Self {
            requested,
            slot: u32::MAX,
            shard: u16::MAX,
            made_at,
        }
    }

    /// The same line, at this place.
    pub(super) const fn placed(self, shard: u16, slot: u32) -> Self {
        Self {
            slot,
            shard,
            ..self
        }
    }

    /// The pin it was made with.
    pub(super) fn made_at(self) -> Option<NodeIx> {
        (self.made_at != ANYWHERE).then_some(NodeIx(self.made_at))
    }

    pub(super) fn is_missing(self) -> bool {
        self.shard == u16::MAX
    }
}

/// The lines of a reservation; one is the usual case and needs no list.
#[derive(Debug, Clone)]
pub(super) enum LineRefs {
    One([LineRef; 1]),
    Many(Box<[LineRef]>),
}

impl LineRefs {
    pub(super) fn new(refs: &[LineRef]) -> Self {
        match refs {
            [one] => Self::One([*one]),
            many => Self::Many(many.into()),
        }
    }

    pub(super) fn as_slice(&self) -> &[LineRef] {
        match self {
            Self::One(one) => one,
            Self::Many(many) => many,
        }
    }

    pub(super) fn as_mut_slice(&mut self) -> &mut [LineRef] {
        match self {
            Self::One(one) => one,
            Self::Many(many) => many,
        }
    }
}

/// What a reservation is, apart from where its units are.
#[derive(Debug, Clone)]
pub(super) struct Head {
    pub(super) channel: ChannelIx,
    pub(super) ttl: Ttl,
    /// When it was made or last acted on.
    pub(super) touched: UnixMillis,
    pub(super) reference: Option<Box<str>>,
    pub(super) lines: LineRefs,
}

/// What a command was answered.
#[derive(Debug)]
pub(super) enum Kept {
    /// A reservation was made.
    Reservation(Head),
    /// The encoded event of any other command.
    Event(Box<[u8]>),
}

/// The record of one command.
#[derive(Debug)]
pub(super) struct Record {
    id: [u64; 2],
    pub(super) fingerprint: u64,
    /// Epoch and sequence in one number, since there are as many of these as keys.
    place: u64,
    pub(super) at: UnixMillis,
    pub(super) kept: Kept,
}

fn halves(id: u128) -> [u64; 2] {
    let low = u64::try_from(id & u128::from(u64::MAX)).unwrap_or(0);
    let high = u64::try_from(id >> 64).unwrap_or(0);
    [low, high]
}

/// Bits of a sequence: 17 million million changes; the other 20 are a million openings.
const SEQUENCE_BITS: u32 = 44;
const SEQUENCE_MASK: u64 = (1 << SEQUENCE_BITS) - 1;

fn pack(position: Position) -> u64 {
    (u64::from(position.epoch) << SEQUENCE_BITS) | (position.sequence & SEQUENCE_MASK)
}

impl Record {
    pub(super) fn new(key: CommandKey, position: Position, at: UnixMillis, kept: Kept) -> Self {
        Self {
            id: halves(key.id),
            fingerprint: key.fingerprint,
            place: pack(position),
            at,
            kept,
        }
    }

    /// Where the command stands.
    pub(super) fn position(&self) -> Position {
        let epoch = u32::try_from(self.place >> SEQUENCE_BITS).unwrap_or(u32::MAX);
        Position {
            epoch,
            sequence: self.place & SEQUENCE_MASK,
        }
    }

    pub(super) fn id(&self) -> u128 {
        let [low, high] = self.id;
        (u128::from(high) << 64) | u128::from(low)
    }

    /// Notes that the reservation was acted on.
    pub(super) fn touch(&mut self, now: UnixMillis) {
        if let Some(head) = self.head_mut() {
            head.touched = now;
        }
    }

    /// When the command was given, or its reservation last acted on.
    pub(super) fn last_touched(&self) -> UnixMillis {
        self.head().map_or(self.at, |head| head.touched)
    }

    pub(super) const fn head(&self) -> Option<&Head> {
        match &self.kept {
            Kept::Reservation(head) => Some(head),
            Kept::Event(_) => None,
        }
    }

    pub(super) const fn head_mut(&mut self) -> Option<&mut Head> {
        match &mut self.kept {
            Kept::Reservation(head) => Some(head),
            Kept::Event(_) => None,
        }
    }
}

/// The shard. See the module's documentation.
#[derive(Debug, Default)]
pub(super) struct RecordShard {
    index: Index,
    pub(super) records: Slab<Record>,
    /// Where the pruner goes on.
    pub(super) prune_at: u32,
}

/// The shard of a command: the top bits of its id, since the table uses the low ones.
pub(super) fn shard_of(id: u128) -> usize {
    let bits = RECORD_SHARDS.trailing_zeros();
    usize::try_from(id >> (128 - bits)).unwrap_or(0)
}

impl RecordShard {
    /// The slot of a command's record.
    pub(super) fn find(&self, id: u128) -> Option<u32> {
        let wanted = halves(id);
        let same = |slot| self.records.get(slot).is_some_and(|r| r.id == wanted);
        self.index.find(wanted[0], same)
    }

    /// The record of a command.
    pub(super) fn get(&self, id: u128) -> Option<&Record> {
        self.records.get(self.find(id)?)
    }

    /// The record of a command.
    pub(super) fn get_mut(&mut self, id: u128) -> Option<&mut Record> {
        let slot = self.find(id)?;
        self.records.get_mut(slot)
    }

    /// Adds a record; its id must not be there yet.
    pub(super) fn insert(&mut self, record: Record) -> Result<u32, Inconsistent> {
        let hash = record.id[0];
        let slot = self.records.insert(record).ok_or(Inconsistent)?;
        self.index.insert(hash, slot);
        Ok(slot)
    }

    /// Removes a record.
    pub(super) fn remove(&mut self, slot: u32) -> Option<Record> {
        let record = self.records.remove(slot)?;
        self.index.remove(record.id[0], slot);
        Some(record)
    }
}
