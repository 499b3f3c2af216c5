//! Refusals as the scripts write them: a number, then what it is about, all in one flat list.

use super::Malformed;
use super::calendar::day;
use super::command;
use super::pack::{Reader, Value, Writer};
use super::policy;
use super::record::{Integers, pin};
use super::result::REFUSED;
use crate::domain::verdict::{BoundBy, Excess, Frozen, Limit, Refusal, Shortage, Stale};
use crate::domain::{ChannelIx, Day, NodeIx, Units, UnixMillis};

/// Reads a refusal of that many values.
pub(super) fn take(r: &mut Reader<'_>, values: usize) -> Result<Refusal, Malformed> {
    let tag = r.int()?;
    let rest = values.checked_sub(1).ok_or(Malformed)?;
    Ok(match tag {
        1 => Refusal::KeyReused,
        2 => Refusal::UnknownSku { sku: sku(r)? },
        3 => Refusal::InsufficientStock {
            shortages: list(r, rest, 5, shortage)?,
        },
        4 => Refusal::UnknownReservation,
        5 => Refusal::UnknownLine {
            sku: sku(r)?,
            node: pin(r.narrow()?)?,
        },
        6 => Refusal::Expired,
        7 => Refusal::Released,
        8 => Refusal::Shipped,
        9 => Refusal::NotHeld,
        10 => Refusal::NotConfirmed,
        11 => Refusal::NotShipped,
        12 => Refusal::OverConfirm {
            lines: list(r, rest, 4, excess)?,
        },
        13 => Refusal::OverRelease {
            lines: list(r, rest, 4, excess)?,
        },
        14 => Refusal::OverShip {
            lines: list(r, rest, 4, excess)?,
        },
        15 => Refusal::OverReturn {
            lines: list(r, rest, 4, excess)?,
        },
        16 => Refusal::PartialTransfer {
            lines: list(r, rest, 4, excess)?,
        },
        17 => Refusal::ChangeFromStale {
            items: list(r, rest, 4, stale)?,
        },
        18 => Refusal::NegativeStock {
            sku: sku(r)?,
            node: NodeIx(r.narrow()?),
            on_hand: units(r)?,
            unavailable: units(r)?,
        },
        19 => Refusal::TooMany { sku: sku(r)? },
        20 => Refusal::VersionMismatch {
            actual: r.narrow()?,
        },
        21 => Refusal::Frozen(Frozen {
            campaign: r.text()?.into(),
            until: UnixMillis(r.narrow()?),
        }),
        _ => return take_of_plans(tag, r),
    })
}

/// The same, about what is announced, and about shares.
fn take_of_plans(tag: i64, r: &mut Reader<'_>) -> Result<Refusal, Malformed> {
    Ok(match tag {
        22 => Refusal::UnknownInbound {
            sku: sku(r)?,
            id: r.text()?.into(),
        },
        23 => Refusal::OverReceipt {
            sku: sku(r)?,
            id: r.text()?.into(),
            requested: units(r)?,
            open: units(r)?,
        },
        24 => Refusal::DueTooLate {
            sku: sku(r)?,
            id: r.text()?.into(),
            due: day(r.narrow()?)?,
            latest: day(r.narrow()?)?,
        },
        25 => Refusal::TooManyInbound { sku: sku(r)? },
        27 => Refusal::OverShare {
            sku: sku(r)?,
            channel: ChannelIx(r.narrow()?),
            requested: units(r)?,
            possible: units(r)?,
        },
        _ => return Err(Malformed),
    })
}

pub(super) fn units(r: &mut Reader<'_>) -> Result<Units, Malformed> {
    Units::new(r.narrow()?).ok_or(Malformed)
}

fn sku(r: &mut Reader<'_>) -> Result<Box<str>, Malformed> {
    r.text().map(Into::into)
}

fn list<T>(
    r: &mut Reader<'_>,
    values: usize,
    width: usize,
    one: impl Fn(&mut Reader<'_>) -> Result<T, Malformed>,
) -> Result<Box<[T]>, Malformed> {
    (0..values / width).map(|_| one(r)).collect()
}

fn shortage(r: &mut Reader<'_>) -> Result<Shortage, Malformed> {
    let (sku, node) = (sku(r)?, pin(r.narrow()?)?);
    let (requested, available) = (units(r)?, units(r)?);
    let (limit, bound, next) = limit(r.value()?)?;
    Ok(Shortage {
        sku,
        node,
        requested,
        available,
        limit,
        next,
        bound,
    })
}

fn excess(r: &mut Reader<'_>) -> Result<Excess, Malformed> {
    Ok(Excess {
        sku: sku(r)?,
        node: pin(r.narrow()?)?,
        requested: units(r)?,
        possible: units(r)?,
    })
}

fn stale(r: &mut Reader<'_>) -> Result<Stale, Malformed> {
    Ok(Stale {
        sku: sku(r)?,
        node: NodeIx(r.narrow()?),
        change_from: units(r)?,
        on_hand: units(r)?,
    })
}

/// The shortages of a refusal for want of stock.
pub(super) fn shortages(refusal: &Refusal) -> Result<&[Shortage], Malformed> {
    if let Refusal::InsufficientStock { shortages } = refusal {
        Ok(shortages)
    } else {
        Err(Malformed)
    }
}

/// A shortage as five values of a flat list.
pub(super) fn put_shortage(w: &mut Writer, short: &Shortage) {
    shortage_parts(short).for_each(|part| part.put(w));
}

/// The result that a key stands for which was refused by nobody but the instance that saw all
/// partitions; others are decided in one of them, by its script.
pub(super) fn pack(refusal: &Refusal) -> Result<Vec<u8>, Malformed> {
    let is_joined = matches!(
        refusal,
        Refusal::InsufficientStock { .. }
            | Refusal::ChangeFromStale { .. }
            | Refusal::NegativeStock { .. }
            | Refusal::TooMany { .. }
            | Refusal::OverShare { .. }
            | Refusal::UnknownInbound { .. }
            | Refusal::OverReceipt { .. }
            | Refusal::DueTooLate { .. }
            | Refusal::TooManyInbound { .. }
    );
    let mut w = Writer::default();
    put(&mut w, refusal);
    Some(w.0).filter(|_| is_joined).ok_or(Malformed)
}

/// The result that a key stands for which was refused.
pub(super) fn put(w: &mut Writer, refusal: &Refusal) {
    let (tag, values) = match refusal {
        Refusal::KeyReused => (1, Vec::new()),
        Refusal::UnknownSku { sku } => (2, vec![Part::Text(sku)]),
        Refusal::InsufficientStock { shortages } => {
            (3, shortages.iter().flat_map(shortage_parts).collect())
        }
        Refusal::UnknownReservation => (4, Vec::new()),
        Refusal::UnknownLine { sku, node } => {
            (5, vec![Part::Text(sku), Part::Number(command::pin(*node))])
        }
        Refusal::Expired => (6, Vec::new()),
        Refusal::Released => (7, Vec::new()),
        Refusal::Shipped => (8, Vec::new()),
        Refusal::NotHeld => (9, Vec::new()),
        Refusal::NotConfirmed => (10, Vec::new()),
        Refusal::NotShipped => (11, Vec::new()),
        Refusal::OverConfirm { lines } => (12, lines.iter().flat_map(excess_parts).collect()),
        Refusal::OverRelease { lines } => (13, lines.iter().flat_map(excess_parts).collect()),
        Refusal::OverShip { lines } => (14, lines.iter().flat_map(excess_parts).collect()),
        Refusal::OverReturn { lines } => (15, lines.iter().flat_map(excess_parts).collect()),
        Refusal::PartialTransfer { lines } => (16, lines.iter().flat_map(excess_parts).collect()),
        Refusal::ChangeFromStale { items } => (17, items.iter().flat_map(stale_parts).collect()),
        Refusal::NegativeStock {
            sku,
            node,
            on_hand,
            unavailable,
        } => {
            let numbers = [u64::from(node.0), on_hand.get(), unavailable.get()];
            (18, part(sku, &numbers).collect())
        }
        Refusal::TooMany { sku } => (19, vec![Part::Text(sku)]),
        Refusal::OverShare {
            sku,
            channel,
            requested,
            possible,
        } => {
            let numbers = [u64::from(channel.0), requested.get(), possible.get()];
            (27, part(sku, &numbers).collect())
        }
        Refusal::VersionMismatch { actual } => (20, vec![Part::Number(u64::from(*actual))]),
        Refusal::Frozen(frozen) => {
            let until = u64::try_from(frozen.until.0).unwrap_or_default();
            let campaign = Part::Text(&frozen.campaign);
            (21, vec![campaign, Part::Number(until)])
        }
        Refusal::UnknownInbound { sku, id } => (22, vec![Part::Text(sku), Part::Text(id)]),
        Refusal::OverReceipt {
            sku,
            id,
            requested,
            open,
        } => (23, named(sku, id, [requested.get(), open.get()])),
        Refusal::DueTooLate {
            sku,
            id,
            due,
            latest,
        } => (24, named(sku, id, [due.get(), latest.get()].map(u64::from))),
        Refusal::TooManyInbound { sku } => (25, vec![Part::Text(sku)]),
    };
    w.array(2 + values.len());
    w.int(REFUSED);
    w.uint(tag);
    values.iter().for_each(|part| part.put(w));
}

/// A value of a refusal.
enum Part<'a> {
    Text(&'a str),
    Number(u64),
    Packed(Vec<u8>),
}

impl Part<'_> {
    fn put(&self, w: &mut Writer) {
        match self {
            Self::Text(text) => w.bytes(text.as_bytes()),
            Self::Number(number) => w.uint(*number),
            Self::Packed(bytes) => w.bytes(bytes),
        }
    }
}

fn part<'a>(sku: &'a str, numbers: &[u64]) -> impl Iterator<Item = Part<'a>> + use<'a> {
    let numbers: Vec<_> = numbers.iter().map(|number| Part::Number(*number)).collect();
    std::iter::once(Part::Text(sku)).chain(numbers)
}

/// An announcement and two numbers.
fn named<'a>(sku: &'a str, id: &'a str, numbers: [u64; 2]) -> Vec<Part<'a>> {
    let [first, second] = numbers.map(Part::Number);
    vec![Part::Text(sku), Part::Text(id), first, second]
}

fn shortage_parts(short: &Shortage) -> impl Iterator<Item = Part<'_>> {
    let limit = number_of(short.limit);
    let next = short.next.map_or(0, Day::get);
    let limit = match &short.bound {
        None if next == 0 => Part::Number(limit),
        bound => Part::Packed(put_limit(limit, bound.as_ref(), next)),
    };
    let (requested, available) = (short.requested.get(), short.available.get());
    let numbers = [command::pin(short.node), requested, available];
    part(&short.sku, &numbers).chain([limit])
}

const fn number_of(limit: Limit) -> u64 {
    match limit {
        Limit::Suspended => 1,
        Limit::Stock => 2,
        Limit::Safety => 3,
        Limit::Node => 4,
        Limit::Cap => 5,
        Limit::Protection => 6,
        Limit::Inbound => 7,
        Limit::Later => 8,
        Limit::Date => 9,
    }
}

/// A limit in full: its number, how it stood where it is a cap or a protection, and the next day on
/// which all could be had.
fn put_limit(limit: u64, bound: Option<&BoundBy>, next: u16) -> Vec<u8> {
    let mut out = Vec::with_capacity(NEXT_BYTES + BOUND_BYTES);
    let mut put = |bytes: usize, number: u64| out.extend(number.to_le_bytes().iter().take(bytes));
    put(1, limit);
    if let Some(bound) = bound {
        put(2, u64::from(bound.channel.0));
        put(6, policy::amount(bound.amount).cast_unsigned());
        put(5, bound.supply.get());
        put(5, bound.units.get());
        put(5, bound.used.get());
    }
    if bound.is_none() || next > 0 {
        put(2, u64::from(next));
    }
    out
}

/// Bytes of a limit with the next day alone, and of how it stood.
const NEXT_BYTES: usize = 3;
const BOUND_BYTES: usize = 23;

/// A limit, as its number or in full.
fn limit(value: Value<'_>) -> Result<(Limit, Option<BoundBy>, Option<Day>), Malformed> {
    let bytes = match value {
        Value::Bytes(bytes) => bytes,
        Value::Int(number) => return Ok((limit_of(number)?, None, None)),
        Value::Flag(_) | Value::Array(_) | Value::Ext(..) => return Err(Malformed),
    };
    let mut from = Integers(bytes);
    let limit = limit_of(from.next::<1>()?.cast_signed())?;
    let bound = if from.0.len() >= BOUND_BYTES {
        Some(bound(&mut from)?)
    } else {
        None
    };
    let next = if from.0.is_empty() { 0 } else { from.index()? };
    Ok((limit, bound, Day::new(next)))
}

fn bound(from: &mut Integers<'_>) -> Result<BoundBy, Malformed> {
    Ok(BoundBy {
        channel: ChannelIx(from.index()?),
        amount: policy::amount_of(from.next::<6>()?)?,
        supply: from.units()?,
        units: from.units()?,
        used: from.units()?,
    })
}

const fn limit_of(number: i64) -> Result<Limit, Malformed> {
    Ok(match number {
        1 => Limit::Suspended,
        2 => Limit::Stock,
        3 => Limit::Safety,
        4 => Limit::Node,
        5 => Limit::Cap,
        6 => Limit::Protection,
        7 => Limit::Inbound,
        8 => Limit::Later,
        9 => Limit::Date,
        _ => return Err(Malformed),
    })
}

fn excess_parts(over: &Excess) -> impl Iterator<Item = Part<'_>> {
    let (requested, possible) = (over.requested.get(), over.possible.get());
    part(&over.sku, &[command::pin(over.node), requested, possible])
}

fn stale_parts(stale: &Stale) -> impl Iterator<Item = Part<'_>> {
    let (expected, found) = (stale.change_from.get(), stale.on_hand.get());
    part(&stale.sku, &[u64::from(stale.node.0), expected, found])
}
