//! `prove export`: what it writes is accepted, what it cannot write it says.

use std::path::Path;

use holdfast_verify::{Proof, verify};
use serde_json::json;

use crate::support::{Server, bytes_of, file, folder, run};

/// A ledger with some history in `data`.
fn sold(inside: &tempfile::TempDir) {
    file(inside, "s.csv", "sku,qty\nA,7\nB,3\n");
    let imported = run(inside.path(), &["import", "s.csv"]);
    assert_eq!(imported.code, Some(0), "{}", imported.err);
    let mut server = Server::start(inside.path(), &[]);
    for (key, sku, quantity) in [("1", "A", 5), ("2", "A", 3), ("3", "B", 3)] {
        let line = json!({"sku": sku, "quantity": quantity});
        let body = json!({"channel": "web", "reference": format!("order-{key}"), "lines": [line]});
        server.post("/v1/reservations", key, &body.to_string());
    }
    assert!(server.stop().success());
}

#[expect(clippy::unwrap_used, reason = "test code")]
fn read(inside: &Path, name: &str) -> Proof {
    verify(&std::fs::read(inside.join(name)).unwrap()[..]).unwrap()
}

#[test]
fn a_proof_of_a_folder_is_accepted_and_leaves_it_as_it_was() {
    let inside = folder();
    sold(&inside);
    let before = bytes_of(&inside.path().join("data"));
    let proved = run(inside.path(), &["prove", "export", "one.ndjson", "--json"]);
    assert_eq!(proved.code, Some(0), "{}", proved.err);
    let said = proved.json();
    assert_eq!(said["compared"], json!(true));
    let proof = read(inside.path(), "one.ndjson");
    assert_eq!(
        (&said["hash"], &said["records"]),
        (&json!(proof.hash), &json!(proof.records))
    );
    assert_eq!((proof.made, proof.reservations, proof.skus), (2, 2, 2));
    let text = std::fs::read_to_string(inside.path().join("one.ndjson")).unwrap();
    assert!(
        !text.contains("order-1"),
        "references are nobody's business"
    );

    let again = run(inside.path(), &["prove", "export", "two.ndjson"]);
    assert_eq!(again.code, Some(0), "{}", again.err);
    assert!(
        again.out.contains(&proof.hash),
        "the same history, the same hash: {}",
        again.out
    );
    assert_eq!(bytes_of(&inside.path().join("data")), before);
}

#[test]
fn parts_of_a_history_join() {
    let inside = folder();
    sold(&inside);
    let whole = run(inside.path(), &["prove", "export", "all", "--json"]).json();
    let middle = whole["records"].as_u64().unwrap() / 2;
    let (to, from) = (middle.to_string(), (middle + 1).to_string());
    run(inside.path(), &["prove", "export", "first", "--to", &to]);
    run(inside.path(), &["prove", "export", "rest", "--from", &from]);
    let (first, rest) = (read(inside.path(), "first"), read(inside.path(), "rest"));
    assert_eq!(first.closing, rest.opening);
    assert_eq!(
        first.records + rest.records,
        whole["records"].as_u64().unwrap()
    );

    let none = run(
        inside.path(),
        &["prove", "export", "none", "--from", "2100-01-01T00:00:00Z"],
    );
    assert_eq!(none.code, Some(0), "{}", none.err);
    assert_eq!(read(inside.path(), "none").records, 0);
}

#[test]
fn mistakes_are_told_and_leave_no_file() {
    let inside = folder();
    sold(&inside);
    std::fs::create_dir(inside.path().join("photos")).unwrap();
    file(&inside, "there", "x");
    for (arguments, code, why) in [
        (
            &["p", "--data", "nowhere"][..],
            4,
            "there is no data folder nowhere",
        ),
        (&["p", "--data", "photos"], 4, "it holds no ledger.id"),
        (&["there"], 2, "there is there already"),
        (&["missing/p"], 1, "cannot write missing/p.part"),
        (
            &["p", "--from", "soon"],
            2,
            "must be the number of a record, or a moment",
        ),
        (
            &["p", "--from", "5", "--to", "2"],
            2,
            "--from is after --to",
        ),
        (
            &[
                "p",
                "--from",
                "2026-02-01T00:00:00Z",
                "--to",
                "2026-01-31T00:00:00Z",
            ],
            2,
            "--from is after --to",
        ),
        (&[], 2, "<FILE>"),
        (&["p", "--store", "redis://127.0.0.1:1"], 5, "127.0.0.1:1"),
    ] {
        let arguments = [&["prove", "export"], arguments].concat();
        let failed = run(inside.path(), &arguments);
        assert_eq!(failed.code, Some(code), "{arguments:?}: {}", failed.err);
        assert!(failed.err.contains(why), "{arguments:?}: {}", failed.err);
    }
    let server = Server::start(inside.path(), &[]);
    let locked = run(inside.path(), &["prove", "export", "p"]);
    assert_eq!(locked.code, Some(4), "{}", locked.err);
    assert!(server.get("/v1/health").0 > 0 && !inside.path().join("p").exists());
    assert!(!inside.path().join("p.part").exists());
}
