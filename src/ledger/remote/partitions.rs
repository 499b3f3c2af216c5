//! The partitions of a ledger: which decides what, and under which keys.
//!
//! A SKU belongs to one partition for ever: the hash of its name with the ledger's seed, modulo the
//! number of partitions, which is fixed when the ledger is made.

use super::script::Keys;
use crate::domain::Sku;
use crate::domain::hash::Hasher;
use crate::ledger::LedgerError;

/// See the module's documentation.
#[derive(Debug)]
pub(super) struct Partitions {
    keys: Vec<Keys>,
    hasher: Hasher,
}

impl Partitions {
    pub(super) fn new(keys: Vec<Keys>, hasher: Hasher) -> Self {
        Self { keys, hasher }
    }

    /// How many there are.
    pub(super) fn count(&self) -> u16 {
        u16::try_from(self.keys.len()).unwrap_or(u16::MAX)
    }

    /// The numbers of all.
    pub(super) fn numbers(&self) -> impl Iterator<Item = u16> + use<> {
        0..self.count()
    }

    /// The keys of all.
    pub(super) fn all(&self) -> &[Keys] {
        &self.keys
    }

    /// The keys of one.
    pub(super) fn keys(&self, partition: u16) -> Result<&Keys, LedgerError> {
        let keys = self.keys.get(usize::from(partition));
        keys.ok_or(LedgerError::Unavailable)
    }

    /// The number of the one that a SKU belongs to.
    pub(super) fn of_sku(&self, sku: Sku<'_>) -> u16 {
        match self.count() {
            0 | 1 => 0,
            n => u16::try_from(self.hasher.sku(sku.as_str()) % u64::from(n)).unwrap_or(0),
        }
    }

    pub(super) const fn hasher(&self) -> Hasher {
        self.hasher
    }
}
