//! Refusals as bytes, so that a refused key gives the same answer after a restart.

use super::BadRecord;
use super::bytes::{Reader, Writer};
use super::inbound::get_due;
use super::{get_day, get_pin, put_day, put_pin};
use crate::domain::policy::Amount;
use crate::domain::verdict::{BoundBy, Excess, Frozen, Limit, Refusal, Shortage, Stale};
use crate::domain::{ChannelIx, NodeIx, UnixMillis};

pub(in super::super) fn put(w: &mut Writer<'_>, refusal: &Refusal) {
    w.byte(tag(refusal));
    match refusal {
        Refusal::KeyReused
        | Refusal::UnknownReservation
        | Refusal::Expired
        | Refusal::Released
        | Refusal::Shipped
        | Refusal::NotHeld
        | Refusal::NotConfirmed
        | Refusal::NotShipped => {}
        Refusal::UnknownSku { sku }
        | Refusal::TooMany { sku }
        | Refusal::TooManyInbound { sku } => w.text(sku),
        Refusal::UnknownLine { sku, node } => {
            w.text(sku);
            put_pin(w, *node);
        }
        Refusal::InsufficientStock { shortages } => put_shortages(w, shortages),
        Refusal::OverConfirm { lines }
        | Refusal::OverRelease { lines }
        | Refusal::OverShip { lines }
        | Refusal::OverReturn { lines }
        | Refusal::PartialTransfer { lines } => put_excess(w, lines),
        Refusal::ChangeFromStale { items } => {
            w.count(items.len());
            for item in items {
                w.text(&item.sku);
                w.number(u64::from(item.node.0));
                w.units(item.change_from);
                w.units(item.on_hand);
            }
        }
        Refusal::NegativeStock {
            sku,
            node,
            on_hand,
            unavailable,
        } => {
            w.text(sku);
            w.number(u64::from(node.0));
            w.units(*on_hand);
            w.units(*unavailable);
        }
        Refusal::VersionMismatch { actual } => w.number(u64::from(*actual)),
        Refusal::OverShare {
            sku,
            channel,
            requested,
            possible,
        } => {
            w.text(sku);
            w.number(u64::from(channel.0));
            w.units(*requested);
            w.units(*possible);
        }
        Refusal::Frozen(frozen) => {
            w.text(&frozen.campaign);
            w.signed(frozen.until.0);
        }
        Refusal::UnknownInbound { .. }
        | Refusal::OverReceipt { .. }
        | Refusal::DueTooLate { .. } => put_inbound(w, refusal),
    }
}

/// Refusals of announced supply.
fn put_inbound(w: &mut Writer<'_>, refusal: &Refusal) {
    if let Refusal::UnknownInbound { sku, id } = refusal {
        w.text(sku);
        w.text(id);
    }
    if let Refusal::OverReceipt {
        sku,
        id,
        requested,
        open,
    } = refusal
    {
        w.text(sku);
        w.text(id);
        w.units(*requested);
        w.units(*open);
    }
    if let Refusal::DueTooLate {
        sku,
        id,
        due,
        latest,
    } = refusal
    {
        w.text(sku);
        w.text(id);
        w.number(u64::from(due.get()));
        w.number(u64::from(latest.get()));
    }
}

const fn tag(refusal: &Refusal) -> u8 {
    match refusal {
        Refusal::KeyReused => 1,
        Refusal::UnknownSku { .. } => 2,
        Refusal::InsufficientStock { .. } => 3,
        Refusal::UnknownReservation => 4,
        Refusal::UnknownLine { .. } => 5,
        Refusal::Expired => 6,
        Refusal::Released => 7,
        Refusal::Shipped => 8,
        Refusal::NotHeld => 9,
        Refusal::NotConfirmed => 10,
        Refusal::NotShipped => 11,
        Refusal::OverConfirm { .. } => 12,
        Refusal::OverRelease { .. } => 13,
        Refusal::OverShip { .. } => 14,
        Refusal::OverReturn { .. } => 15,
        Refusal::PartialTransfer { .. } => 16,
        Refusal::ChangeFromStale { .. } => 17,
        Refusal::NegativeStock { .. } => 18,
        Refusal::TooMany { .. } => 19,
        Refusal::VersionMismatch { .. } => 20,
        Refusal::Frozen(_) => 21,
        Refusal::OverShare { .. } => 27,
        Refusal::UnknownInbound { .. } => 22,
        Refusal::OverReceipt { .. } => 23,
        Refusal::DueTooLate { .. } => 24,
        Refusal::TooManyInbound { .. } => 25,
    }
}

pub(in super::super) fn get(r: &mut Reader<'_>) -> Result<Refusal, BadRecord> {
    Ok(match r.byte()? {
        1 => Refusal::KeyReused,
        2 => Refusal::UnknownSku {
            sku: r.text()?.into(),
        },
        3 => Refusal::InsufficientStock {
            shortages: get_shortages(r)?,
        },
        4 => Refusal::UnknownReservation,
        5 => Refusal::UnknownLine {
            sku: r.text()?.into(),
            node: get_pin(r)?,
        },
        6 => Refusal::Expired,
        7 => Refusal::Released,
        8 => Refusal::Shipped,
        9 => Refusal::NotHeld,
        10 => Refusal::NotConfirmed,
        11 => Refusal::NotShipped,
        12 => Refusal::OverConfirm {
            lines: get_excess(r)?,
        },
        13 => Refusal::OverRelease {
            lines: get_excess(r)?,
        },
        14 => Refusal::OverShip {
            lines: get_excess(r)?,
        },
        15 => Refusal::OverReturn {
            lines: get_excess(r)?,
        },
        16 => Refusal::PartialTransfer {
            lines: get_excess(r)?,
        },
        17 => Refusal::ChangeFromStale {
            items: get_stale(r)?,
        },
        18 => Refusal::NegativeStock {
            sku: r.text()?.into(),
            node: NodeIx(r.narrow()?),
            on_hand: r.units()?,
            unavailable: r.units()?,
        },
        19 => Refusal::TooMany {
            sku: r.text()?.into(),
        },
        20 => Refusal::VersionMismatch {
            actual: r.narrow()?,
        },
        27 => Refusal::OverShare {
            sku: r.text()?.into(),
            channel: ChannelIx(r.narrow()?),
            requested: r.units()?,
            possible: r.units()?,
        },
        21 => Refusal::Frozen(Frozen {
            campaign: r.text()?.into(),
            until: UnixMillis(r.signed()?),
        }),
        tag => return get_inbound(tag, r),
    })
}

/// Refusals of announced supply.
fn get_inbound(tag: u8, r: &mut Reader<'_>) -> Result<Refusal, BadRecord> {
    Ok(match tag {
        22 => Refusal::UnknownInbound {
            sku: r.text()?.into(),
            id: r.text()?.into(),
        },
        23 => Refusal::OverReceipt {
            sku: r.text()?.into(),
            id: r.text()?.into(),
            requested: r.units()?,
            open: r.units()?,
        },
        24 => Refusal::DueTooLate {
            sku: r.text()?.into(),
            id: r.text()?.into(),
            due: get_due(r)?,
            latest: get_due(r)?,
        },
        25 => Refusal::TooManyInbound {
            sku: r.text()?.into(),
        },
        _ => return Err(BadRecord),
    })
}

fn put_shortages(w: &mut Writer<'_>, shortages: &[Shortage]) {
    w.count(shortages.len());
    for shortage in shortages {
        w.text(&shortage.sku);
        put_pin(w, shortage.node);
        w.units(shortage.requested);
        w.units(shortage.available);
        w.byte(match shortage.limit {
            Limit::Suspended => 1,
            Limit::Stock => 2,
            Limit::Safety => 3,
            Limit::Node => 4,
            Limit::Cap => 5,
            Limit::Protection => 6,
            Limit::Inbound => 7,
            Limit::Later => 8,
            Limit::Date => 9,
        });
        put_day(w, shortage.next);
        put_bound(w, shortage.bound.as_ref());
    }
}

fn put_bound(w: &mut Writer<'_>, bound: Option<&BoundBy>) {
    let Some(bound) = bound else {
        return w.byte(0);
    };
    match bound.amount {
        Amount::Units(units) => {
            w.byte(1);
            w.units(units);
        }
        Amount::Percent(points) => {
            w.byte(2);
            w.number(u64::from(points));
        }
    }
    w.number(u64::from(bound.channel.0));
    for units in [bound.supply, bound.units, bound.used] {
        w.units(units);
    }
}

fn get_bound(r: &mut Reader<'_>) -> Result<Option<BoundBy>, BadRecord> {
    let amount = match r.byte()? {
        0 => return Ok(None),
        1 => Amount::Units(r.units()?),
        2 => Amount::Percent(r.narrow()?),
        _ => return Err(BadRecord),
    };
    Ok(Some(BoundBy {
        amount,
        channel: ChannelIx(r.narrow()?),
        supply: r.units()?,
        units: r.units()?,
        used: r.units()?,
    }))
}

fn get_shortages(r: &mut Reader<'_>) -> Result<Box<[Shortage]>, BadRecord> {
    let count = r.count()?;
    let shortage = |r: &mut Reader<'_>| {
        Ok(Shortage {
            sku: r.text()?.into(),
            node: get_pin(r)?,
            requested: r.units()?,
            available: r.units()?,
            limit: match r.byte()? {
                1 => Limit::Suspended,
                2 => Limit::Stock,
                3 => Limit::Safety,
                4 => Limit::Node,
                5 => Limit::Cap,
                6 => Limit::Protection,
                7 => Limit::Inbound,
                8 => Limit::Later,
                9 => Limit::Date,
                _ => return Err(BadRecord),
            },
            next: get_day(r)?,
            bound: get_bound(r)?,
        })
    };
    (0..count).map(|_| shortage(r)).collect()
}

fn put_excess(w: &mut Writer<'_>, lines: &[Excess]) {
    w.count(lines.len());
    for line in lines {
        w.text(&line.sku);
        put_pin(w, line.node);
        w.units(line.requested);
        w.units(line.possible);
    }
}

fn get_excess(r: &mut Reader<'_>) -> Result<Box<[Excess]>, BadRecord> {
    let count = r.count()?;
    let excess = |r: &mut Reader<'_>| {
        Ok(Excess {
            sku: r.text()?.into(),
            node: get_pin(r)?,
            requested: r.units()?,
            possible: r.units()?,
        })
    };
    (0..count).map(|_| excess(r)).collect()
}

fn get_stale(r: &mut Reader<'_>) -> Result<Box<[Stale]>, BadRecord> {
    let count = r.count()?;
    let stale = |r: &mut Reader<'_>| {
        Ok(Stale {
            sku: r.text()?.into(),
            node: NodeIx(r.narrow()?),
            change_from: r.units()?,
            on_hand: r.units()?,
        })
    };
    (0..count).map(|_| stale(r)).collect()
}
