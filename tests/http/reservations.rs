//! Reserving, the verbs, batches, asking again.

use std::sync::Arc;
use std::time::Duration;

use holdfast::blocking::wait_for;
use holdfast::domain::Sku;
use holdfast::http::answers;
use serde_json::{Value, json};

use crate::stuck::{Gate, Opened};
use crate::support::{Answer, Client, Running, config};

fn reserve(client: &mut Client, key: &str, body: &Value) -> Answer {
    client.post("/v1/reservations", key, &body.to_string())
}

fn one(sku: &str, quantity: u64) -> Value {
    json!({"channel": "tmall", "lines": [{"sku": sku, "quantity": quantity}]})
}

fn act(client: &mut Client, id: &str, verb: &str, key: &str, body: &Value) -> Answer {
    let body = if body.is_null() {
        String::new()
    } else {
        body.to_string()
    };
    client.post(&format!("/v1/reservations/{id}/{verb}"), key, &body)
}

fn typed(answer: &Answer) -> answers::Reservation {
    serde_json::from_slice(&answer.body).unwrap()
}

#[test]
fn a_reservation_has_the_documented_shape_and_headers() {
    let server = Running::start();
    server.stock("a", 10);
    let mut client = server.client();
    let body = json!({"channel": "tmall", "reference": "T\"1\n中", "ttl_seconds": 60,
        "lines": [{"sku": "a", "quantity": 2}, {"sku": "a", "quantity": 1}]});
    let answer = reserve(&mut client, "k1", &body);
    answer.expect(201);
    let made = typed(&answer);
    assert!(made.id.starts_with("rsv_"));
    assert_eq!(made.state, "held");
    assert_eq!(made.channel, "tmall");
    assert_eq!(made.reference.as_deref(), Some("T\"1\n中"));
    assert_eq!(made.created_at, "2026-11-11T12:00:00.000Z");
    assert_eq!(made.expires_at.as_deref(), Some("2026-11-11T12:01:00.000Z"));
    assert_eq!(made.lines.len(), 1);
    assert_eq!(
        (made.lines[0].requested, made.lines[0].held, made.partial),
        (3, 3, false)
    );
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert_eq!(answer.header("holdfast-durability"), Some("os"));
    let position = answer.header("holdfast-position").unwrap();
    let parts: Vec<u64> = position
        .split('.')
        .map(|part| part.parse().unwrap())
        .collect();
    assert_eq!((parts.len(), parts[0]), (3, 0), "{position}");
    assert_eq!(answer.header("idempotent-replayed"), None);
    assert!(
        answer
            .header("x-request-id")
            .is_some_and(|id| id.len() == 27)
    );
    assert!(answer.header("date").is_some());
    let read = client.get(&format!("/v1/reservations/{}", made.id));
    read.expect(200);
    assert_eq!(typed(&read), made);
}

#[test]
fn the_same_key_answers_the_same_and_another_body_is_refused() {
    let server = Running::start();
    server.stock("a", 10);
    let mut client = server.client();
    let first = reserve(&mut client, "k", &one("a", 4));
    first.expect(201);
    let again = reserve(&mut client, "\"k\"", &one("a", 4));
    again.expect(201);
    assert_eq!(again.body, first.body);
    assert_eq!(again.header("idempotent-replayed"), Some("true"));
    assert_eq!(
        again.header("holdfast-position"),
        first.header("holdfast-position")
    );
    reserve(&mut client, "k", &one("a", 5)).problem(422, "idempotency_key_reused");
    assert_eq!(client.get("/v1/stock/a").expect(200)["held"], 4);
}

#[test]
fn a_refusal_names_the_limit_and_is_remembered() {
    let server = Running::start();
    server.stock("a", 3);
    let mut client = server.client();
    let refused = reserve(&mut client, "k", &one("a", 5));
    let problem = refused.problem(409, "insufficient_stock");
    let expected = json!([{"sku": "a", "node": null, "requested": 5, "available": 3, "short": 2,
        "limit": "stock"}]);
    assert_eq!(problem["shortages"], expected);
    assert!(refused.header("holdfast-position").is_some());
    server.stock("b", 1);
    let body = r#"{"items":[{"sku":"a","delta":100}],"reason":"receipt"}"#;
    client
        .post("/v1/stock/adjustments", "adj", body)
        .expect(200);
    let again = reserve(&mut client, "k", &one("a", 5));
    again.problem(409, "insufficient_stock");
    assert_eq!(again.header("idempotent-replayed"), Some("true"));
    reserve(&mut client, "k2", &one("a", 5)).expect(201);
}

#[test]
fn partial_takes_what_there_is() {
    let server = Running::start();
    server.stock("a", 3);
    let mut client = server.client();
    let mut body = one("a", 5);
    body["allow_partial"] = true.into();
    let answer = reserve(&mut client, "k", &body);
    answer.expect(201);
    let made = typed(&answer);
    assert!(made.partial);
    assert_eq!((made.lines[0].requested, made.lines[0].quantity), (5, 3));
}

#[test]
fn the_life_of_a_reservation() {
    let server = Running::start();
    server.stock("a", 10);
    let mut client = server.client();
    let made = typed(&reserve(&mut client, "k", &one("a", 6)));
    let some = json!({"lines": [{"sku": "a", "quantity": 2}]});
    let mut step = |verb: &str, key: &str, body: &Value| {
        let answer = act(&mut client, &made.id, verb, key, body);
        answer.expect(200);
        let found = typed(&answer);
        let line = &found.lines[0];
        (
            found.state.clone(),
            [
                line.held,
                line.committed,
                line.shipped,
                line.released,
                line.returned,
            ],
        )
    };
    let text = |state: &str| state.to_owned();
    assert_eq!(
        step("confirm", "c1", &some),
        (text("mixed"), [4, 2, 0, 0, 0])
    );
    assert_eq!(
        step("confirm", "c1", &some),
        (text("mixed"), [4, 2, 0, 0, 0])
    );
    assert_eq!(
        step("release", "r1", &some),
        (text("mixed"), [2, 2, 0, 2, 0])
    );
    assert_eq!(
        step("confirm", "c2", &Value::Null),
        (text("mixed"), [0, 4, 0, 2, 0])
    );
    assert_eq!(step("ship", "s1", &some), (text("mixed"), [0, 2, 2, 2, 0]));
    assert_eq!(
        step("ship", "s2", &Value::Null),
        (text("mixed"), [0, 0, 4, 2, 0])
    );
    assert_eq!(
        step("return", "b1", &some),
        (text("mixed"), [0, 0, 4, 2, 2])
    );
    let apart =
        json!({"lines": [{"sku": "a", "quantity": 1}], "restock": false, "node": "returns"});
    assert_eq!(
        step("return", "b2", &apart),
        (text("mixed"), [0, 0, 4, 2, 3])
    );
    let stock = server.client().get("/v1/stock/a").expect(200);
    assert_eq!(stock["on_hand"], 8);
    assert_eq!(stock["unavailable"], 1);
    assert_eq!(
        stock["nodes"][1],
        json!({"node": "returns", "on_hand": 0, "unavailable": 1, "pinned": 0})
    );
}

#[test]
fn verbs_refuse_with_their_codes() {
    let server = Running::start();
    server.stock("a", 10);
    let mut client = server.client();
    let id = typed(&reserve(&mut client, "k", &one("a", 4))).id;
    let five = json!({"lines": [{"sku": "a", "quantity": 5}]});
    let excess = act(&mut client, &id, "confirm", "1", &five).problem(409, "over_confirm");
    assert_eq!(
        excess["lines"][0],
        json!({"sku": "a", "node": null, "requested": 5, "possible": 4})
    );
    act(&mut client, &id, "release", "2", &five).problem(409, "over_release");
    act(&mut client, &id, "ship", "3", &Value::Null).problem(409, "reservation_not_confirmed");
    act(&mut client, &id, "return", "4", &Value::Null).problem(409, "reservation_not_shipped");
    let other = json!({"lines": [{"sku": "b", "quantity": 1}]});
    act(&mut client, &id, "confirm", "5", &other).problem(409, "unknown_line");
    act(&mut client, &id, "confirm", "6", &Value::Null).expect(200);
    act(&mut client, &id, "extend", "7", &json!({"ttl_seconds": 60}))
        .problem(409, "reservation_not_held");
    act(&mut client, &id, "ship", "8", &five).problem(409, "over_ship");
    act(&mut client, &id, "ship", "9", &Value::Null).expect(200);
    act(&mut client, &id, "return", "10", &five).problem(409, "over_return");
    let id = typed(&reserve(&mut client, "k2", &one("a", 4))).id;
    act(&mut client, &id, "release", "11", &Value::Null).expect(200);
    act(&mut client, &id, "confirm", "12", &Value::Null).problem(409, "reservation_released");
    let nobody = "rsv_00000000000000000000000000";
    act(&mut client, nobody, "confirm", "13", &Value::Null).problem(404, "unknown_reservation");
    act(&mut client, "x", "confirm", "14", &Value::Null).problem(404, "unknown_reservation");
    client
        .get(&format!("/v1/reservations/{nobody}"))
        .problem(404, "unknown_reservation");
}

#[test]
fn a_deadline_passes_and_extending_moves_it() {
    let server = Running::start();
    server.stock("a", 10);
    let mut client = server.client();
    let mut body = one("a", 4);
    body["ttl_seconds"] = 10.into();
    let late = typed(&reserve(&mut client, "k1", &body)).id;
    let kept = typed(&reserve(&mut client, "k2", &body)).id;
    let longer = act(
        &mut client,
        &kept,
        "extend",
        "e",
        &json!({"ttl_seconds": 60}),
    );
    longer.expect(200);
    assert_eq!(
        typed(&longer).expires_at.as_deref(),
        Some("2026-11-11T12:01:00.000Z")
    );
    server.clock.advance(10_000);
    act(&mut client, &late, "confirm", "c1", &Value::Null).problem(409, "reservation_expired");
    act(&mut client, &kept, "confirm", "c2", &Value::Null).expect(200);
    assert_eq!(
        client.get(&format!("/v1/reservations/{late}")).expect(200)["state"],
        "expired"
    );
}

#[test]
fn pinned_lines_and_their_transfer() {
    let server = Running::start();
    let mut client = server.client();
    let body = json!({"reason": "count", "items": [
        {"sku": "a", "node": "east", "on_hand": 5}, {"sku": "a", "node": "west", "on_hand": 5}]});
    client.post("/v1/stock", "s", &body.to_string()).expect(200);
    let body = json!({"channel": "jd", "lines": [{"sku": "a", "quantity": 6, "node": "east"}]});
    let problem = reserve(&mut client, "k1", &body).problem(409, "insufficient_stock");
    assert_eq!(problem["shortages"][0]["limit"], "node");
    assert_eq!(problem["shortages"][0]["node"], "east");
    let body = json!({"channel": "jd", "lines": [{"sku": "a", "quantity": 5, "node": "east"}]});
    let id = typed(&reserve(&mut client, "k2", &body)).id;
    let moved = act(&mut client, &id, "transfer", "t", &json!({"to": "west"}));
    moved.expect(200);
    assert_eq!(typed(&moved).lines[0].node.as_deref(), Some("west"));
    let less = json!({"to": "east", "lines": [{"sku": "a", "quantity": 2}]});
    act(&mut client, &id, "transfer", "t2", &less).problem(409, "partial_transfer");
    act(&mut client, &id, "confirm", "c", &Value::Null).expect(200);
    act(&mut client, &id, "ship", "s2", &json!({"node": "west"})).expect(200);
    let atp = client.get("/v1/atp/a?node=west").expect(200);
    assert_eq!(
        (&atp["available"], &atp["limits"]["limit"]),
        (&json!(0), &json!("node"))
    );
    let unknown = json!({"channel": "jd", "lines": [{"sku": "a", "quantity": 1, "node": "north"}]});
    let problem = reserve(&mut client, "k3", &unknown).problem(422, "invalid_body");
    assert_eq!(problem["errors"][0]["code"], "unknown_node");
}

#[test]
fn an_unknown_result_is_settled() {
    let server = Running::start();
    server.stock("a", 5);
    let mut client = server.client();
    let mut body = one("a", 4);
    body["reference"] = "order-1".into();
    let made = reserve(&mut client, "k/1?", &body);
    assert_eq!(
        client.get("/v1/reservations?key=k%2F1%3F").expect(200),
        made.json()
    );
    let found = client.get("/v1/reservations?reference=order-1&channel=tmall");
    assert_eq!(found.expect(200), made.json());
    reserve(&mut client, "k2", &one("a", 4)).problem(409, "insufficient_stock");
    client
        .get("/v1/reservations?key=k2")
        .problem(409, "insufficient_stock");
    client
        .get("/v1/reservations?key=nobody")
        .problem(404, "unknown_key");
    for missing in ["reference=x&channel=tmall", "reference=order-1&channel=jd"] {
        client
            .get(&format!("/v1/reservations?{missing}"))
            .problem(404, "unknown_reservation");
    }
    for bad in ["", "?reference=x", "?key=a&channel=b", "?kay=a"] {
        client
            .get(&format!("/v1/reservations{bad}"))
            .problem(400, "invalid_parameter");
    }
}

#[test]
fn a_batch_answers_each_in_order() {
    let server = Running::start();
    server.stock("a", 5);
    let mut client = server.client();
    let item = |key: &str, sku: &str, quantity: u64| {
        let mut item = one(sku, quantity);
        item["key"] = key.into();
        item
    };
    let body = json!({"reservations": [item("1", "a", 4), item("2", "a", 4), item("1", "a", 4),
        item("3", "nope", 1), item("4", "a", 0), item("", "a", 1), item("5", "a", 1)]});
    let answer = client.call(
        "POST",
        "/v1/reservations/batch",
        &[],
        body.to_string().as_bytes(),
    );
    answer.expect(200);
    let found: answers::BatchResults = serde_json::from_slice(&answer.body).unwrap();
    let statuses: Vec<u16> = found.results.iter().map(|result| result.status).collect();
    assert_eq!(statuses, [201, 409, 201, 404, 422, 422, 201]);
    assert_eq!(found.results[2].replayed, Some(true));
    assert_eq!(found.results[2].reservation, found.results[0].reservation);
    assert_eq!(found.results[2].position, found.results[0].position);
    assert_eq!(found.results[4].position, None);
    assert_eq!(
        found.results[6].position.as_deref(),
        answer.header("holdfast-position")
    );
    let code = |at: usize| found.results[at].problem.as_ref().unwrap().code.clone();
    assert_eq!(
        [code(1), code(3), code(4)],
        ["insufficient_stock", "unknown_sku", "invalid_body"]
    );
    assert!(answer.header("holdfast-position").is_some());
    let key = found.results[6].reservation.as_ref().unwrap();
    assert_eq!(
        client.get("/v1/reservations?key=5").expect(200)["id"],
        key.id
    );
}

#[test]
fn a_batch_of_the_largest_size() {
    let server = Running::start();
    server.stock("a", 8_000);
    let items: Vec<Value> = (0..8_192)
        .map(|n| {
            let mut item = one("a", 1);
            item["key"] = format!("b{n}").into();
            item
        })
        .collect();
    let mut client = server.client();
    let body = json!({"reservations": items}).to_string();
    let answer = client
        .call("POST", "/v1/reservations/batch", &[], body.as_bytes())
        .expect(200);
    let results = answer["results"].as_array().unwrap();
    let count = |status: u64| {
        results
            .iter()
            .filter(|result| result["status"] == status)
            .count()
    };
    assert_eq!((count(201), count(409)), (8_000, 192));
    let mut more = items;
    more.push(json!({"key": "x"}));
    let body = json!({"reservations": more}).to_string();
    client
        .call("POST", "/v1/reservations/batch", &[], body.as_bytes())
        .problem(422, "invalid_body");
}

#[test]
fn one_key_in_flight_many_times_reserves_once() {
    let server = Running::start();
    server.stock("a", 100);
    let bodies: Vec<Vec<u8>> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..16)
            .map(|_| {
                scope.spawn(|| {
                    let answer = reserve(&mut server.client(), "same", &one("a", 7));
                    answer.expect(201);
                    answer.body
                })
            })
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .collect()
    });
    assert!(bodies.iter().all(|body| *body == bodies[0]));
    assert_eq!(server.client().get("/v1/stock/a").expect(200)["held"], 7);
}

#[test]
fn a_reservation_is_shown_when_it_is_durable() {
    let gate = Arc::new(Gate::default());
    let server = Running::behind(&gate, &config());
    let opened = Opened(&gate);
    server.stock("a", 5);
    let mut body = one("a", 1);
    body["reference"] = "r".into();
    let id = typed(&reserve(&mut server.client(), "k1", &body)).id;
    gate.set_shut(true);
    let confirm = format!("/v1/reservations/{id}/confirm");
    let mut writer = server.client();
    writer.send("POST", &confirm, &[("idempotency-key", "k2")], b"");
    let sku = Sku::new("a").unwrap();
    let stock = || wait_for(server.engine.stock(sku)).unwrap().unwrap();
    while stock().committed.is_zero() {
        std::thread::yield_now();
    }
    let paths = [
        format!("/v1/reservations/{id}"),
        "/v1/reservations?reference=r&channel=tmall".to_owned(),
    ];
    let mut readers = paths.map(|path| {
        let mut reader = server.client();
        reader.send("GET", &path, &[], b"");
        let stream = reader.stream.get_ref();
        stream
            .set_read_timeout(Some(Duration::from_millis(100)))
            .unwrap();
        let early = stream.peek(&mut [0]);
        stream
            .set_read_timeout(Some(Duration::from_secs(20)))
            .unwrap();
        assert!(early.is_err(), "{path}: answered before it was durable");
        reader
    });
    drop(opened);
    writer.receive().expect(200);
    for reader in &mut readers {
        assert_eq!(reader.receive().expect(200)["state"], "committed");
    }
}
