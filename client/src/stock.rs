//! Stock, settings and availability of SKUs.

use hyper::Method;
use serde::Serialize;

use crate::answer::{Answer, Atp, AtpResult, Error, Problem, Results, Stock, StockResult};
use crate::client::{Client, to_json};
use crate::key::IdempotencyKey;
use crate::path::Path;
use crate::settings::{Level, NodeLevel, OwnLowWater, Selling, Setting, Settings};
use crate::shared::Call;

/// A stock count to record: absolute figures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct SetStock<'a> {
    /// What.
    pub sku: &'a str,
    /// Where; the default node when left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node: Option<&'a str>,
    /// Usable units counted; `None` leaves them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub on_hand: Option<u64>,
    /// Units counted that are damaged or in inspection; `None` leaves them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unavailable: Option<u64>,
    /// The usable units that the count replaces. Refused as `change_from_stale` when they are
    /// others by now; `None` overwrites whatever is there.
    pub change_from: Option<u64>,
}

impl<'a> SetStock<'a> {
    /// Usable units of a SKU at the default node, whatever was there.
    pub const fn new(sku: &'a str, on_hand: u64) -> Self {
        Self {
            sku,
            node: None,
            on_hand: Some(on_hand),
            unavailable: None,
            change_from: None,
        }
    }
}

/// A change of stock by differences: units that came (positive) or went (negative).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct AdjustStock<'a> {
    /// What.
    pub sku: &'a str,
    /// Where; the default node when left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node: Option<&'a str>,
    /// Usable units.
    pub delta: i64,
    /// Units that are damaged or in inspection.
    pub unavailable_delta: i64,
    /// The usable units before. Refused as `change_from_stale` when they are others by now.
    pub change_from: Option<u64>,
}

impl<'a> AdjustStock<'a> {
    /// Usable units of a SKU at the default node.
    pub const fn new(sku: &'a str, delta: i64) -> Self {
        Self {
            sku,
            node: None,
            delta,
            unavailable_delta: 0,
            change_from: None,
        }
    }
}

/// Usable units that move from node to node; only such that no pin needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct TransferStock<'a> {
    /// What.
    pub sku: &'a str,
    /// From where.
    pub from: &'a str,
    /// To where.
    pub to: &'a str,
    /// How many, at least one.
    pub quantity: u64,
}

/// Why stock changes, and who says so: for the change log. A text alone is a reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reason<'a> {
    /// Why.
    pub reason: &'a str,
    /// Who.
    pub operator: Option<&'a str>,
}

impl<'a> From<&'a str> for Reason<'a> {
    fn from(reason: &'a str) -> Self {
        Self {
            reason,
            operator: None,
        }
    }
}

#[derive(Serialize)]
pub(crate) struct ReasonedBody<'a, T> {
    pub(crate) items: &'a [T],
    pub(crate) reason: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) operator: Option<&'a str>,
}

/// Settings to change; what is `None` stays.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct SettingsChange {
    /// What to keep back.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub safety_stock: Option<Setting<Level>>,
    /// What to keep back at single nodes, in place of all that was; an empty list: at none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node_safety: Option<Vec<NodeLevel>>,
    /// On sale, or suspended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub selling: Option<Selling>,
    /// When it is low, and what then.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub low_water: Option<Setting<OwnLowWater>>,
}

/// Which settings a change may replace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Precondition {
    /// None: the SKU is not there yet.
    New,
    /// Those of this version. Refused as `version_mismatch` when they are others by now.
    Version(u32),
    /// Whatever is there.
    Any,
}

impl Precondition {
    fn to_tag(self) -> Option<String> {
        match self {
            Self::New => None,
            Self::Version(version) => Some(format!("\"v{version}\"")),
            Self::Any => Some("*".to_owned()),
        }
    }
}

/// Which availability to ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct AtpQuery<'a> {
    /// What this channel may sell.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub channel: Option<&'a str>,
    /// What this node may ship.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node: Option<&'a str>,
}

impl Client {
    /// Records counted stock; all items or none.
    pub async fn set_stock(
        &self,
        items: &[SetStock<'_>],
        why: impl Into<Reason<'_>>,
    ) -> Result<Answer<Vec<StockResult>>, Error> {
        self.set_stock_with_key(&self.new_key(), items, why).await
    }

    /// [`set_stock`](Self::set_stock) with the caller's key.
    pub async fn set_stock_with_key(
        &self,
        key: &IdempotencyKey,
        items: &[SetStock<'_>],
        why: impl Into<Reason<'_>>,
    ) -> Result<Answer<Vec<StockResult>>, Error> {
        self.change_stock(key, "/v1/stock", items, why.into()).await
    }

    /// Changes stock by differences; all items or none.
    pub async fn adjust_stock(
        &self,
        items: &[AdjustStock<'_>],
        why: impl Into<Reason<'_>>,
    ) -> Result<Answer<Vec<StockResult>>, Error> {
        self.adjust_stock_with_key(&self.new_key(), items, why)
            .await
    }

    /// [`adjust_stock`](Self::adjust_stock) with the caller's key.
    pub async fn adjust_stock_with_key(
        &self,
        key: &IdempotencyKey,
        items: &[AdjustStock<'_>],
        why: impl Into<Reason<'_>>,
    ) -> Result<Answer<Vec<StockResult>>, Error> {
        let path = "/v1/stock/adjustments";
        self.change_stock(key, path, items, why.into()).await
    }

    /// Moves stock from node to node; all items or none. The results are of the receiving nodes.
    pub async fn transfer_stock(
        &self,
        items: &[TransferStock<'_>],
        why: impl Into<Reason<'_>>,
    ) -> Result<Answer<Vec<StockResult>>, Error> {
        self.transfer_stock_with_key(&self.new_key(), items, why)
            .await
    }

    /// [`transfer_stock`](Self::transfer_stock) with the caller's key.
    pub async fn transfer_stock_with_key(
        &self,
        key: &IdempotencyKey,
        items: &[TransferStock<'_>],
        why: impl Into<Reason<'_>>,
    ) -> Result<Answer<Vec<StockResult>>, Error> {
        let path = "/v1/stock/transfers";
        self.change_stock(key, path, items, why.into()).await
    }

    async fn change_stock<T: Serialize>(
        &self,
        key: &IdempotencyKey,
        path: &str,
        items: &[T],
        Reason { reason, operator }: Reason<'_>,
    ) -> Result<Answer<Vec<StockResult>>, Error> {
        let body = to_json(&ReasonedBody {
            items,
            reason,
            operator,
        })?;
        let call = Call::post(path, None, body, self.deadline());
        self.shared().change(key, call).await.map(in_order)
    }

    /// Settles an unknown result: what the change of stock with this key was answered. See
    /// [`settle`](Self::settle).
    pub async fn settle_stock(
        &self,
        key: &IdempotencyKey,
    ) -> Result<Option<Answer<Vec<StockResult>>>, Error> {
        Ok(self.settle_as(key).await?.map(in_order))
    }

    /// Stock of one SKU.
    pub async fn stock(&self, sku: &str) -> Result<Stock, Error> {
        self.get(&Path::new("/v1/stock/").value(sku)).await
    }

    /// Settings of a SKU; `None` when there is no such SKU.
    pub async fn settings(&self, sku: &str) -> Result<Option<Settings>, Error> {
        self.look_up(&Path::new("/v1/skus/").value(sku)).await
    }

    /// Changes settings of a SKU, which need not be there yet.
    pub async fn put_settings(
        &self,
        sku: &str,
        precondition: Precondition,
        change: &SettingsChange,
    ) -> Result<Answer<Settings>, Error> {
        self.put_settings_with_key(&self.new_key(), sku, precondition, change)
            .await
    }

    /// [`put_settings`](Self::put_settings) with the caller's key.
    pub async fn put_settings_with_key(
        &self,
        key: &IdempotencyKey,
        sku: &str,
        precondition: Precondition,
        change: &SettingsChange,
    ) -> Result<Answer<Settings>, Error> {
        let path = Path::new("/v1/skus/").value(sku);
        let tag = precondition.to_tag();
        let call = Call {
            method: Method::PUT,
            if_match: tag.as_deref(),
            ..Call::post(path.as_str(), None, to_json(change)?, self.deadline())
        };
        self.shared().change(key, call).await
    }

    /// Settles an unknown result: what the change of settings with this key was answered. See
    /// [`settle`](Self::settle).
    pub async fn settle_settings(
        &self,
        key: &IdempotencyKey,
    ) -> Result<Option<Answer<Settings>>, Error> {
        self.settle_as(key).await
    }

    /// What may be promised of a SKU now.
    pub async fn atp(&self, sku: &str, query: AtpQuery<'_>) -> Result<Atp, Error> {
        let path = Path::new("/v1/atp/").value(sku);
        self.get(
            &path
                .query("channel", query.channel)
                .query("node", query.node),
        )
        .await
    }

    /// What may be promised of up to 1,000 SKUs now, in order; a problem for an unknown SKU.
    pub async fn atp_bulk(
        &self,
        skus: &[&str],
        query: AtpQuery<'_>,
    ) -> Result<Vec<Result<Atp, Problem>>, Error> {
        #[derive(Serialize)]
        struct Body<'a> {
            skus: &'a [&'a str],
            #[serde(flatten)]
            query: AtpQuery<'a>,
        }
        let body = to_json(&Body { skus, query })?;
        let call = Call::post("/v1/atp", None, body, self.deadline());
        let Results { results } = self.shared().read(call).await?;
        let each = |result| match result {
            AtpResult::Known(atp) => Ok(atp),
            AtpResult::Unknown { problem } => Err(problem),
        };
        Ok(results.into_iter().map(each).collect())
    }
}

pub(crate) fn in_order<T>(answer: Answer<Results<T>>) -> Answer<Vec<T>> {
    match answer {
        Answer::Done(Results { results }) => Answer::Done(results),
        Answer::Refused(refusal) => Answer::Refused(refusal),
    }
}
