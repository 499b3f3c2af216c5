//! Moves of share between channels.

use std::sync::Arc;

use axum::extract::{Path, RawQuery, State};
use bytes::Bytes;
use hyper::HeaderMap;

use crate::domain::ChannelIx;
use crate::domain::command::{Command, MoveShares, ShareItem};
use crate::domain::policy::{self, Weight};
use crate::http::app::{App, Reply};
use crate::http::dto::Text;
use crate::http::dto_policy::{ShareBody, SharesBody};
use crate::http::error::{Issues, Problem};
use crate::http::json::Json;
use crate::http::routes::stock::{path_sku, unknown_sku};
use crate::http::{parse, policy_json, request};
use crate::limits::{STOCK_ITEMS_MAX, TEXT_BYTES_MAX};

/// A channel that has a name here; only such can have a share.
fn channel(
    issues: &mut Issues,
    at: std::fmt::Arguments<'_>,
    text: Option<&Text<'_>>,
    app: &App,
) -> Option<ChannelIx> {
    let name = parse::required(issues, at, text)?;
    let name = parse::name(issues, at, name)?;
    let found = app.names().known_channel(name);
    if found.is_none() {
        issues.push(at, "unknown_channel", "no channel of this name is known");
    }
    found
}

fn item<'t>(
    issues: &mut Issues,
    at: usize,
    found: &'t ShareBody<'_>,
    app: &App,
) -> Option<ShareItem<'t>> {
    let place = format_args!("/items/{at}/sku");
    let sku = parse::sku(issues, place, found.sku.as_ref());
    let place = format_args!("/items/{at}/from");
    let from = channel(issues, place, found.from.as_ref(), app);
    let place = format_args!("/items/{at}/to");
    let to = channel(issues, place, found.to.as_ref(), app);
    if to.is_some() && to == from {
        issues.push(place, "same_channel", "must be another channel than from");
    }
    let place = format_args!("/items/{at}/units");
    if found.units.is_none() {
        issues.push(place, "missing", "is required");
    }
    let units = parse::units(issues, place, found.units, 1);
    Some(ShareItem {
        sku: sku?,
        from: from?,
        to: to?,
        units: units?,
    })
}

/// `POST /v1/shares/moves`
pub async fn move_shares(app: &App, headers: &HeaderMap, body: &[u8]) -> Result<Reply, Problem> {
    let key = request::required_key(headers)?;
    let body: SharesBody<'_> = parse::json(body)?;
    let mut issues = Issues::default();
    for (name, text) in [("reason", &body.reason), ("operator", &body.operator)] {
        let place = format_args!("/{name}");
        parse::bounded(&mut issues, place, text.as_ref(), TEXT_BYTES_MAX);
    }
    let given = body.items.as_deref().unwrap_or_default();
    if given.is_empty() {
        let detail = format!("must hold 1 to {STOCK_ITEMS_MAX} items");
        issues.push(format_args!("/items"), "out_of_range", detail);
    }
    let given = given.iter().enumerate();
    let items: Vec<_> = given
        .filter_map(|(at, found)| item(&mut issues, at, found, app))
        .collect();
    issues.check()?;
    let command = Command::MoveShares(MoveShares {
        items,
        reason: body.reason.as_ref().map(Text::as_str).unwrap_or_default(),
        operator: body.operator.as_ref().map(Text::as_str),
    });
    app.execute(key, command).await
}

/// `GET /v1/skus/{sku}/rebalance`
pub async fn rebalance(app: &App, sku: &str, query: Option<&str>) -> Result<Reply, Problem> {
    let sku = path_sku(sku)?;
    let [by] = request::query(query, ["by"])?;
    let weight = match by.as_deref() {
        None | Some("use") => Weight::Use,
        Some("even") => Weight::Even,
        Some(_) => {
            return Err(request::invalid_parameter("by", "must be use or even"));
        }
    };
    let found = app.engine.sku_policy(sku, None).await?;
    let found = found.ok_or_else(|| unknown_sku(sku))?;
    let mut steps = policy::rebalance(&found.holdings, weight);
    // No more than one call takes; what is left is proposed when these are done.
    steps.truncate(STOCK_ITEMS_MAX);
    let mut json = Json::new();
    policy_json::proposed(&mut json, sku.as_str(), (&found, &steps), app.names());
    Ok(Reply::json(json))
}

/// See [`move_shares`].
pub async fn move_route(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Reply, Problem> {
    move_shares(&app, &headers, &body).await
}

/// See [`rebalance`].
pub async fn rebalance_route(
    State(app): State<Arc<App>>,
    Path(sku): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<Reply, Problem> {
    rebalance(&app, &sku, query.as_deref()).await
}
