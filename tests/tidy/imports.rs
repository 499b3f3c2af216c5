//! Which module may import which, and what the rule book must not touch.

use crate::source::Source;

/// A module and what it may import.
pub(crate) type Table = &'static [(&'static str, &'static [&'static str])];

/// Arrows go down only: a module may import those listed with it, all of which stand above it.
pub(crate) const TABLE: Table = &[
    ("limits", &[]),
    ("sabotage", &[]),
    ("blocking", &[]),
    ("sync", &[]),
    ("domain", &["limits"]),
    ("clock", &["domain"]),
    ("shutdown", &["clock"]),
    ("telemetry", &["limits", "domain", "clock"]),
    (
        "ledger",
        &[
            "limits",
            "sabotage",
            "blocking",
            "sync",
            "domain",
            "clock",
            "telemetry",
        ],
    ),
    (
        "engine",
        &[
            "limits",
            "blocking",
            "domain",
            "clock",
            "telemetry",
            "ledger",
        ],
    ),
    ("config", &["limits", "domain", "telemetry", "ledger"]),
    (
        "http",
        &[
            "limits",
            "blocking",
            "domain",
            "clock",
            "shutdown",
            "telemetry",
            "ledger",
            "engine",
        ],
    ),
    (
        "cli",
        &[
            "limits",
            "blocking",
            "domain",
            "clock",
            "shutdown",
            "telemetry",
            "ledger",
            "engine",
            "config",
        ],
    ),
    (
        "app",
        &[
            "limits",
            "blocking",
            "domain",
            "clock",
            "shutdown",
            "telemetry",
            "ledger",
            "engine",
            "config",
            "http",
            "cli",
        ],
    ),
    ("main", &["shutdown", "config", "cli", "app"]),
];

/// Outside crates that the rule book may use: both pure.
const DOMAIN_CRATES: [&str; 2] = ["smallvec", "xxhash_rust"];

/// What has no place in the rule book.
const IMPURE: [&str; 26] = [
    "async",
    "await",
    "Instant",
    "SystemTime",
    "std::fs",
    "std::net",
    "std::io",
    "std::env",
    "std::thread",
    "std::process",
    "tokio",
    "tracing",
    "metrics",
    "serde",
    "rand",
    "Mutex",
    "RwLock",
    "AtomicU64",
    "AtomicUsize",
    "OnceLock",
    "LazyLock",
    "thread_local",
    "println",
    "eprintln",
    "dbg",
    "RefCell",
];

/// Every edge that the table does not have.
pub(crate) fn direction(sources: &[Source]) -> Vec<String> {
    let mut complaints = Vec::new();
    for source in sources.iter().filter(|s| s.is_rust() && s.is_under("src")) {
        let module = module_of(&source.path);
        if module == "lib" {
            continue;
        }
        let Some((_, allowed)) = TABLE.iter().find(|(name, _)| *name == module) else {
            complaints.push(format!(
                "{}: module `{module}` is not in the table",
                source.path
            ));
            continue;
        };
        for path in imported_paths(source) {
            let target = path.split("::").next().unwrap_or_default();
            let known = TABLE.iter().any(|(name, _)| *name == target);
            if known && target != module && !allowed.contains(&target) {
                complaints.push(format!("{}: {module} -> {target}", source.path));
            }
            let backends = ["ledger::embedded", "ledger::remote"];
            for backend in backends.iter().filter(|one| path.starts_with(**one)) {
                if module == "http" {
                    complaints.push(format!("{}: http must not know {backend}", source.path));
                }
            }
        }
    }
    complaints
}

/// A table in which a module may import one that stands below it allows a cycle.
pub(crate) fn table_is_acyclic(table: Table) -> Vec<String> {
    let above = |at: usize, name: &str| table.iter().take(at).any(|(other, _)| *other == name);
    let mut complaints = Vec::new();
    for (at, (module, allowed)) in table.iter().enumerate() {
        for name in allowed.iter().filter(|name| !above(at, name)) {
            complaints.push(format!(
                "{module} may import {name}, which does not stand above it"
            ));
        }
    }
    complaints
}

/// What checks proofs shares nothing with what writes them.
pub(crate) fn independence(sources: &[Source]) -> Vec<String> {
    let mut complaints = Vec::new();
    for source in sources.iter().filter(|s| s.is_under("verify")) {
        let is_manifest = source.path == "verify/Cargo.toml";
        let lines = source.text.lines().map(str::trim);
        let asked = lines.filter(|line| is_manifest && line.starts_with("holdfast"));
        complaints.extend(asked.map(|line| format!("{}: {line}", source.path)));
        if source.is_rust() && has_word(&source.code(), "holdfast") {
            complaints.push(format!("{}: names `holdfast`", source.path));
        }
        for way in ["../src", "../../src", "../client", "../../client"] {
            if source.text.contains(way) {
                complaints.push(format!("{}: leads to {way}", source.path));
            }
        }
    }
    complaints
}

/// The rule book computes; it does not act.
pub(crate) fn purity(sources: &[Source]) -> Vec<String> {
    let mut complaints = Vec::new();
    for source in sources
        .iter()
        .filter(|s| s.is_rust() && s.is_under("src/domain"))
    {
        let code = source.code();
        for word in IMPURE.iter().filter(|word| has_word(&code, word)) {
            complaints.push(format!("{}: `{word}` in the rule book", source.path));
        }
        for line in code.lines() {
            let Some(path) = line.trim_start().strip_prefix("use ") else {
                continue;
            };
            let first = path.split(|c: char| !is_word(c)).next().unwrap_or_default();
            let inside = ["crate", "super", "self", "std", "core", "proptest"].contains(&first);
            if first.starts_with(char::is_lowercase) && !inside && !DOMAIN_CRATES.contains(&first) {
                complaints.push(format!("{}: the rule book uses {first}", source.path));
            }
        }
    }
    complaints
}

/// A file that no `mod` line mentions is compiled by nobody and rots.
pub(crate) fn dead_files(sources: &[Source]) -> Vec<String> {
    let roots = ["src/lib.rs", "src/main.rs"];
    let in_src = |s: &&Source| s.is_rust() && s.is_under("src");
    let mut complaints = Vec::new();
    for source in sources
        .iter()
        .filter(in_src)
        .filter(|s| !roots.contains(&s.path.as_str()))
    {
        let stem = source.path.trim_end_matches(".rs").trim_end_matches("/mod");
        let (folder, name) = stem.rsplit_once('/').unwrap_or(("", stem));
        let parents = [
            format!("{folder}.rs"),
            format!("{folder}/mod.rs"),
            format!("{folder}/lib.rs"),
            format!("{folder}/main.rs"),
        ];
        let declared = sources.iter().any(|other| {
            let sibling = other
                .path
                .rsplit_once('/')
                .is_some_and(|(place, _)| place == folder);
            let by_path = format!("#[path = \"{name}.rs\"]");
            let by_name = parents.contains(&other.path) && declares(&other.code(), name);
            by_name || (sibling && other.text.contains(&by_path))
        });
        if !declared {
            complaints.push(format!("{}: no `mod` line mentions it", source.path));
        }
    }
    complaints
}

fn declares(code: &str, name: &str) -> bool {
    let line = format!("mod {name};");
    code.lines().any(|text| {
        let text = text.trim();
        text == line
            || text
                .strip_prefix("pub")
                .is_some_and(|rest| rest.ends_with(&line))
    })
}

/// The top-level module that a file under `src/` belongs to.
fn module_of(path: &str) -> &str {
    let rest = path.trim_start_matches("src/");
    rest.split(['/', '.']).next().unwrap_or(rest)
}

/// Every path from the root of the crate that the code names, `a::b` for `crate::a::b`.
fn imported_paths(source: &Source) -> Vec<String> {
    let code: String = source.code();
    let depth = depth_of(&source.path);
    let mut paths = Vec::new();
    for (prefix, climbs) in [
        ("crate::", None),
        ("holdfast::", None),
        ("super::", Some(1_usize)),
    ] {
        let mut rest = code.as_str();
        while let Some((before, after)) = rest.split_once(prefix) {
            rest = after;
            if before.ends_with(is_word) || before.ends_with("super::") {
                continue;
            }
            let mut tail = after;
            let mut steps = climbs;
            while let (Some(n), Some(more)) = (steps, tail.strip_prefix("super::")) {
                (steps, tail) = (Some(n + 1), more);
            }
            if steps.is_none_or(|n| n >= depth) {
                expand("", tail, &mut paths);
            }
        }
    }
    paths
}

/// How many `super`s lead from a file to the root of the crate.
fn depth_of(path: &str) -> usize {
    let stem = path
        .trim_start_matches("src/")
        .trim_end_matches(".rs")
        .trim_end_matches("/mod");
    stem.split('/').count()
}

/// Writes out `a::{b, c::{d}}` as `a::b` and `a::c::d`. Returns what follows.
fn expand<'a>(prefix: &str, text: &'a str, paths: &mut Vec<String>) -> &'a str {
    let end = text
        .find(|c: char| !is_word(c) && c != ':')
        .unwrap_or(text.len());
    let (path, mut rest) = text.split_at(end);
    let path = format!("{prefix}{path}");
    let Some(inside) = rest
        .strip_prefix('{')
        .filter(|_| path.is_empty() || path.ends_with("::"))
    else {
        paths.push(path);
        return rest;
    };
    rest = inside;
    loop {
        rest = expand(&path, rest.trim_start(), paths).trim_start();
        match rest.strip_prefix(',') {
            Some(more) => rest = more,
            None => return rest.strip_prefix('}').unwrap_or(rest),
        }
    }
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// Whether a word stands in the code, not as a part of another.
pub(crate) fn has_word(code: &str, word: &str) -> bool {
    code.match_indices(word).any(|(at, _)| {
        let before = code.get(..at).unwrap_or_default();
        let after = code.get(at + word.len()..).unwrap_or_default();
        !before.ends_with(is_word) && !after.starts_with(is_word)
    })
}
