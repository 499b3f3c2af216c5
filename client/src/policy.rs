//! The channel policy: what it lets a channel take.

use serde::Deserialize;
use serde_json::Value;

use crate::answer::Error;
use crate::client::Client;
use crate::path::Path;
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
}

impl Client {
    /// The policy in force, as JSON; `None`: there is none.
    pub async fn policy(&self) -> Result<Option<Value>, Error> {
        self.look_up(&Path::new("/v1/policy")).await
    }

    /// What of the policy is in force for a SKU; `None`: there is no such SKU.
    pub async fn sku_policy(&self, sku: &str) -> Result<Option<SkuPolicy>, Error> {
        let path = Path::new("/v1/skus/").value(sku).fixed("/policy");
        self.look_up(&path).await
    }
}
