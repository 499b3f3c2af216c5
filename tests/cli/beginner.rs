//! What goes wrong on the first day: one line that says what, where and what to do.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use crate::support::{Finished, Server, file, finish, folder, holdfast, run, unset};

/// It failed with this code, and said all of this in one line.
#[track_caller]
fn said(finished: &Finished, code: i32, parts: &[&str]) {
    assert_eq!(
        finished.code,
        Some(code),
        "{}{}",
        finished.out,
        finished.err
    );
    let lines: Vec<_> = finished
        .err
        .lines()
        .filter(|line| line.starts_with("holdfast: "))
        .collect();
    assert_eq!(lines.len(), 1, "{}", finished.err);
    assert_eq!(finished.err.lines().last(), Some(lines[0]));
    for part in parts {
        assert!(lines[0].contains(part), "{part}: {}", lines[0]);
    }
}

#[test]
fn an_address_that_cannot_be_had() {
    let inside = folder();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let served = run(inside.path(), &["serve", "--listen", &address]);
    said(&served, 1, &[&address, "in use", "use another --listen"]);
    // An address for documents, which no machine has.
    let served = run(inside.path(), &["serve", "--listen", "192.0.2.1:8080"]);
    said(&served, 1, &["192.0.2.1:8080", "use 127.0.0.1"]);
    let served = run(inside.path(), &["serve", "--listen", "8080"]);
    said(&served, 3, &["listen", "8080", "such as 127.0.0.1:8080"]);
}

#[test]
fn a_data_folder_that_is_none() {
    let inside = folder();
    file(&inside, "stock", "a file");
    for (data, fix) in [
        ("stock", "a file stands there"),
        ("stock/below", "a file stands there"),
        ("/proc/holdfast", "check the path"),
    ] {
        for command in ["serve", "bench"] {
            said(
                &run(inside.path(), &[command, "--data", data]),
                4,
                &[data, fix],
            );
        }
    }
    for data in ["stock", "nowhere"] {
        let verified = run(inside.path(), &["verify", "--data", data]);
        said(&verified, 4, &["no data folder", data, "check --data"]);
    }
    let verified = run(inside.path(), &["verify", "--data", "."]);
    said(
        &verified,
        4,
        &["not a data folder", "ledger.id", "check --data"],
    );
}

/// Whether this user may write into the folder `shut` anyway.
#[expect(clippy::unwrap_used, reason = "test code")]
fn is_superuser(inside: &Path) -> bool {
    std::fs::write(inside.join("shut/probe"), "").is_ok_and(|()| {
        std::fs::remove_file(inside.join("shut/probe")).unwrap();
        true
    })
}

/// Runs the binary as somebody who may do only what the folders allow: whoever may do everything
/// gives that up first.
fn run_without_privileges(inside: &Path, arguments: &[&str]) -> Finished {
    let mut command = holdfast(inside);
    if is_superuser(inside) {
        let program = command.get_program().to_owned();
        command = Command::new("setpriv");
        command.args(["--bounding-set=-all", "--inh-caps=-all", "--"]);
        command.arg(program).current_dir(inside);
        unset(&mut command);
    }
    finish(command.args(arguments))
}

#[test]
fn a_folder_that_may_not_be_written_needs_no_copy_but_the_right() {
    let inside = folder();
    let shut = inside.path().join("shut");
    std::fs::create_dir(&shut).unwrap();
    std::fs::set_permissions(&shut, std::fs::Permissions::from_mode(0o555)).unwrap();
    let fix = "give the user that runs holdfast the right to it";
    let served = run_without_privileges(inside.path(), &["serve", "--data", "shut"]);
    said(&served, 4, &["shut", fix]);
    let doctor = run_without_privileges(
        inside.path(),
        &["doctor", "--data", "shut", "--listen", "127.0.0.1:0"],
    );
    assert_eq!(doctor.code, Some(1), "{}", doctor.out);
    assert!(doctor.out.contains(fix), "{}", doctor.out);
    assert!(!doctor.out.contains("restore"), "{}", doctor.out);
}

#[test]
fn an_empty_folder_is_a_good_one_unless_only_the_identity_is_gone() {
    let inside = folder();
    std::fs::create_dir(inside.path().join("data")).unwrap();
    let doctor = |inside: &Path| run(inside, &["doctor", "--listen", "127.0.0.1:0"]);
    assert_eq!(doctor(inside.path()).code, Some(0));
    file(&inside, "s.csv", "sku,qty\nA,1\n");
    assert_eq!(run(inside.path(), &["import", "s.csv"]).code, Some(0));
    std::fs::remove_file(inside.path().join("data/ledger.id")).unwrap();
    let found = doctor(inside.path());
    assert_eq!(found.code, Some(1), "{}", found.out);
    assert!(
        found.out.contains("restore the data folder"),
        "{}",
        found.out
    );
}

/// `doctor` told everyone to restore the data folder, whatever the reason.
#[test]
fn a_folder_that_is_not_damaged_needs_no_copy() {
    let inside = folder();
    file(&inside, "s.csv", "sku,qty\nA,1\n");
    assert_eq!(run(inside.path(), &["import", "s.csv"]).code, Some(0));
    let data = inside.path().join("data");
    std::fs::remove_file(data.join("lock")).unwrap();
    std::fs::create_dir(data.join("lock")).unwrap();
    let verified = run(inside.path(), &["verify"]);
    said(&verified, 4, &["data", "a folder stands there"]);
    let doctor = run(inside.path(), &["doctor", "--listen", "127.0.0.1:0"]);
    assert_eq!(doctor.code, Some(1), "{}", doctor.out);
    assert!(
        doctor.out.contains("a folder stands there"),
        "{}",
        doctor.out
    );
    assert!(!doctor.out.contains("restore"), "{}", doctor.out);
}

#[test]
fn a_folder_of_another_version_needs_that_version() {
    let inside = folder();
    file(&inside, "s.csv", "sku,qty\nA,1\n");
    assert_eq!(run(inside.path(), &["import", "s.csv"]).code, Some(0));
    let segment = inside.path().join("data/00000000000000000001.seg");
    let mut bytes = std::fs::read(&segment).unwrap();
    bytes[8..12].copy_from_slice(&9_u32.to_le_bytes());
    let sum = crc32c::crc32c(&bytes[..64]);
    bytes[64..68].copy_from_slice(&sum.to_le_bytes());
    std::fs::write(&segment, bytes).unwrap();
    let fix = "use the version of holdfast that wrote it";
    said(
        &run(inside.path(), &["verify"]),
        4,
        &["format version 9", fix],
    );
    let doctor = run(inside.path(), &["doctor", "--listen", "127.0.0.1:0"]);
    assert_eq!(doctor.code, Some(1), "{}", doctor.out);
    assert!(doctor.out.contains(fix), "{}", doctor.out);
    assert!(!doctor.out.contains("restore"), "{}", doctor.out);
}

#[test]
fn looking_while_a_server_runs() {
    let inside = folder();
    let mut server = Server::start(inside.path(), &[]);
    file(&inside, "s.csv", "sku,qty\nA,1\n");
    let verified = run(inside.path(), &["verify"]);
    said(
        &verified,
        4,
        &[
            "./data",
            "in use by another process (pid ",
            "stop that process",
        ],
    );
    let imported = run(inside.path(), &["import", "s.csv"]);
    said(
        &imported,
        4,
        &["in use by another process", "--server http://"],
    );
    assert_eq!(server.stop().code(), Some(0));
}

#[test]
fn a_configuration_with_a_key_that_nobody_knows() {
    let inside = folder();
    file(&inside, "h.toml", "lisen = \"127.0.0.1:0\"\n");
    let served = run(inside.path(), &["serve", "--config", "h.toml"]);
    said(&served, 3, &["lisen", "h.toml", "did you mean listen?"]);
    let served = run(inside.path(), &["serve", "--config", "none.toml"]);
    said(&served, 3, &["none.toml", "cannot be read", "config init"]);
}

#[test]
fn a_file_that_is_missing_or_has_other_columns() {
    let inside = folder();
    file(&inside, "other.csv", "a,b\n1,2\n");
    for command in ["import", "replay"] {
        let missing = run(inside.path(), &[command, "none.csv"]);
        said(&missing, 1, &["cannot read none.csv", "check the path"]);
        let folder = run(inside.path(), &[command, "."]);
        said(&folder, 1, &["cannot read .", "a folder stands there"]);
    }
    let imported = run(inside.path(), &["import", "other.csv"]);
    said(
        &imported,
        1,
        &["other.csv", "no column for the SKU", "sku_id"],
    );
    let replayed = run(inside.path(), &["replay", "other.csv"]);
    said(
        &replayed,
        1,
        &[
            "other.csv",
            "no column order_ref",
            "it needs order_ref, sku, quantity",
        ],
    );
}
