//! A change of stock as bytes.

use super::bytes::{Reader, Writer};
use super::{BadRecord, get_key, put_key};
use crate::domain::NodeIx;
use crate::ledger::event::{StockChanged, StockItem, StockVerb};

pub(super) fn put(w: &mut Writer<'_>, changed: &StockChanged<'_>) {
    put_key(w, changed.key);
    w.byte(match changed.verb {
        StockVerb::Set => 1,
        StockVerb::Adjust => 2,
        StockVerb::Transfer => 3,
    });
    w.text(changed.reason);
    w.maybe_text(changed.operator);
    w.count(changed.items.len());
    for item in &changed.items {
        w.text(item.sku);
        w.number(u64::from(item.node.0));
        w.units(item.on_hand_before);
        w.units(item.on_hand);
        w.units(item.unavailable_before);
        w.units(item.unavailable);
        w.units(item.available);
        w.number(item.version);
    }
}

pub(super) fn get<'a>(r: &mut Reader<'a>) -> Result<StockChanged<'a>, BadRecord> {
    let key = get_key(r)?;
    let verb = match r.byte()? {
        1 => StockVerb::Set,
        2 => StockVerb::Adjust,
        3 => StockVerb::Transfer,
        _ => return Err(BadRecord),
    };
    let reason = r.text()?;
    let operator = r.maybe_text()?;
    let count = r.count()?;
    let mut items = Vec::new();
    for _ in 0..count {
        items.push(StockItem {
            sku: r.text()?,
            node: NodeIx(r.narrow()?),
            on_hand_before: r.units()?,
            on_hand: r.units()?,
            unavailable_before: r.units()?,
            unavailable: r.units()?,
            available: r.units()?,
            version: r.number()?,
        });
    }
    Ok(StockChanged {
        key,
        verb,
        reason,
        operator,
        items,
    })
}
