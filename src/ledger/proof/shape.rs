//! The lines of a proof, as `docs/PROOF.md` describes them.

use serde::Serialize;

use crate::domain::command::CommandKey;
use crate::domain::settings::Safety;
use crate::domain::stock::Selling;
use crate::domain::{self, Level, ReservationId};

/// What the first line says of every proof.
pub(super) const FORMAT: &str = "holdfast proof";
/// Of what the lines mean.
pub(super) const VERSION: u32 = 1;

/// A line, but for its hash.
#[derive(Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Line<'a> {
    /// First: what it is.
    Proof(Head<'a>),
    /// How a shard stands before its records; its SKUs and reservations follow.
    Opening(Stands),
    /// The policy in force.
    Policy(Policy<'a>),
    /// A SKU as it stands.
    Sku(Sku<'a>),
    /// A reservation as it stands.
    Reservation(Reservation<'a>),
    /// What happened.
    Record(Record<'a>),
    /// How a shard stands after its records; its SKUs and reservations follow.
    Closing(Stands),
    /// Last: how much came before it.
    End(End),
}

#[derive(Debug, Serialize)]
pub(super) struct Head<'a> {
    pub(super) format: &'static str,
    pub(super) version: u32,
    pub(super) ledger: &'a str,
    pub(super) shards: u16,
    pub(super) retention_ms: i64,
    pub(super) returns_ms: i64,
}

#[derive(Debug, Serialize)]
pub(super) struct Stands {
    pub(super) shard: u16,
    /// The last record before.
    pub(super) sequence: u64,
    /// The latest moment of any before.
    pub(super) at: i64,
}

#[derive(Debug, Serialize)]
pub(super) struct Policy<'a> {
    pub(super) version: u64,
    pub(super) text: &'a str,
}

/// What a SKU keeps back.
#[derive(Debug, Serialize)]
pub(super) struct Settings {
    pub(super) safety: Keeps,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) node_safety: Vec<NodeKeeps>,
    pub(super) suspended: bool,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Keeps {
    Units(u64),
    /// In basis points, rounded up.
    Share(u16),
}

#[derive(Debug, Serialize)]
pub(super) struct NodeKeeps {
    pub(super) node: String,
    pub(super) keeps: Keeps,
}

impl Keeps {
    pub(super) const fn new(level: Level) -> Self {
        match level {
            Safety::Units(units) => Self::Units(units.get()),
            Safety::Percent(points) => Self::Share(points),
        }
    }
}

impl Settings {
    pub(super) fn new(of: &domain::Settings, name: impl Fn(domain::NodeIx) -> String) -> Self {
        let nodes = of.node_safety.nodes().iter();
        let node = |(node, level): &(_, _)| NodeKeeps {
            node: name(*node),
            keeps: Keeps::new(*level),
        };
        Self {
            safety: Keeps::new(of.safety),
            node_safety: nodes.map(node).collect(),
            suspended: of.selling == Selling::Suspended,
        }
    }
}

#[derive(Debug, Serialize)]
pub(super) struct Sku<'a> {
    pub(super) sku: &'a str,
    pub(super) settings: Settings,
    pub(super) held: u64,
    pub(super) committed: u64,
    pub(super) nodes: Vec<Node>,
    pub(super) channels: Vec<Charged>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) inbound: Vec<Announced<'a>>,
}

#[derive(Debug, Serialize)]
pub(super) struct Node {
    pub(super) node: String,
    pub(super) on_hand: u64,
    pub(super) unavailable: u64,
    pub(super) pinned: u64,
}

/// Units promised that count as a channel's.
#[derive(Debug, Serialize)]
pub(super) struct Charged {
    pub(super) channel: String,
    pub(super) units: u64,
}

#[derive(Debug, Serialize)]
pub(super) struct Announced<'a> {
    pub(super) id: &'a str,
    pub(super) node: String,
    pub(super) due: u16,
    pub(super) units: u64,
}

#[derive(Debug, Serialize)]
pub(super) struct Reservation<'a> {
    pub(super) id: String,
    pub(super) channel: String,
    pub(super) deadline: i64,
    pub(super) touched: i64,
    pub(super) lines: Vec<Standing<'a>>,
}

/// A line of a reservation as it stands.
#[derive(Debug, Serialize)]
pub(super) struct Standing<'a> {
    pub(super) sku: &'a str,
    #[serde(flatten)]
    pub(super) terms: Terms,
    #[serde(flatten)]
    pub(super) units: States,
}

/// What a line was promised with.
#[derive(Debug, Serialize)]
pub(super) struct Terms {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) node: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) day: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) charged_to: Option<String>,
}

/// Where the units of a line are.
#[derive(Debug, Serialize)]
pub(super) struct States {
    pub(super) held: u64,
    pub(super) committed: u64,
    pub(super) shipped: u64,
    pub(super) released: u64,
    pub(super) expired: u64,
    pub(super) returned: u64,
}

impl States {
    pub(super) const fn new(line: &domain::Line) -> Self {
        Self {
            held: line.held.get(),
            committed: line.committed.get(),
            shipped: line.shipped.get(),
            released: line.released.get(),
            expired: line.expired.get(),
            returned: line.returned.get(),
        }
    }
}

#[derive(Debug, Serialize)]
pub(super) struct Record<'a> {
    pub(super) seq: u64,
    pub(super) epoch: u32,
    pub(super) at: i64,
    pub(super) kind: &'static str,
    #[serde(flatten)]
    pub(super) what: What<'a>,
}

#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(super) enum What<'a> {
    Reserved {
        id: String,
        channel: String,
        deadline: i64,
        lines: Vec<Reserved<'a>>,
    },
    Acted {
        id: String,
        command: String,
        deadline: i64,
        lines: Vec<Acted<'a>>,
    },
    Expired {
        id: String,
        line: usize,
        sku: &'a str,
        units: u64,
    },
    Stock {
        command: String,
        items: Vec<Stock<'a>>,
    },
    Inbound {
        command: String,
        items: Vec<Inbound<'a>>,
    },
    Settings {
        command: String,
        sku: &'a str,
        settings: Settings,
    },
    /// What is in force of a SKU by its own settings and by the policy.
    Terms {
        sku: &'a str,
        settings: Settings,
    },
    Policy {
        version: u64,
        text: &'a str,
    },
    /// Moves no units.
    Nothing {},
}

#[derive(Debug, Serialize)]
pub(super) struct Reserved<'a> {
    pub(super) sku: &'a str,
    #[serde(flatten)]
    pub(super) terms: Terms,
    pub(super) held: u64,
}

/// A line that was moved; its number is its place in the reservation.
#[derive(Debug, Serialize)]
pub(super) struct Acted<'a> {
    pub(super) line: usize,
    pub(super) sku: &'a str,
    pub(super) moves: Vec<Move>,
    #[serde(flatten)]
    pub(super) units: States,
}

#[derive(Debug, Serialize)]
pub(super) struct Move {
    #[serde(rename = "move")]
    pub(super) verb: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) units: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) node: Option<String>,
}

#[derive(Debug, Serialize)]
pub(super) struct Stock<'a> {
    pub(super) sku: &'a str,
    pub(super) node: String,
    pub(super) on_hand_before: u64,
    pub(super) on_hand: u64,
    pub(super) unavailable_before: u64,
    pub(super) unavailable: u64,
}

#[derive(Debug, Serialize)]
pub(super) struct Inbound<'a> {
    pub(super) sku: &'a str,
    #[serde(flatten)]
    pub(super) entry: Announced<'a>,
    pub(super) received: u64,
    pub(super) on_hand: u64,
}

#[derive(Debug, Serialize)]
pub(super) struct End {
    /// Lines before this one.
    pub(super) lines: u64,
    pub(super) records: u64,
    pub(super) skus: u64,
    pub(super) reservations: u64,
}

/// A command, by the hash of its idempotency key: the key itself is not kept.
pub(super) fn command(key: CommandKey) -> String {
    let text = ReservationId(key.id).to_string();
    format!("cmd_{}", text.strip_prefix("rsv_").unwrap_or(&text))
}
