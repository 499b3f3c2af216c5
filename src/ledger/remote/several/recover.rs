//! Moving on what was left half way, by others or by this instance.

use super::super::wire::several::encode_ties;
use super::super::{Place, RemoteLedger, senseless};
use super::all_of;
use crate::domain::ReservationId;
use crate::ledger::LedgerError;
use crate::telemetry::Script;

/// How long a part waits for its home before anybody else looks after it, milliseconds: longer than
/// an act takes.
const PATIENCE_MS: u64 = 3_000;

impl RemoteLedger {
    /// Has parts that have waited for long follow their home, and undoes what could not be undone
    /// before. Any number of instances may do it. A partition that cannot be reached holds up no
    /// other.
    pub(in crate::ledger::remote) async fn recover(&self) -> Result<(), LedgerError> {
        if self.partitions.count() == 1 {
            return Ok(());
        }
        self.undo_leftovers().await;
        let read = |partition| self.step(partition, encode_ties(PATIENCE_MS), 1, Script::Relief);
        let all = all_of(self.partitions.numbers().map(read)).await;
        let mut recovered = Ok(());
        for (partition, read) in self.partitions.numbers().zip(all) {
            recovered = match read {
                Ok(place) => recovered.and(self.settle_ties(partition, place).await),
                Err(error) => Err(error),
            };
        }
        recovered
    }

    async fn settle_ties(&self, partition: u16, (reply, at): Place) -> Result<(), LedgerError> {
        for id in reply.ties(at).map_err(senseless)? {
            tracing::info!(id = %ReservationId(id), partition, "a part was left waiting");
            self.settle_part(ReservationId(id), partition).await?;
        }
        Ok(())
    }
}
