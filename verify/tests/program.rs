//! The program: what it prints, and its exit codes.

#![expect(clippy::unwrap_used, reason = "test code")]

#[expect(dead_code, reason = "the tests of the rules use the rest of it")]
mod support;

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};
use support::{Story, proof};

/// Exit code, standard output and standard error.
fn run(inside: &Path, arguments: &[&str]) -> (Option<i32>, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_holdfast-verify"));
    let output = command
        .current_dir(inside)
        .args(arguments)
        .output()
        .unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (
        output.status.code(),
        text(output.stdout),
        text(output.stderr),
    )
}

/// A folder with a proof of nothing much, one that is damaged, and something else.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let mut story = Story::new();
    story.add(json!({"kind": "ledger.opened"}));
    let good = proof(&story);
    let text = String::from_utf8(good.clone()).unwrap();
    let write = |name: &str, bytes: &[u8]| std::fs::write(folder.path().join(name), bytes).unwrap();
    write("good", &good);
    write(
        "damaged",
        text.replace("ledger.opened", "ledger.0pened").as_bytes(),
    );
    write(
        "newer",
        text.replace("\"version\":1", "\"version\":2").as_bytes(),
    );
    write("other", b"sku,quantity\nA,5\n");
    write("empty", b"");
    folder
}

#[test]
fn what_fits_is_0_and_shows_the_last_hash() {
    let folder = folder();
    let (code, out, _) = run(folder.path(), &["good"]);
    assert_eq!(code, Some(0));
    assert!(
        out.contains("good: accepted") && out.contains("1 records"),
        "{out}"
    );
    let (code, out, _) = run(folder.path(), &["--json", "good"]);
    let said: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((code, &said["accepted"]), (Some(0), &json!(true)));
    let hash = said["proofs"][0]["hash"].as_str().unwrap();
    assert_eq!(run(folder.path(), &["good", "--expect", hash]).0, Some(0));
    let other = "0".repeat(64);
    let (code, _, err) = run(folder.path(), &["good", "--expect", &other]);
    assert_eq!(code, Some(1));
    assert!(
        err.contains(&format!("ends with the hash {hash}, not {other}")),
        "{err}"
    );
}

#[test]
fn what_does_not_fit_is_1_and_names_the_place() {
    let folder = folder();
    let (code, out, err) = run(folder.path(), &["damaged"]);
    assert_eq!((code, out.as_str()), (Some(1), ""));
    assert!(
        err.contains("damaged rejected at line 3 (shard 0, record 1): its hash is"),
        "{err}"
    );
    let (code, out, _) = run(folder.path(), &["--json", "damaged"]);
    let said: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((code, &said["accepted"]), (Some(1), &json!(false)));
    assert_eq!(
        (&said["rejection"]["line"], &said["rejection"]["sequence"]),
        (&json!(3), &json!(1))
    );

    let (code, _, err) = run(folder.path(), &["good", "good"]);
    assert_eq!(code, Some(1));
    assert!(
        err.contains("does not begin where the file before ends"),
        "{err}"
    );
}

#[test]
fn what_cannot_be_judged_is_2() {
    let folder = folder();
    for (arguments, why) in [
        (&["nowhere"][..], "nowhere cannot be read"),
        (&["other"], "other is not a proof of holdfast"),
        (&["empty"], "empty is not a proof of holdfast"),
        (
            &["newer"],
            "newer has format version 2, this program knows 1",
        ),
        (&["good", "--expect"], "--expect needs a hash"),
        (&["--strict", "good"], "no option --strict"),
        (&[], "no file"),
    ] {
        let (code, _, err) = run(folder.path(), arguments);
        assert_eq!(code, Some(2), "{arguments:?}: {err}");
        assert!(err.contains(why), "{arguments:?}: {err}");
    }
    for flag in ["--help", "--version"] {
        let (code, out, _) = run(folder.path(), &[flag]);
        assert_eq!(code, Some(0));
        assert!(out.contains("holdfast"), "{out}");
    }
}
