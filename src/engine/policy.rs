//! The policy: reading it, putting it.

use std::sync::Arc;

use super::Engine;
use crate::domain::command::Lines;
use crate::domain::policy::Document;
use crate::domain::{ChannelIx, Frozen, Sku, Ttl};
use crate::ledger::LedgerError;
use crate::ledger::policy::{
    CheckedPolicy, PolicyInForce, PolicyPut, PolicyVersion, PutPolicyError, SkuPolicy,
};

impl Engine {
    /// The policy in force; `None`: there is none. What it shows is durable.
    pub async fn policy(&self) -> Result<Option<Arc<PolicyInForce>>, LedgerError> {
        self.parts.ledger.read_policy().await
    }

    /// How long a hold of these lines lives whose caller names no time: as the campaigns of its SKUs
    /// say, else as is usual. A ledger that looks when it decides leaves it at what is usual.
    pub fn usual_hold(&self, lines: &Lines<'_>, usual: Ttl) -> Ttl {
        self.parts.ledger.usual_hold(lines, usual)
    }

    /// The last versions of the policy, newest first. What they show is durable.
    pub async fn policy_versions(&self) -> Result<Vec<PolicyVersion>, LedgerError> {
        self.parts.ledger.policy_versions().await
    }

    /// Everything that may be wrong with a policy that is to be put, but that there is no room for
    /// the names of its channels.
    pub fn check_policy(&self, put: &PolicyPut<'_>) -> Result<CheckedPolicy, PutPolicyError> {
        let in_force = self.parts.ledger.policy();
        put.check(in_force.as_deref(), self.now())
    }

    /// The same where nothing is to be put: what it says, and the campaign that keeps it from being put
    /// now.
    pub fn try_policy(
        &self,
        put: &PolicyPut<'_>,
    ) -> Result<(Document, Option<Frozen>), PutPolicyError> {
        let in_force = self.parts.ledger.policy();
        put.try_out(in_force.as_deref(), self.now())
    }

    /// What of the policy is in force for a SKU: for each channel with limits in its rule, or for
    /// the one asked for; `None`: unknown.
    pub async fn sku_policy(
        &self,
        sku: Sku<'_>,
        channel: Option<ChannelIx>,
    ) -> Result<Option<SkuPolicy>, LedgerError> {
        self.parts.ledger.sku_policy(sku, channel).await
    }

    /// Puts a policy in force. Checking it may take long: not for a thread that must not block.
    pub async fn put_policy(&self, put: &PolicyPut<'_>) -> Result<PolicyVersion, PutPolicyError> {
        self.parts.ledger.put_policy(put).await
    }
}
