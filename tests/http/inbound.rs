//! Dated supply, reservations for a day, availability by date.

use holdfast::domain::UnixMillis;
use holdfast::http::answers;
use serde_json::{Value, json};

use crate::support::{Answer, Client, Running, START};

const DAY_MS: i64 = 86_400_000;

fn post(client: &mut Client, path: &str, key: &str, body: &Value) -> Answer {
    client.post(path, key, &body.to_string())
}

/// Announces supply of SKU `a` at the node `main`.
fn announce(client: &mut Client, key: &str, id: &str, due: &str, quantity: u64) -> Answer {
    let item = json!({"id": id, "sku": "a", "kind": "in_transit", "due": due,
        "quantity": quantity});
    post(client, "/v1/inbound", key, &json!({"items": [item]}))
}

fn reserve(client: &mut Client, key: &str, quantity: u64, by: Option<&str>) -> Answer {
    let mut body = json!({"channel": "web", "lines": [{"sku": "a", "quantity": quantity}]});
    if let Some(by) = by {
        body["by"] = json!(by);
    }
    post(client, "/v1/reservations", key, &body)
}

fn reservation(answer: &Answer) -> answers::Reservation {
    answer.expect(201);
    serde_json::from_slice(&answer.body).unwrap()
}

#[test]
fn supply_is_announced_moved_received_and_read() {
    let server = Running::start();
    let mut client = server.client();
    let answer = announce(&mut client, "1", "po-1", "2026-11-20", 8);
    answer.expect(200);
    let put: answers::InboundResults = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!(
        (&*put.results[0].due, put.results[0].open),
        ("2026-11-20", 8)
    );
    let again = announce(&mut client, "1", "po-1", "2026-11-20", 8);
    assert_eq!(
        (again.header("idempotent-replayed"), &again.body),
        (Some("true"), &answer.body)
    );
    announce(&mut client, "2", "po-1", "2026-11-25", 9).expect(200);
    announce(&mut client, "3", "po-2", "2026-11-10", 5).expect(200);

    let answer = client.get("/v1/inbound?sku=a");
    answer.expect(200);
    let read: answers::Inbound = serde_json::from_slice(&answer.body).unwrap();
    let items = read.items.iter();
    let items: Vec<_> = items
        .map(|of| (&*of.id, &*of.due, of.open, of.overdue))
        .collect();
    let expected = [
        ("po-2", "2026-11-10", 5, true),
        ("po-1", "2026-11-25", 9, false),
    ];
    assert_eq!(items, expected);

    let body = json!({"items": [{"id": "po-1", "sku": "a", "quantity": 4},
        {"id": "po-2", "sku": "a", "quantity": 2, "final": true}]});
    let answer = post(&mut client, "/v1/inbound/receipts", "4", &body);
    answer.expect(200);
    let got: answers::InboundResults = serde_json::from_slice(&answer.body).unwrap();
    let got: Vec<_> = got
        .results
        .iter()
        .map(|of| (of.received, of.open, of.on_hand))
        .collect();
    assert_eq!(got, [(4, 5, 4), (2, 0, 6)]);
    let answer = client.get("/v1/stock/a");
    let stock: answers::Stock = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!((stock.on_hand, stock.inbound.len()), (6, 1));

    announce(&mut client, "5", "po-1", "2026-11-25", 0).expect(200);
    assert_eq!(
        client.get("/v1/inbound?sku=a").expect(200)["items"],
        json!([])
    );
    client.get("/v1/inbound?sku=b").problem(404, "unknown_sku");
    client.get("/v1/inbound").problem(400, "invalid_parameter");
}

#[test]
fn a_line_is_promised_for_the_first_day_that_has_all_of_it() {
    let server = Running::start();
    server.stock("a", 2);
    let mut client = server.client();
    announce(&mut client, "1", "po-1", "2026-11-20", 3).expect(200);
    announce(&mut client, "2", "po-2", "2026-11-27", 5).expect(200);

    let now = reservation(&reserve(&mut client, "3", 1, None));
    assert_eq!(now.lines[0].promise_date, None);
    let today = reservation(&reserve(&mut client, "4", 1, Some("2026-12-24")));
    assert_eq!(today.lines[0].promise_date.as_deref(), Some("2026-11-11"));
    let answer = reserve(&mut client, "5", 4, Some("2026-12-24"));
    let later = reservation(&answer);
    assert_eq!(later.lines[0].promise_date.as_deref(), Some("2026-11-27"));
    assert_eq!(
        reserve(&mut client, "5", 4, Some("2026-12-24")).body,
        answer.body
    );
    let read = client.get(&format!("/v1/reservations/{}", later.id));
    let read: answers::Reservation = serde_json::from_slice(&read.body).unwrap();
    assert_eq!(read, later);

    let problem = reserve(&mut client, "6", 4, Some("2026-11-26"));
    let problem = problem.problem(409, "insufficient_stock");
    let short = &problem["shortages"][0];
    assert_eq!(
        (&short["available"], &short["limit"]),
        (&json!(3), &json!("date"))
    );
    assert_eq!(short["next_date"], "2026-11-27");
    let problem = reserve(&mut client, "7", 5, None).problem(409, "insufficient_stock");
    assert_eq!(problem["shortages"][0].get("next_date"), None);

    let atp = client.get("/v1/atp/a");
    atp.expect(200);
    let atp: answers::Atp = serde_json::from_slice(&atp.body).unwrap();
    let dates = atp.dates.unwrap();
    let dates: Vec<_> = dates
        .iter()
        .map(|of| (&*of.date, of.available, &*of.limit))
        .collect();
    assert_eq!(atp.available, 0);
    assert_eq!(
        dates,
        [
            ("2026-11-11", 0, "stock"),
            ("2026-11-20", 3, "inbound"),
            ("2026-11-27", 4, "inbound")
        ]
    );
    let bulk = json!({"skus": ["a"], "until": "2026-11-20"}).to_string();
    let bulk = client.post("/v1/atp", "none", &bulk).expect(200);
    assert_eq!(
        bulk["results"][0]["dates"].as_array().map(Vec::len),
        Some(2)
    );
    let one = client
        .get("/v1/atp/a?until=2026-11-12T00:00:00Z")
        .expect(200);
    let now = json!([{"date": "2026-11-11", "available": 0, "limit": "stock"}]);
    assert_eq!(one["dates"], now);
    client
        .get("/v1/atp/a?until=soon")
        .problem(400, "invalid_parameter");
}

#[test]
fn a_line_ships_before_its_day_only_if_nobody_else_goes_without() {
    let server = Running::start();
    server.stock("a", 2);
    let mut client = server.client();
    announce(&mut client, "1", "po-1", "2026-11-20", 2).expect(200);
    let later = reservation(&reserve(&mut client, "2", 3, Some("2026-11-20")));
    let now = reservation(&reserve(&mut client, "3", 1, None));
    let mut act = |key: &str, of: &answers::Reservation, verb: &str| {
        client.post(&format!("/v1/reservations/{}/{verb}", of.id), key, "{}")
    };
    act("4", &later, "confirm").expect(200);
    act("5", &later, "ship").problem(409, "insufficient_stock");
    act("6", &now, "confirm").expect(200);
    act("7", &now, "ship").expect(200);
    let body = json!({"items": [{"id": "po-1", "sku": "a", "quantity": 2}]});
    post(&mut server.client(), "/v1/inbound/receipts", "8", &body).expect(200);
    act("9", &later, "ship").expect(200);
}

#[test]
fn what_comes_late_is_a_deficit_and_cancels_no_promise() {
    let server = Running::start();
    let mut client = server.client();
    announce(&mut client, "1", "po-1", "2026-11-12", 4).expect(200);
    let made = reservation(&reserve(&mut client, "2", 4, Some("2026-11-12")));
    let path = format!("/v1/reservations/{}", made.id);
    client
        .post(&format!("{path}/confirm"), "3", "{}")
        .expect(200);
    let deficit = |client: &mut Client| client.get("/v1/stock/a").expect(200)["deficit"].clone();
    assert_eq!(deficit(&mut client), json!(0));

    server.clock.set(UnixMillis(START.0 + 2 * DAY_MS));
    assert_eq!(deficit(&mut client), json!(4));
    assert_eq!(client.get(&path).expect(200)["state"], "committed");
    reserve(&mut client, "4", 1, Some("2026-12-01")).problem(409, "insufficient_stock");

    // With a new day it counts again, but the promise is late all the same.
    announce(&mut client, "5", "po-1", "2026-11-30", 5).expect(200);
    assert_eq!(deficit(&mut client), json!(4));
    let made = reservation(&reserve(&mut client, "6", 1, Some("2026-12-01")));
    assert_eq!(made.lines[0].promise_date.as_deref(), Some("2026-11-30"));
    let body = json!({"items": [{"id": "po-1", "sku": "a", "quantity": 5}]});
    post(&mut client, "/v1/inbound/receipts", "7", &body).expect(200);
    assert_eq!(deficit(&mut client), json!(0));
}

#[test]
fn mistakes_and_refusals_of_inbound_calls() {
    let server = Running::start();
    server.stock("a", 1);
    let mut client = server.client();
    let body = json!({"items": [{"id": "p o", "sku": "a", "kind": "gift", "due": "2026-02-30",
        "quantity": -1}]});
    let problem = post(&mut client, "/v1/inbound", "1", &body).problem(422, "invalid_body");
    let errors = problem["errors"].as_array().unwrap();
    let pointers: Vec<_> = errors
        .iter()
        .map(|of| of["pointer"].as_str().unwrap())
        .collect();
    let expected = [
        "/items/0/id",
        "/items/0/kind",
        "/items/0/due",
        "/items/0/quantity",
    ];
    assert_eq!(pointers, expected);
    post(&mut client, "/v1/inbound", "2", &json!({"items": []})).problem(422, "invalid_body");
    announce(&mut client, "3", "po", "2027-05-11", 1).problem(409, "due_too_late");
    let receive =
        |id: &str, quantity: u64| json!({"items": [{"id": id, "sku": "a", "quantity": quantity}]});
    let path = "/v1/inbound/receipts";
    post(&mut client, path, "4", &receive("po", 1)).problem(409, "unknown_inbound");
    announce(&mut client, "5", "po", "2027-05-10", 1).expect(200);
    let problem = post(&mut client, path, "6", &receive("po", 2)).problem(409, "over_receipt");
    assert_eq!(
        (&problem["open"], &problem["requested"]),
        (&json!(1), &json!(2))
    );
    let item = |at: u64| {
        json!({"id": format!("n-{at}"), "sku": "a", "kind": "presale",
        "due": "2026-12-01", "quantity": 1})
    };
    let many: Vec<Value> = (0..256).map(item).collect();
    let problem = post(&mut client, "/v1/inbound", "7", &json!({"items": many}));
    problem.problem(409, "too_many_inbound");

    let act = json!({"lines": [{"sku": "a", "quantity": 1, "by": "2026-12-01"}]});
    let made = reservation(&reserve(&mut client, "8", 1, None));
    let path = format!("/v1/reservations/{}/release", made.id);
    post(&mut client, &path, "9", &act).problem(422, "invalid_body");
    reserve(&mut client, "10", 1, Some("tomorrow")).problem(422, "invalid_body");
    let problem = reserve(&mut client, "11", 1, Some("2026-11-10"));
    let problem = problem.problem(409, "insufficient_stock");
    assert_eq!(problem["shortages"][0]["limit"], "date");
}
