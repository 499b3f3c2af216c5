//! Moving on what was left half way, by others or by this instance.

use super::super::wire::several::{encode_ties, encode_undo};
use super::super::{Place, RemoteLedger, senseless};
use super::all_of;
use crate::domain::ReservationId;
use crate::domain::command::CommandKey;
use crate::ledger::LedgerError;
use crate::ledger::export::WalkError;
use crate::ledger::remote::export::Loose;
use crate::telemetry::Script;

/// How long a part waits for its home before anybody else looks after it, milliseconds: longer than
/// an act takes.
const PATIENCE_MS: u64 = 3_000;

impl RemoteLedger {
    /// Has parts that have waited for long follow their home, and undoes what could not be undone
    /// before. Any number of instances may do it. A partition that cannot be reached holds up no
    /// other.
    pub(in crate::ledger::remote) async fn recover(&self) -> Result<(), LedgerError> {
        if self.partitions.count() > 1 {
            let followed = self.follow_homes(PATIENCE_MS).await;
            self.undo_leftovers().await;
            followed?;
        }
        Ok(())
    }

    /// Has parts follow their home that have waited for this long; which they were, at most some of
    /// each partition. What fails in one partition is told when all others were looked at.
    async fn follow_homes(&self, patience_ms: u64) -> Result<Vec<u128>, LedgerError> {
        let ties = encode_ties(patience_ms);
        let read = |partition| self.step(partition, ties.clone(), 1, Script::Relief);
        let all = all_of(self.partitions.numbers().map(read)).await;
        let (mut found, mut failed) = (Vec::new(), None);
        for (partition, read) in self.partitions.numbers().zip(all) {
            let settled = match read {
                Ok(place) => self.settle_ties(partition, place).await,
                Err(error) => Err(error),
            };
            match settled {
                Ok(some) => found.extend(some),
                Err(error) => failed = Some(error),
            }
        }
        failed.map_or(Ok(found), Err)
    }

    async fn settle_ties(
        &self,
        partition: u16,
        (reply, at): Place,
    ) -> Result<Vec<u128>, LedgerError> {
        let ids = reply.ties(at).map_err(senseless)?;
        for id in &ids {
            tracing::info!(id = %ReservationId(*id), partition, "a part was left waiting");
            self.settle_part(ReservationId(*id), partition).await?;
        }
        Ok(ids)
    }

    /// Brings to an end whatever is on its way between partitions: acts as home decided, and what was
    /// placed of reservations that are none is given back. For a ledger that nobody else serves.
    pub async fn settle_all(&self) -> Result<(), WalkError> {
        if self.partitions.count() == 1 {
            return Ok(());
        }
        let mut before = Vec::new();
        loop {
            let found = self.follow_homes(0).await?;
            match found.first() {
                None => break,
                // The stock there does not allow it yet.
                Some(id) if found == before => return Err(WalkError::Underway(ReservationId(*id))),
                Some(_) => before = found,
            }
        }
        self.for_all_loose(async |loose| self.give_back(loose).await)
            .await
    }

    /// At home first: then nobody can make it a reservation any more.
    async fn give_back(&self, loose: Loose) -> Result<(), WalkError> {
        let Loose {
            id,
            fingerprint,
            deadline,
            partition,
        } = loose;
        tracing::info!(%id, partition, "what was placed of no reservation is given back");
        let key = CommandKey {
            id: id.0,
            fingerprint,
        };
        let is_dead = self.undo_at_home(key, deadline).await?.is_some();
        if is_dead && self.partitions.of_id(id) != partition {
            let undo = encode_undo(key, deadline);
            self.step(partition, undo, 1, Script::Relief).await?;
        }
        Ok(())
    }
}
