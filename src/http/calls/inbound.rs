//! The calls about dated supply.

use super::{Answer, Call, Place, get, post};
use crate::http::catalog;

/// In the order of the document.
pub(super) const CALLS: &[Call] = &[
    Call {
        summary: "Announce supply for days, in place of what had the same id; all items or none.",
        tag: "inbound",
        answer: Answer::Json("200", "InboundResults"),
        own: &[
            &catalog::TABLE_FULL,
            &catalog::DUE_TOO_LATE,
            &catalog::TOO_MANY_INBOUND,
            &catalog::TOO_MANY_UNITS,
        ],
        ..post("/v1/inbound", "put_inbound", "InboundPutRequest")
    },
    Call {
        summary: "Announced supply arrived: it is on hand at once; all items or none.",
        tag: "inbound",
        answer: Answer::Json("200", "InboundResults"),
        own: &[
            &catalog::UNKNOWN_SKU,
            &catalog::UNKNOWN_INBOUND,
            &catalog::OVER_RECEIPT,
            &catalog::TOO_MANY_UNITS,
        ],
        ..post(
            "/v1/inbound/receipts",
            "receive_inbound",
            "InboundReceiptRequest",
        )
    },
    Call {
        summary: "What is announced of a SKU.",
        parameters: &[("sku", Place::Query, "The SKU; required.")],
        answer: Answer::Json("200", "Inbound"),
        own: &[&catalog::UNKNOWN_SKU, &catalog::INVALID_PARAMETER],
        ..get("/v1/inbound", "get_inbound", "inbound")
    },
];
