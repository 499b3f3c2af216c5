//! What is dated, over a store: refused, and not half done.

use serde_json::Value;

use crate::program::{STOCK, at, done, over, serve};
use crate::program_support::{Server as Program, folder};
use crate::server::{Kind, Server};

/// Far enough ahead at any time, and never too far.
fn body(due: &str) -> String {
    let item = r#"{"id":"po-1","sku":"A","kind":"presale","quantity":4,"due":"#;
    format!(r#"{{"items":[{item}"{due}"}}]}}"#)
}

const BY: &str = r#"{"channel":"web","by":"2999-12-31","lines":[{"sku":"A","quantity":1}]}"#;

fn code(answer: &(u16, String)) -> (u16, String) {
    let problem: Value = serde_json::from_str(&answer.1).unwrap();
    (
        answer.0,
        problem["code"].as_str().unwrap_or("none").to_owned(),
    )
}

#[test]
fn a_ledger_in_a_store_takes_nothing_dated() {
    let (inside, store) = (folder(), Server::start(Kind::Redis));
    let program = serve(inside.path(), &store);
    assert_eq!(program.post("/v1/stock", "s1", STOCK).0, 200);
    let refused = (501, "dated_supply_not_kept".to_owned());
    let answer = program.post("/v1/inbound", "i1", &body("2999-12-31"));
    assert_eq!(code(&answer), refused, "{}", answer.1);
    assert_eq!(code(&program.post("/v1/reservations", "r1", BY)), refused);
    let plain = r#""key":"b1","channel":"web","lines":[{"sku":"A","quantity":1}]"#;
    let dated = plain.replace("b1", "b2") + r#","by":"2999-12-31""#;
    let batch = format!(r#"{{"reservations":[{{{dated}}},{{{plain}}}]}}"#);
    let (status, text) = program.post("/v1/reservations/batch", "none", &batch);
    let told: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(status, 200, "{text}");
    assert_eq!(told["results"][0]["status"], 501);
    assert_eq!(told["results"][1]["status"], 201);
}

/// The one day of a running program that is neither too far ahead nor past: today.
fn today(program: &Program) -> String {
    let (_, text) = program.get("/v1/atp/A");
    let told: Value = serde_json::from_str(&text).unwrap();
    let (day, _) = told["as_of"].as_str().unwrap().split_once('T').unwrap();
    day.to_owned()
}

#[test]
fn a_ledger_with_dates_moves_into_a_folder_but_not_into_a_store() {
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
    let second = Program::start(path, &["--data", "new"]);
    assert_eq!(second.post("/v1/reservations", "r1", BY), (201, made));
    assert!(second.get("/v1/inbound?sku=A").1.contains("po-1"));
    drop(second);

    let refused = over(path, &import, &store);
    assert_eq!(refused.code, Some(4), "{}", refused.err);
    assert!(refused.err.contains("without days"), "{}", refused.err);
}
