//! Configuration, usage and the small commands.

use crate::support::{file, finish, folder, holdfast, run};

#[test]
fn every_mistake_is_listed_at_once() {
    let inside = folder();
    file(
        &inside,
        "h.toml",
        "listn = \"x\"\n[http]\nthreads = \"two\"\n[hold]\nttl_seconds = 0\n",
    );
    let checked = finish(
        holdfast(inside.path())
            .env("HOLDFAST_JOURNAL__SEGMENT_MIB", "7")
            .args([
                "config",
                "check",
                "--config",
                "h.toml",
                "--durability",
                "maybe",
            ]),
    );
    assert_eq!(checked.code, Some(3));
    for part in [
        "5 mistakes",
        "listn (file h.toml): no such key; did you mean listen?",
        "http.threads (file h.toml): two must be a whole number from 0 to 1024",
        "hold.ttl_seconds (file h.toml): 0 must be",
        "journal.segment_mib (environment variable HOLDFAST_JOURNAL__SEGMENT_MIB): 7 must be",
        "durability (command line): \"maybe\" must be \"disk\" or \"os\"",
    ] {
        assert!(checked.err.contains(part), "{part}\n{}", checked.err);
    }
    let served = run(inside.path(), &["serve", "--config", "h.toml"]);
    assert_eq!(served.code, Some(3));
    assert!(!inside.path().join("data").exists());
}

#[test]
fn a_file_that_is_missing_or_no_toml_is_a_mistake() {
    let inside = folder();
    file(&inside, "h.toml", "listen = \n");
    for (name, part) in [("none.toml", "cannot be read"), ("h.toml", "is not TOML")] {
        let checked = run(inside.path(), &["config", "check", "--config", name]);
        assert_eq!(checked.code, Some(3));
        assert!(checked.err.contains(part), "{}", checked.err);
    }
}

#[test]
fn init_writes_a_file_that_is_valid_and_never_overwrites() {
    let inside = folder();
    assert_eq!(
        run(inside.path(), &["config", "init", "h.toml"]).code,
        Some(0)
    );
    let checked = run(inside.path(), &["config", "check", "--config", "h.toml"]);
    assert_eq!(checked.code, Some(0), "{}", checked.err);
    let again = run(inside.path(), &["config", "init", "h.toml"]);
    assert_eq!(again.code, Some(1));
    assert!(again.err.contains("cannot write h.toml"), "{}", again.err);
}

#[test]
fn show_names_the_origin_of_each_value() {
    let inside = folder();
    let shown = finish(
        holdfast(inside.path())
            .env("HOLDFAST_HTTP__THREADS", "3")
            .args(["config", "show", "--json", "--durability", "os"]),
    );
    let settings = shown.json()["settings"].clone();
    let of = |key: &str| {
        let all = settings.as_array().unwrap();
        let found = all.iter().find(|s| s["key"] == key).unwrap();
        (
            found["value"].as_str().unwrap().to_owned(),
            found["origin"].as_str().unwrap().to_owned(),
        )
    };
    assert_eq!(
        of("durability"),
        ("os".to_owned(), "command line".to_owned())
    );
    assert_eq!(of("listen").1, "default");
    let origin = "environment variable HOLDFAST_HTTP__THREADS".to_owned();
    assert_eq!(of("http.threads"), ("3".to_owned(), origin));
}

#[test]
fn shown_settings_are_a_valid_file() {
    let inside = folder();
    let shown = run(inside.path(), &["config", "show"]);
    file(&inside, "shown.toml", &shown.out);
    let checked = run(
        inside.path(),
        &["config", "check", "--config", "shown.toml"],
    );
    assert_eq!(checked.code, Some(0), "{}{}", shown.out, checked.err);
}

#[test]
fn a_store_that_does_not_answer_is_named() {
    let inside = folder();
    let store = "redis://user:secret@127.0.0.1:1";
    for command in ["serve", "verify"] {
        let failed = run(inside.path(), &[command, "--store", store]);
        assert_eq!(failed.code, Some(5), "{}", failed.err);
        let named = "the store at redis://127.0.0.1:1 does not answer";
        assert!(failed.err.contains(named), "{}", failed.err);
        assert!(!failed.err.contains("secret"), "{}", failed.err);
    }
    let measured = run(inside.path(), &["bench", "--store", store]);
    assert_eq!(measured.code, Some(2), "{}", measured.err);
}

#[test]
fn a_level_that_the_store_does_not_have_is_declined_clearly() {
    let inside = folder();
    let store = "redis://cache:6379";
    for (store, level, part) in [
        ("embedded", "memory", "use disk or os"),
        ("embedded", "replica", "use disk or os"),
        (store, "os", "is for the embedded ledger"),
        (store, "replica", "needs remote.replicas"),
        (store, "replica+disk", "needs remote.replicas"),
    ] {
        for command in ["serve", "verify", "doctor"] {
            let place = [command, "--store", store, "--durability", level];
            let declined = run(inside.path(), &place);
            assert_eq!(declined.code, Some(3), "{}", declined.err);
            assert!(declined.err.contains(part), "{}", declined.err);
        }
    }
    let bench = ["bench", "--store", store, "--durability", "memory"];
    let declined = run(inside.path(), &bench);
    assert_eq!(declined.code, Some(2), "{}", declined.err);
    assert!(declined.err.contains("embedded ledger"), "{}", declined.err);
}

#[test]
fn wrong_usage_is_2_and_help_is_0() {
    let inside = folder();
    assert_eq!(run(inside.path(), &["serv"]).code, Some(2));
    assert_eq!(
        run(inside.path(), &["replay", "t.csv", "--clients", "0"]).code,
        Some(2)
    );
    let help = run(inside.path(), &["--help"]);
    assert_eq!(help.code, Some(0));
    for command in [
        "serve", "import", "replay", "verify", "bench", "doctor", "config",
    ] {
        assert!(help.out.contains(command), "{command}");
    }
}

#[test]
fn completions_and_the_api_document_are_printed() {
    let inside = folder();
    for shell in ["bash", "zsh", "fish"] {
        let script = run(inside.path(), &["completions", shell]);
        assert_eq!(script.code, Some(0));
        assert!(script.out.contains("holdfast") && script.out.contains("replay"));
    }
    let document = run(inside.path(), &["openapi"]);
    assert_eq!(document.code, Some(0));
    assert!(document.json().is_object());
}
