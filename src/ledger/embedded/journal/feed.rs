//! Reading records by position while the journal is open.

use super::error::JournalError;
use super::frame::Records;
use super::reader::{Frame, FrameReader};
use super::segment::{Segment, seed_of};
use super::{Journal, Shared};
use crate::ledger::Position;

/// Records with their positions.
pub type PositionedRecords = Vec<(Position, Vec<u8>)>;

/// A page under construction.
struct Page {
    records: PositionedRecords,
    bytes: usize,
    limit: usize,
    bytes_max: usize,
}

impl Page {
    fn is_full(&self) -> bool {
        self.records.len() >= self.limit || (self.bytes >= self.bytes_max && self.bytes > 0)
    }

    /// Takes the records `next..until` of a frame; true when the page is full.
    fn take(&mut self, frame: &Frame<'_>, next: u64, until: u64) -> bool {
        let epoch = frame.header.epoch;
        let sequences = frame.header.first_sequence..until;
        for (sequence, record) in sequences.zip(Records::new(frame.payload)) {
            if self.is_full() {
                break;
            }
            if sequence >= next {
                self.push(
                    Position {
                        shard: 0,
                        epoch,
                        sequence,
                    },
                    record,
                );
            }
        }
        self.is_full()
    }

    fn push(&mut self, position: Position, record: &[u8]) {
        self.bytes += record.len();
        self.records.push((position, record.to_vec()));
    }
}

impl Journal {
    /// Durable records whose sequence is greater than `after`, in order: at most `limit`, and no
    /// more once they have `bytes_max` bytes together. Reads files.
    ///
    /// # Errors
    /// [`JournalError::Gone`] when the next record is no longer kept.
    pub fn read(
        &self,
        after: u64,
        limit: usize,
        bytes_max: usize,
    ) -> Result<PositionedRecords, JournalError> {
        let durable = self.durable();
        let mut page = Page {
            records: Vec::new(),
            bytes: 0,
            limit,
            bytes_max,
        };
        let mut next = after.saturating_add(1);
        while next <= durable && !page.is_full() {
            let (mut segment, end) = self.shared.find(next)?;
            let until = end.min(durable.saturating_add(1));
            if let Err(error) = self
                .shared
                .read_segment(&mut segment, next, until, &mut page)
            {
                // The segment may have been recycled in the meantime.
                self.shared.find(next)?;
                return Err(error);
            }
            self.shared.remember_index(segment);
            match page.records.last() {
                Some((position, _)) if position.sequence >= next => next = position.sequence + 1,
                Some(_) | None => break,
            }
        }
        Ok(page.records)
    }
}

impl Shared {
    /// The segment with a record, and the sequence that follows its last.
    fn find(&self, sequence: u64) -> Result<(Segment, u64), JournalError> {
        let catalog = self.lock_catalog();
        let oldest = catalog
            .segments
            .front()
            .map_or(0, |segment| segment.first_sequence);
        let after = catalog
            .segments
            .partition_point(|it| it.first_sequence <= sequence);
        let end = catalog
            .segments
            .get(after)
            .map_or(u64::MAX, |next| next.first_sequence);
        after
            .checked_sub(1)
            .and_then(|at| catalog.segments.get(at))
            .map(|segment| (segment.clone(), end))
            .ok_or(JournalError::Gone { oldest })
    }

    /// Reads the records `next..until` of a segment until the page is full.
    fn read_segment(
        &self,
        segment: &mut Segment,
        next: u64,
        until: u64,
        page: &mut Page,
    ) -> Result<(), JournalError> {
        let name = segment.name.clone();
        let file = self
            .storage
            .open(&name)
            .map_err(JournalError::io("open", &name))?;
        let mut reader = FrameReader::new(&*file, &name, segment.id, seed_of(&self.ledger))?;
        let mut offset = segment.seek(next);
        let mut sequence = next;
        while sequence < until {
            let frame = reader
                .frame(offset)?
                .map_err(|fault| JournalError::damaged(&name, offset, fault.what()))?;
            segment.index(frame.header.first_sequence, offset);
            if page.take(&frame, next, until) {
                return Ok(());
            }
            sequence = frame.header.next_sequence();
            offset = frame.next;
        }
        Ok(())
    }

    /// Keeps what a read learned about an old segment.
    fn remember_index(&self, read: Segment) {
        let mut catalog = self.lock_catalog();
        let known = catalog
            .segments
            .iter_mut()
            .find(|segment| segment.id == read.id);
        if let Some(known) = known {
            known.learn(read);
        }
    }
}
