//! Refusals as the scripts write them: a number, then what it is about, all in one flat list.

use super::Malformed;
use super::command;
use super::pack::{Reader, Writer};
use super::record::pin;
use crate::domain::verdict::{Excess, Frozen, Limit, Refusal, Shortage, Stale};
use crate::domain::{ChannelIx, NodeIx, Units, UnixMillis};

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
        27 => Refusal::OverShare {
            sku: sku(r)?,
            channel: ChannelIx(r.narrow()?),
            requested: units(r)?,
            possible: units(r)?,
        },
        20 => Refusal::VersionMismatch {
            actual: r.narrow()?,
        },
        21 => Refusal::Frozen(Frozen {
            campaign: r.text()?.into(),
            until: UnixMillis(r.narrow()?),
        }),
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
    Ok(Shortage {
        sku: sku(r)?,
        node: pin(r.narrow()?)?,
        requested: units(r)?,
        available: units(r)?,
        limit: match r.int()? {
            1 => Limit::Suspended,
            2 => Limit::Stock,
            3 => Limit::Safety,
            4 => Limit::Node,
            5 => Limit::Cap,
            6 => Limit::Protection,
            _ => return Err(Malformed),
        },
        bound: None,
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
    w.bytes(short.sku.as_bytes());
    w.uint(command::pin(short.node));
    w.uint(short.requested.get());
    w.uint(short.available.get());
    w.uint(match short.limit {
        Limit::Suspended => 1,
        Limit::Stock => 2,
        Limit::Safety => 3,
        Limit::Node => 4,
        Limit::Cap => 5,
        Limit::Protection => 6,
    });
}

/// The result that a key stands for which was refused by nobody but the instance that saw all
/// partitions.
pub(super) fn pack(refusal: &Refusal) -> Result<Vec<u8>, Malformed> {
    let mut w = Writer::default();
    let mut begin = |values: usize, tag: u64| {
        w.array(2 + values);
        w.uint(REFUSED);
        w.uint(tag);
    };
    match refusal {
        Refusal::InsufficientStock { shortages } => {
            begin(5 * shortages.len(), 3);
            shortages.iter().for_each(|one| put_shortage(&mut w, one));
        }
        Refusal::ChangeFromStale { items } => {
            begin(4 * items.len(), 17);
            for item in items {
                w.bytes(item.sku.as_bytes());
                w.uint(u64::from(item.node.0));
                w.uint(item.change_from.get());
                w.uint(item.on_hand.get());
            }
        }
        Refusal::NegativeStock {
            sku,
            node,
            on_hand,
            unavailable,
        } => {
            begin(4, 18);
            w.bytes(sku.as_bytes());
            w.uint(u64::from(node.0));
            w.uint(on_hand.get());
            w.uint(unavailable.get());
        }
        Refusal::TooMany { sku } => {
            begin(1, 19);
            w.bytes(sku.as_bytes());
        }
        // Decided in one partition, by its script.
        Refusal::KeyReused
        | Refusal::UnknownSku { .. }
        | Refusal::OverShare { .. }
        | Refusal::UnknownReservation
        | Refusal::UnknownLine { .. }
        | Refusal::Expired
        | Refusal::Released
        | Refusal::Shipped
        | Refusal::NotHeld
        | Refusal::NotConfirmed
        | Refusal::NotShipped
        | Refusal::OverConfirm { .. }
        | Refusal::OverRelease { .. }
        | Refusal::OverShip { .. }
        | Refusal::OverReturn { .. }
        | Refusal::PartialTransfer { .. }
        | Refusal::VersionMismatch { .. }
        | Refusal::Frozen(_) => return Err(Malformed),
    }
    Ok(w.0)
}

/// The number of a refusal among results.
const REFUSED: u64 = 6;
