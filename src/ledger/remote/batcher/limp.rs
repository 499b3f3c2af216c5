//! Batches that limp: they are still settled, but no longer in one of the lane's places.
//!
//! The nodes of a cluster fail one by one. Whoever waits for one that is silent, in a place of the
//! lane, keeps commands for the others waiting. So a batch without an answer gives its place back
//! after a while, and a node at which as many batches limp as a lane has places gets no more until
//! one of those is settled: it is in trouble. Fewer say little; a connection of its own may be dead.
//! Where all batches go to one server nothing limps: the others would have to wait for it as well.

use std::sync::Arc;

use super::Settle;
use super::queue::Queue;
use crate::ledger::remote::link::Endpoint;
use crate::limits::{STORE_BATCHES_IN_FLIGHT_OF_MANY, STORE_BATCHES_LIMPING_MAX};

/// Says which node of a cluster serves a partition, as far as is known. `None`: there is but one
/// server.
pub(super) type NodeOf = Box<dyn Fn(u16) -> Option<Endpoint> + Send + Sync>;

/// Nodes at which batches limp, and how many.
#[derive(Debug, Default)]
pub(super) struct Limping(Vec<(Endpoint, usize)>);

impl Limping {
    pub(super) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// At all nodes together.
    pub(super) fn count(&self) -> usize {
        self.0.iter().map(|(_, count)| count).sum()
    }

    /// One more. False: there are too many.
    pub(super) fn add(&mut self, node: &Endpoint) -> bool {
        if self.count() >= STORE_BATCHES_LIMPING_MAX {
            return false;
        }
        match self.0.iter_mut().find(|(known, _)| known == node) {
            Some((_, count)) => *count += 1,
            None => self.0.push((node.clone(), 1)),
        }
        true
    }

    /// One less.
    pub(super) fn remove(&mut self, node: &Endpoint) {
        if let Some((_, count)) = self.0.iter_mut().find(|(known, _)| known == node) {
            *count -= 1;
        }
        self.0.retain(|(_, count)| *count > 0);
    }

    /// Whether a node gets no more for now.
    pub(super) fn is_in_trouble(&self, node: &Endpoint) -> bool {
        let is_such = |(known, count): &(Endpoint, usize)| {
            known == node && *count >= STORE_BATCHES_IN_FLIGHT_OF_MANY
        };
        self.0.iter().any(is_such)
    }
}

/// A batch limps for as long as this exists.
pub(super) struct Limp<C: Settle, R> {
    queue: Arc<Queue<C, R>>,
    node: Endpoint,
}

impl<C: Settle, R> Limp<C, R> {
    /// A batch of this partition limps from now on. `None`: it keeps its place.
    pub(super) fn begin(queue: &Arc<Queue<C, R>>, partition: u16) -> Option<Self> {
        let node = queue.limp(partition)?;
        Some(Self {
            queue: Arc::clone(queue),
            node,
        })
    }
}

impl<C: Settle, R> Drop for Limp<C, R> {
    fn drop(&mut self) {
        self.queue.limps_no_more(&self.node);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_has_its_places_back_as_its_batches_come_home() {
        let node = Endpoint::Tcp(String::new(), 1);
        let mut limping = Limping::default();
        for _ in 0..STORE_BATCHES_IN_FLIGHT_OF_MANY {
            assert!(!limping.is_in_trouble(&node));
            assert!(limping.add(&node));
        }
        assert!(limping.is_in_trouble(&node));
        limping.remove(&node);
        assert!(!limping.is_in_trouble(&node));
        assert_eq!(limping.count(), STORE_BATCHES_IN_FLIGHT_OF_MANY - 1);
        for _ in 1..STORE_BATCHES_IN_FLIGHT_OF_MANY {
            limping.remove(&node);
        }
        assert!(limping.is_empty(), "nothing is kept of a node that is well");
    }
}
