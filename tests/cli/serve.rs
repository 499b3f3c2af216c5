//! `serve` and `healthcheck`.

use std::io::{BufRead, BufReader, Write};

use crate::support::{Server, begin_post, file, folder, run};

#[test]
fn what_was_acknowledged_is_there_after_sigterm_and_a_restart() {
    let inside = folder();
    let mut server = Server::start(inside.path(), &[]);
    let stock = r#"{"items":[{"sku":"A","on_hand":5,"change_from":null}],"reason":"test"}"#;
    assert_eq!(server.post("/v1/stock", "s1", stock).0, 200);
    let body = r#"{"channel":"web","lines":[{"sku":"A","quantity":2}]}"#;
    let (status, made) = server.post("/v1/reservations", "r1", body);
    assert_eq!(status, 201, "{made}");
    assert_eq!(server.stop().code(), Some(0));

    let mut server = Server::start(inside.path(), &[]);
    let (status, again) = server.post("/v1/reservations", "r1", body);
    assert_eq!((status, again), (201, made));
    let (_, stock) = server.get("/v1/stock/A");
    let stock: serde_json::Value = serde_json::from_str(&stock).unwrap();
    assert_eq!(
        (&stock["held"], &stock["available"]),
        (&2.into(), &3.into())
    );
    server.signal("INT");
    assert_eq!(server.wait().code(), Some(0));
}

#[test]
fn a_request_that_has_not_arrived_is_told_so_and_changes_nothing() {
    let inside = folder();
    let mut server = Server::start(inside.path(), &[]);
    let mut stream = begin_post(&server, "/v1/stock", 100);
    server.signal("TERM");
    let mut status = String::new();
    stream.read_line(&mut status).unwrap();
    assert!(status.contains("503"), "{status}");
    drop(stream);
    assert_eq!(server.wait().code(), Some(0));
    let verified = run(inside.path(), &["verify", "--json"]).json();
    assert_eq!(verified["skus"], 0);
}

#[test]
fn who_has_no_reader_of_its_log_still_stops_in_order() {
    let inside = folder();
    let mut server = Server::start(inside.path(), &[]);
    server.close_log();
    assert!(server.stop().success());
    assert!(Server::start(inside.path(), &[]).stop().success());
}

#[test]
fn a_second_signal_ends_at_once() {
    let inside = folder();
    let mut server = Server::start(inside.path(), &[]);
    // A caller that neither sends on nor goes away keeps the server from being done too soon.
    let _stream = begin_post(&server, "/v1/stock", 100);
    // Somebody who insists: again and again, until the grace for echoes is over.
    while server.is_running() {
        server.signal("TERM");
    }
    server.line_with("second signal");
    assert_eq!(server.wait().code(), Some(1));
}

/// As `timeout` stops its child: once by its number, and once with the whole group.
#[test]
fn a_signal_that_comes_twice_at_once_is_one() {
    let inside = folder();
    let mut server = Server::start(inside.path(), &[]);
    let mut stream = begin_post(&server, "/v1/stock", 100);
    // Both are there when the process goes on.
    for name in ["STOP", "TERM", "INT", "CONT"] {
        server.signal(name);
    }
    let mut status = String::new();
    stream.read_line(&mut status).unwrap();
    assert!(status.contains("503"), "{status}");
    drop(stream);
    assert_eq!(server.wait().code(), Some(0));
}

#[test]
fn a_second_process_is_kept_out_of_the_folder() {
    let inside = folder();
    let mut server = Server::start(inside.path(), &["--data", "stock"]);
    for arguments in [
        &["serve", "--listen", "127.0.0.1:0", "--data", "stock"][..],
        &["verify", "--data", "stock"],
    ] {
        let second = run(inside.path(), arguments);
        assert_eq!(second.code, Some(4), "{}", second.err);
        assert!(
            second.err.contains("in use by another process"),
            "{}",
            second.err
        );
    }
    let doctor = run(
        inside.path(),
        &["doctor", "--data", "stock", "--listen", "127.0.0.1:0"],
    );
    assert_eq!(doctor.code, Some(0), "{}", doctor.out);
    assert!(doctor.out.contains("! journal"), "{}", doctor.out);
    assert_eq!(server.stop().code(), Some(0));
}

#[test]
fn an_address_in_use_is_named() {
    let inside = folder();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let refused = run(inside.path(), &["serve", "--listen", &address]);
    assert_eq!(refused.code, Some(1));
    assert!(
        refused.err.contains(&format!("cannot listen on {address}")),
        "{}",
        refused.err
    );
}

#[test]
fn a_folder_that_cannot_be_one_is_refused() {
    let inside = folder();
    file(&inside, "stock", "a file");
    for data in ["stock", "stock/below", "/proc/holdfast"] {
        let refused = run(inside.path(), &["serve", "--data", data]);
        assert_eq!(refused.code, Some(4), "{}", refused.err);
        assert!(refused.err.contains(data), "{}", refused.err);
    }
}

#[test]
fn the_demo_moves_and_lives_beside_other_files() {
    let inside = folder();
    std::fs::create_dir(inside.path().join("data")).unwrap();
    std::fs::write(inside.path().join("data/README.md"), "mine").unwrap();
    let mut server = Server::start(inside.path(), &["--demo"]);
    let mut stream = server.connect();
    stream
        .write_all(
            b"GET /v1/events?after=0 HTTP/1.1\r\nhost: x\r\naccept: text/event-stream\r\n\r\n",
        )
        .unwrap();
    let mut lines = BufReader::new(stream).lines();
    for word in ["reservation.", "confirm", "ship"] {
        assert!(lines.any(|line| line.unwrap().contains(word)), "{word}");
    }
    assert_eq!(server.get("/v1/stock/TUNA-6OZ").0, 200);
    drop(lines);
    assert_eq!(server.stop().code(), Some(0));
    assert_eq!(
        std::fs::read(inside.path().join("data/README.md")).unwrap(),
        b"mine"
    );
    assert_eq!(run(inside.path(), &["verify"]).code, Some(0));
}

#[test]
fn healthcheck_tells_ready_from_away() {
    let inside = folder();
    let mut server = Server::start(inside.path(), &[]);
    let address = server.address.clone();
    assert_eq!(
        run(inside.path(), &["healthcheck", "--server", &address]).code,
        Some(0)
    );
    server.stop();
    let away = run(inside.path(), &["healthcheck", "--server", &address]);
    assert_eq!(away.code, Some(5), "{}", away.err);
}
