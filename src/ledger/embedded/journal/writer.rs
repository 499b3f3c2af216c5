//! The writer: takes what has queued, writes it, syncs, publishes. One [`Writer::step`] is one
//! group commit; a thread drives it in production, tests drive it by hand.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, SyncSender};

use super::Shared;
use super::error::JournalError;
use super::frame::{Chain, FrameHeader, HEADER_BYTES, extend_chain};
use super::lanes::Scratch;
use super::queue::{Batch, Draft};
use super::segment::{
    FRAMES_START, SPARE_NAME, Segment, SegmentHeader, Spare, name_of, prepare_spare, seed_of,
};
use crate::clock::monotonic;
use crate::ledger::Durability;
use crate::ledger::embedded::storage::{StorageFile, to_len, to_offset};
use crate::sabotage::{self, Fault};
use crate::telemetry::Meters;

/// Room kept at the end of a segment for the marker of a clean end.
const MARKER_ROOM: u64 = 64;

/// The segment that is written to.
#[derive(Debug)]
pub(super) struct Active {
    pub(super) file: Box<dyn StorageFile>,
    pub(super) name: String,
    pub(super) id: u64,
    /// Where the next frame goes.
    pub(super) offset: u64,
    /// Everything before is durable.
    pub(super) durable_to: u64,
    pub(super) bytes: u64,
}

/// What a step did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Nothing was queued.
    Idle,
    /// Everything queued up to this sequence is as durable as the level says.
    Committed {
        /// Sequence of the last record.
        last: u64,
    },
    /// The journal is closed; there will be no more steps.
    Closed,
}

/// What a step found in the queue, besides the batch.
#[derive(Debug, Clone, Copy)]
struct Work {
    /// Sequence of the last record in the batch, or of the one before it when there is none.
    last: u64,
    /// All of it is to be synced, whatever the level.
    sync: bool,
    /// There will be no more.
    close: bool,
}

/// The thread that has the next segment ready before it is needed.
#[derive(Debug)]
pub(super) struct Preparer {
    pub(super) ask: SyncSender<()>,
    pub(super) ready: Receiver<Result<Spare, JournalError>>,
}

/// The state machine behind the journal.
#[derive(Debug)]
pub struct Writer {
    shared: Arc<Shared>,
    /// `None` only before the first segment is begun.
    active: Option<Active>,
    chain: Chain,
    seed: u32,
    batch: Batch,
    /// Sequence and offset of the frames of this step.
    placed: Vec<(u64, u64)>,
    scratch: Scratch,
    spare: Option<Spare>,
    preparer: Option<Preparer>,
    /// `None` in tests that step by hand.
    meters: Option<Meters>,
    asked: bool,
    closed: bool,
}

impl Writer {
    pub(super) fn new(
        shared: Arc<Shared>,
        active: Option<Active>,
        chain: Chain,
        spare: Option<Spare>,
    ) -> Self {
        let seed = seed_of(&shared.ledger);
        Self {
            shared,
            active,
            chain,
            seed,
            batch: Batch::default(),
            placed: Vec::new(),
            scratch: Scratch::default(),
            spare,
            preparer: None,
            meters: None,
            asked: false,
            closed: false,
        }
    }

    /// Has every sync and batch counted.
    pub(super) fn set_meters(&mut self, meters: Meters) {
        self.meters = Some(meters);
    }

    /// Uses a thread for preparing segments, and has it begin.
    pub(super) fn set_preparer(&mut self, preparer: Preparer) {
        self.preparer = Some(preparer);
        self.ask_for_spare();
    }

    /// Waits until there is something to do. For the writer's thread.
    pub(super) fn wait_for_work(&self) {
        let mut queue = self.shared.lock_queue();
        while !queue.has_work() {
            self.shared.writer_sleeps.store(true, Ordering::Release);
            queue = self
                .shared
                .work
                .wait(queue)
                .unwrap_or_else(std::sync::PoisonError::into_inner);
        }
        self.shared.writer_sleeps.store(false, Ordering::Relaxed);
        drop(queue);
    }

    /// One group commit: writes and syncs all that is queued, then wakes those who wait for it.
    /// Never waits for work. After an error the journal is poisoned.
    pub fn step(&mut self) -> Result<Step, JournalError> {
        if self.closed {
            return Ok(Step::Closed);
        }
        let work = {
            let mut queue = self.shared.lock_queue();
            if self.shared.poisoned.load(Ordering::SeqCst) {
                // Poisoned from outside: records were dropped, so there is no clean end to mark.
                self.closed = true;
                return Ok(Step::Closed);
            }
            std::mem::swap(&mut queue.batch, &mut self.batch);
            self.shared
                .writing
                .store(self.batch.bytes.len(), Ordering::Relaxed);
            self.shared.tail.queued.store(0, Ordering::Relaxed);
            let sync = std::mem::take(&mut queue.sync_wanted);
            Work {
                last: queue.last,
                sync: sync || queue.closed,
                close: queue.closed,
            }
        };
        if self.batch.is_empty() && !work.sync {
            return Ok(Step::Idle);
        }
        let result = self.commit(work);
        self.batch.clear();
        self.shared.writing.store(0, Ordering::Relaxed);
        match result {
            Ok(()) if work.close => {
                self.closed = true;
                self.shared.end(&mut self.scratch);
                Ok(Step::Closed)
            }
            Ok(()) => Ok(Step::Committed { last: work.last }),
            Err(error) => {
                self.closed = true;
                self.shared.poison(&error, &mut self.scratch);
                Err(error)
            }
        }
    }

    fn commit(&mut self, work: Work) -> Result<(), JournalError> {
        if !self.batch.is_empty() {
            self.write_batch()?;
            self.publish(work.last);
        }
        if work.sync {
            self.sync()?;
        }
        if work.close {
            self.write_marker(work.last + 1)?;
            self.sync()?;
        }
        if work.sync {
            self.shared.publish_synced(work.last);
        }
        Ok(())
    }

    /// Marks the start of an epoch: from here on, damage to anything before is told apart from an
    /// unfinished write.
    pub(super) fn mark(&mut self) -> Result<(), JournalError> {
        let next = self.shared.last() + 1;
        self.write_marker(next)?;
        self.sync()
    }

    fn write_marker(&mut self, next_sequence: u64) -> Result<(), JournalError> {
        self.batch.clear();
        self.batch.begin(next_sequence);
        let written = self.write_batch();
        // The next step gives this buffer to the callers.
        self.batch.clear();
        written
    }

    fn publish(&mut self, last: u64) {
        if !self.placed.is_empty() {
            let mut catalog = self.shared.lock_catalog();
            if let Some(segment) = catalog.segments.back_mut() {
                for (sequence, offset) in self.placed.drain(..) {
                    segment.index(sequence, offset);
                }
            }
        }
        if let Some(meters) = &self.meters {
            let records = self
                .batch
                .drafts
                .iter()
                .map(|draft| u64::from(draft.count))
                .sum();
            meters.journal_batch(records, to_offset(self.batch.bytes.len()));
            meters.durable_sequence(last);
        }
        self.shared.publish(last, &mut self.scratch);
    }

    /// Writes the batch; syncs it unless the level is `os`.
    fn write_batch(&mut self) -> Result<(), JournalError> {
        let mut batch = std::mem::take(&mut self.batch);
        let result = self.write_frames(&mut batch);
        self.batch = batch;
        result
    }

    fn write_frames(&mut self, batch: &mut Batch) -> Result<(), JournalError> {
        let Batch { bytes, drafts } = batch;
        let end = bytes.len().next_multiple_of(super::frame::ALIGN);
        // The room after the last frame is blanked, so that what a recycled segment held before
        // is never next to it.
        bytes.resize(end + HEADER_BYTES, 0);
        let mut run = 0;
        for at in 0..drafts.len() {
            let Some(draft) = drafts.get(at).copied() else {
                break;
            };
            let next = drafts.get(at + 1).map_or(end, |next| next.start);
            if !self.has_room(to_offset(draft.start - run), to_offset(next - draft.start)) {
                self.flush(
                    bytes.get(run..draft.start).unwrap_or(&[]),
                    draft.start - run,
                )?;
                self.rotate(draft.first_sequence)?;
                run = draft.start;
            }
            self.seal(bytes, &draft, run);
        }
        // The blank header goes with the last write where there is room for it.
        let tail = to_offset(end + HEADER_BYTES - run);
        let fits = self
            .active
            .as_ref()
            .is_some_and(|active| active.offset + tail <= active.bytes);
        let until = if fits { end + HEADER_BYTES } else { end };
        self.flush(bytes.get(run..until).unwrap_or(&[]), end - run)
    }

    /// The active segment has room for a frame behind `before` bytes that are still to be written.
    /// A frame that is longer than any segment gets one of its own.
    fn has_room(&self, before: u64, size: u64) -> bool {
        self.active.as_ref().is_some_and(|active| {
            let at = active.offset + before;
            at == FRAMES_START || at + size + MARKER_ROOM <= active.bytes
        })
    }

    /// Fills in the header of a frame of a run.
    fn seal(&mut self, bytes: &mut [u8], draft: &Draft, run: usize) {
        let Some(active) = &self.active else { return };
        let Some((head, rest)) = bytes
            .get_mut(draft.start..draft.end)
            .and_then(<[u8]>::split_first_chunk_mut::<HEADER_BYTES>)
        else {
            return;
        };
        self.chain = extend_chain(&self.chain, rest);
        let header = FrameHeader {
            payload_bytes: u32::try_from(rest.len()).unwrap_or(u32::MAX),
            first_sequence: draft.first_sequence,
            count: draft.count,
            epoch: self.shared.epoch,
            durable_to: active.durable_to,
            chain: self.chain,
            segment: active.id,
            payload_crc: crc32c::crc32c(rest),
        };
        header.encode(self.seed, head);
        self.placed.push((
            draft.first_sequence,
            active.offset + to_offset(draft.start - run),
        ));
    }

    /// Writes a run of frames with one call, and syncs it as the level asks.
    fn flush(&mut self, bytes: &[u8], advance: usize) -> Result<(), JournalError> {
        let Some(active) = &mut self.active else {
            return Ok(());
        };
        if bytes.is_empty() {
            return Ok(());
        }
        active
            .file
            .write_at(bytes, active.offset)
            .map_err(JournalError::io("write", &active.name))?;
        active.offset += to_offset(advance);
        active.bytes = active.bytes.max(active.offset);
        match self.shared.config.durability {
            Durability::Os => Ok(()),
            Durability::Disk if sabotage::is_on(Fault::AckBeforeSync) => Ok(()),
            // The configuration offers only the first to this ledger; no other promises less.
            Durability::Disk
            | Durability::Memory
            | Durability::Replica
            | Durability::ReplicaDisk => self.sync(),
        }
    }

    /// Makes all that was written durable.
    fn sync(&mut self) -> Result<(), JournalError> {
        let Some(active) = &mut self.active else {
            return Ok(());
        };
        if active.durable_to < active.offset {
            let timer = monotonic();
            let mut synced = active.file.sync_data();
            if synced.is_err() && sabotage::is_on(Fault::RetryFailedSync) {
                synced = active.file.sync_data();
            }
            synced.map_err(JournalError::io("sync", &active.name))?;
            active.durable_to = active.offset;
            if let Some(meters) = &self.meters {
                meters.journal_fsync(timer.elapsed());
            }
        }
        Ok(())
    }

    /// Begins the next segment. The one before is made durable first: only the last segment of a
    /// journal can end in an unfinished write.
    fn rotate(&mut self, first_sequence: u64) -> Result<(), JournalError> {
        self.sync()?;
        let spare = self.take_spare()?;
        let header = SegmentHeader {
            epoch: self.shared.epoch,
            id: self.active.as_ref().map_or(0, |active| active.id) + 1,
            first_sequence,
            ledger: self.shared.ledger,
            chain: self.chain,
        };
        let name = name_of(first_sequence);
        // In this order: whoever sees the new name sees a whole header.
        spare
            .file
            .write_at(&header.encode(), 0)
            .map_err(JournalError::io("write", &name))?;
        spare
            .file
            .sync_data()
            .map_err(JournalError::io("sync", &name))?;
        let storage = &*self.shared.storage;
        storage
            .rename(SPARE_NAME, &name)
            .map_err(JournalError::io("rename to", &name))?;
        if !sabotage::is_on(Fault::NoFolderSync) {
            storage
                .sync_dir()
                .map_err(JournalError::io("sync the folder of", &name))?;
        }
        {
            let mut catalog = self.shared.lock_catalog();
            if let (Some(segment), Some(active)) = (catalog.segments.back_mut(), &self.active) {
                for (sequence, offset) in self.placed.drain(..) {
                    segment.index(sequence, offset);
                }
                segment.bytes = active.bytes;
            }
            catalog
                .segments
                .push_back(Segment::new(&header, spare.bytes));
        }
        self.active = Some(Active {
            file: spare.file,
            name,
            id: header.id,
            offset: FRAMES_START,
            durable_to: FRAMES_START,
            bytes: spare.bytes,
        });
        self.ask_for_spare();
        Ok(())
    }

    fn ask_for_spare(&mut self) {
        if let Some(preparer) = &self.preparer
            && self.spare.is_none()
            && !self.asked
        {
            self.asked = preparer.ask.try_send(()).is_ok();
        }
    }

    fn take_spare(&mut self) -> Result<Spare, JournalError> {
        if let Some(spare) = self.spare.take() {
            return Ok(spare);
        }
        if std::mem::take(&mut self.asked)
            && let Some(preparer) = &self.preparer
            && let Ok(spare) = preparer.ready.recv()
        {
            return spare;
        }
        let recycle = self.shared.lock_catalog().recycle.take();
        prepare_spare(
            &*self.shared.storage,
            self.shared.config.segment_bytes,
            recycle,
        )
    }

    pub(super) fn shared_handle(&self) -> Arc<Shared> {
        Arc::clone(&self.shared)
    }

    /// Bytes left in the active segment; for tests that want to meet its end.
    pub fn room(&self) -> usize {
        self.active.as_ref().map_or(0, |active| {
            to_len(active.bytes.saturating_sub(active.offset))
        })
    }
}
