//! The channel policy: what it lets a channel take.

use std::collections::BTreeMap;

use hyper::Method;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::answer::{Answer, Error};
use crate::client::{Client, to_json};
use crate::key::IdempotencyKey;
use crate::path::Path;
use crate::shared::Call;
use crate::stock::{Reason, ReasonedBody, in_order};
use crate::text::Text;

/// How a channel stands with a SKU under the policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub struct Share {
    /// Its cap in units.
    #[serde(default)]
    pub cap: Option<u64>,
    /// Its protection in units.
    #[serde(default)]
    pub protection: Option<u64>,
    /// What it uses.
    pub used: u64,
    /// The most that the policy lets it take now.
    pub left: u64,
}

/// What of the policy is in force for a SKU.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct SkuPolicy {
    /// The version of the policy; 0: there is none.
    pub version: u64,
    /// The rule in force, or the campaign.
    #[serde(default)]
    pub rule: Option<String>,
    /// The channels with limits in it.
    pub channels: Vec<ChannelShare>,
}

/// A channel and how it stands.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct ChannelShare {
    /// Who.
    pub channel: Text,
    /// How.
    #[serde(flatten)]
    pub share: Share,
    /// Whose shares it may use when its own does not do, in that order.
    #[serde(default)]
    pub fallback: Vec<Text>,
}

/// Who changes the policy, and why: for the change log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Author<'a> {
    /// Who.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub operator: Option<&'a str>,
    /// Why.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<&'a str>,
    /// Why the freeze of a campaign is overridden; `None`: it is not.
    #[serde(rename = "override", skip_serializing_if = "Option::is_none")]
    pub over: Option<&'a str>,
}

/// A version of the policy that was put in force.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct PolicyPut {
    /// Counts the versions from 1.
    pub version: u64,
    /// What is different, by part of the document.
    pub changes: BTreeMap<String, PolicyChange>,
}

/// What is different in one part of the policy, by name.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(default)]
pub struct PolicyChange {
    /// New.
    pub added: Vec<String>,
    /// No longer there.
    pub removed: Vec<String>,
    /// Not as they were.
    pub changed: Vec<String>,
}

/// Share of a SKU that is to go from one channel to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct MoveShare<'a> {
    /// Of what.
    pub sku: &'a str,
    /// Whose share becomes smaller.
    pub from: &'a str,
    /// Whose share becomes larger.
    pub to: &'a str,
    /// By how much, at least one.
    pub units: u64,
}

/// A move of share that was made.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct MovedShare {
    /// Of what.
    pub sku: Text,
    /// Whose share became smaller.
    pub from: Text,
    /// Whose share became larger.
    pub to: Text,
    /// By how much.
    pub units: u64,
    /// Beginning of the window that it counts in, RFC 3339; `None`: all time.
    #[serde(default)]
    pub window: Option<Box<str>>,
}

/// A version of the policy.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct PolicyVersion {
    /// Counts the versions from 1.
    pub version: u64,
    /// When it was put, RFC 3339.
    pub at: Text,
    /// By whom; may be empty.
    pub operator: Text,
    /// Why; may be empty.
    pub reason: String,
    /// Why the freeze of a campaign was overridden; empty where none was.
    #[serde(rename = "override")]
    pub over: String,
}

/// A version of the policy with what it says.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct PolicyDocument {
    /// Which.
    #[serde(flatten)]
    pub version: PolicyVersion,
    /// What it says, as JSON.
    pub policy: Value,
}

/// By what the share that channels have left is shared out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum RebalanceBy {
    /// Who sells more gets more.
    #[default]
    Use,
    /// To each the same.
    Even,
}

impl RebalanceBy {
    const fn word(self) -> &'static str {
        match self {
            Self::Use => "use",
            Self::Even => "even",
        }
    }
}

/// How share would be shared out anew. Nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Rebalance {
    /// Of what.
    pub sku: Text,
    /// The version of the policy; 0: there is none.
    pub version: u64,
    /// Moment of the answer, RFC 3339.
    pub as_of: Text,
    /// What [`move_shares`](Client::move_shares) would have to do; nothing where all is as it would be.
    pub items: Vec<ProposedMove>,
}

/// Share that would be moved.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct ProposedMove {
    /// Of what.
    pub sku: Text,
    /// Whose share would become smaller.
    pub from: Text,
    /// Whose share would become larger.
    pub to: Text,
    /// By how much.
    pub units: u64,
}

impl ProposedMove {
    /// The move that is proposed, to be made.
    pub fn as_move(&self) -> MoveShare<'_> {
        MoveShare {
            sku: self.sku.as_str(),
            from: self.from.as_str(),
            to: self.to.as_str(),
            units: self.units,
        }
    }
}

#[derive(Deserialize)]
struct Versions {
    versions: Vec<PolicyVersion>,
}

#[derive(Serialize)]
struct RollbackBody<'a> {
    version: u64,
    #[serde(flatten)]
    author: Author<'a>,
}

impl Client {
    /// Puts a policy in force after version `after`; 0: there is none. Where another one is in force,
    /// it is refused as `version_mismatch`; a policy with faults is rejected. No key stands for a
    /// policy: where the result is unknown, or a call that was repeated is refused, read which
    /// version is in force.
    pub async fn put_policy(
        &self,
        document: &Value,
        after: u64,
        author: Author<'_>,
    ) -> Result<Answer<PolicyPut>, Error> {
        let path = Path::new("/v1/policy")
            .query("operator", author.operator)
            .query("reason", author.reason)
            .query("override", author.over);
        let tag = tag(after);
        let call = Call {
            method: Method::PUT,
            if_match: tag.as_deref(),
            ..Call::post(path.as_str(), None, to_json(document)?, self.deadline())
        };
        self.shared().change(&self.new_key(), call).await
    }

    /// Puts the policy of an earlier version in force again, as the one after `after`; 0: after any. As with
    /// [`put_policy`](Self::put_policy), no key stands for it.
    pub async fn roll_back_policy(
        &self,
        version: u64,
        after: u64,
        author: Author<'_>,
    ) -> Result<Answer<PolicyPut>, Error> {
        let body = to_json(&RollbackBody { version, author })?;
        let tag = tag(after);
        let call = Call {
            if_match: tag.as_deref(),
            ..Call::post("/v1/policy/rollback", None, body, self.deadline())
        };
        self.shared().change(&self.new_key(), call).await
    }

    /// Moves share between channels, in the windows in force; all items or none.
    pub async fn move_shares(
        &self,
        items: &[MoveShare<'_>],
        why: impl Into<Reason<'_>>,
    ) -> Result<Answer<Vec<MovedShare>>, Error> {
        self.move_shares_with_key(&self.new_key(), items, why).await
    }

    /// [`move_shares`](Self::move_shares) with the caller's key.
    pub async fn move_shares_with_key(
        &self,
        key: &IdempotencyKey,
        items: &[MoveShare<'_>],
        why: impl Into<Reason<'_>>,
    ) -> Result<Answer<Vec<MovedShare>>, Error> {
        let Reason { reason, operator } = why.into();
        let body = to_json(&ReasonedBody {
            items,
            reason,
            operator,
        })?;
        let call = Call::post("/v1/shares/moves", None, body, self.deadline());
        self.shared().change(key, call).await.map(in_order)
    }

    /// The policy in force, as JSON; `None`: there is none.
    pub async fn policy(&self) -> Result<Option<Value>, Error> {
        self.look_up(&Path::new("/v1/policy")).await
    }

    /// The versions of the policy that are kept, newest first.
    pub async fn policy_versions(&self) -> Result<Vec<PolicyVersion>, Error> {
        let found: Versions = self.get(&Path::new("/v1/policy/versions")).await?;
        Ok(found.versions)
    }

    /// One of them with what it says; `None`: it is not kept, or never was.
    pub async fn policy_version(&self, version: u64) -> Result<Option<PolicyDocument>, Error> {
        let path = Path::new("/v1/policy/versions/").value(&version.to_string());
        self.look_up(&path).await
    }

    /// How the share that channels have left of a SKU would be shared out anew; `None`: there is no such
    /// SKU. Changes nothing.
    pub async fn rebalance(&self, sku: &str, by: RebalanceBy) -> Result<Option<Rebalance>, Error> {
        let path = Path::new("/v1/skus/").value(sku).fixed("/rebalance");
        self.look_up(&path.query("by", Some(by.word()))).await
    }

    /// What of the policy is in force for a SKU; `None`: there is no such SKU.
    pub async fn sku_policy(&self, sku: &str) -> Result<Option<SkuPolicy>, Error> {
        let path = Path::new("/v1/skus/").value(sku).fixed("/policy");
        self.look_up(&path).await
    }
}

/// The entity tag of a version; where there is none, there is nothing to match.
fn tag(version: u64) -> Option<String> {
    (version > 0).then(|| format!("\"v{version}\""))
}
