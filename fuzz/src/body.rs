//! Arbitrary bytes as request bodies: reading them may refuse but must not panic, hang or take
//! memory out of proportion. What refuses must say so as a problem that is valid JSON; what is
//! read must be checked to the end, with every mistake at a pointer.

use std::cell::RefCell;
use std::sync::Arc;

use bytes::Bytes;
use holdfast::blocking::wait_for;
use holdfast::clock::Clock;
use holdfast::domain::{Ttl, UnixMillis};
use holdfast::engine::{Engine, EngineConfig};
use holdfast::http::HttpConfig;
use holdfast::http::app::{App, Content, Reply};
use holdfast::http::error::Problem;
use holdfast::http::json::Json;
use holdfast::http::routes::reservations::{self, ActKind};
use holdfast::http::routes::{atp, inbound, policy, shares, skus, stock};
use holdfast::ledger::embedded::storage::sim::SimStorage;
use holdfast::telemetry::Meters;
use hyper::header::HeaderValue;
use hyper::{HeaderMap, StatusCode};
use tokio::runtime::{Builder, Runtime};

/// Bodies that one engine is asked with; another follows, so that what they leave does not add up.
const USES: u32 = 4_096;

const ID: &str = "rsv_00000000000000000000000000";

struct Fixture {
    app: Arc<App>,
    headers: HeaderMap,
    runtime: Runtime,
    uses: u32,
}

thread_local! {
    static FIXTURE: RefCell<Fixture> = RefCell::new(Fixture::new());
}

impl Fixture {
    fn new() -> Self {
        let meters = Meters::new();
        let mut config = EngineConfig::new(Clock::manual(UnixMillis(1)), meters.clone());
        config.journal.segment_bytes = 1 << 20;
        config.journal.retain_bytes = 0;
        let engine = Engine::open_on(Arc::new(SimStorage::new()), config).unwrap();
        for channel in ["web", "live"] {
            wait_for(engine.make_channel(channel)).unwrap();
        }
        let http = HttpConfig::new(Ttl::from_millis(1_000).unwrap());
        let mut headers = HeaderMap::new();
        headers.insert("idempotency-key", HeaderValue::from_static("key"));
        Self {
            app: Arc::new(App::new(engine, meters, &http)),
            headers,
            runtime: Builder::new_current_thread().build().unwrap(),
            uses: 0,
        }
    }

    fn ask(&self, choice: u8, body: &[u8]) -> Result<Reply, Problem> {
        let (app, headers) = (&self.app, &self.headers);
        let act = |kind| reservations::act(app, kind, ID, headers, body);
        self.runtime.block_on(async {
            match choice {
                b'r' => reservations::reserve(app, headers, body).await,
                b'b' => reservations::batch(app, &Bytes::copy_from_slice(body)).await,
                b'c' => act(ActKind::Confirm).await,
                b'd' => act(ActKind::Release).await,
                b'e' => act(ActKind::Extend).await,
                b'f' => act(ActKind::Ship).await,
                b'g' => act(ActKind::Return).await,
                b'h' => act(ActKind::Transfer).await,
                b's' => stock::set(app, headers, body).await,
                b'a' => stock::adjust(app, headers, body).await,
                b't' => stock::transfer(app, headers, body).await,
                b'k' => skus::put(app, "a", headers, body).await,
                b'm' => shares::move_shares(app, headers, body).await,
                b'i' => inbound::put(app, headers, body).await,
                b'j' => inbound::receive(app, headers, body).await,
                b'p' => policy::put(app, Some("dry_run=true"), headers, body).await,
                b'q' => policy::rollback(app, headers, body).await,
                _ => atp::bulk(app, body).await,
            }
        })
    }
}

/// Sends a body to the route that its first byte names.
pub fn check(bytes: &[u8]) -> bool {
    let Some((choice, body)) = bytes.split_first() else {
        return false;
    };
    FIXTURE.with_borrow_mut(|fixture| {
        if fixture.uses == USES {
            *fixture = Fixture::new();
        }
        fixture.uses += 1;
        let answer = fixture.ask(*choice, body);
        let is_read = is_read(&answer);
        let mut json = Json::new();
        match answer {
            Ok(reply) => match reply.content {
                Content::Json(whole) => json = whole,
                Content::Problem(problem) => {
                    problem.write(&mut json, "/", "id", fixture.app.names());
                }
                Content::Other(..) => return true,
            },
            Err(problem) => problem.write(&mut json, "/", "id", fixture.app.names()),
        }
        let text = json.into_bytes();
        if let Err(error) = serde_json::from_slice::<serde_json::Value>(&text) {
            panic!("{error}: {}", String::from_utf8_lossy(&text));
        }
        is_read
    })
}

/// Whether a body was understood, whatever came of it.
fn is_read(answer: &Result<Reply, Problem>) -> bool {
    let problem = match answer {
        Ok(reply) => match &reply.content {
            Content::Problem(problem) => problem,
            Content::Json(_) | Content::Other(..) => return true,
        },
        Err(problem) => problem,
    };
    if matches!(problem, Problem::Refused(_)) {
        return true;
    }
    !matches!(
        problem.kind().status,
        StatusCode::BAD_REQUEST | StatusCode::UNPROCESSABLE_ENTITY
    )
}
