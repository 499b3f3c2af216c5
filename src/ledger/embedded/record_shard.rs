//! One shard of the command records: what each idempotency key was answered.
//!
//! The record of a reserve command is the reservation's head, since a reservation's id is its
//! key's hash; the record of any other command is its encoded event, from which the answer is
//! read back.

use smallvec::SmallVec;

use super::index::Index;
use super::packed::{PackedUnits, halves, joined};
use super::slab::Slab;
use crate::domain::command::CommandKey;
use crate::domain::ids::stem;
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

/// The lines of a reservation.
pub(super) type LineRefs = SmallVec<[LineRef; 1]>;

/// What a reservation is, apart from where its units are.
#[derive(Debug)]
pub(super) struct Head<'a> {
    pub(super) channel: ChannelIx,
    pub(super) ttl: Ttl,
    /// When it was made or last acted on.
    pub(super) touched: UnixMillis,
    pub(super) reference: Option<&'a str>,
    pub(super) lines: LineRefs,
}

/// What a command was answered.
#[derive(Debug)]
pub(super) enum Kept<'a> {
    /// A reservation was made.
    Reservation(Head<'a>),
    /// The encoded event of any other command.
    Event(&'a [u8]),
}

/// [`Kept`], in a record.
#[derive(Debug)]
enum Stored {
    /// A reservation of one line was made, without a reference.
    Plain(PlainHead),
    /// Any other reservation was made.
    Full(Box<FullHead>),
    Event(Box<[u8]>),
}

/// The usual [`Head`], without a pointer to follow.
#[derive(Debug, Clone, Copy)]
#[repr(Rust, packed)]
struct PlainHead {
    /// Milliseconds from when it was made.
    touched_after: u32,
    ttl: Ttl,
    channel: ChannelIx,
    requested: PackedUnits,
    slot: u32,
    shard: u16,
    made_at: u16,
}

impl PlainHead {
    /// `None`: that much does not fit.
    fn new(head: &Head<'_>, at: UnixMillis) -> Option<Self> {
        let (None, [line]) = (head.reference, head.lines.as_slice()) else {
            return None;
        };
        Some(Self {
            touched_after: u32::try_from(head.touched.0.checked_sub(at.0)?).ok()?,
            ttl: head.ttl,
            channel: head.channel,
            requested: PackedUnits::new(line.requested),
            slot: line.slot,
            shard: line.shard,
            made_at: line.made_at,
        })
    }

    fn head(self, at: UnixMillis) -> Head<'static> {
        let line = LineRef {
            requested: self.requested.get(),
            slot: self.slot,
            shard: self.shard,
            made_at: self.made_at,
        };
        Head {
            channel: self.channel,
            ttl: self.ttl,
            touched: UnixMillis(at.0.saturating_add(i64::from(self.touched_after))),
            reference: None,
            lines: LineRefs::from_buf([line]),
        }
    }
}

/// Any [`Head`].
#[derive(Debug)]
struct FullHead {
    channel: ChannelIx,
    ttl: Ttl,
    touched: UnixMillis,
    reference: Option<Box<str>>,
    lines: LineRefs,
}

impl FullHead {
    fn new(head: &Head<'_>) -> Self {
        Self {
            channel: head.channel,
            ttl: head.ttl,
            touched: head.touched,
            reference: head.reference.map(Into::into),
            lines: head.lines.clone(),
        }
    }

    fn head(&self) -> Head<'_> {
        Head {
            channel: self.channel,
            ttl: self.ttl,
            touched: self.touched,
            reference: self.reference.as_deref(),
            lines: self.lines.clone(),
        }
    }
}

impl Stored {
    /// A reservation that was made at this moment.
    fn reservation(head: &Head<'_>, at: UnixMillis) -> Self {
        match PlainHead::new(head, at) {
            Some(plain) => Self::Plain(plain),
            None => Self::Full(Box::new(FullHead::new(head))),
        }
    }
}

/// The record of one command; fills one cache line.
#[derive(Debug)]
#[repr(align(64))]
pub(super) struct Record {
    id: [u64; 2],
    pub(super) fingerprint: u64,
    /// Epoch and sequence in one number, since there are as many of these as keys.
    place: u64,
    pub(super) at: UnixMillis,
    stored: Stored,
}

const _: () = assert!(size_of::<Option<Record>>() == 64);

/// Bits of a sequence: 17 million million changes; the other 20 are a million openings.
const SEQUENCE_BITS: u32 = 44;
const SEQUENCE_MASK: u64 = (1 << SEQUENCE_BITS) - 1;

fn pack(position: Position) -> u64 {
    (u64::from(position.epoch) << SEQUENCE_BITS) | (position.sequence & SEQUENCE_MASK)
}

impl Record {
    /// The record of a command that made a reservation.
    pub(super) fn of_reservation(
        key: CommandKey,
        position: Position,
        at: UnixMillis,
        head: &Head<'_>,
    ) -> Self {
        Self::new(key, position, at, Stored::reservation(head, at))
    }

    /// The record of any other command, by its encoded event.
    pub(super) fn of_event(
        key: CommandKey,
        position: Position,
        at: UnixMillis,
        event: Box<[u8]>,
    ) -> Self {
        Self::new(key, position, at, Stored::Event(event))
    }

    fn new(key: CommandKey, position: Position, at: UnixMillis, stored: Stored) -> Self {
        Self {
            id: halves(key.id),
            fingerprint: key.fingerprint,
            place: pack(position),
            at,
            stored,
        }
    }

    /// Where the command stands.
    pub(super) fn position(&self) -> Position {
        let epoch = u32::try_from(self.place >> SEQUENCE_BITS).unwrap_or(u32::MAX);
        Position {
            shard: 0,
            epoch,
            sequence: self.place & SEQUENCE_MASK,
        }
    }

    pub(super) fn id(&self) -> u128 {
        joined(self.id)
    }

    /// Notes that the reservation was acted on.
    pub(super) fn touch(&mut self, now: UnixMillis) {
        match &mut self.stored {
            Stored::Plain(plain) => {
                let touched = Head {
                    touched: now,
                    ..plain.head(self.at)
                };
                self.stored = Stored::reservation(&touched, self.at);
            }
            Stored::Full(full) => full.touched = now,
            Stored::Event(_) => {}
        }
    }

    /// Notes where a line of the reservation is; false when it has no such line.
    pub(super) fn place_line(&mut self, number: u16, shard: u16, slot: u32) -> bool {
        let number = usize::from(number);
        match &mut self.stored {
            Stored::Plain(plain) if number == 0 => {
                (plain.shard, plain.slot) = (shard, slot);
                true
            }
            Stored::Full(full) => match full.lines.get_mut(number) {
                Some(line) => {
                    *line = line.placed(shard, slot);
                    true
                }
                None => false,
            },
            Stored::Plain(_) | Stored::Event(_) => false,
        }
    }

    /// Takes a line away, and says where it is; `None` when it has no such line.
    pub(super) fn take_line(&mut self, number: u16) -> Option<(u16, u32)> {
        let line = *self.head()?.lines.get(usize::from(number))?;
        self.place_line(number, u16::MAX, u32::MAX);
        (!line.is_missing()).then_some((line.shard, line.slot))
    }

    /// When the command was given, or its reservation last acted on.
    pub(super) fn last_touched(&self) -> UnixMillis {
        self.head().map_or(self.at, |head| head.touched)
    }

    /// What the command was answered.
    pub(super) fn kept(&self) -> Kept<'_> {
        match &self.stored {
            Stored::Plain(plain) => Kept::Reservation(plain.head(self.at)),
            Stored::Full(full) => Kept::Reservation(full.head()),
            Stored::Event(bytes) => Kept::Event(bytes),
        }
    }

    /// The reservation that the command made.
    pub(super) fn head(&self) -> Option<Head<'_>> {
        match self.kept() {
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

/// What the table goes by: the same for all ids that one key can have.
fn hash(id: u128) -> u64 {
    halves(stem(id))[0]
}

impl RecordShard {
    /// The slot of a command's record.
    pub(super) fn find(&self, id: u128) -> Option<u32> {
        let wanted = halves(id);
        let same = |slot| self.records.get(slot).is_some_and(|r| r.id == wanted);
        self.index.find(hash(id), same)
    }

    /// The slot of what a key stands for. In a ledger that had partitions before it moved, the id
    /// of the record may have another label than the one that the key has here.
    pub(super) fn find_key(&self, id: u128) -> Option<u32> {
        let same = |slot| self.records.get(slot).map(|r| stem(r.id())) == Some(stem(id));
        let found = self.index.find(hash(id), same)?;
        // A key that stood for two commands there has a record under each label.
        self.find(id).or(Some(found))
    }

    /// Fetches what looking for this command and adding its record will need.
    pub(super) fn warm(&self, id: u128) {
        self.index.warm(hash(id));
        self.records.warm_next();
    }

    /// Whether there is a record of this command.
    pub(super) fn has(&self, id: u128) -> bool {
        self.find(id).is_some()
    }

    /// What a key stands for.
    pub(super) fn of_key(&self, id: u128) -> Option<&Record> {
        self.records.get(self.find_key(id)?)
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
        let hash = hash(record.id());
        let slot = self.records.insert(record).ok_or(Inconsistent)?;
        self.index.insert(hash, slot);
        Ok(slot)
    }

    /// Removes a record.
    pub(super) fn remove(&mut self, slot: u32) -> Option<Record> {
        let record = self.records.remove(slot)?;
        self.index.remove(hash(record.id()), slot);
        Some(record)
    }
}
