//! What callers do wrong, and what they are told.

use holdfast::blocking::wait_for;
use holdfast::limits::CHANNELS_MAX;
use serde_json::{Value, json};

use crate::support::{Client, Running};

const RESERVE: &str = "/v1/reservations";
const GOOD: &str = r#"{"channel":"c","lines":[{"sku":"a","quantity":1}]}"#;

#[test]
fn the_key_is_required_and_checked_on_every_change() {
    let server = Running::start();
    server.stock("a", 1);
    let mut client = server.client();
    let id = "rsv_00000000000000000000000000";
    let mut paths: Vec<String> = ["", "/adjustments", "/transfers"]
        .map(|p| format!("/v1/stock{p}"))
        .into();
    paths.push(RESERVE.to_owned());
    for verb in ["confirm", "release", "extend", "ship", "return", "transfer"] {
        paths.push(format!("{RESERVE}/{id}/{verb}"));
    }
    for path in paths {
        client
            .call("POST", &path, &[], b"{}")
            .problem(400, "idempotency_key_missing");
        client
            .post(&path, "a b", "{}")
            .problem(400, "idempotency_key_invalid");
    }
    let long = "k".repeat(256);
    for bad in ["", "\"\"", "a\"b", &long] {
        client
            .post(RESERVE, bad, GOOD)
            .problem(400, "idempotency_key_invalid");
    }
    let twice = [("idempotency-key", "a"), ("idempotency-key", "a")];
    client
        .call("POST", RESERVE, &twice, GOOD.as_bytes())
        .problem(400, "idempotency_key_invalid");
    client.post(RESERVE, &"k".repeat(255), GOOD).expect(201);
}

#[test]
fn a_body_that_cannot_be_read_names_the_place() {
    let server = Running::start();
    server.stock("a", 1);
    let mut client = server.client();
    let deep = format!("{}{}", "[".repeat(50_000), "]".repeat(50_000));
    let deep_field = format!(r#"{{"channel":"c","lines":{deep}}}"#);
    let cases: &[(&str, &[&str])] = &[
        ("", &["is empty"]),
        ("nonsense", &["must be a JSON object"]),
        ("{\n\"channel\": tmall}", &["line 2 column"]),
        (
            r#"{"channel":"c","lines":[{"sku":"a","quantity":1}]} trailing"#,
            &["trailing"],
        ),
        (r#"{"chanel":"c"}"#, &["chanel", "unknown field"]),
        (
            r#"{"channel":"c","channel":"d"}"#,
            &["duplicate field", "channel"],
        ),
        (
            r#"{"channel":"c","lines":[{"sku":"a","quantity":"1"}]}"#,
            &["lines[0].quantity", "string"],
        ),
        (
            r#"{"channel":"c","lines":[{"sku":"a","qty":1}]}"#,
            &["lines[0].qty", "unknown field"],
        ),
        (
            r#"{"channel":"c","lines":[{"sku":"a","quantity":1e400}]}"#,
            &["number out of range"],
        ),
        (r#"{"channel":7}"#, &["channel", "invalid type"]),
        (
            r#"{"channel":"c","allow_partial":"yes"}"#,
            &["allow_partial"],
        ),
        (r#"{"channel":"\ud800"}"#, &["line 1 column"]),
        ("[]", &["must be a JSON object"]),
        (r#"["web",null,null,null,[]]"#, &["must be a JSON object"]),
        (&deep, &["must be a JSON object"]),
        (&deep_field, &["lines", "line 1 column"]),
    ];
    for (body, parts) in cases {
        let problem = client
            .post(RESERVE, "k", body)
            .problem(400, "malformed_body");
        let detail = problem["detail"].as_str().unwrap();
        for part in *parts {
            assert!(detail.contains(part), "{part:?} in {detail:?}");
        }
    }
    let headers = [("idempotency-key", "k")];
    let problem = client.call("POST", RESERVE, &headers, b"{\"channel\":\"\xff\"}");
    let problem = problem.problem(400, "malformed_body");
    assert!(
        problem["detail"]
            .as_str()
            .unwrap()
            .contains("UTF-8 at byte 12"),
        "{problem}"
    );
    // None of these used the key up.
    client.post(RESERVE, "k", GOOD).expect(201);
}

fn pointers(problem: &Value) -> Vec<&str> {
    problem["errors"]
        .as_array()
        .unwrap()
        .iter()
        .map(|e| e["pointer"].as_str().unwrap())
        .collect()
}

#[test]
fn every_mistake_of_a_body_is_listed_at_once() {
    let server = Running::start();
    let mut client = server.client();
    let mut invalid = |path: &str, body: Value| {
        client
            .post(path, "k", &body.to_string())
            .problem(422, "invalid_body")
    };
    let problem = invalid(RESERVE, json!({}));
    assert_eq!(pointers(&problem), ["/channel", "/lines"]);
    let problem = invalid(
        RESERVE,
        json!({"channel": "a b", "reference": "", "ttl_seconds": 0, "lines": [
            {"sku": "a/b", "quantity": 0}, {"quantity": -1}, {"sku": "a", "quantity": 1.5},
            {"sku": "a", "quantity": 18_446_744_073_709_551_615_u64, "node": "?"}, {}]}),
    );
    let expected = [
        "/channel",
        "/reference",
        "/ttl_seconds",
        "/lines/0/sku",
        "/lines/0/quantity",
        "/lines/1/sku",
        "/lines/1/quantity",
        "/lines/2/quantity",
        "/lines/3/quantity",
        "/lines/3/node",
        "/lines/4/sku",
        "/lines/4/quantity",
    ];
    assert_eq!(pointers(&problem), expected);
}

#[test]
fn numbers_at_their_limits() {
    let server = Running::start();
    let mut client = server.client();
    let mut invalid = |path: &str, body: Value| {
        client
            .post(path, "k", &body.to_string())
            .problem(422, "invalid_body")
    };
    let max = 1_000_000_000_000_u64;
    let line = |quantity: u64| json!({"sku": "a", "quantity": quantity});
    let problem = invalid(
        RESERVE,
        json!({"channel": "c", "lines": [line(max), line(1)]}),
    );
    assert_eq!(pointers(&problem), ["/lines/1/quantity"]);
    assert_eq!(
        pointers(&invalid(RESERVE, json!({"channel": "c", "lines": []}))),
        ["/lines"]
    );
    let problem = invalid(
        "/v1/stock",
        json!({"items": [
        {"sku": "a"}, {"sku": "a", "on_hand": max + 1, "change_from": -1, "node": ""}]}),
    );
    let expected = [
        "/reason",
        "/items/0/on_hand",
        "/items/1/node",
        "/items/1/on_hand",
        "/items/1/change_from",
    ];
    assert_eq!(pointers(&problem), expected);
    let problem = invalid(
        "/v1/stock/adjustments",
        json!({"reason": "r", "items": [
        {"sku": "a"}, {"sku": "a", "delta": 0.5}, {"sku": "a", "delta": i64::MIN}]}),
    );
    assert_eq!(
        pointers(&problem),
        ["/items/0/delta", "/items/1/delta", "/items/2/delta"]
    );
    let problem = invalid(
        "/v1/stock/transfers",
        json!({"reason": "r", "items": [
        {"sku": "a", "from": "main", "to": "main", "quantity": 0}, {"from": "nowhere"}]}),
    );
    let expected = [
        "/items/0/to",
        "/items/0/quantity",
        "/items/1/sku",
        "/items/1/from",
        "/items/1/to",
        "/items/1/quantity",
    ];
    assert_eq!(pointers(&problem), expected);
    let id = "rsv_00000000000000000000000000";
    let problem = invalid(&format!("{RESERVE}/{id}/extend"), json!({}));
    assert_eq!(pointers(&problem), ["/ttl_seconds"]);
    let problem = invalid(&format!("{RESERVE}/{id}/transfer"), json!({"lines": []}));
    assert_eq!(pointers(&problem), ["/lines", "/to"]);
    let too_long = json!({"channel": "c", "ttl_seconds": 2_592_001, "lines": [line(1)]});
    assert_eq!(pointers(&invalid(RESERVE, too_long)), ["/ttl_seconds"]);
}

#[test]
fn settings_and_bulk_queries_are_checked() {
    let server = Running::start();
    let mut client = server.client();
    let body = br#"{"safety_stock":{"percent":100.01},"selling":"off","low_water":-1}"#;
    let problem = client
        .call("PUT", "/v1/skus/a", &[], body)
        .problem(422, "invalid_body");
    assert_eq!(
        pointers(&problem),
        ["/safety_stock/percent", "/selling", "/low_water"]
    );
    for body in [
        r#"{"safety_stock":{}}"#,
        r#"{"safety_stock":{"units":1,"percent":1}}"#,
    ] {
        let problem = client.call("PUT", "/v1/skus/a", &[], body.as_bytes());
        assert_eq!(
            pointers(&problem.problem(422, "invalid_body")),
            ["/safety_stock"]
        );
    }
    let body =
        br#"{"skus":["a","a b"],"channel":"?","node":"x","until":"now","consistency":"weak"}"#;
    let problem = client
        .call("POST", "/v1/atp", &[], body)
        .problem(422, "invalid_body");
    assert_eq!(
        pointers(&problem),
        ["/skus/1", "/channel", "/node", "/until", "/consistency"]
    );
    let many: Vec<String> = (0..1_001).map(|n| format!("s{n}")).collect();
    let body = json!({"skus": many}).to_string();
    let problem = client
        .call("POST", "/v1/atp", &[], body.as_bytes())
        .problem(422, "invalid_body");
    assert_eq!(pointers(&problem), ["/skus"]);
}

#[test]
fn too_many_lines_and_a_mistake_leave_no_name_behind() {
    let server = Running::start();
    let mut client = server.client();
    let lines: Vec<String> = (0..10_000)
        .map(|n| format!(r#"{{"sku":"{n}","quantity":1}}"#))
        .collect();
    let body = format!(r#"{{"channel":"fresh","lines":[{}]}}"#, lines.join(","));
    let big = client.post(RESERVE, "k", &body);
    big.problem(413, "body_too_large");
    let mut client = server.client();
    let body = format!(
        r#"{{"channel":"fresh","lines":[{}]}}"#,
        lines[..5_000].join(",")
    );
    let problem = client
        .post(RESERVE, "k", &body)
        .problem(422, "invalid_body");
    assert_eq!(pointers(&problem), ["/lines"]);
    assert_eq!(server.engine.known_channel("fresh"), None);
    let mistakes: Vec<&str> = vec![r#"{"sku":"a b","quantity":1}"#; 500];
    let body = format!(r#"{{"channel":"fresh","lines":[{}]}}"#, mistakes.join(","));
    let problem = client
        .post(RESERVE, "k", &body)
        .problem(422, "invalid_body");
    assert_eq!(
        problem["errors"].as_array().unwrap().len(),
        100,
        "an answer has a bound too"
    );
}

#[test]
fn the_largest_reservation_passes() {
    let server = Running::start();
    let mut client = server.client();
    let skus: Vec<String> = (0..500).map(|n| format!("{n:0>64}")).collect();
    let items: Vec<Value> = skus
        .iter()
        .map(|sku| json!({"sku": sku, "on_hand": 1}))
        .collect();
    let body = json!({"reason": "r".repeat(200), "items": items}).to_string();
    client.post("/v1/stock", "s", &body).expect(200);
    let lines: Vec<Value> = skus
        .iter()
        .map(|sku| json!({"sku": sku, "quantity": 1}))
        .collect();
    let body = json!({"channel": "c", "reference": "r".repeat(128), "lines": lines}).to_string();
    let made = client.post(RESERVE, "k", &body).expect(201);
    assert_eq!(made["lines"].as_array().unwrap().len(), 500);
}

#[test]
fn paths_methods_and_media_types() {
    let server = Running::start();
    let mut client = server.client();
    for path in [
        "/nothing",
        "/v1",
        "/v1/reservations/",
        "/v1/reservations/a/b/c",
        "/v2/stock",
        "//",
    ] {
        client.get(path).problem(404, "not_found");
    }
    client.get("/problems/none").problem(404, "not_found");
    let cases = [
        ("DELETE", "/v1/stock", "POST"),
        ("GET", "/v1/reservations/x/confirm", "POST"),
        ("GET", "/v1/reservations/batch/ship", "POST"),
        ("POST", "/livez", "GET,HEAD"),
        ("POST", "/v1/skus/a", "GET,HEAD,PUT"),
        ("PATCH", "/v1/reservations", "POST,GET,HEAD"),
        ("BREW", "/metrics", "GET,HEAD"),
    ];
    for (method, path, allow) in cases {
        let answer = client.call(method, path, &[], b"");
        answer.problem(405, "method_not_allowed");
        let mut found: Vec<&str> = answer.header("allow").unwrap().split(',').collect();
        let mut expected: Vec<&str> = allow.split(',').collect();
        found.sort_unstable();
        expected.sort_unstable();
        assert_eq!(found, expected, "{method} {path}");
    }
    let form = [
        ("content-type", "application/x-www-form-urlencoded"),
        ("idempotency-key", "k"),
    ];
    client
        .call("POST", RESERVE, &form, b"a=b")
        .problem(415, "unsupported_media_type");
    let mut client = server.client();
    let headers = [("idempotency-key", "k")];
    client
        .call("POST", RESERVE, &headers, GOOD.as_bytes())
        .problem(404, "unknown_sku");
    client
        .get("/v1/stock/%ff")
        .problem(400, "invalid_parameter");
}

#[test]
fn http_that_is_none_gets_a_problem_too() {
    let server = Running::start();
    let many = "x: y\r\n".repeat(101);
    let cases = [
        ("NOT HTTP\r\n\r\n".to_owned(), 400, "malformed_request"),
        (
            "GET / HTTP/1.1\r\nbad header\r\n\r\n".to_owned(),
            400,
            "malformed_request",
        ),
        (
            format!("GET / HTTP/1.1\r\nx: {}\r\n\r\n", "y".repeat(17_000)),
            431,
            "headers_too_large",
        ),
        (
            format!("GET / HTTP/1.1\r\n{many}\r\n"),
            431,
            "headers_too_large",
        ),
        (
            format!("GET /{} HTTP/1.1\r\n\r\n", "y".repeat(17_000)),
            431,
            "headers_too_large",
        ),
    ];
    for (bytes, status, code) in cases {
        let mut client = server.client();
        client.write(bytes.as_bytes());
        let answer = client.receive();
        answer.problem(status, code);
        assert_eq!(answer.header("connection"), Some("close"));
        assert!(client.is_closed());
    }
}

fn chunked(client: &mut Client, path: &str, total: usize) {
    let head = format!(
        "POST {path} HTTP/1.1\r\nhost: t\r\nidempotency-key: k\r\ntransfer-encoding: chunked\r\n\r\n"
    );
    client.write(head.as_bytes());
    let chunk = vec![b' '; 16_384];
    for _ in 0..total.div_ceil(chunk.len()) {
        client.write(format!("{:x}\r\n", chunk.len()).as_bytes());
        client.write(&chunk);
        client.write(b"\r\n");
    }
}

#[test]
fn bodies_are_limited() {
    let server = Running::start();
    for (path, limit) in [
        (RESERVE, 256 * 1024),
        ("/v1/reservations/batch", 8 * 1024 * 1024),
    ] {
        let mut client = server.client();
        let spaces = vec![b' '; limit];
        let headers = [("idempotency-key", "k")];
        client
            .call("POST", path, &headers, &spaces)
            .problem(400, "malformed_body");
        let spaces = vec![b' '; limit + 1];
        let answer = client.call("POST", path, &headers, &spaces);
        answer.problem(413, "body_too_large");
        assert_eq!(answer.header("connection"), Some("close"));
        let mut client = server.client();
        chunked(&mut client, path, limit + 16_384);
        let answer = client.receive();
        answer.problem(413, "body_too_large");
        assert_eq!(answer.header("connection"), Some("close"));
    }
    let mut client = server.client();
    let head = format!(
        "POST {RESERVE} HTTP/1.1\r\nhost: t\r\nidempotency-key: k\r\ncontent-length: 1000000000000000000\r\n\r\n"
    );
    client.write(head.as_bytes());
    client.receive().problem(413, "body_too_large");
    let mut client = server.client();
    let head = format!(
        "POST {RESERVE} HTTP/1.1\r\nhost: t\r\nidempotency-key: k\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n"
    );
    client.write(head.as_bytes());
    client.receive().problem(400, "malformed_request");
}

#[test]
fn a_body_in_pieces_and_after_a_continue_is_read() {
    let server = Running::start();
    server.stock("a", 10);
    let mut client = server.client();
    let head = format!(
        "POST {RESERVE} HTTP/1.1\r\nhost: t\r\nidempotency-key: 1\r\ncontent-length: {}\r\n\r\n",
        GOOD.len()
    );
    client.write(head.as_bytes());
    for byte in GOOD.as_bytes() {
        client.write(&[*byte]);
    }
    client.receive().expect(201);
    let head = format!(
        "POST {RESERVE} HTTP/1.1\r\nhost: t\r\nidempotency-key: 2\r\nexpect: 100-continue\r\ncontent-length: {}\r\n\r\n",
        GOOD.len()
    );
    client.write(head.as_bytes());
    assert_eq!(client.head().0, 100);
    client.write(GOOD.as_bytes());
    client.receive().expect(201);
    let mut both = Vec::new();
    for key in ["3", "4"] {
        let length = GOOD.len();
        both.extend_from_slice(format!("POST {RESERVE} HTTP/1.1\r\nhost: t\r\nidempotency-key: {key}\r\ncontent-length: {length}\r\n\r\n{GOOD}").as_bytes());
    }
    client.write(&both);
    client.receive().expect(201);
    client.receive().expect(201);
}

#[test]
fn too_many_names_are_a_mistake_of_the_caller() {
    let server = Running::start();
    server.stock("a", 1);
    for n in 0..CHANNELS_MAX {
        let _full = wait_for(server.engine.make_channel(&format!("c{n}"))).is_err();
    }
    let body = r#"{"channel":"one-more","lines":[{"sku":"a","quantity":1}]}"#;
    let answer = server.client().post("/v1/reservations", "k", body);
    answer.problem(422, "names_full");
    assert_eq!(answer.header("retry-after"), None);
}
