//! A version of the policy as it stands in one line of the file.

use serde::{Deserialize, Serialize};

use crate::domain::UnixMillis;
use crate::ledger::policy::PolicyVersion;

/// A version of the policy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Policy {
    /// Which.
    pub version: u64,
    /// When it was put.
    pub at_ms: i64,
    /// By whom.
    pub operator: String,
    /// Why.
    pub reason: String,
    /// Why a freeze was overridden; empty where none was.
    #[serde(rename = "override")]
    pub over: String,
    /// The document as canonical JSON.
    pub text: String,
}

impl Policy {
    pub(in crate::ledger) fn new(version: &PolicyVersion) -> Self {
        Self {
            version: version.version,
            at_ms: version.at.0,
            operator: version.operator.to_string(),
            reason: version.reason.to_string(),
            over: version.over.to_string(),
            text: version.text.to_string(),
        }
    }

    pub(in crate::ledger) fn version(&self) -> PolicyVersion {
        PolicyVersion {
            version: self.version,
            at: UnixMillis(self.at_ms),
            operator: self.operator.as_str().into(),
            reason: self.reason.as_str().into(),
            over: self.over.as_str().into(),
            text: self.text.as_str().into(),
        }
    }
}
