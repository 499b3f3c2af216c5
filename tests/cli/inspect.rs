//! `verify`, `doctor`, `bench`: looking without touching.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use holdfast::domain::{ChannelIx, ReservationId, Units, UnixMillis};
use holdfast::ledger::embedded::journal::{Journal, JournalConfig};
use holdfast::ledger::embedded::record::{self, BadRecord};
use holdfast::ledger::embedded::storage::DiskStorage;
use holdfast::ledger::event::{Body, Reserved, ReservedLine};
use holdfast::telemetry::Meters;

use crate::support::{bytes_of, file, finish, folder, holdfast, run, unset};

/// Stock in `data`, from a few commands.
fn filled(inside: &tempfile::TempDir) -> PathBuf {
    let rows: Vec<_> = (0..50).map(|n| format!("SKU-{n},7")).collect();
    file(
        inside,
        "s.csv",
        &format!(
            "sku,qty
{}
",
            rows.join(
                "
"
            )
        ),
    );
    run(inside.path(), &["import", "s.csv"]);
    run(inside.path(), &["import", "s.csv", "--again"]);
    inside.path().join("data")
}

fn segments(data: &Path) -> Vec<PathBuf> {
    let names = bytes_of(data).into_iter().map(|(path, _)| path);
    names
        .filter(|path| path.extension().is_some_and(|e| e == "seg"))
        .collect()
}

#[test]
fn looking_leaves_the_folder_as_it_was() {
    let inside = folder();
    let data = filled(&inside);
    let before = bytes_of(&data);
    for arguments in [
        &["verify"][..],
        &["verify", "--json"],
        &["doctor", "--listen", "127.0.0.1:0"],
    ] {
        let looked = run(inside.path(), arguments);
        assert_eq!(looked.code, Some(0), "{}{}", looked.out, looked.err);
    }
    assert_eq!(bytes_of(&data), before);
}

#[test]
fn no_folder_is_4() {
    let inside = folder();
    let verified = run(inside.path(), &["verify"]);
    assert_eq!(verified.code, Some(4));
    assert!(
        verified.err.contains("there is no data folder ./data"),
        "{}",
        verified.err
    );
}

#[test]
fn damage_in_the_middle_is_4_with_file_and_offset() {
    let inside = folder();
    let data = filled(&inside);
    let segment = segments(&data).remove(0);
    let mut bytes = std::fs::read(&segment).unwrap();
    // Well inside the first records, which later ones say had been durable.
    let at = 4096 + 400;
    assert_ne!(bytes[at - 300..at + 300], [0; 600]);
    bytes[at] ^= 0x40;
    std::fs::write(&segment, bytes).unwrap();
    let name = segment.file_name().unwrap().to_string_lossy().into_owned();
    for arguments in [&["verify"][..], &["serve", "--listen", "127.0.0.1:0"]] {
        let refused = run(inside.path(), arguments);
        assert_eq!(refused.code, Some(4), "{}", refused.err);
        assert!(refused.err.contains(&name), "{}", refused.err);
        assert!(refused.err.contains("offset 4"), "{}", refused.err);
    }
    let doctor = run(inside.path(), &["doctor", "--listen", "127.0.0.1:0"]);
    assert_eq!(doctor.code, Some(1));
    assert!(doctor.out.contains("✗ journal"), "{}", doctor.out);
}

/// Appends a record to a journal as it stands, without asking anyone.
#[expect(clippy::unwrap_used, reason = "test code")]
fn append(data: &Path, body: &Body<'_>) {
    let storage = Arc::new(DiskStorage::open(data).unwrap());
    let mut recovery = Journal::open(storage, JournalConfig::default()).unwrap();
    let first = recovery.oldest().saturating_sub(1);
    recovery
        .replay(first, |_, _| Ok::<(), BadRecord>(()))
        .unwrap();
    let journal = recovery.start(Meters::new()).unwrap();
    let mut record = Vec::new();
    record::encode(UnixMillis(1_700_000_000_000), body, &mut record);
    let sequence = journal.append(&record, 1);
    journal.wait_blocking(sequence).unwrap();
    journal.close().unwrap();
}

// Counters and lines agree when units were promised twice, so a recount alone does not see it.
#[test]
fn an_oversell_in_the_journal_is_6() {
    for (held, code) in [(7, 0), (8, 6)] {
        let inside = folder();
        file(&inside, "s.csv", "sku,qty\nA,7\n");
        run(inside.path(), &["import", "s.csv"]);
        let held = Units::new(held).unwrap();
        let line = ReservedLine {
            sku: "A",
            pin: None,
            day: None,
            charged_to: None,
            requested: held,
            held,
        };
        let reserved = Reserved {
            id: ReservationId(77),
            fingerprint: 5,
            channel: ChannelIx(0),
            reference: None,
            ttl_ms: 60_000,
            lines: std::iter::once(line).collect(),
        };
        append(&inside.path().join("data"), &Body::Reserved(reserved));
        let verified = run(inside.path(), &["verify"]);
        assert_eq!(verified.code, Some(code), "{}", verified.err);
        let said = verified.err.contains("holds 1 units beyond what was there");
        assert_eq!(said, code == 6, "{}", verified.err);
    }
}

#[test]
fn doctor_reports_each_check() {
    let inside = folder();
    let doctor = run(
        inside.path(),
        &["doctor", "--listen", "127.0.0.1:0", "--json"],
    );
    assert_eq!(doctor.code, Some(0), "{}", doctor.err);
    let json = doctor.json();
    let checks: Vec<_> = json["checks"]
        .as_array()
        .unwrap()
        .iter()
        .map(|c| c["check"].as_str().unwrap())
        .collect();
    let expected = [
        "data folder",
        "sync of 4 KiB",
        "free space",
        "journal",
        "open files",
        "clock",
        "address",
    ];
    assert_eq!(checks, expected);
    assert!(!inside.path().join("data").exists());
}

#[test]
fn doctor_sees_a_low_limit_of_open_files_and_a_taken_port() {
    let inside = folder();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let program = env!("CARGO_BIN_EXE_holdfast");
    let script = format!("ulimit -n 64; exec {program} doctor --listen {address}");
    let mut shell = std::process::Command::new("sh");
    unset(&mut shell);
    let doctor = finish(shell.args(["-c", &script]).current_dir(inside.path()));
    assert_eq!(doctor.code, Some(0), "{}{}", doctor.out, doctor.err);
    assert!(
        doctor.out.contains("! open files     at most 64"),
        "{}",
        doctor.out
    );
    assert!(doctor.out.contains("! address"), "{}", doctor.out);
}

#[test]
fn a_read_only_folder_is_refused() {
    let inside = folder();
    let data = filled(&inside);
    std::fs::set_permissions(&data, std::fs::Permissions::from_mode(0o555)).unwrap();
    std::fs::set_permissions(data.join("lock"), std::fs::Permissions::from_mode(0o444)).unwrap();
    // The superuser may write anyway; then there is nothing to see.
    let is_superuser = std::fs::write(data.join("probe"), "").is_ok();
    let served = || run(inside.path(), &["import", "s.csv", "--again"]);
    let expected = if is_superuser { Some(0) } else { Some(4) };
    let found = served();
    assert_eq!(found.code, expected, "{}", found.err);
    std::fs::set_permissions(&data, std::fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn bench_reports_accepted_and_refused_apart() {
    let inside = folder();
    let arguments = [
        "bench",
        "--reservations",
        "2000",
        "--skus",
        "100",
        "--durability",
        "os",
        "--json",
    ];
    let bench = finish(holdfast(inside.path()).args(arguments));
    assert_eq!(bench.code, Some(0), "{}", bench.err);
    let json = bench.json();
    let runs = json["runs"].as_array().unwrap();
    assert_eq!(runs.len(), 8);
    for run in runs {
        let sold_out = run["name"].as_str().unwrap().contains("sold out");
        let (some, none) = if sold_out {
            ("refused", "accepted")
        } else {
            ("accepted", "refused")
        };
        assert_eq!(run[none], 0);
        let commands = if run["name"].as_str().unwrap().contains("ship") {
            6_000
        } else {
            2_000
        };
        assert_eq!(run[some], commands, "{run}");
    }
    assert!(json["fsync"]["p99_ns"].as_u64().unwrap() > 0);
    let left: Vec<_> = std::fs::read_dir(inside.path()).unwrap().collect();
    assert!(left.is_empty(), "{left:?}");
}
