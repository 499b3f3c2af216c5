//! Moving on what others have left half way.

use super::super::wire::several::{encode_ties, encode_undo};
use super::super::{RemoteLedger, senseless};
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
    /// Has parts that have waited for long follow their home. Any number of instances may do it.
    pub(in crate::ledger::remote) async fn recover(&self) -> Result<(), LedgerError> {
        if self.partitions.count() > 1 {
            self.follow_homes(PATIENCE_MS).await?;
        }
        Ok(())
    }

    /// Has parts follow their home that have waited for this long; which they were, at most some of
    /// each partition.
    async fn follow_homes(&self, patience_ms: u64) -> Result<Vec<u128>, LedgerError> {
        let ties = encode_ties(patience_ms);
        let read = |partition| self.step(partition, ties.clone(), 1, Script::Relief);
        let all = all_of(self.partitions.numbers().map(read)).await;
        let mut found = Vec::new();
        for (partition, read) in self.partitions.numbers().zip(all) {
            let (reply, at) = read?;
            for id in reply.ties(at).map_err(senseless)? {
                tracing::info!(id = %ReservationId(id), partition, "a part was left waiting");
                self.settle_part(ReservationId(id), partition).await?;
                found.push(id);
            }
        }
        Ok(found)
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
        let home = self.partitions.of_id(id);
        let mut places = vec![home, partition];
        places.dedup();
        let key = CommandKey {
            id: id.0,
            fingerprint,
        };
        for place in places {
            let undo = encode_undo(key, deadline);
            self.step(place, undo, 1, Script::Relief).await?;
        }
        Ok(())
    }
}
