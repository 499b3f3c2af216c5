//! What the store keeps of a SKU and of a command id: `lua/lib/stock.lua`, `lua/lib/records.lua`.

use smallvec::SmallVec;

use super::Malformed;
use super::calendar;
use super::node_safety;
use super::pack::Reader;
use super::result::moved;
use super::settings::{IS_DATED, IS_LOW, IS_MARKED, IS_SHORT, IS_SPREAD, settings};
pub use super::ties::{Phase, Ties};
use super::water::MARK_BYTES;
use crate::domain::calendar::Calendar;
use crate::domain::stock::NodeStock;
use crate::domain::verdict::{Reservation, ReservationLine};
use crate::domain::{
    ChannelIx, ChannelUse, Day, Line, NodeIx, NodeSafety, ReservationId, Stock, Ttl, Units,
    UnixMillis, Uses, Water,
};
use crate::ledger::event::{Reserved, ReservedLine};

/// Takes little-endian integers, each as wide as its field.
pub(super) struct Integers<'a>(pub(super) &'a [u8]);

impl<'a> Integers<'a> {
    pub(super) fn next<const BYTES: usize>(&mut self) -> Result<u64, Malformed> {
        let (first, rest) = self.0.split_first_chunk::<BYTES>().ok_or(Malformed)?;
        self.0 = rest;
        let bytes = first.iter().rev();
        Ok(bytes.fold(0, |sum, byte| (sum << 8) | u64::from(*byte)))
    }

    pub(super) fn bytes(&mut self, count: usize) -> Result<&'a [u8], Malformed> {
        let (first, rest) = self.0.split_at_checked(count).ok_or(Malformed)?;
        self.0 = rest;
        Ok(first)
    }

    /// A sequence or a version.
    fn counter(&mut self) -> Result<u64, Malformed> {
        self.next::<6>()
    }

    pub(super) fn amount(&mut self) -> Result<u64, Malformed> {
        self.next::<5>()
    }

    pub(super) fn units(&mut self) -> Result<Units, Malformed> {
        Units::new(self.amount()?).ok_or(Malformed)
    }

    /// In six bytes.
    fn signed(&mut self) -> Result<i64, Malformed> {
        const UNUSED: u32 = 16;
        let bits = self.next::<6>()?.cast_signed();
        Ok(bits << UNUSED >> UNUSED)
    }

    fn moment(&mut self) -> Result<UnixMillis, Malformed> {
        let millis = i64::try_from(self.next::<6>()?);
        millis.map(UnixMillis).or(Err(Malformed))
    }

    pub(super) fn index(&mut self) -> Result<u16, Malformed> {
        u16::try_from(self.next::<2>()?).or(Err(Malformed))
    }

    /// See [`Line::charged_to`].
    pub(super) fn user(&mut self) -> Result<Option<ChannelIx>, Malformed> {
        Ok(self.index()?.checked_sub(1).map(ChannelIx))
    }

    pub(super) fn node(&mut self) -> Result<NodeIx, Malformed> {
        self.index().map(NodeIx)
    }

    pub(super) fn pin(&mut self) -> Result<Option<NodeIx>, Malformed> {
        pin(self.index()?.into())
    }

    fn fingerprint(&mut self) -> Result<u64, Malformed> {
        self.next::<8>()
    }
}

/// A pin: 0 for none, else the index plus one.
pub(super) fn pin(raw: u64) -> Result<Option<NodeIx>, Malformed> {
    let node = raw.checked_sub(1).map(u16::try_from).transpose();
    node.map(|node| node.map(NodeIx)).or(Err(Malformed))
}

/// The stock of a SKU.
pub fn stock(bytes: &[u8]) -> Result<Stock, Malformed> {
    let mut from = Integers(bytes);
    let version = from.counter()?;
    let (held, committed) = (from.units()?, from.units()?);
    let on_hand = from.units()?;
    let (flags, safety) = (from.next::<2>()?, from.amount()?);
    let front = (from.index()?, from.units()?);
    let uses = uses(&mut from, front)?;
    let deficit_told = (flags & IS_SHORT > 0).then(|| from.units()).transpose()?;
    let calendar = if flags & IS_DATED > 0 {
        calendar::take(&mut from)?
    } else {
        Calendar::EMPTY
    };
    let unavailable = from.units()?;
    let low = from.bytes(if flags & IS_MARKED > 0 { MARK_BYTES } else { 0 })?;
    let node_safety = if flags & IS_SPREAD > 0 {
        node_safety::take(&mut from)?
    } else {
        NodeSafety::default()
    };
    let settings = settings((safety, flags), low, node_safety, from.next::<4>()?)?;
    let mut nodes = SmallVec::new();
    while !from.0.is_empty() {
        nodes.push(NodeStock {
            node: from.node()?,
            on_hand: from.units()?,
            unavailable: from.units()?,
            pinned: from.units()?,
            counted: u32::try_from(from.next::<4>()?).or(Err(Malformed))?,
        });
    }
    let stock = Stock::from_parts(nodes, held, committed, settings, uses, version);
    let low = flags & IS_LOW > 0;
    let stock = stock.with_water(Water { low, told: low });
    let stock = stock.with_deficit_told(deficit_told.unwrap_or_default());
    let stock = stock.with_calendar(calendar);
    if stock.on_hand() == on_hand && stock.unavailable() == unavailable {
        Ok(stock)
    } else {
        Err(Malformed)
    }
}

/// The uses of a SKU. Of the channel in front, what is open stands before them; it may be all.
fn uses(from: &mut Integers<'_>, front: (u16, Units)) -> Result<Uses, Malformed> {
    let mut in_front = ChannelUse {
        open: front.1,
        ..ChannelUse::none(ChannelIx(front.0))
    };
    let count = from.index()?;
    let window = UnixMillis(from.signed()?);
    let mut uses = Vec::with_capacity(usize::from(count));
    for _ in 0..count {
        let of = ChannelUse {
            channel: ChannelIx(from.index()?),
            open: from.units()?,
            shipped: from.units()?,
            moved: from.signed()?,
        };
        if of.channel == in_front.channel {
            (in_front.shipped, in_front.moved) = (of.shipped, of.moved);
        } else {
            uses.push(of);
        }
    }
    uses.push(in_front);
    Ok(Uses::from_parts(window, uses))
}

/// What a command id stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record<'a> {
    /// Sequence of its event.
    pub sequence: u64,
    /// Fingerprint of the command.
    pub fingerprint: u64,
    /// What was answered.
    pub kept: Kept<'a>,
}

/// See [`Record`].
#[expect(
    clippy::large_enum_variant,
    reason = "nearly every one is a reservation, and none is kept"
)]
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kept<'a> {
    /// A reservation, as it stands.
    Reservation(Booking<'a>),
    /// The result of another command; or a signpost: see [`Record::leads_to`].
    Answer {
        /// When it was given.
        at: UnixMillis,
        /// As the script packed it.
        result: &'a [u8],
        /// Whether it is a refusal.
        refused: bool,
    },
}

/// What the caller of a reserve command packed for the record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Made<'a> {
    pub(super) fingerprint: u64,
    pub(super) channel: ChannelIx,
    pub(super) reference: Option<&'a str>,
    pub(super) ttl: Ttl,
    pub(super) lines: SmallVec<[ReservedLine<'a>; 1]>,
}

impl<'a> Made<'a> {
    /// Reads it from the front; what it does not say is that everything was granted.
    pub(super) fn take(reader: &mut Reader<'a>) -> Result<Self, Malformed> {
        Self::read(reader, Reader::text)
    }

    /// Of one line, packed up to the text of the SKU.
    pub(super) fn of_one(packed: &'a [u8], sku: &'a str) -> Result<Self, Malformed> {
        Self::read(&mut Reader(packed), |_| Ok(sku))
    }

    fn read(
        reader: &mut Reader<'a>,
        text_of: impl Fn(&mut Reader<'a>) -> Result<&'a str, Malformed>,
    ) -> Result<Self, Malformed> {
        let fingerprint = Integers(reader.take(8)?).fingerprint()?;
        let channel = ChannelIx(reader.narrow()?);
        let values = reader.array()?;
        let reference = reader.maybe_text()?;
        let ttl = Ttl::from_millis(reader.narrow()?).ok_or(Malformed)?;
        let mut lines = SmallVec::new();
        for _ in 0..values.checked_sub(2).ok_or(Malformed)? / 3 {
            let pin = pin(reader.narrow()?)?;
            let requested = Units::new(reader.narrow()?).ok_or(Malformed)?;
            let sku = text_of(reader)?;
            lines.push(ReservedLine {
                sku,
                pin,
                day: None,
                charged_to: None,
                requested,
                held: requested,
            });
        }
        Ok(Self {
            fingerprint,
            channel,
            reference,
            ttl,
            lines,
        })
    }

    pub(super) fn reserved(self, id: u128) -> Reserved<'a> {
        Reserved {
            id: ReservationId(id),
            fingerprint: self.fingerprint,
            channel: self.channel,
            reference: self.reference,
            ttl_ms: self.ttl.as_millis(),
            lines: self.lines,
        }
    }
}

/// A stored reservation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Booking<'a> {
    made: Made<'a>,
    /// When it was made.
    pub created_at: UnixMillis,
    /// When it was last acted on.
    pub touched: UnixMillis,
    /// When its held units go back.
    pub deadline: UnixMillis,
    /// Its lines as they stand.
    pub lines: SmallVec<[(&'a str, Units, Line); 1]>,
    /// How it hangs together with other partitions, where it lies in several.
    pub ties: Option<Ties>,
}

impl<'a> Booking<'a> {
    /// Reads what follows the sequence of a record of this kind.
    fn parse(kind: u8, bytes: &'a [u8]) -> Result<Self, Malformed> {
        let mut reader = Reader(bytes);
        let made = Made::take(&mut reader)?;
        let mut from = Integers(reader.0);
        let (created_at, touched, deadline) = (from.moment()?, from.moment()?, from.moment()?);
        let (states, is_dated, is_lent) = states(from.index()?);
        let mut lines: SmallVec<[(&str, Units, Line); 1]> = SmallVec::new();
        for line in &made.lines {
            let state = if states == 0 {
                Line {
                    held: line.requested,
                    ..Line::pinned(line.pin)
                }
            } else {
                state(&mut from)?
            };
            lines.push((line.sku, line.requested, state));
        }
        for (_, _, line) in lines.iter_mut().filter(|_| is_dated) {
            line.day = Day::new(from.index()?);
        }
        for (_, _, line) in lines.iter_mut().filter(|_| is_lent) {
            line.charged_to = from.user()?;
        }
        let ties = match kind {
            RESERVATION => None,
            _ => Some(Ties::take(&mut from, kind == WHOLE, lines.len())?),
        };
        let complete = (states == 0 || states == lines.len()) && from.0.is_empty();
        let booking = Self {
            made,
            created_at,
            touched,
            deadline,
            lines,
            ties,
        };
        Some(booking).filter(|_| complete).ok_or(Malformed)
    }

    /// Who sells.
    pub const fn channel(&self) -> ChannelIx {
        self.made.channel
    }

    /// The caller's own name for it.
    pub const fn reference(&self) -> Option<&'a str> {
        self.made.reference
    }

    /// Whether the line with this number is one of the partition's own.
    pub fn is_here(&self, line: usize) -> bool {
        let elsewhere = self.ties.as_ref().and_then(|ties| ties.elsewhere.get(line));
        elsewhere != Some(&true)
    }

    /// Whether there is a reservation: parts of one, and one that is being placed, are none.
    pub fn is_whole(&self) -> bool {
        let ties = self.ties.as_ref();
        ties.is_none_or(|ties| ties.is_home && ties.phase == Phase::Bound)
    }

    /// Whether it lies in several partitions and is being placed at home.
    pub fn is_placing(&self) -> bool {
        let ties = self.ties.as_ref();
        ties.is_some_and(|ties| ties.is_home && ties.phase == Phase::Loose)
    }

    /// Whether it is a part of one that is at home elsewhere.
    pub fn is_part(&self) -> bool {
        self.ties.as_ref().is_some_and(|ties| !ties.is_home)
    }

    /// Whether it is a part that waits for its home.
    pub fn waits(&self) -> bool {
        let ties = self.ties.as_ref();
        ties.is_some_and(|ties| !ties.is_home && ties.phase == Phase::Bound)
    }

    /// Time to live that it was made with.
    pub const fn ttl(&self) -> Ttl {
        self.made.ttl
    }

    /// The pins that its lines were made with.
    pub fn pins(&self) -> impl Iterator<Item = Option<NodeIx>> {
        self.made.lines.iter().map(|line| line.pin)
    }

    /// As it stands.
    pub fn now(&self, id: u128) -> Reservation {
        self.view(id, self.deadline, |line, _| line)
    }

    /// As it was when it was made.
    pub fn as_made(&self, id: u128) -> Reservation {
        let deadline = self.created_at.after(self.made.ttl);
        self.view(id, deadline, |line, pin| line.as_made(pin))
    }

    fn view(
        &self,
        id: u128,
        deadline: UnixMillis,
        state: impl Fn(Line, Option<NodeIx>) -> Line,
    ) -> Reservation {
        let lines = self.lines.iter().zip(&self.made.lines);
        Reservation {
            id: ReservationId(id),
            channel: self.made.channel,
            reference: self.made.reference.map(Into::into),
            created_at: self.created_at,
            deadline,
            lines: lines
                .map(|((sku, requested, line), made)| ReservationLine {
                    sku: (*sku).into(),
                    requested: *requested,
                    line: state(*line, made.pin),
                })
                .collect(),
        }
    }
}

/// The first byte of records of reservations: over one partition, over several at home, elsewhere.
const RESERVATION: u8 = 1;
const WHOLE: u8 = 4;
const PART: u8 = 5;

/// Set in the number of line states where the days of the lines follow them.
pub(super) const DATED: u16 = 1 << 15;

/// Set in it where the channels follow whose shares lines are of.
pub(super) const LENT: u16 = 1 << 14;

/// The number of line states, whether the days of the lines follow them, and whether the channels do
/// whose shares they are of.
fn states(count: u16) -> (usize, bool, bool) {
    let lines = usize::from(count & !(DATED | LENT));
    (lines, count & DATED > 0, count & LENT > 0)
}

fn state(from: &mut Integers<'_>) -> Result<Line, Malformed> {
    Ok(Line {
        pin: from.pin()?,
        day: None,
        charged_to: None,
        held: from.units()?,
        committed: from.units()?,
        shipped: from.units()?,
        released: from.units()?,
        expired: from.units()?,
        returned: from.units()?,
    })
}

impl<'a> Record<'a> {
    /// The id that it leads to, where it is a signpost.
    pub fn leads_to(&self) -> Option<u128> {
        match self.kept {
            Kept::Answer { result, .. } => moved(result),
            Kept::Reservation(_) => None,
        }
    }

    /// Reads a stored record.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Malformed> {
        let (kind, rest) = bytes.split_first().ok_or(Malformed)?;
        let mut from = Integers(rest);
        let sequence = from.counter()?;
        let with_print = from.0;
        let fingerprint = from.fingerprint()?;
        let kept = match *kind {
            RESERVATION | WHOLE | PART => Kept::Reservation(Booking::parse(*kind, with_print)?),
            2 | 3 => Kept::Answer {
                at: from.moment()?,
                result: from.0,
                refused: *kind == 3,
            },
            _ => return Err(Malformed),
        };
        Ok(Self {
            sequence,
            fingerprint,
            kept,
        })
    }
}
