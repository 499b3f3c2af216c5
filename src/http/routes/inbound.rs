//! Dated supply: announce, receive, read.

use std::sync::Arc;

use axum::extract::{RawQuery, State};
use bytes::Bytes;
use hyper::HeaderMap;

use crate::domain::command::{Command, InboundCommand, PutInbound, ReceiveInbound};
use crate::domain::{Day, InboundKind, Sku};
use crate::http::app::{App, Reply};
use crate::http::dto::Text;
use crate::http::dto_inbound::{InboundBody, InboundPutBody, ReceiptBody};
use crate::http::error::{Issues, Problem};
use crate::http::json::Json;
use crate::http::routes::stock::{node_name, nodes, path_sku, unknown_sku};
use crate::http::{parse, render, request};
use crate::limits::INBOUND_ITEMS_MAX;

fn check_items<T>(issues: &mut Issues, items: &[T]) {
    if items.is_empty() {
        let detail = format!("must hold 1 to {INBOUND_ITEMS_MAX} items");
        issues.push(format_args!("/items"), "out_of_range", detail);
    }
}

/// What both calls say of an item: of which SKU, and which announcement.
fn named<'t>(
    issues: &mut Issues,
    at: usize,
    sku: Option<&'t Text<'_>>,
    id: Option<&'t Text<'_>>,
) -> Option<(Sku<'t>, &'t str)> {
    let sku = parse::sku(issues, format_args!("/items/{at}/sku"), sku);
    let place = format_args!("/items/{at}/id");
    let id = parse::required(issues, place, id).and_then(|id| parse::name(issues, place, id));
    Some((sku?, id?))
}

fn kind(issues: &mut Issues, at: usize, found: Option<&Text<'_>>) -> Option<InboundKind> {
    let place = format_args!("/items/{at}/kind");
    match parse::required(issues, place, found)? {
        "in_transit" => Some(InboundKind::InTransit),
        "presale" => Some(InboundKind::Presale),
        "return" => Some(InboundKind::Return),
        _ => {
            let detail = "must be in_transit, presale or return";
            issues.push(place, "unknown_word", detail);
            None
        }
    }
}

/// The sense of what is announced, with the name of each node.
fn announced<'t>(
    issues: &mut Issues,
    items: &'t [InboundPutBody<'_>],
) -> Vec<(PutInbound<'t>, &'t str)> {
    let mut all = Vec::with_capacity(items.len());
    for (at, item) in items.iter().enumerate() {
        let named = named(issues, at, item.sku.as_ref(), item.id.as_ref());
        let kind = kind(issues, at, item.kind.as_ref());
        let place = format_args!("/items/{at}/node");
        let node = node_name(issues, place, item.node.as_ref());
        let place = format_args!("/items/{at}/due");
        parse::required(issues, place, item.due.as_ref());
        let due = parse::day(issues, place, item.due.as_ref());
        let quantity = parse::quantity(issues, at, item.quantity, 0);
        if let (Some((sku, id)), Some(kind), Some(name), Some(due), Some(quantity)) =
            (named, kind, node, due, quantity)
        {
            let node = crate::domain::NodeIx::MAIN;
            let put = PutInbound {
                sku,
                id,
                kind,
                node,
                due,
                quantity,
            };
            all.push((put, name));
        }
    }
    all
}

/// `POST /v1/inbound`
pub async fn put(app: &App, headers: &HeaderMap, body: &[u8]) -> Result<Reply, Problem> {
    let key = request::required_key(headers)?;
    let body: InboundBody<InboundPutBody<'_>> = parse::json(body)?;
    let items = body.items.as_deref().unwrap_or_default();
    let mut issues = Issues::default();
    check_items(&mut issues, items);
    let announced = announced(&mut issues, items);
    issues.check()?;
    let nodes = nodes(app, announced.iter().map(|(_, name)| *name).collect()).await?;
    let items = announced.into_iter().zip(nodes);
    let items = items.map(|((put, _), node)| PutInbound { node, ..put });
    let command = InboundCommand::Put(items.collect());
    app.execute(key, Command::Inbound(command)).await
}

/// `POST /v1/inbound/receipts`
pub async fn receive(app: &App, headers: &HeaderMap, body: &[u8]) -> Result<Reply, Problem> {
    let key = request::required_key(headers)?;
    let body: InboundBody<ReceiptBody<'_>> = parse::json(body)?;
    let items = body.items.as_deref().unwrap_or_default();
    let mut issues = Issues::default();
    check_items(&mut issues, items);
    let mut received = Vec::with_capacity(items.len());
    for (at, item) in items.iter().enumerate() {
        let named = named(&mut issues, at, item.sku.as_ref(), item.id.as_ref());
        let quantity = parse::quantity(&mut issues, at, item.quantity, 0);
        if let (Some((sku, id)), Some(quantity)) = (named, quantity) {
            received.push(ReceiveInbound {
                sku,
                id,
                quantity,
                is_final: item.r#final.unwrap_or(false),
            });
        }
    }
    issues.check()?;
    let command = InboundCommand::Receive(received);
    app.execute(key, Command::Inbound(command)).await
}

/// `GET /v1/inbound`
pub async fn get(app: &App, query: Option<&str>) -> Result<Reply, Problem> {
    let [sku] = request::query(query, ["sku"])?;
    let sku = sku.ok_or_else(|| request::invalid_parameter("sku", "is required"))?;
    let sku = path_sku(&sku)?;
    let found = app.engine.stock(sku).await?;
    let found = found.ok_or_else(|| unknown_sku(sku))?;
    let today = Day::of(app.engine.now());
    let mut json = Json::new();
    render::inbound(&mut json, sku.as_str(), &found.inbound, today, app.names());
    Ok(Reply::json(json))
}

type Shared = State<Arc<App>>;

/// See [`put`].
pub async fn put_route(
    State(app): Shared,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
    body: Bytes,
) -> Result<Reply, Problem> {
    let [] = request::query(query.as_deref(), [])?;
    put(&app, &headers, &body).await
}

/// See [`receive`].
pub async fn receive_route(
    State(app): Shared,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Reply, Problem> {
    receive(&app, &headers, &body).await
}

/// See [`get`].
pub async fn get_route(State(app): Shared, RawQuery(query): RawQuery) -> Result<Reply, Problem> {
    get(&app, query.as_deref()).await
}
