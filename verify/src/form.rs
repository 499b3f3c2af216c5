//! The lines of a proof, read as `docs/PROOF.md` describes them. A member that is not described there
//! makes a line unreadable.

use std::borrow::Cow;

use serde::Deserialize;

/// A line without its hash.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Body<'a> {
    Proof(Head),
    Opening(Stands),
    Policy(Policy),
    #[serde(borrow)]
    Sku(Sku<'a>),
    #[serde(borrow)]
    Reservation(Reservation<'a>),
    #[serde(borrow)]
    Record(Box<Record<'a>>),
    Closing(Stands),
    End(End),
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Head {
    pub(crate) format: String,
    pub(crate) version: u32,
    pub(crate) ledger: String,
    pub(crate) shards: u16,
    pub(crate) retention_ms: i64,
    pub(crate) returns_ms: i64,
}

/// Enough of any version's first line to say which it is.
#[derive(Debug, Deserialize)]
pub(crate) struct AnyFirst {
    pub(crate) proof: AnyHead,
}

#[derive(Debug, Deserialize)]
pub(crate) struct AnyHead {
    pub(crate) format: String,
    pub(crate) version: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Stands {
    pub(crate) shard: u16,
    pub(crate) sequence: u64,
    pub(crate) at: i64,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Policy {
    pub(crate) version: u64,
    pub(crate) text: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Settings<'a> {
    pub(crate) safety: Keeps,
    #[serde(borrow, default)]
    pub(crate) node_safety: Vec<NodeKeeps<'a>>,
    pub(crate) suspended: bool,
}

/// Units to keep back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Keeps {
    Units(u64),
    /// A share of what is there in basis points, rounded up.
    Share(u16),
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct NodeKeeps<'a> {
    pub(crate) node: &'a str,
    pub(crate) keeps: Keeps,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Sku<'a> {
    pub(crate) sku: &'a str,
    #[serde(borrow)]
    pub(crate) settings: Settings<'a>,
    pub(crate) held: u64,
    pub(crate) committed: u64,
    #[serde(borrow)]
    pub(crate) nodes: Vec<Node<'a>>,
    #[serde(borrow)]
    pub(crate) channels: Vec<Charged<'a>>,
    #[serde(borrow, default)]
    pub(crate) inbound: Vec<Announced<'a>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Node<'a> {
    pub(crate) node: &'a str,
    pub(crate) on_hand: u64,
    pub(crate) unavailable: u64,
    pub(crate) pinned: u64,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Charged<'a> {
    pub(crate) channel: &'a str,
    pub(crate) units: u64,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Announced<'a> {
    #[serde(borrow)]
    pub(crate) id: Cow<'a, str>,
    pub(crate) node: &'a str,
    pub(crate) due: u16,
    pub(crate) units: u64,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Reservation<'a> {
    pub(crate) id: &'a str,
    pub(crate) channel: &'a str,
    pub(crate) deadline: i64,
    pub(crate) touched: i64,
    #[serde(borrow)]
    pub(crate) lines: Vec<Standing<'a>>,
}

/// A line of a reservation as it stands.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Standing<'a> {
    pub(crate) sku: &'a str,
    pub(crate) node: Option<&'a str>,
    pub(crate) day: Option<u16>,
    pub(crate) charged_to: Option<&'a str>,
    pub(crate) held: u64,
    pub(crate) committed: u64,
    pub(crate) shipped: u64,
    pub(crate) released: u64,
    pub(crate) expired: u64,
    pub(crate) returned: u64,
}

/// What happened. Which members there are depends on the kind.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Record<'a> {
    pub(crate) seq: u64,
    pub(crate) epoch: u32,
    pub(crate) at: i64,
    pub(crate) kind: &'a str,
    pub(crate) id: Option<&'a str>,
    pub(crate) command: Option<&'a str>,
    pub(crate) channel: Option<&'a str>,
    pub(crate) deadline: Option<i64>,
    #[serde(borrow)]
    pub(crate) lines: Option<Vec<Part<'a>>>,
    #[serde(borrow)]
    pub(crate) items: Option<Vec<Item<'a>>>,
    pub(crate) line: Option<usize>,
    pub(crate) sku: Option<&'a str>,
    pub(crate) units: Option<u64>,
    #[serde(borrow)]
    pub(crate) settings: Option<Settings<'a>>,
    pub(crate) version: Option<u64>,
    pub(crate) text: Option<String>,
}

/// A line of a reservation that is made or acted on.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Part<'a> {
    pub(crate) line: Option<usize>,
    pub(crate) sku: &'a str,
    pub(crate) node: Option<&'a str>,
    pub(crate) day: Option<u16>,
    pub(crate) charged_to: Option<&'a str>,
    #[serde(borrow)]
    pub(crate) moves: Option<Vec<Move<'a>>>,
    pub(crate) held: u64,
    pub(crate) committed: Option<u64>,
    pub(crate) shipped: Option<u64>,
    pub(crate) released: Option<u64>,
    pub(crate) expired: Option<u64>,
    pub(crate) returned: Option<u64>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Move<'a> {
    #[serde(rename = "move")]
    pub(crate) verb: &'a str,
    pub(crate) units: Option<u64>,
    pub(crate) node: Option<&'a str>,
}

/// An item of a change of stock, or of announced supply.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Item<'a> {
    pub(crate) sku: &'a str,
    pub(crate) node: &'a str,
    pub(crate) on_hand: u64,
    pub(crate) on_hand_before: Option<u64>,
    pub(crate) unavailable_before: Option<u64>,
    pub(crate) unavailable: Option<u64>,
    #[serde(borrow)]
    pub(crate) id: Option<Cow<'a, str>>,
    pub(crate) due: Option<u16>,
    pub(crate) units: Option<u64>,
    pub(crate) received: Option<u64>,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct End {
    pub(crate) lines: u64,
    pub(crate) records: u64,
    pub(crate) skus: u64,
    pub(crate) reservations: u64,
}
