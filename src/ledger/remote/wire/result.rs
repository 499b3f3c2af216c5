//! The result of a command as a script writes it, and the event it stands for.

use smallvec::SmallVec;

use super::Malformed;
use super::grant;
use super::inbound;
use super::node_safety;
use super::pack::{Reader, Value};
use super::record::{Booking, Kept, Record};
use super::refusal::{self, units};
use super::settings::settings;
use crate::domain::command::CommandKey;
use crate::domain::decide::Grants;
use crate::domain::line::Move;
use crate::domain::{ChannelIx, NodeIx, Refusal, ReservationId, Units, UnixMillis};
use crate::ledger::event::{
    Acted, ActedLine, Body, ShareMove, SharesMoved, StockChanged, StockItem, StockVerb, VerbKind,
};

/// One result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome<'a> {
    /// One or more reservations in a row, granted in full.
    Granted,
    /// Left for the next batch.
    Deferred,
    /// There is no index left for the channel's name.
    Full,
    /// A reservation, granted in part or for days: what each line got.
    Part(List<'a>),
    /// A reservation of a channel that came with a name only: its index, whether that is new, and
    /// what each line got unless it was granted in full.
    Indexed(ChannelIx, bool, Option<List<'a>>),
    /// What [`body`] reads.
    Recorded(Packed<'a>),
    /// A refusal that its key does not stand for.
    Unrecorded(List<'a>),
    /// What an id stands for; empty for nothing.
    Record(&'a [u8]),
    /// The index of a new name.
    Named(u16),
    /// What was read.
    Value(Reader<'a>),
}

/// The values of a list that are left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct List<'a> {
    pub(super) values: usize,
    pub(super) reader: Reader<'a>,
}

/// A result that is kept under its key, as its list and the number that says what it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Packed<'a> {
    tag: i64,
    list: List<'a>,
}

pub(super) const ACTED: i64 = 3;
/// Verb, id, record and moves; there may follow windows of what was shipped.
const ACTED_VALUES: usize = 4;
pub(super) const CHANGED: i64 = 4;
pub(super) const SETTLED: i64 = 5;
pub(super) const REFUSED: i64 = 6;
pub(super) const ARRIVED: i64 = 13;
pub(super) const SHARED: i64 = 20;
/// No script gives it: it stands in the signposts that an import makes.
pub(super) const MOVED: i64 = 12;

/// The id that a key leads to whose record this is the result of; `None`: it is an answer.
pub(super) fn moved(result: &[u8]) -> Option<u128> {
    let mut reader = Reader(result);
    let is_moved = reader.array() == Ok(2) && reader.int() == Ok(MOVED);
    is_moved.then(|| reader.id().ok()).flatten()
}

impl<'a> Packed<'a> {
    /// The record afterwards of what was acted on.
    pub(super) fn record(self) -> Result<&'a [u8], Malformed> {
        let Self { tag: ACTED, list } = self else {
            return Err(Malformed);
        };
        let mut reader = list.reader;
        reader.skip_many(2)?;
        reader.bytes()
    }
}

impl<'a> Outcome<'a> {
    /// How many events were written.
    pub(super) fn events(&self) -> u64 {
        match self {
            Self::Granted | Self::Part(_) | Self::Recorded(_) | Self::Named(_) => 1,
            Self::Indexed(_, is_new, _) => 1 + u64::from(*is_new),
            Self::Deferred
            | Self::Full
            | Self::Unrecorded(_)
            | Self::Record(_)
            | Self::Value(_) => 0,
        }
    }

    /// Reads the result that stands in front.
    pub(super) fn read(mut reader: Reader<'a>) -> Result<Self, Malformed> {
        let values = match reader.value()? {
            Value::Int(..=-1) => return Ok(Self::Granted),
            Value::Int(1) => return Ok(Self::Deferred),
            Value::Int(2) => return Ok(Self::Full),
            Value::Array(count) => count.checked_sub(1).ok_or(Malformed)?,
            Value::Int(_) | Value::Flag(_) | Value::Bytes(_) | Value::Ext(..) => {
                return Err(Malformed);
            }
        };
        let tag = reader.int()?;
        let list = List { values, reader };
        Ok(match tag {
            2 => Self::Part(list),
            ACTED..=REFUSED | ARRIVED | SHARED => Self::Recorded(Packed { tag, list }),
            7 => Self::Unrecorded(list),
            8 => Self::Record(reader.bytes()?),
            9 => Self::Named(reader.narrow()?),
            10 => Self::Value(reader),
            11 => indexed(list)?,
            _ => return Err(Malformed),
        })
    }
}

fn indexed(list: List<'_>) -> Result<Outcome<'_>, Malformed> {
    let List { values, mut reader } = list;
    let index = ChannelIx(reader.narrow()?);
    let is_new = reader.int()? == 1;
    let values = values.checked_sub(2).ok_or(Malformed)?;
    let grants = Some(List { values, reader }).filter(|list| list.values > 0);
    Ok(Outcome::Indexed(index, is_new, grants))
}

impl List<'_> {
    pub(super) fn refusal(mut self) -> Result<Refusal, Malformed> {
        refusal::take(&mut self.reader, self.values)
    }

    /// What each line got.
    pub(super) fn grants(mut self) -> Result<Grants, Malformed> {
        (0..self.values)
            .map(|_| grant::take(&mut self.reader))
            .collect()
    }
}

/// What the command said that a result does not repeat.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Asked<'a> {
    pub(super) key: CommandKey,
    pub(super) reason: &'a str,
    pub(super) operator: Option<&'a str>,
}

impl Asked<'_> {
    pub(super) const fn by(key: CommandKey) -> Self {
        Self {
            key,
            reason: "",
            operator: None,
        }
    }
}

/// Which lines of a reservation over several partitions are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shown {
    /// To whoever acted on it.
    All,
    /// In the events of a partition, which tell of that partition alone.
    Here,
}

/// The event of a result that is kept under its key.
pub(super) fn body<'a>(
    asked: Asked<'a>,
    packed: Packed<'a>,
    shown: Shown,
) -> Result<Body<'a>, Malformed> {
    let mut list = packed.list;
    match packed.tag {
        ACTED => acted(asked.key, list, shown),
        CHANGED => changed(asked, &mut list.reader),
        SETTLED => settled(asked.key, &mut list.reader),
        ARRIVED => inbound::changed(asked.key, &mut list.reader).map(Body::InboundChanged),
        SHARED => shared(asked, &mut list.reader),
        _ => Ok(Body::Refused {
            key: asked.key,
            refusal: list.refusal()?,
        }),
    }
}

fn acted(key: CommandKey, list: List<'_>, shown: Shown) -> Result<Body<'_>, Malformed> {
    let List { values, mut reader } = list;
    let r = &mut reader;
    let verb = match r.int()? {
        2 => VerbKind::Confirm,
        3 => VerbKind::Release,
        4 => VerbKind::Extend,
        5 => VerbKind::Ship,
        6 => VerbKind::Return,
        7 => VerbKind::Transfer,
        _ => return Err(Malformed),
    };
    let id = ReservationId(r.id()?);
    let Kept::Reservation(booking) = Record::parse(r.bytes()?)?.kept else {
        return Err(Malformed);
    };
    let mut lines = lines(&booking);
    for _ in 0..r.array()? / 4 {
        let line: usize = r.narrow()?;
        let step = step(r.int()?, NodeIx(r.narrow()?), units(r)?)?;
        lines.get_mut(line).ok_or(Malformed)?.moves.push(step);
    }
    let windows = if values > ACTED_VALUES {
        r.array()? / 2
    } else {
        0
    };
    for _ in 0..windows {
        let line: usize = r.narrow()?;
        lines.get_mut(line).ok_or(Malformed)?.window = UnixMillis(r.int()?);
    }
    if shown == Shown::Here {
        let mut line = 0..;
        lines.retain(|_| line.next().is_some_and(|line| booking.is_here(line)));
    }
    Ok(Body::Acted(Acted {
        id,
        key,
        verb,
        channel: booking.channel(),
        reference: booking.reference(),
        created_at: booking.created_at,
        deadline: booking.deadline,
        lines,
    }))
}

fn lines<'a>(booking: &Booking<'a>) -> SmallVec<[ActedLine<'a>; 1]> {
    let lines = booking.lines.iter();
    lines
        .map(|(sku, requested, after)| ActedLine {
            sku,
            requested: *requested,
            after: *after,
            moves: SmallVec::new(),
            window: UnixMillis::default(),
        })
        .collect()
}

fn step(kind: i64, node: NodeIx, units: Units) -> Result<Move, Malformed> {
    Ok(match kind {
        2 => Move::Commit(units),
        3 => Move::ReleaseHeld(units),
        4 => Move::ReleaseCommitted(units),
        6 => Move::Ship(node, units),
        7 => Move::Restock(node, units),
        8 => Move::Quarantine(node, units),
        9 => Move::Repin(node),
        _ => return Err(Malformed),
    })
}

fn changed<'a>(asked: Asked<'a>, r: &mut Reader<'a>) -> Result<Body<'a>, Malformed> {
    let verb = match r.int()? {
        8 => StockVerb::Set,
        9 => StockVerb::Adjust,
        10 => StockVerb::Transfer,
        _ => return Err(Malformed),
    };
    let count = r.array()? / 8;
    let items = (0..count).map(|_| {
        Ok(StockItem {
            sku: r.text()?,
            node: NodeIx(r.narrow()?),
            on_hand_before: units(r)?,
            on_hand: units(r)?,
            unavailable_before: units(r)?,
            unavailable: units(r)?,
            available: units(r)?,
            version: r.narrow()?,
        })
    });
    let items = items.collect::<Result<Vec<_>, Malformed>>()?;
    Ok(Body::StockChanged(StockChanged {
        key: asked.key,
        verb,
        reason: asked.reason,
        operator: asked.operator,
        items,
    }))
}

fn shared<'a>(asked: Asked<'a>, r: &mut Reader<'a>) -> Result<Body<'a>, Malformed> {
    let count = r.array()? / 5;
    let items = (0..count).map(|_| {
        Ok(ShareMove {
            sku: r.text()?,
            from: ChannelIx(r.narrow()?),
            to: ChannelIx(r.narrow()?),
            units: units(r)?,
            window: UnixMillis(r.int()?),
        })
    });
    let items = items.collect::<Result<Vec<_>, Malformed>>()?;
    Ok(Body::SharesMoved(SharesMoved {
        key: asked.key,
        reason: asked.reason,
        operator: asked.operator,
        items,
    }))
}

fn settled<'a>(key: CommandKey, r: &mut Reader<'a>) -> Result<Body<'a>, Malformed> {
    let sku = r.text()?;
    let mut next = || {
        if r.array()? != 5 {
            return Err(Malformed);
        }
        let (safety, flags, low) = (r.narrow()?, r.narrow()?, r.bytes()?);
        let node_safety = node_safety::unpack(r.bytes()?)?;
        settings((safety, flags), low, node_safety, r.narrow()?)
    };
    Ok(Body::SettingsPut {
        key,
        sku,
        before: next()?,
        after: next()?,
        over: r.text()?,
    })
}
