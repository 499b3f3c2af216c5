//! The rule book: what is allowed, and what it changes.
//!
//! Every function takes what there is and what is asked, and returns the moves to make or the
//! refusal. Nothing is written here. Held units past their deadline must have been expired by the
//! caller before it asks, so that "late is safe" holds for every rule alike.

mod act;
#[cfg(test)]
mod act_tests;
#[cfg(test)]
mod fallback_tests;
mod freeze;
mod hold;
mod inbound;
mod reserve;
#[cfg(test)]
mod reserve_tests;
mod shares;
mod ship;
mod stock;

pub use act::{ActPlan, Amounts, LineFacts, act, units_asked};
pub use freeze::policy_edit;
pub use hold::{hold_ttl, usual_hold};
pub use inbound::{Arrival, inbound};
pub use reserve::{Grant, Grants, reserve};
pub use shares::shares;
pub use stock::{Place, stock};

use super::command::PutSettings;
use super::policy::Policy;
use super::settings::Setting;
use super::stock::Settings;
use super::time::UnixMillis;
use super::verdict::Refusal;

/// What a change of settings comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
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
    current: Option<&Settings>,
    policy: Option<&Policy>,
    now: UnixMillis,
) -> Result<SettingsPlan, Refusal> {
    let before = current.unwrap_or(Settings::DEFAULT);
    if put
        .if_version
        .is_some_and(|version| version != before.version)
    {
        return Err(Refusal::VersionMismatch {
            actual: before.version,
        });
    }
    let is_overridden = freeze::settings_edit(policy, put, now).map_err(Refusal::Frozen)?;
    let mut after = Settings {
        node_safety: put.node_safety.unwrap_or(&before.node_safety).clone(),
        selling: put.selling.unwrap_or(before.selling),
        version: before.version.saturating_add(1),
        ..before.clone()
    };
    match put.safety {
        Some(Setting::Own(safety)) => (after.safety, after.own.safety) = (safety, true),
        Some(Setting::AsPolicy) => after.own.safety = false,
        None => {}
    }
    match put.low_water {
        Some(Setting::Own(mark)) => (after.low_water, after.own.low_water) = (mark, true),
        Some(Setting::AsPolicy) => after.own.low_water = false,
        None => {}
    }
    let terms = policy.map(|policy| policy.terms(put.sku.as_str(), now));
    after.note(&terms.unwrap_or_default());
    Ok(SettingsPlan {
        after,
        is_overridden,
    })
}
