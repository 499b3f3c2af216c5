//! Commands about announced supply, and what they are answered: see `lua/inbound.lua`.

use super::Malformed;
use super::calendar::{day, kind_of, number_of};
use super::command::put_key;
use super::pack::{EXT_SKU, Reader, Writer};
use super::refusal::units;
use super::result::ARRIVED;
use crate::domain::command::{CommandKey, InboundCommand, PutInbound, ReceiveInbound};
use crate::domain::{Inbound, NodeIx};
use crate::ledger::event::{InboundChanged, InboundItem, InboundVerb};

pub(super) const PUT_INBOUND: u64 = 31;
pub(super) const RECEIVE_INBOUND: u64 = 32;

/// Values of an item of each command.
pub(super) const fn item_values(kind: u64) -> usize {
    if kind == PUT_INBOUND { 6 } else { 4 }
}

/// Values of an item of an answer.
const ANSWER_VALUES: usize = 9;

pub(super) fn put(w: &mut Writer, key: CommandKey, command: &InboundCommand<'_>) {
    let kind = match command {
        InboundCommand::Put(_) => PUT_INBOUND,
        InboundCommand::Receive(_) => RECEIVE_INBOUND,
    };
    put_key(w, kind, key);
    w.count(command.len());
    match command {
        InboundCommand::Put(items) => items.iter().for_each(|item| put_announced(w, item)),
        InboundCommand::Receive(items) => items.iter().for_each(|item| put_received(w, item)),
    }
}

fn put_announced(w: &mut Writer, item: &PutInbound<'_>) {
    w.ext(EXT_SKU, item.sku.as_str().as_bytes());
    w.bytes(item.id.as_bytes());
    w.uint(number_of(item.kind));
    w.uint(u64::from(item.node.0));
    w.uint(u64::from(item.due.get()));
    w.uint(item.quantity.get());
}

fn put_received(w: &mut Writer, item: &ReceiveInbound<'_>) {
    w.ext(EXT_SKU, item.sku.as_str().as_bytes());
    w.bytes(item.id.as_bytes());
    w.uint(item.quantity.get());
    w.uint(u64::from(item.is_final));
}

/// What a script answers: the command's kind, and the items.
pub(super) fn changed<'a>(
    key: CommandKey,
    r: &mut Reader<'a>,
) -> Result<InboundChanged<'a>, Malformed> {
    let verb = match r.narrow()? {
        PUT_INBOUND => InboundVerb::Put,
        RECEIVE_INBOUND => InboundVerb::Receive,
        _ => return Err(Malformed),
    };
    let count = r.array()? / ANSWER_VALUES;
    let items = (0..count).map(|_| item(r)).collect::<Result<_, _>>()?;
    Ok(InboundChanged { key, verb, items })
}

fn item<'a>(r: &mut Reader<'a>) -> Result<InboundItem<'a>, Malformed> {
    let sku = r.text()?;
    let entry = Inbound {
        id: r.text()?.into(),
        kind: kind_of(r.narrow()?)?,
        node: NodeIx(r.narrow()?),
        due: day(r.narrow()?)?,
        units: units(r)?,
    };
    Ok(InboundItem {
        sku,
        entry,
        received: units(r)?,
        on_hand: units(r)?,
        version: r.narrow()?,
    })
}

/// What [`changed`] reads, as a whole result.
pub(super) fn put_changed(w: &mut Writer, changed: &InboundChanged<'_>) {
    w.array(3);
    w.int(ARRIVED);
    w.uint(match changed.verb {
        InboundVerb::Put => PUT_INBOUND,
        InboundVerb::Receive => RECEIVE_INBOUND,
    });
    w.array(ANSWER_VALUES * changed.items.len());
    for item in &changed.items {
        w.bytes(item.sku.as_bytes());
        w.bytes(item.entry.id.as_bytes());
        w.uint(number_of(item.entry.kind));
        w.uint(u64::from(item.entry.node.0));
        w.uint(u64::from(item.entry.due.get()));
        w.uint(item.entry.units.get());
        w.uint(item.received.get());
        w.uint(item.on_hand.get());
        w.uint(item.version);
    }
}
