//! The policy: reading it, putting it.

use std::sync::Arc;

use super::Engine;
use crate::ledger::LedgerError;
use crate::ledger::policy::{PolicyInForce, PolicyPut, PolicyVersion, PutPolicyError};

impl Engine {
    /// The policy in force; `None`: there is none. What it shows is durable.
    pub async fn policy(&self) -> Result<Option<Arc<PolicyInForce>>, LedgerError> {
        self.parts.ledger.read_policy().await
    }

    /// The last versions of the policy, newest first. What they show is durable.
    pub async fn policy_versions(&self) -> Result<Vec<PolicyVersion>, LedgerError> {
        self.parts.ledger.policy_versions().await
    }

    /// Puts a policy in force. Checking it may take long: not for a thread that must not block.
    pub async fn put_policy(&self, put: &PolicyPut<'_>) -> Result<PolicyVersion, PutPolicyError> {
        self.parts.ledger.put_policy(put).await
    }
}
