//! Putting a policy in force.

use std::sync::Arc;
use std::time::Duration;

use super::spread::Load;
use super::{AUTHORITY, number_of};
use crate::domain::UnixMillis;
use crate::domain::policy::Document;
use crate::ledger::LedgerError;
use crate::ledger::policy::{
    CheckedPolicy, PolicyInForce, PolicyPut, PolicyVersion, PutPolicyError,
};
use crate::ledger::remote::RemoteLedger;
use crate::ledger::remote::wire::policy::Swapped;

/// How often it is tried where others put policies at the same time.
const ATTEMPTS: usize = 64;

/// Before it is tried again.
const PAUSE: Duration = Duration::from_millis(20);

impl RemoteLedger {
    /// Puts a policy in force; returns when that is as durable as the level says. Blocks while it
    /// checks.
    ///
    /// The first partition decides. Where another one cannot be reached the result is unknown:
    /// until it is, that one goes on by the version before, and then follows.
    pub async fn put_policy(&self, put: &PolicyPut<'_>) -> Result<PolicyVersion, PutPolicyError> {
        self.stand.admit()?;
        for _ in 0..ATTEMPTS {
            let (in_force, now) = self.settled_policy().await?;
            let current = number_of(in_force.as_deref());
            // Before any name is recorded: a document with faults leaves nothing behind.
            let CheckedPolicy {
                document,
                text,
                is_overridden,
                holds_until,
            } = put.check(in_force.as_deref(), now)?;
            self.name_channels(&document).await?;
            let version = PolicyVersion {
                version: current + 1,
                at: now,
                operator: put.operator.into(),
                reason: put.reason.into(),
                over: if is_overridden { put.over } else { "" }.into(),
                text: text.into(),
            };
            let next = PolicyInForce::compile(version, document, |name| self.find_channel(name))?;
            if let Some(version) = self
                .alone(self.enforce(next, current, holds_until))
                .await?
                .flatten()
            {
                return Ok(version);
            }
            // Made where it runs: the caller need not have a timer.
            self.rare
                .run(async { tokio::time::sleep(PAUSE).await })
                .await?;
        }
        Err(LedgerError::Overloaded.into())
    }

    /// Makes sure that every channel of a document has an index.
    async fn name_channels(&self, document: &Document) -> Result<(), PutPolicyError> {
        for entry in &document.channels {
            if self.find_channel(&entry.name).is_none() {
                let made = self.make_channel(&entry.name).await?;
                made.ok_or(PutPolicyError::TooManyChannels)?;
            }
        }
        Ok(())
    }

    /// Puts it in force in all partitions; `None`: somebody else was faster, or the check is over
    /// whose answer holds until then.
    async fn enforce(
        &self,
        next: PolicyInForce,
        current: u64,
        holds_until: Option<UnixMillis>,
    ) -> Result<Option<PolicyVersion>, LedgerError> {
        let mut load = Load::new(Arc::new(next), &self.random);
        for partition in self.partitions.numbers() {
            self.bring(&load, partition).await?;
        }
        let (swapped, told) = self.swap(&load, AUTHORITY, current, holds_until).await?;
        if swapped != Swapped::Done {
            return Ok(None);
        }
        if let Some(next) = Arc::get_mut(&mut load.policy) {
            next.version.at = told.now;
        }
        self.adopt(Some(Arc::clone(&load.policy)), &told);
        for partition in self.partitions.numbers().filter(|at| *at != AUTHORITY) {
            let followed = self.follow(&load, partition, current).await;
            followed.or(Err(LedgerError::Unknown))?;
        }
        Ok(Some(load.policy.version.clone()))
    }
}
