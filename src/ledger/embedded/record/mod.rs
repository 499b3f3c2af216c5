//! The record format: one [`Event`] as bytes.
//!
//! A record is a kind byte, the time, and the kind's fields in the order of the structs in
//! [`crate::ledger::event`]. Numbers are LEB128 varints (signed ones zigzag), identities are fixed
//! little-endian, texts carry their length, lists their count. Position is not part of a record:
//! the journal knows it. Unknown kinds and left-over bytes are damage.

pub(super) mod bytes;
pub(super) mod inbound;
mod refusal;
mod settings;
mod shares;
mod stock;
#[cfg(test)]
mod tests;

use smallvec::SmallVec;

use self::bytes::{Reader, Writer};
use self::settings::{get_flag, get_terms, put_flag, put_terms};
pub(super) use self::settings::{get_settings, get_water, put_settings, put_water};
use super::super::Position;
use super::super::event::{
    Acted, ActedLine, Body, DeficitTold, Event, EventPage, LowWaterTold, Reserved, ReservedLine,
    TermsNoted, VerbKind,
};
use crate::domain::command::CommandKey;
use crate::domain::line::Move;
use crate::domain::{ChannelIx, Day, Line, NodeIx, ReservationId, UnixMillis};

/// The bytes are not a record of this format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a record of this format")]
pub struct BadRecord;

/// Appends a record, prefixed with its length as the journal wants it.
pub fn encode(at: UnixMillis, body: &Body<'_>, out: &mut Vec<u8>) {
    let start = out.len();
    let mut writer = Writer(out);
    writer.0.extend_from_slice(&[0; 4]);
    writer.byte(kind(body));
    writer.signed(at.0);
    put_body(&mut writer, body);
    let length = u32::try_from(out.len().saturating_sub(start + 4)).unwrap_or(u32::MAX);
    if let Some(prefix) = out.get_mut(start..start + 4) {
        prefix.copy_from_slice(&length.to_le_bytes());
    }
}

/// Reads a record, without its length prefix.
pub fn decode(position: Position, record: &[u8]) -> Result<Event<'_>, BadRecord> {
    let mut reader = Reader(record);
    let kind = reader.byte()?;
    let at = UnixMillis(reader.signed()?);
    let body = get_body(kind, &mut reader)?;
    if reader.0.is_empty() {
        Ok(Event { position, at, body })
    } else {
        Err(BadRecord)
    }
}

/// Whether an encoded record is a refusal.
pub(super) fn is_refusal(record: &[u8]) -> bool {
    record.first() == Some(&REFUSED)
}

/// What stays of a record whose event is not kept: whether it is a refusal.
pub(super) fn bare(is_refusal: bool) -> Box<[u8]> {
    if is_refusal {
        Box::new([REFUSED])
    } else {
        Box::default()
    }
}

/// Kind byte of settings that were put against a freeze: as those that were not, and why.
const SETTINGS_OVER: u8 = 11;

/// Kind byte of a refusal.
const REFUSED: u8 = 9;

impl EventPage {
    /// The events of the page.
    pub fn iter(&self) -> impl Iterator<Item = Result<Event<'_>, BadRecord>> {
        self.records
            .iter()
            .map(|(position, record)| decode(*position, record))
    }
}

const fn kind(body: &Body<'_>) -> u8 {
    match body {
        Body::Opened { .. } => 1,
        Body::NodeNamed { .. } => 2,
        Body::ChannelNamed { .. } => 3,
        Body::Reserved(_) => 4,
        Body::Acted(_) => 5,
        Body::Expired { .. } => 6,
        Body::StockChanged(_) => 7,
        Body::SettingsPut { over, .. } if over.is_empty() => 8,
        Body::SettingsPut { .. } => SETTINGS_OVER,
        Body::Refused { .. } => REFUSED,
        Body::PolicyPut { .. } => 10,
        Body::SharesMoved(_) => 14,
        Body::InboundChanged(_) => 12,
        Body::LowWater(_) => 13,
        Body::Deficit(_) => 15,
        Body::TermsNoted(_) => 16,
    }
}

fn put_low_water(w: &mut Writer<'_>, told: &LowWaterTold<'_>) {
    w.text(told.sku);
    put_flag(w, told.low);
    w.units(told.available);
    put_flag(w, told.suspended);
}

fn put_body(w: &mut Writer<'_>, body: &Body<'_>) {
    match body {
        Body::Opened { before } => w.number(u64::from(*before)),
        Body::NodeNamed { node, name } => {
            w.number(u64::from(node.0));
            w.text(name);
        }
        Body::ChannelNamed { channel, name } => {
            w.number(u64::from(channel.0));
            w.text(name);
        }
        Body::Reserved(reserved) => put_reserved(w, reserved),
        Body::Acted(acted) => put_acted(w, acted),
        Body::Expired {
            id,
            line,
            sku,
            units,
        } => {
            w.wide(id.0);
            w.number(u64::from(*line));
            w.text(sku);
            w.units(*units);
        }
        Body::StockChanged(changed) => stock::put(w, changed),
        Body::SettingsPut {
            key,
            sku,
            before,
            after,
            over,
        } => {
            put_key(w, *key);
            w.text(sku);
            put_settings(w, before);
            put_settings(w, after);
            if !over.is_empty() {
                w.text(over);
            }
        }
        Body::TermsNoted(noted) => {
            w.text(noted.sku);
            put_terms(w, &noted.terms);
        }
        Body::LowWater(told) => put_low_water(w, told),
        Body::Deficit(told) => {
            w.text(told.sku);
            w.units(told.deficit);
            w.units(told.was);
        }
        Body::Refused { key, refusal } => {
            put_key(w, *key);
            refusal::put(w, refusal);
        }
        Body::SharesMoved(moved) => shares::put(w, moved),
        Body::PolicyPut {
            version,
            operator,
            reason,
            over,
            text,
        } => {
            w.number(*version);
            for text in [operator, reason, over, text] {
                w.text(text);
            }
        }
        Body::InboundChanged(changed) => inbound::put(w, changed),
    }
}

fn get_body<'a>(kind: u8, r: &mut Reader<'a>) -> Result<Body<'a>, BadRecord> {
    Ok(match kind {
        1 => Body::Opened {
            before: r.narrow()?,
        },
        2 => Body::NodeNamed {
            node: NodeIx(r.narrow()?),
            name: r.text()?,
        },
        3 => Body::ChannelNamed {
            channel: ChannelIx(r.narrow()?),
            name: r.text()?,
        },
        4 => Body::Reserved(get_reserved(r)?),
        5 => Body::Acted(get_acted(r)?),
        6 => Body::Expired {
            id: ReservationId(r.wide()?),
            line: r.narrow()?,
            sku: r.text()?,
            units: r.units()?,
        },
        7 => Body::StockChanged(stock::get(r)?),
        8 | SETTINGS_OVER => Body::SettingsPut {
            key: get_key(r)?,
            sku: r.text()?,
            before: get_settings(r)?,
            after: get_settings(r)?,
            over: if kind == SETTINGS_OVER { r.text()? } else { "" },
        },
        REFUSED => Body::Refused {
            key: get_key(r)?,
            refusal: refusal::get(r)?,
        },
        13 => Body::LowWater(LowWaterTold {
            sku: r.text()?,
            low: get_flag(r)?,
            available: r.units()?,
            suspended: get_flag(r)?,
        }),
        15 => Body::Deficit(DeficitTold {
            sku: r.text()?,
            deficit: r.units()?,
            was: r.units()?,
        }),
        16 => Body::TermsNoted(TermsNoted {
            sku: r.text()?,
            terms: get_terms(r)?,
        }),
        14 => Body::SharesMoved(shares::get(r)?),
        10 => Body::PolicyPut {
            version: r.number()?,
            operator: r.text()?,
            reason: r.text()?,
            over: r.text()?,
            text: r.text()?,
        },
        12 => Body::InboundChanged(inbound::get(r)?),
        _ => return Err(BadRecord),
    })
}

fn put_key(w: &mut Writer<'_>, key: CommandKey) {
    w.wide(key.id);
    w.fixed(key.fingerprint);
}

fn get_key(r: &mut Reader<'_>) -> Result<CommandKey, BadRecord> {
    Ok(CommandKey {
        id: r.wide()?,
        fingerprint: r.fixed()?,
    })
}

/// Writes a pin: 0 for none, else the index plus one.
pub(super) fn put_pin(w: &mut Writer<'_>, pin: Option<NodeIx>) {
    w.number(pin.map_or(0, |node| u64::from(node.0) + 1));
}

pub(super) fn get_pin(r: &mut Reader<'_>) -> Result<Option<NodeIx>, BadRecord> {
    let raw: u32 = r.narrow()?;
    match raw.checked_sub(1) {
        None => Ok(None),
        Some(node) => u16::try_from(node)
            .map(|n| Some(NodeIx(n)))
            .or(Err(BadRecord)),
    }
}

/// Writes a day: 0 for none.
pub(super) fn put_day(w: &mut Writer<'_>, day: Option<Day>) {
    w.number(day.map_or(0, |day| u64::from(day.get())));
}

pub(super) fn get_day(r: &mut Reader<'_>) -> Result<Option<Day>, BadRecord> {
    Ok(Day::new(r.narrow()?))
}

/// Values of a day in [`put_promise`].
const DAYS: u64 = 1 << 16;

/// Writes the day of a promise as [`put_day`] does, with the channel that it is charged to as its
/// index plus one above that: 0 where that is the reservation's.
fn put_promise(w: &mut Writer<'_>, day: Option<Day>, charged_to: Option<ChannelIx>) {
    let day = day.map_or(0, |day| u64::from(day.get()));
    let channel = charged_to.map_or(0, |channel| u64::from(channel.0) + 1);
    w.number(channel * DAYS + day);
}

fn get_promise(r: &mut Reader<'_>) -> Result<(Option<Day>, Option<ChannelIx>), BadRecord> {
    let terms: u64 = r.narrow()?;
    let low = |number: u64| u16::try_from(number).or(Err(BadRecord));
    let channel = (terms / DAYS).checked_sub(1).map(low).transpose()?;
    Ok((Day::new(low(terms % DAYS)?), channel.map(ChannelIx)))
}

fn put_reserved(w: &mut Writer<'_>, reserved: &Reserved<'_>) {
    w.wide(reserved.id.0);
    w.fixed(reserved.fingerprint);
    w.number(u64::from(reserved.channel.0));
    w.maybe_text(reserved.reference);
    w.number(u64::from(reserved.ttl_ms));
    w.count(reserved.lines.len());
    for line in &reserved.lines {
        w.text(line.sku);
        put_pin(w, line.pin);
        put_promise(w, line.day, line.charged_to);
        w.units(line.requested);
        w.units(line.held);
    }
}

fn get_reserved<'a>(r: &mut Reader<'a>) -> Result<Reserved<'a>, BadRecord> {
    let id = ReservationId(r.wide()?);
    let fingerprint = r.fixed()?;
    let channel = ChannelIx(r.narrow()?);
    let reference = r.maybe_text()?;
    let ttl_ms = r.narrow()?;
    let count = r.count()?;
    let mut lines = SmallVec::new();
    for _ in 0..count {
        let (sku, pin) = (r.text()?, get_pin(r)?);
        let (day, charged_to) = get_promise(r)?;
        lines.push(ReservedLine {
            sku,
            pin,
            day,
            charged_to,
            requested: r.units()?,
            held: r.units()?,
        });
    }
    Ok(Reserved {
        id,
        fingerprint,
        channel,
        reference,
        ttl_ms,
        lines,
    })
}

pub(super) fn put_line(w: &mut Writer<'_>, line: &Line) {
    put_pin(w, line.pin);
    put_promise(w, line.day, line.charged_to);
    for units in [
        line.held,
        line.committed,
        line.shipped,
        line.released,
        line.expired,
        line.returned,
    ] {
        w.units(units);
    }
}

pub(super) fn get_line(r: &mut Reader<'_>) -> Result<Line, BadRecord> {
    let pin = get_pin(r)?;
    let (day, charged_to) = get_promise(r)?;
    Ok(Line {
        pin,
        day,
        charged_to,
        held: r.units()?,
        committed: r.units()?,
        shipped: r.units()?,
        released: r.units()?,
        expired: r.units()?,
        returned: r.units()?,
    })
}

fn put_move(w: &mut Writer<'_>, step: Move) {
    let (tag, node, units) = match step {
        Move::Hold(q) => (1, None, Some(q)),
        Move::Commit(q) => (2, None, Some(q)),
        Move::ReleaseHeld(q) => (3, None, Some(q)),
        Move::ReleaseCommitted(q) => (4, None, Some(q)),
        Move::Expire(q) => (5, None, Some(q)),
        Move::Ship(node, q) => (6, Some(node), Some(q)),
        Move::Restock(node, q) => (7, Some(node), Some(q)),
        Move::Quarantine(node, q) => (8, Some(node), Some(q)),
        Move::Repin(node) => (9, Some(node), None),
    };
    w.byte(tag);
    if let Some(node) = node {
        w.number(u64::from(node.0));
    }
    if let Some(units) = units {
        w.units(units);
    }
}

fn get_move(r: &mut Reader<'_>) -> Result<Move, BadRecord> {
    let tag = r.byte()?;
    let node = if (6..=9).contains(&tag) {
        NodeIx(r.narrow()?)
    } else {
        NodeIx::MAIN
    };
    Ok(match tag {
        1 => Move::Hold(r.units()?),
        2 => Move::Commit(r.units()?),
        3 => Move::ReleaseHeld(r.units()?),
        4 => Move::ReleaseCommitted(r.units()?),
        5 => Move::Expire(r.units()?),
        6 => Move::Ship(node, r.units()?),
        7 => Move::Restock(node, r.units()?),
        8 => Move::Quarantine(node, r.units()?),
        9 => Move::Repin(node),
        _ => return Err(BadRecord),
    })
}

pub(super) fn put_acted(w: &mut Writer<'_>, acted: &Acted<'_>) {
    w.wide(acted.id.0);
    put_key(w, acted.key);
    w.byte(match acted.verb {
        VerbKind::Confirm => 1,
        VerbKind::Release => 2,
        VerbKind::Extend => 3,
        VerbKind::Ship => 4,
        VerbKind::Return => 5,
        VerbKind::Transfer => 6,
    });
    w.number(u64::from(acted.channel.0));
    w.maybe_text(acted.reference);
    w.signed(acted.created_at.0);
    w.signed(acted.deadline.0);
    w.count(acted.lines.len());
    for line in &acted.lines {
        w.text(line.sku);
        w.units(line.requested);
        put_line(w, &line.after);
        w.count(line.moves.len());
        line.moves.iter().for_each(|step| put_move(w, *step));
        w.signed(line.window.0);
    }
}

pub(super) fn get_acted<'a>(r: &mut Reader<'a>) -> Result<Acted<'a>, BadRecord> {
    let id = ReservationId(r.wide()?);
    let key = get_key(r)?;
    let verb = match r.byte()? {
        1 => VerbKind::Confirm,
        2 => VerbKind::Release,
        3 => VerbKind::Extend,
        4 => VerbKind::Ship,
        5 => VerbKind::Return,
        6 => VerbKind::Transfer,
        _ => return Err(BadRecord),
    };
    let channel = ChannelIx(r.narrow()?);
    let reference = r.maybe_text()?;
    let created_at = UnixMillis(r.signed()?);
    let deadline = UnixMillis(r.signed()?);
    let count = r.count()?;
    let mut lines = SmallVec::new();
    for _ in 0..count {
        let sku = r.text()?;
        let requested = r.units()?;
        let after = get_line(r)?;
        let mut moves = SmallVec::new();
        for _ in 0..r.count()? {
            moves.push(get_move(r)?);
        }
        let window = UnixMillis(r.signed()?);
        lines.push(ActedLine {
            sku,
            requested,
            after,
            moves,
            window,
        });
    }
    Ok(Acted {
        id,
        key,
        verb,
        channel,
        reference,
        created_at,
        deadline,
        lines,
    })
}
