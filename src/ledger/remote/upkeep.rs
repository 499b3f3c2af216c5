//! What must happen by itself. Every instance does it, and any number of them may: the scripts
//! decide anew what is past its deadline or its retention.

use std::collections::HashMap;
use std::sync::{MutexGuard, PoisonError};

use bytes::Bytes;

use super::feed::{Caller, read_meta};
use super::format::Packed;
use super::wire::record::{Kept, Record};
use super::{RemoteLedger, senseless};
use crate::domain::UnixMillis;
use crate::ledger::LedgerError;

/// Calls of one round that give back what is past its deadline; the next round goes on.
const EXPIRE_CALLS: usize = 16;

/// Rounds from one look at names and counters to the next.
const SELDOM: u32 = 4;

/// Records looked at in one round for what may be forgotten.
const PRUNE_RECORDS: usize = 128;

/// Where the rounds go on.
#[derive(Debug, Default)]
pub(super) struct Rounds {
    count: u32,
    /// Of the scan over the records.
    cursor: String,
}

impl RemoteLedger {
    /// One round: what is past its deadline goes back, some old records are forgotten, names and
    /// counters are looked at now and then.
    pub async fn tick(&self) -> Result<(), LedgerError> {
        self.expire().await?;
        let (is_seldom, cursor) = {
            let mut rounds = self.rounds();
            rounds.count = rounds.count.wrapping_add(1);
            (rounds.count % SELDOM == 1, rounds.cursor.clone())
        };
        if is_seldom {
            self.read_names().await?;
            self.look_at_counters().await?;
        }
        let next = self.prune(cursor).await?;
        self.rounds().cursor = next;
        Ok(())
    }

    fn rounds(&self) -> MutexGuard<'_, Rounds> {
        self.upkeep.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn expire(&self) -> Result<(), LedgerError> {
        for _ in 0..EXPIRE_CALLS {
            let (reply, _) = self.batcher.submit(Packed::expire()).await?;
            if !reply.header().backlog {
                break;
            }
        }
        Ok(())
    }

    async fn look_at_counters(&self) -> Result<(), LedgerError> {
        let (caller, meta) = (self.rare.caller(), self.keys.meta().to_owned());
        let read = async move { read_meta(&caller, &meta).await };
        match self.rare.run(read).await? {
            Ok(meta) => self.stand.count_open_lines(meta.open_lines),
            Err(error) => tracing::warn!(%error, "the counters of the ledger cannot be read"),
        }
        Ok(())
    }

    /// Forgets what is past its retention among the next records; where to go on.
    async fn prune(&self, cursor: String) -> Result<String, LedgerError> {
        let (caller, records) = (self.rare.caller(), self.keys.records().to_owned());
        let scanned = self
            .rare
            .run(async move { scan(&caller, &records, cursor).await });
        let (next, records) = scanned.await?.map_err(|error| {
            tracing::warn!(%error, "the records cannot be scanned");
            LedgerError::Unavailable
        })?;
        let now = self.now();
        let (answers, refusals) = (self.retention.keys_ms, self.retention.refusals_ms);
        let old: Vec<u128> = records
            .iter()
            .filter(|(_, record)| self.may_be_old(record, now))
            .filter_map(|(id, _)| Some(u128::from_be_bytes(id.as_ref().try_into().ok()?)))
            .collect();
        let unsigned = |millis: i64| u64::try_from(millis).unwrap_or(0);
        let forget = |id| Packed::forget(id, unsigned(answers), unsigned(refusals));
        let waits: Vec<_> = old
            .into_iter()
            .map(|id| self.batcher.submit(forget(id)))
            .collect();
        for wait in waits {
            let (reply, at) = wait.await?;
            reply.forgotten(at).map_err(senseless)?;
        }
        Ok(next)
    }

    /// A first guess by this instance's clock; the script decides.
    fn may_be_old(&self, record: &Bytes, now: UnixMillis) -> bool {
        let shortest = self.retention.keys_ms.min(self.retention.refusals_ms);
        let touched = match Record::parse(record).map(|record| record.kept) {
            Ok(Kept::Reservation(booking)) => booking.touched,
            Ok(Kept::Answer { at, .. }) => at,
            Err(_) => return false,
        };
        now.0.saturating_sub(touched.0) >= shortest
    }
}

type Scanned = (String, HashMap<Bytes, Bytes>);

async fn scan(caller: &Caller, records: &str, cursor: String) -> redis::RedisResult<Scanned> {
    let cursor = if cursor.is_empty() { "0" } else { &cursor };
    let mut question = redis::cmd("HSCAN");
    question.arg(records).arg(cursor);
    question.arg("COUNT").arg(PRUNE_RECORDS);
    caller.ask(&question).await
}
