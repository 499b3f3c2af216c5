//! Moves of share as bytes.

use super::bytes::{Reader, Writer};
use super::{BadRecord, get_key, put_key};
use crate::domain::{ChannelIx, UnixMillis};
use crate::ledger::event::{ShareMove, SharesMoved};

pub(super) fn put(w: &mut Writer<'_>, moved: &SharesMoved<'_>) {
    put_key(w, moved.key);
    w.text(moved.reason);
    w.maybe_text(moved.operator);
    w.count(moved.items.len());
    for item in &moved.items {
        w.text(item.sku);
        w.number(u64::from(item.from.0));
        w.number(u64::from(item.to.0));
        w.units(item.units);
        w.signed(item.window.0);
    }
}

pub(super) fn get<'a>(r: &mut Reader<'a>) -> Result<SharesMoved<'a>, BadRecord> {
    let key = get_key(r)?;
    let (reason, operator) = (r.text()?, r.maybe_text()?);
    let count = r.count()?;
    let item = |r: &mut Reader<'a>| {
        Ok(ShareMove {
            sku: r.text()?,
            from: ChannelIx(r.narrow()?),
            to: ChannelIx(r.narrow()?),
            units: r.units()?,
            window: UnixMillis(r.signed()?),
        })
    };
    Ok(SharesMoved {
        key,
        reason,
        operator,
        items: (0..count)
            .map(|_| item(r))
            .collect::<Result<_, BadRecord>>()?,
    })
}
