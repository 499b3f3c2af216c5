//! Deadlines in order. Holds of one kind live equally long, so their deadlines arrive in order:
//! each kind finds a plain queue, written and read at its ends; only what fits none of the few
//! queues pays for a heap.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

use crate::domain::UnixMillis;

/// Times to live that may be mixed before any hold goes to the heap.
const QUEUES: usize = 3;

/// Slots of lines by deadline. May hold stale entries: the line says what is due.
#[derive(Debug, Default)]
pub(super) struct DueQueue {
    in_order: [InOrder; QUEUES],
    others: BinaryHeap<Reverse<(UnixMillis, u32)>>,
    /// The earliest deadline of all, so that asking for it reads no queue: every command asks.
    first: Option<UnixMillis>,
}

/// A slot and its deadline, in twelve bytes.
#[derive(Debug, Clone, Copy)]
#[repr(Rust, packed(4))]
struct Due {
    deadline: UnixMillis,
    slot: u32,
}

const _: () = assert!(size_of::<Due>() == 12);

/// Entries of a block.
const BLOCK: usize = 256;

/// A queue whose deadlines never fall. It grows by blocks, so that it copies nothing and has
/// little room to spare: there are as many entries as holds.
#[derive(Debug, Default)]
struct InOrder {
    blocks: VecDeque<Vec<Due>>,
    /// Entries of the first block that were taken out.
    taken: usize,
    /// The deadline at its end, kept here so that a push reads no more than it writes.
    last: Option<UnixMillis>,
}

impl InOrder {
    fn front(&self) -> Option<Due> {
        self.blocks.front()?.get(self.taken).copied()
    }

    fn first(&self) -> Option<UnixMillis> {
        self.front().map(|due| due.deadline)
    }

    fn push(&mut self, deadline: UnixMillis, slot: u32) {
        let due = Due { deadline, slot };
        self.last = Some(deadline);
        match self.blocks.back_mut() {
            Some(block) if block.len() < BLOCK => block.push(due),
            _ => {
                let mut block = Vec::with_capacity(BLOCK);
                block.push(due);
                self.blocks.push_back(block);
            }
        }
    }

    fn pop(&mut self) -> Option<u32> {
        let due = self.front()?;
        self.taken += 1;
        let is_last = self.blocks.len() == 1;
        if let Some(block) = self
            .blocks
            .front_mut()
            .filter(|block| self.taken == block.len())
        {
            self.taken = 0;
            if is_last {
                block.clear();
                self.last = None;
            } else {
                self.blocks.pop_front();
            }
        }
        Some(due.slot)
    }
}

impl DueQueue {
    /// Adds a slot: to the queue whose last deadline is the latest that is not later.
    pub(super) fn push(&mut self, deadline: UnixMillis, slot: u32) {
        let fits = |queue: &&mut InOrder| queue.last.is_none_or(|last| last <= deadline);
        let queue = self.in_order.iter_mut().filter(fits);
        match queue.max_by_key(|queue| queue.last) {
            Some(queue) => queue.push(deadline, slot),
            None => self.others.push(Reverse((deadline, slot))),
        }
        self.first = Some(self.first.map_or(deadline, |first| first.min(deadline)));
    }

    /// The earliest deadline.
    pub(super) const fn first(&self) -> Option<UnixMillis> {
        self.first
    }

    /// The slot that [`Self::pop_due`] would take.
    pub(super) fn peek_due(&self, now: UnixMillis) -> Option<u32> {
        let first = self.first.filter(|deadline| deadline.is_due(now))?;
        let is_first = |due: &Due| ({ due.deadline }) == first;
        let mut fronts = self.in_order.iter().filter_map(InOrder::front);
        match fronts.find(is_first) {
            Some(due) => Some(due.slot),
            None => self.others.peek().map(|Reverse((_, slot))| *slot),
        }
    }

    /// Takes the slot with the earliest deadline, if that has passed.
    pub(super) fn pop_due(&mut self, now: UnixMillis) -> Option<u32> {
        let first = self.first.filter(|deadline| deadline.is_due(now))?;
        let is_first = |queue: &&mut InOrder| queue.first() == Some(first);
        let slot = match self.in_order.iter_mut().find(is_first) {
            Some(queue) => queue.pop(),
            None => self.others.pop().map(|Reverse((_, slot))| slot),
        };
        let other = self.others.peek().map(|Reverse((deadline, _))| *deadline);
        let in_order = self.in_order.iter().map(InOrder::first);
        self.first = in_order.chain([other]).flatten().min();
        slot
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_come_out_by_deadline() {
        let mut queue = DueQueue::default();
        let deadlines = [5, 9, 7, 7, 30, 12, 1, 3, 2];
        for (slot, deadline) in (0..).zip(deadlines) {
            queue.push(UnixMillis(deadline), slot);
        }
        assert_eq!(queue.first(), Some(UnixMillis(1)));
        assert_eq!(queue.pop_due(UnixMillis(0)), None);
        let mut out = Vec::new();
        while let Some(slot) = queue.peek_due(UnixMillis(12)) {
            assert_eq!(queue.pop_due(UnixMillis(12)), Some(slot));
            out.push(deadlines[usize::try_from(slot).unwrap()]);
        }
        assert_eq!(out, [1, 2, 3, 5, 7, 7, 9, 12]);
        assert_eq!(queue.first(), Some(UnixMillis(30)));
    }

    #[test]
    fn a_queue_of_many_blocks_keeps_its_order() {
        let mut queue = DueQueue::default();
        let count = 3 * BLOCK + 7;
        let mut out = Vec::new();
        for n in 0..count {
            let slot = u32::try_from(n).unwrap();
            queue.push(UnixMillis(i64::from(slot)), slot);
            if n % 3 == 0 {
                out.extend(queue.pop_due(UnixMillis(i64::from(slot))));
            }
        }
        while let Some(slot) = queue.pop_due(UnixMillis(i64::MAX)) {
            out.push(slot);
        }
        assert!(out.iter().copied().eq(0..u32::try_from(count).unwrap()));
        assert_eq!(
            (queue.first(), queue.pop_due(UnixMillis(i64::MAX))),
            (None, None)
        );
    }
}
