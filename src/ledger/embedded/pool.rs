//! The pool: all shards in memory, and the order in which they are locked.
//!
//! Lock order, for everybody: record shards ascending, then stock shards ascending, then one
//! reference shard, table of names or the policy, then the journal's queue. No await under any of them. A lock that a panic
//! left behind means half-done work in memory: the ledger then answers `Poisoned` for good.

use std::cell::Cell;
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, TryLockError};

use crossbeam::utils::CachePadded;
use smallvec::SmallVec;

use super::record_shard::{self, RecordShard};
use super::stock_shard::StockShard;
use crate::clock::{Monotonic, monotonic};
use crate::ledger::LedgerError;
use crate::limits::{RECORD_SHARDS, STOCK_SHARDS};
use crate::telemetry::{LockKind, Meters};

/// Shards of the index of references.
const REFERENCE_SHARDS: usize = 64;

/// Fewest places for shards of a kind: enough that threads rarely meet.
const PLACES_MIN: usize = 16;
const _: () = assert!(STOCK_SHARDS == RECORD_SHARDS, "one mask for both");

/// One in this many lock holds is timed; reading the clock costs as much as a short hold.
const HOLD_SAMPLE: u32 = 64;

/// Uncontended lock waits are handed to the meters in bunches of this size.
const WAIT_BUNCH: u32 = 256;

/// Where the head of a reservation is: record shard and slot.
pub(super) type HeadRef = (u16, u32);

/// The latest reservation per hash of channel and reference.
pub(super) type ReferenceShard = HashMap<u64, HeadRef>;

type Shards<T> = Box<[CachePadded<Mutex<T>>]>;

/// All shards.
#[derive(Debug)]
pub(super) struct Pool {
    stock: Shards<StockShard>,
    records: Shards<RecordShard>,
    references: Shards<ReferenceShard>,
    /// A shard stands at its number under this mask: small pools have fewer places.
    mask: usize,
    meters: Meters,
    /// Somebody met a lock that a panic left behind.
    poisoned: AtomicBool,
}

thread_local! {
    static LOCKED: Cell<u32> = const { Cell::new(0) };
    static HOLDS: Cell<u32> = const { Cell::new(0) };
}

fn shards<T: Default>(count: usize) -> Shards<T> {
    (0..count)
        .map(|_| CachePadded::new(Mutex::new(T::default())))
        .collect()
}

impl Pool {
    pub(super) fn new(meters: Meters) -> Self {
        Self::one_of(1, meters)
    }

    /// For one of so many pools, which share what locks and tables one pool would have.
    pub(super) fn one_of(pools: u16, meters: Meters) -> Self {
        let share = STOCK_SHARDS / usize::from(pools).next_power_of_two();
        let places = share.max(PLACES_MIN);
        Self {
            stock: shards(places),
            records: shards(places),
            references: shards(places.min(REFERENCE_SHARDS)),
            mask: places - 1,
            meters,
            poisoned: AtomicBool::new(false),
        }
    }

    /// Empties all shards, one after the other.
    pub(super) fn clear(&self) -> Result<(), LedgerError> {
        for shard in 0..self.places() {
            self.stock_shard(shard)?.clear();
            *self.record_shard(shard)? = RecordShard::default();
        }
        for shard in &self.references {
            *self.lock(shard)? = ReferenceShard::default();
        }
        Ok(())
    }

    /// Places for shards of either kind.
    pub(super) const fn places(&self) -> usize {
        self.mask + 1
    }

    /// A panic left half-done work in memory; true once that was noticed.
    pub(super) fn is_poisoned(&self) -> bool {
        self.poisoned.load(Ordering::Relaxed)
    }

    #[cold]
    fn poison(&self) -> LedgerError {
        if !self.poisoned.swap(true, Ordering::Relaxed) {
            tracing::error!("a panic left work half done; the ledger is out of service");
        }
        LedgerError::Poisoned
    }

    /// Locks, and tells the meters how long that took. The usual lock is free: then only a count
    /// is kept.
    fn lock<'p, T>(&self, shard: &'p Mutex<T>) -> Result<MutexGuard<'p, T>, LedgerError> {
        match shard.try_lock() {
            Ok(guard) => {
                let count = LOCKED.get().wrapping_add(1);
                LOCKED.set(count);
                if count.is_multiple_of(WAIT_BUNCH) {
                    self.meters
                        .lock_wait_uncontended(LockKind::Shard, u64::from(WAIT_BUNCH));
                }
                Ok(guard)
            }
            Err(TryLockError::Poisoned(_)) => Err(self.poison()),
            Err(TryLockError::WouldBlock) => {
                let timer = monotonic();
                let guard = shard.lock().map_err(|_poisoned| self.poison())?;
                self.meters.lock_wait(LockKind::Shard, timer.elapsed());
                Ok(guard)
            }
        }
    }

    /// A timer for the lock hold that begins now, for one in [`HOLD_SAMPLE`].
    pub(super) fn hold_timer(&self) -> HoldTimer<'_> {
        let count = HOLDS.get().wrapping_add(1);
        HOLDS.set(count);
        let sampled = count.is_multiple_of(HOLD_SAMPLE);
        HoldTimer {
            timer: sampled.then(monotonic),
            meters: &self.meters,
        }
    }

    /// Locks one record shard.
    pub(super) fn record_shard(
        &self,
        shard: usize,
    ) -> Result<MutexGuard<'_, RecordShard>, LedgerError> {
        let place = self.records.get(shard & self.mask);
        self.lock(place.ok_or(LedgerError::Unavailable)?)
    }

    /// Locks the record shards of these commands.
    pub(super) fn records(&self, ids: &[u128]) -> Result<RecordGuards<'_>, LedgerError> {
        let place = |id: &u128| record_shard::shard_of(*id) & self.mask;
        let mut wanted: SmallVec<[usize; 2]> = ids.iter().map(place).collect();
        wanted.sort_unstable();
        wanted.dedup();
        let mut guards = SmallVec::new();
        for shard in wanted {
            guards.push((shard, self.record_shard(shard)?));
        }
        Ok(RecordGuards {
            guards,
            mask: self.mask,
        })
    }

    /// Locks stock shards; sorts and dedups what it is given.
    pub(super) fn stock(
        &self,
        mut wanted: SmallVec<[usize; 2]>,
    ) -> Result<StockGuards<'_>, LedgerError> {
        for shard in &mut wanted {
            *shard &= self.mask;
        }
        if wanted.len() > 1 {
            wanted.sort_unstable();
            wanted.dedup();
        }
        let mut guards = SmallVec::new();
        for shard in wanted {
            guards.push((shard, self.stock_shard(shard)?));
        }
        Ok(StockGuards {
            guards,
            mask: self.mask,
        })
    }

    /// Locks all stock shards.
    pub(super) fn all_stock(&self) -> Result<StockGuards<'_>, LedgerError> {
        self.stock((0..self.places()).collect())
    }

    /// Locks one stock shard.
    pub(super) fn stock_shard(
        &self,
        shard: usize,
    ) -> Result<MutexGuard<'_, StockShard>, LedgerError> {
        let place = self.stock.get(shard & self.mask);
        self.lock(place.ok_or(LedgerError::Unavailable)?)
    }

    /// Locks the reference shard of a hash.
    pub(super) fn references(
        &self,
        hash: u64,
    ) -> Result<MutexGuard<'_, ReferenceShard>, LedgerError> {
        let shard = usize::try_from(hash % 64).unwrap_or(0) % self.references.len();
        self.lock(self.references.get(shard).ok_or(LedgerError::Unavailable)?)
    }
}

/// Tells the meters on drop how long a lock was held.
pub(super) struct HoldTimer<'m> {
    timer: Option<Monotonic>,
    meters: &'m Meters,
}

impl Drop for HoldTimer<'_> {
    fn drop(&mut self) {
        if let Some(timer) = &self.timer {
            self.meters.lock_hold(LockKind::Shard, timer.elapsed());
        }
    }
}

/// Locked record shards by their places, ascending.
pub(super) struct RecordGuards<'p> {
    guards: SmallVec<[(usize, MutexGuard<'p, RecordShard>); 2]>,
    mask: usize,
}

impl RecordGuards<'_> {
    /// The locked shard of a command.
    pub(super) fn of(&self, id: u128) -> Option<&RecordShard> {
        let wanted = record_shard::shard_of(id) & self.mask;
        self.guards
            .iter()
            .find(|(shard, _)| *shard == wanted)
            .map(|(_, guard)| &**guard)
    }

    /// The locked shard of a command.
    pub(super) fn of_mut(&mut self, id: u128) -> Option<&mut RecordShard> {
        let wanted = record_shard::shard_of(id) & self.mask;
        self.guards
            .iter_mut()
            .find(|(shard, _)| *shard == wanted)
            .map(|(_, guard)| &mut **guard)
    }
}

/// Locked stock shards by their places, ascending.
pub(super) struct StockGuards<'p> {
    guards: SmallVec<[(usize, MutexGuard<'p, StockShard>); 2]>,
    mask: usize,
}

impl StockGuards<'_> {
    /// A locked shard by number.
    pub(super) fn shard(&self, number: usize) -> Option<&StockShard> {
        let wanted = number & self.mask;
        match self.guards.as_slice() {
            [(shard, guard)] if *shard == wanted => Some(guard),
            many => {
                let at = many
                    .binary_search_by_key(&wanted, |(shard, _)| *shard)
                    .ok()?;
                many.get(at).map(|(_, guard)| &**guard)
            }
        }
    }

    /// A locked shard by number.
    pub(super) fn shard_mut(&mut self, number: usize) -> Option<&mut StockShard> {
        let wanted = number & self.mask;
        let at = self
            .guards
            .binary_search_by_key(&wanted, |(shard, _)| *shard)
            .ok()?;
        self.guards.get_mut(at).map(|(_, guard)| &mut **guard)
    }

    /// Notes that the command at this place of the journal changed what is locked.
    pub(super) fn note_change(&mut self, sequence: u64) {
        for (_, guard) in &mut self.guards {
            guard.changed = sequence;
        }
    }

    /// The last place of the journal at which a command changed anything of what is locked.
    pub(super) fn changed(&self) -> u64 {
        let changed = self.guards.iter().map(|(_, guard)| guard.changed);
        changed.max().unwrap_or(0)
    }

    /// All locked shards with their places.
    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = (usize, &mut StockShard)> {
        self.guards
            .iter_mut()
            .map(|(shard, guard)| (*shard, &mut **guard))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::thread;

    use crate::clock::Clock;
    use crate::domain::command::{Command, CommandKey, Keyed, StockChange, StockCommand};
    use crate::ledger::LedgerError;
    use crate::ledger::embedded::journal::JournalConfig;
    use crate::ledger::embedded::recover::LedgerConfig;
    use crate::ledger::embedded::storage::sim::SimStorage;
    use crate::ledger::embedded::{EmbeddedLedger, Retention};
    use crate::telemetry::Meters;

    #[test]
    fn after_a_panic_under_a_lock_the_whole_ledger_is_out_of_service() {
        let config = LedgerConfig {
            journal: JournalConfig {
                segment_bytes: 64 * 1024,
                ..JournalConfig::default()
            },
            retention: Retention::default(),
        };
        let storage = Arc::new(SimStorage::new());
        let ledger =
            EmbeddedLedger::open(storage, &config, Clock::system(), Meters::new()).unwrap();
        assert!(!ledger.health().poisoned);
        let ended = thread::scope(|scope| {
            let panics = scope.spawn(|| {
                let _shard = ledger.state.pool.stock_shard(3).unwrap();
                panic!("half way");
            });
            panics.join()
        });
        assert!(ended.is_err());
        assert_eq!(ledger.reap(), Err(LedgerError::Poisoned));
        assert!(ledger.health().poisoned);
        let command = Command::Stock(StockCommand {
            change: StockChange::Set(Vec::new()),
            reason: "test",
            operator: None,
        });
        let key = CommandKey {
            id: 1,
            fingerprint: 0,
        };
        let answer = ledger.submit(&Keyed { key, command });
        assert_eq!(answer.unwrap_err(), LedgerError::Poisoned);
    }
}
