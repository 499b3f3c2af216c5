//! `replay` against the answers of an independent program.

use std::path::PathBuf;

use serde_json::Value;

use crate::support::{file, folder, run};

fn sample(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("data")
        .join(name)
}

fn trace() -> String {
    sample("orders-sample.csv.gz")
        .to_string_lossy()
        .into_owned()
}

#[test]
fn every_order_and_every_unit_is_as_the_independent_program_says() {
    let inside = folder();
    for fill in ["0.5", "0.8", "1.0"] {
        let path = sample(&format!("orders-sample.fill-{fill}.json"));
        let expected: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
        for via in ["engine", "http"] {
            let arguments = ["replay", &trace(), "--fill", fill, "--via", via, "--json"];
            let replayed = run(inside.path(), &arguments);
            assert_eq!(replayed.code, Some(0), "{}", replayed.err);
            let found = replayed.json();
            for (key, value) in expected.as_object().unwrap() {
                assert_eq!(&found[key], value, "{key} at fill {fill} via {via}");
            }
            assert_eq!(found["recount"]["violations"], 0);
        }
    }
}

#[test]
fn sixty_four_clients_keep_the_sums() {
    let inside = folder();
    for via in ["engine", "http"] {
        let arguments = [
            "replay",
            &trace(),
            "--clients",
            "64",
            "--via",
            via,
            "--data",
            via,
            "--json",
        ];
        let replayed = run(inside.path(), &arguments);
        assert_eq!(replayed.code, Some(0), "{}", replayed.err);
        let found = replayed.json();
        let number = |key: &str| found[key].as_u64().unwrap();
        assert_eq!(number("accepted") + number("refused"), 300);
        assert_eq!(number("units_held") + number("units_left"), 71 + 1_642);
        let verified = run(inside.path(), &["verify", "--data", via, "--json"]);
        assert_eq!(verified.code, Some(0), "{}", verified.err);
        let verified = verified.json();
        assert_eq!(verified["units_promised"], found["units_held"]);
        assert_eq!(verified["open_reservations"], found["accepted"]);
        assert_eq!(verified["deficits"], 0);
    }
}

#[test]
fn a_folder_with_something_in_it_is_left_alone() {
    let inside = folder();
    file(&inside, "keep", "mine");
    let refused = run(inside.path(), &["replay", &trace(), "--data", "."]);
    assert_eq!(refused.code, Some(2), "{}", refused.err);
    assert!(refused.err.contains("new or empty"), "{}", refused.err);
}

#[test]
fn nonsense_is_named() {
    let inside = folder();
    file(
        &inside,
        "bad.csv",
        "order_ref,sku,quantity\no1,A,1\no1,A,many\n",
    );
    for (arguments, code, part) in [
        (&["replay", "none.csv"][..], 1, "none.csv"),
        (&["replay", "bad.csv"], 1, "line 3: quantity many"),
        (
            &["replay", &trace(), "--fill=-1"],
            2,
            "--fill -1 makes no sense",
        ),
        (
            &["replay", &trace(), "--fill=NaN"],
            2,
            "--fill NaN makes no sense",
        ),
    ] {
        let refused = run(inside.path(), arguments);
        assert_eq!(refused.code, Some(code), "{}", refused.err);
        assert!(refused.err.contains(part), "{}", refused.err);
    }
}
