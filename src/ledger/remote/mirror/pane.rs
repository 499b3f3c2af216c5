//! What the mirror has of one partition.

use std::sync::Arc;
use std::time::Duration;

use super::MirrorConfig;
use super::feed::Feed;
use super::freshness::Seen;
use super::reading::{Unreadable, read};
use crate::clock::{Clock, Monotonic};
use crate::domain::command::{CommandKey, Reserve};
use crate::domain::hash::Hasher;
use crate::domain::{Refusal, Sku, UnixMillis};
use crate::ledger::embedded::Retention;
use crate::ledger::embedded::replica::{Replica, Unfit};
use crate::ledger::policy::PolicyInForce;
use crate::ledger::remote::feed::Caller;
use crate::ledger::remote::script::Keys;
use crate::ledger::remote::wire::reply::BatchReply;
use crate::ledger::{About, Availability};

/// How much more than an even share of the records one partition may have.
const SHARES_MAX: u64 = 2;

/// See the module's documentation.
pub(super) struct Pane {
    pub(super) partition: u16,
    pub(super) replica: Replica,
    pub(super) feed: Feed,
    /// Nothing that was proved longer ago is said.
    pub(super) bound: Duration,
    /// The time that the store believes; only tests have one.
    clock: Option<Clock>,
    pub(super) retention: Retention,
}

impl Pane {
    /// Without any content, of one of so many partitions.
    pub(super) fn new((partition, of): (u16, u16), hasher: Hasher, config: &MirrorConfig) -> Self {
        let all = config.retention.records_max;
        let share = (all / u64::from(of.max(1))).saturating_mul(SHARES_MAX);
        Self {
            partition,
            replica: Replica::one_of(of, hasher, config.meters.clone()),
            feed: Feed::new(partition),
            bound: config.bound,
            clock: config.clock.clone(),
            retention: Retention {
                records_max: share.min(all),
                ..config.retention
            },
        }
    }

    /// Fills it, from the partition with these keys.
    pub(super) async fn fill(&self, caller: &Caller, keys: &Keys) -> Result<(), Unreadable> {
        let told = self.feed.fresh.told();
        let course = read(caller, keys, self).await?;
        if course.position() < told {
            return Err(Unreadable::Lost(course.sequence));
        }
        let (partition, sequence) = (self.partition, course.sequence);
        self.feed.begin(course);
        tracing::debug!(partition, sequence, "the mirror is there");
        Ok(())
    }

    /// A batch of this instance was answered, as durably as the level says.
    pub(super) fn heard(&self, argument: &[u8], reply: &BatchReply, sent: Monotonic) {
        let astray = self.feed.heard(&self.replica, argument, reply, sent);
        if let Some(why) = astray {
            let partition = self.partition;
            tracing::warn!(partition, %why, "the mirror does not fit the store; it is read anew");
        }
    }

    /// Judges by this policy where the store does.
    pub(super) fn enforce(&self, policy: Option<&Arc<PolicyInForce>>) {
        if let Err(why) = self.replica.enforce(policy) {
            let partition = self.partition;
            tracing::error!(partition, %why, "the mirror cannot go by another policy");
        }
    }

    /// Why a reservation of which nothing is known is refused; `None`: the store knows. Where the
    /// store decides by another policy than this, it is asked.
    pub(super) fn refusal(&self, key: CommandKey, reserve: &Reserve<'_>) -> Option<Seen<Refusal>> {
        self.look(|by| {
            let refusal = self.by_its_policy(|| self.replica.refusal(reserve, by).ok()?)?;
            let is_known = self.replica.knows(key.id).ok()?;
            (!is_known).then_some(refusal)
        })
    }

    /// What may be promised of a SKU; `None`: the store knows. What it may keep back, and whether it is
    /// low, the policy says for everybody.
    pub(super) fn availability(&self, sku: Sku<'_>, about: About) -> Option<Availability> {
        let seen = self
            .look(|by| self.by_its_policy(|| self.replica.availability(sku, about, by).ok()?))?;
        Some(Availability {
            as_of: seen.as_of,
            ..seen.value
        })
    }

    /// What is found while the replica goes by the policy that the store decides by.
    fn by_its_policy<T>(&self, find: impl FnOnce() -> Option<T>) -> Option<T> {
        let policy = self.feed.policy();
        let is_same = || self.replica.policy() == policy;
        // Before and after: it may be changed meanwhile.
        let found = is_same().then(find)?;
        found.filter(|_| is_same())
    }

    fn look<T>(&self, look: impl FnMut(UnixMillis) -> Option<T>) -> Option<Seen<T>> {
        let clock = self.clock.as_ref();
        self.feed.fresh.look(self.bound, clock, look)
    }

    /// Forgets what the store may have forgotten.
    pub(super) fn tidy(&self) -> Result<(), Unfit> {
        let now = self.feed.fresh.as_of();
        for shard in 0..self.replica.shards() {
            // Between two batches: an event must find what it is about.
            let tidied = || self.replica.tidy(shard, now, &self.retention);
            self.feed.quietly(tidied)?;
        }
        Ok(())
    }
}
