//! Shapes of the answers about the policy, for the API document; see [`answers`](super::answers).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A policy: a tree of channels, and rules with caps and protections. `docs/POLICY.md` has its
/// members.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(value_type = Object)]
pub struct Policy(pub serde_json::Value);

/// A version of the policy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PolicyVersion {
    /// Counts the versions from 1; the entity tag is `"v3"`.
    pub version: u64,
    /// When it was put, RFC 3339.
    #[schema(format = DateTime)]
    pub at: String,
    /// By whom; may be empty.
    pub operator: String,
    /// Why; may be empty.
    pub reason: String,
    /// Why the freeze of a campaign was overridden; empty where none was.
    pub r#override: String,
}

/// The versions that are kept, newest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PolicyVersions {
    /// One per version.
    pub versions: Vec<PolicyVersion>,
}

/// A version of the policy with its document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PolicyVersionWhole {
    /// Counts the versions from 1.
    pub version: u64,
    /// When it was put, RFC 3339.
    #[schema(format = DateTime)]
    pub at: String,
    /// By whom; may be empty.
    pub operator: String,
    /// Why; may be empty.
    pub reason: String,
    /// Why the freeze of a campaign was overridden; empty where none was.
    pub r#override: String,
    /// What it says.
    pub policy: Policy,
}

/// What is different in one part of the policy, by name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PolicyChange {
    /// New.
    pub added: Vec<String>,
    /// No longer there.
    pub removed: Vec<String>,
    /// Not as they were.
    pub changed: Vec<String>,
}

/// A campaign that keeps the policy as it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PolicyFrozen {
    /// Which.
    pub campaign: String,
    /// Until then, RFC 3339.
    #[schema(format = DateTime)]
    pub until: String,
}

/// What was put, or would be. Without `dry_run` it has the members of a version, too.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PolicyPut {
    /// Nothing was changed.
    pub dry_run: bool,
    /// The new version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<u64>,
    /// When it was put, RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    pub at: Option<String>,
    /// By whom.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operator: Option<String>,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Why the freeze of a campaign was overridden.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub r#override: Option<String>,
    /// The campaign that keeps it from being put now without an `override`; in a dry run alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub frozen: Option<PolicyFrozen>,
    /// By part: `channels`, `sets`, `tags`, `rules`, `change_sets`, `campaigns`, `deficits`; parts
    /// without a difference are left out.
    pub changes: BTreeMap<String, PolicyChange>,
}

/// The cap or protection that keeps a channel from taking more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Bound {
    /// `cap` or `protection`.
    pub limit: String,
    /// Whose cap, or for whom units are kept.
    pub channel: String,
    /// It in units.
    pub units: u64,
    /// What that channel uses.
    pub used: u64,
    /// What a percentage is taken of.
    pub supply: u64,
    /// All of it in a sentence.
    pub text: String,
}

/// How a channel stands with a SKU.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ChannelShare {
    /// Who.
    pub channel: String,
    /// Its own cap in units.
    #[schema(required = true)]
    pub cap: Option<u64>,
    /// Its own protection in units.
    #[schema(required = true)]
    pub protection: Option<u64>,
    /// Held, committed, and shipped in the window, with all below it.
    pub used: u64,
    /// The most that the policy lets one line of it take now: of its own share, or of that of a
    /// fallback where that has more left.
    pub left: u64,
    /// What keeps it from more; left out when it may take all that is free.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bound: Option<Bound>,
    /// Whose shares it may use when its own does not do, in that order; left out where there are none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fallback: Vec<String>,
}

/// What of the policy is in force for a SKU.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SkuPolicy {
    /// Which SKU.
    pub sku: String,
    /// The version of the policy; 0: there is none.
    pub version: u64,
    /// The rule in force, or the campaign; null: none.
    #[schema(required = true)]
    pub rule: Option<String>,
    /// Beginning of the window that is counted in, RFC 3339; null: all time.
    #[schema(required = true, format = DateTime)]
    pub window: Option<String>,
    /// Moment of the answer, RFC 3339.
    #[schema(format = DateTime)]
    pub as_of: String,
    /// The channels with limits in the rule, in the order of the tree; or the one asked for.
    pub channels: Vec<ChannelShare>,
}

/// Share that would be moved, as an item of `POST /v1/shares/moves`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ProposedMove {
    /// Of what.
    pub sku: String,
    /// Whose share would become smaller.
    pub from: String,
    /// Whose share would become larger.
    pub to: String,
    /// By how much.
    pub units: u64,
}

/// How the share that channels have left would be shared out anew. Nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Rebalance {
    /// Which SKU.
    pub sku: String,
    /// The version of the policy; 0: there is none.
    pub version: u64,
    /// Moment of the answer, RFC 3339.
    #[schema(format = DateTime)]
    pub as_of: String,
    /// What `POST /v1/shares/moves` takes; nothing where all is as it would be.
    pub items: Vec<ProposedMove>,
}

/// A fault of a policy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PolicyFault {
    /// Where, like `rules[3].limits[0].cap.percent`.
    pub path: String,
    /// Stable word.
    pub code: String,
    /// What is wrong.
    pub message: String,
}

/// A move of share that was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ShareMove {
    /// Of what.
    pub sku: String,
    /// Whose share became smaller.
    pub from: String,
    /// Whose share became larger.
    pub to: String,
    /// By how much.
    pub units: u64,
    /// Beginning of the window that it counts in, RFC 3339; null: all time.
    #[schema(required = true, format = DateTime)]
    pub window: Option<String>,
}

/// Moves of share that were made, in order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ShareMoves {
    /// One per item.
    pub results: Vec<ShareMove>,
}
