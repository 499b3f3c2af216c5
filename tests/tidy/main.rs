//! Checks on the code itself: which module may import which, what the rule book must not touch,
//! and what the documents must mention. Standard library only; runs in well under a second.
//!
//! A rule is a function from sources to complaints. Each is run over the repository and, so that it
//! cannot go blind unnoticed, over a snippet that breaks it.

mod documents;
mod imports;
mod source;
mod words;

use source::{Repository, Source};

/// Fails with all complaints at once: one run shows everything there is to mend.
fn assert_clean(complaints: &[String]) {
    assert!(complaints.is_empty(), "\n  {}\n", complaints.join("\n  "));
}

/// The rule must have something to say about this.
fn assert_complains(complaints: &[String], about: &str) {
    assert!(
        complaints.iter().any(|complaint| complaint.contains(about)),
        "expected a complaint about `{about}`, got {complaints:?}"
    );
}

fn snippet(path: &str, text: &str) -> Vec<Source> {
    vec![Source::new(path, text)]
}

#[test]
fn the_repository_is_seen() {
    let repository = Repository::read();
    assert!(
        repository
            .sources
            .iter()
            .any(|s| s.path == "src/domain/mod.rs")
    );
    assert!(repository.sources.iter().any(|s| s.path == "Cargo.toml"));
    assert!(
        !repository
            .sources
            .iter()
            .any(|s| s.path.starts_with("target/"))
    );
}

#[test]
fn imports_go_down_only() {
    assert_clean(&imports::direction(&Repository::read().sources));
    let bad = [
        (
            "src/domain/x.rs",
            "use crate::ledger::Answer;",
            "domain -> ledger",
        ),
        (
            "src/domain/x.rs",
            "use crate::{limits::A, http::{B, C}};",
            "domain -> http",
        ),
        (
            "src/telemetry/x.rs",
            "fn f() { crate::engine::g() }",
            "telemetry -> engine",
        ),
        (
            "src/ledger/embedded/x.rs",
            "use super::super::super::engine;",
            "ledger -> engine",
        ),
        ("src/http/x.rs", "use crate::cli::Replay;", "http -> cli"),
        (
            "src/http/x.rs",
            "use crate::ledger::embedded::Pool;",
            "ledger::embedded",
        ),
        (
            "src/http/x.rs",
            "use crate::ledger::remote::link::Link;",
            "ledger::remote",
        ),
        (
            "src/http/x.rs",
            "use crate::ledger::{Answer, embedded::Pool};",
            "ledger::embedded",
        ),
        (
            "src/main.rs",
            "use holdfast::ledger::Answer;",
            "main -> ledger",
        ),
        ("src/novelty.rs", "", "novelty"),
    ];
    for (path, text, about) in bad {
        assert_complains(&imports::direction(&snippet(path, text)), about);
    }
    let good = "use crate::domain::Sku; // crate::http\nconst A: &str = \"crate::cli\";";
    assert_clean(&imports::direction(&snippet("src/engine/x.rs", good)));
}

#[test]
fn the_import_table_has_no_way_back() {
    assert_clean(&imports::table_is_acyclic(imports::TABLE));
    let cycle: imports::Table = &[("a", &["b"]), ("b", &["a"])];
    assert_complains(&imports::table_is_acyclic(cycle), "a");
}

#[test]
fn the_rule_book_is_pure() {
    assert_clean(&imports::purity(&Repository::read().sources));
    let bad = [
        ("async fn f() {}", "async"),
        ("use std::time::Instant;", "Instant"),
        ("use std::fs;", "std::fs"),
        ("fn f() { tracing::info!(\"x\") }", "tracing"),
        ("use serde::Serialize;", "serde"),
        ("struct A(std::sync::Mutex<u8>);", "Mutex"),
        ("use rand::Rng;", "rand"),
        ("fn f() { println!() }", "println"),
    ];
    for (text, about) in bad {
        assert_complains(&imports::purity(&snippet("src/domain/x.rs", text)), about);
    }
    let good = "/// Like an async serde Instant.\nuse smallvec::SmallVec;\nuse std::fmt;";
    assert_clean(&imports::purity(&snippet("src/domain/x.rs", good)));
}

#[test]
fn what_checks_proofs_shares_nothing_with_what_writes_them() {
    assert_clean(&imports::independence(&Repository::read().sources));
    for (path, text) in [
        (
            "verify/Cargo.toml",
            "[dependencies]\nholdfast = { path = \"..\" }",
        ),
        ("verify/src/x.rs", "use holdfast::domain::Stock;"),
        (
            "verify/tests/x.rs",
            "#[path = \"../../src/domain/line.rs\"]\nmod line;",
        ),
    ] {
        assert_complains(&imports::independence(&snippet(path, text)), path);
    }
    let own = "use holdfast_verify::verify; // holdfast\nconst A: &str = \"holdfast proof\";";
    assert_clean(&imports::independence(&snippet("verify/src/x.rs", own)));
}

#[test]
fn every_source_file_is_part_of_the_crate() {
    assert_clean(&imports::dead_files(&Repository::read().sources));
    let orphan = [
        Source::new("src/lib.rs", "mod a;"),
        Source::new("src/b.rs", ""),
    ];
    assert_complains(&imports::dead_files(&orphan), "src/b.rs");
    let nested = [
        Source::new("src/lib.rs", "pub mod a;"),
        Source::new(
            "src/a/mod.rs",
            "#[cfg(test)]\n#[path = \"b_tests.rs\"]\nmod tests;",
        ),
        Source::new("src/a/b_tests.rs", ""),
    ];
    assert_clean(&imports::dead_files(&nested));
}

#[test]
fn footguns_are_not_called() {
    assert_clean(&words::banned(&Repository::read().sources));
    let bad = [
        ("src/engine/x.rs", "let t = Instant::now();", "Instant::now"),
        (
            "src/engine/x.rs",
            "let t = std::time::SystemTime::now();",
            "SystemTime::now",
        ),
        ("src/engine/x.rs", "std::thread::sleep(d);", "thread::sleep"),
        (
            "src/http/x.rs",
            "let (a, b) = tokio::sync::mpsc::unbounded_channel();",
            "unbounded",
        ),
        ("src/http/x.rs", "let v = std::env::var(\"A\");", "env::var"),
        ("src/http/x.rs", "std::process::exit(1);", "process::exit"),
        ("src/http/x.rs", "static mut N: u8 = 0;", "static mut"),
        ("src/ledger/x.rs", "unsafe { f() }", "unsafe"),
        ("src/ledger/x.rs", "#[allow(dead_code)]", "allow"),
        ("tests/http/x.rs", "std::thread::sleep(d);", "thread::sleep"),
        ("tests/http/x.rs", "#[ignore]\nfn f() {}", "ignore"),
        ("client/src/x.rs", "todo!()", "todo!"),
    ];
    for (path, text, about) in bad {
        assert_complains(&words::banned(&snippet(path, text)), about);
    }
    assert_clean(&words::banned(&snippet(
        "src/clock.rs",
        "let t = Instant::now();",
    )));
}

#[test]
fn metrics_are_named_in_telemetry_alone() {
    assert_clean(&words::metric_names(&Repository::read().sources));
    let named = "let n = \"holdfast_units_total\";";
    assert_complains(
        &words::metric_names(&snippet("src/engine/x.rs", named)),
        "holdfast_units",
    );
    let macros = "metrics::counter!(\"x\").increment(1);";
    assert_complains(
        &words::metric_names(&snippet("src/http/x.rs", macros)),
        "counter!",
    );
    assert_clean(&words::metric_names(&snippet("src/telemetry/x.rs", named)));
}

#[test]
fn files_stay_short_enough_to_read() {
    assert_clean(&words::long_files(&Repository::read().sources));
    let long = "\n".repeat(words::LINES_MAX + 1);
    for path in ["src/x.rs", "tests/x.rs", "loadtest/k6/x.js", "scripts/x"] {
        assert_complains(&words::long_files(&snippet(path, &long)), path);
    }
}

#[test]
fn nothing_is_left_for_later() {
    assert_clean(&words::leftovers(&Repository::read().sources));
    for word in ["FIXME", "TODO", "XXX"] {
        let text = format!("// {word} do this");
        assert_complains(&words::leftovers(&snippet("src/x.rs", &text)), word);
        assert_complains(&words::leftovers(&snippet("docs/x.md", &text)), word);
    }
}

#[test]
fn no_file_knows_the_machine_it_was_written_on() {
    assert_clean(&words::machine_paths(&Repository::read().sources));
    for folder in ["work", "home", "root"] {
        let text = format!("see /{folder}/someone/notes.txt");
        assert_complains(&words::machine_paths(&snippet("docs/x.md", &text)), folder);
    }
    assert_clean(&words::machine_paths(&snippet(
        "docs/x.md",
        "a framework/library of docs/home/",
    )));
}

#[test]
fn the_architecture_names_every_module() {
    assert_clean(&documents::modules_described(&Repository::read().sources));
    let undescribed = [
        Source::new("src/lib.rs", "pub mod domain;\npub mod novelty;"),
        Source::new("ARCHITECTURE.md", "| `domain` | the rule book |"),
    ];
    assert_complains(&documents::modules_described(&undescribed), "novelty");
}

#[test]
fn every_dependency_has_its_reason() {
    assert_clean(&documents::dependencies(&Repository::read().sources));
    let manifest = "[package]\nname = \"x\"\n[dependencies]\naxum = \"1\"\n\
                    [dev-dependencies]\ntempfile.workspace = true\n[profile.release]\nlto = true";
    let case = |document: &str| {
        let files = [
            Source::new("Cargo.toml", manifest),
            Source::new("docs/DEPENDENCIES.md", document),
        ];
        documents::dependencies(&files)
    };
    assert_clean(&case("| `axum` | routes |\n| `tempfile` | test folders |"));
    assert_complains(&case("| `axum` | routes |"), "tempfile");
    assert_complains(&case("| `axum` | |\n| `tempfile` | folders |"), "axum");
    assert_complains(
        &case("| `axum` | a |\n| `tempfile` | b |\n| `rand` | c |"),
        "rand",
    );
}

#[test]
fn the_readme_starts_with_two_commands() {
    assert_clean(&documents::readme_commands(&Repository::read().sources));
    let readme = snippet("README.md", "```sh\ncargo run --release -- serve\n```");
    assert_complains(&documents::readme_commands(&readme), "scripts/test");
}

#[test]
fn links_between_files_lead_somewhere() {
    assert_clean(&documents::dead_links(&Repository::read().sources));
    let page = "[a](b.md) [c](https://x.org/) [d](#here) `[e](f)`";
    assert_complains(
        &documents::dead_links(&snippet("docs/x.md", page)),
        "docs/b.md",
    );
    assert_complains(
        &documents::dead_links(&snippet("docs/x.md", "[a](../LICENSE)")),
        "LICENSE",
    );
}

#[test]
fn shell_scripts_stop_at_the_first_failure() {
    assert_clean(&words::shell_scripts(&Repository::read().sources));
    let careless = "#!/usr/bin/env bash\nrm -rf \"$1\"\n";
    assert_complains(
        &words::shell_scripts(&snippet("scripts/x", careless)),
        "pipefail",
    );
    assert_complains(
        &words::shell_scripts(&snippet(".ci/run", "echo\n")),
        "first line",
    );
}
