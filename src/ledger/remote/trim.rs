//! The stream of events is kept as long as readers may want it, and no longer. One instance at a
//! time trims it, under a lease.

use std::time::Duration;

use redis::RedisResult;

use super::RemoteLedger;
use super::feed::Caller;
use super::lease::{Job, Lease};
use super::script::{Keys, Meta, TRIM};
use crate::ledger::LedgerError;

/// The job, as the script knows it.
const JOB: Job = Job {
    name: "trim",
    ttl: Duration::from_secs(10),
};

/// Calls of one round; each removes a few entries, so that it holds up nobody.
const CALLS: usize = 64;

impl RemoteLedger {
    /// Trims the stream of a partition that holds more than is to be kept, unless another instance
    /// is at it.
    pub(super) async fn trim(
        &self,
        partition: u16,
        keys: &Keys,
        meta: &Meta,
    ) -> Result<(), LedgerError> {
        let kept = meta.sequence.saturating_sub(meta.base);
        // Not for every event that is one too many.
        if kept <= self.retain_events.saturating_add(self.retain_events / 16) {
            return Ok(());
        }
        let (caller, leases) = (self.rare.caller(partition), self.leases.clone());
        let (keys, stay) = (keys.clone(), self.retain_events);
        let trimmed = self.rare.run(async move {
            let Some(lease) = leases.acquire(&caller, keys.meta(), JOB).await? else {
                return Ok(());
            };
            for _ in 0..CALLS {
                let removed = remove(&caller, &keys, &lease, stay).await?;
                if removed == 0 || !leases.renew(&caller, keys.meta(), &lease).await? {
                    break;
                }
            }
            leases.release(&caller, keys.meta(), lease).await
        });
        trimmed.await?.or_else(|error| {
            tracing::warn!(%error, "the stream cannot be trimmed");
            Ok(())
        })
    }
}

async fn remove(caller: &Caller, keys: &Keys, lease: &Lease, stay: u64) -> RedisResult<u64> {
    let mut call = redis::cmd("EVAL");
    call.arg(TRIM).arg(2).arg(keys.meta()).arg(keys.events());
    call.arg(lease.token).arg(&lease.holder).arg(stay);
    caller.ask(&call).await
}
