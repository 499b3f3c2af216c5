//! When the server is full: who keeps a place, and that nobody holds up the others.

use std::io::Read;
use std::num::NonZeroUsize;
use std::time::Duration;

use holdfast::http::HttpConfig;

use crate::open_files::raise;
use crate::support::{Client, Running, config, until};

const BATCH: &str = "/v1/reservations/batch";

/// One thread and three places.
fn small() -> HttpConfig {
    let mut config = config();
    config.threads = NonZeroUsize::MIN;
    config.connections_max = 3;
    config.sweep = Duration::from_millis(5);
    config
}

/// The head of a batch whose body is announced and not sent; returns when it was read.
fn announce(client: &mut Client, bytes: usize) {
    let head = format!(
        "POST {BATCH} HTTP/1.1\r\nhost: t\r\nexpect: 100-continue\r\ncontent-length: {bytes}\r\n\r\n"
    );
    client.write(head.as_bytes());
}

/// Whether the server has closed it; does not wait for that.
fn is_gone(client: &Client) -> bool {
    let socket = client.stream.get_ref();
    socket.set_nonblocking(true).unwrap();
    let gone = socket.peek(&mut [0]).is_ok_and(|bytes| bytes == 0);
    socket.set_nonblocking(false).unwrap();
    gone
}

/// A newcomer that finds all places taken is told so at once where no guests are allowed.
#[test]
fn connections_beyond_all_limits_are_told_so() {
    let mut config = small();
    config.guests_max = 0;
    let server = Running::with(&config);
    let mut kept: Vec<Client> = (0..3).map(|_| server.client()).collect();
    for client in &mut kept {
        client.get("/livez").expect(200);
    }
    let mut over = server.client();
    let answer = over.receive();
    answer.problem(503, "too_many_connections");
    assert_eq!(answer.header("retry-after"), Some("1"));
    assert!(over.is_closed());
    drop(kept.pop());
    // The place is free as soon as the server has seen the end of that connection.
    until(|| {
        let mut next = server.client();
        next.send("GET", "/livez", &[], b"");
        next.receive().status == 200
    });
    kept[0].get("/livez").expect(200);
}

/// 10,000 silent connections kept everyone out for 75 seconds.
#[test]
fn an_idle_connection_gives_way_to_a_newcomer() {
    raise();
    let server = Running::with(&small());
    server.stock("a", 1);
    let mut idle: Vec<Client> = (0..3).map(|_| server.client()).collect();
    for client in &mut idle {
        client.get("/livez").expect(200);
    }
    // Silent, and each pushes another out once that is a tick old; until then it is a guest.
    until(|| {
        idle.push(server.client());
        idle[..3].iter().all(is_gone)
    });
    until(|| server.client().get("/v1/stock/a").status == 200);
}

/// Silent callers who had the places of guests as well kept everyone out until their time for a head was
/// over: newcomers were turned away before anybody had to give way to them.
#[test]
fn silent_guests_give_way_to_whoever_finds_no_place() {
    let mut config = small();
    config.guests_max = 2;
    config.sweep = Duration::from_millis(100);
    config.header = Duration::from_hours(1);
    let server = Running::with(&config);
    let _silent: Vec<Client> = (0..5).map(|_| server.client()).collect();
    until(|| server.client().get("/v1/stock/a").status == 404);
}

/// All that happened within a tick used to be equally long ago, and the oldest connection went.
#[test]
fn a_connection_in_use_outlives_silent_ones() {
    let server = Running::with(&small());
    server.stock("a", 1);
    let mut used = server.client();
    used.get("/v1/stock/a").expect(200);
    let silent = [server.client(), server.client()];
    let mut seated = Vec::new();
    until(|| {
        used.get("/v1/stock/a").expect(200);
        let mut newcomer = server.client();
        if newcomer.get("/v1/stock/a").status == 200 {
            seated.push(newcomer);
        }
        silent.iter().all(is_gone)
    });
    used.get("/v1/stock/a").expect(200);
}

/// When two thousand callers shared five hundred places, each pushed another out between two requests:
/// a tenth of the work was done.
#[test]
fn whoever_was_answered_a_moment_ago_keeps_the_place() {
    let mut config = small();
    config.sweep = Duration::from_hours(1);
    let server = Running::with(&config);
    let mut used: Vec<Client> = (0..3).map(|_| server.client()).collect();
    for client in &mut used {
        client.get("/livez").expect(200);
    }
    for _ in 0..10 {
        let refused = server.client().get("/v1/stock/a");
        refused.problem(503, "too_many_connections");
    }
    for client in &mut used {
        client.get("/v1/stock/a").problem(404, "unknown_sku");
    }
}

/// A newcomer whose request had arrived, but was not read yet, was pushed out by the next without a
/// word.
#[test]
fn whoever_has_asked_is_answered_however_many_come() {
    let mut config = small();
    config.guests_max = 1_000;
    let server = Running::with(&config);
    for _ in 0..10 {
        let mut crowd = Vec::new();
        for _ in 0..50 {
            let mut client = server.client();
            client.send("GET", "/v1/stock/a", &[], b"");
            crowd.push(client);
        }
        for client in &mut crowd {
            let status = client.receive().status;
            assert!(matches!(status, 404 | 503), "{status}");
        }
    }
}

#[test]
fn a_head_that_does_not_get_on_gives_way_too() {
    let server = Running::with(&small());
    let mut slow: Vec<Client> = (0..3).map(|_| server.client()).collect();
    for client in &mut slow {
        client.write(b"GET /livez HT");
    }
    for client in &slow {
        client.stream.get_ref().set_nonblocking(true).unwrap();
    }
    // As soon as they are a tick old; until then a newcomer is a guest.
    let mut told = [0; 13];
    until(|| {
        // At work or turned away, so that it cannot be spared itself.
        let mut newcomer = server.client();
        announce(&mut newcomer, 100);
        assert!(matches!(newcomer.head().0, 100 | 503));
        slow.iter_mut()
            .any(|client| client.stream.read_exact(&mut told).is_ok())
    });
    assert_eq!(
        &told, b"HTTP/1.1 503 ",
        "whoever gives the place is told why"
    );
}

/// Whoever is at work keeps the place; how the server is can be asked all the same.
#[test]
fn health_is_answered_when_every_place_is_at_work() {
    let server = Running::with(&small());
    let mut working: Vec<Client> = (0..3).map(|_| server.client()).collect();
    for client in &mut working {
        announce(client, 100);
        assert_eq!(client.head().0, 100);
    }
    for path in ["/livez", "/readyz", "/metrics"] {
        let mut guest = server.client();
        guest.get(path).expect(200);
        let answer = guest.get("/v1/stock/a");
        answer.problem(503, "too_many_connections");
        assert_eq!(answer.header("retry-after"), Some("1"));
        assert_eq!(answer.header("connection"), Some("close"));
        assert!(guest.is_closed());
    }
    for client in &mut working {
        client.write(&[b' '; 100]);
        client.receive().problem(400, "malformed_body");
    }
}

/// 256 MiB for bodies that are larger than usual: 32 of the largest.
#[test]
fn large_bodies_share_one_budget() {
    let server = Running::start();
    let largest = 8 << 20;
    let mut announced: Vec<Client> = (0..32).map(|_| server.client()).collect();
    for client in &mut announced {
        announce(client, largest);
        assert_eq!(client.head().0, 100);
    }
    let mut over = server.client();
    announce(&mut over, largest);
    let answer = over.receive();
    answer.problem(503, "overloaded");
    assert_eq!(answer.header("retry-after"), Some("1"));
    // A usual body needs no room.
    let mut usual = server.client();
    announce(&mut usual, 256 * 1024);
    assert_eq!(usual.head().0, 100);
    drop(announced.pop());
    // The room is free as soon as the server has seen the end of that connection.
    until(|| {
        let mut next = server.client();
        announce(&mut next, largest);
        next.head().0 == 100
    });
}

/// Reading, deciding and answering 8 MiB took a second, in which no other connection of the thread
/// was served.
#[test]
fn a_large_batch_does_not_hold_up_its_thread() {
    let mut config = config();
    config.threads = NonZeroUsize::MIN;
    let server = Running::with(&config);
    let mut other = server.client();
    other.get("/livez").expect(200);
    let item = format!(r#"{{"lines":[{}]}}"#, ["{}"; 8].join(","));
    let items = vec![item; 8_192].join(",");
    let body = format!(r#"{{"reservations":[{items}]}}"#);
    let mut large: Vec<Client> = (0..4).map(|_| server.client()).collect();
    for client in &mut large {
        announce(client, body.len());
        assert_eq!(client.head().0, 100);
        let (all_but_last, _) = body.split_at(body.len() - 1);
        client.write(all_but_last.as_bytes());
    }
    for client in &mut large {
        client.write(b"}");
    }
    let answered = |client: &Client| {
        let socket = client.stream.get_ref();
        socket.set_nonblocking(true).unwrap();
        let answered = socket.peek(&mut [0]).is_ok();
        socket.set_nonblocking(false).unwrap();
        answered
    };
    // On the thread of the batches one call would get in between two of them.
    let mut calls = 0;
    while !large.iter().all(answered) {
        other.get("/livez").expect(200);
        calls += 1;
    }
    assert!(calls > 2 * large.len(), "{calls} calls beside the batches");
    for client in &mut large {
        client.receive().expect(200);
    }
}
