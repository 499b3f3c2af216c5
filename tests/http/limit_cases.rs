//! How each limit is exceeded by one.

use std::fmt::Display;
use std::sync::Arc;
use std::time::Duration;

use holdfast::blocking::wait_for;
use holdfast::domain::Sku;
use holdfast::engine::EngineConfig;
use holdfast::http::HttpConfig;
use holdfast::limits::{
    ATP_SKUS_MAX, BATCH_BODY_BYTES_MAX, BATCH_LINES_MAX, BATCH_MAX, BODY_BYTES_MAX, CHANNELS_MAX,
    DEFICITS_PAGE_MAX, EVENTS_PAGE_MAX, HEAD_BYTES_MAX, HEADERS_MAX, INBOUND_ITEMS_MAX,
    INBOUND_OPEN_MAX, KEY_BYTES_MAX, LARGE_BODIES_BYTES_MAX, LINES_MAX, NAME_BYTES_MAX, NODES_MAX,
    POLICY_BYTES_MAX, POLICY_CAMPAIGNS_MAX, POLICY_CHANGE_SETS_MAX, POLICY_FALLBACKS_MAX,
    POLICY_LEVELS_MAX, POLICY_RULES_MAX, POLICY_SKUS_MAX, POLICY_VERSIONS_KEPT,
    REFERENCE_BYTES_MAX, SAFETY_NODES_MAX, SKU_BYTES_MAX, STOCK_ITEMS_MAX, TARGET_BYTES_MAX,
    TEXT_BYTES_MAX, TTL_MS_MAX, UNITS_MAX,
};
use serde_json::{Value, json};

use crate::limits::Over;
use crate::stuck::{Gate, Opened};
use crate::support::{Client, Running, config, until};

const RESERVE: &str = "/v1/reservations";
const BATCH: &str = "/v1/reservations/batch";

/// What a fresh server answers to this.
fn posted(path: &str, body: &Value) -> Over {
    let server = Running::start();
    let answer = server.client().post(path, "k", &body.to_string());
    Over(server, answer)
}

fn reserved(body: &Value) -> Over {
    posted(RESERVE, body)
}

fn line(sku: &str, quantity: u64) -> Value {
    json!({"sku": sku, "quantity": quantity})
}

fn hold(channel: &str, lines: &[Value]) -> Value {
    json!({"channel": channel, "lines": lines})
}

fn got(path: impl Display) -> Over {
    let server = Running::start();
    let answer = server.client().get(&path.to_string());
    Over(server, answer)
}

/// What a fresh server says to these bytes.
fn sent(bytes: &str) -> Over {
    let server = Running::start();
    let mut client = server.client();
    client.write(bytes.as_bytes());
    let answer = client.receive();
    Over(server, answer)
}

/// So many, made of their numbers.
fn many<T>(count: usize, make: impl Fn(usize) -> T) -> Vec<T> {
    (0..count).map(make).collect()
}

pub(crate) fn units() -> Over {
    reserved(&hold("c", &[line("a", UNITS_MAX + 1)]))
}

pub(crate) fn sku() -> Over {
    reserved(&hold("c", &[line(&"s".repeat(SKU_BYTES_MAX + 1), 1)]))
}

pub(crate) fn name() -> Over {
    reserved(&hold(&"c".repeat(NAME_BYTES_MAX + 1), &[line("a", 1)]))
}

fn stock_at(client: &mut Client, nodes: std::ops::Range<usize>) -> crate::support::Answer {
    let key = format!("nodes-{}", nodes.start);
    let item = |node| json!({"sku": "a", "node": format!("n{node}"), "on_hand": 1});
    let items: Vec<Value> = nodes.map(item).collect();
    let body = json!({"items": items, "reason": "r"}).to_string();
    client.post("/v1/stock", &key, &body)
}

pub(crate) fn nodes() -> Over {
    let server = Running::start();
    let mut client = server.client();
    // One name is the default node's.
    for from in (0..NODES_MAX - 1).step_by(STOCK_ITEMS_MAX) {
        let until = (from + STOCK_ITEMS_MAX).min(NODES_MAX - 1);
        stock_at(&mut client, from..until).expect(200);
    }
    let answer = stock_at(&mut client, NODES_MAX..NODES_MAX + 1);
    Over(server, answer)
}

pub(crate) fn channels() -> Over {
    let server = Running::start();
    server.stock("a", 1);
    for n in 0..CHANNELS_MAX {
        let _full = wait_for(server.engine.make_channel(&format!("c{n}"))).is_err();
    }
    let body = hold("one-more", &[line("a", 1)]).to_string();
    let answer = server.client().post(RESERVE, "k", &body);
    Over(server, answer)
}

fn policy(document: &Value) -> Over {
    let server = Running::start();
    let body = document.to_string();
    let mut client = server.client();
    let answer = client.call("PUT", "/v1/policy", &[], body.as_bytes());
    Over(server, answer)
}

pub(crate) fn policy_levels() -> Over {
    let entry = |at: usize| match at {
        0 => json!({"name": "c0"}),
        _ => json!({"name": format!("c{at}"), "parent": format!("c{}", at - 1)}),
    };
    policy(&json!({"channels": many(POLICY_LEVELS_MAX + 1, entry)}))
}

pub(crate) fn policy_fallbacks() -> Over {
    let mut channels = many(
        POLICY_FALLBACKS_MAX + 1,
        |at| json!({"name": format!("f{at}")}),
    );
    let fallback = many(POLICY_FALLBACKS_MAX + 1, |at| format!("f{at}"));
    channels.push(json!({"name": "c", "fallback": fallback}));
    policy(&json!({"channels": channels}))
}

pub(crate) fn policy_rules() -> Over {
    let rule = |at| json!({"id": at, "sku": at, "limits": []});
    policy(&json!({"rules": many(POLICY_RULES_MAX + 1, |at| rule(at.to_string()))}))
}

pub(crate) fn policy_change_sets() -> Over {
    let set = |at: usize| {
        json!({"name": at.to_string(), "from": "2027-01-01T00:00:00Z",
            "until": "2027-01-02T00:00:00Z", "rules": []})
    };
    policy(&json!({"change_sets": many(POLICY_CHANGE_SETS_MAX + 1, set)}))
}

pub(crate) fn policy_campaigns() -> Over {
    let campaign = |at: usize| {
        json!({"name": at.to_string(), "from": "2027-01-01T00:00:00Z",
            "until": "2027-01-02T00:00:00Z", "skus": [at.to_string()], "limits": []})
    };
    policy(&json!({"campaigns": many(POLICY_CAMPAIGNS_MAX + 1, campaign)}))
}

pub(crate) fn policy_skus() -> Over {
    let skus = many(POLICY_SKUS_MAX + 1, |at| at.to_string());
    policy(&json!({"sets": [{"name": "s", "skus": skus}]}))
}

pub(crate) fn policy_bytes() -> Over {
    let server = Running::start();
    let body = vec![b' '; POLICY_BYTES_MAX + 1];
    let answer = server.client().call("PUT", "/v1/policy", &[], &body);
    Over(server, answer)
}

pub(crate) fn policy_versions() -> Over {
    let server = Running::start();
    let mut client = server.client();
    for percent in 0..=POLICY_VERSIONS_KEPT {
        let limits = json!([{"channel": "c", "cap": {"percent": percent}}]);
        let rules = json!([{"id": "r", "default": true, "limits": limits}]);
        let body = json!({"channels": [{"name": "c"}], "rules": rules}).to_string();
        let headers = [("if-match", "*")];
        client
            .call("PUT", "/v1/policy", &headers, body.as_bytes())
            .expect(200);
    }
    let body = br#"{"version":1}"#;
    let headers = [("if-match", "*")];
    let answer = client.call("POST", "/v1/policy/rollback", &headers, body);
    Over(server, answer)
}

pub(crate) fn key() -> Over {
    let server = Running::start();
    let key = "k".repeat(KEY_BYTES_MAX + 1);
    let answer = server.client().post(RESERVE, &key, "{}");
    Over(server, answer)
}

pub(crate) fn reference() -> Over {
    let mut body = hold("c", &[line("a", 1)]);
    body["reference"] = "r".repeat(REFERENCE_BYTES_MAX + 1).into();
    reserved(&body)
}

pub(crate) fn text() -> Over {
    let items = json!([{"sku": "a", "on_hand": 1}]);
    let body = json!({"items": items, "reason": "r".repeat(TEXT_BYTES_MAX + 1)});
    posted("/v1/stock", &body)
}

pub(crate) fn lines() -> Over {
    reserved(&hold(
        "c",
        &many(LINES_MAX + 1, |at| line(&at.to_string(), 1)),
    ))
}

pub(crate) fn stock_items() -> Over {
    let item = |at: usize| json!({"sku": at.to_string(), "on_hand": 1});
    let body = json!({"items": many(STOCK_ITEMS_MAX + 1, item), "reason": "r"});
    posted("/v1/stock", &body)
}

fn supply(at: usize, due: &str) -> Value {
    json!({"id": at.to_string(), "sku": "a", "kind": "in_transit", "due": due, "quantity": 1})
}

pub(crate) fn inbound_items() -> Over {
    let items = many(INBOUND_ITEMS_MAX + 1, |at| supply(at, "2026-11-20"));
    posted("/v1/inbound", &json!({"items": items}))
}

pub(crate) fn inbound_open() -> Over {
    let items = many(INBOUND_OPEN_MAX + 1, |at| supply(at, "2026-11-20"));
    posted("/v1/inbound", &json!({"items": items}))
}

/// 2026-11-11 and 181 days, of which 180 are allowed.
pub(crate) fn inbound_days() -> Over {
    posted("/v1/inbound", &json!({"items": [supply(0, "2027-05-11")]}))
}

pub(crate) fn safety_nodes() -> Over {
    let server = Running::start();
    let level = |at: usize| json!({"node": format!("n{at}"), "units": 1});
    let body = json!({"node_safety": many(SAFETY_NODES_MAX + 1, level)}).to_string();
    let headers = [("if-match", "*")];
    let answer = server
        .client()
        .call("PUT", "/v1/skus/a", &headers, body.as_bytes());
    Over(server, answer)
}

fn batch_of(count: usize, lines: usize) -> Over {
    let lines = many(lines, |at| line(&at.to_string(), 1));
    let one = |at: usize| json!({"key": at.to_string(), "channel": "c", "lines": lines});
    posted(BATCH, &json!({"reservations": many(count, one)}))
}

pub(crate) fn batch() -> Over {
    batch_of(BATCH_MAX + 1, 1)
}

pub(crate) fn batch_lines() -> Over {
    let lines = BATCH_LINES_MAX / BATCH_MAX + 1;
    batch_of(BATCH_LINES_MAX / lines + 1, lines)
}

pub(crate) fn atp_skus() -> Over {
    let skus = many(ATP_SKUS_MAX + 1, |at| at.to_string());
    posted("/v1/atp", &json!({"skus": skus}))
}

pub(crate) fn events_page() -> Over {
    got(format_args!("/v1/events?limit={}", EVENTS_PAGE_MAX + 1))
}

pub(crate) fn deficits_page() -> Over {
    got(format_args!("/v1/deficits?limit={}", DEFICITS_PAGE_MAX + 1))
}

pub(crate) fn ttl() -> Over {
    let mut body = hold("c", &[line("a", 1)]);
    body["ttl_seconds"] = (TTL_MS_MAX / 1_000 + 1).into();
    reserved(&body)
}

fn spaces(path: &str, count: usize) -> Over {
    let server = Running::start();
    let headers = [("idempotency-key", "k")];
    let answer = server
        .client()
        .call("POST", path, &headers, &vec![b' '; count]);
    Over(server, answer)
}

pub(crate) fn body() -> Over {
    spaces(RESERVE, BODY_BYTES_MAX + 1)
}

pub(crate) fn batch_body() -> Over {
    spaces(BATCH, BATCH_BODY_BYTES_MAX + 1)
}

/// Bodies are announced, and room is kept for them; the last finds none.
pub(crate) fn large_bodies() -> Over {
    let server = Running::start();
    let mut announced = many(LARGE_BODIES_BYTES_MAX / BATCH_BODY_BYTES_MAX, |_| {
        server.client()
    });
    let head = format!(
        "POST {BATCH} HTTP/1.1\r\nhost: t\r\nexpect: 100-continue\r\n\
         content-length: {BATCH_BODY_BYTES_MAX}\r\n\r\n"
    );
    for client in &mut announced {
        client.write(head.as_bytes());
        assert_eq!(client.head().0, 100);
    }
    let mut over = server.client();
    over.write(head.as_bytes());
    let answer = over.receive();
    Over(server, answer)
}

pub(crate) fn head() -> Over {
    let long = "y".repeat(HEAD_BYTES_MAX);
    sent(&format!(
        "GET /livez HTTP/1.1\r\nhost: t\r\nx: {long}\r\n\r\n"
    ))
}

pub(crate) fn headers() -> Over {
    let more = "x: y\r\n".repeat(HEADERS_MAX);
    sent(&format!("GET /livez HTTP/1.1\r\nhost: t\r\n{more}\r\n"))
}

pub(crate) fn target() -> Over {
    let path = "/v1/atp/a?channel=";
    got(format_args!(
        "{path}{}",
        "c".repeat(TARGET_BYTES_MAX + 1 - path.len())
    ))
}

/// A server with these limits, with connections at work in all its places, and what it says to one more.
fn crowded(config: &HttpConfig, places: usize) -> Over {
    let server = Running::with(config);
    let mut working = many(places, |_| server.client());
    for client in &mut working {
        let head = "POST /v1/reservations HTTP/1.1\r\nhost: t\r\nexpect: 100-continue\r\n\
                    idempotency-key: k\r\ncontent-length: 9\r\n\r\n";
        client.write(head.as_bytes());
        assert_eq!(client.head().0, 100);
    }
    let answer = server.client().receive();
    for client in &mut working {
        client.write(&[b' '; 9]);
        client.receive().problem(400, "malformed_body");
    }
    drop(working);
    // There is a place again as soon as the server has seen the end of one.
    until(|| server.client().get("/livez").status == 200);
    Over(server, answer)
}

pub(crate) fn guests() -> Over {
    let mut config = config();
    (config.connections_max, config.guests_max) = (3, 0);
    crowded(&config, 3)
}

pub(crate) fn connections_of_address() -> Over {
    let mut config = config();
    config.connections_each = 3;
    crowded(&config, 3)
}

pub(crate) fn streams() -> Over {
    let mut config = config();
    config.streams_max = 1;
    let server = Running::with(&config);
    let mut first = server.client();
    let ask = |client: &mut Client| {
        client.send("GET", "/v1/events", &[("accept", "text/event-stream")], b"");
    };
    ask(&mut first);
    assert_eq!(first.head().0, 200);
    let mut second = server.client();
    ask(&mut second);
    let answer = second.receive();
    Over(server, answer)
}

fn impatient() -> HttpConfig {
    let mut config = config();
    config.sweep = Duration::from_millis(5);
    config
}

pub(crate) fn slow_head() -> Over {
    let mut config = impatient();
    config.header = Duration::from_millis(500);
    let server = Running::with(&config);
    let mut client = server.client();
    client.write(b"GET /livez HT");
    let answer = client.receive();
    Over(server, answer)
}

pub(crate) fn slow_body() -> Over {
    let mut config = impatient();
    config.request = Duration::from_millis(500);
    let server = Running::with(&config);
    let mut client = server.client();
    let head = "POST /v1/reservations HTTP/1.1\r\nhost: t\r\nidempotency-key: k\r\n";
    client.write(format!("{head}content-length: 9\r\n\r\n{{").as_bytes());
    let answer = client.receive();
    Over(server, answer)
}

pub(crate) fn slow_work() -> Over {
    let gate = Arc::new(Gate::default());
    let mut config = impatient();
    config.work = Duration::from_millis(500);
    let server = Running::behind(&gate, &config);
    let opened = Opened(&gate);
    gate.set_shut(true);
    let body = r#"{"items":[{"sku":"a","on_hand":1}],"reason":"r"}"#;
    let answer = server.client().post("/v1/stock", "k", body);
    drop(opened);
    Over(server, answer)
}

/// The disk hangs, and what one command leaves for it is more than may wait.
pub(crate) fn journal_queue() -> Over {
    let gate = Arc::new(Gate::default());
    let adjust = |engine: &mut EngineConfig| engine.journal.queue_bytes_max = 1_024;
    let server = Running::behind_with(&gate, &config(), adjust);
    let opened = Opened(&gate);
    gate.set_shut(true);
    let items = many(100, |at| json!({"sku": format!("s{at}"), "on_hand": 1}));
    let body = json!({"items": items, "reason": "r"}).to_string();
    let mut first = server.client();
    let headers = [("idempotency-key", "first")];
    first.send("POST", "/v1/stock", &headers, body.as_bytes());
    let is_done = || {
        let sku = Sku::new("s99").unwrap();
        wait_for(server.engine.stock(sku)).unwrap().is_some()
    };
    while !is_done() {
        std::thread::yield_now();
    }
    let body = hold("c", &[line("s0", 1)]).to_string();
    let answer = server.client().post(RESERVE, "second", &body);
    drop(opened);
    first.receive().expect(200);
    Over(server, answer)
}

/// They are counted in bunches, so that a few more may pass.
pub(crate) fn records() -> Over {
    let server = Running::with_engine(&config(), |engine| engine.retention.records_max = 1);
    server.stock("a", 100_000);
    let body = hold("c", &[line("a", 1)]).to_string();
    let mut client = server.client();
    let mut answers = (0..100_000).map(|at| client.post(RESERVE, &format!("k{at}"), &body));
    let answer = answers.find(|answer| answer.status != 201).unwrap();
    Over(server, answer)
}
