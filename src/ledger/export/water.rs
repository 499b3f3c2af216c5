//! The low-water mark of a SKU as it stands in an export.

use serde::{Deserialize, Serialize};

use super::item::{BadItem, units};
use crate::domain::{Level, LowWater, WhileLow};

/// Units, or a share of what is on hand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Amount {
    /// That many.
    Units(u64),
    /// In basis points.
    Share(u16),
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
