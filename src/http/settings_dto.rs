//! The body that changes the settings of a SKU: see [`dto`](super::dto).

use std::fmt;

use serde::de::value::MapAccessDeserializer;
use serde::de::{
    Deserialize, Deserializer, Error, IntoDeserializer, MapAccess, SeqAccess, Unexpected, Visitor,
};
use utoipa::ToSchema;

use crate::http::dto::{Given, Num, Text};
use crate::http::list::{Element, List, Object, next_object};
use crate::limits::SAFETY_NODES_MAX;

/// Units, or a share of what is on hand: exactly one of the two.
#[derive(Debug, Clone, Copy, serde::Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Level)]
pub struct LevelBody {
    /// That many.
    #[schema(value_type = Option<u64>)]
    pub units: Option<Num>,
    /// That share of what is on hand, 0 to 100, at most two decimals.
    #[schema(value_type = Option<f64>, minimum = 0, maximum = 100)]
    pub percent: Option<Num>,
}

/// Units to keep back at a node: exactly one of units and percent.
#[derive(Debug, serde::Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NodeLevel)]
pub struct NodeLevelBody<'a> {
    /// Where.
    #[serde(borrow)]
    #[schema(value_type = String, required = true)]
    pub node: Option<Text<'a>>,
    /// That many.
    #[schema(value_type = Option<u64>)]
    pub units: Option<Num>,
    /// That share of what is on hand there, 0 to 100, at most two decimals.
    #[schema(value_type = Option<f64>, minimum = 0, maximum = 100)]
    pub percent: Option<Num>,
}

impl<'de: 'a, 'a> Element<'de> for NodeLevelBody<'a> {
    const MAX: usize = SAFETY_NODES_MAX;

    fn next<A: SeqAccess<'de>>(list: &mut A) -> Result<Option<Self>, A::Error> {
        next_object(list)
    }
}

/// When a SKU is low: exactly one of units and percent.
#[derive(Debug, serde::Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = LowWater)]
pub struct LowWaterBody<'a> {
    /// It is low when no more than this is available.
    #[schema(value_type = Option<u64>)]
    pub units: Option<Num>,
    /// The same as a share of what is on hand, 0 to 100, at most two decimals.
    #[schema(value_type = Option<f64>, minimum = 0, maximum = 100)]
    pub percent: Option<Num>,
    /// It is low no more when this is available again, which must be above the mark; left out: as
    /// soon as more than the mark is.
    #[schema(value_type = Option<LevelBody>)]
    pub resume: Option<Object<LevelBody>>,
    /// What a low SKU does: `event` tells of it, `suspend` takes no new holds as well; `event` when
    /// left out.
    #[serde(borrow)]
    #[schema(value_type = Option<String>)]
    pub then: Option<Text<'a>>,
}

/// A mark: a number of units, an object, or false.
#[derive(Debug)]
pub enum MarkBody<'a> {
    /// Never low, whatever the policy says.
    Never,
    /// So many units.
    Bare(Num),
    /// With all about it.
    Whole(LowWaterBody<'a>),
}

impl<'de: 'a, 'a> Deserialize<'de> for MarkBody<'a> {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        struct MarkVisitor;
        impl<'de> Visitor<'de> for MarkVisitor {
            type Value = MarkBody<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number, an object or false")
            }

            fn visit_bool<E: Error>(self, value: bool) -> Result<Self::Value, E> {
                if value {
                    return Err(E::invalid_type(Unexpected::Bool(value), &self));
                }
                Ok(MarkBody::Never)
            }

            fn visit_u64<E: Error>(self, value: u64) -> Result<Self::Value, E> {
                Num::deserialize(value.into_deserializer()).map(MarkBody::Bare)
            }

            fn visit_i64<E: Error>(self, value: i64) -> Result<Self::Value, E> {
                Num::deserialize(value.into_deserializer()).map(MarkBody::Bare)
            }

            fn visit_f64<E: Error>(self, value: f64) -> Result<Self::Value, E> {
                Ok(MarkBody::Bare(Num::Float(value)))
            }

            fn visit_map<A: MapAccess<'de>>(self, members: A) -> Result<Self::Value, A::Error> {
                let members = MapAccessDeserializer::new(members);
                LowWaterBody::deserialize(members).map(MarkBody::Whole)
            }
        }
        input.deserialize_any(MarkVisitor)
    }
}

/// Body of `PUT /v1/skus/{sku}`; what is left out stays as it is.
#[derive(Debug, serde::Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = SettingsRequest)]
pub struct SettingsBody<'a> {
    /// Units to keep back, whatever the policy says; null: as it says.
    #[serde(default)]
    #[schema(value_type = Option<LevelBody>)]
    pub safety_stock: Given<Object<LevelBody>>,
    /// Units to keep back at single nodes, in place of all that were; an empty list: at none.
    #[serde(borrow)]
    #[schema(value_type = Option<Vec<NodeLevelBody<'static>>>, max_items = 256)]
    pub node_safety: Option<List<NodeLevelBody<'a>>>,
    /// `on` or `suspended`.
    #[serde(borrow)]
    #[schema(value_type = Option<String>)]
    pub selling: Option<Text<'a>>,
    /// When the SKU is low, and what then, whatever the policy says; a number means so many units,
    /// false never. Null: as the policy says.
    #[serde(borrow, default)]
    #[schema(value_type = Option<LowWaterBody<'static>>)]
    pub low_water: Given<MarkBody<'a>>,
    /// Why the freeze of a campaign is overridden; without it a campaign that has frozen the SKU
    /// keeps the settings as they are.
    #[serde(borrow, rename = "override")]
    #[schema(value_type = Option<String>, max_length = 200)]
    pub over: Option<Text<'a>>,
}
