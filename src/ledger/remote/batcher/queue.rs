//! Commands that wait for the next batch.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, oneshot};

use crate::clock::{Monotonic, monotonic};
use crate::ledger::LedgerError;
use crate::limits::{STORE_BATCH_BYTES_MAX, STORE_BATCH_COMMANDS_MAX, STORE_BATCH_LINES_MAX};
use crate::telemetry::Script;

/// A reply that all commands of a batch share, and the place of one of them in it.
pub type Place<R> = (Arc<R>, usize);

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
            commands: 16 * 1024,
            bytes: 16 * 1024 * 1024,
            age: Duration::from_secs(1),
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
#[derive(Debug)]
pub(super) struct Queue<C, R> {
    limits: QueueLimits,
    /// LOCK: to put one in or to take a batch out; nothing else happens under it. The queue of a
    /// lane is only ever touched by its own thread.
    inner: Mutex<Inner<C, R>>,
    /// Something is there to be taken.
    ready: Notify,
    is_closed: AtomicBool,
}

impl<C: Settle, R> Queue<C, R> {
    pub(super) fn new(limits: QueueLimits, partitions: usize) -> Self {
        Self {
            limits,
            inner: Mutex::new(Inner {
                entries: (0..partitions).map(|_| VecDeque::new()).collect(),
                turns: VecDeque::new(),
                commands: 0,
                bytes: 0,
            }),
            ready: Notify::new(),
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
        } else if inner.commands >= self.limits.commands
            || inner.bytes + entry.weight.bytes > self.limits.bytes
        {
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
            if self.is_closed.load(Ordering::Acquire) && self.lock().turns.is_empty() {
                return batch;
            }
            self.ready.notified().await;
        }
    }

    fn take(&self) -> Vec<Entry<C, R>> {
        let mut batch: Vec<Entry<C, R>> = Vec::new();
        let mut stale = Vec::new();
        let (mut lines, mut bytes) = (0, 0);
        let now = monotonic();
        let mut inner = self.lock();
        let turn = inner.turns.pop_front();
        while let Some(next) = turn.and_then(|partition| inner.first(partition)) {
            let weight = next.weight;
            let is_stale = self.is_stale(next, now);
            let is_full = batch.len() == STORE_BATCH_COMMANDS_MAX
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
        let is_more = !inner.turns.is_empty();
        drop(inner);
        if is_more {
            self.ready.notify_one();
        }
        for entry in stale {
            entry.fail(LedgerError::Overloaded);
        }
        batch
    }

    /// Answers those who have waited too long, while nothing is taken.
    pub(super) fn drop_stale(&self) {
        let now = monotonic();
        let mut inner = self.lock();
        let mut stale = Vec::new();
        for entries in &mut inner.entries {
            let all = std::mem::take(entries).into_iter();
            let (late, fresh): (Vec<_>, Vec<_>) = all.partition(|entry| self.is_stale(entry, now));
            *entries = fresh.into();
            stale.extend(late);
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

    /// Waits for a call of the store; meanwhile those who have waited too long are answered.
    pub(super) async fn dropping_stale<T>(&self, call: impl Future<Output = T>) -> T {
        let mut call = std::pin::pin!(call);
        loop {
            tokio::select! {
                biased;
                done = &mut call => return done,
                () = tokio::time::sleep(self.limits.age / 4) => self.drop_stale(),
            }
        }
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
mod tests {
    use super::*;

    impl Settle for u32 {}

    type Waiter = oneshot::Receiver<Result<Place<()>, LedgerError>>;

    fn entry(number: u32, lines: usize, bytes: usize) -> (Entry<u32, ()>, Waiter) {
        let (waiter, receiver) = oneshot::channel();
        let script = Script::Batch;
        let entry = Entry {
            command: number,
            weight: Weight {
                lines,
                bytes,
                script,
                partition: 0,
            },
            waiter,
            since: monotonic(),
            sent: None,
            is_in_doubt: false,
        };
        (entry, receiver)
    }

    fn queue(commands: usize, bytes: usize, age: Duration) -> Queue<u32, ()> {
        let limits = QueueLimits {
            commands,
            bytes,
            age,
        };
        Queue::new(limits, 1)
    }

    const LONG: Duration = Duration::from_hours(1);

    fn numbers(batch: &[Entry<u32, ()>]) -> Vec<u32> {
        batch.iter().map(|entry| entry.command).collect()
    }

    #[test]
    fn a_batch_ends_at_the_first_limit_that_it_meets() {
        for (lines, bytes, per_batch) in [
            (1, 10, STORE_BATCH_COMMANDS_MAX),
            (STORE_BATCH_LINES_MAX / 4, 1, 4),
            (1, STORE_BATCH_BYTES_MAX / 3, 3),
            (STORE_BATCH_LINES_MAX * 2, 1, 1),
            (1, STORE_BATCH_BYTES_MAX * 2, 1),
        ] {
            let queue = queue(1_000, usize::MAX, LONG);
            (0..300).for_each(|n| queue.push(entry(n, lines, bytes).0));
            let first = numbers(&queue.take());
            assert_eq!(first.len(), per_batch);
            let second = numbers(&queue.take());
            assert_eq!(second.first().copied(), u32::try_from(per_batch).ok());
        }
    }

    #[test]
    fn a_full_queue_answers_overloaded_and_has_room_again_after_a_batch() {
        for queue in [queue(2, usize::MAX, LONG), queue(99, 20, LONG)] {
            queue.push(entry(1, 1, 10).0);
            queue.push(entry(2, 1, 10).0);
            let (third, mut waiter) = entry(3, 1, 10);
            queue.push(third);
            assert!(matches!(
                waiter.try_recv(),
                Ok(Err(LedgerError::Overloaded))
            ));
            assert_eq!(numbers(&queue.take()), [1, 2]);
            let (fourth, mut waiter) = entry(4, 1, 10);
            queue.push(fourth);
            assert!(waiter.try_recv().is_err(), "it waits");
            assert_eq!(numbers(&queue.take()), [4]);
        }
    }

    #[test]
    fn what_has_waited_too_long_is_not_sent_unless_it_was_sent_before() {
        let queue = queue(9, usize::MAX, Duration::ZERO);
        let (late, mut waiter) = entry(1, 1, 1);
        let since = late.since;
        let (mut deferred, _) = entry(2, 1, 1);
        deferred.sent = Some(monotonic());
        queue.push(late);
        queue.push(deferred);
        while since.elapsed().is_zero() {}
        assert_eq!(numbers(&queue.take()), [2]);
        assert!(matches!(
            waiter.try_recv(),
            Ok(Err(LedgerError::Overloaded))
        ));
    }

    #[test]
    fn what_is_put_back_comes_first_and_in_order() {
        let queue = queue(2, usize::MAX, LONG);
        queue.push(entry(3, 1, 1).0);
        queue.push(entry(4, 1, 1).0);
        queue.put_back(vec![entry(1, 1, 1).0, entry(2, 1, 1).0]);
        assert_eq!(numbers(&queue.take()), [1, 2, 3, 4]);
    }

    #[test]
    fn nobody_is_left_waiting_when_a_queue_is_abandoned() {
        let queue = queue(9, usize::MAX, LONG);
        let (fresh, mut fresh_waiter) = entry(1, 1, 1);
        let (mut doubtful, mut doubtful_waiter) = entry(2, 1, 1);
        doubtful.is_in_doubt = true;
        queue.push(fresh);
        queue.push(doubtful);
        queue.abandon();
        let (late, mut late_waiter) = entry(3, 1, 1);
        queue.push(late);
        let told = [&mut fresh_waiter, &mut doubtful_waiter, &mut late_waiter]
            .map(|waiter| waiter.try_recv().unwrap().unwrap_err());
        let nothing = LedgerError::Unavailable;
        assert_eq!(told, [nothing, LedgerError::Unknown, nothing]);
    }
}
