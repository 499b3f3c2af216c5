//! Campaigns of the channel policy: where they stand, and what would go wrong.

use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;

use crate::answer::Error;
use crate::client::{Client, to_json};
use crate::path::Path;
use crate::shared::Call;
use crate::text::Text;

/// Where a campaign stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CampaignState {
    /// It has not begun.
    Planned,
    /// It is on.
    Running,
    /// It is on, and nothing may be edited.
    Frozen,
    /// It has ended.
    Over,
}

/// The campaigns of the policy in force.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Campaigns {
    /// The version of the policy; `None`: there is none.
    pub version: Option<u64>,
    /// Moment of the answer, RFC 3339.
    pub as_of: Text,
    /// As they are written.
    pub campaigns: Vec<Campaign>,
}

/// A campaign.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Campaign {
    /// Its name.
    pub name: Text,
    /// Where it stands.
    pub state: CampaignState,
    /// Its first moment, RFC 3339.
    pub from: Text,
    /// The first moment after it.
    pub until: Text,
    /// How many SKUs it lists; `None`: it sells a set.
    pub skus: Option<u64>,
    /// The set that it sells.
    pub set: Option<Text>,
    /// Whether nothing may be edited while it is on.
    pub freeze: bool,
}

/// What would go wrong in a campaign.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Preflight {
    /// Its name.
    pub campaign: Text,
    /// Where it stands.
    pub state: CampaignState,
    /// The version of the policy; `None`: the policy was in the request.
    pub version: Option<u64>,
    /// Moment of the answer, RFC 3339.
    pub as_of: Text,
    /// How many SKUs were looked at.
    pub skus: u64,
    /// Nothing was found.
    pub clean: bool,
    /// Findings that will go wrong.
    pub errors: u64,
    /// Findings that may be meant so.
    pub warnings: u64,
    /// The first 1,000 of them.
    pub findings: Vec<PreflightFinding>,
}

/// Something that will go wrong, or may.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct PreflightFinding {
    /// What, for a program.
    pub code: Text,
    /// Whether it will.
    pub severity: Severity,
    /// The SKU it is about.
    pub sku: Option<Text>,
    /// The channel it is about.
    pub channel: Option<Text>,
    /// What, for a person.
    pub message: String,
    /// What to do about it.
    pub fix: String,
}

/// Whether something will go wrong, or may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// It will.
    Error,
    /// It may be meant so.
    Warning,
}

impl Client {
    /// The campaigns of the policy in force.
    pub async fn campaigns(&self) -> Result<Campaigns, Error> {
        self.get(&Path::new("/v1/campaigns")).await
    }

    /// What would go wrong in a campaign; `None`: there is none of that name. Counts older than that are
    /// stale; `None`: than a day.
    pub async fn preflight(
        &self,
        campaign: &str,
        stale_after: Option<Duration>,
    ) -> Result<Option<Preflight>, Error> {
        self.look_up(&preflight_path(campaign, stale_after)).await
    }

    /// The same of a campaign of this policy, which is not put in force.
    pub async fn preflight_of(
        &self,
        document: &Value,
        campaign: &str,
        stale_after: Option<Duration>,
    ) -> Result<Preflight, Error> {
        let path = preflight_path(campaign, stale_after);
        let body = to_json(document)?;
        let call = Call::post(path.as_str(), None, body, self.deadline());
        self.shared().read(call).await
    }
}

fn preflight_path(campaign: &str, stale_after: Option<Duration>) -> Path {
    let seconds = stale_after.map(|age| age.as_secs().to_string());
    let path = Path::new("/v1/campaigns/").value(campaign);
    path.fixed("/preflight")
        .query("stale_after_seconds", seconds.as_deref())
}
