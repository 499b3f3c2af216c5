//! Settings of a SKU as the scripts keep them: see `lua/lib/fields.lua`.

use super::Malformed;
use super::water;
use crate::domain::stock::{Safety, Selling};
use crate::domain::{NodeSafety, Own, Settings, Stock, Units, WhileLow};

/// What the flags of a stock say: see `lua/lib/fields.lua`.
pub(super) const OWN_SAFETY: u64 = 1;
pub(super) const OWN_LOW: u64 = 2;
pub(super) const IS_SHARE: u64 = 4;
pub(super) const IS_SPREAD: u64 = 8;
pub(super) const IS_SHORT: u64 = 16;
pub(super) const IS_MARKED: u64 = 32;
pub(super) const IS_LOW: u64 = 64;
pub(super) const IS_SUSPENDED: u64 = 128;
pub(super) const IS_STOPPED: u64 = 256;
pub(super) const IS_DATED: u64 = 512;

/// Settings: safety stock and flags, low-water mark, that of single nodes, version.
pub(super) fn settings(
    (safety, flags): (u64, u64),
    low: &[u8],
    node_safety: NodeSafety,
    version: u64,
) -> Result<Settings, Malformed> {
    let safety = if flags & IS_SHARE > 0 {
        Safety::Percent(u16::try_from(safety).or(Err(Malformed))?)
    } else {
        Safety::Units(Units::new(safety).ok_or(Malformed)?)
    };
    Ok(Settings {
        safety,
        node_safety,
        selling: if flags & IS_SUSPENDED > 0 {
            Selling::Suspended
        } else {
            Selling::On
        },
        low_water: water::unpack(low)?,
        own: Own {
            safety: flags & OWN_SAFETY > 0,
            low_water: flags & OWN_LOW > 0,
        },
        version: u32::try_from(version).or(Err(Malformed))?,
    })
}

/// The other way: safety stock, and those flags that are settings.
pub(super) fn packed(settings: &Settings) -> (u64, u64) {
    let (safety, is_share) = match settings.safety {
        Safety::Units(units) => (units.get(), 0),
        Safety::Percent(points) => (u64::from(points), IS_SHARE),
    };
    let suspended = match settings.selling {
        Selling::On => 0,
        Selling::Suspended => IS_SUSPENDED,
    };
    let marked = settings.low_water.map_or(0, |_| IS_MARKED);
    let is_spread = !settings.node_safety.nodes().is_empty();
    let spread = if is_spread { IS_SPREAD } else { 0 };
    let own = |is_own, flag| if is_own { flag } else { 0 };
    let own = own(settings.own.safety, OWN_SAFETY) + own(settings.own.low_water, OWN_LOW);
    (safety, own + is_share + spread + marked + suspended)
}

/// Those that say how it stands to its mark.
pub(super) fn water_flags(stock: &Stock) -> u64 {
    let mark = stock.settings().low_water.filter(|_| stock.is_low());
    let stops = mark.is_some_and(|mark| mark.then == WhileLow::Suspend);
    (if stock.is_low() { IS_LOW } else { 0 }) + (if stops { IS_STOPPED } else { 0 })
}
