//! Settings of SKUs.

use std::sync::Arc;

use axum::extract::{Path, State};
use bytes::Bytes;
use hyper::HeaderMap;

use crate::domain::command::{Command, PutSettings};
use crate::domain::stock::{Safety, Selling};
use crate::domain::{Level, LowWater, NodeSafety, Setting, WhileLow};
use crate::http::app::{App, Reply};
use crate::http::catalog;
use crate::http::dto::{Given, Num, Text};
use crate::http::error::{Issues, Problem};
use crate::http::json::Json;
use crate::http::list::Object;
use crate::http::request::{self, IfMatch};
use crate::http::routes::stock::{path_sku, unknown_sku};
use crate::http::settings_dto::{LevelBody, LowWaterBody, MarkBody, NodeLevelBody, SettingsBody};
use crate::http::{parse, render, request_ids};
use crate::limits::TEXT_BYTES_MAX;

/// Exactly one of units and percent, which stand at this place of the body.
fn level(issues: &mut Issues, at: &str, units: Option<Num>, percent: Option<Num>) -> Option<Level> {
    match (units, percent) {
        (Some(units), None) => {
            let place = format_args!("{at}/units");
            parse::units(issues, place, Some(units), 0).map(Level::Units)
        }
        (None, Some(percent)) => {
            let place = format_args!("{at}/percent");
            parse::percent(issues, place, percent).map(Level::Percent)
        }
        (Some(_), Some(_)) | (None, None) => {
            let detail = "takes either units or percent";
            issues.push(format_args!("{at}"), "one_of", detail);
            None
        }
    }
}

fn safety(issues: &mut Issues, body: LevelBody) -> Option<Safety> {
    level(issues, "/safety_stock", body.units, body.percent)
}

/// What is to be kept back at which node.
fn node_levels<'t>(
    issues: &mut Issues,
    found: &'t [NodeLevelBody<'_>],
) -> Vec<(&'t str, Option<Level>)> {
    let mut levels: Vec<(&str, _)> = Vec::with_capacity(found.len());
    for (at, item) in found.iter().enumerate() {
        let place = format_args!("/node_safety/{at}/node");
        let node = parse::required(issues, place, item.node.as_ref());
        let Some(node) = node.and_then(|node| parse::name(issues, place, node)) else {
            continue;
        };
        if levels.iter().any(|(other, _)| *other == node) {
            issues.push(place, "duplicate", "is in the list already");
        }
        let keep = level(
            issues,
            &format!("/node_safety/{at}"),
            item.units,
            item.percent,
        );
        levels.push((node, keep));
    }
    levels
}

/// The same with the nodes' indexes; names that are new are recorded.
async fn node_safety(
    app: &App,
    levels: Vec<(&str, Option<Level>)>,
) -> Result<Option<NodeSafety>, Problem> {
    let mut nodes = Vec::with_capacity(levels.len());
    for (at, (name, keep)) in levels.into_iter().enumerate() {
        let node = app.names().node(name).await;
        let wrong = |error| Problem::name(error, format_args!("/node_safety/{at}/node"));
        let node = node.map_err(wrong)?;
        nodes.extend(keep.map(|keep| (node, keep)));
    }
    Ok(NodeSafety::new(nodes))
}

fn while_low(issues: &mut Issues, word: &Text<'_>) -> Option<WhileLow> {
    match word.as_str() {
        "event" => Some(WhileLow::Sell),
        "suspend" => Some(WhileLow::Suspend),
        _ => {
            let detail = "must be event or suspend";
            issues.push(format_args!("/low_water/then"), "unknown_word", detail);
            None
        }
    }
}

/// A setting that a SKU may have by itself; `None`: it stays, or there is a mistake in it.
fn setting<T, S>(given: Given<T>, read: impl FnOnce(T) -> Option<S>) -> Option<Setting<S>> {
    match given {
        Given::Absent => None,
        Given::Null => Some(Setting::AsPolicy),
        Given::Value(value) => read(value).map(Setting::Own),
    }
}

/// `None` after a mistake.
#[expect(clippy::option_option, reason = "no mark is a setting as well")]
fn mark(issues: &mut Issues, body: &MarkBody<'_>) -> Option<Option<LowWater>> {
    match body {
        MarkBody::Never => Some(None),
        MarkBody::Bare(units) => {
            let mark = parse::units(issues, format_args!("/low_water"), Some(*units), 0)?;
            Some(Some(LowWater::at(Level::Units(mark))))
        }
        MarkBody::Whole(body) => low_water(issues, body).map(Some),
    }
}

/// `None` after a mistake.
fn low_water(issues: &mut Issues, body: &LowWaterBody<'_>) -> Option<LowWater> {
    let mark = level(issues, "/low_water", body.units, body.percent);
    let resume = body
        .resume
        .map(|Object(found)| level(issues, "/low_water/resume", found.units, found.percent));
    let then = body.then.as_ref().map(|word| while_low(issues, word));
    let found = LowWater {
        mark: mark?,
        resume: match resume {
            None => None,
            Some(resume) => Some(resume?),
        },
        then: then.unwrap_or(Some(WhileLow::Sell))?,
    };
    if !found.resumes_above_mark() {
        let detail = "must be above the mark, or left out";
        issues.push(format_args!("/low_water/resume"), "not_above_mark", detail);
    }
    Some(found)
}

fn selling(issues: &mut Issues, word: &Text<'_>) -> Option<Selling> {
    match word.as_str() {
        "on" => Some(Selling::On),
        "suspended" => Some(Selling::Suspended),
        _ => {
            issues.push(
                format_args!("/selling"),
                "unknown_word",
                "must be on or suspended",
            );
            None
        }
    }
}

/// `PUT /v1/skus/{sku}`
pub async fn put(app: &App, sku: &str, headers: &HeaderMap, body: &[u8]) -> Result<Reply, Problem> {
    let sku = path_sku(sku)?;
    let key = request::idempotency_key(headers)?;
    let precondition = request::if_match(headers)?;
    let body: SettingsBody<'_> = parse::json(body)?;
    let mut issues = Issues::default();
    let safety = setting(body.safety_stock, |Object(found)| {
        safety(&mut issues, found)
    });
    let at_nodes = body.node_safety.as_ref();
    let at_nodes = at_nodes.map(|found| node_levels(&mut issues, found));
    let selling = body
        .selling
        .as_ref()
        .and_then(|word| selling(&mut issues, word));
    let mark = setting(body.low_water, |found| mark(&mut issues, &found));
    let over = body.over.as_ref();
    let over = parse::bounded(&mut issues, format_args!("/override"), over, TEXT_BYTES_MAX);
    issues.check()?;
    let if_version = match precondition {
        IfMatch::Any => None,
        IfMatch::Version(version) => Some(u32::try_from(version).unwrap_or(u32::MAX)),
        // No version is the largest one, so the ledger answers the version in force.
        IfMatch::Other => Some(u32::MAX),
        IfMatch::Missing => {
            if app.engine.settings(sku).await?.is_some() && !is_repeated(app, key).await? {
                let help = catalog::PRECONDITION_REQUIRED.help;
                return Err(Problem::plain(&catalog::PRECONDITION_REQUIRED, help));
            }
            // Not there yet: nobody's change can be overwritten.
            Some(0)
        }
    };
    let node_safety = match at_nodes {
        Some(levels) => node_safety(app, levels).await?,
        None => None,
    };
    let command = Command::PutSettings(PutSettings {
        sku,
        safety,
        node_safety: node_safety.as_ref(),
        selling,
        low_water: mark,
        if_version,
        over,
    });
    // Without a key nobody can repeat the command; the precondition guards the change.
    let fresh = request_ids::next();
    let key = key.or(str::from_utf8(&fresh).ok()).unwrap_or_default();
    app.execute(key, command).await
}

/// Whether the key was answered before: the SKU may then be there because of it.
async fn is_repeated(app: &App, key: Option<&str>) -> Result<bool, Problem> {
    match key {
        Some(key) => Ok(app.engine.settle(key).await?.is_some()),
        None => Ok(false),
    }
}

/// `GET /v1/skus/{sku}`
pub async fn get(app: &App, sku: &str) -> Result<Reply, Problem> {
    let sku = path_sku(sku)?;
    let found = app
        .engine
        .settings(sku)
        .await?
        .ok_or_else(|| unknown_sku(sku))?;
    let mut json = Json::new();
    render::settings(&mut json, sku.as_str(), &found, app.names());
    Ok(Reply {
        etag: Some(u64::from(found.version)),
        ..Reply::json(json)
    })
}

type Shared = State<Arc<App>>;

/// See [`put`].
pub async fn put_route(
    State(app): Shared,
    Path(sku): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Reply, Problem> {
    put(&app, &sku, &headers, &body).await
}

/// See [`get`].
pub async fn get_route(State(app): Shared, Path(sku): Path<String>) -> Result<Reply, Problem> {
    get(&app, &sku).await
}
