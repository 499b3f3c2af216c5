//! Safety stocks and low-water marks by set: what the policy says of SKUs that leave it to it.

use holdfast::http::answers::Settings;
use serde_json::{Value, json};

use crate::support::{Answer, Client, Running};

const HOUR: i64 = 3_600_000;

/// Glass keeps two of ten back and tells when it is at four; from one to two hours after the start a
/// campaign keeps five of `VASE` back, and takes no holds at six.
fn policy() -> Value {
    json!({
        "channels": [{"name": "shop"}],
        "sets": [{"name": "glass", "prefix": "VASE"}],
        "rules": [{
            "id": "glass",
            "set": "glass",
            "safety_stock": {"percent": 20},
            "low_water": {"units": 4}
        }],
        "campaigns": [{
            "name": "drop",
            "from": "2026-11-11T13:00:00Z",
            "until": "2026-11-11T14:00:00Z",
            "skus": ["VASE"],
            "safety_stock": {"units": 5},
            "low_water": {"units": 6, "then": "suspend"},
            "nodes": ["main"],
            "limits": [{"channel": "shop", "cap": {"units": 6}}]
        }]
    })
}

fn put_policy(client: &mut Client, query: &str) -> Answer {
    let headers = [("content-type", "application/json")];
    let body = policy().to_string();
    client.call(
        "PUT",
        &format!("/v1/policy{query}"),
        &headers,
        body.as_bytes(),
    )
}

fn settings(client: &mut Client, sku: &str, body: &Value) -> Settings {
    let path = format!("/v1/skus/{sku}");
    let body = body.to_string();
    let answer = client.call("PUT", &path, &[("if-match", "*")], body.as_bytes());
    let put = answer.expect(200);
    let got = client.get(&path).expect(200);
    assert_eq!(put, got);
    serde_json::from_value(got).unwrap()
}

fn reserve(client: &mut Client, key: &str, sku: &str, quantity: u64) -> Answer {
    let lines = json!([{"sku": sku, "quantity": quantity}]);
    let body = json!({"channel": "shop", "lines": lines}).to_string();
    client.post("/v1/reservations", key, &body)
}

/// What is available and kept back: by the stock and by what may be promised, which must agree.
fn kept(client: &mut Client, sku: &str) -> (u64, u64) {
    let stock = client.get(&format!("/v1/stock/{sku}")).expect(200);
    let atp = client.get(&format!("/v1/atp/{sku}")).expect(200);
    assert_eq!(stock["safety_stock"], atp["limits"]["safety_stock"]);
    if stock["suspended"] == json!(false) {
        assert_eq!(stock["available"], atp["available"]);
    } else {
        assert_eq!(atp["available"], 0);
    }
    let of = |name: &str| stock[name].as_u64().unwrap();
    (of("available"), of("safety_stock"))
}

/// What the feed told of a SKU's terms and of how low it is.
fn told(client: &mut Client, sku: &str) -> Vec<Value> {
    let page = client.get("/v1/events?limit=1000").expect(200);
    let events = page["data"].as_array().unwrap().iter();
    let of_sku = events.filter(|event| event["sku"] == sku);
    of_sku
        .filter_map(|event| match event["type"].as_str().unwrap() {
            "sku.terms_changed" => Some(event["safety_stock"].clone()),
            "sku.low_water" => Some(event["low"].clone()),
            _ => None,
        })
        .collect()
}

#[test]
fn a_new_sku_of_a_set_is_protected_from_its_first_receipt() {
    let server = Running::start();
    let mut client = server.client();
    put_policy(&mut client, "").expect(200);
    server.stock("VASE", 10);
    server.stock("mug", 10);
    assert_eq!(kept(&mut client, "VASE"), (8, 2));
    assert_eq!(kept(&mut client, "mug"), (10, 0));
    let short = reserve(&mut client, "k1", "VASE", 9).problem(409, "insufficient_stock");
    let short = &short["shortages"][0];
    assert_eq!(
        (&short["limit"], &short["available"]),
        (&json!("safety"), &json!(8))
    );
    reserve(&mut client, "k2", "VASE", 4).expect(201);
    // That it was low before there was any is nothing to tell; that it is now is.
    assert_eq!(
        told(&mut client, "VASE"),
        [json!({"percent": 20}), json!(true)]
    );
    assert!(told(&mut client, "mug").is_empty());
}

#[test]
fn what_a_sku_has_by_itself_goes_before_the_policy_until_it_is_given_back() {
    let server = Running::start();
    let mut client = server.client();
    server.stock("VASE", 10);
    put_policy(&mut client, "").expect(200);
    let of_policy: Settings =
        serde_json::from_value(client.get("/v1/skus/VASE").expect(200)).unwrap();
    assert_eq!(of_policy.safety_stock.percent, Some(20.0));
    assert_eq!(of_policy.low_water.unwrap().units, Some(4));
    assert_eq!(of_policy.own.safety_stock, None);
    assert_eq!(of_policy.own.low_water, None);
    assert_eq!(of_policy.version, 0, "nobody changed its own");

    let none = json!({"safety_stock": {"units": 0}, "low_water": false});
    let own = settings(&mut client, "VASE", &none);
    assert_eq!(own.safety_stock.units, Some(0));
    assert_eq!(own.low_water, None);
    let shown = client.get("/v1/skus/VASE").expect(200)["own"].clone();
    assert_eq!(shown, none);
    assert_eq!(kept(&mut client, "VASE"), (10, 0));

    let back = json!({"safety_stock": null, "low_water": null});
    let back = settings(&mut client, "VASE", &back);
    assert_eq!(back.safety_stock.percent, Some(20.0));
    assert_eq!(back.low_water.unwrap().units, Some(4));
    assert_eq!(back.version, 2);
    assert_eq!(kept(&mut client, "VASE"), (8, 2));
}

#[test]
fn what_a_campaign_says_holds_from_its_begin_to_its_end() {
    let server = Running::start();
    let mut client = server.client();
    put_policy(&mut client, "").expect(200);
    server.stock("VASE", 12);
    assert_eq!(kept(&mut client, "VASE"), (9, 3));
    server.clock.advance(HOUR - 1);
    assert_eq!(kept(&mut client, "VASE"), (9, 3));
    server.clock.advance(1);
    // Nobody has touched it yet: what is read is what a hold would meet.
    assert_eq!(kept(&mut client, "VASE"), (7, 5));
    reserve(&mut client, "k1", "VASE", 1).expect(201);
    let short = reserve(&mut client, "k2", "VASE", 1).problem(409, "insufficient_stock");
    assert_eq!(short["shortages"][0]["limit"], "suspended");
    assert_eq!(kept(&mut client, "VASE"), (6, 5));
    server.clock.advance(HOUR);
    assert_eq!(kept(&mut client, "VASE").1, 3);
    reserve(&mut client, "k3", "VASE", 1).expect(201);
    let expected = [
        json!({"percent": 20}),
        json!({"units": 5}),
        json!(true),
        json!({"percent": 20}),
        json!(false),
    ];
    assert_eq!(told(&mut client, "VASE"), expected);
}

#[test]
fn a_dry_run_and_a_pre_flight_know_what_a_policy_says() {
    let server = Running::start();
    let mut client = server.client();
    server.stock("VASE", 10);
    put_policy(&mut client, "?dry_run=true").expect(200);
    assert_eq!(kept(&mut client, "VASE"), (10, 0), "nothing was put");
    put_policy(&mut client, "").expect(200);
    let report = client.get("/v1/campaigns/drop/preflight").expect(200);
    let findings = report["findings"].as_array().unwrap();
    let codes: Vec<&str> = { findings.iter() }
        .map(|of| of["code"].as_str().unwrap())
        .collect();
    // Of ten, five are kept back: the cap of six limits nothing, and it is low at once.
    assert!(codes.contains(&"cap_above_pool"), "{findings:?}");
    assert!(codes.contains(&"low_stock"), "{findings:?}");
}

#[test]
fn what_cannot_be_is_named() {
    let server = Running::start();
    let mut client = server.client();
    server.stock("VASE", 10);
    let headers = [("if-match", "*")];
    let body = br#"{"low_water":true}"#;
    let answer = client.call("PUT", "/v1/skus/VASE", &headers, body);
    let problem = answer.problem(400, "malformed_body");
    let detail = problem["detail"].as_str().unwrap();
    assert!(detail.starts_with("low_water: "), "{detail}");
}
