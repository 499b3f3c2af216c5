//! Numbers that nobody else has. A simulation gives each instance a seed instead.

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use xxhash_rust::xxh3::xxh3_64_with_seed;

/// Where random numbers come from. Clones share them.
#[derive(Debug, Clone)]
pub struct Random {
    keys: Keys,
    next: Arc<AtomicU64>,
}

#[derive(Debug, Clone)]
enum Keys {
    /// The keys of the standard library's hasher are random; no more than that is needed.
    Machine(RandomState),
    Seed(u64),
}

impl Default for Random {
    fn default() -> Self {
        Self::of(Keys::Machine(RandomState::new()))
    }
}

impl Random {
    /// The same numbers for the same seed.
    pub fn seeded(seed: u64) -> Self {
        Self::of(Keys::Seed(seed))
    }

    fn of(keys: Keys) -> Self {
        Self {
            keys,
            next: Arc::default(),
        }
    }

    /// A number, and how many came before it.
    pub(super) fn numbered(&self) -> (u64, u64) {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let random = match &self.keys {
            Keys::Machine(keys) => keys.hash_one(number),
            Keys::Seed(seed) => xxh3_64_with_seed(&number.to_le_bytes(), *seed),
        };
        (random, number)
    }

    /// A number.
    pub(super) fn half(&self) -> u64 {
        self.numbered().0
    }

    /// A number for what must never be the same twice.
    pub(super) fn whole(&self) -> u128 {
        (u128::from(self.half()) << 64) | u128::from(self.half())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seeds_repeat_themselves_and_machines_do_not() {
        let (one, same, other) = (Random::seeded(1), Random::seeded(1), Random::seeded(2));
        let (first, second) = (one.whole(), one.whole());
        assert_eq!([first, second], [same.whole(), same.whole()]);
        assert!(first != second && first != other.whole());
        assert_ne!(Random::default().whole(), Random::default().whole());
    }
}
