//! Safety stock of single nodes, the low-water mark of a SKU, and whose its settings are, as they stand
//! in an export.

use serde::{Deserialize, Serialize};

use super::item::{BadItem, units};
use crate::domain::{Level, LowWater, NodeIx, NodeSafety, Own, WhileLow};

/// Units, or a share of what is on hand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Amount {
    /// That many.
    Units(u64),
    /// In basis points.
    Share(u16),
}

/// Units to keep back at a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NodeLevel {
    /// Index of its name.
    pub node: u16,
    /// How many.
    pub keep: Amount,
}

impl NodeLevel {
    pub(super) fn all(found: &NodeSafety) -> Vec<Self> {
        let of_node = |(node, level): &(NodeIx, Level)| Self {
            node: node.0,
            keep: Amount::new(*level),
        };
        found.nodes().iter().map(of_node).collect()
    }

    pub(super) fn read(all: &[Self]) -> Result<NodeSafety, BadItem> {
        let of_node = |found: &Self| Ok((NodeIx(found.node), found.keep.read()?));
        let nodes = all.iter().map(of_node).collect::<Result<_, BadItem>>()?;
        NodeSafety::new(nodes).ok_or(BadItem("safety stocks of nodes"))
    }
}

/// When a SKU is low, and what then.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mark {
    /// It is low when no more than this is available.
    pub mark: Amount,
    /// It is low no more when this is available again; none: when more than the mark is.
    pub resume: Option<Amount>,
    /// It takes no new holds while it is low.
    pub suspends: bool,
}

/// Which settings are a SKU's own, and not what the policy said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OwnSettings {
    /// What is kept back.
    pub safety: bool,
    /// When it is low.
    pub low_water: bool,
}

impl OwnSettings {
    pub(super) const fn new(found: Own) -> Self {
        Self {
            safety: found.safety,
            low_water: found.low_water,
        }
    }

    pub(super) const fn read(self) -> Own {
        Own {
            safety: self.safety,
            low_water: self.low_water,
        }
    }
}

impl Amount {
    const fn new(level: Level) -> Self {
        match level {
            Level::Units(units) => Self::Units(units.get()),
            Level::Percent(points) => Self::Share(points),
        }
    }

    fn read(self) -> Result<Level, BadItem> {
        match self {
            Self::Units(number) => units(number).map(Level::Units),
            Self::Share(points) => Ok(Level::Percent(points)),
        }
    }
}

impl Mark {
    pub(super) fn new(found: LowWater) -> Self {
        Self {
            mark: Amount::new(found.mark),
            resume: found.resume.map(Amount::new),
            suspends: found.then == WhileLow::Suspend,
        }
    }

    pub(super) fn read(self) -> Result<LowWater, BadItem> {
        Ok(LowWater {
            mark: self.mark.read()?,
            resume: self.resume.map(Amount::read).transpose()?,
            then: if self.suspends {
                WhileLow::Suspend
            } else {
                WhileLow::Sell
            },
        })
    }
}
