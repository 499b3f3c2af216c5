//! Why a request was refused.

use serde::Deserialize;

use crate::text::Text;

/// Why a request was refused. The request was well formed and may pass at another time.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(default)]
pub struct Refusal {
    /// Stable code, for instance `insufficient_stock` or `reservation_expired`.
    pub code: Text,
    /// One sentence for people.
    pub detail: Option<Box<str>>,
    /// The lines that are short, for `insufficient_stock`.
    pub shortages: Vec<Shortage>,
    /// The lines that ask for too much, for `over_release` and its like.
    pub lines: Vec<Excess>,
    /// The items that were compared with another figure, for `change_from_stale`.
    pub stale: Vec<Stale>,
    /// The version in force, for `version_mismatch`.
    pub version: Option<u32>,
}

impl Refusal {
    /// Not enough to promise; see the shortages.
    pub fn is_insufficient_stock(&self) -> bool {
        self.code == "insufficient_stock"
    }
}

/// A line that could not be served as asked.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Shortage {
    /// What.
    pub sku: Text,
    /// The node asked for.
    #[serde(default)]
    pub node: Option<Text>,
    /// Units asked for.
    pub requested: u64,
    /// The largest quantity that would have passed.
    pub available: u64,
    /// Units short.
    pub short: u64,
    /// What bound.
    pub limit: Limit,
    /// The first day by which all of it could be promised, if one is known.
    #[serde(default)]
    pub next_date: Option<Text>,
    /// Of a cap or a protection: how it stood, in a sentence.
    #[serde(default)]
    pub text: Option<String>,
}

/// A line of an act that asks for more than can be moved.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Excess {
    /// What.
    pub sku: Text,
    /// The node asked for.
    #[serde(default)]
    pub node: Option<Text>,
    /// Units asked for.
    pub requested: u64,
    /// The largest quantity that would have passed.
    pub possible: u64,
}

/// An item of a stock change whose `change_from` is not what is there.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Stale {
    /// What.
    pub sku: Text,
    /// Where.
    pub node: Text,
    /// The figure that the caller took for the present one.
    pub change_from: u64,
    /// The present one.
    pub on_hand: u64,
}

/// What bound a refused line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Limit {
    /// Selling is suspended.
    Suspended,
    /// Nothing more is there.
    Stock,
    /// What is left is safety stock.
    Safety,
    /// The channel's cap.
    Cap,
    /// What is left is protected for other channels.
    Protection,
    /// Nothing more is free at the node named.
    Node,
    /// Nothing more is there, with all that is due by then.
    Inbound,
    /// What is left is needed for promises of later days.
    Later,
    /// The units are there, but on a later day than asked for.
    Date,
    /// A limit that this client does not know.
    #[serde(other)]
    Other,
}
