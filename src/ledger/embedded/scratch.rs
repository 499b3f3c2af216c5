//! Records on their way to the journal, collected in a buffer that each thread keeps.

use std::cell::RefCell;

use super::journal::Journal;
use super::record;
use crate::domain::UnixMillis;
use crate::ledger::event::Body;

/// A thread's buffer is given back to the allocator above this size.
const KEEP_BYTES: usize = 1 << 20;

thread_local! {
    static BUFFER: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// Encoded records of one command: what expired first, then the command's own, last what follows of
/// it.
pub(super) struct Scratch {
    bytes: Vec<u8>,
    count: u32,
    last: usize,
    /// What follows, where anything does.
    after: Vec<u8>,
    after_count: u32,
}

impl Scratch {
    pub(super) fn new() -> Self {
        let bytes = BUFFER.take();
        Self {
            bytes,
            count: 0,
            last: 0,
            after: Vec::new(),
            after_count: 0,
        }
    }

    /// Adds a record.
    pub(super) fn push(&mut self, at: UnixMillis, body: &Body<'_>) {
        self.last = self.bytes.len();
        record::encode(at, body, &mut self.bytes);
        self.count = self.count.saturating_add(1);
    }

    /// Adds a record that follows the command's own, which may still be added.
    pub(super) fn push_after(&mut self, at: UnixMillis, body: &Body<'_>) {
        record::encode(at, body, &mut self.after);
        self.after_count = self.after_count.saturating_add(1);
    }

    /// The record added last, as it will be read back.
    pub(super) fn last_record(&self) -> &[u8] {
        self.bytes
            .get(self.last.saturating_add(4)..)
            .unwrap_or_default()
    }

    /// Bytes collected.
    pub(super) const fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Hands everything to the journal; the sequence of the last record but those that follow, 0 when
    /// there was none.
    /// To be called under the locks of what the records changed: journal order is effect order.
    pub(super) fn commit(&mut self, journal: &Journal) -> u64 {
        if self.count == 0 && self.after_count == 0 {
            return 0;
        }
        self.bytes.append(&mut self.after);
        let last = journal.append(&self.bytes, self.count.saturating_add(self.after_count));
        let sequence = last.saturating_sub(u64::from(self.after_count));
        self.bytes.clear();
        (self.count, self.after_count) = (0, 0);
        sequence
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        self.bytes.clear();
        if self.bytes.capacity() <= KEEP_BYTES {
            BUFFER.set(std::mem::take(&mut self.bytes));
        }
    }
}
