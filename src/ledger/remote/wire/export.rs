//! What the store keeps, as items of an export.

use bytes::Bytes;

use super::Malformed;
use super::command::{CHANNEL_LETTER, NODE_LETTER};
use super::pack::{self, Reader};
use super::record::{self, Booking, Kept, Record};
use super::result::{Asked, Outcome, Shown, body};
use crate::domain::UnixMillis;
use crate::domain::command::CommandKey;
use crate::ledger::event::Body;
use crate::ledger::export::{Answer, Held, Item, Making, Name, Sku};

/// A field of the hash of names; `None` for the number of names of a table.
pub fn name(field: &str, index: u16) -> Result<Option<Item>, Malformed> {
    let name = |name: &str| Name {
        index,
        name: name.to_owned(),
    };
    match field.split_once(':') {
        Some((NODE_LETTER, node)) => Ok(Some(Item::Node(name(node)))),
        Some((CHANNEL_LETTER, channel)) => Ok(Some(Item::Channel(name(channel)))),
        None => Ok(None),
        Some(_) => Err(Malformed),
    }
}

/// A field of the hash of stocks.
pub fn sku(sku: &[u8], bytes: &[u8]) -> Result<Item, Malformed> {
    let sku = str::from_utf8(sku).or(Err(Malformed))?;
    Ok(Item::Sku(Sku::new(sku, &record::stock(bytes)?)))
}

/// What a record is to an export.
#[derive(Debug)]
pub enum Found {
    /// An item by itself.
    Item(Box<Item>),
    /// The answer of a change of stock, of shares or of what is announced, or a part of it: see [`answer`].
    Change(u128),
    /// A part of what is told elsewhere, a signpost, or no reservation yet.
    Nothing,
}

/// A field of the hash of records.
pub fn record(id: &[u8], bytes: &[u8]) -> Result<Found, Malformed> {
    let id = pack::id(id)?;
    let record = Record::parse(bytes)?;
    if record.leads_to().is_some() {
        return Ok(Found::Nothing);
    }
    let Kept::Reservation(booking) = &record.kept else {
        if is_of_parts(&told(id, &record)?.1) {
            return Ok(Found::Change(id));
        }
        return Ok(Found::Item(Box::new(answer(&[(id, bytes)])?)));
    };
    if !booking.is_whole() {
        return Ok(Found::Nothing);
    }
    let making = Making {
        fingerprint: record.fingerprint,
        sequence: record.sequence,
        ttl: booking.ttl(),
        touched: booking.touched,
    };
    let held = Held::new(making, &booking.now(id), booking.pins());
    Ok(Found::Item(Box::new(Item::Reservation(held))))
}

/// A record of a reservation over several partitions: its id, fingerprint and what it has here.
pub fn with_ties<'a>(
    id: &[u8],
    bytes: &'a [u8],
) -> Result<Option<(u128, u64, Booking<'a>)>, Malformed> {
    let id = pack::id(id)?;
    let record = Record::parse(bytes)?;
    Ok(match record.kept {
        Kept::Reservation(booking) if booking.ties.is_some() => {
            Some((id, record.fingerprint, booking))
        }
        Kept::Reservation(_) | Kept::Answer { .. } => None,
    })
}

/// When an answer was given, and its event.
fn told<'a>(id: u128, record: &Record<'a>) -> Result<(UnixMillis, Body<'a>), Malformed> {
    let Kept::Answer { at, result, .. } = record.kept else {
        return Err(Malformed);
    };
    let Outcome::Recorded(packed) = Outcome::read(Reader(result))? else {
        return Err(Malformed);
    };
    let key = CommandKey {
        id,
        fingerprint: record.fingerprint,
    };
    Ok((at, body(Asked::by(key), packed, Shown::All)?))
}

/// The answer that records of one command stand for: the first, with what the others changed.
pub fn answer(parts: &[(u128, impl AsRef<[u8]>)]) -> Result<Item, Malformed> {
    let mut parts = parts.iter();
    let (id, bytes) = parts.next().ok_or(Malformed)?;
    let record = Record::parse(bytes.as_ref())?;
    let (at, mut body) = told(*id, &record)?;
    for (id, bytes) in parts {
        let part = Record::parse(bytes.as_ref())?;
        match (&mut body, told(*id, &part)?.1) {
            (Body::StockChanged(changed), Body::StockChanged(more)) => {
                changed.items.extend(more.items);
            }
            (Body::SharesMoved(moved), Body::SharesMoved(more)) => moved.items.extend(more.items),
            (Body::InboundChanged(all), Body::InboundChanged(more)) => all.items.extend(more.items),
            _ => {}
        }
    }
    let answer = Answer::new(record.sequence, at, body).ok_or(Malformed)?;
    Ok(Item::Answer(answer))
}

/// Whether an answer may be one of several, each of a partition.
const fn is_of_parts(body: &Body<'_>) -> bool {
    matches!(
        body,
        Body::StockChanged(_) | Body::SharesMoved(_) | Body::InboundChanged(_)
    )
}

/// Those of these records that answer the same change as this one. None of them where some
/// partition has refused it: then the refusal is the answer.
pub fn same_command(record: &[u8], all: &[(u128, Bytes)]) -> Result<Vec<(u128, Bytes)>, Malformed> {
    let fingerprint = Record::parse(record)?.fingerprint;
    let mut same = Vec::new();
    for (id, bytes) in all.iter().filter(|(_, bytes)| !bytes.is_empty()) {
        let other = Record::parse(bytes)?;
        let is_answer = matches!(other.kept, Kept::Answer { .. }) && other.leads_to().is_none();
        if other.fingerprint != fingerprint || !is_answer {
            continue;
        }
        let (_, body) = told(*id, &other)?;
        if let Body::Refused { .. } = body {
            return Ok(Vec::new());
        }
        if is_of_parts(&body) {
            same.push((*id, bytes.clone()));
        }
    }
    Ok(same)
}

#[cfg(test)]
mod tests {
    use super::super::kept;
    use super::*;
    use crate::domain::{NodeIx, Refusal, Units};
    use crate::ledger::Position;
    use crate::ledger::event::{Event, StockChanged, StockItem, StockVerb};

    const FINGERPRINT: u64 = 7;

    fn record(id: u128, body: Body<'_>) -> (u128, Bytes) {
        let key = CommandKey {
            id,
            fingerprint: FINGERPRINT,
        };
        let event = Event {
            position: Position::default(),
            at: UnixMillis(1),
            body,
        };
        (id, kept::answer(key, &event).unwrap().into())
    }

    fn changed(id: u128, sku: &str) -> (u128, Bytes) {
        let item = StockItem {
            sku,
            node: NodeIx::MAIN,
            on_hand_before: Units::ZERO,
            on_hand: Units::ZERO,
            unavailable_before: Units::ZERO,
            unavailable: Units::ZERO,
            available: Units::ZERO,
            version: 1,
        };
        let key = CommandKey {
            id,
            fingerprint: FINGERPRINT,
        };
        let changed = StockChanged {
            key,
            verb: StockVerb::Set,
            reason: "",
            operator: None,
            items: vec![item],
        };
        record(id, Body::StockChanged(changed))
    }

    fn refused(id: u128) -> (u128, Bytes) {
        let key = CommandKey {
            id,
            fingerprint: FINGERPRINT,
        };
        let refusal = Refusal::TooMany { sku: "b".into() };
        record(id, Body::Refused { key, refusal })
    }

    /// What an answer says was changed.
    fn skus(item: &Item) -> Vec<String> {
        let mut skus = Vec::new();
        if let Item::Answer(answer) = item {
            let bytes = answer.bytes().unwrap();
            if let Body::StockChanged(changed) = answer.read(1, &bytes).unwrap().1.body {
                skus.extend(changed.items.iter().map(|item| item.sku.to_owned()));
            }
        }
        skus
    }

    fn ids(parts: &[(u128, Bytes)]) -> Vec<u128> {
        parts.iter().map(|(id, _)| *id).collect()
    }

    #[test]
    fn what_several_partitions_changed_is_one_answer_unless_one_refused() {
        let parts = [changed(1, "a"), (2, Bytes::new()), changed(3, "c")];
        let same = same_command(&parts[0].1, &parts).unwrap();
        assert_eq!(ids(&same), [1, 3]);
        assert_eq!(skus(&answer(&same).unwrap()), ["a", "c"]);

        let parts = [changed(1, "a"), refused(2)];
        assert_eq!(ids(&same_command(&parts[0].1, &parts).unwrap()), []);
    }

    #[test]
    fn a_signpost_is_part_of_no_answer_and_no_export() {
        let key = CommandKey {
            id: 1,
            fingerprint: FINGERPRINT,
        };
        let signpost = Bytes::from(kept::signpost(key, 9, UnixMillis(5), 1));
        assert_eq!(Record::parse(&signpost).unwrap().leads_to(), Some(1));
        let found = super::record(&1023_u128.to_be_bytes(), &signpost).unwrap();
        assert!(matches!(found, Found::Nothing));
        let parts = [changed(1, "a"), (1023, signpost)];
        assert_eq!(ids(&same_command(&parts[0].1, &parts).unwrap()), [1]);
    }
}
