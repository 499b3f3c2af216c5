//! Dated supply: what is announced for days, and what arrives.

use serde::{Deserialize, Serialize};

use crate::answer::{Answer, Error};
use crate::client::{Client, to_json};
use crate::key::IdempotencyKey;
use crate::path::Path;
use crate::shared::Call;
use crate::stock::in_order;
use crate::text::Text;

/// What kind of supply is announced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum InboundKind {
    /// On its way.
    InTransit,
    /// Not made or not bought yet, but sold already.
    Presale,
    /// Expected to come back from buyers.
    Return,
}

/// Supply to announce, in place of what was announced under its id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct PutInbound<'a> {
    /// The caller's name for it, unique for the SKU.
    pub id: &'a str,
    /// What.
    pub sku: &'a str,
    /// Where it will be; the default node when left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node: Option<&'a str>,
    /// What kind of supply.
    pub kind: InboundKind,
    /// The day, UTC, on which it will be there, such as `2026-12-20`.
    pub due: &'a str,
    /// Units still to come; 0: none will.
    pub quantity: u64,
}

/// Supply that arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Receipt<'a> {
    /// The name that it was announced under.
    pub id: &'a str,
    /// What.
    pub sku: &'a str,
    /// Units that arrived.
    pub quantity: u64,
    /// Nothing more of it will come.
    #[serde(rename = "final")]
    pub is_final: bool,
}

/// One item of an inbound call afterwards.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct InboundResult {
    /// What.
    pub sku: Text,
    /// The caller's name for it.
    pub id: Text,
    /// Where.
    pub node: Text,
    /// The day, UTC, on which it will be there.
    pub due: Text,
    /// Units still to come.
    pub open: u64,
    /// Units that came with this call.
    pub received: u64,
    /// Usable units of the node.
    pub on_hand: u64,
    /// Version of the SKU's stock.
    pub version: u64,
}

/// Supply that is announced.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Inbound {
    /// The caller's name for it.
    pub id: Text,
    /// What kind of supply.
    pub kind: InboundKind,
    /// Where.
    pub node: Text,
    /// The day, UTC, on which it will be there.
    pub due: Text,
    /// Units still to come.
    pub open: u64,
    /// The day has passed: it counts for nothing.
    pub overdue: bool,
}

#[derive(Serialize)]
struct Body<'a, T> {
    items: &'a [T],
}

#[derive(Deserialize)]
struct Announced {
    items: Vec<Inbound>,
}

impl Client {
    /// Announces supply for days; all items or none.
    pub async fn put_inbound(
        &self,
        items: &[PutInbound<'_>],
    ) -> Result<Answer<Vec<InboundResult>>, Error> {
        self.put_inbound_with_key(&self.new_key(), items).await
    }

    /// [`put_inbound`](Self::put_inbound) with the caller's key.
    pub async fn put_inbound_with_key(
        &self,
        key: &IdempotencyKey,
        items: &[PutInbound<'_>],
    ) -> Result<Answer<Vec<InboundResult>>, Error> {
        self.change_inbound(key, "/v1/inbound", items).await
    }

    /// Receives what was announced: it is on hand at once; all items or none.
    pub async fn receive_inbound(
        &self,
        items: &[Receipt<'_>],
    ) -> Result<Answer<Vec<InboundResult>>, Error> {
        self.receive_inbound_with_key(&self.new_key(), items).await
    }

    /// [`receive_inbound`](Self::receive_inbound) with the caller's key.
    pub async fn receive_inbound_with_key(
        &self,
        key: &IdempotencyKey,
        items: &[Receipt<'_>],
    ) -> Result<Answer<Vec<InboundResult>>, Error> {
        let path = "/v1/inbound/receipts";
        self.change_inbound(key, path, items).await
    }

    async fn change_inbound<T: Serialize>(
        &self,
        key: &IdempotencyKey,
        path: &str,
        items: &[T],
    ) -> Result<Answer<Vec<InboundResult>>, Error> {
        let body = to_json(&Body { items })?;
        let call = Call::post(path, None, body, self.deadline());
        self.shared().change(key, call).await.map(in_order)
    }

    /// What is announced of a SKU, sorted by day.
    pub async fn inbound(&self, sku: &str) -> Result<Vec<Inbound>, Error> {
        let path = Path::new("/v1/inbound").query("sku", Some(sku));
        let found: Announced = self.get(&path).await?;
        Ok(found.items)
    }
}
