//! What the store keeps, as items of an export.

use super::Malformed;
use super::command::{CHANNEL_LETTER, NODE_LETTER};
use super::pack::{self, Reader};
use super::record::{self, Kept, Record};
use super::result::{Asked, Outcome, Shown, body};
use crate::domain::command::CommandKey;
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

/// A field of the hash of records.
pub fn record(id: &[u8], bytes: &[u8]) -> Result<Item, Malformed> {
    let id = pack::id(id)?;
    let Record {
        sequence,
        fingerprint,
        kept,
    } = Record::parse(bytes)?;
    let (at, result) = match kept {
        Kept::Reservation(booking) => {
            let making = Making {
                fingerprint,
                sequence,
                ttl: booking.ttl(),
                touched: booking.touched,
            };
            let held = Held::new(making, &booking.now(id), booking.pins());
            return Ok(Item::Reservation(held));
        }
        Kept::Answer { at, result, .. } => (at, result),
    };
    let Outcome::Recorded(packed) = Outcome::read(Reader(result))? else {
        return Err(Malformed);
    };
    let body = body(
        Asked::by(CommandKey { id, fingerprint }),
        packed,
        Shown::All,
    )?;
    let answer = Answer::new(sequence, at, body).ok_or(Malformed)?;
    Ok(Item::Answer(answer))
}
