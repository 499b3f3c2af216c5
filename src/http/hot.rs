//! Every request passes here. The frequent calls are told apart by hand and go straight to their
//! functions; the rest goes through the router. All answers are made into HTTP in one place.

use std::convert::Infallible;
use std::rc::Rc;
use std::sync::Arc;

use axum::Router;
use axum::extract::MatchedPath;
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::body::{Body as _, Incoming};
use hyper::header::{
    ACCEPT_ENCODING, ALLOW, CACHE_CONTROL, CONNECTION, CONTENT_TYPE, ETAG, HeaderMap, HeaderName,
    HeaderValue, RETRY_AFTER,
};
use hyper::http::request::Parts;
use hyper::{Method, Request, Response, StatusCode};
use tower_service::Service;

use crate::clock;
use crate::http::app::{App, Committed, Content, Reply};
use crate::http::body::{Body, StreamEnd};
use crate::http::catalog::{self, Kind};
use crate::http::conn::State;
use crate::http::error::{Problem, RETRY_AFTER_S};
use crate::http::json::Json;
use crate::http::request;
use crate::http::request_ids;
use crate::http::route_meters::RouteMeters;
use crate::http::routes::reservations::{self, ActKind};
use crate::http::routes::{ROUTES, atp};
use crate::limits::{BATCH_BODY_BYTES_MAX, BODY_BYTES_MAX, POLICY_BYTES_MAX};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const DURABILITY: HeaderName = HeaderName::from_static("holdfast-durability");
const MIRROR_AGE: HeaderName = HeaderName::from_static("holdfast-mirror-age-ms");
const POSITION: HeaderName = HeaderName::from_static("holdfast-position");
const REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");
const JSON: HeaderValue = HeaderValue::from_static("application/json");
const PROBLEM: HeaderValue = HeaderValue::from_static("application/problem+json");

/// What the router does not need to be asked for.
#[derive(Debug, PartialEq, Eq, Clone, Copy)]
enum Hot<'p> {
    Reserve,
    Batch,
    Act(ActKind, &'p str),
    Atp(&'p str),
}

impl<'p> Hot<'p> {
    fn find(method: &Method, path: &'p str) -> Option<Self> {
        if method == Method::POST {
            let rest = path.strip_prefix("/v1/reservations")?;
            return match rest {
                "" => Some(Self::Reserve),
                "/batch" => Some(Self::Batch),
                _ => {
                    let (id, verb) = rest.strip_prefix('/')?.split_once('/')?;
                    Some(Self::Act(ActKind::from_path(verb)?, id))
                }
            };
        }
        let sku = path
            .strip_prefix("/v1/atp/")
            .filter(|_| method == Method::GET)?;
        // The router decodes what is percent-encoded.
        (!sku.is_empty() && sku.bytes().all(|b| b != b'/' && b != b'%')).then_some(Self::Atp(sku))
    }

    const fn route(&self) -> &'static str {
        match self {
            Self::Reserve => "/v1/reservations",
            Self::Batch => "/v1/reservations/batch",
            Self::Act(kind, _) => kind.route(),
            Self::Atp(_) => "/v1/atp/{sku}",
        }
    }
}

/// Reads a body. One that arrived with the head is one frame and is not copied.
async fn read_body(mut body: Incoming, limit: usize) -> Result<Bytes, Problem> {
    let too_large = || {
        let detail = format!("The body is larger than {limit} bytes.");
        Problem::plain(&catalog::BODY_TOO_LARGE, detail)
    };
    let broken = |error: hyper::Error| {
        Problem::plain(
            &catalog::MALFORMED_REQUEST,
            format!("The body broke off: {error}."),
        )
    };
    let announced = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
    if announced > limit {
        return Err(too_large());
    }
    let mut whole = Bytes::new();
    let mut parts = BytesMut::new();
    while !body.is_end_stream() {
        let Some(frame) = body.frame().await else {
            break;
        };
        let Ok(data) = frame.map_err(broken)?.into_data() else {
            continue;
        };
        if whole.len() + parts.len() + data.len() > limit {
            return Err(too_large());
        }
        if whole.is_empty() && parts.is_empty() {
            whole = data;
        } else {
            if parts.is_empty() {
                // Room that is not written to costs nothing yet; growing would copy megabytes.
                parts.reserve(announced.clamp(data.len(), limit));
            }
            parts.extend_from_slice(&std::mem::take(&mut whole));
            parts.extend_from_slice(&data);
        }
    }
    Ok(if parts.is_empty() {
        whole
    } else {
        parts.freeze()
    })
}

/// Whether a policy may be in the body.
fn takes_policy(path: &str) -> bool {
    path == "/v1/policy" || path.starts_with("/v1/campaigns/")
}

/// Answers one request.
pub async fn serve(
    app: &Arc<App>,
    router: &Router,
    meters: &RouteMeters,
    state: &Rc<State>,
    request: Request<Incoming>,
) -> Result<Response<Body>, Infallible> {
    state.head_done();
    let start = clock::monotonic();
    let (parts, body) = request.into_parts();
    let hot = Hot::find(&parts.method, parts.uri.path());
    let limit = match hot {
        Some(Hot::Batch) => BATCH_BODY_BYTES_MAX,
        None if takes_policy(parts.uri.path()) => POLICY_BYTES_MAX,
        Some(_) | None => BODY_BYTES_MAX,
    };
    let mut route = hot.as_ref().map_or("other", Hot::route);
    let announced = body.size_hint().upper();
    let announced = announced.and_then(|bytes| usize::try_from(bytes).ok());
    let has_body = !body.is_end_stream();
    let room = app.room_for_body(announced.map_or(limit, |bytes| bytes.min(limit)));
    let body = match (check(&parts, state), &room) {
        (Err(problem), _) => Err(problem),
        (Ok(()), Err(problem)) => Err(problem.clone()),
        (Ok(()), Ok(_)) => match request::check_media_type(&parts.headers) {
            Err(problem) if has_body => Err(problem),
            Ok(()) | Err(_) => read_body(body, limit).await,
        },
    };
    let is_unread = has_body && body.is_err();
    let answer = match (body, hot) {
        (Err(problem), _) => Answer::Reply(problem.into()),
        (Ok(body), Some(hot)) => {
            state.body_done();
            let mut answer = run_hot(app, hot, &parts, &body).await;
            if answer.as_ref().is_err_and(Problem::is_unknown_node) && app.learns_names().await {
                answer = run_hot(app, hot, &parts, &body).await;
            }
            Answer::Reply(answer.unwrap_or_else(Reply::from))
        }
        (Ok(body), None) => {
            state.body_done();
            let (found, mut answer) = run_cold(router, &parts, body.clone()).await;
            if answer.is_unknown_node() && app.learns_names().await {
                answer = run_cold(router, &parts, body).await.1;
            }
            route = found;
            answer
        }
    };
    let mut response = finish(app, &parts, state, answer);
    if is_unread {
        // The rest of the body is thrown away, and nothing behind it is read.
        let close = HeaderValue::from_static("close");
        response.headers_mut().insert(CONNECTION, close);
    }
    if let Ok(Some(room)) = room {
        response.body_mut().keep(room);
    }
    let status = response.status().as_u16();
    meters.record(route, &parts.method, status, start.elapsed());
    Ok(response)
}

/// What is asked of every request before its body is read.
fn check(parts: &Parts, state: &State) -> Result<(), Problem> {
    let is_health = matches!(parts.uri.path(), "/livez" | "/readyz" | "/metrics");
    if state.is_guest() && !is_health {
        let kind = &catalog::TOO_MANY_CONNECTIONS;
        return Err(Problem::plain(kind, kind.help));
    }
    request::check_head(parts)
}

async fn run_hot(
    app: &Arc<App>,
    hot: Hot<'_>,
    parts: &Parts,
    body: &Bytes,
) -> Result<Reply, Problem> {
    if !matches!(hot, Hot::Atp(_)) {
        let [] = request::query(parts.uri.query(), [])?;
    }
    match hot {
        Hot::Reserve => reservations::reserve(app, &parts.headers, body).await,
        Hot::Batch => reservations::batch(app, body).await,
        Hot::Act(kind, id) => reservations::act(app, kind, id, &parts.headers, body).await,
        Hot::Atp(sku) => atp::get(app, sku, parts.uri.query()).await,
    }
}

/// An answer before it becomes HTTP.
enum Answer {
    Reply(Reply),
    /// The router's own 405, whose `Allow` must be kept.
    NotAllowed(Option<HeaderValue>),
    Stream(axum::body::Body),
}

impl Answer {
    fn is_unknown_node(&self) -> bool {
        match self {
            Self::Reply(reply) => match &reply.content {
                Content::Problem(problem) => problem.is_unknown_node(),
                Content::Json(_) | Content::Other(..) => false,
            },
            Self::NotAllowed(_) | Self::Stream(_) => false,
        }
    }
}

/// Through the router. Boxed, so that the future of a frequent request stays small.
async fn run_cold(router: &Router, parts: &Parts, body: Bytes) -> (&'static str, Answer) {
    let request = Request::from_parts(parts.clone(), axum::body::Body::from(body));
    let mut response = Box::pin(Service::call(&mut router.clone(), request))
        .await
        .unwrap_or_else(|never| match never {});
    let path = response.extensions_mut().remove::<MatchedPath>();
    let route = path
        .and_then(|path| ROUTES.iter().copied().find(|route| *route == path.as_str()))
        .unwrap_or("other");
    if let Some(reply) = response.extensions_mut().remove::<Reply>() {
        return (route, Answer::Reply(reply));
    }
    let answer = match response.status() {
        StatusCode::METHOD_NOT_ALLOWED => Answer::NotAllowed(response.headers_mut().remove(ALLOW)),
        StatusCode::OK => Answer::Stream(response.into_body()),
        StatusCode::BAD_REQUEST => {
            let detail = "The path is not valid UTF-8.";
            Answer::Reply(Problem::plain(&catalog::INVALID_PARAMETER, detail).into())
        }
        other => {
            tracing::error!(
                status = other.as_u16(),
                route,
                "a handler answered past its reply"
            );
            Answer::Reply(Problem::plain(&catalog::INTERNAL, catalog::INTERNAL.help).into())
        }
    };
    (route, answer)
}

fn finish(app: &App, parts: &Parts, state: &Rc<State>, answer: Answer) -> Response<Body> {
    let mut response = match answer {
        Answer::Reply(reply) => finish_reply(app, parts, reply),
        Answer::NotAllowed(allow) => {
            let detail = format!(
                "{} does not take {}; see the Allow header.",
                parts.uri.path(),
                parts.method
            );
            let problem = Problem::plain(&catalog::METHOD_NOT_ALLOWED, detail);
            let mut response = finish_reply(app, parts, problem.into());
            if let Some(allow) = allow {
                response.headers_mut().insert(ALLOW, allow);
            }
            response
        }
        Answer::Stream(body) => {
            state.streaming();
            let body = Body::Stream(body, StreamEnd::new(state));
            let mut response = Response::new(body);
            let headers = response.headers_mut();
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
            headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
            let id = request::request_id(&parts.headers).cloned();
            let id = id.or_else(|| HeaderValue::from_bytes(&request_ids::next()).ok());
            if let Some(id) = id {
                headers.insert(REQUEST_ID, id);
            }
            return response;
        }
    };
    if let Some(trace) = parts.headers.get(&TRACEPARENT) {
        response.headers_mut().insert(TRACEPARENT, trace.clone());
    }
    state.answered();
    response
}

/// Body, request id and position share one buffer: the headers are slices of it.
fn finish_reply(app: &App, parts: &Parts, reply: Reply) -> Response<Body> {
    let given_id = request::request_id(&parts.headers);
    let made_id = if given_id.is_none() {
        request_ids::next()
    } else {
        [0; request_ids::BYTES]
    };
    let id = given_id.map_or(&made_id[..], HeaderValue::as_bytes);
    let mut kind = None;
    let (media_type, mut text, whole) = match reply.content {
        Content::Json(json) => (JSON, json, None),
        Content::Problem(problem) => {
            let mut json = Json::new();
            let id = str::from_utf8(id).unwrap_or_default();
            problem.write(&mut json, parts.uri.path(), id, app.names());
            kind = Some(problem.kind());
            (PROBLEM, json, None)
        }
        Content::Other(media_type, bytes) => (
            HeaderValue::from_static(media_type),
            Json::new(),
            Some(bytes),
        ),
    };
    let body_end = text.len();
    if given_id.is_none() {
        text.raw(str::from_utf8(&made_id).unwrap_or_default());
    }
    let id_end = text.len();
    let committed = reply
        .committed
        .filter(|committed| committed.position.sequence > 0);
    let position_end = write_place(&mut text, committed.as_ref());
    let all = Bytes::from(text.into_bytes());
    let header = |bytes: Bytes| {
        HeaderValue::from_maybe_shared(bytes).unwrap_or(HeaderValue::from_static(""))
    };
    let mut response = Response::new(Body::Full(whole.unwrap_or_else(|| all.slice(..body_end))));
    *response.status_mut() = reply.status;
    let headers = response.headers_mut();
    headers.reserve(8);
    headers.insert(CONTENT_TYPE, media_type);
    let id = given_id
        .cloned()
        .unwrap_or_else(|| header(all.slice(body_end..id_end)));
    headers.insert(REQUEST_ID, id);
    if let Some(committed) = committed {
        headers.insert(POSITION, header(all.slice(id_end..position_end)));
        insert_standing(headers, &committed, header(all.slice(position_end..)));
    }
    if let Some(version) = reply.etag {
        headers.insert(ETAG, header(Bytes::from(format!("\"v{version}\""))));
    }
    if let Some(kind) = kind {
        insert_advice(headers, kind);
    }
    response
}

/// Writes the position and after it the age of the mirror; where the one ends.
fn write_place(text: &mut Json, committed: Option<&Committed>) -> usize {
    let Some(committed) = committed else {
        return text.len();
    };
    let position = committed.position;
    text.number(position.shard).raw(".");
    text.number(position.epoch).raw(".");
    text.number(position.sequence);
    let end = text.len();
    if let Some(age) = committed.mirror_age {
        text.number(age.as_millis());
    }
    end
}

/// How an answer stands at its position.
fn insert_standing(headers: &mut HeaderMap, committed: &Committed, mirror_age: HeaderValue) {
    if committed.mirror_age.is_some() {
        headers.insert(MIRROR_AGE, mirror_age);
    } else {
        headers.insert(DURABILITY, HeaderValue::from_static(committed.durability));
    }
    if committed.replayed {
        headers.insert(REPLAYED, HeaderValue::from_static("true"));
    }
}

/// What a problem asks of the caller beyond its body.
fn insert_advice(headers: &mut HeaderMap, kind: &Kind) {
    if kind.will_pass() {
        headers.insert(RETRY_AFTER, HeaderValue::from(RETRY_AFTER_S));
    }
    if *kind == catalog::TOO_MANY_CONNECTIONS {
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
    }
    if *kind == catalog::UNSUPPORTED_ENCODING {
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hot_paths_are_told_apart() {
        let find = |method: Method, path: &'static str| Hot::find(&method, path);
        assert_eq!(find(Method::POST, "/v1/reservations"), Some(Hot::Reserve));
        assert_eq!(
            find(Method::POST, "/v1/reservations/batch"),
            Some(Hot::Batch)
        );
        assert_eq!(
            find(Method::POST, "/v1/reservations/rsv_1/ship"),
            Some(Hot::Act(ActKind::Ship, "rsv_1"))
        );
        assert_eq!(find(Method::GET, "/v1/atp/A:1"), Some(Hot::Atp("A:1")));
        for (method, path) in [
            (Method::GET, "/v1/reservations"),
            (Method::POST, "/v1/reservations/"),
            (Method::POST, "/v1/reservations/x/y/z"),
            (Method::POST, "/v1/reservationsx"),
            (Method::GET, "/v1/atp/"),
            (Method::GET, "/v1/atp/a%3Ab"),
            (Method::GET, "/v1/atp/a/b"),
            (Method::HEAD, "/v1/atp/a"),
            (Method::POST, "/v1/atp"),
        ] {
            assert_eq!(find(method, path), None, "{path}");
        }
    }
}
