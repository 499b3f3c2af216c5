//! What operators and documentation readers ask for.

use std::sync::Arc;

use axum::extract::{Path, RawQuery, State};
use bytes::Bytes;
use hyper::StatusCode;

use crate::http::app::{App, Reply};
use crate::http::catalog::{self, Kind};
use crate::http::error::Problem;
use crate::http::{openapi as document, request};
use crate::ledger::MirrorHealth;

const TEXT: &str = "text/plain; charset=utf-8";
const HTML: &str = "text/html; charset=utf-8";
const PROMETHEUS: &str = "text/plain; version=0.0.4; charset=utf-8";
const JSON: &str = "application/json";
const SVG: &str = "image/svg+xml";

type Shared = State<Arc<App>>;

fn is_verbose(query: Option<&str>) -> bool {
    request::pairs(query).any(|(name, _)| name == "verbose")
}

/// One line per check, as Kubernetes answers them, and remarks where all is listed.
fn report(checks: &[(&str, bool)], remark: Option<&str>, verbose: bool) -> Reply {
    let good = checks.iter().all(|(_, good)| *good);
    let mut text = String::new();
    if verbose || !good {
        for (name, good) in checks {
            text.push_str(if *good { "[+]" } else { "[-]" });
            text.push_str(name);
            text.push_str(if *good { " ok\n" } else { " failed\n" });
        }
        text.extend(remark);
    }
    text.push_str(if good { "ok\n" } else { "not ready\n" });
    let status = if good {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    Reply {
        status,
        ..Reply::other(TEXT, Bytes::from(text))
    }
}

/// `GET /livez`: the process answers. That the journal failed is for `/readyz`: restarting is the
/// operator's decision, and the process ends by itself when it cannot go on.
pub async fn livez(RawQuery(query): RawQuery) -> Reply {
    report(&[("http", true)], None, is_verbose(query.as_deref()))
}

/// `GET /readyz`: new requests are welcome.
pub async fn readyz(State(app): Shared, RawQuery(query): RawQuery) -> Reply {
    let health = app.engine.health();
    let checks = [
        ("http", true),
        ("journal", !health.poisoned),
        ("store", health.is_safe),
        ("not-draining", !app.is_draining()),
    ];
    let mirror = health.mirror.map(remark);
    report(&checks, mirror.as_deref(), is_verbose(query.as_deref()))
}

/// The mirror makes nobody wait: without it the store is asked.
fn remark(mirror: MirrorHealth) -> String {
    match mirror {
        MirrorHealth::Filling => "[+]mirror filling\n".to_owned(),
        MirrorHealth::Whole(age) => format!("[+]mirror ok, whole {} ms ago\n", age.as_millis()),
    }
}

/// `GET /metrics`
pub async fn metrics(State(app): Shared) -> Result<Reply, Problem> {
    let meters = app.meters.clone();
    match tokio::task::spawn_blocking(move || meters.render()).await {
        Ok(text) => Ok(Reply::other(PROMETHEUS, Bytes::from(text))),
        Err(error) => {
            tracing::error!(%error, "rendering the metrics broke off");
            Err(Problem::plain(&catalog::INTERNAL, catalog::INTERNAL.help))
        }
    }
}

/// `GET /openapi.json`
pub async fn openapi() -> Reply {
    Reply::other(JSON, Bytes::from_static(document::text().as_bytes()))
}

/// `GET /docs`
pub async fn docs() -> Reply {
    Reply::other(
        HTML,
        Bytes::from_static(include_bytes!("../pages/docs.html")),
    )
}

/// `GET /favicon.ico`
pub async fn icon() -> Reply {
    Reply::other(SVG, Bytes::from_static(include_bytes!("../pages/icon.svg")))
}

/// `GET /`
pub async fn landing() -> Reply {
    Reply::other(
        HTML,
        Bytes::from_static(include_bytes!("../pages/landing.html")),
    )
}

fn page(title: &str, body: &str) -> Reply {
    let page = include_str!("../pages/problem.html").replace("{title}", title);
    Reply::other(HTML, Bytes::from(page.replace("{body}", body)))
}

fn entry(kind: &Kind) -> String {
    format!(
        "<dt><a href=\"/problems/{0}\"><code>{0}</code></a> <span>{1}</span></dt><dd>{2}. {3}</dd>",
        kind.code,
        kind.status.as_u16(),
        kind.title,
        kind.help
    )
}

/// `GET /problems`
pub async fn problems() -> Reply {
    let body: String = catalog::ALL.iter().map(|kind| entry(kind)).collect();
    page("Problems", &body)
}

/// `GET /problems/{code}`
pub async fn problem(Path(code): Path<String>) -> Result<Reply, Problem> {
    match catalog::by_code(&code) {
        Some(kind) => Ok(page(kind.title, &entry(kind))),
        None => Err(Problem::plain(
            &catalog::NOT_FOUND,
            "No problem has this code.",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::app::Content;

    fn text(reply: &Reply) -> String {
        match &reply.content {
            Content::Other(_, bytes) => String::from_utf8(bytes.to_vec()).unwrap(),
            Content::Json(_) | Content::Problem(_) => String::new(),
        }
    }

    #[test]
    fn a_failed_check_is_named_and_not_ready() {
        let reply = report(&[("http", true), ("journal", false)], None, false);
        assert_eq!(reply.status, StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(text(&reply), "[+]http ok\n[-]journal failed\nnot ready\n");
        assert_eq!(text(&report(&[("http", true)], None, false)), "ok\n");
        let listed = text(&report(&[("http", true)], Some("more\n"), true));
        assert_eq!(listed, "[+]http ok\nmore\nok\n");
    }
}
