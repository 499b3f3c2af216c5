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
