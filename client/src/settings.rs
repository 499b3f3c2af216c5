//! Settings of a SKU, as they are read and changed.

use serde::{Deserialize, Serialize};

use crate::Text;

/// Whether a SKU is on sale.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Selling {
    /// It may be reserved.
    #[default]
    On,
    /// Nothing of it is promised any more; what was promised stays so.
    Suspended,
    /// A word that this client does not know.
    #[serde(other, skip_serializing)]
    Other,
}

/// Units of a SKU, in one of two ways.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// So many.
    Units(u64),
    /// So much of what is on hand, 0 to 100 with at most two decimals.
    Percent(f64),
}

/// What is kept back at a node.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
pub struct NodeLevel {
    /// Where.
    pub node: Text,
    /// How much; a share is one of what is on hand there.
    #[serde(flatten)]
    pub level: Level,
}

/// When a SKU is low, and what then.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize, Serialize)]
pub struct LowWater {
    /// It is low when no more than this is available.
    #[serde(flatten)]
    pub mark: Level,
    /// It is low no more when this is available again; `None`: when more than the mark is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resume: Option<Level>,
    /// What follows.
    pub then: WhileLow,
}

/// What a SKU does while it is low.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum WhileLow {
    /// The feed tells of it.
    Event,
    /// It takes no new holds, too.
    Suspend,
}

/// Settings of one SKU.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Settings {
    /// Which SKU.
    pub sku: Text,
    /// What is kept back.
    pub safety_stock: Level,
    /// What is kept back at single nodes; over all, the larger of `safety_stock` and their sum is.
    #[serde(default)]
    pub node_safety: Vec<NodeLevel>,
    /// Whether it is on sale.
    pub selling: Selling,
    /// When it is low, and what then.
    #[serde(default)]
    pub low_water: Option<LowWater>,
    /// Counts the changes of the settings: the next change's
    /// [`Precondition::Version`](crate::Precondition::Version).
    pub version: u32,
}
