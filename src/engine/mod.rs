//! Use cases: the boundary that HTTP, the command line, benches and tests call.
//!
//! The engine gives names and keys their indexes, sends commands to the ledger, waits until the
//! answer may be given, and counts. It never writes stock itself.

mod deficits;
mod names;
mod open;
mod policy;
pub mod preflight;

use std::io::Write;
use std::sync::Arc;

pub use self::deficits::{Failure, TakenBack, Touched, TouchedPage};
pub use self::names::NameError;
pub use self::open::EngineConfig;
use crate::blocking::wait_for;
use crate::clock::{Clock, Monotonic, monotonic};
use crate::domain::command::{Command, CommandKey, Keyed, Verb};
use crate::domain::{Outcome, Refusal, Reservation, ReservationId, Settings, Sku, UnixMillis};
use crate::ledger::embedded::{EmbeddedLedger, Snapshotting};
use crate::ledger::event::{Cursor, EventPage};
use crate::ledger::export::{Walk, WalkError};
use crate::ledger::port::Ledger;
use crate::ledger::proof::{self, Proof, ProveError};
use crate::ledger::{
    About, Answer, Availability, Consistency, EventsError, Gauges, Health, LedgerError, Position,
    Recount, StockView,
};
use crate::telemetry::{Meters, Op, OutcomeKind};

pub use crate::ledger::embedded::recover::OpenError;

/// The engine. Cheap to clone.
#[derive(Clone)]
pub struct Engine {
    parts: Arc<Parts>,
}

struct Parts {
    ledger: Ledger,
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

    /// Executes one command; returns when the answer may be given.
    ///
    /// The command is done, or not done, when this is first polled: a caller that goes away
    /// afterwards only misses the answer.
    pub async fn execute(&self, command: &Keyed<'_>) -> Result<Answer, LedgerError> {
        let timer = monotonic();
        let answer = self.parts.ledger.decide(command).await;
        // Before the wait, so that it counts even if the caller goes away meanwhile.
        self.count(&command.command, &answer);
        let answer = answer?;
        self.wait(answer.told_after).await?;
        if let Some(op) = op(&command.command) {
            let store = self.parts.ledger.store();
            self.parts.meters.op_duration(op, store, timer.elapsed());
        }
        Ok(answer)
    }

    /// Executes commands in order, each on its own; returns when all answers may be given.
    pub async fn execute_batch(&self, commands: &[Keyed<'_>]) -> Vec<Result<Answer, LedgerError>> {
        let timer = monotonic();
        let answers = self.parts.ledger.decide_batch(commands).await;
        let submitted = self.submitted(commands, answers, timer);
        self.finish_batch(submitted).await
    }

    /// Decides commands in order, each on its own, as far as memory goes. Takes as long as there
    /// are commands, may block, and needs no runtime.
    pub fn submit_batch(&self, commands: &[Keyed<'_>]) -> Submitted {
        let timer = monotonic();
        let answers = self.parts.ledger.submit_batch(commands);
        self.submitted(commands, answers, timer)
    }

    fn submitted(
        &self,
        commands: &[Keyed<'_>],
        answers: Vec<Result<Answer, LedgerError>>,
        timer: Monotonic,
    ) -> Submitted {
        for (found, answer) in commands.iter().zip(&answers) {
            self.count(&found.command, answer);
        }
        Submitted {
            answers,
            ops: commands.iter().map(|found| op(&found.command)).collect(),
            timer,
        }
    }

    /// The answers to a batch, in order; returns when all of them may be given.
    pub async fn finish_batch(&self, batch: Submitted) -> Vec<Result<Answer, LedgerError>> {
        let Submitted {
            mut answers,
            ops,
            timer,
        } = batch;
        self.parts.ledger.finish_batch(&mut answers).await;
        let (store, took) = (self.parts.ledger.store(), timer.elapsed());
        for (op, answer) in ops.into_iter().zip(&answers) {
            if let (Some(op), Ok(_)) = (op, answer) {
                self.parts.meters.op_duration(op, store, took);
            }
        }
        answers
    }

    /// Executes one command on a thread that may block.
    pub fn execute_blocking(&self, command: &Keyed<'_>) -> Result<Answer, LedgerError> {
        wait_for(self.execute(command))
    }

    /// A lane for waits of this thread, where the ledger has any: what is returned must run on it for
    /// as long as anybody waits there. [`Self::install_lane`] has a local runtime do that.
    pub fn lane(&self) -> Option<impl Future<Output = ()> + 'static> {
        self.parts.ledger.embedded().map(EmbeddedLedger::lane)
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
        wait_for(self.wait(position))
    }

    /// Stock of a SKU; `None`: unknown.
    pub async fn stock(&self, sku: Sku<'_>) -> Result<Option<StockView>, LedgerError> {
        self.parts.ledger.stock(sku).await
    }

    /// Settings of a SKU; `None`: unknown.
    pub async fn settings(&self, sku: Sku<'_>) -> Result<Option<Settings>, LedgerError> {
        self.parts.ledger.settings(sku).await
    }

    /// What may be promised now; `None`: unknown SKU.
    pub async fn availability(
        &self,
        sku: Sku<'_>,
        about: impl Into<About>,
        consistency: Consistency,
    ) -> Result<Option<Availability>, LedgerError> {
        let ledger = &self.parts.ledger;
        ledger.availability(sku, about.into(), consistency).await
    }

    /// A reservation; `None`: unknown or forgotten. What it shows is durable.
    pub async fn reservation(&self, id: ReservationId) -> Result<Option<Reservation>, LedgerError> {
        self.parts.ledger.reservation(id).await
    }

    /// The latest reservation of a channel with this reference. What it shows is durable.
    pub async fn by_reference(
        &self,
        channel: &str,
        reference: &str,
    ) -> Result<Option<Reservation>, LedgerError> {
        match self.parts.ledger.look_up_channel(channel).await? {
            Some(channel) => self.parts.ledger.by_reference(channel, reference).await,
            None => Ok(None),
        }
    }

    /// What the command with this idempotency key was answered; `None`: nothing happened under
    /// it. That answer is durable.
    pub async fn settle(&self, key: &str) -> Result<Option<Answer>, LedgerError> {
        let id = self.parts.ledger.hasher().key(key);
        self.parts.ledger.settle(id).await
    }

    /// Durable events after a place in the feed, at most `limit`. May read files: not for a thread
    /// that must not block.
    pub async fn events(&self, after: Cursor, limit: usize) -> Result<EventPage, EventsError> {
        self.parts.ledger.events(after, limit).await
    }

    /// The last durable change of a shard, as far as it is known here.
    pub fn durable(&self, shard: u16) -> Position {
        self.parts.ledger.durable(shard)
    }

    /// How the ledger is.
    pub fn health(&self) -> Health {
        self.parts.ledger.health()
    }

    /// Recounts everything against the records. May take long, and block for as long.
    pub async fn recount(&self) -> Result<Recount, LedgerError> {
        self.parts.ledger.recount().await
    }

    /// Brings to an end what others have left half done between partitions. Nobody else may serve
    /// the ledger: what they have on its way may be taken back.
    pub async fn settle_all(&self) -> Result<(), WalkError> {
        self.parts.ledger.settle_all().await
    }

    /// Reads everything that an export holds. May take long, and block for as long.
    pub async fn walk(&self) -> Result<Walk<'_>, WalkError> {
        Walk::begin(&self.parts.ledger).await
    }

    /// Writes the history of a range as a file that can be checked without the ledger. May take long,
    /// and block for as long.
    pub async fn prove(&self, range: &proof::Range, to: impl Write) -> Result<Proof, ProveError> {
        proof::write(&self.parts.ledger, range, to).await
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
    pub async fn tick(&self) -> Result<(), LedgerError> {
        let Parts { ledger, meters, .. } = &*self.parts;
        ledger.tick().await?;
        let Gauges {
            open_lines,
            missing,
        } = ledger.gauges()?;
        meters.reservations_active(open_lines);
        meters.deficits().stand(missing.skus, missing.units);
        let queued = ledger.health().queued_bytes;
        meters.queue_bytes(u64::try_from(queued).unwrap_or(u64::MAX));
        Ok(())
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

    /// Begins a snapshot that is written step by step, where the backend keeps any.
    pub fn begin_snapshot(&self) -> Result<Option<Snapshotting<'_>>, LedgerError> {
        let ledger = self.parts.ledger.embedded();
        ledger.map(EmbeddedLedger::begin_snapshot).transpose()
    }

    /// Removes a ledger that was made for one command from its store. A data folder is its
    /// owner's to remove.
    pub async fn discard(&self) -> Result<(), LedgerError> {
        self.parts.ledger.discard().await
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

/// The metric label of a command; `None` for those that are about no reservation.
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
        Command::Stock(_)
        | Command::PutSettings(_)
        | Command::Inbound(_)
        | Command::MoveShares(_) => None,
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
