//! Settings of a SKU, as they are read and changed.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

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

/// A setting that a SKU has by itself, or leaves to the policy.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Setting<T> {
    /// This, whatever the policy says.
    Own(T),
    /// As the policy says; nothing where it says nothing.
    AsPolicy,
}

impl<T: Serialize> Serialize for Setting<T> {
    fn serialize<S: Serializer>(&self, output: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Own(value) => value.serialize(output),
            Self::AsPolicy => output.serialize_none(),
        }
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Setting<T> {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        let found = Option::<T>::deserialize(input)?;
        Ok(found.map_or(Self::AsPolicy, Self::Own))
    }
}

/// When a SKU is low by its own settings.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum OwnLowWater {
    /// Never, whatever the policy says.
    Never,
    /// Then.
    At(LowWater),
}

/// As it is written: false, or the mark.
#[derive(Deserialize, Serialize)]
#[serde(untagged)]
enum MarkOrFalse {
    Flag(bool),
    At(LowWater),
}

impl Serialize for OwnLowWater {
    fn serialize<S: Serializer>(&self, output: S) -> Result<S::Ok, S::Error> {
        let written = match *self {
            Self::Never => MarkOrFalse::Flag(false),
            Self::At(mark) => MarkOrFalse::At(mark),
        };
        written.serialize(output)
    }
}

impl<'de> Deserialize<'de> for OwnLowWater {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        Ok(match MarkOrFalse::deserialize(input)? {
            MarkOrFalse::Flag(_) => Self::Never,
            MarkOrFalse::At(mark) => Self::At(mark),
        })
    }
}

/// Which settings a SKU has by itself.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct OwnSettings {
    /// What is kept back.
    pub safety_stock: Setting<Level>,
    /// When it is low.
    pub low_water: Setting<OwnLowWater>,
}

impl Default for OwnSettings {
    fn default() -> Self {
        Self {
            safety_stock: Setting::AsPolicy,
            low_water: Setting::AsPolicy,
        }
    }
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

/// Settings of one SKU as they are in force, by itself or by the policy.
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
    /// Which of them are its own.
    #[serde(default)]
    pub own: OwnSettings,
    /// Counts the changes of the settings: the next change's
    /// [`Precondition::Version`](crate::Precondition::Version).
    pub version: u32,
}
