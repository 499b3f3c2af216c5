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
use crate::ledger::{Gauges, LedgerError};

/// Calls of one round that give back what is past its deadline; the next round goes on.
const EXPIRE_CALLS: usize = 16;

/// Rounds from one look at names, counters and what was left half way to the next.
const SELDOM: u32 = 4;

/// Records looked at in one round for what may be forgotten.
const PRUNE_RECORDS: usize = 128;

/// What a scan says when it has seen everything, and is asked to begin anew.
const SCAN_DONE: &str = "0";

/// Where the rounds go on.
#[derive(Debug, Default)]
pub(super) struct Rounds {
    count: u32,
    /// The partition whose records are scanned, and how far that is.
    partition: u16,
    cursor: String,
}

impl RemoteLedger {
    /// One round: what is past its deadline goes back, some old records are forgotten; names, counters
    /// and what was left half way are looked at now and then.
    pub async fn tick(&self) -> Result<(), LedgerError> {
        let ended = self.round().await;
        self.stand.note_round(&ended);
        ended
    }

    async fn round(&self) -> Result<(), LedgerError> {
        let (is_seldom, partition, cursor) = {
            let mut rounds = self.rounds();
            rounds.count = rounds.count.wrapping_add(1);
            let is_seldom = rounds.count % SELDOM == 1;
            (is_seldom, rounds.partition, rounds.cursor.clone())
        };
        let expired = self.expire().await;
        if is_seldom {
            self.recover().await?;
        }
        expired?;
        if is_seldom {
            self.read_names().await?;
            self.look_at_counters().await?;
        }
        self.look_after_policy().await?;
        let next = self.prune(partition, cursor).await?;
        let mut rounds = self.rounds();
        if next == SCAN_DONE {
            rounds.partition = (partition + 1) % self.partitions.count();
        }
        rounds.cursor = next;
        Ok(())
    }

    fn rounds(&self) -> MutexGuard<'_, Rounds> {
        self.upkeep.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has expire what is past its deadline; the latest moment that any partition went by, or nothing
    /// where more is left than one round takes.
    pub(super) async fn expire(&self) -> Result<Option<UnixMillis>, LedgerError> {
        let mut left: Vec<u16> = self.partitions.numbers().collect();
        let mut latest = UnixMillis::default();
        for _ in 0..EXPIRE_CALLS {
            let submit = |partition| self.batcher.submit(Packed::expire().to(partition));
            let waits: Vec<_> = left.iter().copied().map(submit).collect();
            let mut backlog = Vec::new();
            for (partition, wait) in left.into_iter().zip(waits) {
                let (reply, _) = wait.await?;
                latest = latest.max(reply.header().now);
                self.policy.hear(partition, reply.header());
                if reply.header().backlog {
                    backlog.push(partition);
                }
            }
            if backlog.is_empty() {
                return Ok(Some(latest));
            }
            left = backlog;
        }
        Ok(None)
    }

    async fn look_at_counters(&self) -> Result<(), LedgerError> {
        let mut gauges = Gauges::default();
        for (partition, keys) in self.partitions.numbered() {
            let (caller, meta) = (self.rare.caller(partition), keys.meta().to_owned());
            let read = async move { read_meta(&caller, &meta).await };
            match self.rare.run(read).await? {
                Ok(meta) => {
                    gauges += meta.gauges;
                    self.trim(partition, keys, &meta).await?;
                }
                Err(error) => {
                    tracing::warn!(%error, "the counters of the ledger cannot be read");
                    return Ok(());
                }
            }
        }
        self.stand.put_gauges(gauges);
        Ok(())
    }

    /// Forgets what is past its retention among the next records of a partition; where to go on.
    async fn prune(&self, partition: u16, cursor: String) -> Result<String, LedgerError> {
        let records = self.partitions.keys(partition)?.records().to_owned();
        let caller = self.rare.caller(partition);
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
        let forget = |id| Packed::forget(id, unsigned(answers), unsigned(refusals)).to(partition);
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
    let cursor = if cursor.is_empty() {
        SCAN_DONE
    } else {
        &cursor
    };
    let mut question = redis::cmd("HSCAN");
    question.arg(records).arg(cursor);
    question.arg("COUNT").arg(PRUNE_RECORDS);
    caller.ask(&question).await
}
