//! Keys that were used before the ledger moved here from elsewhere: signposts lead to what they were
//! answered, for as long as keys are remembered. No signpost is ever added to a ledger in use, so
//! one that is not there when a command begins never will be.

use super::several::{AT_ONCE, all_of};
use super::wire::command::Read;
use super::wire::record::Record;
use super::wire::reply::unrecorded;
use super::{RemoteLedger, senseless};
use crate::domain::command::Keyed;
use crate::domain::{Outcome, Refusal, ReservationId};
use crate::ledger::{Answer, LedgerError};

impl RemoteLedger {
    /// Whether keys from before may matter now.
    pub(super) fn remembers_moved_keys(&self) -> bool {
        self.moved_until
            .is_some_and(|until| self.clock.now() <= until)
    }

    /// What a command was answered before the ledger moved here; `None`: nothing is known of it.
    pub(super) async fn answer_of_before(
        &self,
        keyed: &Keyed<'_>,
    ) -> Result<Option<Answer>, LedgerError> {
        let Some((fingerprint, answer)) = self.moved_answer(keyed.key.id).await? else {
            return Ok(None);
        };
        Ok(Some(if fingerprint == keyed.key.fingerprint {
            answer.in_order_of(&keyed.command.changed_skus())
        } else {
            unrecorded(Refusal::KeyReused)
        }))
    }

    /// Executes commands in order of which some may have been answered before.
    pub(super) async fn execute_all_as_moved(
        &self,
        commands: &[Keyed<'_>],
    ) -> Vec<Result<Answer, LedgerError>> {
        let mut before = Vec::with_capacity(commands.len());
        for some in commands.chunks(AT_ONCE) {
            let asked = some.iter().map(|keyed| self.answer_of_before(keyed));
            before.extend(all_of(asked).await);
        }
        let new = commands.iter().zip(&before);
        let new: Vec<Keyed<'_>> = new
            .filter(|(_, known)| matches!(known, Ok(None)))
            .map(|(keyed, _)| keyed.clone())
            .collect();
        let mut executed = self.execute_all(&new).await.into_iter();
        let answers = before.into_iter().map(|known| match known.transpose() {
            Some(known) => known,
            None => executed.next().unwrap_or(Err(LedgerError::Unavailable)),
        });
        answers.collect()
    }

    /// What a key was answered before, and the fingerprint of its command.
    pub(super) async fn moved_answer(
        &self,
        id: u128,
    ) -> Result<Option<(u64, Answer)>, LedgerError> {
        if !self.remembers_moved_keys() {
            return Ok(None);
        }
        let (partition, id) = self.partitions.signpost(id);
        let (reply, at) = self.read(&Read::Settle(id), partition).await?;
        let record = reply.record(at).map_err(senseless)?;
        if record.is_empty() {
            return Ok(None);
        }
        let record = Record::parse(record).map_err(senseless)?;
        let answer = match record.leads_to() {
            Some(id) => self.settle_at(id).await?,
            // The label from before happened to be that of signposts.
            None => reply.settled(at, id).map_err(senseless)?,
        };
        if let Some(Outcome::Reservation(found)) =
            answer.as_ref().and_then(|a| a.verdict.as_ref().ok())
        {
            self.know(found, false).await?;
        }
        Ok(answer.map(|answer| (record.fingerprint, answer)))
    }

    /// What the command with exactly this id was answered.
    async fn settle_at(&self, id: u128) -> Result<Option<Answer>, LedgerError> {
        let home = self.partitions.of_id(ReservationId(id));
        let (reply, at) = self.read(&Read::Settle(id), home).await?;
        reply.settled(at, id).map_err(senseless)
    }
}
