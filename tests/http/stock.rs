//! Stock, settings, availability.

use holdfast::http::answers;
use serde_json::{Value, json};

use crate::support::{Answer, Client, Running};

fn post(client: &mut Client, path: &str, key: &str, body: &Value) -> Answer {
    client.post(path, key, &body.to_string())
}

#[test]
fn stock_is_set_adjusted_moved_and_read() {
    let server = Running::start();
    let mut client = server.client();
    let body = json!({"reason": "count", "operator": "ann", "items": [
        {"sku": "a", "on_hand": 10, "unavailable": 2, "change_from": null},
        {"sku": "a", "node": "east", "on_hand": 5}]});
    let answer = post(&mut client, "/v1/stock", "1", &body);
    answer.expect(200);
    let set: answers::StockResults = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!(
        (&*set.results[0].node, set.results[0].on_hand),
        ("main", 10)
    );
    assert_eq!(
        (&*set.results[1].node, set.results[1].available),
        ("east", 15)
    );
    assert!(answer.header("holdfast-position").is_some());
    let again = post(&mut client, "/v1/stock", "1", &body);
    assert_eq!(
        (again.header("idempotent-replayed"), &again.body),
        (Some("true"), &answer.body)
    );

    let body =
        json!({"reason": "found", "items": [{"sku": "a", "delta": -3, "unavailable_delta": 3}]});
    let adjusted = post(&mut client, "/v1/stock/adjustments", "2", &body).expect(200);
    assert_eq!(
        (
            &adjusted["results"][0]["on_hand"],
            &adjusted["results"][0]["unavailable"]
        ),
        (&json!(7), &json!(5))
    );
    let body = json!({"reason": "move", "items": [{"sku": "a", "from": "main", "to": "west", "quantity": 4}]});
    let moved = post(&mut client, "/v1/stock/transfers", "3", &body).expect(200);
    assert_eq!(moved["results"][0]["node"], "west");

    let answer = client.get("/v1/stock/a");
    answer.expect(200);
    let stock: answers::Stock = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!(
        (stock.on_hand, stock.unavailable, stock.available),
        (12, 5, 12)
    );
    let nodes: Vec<(&str, u64)> = stock.nodes.iter().map(|n| (&*n.node, n.on_hand)).collect();
    assert_eq!(nodes, [("main", 3), ("east", 5), ("west", 4)]);
    client.get("/v1/stock/b").problem(404, "unknown_sku");
    client
        .get("/v1/stock/a%20b")
        .problem(400, "invalid_parameter");
}

#[test]
fn stock_refusals() {
    let server = Running::start();
    server.stock("a", 10);
    let mut client = server.client();
    let item = |item: Value| json!({"reason": "test", "items": [item]});
    let body = item(json!({"sku": "a", "on_hand": 1, "change_from": 9}));
    let stale = post(&mut client, "/v1/stock", "1", &body).problem(409, "change_from_stale");
    assert_eq!(
        stale["stale"][0],
        json!({"sku": "a", "node": "main", "change_from": 9, "on_hand": 10})
    );
    let body = item(json!({"sku": "a", "delta": -11}));
    post(&mut client, "/v1/stock/adjustments", "2", &body).problem(409, "negative_stock");
    let body = item(json!({"sku": "b", "delta": 1}));
    post(&mut client, "/v1/stock/adjustments", "3", &body).problem(404, "unknown_sku");
    let body = item(json!({"sku": "a", "delta": 1_000_000_000_000_u64}));
    post(&mut client, "/v1/stock/adjustments", "4", &body).problem(409, "too_many_units");
    let body = item(json!({"sku": "a", "from": "main", "to": "east", "quantity": 11}));
    post(&mut client, "/v1/stock/transfers", "5", &body).problem(409, "insufficient_stock");
}

fn put(client: &mut Client, sku: &str, tag: Option<&str>, body: &str) -> Answer {
    let headers: Vec<(&str, &str)> = tag.into_iter().map(|tag| ("if-match", tag)).collect();
    client.call("PUT", &format!("/v1/skus/{sku}"), &headers, body.as_bytes())
}

#[test]
fn settings_are_guarded_by_their_version() {
    let server = Running::start();
    let mut client = server.client();
    client.get("/v1/skus/a").problem(404, "unknown_sku");
    let made = put(
        &mut client,
        "a",
        None,
        r#"{"safety_stock":{"percent":12.5},"low_water":7}"#,
    );
    made.expect(200);
    let settings: answers::Settings = serde_json::from_slice(&made.body).unwrap();
    assert_eq!(settings.safety_stock.percent, Some(12.5));
    let mark = settings.low_water.map(|found| found.units);
    assert_eq!((mark, &*settings.selling), (Some(Some(7)), "on"));
    let tag = made.header("etag").unwrap().to_owned();
    assert_eq!(tag, format!("\"v{}\"", settings.version));
    assert!(made.header("holdfast-position").is_some());

    put(&mut client, "a", None, "{}").problem(428, "precondition_required");
    let problem = put(&mut client, "a", Some("\"v99\""), "{}").problem(412, "version_mismatch");
    assert_eq!(problem["version"], settings.version);
    put(&mut client, "a", Some("\"other\""), "{}").problem(412, "version_mismatch");
    put(&mut client, "a", Some("v1"), "{}").problem(400, "invalid_parameter");
    let changed = put(
        &mut client,
        "a",
        Some(&tag),
        r#"{"selling":"suspended","low_water":null}"#,
    );
    let value = changed.expect(200);
    assert_eq!(
        (&value["selling"], &value["low_water"]),
        (&json!("suspended"), &Value::Null)
    );
    assert_eq!(value["safety_stock"], json!({"percent": 12.5}));
    put(&mut client, "a", Some(&tag), "{}").problem(412, "version_mismatch");
    let any = put(
        &mut client,
        "a",
        Some("*"),
        r#"{"safety_stock":{"units":3}}"#,
    );
    assert_eq!(any.expect(200)["safety_stock"], json!({"units": 3}));
    let read = client.get("/v1/skus/a");
    assert_eq!(read.header("etag"), any.header("etag"));
    assert_eq!(read.expect(200), any.json());
}

#[test]
fn settings_with_a_key_can_be_repeated() {
    let server = Running::start();
    let mut client = server.client();
    let headers = [("idempotency-key", "k")];
    let first = client.call("PUT", "/v1/skus/a", &headers, br#"{"low_water":1}"#);
    let key = headers[0].1;
    let settled = client.get(&format!("/v1/reservations?key={key}"));
    assert_eq!(settled.expect(200), first.json());
    assert_eq!(first.json()["sku"], "a");
    first.expect(200);
    let again = client.call("PUT", "/v1/skus/a", &headers, br#"{"low_water":1}"#);
    again.expect(200);
    assert_eq!(again.header("idempotent-replayed"), Some("true"));
    assert_eq!(again.body, first.body);
}

#[test]
fn availability_of_one_and_of_many() {
    let server = Running::start();
    server.stock("a", 10);
    let mut client = server.client();
    put(
        &mut client,
        "a",
        Some("*"),
        r#"{"safety_stock":{"units":3}}"#,
    )
    .expect(200);
    let body = r#"{"channel":"jd","lines":[{"sku":"a","quantity":2}]}"#;
    client.post("/v1/reservations", "k", body).expect(201);
    let answer = client.get("/v1/atp/a?channel=jd&consistency=strong&until=2026-12-01T00:00:00Z");
    answer.expect(200);
    let atp: answers::Atp = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!((atp.available, atp.channel.as_deref()), (5, Some("jd")));
    assert_eq!(
        (
            atp.limits.stock,
            atp.limits.safety_stock,
            atp.limits.promised
        ),
        (10, 3, 2)
    );
    assert_eq!(
        (&*atp.limits.limit, &*atp.as_of),
        ("safety", "2026-11-11T12:00:00.000Z")
    );
    assert_eq!(client.get("/v1/atp/%61").expect(200)["available"], 5);
    client.get("/v1/atp/b").problem(404, "unknown_sku");
    client
        .get("/v1/atp/a?node=nowhere")
        .problem(404, "unknown_node");
    for bad in [
        "consistency=weak",
        "until=tomorrow",
        "channel=",
        "node=a%20b",
        "chanel=x",
    ] {
        client
            .get(&format!("/v1/atp/a?{bad}"))
            .problem(400, "invalid_parameter");
    }
    let body = r#"{"skus":["b","a","a"],"channel":"jd","consistency":"mirror"}"#;
    let answer = client.call("POST", "/v1/atp", &[], body.as_bytes());
    answer.expect(200);
    let found: answers::AtpResults = serde_json::from_slice(&answer.body).unwrap();
    assert!(
        matches!(&found.results[0], answers::AtpResult::Missing(m) if m.problem.code == "unknown_sku")
    );
    assert!(matches!(&found.results[2], answers::AtpResult::Known(a) if a.available == 5));
    put(&mut client, "a", Some("*"), r#"{"selling":"suspended"}"#).expect(200);
    let atp = client.get("/v1/atp/a").expect(200);
    assert_eq!(
        (&atp["available"], &atp["limits"]["limit"]),
        (&json!(0), &json!("suspended"))
    );
}
