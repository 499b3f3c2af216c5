//! Stock: set, adjust, transfer, read.

use std::sync::Arc;

use axum::extract::{Path, State};
use bytes::Bytes;
use hyper::HeaderMap;

use crate::domain::command::{
    AdjustItem, Command, SetItem, StockChange, StockCommand, TransferItem,
};
use crate::domain::{Day, NodeIx, Refusal, Sku, Units};
use crate::http::app::{App, Reply};
use crate::http::dto::{AdjustBody, Num, SetBody, StockBody, Text, TransferBody};
use crate::http::error::{Issues, Problem};
use crate::http::json::Json;
use crate::http::list::Element;
use crate::http::{parse, render, request};
use crate::limits::{STOCK_ITEMS_MAX, TEXT_BYTES_MAX};

/// Who and why, and that there is something: what all three changes have in common.
fn check_frame<T>(issues: &mut Issues, body: &StockBody<'_, T>) {
    parse::required(issues, format_args!("/reason"), body.reason.as_ref());
    let texts = [
        ("reason", body.reason.as_ref()),
        ("operator", body.operator.as_ref()),
    ];
    for (name, text) in texts {
        parse::bounded(issues, format_args!("/{name}"), text, TEXT_BYTES_MAX);
    }
    if body.items.as_deref().unwrap_or_default().is_empty() {
        let detail = format!("must hold 1 to {STOCK_ITEMS_MAX} items");
        issues.push(format_args!("/items"), "out_of_range", detail);
    }
}

/// A node's name, checked for form; `main` where it is left out.
pub(super) fn node_name<'t>(
    issues: &mut Issues,
    at: std::fmt::Arguments<'_>,
    text: Option<&'t Text<'_>>,
) -> Option<&'t str> {
    match text {
        Some(text) => parse::name(issues, at, text.as_str()),
        None => Some("main"),
    }
}

async fn run<T>(
    app: &App,
    key: &str,
    body: &StockBody<'_, T>,
    change: StockChange<'_>,
) -> Result<Reply, Problem> {
    let reason = body.reason.as_ref().map(Text::as_str).unwrap_or_default();
    let operator = body.operator.as_ref().map(Text::as_str);
    app.execute(
        key,
        Command::Stock(StockCommand {
            change,
            reason,
            operator,
        }),
    )
    .await
}

/// What the items of set and adjust differ in: the numbers, and what they become.
trait Counts<'a>: Element<'a> {
    type Number;

    fn sku(&self) -> Option<&Text<'a>>;
    fn node(&self) -> Option<&Text<'a>>;
    fn change_from(&self) -> Option<Num>;
    /// On hand and unavailable; at least one of them must be given.
    fn numbers(&self, issues: &mut Issues, at: usize) -> (Self::Number, Self::Number);
    fn change<'t>(
        items: impl Iterator<Item = (Counted<'t, Self::Number>, NodeIx)>,
    ) -> StockChange<'t>;
}

/// An item without a mistake.
struct Counted<'t, N> {
    sku: Sku<'t>,
    node: &'t str,
    on_hand: N,
    unavailable: N,
    change_from: Option<Units>,
}

impl<'a> Counts<'a> for SetBody<'a> {
    type Number = Option<Units>;

    fn sku(&self) -> Option<&Text<'a>> {
        self.sku.as_ref()
    }

    fn node(&self) -> Option<&Text<'a>> {
        self.node.as_ref()
    }

    fn change_from(&self) -> Option<Num> {
        self.change_from
    }

    fn numbers(&self, issues: &mut Issues, at: usize) -> (Option<Units>, Option<Units>) {
        let place = format_args!("/items/{at}/on_hand");
        let on_hand = parse::units(issues, place, self.on_hand, 0);
        if self.on_hand.is_none() && self.unavailable.is_none() {
            issues.push(place, "missing", "on_hand or unavailable is required");
        }
        let place = format_args!("/items/{at}/unavailable");
        (on_hand, parse::units(issues, place, self.unavailable, 0))
    }

    fn change<'t>(
        items: impl Iterator<Item = (Counted<'t, Option<Units>>, NodeIx)>,
    ) -> StockChange<'t> {
        let items = items.map(|(found, node)| SetItem {
            sku: found.sku,
            node,
            on_hand: found.on_hand,
            unavailable: found.unavailable,
            change_from: found.change_from,
        });
        StockChange::Set(items.collect())
    }
}

impl<'a> Counts<'a> for AdjustBody<'a> {
    type Number = i64;

    fn sku(&self) -> Option<&Text<'a>> {
        self.sku.as_ref()
    }

    fn node(&self) -> Option<&Text<'a>> {
        self.node.as_ref()
    }

    fn change_from(&self) -> Option<Num> {
        self.change_from
    }

    fn numbers(&self, issues: &mut Issues, at: usize) -> (i64, i64) {
        let place = format_args!("/items/{at}/delta");
        let on_hand = parse::delta(issues, place, self.delta);
        if self.delta.is_none() && self.unavailable_delta.is_none() {
            issues.push(place, "missing", "delta or unavailable_delta is required");
        }
        let place = format_args!("/items/{at}/unavailable_delta");
        (on_hand, parse::delta(issues, place, self.unavailable_delta))
    }

    fn change<'t>(items: impl Iterator<Item = (Counted<'t, i64>, NodeIx)>) -> StockChange<'t> {
        let items = items.map(|(found, node)| AdjustItem {
            sku: found.sku,
            node,
            on_hand: found.on_hand,
            unavailable: found.unavailable,
            change_from: found.change_from,
        });
        StockChange::Adjust(items.collect())
    }
}

/// The sense of a body of set or adjust.
fn counted<'t, 'b, T: Counts<'b>>(
    body: &'t StockBody<'b, T>,
) -> Result<Vec<Counted<'t, T::Number>>, Problem> {
    let mut issues = Issues::default();
    check_frame(&mut issues, body);
    let mut items = Vec::new();
    for (at, item) in body.items.as_deref().unwrap_or_default().iter().enumerate() {
        let sku = parse::sku(&mut issues, format_args!("/items/{at}/sku"), item.sku());
        let place = format_args!("/items/{at}/node");
        let node = node_name(&mut issues, place, item.node());
        let (on_hand, unavailable) = item.numbers(&mut issues, at);
        let place = format_args!("/items/{at}/change_from");
        let change_from = parse::units(&mut issues, place, item.change_from(), 0);
        if let (Some(sku), Some(node)) = (sku, node) {
            items.push(Counted {
                sku,
                node,
                on_hand,
                unavailable,
                change_from,
            });
        }
    }
    issues.check().map(|()| items)
}

/// The nodes of items that have no mistake; a new name is recorded.
pub(super) async fn nodes(app: &App, names: Vec<&str>) -> Result<Vec<NodeIx>, Problem> {
    let mut nodes = Vec::with_capacity(names.len());
    for (at, name) in names.into_iter().enumerate() {
        let node = app.names().node(name).await;
        let wrong = |error| Problem::name(error, format_args!("/items/{at}/node"));
        nodes.push(node.map_err(wrong)?);
    }
    Ok(nodes)
}

/// `POST /v1/stock`
pub async fn set(app: &App, headers: &HeaderMap, body: &[u8]) -> Result<Reply, Problem> {
    let key = request::required_key(headers)?;
    let body: StockBody<'_, SetBody<'_>> = parse::json(body)?;
    let items = counted(&body)?;
    let nodes = nodes(app, items.iter().map(|item| item.node).collect()).await?;
    let change = SetBody::change(items.into_iter().zip(nodes));
    run(app, key, &body, change).await
}

/// `POST /v1/stock/adjustments`
pub async fn adjust(app: &App, headers: &HeaderMap, body: &[u8]) -> Result<Reply, Problem> {
    let key = request::required_key(headers)?;
    let body: StockBody<'_, AdjustBody<'_>> = parse::json(body)?;
    let items = counted(&body)?;
    let nodes = nodes(app, items.iter().map(|item| item.node).collect()).await?;
    let change = AdjustBody::change(items.into_iter().zip(nodes));
    run(app, key, &body, change).await
}

/// `POST /v1/stock/transfers`
pub async fn transfer(app: &App, headers: &HeaderMap, body: &[u8]) -> Result<Reply, Problem> {
    let key = request::required_key(headers)?;
    let body: StockBody<'_, TransferBody<'_>> = parse::json(body)?;
    let mut issues = Issues::default();
    check_frame(&mut issues, &body);
    let mut items = Vec::new();
    for (at, item) in body.items.as_deref().unwrap_or_default().iter().enumerate() {
        let sku = parse::sku(
            &mut issues,
            format_args!("/items/{at}/sku"),
            item.sku.as_ref(),
        );
        let place = format_args!("/items/{at}/from");
        parse::required(&mut issues, place, item.from.as_ref());
        let from = parse::known_node(&mut issues, place, item.from.as_ref(), app.names());
        let place = format_args!("/items/{at}/to");
        let to = parse::required(&mut issues, place, item.to.as_ref())
            .and_then(|name| parse::name(&mut issues, place, name));
        if to.is_some() && to == item.from.as_ref().map(Text::as_str) {
            issues.push(place, "same_node", "must be another node than from");
        }
        let place = format_args!("/items/{at}/quantity");
        if item.quantity.is_none() {
            issues.push(place, "missing", "is required");
        }
        let quantity = parse::units(&mut issues, place, item.quantity, 1);
        items.push((sku, from, to, quantity));
    }
    issues.check()?;
    let mut transfer = Vec::with_capacity(items.len());
    for (at, item) in items.into_iter().enumerate() {
        if let (Some(sku), Some(from), Some(name), Some(quantity)) = item {
            let to = app
                .names()
                .node(name)
                .await
                .map_err(|error| Problem::name(error, format_args!("/items/{at}/to")))?;
            transfer.push(TransferItem {
                sku,
                from,
                to,
                quantity,
            });
        }
    }
    run(app, key, &body, StockChange::Transfer(transfer)).await
}

/// A SKU of a path, or why not.
pub fn path_sku(text: &str) -> Result<Sku<'_>, Problem> {
    Sku::new(text).map_err(|why| request::invalid_parameter("sku", why))
}

/// The problem of a SKU that is not there.
pub fn unknown_sku(sku: Sku<'_>) -> Problem {
    Problem::Refused(Refusal::UnknownSku {
        sku: sku.as_str().into(),
    })
}

/// `GET /v1/stock/{sku}`
pub async fn get(app: &App, sku: &str) -> Result<Reply, Problem> {
    let sku = path_sku(sku)?;
    let found = app
        .engine
        .stock(sku)
        .await?
        .ok_or_else(|| unknown_sku(sku))?;
    let mut json = Json::new();
    let today = Day::of(app.engine.now());
    render::stock(&mut json, sku.as_str(), &found, today, app.names());
    Ok(Reply::json(json))
}

type Shared = State<Arc<App>>;

/// See [`set`].
pub async fn set_route(
    State(app): Shared,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Reply, Problem> {
    set(&app, &headers, &body).await
}

/// See [`adjust`].
pub async fn adjust_route(
    State(app): Shared,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Reply, Problem> {
    adjust(&app, &headers, &body).await
}

/// See [`transfer`].
pub async fn transfer_route(
    State(app): Shared,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Reply, Problem> {
    transfer(&app, &headers, &body).await
}

/// See [`get`].
pub async fn get_route(State(app): Shared, Path(sku): Path<String>) -> Result<Reply, Problem> {
    get(&app, &sku).await
}
