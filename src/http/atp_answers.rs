//! Shapes of what may be promised, for the API document; see [`answers`](super::answers).

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::answers::Problem;
use super::policy_answers::Bound;

/// What goes into an availability.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AtpLimits {
    /// Usable units over all nodes.
    pub stock: u64,
    /// Kept back.
    pub safety_stock: u64,
    /// Held and committed.
    pub promised: u64,
    /// Free at the node asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<u64>,
    /// Kept back at that node; left out where the SKU has no safety stock of its own for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node_safety_stock: Option<u64>,
    /// What binds: `stock`, `later`, `safety`, `cap`, `protection`, `node` or `suspended`.
    pub limit: String,
    /// The cap of the channel asked for, in units; this and what follows only where a rule is in
    /// force.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cap: Option<u64>,
    /// Its protection, in units.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub protection: Option<u64>,
    /// What it uses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub used: Option<u64>,
    /// The most that the policy lets it take.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub left: Option<u64>,
    /// What keeps it from more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bound: Option<Bound>,
}

/// What may be promised for a day and those that follow, until the next one listed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AtpDate {
    /// The day, UTC.
    #[schema(format = Date)]
    pub date: String,
    /// The most that one more line may take whose caller takes it by then.
    pub available: u64,
    /// What binds: `stock`, `inbound`, `later`, `safety`, `cap`, `protection`, `node` or
    /// `suspended`.
    pub limit: String,
}

/// What may be promised of a SKU now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Atp {
    /// What.
    pub sku: String,
    /// For whom.
    #[schema(required = true)]
    pub channel: Option<String>,
    /// At which node; null: over all.
    #[schema(required = true)]
    pub node: Option<String>,
    /// The most that one more line may take.
    pub available: u64,
    /// Moment of the answer, RFC 3339.
    #[schema(format = DateTime)]
    pub as_of: String,
    /// What it is made of.
    pub limits: AtpLimits,
    /// What may be promised for later days, where supply is announced; left out elsewhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dates: Option<Vec<AtpDate>>,
}

/// A SKU of a bulk query that is not known.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AtpMissing {
    /// Which.
    pub sku: String,
    /// `unknown_sku`
    pub problem: Problem,
}

/// One answer of a bulk query.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(untagged)]
pub enum AtpResult {
    /// What may be promised.
    Known(Atp),
    /// No such SKU.
    Missing(AtpMissing),
}

/// Answers of a bulk query, in order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AtpResults {
    /// One per SKU asked for.
    pub results: Vec<AtpResult>,
}
