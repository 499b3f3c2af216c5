//! Every problem the API can answer: one entry, one meaning. The pages under `/problems/` and the
//! OpenAPI document are made from this list.

use hyper::StatusCode;

/// One kind of problem.
#[derive(Debug, PartialEq, Eq)]
pub struct Kind {
    /// Status of the answer.
    pub status: StatusCode,
    /// Stable name; callers branch on it.
    pub code: &'static str,
    /// The same for every occurrence.
    pub title: &'static str,
    /// What it means and what to do, for the page of this problem.
    pub help: &'static str,
}

impl Kind {
    /// Whether the same request may pass a little later.
    pub fn will_pass(&self) -> bool {
        matches!(
            self.status,
            StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS
        )
    }
}

macro_rules! catalog {
    ($($name:ident = $status:ident $code:literal $title:literal $help:literal;)*) => {
        $(
            #[doc = $title]
            pub static $name: Kind = Kind {
                status: StatusCode::$status,
                code: $code,
                title: $title,
                help: $help,
            };
        )*
        /// All of them.
        pub static ALL: &[&Kind] = &[$(&$name),*];
    };
}

catalog! {
    MALFORMED_BODY = BAD_REQUEST "malformed_body" "The body cannot be read"
        "The body is not the JSON that this call takes: broken syntax, invalid UTF-8, a value of the wrong type, or a field that is not known or given twice. The detail names line, column and field.";
    MALFORMED_REQUEST = BAD_REQUEST "malformed_request" "The request cannot be read"
        "The request is not valid HTTP/1.1. Nothing was changed.";
    INVALID_PARAMETER = BAD_REQUEST "invalid_parameter" "A parameter is not valid"
        "A path, query or header parameter cannot be used. The detail names it and says what would be right.";
    KEY_MISSING = BAD_REQUEST "idempotency_key_missing" "The Idempotency-Key header is missing"
        "Every POST that changes stock carries a key that the caller makes up, one per intent, for instance a UUID. Sending the same request again with the same key is then safe.";
    KEY_INVALID = BAD_REQUEST "idempotency_key_invalid" "The Idempotency-Key header is not valid"
        "A key is 1 to 255 visible ASCII characters without quotes, given once; the header may put it in double quotes.";
    NOT_FOUND = NOT_FOUND "not_found" "There is nothing here"
        "No such path. The paths are listed in /openapi.json.";
    UNKNOWN_SKU = NOT_FOUND "unknown_sku" "No such SKU"
        "The SKU has never been given stock or settings. Put stock first with POST /v1/stock.";
    UNKNOWN_RESERVATION = NOT_FOUND "unknown_reservation" "No such reservation"
        "The id is wrong, or the reservation ended and its retention has passed.";
    UNKNOWN_KEY = NOT_FOUND "unknown_key" "Nothing happened under this key"
        "No command with this idempotency key was answered within the retention, so nothing was changed by it.";
    NO_POLICY = NOT_FOUND "no_policy" "There is no policy"
        "None was ever put: every channel may take all that is free.";
    UNKNOWN_POLICY_VERSION = NOT_FOUND "unknown_policy_version" "No such version of the policy"
        "It was never put, or is older than the last 16.";
    UNKNOWN_NODE = NOT_FOUND "unknown_node" "No such node"
        "No stock was ever put at a node of this name.";
    UNKNOWN_CAMPAIGN = NOT_FOUND "unknown_campaign" "No such campaign"
        "The policy has no campaign of this name. GET /v1/campaigns lists those that there are.";
    METHOD_NOT_ALLOWED = METHOD_NOT_ALLOWED "method_not_allowed" "The path does not take this method"
        "The Allow header lists the methods of this path.";
    REQUEST_TIMEOUT = REQUEST_TIMEOUT "request_timeout" "The request did not arrive in time"
        "Head and body must arrive within the server's limits. Nothing was changed; send it again with the same key.";
    INSUFFICIENT_STOCK = CONFLICT "insufficient_stock" "Not enough stock to promise"
        "The shortages list per line what binds (stock, safety, cap, protection, node, date and others), the largest quantity that would have passed, and in next_date the first day by which all of it could be promised. Nothing was held. The same key gives this answer again, unless it came from the mirror of a store, which the header Holdfast-Mirror-Age-Ms says; use a new key for a new attempt.";
    RESERVATION_EXPIRED = CONFLICT "reservation_expired" "The reservation has expired"
        "Its deadline passed and the held units went back. Reserve again with a new key.";
    RESERVATION_RELEASED = CONFLICT "reservation_released" "The reservation was released"
        "Its units went back by command.";
    RESERVATION_SHIPPED = CONFLICT "reservation_shipped" "The reservation was shipped"
        "All its units left the stock. Use return for what comes back.";
    NOT_HELD = CONFLICT "reservation_not_held" "Nothing is held any more"
        "Only held units have a deadline that can be extended.";
    NOT_CONFIRMED = CONFLICT "reservation_not_confirmed" "Held units must be confirmed first"
        "Only committed units ship. Confirm the reservation, then ship it.";
    NOT_SHIPPED = CONFLICT "reservation_not_shipped" "Nothing was shipped"
        "Only shipped units can come back.";
    UNKNOWN_LINE = CONFLICT "unknown_line" "The reservation has no such line"
        "No line of the reservation has this SKU, or not at this node.";
    OVER_CONFIRM = CONFLICT "over_confirm" "More than is held"
        "The lines name per SKU what was asked for and the most that would pass. Nothing was changed.";
    OVER_RELEASE = CONFLICT "over_release" "More than is held and committed"
        "The lines name per SKU what was asked for and the most that would pass. Nothing was changed.";
    OVER_SHIP = CONFLICT "over_ship" "More than is committed"
        "The lines name per SKU what was asked for and the most that would pass. Nothing was changed.";
    OVER_RETURN = CONFLICT "over_return" "More than was shipped"
        "The lines name per SKU what was asked for and the most that would pass. Nothing was changed.";
    PARTIAL_TRANSFER = CONFLICT "partial_transfer" "A transfer moves whole lines"
        "Leave the quantity of the line as it is, or release part of the line first.";
    CHANGE_FROM_STALE = CONFLICT "change_from_stale" "The stock is not what you think"
        "An item's change_from differs from what is there. Read the stock, decide again. Nothing was changed.";
    OVER_SHARE = CONFLICT "over_share" "More than is left of the share"
        "The channel has less of its cap left, or where it has none of its protection, than is to be moved; or it has neither in the rule in force. Nothing was changed.";
    NEGATIVE_STOCK = CONFLICT "negative_stock" "The stock would become negative"
        "The adjustment or transfer takes more than is there. Nothing was changed.";
    TOO_MANY_UNITS = CONFLICT "too_many_units" "A quantity would become too large"
        "No counter holds more than 1,000,000,000,000 units.";
    VERSION_MISMATCH = PRECONDITION_FAILED "version_mismatch" "It was changed meanwhile"
        "If-Match names another version of the settings, or of the policy, than the one in force. Read them, decide again.";
    POLICY_FROZEN = CONFLICT "policy_frozen" "A campaign has frozen the policy"
        "Wait until the campaign is over, or say in `override` why the freeze is overridden.";
    UNKNOWN_INBOUND = CONFLICT "unknown_inbound" "Nothing is announced under that id"
        "The SKU has no open announcement of this id: it was received, cancelled, or never put. Nothing was changed.";
    OVER_RECEIPT = CONFLICT "over_receipt" "More arrived than was announced"
        "Put the announcement with what really comes first, or receive what was announced and adjust the stock by the rest. Nothing was changed.";
    DUE_TOO_LATE = CONFLICT "due_too_late" "The day is too far ahead"
        "Supply can be announced for at most 180 days ahead; latest is the last day that can be named now. Nothing was changed.";
    TOO_MANY_INBOUND = CONFLICT "too_many_inbound" "The SKU has too many open announcements"
        "A SKU has at most 256 open announcements. Receive or cancel some, or announce what comes on one day as one. Nothing was changed.";
    BODY_TOO_LARGE = PAYLOAD_TOO_LARGE "body_too_large" "The body is too large"
        "Bodies are at most 256 KiB, of /v1/policy and of a campaign's pre-flight 1 MiB, of /v1/reservations/batch 8 MiB. Send less per request.";
    URI_TOO_LONG = URI_TOO_LONG "uri_too_long" "The path is too long"
        "The path and query of a request are at most 8 KiB together.";
    UNSUPPORTED_MEDIA_TYPE = UNSUPPORTED_MEDIA_TYPE "unsupported_media_type" "The body is not JSON"
        "Send Content-Type: application/json, or leave the header out.";
    UNSUPPORTED_ENCODING = UNSUPPORTED_MEDIA_TYPE "unsupported_encoding" "The body is encoded"
        "Bodies are not decompressed. Leave Content-Encoding out and send the JSON as it is.";
    UNSUPPORTED_TRANSFER = NOT_IMPLEMENTED "unsupported_transfer_encoding" "No such transfer encoding"
        "A body comes with its Content-Length, or with Transfer-Encoding: chunked alone. Nothing was changed.";
    INVALID_BODY = UNPROCESSABLE_ENTITY "invalid_body" "The request makes no sense"
        "The body could be read, but its content is not valid. All mistakes are listed in errors, each with a JSON pointer.";
    POLICY_INVALID = UNPROCESSABLE_ENTITY "policy_invalid" "The policy has faults"
        "Nothing was changed. All faults are listed in errors, each with a path, a code and a message.";
    KEY_REUSED = UNPROCESSABLE_ENTITY "idempotency_key_reused" "The key was used for another request"
        "The same idempotency key came before with another content. Use a new key for a new intent.";
    PRECONDITION_REQUIRED = PRECONDITION_REQUIRED "precondition_required" "The If-Match header is missing"
        "Read the settings, or the policy, and send their ETag as If-Match, so that nobody else's change is overwritten unseen. `*` says: whatever is there.";
    HEADERS_TOO_LARGE = REQUEST_HEADER_FIELDS_TOO_LARGE "headers_too_large" "The headers are too large"
        "The head of a request is at most 16 KiB and 100 headers.";
    EVENTS_GONE = GONE "events_gone" "These events are not kept any more"
        "The feed begins later than the position asked for, or what stood there was lost in a crash. Read the state anew and go on from oldest, where it is named.";
    INTERNAL = INTERNAL_SERVER_ERROR "internal" "A bug"
        "This should not happen. The log has more under the request id.";
    OVERLOADED = SERVICE_UNAVAILABLE "overloaded" "Too much work is queued"
        "Nothing was changed. Wait as Retry-After says, then send it again with the same key.";
    UNAVAILABLE = SERVICE_UNAVAILABLE "unavailable" "The ledger is not available"
        "Nothing was changed. Wait as Retry-After says, then send it again with the same key.";
    QUARANTINED = SERVICE_UNAVAILABLE "quarantined" "The store has lost acknowledged changes"
        "Nothing was changed, and nothing is shown that may be wrong. Somebody must accept the loss, which doctor names, or bring back the server that has them.";
    POISONED = SERVICE_UNAVAILABLE "journal_failed" "The journal failed"
        "This process accepts no more changes and must be restarted. Nothing was changed by this request.";
    TABLE_FULL = UNPROCESSABLE_ENTITY "names_full" "No more names can be kept"
        "The number of different channel and node names is limited; they are never forgotten. Check for names that are made up per order.";
    SHUTTING_DOWN = SERVICE_UNAVAILABLE "shutting_down" "The server is stopping"
        "Nothing was changed. Send it again, with the same key, to another instance or a little later.";
    TOO_MANY_CONNECTIONS = SERVICE_UNAVAILABLE "too_many_connections" "Too many connections"
        "All connections of this server are taken. Nothing was changed; reuse connections and try again.";
    TOO_MANY_OF_ADDRESS = TOO_MANY_REQUESTS "too_many_connections_of_address" "Too many connections from this address"
        "The address has as many connections open as one may have (http.connections_per_address_max). Nothing was changed; reuse connections and try again.";
    RESULT_UNKNOWN = GATEWAY_TIMEOUT "result_unknown" "The result is unknown"
        "The change may have happened. Send it again with the same key, or ask GET /v1/reservations?key=.";
}

/// The kind with this code.
pub fn by_code(code: &str) -> Option<&'static Kind> {
    ALL.iter().copied().find(|kind| kind.code == code)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn codes_are_unique_words() {
        let codes: BTreeSet<&str> = ALL.iter().map(|kind| kind.code).collect();
        assert_eq!(codes.len(), ALL.len());
        assert!(
            codes
                .iter()
                .all(|c| c.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'))
        );
    }
}
