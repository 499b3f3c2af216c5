//! Settings of a SKU.

use super::units::Units;
use super::water::{Level, LowWater};

/// Units to keep back; no caller may hold them.
pub type Safety = Level;

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
    /// When it is low, and what then.
    pub low_water: Option<LowWater>,
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
