//! The fuzzer's own crate is not built with the tests: what would let it rot is looked at here.

use std::fs;

use crate::checks::TARGETS;
use crate::root;

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap()
}

#[test]
fn every_target_has_its_program_its_corpus_and_its_run() {
    let (manifest, soak) = (read("fuzz/Cargo.toml"), read("scripts/soak"));
    for (name, _) in TARGETS {
        let program = format!(
            "#![no_main]\n\nlibfuzzer_sys::fuzz_target!(|bytes: &[u8]| {{\n    \
             holdfast_fuzz::{name}::check(bytes);\n}});\n"
        );
        assert_eq!(read(&format!("fuzz/fuzz_targets/{name}.rs")), program);
        let bin = format!("[[bin]]\nname = \"{name}\"\npath = \"fuzz_targets/{name}.rs\"\n");
        assert!(manifest.contains(&bin), "{name} is not in the manifest");
        assert!(
            soak.contains(&format!("'fuzz-{name}|")),
            "{name} has no run"
        );
    }
    let programs = fs::read_dir(root().join("fuzz/fuzz_targets")).unwrap();
    assert_eq!(programs.count(), TARGETS.len());
}

/// What `fuzz/src` uses must be among its dependencies, in the versions that the tests have.
#[test]
fn the_fuzzer_has_what_the_tests_have() {
    let (own, ours) = (read("fuzz/Cargo.toml"), read("Cargo.toml"));
    let version = |manifest: &str, name: &str| {
        let line = { manifest.lines() }.find(|line| line.starts_with(&format!("{name} = ")))?;
        line.split('"').nth(1).map(str::to_owned)
    };
    for name in [
        "bytes",
        "crc32c",
        "hyper",
        "serde_json",
        "tempfile",
        "tokio",
    ] {
        let wanted = version(&ours, name);
        assert!(wanted.is_some() && version(&own, name) == wanted, "{name}");
    }
}
