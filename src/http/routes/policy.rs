//! The policy: which channel may take how much.

use std::borrow::Cow;
use std::sync::Arc;

use axum::extract::{Path, RawQuery, State};
use bytes::Bytes;
use hyper::HeaderMap;

use crate::blocking::wait_for;
use crate::domain::ids::check_name;
use crate::domain::policy::Document;
use crate::domain::{ChannelIx, Frozen};
use crate::http::app::{App, Reply};
use crate::http::dto_policy::RollbackBody;
use crate::http::error::{Issues, Problem};
use crate::http::json::Json;
use crate::http::request::{self, IfMatch};
use crate::http::routes::stock::{path_sku, unknown_sku};
use crate::http::{catalog, parse, policy_json};
use crate::ledger::policy::{PolicyInForce, PolicyPut, PolicyVersion, diff};
use crate::limits::TEXT_BYTES_MAX;

/// `GET /v1/policy`
pub async fn get(app: &App) -> Result<Reply, Problem> {
    let found = app.engine.policy().await?;
    let found =
        found.ok_or_else(|| Problem::plain(&catalog::NO_POLICY, catalog::NO_POLICY.help))?;
    let mut json = Json::new();
    json.raw(&found.version.text);
    Ok(Reply {
        etag: Some(found.version.version),
        ..Reply::json(json)
    })
}

/// Who changes the policy, and why.
struct Author<'q> {
    operator: Cow<'q, str>,
    reason: Cow<'q, str>,
    over: Cow<'q, str>,
}

impl<'q> Author<'q> {
    fn new(texts: [(&str, Option<Cow<'q, str>>); 3]) -> Result<Self, Problem> {
        for (name, text) in &texts {
            if text
                .as_ref()
                .is_some_and(|text| text.len() > TEXT_BYTES_MAX)
            {
                let why = format!("must be at most {TEXT_BYTES_MAX} bytes");
                return Err(request::invalid_parameter(name, why));
            }
        }
        let [operator, reason, over] = texts.map(|(_, text)| text.unwrap_or_default());
        Ok(Self {
            operator,
            reason,
            over,
        })
    }

    fn put<'p>(&'p self, text: &'p str, expected: Option<u64>) -> PolicyPut<'p> {
        PolicyPut {
            text,
            expected,
            operator: &self.operator,
            reason: &self.reason,
            over: &self.over,
        }
    }
}

/// The version that must be in force; `None`: any.
async fn expected(app: &App, headers: &HeaderMap) -> Result<Option<u64>, Problem> {
    Ok(match request::if_match(headers)? {
        IfMatch::Any => None,
        IfMatch::Version(version) => Some(version),
        // No version is the largest one, so the ledger answers the version in force.
        IfMatch::Other => Some(u64::MAX),
        IfMatch::Missing => {
            if app.engine.policy().await?.is_some() {
                let help = catalog::PRECONDITION_REQUIRED.help;
                return Err(Problem::plain(&catalog::PRECONDITION_REQUIRED, help));
            }
            Some(0)
        }
    })
}

fn is_dry(word: Option<&str>) -> Result<bool, Problem> {
    match word {
        None | Some("false") => Ok(false),
        Some("true") => Ok(true),
        Some(_) => Err(request::invalid_parameter(
            "dry_run",
            "must be true or false",
        )),
    }
}

/// `PUT /v1/policy`
pub async fn put(
    app: &App,
    query: Option<&str>,
    headers: &HeaderMap,
    body: &[u8],
) -> Result<Reply, Problem> {
    let [dry_run, operator, reason, over] =
        request::query(query, ["dry_run", "operator", "reason", "override"])?;
    let author = Author::new([
        ("operator", operator),
        ("reason", reason),
        ("override", over),
    ])?;
    let is_dry = is_dry(dry_run.as_deref())?;
    let expected = expected(app, headers).await?;
    let text = parse::text(body)?;
    let put = author.put(text, expected);
    if is_dry {
        try_out(app, &put).await
    } else {
        enforce(app, &put).await
    }
}

/// Puts a policy.
async fn enforce(app: &App, put: &PolicyPut<'_>) -> Result<Reply, Problem> {
    let before = app.engine.policy().await?;
    let checked = app.engine.check_policy(put)?;
    let version = app.engine.put_policy(put).await?;
    let mut json = Json::new();
    json.raw(r#"{"dry_run":false,"#);
    policy_json::version_members(&mut json, &version);
    json.raw(",");
    write_changes(&mut json, before.as_deref(), &checked.document);
    Ok(Reply {
        etag: Some(version.version),
        ..Reply::json(json)
    })
}

/// Says what a policy would change, and what keeps it from being put now.
async fn try_out(app: &App, put: &PolicyPut<'_>) -> Result<Reply, Problem> {
    let before = app.engine.policy().await?;
    let (document, frozen) = app.engine.try_policy(put)?;
    let mut json = Json::new();
    json.raw(r#"{"dry_run":true,"#);
    if let Some(Frozen { campaign, until }) = &frozen {
        json.raw(r#""frozen":{"campaign":"#).text(campaign);
        json.raw(r#","until":"#).time(*until).raw("},");
    }
    write_changes(&mut json, before.as_deref(), &document);
    Ok(Reply::json(json))
}

/// The last members of an answer: what is different.
fn write_changes(json: &mut Json, before: Option<&PolicyInForce>, after: &Document) {
    let nothing = Document::default();
    let before = before.map_or(&nothing, |before| &before.document);
    policy_json::changes(json, &diff::compare(before, after));
    json.raw("}");
}

/// `GET /v1/policy/versions`
pub async fn versions(app: &App) -> Result<Reply, Problem> {
    let mut json = Json::new();
    policy_json::versions(&mut json, &app.engine.policy_versions().await?);
    Ok(Reply::json(json))
}

async fn find(app: &App, number: Option<u64>) -> Result<PolicyVersion, Problem> {
    let versions = app.engine.policy_versions().await?;
    let mut versions = versions.into_iter();
    let found = versions.find(|of| Some(of.version) == number);
    let unknown = &catalog::UNKNOWN_POLICY_VERSION;
    found.ok_or_else(|| Problem::plain(unknown, unknown.help))
}

/// `GET /v1/policy/versions/{version}`
pub async fn version(app: &App, number: &str) -> Result<Reply, Problem> {
    let found = find(app, number.parse().ok()).await?;
    let mut json = Json::new();
    policy_json::version(&mut json, &found);
    Ok(Reply {
        etag: Some(found.version),
        ..Reply::json(json)
    })
}

/// `POST /v1/policy/rollback`
pub async fn rollback(app: &App, headers: &HeaderMap, body: &[u8]) -> Result<Reply, Problem> {
    let body: RollbackBody<'_> = parse::json(body)?;
    let mut issues = Issues::default();
    let texts = [
        ("operator", &body.operator),
        ("reason", &body.reason),
        ("override", &body.over),
    ];
    for (name, text) in texts {
        parse::bounded(
            &mut issues,
            format_args!("/{name}"),
            text.as_ref(),
            TEXT_BYTES_MAX,
        );
    }
    let place = format_args!("/version");
    if body.version.is_none() {
        issues.push(place, "missing", "is required");
    }
    let number = parse::units(&mut issues, place, body.version, 1);
    issues.check()?;
    let expected = match request::if_match(headers)? {
        IfMatch::Missing | IfMatch::Any => None,
        IfMatch::Version(version) => Some(version),
        IfMatch::Other => Some(u64::MAX),
    };
    let found = find(app, number.map(crate::domain::Units::get)).await?;
    let texts = texts.map(|(name, text)| (name, text.as_ref().map(|text| text.as_str().into())));
    let author = Author::new(texts)?;
    enforce(app, &author.put(&found.text, expected)).await
}

/// `GET /v1/skus/{sku}/policy`
pub async fn of_sku(app: &App, sku: &str, query: Option<&str>) -> Result<Reply, Problem> {
    let sku = path_sku(sku)?;
    let [channel] = request::query(query, ["channel"])?;
    let channel = channel.as_deref().map(|name| asked_channel(app, name));
    let found = app.engine.sku_policy(sku, channel.transpose()?).await?;
    let found = found.ok_or_else(|| unknown_sku(sku))?;
    let mut json = Json::new();
    policy_json::of_sku(&mut json, sku.as_str(), &found, app.names());
    Ok(Reply::json(json))
}

/// The channel of a query. One that was never heard of is bound by what is kept for others.
pub fn asked_channel(app: &App, name: &str) -> Result<ChannelIx, Problem> {
    check_name(name).map_err(|why| request::invalid_parameter("channel", why))?;
    let known = app.names().known_channel(name);
    Ok(known.unwrap_or(ChannelIx::UNNAMED))
}

type Shared = State<Arc<App>>;

/// See [`get`].
pub async fn get_route(State(app): Shared) -> Result<Reply, Problem> {
    get(&app).await
}

/// See [`put`]. A long policy takes a while to check.
pub async fn put_route(
    State(app): Shared,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Reply, Problem> {
    let done = app.beside(move |app| wait_for(put(app, query.as_deref(), &headers, &body)));
    done.await?
}

/// See [`versions`].
pub async fn versions_route(State(app): Shared) -> Result<Reply, Problem> {
    versions(&app).await
}

/// See [`version`].
pub async fn version_route(
    State(app): Shared,
    Path(number): Path<String>,
) -> Result<Reply, Problem> {
    version(&app, &number).await
}

/// See [`rollback`].
pub async fn rollback_route(
    State(app): Shared,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Reply, Problem> {
    let done = app.beside(move |app| wait_for(rollback(app, &headers, &body)));
    done.await?
}

/// See [`of_sku`].
pub async fn of_sku_route(
    State(app): Shared,
    Path(sku): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<Reply, Problem> {
    of_sku(&app, &sku, query.as_deref()).await
}
