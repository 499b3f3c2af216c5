//! The journal: an append-only log of opaque records with group commit.
//!
//! Callers [`append`](Journal::append) under their own locks, which only copies the bytes and
//! takes a sequence, and [`wait`](Journal::wait) for durability outside them. One writer thread
//! takes all that has queued, writes it with one call, syncs once, and wakes those who wait. The
//! files are described byte by byte in `docs/JOURNAL.md`.
//!
//! Opening has two steps, so that nothing is appended before all was read and nothing is changed
//! when the start is refused: [`Journal::open`] reads, [`JournalRecovery::replay`] hands the
//! records over, [`JournalRecovery::start`] begins a new epoch.

mod error;
mod feed;
mod frame;
mod lanes;
mod queue;
mod reader;
mod recovery;
mod segment;
#[cfg(test)]
mod tests;
mod writer;

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, JoinHandle, Thread};

use tokio::sync::watch;

pub use error::{JournalError, ReplayError};
pub use feed::PositionedRecords;
pub use recovery::{Cut, JournalRecovery, Replayed};
pub use writer::{Step, Writer};

use self::lanes::{Lanes, Scratch};
use self::queue::Queue;
use self::segment::{Catalog, LedgerId, prepare_spare};
use self::writer::Preparer;
use super::storage::Storage;
use crate::ledger::{Durability, LedgerError};

/// Queued bytes from which the writer begins although nobody waits yet.
const NUDGE_BYTES: usize = 64 * 1024;

/// How a journal works.
#[derive(Debug, Clone, Copy)]
pub struct JournalConfig {
    /// Length of a segment; at least 16 KiB.
    pub segment_bytes: u64,
    /// What an acknowledged record survives.
    pub durability: Durability,
    /// Bytes waiting to be written above which [`Journal::admit`] refuses.
    pub queue_bytes_max: usize,
    /// Bytes of segments kept for readers after they are no longer needed for recovery.
    pub retain_bytes: u64,
}

impl Default for JournalConfig {
    fn default() -> Self {
        Self {
            segment_bytes: 64 * 1024 * 1024,
            durability: Durability::Disk,
            queue_bytes_max: 32 * 1024 * 1024,
            retain_bytes: 256 * 1024 * 1024,
        }
    }
}

/// What the journal's handle and its threads share.
#[derive(Debug)]
struct Shared {
    storage: Arc<dyn Storage>,
    config: JournalConfig,
    epoch: u32,
    ledger: LedgerId,
    queue: Mutex<Queue>,
    /// Signalled when the writer sleeps and there is work.
    work: Condvar,
    /// The writer waits for work. Set under the queue's lock.
    writer_sleeps: AtomicBool,
    last: AtomicU64,
    durable: AtomicU64,
    /// Bytes in the queue, and bytes that the writer has taken out and not yet finished.
    queued: AtomicUsize,
    writing: AtomicUsize,
    poisoned: AtomicBool,
    /// Closed in good order; what is appended from now on is dropped.
    ended: AtomicBool,
    /// Last sequence at the moment of poisoning: up to here nobody knows what was kept.
    unknown_to: AtomicU64,
    failure: watch::Sender<Option<Arc<str>>>,
    /// Last sequence known to be on the disk itself.
    synced: Mutex<u64>,
    synced_changed: Condvar,
    lanes: Lanes,
    catalog: Mutex<Catalog>,
}

impl Shared {
    fn new(
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
            queue: Mutex::new(Queue::new(last)),
            work: Condvar::new(),
            writer_sleeps: AtomicBool::new(false),
            last: AtomicU64::new(last),
            durable: AtomicU64::new(last),
            queued: AtomicUsize::new(0),
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
    fn lock_queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock_catalog(&self) -> MutexGuard<'_, Catalog> {
        self.catalog.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock_synced(&self) -> MutexGuard<'_, u64> {
        self.synced.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn last(&self) -> u64 {
        self.last.load(Ordering::Acquire)
    }

    fn durable(&self) -> u64 {
        // Pairs with the stores of `publish` and of the lanes: either the waiter sees the new
        // durable sequence here, or the writer sees the waiter.
        self.durable.load(Ordering::SeqCst)
    }

    /// Wakes the writer if it sleeps. A signal costs a system call and, on a busy machine, a task
    /// switch: it is sent when somebody waits, not when something is queued, so that it neither
    /// lengthens a lock hold nor cuts a batch short.
    fn nudge(&self) {
        if self.writer_sleeps.load(Ordering::Acquire)
            && self.writer_sleeps.swap(false, Ordering::AcqRel)
        {
            // The writer sets the flag under this lock and gives the lock up only when it can be
            // signalled.
            drop(self.lock_queue());
            self.work.notify_one();
        }
    }

    fn publish(&self, last: u64, scratch: &mut Scratch) {
        self.durable.store(last, Ordering::SeqCst);
        self.lanes.wake(last, scratch);
    }

    fn publish_synced(&self, last: u64) {
        *self.lock_synced() = last;
        self.synced_changed.notify_all();
    }

    /// Takes the journal out of service after a failed write or sync. There is no retry: after a
    /// failed sync the system may have dropped the pages, and a second sync would succeed.
    fn poison(&self, cause: &dyn std::fmt::Display, scratch: &mut Scratch) {
        {
            let mut queue = self.lock_queue();
            queue.closed = true;
            queue.batch.clear();
            self.unknown_to.store(queue.last, Ordering::Relaxed);
            self.queued.store(0, Ordering::Relaxed);
        }
        self.poisoned.store(true, Ordering::SeqCst);
        self.failure
            .send_replace(Some(Arc::from(cause.to_string())));
        self.lanes.wake(u64::MAX, scratch);
        drop(self.lock_synced());
        self.synced_changed.notify_all();
    }

    /// Ends the service in good order.
    fn end(&self, scratch: &mut Scratch) {
        self.ended.store(true, Ordering::SeqCst);
        self.lanes.wake(u64::MAX, scratch);
    }

    /// Nothing will be committed any more.
    fn is_over(&self) -> bool {
        self.poisoned.load(Ordering::SeqCst) || self.ended.load(Ordering::SeqCst)
    }

    /// `None`: not yet decided.
    fn outcome(&self, sequence: u64) -> Option<Result<(), LedgerError>> {
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

/// An open journal. Dropping it closes it; [`close`](Self::close) also says whether that worked.
#[derive(Debug)]
pub struct Journal {
    shared: Arc<Shared>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl Journal {
    /// Reads the journal of a folder up to its end. Changes nothing.
    pub fn open(
        storage: Arc<dyn Storage>,
        config: JournalConfig,
    ) -> Result<JournalRecovery, JournalError> {
        JournalRecovery::open(storage, config)
    }

    fn without_thread(shared: Arc<Shared>) -> Self {
        Self {
            shared,
            threads: Mutex::default(),
        }
    }

    fn spawn(shared: Arc<Shared>, mut writer: Writer) -> Result<Self, JournalError> {
        let spawned = JournalError::io("start the thread of", "the journal");
        let preparing = Arc::clone(&shared);
        let (ask, asked) = sync_channel::<()>(1);
        let (ready, prepared) = sync_channel(1);
        let prepare = move || {
            while asked.recv().is_ok() {
                let recycle = preparing.lock_catalog().recycle.take();
                let bytes = preparing.config.segment_bytes;
                if ready
                    .send(prepare_spare(&*preparing.storage, bytes, recycle))
                    .is_err()
                {
                    return;
                }
            }
        };
        let write = move || {
            writer.set_preparer(Preparer {
                ask,
                ready: prepared,
            });
            let guard = PoisonOnPanic(writer.shared_handle());
            loop {
                writer.wait_for_work();
                match writer.step() {
                    Ok(Step::Idle | Step::Committed { .. }) => {}
                    // The failure has been published.
                    Ok(Step::Closed) | Err(_) => break,
                }
            }
            drop(guard);
        };
        let start = || -> io::Result<Vec<JoinHandle<()>>> {
            let preparer = thread::Builder::new()
                .name("journal-ahead".to_owned())
                .spawn(prepare)?;
            let writer = thread::Builder::new()
                .name("journal".to_owned())
                .spawn(write)?;
            Ok(vec![preparer, writer])
        };
        let threads = start().map_err(spawned)?;
        Ok(Self {
            shared,
            threads: Mutex::new(threads),
        })
    }

    /// Asks whether records may be appended now: call it before deciding anything.
    pub fn admit(&self) -> Result<(), LedgerError> {
        if self.shared.poisoned.load(Ordering::Relaxed) {
            return Err(LedgerError::Poisoned);
        }
        if self.shared.ended.load(Ordering::Relaxed) {
            return Err(LedgerError::Unavailable);
        }
        if self.queued_bytes() > self.shared.config.queue_bytes_max {
            return Err(LedgerError::Overloaded);
        }
        Ok(())
    }

    /// Appends `count` records, each a length (4 bytes, little-endian) and its bytes. They become
    /// durable together or not at all. Returns the sequence of the last one.
    ///
    /// Made for being called under locks: it copies the bytes and takes a number. It cannot fail;
    /// records appended after a failure are dropped, and [`wait`](Self::wait) says so.
    pub fn append(&self, records: &[u8], count: u32) -> u64 {
        debug_assert!(
            frame::Records::fits(records, count),
            "count x (length, record)"
        );
        let (last, queued) = {
            let mut queue = self.shared.lock_queue();
            let last = queue.append(records, count);
            self.shared.last.store(queue.last, Ordering::Release);
            let queued = queue.batch.bytes.len();
            self.shared.queued.store(queued, Ordering::Relaxed);
            (last, queued)
        };
        if queued >= NUDGE_BYTES {
            self.shared.nudge();
        }
        last
    }

    /// Has the writer begin with what is queued. Nobody needs to call this before a wait; it is
    /// for records that nobody waits for.
    pub fn nudge(&self) {
        self.shared.nudge();
    }

    /// Takes the journal out of service for a reason outside it: nothing more is acknowledged.
    pub fn poison(&self, cause: &str) {
        self.shared.poison(&cause, &mut Scratch::default());
    }

    /// The level in force.
    pub fn durability(&self) -> Durability {
        self.shared.config.durability
    }

    /// The epoch of this opening.
    pub fn epoch(&self) -> u32 {
        self.shared.epoch
    }

    /// Sequence of the last durable record.
    pub fn durable(&self) -> u64 {
        self.shared.durable()
    }

    /// Sequence of the last record appended.
    pub fn last(&self) -> u64 {
        self.shared.last()
    }

    /// Bytes appended and not yet durable.
    pub fn queued_bytes(&self) -> usize {
        let writing = self.shared.writing.load(Ordering::Relaxed);
        self.shared
            .queued
            .load(Ordering::Relaxed)
            .saturating_add(writing)
    }

    /// A write or a sync failed; the journal takes no more records.
    pub fn is_poisoned(&self) -> bool {
        self.shared.poisoned.load(Ordering::SeqCst)
    }

    /// Becomes `Some` with the reason when the journal fails; the process should end then.
    pub fn failure(&self) -> watch::Receiver<Option<Arc<str>>> {
        self.shared.failure.subscribe()
    }

    /// Waits until a record is durable.
    ///
    /// # Errors
    /// `Unknown` when the sync of this record failed, `Poisoned` when the journal had failed
    /// before it was appended.
    pub fn wait(&self, sequence: u64) -> Wait<'_> {
        Wait {
            shared: &self.shared,
            sequence,
            registered: None,
        }
    }

    /// [`wait`](Self::wait) for threads without a runtime.
    pub fn wait_blocking(&self, sequence: u64) -> Result<(), LedgerError> {
        let mut wait = self.wait(sequence);
        if let Some(outcome) = self.shared.outcome(sequence) {
            return outcome;
        }
        let waker = Waker::from(Arc::new(Unpark(thread::current())));
        let mut context = Context::from_waker(&waker);
        loop {
            match Pin::new(&mut wait).poll(&mut context) {
                Poll::Ready(outcome) => return outcome,
                Poll::Pending => thread::park(),
            }
        }
    }

    /// Gives this thread a lane: waiting on it costs no lock afterwards. Returns the lane's pump,
    /// which must run as a task of the same thread for as long as anybody waits there.
    pub fn lane(&self) -> impl Future<Output = ()> + 'static {
        let shared = Arc::clone(&self.shared);
        let mut lane = OnLane {
            guard: shared.lanes.install(),
            shared,
        };
        async move {
            loop {
                lane.guard.notified().await;
                lane.drain();
            }
        }
    }

    /// Gives this thread a lane and runs its pump there.
    ///
    /// # Panics
    /// Outside a `LocalSet` or a local runtime.
    pub fn install_lane(&self) {
        drop(tokio::task::spawn_local(self.lane()));
    }

    /// Makes all records appended so far durable on the disk, whatever the level. A snapshot must
    /// not be kept before that.
    pub fn sync_blocking(&self) -> Result<(), LedgerError> {
        let target = {
            let mut queue = self.shared.lock_queue();
            queue.sync_wanted = true;
            queue.last
        };
        self.shared.work.notify_one();
        let mut synced = self.shared.lock_synced();
        while *synced < target {
            if self.shared.is_over() {
                return Err(LedgerError::Unknown);
            }
            synced = self
                .shared
                .synced_changed
                .wait(synced)
                .unwrap_or_else(PoisonError::into_inner);
        }
        Ok(())
    }

    /// Says that records up to `sequence` are no longer needed for recovery. Segments that hold
    /// only such records are used again or removed, except for what is kept for readers.
    pub fn release_before(&self, sequence: u64) -> Result<(), JournalError> {
        let removed = {
            let retain = self.shared.config.retain_bytes;
            self.shared.lock_catalog().release(sequence, retain)
        };
        for name in removed {
            let removed = self.shared.storage.remove(&name);
            removed.map_err(JournalError::io("remove", &name))?;
        }
        Ok(())
    }

    /// Writes and syncs all that was appended, marks the clean end and stops the threads.
    pub fn close(&self) -> Result<(), JournalError> {
        self.shared.lock_queue().closed = true;
        self.shared.work.notify_one();
        let threads =
            std::mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner));
        // The writer drops its end of the preparer's channel, so both end.
        for thread in threads.into_iter().rev() {
            drop(thread.join());
        }
        match &*self.shared.failure.borrow() {
            Some(cause) => Err(JournalError::Poisoned {
                cause: cause.to_string(),
            }),
            None => Ok(()),
        }
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        // Whoever wants to know calls `close` first.
        drop(self.close());
    }
}

/// Poisons the journal when the writer's thread ends by a panic: nobody would ever be answered.
struct PoisonOnPanic(Arc<Shared>);

impl Drop for PoisonOnPanic {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0
                .poison(&"the writer ended by a panic", &mut Scratch::default());
        }
    }
}

/// A lane of the thread that runs the pump; given up when the pump is dropped.
struct OnLane {
    guard: lanes::LaneGuard,
    shared: Arc<Shared>,
}

impl OnLane {
    fn drain(&mut self) {
        let shared = &self.shared;
        self.guard.drain(|| {
            if shared.is_over() {
                u64::MAX
            } else {
                shared.durable()
            }
        });
    }
}

impl Drop for OnLane {
    fn drop(&mut self) {
        self.shared.lanes.uninstall(&self.guard);
    }
}

/// Wakes a parked thread.
struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// See [`Journal::wait`].
#[derive(Debug)]
pub struct Wait<'a> {
    shared: &'a Shared,
    sequence: u64,
    /// Addresses of the waker that is registered. They stay its own: the queue holds a clone.
    registered: Option<(usize, usize)>,
}

impl Future for Wait<'_> {
    type Output = Result<(), LedgerError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        if let Some(outcome) = self.shared.outcome(self.sequence) {
            return Poll::Ready(outcome);
        }
        let waker = context.waker();
        let address = (
            waker.data().addr(),
            std::ptr::from_ref(waker.vtable()).addr(),
        );
        if self.registered != Some(address) {
            self.registered = Some(address);
            self.shared.lanes.register(self.sequence, waker);
            self.shared.nudge();
            // A sync may have passed between the look and the registration.
            if let Some(outcome) = self.shared.outcome(self.sequence) {
                return Poll::Ready(outcome);
            }
        }
        Poll::Pending
    }
}
