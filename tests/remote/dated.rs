//! What is dated, over a store, as a program shows it.

use serde_json::Value;

use crate::program::{STOCK, at, done, over, serve};
use crate::program_support::{Server as Program, folder};
use crate::server::{Kind, Server};

fn body(due: &str) -> String {
    let item = r#"{"id":"po-1","sku":"A","kind":"presale","quantity":4,"due":"#;
    format!(r#"{{"items":[{item}"{due}"}}]}}"#)
}

/// Far enough ahead at any time.
const BY: &str = r#"{"channel":"web","by":"2999-12-31","lines":[{"sku":"A","quantity":8}]}"#;

fn json((status, text): (u16, String), expected: u16) -> Value {
    assert_eq!(status, expected, "{text}");
    serde_json::from_str(&text).unwrap()
}

/// The one day of a running program that is neither too far ahead nor past: today.
fn today(program: &Program) -> String {
    let (_, text) = program.get("/v1/atp/A");
    let told: Value = serde_json::from_str(&text).unwrap();
    let (day, _) = told["as_of"].as_str().unwrap().split_once('T').unwrap();
    day.to_owned()
}

#[test]
fn what_one_program_announced_the_other_promises_and_receives() {
    for kind in Kind::ALL {
        let (inside, store) = (folder(), Server::start(kind));
        let (one, other) = (serve(inside.path(), &store), serve(inside.path(), &store));
        assert_eq!(one.post("/v1/stock", "s1", STOCK).0, 200);
        let today = today(&one);
        let announced = json(one.post("/v1/inbound", "i1", &body(&today)), 200);
        assert_eq!(announced["results"][0]["open"], 4);
        assert_eq!(
            json(other.post("/v1/inbound", "i1", &body(&today)), 200),
            announced
        );

        let made = json(other.post("/v1/reservations", "r1", BY), 201);
        assert_eq!(made["lines"][0]["promise_date"], today.as_str());
        let id = made["id"].as_str().unwrap();
        assert_eq!(json(one.get(&format!("/v1/reservations/{id}")), 200), made);
        let atp = json(one.get("/v1/atp/A"), 200);
        let last = atp["dates"].as_array().and_then(|dates| dates.last());
        assert_eq!(last.unwrap()["available"], 1, "{atp}");

        // Five are there; the other four of the nine come now.
        let path = format!("/v1/reservations/{id}");
        json(one.post(&format!("{path}/confirm"), "c1", "{}"), 200);
        assert_eq!(one.post(&format!("{path}/ship"), "h1", "{}").0, 409);
        let received = r#"{"items":[{"id":"po-1","sku":"A","quantity":4}]}"#;
        json(other.post("/v1/inbound/receipts", "i2", received), 200);
        let shipped = json(one.post(&format!("{path}/ship"), "h2", "{}"), 200);
        assert_eq!(shipped["state"], "shipped");
        let listed = json(other.get("/v1/inbound?sku=A"), 200);
        assert_eq!(
            listed["items"].as_array().map(Vec::len),
            Some(0),
            "{listed}"
        );
    }
}

#[test]
fn a_ledger_with_dates_moves_into_a_folder_and_into_a_store() {
    let (inside, store) = (folder(), Server::start(Kind::Redis));
    let path = inside.path();
    let mut first = Program::start(path, &["--data", "old"]);
    assert_eq!(first.post("/v1/stock", "s1", STOCK).0, 200);
    let inbound = body(&today(&first));
    assert_eq!(first.post("/v1/inbound", "i1", &inbound).0, 200);
    let (status, made) = first.post("/v1/reservations", "r1", BY);
    assert_eq!(status, 201, "{made}");
    assert_eq!(first.stop().code(), Some(0));

    let out = done(&at(path, &["export", "--to", "ledger.ndjson"], "old"));
    let import = ["import", "--ledger", "ledger.ndjson"];
    assert_eq!(done(&at(path, &import, "new")), out);
    let import = [&import[..], &["--json"]].concat();
    assert_eq!(done(&over(path, &import, &store)), out);
    let moved = [
        Program::start(path, &["--data", "new"]),
        serve(path, &store),
    ];
    for program in moved {
        assert_eq!(
            program.post("/v1/reservations", "r1", BY),
            (201, made.clone())
        );
        assert!(program.get("/v1/inbound?sku=A").1.contains("po-1"));
    }
}
