//! Use cases: the boundary that HTTP, the command line, benches and tests call.
//!
//! The engine gives names and keys their indexes, sends commands to the ledger, waits until the
//! answer may be given, and counts. It never writes stock itself.

mod names;
mod open;

use std::sync::Arc;

pub use self::names::NameError;
pub use self::open::EngineConfig;
use crate::clock::{Clock, Monotonic, monotonic};
use crate::domain::command::{Command, CommandKey, Keyed, Verb};
use crate::domain::{
    NodeIx, Outcome, Refusal, Reservation, ReservationId, Settings, Sku, UnixMillis,
};
use crate::ledger::embedded::EmbeddedLedger;
use crate::ledger::event::{Cursor, EventPage};
use crate::ledger::{
    Answer, Availability, EventsError, Health, LedgerError, Position, Recount, StockView,
};
use crate::telemetry::{Meters, Op, OutcomeKind, Store};

pub use crate::ledger::embedded::recover::OpenError;

/// The engine. Cheap to clone.
#[derive(Clone)]
pub struct Engine {
    parts: Arc<Parts>,
}

struct Parts {
    ledger: EmbeddedLedger,
    meters: Meters,
    clock: Clock,
    /// Changes after which a snapshot is due.
    snapshot_every: u64,
}

/// Commands that are decided. Their answers must not be given to anyone before
/// [`Engine::finish_batch`].
#[derive(Debug)]
pub struct Submitted {
    answers: Vec<Result<Answer, LedgerError>>,
    ops: Vec<Option<Op>>,
    timer: Monotonic,
}

impl Engine {
    /// The identity of a command that came with this idempotency key.
    pub fn key(&self, key: &str, command: &Command<'_>) -> CommandKey {
        let hasher = self.parts.ledger.hasher();
        CommandKey {
            id: hasher.key(key),
            fingerprint: hasher.fingerprint(command),
        }
    }

    /// Executes a command as far as memory goes. The answer must not be given to anyone before
    /// [`Self::wait`] or [`Self::wait_blocking`] for its `told_after` is done.
    pub fn submit(&self, command: &Keyed<'_>) -> Result<Answer, LedgerError> {
        let answer = self.parts.ledger.submit(command);
        self.count(&command.command, &answer);
        answer
    }

    /// Executes one command; returns when the answer is durable.
    ///
    /// The command is done, or not done, when this is first polled: a caller that goes away
    /// afterwards only misses the answer.
    pub async fn execute(&self, command: &Keyed<'_>) -> Result<Answer, LedgerError> {
        let timer = monotonic();
        let answer = self.submit(command)?;
        self.wait(answer.told_after).await?;
        if let Some(op) = op(&command.command) {
            self.parts
                .meters
                .op_duration(op, Store::Embedded, timer.elapsed());
        }
        Ok(answer)
    }

    /// Decides commands in order, each on its own, as far as memory goes. Takes as long as there
    /// are commands, and needs no runtime.
    pub fn submit_batch(&self, commands: &[Keyed<'_>]) -> Submitted {
        let timer = monotonic();
        Submitted {
            answers: commands.iter().map(|found| self.submit(found)).collect(),
            ops: commands.iter().map(|found| op(&found.command)).collect(),
            timer,
        }
    }

    /// The answers to a batch, in order; returns when all of them are durable.
    pub async fn finish_batch(&self, batch: Submitted) -> Vec<Result<Answer, LedgerError>> {
        let Submitted {
            mut answers,
            ops,
            timer,
        } = batch;
        let last = answers
            .iter()
            .flatten()
            .map(|answer| answer.told_after)
            .max();
        if let Err(error) = self.wait(last.unwrap_or_default()).await {
            withhold(&mut answers, self.health().durable.sequence, error);
        }
        let took = timer.elapsed();
        for (op, answer) in ops.into_iter().zip(&answers) {
            if let (Some(op), Ok(_)) = (op, answer) {
                self.parts.meters.op_duration(op, Store::Embedded, took);
            }
        }
        answers
    }

    /// Executes one command on a thread that may block.
    pub fn execute_blocking(&self, command: &Keyed<'_>) -> Result<Answer, LedgerError> {
        let answer = self.submit(command)?;
        self.wait_blocking(answer.told_after)?;
        Ok(answer)
    }

    /// Lets waits of this thread be woken without a shared lock. Called once, on a thread that
    /// runs a local runtime.
    pub fn install_lane(&self) {
        self.parts.ledger.install_lane();
    }

    /// Waits until everything up to a position is durable.
    pub async fn wait(&self, position: Position) -> Result<(), LedgerError> {
        self.parts.ledger.wait(position.sequence).await
    }

    /// Waits until everything up to a position is durable, on a thread that may block.
    pub fn wait_blocking(&self, position: Position) -> Result<(), LedgerError> {
        self.parts.ledger.wait_blocking(position.sequence)
    }

    /// Stock of a SKU; `None`: unknown.
    pub fn stock(&self, sku: Sku<'_>) -> Result<Option<StockView>, LedgerError> {
        self.parts.ledger.stock(sku)
    }

    /// Settings of a SKU; `None`: unknown.
    pub fn settings(&self, sku: Sku<'_>) -> Result<Option<Settings>, LedgerError> {
        self.parts.ledger.settings(sku)
    }

    /// What may be promised now; `None`: unknown SKU.
    pub fn availability(
        &self,
        sku: Sku<'_>,
        node: Option<NodeIx>,
    ) -> Result<Option<Availability>, LedgerError> {
        self.parts.ledger.availability(sku, node)
    }

    /// A reservation; `None`: unknown or forgotten. It may not be durable yet: for callers of this
    /// process only.
    pub fn reservation(&self, id: ReservationId) -> Result<Option<Reservation>, LedgerError> {
        self.parts.ledger.reservation(id)
    }

    /// A reservation; `None`: unknown or forgotten. Waits until what it shows is durable.
    pub async fn settled_reservation(
        &self,
        id: ReservationId,
    ) -> Result<Option<Reservation>, LedgerError> {
        self.settled(self.reservation(id)?).await
    }

    /// Waits until what was read is durable.
    ///
    /// What changes a reservation is in the journal before its lock is given back, so that the
    /// last record now is not before what was read.
    async fn settled<T>(&self, read: Option<T>) -> Result<Option<T>, LedgerError> {
        if read.is_some() {
            self.parts.ledger.wait(self.parts.ledger.last()).await?;
        }
        Ok(read)
    }

    /// What the command with this idempotency key was answered; `None`: nothing happened under
    /// it. Waits until that answer is durable.
    pub async fn settle(&self, key: &str) -> Result<Option<Answer>, LedgerError> {
        let answer = self
            .parts
            .ledger
            .settle(self.parts.ledger.hasher().key(key))?;
        if let Some(answer) = &answer {
            self.wait(answer.told_after).await?;
        }
        Ok(answer)
    }

    /// The latest reservation of a channel with this reference. Waits until what it shows is
    /// durable.
    pub async fn settled_by_reference(
        &self,
        channel: &str,
        reference: &str,
    ) -> Result<Option<Reservation>, LedgerError> {
        self.settled(self.by_reference(channel, reference)?).await
    }

    /// The latest reservation of a channel with this reference. It may not be durable yet: for
    /// callers of this process only.
    pub fn by_reference(
        &self,
        channel: &str,
        reference: &str,
    ) -> Result<Option<Reservation>, LedgerError> {
        match self.known_channel(channel) {
            Some(channel) => self.parts.ledger.by_reference(channel, reference),
            None => Ok(None),
        }
    }

    /// Durable events after a place in the feed, at most `limit`. Reads files: not for a thread that must
    /// not block.
    pub fn events(&self, after: Cursor, limit: usize) -> Result<EventPage, EventsError> {
        self.parts.ledger.events(after, limit)
    }

    /// How the ledger is.
    pub fn health(&self) -> Health {
        self.parts.ledger.health()
    }

    /// Recounts everything against the records.
    pub fn recount(&self) -> Result<Recount, LedgerError> {
        self.parts.ledger.recount()
    }

    /// Now, by the ledger's clock.
    pub fn now(&self) -> UnixMillis {
        self.parts.ledger.now()
    }

    /// The clock the engine was opened with.
    pub fn clock(&self) -> &Clock {
        &self.parts.clock
    }

    /// The engine's meters.
    pub fn meters(&self) -> &Meters {
        &self.parts.meters
    }

    /// One round of what must happen by itself: held units whose deadline has passed go back, old
    /// records are forgotten, a part of the counters is checked.
    pub fn tick(&self) -> Result<(), LedgerError> {
        let ledger = &self.parts.ledger;
        ledger.reap()?;
        ledger.prune()?;
        self.parts.meters.reservations_active(ledger.open_lines()?);
        let queued = ledger.health().queued_bytes;
        self.parts
            .meters
            .queue_bytes(u64::try_from(queued).unwrap_or(u64::MAX));
        Ok(())
    }

    /// Checks the counters of a part of the pool; the whole pool after
    /// [`STOCK_SHARDS`](crate::limits::STOCK_SHARDS) calls.
    pub fn audit(&self) -> Result<(), LedgerError> {
        self.parts.ledger.audit_next()
    }

    /// Writes a snapshot when enough has changed since the last. Blocks for as long as that takes.
    pub fn snapshot_if_due(&self) -> Result<bool, LedgerError> {
        if self.parts.ledger.since_snapshot() < self.parts.snapshot_every {
            return Ok(false);
        }
        self.snapshot().map(|_| true)
    }

    /// Writes a snapshot. Returns the sequence it starts at.
    pub fn snapshot(&self) -> Result<u64, LedgerError> {
        self.parts.ledger.snapshot()
    }

    /// Flushes the journal and stops its threads; later commands are refused as unavailable.
    pub fn close(&self) -> Result<(), LedgerError> {
        self.parts.ledger.close()
    }

    fn count(&self, command: &Command<'_>, answer: &Result<Answer, LedgerError>) {
        let Some(op) = op(command) else { return };
        let channel = match (command, answer) {
            (
                _,
                Ok(Answer {
                    verdict: Ok(Outcome::Reservation(r)),
                    ..
                }),
            ) => Some(r.channel),
            (Command::Reserve(reserve), _) => reserve.channel.index,
            _ => None,
        };
        let name = |channel| self.channel_name(channel);
        self.parts
            .meters
            .reservation_op(op, kind(answer), channel, name);
    }
}

/// Takes back the answers that are not durable.
fn withhold(answers: &mut [Result<Answer, LedgerError>], durable: u64, error: LedgerError) {
    for answer in answers {
        if matches!(answer, Ok(answer) if answer.told_after.sequence > durable) {
            *answer = Err(error);
        }
    }
}

/// The metric label of a command; `None` for changes of stock and settings.
const fn op(command: &Command<'_>) -> Option<Op> {
    match command {
        Command::Reserve(_) => Some(Op::Reserve),
        Command::Act(act) => Some(match act.verb {
            Verb::Confirm => Op::Confirm,
            Verb::Release => Op::Release,
            Verb::Extend(_) => Op::Extend,
            Verb::Ship { .. } => Op::Ship,
            Verb::Return { .. } => Op::Return,
            Verb::Transfer { .. } => Op::Transfer,
        }),
        Command::Stock(_) | Command::PutSettings(_) => None,
    }
}

const fn kind(answer: &Result<Answer, LedgerError>) -> OutcomeKind {
    match answer {
        Err(_) => OutcomeKind::Error,
        Ok(Answer { replayed: true, .. }) => OutcomeKind::Duplicate,
        Ok(Answer { verdict: Ok(_), .. }) => OutcomeKind::Ok,
        Ok(Answer {
            verdict: Err(Refusal::InsufficientStock { .. }),
            ..
        }) => OutcomeKind::Insufficient,
        Ok(Answer {
            verdict: Err(_), ..
        }) => OutcomeKind::Conflict,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_answers_that_are_not_durable_are_withheld() {
        let at = |sequence| {
            Ok(Answer {
                verdict: Err(Refusal::Expired),
                replayed: false,
                position: Position { epoch: 1, sequence },
                told_after: Position { epoch: 1, sequence },
            })
        };
        let mut answers = vec![at(7), Err(LedgerError::Overloaded), at(8)];
        withhold(&mut answers, 7, LedgerError::Unknown);
        let expected = vec![
            at(7),
            Err(LedgerError::Overloaded),
            Err(LedgerError::Unknown),
        ];
        assert_eq!(answers, expected);
    }
}
