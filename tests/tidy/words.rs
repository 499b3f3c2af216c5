//! Words that must not occur, and sizes that must not be passed.

use crate::imports::has_word;
use crate::source::Source;

/// Longest file that is still read as one thought.
pub(crate) const LINES_MAX: usize = 500;

/// What must not be called, where it may nevertheless, and what to do instead.
const BANNED: &[(&str, &[&str], &str)] = &[
    (
        "Instant::now",
        &["src/clock.rs"],
        "take time from the clock module",
    ),
    (
        "SystemTime::now",
        &["src/clock.rs"],
        "take time from the clock module",
    ),
    (
        "std::thread::sleep",
        &[],
        "wait for a condition, not for time",
    ),
    ("thread::sleep", &[], "wait for a condition, not for time"),
    ("unbounded_channel", &[], "every queue has a limit"),
    ("channel::unbounded", &[], "every queue has a limit"),
    (
        "env::var",
        &[
            "src/config.rs",
            "src/sabotage/armed.rs",
            "src/sync/explored/",
        ],
        "read configuration in config.rs",
    ),
    ("process::exit", &["src/main.rs"], "return an error to main"),
    ("process::abort", &[], "return an error to main"),
    ("static mut", &[], "pass it as a parameter"),
    ("unsafe", &[], "there is a safe way"),
    ("lazy_static", &[], "pass it as a parameter"),
    (
        "block_on",
        &[
            "src/app/mod.rs",
            "src/cli/",
            "src/http/server.rs",
            "src/ledger/embedded/journal/tests.rs",
            "src/http/lane.rs",
            "src/ledger/remote/batcher/",
        ],
        "only whoever owns a runtime may wait",
    ),
];

/// The same for every Rust file, the tests, tools and benches included.
const BANNED_EVERYWHERE: &[(&str, &str)] = &[
    ("#[ignore", "a test runs or goes"),
    ("#[allow(", "use #[expect(..., reason = \"...\")]"),
    ("#![allow(", "use #![expect(..., reason = \"...\")]"),
    ("todo!", "write it or leave it out"),
    ("unimplemented!", "write it or leave it out"),
];

/// Calls with a better alternative.
pub(crate) fn banned(sources: &[Source]) -> Vec<String> {
    let mut complaints = Vec::new();
    for source in sources
        .iter()
        .filter(|s| s.is_rust() && !s.is_tidy_itself())
    {
        let code = source.code();
        let product = source.is_under("src");
        for (call, allowed, instead) in BANNED {
            let excused = allowed.iter().any(|path| source.path.starts_with(path));
            let watched = product || (source.is_under("tests") && *call == "thread::sleep");
            if watched && !excused && has_word(&code, call) {
                complaints.push(format!("{}: `{call}`: {instead}", source.path));
            }
        }
        for (text, instead) in BANNED_EVERYWHERE {
            if code.contains(text) {
                complaints.push(format!("{}: `{text}`: {instead}", source.path));
            }
        }
    }
    complaints
}

/// Metrics are counted through methods; their names stand in one file.
pub(crate) fn metric_names(sources: &[Source]) -> Vec<String> {
    let mut complaints = Vec::new();
    let elsewhere = |s: &&Source| s.is_rust() && s.is_under("src") && !s.is_under("src/telemetry");
    for source in sources.iter().filter(elsewhere) {
        for line in source
            .text
            .lines()
            .filter(|line| line.contains("\"holdfast_"))
        {
            complaints.push(format!("{}: a metric's name: {}", source.path, line.trim()));
        }
        for handle in ["counter!", "gauge!", "histogram!", "describe_counter!"] {
            if source.code().contains(handle) {
                complaints.push(format!("{}: `{handle}` outside telemetry", source.path));
            }
        }
    }
    complaints
}

/// Files that have grown past what one reads in one go.
pub(crate) fn long_files(sources: &[Source]) -> Vec<String> {
    let counted =
        |s: &&Source| ["rs", "js", "lua", "sh"].iter().any(|e| s.has_extension(e)) || is_script(s);
    let mut complaints = Vec::new();
    for source in sources.iter().filter(counted) {
        let lines = source.text.lines().count();
        if lines > LINES_MAX {
            complaints.push(format!(
                "{}: {lines} lines, at most {LINES_MAX}",
                source.path
            ));
        }
    }
    complaints
}

/// Notes to oneself belong in the list of work, not in the code.
pub(crate) fn leftovers(sources: &[Source]) -> Vec<String> {
    let mut complaints = Vec::new();
    for source in sources
        .iter()
        .filter(|s| !s.is_tidy_itself() && !s.has_extension("lock"))
    {
        for (at, line) in source.text.lines().enumerate() {
            for word in ["FIXME", "TODO", "XXX", "HACK"] {
                if has_word(line, word) {
                    complaints.push(format!("{}:{}: {word}", source.path, at + 1));
                }
            }
        }
    }
    complaints
}

/// Paths of somebody's machine work nowhere else.
pub(crate) fn machine_paths(sources: &[Source]) -> Vec<String> {
    let mut complaints = Vec::new();
    for source in sources {
        for (at, line) in source.text.lines().enumerate() {
            for folder in ["work", "home", "root"] {
                if has_absolute(line, folder) {
                    let place = format!("{}:{}", source.path, at + 1);
                    complaints.push(format!("{place}: a path under /{folder}"));
                }
            }
        }
    }
    complaints
}

/// Whether a path starts in this folder of the root, not in one of the same name below another.
fn has_absolute(line: &str, folder: &str) -> bool {
    let path = format!("/{folder}/");
    line.match_indices(&path).any(|(at, _)| {
        let before = line.get(..at).unwrap_or_default();
        !before.ends_with(|c: char| c.is_alphanumeric() || "._-}>*".contains(c))
    })
}

/// Bash without these three goes on after a failure, which in a check means it passes.
pub(crate) fn shell_scripts(sources: &[Source]) -> Vec<String> {
    let mut complaints = Vec::new();
    for source in sources.iter().filter(|s| is_script(s)) {
        if source.text.lines().next() != Some("#!/usr/bin/env bash") {
            complaints.push(format!("{}: first line is not bash's", source.path));
        }
        if !source.text.contains("\nset -euo pipefail\n") {
            complaints.push(format!("{}: no `set -euo pipefail`", source.path));
        }
    }
    complaints
}

fn is_script(source: &Source) -> bool {
    let name = source.path.rsplit('/').next().unwrap_or_default();
    let place = source.is_under("scripts") || source.is_under(".ci");
    place && (!name.contains('.') || source.has_extension("sh"))
}
