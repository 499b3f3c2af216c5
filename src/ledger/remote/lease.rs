//! Leases: the right to do for a while what one instance does at a time.
//!
//! A lease saves work; it promises nothing by itself, since its holder may sleep past its deadline.
//! What is written under it carries its token, and the script that writes refuses a token that is
//! lower than the last one given for the job.

use std::time::Duration;

use redis::RedisResult;

use super::feed::Caller;
use super::script::LEASE;
use crate::clock::{Monotonic, monotonic};
use crate::telemetry::{LockKind, Meters};

/// A job that one instance does at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Job {
    /// Its name in the store.
    pub(super) name: &'static str,
    /// How long it may take before another instance begins.
    pub(super) ttl: Duration,
}

/// Asks for leases.
#[derive(Debug, Clone)]
pub(super) struct Leases {
    /// This instance, among all.
    pub(super) holder: String,
    pub(super) meters: Meters,
}

/// The right to do a job. Ends with [`Leases::release`], or by itself.
#[derive(Debug)]
pub(super) struct Lease {
    job: Job,
    /// Grows with every holder; what is written under the lease carries it.
    pub(super) token: u64,
    held: Monotonic,
}

impl Leases {
    /// The lease of a job; `None` while another instance has it.
    pub(super) async fn acquire(
        &self,
        caller: &Caller,
        meta: &str,
        job: Job,
    ) -> RedisResult<Option<Lease>> {
        let timer = monotonic();
        let token = self.call(caller, meta, "acquire", job, 0).await?;
        self.meters.lock_wait(LockKind::Lease, timer.elapsed());
        Ok(token.map(|token| Lease {
            job,
            token,
            held: monotonic(),
        }))
    }

    /// Holds on to the job for another while; false where another instance has it by now.
    pub(super) async fn renew(
        &self,
        caller: &Caller,
        meta: &str,
        lease: &Lease,
    ) -> RedisResult<bool> {
        let renewed = self.call(caller, meta, "renew", lease.job, lease.token);
        Ok(renewed.await?.is_some())
    }

    /// Lets others do the job from now on.
    pub(super) async fn release(
        &self,
        caller: &Caller,
        meta: &str,
        lease: Lease,
    ) -> RedisResult<()> {
        self.meters.lock_hold(LockKind::Lease, lease.held.elapsed());
        let Lease { job, token, .. } = lease;
        self.call(caller, meta, "release", job, token).await?;
        Ok(())
    }

    async fn call(
        &self,
        caller: &Caller,
        meta: &str,
        step: &str,
        job: Job,
        token: u64,
    ) -> RedisResult<Option<u64>> {
        let ttl = u64::try_from(job.ttl.as_millis()).unwrap_or(u64::MAX);
        let mut call = redis::cmd("EVAL");
        call.arg(LEASE).arg(1).arg(meta);
        call.arg(step).arg(job.name).arg(&self.holder);
        call.arg(ttl).arg(token);
        let token: u64 = caller.ask(&call).await?;
        Ok(Some(token).filter(|token| *token > 0))
    }
}
