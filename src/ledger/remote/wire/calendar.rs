//! The calendar of a stock as the store keeps it: see `lua/lib/calendar.lua`.

use super::Malformed;
use super::command;
use super::record::Integers;
use crate::domain::calendar::{Calendar, Promised};
use crate::domain::{Day, Inbound, InboundKind};

/// Bytes of the length of a calendar, which stands in front of it.
const LENGTH_BYTES: usize = 4;

/// A kind of supply as a number.
pub(super) const fn number_of(kind: InboundKind) -> u64 {
    match kind {
        InboundKind::InTransit => 1,
        InboundKind::Presale => 2,
        InboundKind::Return => 3,
    }
}

/// See [`number_of`].
pub(super) const fn kind_of(number: u64) -> Result<InboundKind, Malformed> {
    Ok(match number {
        1 => InboundKind::InTransit,
        2 => InboundKind::Presale,
        3 => InboundKind::Return,
        _ => return Err(Malformed),
    })
}

/// A day.
pub(super) fn day(days: u16) -> Result<Day, Malformed> {
    Day::new(days).ok_or(Malformed)
}

/// Takes a calendar, which is not empty, with its length in front.
pub(super) fn take(from: &mut Integers<'_>) -> Result<Calendar, Malformed> {
    let length = usize::try_from(from.next::<LENGTH_BYTES>()?).or(Err(Malformed))?;
    let mut from = Integers(from.bytes(length)?);
    let (announced, promised) = (from.index()?, from.index()?);
    let mut inbound = Vec::with_capacity(usize::from(announced));
    for _ in 0..announced {
        inbound.push(entry(&mut from)?);
    }
    let mut promises = Vec::with_capacity(usize::from(promised));
    for _ in 0..promised {
        promises.push(Promised {
            day: day(from.index()?)?,
            pin: from.pin()?,
            units: from.units()?,
        });
    }
    let calendar = Calendar::from_parts(inbound, promises);
    let is_sound = from.0.is_empty() && !calendar.is_empty();
    Some(calendar).filter(|_| is_sound).ok_or(Malformed)
}

fn entry(from: &mut Integers<'_>) -> Result<Inbound, Malformed> {
    let (due, node) = (day(from.index()?)?, from.node()?);
    let (kind, units) = (kind_of(from.next::<1>()?)?, from.units()?);
    let length = usize::try_from(from.next::<1>()?).or(Err(Malformed))?;
    let id = str::from_utf8(from.bytes(length)?).or(Err(Malformed))?;
    Ok(Inbound {
        id: id.into(),
        kind,
        node,
        due,
        units,
    })
}

/// What [`take`] takes.
pub(super) fn packed(calendar: &Calendar) -> Vec<u8> {
    let count = |some: usize| u64::try_from(some).unwrap_or(u64::MAX);
    let mut out = Vec::new();
    put(&mut out, 2, count(calendar.inbound().len()));
    put(&mut out, 2, count(calendar.promises().len()));
    for entry in calendar.inbound() {
        put(&mut out, 2, u64::from(entry.due.get()));
        put(&mut out, 2, u64::from(entry.node.0));
        put(&mut out, 1, number_of(entry.kind));
        put(&mut out, 5, entry.units.get());
        put(&mut out, 1, count(entry.id.len()));
        out.extend(entry.id.as_bytes());
    }
    for promise in calendar.promises() {
        put(&mut out, 2, u64::from(promise.day.get()));
        put(&mut out, 2, command::pin(promise.pin));
        put(&mut out, 5, promise.units.get());
    }
    let mut packed = Vec::with_capacity(LENGTH_BYTES + out.len());
    put(&mut packed, LENGTH_BYTES, count(out.len()));
    packed.extend(out);
    packed
}

fn put(out: &mut Vec<u8>, bytes: usize, number: u64) {
    out.extend(number.to_le_bytes().iter().take(bytes));
}
