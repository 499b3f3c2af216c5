//! Deadlines in order. Most holds live equally long, so most deadlines arrive in order: those are
//! a plain queue, written and read at its ends; only the others pay for a heap.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

use crate::domain::UnixMillis;

/// Slots of lines by deadline. May hold stale entries: the line says what is due.
#[derive(Debug, Default)]
pub(super) struct DueQueue {
    in_order: VecDeque<(UnixMillis, u32)>,
    others: BinaryHeap<Reverse<(UnixMillis, u32)>>,
}

impl DueQueue {
    /// Adds a slot.
    pub(super) fn push(&mut self, deadline: UnixMillis, slot: u32) {
        if self
            .in_order
            .back()
            .is_none_or(|(last, _)| *last <= deadline)
        {
            self.in_order.push_back((deadline, slot));
        } else {
            self.others.push(Reverse((deadline, slot)));
        }
    }

    /// The earliest deadline.
    pub(super) fn first(&self) -> Option<UnixMillis> {
        let in_order = self.in_order.front().map(|(deadline, _)| *deadline);
        let other = self.others.peek().map(|Reverse((deadline, _))| *deadline);
        match (in_order, other) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (one, other) => one.or(other),
        }
    }

    /// Takes the slot with the earliest deadline, if that has passed.
    pub(super) fn pop_due(&mut self, now: UnixMillis) -> Option<u32> {
        let first = self.first().filter(|deadline| deadline.is_due(now))?;
        if self
            .in_order
            .front()
            .is_some_and(|(deadline, _)| *deadline == first)
        {
            return self.in_order.pop_front().map(|(_, slot)| slot);
        }
        self.others.pop().map(|Reverse((_, slot))| slot)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_come_out_by_deadline() {
        let mut queue = DueQueue::default();
        let deadlines = [5, 9, 7, 7, 30, 12, 1];
        for (slot, deadline) in (0..).zip(deadlines) {
            queue.push(UnixMillis(deadline), slot);
        }
        assert_eq!(queue.first(), Some(UnixMillis(1)));
        assert_eq!(queue.pop_due(UnixMillis(0)), None);
        let mut out = Vec::new();
        while let Some(slot) = queue.pop_due(UnixMillis(12)) {
            out.push(deadlines[usize::try_from(slot).unwrap()]);
        }
        assert_eq!(out, [1, 5, 7, 7, 9, 12]);
        assert_eq!(queue.first(), Some(UnixMillis(30)));
    }
}
