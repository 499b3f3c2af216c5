//! Low-water marks: told of, suspending, and sold again without anybody's doing.

use serde_json::{Value, json};

use crate::support::{Answer, Client, Running};

fn put(client: &mut Client, low_water: &str) -> Value {
    let body = format!(r#"{{"low_water":{low_water}}}"#);
    let headers = [("if-match", "*")];
    let answer = client.call("PUT", "/v1/skus/mug", &headers, body.as_bytes());
    answer.expect(200)["low_water"].clone()
}

fn reserve(client: &mut Client, key: &str, quantity: u64) -> Answer {
    let lines = json!([{"sku": "mug", "quantity": quantity}]);
    let body = json!({"channel": "shop", "lines": lines}).to_string();
    client.post("/v1/reservations", key, &body)
}

/// How low the SKU is, and whether it takes no holds.
fn stands(client: &mut Client) -> (Value, Value) {
    let stock = client.get("/v1/stock/mug").expect(200);
    (stock["low"].clone(), stock["suspended"].clone())
}

/// What the feed told of it.
fn told(client: &mut Client) -> Vec<(Value, Value, Value)> {
    let page = client.get("/v1/events?limit=1000").expect(200);
    let events = page["data"].as_array().unwrap().iter();
    events
        .filter(|event| event["type"] == "sku.low_water" && event["sku"] == "mug")
        .map(|event| {
            let of = |name: &str| event[name].clone();
            (of("low"), of("available"), of("suspended"))
        })
        .collect()
}

#[test]
fn a_low_sku_suspends_itself_and_sells_again_by_itself() {
    let server = Running::start();
    server.stock("mug", 10);
    let mut client = server.client();
    let mark = r#"{"units":4,"resume":{"percent":80},"then":"suspend"}"#;
    assert_eq!(
        put(&mut client, mark),
        json!({"units": 4, "resume": {"percent": 80}, "then": "suspend"})
    );
    let first = reserve(&mut client, "k1", 5).expect(201);
    assert_eq!(stands(&mut client), (json!(false), json!(false)));
    let second = reserve(&mut client, "k2", 1).expect(201);
    assert_eq!(stands(&mut client), (json!(true), json!(true)));

    let refused = reserve(&mut client, "k3", 1).problem(409, "insufficient_stock");
    let short = &refused["shortages"][0];
    assert_eq!(
        (&short["limit"], &short["available"]),
        (&json!("suspended"), &json!(0))
    );
    let atp = client.get("/v1/atp/mug").expect(200);
    assert_eq!(atp["limits"]["limit"], "suspended");
    let id = |made: &Value| made["id"].as_str().unwrap().to_owned();
    let confirm = format!("/v1/reservations/{}/confirm", id(&second));
    client.post(&confirm, "k4", "").expect(200);

    // Five are available, more than the mark; but eight end it.
    let release = format!("/v1/reservations/{}/release", id(&second));
    client.post(&release, "k5", "").expect(200);
    assert_eq!(stands(&mut client), (json!(true), json!(true)));
    let release = format!("/v1/reservations/{}/release", id(&first));
    client.post(&release, "k6", "").expect(200);
    assert_eq!(stands(&mut client), (json!(false), json!(false)));
    reserve(&mut client, "k7", 1).expect(201);
    let expected = [
        (json!(true), json!(4), json!(true)),
        (json!(false), json!(10), json!(false)),
    ];
    assert_eq!(told(&mut client), expected);
    let settings = client.get("/v1/skus/mug").expect(200);
    assert_eq!(settings["selling"], "on", "nobody changed it");
    let metrics = client.get("/metrics");
    let metrics = str::from_utf8(&metrics.body).unwrap();
    assert!(metrics.contains(r#"holdfast_low_water_total{to="low"} 1"#));
    assert!(metrics.contains(r#"holdfast_low_water_total{to="normal"} 1"#));
}

#[test]
fn a_bare_number_means_units_and_only_tells() {
    let server = Running::start();
    server.stock("mug", 10);
    let mut client = server.client();
    assert_eq!(put(&mut client, "9"), json!({"units": 9, "then": "event"}));
    reserve(&mut client, "k1", 1).expect(201);
    assert_eq!(stands(&mut client), (json!(true), json!(false)));
    reserve(&mut client, "k2", 1).expect(201);
    // Neither does a change of the mark wait for the next sale.
    assert_eq!(put(&mut client, r#"{"percent":12.5}"#)["percent"], 12.5);
    assert_eq!(stands(&mut client), (json!(false), json!(false)));
    put(&mut client, r#"{"units":8,"then":"suspend"}"#);
    assert_eq!(stands(&mut client), (json!(true), json!(true)));
    assert_eq!(put(&mut client, "null"), Value::Null);
    assert_eq!(stands(&mut client), (json!(false), json!(false)));
    let lows: Vec<Value> = { told(&mut client).into_iter() }
        .map(|told| told.0)
        .collect();
    assert_eq!(lows, [true, false, true, false].map(Value::from));
}

#[test]
fn senseless_marks_are_refused_by_name() {
    let server = Running::start();
    let mut client = server.client();
    for (low_water, pointer, code) in [
        (r#"{"units":-1}"#, "/low_water/units", "out_of_range"),
        (r#"{"percent":101}"#, "/low_water/percent", "out_of_range"),
        (r#"{"units":1,"percent":1}"#, "/low_water", "one_of"),
        (r#"{"then":"event"}"#, "/low_water", "one_of"),
        (
            r#"{"units":5,"resume":{"units":5}}"#,
            "/low_water/resume",
            "not_above_mark",
        ),
        (
            r#"{"percent":5,"resume":{}}"#,
            "/low_water/resume",
            "one_of",
        ),
        (
            r#"{"units":5,"then":"panic"}"#,
            "/low_water/then",
            "unknown_word",
        ),
    ] {
        let body = format!(r#"{{"low_water":{low_water}}}"#);
        let answer = client.call("PUT", "/v1/skus/mug", &[], body.as_bytes());
        let problem = answer.problem(422, "invalid_body");
        let error = &problem["errors"][0];
        assert_eq!(
            (&error["pointer"], &error["code"]),
            (&json!(pointer), &json!(code)),
            "{low_water}"
        );
    }
}
