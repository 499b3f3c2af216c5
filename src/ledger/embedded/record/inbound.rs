//! Dated supply as bytes.

use super::bytes::{Reader, Writer};
use super::{BadRecord, get_key, put_key};
use crate::domain::{Day, Inbound, InboundKind, NodeIx};
use crate::ledger::event::{InboundChanged, InboundItem, InboundVerb};

pub(super) fn put(w: &mut Writer<'_>, changed: &InboundChanged<'_>) {
    put_key(w, changed.key);
    w.byte(match changed.verb {
        InboundVerb::Put => 1,
        InboundVerb::Receive => 2,
    });
    w.count(changed.items.len());
    for item in &changed.items {
        w.text(item.sku);
        put_entry(w, &item.entry);
        w.units(item.received);
        w.units(item.on_hand);
        w.number(item.version);
    }
}

pub(super) fn get<'a>(r: &mut Reader<'a>) -> Result<InboundChanged<'a>, BadRecord> {
    let key = get_key(r)?;
    let verb = match r.byte()? {
        1 => InboundVerb::Put,
        2 => InboundVerb::Receive,
        _ => return Err(BadRecord),
    };
    let mut items = Vec::new();
    for _ in 0..r.count()? {
        items.push(InboundItem {
            sku: r.text()?,
            entry: get_entry(r)?,
            received: r.units()?,
            on_hand: r.units()?,
            version: r.number()?,
        });
    }
    Ok(InboundChanged { key, verb, items })
}

pub(in super::super) fn put_entry(w: &mut Writer<'_>, entry: &Inbound) {
    w.text(&entry.id);
    w.byte(match entry.kind {
        InboundKind::InTransit => 1,
        InboundKind::Presale => 2,
        InboundKind::Return => 3,
    });
    w.number(u64::from(entry.node.0));
    w.number(u64::from(entry.due.get()));
    w.units(entry.units);
}

pub(in super::super) fn get_entry(r: &mut Reader<'_>) -> Result<Inbound, BadRecord> {
    Ok(Inbound {
        id: r.text()?.into(),
        kind: match r.byte()? {
            1 => InboundKind::InTransit,
            2 => InboundKind::Presale,
            3 => InboundKind::Return,
            _ => return Err(BadRecord),
        },
        node: NodeIx(r.narrow()?),
        due: get_due(r)?,
        units: r.units()?,
    })
}

pub(in super::super) fn get_due(r: &mut Reader<'_>) -> Result<Day, BadRecord> {
    Day::new(r.narrow()?).ok_or(BadRecord)
}
