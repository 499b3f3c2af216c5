//! What an export says of dated supply.

use serde::{Deserialize, Serialize};

use super::item::{BadItem, units};
use crate::domain::calendar;
use crate::domain::{Calendar, Day, Inbound, InboundKind, NodeIx};

/// Supply that is announced for a day.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Announced {
    /// The caller's name for it.
    pub id: String,
    /// What kind of supply.
    pub kind: Kind,
    /// Index of the node's name.
    pub node: u16,
    /// Days since 1970.
    pub due: u16,
    /// Units still to come.
    pub open: u64,
}

/// See [`InboundKind`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// On its way.
    InTransit,
    /// Sold before it is there.
    Presale,
    /// Expected back.
    Return,
}

/// Open units that are promised for a day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Promised {
    /// Days since 1970.
    pub day: u16,
    /// Index of the node that they are pinned to.
    pub pin: Option<u16>,
    /// How many.
    pub open: u64,
}

fn day(days: u16) -> Result<Day, BadItem> {
    Day::new(days).ok_or(BadItem("a day"))
}

impl Announced {
    pub(super) fn new(entry: &Inbound) -> Self {
        Self {
            id: entry.id.to_string(),
            kind: match entry.kind {
                InboundKind::InTransit => Kind::InTransit,
                InboundKind::Presale => Kind::Presale,
                InboundKind::Return => Kind::Return,
            },
            node: entry.node.0,
            due: entry.due.get(),
            open: entry.units.get(),
        }
    }

    fn read(&self) -> Result<Inbound, BadItem> {
        Ok(Inbound {
            id: self.id.as_str().into(),
            kind: match self.kind {
                Kind::InTransit => InboundKind::InTransit,
                Kind::Presale => InboundKind::Presale,
                Kind::Return => InboundKind::Return,
            },
            node: NodeIx(self.node),
            due: day(self.due)?,
            units: units(self.open)?,
        })
    }
}

impl Promised {
    pub(super) fn new(promise: &calendar::Promised) -> Self {
        Self {
            day: promise.day.get(),
            pin: promise.pin.map(|node| node.0),
            open: promise.units.get(),
        }
    }

    fn read(&self) -> Result<calendar::Promised, BadItem> {
        Ok(calendar::Promised {
            day: day(self.day)?,
            pin: self.pin.map(NodeIx),
            units: units(self.open)?,
        })
    }
}

/// The calendar of a SKU.
pub(super) fn calendar(inbound: &[Announced], promises: &[Promised]) -> Result<Calendar, BadItem> {
    let inbound = inbound.iter().map(Announced::read);
    let promises = promises.iter().map(Promised::read);
    Ok(Calendar::from_parts(
        inbound.collect::<Result<_, _>>()?,
        promises.collect::<Result<_, _>>()?,
    ))
}
