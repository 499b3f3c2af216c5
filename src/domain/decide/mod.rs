//! The rule book: what is allowed, and what it changes.
//!
//! Every function takes what there is and what is asked, and returns the moves to make or the
//! refusal. Nothing is written here. Held units past their deadline must have been expired by the
//! caller before it asks, so that "late is safe" holds for every rule alike.

mod act;
mod freeze;
mod stock;

pub use act::{ActPlan, Amounts, LineFacts, act, units_asked};
pub use freeze::policy_edit;
pub use stock::{Place, stock};

use smallvec::SmallVec;

use super::command::{Lines, PutSettings, Reserve};
use super::policy::{Claim, Policy};
use super::stock::{Settings, Stock};
use super::time::{HoldTtl, Ttl, UnixMillis};
use super::units::Units;
use super::verdict::{Refusal, Shortage};

/// Units granted per line of a reservation, in line order.
pub type Grants = SmallVec<[Units; 2]>;

/// Decides a reservation. `stock_of` gives the stock of the line at a position; `None` there means
/// the SKU is unknown. `claim_of` gives the channel under the rule in force for that SKU, where one
/// is. Each line is judged after the lines before it of the same SKU.
pub fn reserve<'s>(
    lines: &Lines<'_>,
    allow_partial: bool,
    stock_of: impl Fn(usize) -> Option<&'s Stock>,
    claim_of: impl Fn(usize) -> Option<Claim<'s>>,
) -> Result<Grants, Refusal> {
    let lines = lines.as_slice();
    let mut grants = Grants::new();
    let mut shortages: Vec<Shortage> = Vec::new();
    let mut taken = Units::ZERO;
    let mut before = None;
    if let Some((_, line)) = lines
        .iter()
        .enumerate()
        .find(|(at, _)| stock_of(*at).is_none())
    {
        return Err(Refusal::UnknownSku {
            sku: line.sku.as_str().into(),
        });
    }
    for (at, line) in lines.iter().enumerate() {
        if before != Some(line.sku) {
            taken = Units::ZERO;
            before = Some(line.sku);
        }
        let Some(stock) = stock_of(at) else { continue };
        let claim = claim_of(at);
        let (room, limit) = stock.room(line.node, taken, claim);
        let granted = line.quantity.min(room);
        if granted < line.quantity {
            shortages.push(Shortage {
                sku: line.sku.as_str().into(),
                node: line.node,
                requested: line.quantity,
                available: room,
                limit,
                bound: claim.and_then(|claim| stock.bound(claim, taken, limit)),
            });
        }
        taken = taken.checked_add(granted).unwrap_or(Units::MAX);
        grants.push(granted);
    }
    let nothing = grants.iter().all(|units| units.is_zero());
    if shortages.is_empty() || (allow_partial && !nothing) {
        Ok(grants)
    } else {
        Err(Refusal::InsufficientStock {
            shortages: shortages.into(),
        })
    }
}

/// How long the hold of a reservation lives: as its caller asks; or as the campaigns of its SKUs
/// say, the shortest; or as is usual.
pub fn hold_ttl(reserve: &Reserve<'_>, policy: Option<&Policy>, now: UnixMillis) -> Ttl {
    match reserve.ttl {
        HoldTtl::Asked(ttl) => ttl,
        HoldTtl::Default(usual) => {
            let lines = reserve.lines.as_slice().iter();
            usual_hold(lines.map(|line| line.sku.as_str()), usual, policy, now)
        }
    }
}

/// [`hold_ttl`] of a reservation of these SKUs whose caller names no time.
pub fn usual_hold<'a>(
    skus: impl IntoIterator<Item = &'a str>,
    usual: Ttl,
    policy: Option<&Policy>,
    now: UnixMillis,
) -> Ttl {
    let campaigns = policy.and_then(|policy| policy.hold_of(skus, now));
    campaigns.unwrap_or(usual)
}

/// What a change of settings comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SettingsPlan {
    /// The settings afterwards.
    pub after: Settings,
    /// Whether it is against the freeze of a campaign.
    pub is_overridden: bool,
}

/// Decides a change of settings. `current` is `None` for a SKU that is not there yet; `policy` is
/// the one in force.
pub fn settings(
    put: &PutSettings<'_>,
    current: Option<Settings>,
    policy: Option<&Policy>,
    now: UnixMillis,
) -> Result<SettingsPlan, Refusal> {
    let before = current.unwrap_or_default();
    if put
        .if_version
        .is_some_and(|version| version != before.version)
    {
        return Err(Refusal::VersionMismatch {
            actual: before.version,
        });
    }
    let is_overridden = freeze::settings_edit(policy, put, now).map_err(Refusal::Frozen)?;
    let after = Settings {
        safety: put.safety.unwrap_or(before.safety),
        selling: put.selling.unwrap_or(before.selling),
        low_water: put.low_water.unwrap_or(before.low_water),
        version: before.version.saturating_add(1),
    };
    Ok(SettingsPlan {
        after,
        is_overridden,
    })
}

#[cfg(test)]
mod tests {
    use smallvec::smallvec;

    use super::*;
    use crate::domain::command::LineRequest;
    use crate::domain::ids::{NodeIx, Sku};
    use crate::domain::stock::{NodeStock, Safety, Selling};
    use crate::domain::uses::Uses;
    use crate::domain::verdict::Limit;

    fn units(n: u64) -> Units {
        Units::new(n).unwrap()
    }

    /// Two nodes with 6 and 4 units, 1 pinned at the second, 2 held in all.
    fn two_nodes(settings: Settings) -> Stock {
        let place = |node, on_hand, pinned| NodeStock {
            on_hand: units(on_hand),
            pinned: units(pinned),
            ..NodeStock::empty(NodeIx(node))
        };
        let nodes = smallvec![place(1, 6, 0), place(2, 4, 1)];
        Stock::from_parts(nodes, units(2), Units::ZERO, settings, Uses::EMPTY, 7)
    }

    fn ask(
        lines: &[(Option<u16>, u64)],
        partial: bool,
        stock: &Stock,
    ) -> Result<Vec<u64>, Refusal> {
        let lines = lines.iter().map(|(node, quantity)| LineRequest {
            sku: Sku::new("a").unwrap(),
            node: node.map(NodeIx),
            quantity: units(*quantity),
        });
        let lines = Lines::try_new(lines).unwrap();
        let grants = reserve(&lines, partial, |_| Some(stock), |_| None)?;
        Ok(grants.iter().map(|u| u.get()).collect())
    }

    fn short(refusal: Result<Vec<u64>, Refusal>) -> Vec<(u64, u64, Limit)> {
        let Err(Refusal::InsufficientStock { shortages }) = refusal else {
            panic!("{refusal:?}")
        };
        shortages
            .iter()
            .map(|s| (s.available.get(), s.short().get(), s.limit))
            .collect()
    }

    #[test]
    fn takes_up_to_what_is_unpromised() {
        let stock = two_nodes(Settings::default());
        assert_eq!(ask(&[(None, 8)], false, &stock), Ok(vec![8]));
        assert_eq!(
            short(ask(&[(None, 9)], false, &stock)),
            [(8, 1, Limit::Stock)]
        );
        assert_eq!(ask(&[(None, 9)], true, &stock), Ok(vec![8]));
    }

    #[test]
    fn pin_is_bound_by_its_node() {
        let stock = two_nodes(Settings::default());
        assert_eq!(ask(&[(Some(2), 3)], false, &stock), Ok(vec![3]));
        assert_eq!(
            short(ask(&[(Some(2), 4)], false, &stock)),
            [(3, 1, Limit::Node)]
        );
        assert_eq!(
            short(ask(&[(Some(9), 1)], false, &stock)),
            [(0, 1, Limit::Node)]
        );
    }

    #[test]
    fn lines_of_one_sku_share_what_is_there() {
        let stock = two_nodes(Settings::default());
        assert_eq!(
            ask(&[(None, 5), (Some(2), 3)], false, &stock),
            Ok(vec![5, 3])
        );
        assert_eq!(
            short(ask(&[(None, 6), (Some(2), 3)], false, &stock)),
            [(2, 1, Limit::Stock)]
        );
    }

    #[test]
    fn safety_and_suspension_are_named() {
        let mut settings = Settings {
            safety: Safety::Percent(2_500),
            ..Settings::default()
        };
        let stock = two_nodes(settings);
        assert_eq!(
            short(ask(&[(None, 6)], false, &stock)),
            [(5, 1, Limit::Safety)]
        );
        settings.selling = Selling::Suspended;
        let stock = two_nodes(settings);
        assert_eq!(
            short(ask(&[(None, 1)], true, &stock)),
            [(0, 1, Limit::Suspended)]
        );
    }

    #[test]
    fn unknown_sku_comes_before_any_shortage() {
        let lines = Lines::try_new([LineRequest {
            sku: Sku::new("nope").unwrap(),
            node: None,
            quantity: units(1),
        }])
        .unwrap();
        let refusal = reserve(&lines, true, |_| None, |_| None).unwrap_err();
        assert_eq!(refusal, Refusal::UnknownSku { sku: "nope".into() });
    }
}
