//! Shapes of the answers, for the API document. The answers themselves are written by hand in
//! [`render`](super::render); tests read them back into these types, which take no other field.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

pub use super::atp_answers::{Atp, AtpDate, AtpLimits, AtpMissing, AtpResult, AtpResults};
use super::policy_answers::PolicyFault;
pub use crate::http::settings_answer::{
    LevelSetting, LowWaterSetting, NodeLevelSetting, OwnLowWater, OwnSettings, Settings,
};

/// A promise of units to one caller.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Reservation {
    /// `rsv_` and 26 letters and digits.
    pub id: String,
    /// `held`, `committed`, `shipped`, `released` or `expired` when all units are; else `mixed`.
    pub state: String,
    /// Who sells.
    pub channel: String,
    /// The caller's own name for it.
    #[schema(required = true)]
    pub reference: Option<String>,
    /// When it was made, RFC 3339.
    #[schema(format = DateTime)]
    pub created_at: String,
    /// When held units go back, RFC 3339; null when nothing is held.
    #[schema(required = true, format = DateTime)]
    pub expires_at: Option<String>,
    /// Some line got less than it asked for.
    pub partial: bool,
    /// Sorted by SKU, then node.
    pub lines: Vec<ReservationLine>,
}

/// One line of a reservation. `held`, `committed`, `shipped`, `released` and `expired` add up to
/// `quantity`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReservationLine {
    /// What.
    pub sku: String,
    /// The node that must ship; null: any.
    #[schema(required = true)]
    pub node: Option<String>,
    /// Units asked for.
    pub requested: u64,
    /// Units promised when it was made.
    pub quantity: u64,
    /// Promised for a time.
    pub held: u64,
    /// Promised to a firm order.
    pub committed: u64,
    /// Left the stock.
    pub shipped: u64,
    /// Given back by command.
    pub released: u64,
    /// Given back by the deadline.
    pub expired: u64,
    /// Of the shipped ones, came back.
    pub returned: u64,
    /// The day, UTC, by which they are promised; left out where they were promised of what was on
    /// hand.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(format = Date)]
    pub promise_date: Option<String>,
    /// The channel of whose share they are, where that is another than the reservation's: a fallback
    /// of it in the channel policy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub charged_to: Option<String>,
}

/// One reservation of a batch, done or refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BatchResult {
    /// The status that a single call would have had.
    pub status: u16,
    /// The reservation, with status 201.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reservation: Option<Reservation>,
    /// Why not, with any other status.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<Problem>,
    /// The key was answered before; left out when the ledger was not asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replayed: Option<bool>,
    /// Where the answer stands in the order of changes; left out when the ledger was not asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub position: Option<String>,
    /// Of a refusal that the mirror of a store gave as of that position: how long ago, in
    /// milliseconds, it was known to be whole. It is not kept under the key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mirror_age_ms: Option<u64>,
}

/// Results of a batch, in order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BatchResults {
    /// One per reservation.
    pub results: Vec<BatchResult>,
}

/// One item of a stock call afterwards.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct StockResult {
    /// What.
    pub sku: String,
    /// Where; of a transfer, the receiving node.
    pub node: String,
    /// Usable units there.
    pub on_hand: u64,
    /// Damaged or in inspection there.
    pub unavailable: u64,
    /// Units of the SKU that can still be promised, over all nodes.
    pub available: u64,
    /// Counts the changes of the SKU's stock.
    pub version: u64,
}

/// Results of a stock call, in order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct StockResults {
    /// One per item.
    pub results: Vec<StockResult>,
}

/// What one node has of a SKU.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NodeStock {
    /// Where.
    pub node: String,
    /// Usable units.
    pub on_hand: u64,
    /// Damaged or in inspection.
    pub unavailable: u64,
    /// Open units of lines that must ship from here.
    pub pinned: u64,
    /// Kept back here now; left out where the SKU has no safety stock of its own for this node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub safety_stock: Option<u64>,
}

/// Stock of a SKU.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Stock {
    /// What.
    pub sku: String,
    /// Usable units over all nodes.
    pub on_hand: u64,
    /// Damaged or in inspection over all nodes.
    pub unavailable: u64,
    /// Promised for a time.
    pub held: u64,
    /// Promised to firm orders.
    pub committed: u64,
    /// Kept back now.
    pub safety_stock: u64,
    /// Can still be promised.
    pub available: u64,
    /// Promised beyond what is there, after a count or a loss.
    pub deficit: u64,
    /// It fell to its low-water mark, and did not reach again what ends that.
    pub low: bool,
    /// It takes no new holds: by its settings, or because it is low.
    pub suspended: bool,
    /// `on` or `suspended`.
    pub selling: String,
    /// Counts the changes.
    pub version: u64,
    /// Per node.
    pub nodes: Vec<NodeStock>,
    /// What is announced, sorted by day; left out where nothing is.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub inbound: Vec<InboundItem>,
}

/// Supply that is announced for a day.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct InboundItem {
    /// The caller's name for it.
    pub id: String,
    /// `in_transit`, `presale` or `return`.
    pub kind: String,
    /// Where it will be.
    pub node: String,
    /// The day, UTC, on which it will be there.
    #[schema(format = Date)]
    pub due: String,
    /// Units still to come.
    pub open: u64,
    /// The day has passed: it counts for nothing until it is received or has a new day.
    pub overdue: bool,
}

/// What is announced of a SKU.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Inbound {
    /// What.
    pub sku: String,
    /// Sorted by day.
    pub items: Vec<InboundItem>,
}

/// One item of an inbound call afterwards.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct InboundResult {
    /// What.
    pub sku: String,
    /// The caller's name for it.
    pub id: String,
    /// `in_transit`, `presale` or `return`.
    pub kind: String,
    /// Where it will be.
    pub node: String,
    /// The day, UTC, on which it will be there.
    #[schema(format = Date)]
    pub due: String,
    /// Units still to come.
    pub open: u64,
    /// Units that came with this call.
    pub received: u64,
    /// Usable units of the node.
    pub on_hand: u64,
    /// Counts the changes of the SKU's stock.
    pub version: u64,
}

/// Results of an inbound call, in order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct InboundResults {
    /// One per item.
    pub results: Vec<InboundResult>,
}

/// A promise that what is on hand does not reach.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PromiseAtRisk {
    /// The reservation.
    pub reservation_id: String,
    /// Who sold.
    pub channel: String,
    /// The channel of whose share the line is, where that is another.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub charged_to: Option<String>,
    /// When it was made.
    #[schema(format = DateTime)]
    pub created_at: String,
    /// The node that must ship; `null`: any.
    pub node: Option<String>,
    /// Open units of the line that are held.
    pub held: u64,
    /// Open units of the line that are committed.
    pub committed: u64,
    /// Units of them that are not there.
    pub at_risk: u64,
}

/// A SKU that is promised beyond what is there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Deficit {
    /// What.
    pub sku: String,
    /// Units promised beyond what is there, over all nodes or at single nodes.
    pub deficit: u64,
    /// Usable units over all nodes.
    pub on_hand: u64,
    /// Promised for a time.
    pub held: u64,
    /// Promised to firm orders.
    pub committed: u64,
    /// Lines at risk; `promises` shows at most 1,000 of them.
    pub lines: u64,
    /// The promises at risk, first those to go.
    pub promises: Vec<PromiseAtRisk>,
}

/// A page of deficits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DeficitPage {
    /// In the order of the SKUs' names.
    pub data: Vec<Deficit>,
    /// What to give as `after` for the next page; `null`: this was the last.
    pub next: Option<String>,
}

/// What became of one promise.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DeficitReleased {
    /// The reservation.
    pub reservation_id: String,
    /// The node that its line is pinned to.
    pub node: Option<String>,
    /// Units that were to be released.
    pub units: u64,
    /// They were.
    pub released: bool,
    /// Why they were not: the code of the problem.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
}

/// What was released of a SKU.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DeficitReleases {
    /// What.
    pub sku: String,
    /// Units that are still missing.
    pub deficit: u64,
    /// Each promise, in order.
    pub results: Vec<DeficitReleased>,
}

/// Something that happened. Every type has members of its own besides these.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Event {
    /// Where it stands, `0.<epoch>.<sequence>`.
    pub position: String,
    /// Counts the changes, without gaps.
    pub sequence: u64,
    /// For instance `reservation.created`.
    pub r#type: String,
    /// When it was decided, RFC 3339.
    #[schema(format = DateTime)]
    pub at: String,
}

/// A page of events.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct EventPage {
    /// The events, oldest first.
    pub data: Vec<Event>,
    /// Pass it as `after` to go on.
    pub next: String,
}

/// A line that could not be served as asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Shortage {
    /// What.
    pub sku: String,
    /// The node asked for; null: any.
    #[schema(required = true)]
    pub node: Option<String>,
    /// Units asked for.
    pub requested: u64,
    /// The largest quantity that would have passed.
    pub available: u64,
    /// Units short.
    pub short: u64,
    /// What bound: `stock`, `inbound`, `later`, `safety`, `cap`, `protection`, `node`, `date` or
    /// `suspended`.
    pub limit: String,
    /// The first day, UTC, by which all of it could be promised, if it is announced.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(format = Date)]
    pub next_date: Option<String>,
    /// Whose cap, or for whom units are kept; this and what follows only of those two.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channel: Option<String>,
    /// The cap or protection in units.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub units: Option<u64>,
    /// What that channel used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub used: Option<u64>,
    /// What a percentage was taken of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub supply: Option<u64>,
    /// All of it in a sentence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
}

/// A mistake in the body.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct FieldError {
    /// JSON pointer to the value.
    pub pointer: String,
    /// Stable word.
    pub code: String,
    /// What would be right.
    pub detail: String,
}

/// A mistake in a body, or a fault of a policy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(untagged)]
pub enum Mistake {
    /// In a body.
    Field(FieldError),
    /// In a policy.
    Policy(PolicyFault),
}

/// Problem details (RFC 9457). Some codes add members of their own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Problem {
    /// Page of this problem on this server.
    pub r#type: String,
    /// The same for every occurrence.
    pub title: String,
    /// Status of the answer.
    pub status: u16,
    /// Stable name; branch on this.
    pub code: String,
    /// What happened here, and what to do.
    pub detail: String,
    /// Path of the request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance: Option<String>,
    /// Also in the header `X-Request-Id`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
    /// Of `insufficient_stock`: the lines that are short.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shortages: Option<Vec<Shortage>>,
    /// Of `invalid_body`: every mistake. Of `policy_invalid`: every fault.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub errors: Option<Vec<Mistake>>,
}
