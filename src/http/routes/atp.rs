//! Available to promise.

use std::sync::Arc;

use axum::extract::{Path, RawQuery, State};
use bytes::Bytes;

use crate::domain::ids::check_name;
use crate::domain::{ChannelIx, Day, NodeIx, Sku};
use crate::http::app::{App, Reply};
use crate::http::dto::{AtpBody, Text};
use crate::http::error::{Issues, Problem};
use crate::http::json::Json;
use crate::http::routes::policy;
use crate::http::routes::stock::{path_sku, unknown_sku};
use crate::http::{catalog, parse, render, request};
use crate::ledger::time_text;
use crate::ledger::{self, Consistency};
use crate::limits::ATP_SKUS_MAX;

/// What is asked for, which unless it is said otherwise need not be of this very moment.
fn consistency(word: Option<&str>) -> Option<Consistency> {
    match word {
        None | Some("mirror") => Some(Consistency::Mirror),
        Some("strong") => Some(Consistency::Strong),
        Some(_) => None,
    }
}

/// What `until` can be.
const UNTIL: &str = "must be a day such as 2026-12-24, or an RFC 3339 time";

/// The last day of what is asked for.
fn last_day(text: &str) -> Option<Day> {
    time_text::parse_day(text).or_else(|| time_text::parse(text).map(Day::of))
}

/// What an answer is about.
#[derive(Clone, Copy)]
struct About<'a> {
    channel: Option<&'a str>,
    node: Option<&'a str>,
    of: ledger::About,
    until: Option<Day>,
    consistency: Consistency,
}

/// `GET /v1/atp/{sku}`
pub async fn get(app: &App, sku: &str, query: Option<&str>) -> Result<Reply, Problem> {
    let sku = path_sku(sku)?;
    let [channel, node, until, word] =
        request::query(query, ["channel", "node", "until", "consistency"])?;
    if let Some(name) = &node {
        check_name(name).map_err(|why| request::invalid_parameter("node", why))?;
    }
    let until = match until.as_deref().map(last_day) {
        Some(None) => return Err(request::invalid_parameter("until", UNTIL)),
        Some(day) => day,
        None => None,
    };
    let consistency = consistency(word.as_deref()).ok_or_else(|| {
        let why = "must be strong or mirror";
        request::invalid_parameter("consistency", why)
    })?;
    let named = |name| known_node(app, name);
    let seller = |name| policy::asked_channel(app, name);
    let of = ledger::About {
        node: node.as_deref().map(named).transpose()?,
        channel: channel.as_deref().map(seller).transpose()?,
    };
    let about = About {
        channel: channel.as_deref(),
        node: node.as_deref(),
        of,
        until,
        consistency,
    };
    let mut json = Json::new();
    write_one(app, &mut json, sku, about).await?;
    Ok(Reply::json(json))
}

fn known_node(app: &App, name: &str) -> Result<NodeIx, Problem> {
    app.names()
        .known_node(name)
        .ok_or_else(|| Problem::plain(&catalog::UNKNOWN_NODE, catalog::UNKNOWN_NODE.help))
}

async fn write_one(
    app: &App,
    json: &mut Json,
    sku: Sku<'_>,
    about: About<'_>,
) -> Result<(), Problem> {
    let found = app
        .engine
        .availability(sku, about.of, about.consistency)
        .await?
        .ok_or_else(|| unknown_sku(sku))?;
    let About {
        channel,
        node,
        until,
        ..
    } = about;
    let names = app.names();
    render::availability(json, sku.as_str(), (channel, node), until, &found, names);
    Ok(())
}

/// `POST /v1/atp`
pub async fn bulk(app: &App, body: &[u8]) -> Result<Reply, Problem> {
    let body: AtpBody<'_> = parse::json(body)?;
    let mut issues = Issues::default();
    let given = body.skus.as_deref().unwrap_or_default();
    if given.is_empty() {
        let detail = format!("must hold 1 to {ATP_SKUS_MAX} SKUs");
        issues.push(format_args!("/skus"), "out_of_range", detail);
    }
    let skus: Vec<Option<Sku<'_>>> = given
        .iter()
        .enumerate()
        .map(|(at, text)| parse::sku(&mut issues, format_args!("/skus/{at}"), Some(text)))
        .collect();
    let channel = body.channel.as_ref().map(Text::as_str);
    let seller = channel.and_then(|name| {
        let name = parse::name(&mut issues, format_args!("/channel"), name)?;
        Some(
            app.names()
                .known_channel(name)
                .unwrap_or(ChannelIx::UNNAMED),
        )
    });
    let place = format_args!("/node");
    let index = parse::known_node(&mut issues, place, body.node.as_ref(), app.names());
    let until = body.until.as_ref().map(|text| last_day(text.as_str()));
    if until == Some(None) {
        issues.push(format_args!("/until"), "invalid_time", UNTIL);
    }
    let consistency = consistency(body.consistency.as_ref().map(Text::as_str));
    if consistency.is_none() {
        let place = format_args!("/consistency");
        issues.push(place, "unknown_word", "must be strong or mirror");
    }
    issues.check()?;
    let about = About {
        channel,
        node: body.node.as_ref().map(Text::as_str),
        of: ledger::About {
            node: index,
            channel: seller,
        },
        until: until.flatten(),
        consistency: consistency.unwrap_or_default(),
    };
    let mut json = Json::new();
    json.raw(r#"{"results":["#);
    for (at, sku) in skus.into_iter().flatten().enumerate() {
        json.comma(at == 0);
        if let Err(problem) = write_one(app, &mut json, sku, about).await {
            json.raw(r#"{"sku":"#)
                .plain(sku.as_str())
                .raw(r#","problem":"#);
            problem.write(&mut json, "", "", app.names());
            json.raw("}");
        }
    }
    json.raw("]}");
    Ok(Reply::json(json))
}

type Shared = State<Arc<App>>;

/// See [`get`].
pub async fn get_route(
    State(app): Shared,
    Path(sku): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<Reply, Problem> {
    get(&app, &sku, query.as_deref()).await
}

/// See [`bulk`].
pub async fn bulk_route(State(app): Shared, body: Bytes) -> Result<Reply, Problem> {
    bulk(&app, &body).await
}
