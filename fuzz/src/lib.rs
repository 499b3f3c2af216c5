//! What the fuzz targets check, in one place for two callers: the fuzzer itself (`scripts/soak
//! fuzz-NAME`) and `cargo test --test fuzz_corpus`, which runs the corpus and a fixed number of
//! changes of it with every test run.
//!
//! A check takes any bytes and says whether they were what it is about, or were refused; or it
//! panics: that is a finding.

pub mod body;
pub mod config;
pub mod csv;
pub mod export;
pub(crate) mod folder;
pub mod journal;
pub mod model;
pub mod policy;
pub mod reply;
pub mod snapshot;

#[path = "../../tests/support/dated.rs"]
#[expect(dead_code, reason = "the tests of dated supply use the rest of it")]
pub(crate) mod dated_commands;
#[path = "../../tests/support/mod.rs"]
#[expect(dead_code, reason = "the model tests use the rest of it")]
pub(crate) mod support;

/// Looks for what must not happen.
pub type Check = fn(&[u8]) -> bool;

/// All targets, by the names of their corpora.
pub const TARGETS: [(&str, Check); 9] = [
    ("body", body::check),
    ("config", config::check),
    ("csv", csv::check),
    ("export", export::check),
    ("journal", journal::check),
    ("model", model::check),
    ("policy", policy::check),
    ("reply", reply::check),
    ("snapshot", snapshot::check),
];
