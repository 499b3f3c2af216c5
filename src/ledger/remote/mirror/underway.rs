//! Commands whose fate is open: sent and not answered yet, or never answered.
//!
//! The mirror must not refuse a command that may be granted at this moment, or may have been: its
//! caller would be told that there is nothing, while units are held under its key.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crossbeam::utils::CachePadded;

use crate::clock::{Monotonic, monotonic};

const SHARDS: u8 = 64;

/// How long a command that was never answered is taken for one that may still be done: longer
/// than an operating system keeps sending what it has of a connection that was given up.
const DOUBT: Duration = Duration::from_mins(30);

/// Most commands in doubt. Beyond it every command is taken for one of them.
const DOUBTS_MAX: usize = 65_536;

/// LOCK: one look-up each. Ids and how many of each are underway.
type Shard = CachePadded<Mutex<HashMap<u128, u32>>>;

/// See the module's documentation.
#[derive(Debug)]
pub(super) struct Underway {
    shards: Box<[Shard]>,
    /// LOCK: taken when a command was not answered, and now and then. In order of their age.
    doubts: Mutex<VecDeque<(Monotonic, u128)>>,
    is_full: AtomicBool,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Underway {
    pub(super) fn new() -> Self {
        Self {
            shards: (0..SHARDS).map(|_| Shard::default()).collect(),
            doubts: Mutex::default(),
            is_full: AtomicBool::new(false),
        }
    }

    fn shard(&self, id: u128) -> Option<MutexGuard<'_, HashMap<u128, u32>>> {
        let at = usize::try_from(id % u128::from(SHARDS)).ok()?;
        self.shards.get(at).map(|shard| locked(shard))
    }

    /// Notes that a command is about to be sent.
    pub(super) fn enter(self: &Arc<Self>, id: u128) -> Ticket {
        let mut is_alone = !self.is_full.load(Ordering::Relaxed);
        if let Some(mut shard) = self.shard(id) {
            let count = shard.entry(id).or_insert(0);
            *count += 1;
            is_alone &= *count == 1;
        }
        Ticket {
            all: Arc::clone(self),
            id,
            is_alone,
            is_settled: AtomicBool::new(false),
        }
    }

    fn leave(&self, id: u128) {
        let Some(mut shard) = self.shard(id) else {
            return;
        };
        if let Some(count) = shard.get_mut(&id) {
            *count -= 1;
            if *count == 0 {
                shard.remove(&id);
            }
        }
    }

    fn doubt(&self, id: u128) {
        let mut doubts = locked(&self.doubts);
        doubts.push_back((monotonic(), id));
        if doubts.len() >= DOUBTS_MAX && !self.is_full.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                "too many commands in doubt: for a while all refusals come from the store"
            );
        }
    }

    /// Forgets the doubts that are over by now.
    pub(super) fn tidy(&self, now: Monotonic) {
        let mut doubts = locked(&self.doubts);
        let is_over = |(since, _): &mut (Monotonic, u128)| now.since(*since) > DOUBT;
        while let Some((_, id)) = doubts.pop_front_if(is_over) {
            self.leave(id);
        }
        if doubts.len() < DOUBTS_MAX {
            self.is_full.store(false, Ordering::Relaxed);
        }
    }
}

/// A command whose fate is open; as long as this is there, and after it unless it was settled.
#[derive(Debug)]
pub(in crate::ledger::remote) struct Ticket {
    all: Arc<Underway>,
    id: u128,
    is_alone: bool,
    is_settled: AtomicBool,
}

impl Ticket {
    /// No other command with this id is underway.
    pub(super) const fn is_alone(&self) -> bool {
        self.is_alone
    }

    /// Its fate is known.
    pub(in crate::ledger::remote) fn settle(&self) {
        self.is_settled.store(true, Ordering::Relaxed);
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if *self.is_settled.get_mut() {
            self.all.leave(self.id);
        } else {
            self.all.doubt(self.id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_free(all: &Arc<Underway>, id: u128) -> bool {
        let ticket = all.enter(id);
        ticket.settle();
        ticket.is_alone()
    }

    #[test]
    fn an_id_is_free_again_when_all_its_commands_are_settled() {
        let all = Arc::new(Underway::new());
        let tickets = [all.enter(1), all.enter(1)];
        assert_eq!(tickets.each_ref().map(Ticket::is_alone), [true, false]);
        assert!(is_free(&all, 2) && !is_free(&all, 1));
        let [first, second] = tickets;
        first.settle();
        drop(first);
        assert!(!is_free(&all, 1));
        second.settle();
        drop(second);
        assert!(is_free(&all, 1));
    }

    #[test]
    fn a_command_that_was_not_settled_stays_in_doubt_for_long() {
        let all = Arc::new(Underway::new());
        drop(all.enter(1));
        let now = monotonic();
        all.tidy(now.after(DOUBT / 2));
        assert!(!is_free(&all, 1));
        all.tidy(now.after(DOUBT + Duration::from_secs(1)));
        assert!(is_free(&all, 1));
    }

    #[test]
    fn with_too_many_doubts_nothing_is_taken_for_free() {
        let all = Arc::new(Underway::new());
        (0..).take(DOUBTS_MAX).for_each(|id| drop(all.enter(id)));
        assert!(!is_free(&all, u128::MAX));
        all.tidy(monotonic().after(DOUBT + Duration::from_secs(1)));
        assert!(is_free(&all, u128::MAX));
    }
}
