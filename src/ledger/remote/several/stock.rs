//! Changes of stock, or of what is announced, in several partitions. They are all or none as far as what is checked first can
//! tell; each partition then does its items in one step. Whoever asks again with the same key has
//! what is missing done.

use std::collections::HashMap;

use super::super::format::Packed;
use super::super::wire::command::Read;
use super::super::wire::reply::{told, unrecorded};
use super::super::wire::several::{Step, encode_refuse};
use super::super::{RemoteLedger, senseless};
use super::joined;
use crate::domain::command::{
    Command, CommandKey, InboundCommand, Keyed, StockChange, StockCommand,
};
use crate::domain::decide::{inbound, stock};
use crate::domain::{Day, Refusal, Sku, Stock, UnixMillis};
use crate::ledger::{Answer, LedgerError};
use crate::telemetry::Script;

/// What is known of a key.
enum Begun {
    /// Nothing.
    No,
    /// Some partitions have done their items.
    Yes,
    /// It was refused.
    Refused(Box<Answer>),
}

/// A change of stock, or of what is announced.
#[derive(Debug, Clone, Copy)]
pub(super) enum Change<'c, 'a> {
    Stock(&'c StockCommand<'a>),
    Inbound(&'c InboundCommand<'a>),
}

impl<'a> Change<'_, 'a> {
    /// The SKU of each item.
    fn skus(&self) -> Vec<Sku<'a>> {
        match self {
            Self::Stock(command) => command.change.skus(),
            Self::Inbound(command) => command.skus(),
        }
    }

    /// The same of some SKUs alone.
    fn part(&self, is_here: impl Fn(Sku<'_>) -> bool) -> Command<'a> {
        let stock = match self {
            Self::Inbound(InboundCommand::Put(items)) => {
                let items = some(items, |item| is_here(item.sku));
                return Command::Inbound(InboundCommand::Put(items));
            }
            Self::Inbound(InboundCommand::Receive(items)) => {
                let items = some(items, |item| is_here(item.sku));
                return Command::Inbound(InboundCommand::Receive(items));
            }
            Self::Stock(stock) => *stock,
        };
        let change = match &stock.change {
            StockChange::Set(items) => StockChange::Set(some(items, |item| is_here(item.sku))),
            StockChange::Adjust(items) => {
                StockChange::Adjust(some(items, |item| is_here(item.sku)))
            }
            StockChange::Transfer(items) => {
                StockChange::Transfer(some(items, |item| is_here(item.sku)))
            }
        };
        Command::Stock(StockCommand {
            change,
            ..stock.clone()
        })
    }
}

fn some<T: Copy>(items: &[T], is_wanted: impl Fn(&T) -> bool) -> Vec<T> {
    items
        .iter()
        .filter(|item| is_wanted(item))
        .copied()
        .collect()
}

impl RemoteLedger {
    /// Changes stock, or what is announced, in these partitions.
    pub(super) async fn change_in_several(
        &self,
        keyed: &Keyed<'_>,
        change: Change<'_, '_>,
        partitions: &[u16],
    ) -> Result<Answer, LedgerError> {
        let parts: Vec<(u16, Keyed<'_>)> = partitions
            .iter()
            .map(|partition| (*partition, self.part_of(keyed, change, *partition)))
            .collect();
        match self.begun(&parts).await? {
            Begun::No => {
                if let Some(answer) = self.check(keyed, change).await? {
                    return Ok(answer);
                }
            }
            Begun::Refused(answer) => return Ok(*answer),
            Begun::Yes => {}
        }
        // Home goes first: what it refuses after all, none has done.
        let mut answers = Vec::new();
        let (home, others) = parts.split_at(1);
        for some in [home, others] {
            let submit = |(partition, part): &(u16, Keyed<'_>)| {
                self.batcher.submit(Packed::command(part).to(*partition))
            };
            let waits: Vec<_> = some.iter().map(submit).collect();
            for (wait, (_, part)) in waits.into_iter().zip(some) {
                answers.push(self.answer(wait.await?, part).await?);
            }
            if answers.iter().any(|answer| answer.verdict.is_err()) {
                break;
            }
        }
        Ok(in_order(answers, &change.skus()))
    }

    /// The items of one partition.
    fn part_of<'a>(&self, keyed: &Keyed<'_>, change: Change<'_, 'a>, partition: u16) -> Keyed<'a> {
        Keyed {
            key: CommandKey {
                id: self.partitions.id_at(keyed.key.id, partition),
                ..keyed.key
            },
            command: change.part(|sku| self.partitions.of_sku(sku) == partition),
        }
    }

    /// What is known of the key: whoever knows it has checked it before.
    async fn begun(&self, parts: &[(u16, Keyed<'_>)]) -> Result<Begun, LedgerError> {
        let read = |(partition, part): &(u16, Keyed<'_>)| {
            let read = Packed::read(&Read::Settle(part.key.id));
            self.batcher.submit(read.to(*partition))
        };
        let waits: Vec<_> = parts.iter().map(read).collect();
        let mut begun = Begun::No;
        for (wait, (_, part)) in waits.into_iter().zip(parts) {
            let (reply, at) = wait.await?;
            let answer = reply.settled(at, part.key.id).map_err(senseless)?;
            let Some(answer) = answer else { continue };
            let print = reply.fingerprint(at).map_err(senseless)?;
            if print != part.key.fingerprint {
                return Ok(Begun::Refused(Box::new(unrecorded(Refusal::KeyReused))));
            }
            if answer.verdict.is_err() {
                return Ok(Begun::Refused(Box::new(answer)));
            }
            begun = Begun::Yes;
        }
        Ok(begun)
    }

    /// The refusal that the rule book gives for the stock as it is now.
    async fn check(
        &self,
        keyed: &Keyed<'_>,
        change: Change<'_, '_>,
    ) -> Result<Option<Answer>, LedgerError> {
        let (stocks, now) = self.stocks_of(change.skus()).await?;
        let (today, stock_of) = (Day::of(now), |sku: Sku<'_>| stocks.get(sku.as_str()));
        let verdict = match change {
            Change::Stock(command) => stock(&command.change, today, stock_of).map(drop),
            Change::Inbound(command) => inbound(command, today, stock_of).map(drop),
        };
        let Err(refusal) = verdict else {
            return Ok(None);
        };
        if let Refusal::UnknownSku { .. } = refusal {
            return Ok(Some(unrecorded(refusal)));
        }
        let bytes = encode_refuse(keyed.key, None, &refusal).map_err(senseless)?;
        let home = self.partitions.of_command(&keyed.command).first().copied();
        let (reply, at) = self
            .step(home.unwrap_or_default(), bytes, 1, Script::Relief)
            .await?;
        let (step, position) = reply.step(at).map_err(senseless)?;
        if let Step::Record(record) = step {
            return reply.kept_answer(keyed.key.id, record).map_err(senseless);
        }
        Ok(Some(told(Err(refusal), false, position)))
    }

    /// The stocks of SKUs, and the latest moment at which they were so.
    async fn stocks_of(
        &self,
        mut skus: Vec<Sku<'_>>,
    ) -> Result<(HashMap<String, Stock>, UnixMillis), LedgerError> {
        skus.sort_unstable();
        skus.dedup();
        let submit = |sku: &Sku<'_>| {
            let read = Packed::read(&Read::Stock(*sku));
            self.batcher.submit(read.to(self.partitions.of_sku(*sku)))
        };
        let waits: Vec<_> = skus.iter().map(submit).collect();
        let (mut stocks, mut now) = (HashMap::new(), UnixMillis::default());
        for (wait, sku) in waits.into_iter().zip(skus) {
            let (reply, at) = wait.await?;
            now = now.max(reply.header().now);
            if let Some(stock) = reply.stock(at).map_err(senseless)? {
                stocks.insert(sku.as_str().to_owned(), stock);
            }
        }
        Ok((stocks, now))
    }
}

/// The answers of all partitions as one, in the order of the items. A refusal here means that the
/// stock changed after it was checked.
fn in_order(answers: Vec<Answer>, skus: &[Sku<'_>]) -> Answer {
    let joined = joined(answers).unwrap_or_else(|| {
        // A command without items never gets this far.
        let refusal = Refusal::UnknownReservation;
        unrecorded(refusal)
    });
    joined.in_order_of(skus)
}
