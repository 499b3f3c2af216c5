//! The table of calls that the API document is made from.

mod inbound;
mod policy;

use crate::http::catalog::{self, Kind};

/// Where a parameter stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// In the path.
    Path,
    /// In the query, optional.
    Query,
    /// In a header, optional.
    Header,
    /// In a header, required.
    RequiredHeader,
}

/// What a call answers when it succeeds.
#[derive(Debug, Clone, Copy)]
pub enum Answer {
    /// JSON: status and schema.
    Json(&'static str, &'static str),
    /// Text of this media type.
    Text(&'static str),
    /// A page of events, or a stream of them.
    Events,
}

type Parameter = (&'static str, Place, &'static str);

/// One call.
#[derive(Debug)]
pub struct Call {
    /// Method.
    pub method: &'static str,
    /// Path as the router has it.
    pub path: &'static str,
    /// Name of the operation.
    pub id: &'static str,
    /// Group.
    pub tag: &'static str,
    /// One sentence.
    pub summary: &'static str,
    /// Parameters.
    pub parameters: &'static [Parameter],
    /// Schema of the body, and whether it must be there.
    pub body: Option<(&'static str, bool)>,
    /// The answer.
    pub answer: Answer,
    /// It changes something, and the answer says where that stands.
    pub commits: bool,
    /// Problems of its own.
    pub own: &'static [&'static Kind],
}

impl Call {
    /// Every problem it can answer.
    pub fn problems(&self) -> impl Iterator<Item = &'static Kind> {
        const ANY: &[&Kind] = &[
            &catalog::OVERLOADED,
            &catalog::UNAVAILABLE,
            &catalog::QUARANTINED,
        ];
        const BODY: &[&Kind] = &[
            &catalog::MALFORMED_BODY,
            &catalog::REQUEST_TIMEOUT,
            &catalog::BODY_TOO_LARGE,
            &catalog::UNSUPPORTED_MEDIA_TYPE,
            &catalog::UNSUPPORTED_ENCODING,
            &catalog::INVALID_BODY,
        ];
        const COMMIT: &[&Kind] = &[
            &catalog::KEY_INVALID,
            &catalog::KEY_REUSED,
            &catalog::POISONED,
            &catalog::RESULT_UNKNOWN,
        ];
        let body = if self.body.is_some() { BODY } else { &[] };
        let commit = if self.commits { COMMIT } else { &[] };
        let keyed = self
            .parameters
            .contains(&KEY)
            .then_some(&catalog::KEY_MISSING);
        keyed
            .into_iter()
            .chain([ANY, body, commit, self.own].into_iter().flatten().copied())
    }
}

const KEY: Parameter = (
    "Idempotency-Key",
    Place::RequiredHeader,
    "Made up by the caller, one per intent; 1 to 255 visible ASCII characters without quotes.",
);
const ID: Parameter = ("id", Place::Path, "The reservation.");
const SKU: Parameter = ("sku", Place::Path, "The SKU.");
const ORDER: Parameter = (
    "order",
    Place::Query,
    "Who goes first: newest (default), oldest, or held before committed.",
);
const VERBOSE: Parameter = ("verbose", Place::Query, "List the checks.");

const fn get(path: &'static str, id: &'static str, tag: &'static str) -> Call {
    Call {
        method: "GET",
        path,
        id,
        tag,
        summary: "",
        parameters: &[],
        body: None,
        answer: Answer::Text("text/plain"),
        commits: false,
        own: &[],
    }
}

const fn post(path: &'static str, id: &'static str, body: &'static str) -> Call {
    Call {
        method: "POST",
        parameters: &[KEY],
        body: Some((body, true)),
        answer: Answer::Json("200", "StockResults"),
        commits: true,
        ..get(path, id, "stock")
    }
}

const fn act(path: &'static str, id: &'static str, body: &'static str) -> Call {
    Call {
        tag: "reservations",
        parameters: &[ID, KEY],
        body: Some((body, false)),
        answer: Answer::Json("200", "Reservation"),
        ..post(path, id, body)
    }
}

/// Every call.
pub fn all() -> impl Iterator<Item = &'static Call> {
    CALLS.iter().chain(inbound::CALLS).chain(policy::CALLS)
}

const CALLS: &[Call] = &[
    Call {
        summary: "Hold units: all lines or none, unless partial is allowed.",
        tag: "reservations",
        answer: Answer::Json("201", "Reservation"),
        own: &[
            &catalog::TABLE_FULL,
            &catalog::INSUFFICIENT_STOCK,
            &catalog::UNKNOWN_SKU,
        ],
        ..post("/v1/reservations", "reserve", "ReserveRequest")
    },
    Call {
        summary: "Many reservations, each done or refused on its own.",
        tag: "reservations",
        parameters: &[],
        answer: Answer::Json("200", "BatchResults"),
        ..post("/v1/reservations/batch", "reserve_batch", "BatchRequest")
    },
    Call {
        summary: "Settle an unknown result: by key, or by reference and channel.",
        parameters: &[
            (
                "key",
                Place::Query,
                "The idempotency key of the call whose answer was lost.",
            ),
            (
                "reference",
                Place::Query,
                "The caller's own name for the reservation.",
            ),
            ("channel", Place::Query, "Goes with reference."),
        ],
        answer: Answer::Json("200", "Reservation"),
        own: &[
            &catalog::UNKNOWN_KEY,
            &catalog::UNKNOWN_RESERVATION,
            &catalog::INVALID_PARAMETER,
            &catalog::POISONED,
            &catalog::RESULT_UNKNOWN,
        ],
        ..get("/v1/reservations", "find_reservation", "reservations")
    },
    Call {
        summary: "A reservation.",
        parameters: &[ID],
        answer: Answer::Json("200", "Reservation"),
        own: &[
            &catalog::UNKNOWN_RESERVATION,
            &catalog::POISONED,
            &catalog::RESULT_UNKNOWN,
        ],
        ..get("/v1/reservations/{id}", "get_reservation", "reservations")
    },
    Call {
        summary: "Held becomes committed: no deadline any more.",
        own: &[
            &catalog::UNKNOWN_RESERVATION,
            &catalog::UNKNOWN_LINE,
            &catalog::RESERVATION_EXPIRED,
            &catalog::RESERVATION_RELEASED,
            &catalog::OVER_CONFIRM,
        ],
        ..act("/v1/reservations/{id}/confirm", "confirm", "LinesRequest")
    },
    Call {
        summary: "Held, then committed units go back; where all are back already, nothing changes.",
        own: &[
            &catalog::UNKNOWN_RESERVATION,
            &catalog::UNKNOWN_LINE,
            &catalog::RESERVATION_SHIPPED,
            &catalog::OVER_RELEASE,
        ],
        ..act("/v1/reservations/{id}/release", "release", "LinesRequest")
    },
    Call {
        summary: "The deadline moves, never backwards.",
        body: Some(("ExtendRequest", true)),
        own: &[
            &catalog::UNKNOWN_RESERVATION,
            &catalog::RESERVATION_EXPIRED,
            &catalog::RESERVATION_RELEASED,
            &catalog::NOT_HELD,
        ],
        ..act("/v1/reservations/{id}/extend", "extend", "ExtendRequest")
    },
    Call {
        summary: "Committed units leave the stock.",
        own: &[
            &catalog::UNKNOWN_RESERVATION,
            &catalog::UNKNOWN_LINE,
            &catalog::RESERVATION_EXPIRED,
            &catalog::RESERVATION_RELEASED,
            &catalog::NOT_CONFIRMED,
            &catalog::OVER_SHIP,
            &catalog::INSUFFICIENT_STOCK,
        ],
        ..act("/v1/reservations/{id}/ship", "ship", "ShipRequest")
    },
    Call {
        summary: "Shipped units come back.",
        own: &[
            &catalog::TABLE_FULL,
            &catalog::UNKNOWN_RESERVATION,
            &catalog::UNKNOWN_LINE,
            &catalog::NOT_SHIPPED,
            &catalog::OVER_RETURN,
            &catalog::TOO_MANY_UNITS,
        ],
        ..act("/v1/reservations/{id}/return", "return", "ReturnRequest")
    },
    Call {
        summary: "Open lines ship from another node from now on.",
        body: Some(("PinRequest", true)),
        own: &[
            &catalog::UNKNOWN_RESERVATION,
            &catalog::UNKNOWN_LINE,
            &catalog::RESERVATION_EXPIRED,
            &catalog::RESERVATION_RELEASED,
            &catalog::RESERVATION_SHIPPED,
            &catalog::PARTIAL_TRANSFER,
            &catalog::INSUFFICIENT_STOCK,
        ],
        ..act(
            "/v1/reservations/{id}/transfer",
            "transfer_reservation",
            "PinRequest",
        )
    },
    Call {
        summary: "Set stock, with compare-and-set if wanted; all items or none. Makes new SKUs.",
        own: &[
            &catalog::TABLE_FULL,
            &catalog::CHANGE_FROM_STALE,
            &catalog::TOO_MANY_UNITS,
        ],
        ..post("/v1/stock", "set_stock", "StockSetRequest")
    },
    Call {
        summary: "Change stock by differences; all items or none.",
        own: &[
            &catalog::TABLE_FULL,
            &catalog::UNKNOWN_SKU,
            &catalog::CHANGE_FROM_STALE,
            &catalog::NEGATIVE_STOCK,
            &catalog::TOO_MANY_UNITS,
        ],
        ..post(
            "/v1/stock/adjustments",
            "adjust_stock",
            "StockAdjustRequest",
        )
    },
    Call {
        summary: "Move usable units that no pin needs between nodes; all items or none.",
        own: &[
            &catalog::TABLE_FULL,
            &catalog::UNKNOWN_SKU,
            &catalog::INSUFFICIENT_STOCK,
        ],
        ..post(
            "/v1/stock/transfers",
            "transfer_stock",
            "StockTransferRequest",
        )
    },
    Call {
        summary: "Stock of a SKU, over all nodes and per node.",
        parameters: &[SKU],
        answer: Answer::Json("200", "Stock"),
        own: &[&catalog::UNKNOWN_SKU, &catalog::INVALID_PARAMETER],
        ..get("/v1/stock/{sku}", "get_stock", "stock")
    },
    Call {
        summary: "Settings of a SKU, with their entity tag.",
        parameters: &[SKU],
        answer: Answer::Json("200", "Settings"),
        own: &[&catalog::UNKNOWN_SKU, &catalog::INVALID_PARAMETER],
        ..get("/v1/skus/{sku}", "get_settings", "stock")
    },
    Call {
        method: "PUT",
        summary: "Change settings of a SKU; what is left out stays.",
        parameters: &[
            SKU,
            (
                "If-Match",
                Place::Header,
                "The entity tag read, or *; required for a known SKU.",
            ),
            (
                "Idempotency-Key",
                Place::Header,
                "Optional here: If-Match guards the change.",
            ),
        ],
        answer: Answer::Json("200", "Settings"),
        own: &[
            &catalog::INVALID_PARAMETER,
            &catalog::PRECONDITION_REQUIRED,
            &catalog::VERSION_MISMATCH,
            &catalog::POLICY_FROZEN,
        ],
        ..post("/v1/skus/{sku}", "put_settings", "SettingsRequest")
    },
    Call {
        summary: "What may be promised of a SKU now, and by date where supply is announced.",
        parameters: &[
            SKU,
            ("channel", Place::Query, "For which channel."),
            ("node", Place::Query, "At which node; left out: over all."),
            (
                "until",
                Place::Query,
                "Up to which day, as 2026-12-24 or an RFC 3339 time.",
            ),
            (
                "consistency",
                Place::Query,
                "mirror, if left out: as of a moment not long ago, with all that this instance \
                 answered before. strong: of now. The same in the embedded store.",
            ),
        ],
        answer: Answer::Json("200", "Atp"),
        own: &[
            &catalog::UNKNOWN_SKU,
            &catalog::UNKNOWN_NODE,
            &catalog::INVALID_PARAMETER,
        ],
        ..get("/v1/atp/{sku}", "get_atp", "atp")
    },
    Call {
        summary: "What may be promised of many SKUs, in the order asked.",
        tag: "atp",
        parameters: &[],
        answer: Answer::Json("200", "AtpResults"),
        commits: false,
        ..post("/v1/atp", "get_atp_bulk", "AtpRequest")
    },
    Call {
        summary: "SKUs that are promised beyond what is there, and whom that touches.",
        parameters: &[
            ("after", Place::Query, "The SKU to continue after."),
            ("limit", Place::Query, "1 to 1,000; 100 when left out."),
            ORDER,
        ],
        answer: Answer::Json("200", "DeficitPage"),
        own: &[&catalog::INVALID_PARAMETER],
        ..get("/v1/deficits", "list_deficits", "deficits")
    },
    Call {
        summary: "The deficit of a SKU; 0 where nothing is missing.",
        parameters: &[SKU, ORDER],
        answer: Answer::Json("200", "Deficit"),
        own: &[&catalog::INVALID_PARAMETER, &catalog::UNKNOWN_SKU],
        ..get("/v1/deficits/{sku}", "get_deficit", "deficits")
    },
    Call {
        summary: "Release promises in order until nothing is missing; a key releases once.",
        tag: "deficits",
        parameters: &[SKU, KEY],
        body: Some(("DeficitReleaseRequest", false)),
        answer: Answer::Json("200", "DeficitReleases"),
        commits: false,
        own: &[
            &catalog::KEY_INVALID,
            &catalog::UNKNOWN_SKU,
            &catalog::RESULT_UNKNOWN,
            &catalog::POISONED,
        ],
        ..post(
            "/v1/deficits/{sku}/release",
            "release_deficit",
            "DeficitReleaseRequest",
        )
    },
    Call {
        summary: "What happened, in order; durable events only. Accept: text/event-stream streams.",
        parameters: &[
            (
                "after",
                Place::Query,
                "Position to continue after; left out: from the beginning.",
            ),
            (
                "shard",
                Place::Query,
                "Which order of changes, from 0; a ledger of several partitions has one in each.",
            ),
            (
                "limit",
                Place::Query,
                "1 to 1,000; 100 when left out. Not for streams.",
            ),
            (
                "Last-Event-ID",
                Place::Header,
                "Resumes a stream; wins over after.",
            ),
        ],
        answer: Answer::Events,
        own: &[&catalog::INVALID_PARAMETER, &catalog::EVENTS_GONE],
        ..get("/v1/events", "get_events", "events")
    },
    Call {
        summary: "The process answers.",
        parameters: &[VERBOSE],
        ..get("/livez", "livez", "operation")
    },
    Call {
        summary: "New requests are welcome; 503 before the server stops.",
        parameters: &[VERBOSE],
        ..get("/readyz", "readyz", "operation")
    },
    Call {
        summary: "Metrics in the Prometheus text format.",
        ..get("/metrics", "metrics", "operation")
    },
    Call {
        summary: "This document.",
        answer: Answer::Text("application/json"),
        ..get("/openapi.json", "openapi", "operation")
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    fn lists(id: &str, kind: &'static Kind) -> bool {
        let call = all().find(|call| call.id == id);
        call.is_some_and(|call| call.own.contains(&kind))
    }

    #[test]
    fn the_refusals_listed_are_those_that_come() {
        for kind in [
            &catalog::RESERVATION_EXPIRED,
            &catalog::RESERVATION_RELEASED,
            &catalog::RESERVATION_SHIPPED,
        ] {
            assert!(lists("transfer_reservation", kind), "{}", kind.code);
        }
        assert!(lists("set_stock", &catalog::TOO_MANY_UNITS));
        assert!(!lists("release", &catalog::RESERVATION_EXPIRED));
        assert!(!lists("transfer_stock", &catalog::NEGATIVE_STOCK));
    }
}
