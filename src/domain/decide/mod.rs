//! The rule book: what is allowed, and what it changes.
//!
//! Every function takes what there is and what is asked, and returns the moves to make or the
//! refusal. Nothing is written here. Held units past their deadline must have been expired by the
//! caller before it asks, so that "late is safe" holds for every rule alike.

mod act;
mod inbound;
mod reserve;
mod ship;
mod stock;

pub use act::{ActPlan, Amounts, LineFacts, act, units_asked};
pub use inbound::{Arrival, inbound};
pub use reserve::{Grant, Grants, reserve};
pub use stock::{Place, stock};

use super::command::PutSettings;
use super::stock::Settings;
use super::verdict::Refusal;

/// Decides a change of settings. `current` is `None` for a SKU that is not there yet.
pub fn settings(put: &PutSettings<'_>, current: Option<Settings>) -> Result<Settings, Refusal> {
    let before = current.unwrap_or_default();
    if put
        .if_version
        .is_some_and(|version| version != before.version)
    {
        return Err(Refusal::VersionMismatch {
            actual: before.version,
        });
    }
    Ok(Settings {
        safety: put.safety.unwrap_or(before.safety),
        selling: put.selling.unwrap_or(before.selling),
        low_water: put.low_water.unwrap_or(before.low_water),
        version: before.version.saturating_add(1),
    })
}
