//! What is done about acknowledged changes that a store lacks: it is stopped for everybody, what is
//! missing is named, and an operator accepts it.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use redis::{RedisResult, Value};

use super::feed::Caller;
use super::history::{Acknowledged, History, Marker, Remembered, ask_for_end, end_at, is_end};
use super::link::Target;
use super::script::{ACCEPT, Identity, Keys, QUARANTINE};
use super::wire::record::{Kept, Record};
use crate::domain::ReservationId;

/// Before the store is asked again.
const PAUSE: Duration = Duration::from_millis(100);

/// Attempts to name a loss that somebody has accepted already.
const ATTEMPTS: u32 = 600;

/// Records that are asked for at once.
const RECORDS: usize = 1_000;

/// Commands in one line of the log.
const NAMED: usize = 50;

/// Looks after the losses of a partition for as long as the ledger is open.
pub(super) struct Losses {
    pub(super) caller: Caller,
    pub(super) target: Arc<Target>,
    pub(super) partition: u16,
    pub(super) keys: Keys,
    pub(super) identity: Identity,
}

/// What the store lacks of the answers that were given last.
#[derive(Debug, Default, PartialEq, Eq)]
struct Missing {
    commands: Vec<Acknowledged>,
    /// The last change before what is missing, as far as this instance knows.
    common: u64,
    /// Nothing is missing that is not named.
    is_all: bool,
}

impl Losses {
    /// Deals with one loss after the other. Never ends.
    pub(super) async fn watch(self) {
        let Some(history) = self.target.history(self.partition) else {
            return;
        };
        loop {
            history.until_lost().await;
            self.target.meters.quarantined();
            if let Some(seen) = history.seen() {
                self.deal_with(history, &seen).await;
            }
            history.until_whole().await;
            self.target.meters.released();
            tracing::warn!(
                partition = self.partition,
                "the history goes on; promises are made again"
            );
        }
    }

    /// What is missing is named also where somebody accepted it before this instance could look.
    async fn deal_with(&self, history: &History, seen: &Marker) {
        let remembered = history.take_remembered();
        let loss = format!("{}.{}", self.partition, seen.position);
        let mut attempts = ATTEMPTS;
        while attempts > 0 {
            // The connection may lead to the old primary, which has everything.
            self.caller.forget();
            match self.stop_and_name(history, seen, &loss, &remembered).await {
                Ok(Some(missing)) => {
                    self.target.meters.lost_commands(missing.commands.len());
                    return tell(&loss, &missing);
                }
                Ok(None) if !history.is_lost() => return,
                Ok(None) => {}
                Err(error) => tracing::warn!(%error, "a loss cannot be looked into yet"),
            }
            attempts -= u32::from(!history.is_lost());
            tokio::time::sleep(PAUSE).await;
        }
        tracing::error!(
            loss,
            "a loss was accepted, and what it was cannot be looked into"
        );
    }

    /// `None`: the server that was asked lacks nothing.
    async fn stop_and_name(
        &self,
        history: &History,
        seen: &Marker,
        loss: &str,
        remembered: &Remembered,
    ) -> RedisResult<Option<Missing>> {
        let contact = self.caller.meet(history, self.partition).await?;
        if let Some(missing) = contact.missing() {
            self.stop(loss, missing).await?;
        } else if !contact.is_accepted(seen) {
            return Ok(None);
        }
        self.missing(remembered).await.map(Some)
    }

    async fn stop(&self, loss: &str, missing: &Marker) -> RedisResult<()> {
        let mut stop = redis::cmd("EVAL");
        stop.arg(QUARANTINE).arg(1).arg(self.keys.meta());
        stop.arg(format!("{:032x}", self.identity.ledger));
        stop.arg(missing.position.epoch).arg(loss);
        let stopped: String = self.caller.ask(&stop).await?;
        tracing::error!(
            loss,
            stopped_for = stopped,
            "acknowledged changes are missing in the store: no promises until somebody accepts that"
        );
        Ok(())
    }

    async fn missing(&self, remembered: &Remembered) -> RedisResult<Missing> {
        let common = self.last_common(remembered).await?;
        let candidates: BTreeSet<(u64, u128)> = remembered
            .commands
            .iter()
            .filter(|command| command.sequence > common.unwrap_or_default())
            .map(|command| (command.sequence, command.id))
            .collect();
        let candidates: Vec<Acknowledged> = candidates
            .into_iter()
            .map(|(sequence, id)| Acknowledged { id, sequence })
            .collect();
        let mut commands = Vec::new();
        for some in candidates.chunks(RECORDS) {
            let mut question = redis::cmd("HMGET");
            question.arg(self.keys.records());
            for command in some {
                question.arg(&command.id.to_be_bytes());
            }
            // A command may have been done anew, by another instance.
            let records: Vec<Option<Bytes>> = self.caller.ask(&question).await?;
            let unknown = some
                .iter()
                .zip(records)
                .filter(|(_, record)| !is_answer(record.as_deref()));
            commands.extend(unknown.map(|(command, _)| *command));
        }
        Ok(Missing {
            commands,
            common: common.unwrap_or_default(),
            is_all: remembered.is_all || common.is_some(),
        })
    }

    /// End of the newest batch of ours that the store has. Batches are links of one chain: with one
    /// of them it has all before it.
    async fn last_common(&self, remembered: &Remembered) -> RedisResult<Option<u64>> {
        let ends = &remembered.ends;
        let (mut there, mut beyond) = (0, ends.len());
        while there < beyond {
            let middle = there.midpoint(beyond);
            let Some(end) = ends.get(middle) else {
                break;
            };
            let mut question = redis::pipe();
            let sequence = end.0.sequence;
            ask_for_end(&mut question, self.keys.events().as_bytes(), sequence);
            let reply: Vec<Value> = self.caller.ask_all(&question).await?;
            if end_at(reply.into_iter().next()).is_some_and(|found| is_end(&found, end)) {
                there = middle + 1;
            } else {
                beyond = middle;
            }
        }
        let last = there.checked_sub(1).and_then(|last| ends.get(last));
        Ok(last.map(|(position, _)| position.sequence))
    }
}

/// Whether a record stands for an answer. That of a reservation over several partitions does not while
/// it is being placed.
fn is_answer(record: Option<&[u8]>) -> bool {
    let kept = record.map(|record| Record::parse(record).map(|record| record.kept));
    match kept {
        Some(Ok(Kept::Reservation(booking))) => booking.is_whole(),
        Some(_) => true,
        None => false,
    }
}

/// One line of what is missing altogether, then the commands.
fn tell(loss: &str, missing: &Missing) {
    let Missing {
        commands,
        common,
        is_all,
    } = missing;
    tracing::error!(
        loss,
        missing = commands.len(),
        after = common,
        is_all,
        "acknowledged commands are missing in the store"
    );
    for some in commands.chunks(NAMED) {
        let mut named = String::new();
        for Acknowledged { id, sequence } in some {
            let _infallible = write!(named, " {}@{sequence}", ReservationId(*id));
        }
        tracing::error!(loss, commands = named.trim_start(), "missing");
    }
}

/// Accepts a loss by its name; the epoch in which the ledger goes on, or nothing where the
/// partition is not stopped for this loss.
pub(super) async fn accept(caller: &Caller, meta: &str, name: &str) -> RedisResult<Option<u32>> {
    let mut call = redis::cmd("EVAL");
    call.arg(ACCEPT).arg(1).arg(meta).arg(name);
    let epoch: u32 = caller.ask(&call).await?;
    Ok(Some(epoch).filter(|epoch| *epoch > 0))
}
