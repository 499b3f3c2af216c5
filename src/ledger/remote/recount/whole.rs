//! Recounting a ledger: each partition by itself, then parts of reservations against their homes.

use bytes::Bytes;
use redis::RedisError;

use super::super::RemoteLedger;
use super::super::feed::{Caller, REDIRECTS_MAX, elsewhere, is_elsewhere};
use super::super::script::Keys;
use super::super::several::Parts;
use super::{LOOKS, RecountError, recount_with_parts, strange};
use crate::domain::ReservationId;
use crate::ledger::remote::wire::record::{Kept, Record};
use crate::ledger::{LedgerError, Recount};

impl RemoteLedger {
    /// Recounts everything against the records, while others decide.
    pub async fn recount(&self) -> Result<Recount, LedgerError> {
        let mut whole = Recount::default();
        let mut parts = Parts::default();
        for (partition, keys) in self.partitions.numbered() {
            let part = counted(self.rare.caller(partition), keys.clone());
            let (part, more) = self
                .rare
                .run(part)
                .await?
                .map_err(|error| no_recount(&error))?;
            whole.add(part);
            parts.join(more);
        }
        for id in parts.suspects(&self.partitions) {
            if let Some(wrong) = self.look_again(id, &parts).await? {
                whole.violation(|| format!("reservation {id}: {wrong}"));
            }
        }
        Ok(whole)
    }

    /// Partitions are counted one after the other, so parts may have followed their home meanwhile.
    /// What is wrong where home is the same before and after the others were read: a part that does
    /// not wait for it agrees with it at every moment.
    async fn look_again(
        &self,
        id: ReservationId,
        known: &Parts,
    ) -> Result<Option<String>, LedgerError> {
        let at = self.partitions.of_id(id);
        for _ in 0..LOOKS {
            let home = self.record(id, at).await?;
            let mut seen = Parts::default();
            add(&mut seen, id, home.as_ref())?;
            let mut others = seen.places(id, &self.partitions);
            if others.is_empty() {
                others = known.places(id, &self.partitions);
            }
            for other in others {
                add(&mut seen, id, self.record(id, other).await?.as_ref())?;
            }
            if self.record(id, at).await? == home {
                return Ok(seen.wrong(id, &self.partitions));
            }
        }
        Ok(None)
    }

    async fn record(
        &self,
        id: ReservationId,
        partition: u16,
    ) -> Result<Option<Bytes>, LedgerError> {
        let mut question = redis::cmd("HGET");
        let keys = self.partitions.keys(partition)?;
        question.arg(keys.records()).arg(&id.0.to_be_bytes());
        let caller = self.rare.caller(partition);
        let asked = self.rare.run(async move { caller.ask(&question).await });
        asked
            .await?
            .map_err(|error: RedisError| no_recount(&error.into()))
    }
}

fn no_recount(error: &RecountError) -> LedgerError {
    tracing::error!(%error, "no recount");
    LedgerError::Unavailable
}

/// Takes note of what a partition has of a reservation.
fn add(parts: &mut Parts, id: ReservationId, record: Option<&Bytes>) -> Result<(), LedgerError> {
    let Some(record) = record else { return Ok(()) };
    let record = Record::parse(record).map_err(|_bad| no_recount(&strange("records")))?;
    if let Kept::Reservation(booking) = record.kept {
        parts.add(id.0, &booking);
    }
    Ok(())
}

/// Counts a partition, anew where its slot moved to another node meanwhile.
async fn counted(caller: Caller, keys: Keys) -> Result<(Recount, Parts), RecountError> {
    for _ in 0..REDIRECTS_MAX {
        let mut connection = caller.connection().await?;
        match recount_with_parts(&mut connection, &keys).await {
            Err(RecountError::Store(error)) if is_elsewhere(&error) => caller.look_anew().await,
            Err(error @ RecountError::Store(_)) => {
                caller.forget();
                return Err(error);
            }
            counted => return counted,
        }
    }
    Err(elsewhere().into())
}
