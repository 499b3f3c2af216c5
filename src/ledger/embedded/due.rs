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
    in_order: [VecDeque<(UnixMillis, u32)>; QUEUES],
    others: BinaryHeap<Reverse<(UnixMillis, u32)>>,
}

impl DueQueue {
    /// Adds a slot: to the queue whose last deadline is the latest that is not later.
    pub(super) fn push(&mut self, deadline: UnixMillis, slot: u32) {
        let fits = |queue: &&mut VecDeque<(UnixMillis, u32)>| {
            queue.back().is_none_or(|(last, _)| *last <= deadline)
        };
        let latest = |queue: &&mut VecDeque<(UnixMillis, u32)>| queue.back().map(|(last, _)| *last);
        match self.in_order.iter_mut().filter(fits).max_by_key(latest) {
            Some(queue) => queue.push_back((deadline, slot)),
            None => self.others.push(Reverse((deadline, slot))),
        }
    }

    /// The earliest deadline.
    pub(super) fn first(&self) -> Option<UnixMillis> {
        let fronts = self.in_order.iter().filter_map(VecDeque::front);
        let in_order = fronts.map(|(deadline, _)| *deadline).min();
        let other = self.others.peek().map(|Reverse((deadline, _))| *deadline);
        match (in_order, other) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (one, other) => one.or(other),
        }
    }

    /// Takes the slot with the earliest deadline, if that has passed.
    pub(super) fn pop_due(&mut self, now: UnixMillis) -> Option<u32> {
        let first = self.first().filter(|deadline| deadline.is_due(now))?;
        let is_first = |queue: &&mut VecDeque<(UnixMillis, u32)>| {
            queue
                .front()
                .is_some_and(|(deadline, _)| *deadline == first)
        };
        match self.in_order.iter_mut().find(is_first) {
            Some(queue) => queue.pop_front().map(|(_, slot)| slot),
            None => self.others.pop().map(|Reverse((_, slot))| slot),
        }
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
        while let Some(slot) = queue.pop_due(UnixMillis(12)) {
            out.push(deadlines[usize::try_from(slot).unwrap()]);
        }
        assert_eq!(out, [1, 2, 3, 5, 7, 7, 9, 12]);
        assert_eq!(queue.first(), Some(UnixMillis(30)));
    }
}
