//! A process that may open few files.

use std::process::Command;

use rustix::process::{Pid, Resource, Rlimit, prlimit};

use crate::program::{Server, folder, unset};
use crate::wire::{HOLD, Wire, held, stock};

/// A program that may never open more files than this.
fn start_with(files: u32, inside: &std::path::Path) -> Server {
    let script = format!("ulimit -n {files}; exec \"$0\" \"$@\"");
    let mut command = Command::new("sh");
    unset(&mut command);
    command
        .env("HOLDFAST_HTTP__THREADS", "2")
        .args(["-c", &script, env!("CARGO_BIN_EXE_holdfast")])
        .current_dir(inside);
    Server::start_as(command, &[])
}

/// How many files it may have open from now on.
fn limit(server: &Server, files: u64) {
    let pid = Pid::from_raw(i32::try_from(server.pid()).unwrap());
    let limit = Rlimit {
        current: Some(files),
        maximum: Some(1_024),
    };
    prlimit(pid, Resource::Nofile, limit).unwrap();
}

/// Connections without end used to take every file, those of the journal as well; and newcomers
/// waited in the kernel without a word.
#[test]
fn who_comes_when_files_are_few_is_told_so_and_the_journal_has_its_own() {
    let inside = folder();
    let mut server = start_with(96, inside.path());
    stock(&server.address, "A", 1_000);
    let (mut kept, mut made, mut turned_away) = (Vec::new(), 0, 0);
    for at in 0..300 {
        // Whoever is idle gives way, so that each call has a connection of its own.
        let mut honest = Wire::connect(&server.address).unwrap();
        match honest.post("/v1/reservations", &format!("k{at}"), HOLD) {
            Some((201, _)) => made += 1,
            answer => assert!(answer.is_none_or(|(status, _)| status == 503)),
        }
        let mut wire = Wire::connect(&server.address).unwrap();
        // Half a request, which is not spared.
        wire.send(
            b"POST /v1/reservations HTTP/1.1\r\nhost: x\r\nidempotency-key: h\r\n\
              expect: 100-continue\r\ncontent-length: 9\r\n\r\n",
        );
        match wire.receive() {
            Some((100, _)) => kept.push(wire),
            answer => {
                assert!(answer.is_none_or(|(status, _)| status == 503));
                turned_away += 1;
            }
        }
    }
    let (kept_count, all) = (kept.len(), 300);
    assert!(
        kept_count > 20 && turned_away > 200,
        "{kept_count} of {all}"
    );
    assert!(made > 20, "{made} of {all}");
    drop(kept);
    // There is room again as soon as the server has seen them go.
    loop {
        let answer = Wire::connect(&server.address).and_then(|mut wire| wire.get("/v1/stock/A"));
        if answer.is_some_and(|(status, _)| status == 200) {
            break;
        }
    }
    assert_eq!(held(&server.address, "A"), made);
    assert_eq!(server.stop().code(), Some(0));
}

/// Whatever took them: while there is no file, who is connected is served, and who comes is served
/// as soon as there is one.
#[test]
fn a_process_without_a_free_file_goes_on_and_recovers() {
    let inside = folder();
    let mut server = start_with(1_024, inside.path());
    stock(&server.address, "A", 1_000);
    let mut connected = Wire::connect(&server.address).unwrap();
    assert_eq!(
        connected.post("/v1/reservations", "first", HOLD).unwrap().0,
        201
    );
    limit(&server, 3);
    let mut waiting = Wire::connect(&server.address).unwrap();
    assert!(waiting.send(b"GET /v1/stock/A HTTP/1.1\r\nhost: x\r\n\r\n"));
    server.line_with("cannot accept a connection");
    for at in 0..100 {
        let key = format!("k{at}");
        assert_eq!(
            connected.post("/v1/reservations", &key, HOLD).unwrap().0,
            201
        );
    }
    limit(&server, 1_024);
    assert_eq!(waiting.receive().unwrap().0, 200);
    assert_eq!(server.stop().code(), Some(0));
}
