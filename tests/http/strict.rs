//! What was meant is done or refused: shapes, lengths, parameters and heads that other servers let
//! pass in silence.

use serde_json::{Value, json};

use crate::support::{Client, Running};

const RESERVE: &str = "/v1/reservations";
const BATCH: &str = "/v1/reservations/batch";
const GOOD: &str = r#"{"channel":"c","lines":[{"sku":"a","quantity":1}]}"#;

/// serde takes an array for a struct, member by member; a caller who leaves one out shifts the rest.
#[test]
fn an_array_is_no_object_at_any_depth() {
    let server = Running::start();
    server.stock("a", 9);
    let mut client = server.client();
    let cases = [
        (
            RESERVE,
            r#"{"channel":"c","lines":[["a",1,null]]}"#,
            "lines[0]",
        ),
        (
            BATCH,
            r#"{"reservations":[["k","c",null,null,null,[]]]}"#,
            "reservations[0]",
        ),
        (
            BATCH,
            r#"{"reservations":[{"key":"k","channel":"c","lines":[["a",1,null]]}]}"#,
            "reservations[0].lines[0]",
        ),
        (
            "/v1/stock",
            r#"{"items":[["a",null,1,null,null]],"reason":"r"}"#,
            "items[0]",
        ),
        (
            "/v1/stock/adjustments",
            r#"{"items":[["a",null,1,null,null]],"reason":"r"}"#,
            "items[0]",
        ),
        (
            "/v1/stock/transfers",
            r#"{"items":[["a","main","b",1]],"reason":"r"}"#,
            "items[0]",
        ),
    ];
    for (path, body, place) in cases {
        let problem = client.post(path, "k", body).problem(400, "malformed_body");
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.starts_with(&format!("{place}: ")), "{detail}");
        assert!(detail.contains("expected an object"), "{detail}");
    }
    let body = br#"{"safety_stock":[1,null]}"#;
    let answer = client.call("PUT", "/v1/skus/a", &[("if-match", "*")], body);
    let problem = answer.problem(400, "malformed_body");
    let detail = problem["detail"].as_str().unwrap();
    assert!(detail.starts_with("safety_stock: "), "{detail}");
}

fn repeated(open: &str, element: &str, count: usize, close: &str) -> String {
    format!("{open}{}{close}", vec![element; count].join(","))
}

/// The text after the element too many is no JSON any more: it must not be looked at.
#[test]
fn a_list_is_not_read_beyond_its_limit() {
    let server = Running::start();
    let mut client = server.client();
    let lines = |count| repeated("[", "{}", count, "");
    let nine = format!(r#"{{"lines":{}]}}"#, lines(9));
    let items = r#"{"reason":"r","items":["#;
    let cases = [
        (RESERVE, format!(r#"{{"lines":{}"#, lines(501)), "/lines"),
        (
            BATCH,
            format!(r#"{{"reservations":{}"#, lines(8_193)),
            "/reservations",
        ),
        (
            BATCH,
            format!(r#"{{"reservations":[{{}},{{"lines":{}"#, lines(501)),
            "/reservations/1/lines",
        ),
        (
            BATCH,
            repeated(r#"{"reservations":["#, &nine, 7_282, ""),
            "/reservations",
        ),
        ("/v1/stock", repeated(items, "{}", 1_001, ""), "/items"),
        (
            "/v1/stock/adjustments",
            repeated(items, "{}", 1_001, ""),
            "/items",
        ),
        (
            "/v1/stock/transfers",
            repeated(items, "{}", 1_001, ""),
            "/items",
        ),
        (
            "/v1/atp",
            repeated(r#"{"skus":["#, r#""a""#, 1_001, ""),
            "/skus",
        ),
    ];
    for (path, body, pointer) in cases {
        let body = format!("{body} and so on");
        let problem = client.post(path, "k", &body).problem(422, "invalid_body");
        assert_eq!(problem["errors"][0]["pointer"], pointer, "{path}");
        assert_eq!(problem["errors"][0]["code"], "too_many", "{path}");
    }
}

#[test]
fn a_detail_does_not_repeat_what_is_long() {
    let server = Running::start();
    let mut client = server.client();
    let long = "é".repeat(100_000);
    for body in [
        format!(r#"{{"ttl_seconds":"{long}"}}"#),
        format!(r#"{{"{long}":1}}"#),
        format!(r#"{{"lines":[{{"{long}":1}}]}}"#),
    ] {
        let answer = client.post(RESERVE, "k", &body);
        let problem = answer.problem(400, "malformed_body");
        assert!(answer.body.len() < 4_000, "{}", answer.body.len());
        assert!(
            problem["detail"]
                .as_str()
                .unwrap()
                .contains("line 1 column")
        );
    }
}

/// 8,192 problems were 59 MB once.
#[test]
fn the_mistakes_of_a_batch_are_bounded_together() {
    let server = Running::start();
    let item = format!(r#"{{"lines":[{}]}}"#, ["{}"; 8].join(","));
    let body = repeated(r#"{"reservations":["#, &item, 8_192, "]}");
    let answer = server.client().post(BATCH, "k", &body);
    let found = answer.expect(200);
    assert!(answer.body.len() < 5 << 20, "{}", answer.body.len());
    let results = found["results"].as_array().unwrap();
    assert_eq!(results.len(), 8_192);
    let listed = |result: &Value| result["problem"]["errors"].as_array().map_or(0, Vec::len);
    assert_eq!(listed(&results[0]), 18, "key, channel and twice eight");
    assert!(results.iter().all(|result| listed(result) >= 1));
    assert!(results.iter().map(listed).sum::<usize>() <= 1_000 + 8_192);
}

#[test]
fn a_parameter_is_known_and_comes_once() {
    let server = Running::start();
    server.stock("a", 9);
    let mut client = server.client();
    for (path, name) in [
        ("/v1/atp/a?channel=b&channel=c", "channel"),
        ("/v1/atp/a?node=main&node=main", "node"),
        ("/v1/reservations?key=a&key=b", "key"),
        ("/v1/reservations?key=a&k%65y=b", "key"),
        ("/v1/events?limit=1&limit=2", "limit"),
    ] {
        let problem = client.get(path).problem(400, "invalid_parameter");
        let detail = problem["detail"].as_str().unwrap();
        let expected = format!("Parameter {name} was given more than once.");
        assert_eq!(detail, expected, "{path}");
    }
    for path in ["/v1/stock/a", "/v1/skus/a", "/v1/reservations/rsv_1"] {
        let answer = client.get(&format!("{path}?dry_run=1"));
        let problem = answer.problem(400, "invalid_parameter");
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.contains("takes none"), "{detail}");
    }
    for path in [RESERVE, BATCH, "/v1/stock", "/v1/atp"] {
        let answer = client.post(&format!("{path}?dry_run=1"), "k", GOOD);
        answer.problem(400, "invalid_parameter");
    }
    // Probes and scrapers have their own habits.
    client.get("/livez?now").expect(200);
    client.get("/metrics?x=1").expect(200);
}

#[test]
fn a_key_is_the_same_in_a_batch_and_in_the_header() {
    let server = Running::start();
    server.stock("a", 9);
    let mut client = server.client();
    for key in ["a\"b", "\"a\"", "a b", "", "é", &"k".repeat(256)] {
        let body = json!({"reservations": [
            {"key": key, "channel": "c", "lines": [{"sku": "a", "quantity": 1}]}]});
        let found = client.post(BATCH, "k", &body.to_string()).expect(200);
        let problem = &found["results"][0]["problem"];
        assert_eq!(problem["errors"][0]["pointer"], "/key", "{found}");
        assert_eq!(problem["errors"][0]["code"], "invalid_key", "{found}");
    }
    for key in ["a%22b", "a%20b", ""] {
        let answer = client.get(&format!("/v1/reservations?key={key}"));
        answer.problem(400, "invalid_parameter");
    }
}

/// Sends bytes as they are and reads one answer.
fn raw(server: &Running, text: &str) -> (Client, crate::support::Answer) {
    let mut client = server.client();
    client.write(text.as_bytes());
    let answer = client.receive();
    (client, answer)
}

#[test]
fn a_request_of_http_1_1_has_one_host() {
    let server = Running::start();
    for head in [
        "GET /livez HTTP/1.1\r\n\r\n",
        "GET /livez HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n",
        "GET http://a/livez HTTP/1.1\r\n\r\n",
    ] {
        let (_, answer) = raw(&server, head);
        answer.problem(400, "malformed_request");
    }
    let (_, answer) = raw(&server, "GET /livez HTTP/1.0\r\n\r\n");
    answer.expect(200);
}

/// Two lengths are how a request is smuggled past a proxy: what one of them takes for the body is a
/// request to the other.
#[test]
fn nothing_hides_behind_two_lengths() {
    let server = Running::start();
    server.stock("a", 9);
    let hidden = format!(
        "POST {RESERVE} HTTP/1.1\r\nhost: t\r\nidempotency-key: hidden\r\ncontent-length: {}\r\n\r\n{GOOD}",
        GOOD.len()
    );
    let chunk = format!("{:x}\r\n{GOOD}\r\n0\r\n\r\n", GOOD.len());
    let length = chunk.len() + hidden.len();
    for lengths in [
        format!("content-length: {length}\r\ntransfer-encoding: chunked"),
        format!("transfer-encoding: chunked\r\ncontent-length: {length}"),
    ] {
        let head = format!(
            "POST {RESERVE} HTTP/1.1\r\nhost: t\r\nidempotency-key: seen\r\n{lengths}\r\n\r\n"
        );
        let (mut client, answer) = raw(&server, &format!("{head}{chunk}{hidden}"));
        answer.expect(201);
        assert_eq!(answer.header("connection"), Some("close"));
        assert!(client.is_closed());
    }
    let mut client = server.client();
    let answer = client.get("/v1/reservations?key=hidden");
    answer.problem(404, "unknown_key");
}

#[test]
fn a_body_is_not_encoded() {
    let server = Running::start();
    let mut client = server.client();
    let headers = [("idempotency-key", "k"), ("content-encoding", "gzip")];
    let answer = client.call("POST", RESERVE, &headers, GOOD.as_bytes());
    answer.problem(415, "unsupported_encoding");
    assert_eq!(answer.header("accept-encoding"), Some("identity"));
    let head = |coding| {
        format!(
            "POST {RESERVE} HTTP/1.1\r\nhost: t\r\nidempotency-key: k\r\ntransfer-encoding: {coding}\r\n\r\n"
        )
    };
    let (_, answer) = raw(&server, &head("gzip, chunked"));
    answer.problem(501, "unsupported_transfer_encoding");
    for unknown in ["gzip", "chunked, gzip", "chunkedx"] {
        let (mut client, answer) = raw(&server, &head(unknown));
        answer.problem(400, "malformed_request");
        assert!(client.is_closed());
    }
}
