//! Leases: the right to do for a while what one instance does at a time.
//!
//! A lease saves work; it promises nothing by itself, since its holder may sleep past its deadline.
//! What is trimmed under it carries its token and holder, and the script refuses any but the last ones;
//! a policy is put in force by comparing versions. A lease counts when it is as durable as an answer of the ledger, so that no token is
//! given twice where no answer is lost.

use std::time::Duration;

use redis::{Cmd, Pipeline, RedisResult, Value};

use super::feed::Caller;
use super::link::Level;
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
    /// What a lease waits for.
    pub(super) level: Level,
    pub(super) meters: Meters,
}

/// The right to do a job. Ends with [`Leases::release`], or by itself.
#[derive(Debug)]
pub(super) struct Lease {
    job: Job,
    /// Grows with every holder; what is written under the lease carries it.
    pub(super) token: u64,
    /// Whose it is.
    pub(super) holder: String,
    held: Monotonic,
}

impl Leases {
    /// The lease of a job; `None` while another instance has it, or the copies that the level asks
    /// for do not exist: should it be ours, it ends by itself.
    pub(super) async fn acquire(
        &self,
        caller: &Caller,
        meta: &str,
        job: Job,
    ) -> RedisResult<Option<Lease>> {
        let timer = monotonic();
        let info: String = caller.ask(redis::cmd("INFO").arg("server")).await?;
        let mut step = redis::pipe();
        step.add_command(self.command(meta, "acquire", job, 0));
        self.level
            .on_server(&info)?
            .add_to(&mut step, self.level.wait);
        let token = self.durable(caller, &step).await?;
        self.meters.lock_wait(LockKind::Lease, timer.elapsed());
        Ok(token.map(|token| Lease {
            job,
            token,
            holder: self.holder.clone(),
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

    /// The token that a step gives, if it is as durable as the level says.
    async fn durable(&self, caller: &Caller, step: &Pipeline) -> RedisResult<Option<u64>> {
        let mut replies = caller.ask_all(step).await?.into_iter();
        let token: u64 = redis::from_redis_value(replies.next().unwrap_or(Value::Nil))?;
        let waited = replies.next().unwrap_or(Value::Nil);
        let is_durable = self.level.reached(&waited).unwrap_or(false);
        Ok(Some(token).filter(|token| *token > 0 && is_durable))
    }

    async fn call(
        &self,
        caller: &Caller,
        meta: &str,
        step: &str,
        job: Job,
        token: u64,
    ) -> RedisResult<Option<u64>> {
        let token: u64 = caller.ask(&self.command(meta, step, job, token)).await?;
        Ok(Some(token).filter(|token| *token > 0))
    }

    fn command(&self, meta: &str, step: &str, job: Job, token: u64) -> Cmd {
        let ttl = u64::try_from(job.ttl.as_millis()).unwrap_or(u64::MAX);
        let mut call = redis::cmd("EVAL");
        call.arg(LEASE).arg(1).arg(meta);
        call.arg(step).arg(job.name).arg(&self.holder);
        call.arg(ttl).arg(token);
        call
    }
}
