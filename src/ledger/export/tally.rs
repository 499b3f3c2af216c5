//! Totals and a hash of what a ledger holds, whatever the order and the backend.

use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{BadItem, Head, Item, hex};

/// What was counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tally {
    /// Names of nodes and channels.
    pub names: u64,
    /// Versions of the policy.
    pub policies: u64,
    /// SKUs.
    pub skus: u64,
    /// Reservations.
    pub reservations: u64,
    /// Answers that are remembered under keys, but for those of reservations.
    pub answers: u64,
    /// Units on hand.
    pub units_on_hand: u64,
    /// Units held and committed.
    pub units_promised: u64,
    /// All of it, in one number.
    pub content: Content,
}

/// The sum, number by number, of the SHA-256 of the seed and of every item as it stands in the
/// file: the same for the same content in any order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Content([u64; 4]);

impl Content {
    fn add(&mut self, bytes: &[u8]) {
        let digest = Sha256::digest(bytes);
        let (numbers, _) = digest.as_chunks::<8>();
        for (sum, number) in self.0.iter_mut().zip(numbers) {
            *sum = sum.wrapping_add(u64::from_be_bytes(*number));
        }
    }
}

impl fmt::Display for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0
            .iter()
            .try_for_each(|number| write!(f, "{number:016x}"))
    }
}

impl From<Content> for String {
    fn from(content: Content) -> Self {
        content.to_string()
    }
}

impl TryFrom<String> for Content {
    type Error = BadItem;

    fn try_from(text: String) -> Result<Self, BadItem> {
        let bytes = hex::bytes(&text)?;
        let (numbers, []) = bytes.as_chunks::<8>() else {
            return Err(BadItem("a hash"));
        };
        let numbers: Vec<u64> = numbers.iter().map(|n| u64::from_be_bytes(*n)).collect();
        numbers.try_into().map(Self).or(Err(BadItem("a hash")))
    }
}

impl Tally {
    /// Nothing but the seed yet.
    pub fn new(head: &Head) -> Self {
        let mut tally = Self::default();
        tally.content.add(String::from(head.seed).as_bytes());
        tally
    }

    /// Counts an item; `line` is how it stands in the file, without the line feed.
    pub fn add(&mut self, item: &Item, line: &[u8]) {
        match item {
            Item::Node(_) | Item::Channel(_) => self.names += 1,
            Item::Policy(_) => self.policies += 1,
            Item::Sku(sku) => {
                self.skus += 1;
                let on_hand = sku.nodes.iter().map(|node| node.on_hand);
                let promised = sku.held.saturating_add(sku.committed);
                self.units_promised = self.units_promised.saturating_add(promised);
                self.units_on_hand = on_hand.fold(self.units_on_hand, u64::saturating_add);
            }
            Item::Reservation(_) => self.reservations += 1,
            Item::Answer(_) => self.answers += 1,
        }
        self.content.add(line);
    }
}
