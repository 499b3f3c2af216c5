//! The policy: put, kept, in force.

use std::sync::{Arc, Mutex, RwLock};

use super::record::{self, BadRecord};
use super::recover::OpenError;
use super::scratch::Scratch;
use super::{EmbeddedLedger, State, unpoisoned};
use crate::domain::{ChannelIx, UnixMillis};
use crate::ledger::LedgerError;
use crate::ledger::event::Body;
use crate::ledger::policy::{
    CheckedPolicy, History, PolicyInForce, PolicyPut, PolicyVersion, PutPolicyError,
};

/// What the ledger keeps of the policy. Each stock shard has a pointer to what is in force.
#[derive(Debug, Default)]
pub(super) struct Kept {
    versions: RwLock<Versions>,
    /// Held while a policy is put, before any other lock: between the look at the version in force
    /// and the next version nobody else puts one.
    putting: Mutex<()>,
}

#[derive(Debug, Default)]
struct Versions {
    history: History,
    in_force: Option<Arc<PolicyInForce>>,
}

impl Kept {
    fn in_force(&self) -> Option<Arc<PolicyInForce>> {
        let versions = unpoisoned(self.versions.read());
        versions.in_force.as_ref().map(Arc::clone)
    }

    fn current(&self) -> u64 {
        unpoisoned(self.versions.read()).history.current()
    }

    /// The versions, newest first.
    pub(super) fn versions(&self) -> Vec<PolicyVersion> {
        unpoisoned(self.versions.read()).history.newest_first()
    }

    /// The versions as the records of their events, oldest first.
    pub(super) fn records(&self) -> Vec<Vec<u8>> {
        let versions = unpoisoned(self.versions.read());
        let record = |version: &PolicyVersion| {
            let mut bytes = Vec::new();
            record::encode(version.at, &event_of(version), &mut bytes);
            bytes.get(4..).unwrap_or_default().to_vec()
        };
        versions.history.iter().map(record).collect()
    }
}

/// The event of a version.
fn event_of(version: &PolicyVersion) -> Body<'_> {
    Body::PolicyPut {
        version: version.version,
        operator: &version.operator,
        reason: &version.reason,
        over: &version.over,
        text: &version.text,
    }
}

/// The version of an event.
fn version_of(at: UnixMillis, body: &Body<'_>) -> Option<PolicyVersion> {
    let Body::PolicyPut {
        version,
        operator,
        reason,
        over,
        text,
    } = *body
    else {
        return None;
    };
    Some(PolicyVersion {
        version,
        at,
        operator: operator.into(),
        reason: reason.into(),
        over: over.into(),
        text: text.into(),
    })
}

impl EmbeddedLedger {
    /// The policy that commands are decided by.
    pub fn policy(&self) -> Option<Arc<PolicyInForce>> {
        self.state.policy.in_force()
    }

    /// The last versions, newest first.
    pub fn policy_versions(&self) -> Vec<PolicyVersion> {
        self.state.policy.versions()
    }

    /// Puts a policy in force; with the place in the journal that must be durable before anybody
    /// is told. Blocks for as long as checking it takes; commands wait only for the last step,
    /// which copies the record and sets a pointer per shard.
    pub fn put_policy(&self, put: &PolicyPut<'_>) -> Result<(PolicyVersion, u64), PutPolicyError> {
        self.journal.admit()?;
        let _alone = unpoisoned(self.state.policy.putting.lock());
        let at = self.now();
        // Before any name is recorded: a document with faults leaves nothing behind.
        let checked = put.check(self.policy().as_deref(), at)?;
        let CheckedPolicy {
            document,
            text,
            is_overridden,
            ..
        } = checked;
        for entry in &document.channels {
            let made = self.make_channel(&entry.name)?;
            made.ok_or(PutPolicyError::TooManyChannels)?;
        }
        let version = PolicyVersion {
            version: self.state.policy.current() + 1,
            at,
            operator: put.operator.into(),
            reason: put.reason.into(),
            over: if is_overridden { put.over } else { "" }.into(),
            text: text.into(),
        };
        let next =
            PolicyInForce::compile(version.clone(), document, |name| self.find_channel(name))?;
        let sequence = self.enforce(Arc::new(next))?;
        Ok((version, sequence))
    }

    /// Records a version and has all shards decide by it, between two commands.
    fn enforce(&self, next: Arc<PolicyInForce>) -> Result<u64, LedgerError> {
        let version = next.version.clone();
        let mut scratch = Scratch::new();
        scratch.push(version.at, &event_of(&version));
        // What was in force is let go when the locks are.
        let _before = self.policy();
        let mut stock = self.state.pool.all_stock()?;
        let sequence = scratch.commit(&self.journal);
        for (_, shard) in stock.iter_mut() {
            shard.policy = Some(Arc::clone(&next));
        }
        stock.note_change(sequence);
        let mut versions = unpoisoned(self.state.policy.versions.write());
        versions.history.add(version);
        versions.in_force = Some(next);
        Ok(sequence)
    }
}

impl State {
    /// Keeps a version that was read; [`Self::enforce_kept_policy`] follows the last.
    pub(super) fn keep_policy(&self, version: PolicyVersion) -> Result<(), OpenError> {
        let number = version.version;
        let mut versions = unpoisoned(self.policy.versions.write());
        if versions.history.add(version) {
            return Ok(());
        }
        let current = versions.history.current();
        Err(OpenError::Damaged(format!(
            "version {number} of the policy follows {current}"
        )))
    }

    /// Keeps the version of an event, unless a snapshot knew it already.
    pub(super) fn replay_policy(&self, at: UnixMillis, body: &Body<'_>) -> Result<(), OpenError> {
        let version = version_of(at, body).ok_or(BadRecord)?;
        if version.version <= self.policy.current() {
            return Ok(());
        }
        self.keep_policy(version)
    }

    /// Has all shards decide by the last version that was kept.
    pub(super) fn enforce_kept_policy(&self) -> Result<(), OpenError> {
        let Some(last) = self.policy.versions().into_iter().next() else {
            return Ok(());
        };
        let number = last.version;
        let index = |name: &str| unpoisoned(self.channels.read()).find(name).map(ChannelIx);
        let policy = PolicyInForce::read(last, index).map_err(|error| {
            OpenError::Damaged(format!("version {number} of the policy: {error}"))
        })?;
        let policy = Arc::new(policy);
        for shard in 0..self.pool.places() {
            self.pool.stock_shard(shard)?.policy = Some(Arc::clone(&policy));
        }
        unpoisoned(self.policy.versions.write()).in_force = Some(policy);
        Ok(())
    }
}
