//! Settings of a SKU, and how it stands to its low-water mark, as bytes.

use super::BadRecord;
use super::bytes::{Reader, Writer};
use crate::domain::stock::Selling;
use crate::domain::{Level, LowWater, NodeIx, NodeSafety, Own, Settings, Terms, Water, WhileLow};

pub(super) fn put_flag(w: &mut Writer<'_>, flag: bool) {
    w.byte(u8::from(flag));
}

pub(super) fn get_flag(r: &mut Reader<'_>) -> Result<bool, BadRecord> {
    match r.byte()? {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(BadRecord),
    }
}

/// How a SKU stands to its mark.
pub(in super::super) fn put_water(w: &mut Writer<'_>, water: Water) {
    put_flag(w, water.low);
    put_flag(w, water.told);
}

pub(in super::super) fn get_water(r: &mut Reader<'_>) -> Result<Water, BadRecord> {
    Ok(Water {
        low: get_flag(r)?,
        told: get_flag(r)?,
    })
}

fn put_level(w: &mut Writer<'_>, level: Option<Level>) {
    match level {
        None => w.byte(0),
        Some(Level::Units(units)) => {
            w.byte(1);
            w.units(units);
        }
        Some(Level::Percent(basis_points)) => {
            w.byte(2);
            w.number(u64::from(basis_points));
        }
    }
}

fn get_level(r: &mut Reader<'_>) -> Result<Option<Level>, BadRecord> {
    Ok(match r.byte()? {
        0 => None,
        1 => Some(Level::Units(r.units()?)),
        2 => Some(Level::Percent(r.narrow()?)),
        _ => return Err(BadRecord),
    })
}

fn put_low_water(w: &mut Writer<'_>, low_water: Option<LowWater>) {
    put_level(w, low_water.map(|found| found.mark));
    if let Some(found) = low_water {
        put_level(w, found.resume);
        w.byte(match found.then {
            WhileLow::Sell => 1,
            WhileLow::Suspend => 2,
        });
    }
}

fn get_low_water(r: &mut Reader<'_>) -> Result<Option<LowWater>, BadRecord> {
    let Some(mark) = get_level(r)? else {
        return Ok(None);
    };
    Ok(Some(LowWater {
        mark,
        resume: get_level(r)?,
        then: match r.byte()? {
            1 => WhileLow::Sell,
            2 => WhileLow::Suspend,
            _ => return Err(BadRecord),
        },
    }))
}

fn put_node_safety(w: &mut Writer<'_>, nodes: &NodeSafety) {
    w.count(nodes.nodes().len());
    for (node, level) in nodes.nodes() {
        w.number(u64::from(node.0));
        put_level(w, Some(*level));
    }
}

fn get_node_safety(r: &mut Reader<'_>) -> Result<NodeSafety, BadRecord> {
    let nodes = (0..r.count()?).map(|_| {
        let node = NodeIx(r.narrow()?);
        Ok((node, get_level(r)?.ok_or(BadRecord)?))
    });
    NodeSafety::new(nodes.collect::<Result<_, _>>()?).ok_or(BadRecord)
}

pub(in super::super) fn put_settings(w: &mut Writer<'_>, settings: &Settings) {
    put_level(w, Some(settings.safety));
    put_node_safety(w, &settings.node_safety);
    w.byte(match settings.selling {
        Selling::On => 1,
        Selling::Suspended => 2,
    });
    put_low_water(w, settings.low_water);
    put_flag(w, settings.own.safety);
    put_flag(w, settings.own.low_water);
    w.number(u64::from(settings.version));
}

pub(in super::super) fn get_settings(r: &mut Reader<'_>) -> Result<Settings, BadRecord> {
    let safety = get_level(r)?.ok_or(BadRecord)?;
    let node_safety = get_node_safety(r)?;
    let selling = match r.byte()? {
        1 => Selling::On,
        2 => Selling::Suspended,
        _ => return Err(BadRecord),
    };
    Ok(Settings {
        safety,
        node_safety,
        selling,
        low_water: get_low_water(r)?,
        own: Own {
            safety: get_flag(r)?,
            low_water: get_flag(r)?,
        },
        version: r.narrow()?,
    })
}

/// What the policy says of a SKU beside limits.
pub(super) fn put_terms(w: &mut Writer<'_>, terms: &Terms) {
    put_level(w, terms.safety);
    put_low_water(w, terms.low_water);
}

pub(super) fn get_terms(r: &mut Reader<'_>) -> Result<Terms, BadRecord> {
    Ok(Terms {
        safety: get_level(r)?,
        low_water: get_low_water(r)?,
    })
}
