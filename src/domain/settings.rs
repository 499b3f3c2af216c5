//! Settings of a SKU.

use super::units::Units;

/// Units to keep back; no caller may hold them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Safety {
    /// That many.
    Units(Units),
    /// That share of what is on hand, in basis points (500 = 5 %), rounded up.
    Percent(u16),
}

/// Whether new holds are accepted. Confirm, release and ship always are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Selling {
    /// On sale.
    On,
    /// No new holds.
    Suspended,
}

/// Settings of one SKU.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// Units to keep back.
    pub safety: Safety,
    /// On sale or not.
    pub selling: Selling,
    /// Threshold of available units at or under which the SKU is low.
    pub low_water: Option<Units>,
    /// Counts the changes of these settings; the entity tag of the API.
    pub version: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            safety: Safety::Units(Units::ZERO),
            selling: Selling::On,
            low_water: None,
            version: 0,
        }
    }
}
