//! Changes of stock, moves of share, and what is announced or arrives, in several partitions. They are
//! all or none as far as what is checked first can tell; each partition then does its items in one step.
//! Whoever asks again with the same key has what is missing done.

use std::collections::HashMap;
use std::sync::Arc;

use super::super::format::Packed;
use super::super::wire::command::Read;
use super::super::wire::reply::{told, unrecorded};
use super::super::wire::several::{Step, encode_refuse};
use super::super::{Place, RemoteLedger, SeenStock, senseless};
use super::joined;
use crate::domain::command::{Command, CommandKey, InboundCommand, Keyed, StockChange};
use crate::domain::{Day, Refusal, Sku, UnixMillis, decide};
use crate::ledger::policy::PolicyInForce;
use crate::ledger::{Answer, LedgerError};

/// Stocks by SKU, and the policy that each is decided by.
type Seen = HashMap<String, (SeenStock, Option<Arc<PolicyInForce>>)>;

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
    /// Changes stock, moves share, or announces or receives supply in these partitions.
    pub(super) async fn change_in_several(
        &self,
        keyed: &Keyed<'_>,
        partitions: &[u16],
    ) -> Result<Answer, LedgerError> {
        let parts: Vec<(u16, Keyed<'_>)> = partitions
            .iter()
            .map(|partition| (*partition, self.part_of(keyed, *partition)))
            .collect();
        let begun = self.begun(&parts).await?;
        let is_begun = matches!(begun, Begun::Yes);
        match begun {
            Begun::No => {
                if let Some(answer) = self.check_change(keyed).await? {
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
                let is_partly_done = is_begun || !answers.is_empty();
                let answer = self.answer_of(wait, part).await;
                answers.push(answer.map_err(|error| told_of(error, is_partly_done))?);
            }
            if answers.iter().any(|answer| answer.verdict.is_err()) {
                break;
            }
        }
        Ok(in_order(answers, &keyed.command))
    }

    async fn answer_of(
        &self,
        wait: impl Future<Output = Result<Place, LedgerError>>,
        part: &Keyed<'_>,
    ) -> Result<Answer, LedgerError> {
        self.answer(wait.await?, part).await
    }

    /// The items of one partition.
    fn part_of<'a>(&self, keyed: &Keyed<'a>, partition: u16) -> Keyed<'a> {
        let is_here = |sku: Sku<'_>| self.partitions.of_sku(sku) == partition;
        let mut command = keyed.command.clone();
        match &mut command {
            Command::Stock(stock) => match &mut stock.change {
                StockChange::Set(items) => items.retain(|item| is_here(item.sku)),
                StockChange::Adjust(items) => items.retain(|item| is_here(item.sku)),
                StockChange::Transfer(items) => items.retain(|item| is_here(item.sku)),
            },
            Command::MoveShares(moves) => moves.items.retain(|item| is_here(item.sku)),
            Command::Inbound(InboundCommand::Put(items)) => items.retain(|item| is_here(item.sku)),
            Command::Inbound(InboundCommand::Receive(items)) => {
                items.retain(|item| is_here(item.sku));
            }
            Command::Reserve(_) | Command::Act(_) | Command::PutSettings(_) => {}
        }
        Keyed {
            key: CommandKey {
                id: self.partitions.id_at(keyed.key.id, partition),
                ..keyed.key
            },
            command,
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

    /// The refusal that the rule book gives for everything as it is now.
    async fn check_change(&self, keyed: &Keyed<'_>) -> Result<Option<Answer>, LedgerError> {
        let Some(refusal) = self.refusal_now(&keyed.command).await? else {
            return Ok(None);
        };
        if let Refusal::UnknownSku { .. } = refusal {
            return Ok(Some(unrecorded(refusal)));
        }
        let bytes = encode_refuse(keyed.key, None, &refusal).map_err(senseless)?;
        let home = self.partitions.of_command(&keyed.command).first().copied();
        let home = (home.unwrap_or_default(), keyed.key.id);
        let (reply, at) = self.decisive(home, bytes, 1).await?;
        let (step, position) = reply.step(at).map_err(senseless)?;
        if let Step::Record(record) = step {
            let kept = reply.kept_answer(keyed.key.id, record);
            // What was done here under the same key meanwhile is to be done in all partitions.
            let kept = kept.map_err(senseless)?;
            return Ok(kept.filter(|kept| kept.verdict.is_err()));
        }
        Ok(Some(told(Err(refusal), false, position)))
    }

    async fn refusal_now(&self, command: &Command<'_>) -> Result<Option<Refusal>, LedgerError> {
        let (seen, now) = self.seen_of(command.changed_skus()).await?;
        let today = Day::of(now);
        let stock_of = |sku: Sku<'_>| seen.get(sku.as_str()).map(|(seen, _)| &seen.stock);
        Ok(match command {
            Command::Stock(stock) => decide::stock(&stock.change, today, stock_of).err(),
            Command::Inbound(inbound) => decide::inbound(inbound, today, stock_of).err(),
            Command::MoveShares(moves) => {
                let rule_of = |sku: Sku<'_>| {
                    let (seen, policy) = seen.get(sku.as_str())?;
                    policy.as_ref()?.policy.in_force(sku.as_str(), seen.now)
                };
                decide::shares(&moves.items, stock_of, rule_of).err()
            }
            Command::Reserve(_) | Command::Act(_) | Command::PutSettings(_) => None,
        })
    }

    /// The stock of each SKU that is known, and the policy that its partition decides by; and the latest
    /// moment of all.
    async fn seen_of(&self, mut skus: Vec<Sku<'_>>) -> Result<(Seen, UnixMillis), LedgerError> {
        skus.sort_unstable();
        skus.dedup();
        let submit = |sku: &Sku<'_>| {
            let read = Packed::read(&Read::Stock(*sku));
            self.batcher.submit(read.to(self.partitions.of_sku(*sku)))
        };
        let waits: Vec<_> = skus.iter().map(submit).collect();
        let (mut all, mut now) = (HashMap::new(), UnixMillis::default());
        for (wait, sku) in waits.into_iter().zip(skus) {
            let place = wait.await?;
            now = now.max(place.0.header().now);
            if let Some(seen) = SeenStock::read(place)? {
                let policy = self.policy_of(seen.policy).await?;
                all.insert(sku.as_str().to_owned(), (seen, policy));
            }
        }
        Ok((all, now))
    }
}

/// What the caller is told of a partition that failed: that nothing happened only if none has done its
/// items before.
const fn told_of(error: LedgerError, is_partly_done: bool) -> LedgerError {
    if is_partly_done {
        LedgerError::Unknown
    } else {
        error
    }
}

/// The answers of all partitions as one, in the order of the items. A refusal here means that
/// something changed after it was checked.
fn in_order(answers: Vec<Answer>, command: &Command<'_>) -> Answer {
    let refused = answers
        .iter()
        .find(|answer| answer.verdict.is_err())
        .cloned();
    let joined = refused.or_else(|| joined(answers));
    // A command without items never gets this far.
    let joined = joined.unwrap_or_else(|| unrecorded(Refusal::UnknownReservation));
    joined.in_order_of(&command.changed_skus())
}
