//! What the server answers, typed. Members that this client does not know are ignored.

use std::time::{Duration, SystemTime};

use serde::Deserialize;

use crate::Text;
use crate::key::IdempotencyKey;
use crate::refusal::{Excess, Limit, Refusal, Shortage, Stale};
use crate::settings::Selling;

/// An outcome or a refusal: both are answers, neither is an error.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use = "a refusal has changed nothing"]
pub enum Answer<T> {
    /// It is done.
    Done(T),
    /// It was refused and nothing was changed.
    Refused(Box<Refusal>),
}

impl<T> Answer<T> {
    /// The outcome, if it was done.
    pub fn done(self) -> Option<T> {
        match self {
            Self::Done(outcome) => Some(outcome),
            Self::Refused(_) => None,
        }
    }

    /// The refusal, if it was refused.
    pub fn refusal(&self) -> Option<&Refusal> {
        match self {
            Self::Done(_) => None,
            Self::Refused(refusal) => Some(refusal),
        }
    }
}

/// A request that the server rejected as wrong: repeating it is of no use. RFC 9457.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(default)]
pub struct Problem {
    /// The HTTP status.
    pub status: u16,
    /// Stable code, for instance `unknown_sku` or `idempotency_key_reused`.
    pub code: Text,
    /// Names the kind.
    pub title: Option<Box<str>>,
    /// One sentence for people.
    pub detail: Option<Box<str>>,
    /// Wanted by whoever runs the server.
    pub request_id: Option<Text>,
}

/// A problem document, read once: it becomes a [`Refusal`] or a [`Problem`] by its status.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct AnyProblem {
    pub(crate) code: Text,
    title: Option<Box<str>>,
    detail: Option<Box<str>>,
    request_id: Option<Text>,
    pub(crate) retry_after_ms: Option<u64>,
    shortages: Vec<Shortage>,
    lines: Vec<Excess>,
    stale: Vec<Stale>,
    version: Option<u32>,
}

impl AnyProblem {
    /// Reads a body. A body that is no problem document (a proxy's page) leaves every member empty.
    pub(crate) fn read(body: &[u8]) -> Self {
        serde_json::from_slice(body).unwrap_or_default()
    }

    pub(crate) fn into_refusal(self) -> Refusal {
        Refusal {
            code: self.code,
            detail: self.detail,
            shortages: self.shortages,
            lines: self.lines,
            stale: self.stale,
            version: self.version,
        }
    }

    pub(crate) fn into_problem(self, status: u16) -> Problem {
        let Self {
            code,
            title,
            detail,
            request_id,
            ..
        } = self;
        Problem {
            status,
            code,
            title,
            detail,
            request_id,
        }
    }
}

/// Where the units of a reservation or a line are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum State {
    /// Held until the deadline.
    Held,
    /// Sold; no deadline.
    Committed,
    /// Left the stock.
    Shipped,
    /// Gone back by command.
    Released,
    /// Gone back because the deadline passed.
    Expired,
    /// Lines or units differ.
    Mixed,
    /// A state that this client does not know.
    #[serde(other)]
    Other,
}

/// A reservation.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Reservation {
    /// Its identity.
    pub id: Text,
    /// The state all its units agree on, or mixed.
    pub state: State,
    /// Who sells.
    #[serde(default)]
    pub channel: Text,
    /// The caller's own name for it.
    #[serde(default)]
    pub reference: Option<Text>,
    /// When it was made.
    #[serde(default, deserialize_with = "crate::clock::optional_time")]
    pub created_at: Option<SystemTime>,
    /// When its held units go back; `None` when nothing is held.
    #[serde(default, deserialize_with = "crate::clock::optional_time")]
    pub expires_at: Option<SystemTime>,
    /// Less was held than asked for, which was allowed.
    #[serde(default)]
    pub partial: bool,
    /// Its lines.
    #[serde(default)]
    pub lines: Vec<ReservationLine>,
}

impl Reservation {
    /// Units held, over all lines.
    pub fn held(&self) -> u64 {
        self.lines.iter().map(|line| line.held).sum()
    }
}

/// One line of a reservation.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct ReservationLine {
    /// What.
    pub sku: Text,
    /// Where from; `None` while no node was chosen.
    #[serde(default)]
    pub node: Option<Text>,
    /// Units asked for; more than the quantity where partial was allowed.
    #[serde(default)]
    pub requested: u64,
    /// Units of the line.
    pub quantity: u64,
    /// Units held.
    #[serde(default)]
    pub held: u64,
    /// Units committed.
    #[serde(default)]
    pub committed: u64,
    /// Units shipped.
    #[serde(default)]
    pub shipped: u64,
    /// Units gone back by command.
    #[serde(default)]
    pub released: u64,
    /// Units gone back because the deadline passed.
    #[serde(default)]
    pub expired: u64,
    /// Shipped units that came back.
    #[serde(default)]
    pub returned: u64,
    /// The day by which they are promised; `None`: of what was on hand.
    #[serde(default)]
    pub promise_date: Option<Text>,
    /// The channel of whose share they are; `None`: the reservation's own.
    #[serde(default)]
    pub charged_to: Option<Text>,
}

/// One item of a stock command afterwards.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct StockResult {
    /// What.
    pub sku: Text,
    /// Where.
    pub node: Text,
    /// Units there.
    pub on_hand: u64,
    /// Units there that are damaged or in inspection.
    #[serde(default)]
    pub unavailable: u64,
    /// Units of the SKU that can still be promised.
    pub available: u64,
    /// Version of the SKU's stock.
    pub version: u64,
}

/// A list of answers in the order of what was asked.
#[derive(Deserialize)]
pub(crate) struct Results<T> {
    pub(crate) results: Vec<T>,
}

/// One answer of the batch route.
#[derive(Deserialize)]
pub(crate) struct BatchResult {
    pub(crate) status: u16,
    pub(crate) reservation: Option<Reservation>,
    pub(crate) problem: Option<Box<AnyProblem>>,
}

/// Stock of one SKU.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Stock {
    /// What.
    pub sku: Text,
    /// Units over all nodes.
    pub on_hand: u64,
    /// Units held.
    pub held: u64,
    /// Units sold and not yet shipped.
    pub committed: u64,
    /// Units over all nodes that are damaged or in inspection.
    #[serde(default)]
    pub unavailable: u64,
    /// Units kept back.
    #[serde(default)]
    pub safety_stock: u64,
    /// Units that can still be promised.
    pub available: u64,
    /// Units promised beyond what is there, after a loss or a count.
    #[serde(default)]
    pub deficit: u64,
    /// It fell to its low-water mark, and did not reach again what ends that.
    #[serde(default)]
    pub low: bool,
    /// It takes no new holds: by its settings, or because it is low.
    #[serde(default)]
    pub suspended: bool,
    /// Whether it is on sale.
    #[serde(default)]
    pub selling: Selling,
    /// Counts the changes.
    pub version: u64,
    /// What each node has.
    #[serde(default)]
    pub nodes: Vec<NodeStock>,
}

/// Stock of one SKU at one node.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct NodeStock {
    /// Where.
    pub node: Text,
    /// Units there.
    pub on_hand: u64,
    /// Units there that are damaged or in inspection.
    #[serde(default)]
    pub unavailable: u64,
    /// Units promised from this node and no other.
    #[serde(default)]
    pub pinned: u64,
    /// Units kept back here, where the SKU has a safety stock of its own for this node.
    #[serde(default)]
    pub safety_stock: Option<u64>,
}

/// What may be promised of a SKU now.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Atp {
    /// What.
    pub sku: Text,
    /// The channel it was asked for.
    #[serde(default)]
    pub channel: Option<Text>,
    /// The node it was asked for.
    #[serde(default)]
    pub node: Option<Text>,
    /// The most that one line may take.
    pub available: u64,
    /// Moment of the answer.
    #[serde(default, deserialize_with = "crate::clock::optional_time")]
    pub as_of: Option<SystemTime>,
    /// What it comes from.
    pub limits: AtpLimits,
    /// What may be promised for later days, where supply is announced.
    #[serde(default)]
    pub dates: Vec<AtpDate>,
}

/// What may be promised for a day and those that follow, until the next one.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct AtpDate {
    /// The day, UTC.
    pub date: Text,
    /// The most that one line may take.
    pub available: u64,
    /// What binds.
    pub limit: Limit,
}

/// What an availability comes from.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct AtpLimits {
    /// Usable units over all nodes.
    pub stock: u64,
    /// Units kept back.
    pub safety_stock: u64,
    /// Units held and committed.
    pub promised: u64,
    /// Units free at the node asked for.
    #[serde(default)]
    pub node: Option<u64>,
    /// Units kept back at that node, where the SKU has a safety stock of its own for it.
    #[serde(default)]
    pub node_safety_stock: Option<u64>,
    /// What binds.
    pub limit: Limit,
    /// How the channel asked for stands, where a rule is in force.
    #[serde(flatten)]
    pub share: Option<crate::policy::Share>,
}

/// One answer of the bulk availability route.
#[derive(Deserialize)]
#[serde(untagged)]
pub(crate) enum AtpResult {
    Known(Atp),
    Unknown { problem: Problem },
}

/// A page of the event feed.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct EventPage {
    /// The events, oldest first, as the server tells them.
    pub data: Vec<serde_json::Value>,
    /// Where to go on: the next call's `after`.
    #[serde(default)]
    pub next: Option<String>,
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Nothing was changed: too much work is queued, here or at the server.
    #[error("overloaded; nothing was changed")]
    Overloaded {
        /// What the server asks to wait.
        retry_after: Option<Duration>,
    },
    /// Nothing was changed: the server was not reached, was not ready, or the deadline came first.
    #[error("unavailable, nothing was changed: {0}")]
    Unavailable(Box<str>),
    /// It may have happened. Call again with the same key, or ask with
    /// [`Client::settle`](crate::Client::settle).
    #[error("the result is unknown; ask again with key {key}")]
    Unknown {
        /// Names the change.
        key: IdempotencyKey,
    },
    /// The request is wrong; nothing was changed, and repeating it is of no use.
    #[error("rejected with status {} ({}): {}", .0.status, .0.code, .0.detail.as_deref().unwrap_or(""))]
    Rejected(Box<Problem>),
    /// The server answered a read with something that this client does not understand.
    #[error("unreadable answer: {0}")]
    Unreadable(Box<str>),
}
