//! Arbitrary bytes as request bodies: reading them may refuse but must not panic, hang or take
//! memory out of proportion. What refuses must say so as a problem that is valid JSON; what is
//! read must be checked to the end, with every mistake at a pointer.

#![no_main]

use std::sync::{Arc, LazyLock};

use holdfast::clock::Clock;
use holdfast::domain::{Ttl, UnixMillis};
use holdfast::engine::{Engine, EngineConfig};
use bytes::Bytes;
use holdfast::http::HttpConfig;
use holdfast::http::app::{App, Content};
use holdfast::http::json::Json;
use holdfast::http::routes::reservations::{self, ActKind};
use holdfast::http::routes::{atp, skus, stock};
use holdfast::ledger::embedded::storage::sim::SimStorage;
use holdfast::telemetry::Meters;
use hyper::HeaderMap;
use hyper::header::HeaderValue;
use libfuzzer_sys::fuzz_target;
use tokio::runtime::{Builder, Runtime};

struct Fixture {
    app: Arc<App>,
    headers: HeaderMap,
    runtime: Runtime,
}

static FIXTURE: LazyLock<Fixture> = LazyLock::new(|| {
    let meters = Meters::new();
    let mut config = EngineConfig::new(Clock::manual(UnixMillis(1)), meters.clone());
    config.journal.segment_bytes = 1 << 20;
    config.journal.retain_bytes = 0;
    let engine = Engine::open_on(Arc::new(SimStorage::new()), config).unwrap();
    let http = HttpConfig::new(Ttl::from_millis(1_000).unwrap());
    let mut headers = HeaderMap::new();
    headers.insert("idempotency-key", HeaderValue::from_static("key"));
    Fixture {
        app: Arc::new(App::new(engine, meters, &http)),
        headers,
        runtime: Builder::new_current_thread().build().unwrap(),
    }
});

const ID: &str = "rsv_00000000000000000000000000";

fuzz_target!(|bytes: &[u8]| {
    let Some((choice, body)) = bytes.split_first() else {
        return;
    };
    let Fixture {
        app,
        headers,
        runtime,
    } = &*FIXTURE;
    let answer = runtime.block_on(async {
        match choice % 12 {
            0 => reservations::reserve(app, headers, body).await,
            1 => reservations::batch(app, &Bytes::copy_from_slice(body)).await,
            2 => reservations::act(app, ActKind::Confirm, ID, headers, body).await,
            3 => reservations::act(app, ActKind::Release, ID, headers, body).await,
            4 => reservations::act(app, ActKind::Extend, ID, headers, body).await,
            5 => reservations::act(app, ActKind::Ship, ID, headers, body).await,
            6 => reservations::act(app, ActKind::Return, ID, headers, body).await,
            7 => reservations::act(app, ActKind::Transfer, ID, headers, body).await,
            8 => stock::set(app, headers, body).await,
            9 => stock::adjust(app, headers, body).await,
            10 => skus::put(app, "a", headers, body).await,
            _ => atp::bulk(app, body).await,
        }
    });
    let mut json = Json::new();
    match answer {
        Ok(reply) => match reply.content {
            Content::Json(whole) => json = whole,
            Content::Problem(problem) => problem.write(&mut json, "/", "id", app.names()),
            Content::Other(..) => return,
        },
        Err(problem) => problem.write(&mut json, "/", "id", app.names()),
    }
    let text = json.into_bytes();
    if let Err(error) = serde_json::from_slice::<serde_json::Value>(&text) {
        panic!("{error}: {}", String::from_utf8_lossy(&text));
    }
});
