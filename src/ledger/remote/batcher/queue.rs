//! Commands that wait for the next batch.

use std::collections::VecDeque;
use std::ops::RangeInclusive;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, oneshot};

use super::limp::{Limping, NodeOf};
use crate::clock::{Monotonic, monotonic};
use crate::ledger::LedgerError;
use crate::ledger::remote::link::Endpoint;
use crate::limits::{
    QUEUE_AGE_MS_MAX, QUEUE_BYTES_MAX, QUEUE_COMMANDS_MAX, STORE_BATCH_BYTES_MAX,
    STORE_BATCH_COMMANDS_MAX, STORE_BATCH_LINES_MAX,
};
use crate::sync::{AtomicBool, Mutex, MutexGuard};
use crate::telemetry::Script;

/// A reply that all commands of a batch share, and the place of one of them in it.
pub type Place<R> = (Arc<R>, usize);

/// So many commands that would be a batch alone become two. Callers that wait for one batch come
/// back together; without this they would stay together, and the store and this program would take
/// turns instead of working at the same time.
const HALVED: RangeInclusive<usize> = 48..=STORE_BATCH_COMMANDS_MAX;

/// What a batch may not have too much of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Weight {
    /// Lines of reservations, items of stock commands, SKUs of reads.
    pub lines: usize,
    /// Bytes of the packed command.
    pub bytes: usize,
    /// The script that it needs.
    pub script: Script,
    /// The partition that decides it.
    pub partition: u16,
}

/// What a command may want to know of its fate.
pub trait Settle {
    /// It was answered, or certainly nothing happened. A command that is dropped without it may
    /// have been done, or may still be.
    fn settled(&self) {}
}

/// A command and who waits for its answer.
#[derive(Debug)]
pub(super) struct Entry<C, R> {
    pub(super) command: C,
    pub(super) weight: Weight,
    pub(super) waiter: oneshot::Sender<Result<Place<R>, LedgerError>>,
    /// When it was submitted.
    pub(super) since: Monotonic,
    /// When it was first sent.
    pub(super) sent: Option<Monotonic>,
    /// It may have been done already.
    pub(super) is_in_doubt: bool,
}

impl<C: Settle, R> Entry<C, R> {
    /// Answers with a failure, unless it may have been done: then nobody knows.
    pub(super) fn fail(self, error: LedgerError) {
        let error = if self.is_in_doubt {
            LedgerError::Unknown
        } else {
            self.command.settled();
            error
        };
        self.tell(Err(error));
    }

    pub(super) fn answer(self, place: Place<R>) {
        self.command.settled();
        self.tell(Ok(place));
    }

    /// Whoever has gone away only misses the answer.
    fn tell(self, answer: Result<Place<R>, LedgerError>) {
        drop(self.waiter.send(answer));
    }
}

/// Bounds of a queue.
#[derive(Debug, Clone, Copy)]
pub struct QueueLimits {
    /// Most commands that wait.
    pub commands: usize,
    /// Most bytes of commands that wait.
    pub bytes: usize,
    /// A command that has waited longer is not sent any more: its caller has given up, or will
    /// have when the answer comes.
    pub age: Duration,
}

impl Default for QueueLimits {
    fn default() -> Self {
        Self {
            commands: QUEUE_COMMANDS_MAX,
            bytes: QUEUE_BYTES_MAX,
            age: Duration::from_millis(QUEUE_AGE_MS_MAX),
        }
    }
}

#[derive(Debug)]
struct Inner<C, R> {
    /// Of each partition.
    entries: Vec<VecDeque<Entry<C, R>>>,
    /// Partitions with entries, each once, in the order in which they are served.
    turns: VecDeque<u16>,
    commands: usize,
    bytes: usize,
    /// Batches that were taken and are not settled.
    in_flight: usize,
    /// Those of them that have no place in the lane any more.
    limping: Limping,
}

impl<C, R> Inner<C, R> {
    /// The entries of a partition, which gets a turn if it had none.
    fn wanted(&mut self, partition: u16) -> Option<&mut VecDeque<Entry<C, R>>> {
        let entries = self.entries.get_mut(usize::from(partition))?;
        if entries.is_empty() {
            self.turns.push_back(partition);
        }
        Some(entries)
    }

    fn first(&self, partition: u16) -> Option<&Entry<C, R>> {
        self.entries.get(usize::from(partition))?.front()
    }

    fn pop(&mut self, partition: u16) -> Option<Entry<C, R>> {
        let entry = self.entries.get_mut(usize::from(partition))?.pop_front()?;
        self.discount(&entry);
        Some(entry)
    }

    /// Most commands of the next batch: half of what waits when there would be no other batch.
    fn commands_max(&self) -> usize {
        let is_alone = self.in_flight == 0 && self.turns.len() == 1;
        if is_alone && HALVED.contains(&self.commands) {
            self.commands.div_ceil(2)
        } else {
            STORE_BATCH_COMMANDS_MAX
        }
    }

    fn count(&mut self, entry: &Entry<C, R>) {
        self.commands += 1;
        self.bytes += entry.weight.bytes;
    }

    fn discount(&mut self, entry: &Entry<C, R>) {
        self.commands -= 1;
        self.bytes -= entry.weight.bytes;
    }
}

/// A bounded queue that is emptied in batches, each of one partition.
pub(super) struct Queue<C, R> {
    limits: QueueLimits,
    node_of: NodeOf,
    /// LOCK: to put one in or to take a batch out; nothing else happens under it, but that the map of
    /// the cluster is looked at while batches limp. The queue of a lane is only ever touched by its
    /// own thread.
    inner: Mutex<Inner<C, R>>,
    /// Something is there to be taken.
    ready: Notify,
    /// A place in the lane became free.
    vacated: Notify,
    is_closed: AtomicBool,
}

impl<C: Settle, R> Queue<C, R> {
    pub(super) fn new(limits: QueueLimits, partitions: usize, node_of: NodeOf) -> Self {
        Self {
            limits,
            node_of,
            inner: Mutex::new(Inner {
                entries: (0..partitions).map(|_| VecDeque::new()).collect(),
                turns: VecDeque::new(),
                commands: 0,
                bytes: 0,
                in_flight: 0,
                limping: Limping::default(),
            }),
            ready: Notify::new(),
            vacated: Notify::new(),
            is_closed: AtomicBool::new(false),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner<C, R>> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts one at the end, or answers it at once when there is no room.
    pub(super) fn push(&self, entry: Entry<C, R>) {
        let mut inner = self.lock();
        // Looked at under the lock: whoever closes empties the queue afterwards.
        let refusal = if self.is_closed.load(Ordering::Acquire) {
            Some(LedgerError::Unavailable)
        } else if self.is_full(&inner, entry.weight) {
            Some(LedgerError::Overloaded)
        } else {
            None
        };
        if let Some(error) = refusal {
            drop(inner);
            return entry.fail(error);
        }
        inner.count(&entry);
        if let Some(entries) = inner.wanted(entry.weight.partition) {
            entries.push_back(entry);
        }
        drop(inner);
        self.ready.notify_one();
    }

    /// Whether there is no room for one more. What waits for a node in trouble leaves half of it to
    /// the others.
    fn is_full(&self, inner: &Inner<C, R>, weight: Weight) -> bool {
        let QueueLimits {
            commands, bytes, ..
        } = self.limits;
        let is_over = |share: usize| {
            inner.commands >= commands / share || inner.bytes + weight.bytes > bytes / share
        };
        is_over(1) || (is_over(2) && self.is_in_trouble(inner, weight.partition))
    }

    /// Whether nothing is sent for a partition now.
    fn is_in_trouble(&self, inner: &Inner<C, R>, partition: u16) -> bool {
        let is_such = |node: Endpoint| inner.limping.is_in_trouble(&node);
        !inner.limping.is_empty() && (self.node_of)(partition).is_some_and(is_such)
    }

    /// Puts back what the store left for later, before all others and whatever the limits.
    pub(super) fn put_back(&self, entries: Vec<Entry<C, R>>) {
        let mut inner = self.lock();
        for entry in entries.into_iter().rev() {
            inner.count(&entry);
            if let Some(entries) = inner.wanted(entry.weight.partition) {
                entries.push_front(entry);
            }
        }
        drop(inner);
        self.ready.notify_one();
    }

    /// The next batch: everything that waits for the partition whose turn it is, up to the limits
    /// of a batch. Empty once the queue is closed and drained.
    pub(super) async fn next_batch(&self) -> Vec<Entry<C, R>> {
        loop {
            // Whatever else is ready on this thread, and what has come in from its sockets, runs
            // first: so that the batch is as large as the thread can make it.
            tokio::task::yield_now().await;
            let batch = self.take();
            if !batch.is_empty() {
                return batch;
            }
            if self.is_drained() {
                return batch;
            }
            self.ready.notified().await;
        }
    }

    /// Whether it is closed and empty.
    pub(super) fn is_drained(&self) -> bool {
        self.is_closed.load(Ordering::Acquire) && self.lock().turns.is_empty()
    }

    /// Where the turn is that comes next.
    fn next_turn(&self, inner: &Inner<C, R>) -> Option<usize> {
        let mut turns = inner.turns.iter();
        turns.position(|partition| !self.is_in_trouble(inner, *partition))
    }

    fn take(&self) -> Vec<Entry<C, R>> {
        let mut batch: Vec<Entry<C, R>> = Vec::new();
        let mut stale = Vec::new();
        let (mut lines, mut bytes) = (0, 0);
        let now = monotonic();
        let mut inner = self.lock();
        let commands_max = inner.commands_max();
        let turn = self.next_turn(&inner);
        let turn = turn.and_then(|at| inner.turns.remove(at));
        while let Some(next) = turn.and_then(|partition| inner.first(partition)) {
            let weight = next.weight;
            let is_stale = self.is_stale(next, now);
            let is_full = batch.len() == commands_max
                || lines + weight.lines > STORE_BATCH_LINES_MAX
                || bytes + weight.bytes > STORE_BATCH_BYTES_MAX;
            if is_full && !batch.is_empty() && !is_stale {
                inner.turns.push_back(weight.partition);
                break;
            }
            let Some(entry) = inner.pop(weight.partition) else {
                break;
            };
            if is_stale {
                stale.push(entry);
            } else {
                lines += weight.lines;
                bytes += weight.bytes;
                batch.push(entry);
            }
        }
        let is_more = self.next_turn(&inner).is_some();
        inner.in_flight += usize::from(!batch.is_empty());
        drop(inner);
        if is_more {
            self.ready.notify_one();
        }
        for entry in stale {
            entry.fail(LedgerError::Overloaded);
        }
        batch
    }

    /// A batch that was taken is settled.
    pub(super) fn settled(&self) {
        self.lock().in_flight -= 1;
    }

    /// A batch of a partition limps: it is at this node. `None`: it cannot.
    pub(super) fn limp(&self, partition: u16) -> Option<Endpoint> {
        let node = (self.node_of)(partition)?;
        let limps = self.lock().limping.add(&node);
        self.vacated.notify_one();
        limps.then_some(node)
    }

    /// One of those at this node is settled.
    pub(super) fn limps_no_more(&self, node: &Endpoint) {
        self.lock().limping.remove(node);
        self.pass_on();
    }

    /// Batches that limp.
    pub(super) fn limping(&self) -> usize {
        self.lock().limping.count()
    }

    /// Returns when a batch limps that did not before.
    pub(super) async fn vacated(&self) {
        self.vacated.notified().await;
    }

    /// Answers those who have waited too long, while nothing is taken.
    pub(super) fn drop_stale(&self) {
        let now = monotonic();
        let mut inner = self.lock();
        let mut stale = Vec::new();
        for entries in &mut inner.entries {
            // What was sent before stands first, and never waits too long; then the oldest.
            let sent = entries.iter().take_while(|entry| entry.sent.is_some());
            let sent = sent.count();
            let late = entries.iter().skip(sent);
            let late = late.take_while(|entry| self.is_stale(entry, now)).count();
            stale.extend(entries.drain(sent..sent + late));
        }
        stale.iter().for_each(|entry| inner.discount(entry));
        // A partition of which nothing is left has no turn.
        let Inner { entries, turns, .. } = &mut *inner;
        turns.retain(|turn| {
            entries
                .get(usize::from(*turn))
                .is_some_and(|e| !e.is_empty())
        });
        drop(inner);
        for entry in stale {
            entry.fail(LedgerError::Overloaded);
        }
    }

    /// How often those are looked for who have waited too long.
    pub(super) fn looks_every(&self) -> Duration {
        self.limits.age / 4
    }

    fn is_stale(&self, entry: &Entry<C, R>, now: Monotonic) -> bool {
        entry.sent.is_none() && now.since(entry.since) > self.limits.age
    }

    /// Takes no more commands. What is queued is still sent.
    pub(super) fn close(&self) {
        self.is_closed.store(true, Ordering::Release);
        // Whoever pushes holds the lock and has looked before, or looks after.
        drop(self.lock());
        // One permit for each worker, whether it waits already or is about to.
        self.ready.notify_waiters();
        self.ready.notify_one();
    }

    /// Answers those whom nobody will send any more.
    pub(super) fn abandon(&self) {
        self.close();
        let mut left = Vec::new();
        let mut inner = self.lock();
        for entries in &mut inner.entries {
            left.extend(entries.drain(..));
        }
        inner.turns.clear();
        drop(inner);
        for entry in left {
            entry.fail(LedgerError::Unavailable);
        }
    }

    /// Tells another worker, who may be waiting, to look again.
    pub(super) fn pass_on(&self) {
        self.ready.notify_one();
    }
}

#[cfg(test)]
#[path = "queue_tests.rs"]
mod tests;
