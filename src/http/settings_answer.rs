//! Settings of a SKU as they are shown: see [`answers`](super::answers).

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Units, or a share of what is on hand: one of the two.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LevelSetting {
    /// That many.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub units: Option<u64>,
    /// That share of what is on hand.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub percent: Option<f64>,
}

/// Units kept back at a node: units or percent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NodeLevelSetting {
    /// Where.
    pub node: String,
    /// That many.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub units: Option<u64>,
    /// That share of what is on hand there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub percent: Option<f64>,
}

/// When a SKU is low: at units or percent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LowWaterSetting {
    /// When no more than this is available.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub units: Option<u64>,
    /// When no more than this share of what is on hand is available.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub percent: Option<f64>,
    /// It is low no more when this is available; left out: when more than the mark is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resume: Option<LevelSetting>,
    /// `event`, or `suspend`: then it takes no new holds while it is low.
    pub then: String,
}

/// When a SKU is low by its own settings.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(untagged)]
pub enum OwnLowWater {
    /// `false`: never, whatever the policy says.
    Never(bool),
    /// Then, whatever the policy says.
    At(LowWaterSetting),
}

/// What a SKU has by itself; null is left to the policy.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct OwnSettings {
    /// Units kept back, whatever the policy says.
    #[schema(required = true)]
    pub safety_stock: Option<LevelSetting>,
    /// When it is low, whatever the policy says.
    #[schema(required = true)]
    pub low_water: Option<OwnLowWater>,
}

/// Settings of a SKU as they are in force. The version is also the entity tag: `"v3"`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Which SKU.
    pub sku: String,
    /// Units kept back, by the SKU's own setting or by the policy.
    pub safety_stock: LevelSetting,
    /// Units kept back at single nodes; over all, the larger of `safety_stock` and the sum of these is.
    pub node_safety: Vec<NodeLevelSetting>,
    /// `on` or `suspended`.
    pub selling: String,
    /// When the SKU is low, and what then, by its own setting or by the policy; null: never.
    #[schema(required = true)]
    pub low_water: Option<LowWaterSetting>,
    /// Which of them are the SKU's own; what is null there is the policy's.
    pub own: OwnSettings,
    /// Counts the changes of the SKU's own settings.
    pub version: u32,
}
