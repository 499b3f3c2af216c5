//! Changes of stock in several partitions. They are all or none as far as what is checked first can
//! tell; each partition then does its items in one step. Whoever asks again with the same key has
//! what is missing done.

use std::collections::HashMap;

use super::super::format::Packed;
use super::super::wire::command::Read;
use super::super::wire::reply::{told, unrecorded};
use super::super::wire::several::{Step, encode_refuse};
use super::super::{RemoteLedger, senseless};
use crate::domain::command::{Command, CommandKey, Keyed, StockChange, StockCommand};
use crate::domain::decide::stock;
use crate::domain::verdict::StockResult;
use crate::domain::{Day, Outcome, Refusal, Sku, Stock};
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

impl RemoteLedger {
    /// Changes stock in these partitions.
    pub(super) async fn change_stock_in_several(
        &self,
        keyed: &Keyed<'_>,
        command: &StockCommand<'_>,
        partitions: &[u16],
    ) -> Result<Answer, LedgerError> {
        let parts: Vec<(u16, Keyed<'_>)> = partitions
            .iter()
            .map(|partition| (*partition, self.part_of(keyed, command, *partition)))
            .collect();
        match self.begun(&parts).await? {
            Begun::No => {
                if let Some(answer) = self.check_stock(keyed, command).await? {
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
        Ok(in_order(answers, &command.change))
    }

    /// The items of one partition.
    fn part_of<'a>(
        &self,
        keyed: &Keyed<'_>,
        command: &StockCommand<'a>,
        partition: u16,
    ) -> Keyed<'a> {
        let is_here = |sku: Sku<'_>| self.partitions.of_sku(sku) == partition;
        let change = match &command.change {
            StockChange::Set(items) => {
                StockChange::Set(items.iter().filter(|i| is_here(i.sku)).copied().collect())
            }
            StockChange::Adjust(items) => {
                StockChange::Adjust(items.iter().filter(|i| is_here(i.sku)).copied().collect())
            }
            StockChange::Transfer(items) => {
                StockChange::Transfer(items.iter().filter(|i| is_here(i.sku)).copied().collect())
            }
        };
        Keyed {
            key: CommandKey {
                id: self.partitions.id_at(keyed.key.id, partition),
                ..keyed.key
            },
            command: Command::Stock(StockCommand {
                change,
                ..command.clone()
            }),
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
    async fn check_stock(
        &self,
        keyed: &Keyed<'_>,
        command: &StockCommand<'_>,
    ) -> Result<Option<Answer>, LedgerError> {
        let stocks = self.stocks_of(&command.change).await?;
        // Days matter only to dated supply, which no store keeps.
        let stock_of = |sku: Sku<'_>| stocks.get(sku.as_str());
        let Err(refusal) = stock(&command.change, Day::FIRST, stock_of) else {
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

    async fn stocks_of(
        &self,
        change: &StockChange<'_>,
    ) -> Result<HashMap<String, Stock>, LedgerError> {
        let mut skus = change.skus();
        skus.sort_unstable();
        skus.dedup();
        let submit = |sku: &Sku<'_>| {
            let read = Packed::read(&Read::Stock(*sku));
            self.batcher.submit(read.to(self.partitions.of_sku(*sku)))
        };
        let waits: Vec<_> = skus.iter().map(submit).collect();
        let mut stocks = HashMap::new();
        for (wait, sku) in waits.into_iter().zip(skus) {
            let (reply, at) = wait.await?;
            if let Some(stock) = reply.stock(at).map_err(senseless)? {
                stocks.insert(sku.as_str().to_owned(), stock);
            }
        }
        Ok(stocks)
    }
}

/// The answers of all partitions as one, in the order of the items. A refusal here means that the
/// stock changed after it was checked.
fn in_order(answers: Vec<Answer>, change: &StockChange<'_>) -> Answer {
    let mut joined = answers.first().cloned();
    let mut results: Vec<StockResult> = Vec::new();
    for answer in answers {
        match answer.verdict {
            Ok(Outcome::Stock(some)) => results.extend(some),
            _ => joined = Some(answer),
        }
    }
    let mut joined = joined.unwrap_or_else(|| {
        // A command without items never gets this far.
        let refusal = Refusal::UnknownReservation;
        unrecorded(refusal)
    });
    if joined.verdict.is_ok() {
        joined.verdict = Ok(Outcome::Stock(results));
    }
    joined.in_order_of(change)
}
