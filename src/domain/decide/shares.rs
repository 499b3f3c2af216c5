//! Decides moves of share between channels.

use std::collections::BTreeMap;

use crate::domain::command::ShareItem;
use crate::domain::ids::{ChannelIx, Sku};
use crate::domain::policy::InForce;
use crate::domain::stock::Stock;
use crate::domain::time::UnixMillis;
use crate::domain::units::Units;
use crate::domain::verdict::Refusal;

/// Decides moves of share, each after those before it; all or none. The windows that they belong
/// to, in order. See [`InForce::movable`].
pub fn shares<'s>(
    items: &[ShareItem<'_>],
    stock_of: impl Fn(Sku<'_>) -> Option<&'s Stock>,
    rule_of: impl Fn(Sku<'_>) -> Option<InForce<'s>>,
) -> Result<Vec<UnixMillis>, Refusal> {
    let mut tried: BTreeMap<Sku<'_>, Stock> = BTreeMap::new();
    let mut windows = Vec::with_capacity(items.len());
    for item in items {
        let sku = item.sku;
        let known = stock_of(sku).ok_or_else(|| Refusal::UnknownSku {
            sku: sku.as_str().into(),
        })?;
        let stock = tried.entry(sku).or_insert_with(|| known.clone());
        let refused = |channel: ChannelIx, possible| Refusal::OverShare {
            sku: sku.as_str().into(),
            channel,
            requested: item.units,
            possible,
        };
        let Some(rule) = rule_of(sku) else {
            return Err(refused(item.from, Units::ZERO));
        };
        let between = (item.from, item.to);
        let possible = rule.movable(between, stock.supply(Units::ZERO), stock.uses());
        let possible = possible.map_err(|channel| refused(channel, Units::ZERO))?;
        if possible < item.units {
            return Err(refused(item.from, possible));
        }
        let moved = stock.move_share(item.from, item.to, item.units, rule.window());
        moved.map_err(|_out_of_range| Refusal::TooMany {
            sku: sku.as_str().into(),
        })?;
        windows.push(rule.window());
    }
    Ok(windows)
}
