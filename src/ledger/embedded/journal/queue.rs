//! The buffer between the callers and the writer.
//!
//! Callers copy their records behind each other, with room for the frame headers left free; the
//! writer swaps the whole buffer for an empty one and fills the headers in. So a record is copied
//! once, and the lock is held for that copy only.

use super::frame::{ALIGN, HEADER_BYTES};
use crate::limits::FRAME_BYTES_MAX;

/// A frame under construction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Draft {
    /// Where the header begins in the buffer.
    pub(super) start: usize,
    /// Where the payload ends.
    pub(super) end: usize,
    pub(super) first_sequence: u64,
    pub(super) count: u32,
}

/// Frames behind each other, headers still blank.
#[derive(Debug, Default)]
pub(super) struct Batch {
    pub(super) bytes: Vec<u8>,
    pub(super) drafts: Vec<Draft>,
}

impl Batch {
    /// Adds records of one call to the last frame, or to a new one when that would grow too long.
    fn push(&mut self, records: &[u8], count: u32, first_sequence: u64) {
        let room = self
            .drafts
            .last()
            .is_some_and(|draft| draft.end - draft.start + records.len() <= FRAME_BYTES_MAX);
        if !room {
            self.begin(first_sequence);
        }
        self.bytes.extend_from_slice(records);
        let end = self.bytes.len();
        if let Some(draft) = self.drafts.last_mut() {
            draft.end = end;
            draft.count += count;
        }
    }

    /// Begins a frame; without records it is a marker.
    pub(super) fn begin(&mut self, first_sequence: u64) {
        let start = self.bytes.len().next_multiple_of(ALIGN);
        let end = start + HEADER_BYTES;
        self.bytes.resize(end, 0);
        self.drafts.push(Draft {
            start,
            end,
            first_sequence,
            count: 0,
        });
    }

    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        self.drafts.clear();
    }

    pub(super) fn is_empty(&self) -> bool {
        self.drafts.is_empty()
    }
}

/// What the queue's lock protects.
#[derive(Debug)]
pub(super) struct Queue {
    pub(super) batch: Batch,
    /// Sequence of the last record kept.
    pub(super) last: u64,
    /// Records dropped since the journal was closed: they get numbers that never become durable.
    dropped: u64,
    /// Somebody waits for a sync although the level does not ask for one.
    pub(super) sync_wanted: bool,
    /// No more records are taken: the journal was closed or has failed.
    pub(super) closed: bool,
}

impl Queue {
    pub(super) fn new(last: u64) -> Self {
        Self {
            batch: Batch::default(),
            last,
            dropped: 0,
            sync_wanted: false,
            closed: false,
        }
    }

    /// Appends the records of one call; returns the sequence of the last one.
    pub(super) fn append(&mut self, records: &[u8], count: u32) -> u64 {
        if self.closed {
            self.dropped += u64::from(count);
            return self.last + self.dropped;
        }
        if count > 0 {
            self.batch.push(records, count, self.last + 1);
            self.last += u64::from(count);
        }
        self.last
    }

    /// The writer has something to do.
    pub(super) fn has_work(&self) -> bool {
        !self.batch.is_empty() || self.sync_wanted || self.closed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_share_a_frame_until_it_is_long() {
        let mut queue = Queue::new(10);
        assert_eq!(queue.append(&[1; 13], 1), 11);
        assert_eq!(queue.append(&[2; 10], 2), 13);
        let draft = Draft {
            start: 0,
            end: 64 + 23,
            first_sequence: 11,
            count: 3,
        };
        assert_eq!(queue.batch.drafts, [draft]);
        queue.append(&vec![3; FRAME_BYTES_MAX], 1);
        let last = *queue.batch.drafts.last().unwrap();
        assert_eq!((last.start, last.first_sequence, last.count), (88, 14, 1));
        assert_eq!(queue.batch.drafts.len(), 2);
    }

    #[test]
    fn a_closed_queue_counts_but_keeps_nothing() {
        let mut queue = Queue::new(0);
        queue.closed = true;
        assert_eq!((queue.append(&[0; 8], 1), queue.append(&[0; 8], 1)), (1, 2));
        assert_eq!(
            queue.last, 0,
            "what was dropped must never count as written"
        );
        assert!(queue.batch.is_empty());
    }
}
