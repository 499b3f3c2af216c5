//! What is answered about campaigns, as the API document and the tests know it.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The campaigns of the policy in force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Campaigns {
    /// The version of the policy; null: there is none.
    #[schema(required = true)]
    pub version: Option<u64>,
    /// Moment of the answer.
    pub as_of: String,
    /// As they are written.
    pub campaigns: Vec<CampaignView>,
}

/// A campaign and where it stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CampaignView {
    /// Its name.
    pub name: String,
    /// `planned`, `running`, `frozen` (running, and nothing may be edited) or `over`.
    pub state: String,
    /// Its first moment.
    pub from: String,
    /// The first moment after it.
    pub until: String,
    /// How many SKUs it lists; null where it sells a set.
    #[schema(required = true)]
    pub skus: Option<u64>,
    /// The set that it sells.
    #[schema(required = true)]
    pub set: Option<String>,
    /// Whether nothing may be edited while it is on.
    pub freeze: bool,
}

/// What would go wrong in a campaign.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Preflight {
    /// Its name.
    pub campaign: String,
    /// As in the list of campaigns.
    pub state: String,
    /// The version of the policy; null: the policy was in the request.
    #[schema(required = true)]
    pub version: Option<u64>,
    /// Moment of the answer.
    pub as_of: String,
    /// How many SKUs were looked at.
    pub skus: u64,
    /// Nothing was found.
    pub clean: bool,
    /// Findings that will go wrong.
    pub errors: u64,
    /// Findings that may be meant so.
    pub warnings: u64,
    /// The first 1,000 of them.
    pub findings: Vec<PreflightFinding>,
}

/// Something that will go wrong, or may.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PreflightFinding {
    /// What, for a program.
    pub code: String,
    /// `error` or `warning`.
    pub severity: String,
    /// The SKU it is about.
    #[schema(required = true)]
    pub sku: Option<String>,
    /// The channel it is about.
    #[schema(required = true)]
    pub channel: Option<String>,
    /// What, for a person.
    pub message: String,
    /// What to do about it.
    pub fix: String,
}
