//! Promises beyond what there is.

use serde::{Deserialize, Serialize};

use crate::answer::{Answer, Error};
use crate::client::{Client, to_json};
use crate::key::IdempotencyKey;
use crate::path::Path;
use crate::shared::Call;
use crate::text::Text;

/// Who goes without first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum DeficitOrder {
    /// Who came last.
    Newest,
    /// Who came first.
    Oldest,
    /// Held units before committed ones.
    Held,
    /// Channels of the lowest rank.
    LowestRank,
}

impl DeficitOrder {
    const fn word(self) -> &'static str {
        match self {
            Self::Newest => "newest",
            Self::Oldest => "oldest",
            Self::Held => "held",
            Self::LowestRank => "lowest_rank",
        }
    }
}

/// A SKU that is promised beyond what there is.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Deficit {
    /// What.
    pub sku: Text,
    /// Units that are missing.
    pub deficit: u64,
    /// Usable units over all nodes.
    pub on_hand: u64,
    /// Promised for a time.
    pub held: u64,
    /// Promised to firm orders.
    pub committed: u64,
    /// Lines at risk; `promises` has at most 1,000 of them.
    pub lines: u64,
    /// The promises at risk, first those to go.
    pub promises: Vec<PromiseAtRisk>,
}

/// A promise that cannot be kept, or not whole.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct PromiseAtRisk {
    /// The reservation.
    pub reservation_id: Text,
    /// Who sold.
    pub channel: Text,
    /// The channel of whose share the line is, where that is another.
    #[serde(default)]
    pub charged_to: Option<Text>,
    /// When it was made, RFC 3339.
    pub created_at: Text,
    /// The node that must ship; `None`: any.
    pub node: Option<Text>,
    /// Open units of the line that are held.
    pub held: u64,
    /// Open units of the line that are committed.
    pub committed: u64,
    /// Units of them that are not there.
    pub at_risk: u64,
}

/// A page of deficits.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct DeficitPage {
    /// In the order of the SKUs' names.
    pub data: Vec<Deficit>,
    /// The SKU after which the next page begins; `None`: this was the last.
    pub next: Option<Text>,
}

/// How much to take back, and from whom first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct ReleaseDeficit {
    /// Who goes first; `None`: as the policy says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub order: Option<DeficitOrder>,
    /// Most units; `None`: until nothing is missing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub units: Option<u64>,
}

/// What was taken back of a SKU.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct DeficitReleases {
    /// What.
    pub sku: Text,
    /// Units that are still missing.
    pub deficit: u64,
    /// Each promise, in order.
    pub results: Vec<DeficitReleased>,
}

/// What became of one promise that was to be taken back.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct DeficitReleased {
    /// The reservation.
    pub reservation_id: Text,
    /// The node that its line is pinned to.
    pub node: Option<Text>,
    /// Units that were to be released.
    pub units: u64,
    /// They were.
    pub released: bool,
    /// Why they were not: the code of the problem.
    #[serde(default)]
    pub code: Option<Text>,
}

impl Client {
    /// A page of SKUs that are promised beyond what there is, those after a name. `None` as the order:
    /// as the policy says. Reads the whole ledger: [`events`](Self::events) tell of each change
    /// (`sku.deficit`).
    pub async fn deficits(
        &self,
        after: Option<&str>,
        limit: u32,
        order: Option<DeficitOrder>,
    ) -> Result<DeficitPage, Error> {
        let limit = limit.to_string();
        let path = Path::new("/v1/deficits")
            .query("after", after)
            .query("limit", Some(&limit))
            .query("order", order.map(DeficitOrder::word));
        self.get(&path).await
    }

    /// That of a SKU, which may be 0; `None`: there is no such SKU.
    pub async fn deficit(
        &self,
        sku: &str,
        order: Option<DeficitOrder>,
    ) -> Result<Option<Deficit>, Error> {
        let path = Path::new("/v1/deficits/").value(sku);
        let path = path.query("order", order.map(DeficitOrder::word));
        self.look_up(&path).await
    }

    /// Takes promises back until nothing is missing, or so many units went back.
    pub async fn release_deficit(
        &self,
        sku: &str,
        what: ReleaseDeficit,
    ) -> Result<Answer<DeficitReleases>, Error> {
        self.release_deficit_with_key(&self.new_key(), sku, what)
            .await
    }

    /// [`release_deficit`](Self::release_deficit) with the caller's key. A key that has released anything
    /// releases nothing more: where the answer was lost, the next one has no results, and says what is
    /// still missing.
    pub async fn release_deficit_with_key(
        &self,
        key: &IdempotencyKey,
        sku: &str,
        what: ReleaseDeficit,
    ) -> Result<Answer<DeficitReleases>, Error> {
        let path = Path::new("/v1/deficits/").value(sku).fixed("/release");
        let call = Call::post(path.as_str(), None, to_json(&what)?, self.deadline());
        self.shared().change(key, call).await
    }
}
