//! Bodies of the calls about the policy and its shares; see [`dto`](super::dto) for how bodies are
//! read.

use serde::de::SeqAccess;
use utoipa::ToSchema;

use crate::http::dto::{Num, Text};
use crate::http::list::{Element, List, next_object};
use crate::limits::STOCK_ITEMS_MAX;

/// Body of `POST /v1/shares/moves`.
#[derive(Debug, serde::Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ShareMovesRequest)]
pub struct SharesBody<'a> {
    /// The items; all are done or none.
    #[serde(borrow)]
    #[schema(value_type = Vec<ShareBody<'static>>, required = true, min_items = 1, max_items = 1_000)]
    pub items: Option<List<ShareBody<'a>>>,
    /// Why, for the change log.
    #[serde(borrow)]
    #[schema(value_type = Option<String>, max_length = 200)]
    pub reason: Option<Text<'a>>,
    /// Who, for the change log.
    #[serde(borrow)]
    #[schema(value_type = Option<String>, max_length = 200)]
    pub operator: Option<Text<'a>>,
}

/// One item of `POST /v1/shares/moves`.
#[derive(Debug, serde::Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ShareMoveItem)]
pub struct ShareBody<'a> {
    /// Of what.
    #[serde(borrow)]
    #[schema(value_type = String, required = true)]
    pub sku: Option<Text<'a>>,
    /// Whose share becomes smaller.
    #[serde(borrow)]
    #[schema(value_type = String, required = true)]
    pub from: Option<Text<'a>>,
    /// Whose share becomes larger.
    #[serde(borrow)]
    #[schema(value_type = String, required = true)]
    pub to: Option<Text<'a>>,
    /// By how many units, at least one.
    #[schema(value_type = u64, required = true, minimum = 1)]
    pub units: Option<Num>,
}

/// Body of `POST /v1/policy/rollback`.
#[derive(Debug, serde::Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = RollbackRequest)]
pub struct RollbackBody<'a> {
    /// The version whose policy is put again, as a new one.
    #[schema(value_type = u64, required = true, minimum = 1)]
    pub version: Option<Num>,
    /// Who, for the change log.
    #[serde(borrow)]
    #[schema(value_type = Option<String>, max_length = 200)]
    pub operator: Option<Text<'a>>,
    /// Why, for the change log.
    #[serde(borrow)]
    #[schema(value_type = Option<String>, max_length = 200)]
    pub reason: Option<Text<'a>>,
    /// Why the freeze of a campaign is overridden.
    #[serde(borrow, rename = "override")]
    #[schema(value_type = Option<String>, max_length = 200)]
    pub over: Option<Text<'a>>,
}

impl<'de: 'a, 'a> Element<'de> for ShareBody<'a> {
    const MAX: usize = STOCK_ITEMS_MAX;

    fn next<A: SeqAccess<'de>>(list: &mut A) -> Result<Option<Self>, A::Error> {
        next_object(list)
    }
}
