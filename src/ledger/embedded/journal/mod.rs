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
#[cfg(test)]
mod file_tests;
mod frame;
mod lanes;
mod queue;
mod reader;
mod recovery;
#[cfg(test)]
mod schedules;
mod segment;
mod shared;
#[cfg(test)]
mod tests;
mod wait;
mod writer;

use std::future::Future;
use std::io;
use std::sync::atomic::Ordering;
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use tokio::sync::watch;

pub use error::{JournalError, ReplayError};
pub use feed::PositionedRecords;
pub use recovery::{Cut, JournalRecovery, Replayed};
pub use wait::Wait;
pub use writer::{Step, Writer};

use self::lanes::Scratch;
use self::segment::prepare_spare;
use self::shared::Shared;
use self::writer::Preparer;
use super::storage::Storage;
use crate::blocking::wait_for;
use crate::ledger::{Durability, LedgerError};

/// Queued bytes from which the writer begins although nobody waits yet. Where it only hands them to
/// the system, it begins so early that a caller with a thousand commands in flight finds the oldest
/// done when it comes to wait; where it syncs, a larger group is worth more.
const fn nudge_bytes(durability: Durability) -> usize {
    match durability {
        Durability::Os => 32 * 1024,
        // A journal has no other levels than these two.
        Durability::Disk | Durability::Memory | Durability::Replica | Durability::ReplicaDisk => {
            64 * 1024
        }
    }
}

/// How a journal works.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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
            queue_bytes_max: 64 * 1024 * 1024,
            retain_bytes: 1024 * 1024 * 1024,
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
            self.shared.tail.last.store(queue.last, Ordering::Release);
            let queued = queue.batch.bytes.len();
            self.shared.tail.queued.store(queued, Ordering::Relaxed);
            (last, queued)
        };
        if queued >= nudge_bytes(self.shared.config.durability) {
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
            .tail
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
        Wait::new(&self.shared, sequence)
    }

    /// [`wait`](Self::wait) for threads without a runtime.
    pub fn wait_blocking(&self, sequence: u64) -> Result<(), LedgerError> {
        wait_for(self.wait(sequence))
    }

    /// Gives this thread a lane: waiting on it costs no lock afterwards. Returns the lane's pump,
    /// which must run as a task of the same thread for as long as anybody waits there.
    pub fn lane(&self) -> impl Future<Output = ()> + 'static {
        wait::pump(Arc::clone(&self.shared))
    }

    /// Gives this thread a lane and runs its pump there.
    ///
    /// # Panics
    /// Outside a `LocalSet` or a local runtime.
    pub fn install_lane(&self) {
        drop(tokio::task::spawn_local(self.lane()));
    }

    /// Has the writer make all records appended so far durable on the disk, whatever the level.
    /// Returns the sequence up to which [`is_synced`](Self::is_synced) will say so.
    pub fn ask_for_sync(&self) -> Result<u64, LedgerError> {
        let target = {
            let mut queue = self.shared.lock_queue();
            if queue.closed {
                // Records may have been dropped that the caller has seen the effect of.
                return Err(LedgerError::Unknown);
            }
            queue.sync_wanted = true;
            queue.last
        };
        self.shared.work.notify_one();
        Ok(target)
    }

    /// Whether everything up to a sequence is on the disk itself. Fails when it will never be known.
    pub fn is_synced(&self, target: u64) -> Result<bool, LedgerError> {
        if self.shared.is_over() {
            return Err(LedgerError::Unknown);
        }
        Ok(*self.shared.lock_synced() >= target)
    }

    /// Makes all records appended so far durable on the disk, whatever the level.
    pub fn sync_blocking(&self) -> Result<(), LedgerError> {
        let target = self.ask_for_sync()?;
        self.wait_until_synced(target)
    }

    /// Waits until everything up to a sequence is on the disk itself, which somebody asked for.
    pub fn wait_until_synced(&self, target: u64) -> Result<(), LedgerError> {
        let mut synced = self.shared.lock_synced();
        loop {
            if self.shared.is_over() {
                return Err(LedgerError::Unknown);
            }
            if *synced >= target {
                return Ok(());
            }
            synced = self
                .shared
                .synced_changed
                .wait(synced)
                .unwrap_or_else(PoisonError::into_inner);
        }
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
