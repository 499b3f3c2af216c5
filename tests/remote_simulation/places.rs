//! Where a ledger of several partitions decides what: written down a second time, from its seed.

use std::collections::BTreeSet;

use holdfast::domain::hash::Hasher;
use holdfast::domain::ids::LABEL_BITS;

use crate::support::script::Script;

/// See the module's documentation.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Places {
    hasher: Hasher,
    count: u16,
}

impl Places {
    pub(crate) const fn new(hasher: Hasher, count: u16) -> Self {
        Self { hasher, count }
    }

    /// How many partitions there are.
    pub(crate) const fn count(self) -> u16 {
        self.count
    }

    /// The id of a command that is decided in a partition.
    pub(crate) fn id_at(self, key: &str, partition: u16) -> u128 {
        let id = self.hasher.key(key);
        match self.count {
            1 => id,
            _ => (id >> LABEL_BITS << LABEL_BITS) | u128::from(partition),
        }
    }

    /// The partition that an id says it was decided in.
    pub(crate) fn of_id(self, id: u128) -> u16 {
        match self.count {
            1 => 0,
            _ => u16::try_from(id & ((1 << LABEL_BITS) - 1)).unwrap(),
        }
    }

    fn of_sku(self, sku: &str) -> u16 {
        u16::try_from(self.hasher.sku(sku) % u64::from(self.count)).unwrap()
    }

    /// The partitions of a command, its home first; `target` is the id of the reservation it acts on.
    pub(crate) fn of(self, script: &Script, target: u128) -> Vec<u16> {
        let skus: Vec<&String> = match script {
            Script::Act { .. } => return vec![self.of_id(target)],
            Script::Reserve { lines, .. } => lines.iter().map(|line| &line.sku).collect(),
            Script::Set { items, .. } => items.iter().map(|item| &item.sku).collect(),
            Script::Adjust { items, .. } => items.iter().map(|item| &item.sku).collect(),
            Script::Move { items, .. } => items.iter().map(|item| &item.sku).collect(),
            Script::Shares { items } => items.iter().map(|item| &item.sku).collect(),
            Script::Settings { sku, .. } => vec![sku],
        };
        let all: BTreeSet<u16> = skus.into_iter().map(|sku| self.of_sku(sku)).collect();
        all.into_iter().collect()
    }
}
