//! Bringing a policy to the partitions: first all of it, then one step that puts it in force.

use std::sync::Arc;
use std::time::Duration;

use redis::RedisResult;

use super::{AUTHORITY, number_of};
use crate::domain::UnixMillis;
use crate::ledger::LedgerError;
use crate::ledger::policy::PolicyInForce;
use crate::ledger::remote::feed::Caller;
use crate::ledger::remote::format::Packed;
use crate::ledger::remote::lease::Job;
use crate::ledger::remote::script::{Keys, STAGE};
use crate::ledger::remote::wire::policy::{Swap, Swapped, encode_swap, fields, flat};
use crate::ledger::remote::wire::reply::Header;
use crate::ledger::remote::{Random, RemoteLedger, senseless};
use crate::limits::STORE_BATCH_LINES_MAX;
use crate::telemetry::Script;

/// To bring the policy to partitions that lack it, as the script knows it.
const JOB: Job = Job {
    name: "policy",
    ttl: Duration::from_secs(30),
};

/// Bytes of fields and values that are brought with one call.
const PART_BYTES: usize = 256 * 1024;

/// A policy as partitions take it.
pub(super) struct Load {
    pub(super) policy: Arc<PolicyInForce>,
    /// Names it: what several instances bring at once is not mixed.
    token: String,
    parts: Arc<[Vec<u8>]>,
}

impl Load {
    pub(super) fn new(policy: Arc<PolicyInForce>, random: &Random) -> Self {
        let mut parts = Vec::new();
        let (mut part, mut bytes) = (Vec::new(), 0);
        for field in fields(&policy.policy) {
            bytes += field.0.len() + field.1.len();
            part.push(field);
            if bytes >= PART_BYTES {
                parts.push(flat(&part));
                part.clear();
                bytes = 0;
            }
        }
        parts.push(flat(&part));
        Self {
            policy,
            token: format!("{:016x}", random.half()),
            parts: parts.into(),
        }
    }
}

/// Brings a policy to a partition.
async fn stage(caller: &Caller, keys: &Keys, token: &str, parts: &[Vec<u8>]) -> RedisResult<()> {
    let call = |step: &str, part: &[u8]| {
        let mut call = redis::cmd("EVAL");
        call.arg(STAGE).arg(2).arg(keys.meta()).arg(keys.staged());
        call.arg(step).arg(token).arg(part);
        call
    };
    caller.ask::<u64>(&call("begin", b"")).await?;
    for part in parts {
        caller.ask::<u64>(&call("put", part)).await?;
    }
    Ok(())
}

impl RemoteLedger {
    /// Brings a policy to a partition, where it is not in force yet.
    pub(super) async fn bring(&self, load: &Load, partition: u16) -> Result<(), LedgerError> {
        let (caller, keys) = (
            self.rare.caller(partition),
            self.partitions.keys(partition)?.clone(),
        );
        let (token, parts) = (load.token.clone(), Arc::clone(&load.parts));
        let brought = self
            .rare
            .run(async move { stage(&caller, &keys, &token, &parts).await });
        brought.await?.map_err(|error| {
            tracing::warn!(partition, %error, "a policy cannot be brought to a partition");
            LedgerError::Unavailable
        })
    }

    /// Puts in force what was brought to a partition, where another version is and it is not later
    /// than that; what became of it, and where the partition stands then.
    pub(super) async fn swap(
        &self,
        load: &Load,
        partition: u16,
        expected: u64,
        until: Option<UnixMillis>,
    ) -> Result<(Swapped, Header), LedgerError> {
        let swap = Swap {
            expected,
            version: &load.policy.version,
            keeps_text: partition == AUTHORITY,
            at: None,
            until,
            token: &load.token,
        };
        // Nothing else has room in its batch.
        let lines = STORE_BATCH_LINES_MAX;
        let step = Packed::step(encode_swap(&swap), lines, Script::Batch).to(partition);
        let (reply, at) = self.batcher.submit(step).await?;
        let swapped = reply.swapped(at).map_err(senseless)?;
        Ok((swapped, reply.header().clone()))
    }

    /// Makes a partition follow the first, whichever version it was left with.
    pub(super) async fn follow(
        &self,
        load: &Load,
        partition: u16,
        in_force: u64,
    ) -> Result<(), LedgerError> {
        let mut expected = in_force;
        loop {
            match self.swap(load, partition, expected, None).await?.0 {
                Swapped::Done => return Ok(()),
                Swapped::Not { current } if current == expected => {
                    return Err(LedgerError::Unavailable);
                }
                Swapped::Not { current } => expected = current,
            }
        }
    }

    /// Does work that one task of one instance does at a time; `None` while another is at it.
    pub(super) async fn alone<T>(
        &self,
        work: impl Future<Output = Result<T, LedgerError>>,
    ) -> Result<Option<T>, LedgerError> {
        let Some(_busy) = self.policy.begin() else {
            return Ok(None);
        };
        let meta = self.partitions.keys(AUTHORITY)?.meta().to_owned();
        let (caller, leases) = (self.rare.caller(AUTHORITY), self.leases.clone());
        let (asking, place) = ((caller.clone(), leases.clone()), meta.clone());
        let acquired = self
            .rare
            .run(async move { asking.1.acquire(&asking.0, &place, JOB).await });
        let acquired = acquired.await?.map_err(|error| {
            tracing::warn!(%error, "the lease of the policy cannot be had");
            LedgerError::Unavailable
        })?;
        let Some(lease) = acquired else {
            return Ok(None);
        };
        let done = work.await;
        let release = async move { leases.release(&caller, &meta, lease).await };
        if let Err(error) = self.rare.run(release).await? {
            tracing::warn!(%error, "the lease of the policy ends by itself");
        }
        done.map(Some)
    }

    /// Learns what is in force where the partitions last told of something else, and brings it to
    /// those where it is not: whoever put it was broken off, or is at it.
    pub(in crate::ledger::remote) async fn look_after_policy(&self) -> Result<(), LedgerError> {
        let known = number_of(self.policy().as_deref());
        if self.policy.heard().all(|version| version == known) {
            return Ok(());
        }
        let number = number_of(self.read_policy().await?.as_deref());
        if number > 0 && self.policy.heard().any(|version| version != number) {
            self.alone(self.finish()).await?;
        }
        Ok(())
    }

    /// Brings what is in force to the partitions that lack it. Everything is asked anew: what was
    /// heard may be over by now, and to bring it would take a later version away.
    async fn finish(&self) -> Result<(), LedgerError> {
        let Some(policy) = self.read_policy().await? else {
            return Ok(());
        };
        let number = number_of(Some(&policy));
        let mut load = None;
        for partition in self.partitions.numbers().filter(|at| *at != AUTHORITY) {
            let asked = self.batcher.submit(Packed::expire().to(partition)).await?;
            let in_force = asked.0.header().policy;
            if in_force == number {
                continue;
            }
            tracing::info!(
                number,
                partition,
                "a policy is brought to a partition that lacks it"
            );
            let load = load.get_or_insert_with(|| Load::new(Arc::clone(&policy), &self.random));
            self.bring(load, partition).await?;
            self.follow(load, partition, in_force).await?;
        }
        Ok(())
    }
}
