//! Bodies of the calls about dated supply; see [`dto`](super::dto) for how bodies are read.

use serde::de::SeqAccess;
use utoipa::ToSchema;

use crate::http::dto::{Num, Text};
use crate::http::list::{Element, List, next_object};
use crate::limits::INBOUND_ITEMS_MAX;

/// Body with items of one kind. The document has one schema for each kind.
#[derive(Debug, serde::Deserialize)]
#[serde(deny_unknown_fields, bound(deserialize = "T: Element<'de>"))]
pub struct InboundBody<T> {
    /// The items; all are done or none.
    pub items: Option<List<T>>,
}

/// Supply that is announced.
#[derive(Debug, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = InboundPutRequest)]
pub struct InboundPutsBody {
    /// The items; all are done or none.
    #[schema(min_items = 1, max_items = 1_000)]
    pub items: Vec<InboundPutBody<'static>>,
}

/// Supply that arrived.
#[derive(Debug, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = InboundReceiptRequest)]
pub struct ReceiptsBody {
    /// The items; all are done or none.
    #[schema(min_items = 1, max_items = 1_000)]
    pub items: Vec<ReceiptBody<'static>>,
}

/// One item of `POST /v1/inbound`.
#[derive(Debug, serde::Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = InboundPutItem)]
pub struct InboundPutBody<'a> {
    /// The caller's name for it, unique for the SKU; what was put under it before is replaced.
    #[serde(borrow)]
    #[schema(value_type = String, required = true, max_length = 64, example = "PO-4711")]
    pub id: Option<Text<'a>>,
    /// What.
    #[serde(borrow)]
    #[schema(value_type = String, required = true)]
    pub sku: Option<Text<'a>>,
    /// Where it will be; `main` when left out.
    #[serde(borrow)]
    #[schema(value_type = Option<String>)]
    pub node: Option<Text<'a>>,
    /// `in_transit`, `presale` or `return`.
    #[serde(borrow)]
    #[schema(value_type = String, required = true)]
    pub kind: Option<Text<'a>>,
    /// The day, UTC, on which it will be there; at most 180 days ahead.
    #[serde(borrow)]
    #[schema(value_type = String, required = true, format = Date, example = "2026-12-20")]
    pub due: Option<Text<'a>>,
    /// Units still to come; 0: none will.
    #[schema(value_type = u64, required = true, maximum = 1_000_000_000_000_u64)]
    pub quantity: Option<Num>,
}

/// One item of `POST /v1/inbound/receipts`.
#[derive(Debug, serde::Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = InboundReceiptItem)]
pub struct ReceiptBody<'a> {
    /// The name that it was announced under.
    #[serde(borrow)]
    #[schema(value_type = String, required = true, max_length = 64)]
    pub id: Option<Text<'a>>,
    /// What.
    #[serde(borrow)]
    #[schema(value_type = String, required = true)]
    pub sku: Option<Text<'a>>,
    /// Units that arrived; the rest stays announced.
    #[schema(value_type = u64, required = true, maximum = 1_000_000_000_000_u64)]
    pub quantity: Option<Num>,
    /// Nothing more of it will come.
    pub r#final: Option<bool>,
}

impl<'de: 'a, 'a> Element<'de> for InboundPutBody<'a> {
    const MAX: usize = INBOUND_ITEMS_MAX;

    fn next<A: SeqAccess<'de>>(list: &mut A) -> Result<Option<Self>, A::Error> {
        next_object(list)
    }
}

impl<'de: 'a, 'a> Element<'de> for ReceiptBody<'a> {
    const MAX: usize = INBOUND_ITEMS_MAX;

    fn next<A: SeqAccess<'de>>(list: &mut A) -> Result<Option<Self>, A::Error> {
        next_object(list)
    }
}
