//! The channel policy, which the store asks by itself: see `lua/lib/policy.lua`. Partition 0 has the
//! texts of the last versions and says which one is in force; the other partitions follow. What this
//! instance knows of it serves reads, the mirror, the check of the next version, and how long a hold
//! lives whose caller does not say: whether there is room is never decided by it.

mod put;
mod spread;

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use bytes::Bytes;
use redis::Cmd;

use super::format::Packed;
use super::wire::policy::version;
use super::wire::reply::Header;
use super::{RemoteLedger, senseless};
use crate::domain::UnixMillis;
use crate::ledger::LedgerError;
use crate::ledger::policy::{PolicyInForce, PolicyVersion};

/// The partition that keeps the texts.
const AUTHORITY: u16 = 0;

/// What this instance knows of the policy.
#[derive(Debug)]
pub(super) struct Known {
    in_force: RwLock<Option<Arc<PolicyInForce>>>,
    /// The version that each partition decided by when it was last asked in a round of upkeep: a
    /// hint that something may have to be done, never what.
    heard: Box<[AtomicU64]>,
    /// Where the first partition stood when it told of what is known.
    /// LOCK: while everything here is brought to another policy, so that of two that are learnt at
    /// once the later one stays, and stays whole.
    learnt_at: Mutex<Stand>,
    /// A task of this instance is at what one task does at a time: the lease only tells instances
    /// apart.
    is_busy: AtomicBool,
}

/// No version.
const UNKNOWN: u64 = u64::MAX;

/// Epoch and sequence of the first partition.
type Stand = (u32, u64);

/// Lets other tasks of this instance begin when it is dropped.
struct Busy<'k>(&'k AtomicBool);

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}

impl Known {
    pub(super) fn new(partitions: usize) -> Self {
        Self {
            in_force: RwLock::default(),
            heard: (0..partitions).map(|_| AtomicU64::new(0)).collect(),
            learnt_at: Mutex::default(),
            is_busy: AtomicBool::new(false),
        }
    }

    fn get(&self) -> Option<Arc<PolicyInForce>> {
        let known = self.in_force.read();
        let known = known.unwrap_or_else(PoisonError::into_inner);
        known.as_ref().map(Arc::clone)
    }

    fn set(&self, policy: Option<Arc<PolicyInForce>>) {
        let known = self.in_force.write();
        *known.unwrap_or_else(PoisonError::into_inner) = policy;
    }

    fn learnt_at(&self) -> MutexGuard<'_, Stand> {
        self.learnt_at
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// The epoch in which the first partition told of what is known.
    fn epoch(&self) -> u32 {
        self.learnt_at().0
    }

    /// A partition decides by this version; the first one of another epoch by one that is not known.
    pub(super) fn hear(&self, partition: u16, told: &Header) {
        let is_known = partition != AUTHORITY || told.epoch == self.epoch();
        if let Some(heard) = self.heard.get(usize::from(partition)) {
            heard.store(
                if is_known { told.policy } else { UNKNOWN },
                Ordering::Relaxed,
            );
        }
    }

    /// The right to do what one task does at a time.
    fn begin(&self) -> Option<Busy<'_>> {
        let was_busy = self.is_busy.swap(true, Ordering::AcqRel);
        (!was_busy).then(|| Busy(&self.is_busy))
    }

    fn heard(&self) -> impl Iterator<Item = u64> {
        self.heard.iter().map(|of| of.load(Ordering::Relaxed))
    }
}

fn number_of(policy: Option<&PolicyInForce>) -> u64 {
    policy.map_or(0, |of| of.version.version)
}

impl RemoteLedger {
    /// The policy in force, as far as this instance has heard.
    pub fn policy(&self) -> Option<Arc<PolicyInForce>> {
        self.policy.get()
    }

    /// The policy in force, as durably as the level says.
    pub async fn read_policy(&self) -> Result<Option<Arc<PolicyInForce>>, LedgerError> {
        Ok(self.settled_policy().await?.0)
    }

    /// That, and the time of the store.
    async fn settled_policy(
        &self,
    ) -> Result<(Option<Arc<PolicyInForce>>, UnixMillis), LedgerError> {
        let reply = self.batcher.submit(Packed::expire().to(AUTHORITY)).await?.0;
        let policy = self.learn_policy(reply.header()).await?;
        Ok((policy, reply.header().now))
    }

    /// What the version says that the first partition decided by then.
    async fn learn_policy(&self, told: &Header) -> Result<Option<Arc<PolicyInForce>>, LedgerError> {
        let (number, known) = (told.policy, self.policy.get());
        // After an accepted loss another document may have the number.
        if number_of(known.as_deref()) == number && self.policy.epoch() == told.epoch {
            return Ok(known);
        }
        let policy = match number {
            0 => None,
            _ => Some(self.compiled(number).await?),
        };
        self.adopt(policy.as_ref().map(Arc::clone), told);
        Ok(policy)
    }

    /// The policy that a partition decides by which told this version. One that is behind will
    /// have the one that is known in a moment.
    pub(super) async fn policy_of(
        &self,
        number: u64,
    ) -> Result<Option<Arc<PolicyInForce>>, LedgerError> {
        let known = self.policy.get();
        if number_of(known.as_deref()) >= number {
            return Ok(known);
        }
        self.read_policy().await
    }

    /// Has reads and the mirror go by a policy, unless they go by what was told later.
    fn adopt(&self, policy: Option<Arc<PolicyInForce>>, told: &Header) {
        let mut learnt_at = self.policy.learnt_at();
        let stand = (told.epoch, told.last);
        if stand < *learnt_at {
            return;
        }
        *learnt_at = stand;
        if let Some(on) = &self.mirror {
            on.mirror.enforce(policy.as_ref());
        }
        self.policy.set(policy);
    }

    /// Reads a version and compiles it, which may take long.
    async fn compiled(&self, number: u64) -> Result<Arc<PolicyInForce>, LedgerError> {
        // Every channel of a policy has its index before the policy is put.
        self.read_names().await?;
        let mut ask = redis::cmd("HGET");
        ask.arg(self.partitions.keys(AUTHORITY)?.versions());
        let kept: Option<Bytes> = self.ask_authority(ask.arg(number)).await?;
        let kept = kept.ok_or(LedgerError::Unavailable)?;
        let version = version(number, &kept).map_err(senseless)?;
        let compiled = PolicyInForce::read(version, |name| self.find_channel(name));
        compiled.map(Arc::new).map_err(|error| {
            tracing::error!(number, %error, "a version of the policy cannot be read");
            LedgerError::Unavailable
        })
    }

    async fn ask_authority<T: redis::FromRedisValue + Send + 'static>(
        &self,
        question: &Cmd,
    ) -> Result<T, LedgerError> {
        let (caller, question) = (self.rare.caller(AUTHORITY), question.clone());
        let asked = self.rare.run(async move { caller.ask(&question).await });
        asked.await?.map_err(|error| {
            tracing::warn!(%error, "the policy cannot be read");
            LedgerError::Unavailable
        })
    }

    /// The last versions, newest first, as durably as the level says.
    pub async fn policy_versions(&self) -> Result<Vec<PolicyVersion>, LedgerError> {
        let submitted = self.batcher.submit(Packed::expire().to(AUTHORITY)).await?;
        let last = submitted.0.header().policy;
        let mut versions = self.kept_policies().await?;
        versions.retain(|of| of.version <= last);
        Ok(versions)
    }

    /// The last versions, newest first, as they are kept now.
    pub(super) async fn kept_policies(&self) -> Result<Vec<PolicyVersion>, LedgerError> {
        let mut ask = redis::cmd("HGETALL");
        ask.arg(self.partitions.keys(AUTHORITY)?.versions());
        let kept: HashMap<u64, Bytes> = self.ask_authority(&ask).await?;
        let versions = { kept.iter() }.map(|(number, kept)| version(*number, kept));
        let mut versions: Vec<_> = versions.collect::<Result<_, _>>().map_err(senseless)?;
        versions.sort_unstable_by_key(|of| std::cmp::Reverse(of.version));
        Ok(versions)
    }
}
