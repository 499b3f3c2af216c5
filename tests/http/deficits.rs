//! Promises beyond what is there.

use holdfast::http::answers;
use serde_json::{Value, json};

use crate::support::{Answer, Client, Running};

fn post(client: &mut Client, path: &str, key: &str, body: &Value) -> Answer {
    client.post(path, key, &body.to_string())
}

fn count(client: &mut Client, key: &str, sku: &str, on_hand: u64) {
    let body = json!({"reason": "count", "items": [{"sku": sku, "on_hand": on_hand}]});
    post(client, "/v1/stock", key, &body).expect(200);
}

fn reserve(client: &mut Client, key: &str, sku: &str, quantity: u64) -> String {
    let lines = json!([{"sku": sku, "quantity": quantity}]);
    let body = json!({"channel": "shop", "lines": lines});
    let made = post(client, "/v1/reservations", key, &body).expect(201);
    made["id"].as_str().unwrap().to_owned()
}

fn page(client: &mut Client, query: &str) -> answers::DeficitPage {
    let answer = client.get(&format!("/v1/deficits{query}"));
    answer.expect(200);
    serde_json::from_slice(&answer.body).unwrap()
}

#[test]
fn a_count_below_what_is_promised_is_listed_with_whom_it_touches() {
    let server = Running::start();
    let mut client = server.client();
    let mut ids = Vec::new();
    for sku in ["a", "b", "c"] {
        count(&mut client, &format!("stock-{sku}"), sku, 10);
        for key in ["1", "2"] {
            server.clock.advance(1_000);
            ids.push(reserve(&mut client, &format!("{sku}-{key}"), sku, 4));
        }
    }
    assert!(page(&mut client, "").data.is_empty());
    for sku in ["a", "c"] {
        count(&mut client, &format!("loss-{sku}"), sku, 3);
    }

    let all = page(&mut client, "");
    assert_eq!(all.next, None);
    let found: Vec<_> = all.data.iter().map(|of| (&*of.sku, of.deficit)).collect();
    assert_eq!(found, [("a", 5), ("c", 5)]);
    let risk = |of: &answers::Deficit| -> Vec<(String, u64)> {
        let promises = of.promises.iter();
        promises
            .map(|of| (of.reservation_id.clone(), of.at_risk))
            .collect()
    };
    assert_eq!(
        risk(&all.data[0]),
        [(ids[1].clone(), 4), (ids[0].clone(), 1)]
    );
    let oldest = page(&mut client, "?order=oldest&limit=1");
    assert_eq!(oldest.next.as_deref(), Some("a"));
    assert_eq!(
        risk(&oldest.data[0]),
        [(ids[0].clone(), 4), (ids[1].clone(), 1)]
    );
    let policy = |client: &mut Client, document: &Value| {
        let headers = [("content-type", "application/json"), ("if-match", "*")];
        let text = document.to_string();
        client.call("PUT", "/v1/policy", &headers, text.as_bytes())
    };
    let named = json!({"deficits": {"order": "oldest"}});
    policy(&mut client, &named).expect(200);
    assert_eq!(
        page(&mut client, "").data[0],
        oldest.data[0],
        "as the policy says"
    );
    assert_eq!(
        risk(&page(&mut client, "?order=newest").data[0]),
        risk(&all.data[0]),
        "who asks for an order gets it"
    );
    let unknown = json!({"deficits": {"order": "first"}});
    policy(&mut client, &unknown).problem(400, "malformed_body");
    let rest = page(&mut client, "?after=a");
    assert_eq!((rest.data.len(), &*rest.data[0].sku), (1, "c"));

    let none = client.get("/v1/deficits/b").expect(200);
    assert_eq!((&none["deficit"], &none["lines"]), (&json!(0), &json!(0)));
    client.get("/v1/deficits/x").problem(404, "unknown_sku");
    client
        .get("/v1/deficits?order=first")
        .problem(400, "invalid_parameter");
}

#[test]
fn a_receipt_or_a_command_ends_a_deficit_and_nothing_else_does() {
    let server = Running::start();
    let mut client = server.client();
    count(&mut client, "stock", "a", 10);
    let first = reserve(&mut client, "1", "a", 4);
    server.clock.advance(1_000);
    let second = reserve(&mut client, "2", "a", 6);
    let confirm = format!("/v1/reservations/{second}/confirm");
    post(&mut client, &confirm, "confirm", &json!({})).expect(200);
    count(&mut client, "loss", "a", 5);
    let state = |client: &mut Client, id: &str| {
        let found = client.get(&format!("/v1/reservations/{id}")).expect(200);
        let line = &found["lines"][0];
        (
            line["held"].as_u64().unwrap(),
            line["committed"].as_u64().unwrap(),
        )
    };
    assert_eq!(state(&mut client, &first), (4, 0));
    assert_eq!(state(&mut client, &second), (0, 6));

    let release = "/v1/deficits/a/release";
    client
        .call("POST", release, &[], b"{}")
        .problem(400, "idempotency_key_missing");
    let body = json!({"order": "held", "units": 3});
    let done = post(&mut client, release, "take", &body).expect(200);
    assert_eq!(done["deficit"], 2);
    assert_eq!(
        done["results"],
        json!([{"reservation_id": first, "node": null, "units": 3, "released": true}])
    );
    assert_eq!(state(&mut client, &first), (1, 0));
    let again = post(&mut client, release, "take", &body).expect(200);
    assert_eq!(
        (&again["deficit"], &again["results"]),
        (&json!(2), &json!([]))
    );
    assert_eq!(state(&mut client, &first), (1, 0), "a key releases once");

    count(&mut client, "receipt", "a", 6);
    let done = post(&mut client, release, "take-more", &json!({})).expect(200);
    assert_eq!(done["deficit"], 0);
    assert_eq!(done["results"][0]["reservation_id"], json!(second));
    assert_eq!(state(&mut client, &second), (0, 5));
    let again = post(&mut client, release, "take-more", &json!({})).expect(200);
    assert_eq!(again["results"], json!([]));
    assert_eq!(state(&mut client, &second), (0, 5));
}

/// What the feed told of a SKU's deficit, with the type of the event before each.
fn told(client: &mut Client, sku: &str) -> Vec<(String, u64, u64)> {
    let page = client.get("/v1/events?limit=1000").expect(200);
    let events = page["data"].as_array().unwrap();
    let pairs = events.iter().zip(events.iter().skip(1));
    let of_sku = pairs.filter(|(_, event)| event["type"] == "sku.deficit" && event["sku"] == sku);
    of_sku
        .map(|(cause, event)| {
            assert_eq!(event["at"], cause["at"], "at the same moment");
            let number = |name: &str| event[name].as_u64().unwrap();
            let cause = cause["type"].as_str().unwrap().to_owned();
            (cause, number("was"), number("deficit"))
        })
        .collect()
}

fn expect_told(client: &mut Client, sku: &str, expected: &[(&str, u64, u64)]) {
    let expected = expected.iter();
    let expected = expected.map(|(cause, was, now)| ((*cause).to_owned(), *was, *now));
    assert_eq!(told(client, sku), expected.collect::<Vec<_>>());
}

#[test]
fn the_feed_tells_when_a_deficit_begins_changes_and_ends() {
    let server = Running::start();
    let mut client = server.client();
    count(&mut client, "stock", "a", 10);
    let id = reserve(&mut client, "1", "a", 8);
    count(&mut client, "loss", "a", 5);
    count(&mut client, "nothing-new", "a", 5);
    let less = json!({"lines": [{"sku": "a", "quantity": 1}]});
    let release = format!("/v1/reservations/{id}/release");
    post(&mut client, &release, "less", &less).expect(200);
    let found = json!({"reason": "found", "items": [{"sku": "a", "delta": 3}]});
    post(&mut client, "/v1/stock/adjustments", "found", &found).expect(200);
    count(&mut client, "again", "a", 0);
    post(&mut client, &release, "all", &json!({})).expect(200);
    let expected = [
        ("stock.set", 0, 3),
        ("reservation.released", 3, 2),
        ("stock.adjusted", 2, 0),
        ("stock.set", 0, 7),
        ("reservation.released", 7, 0),
    ];
    expect_told(&mut client, "a", &expected);

    let metrics = client.get("/metrics");
    let metrics = str::from_utf8(&metrics.body).unwrap().to_owned();
    for to in ["deficit", "none"] {
        let series = format!("holdfast_deficits_total{{to=\"{to}\"}} 2");
        assert!(metrics.contains(&series), "{series}");
    }
}

#[test]
fn a_transfer_to_the_node_that_lacks_units_ends_a_deficit() {
    let server = Running::start();
    let mut client = server.client();
    let at = |node: &str, on_hand: u64| json!({"reason": "count", "items": [{"sku": "a", "node": node, "on_hand": on_hand}]});
    post(&mut client, "/v1/stock", "north", &at("north", 5)).expect(200);
    post(&mut client, "/v1/stock", "south", &at("south", 5)).expect(200);
    let lines = json!([{"sku": "a", "node": "north", "quantity": 4}]);
    let body = json!({"channel": "shop", "lines": lines});
    post(&mut client, "/v1/reservations", "1", &body).expect(201);
    // Over all there are enough; at the node that must ship there are not.
    post(&mut client, "/v1/stock", "loss", &at("north", 1)).expect(200);
    let body = json!({"reason": "transfer",
        "items": [{"sku": "a", "from": "south", "to": "north", "quantity": 3}]});
    post(&mut client, "/v1/stock/transfers", "over", &body).expect(200);
    let expected = [("stock.set", 0, 3), ("stock.transferred", 3, 0)];
    expect_told(&mut client, "a", &expected);
}

#[test]
fn announced_supply_that_is_cancelled_or_late_leaves_a_deficit() {
    let server = Running::start();
    let mut client = server.client();
    count(&mut client, "stock", "a", 0);
    let announce = |quantity: u64, due: &str| {
        let item = json!({"id": "po", "sku": "a", "kind": "presale", "due": due,
            "quantity": quantity});
        json!({"items": [item]})
    };
    let (soon, late) = ("2026-11-20", "2026-12-20");
    let put = |client: &mut Client, key: &str, quantity, due| {
        post(client, "/v1/inbound", key, &announce(quantity, due)).expect(200);
    };
    put(&mut client, "put", 6, soon);
    let lines = json!([{"sku": "a", "quantity": 5}]);
    let body = json!({"channel": "shop", "by": soon, "lines": lines});
    post(&mut client, "/v1/reservations", "1", &body).expect(201);
    put(&mut client, "fewer", 3, soon);
    put(&mut client, "late", 6, late);
    put(&mut client, "in-time", 6, soon);
    put(&mut client, "cancelled", 0, soon);
    count(&mut client, "bought-elsewhere", "a", 5);
    let expected = [
        ("inbound.put", 0, 2),
        ("inbound.put", 2, 5),
        ("inbound.put", 5, 0),
        ("inbound.put", 0, 5),
        ("stock.set", 5, 0),
    ];
    expect_told(&mut client, "a", &expected);
}
