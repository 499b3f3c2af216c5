//! Commands where there are several partitions.
//!
//! A command is decided in one partition, its home: that of its SKUs with the lowest number, or of
//! its reservation, and its id names it. What needs no other is one call, as ever. What needs
//! others goes through steps that anybody may repeat: see `lua/several.lua`.

mod act;
mod leftovers;
mod parts;
mod recover;
mod reserve;
mod stock;

pub(super) use leftovers::Leftovers;
pub(super) use parts::Parts;

use std::future::Future;
use std::pin::Pin;
use std::task::Poll;

use super::format::Packed;
use super::mirror::Way;
use super::wire::command::Read;
use super::wire::reply::Item;
use super::{Place, RemoteLedger, refused, senseless};
use crate::domain::Outcome;
use crate::domain::command::{Command, CommandKey, Keyed, Reserve};
use crate::ledger::{Answer, LedgerError};
use crate::telemetry::Script;

/// Commands of a batch that are on their way at once.
pub(super) const AT_ONCE: usize = 64;

/// Times that a command begins anew because another one was faster.
const ATTEMPTS: usize = 8;

impl RemoteLedger {
    /// Executes a command in the partitions that it needs.
    pub(super) async fn execute_in_some(&self, keyed: &Keyed<'_>) -> Result<Answer, LedgerError> {
        let partitions = self.partitions.of_command(&keyed.command);
        let home = partitions.first().copied().unwrap_or_default();
        let keyed = Keyed {
            key: CommandKey {
                id: self.partitions.id_at(keyed.key.id, home),
                ..keyed.key
            },
            command: keyed.command.clone(),
        };
        match &keyed.command {
            Command::Reserve(reserve) if partitions.len() > 1 => {
                self.reserve_in_several(&keyed, reserve).await
            }
            Command::Stock(_) | Command::MoveShares(_) | Command::Inbound(_)
                if partitions.len() > 1 =>
            {
                // Boxed: rare, and every command's future would carry it.
                Box::pin(self.change_in_several(&keyed, &partitions)).await
            }
            Command::Reserve(_)
            | Command::Act(_)
            | Command::Stock(_)
            | Command::PutSettings(_)
            | Command::MoveShares(_)
            | Command::Inbound(_) => self.execute_at(&keyed, home).await,
        }
    }

    /// Executes a command in its home.
    async fn execute_at(&self, keyed: &Keyed<'_>, home: u16) -> Result<Answer, LedgerError> {
        let (reply, at) = match self.decide(keyed, home).await? {
            Way::Store(place) => place,
            Way::Refused(seen) => return Ok(refused(seen)),
        };
        match (reply.answer(at, keyed).map_err(senseless)?, &keyed.command) {
            (Item::Several, Command::Act(act)) => {
                let record = reply.record(at).map_err(senseless)?.to_vec();
                self.act_in_several(keyed, act, record).await
            }
            // Only one partition has names to give.
            (Item::Full, Command::Reserve(reserve)) => {
                let keyed = Keyed {
                    command: Command::Reserve(self.with_channel(reserve).await?),
                    ..*keyed
                };
                match self.decide(&keyed, home).await? {
                    Way::Store(place) => self.answer(place, &keyed).await,
                    Way::Refused(seen) => Ok(refused(seen)),
                }
            }
            _ => self.answer((reply, at), keyed).await,
        }
    }

    /// The same, with an index for its channel, which gets one if it has none.
    async fn with_channel<'a>(&self, reserve: &Reserve<'a>) -> Result<Reserve<'a>, LedgerError> {
        let mut reserve = reserve.clone();
        if reserve.channel.index.is_none() {
            let made = self.make_channel(reserve.channel.name).await?;
            reserve.channel.index = Some(made.ok_or(LedgerError::Overloaded)?);
        }
        Ok(reserve)
    }

    /// Executes commands, some at once; order is kept within each partition.
    pub(super) async fn execute_all_in_some(
        &self,
        commands: &[Keyed<'_>],
    ) -> Vec<Result<Answer, LedgerError>> {
        let mut answers = Vec::with_capacity(commands.len());
        for some in commands.chunks(AT_ONCE) {
            let all = some.iter().map(|keyed| self.execute_in_some(keyed));
            answers.extend(all_of(all).await);
        }
        answers
    }

    /// One step in one partition. The steps that take units need memory.
    async fn step(
        &self,
        partition: u16,
        bytes: Vec<u8>,
        lines: usize,
        script: Script,
    ) -> Result<Place, LedgerError> {
        let packed = Packed::step(bytes, lines, script).to(partition);
        self.batcher.submit(packed).await
    }

    /// The step in which home decides about the command with this identity: it is among those that
    /// are named if the store loses them.
    async fn decisive(
        &self,
        (home, id): (u16, u128),
        bytes: Vec<u8>,
        lines: usize,
    ) -> Result<Place, LedgerError> {
        let packed = Packed::step(bytes, lines, Script::Relief).of(id).to(home);
        self.batcher.submit(packed).await
    }

    /// What an id stands for in a partition; empty for nothing.
    async fn record_at(&self, partition: u16, id: u128) -> Result<Vec<u8>, LedgerError> {
        let (reply, at) = self.read(&Read::Settle(id), partition).await?;
        Ok(reply.record(at).map_err(senseless)?.to_vec())
    }
}

/// Waits for all, which go on side by side.
pub(super) async fn all_of<F: Future>(futures: impl Iterator<Item = F>) -> Vec<F::Output> {
    let mut waiting: Vec<Result<F::Output, Pin<Box<F>>>> =
        futures.map(|future| Err(Box::pin(future))).collect();
    std::future::poll_fn(|context| {
        let mut is_ready = true;
        for slot in &mut waiting {
            if let Err(future) = slot {
                match future.as_mut().poll(context) {
                    Poll::Ready(output) => *slot = Ok(output),
                    Poll::Pending => is_ready = false,
                }
            }
        }
        if is_ready {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    })
    .await;
    waiting.into_iter().filter_map(Result::ok).collect()
}

/// What a key was answered that stands for something in several partitions: a change of stock, of shares
/// or of what is announced in each; of anything else there is one.
pub(super) fn joined(found: Vec<Answer>) -> Option<Answer> {
    let mut found = found.into_iter();
    let mut first = found.next()?;
    for other in found {
        match (&mut first.verdict, other.verdict) {
            (Ok(Outcome::Stock(results)), Ok(Outcome::Stock(more))) => results.extend(more),
            (Ok(Outcome::Shares(results)), Ok(Outcome::Shares(more))) => results.extend(more),
            (Ok(Outcome::Inbound(results)), Ok(Outcome::Inbound(more))) => results.extend(more),
            (Ok(Outcome::Stock(_) | Outcome::Shares(_) | Outcome::Inbound(_)), verdict) => {
                return Some(Answer { verdict, ..other });
            }
            _ => break,
        }
    }
    Some(first)
}
