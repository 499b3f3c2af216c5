//! Campaigns: which there are, and what would go wrong in one.

use std::sync::Arc;

use axum::extract::{Path, RawQuery, State};
use bytes::Bytes;

use crate::blocking::wait_for;
use crate::domain::UnixMillis;
use crate::domain::ids::check_name;
use crate::domain::policy::preflight::{Finding, Severity};
use crate::domain::policy::{Campaign, Items};
use crate::engine::preflight::{Bounds, Report};
use crate::http::app::{App, Reply};
use crate::http::error::Problem;
use crate::http::json::Json;
use crate::http::{catalog, parse, request};
use crate::limits::{PREFLIGHT_FINDINGS_MAX, STALE_AFTER_SECONDS};

/// `GET /v1/campaigns`
pub async fn list(app: &App) -> Result<Reply, Problem> {
    let found = app.engine.policy().await?;
    let now = app.engine.now();
    let mut json = Json::new();
    json.raw(r#"{"version":"#);
    match &found {
        Some(found) => json.number(found.version.version),
        None => json.raw("null"),
    };
    json.raw(r#","as_of":"#).time(now).raw(r#","campaigns":["#);
    let campaigns = found.iter().flat_map(|of| &of.document.campaigns);
    for (at, campaign) in campaigns.enumerate() {
        json.comma(at == 0);
        write_campaign(&mut json, campaign, now);
    }
    json.raw("]}");
    Ok(Reply::json(json))
}

fn write_campaign(json: &mut Json, campaign: &Campaign, now: UnixMillis) {
    json.raw(r#"{"name":"#).plain(&campaign.name);
    json.raw(r#","state":"#).plain(campaign.state(now).as_str());
    json.raw(r#","from":"#).time(campaign.from);
    json.raw(r#","until":"#).time(campaign.until);
    match &campaign.items {
        Items::Skus(skus) => {
            json.raw(r#","skus":"#).number(skus.len());
            json.raw(r#","set":null"#);
        }
        Items::Set(set) => {
            json.raw(r#","skus":null,"set":"#).plain(set);
        }
    }
    json.raw(r#","freeze":"#).bool(campaign.freeze).raw("}");
}

/// `GET /v1/campaigns/{name}/preflight`
async fn preflight(app: &App, name: &str, query: Option<&str>) -> Result<Reply, Problem> {
    let bounds = bounds(app, query)?;
    let report = app.engine.preflight(name, bounds).await?;
    answer(name, report)
}

/// `POST /v1/campaigns/{name}/preflight`: of the policy in the body.
async fn preflight_of(
    app: &App,
    name: &str,
    query: Option<&str>,
    body: &[u8],
) -> Result<Reply, Problem> {
    let bounds = bounds(app, query)?;
    let text = parse::text(body)?;
    let report = app.engine.preflight_of(text, name, bounds).await?;
    answer(name, report)
}

fn bounds(app: &App, query: Option<&str>) -> Result<Bounds, Problem> {
    let [stale] = request::query(query, ["stale_after_seconds"])?;
    let stale = stale.map(|text| {
        let seconds = text.parse().map_err(|_error| "must be a number of seconds");
        seconds.map_err(|why| request::invalid_parameter("stale_after_seconds", why))
    });
    Ok(Bounds {
        usual_hold: app.default_ttl,
        stale_after_seconds: stale.transpose()?.unwrap_or(STALE_AFTER_SECONDS),
    })
}

fn answer(name: &str, report: Option<Report>) -> Result<Reply, Problem> {
    let Some(report) = report else {
        let kind = &catalog::UNKNOWN_CAMPAIGN;
        return Err(Problem::plain(kind, kind.help));
    };
    let mut json = Json::new();
    write_report(&mut json, name, &report);
    Ok(Reply::json(json))
}

fn write_report(json: &mut Json, name: &str, report: &Report) {
    let of = |severity| {
        let findings = report.findings.iter();
        findings.filter(|of| of.severity == severity).count()
    };
    json.raw(r#"{"campaign":"#).text(name);
    json.raw(r#","state":"#).plain(report.state.as_str());
    json.raw(r#","version":"#);
    match report.version {
        Some(version) => json.number(version),
        None => json.raw("null"),
    };
    json.raw(r#","as_of":"#).time(report.as_of);
    json.raw(r#","skus":"#).number(report.skus);
    json.raw(r#","clean":"#).bool(report.findings.is_empty());
    json.raw(r#","errors":"#).number(of(Severity::Error));
    json.raw(r#","warnings":"#).number(of(Severity::Warning));
    json.raw(r#","findings":["#);
    let listed = report.findings.iter().take(PREFLIGHT_FINDINGS_MAX);
    for (at, finding) in listed.enumerate() {
        json.comma(at == 0);
        write_finding(json, finding);
    }
    json.raw("]}");
}

fn write_finding(json: &mut Json, finding: &Finding) {
    json.raw(r#"{"code":"#).plain(finding.code);
    json.raw(r#","severity":"#).plain(finding.severity.as_str());
    json.raw(r#","sku":"#).maybe_text(finding.sku.as_deref());
    json.raw(r#","channel":"#)
        .maybe_text(finding.channel.as_deref());
    json.raw(r#","message":"#).text(&finding.message);
    json.raw(r#","fix":"#).text(&finding.fix).raw("}");
}

fn checked(name: String) -> Result<String, Problem> {
    check_name(&name).map_err(|why| request::invalid_parameter("name", why))?;
    Ok(name)
}

type Shared = State<Arc<App>>;

/// See [`list`].
pub async fn list_route(State(app): Shared) -> Result<Reply, Problem> {
    list(&app).await
}

/// See [`preflight`]. Many SKUs take a while to look at.
pub async fn preflight_route(
    State(app): Shared,
    Path(name): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<Reply, Problem> {
    let name = checked(name)?;
    let done = app.for_operator(move |app| wait_for(preflight(app, &name, query.as_deref())));
    done.await?
}

/// See [`preflight_of`].
pub async fn preflight_of_route(
    State(app): Shared,
    Path(name): Path<String>,
    RawQuery(query): RawQuery,
    body: Bytes,
) -> Result<Reply, Problem> {
    let name = checked(name)?;
    let done =
        app.for_operator(move |app| wait_for(preflight_of(app, &name, query.as_deref(), &body)));
    done.await?
}
