//! The fuzz targets without a fuzzer: every file of their corpora, and a fixed number of changes of
//! them that a seed decides. What is checked stands in `fuzz/src`; `scripts/soak fuzz-NAME` looks for
//! more with the fuzzer.
//!
//! `UPDATE_FUZZ_CORPUS=1 cargo test --test fuzz_corpus` writes those files of the corpora anew that
//! are not texts of people: see `seeds`.

#![expect(
    clippy::unwrap_used,
    clippy::unreachable,
    clippy::panic,
    reason = "test code"
)]

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

#[path = "../../fuzz/src/lib.rs"]
pub mod checks;
mod mutate;
#[path = "../support/partition.rs"]
#[expect(dead_code, reason = "the differential tests use the rest of it")]
mod partition;
mod seeds;
#[path = "../support/server.rs"]
#[expect(dead_code, reason = "the differential tests use the rest of it")]
mod server;
mod shape;
mod stored;

pub(crate) use checks::support;

use checks::{Check, TARGETS};
use mutate::Mutator;

/// A file of a corpus.
struct File {
    path: PathBuf,
    bytes: Vec<u8>,
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The files of a target, in the order of their names.
fn corpus(target: &str) -> Vec<File> {
    let folder = root().join("fuzz/corpus").join(target);
    let paths = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let mut files: Vec<File> = paths
        .map(|path| File {
            bytes: fs::read(&path).unwrap(),
            path,
        })
        .collect();
    files.sort_by(|one, other| one.path.cmp(&other.path));
    assert!(!files.is_empty(), "{target} has no corpus");
    files
}

/// Files of a corpus that are refused are named so.
const REFUSED: &str = "bad-";

/// So many changes take about a second.
fn changes(target: &str) -> u64 {
    match target {
        "export" | "model" => 300,
        "config" => 600,
        "journal" | "snapshot" => 1_200,
        "csv" => 20_000,
        _ => 60_000,
    }
}

/// Runs a check; a finding is told with the bytes that show it.
fn run(target: &str, check: Check, from: &str, bytes: &[u8]) -> bool {
    catch_unwind(AssertUnwindSafe(|| check(bytes))).unwrap_or_else(|_panic| {
        panic!(
            "{target}, {from}: put these bytes into fuzz/corpus/{target} and mend what they show\n\
             \"{}\"",
            bytes.escape_ascii()
        )
    })
}

fn search(target: &str) {
    let (_, check) = { TARGETS.into_iter() }
        .find(|(name, _)| *name == target)
        .unwrap();
    let files = corpus(target);
    for File { path, bytes } in &files {
        let name = path.file_name().unwrap().to_string_lossy();
        let is_read = run(target, check, &name, bytes);
        assert_eq!(is_read, !name.starts_with(REFUSED), "{target}/{name}");
    }
    let corpus: Vec<&[u8]> = files.iter().map(|file| file.bytes.as_slice()).collect();
    let mut mutator = Mutator::new(&corpus);
    for number in 0..changes(target) {
        run(target, check, &format!("change {number}"), &mutator.next());
    }
}

/// A test for each target, so that they run beside each other.
macro_rules! targets {
    ($($name:ident)+) => {
        $(
            #[test]
            fn $name() {
                search(stringify!($name));
            }
        )+

        #[test]
        fn every_target_is_run() {
            let names = TARGETS.map(|(name, _)| name);
            assert_eq!(names.as_slice(), [$(stringify!($name)),+]);
        }
    };
}

targets!(body config csv export journal model policy reply snapshot);
