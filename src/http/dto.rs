//! Request bodies, borrowed from the bytes they came in. Unknown and repeated fields are errors.
//!
//! Everything is optional to the reader of JSON, so that one answer can list every mistake at
//! once; what is required is checked in [`parse`](super::parse).

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, SeqAccess, Visitor};
use utoipa::ToSchema;

use crate::http::list::{Element, List, next_object};
use crate::limits::{ATP_SKUS_MAX, BATCH_MAX, LINES_MAX, STOCK_ITEMS_MAX};

/// A string that is borrowed where it has no escapes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Text<'a>(pub Cow<'a, str>);

impl Text<'_> {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        struct TextVisitor;
        impl<'de> Visitor<'de> for TextVisitor {
            type Value = Text<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }

            fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Text(Cow::Borrowed(text)))
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Text(Cow::Owned(text.to_owned())))
            }
        }
        input.deserialize_str(TextVisitor)
    }
}

/// The only list of bare strings is one of SKUs.
impl<'de: 'a, 'a> Element<'de> for Text<'a> {
    const MAX: usize = ATP_SKUS_MAX;

    fn next<A: SeqAccess<'de>>(list: &mut A) -> Result<Option<Self>, A::Error> {
        list.next_element()
    }
}

macro_rules! listed_objects {
    ($($name:ident = $max:expr;)*) => {$(
        impl<'de: 'a, 'a> Element<'de> for $name<'a> {
            const MAX: usize = $max;

            fn next<A: SeqAccess<'de>>(list: &mut A) -> Result<Option<Self>, A::Error> {
                next_object(list)
            }
        }
    )*};
}

listed_objects! {
    LineBody = LINES_MAX;
    SetBody = STOCK_ITEMS_MAX;
    AdjustBody = STOCK_ITEMS_MAX;
    TransferBody = STOCK_ITEMS_MAX;
}

impl<'de: 'a, 'a> Element<'de> for BatchItem<'a> {
    const MAX: usize = BATCH_MAX;

    fn next<A: SeqAccess<'de>>(list: &mut A) -> Result<Option<Self>, A::Error> {
        next_object(list)
    }

    fn lines(&self) -> usize {
        self.lines.as_deref().map_or(0, <[_]>::len)
    }
}

/// Any JSON number, so that a negative or broken one is a mistake with a pointer.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Num {
    /// A whole number from zero.
    Whole(u64),
    /// A whole number below zero.
    Negative(i64),
    /// With a fraction, with an exponent, or beyond 64 bits.
    Float(f64),
}

impl<'de> Deserialize<'de> for Num {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        struct NumVisitor;
        impl Visitor<'_> for NumVisitor {
            type Value = Num;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number")
            }

            fn visit_u64<E: Error>(self, value: u64) -> Result<Num, E> {
                Ok(Num::Whole(value))
            }

            fn visit_i64<E: Error>(self, value: i64) -> Result<Num, E> {
                Ok(u64::try_from(value).map_or(Num::Negative(value), Num::Whole))
            }

            fn visit_f64<E: Error>(self, value: f64) -> Result<Num, E> {
                Ok(Num::Float(value))
            }
        }
        input.deserialize_any(NumVisitor)
    }
}

/// A value that may be left out, null, or given: null means something of its own.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub enum Given<T> {
    /// Left out.
    #[default]
    Absent,
    /// `null`.
    Null,
    /// A value.
    Value(T),
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Given<T> {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        let value = Option::<T>::deserialize(input)?;
        Ok(value.map_or(Self::Null, Self::Value))
    }
}

/// One line of a reservation.
#[derive(Debug, serde::Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = LineRequest)]
pub struct LineBody<'a> {
    /// What.
    #[serde(borrow)]
    #[schema(value_type = String, required = true, example = "TSHIRT-RED-M")]
    pub sku: Option<Text<'a>>,
    /// Units, at least one.
    #[schema(value_type = u64, required = true, minimum = 1, maximum = 1_000_000_000_000_u64)]
    pub quantity: Option<Num>,
    /// The node that must ship; left out: any.
    #[serde(borrow)]
    #[schema(value_type = Option<String>)]
    pub node: Option<Text<'a>>,
    /// Of a new reservation: the latest day, UTC, that the caller takes, in place of the
    /// reservation's.
    #[serde(borrow)]
    #[schema(value_type = Option<String>, format = Date, example = "2026-12-24")]
    pub by: Option<Text<'a>>,
}

/// Body of `POST /v1/reservations`.
#[derive(Debug, serde::Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ReserveRequest)]
pub struct ReserveBody<'a> {
    /// Who sells.
    #[serde(borrow)]
    #[schema(value_type = String, required = true, example = "tmall")]
    pub channel: Option<Text<'a>>,
    /// The caller's own name for it, for instance its order id.
    #[serde(borrow)]
    #[schema(value_type = Option<String>)]
    pub reference: Option<Text<'a>>,
    /// How long the hold lives; 15 minutes when left out.
    #[schema(value_type = Option<u32>, minimum = 1, maximum = 2_592_000)]
    pub ttl_seconds: Option<Num>,
    /// Take what there is instead of all or nothing.
    pub allow_partial: Option<bool>,
    /// The latest day, UTC, that the caller takes; each line is promised for the first day on which
    /// all its units can be. Left out: the units must be on hand.
    #[serde(borrow)]
    #[schema(value_type = Option<String>, format = Date, example = "2026-12-24")]
    pub by: Option<Text<'a>>,
    /// What to hold; lines of the same SKU and node are summed.
    #[serde(borrow)]
    #[schema(value_type = Vec<LineBody<'static>>, required = true, min_items = 1, max_items = 500)]
    pub lines: Option<List<LineBody<'a>>>,
}

/// One reservation of a batch.
#[derive(Debug, serde::Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = BatchItem)]
pub struct BatchItem<'a> {
    /// Idempotency key of this reservation.
    #[serde(borrow)]
    #[schema(value_type = String, required = true)]
    pub key: Option<Text<'a>>,
    /// Who sells.
    #[serde(borrow)]
    #[schema(value_type = String, required = true)]
    pub channel: Option<Text<'a>>,
    /// The caller's own name for it.
    #[serde(borrow)]
    #[schema(value_type = Option<String>)]
    pub reference: Option<Text<'a>>,
    /// How long the hold lives; 15 minutes when left out.
    #[schema(value_type = Option<u32>, minimum = 1, maximum = 2_592_000)]
    pub ttl_seconds: Option<Num>,
    /// Take what there is instead of all or nothing.
    pub allow_partial: Option<bool>,
    /// The latest day, UTC, that the caller takes; left out: the units must be on hand.
    #[serde(borrow)]
    #[schema(value_type = Option<String>, format = Date, example = "2026-12-24")]
    pub by: Option<Text<'a>>,
    /// What to hold.
    #[serde(borrow)]
    #[schema(value_type = Vec<LineBody<'static>>, required = true, min_items = 1, max_items = 500)]
    pub lines: Option<List<LineBody<'a>>>,
}

impl<'a> BatchItem<'a> {
    /// The reservation without its key.
    pub fn into_body(self) -> ReserveBody<'a> {
        ReserveBody {
            channel: self.channel,
            reference: self.reference,
            ttl_seconds: self.ttl_seconds,
            allow_partial: self.allow_partial,
            by: self.by,
            lines: self.lines,
        }
    }
}

/// Body of `POST /v1/reservations/batch`.
#[derive(Debug, serde::Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = BatchRequest)]
pub struct BatchBody<'a> {
    /// The reservations, each done or refused on its own, in order; at most 65,536 lines together.
    #[serde(borrow)]
    #[schema(value_type = Vec<BatchItem<'static>>, required = true, min_items = 1, max_items = 8_192)]
    pub reservations: Option<List<BatchItem<'a>>>,
}

/// Body of confirm and release.
#[derive(Debug, Default, serde::Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = LinesRequest)]
pub struct LinesBody<'a> {
    /// Which lines and quantities; left out: everything.
    #[serde(borrow)]
    #[schema(value_type = Option<Vec<LineBody<'static>>>, min_items = 1, max_items = 500)]
    pub lines: Option<List<LineBody<'a>>>,
}

/// Body of extend.
#[derive(Debug, Default, serde::Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ExtendRequest)]
pub struct ExtendBody {
    /// The new deadline, from now; never earlier than the old one.
    #[schema(value_type = u32, required = true, minimum = 1, maximum = 2_592_000)]
    pub ttl_seconds: Option<Num>,
}

/// Body of ship.
#[derive(Debug, Default, serde::Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ShipRequest)]
pub struct ShipBody<'a> {
    /// Which lines and quantities; left out: everything committed.
    #[serde(borrow)]
    #[schema(value_type = Option<Vec<LineBody<'static>>>, min_items = 1, max_items = 500)]
    pub lines: Option<List<LineBody<'a>>>,
    /// The node that ships unpinned lines; left out: the nodes in order.
    #[serde(borrow)]
    #[schema(value_type = Option<String>)]
    pub node: Option<Text<'a>>,
}

/// Body of return.
#[derive(Debug, Default, serde::Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ReturnRequest)]
pub struct ReturnBody<'a> {
    /// Which lines and quantities; left out: everything shipped.
    #[serde(borrow)]
    #[schema(value_type = Option<Vec<LineBody<'static>>>, min_items = 1, max_items = 500)]
    pub lines: Option<List<LineBody<'a>>>,
    /// Usable again (the default), or kept apart as unavailable.
    pub restock: Option<bool>,
    /// The node they come back to; left out: the pin, else the default node.
    #[serde(borrow)]
    #[schema(value_type = Option<String>)]
    pub node: Option<Text<'a>>,
}

/// Body of the transfer of a reservation.
#[derive(Debug, Default, serde::Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = PinRequest)]
pub struct PinBody<'a> {
    /// The node that ships from now on.
    #[serde(borrow)]
    #[schema(value_type = String, required = true)]
    pub to: Option<Text<'a>>,
    /// Which lines; left out: all open ones.
    #[serde(borrow)]
    #[schema(value_type = Option<Vec<LineBody<'static>>>, min_items = 1, max_items = 500)]
    pub lines: Option<List<LineBody<'a>>>,
}

/// Body of a stock call with items of one kind; each kind has its schema, see [`StockSetBody`].
#[derive(Debug, serde::Deserialize)]
#[serde(deny_unknown_fields, bound(deserialize = "T: Element<'de>"))]
pub struct StockBody<'a, T> {
    /// The items; all are done or none.
    pub items: Option<List<T>>,
    /// Why, for the change log.
    #[serde(borrow)]
    pub reason: Option<Text<'a>>,
    /// Who, for the change log.
    #[serde(borrow)]
    pub operator: Option<Text<'a>>,
}

macro_rules! stock_schema {
    ($name:ident, $item:ty, $schema:ident) => {
        /// Items, why and who.
        #[derive(Debug, ToSchema)]
        #[serde(deny_unknown_fields)]
        #[schema(as = $schema)]
        pub struct $name {
            /// The items; all are done or none.
            #[schema(min_items = 1, max_items = 1_000)]
            pub items: Vec<$item>,
            /// Why, for the change log.
            #[schema(max_length = 200)]
            pub reason: String,
            /// Who, for the change log.
            #[schema(max_length = 200)]
            pub operator: Option<String>,
        }
    };
}

stock_schema!(StockSetBody, SetBody<'static>, StockSetRequest);
stock_schema!(StockAdjustBody, AdjustBody<'static>, StockAdjustRequest);
stock_schema!(
    StockTransferBody,
    TransferBody<'static>,
    StockTransferRequest
);

/// One item of `POST /v1/stock`.
#[derive(Debug, serde::Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = StockSetItem)]
pub struct SetBody<'a> {
    /// What.
    #[serde(borrow)]
    #[schema(value_type = String, required = true)]
    pub sku: Option<Text<'a>>,
    /// Where; `main` when left out.
    #[serde(borrow)]
    #[schema(value_type = Option<String>)]
    pub node: Option<Text<'a>>,
    /// Usable units from now on.
    #[schema(value_type = Option<u64>, maximum = 1_000_000_000_000_u64)]
    pub on_hand: Option<Num>,
    /// Damaged or in inspection from now on.
    #[schema(value_type = Option<u64>, maximum = 1_000_000_000_000_u64)]
    pub unavailable: Option<Num>,
    /// Refuse unless on hand is this now; null or left out: no check.
    #[schema(value_type = Option<u64>)]
    pub change_from: Option<Num>,
}

/// One item of `POST /v1/stock/adjustments`.
#[derive(Debug, serde::Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = StockAdjustItem)]
pub struct AdjustBody<'a> {
    /// What.
    #[serde(borrow)]
    #[schema(value_type = String, required = true)]
    pub sku: Option<Text<'a>>,
    /// Where; `main` when left out.
    #[serde(borrow)]
    #[schema(value_type = Option<String>)]
    pub node: Option<Text<'a>>,
    /// Difference of usable units.
    #[schema(value_type = Option<i64>)]
    pub delta: Option<Num>,
    /// Difference of unavailable units.
    #[schema(value_type = Option<i64>)]
    pub unavailable_delta: Option<Num>,
    /// Refuse unless on hand is this now; null or left out: no check.
    #[schema(value_type = Option<u64>)]
    pub change_from: Option<Num>,
}

/// One item of `POST /v1/stock/transfers`.
#[derive(Debug, serde::Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = StockTransferItem)]
pub struct TransferBody<'a> {
    /// What.
    #[serde(borrow)]
    #[schema(value_type = String, required = true)]
    pub sku: Option<Text<'a>>,
    /// From where.
    #[serde(borrow)]
    #[schema(value_type = String, required = true)]
    pub from: Option<Text<'a>>,
    /// To where.
    #[serde(borrow)]
    #[schema(value_type = String, required = true)]
    pub to: Option<Text<'a>>,
    /// How many, at least one.
    #[schema(value_type = u64, required = true, minimum = 1)]
    pub quantity: Option<Num>,
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

/// Body of `POST /v1/atp`.
#[derive(Debug, serde::Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = AtpRequest)]
pub struct AtpBody<'a> {
    /// The SKUs asked for.
    #[serde(borrow)]
    #[schema(value_type = Vec<String>, required = true, min_items = 1, max_items = 1_000)]
    pub skus: Option<List<Text<'a>>>,
    /// For which channel.
    #[serde(borrow)]
    #[schema(value_type = Option<String>)]
    pub channel: Option<Text<'a>>,
    /// At which node.
    #[serde(borrow)]
    #[schema(value_type = Option<String>)]
    pub node: Option<Text<'a>>,
    /// Up to which day, as `2026-12-24` or an RFC 3339 time.
    #[serde(borrow)]
    #[schema(value_type = Option<String>)]
    pub until: Option<Text<'a>>,
    /// `strong` or `mirror`.
    #[serde(borrow)]
    #[schema(value_type = Option<String>)]
    pub consistency: Option<Text<'a>>,
}
