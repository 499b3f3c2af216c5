//! Sends one batch after another and settles each before the next.
//!
//! A batch is settled when every command has an answer. As long as it is certain that nothing
//! happened, a failure is told at once. From the first time that a batch may have been done on, it
//! is sent again, with the same command ids, until the store says what became of it; the scripts
//! answer a command id that they know with the answer that they gave before. After a bounded time
//! the callers are told that the result is unknown, which they settle in the same way. In a cluster the
//! worker gives back its place much earlier, and another one sends the next batch.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use super::ids::BatchIds;
use super::limp::Limp;
use super::queue::{Entry, Queue};
use super::{Format, Question, Settle, Settling};
use crate::clock::{Clock, Monotonic, monotonic};
use crate::ledger::LedgerError;
use crate::ledger::remote::link::{Call, CallError, Caller, Reply};
use crate::sabotage::{self, Fault};
use crate::telemetry::Script;

/// Entries of a format.
type EntryOf<F> = Entry<<F as Format>::Command, <F as Format>::Reply>;

/// The errand of a format.
type ErrandOf<F> = Errand<<F as Format>::Command, <F as Format>::Reply>;

/// The queue of a format.
pub(super) type QueueOf<F> = Queue<<F as Format>::Command, <F as Format>::Reply>;

/// One of those who empty a queue.
pub(super) struct Worker<F: Format, C> {
    pub(super) queue: Arc<QueueOf<F>>,
    pub(super) format: Arc<F>,
    pub(super) caller: C,
    pub(super) ids: Arc<BatchIds>,
    pub(super) settling: Settling,
    /// The store had no ledger that could be used when it was last asked.
    pub(super) is_unusable: bool,
}

/// How one attempt ended.
enum Attempt<R> {
    Answered(R),
    /// Nothing happened.
    Failed(LedgerError),
    /// Nothing happened, and the same batch without what needs memory might do better.
    OutOfMemory,
    /// It may have happened.
    InDoubt,
}

/// The way of a batch from the queue until it is settled.
struct Errand<C: Settle, R> {
    partition: u16,
    started: Monotonic,
    /// How long it keeps its place.
    keeps_place: Duration,
    /// It has none any more.
    limp: Option<Limp<C, R>>,
}

impl<C: Settle, R> Errand<C, R> {
    /// What is due beside the batch from time to time.
    fn look(&mut self, queue: &Arc<Queue<C, R>>) {
        queue.drop_stale();
        if self.limp.is_some() {
            // Another node may serve what waits for this one.
            queue.pass_on();
        } else if self.started.elapsed() >= self.keeps_place {
            self.limp = Limp::begin(queue, self.partition);
        }
    }

    /// Waits for a call of the store.
    async fn call<T>(&mut self, queue: &Arc<Queue<C, R>>, call: impl Future<Output = T>) -> T {
        let mut call = pin!(call);
        let pause = queue.looks_every().min(self.keeps_place);
        loop {
            tokio::select! {
                biased;
                done = &mut call => return done,
                () = tokio::time::sleep(pause) => self.look(queue),
            }
        }
    }
}

impl<F: Format, C: Caller> Worker<F, C> {
    /// Works until the queue is closed and empty, or a batch has cost it its place; then it can
    /// have another one.
    pub(super) async fn run(mut self) -> Option<Self> {
        loop {
            let batch = self.queue.next_batch().await;
            let Some(first) = batch.first() else {
                // The one permit that wakes the last one must reach the others.
                self.queue.pass_on();
                return None;
            };
            let mut errand = Errand {
                partition: first.weight.partition,
                started: monotonic(),
                keeps_place: self.settling.keeps_place,
                limp: None,
            };
            self.settle(batch, &mut errand).await;
            self.queue.settled();
            if errand.limp.is_some() {
                return Some(self);
            }
        }
    }

    /// Sends a batch until every command of it has an answer.
    async fn settle(&mut self, mut batch: Vec<EntryOf<F>>, errand: &mut ErrandOf<F>) {
        let started = errand.started;
        for entry in &mut batch {
            entry.sent.get_or_insert(started);
        }
        let mut pause = self.settling.pause_min;
        loop {
            match self.attempt(&batch, errand).await {
                Attempt::Answered(reply) => return self.deliver(batch, reply),
                Attempt::OutOfMemory => {
                    batch = relief_of(batch);
                    if batch.is_empty() {
                        return;
                    }
                    // Without the others nothing that needs memory is left, so this ends.
                    continue;
                }
                Attempt::Failed(error) => {
                    batch = certain_ones_fail(batch, error);
                }
                Attempt::InDoubt => {
                    batch.iter_mut().for_each(|entry| entry.is_in_doubt = true);
                }
            }
            if batch.is_empty() {
                return;
            }
            if started.elapsed() + pause > self.settling.limit {
                batch
                    .into_iter()
                    .for_each(|entry| entry.fail(LedgerError::Unknown));
                return;
            }
            tokio::time::sleep(self.ids.jittered(pause)).await;
            errand.look(&self.queue);
            pause = (pause * 2).min(self.settling.pause_max);
        }
    }

    async fn attempt(
        &mut self,
        batch: &[EntryOf<F>],
        errand: &mut ErrandOf<F>,
    ) -> Attempt<F::Reply> {
        let needs_memory = |entry: &EntryOf<F>| entry.weight.script == Script::Batch;
        let script = if batch.iter().any(needs_memory) {
            Script::Batch
        } else {
            Script::Relief
        };
        let commands: Vec<&F::Command> = batch.iter().map(|entry| &entry.command).collect();
        let argument = match self.format.pack(&commands) {
            Ok(argument) => argument,
            Err(error) => {
                tracing::error!(%error, "a batch cannot be packed");
                return Attempt::Failed(LedgerError::Unavailable);
            }
        };
        let batch_id = self.ids.next();
        let partition = errand.partition;
        let question = Question {
            partition,
            batch_id: &batch_id,
            commands: batch.len(),
            argument: &argument,
            at: monotonic(),
        };
        let before = self.format.before(partition);
        let called = self.caller.call(Call {
            script,
            partition,
            argument: &argument,
            batch_id: &batch_id,
            time: self.settling.clock.as_ref().map(Clock::now),
        });
        match errand.call(&self.queue, called).await {
            Ok(reply) => {
                self.is_unusable = false;
                self.read(reply, question, &commands, before)
            }
            Err(error) => {
                self.tell_of_unusable(&error);
                meaning_of(&error, script)
            }
        }
    }

    /// Once, for as long as it is so: every batch comes by here.
    fn tell_of_unusable(&mut self, error: &CallError) {
        let CallError::Unusable(why) = error else {
            return;
        };
        if !self.is_unusable {
            tracing::error!(%why, "the store holds no ledger that can be used");
        }
        self.is_unusable = true;
    }

    fn read(
        &mut self,
        reply: Reply,
        question: Question<'_>,
        commands: &[&F::Command],
        before: F::Before,
    ) -> Attempt<F::Reply> {
        if !reply.durable {
            tracing::warn!("the store did not confirm a batch at the configured level");
            return Attempt::InDoubt;
        }
        let note = |reply| self.format.note(question, before, reply, commands);
        match self.format.parse(reply.bytes, question) {
            Ok(reply) if note(&reply) => Attempt::Answered(reply),
            Ok(_) => {
                tracing::error!("the reply of the store lacks what was acknowledged before");
                self.caller.distrust();
                Attempt::InDoubt
            }
            Err(error) => {
                tracing::error!(%error, "the reply of the store makes no sense");
                self.caller.distrust();
                Attempt::InDoubt
            }
        }
    }

    /// Answers everybody whose command was decided; the others go into the next batch.
    fn deliver(&self, batch: Vec<EntryOf<F>>, reply: F::Reply) {
        let reply = Arc::new(reply);
        let mut deferred = Vec::new();
        let count = batch.len();
        for (at, entry) in batch.into_iter().enumerate() {
            let is_late = |sent: Monotonic| sent.elapsed() > self.settling.limit;
            if !self.format.is_deferred(&reply, at) {
                let at = if sabotage::is_on(Fault::NextReply) {
                    (at + 1) % count
                } else {
                    at
                };
                entry.answer((Arc::clone(&reply), at));
            } else if entry.sent.is_some_and(is_late) {
                entry.fail(LedgerError::Overloaded);
            } else {
                deferred.push(entry);
            }
        }
        if !deferred.is_empty() {
            self.queue.put_back(deferred);
        }
    }
}

/// What a failed call means for the batch.
fn meaning_of<R>(error: &CallError, script: Script) -> Attempt<R> {
    match error {
        CallError::NothingHappened(why) => {
            tracing::debug!(%why, "the store did nothing");
            Attempt::Failed(LedgerError::Unavailable)
        }
        CallError::Unusable(_) => Attempt::Failed(LedgerError::Unavailable),
        CallError::Quarantined(why) => {
            tracing::debug!(%why, "the store is quarantined");
            Attempt::Failed(LedgerError::Quarantined)
        }
        CallError::OutOfMemory(why) => {
            tracing::warn!(%why, "the store is out of memory");
            match script {
                Script::Batch => Attempt::OutOfMemory,
                Script::Relief => Attempt::Failed(LedgerError::Unavailable),
            }
        }
        CallError::Unknown(why) => {
            tracing::warn!(%why, "nobody knows what became of a batch; asking again");
            Attempt::InDoubt
        }
    }
}

/// Tells those of whom it is certain that nothing happened; the others remain.
fn certain_ones_fail<C: Settle, R>(
    batch: Vec<Entry<C, R>>,
    error: LedgerError,
) -> Vec<Entry<C, R>> {
    let (in_doubt, certain): (Vec<_>, Vec<_>) =
        batch.into_iter().partition(|entry| entry.is_in_doubt);
    certain.into_iter().for_each(|entry| entry.fail(error));
    in_doubt
}

/// What can be done without memory; the others are told that nothing happened, or that nobody
/// knows.
fn relief_of<C: Settle, R>(batch: Vec<Entry<C, R>>) -> Vec<Entry<C, R>> {
    let (relief, others): (Vec<_>, Vec<_>) = batch
        .into_iter()
        .partition(|entry| entry.weight.script == Script::Relief);
    for entry in others {
        entry.fail(LedgerError::Unavailable);
    }
    relief
}

#[cfg(test)]
#[path = "worker_tests.rs"]
mod tests;
