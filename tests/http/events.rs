//! The event feed: pages and streams.

use std::io::BufRead;
use std::sync::Arc;

use holdfast::http::answers;
use serde_json::{Value, json};

use crate::stuck::{Gate, Opened};
use crate::support::{Client, Running, config};

/// A little history; returns the reservation's id.
fn history(server: &Running) -> String {
    server.stock("a", 10);
    let mut client = server.client();
    let body = r#"{"channel":"tmall","reference":"o1","lines":[{"sku":"a","quantity":2}]}"#;
    let made = client.post("/v1/reservations", "k1", body).expect(201);
    let id = made["id"].as_str().unwrap().to_owned();
    let body = r#"{"channel":"tmall","lines":[{"sku":"a","quantity":20}]}"#;
    client
        .post("/v1/reservations", "k2", body)
        .problem(409, "insufficient_stock");
    client
        .post(&format!("/v1/reservations/{id}/confirm"), "k3", "")
        .expect(200);
    client
        .call(
            "PUT",
            "/v1/skus/a",
            &[("if-match", "*")],
            br#"{"low_water":3}"#,
        )
        .expect(200);
    id
}

fn types(page: &Value) -> Vec<&str> {
    page["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|e| e["type"].as_str().unwrap())
        .collect()
}

#[test]
fn pages_follow_each_other() {
    let server = Running::start();
    let id = history(&server);
    let mut client = server.client();
    let answer = client.get("/v1/events?limit=1000");
    let all = answer.expect(200);
    let typed: answers::EventPage = serde_json::from_slice(&answer.body).unwrap();
    assert!(
        typed
            .data
            .iter()
            .zip(1..)
            .all(|(event, n)| event.sequence == n),
        "without gaps"
    );
    let found = types(&all);
    for expected in [
        "node.named",
        "channel.named",
        "stock.set",
        "reservation.created",
        "command.refused",
        "reservation.confirmed",
        "sku.settings_changed",
    ] {
        assert!(found.contains(&expected), "{expected}: {found:?}");
    }
    let created = &all["data"][found
        .iter()
        .position(|t| *t == "reservation.created")
        .unwrap()];
    assert_eq!(created["reservation"], id);
    assert_eq!(
        (&created["channel"], &created["reference"]),
        (&json!("tmall"), &json!("o1"))
    );
    assert_eq!(created["at"], "2026-11-11T12:00:00.000Z");
    let refused = &all["data"][found.iter().position(|t| *t == "command.refused").unwrap()];
    assert_eq!(refused["code"], "insufficient_stock");

    let mut paged = Vec::new();
    let mut after = "0".to_owned();
    loop {
        let page = client
            .get(&format!("/v1/events?after={after}&limit=2"))
            .expect(200);
        let data = page["data"].as_array().unwrap().clone();
        after = page["next"].as_str().unwrap().to_owned();
        if data.is_empty() {
            break;
        }
        paged.extend(data);
    }
    assert_eq!(&Value::from(paged), &all["data"]);
    let position = all["data"][1]["position"].as_str().unwrap();
    let rest = client
        .get(&format!("/v1/events?after={position}"))
        .expect(200);
    assert_eq!(rest["data"][0], all["data"][2]);
    for bad in ["after=x", "limit=0", "limit=1001", "before=1"] {
        client
            .get(&format!("/v1/events?{bad}"))
            .problem(400, "invalid_parameter");
    }
}

/// The lines of a stream, without the chunk frames around them.
fn until(client: &mut Client, wanted: &str) -> Vec<String> {
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        assert!(
            client.stream.read_line(&mut line).unwrap() > 0,
            "the stream ended: {lines:?}"
        );
        let line = line.trim_end().to_owned();
        let done = line.contains(wanted);
        lines.push(line);
        if done {
            return lines;
        }
    }
}

#[test]
fn a_stream_goes_on_where_it_was_left() {
    let mut server = Running::start();
    history(&server);
    let last = server.client().get("/v1/events?limit=1000").expect(200);
    let last = last["next"].as_str().unwrap().to_owned();
    let mut client = server.client();
    let accept = ("accept", "text/event-stream");
    client.send("GET", "/v1/events", &[accept], b"");
    let (status, headers) = client.head();
    assert_eq!(status, 200);
    assert!(headers.contains(&("content-type".to_owned(), "text/event-stream".to_owned())));
    let lines = until(&mut client, "data: {\"position\":\"0.1.1\"");
    assert!(lines.contains(&"id: 0.1.1".to_owned()), "{lines:?}");
    let lines = until(&mut client, "sku.settings_changed\",");
    assert!(lines.contains(&"event: reservation.created".to_owned()));

    let mut resumed = server.client();
    resumed.send(
        "GET",
        "/v1/events",
        &[accept, ("last-event-id", &last)],
        b"",
    );
    let (status, headers) = resumed.head();
    assert_eq!(status, 200);
    assert!(headers.iter().any(|(name, _)| name == "x-request-id"));
    server.stock("b", 1);
    for stream in [&mut client, &mut resumed] {
        let lines = until(stream, "\"type\":\"stock.set\"");
        let first_id = lines.iter().find(|line| line.starts_with("id: ")).unwrap();
        let next: u64 = last.rsplit('.').next().unwrap().parse::<u64>().unwrap() + 1;
        assert_eq!(first_id, &format!("id: 0.1.{next}"), "{lines:?}");
    }
    let mut bad = server.client();
    let answer = bad.call("GET", "/v1/events", &[accept, ("last-event-id", "x")], b"");
    answer.problem(400, "invalid_parameter");

    server.begin_stop();
    server.join();
    until(&mut client, "0");
    assert!(
        client
            .stream
            .lines()
            .map_while(Result::ok)
            .all(|line| line.is_empty())
    );
}

#[test]
fn streams_are_limited() {
    let mut config = config();
    config.streams_max = 1;
    let server = Running::with(&config);
    let accept = [("accept", "text/event-stream")];
    let mut first = server.client();
    first.send("GET", "/v1/events", &accept, b"");
    assert_eq!(first.head().0, 200);
    let answer = server.client().call("GET", "/v1/events", &accept, b"");
    answer.problem(503, "overloaded");
    assert_eq!(answer.header("retry-after"), Some("1"));
}

#[test]
fn events_that_are_not_kept_are_gone() {
    let server = Running::with_engine(&config(), |engine| {
        engine.journal.segment_bytes = 16 << 10;
        engine.journal.retain_bytes = 0;
    });
    server.stock("a", 1_000);
    let mut client = server.client();
    for n in 0..600 {
        let body = r#"{"channel":"tmall","lines":[{"sku":"a","quantity":1}]}"#;
        client
            .post("/v1/reservations", &format!("k{n}"), body)
            .expect(201);
        if n % 200 == 199 {
            server.engine.snapshot().unwrap();
        }
    }
    let problem = client.get("/v1/events?after=0").problem(410, "events_gone");
    let oldest = problem["oldest"].as_u64().unwrap();
    assert!(oldest > 1);
    let accept = [("accept", "text/event-stream"), ("last-event-id", "0")];
    client
        .call("GET", "/v1/events", &accept, b"")
        .problem(410, "events_gone");
    let page = client
        .get(&format!("/v1/events?after={}", oldest - 1))
        .expect(200);
    assert_eq!(page["data"][0]["sequence"], oldest);
}

#[test]
fn a_place_that_was_lost_is_gone() {
    let server = Running::start();
    history(&server);
    let mut client = server.client();
    let last = client.get("/v1/events?limit=1000").expect(200);
    let last = last["next"].as_str().unwrap().to_owned();
    let bare = last.strip_prefix("0.1.").unwrap();
    for good in [&last, bare, "0.0.0", "0"] {
        client.get(&format!("/v1/events?after={good}")).expect(200);
    }
    let end = client.get(&format!("/v1/events?after={bare}")).expect(200);
    assert_eq!(end, json!({"data": [], "next": last}));
    for lost in [
        format!("0.2.{bare}"),
        "0.2.1".to_owned(),
        format!("{bare}0"),
    ] {
        let problem = client.get(&format!("/v1/events?after={lost}"));
        let problem = problem.problem(410, "events_gone");
        assert!(problem["detail"].as_str().unwrap().contains("anew"));
        let accept = [("accept", "text/event-stream"), ("last-event-id", &*lost)];
        let answer = server.client().call("GET", "/v1/events", &accept, b"");
        answer.problem(410, "events_gone");
    }
}

/// A refusal is answered before its own record is durable; whoever read on from there was told that
/// it had been lost.
#[test]
fn a_place_that_is_not_durable_yet_is_waited_for() {
    let gate = Arc::new(Gate::default());
    let server = Running::behind(&gate, &config());
    let _opened = Opened(&gate);
    server.stock("a", 0);
    gate.set_shut(true);
    let mut client = server.client();
    let body = r#"{"channel":"web","lines":[{"sku":"a","quantity":1}]}"#;
    let refused = client.post("/v1/reservations", "k", body);
    refused.problem(409, "insufficient_stock");
    let place = refused.header("holdfast-position").unwrap();
    let after = |client: &mut Client| client.get(&format!("/v1/events?after={place}")).expect(200);
    assert_eq!(after(&mut client), json!({"data": [], "next": place}));
    for never in ["0.1.99", "0.2.4"] {
        client
            .get(&format!("/v1/events?after={never}"))
            .problem(410, "events_gone");
    }
    gate.set_shut(false);
    client
        .post("/v1/reservations", "k", body)
        .problem(409, "insufficient_stock");
    assert_eq!(after(&mut client), json!({"data": [], "next": place}));
}
