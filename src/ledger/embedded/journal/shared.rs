//! What the journal's handle and its threads share.

use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};

use crossbeam::utils::CachePadded;
use tokio::sync::watch;

use super::JournalConfig;
use super::lanes::{Lanes, Scratch};
use super::queue::Queue;
use super::segment::{Catalog, LedgerId};
use crate::ledger::LedgerError;
use crate::ledger::embedded::storage::Storage;
use crate::sync::{AtomicBool, AtomicU64, AtomicUsize, Condvar, Mutex, MutexGuard};

/// What every append writes: by itself, so that a thread which appends takes nothing from the others
/// that they only read.
#[derive(Debug)]
pub(super) struct Tail {
    queue: Mutex<Queue>,
    /// Sequence of the last record.
    pub(super) last: AtomicU64,
    /// Bytes in the queue.
    pub(super) queued: AtomicUsize,
}

/// What the journal's handle and its threads share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) storage: Arc<dyn Storage>,
    pub(super) config: JournalConfig,
    pub(super) epoch: u32,
    pub(super) ledger: LedgerId,
    pub(super) tail: CachePadded<Tail>,
    /// Signalled when the writer sleeps and there is work.
    pub(super) work: Condvar,
    /// The writer waits for work. Set under the queue's lock.
    pub(super) writer_sleeps: AtomicBool,
    pub(super) durable: CachePadded<AtomicU64>,
    /// Bytes that the writer has taken out of the queue and not yet finished.
    pub(super) writing: AtomicUsize,
    pub(super) poisoned: AtomicBool,
    /// Closed in good order; what is appended from now on is dropped.
    pub(super) ended: AtomicBool,
    /// Last sequence at the moment of poisoning: up to here nobody knows what was kept.
    pub(super) unknown_to: AtomicU64,
    pub(super) failure: watch::Sender<Option<Arc<str>>>,
    /// Last sequence known to be on the disk itself.
    pub(super) synced: Mutex<u64>,
    pub(super) synced_changed: Condvar,
    pub(super) lanes: Lanes,
    pub(super) catalog: Mutex<Catalog>,
}

impl Shared {
    pub(super) fn new(
        storage: Arc<dyn Storage>,
        config: JournalConfig,
        epoch: u32,
        ledger: LedgerId,
        last: u64,
        catalog: Catalog,
    ) -> Self {
        Self {
            storage,
            config,
            epoch,
            ledger,
            tail: CachePadded::new(Tail {
                queue: Mutex::new(Queue::new(last)),
                last: AtomicU64::new(last),
                queued: AtomicUsize::new(0),
            }),
            work: Condvar::new(),
            writer_sleeps: AtomicBool::new(false),
            durable: CachePadded::new(AtomicU64::new(last)),
            writing: AtomicUsize::new(0),
            poisoned: AtomicBool::new(false),
            ended: AtomicBool::new(false),
            unknown_to: AtomicU64::new(0),
            failure: watch::Sender::new(None),
            synced: Mutex::new(last),
            synced_changed: Condvar::new(),
            lanes: Lanes::new(),
            catalog: Mutex::new(catalog),
        }
    }

    // A thread that panicked while it held one of these locks left nothing half done: every
    // critical section is a copy or a swap.
    pub(super) fn lock_queue(&self) -> MutexGuard<'_, Queue> {
        let queue = self.tail.queue.lock();
        queue.unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn lock_catalog(&self) -> MutexGuard<'_, Catalog> {
        self.catalog.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn lock_synced(&self) -> MutexGuard<'_, u64> {
        self.synced.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn last(&self) -> u64 {
        self.tail.last.load(Ordering::Acquire)
    }

    pub(super) fn durable(&self) -> u64 {
        // Pairs with the stores of `publish` and of the lanes: either the waiter sees the new
        // durable sequence here, or the writer sees the waiter.
        self.durable.load(Ordering::SeqCst)
    }

    /// Wakes the writer if it sleeps. A signal costs a system call and, on a busy machine, a task
    /// switch: it is sent when somebody waits, not when something is queued, so that it neither
    /// lengthens a lock hold nor cuts a batch short.
    pub(super) fn nudge(&self) {
        if self.writer_sleeps.load(Ordering::Acquire)
            && self.writer_sleeps.swap(false, Ordering::AcqRel)
        {
            // The writer sets the flag under this lock and gives the lock up only when it can be
            // signalled.
            drop(self.lock_queue());
            self.work.notify_one();
        }
    }

    /// Has the writer begin, soon, with records that nobody waits for. Called by those who found
    /// that they need not wait: what they were told may rest on more than is durable by then.
    pub(super) fn nudge_for_others(&self) {
        if self.last() > self.durable() && !self.lanes.nudge_calmly() {
            self.nudge();
        }
    }

    pub(super) fn publish(&self, last: u64, scratch: &mut Scratch) {
        self.durable.store(last, Ordering::SeqCst);
        self.lanes.wake(last, scratch);
    }

    pub(super) fn publish_synced(&self, last: u64) {
        *self.lock_synced() = last;
        self.synced_changed.notify_all();
    }

    /// Takes the journal out of service after a failed write or sync. There is no retry: after a
    /// failed sync the system may have dropped the pages, and a second sync would succeed.
    pub(super) fn poison(&self, cause: &dyn std::fmt::Display, scratch: &mut Scratch) {
        {
            let mut queue = self.lock_queue();
            queue.closed = true;
            queue.batch.clear();
            self.unknown_to.store(queue.last, Ordering::Relaxed);
            self.tail.queued.store(0, Ordering::Relaxed);
            // Under the lock: the writer must not take the empty queue for a clean end.
            self.poisoned.store(true, Ordering::SeqCst);
        }
        self.work.notify_one();
        self.failure
            .send_replace(Some(Arc::from(cause.to_string())));
        self.lanes.wake(u64::MAX, scratch);
        drop(self.lock_synced());
        self.synced_changed.notify_all();
    }

    /// Ends the service in good order.
    pub(super) fn end(&self, scratch: &mut Scratch) {
        self.ended.store(true, Ordering::SeqCst);
        self.lanes.wake(u64::MAX, scratch);
    }

    /// Nothing will be committed any more.
    pub(super) fn is_over(&self) -> bool {
        self.poisoned.load(Ordering::SeqCst) || self.ended.load(Ordering::SeqCst)
    }

    /// `None`: not yet decided.
    pub(super) fn outcome(&self, sequence: u64) -> Option<Result<(), LedgerError>> {
        // Before the durable sequence is read: nothing becomes durable after the end.
        let poisoned = self.poisoned.load(Ordering::SeqCst);
        let ended = self.ended.load(Ordering::SeqCst);
        if self.durable() >= sequence {
            Some(Ok(()))
        } else if poisoned {
            let unknown = sequence <= self.unknown_to.load(Ordering::Relaxed);
            Some(Err(if unknown {
                LedgerError::Unknown
            } else {
                LedgerError::Poisoned
            }))
        } else if ended {
            Some(Err(LedgerError::Unavailable))
        } else {
            None
        }
    }
}
