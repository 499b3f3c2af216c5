//! Slow callers, many callers, and stopping. The sweeper's times are short here, so that nothing
//! waits for seconds.

use std::io::{Read, Write};
use std::sync::Arc;
use std::time::Duration;

use holdfast::blocking::wait_for;
use holdfast::http::HttpConfig;

use crate::stuck::{Gate, Opened};
use crate::support::{Client, Running, config};

const RESERVE: &str = "/v1/reservations";
const BODY: &str = r#"{"channel":"c","lines":[{"sku":"a","quantity":1}]}"#;

fn impatient() -> HttpConfig {
    let mut config = config();
    config.sweep = Duration::from_millis(5);
    config.header = Duration::from_millis(40);
    config.request = Duration::from_millis(80);
    config.write = Duration::from_millis(80);
    config
}

#[test]
fn a_head_that_does_not_arrive_is_a_408() {
    let server = Running::with(&impatient());
    let mut client = server.client();
    client.write(b"GET /livez HT");
    let answer = client.receive();
    answer.problem(408, "request_timeout");
    assert_eq!(answer.header("connection"), Some("close"));
    assert!(client.is_closed());
}

#[test]
fn a_head_that_dribbles_is_a_408() {
    let server = Running::with(&impatient());
    let mut client = server.client();
    client.write(b"GET /livez HTTP/1.1\r\n");
    let mut writer = client.stream.get_ref().try_clone().unwrap();
    let dribble = std::thread::spawn(move || {
        // Ends when the server has closed, at the latest after its limit of bytes.
        (0..1_000_000)
            .take_while(|_| writer.write_all(b"x: y\r\n").is_ok())
            .count()
    });
    // Writing without a pause fills the head up before its time is over; both are right.
    assert!(matches!(client.receive().status, 408 | 431));
    drop(client);
    dribble.join().unwrap();
}

#[test]
fn a_body_that_does_not_arrive_is_a_408_and_does_nothing() {
    let server = Running::with(&impatient());
    server.stock("a", 1);
    let mut client = server.client();
    let head = "POST /v1/reservations HTTP/1.1\r\nhost: t\r\nidempotency-key: k\r\n";
    client.write(format!("{head}content-length: {}\r\n\r\n{{", BODY.len()).as_bytes());
    client.receive().problem(408, "request_timeout");
    assert!(client.is_closed());
    server
        .client()
        .get("/v1/reservations?key=k")
        .problem(404, "unknown_key");
}

#[test]
fn idle_connections_are_closed_without_a_word() {
    let mut config = impatient();
    config.idle = Duration::from_millis(40);
    let server = Running::with(&config);
    let mut used = server.client();
    used.get("/livez").expect(200);
    assert!(used.is_closed());
}

/// It has as long as a head has, not as long as a connection that is kept for the next request.
#[test]
fn a_connection_that_never_says_a_word_is_closed_early() {
    let server = Running::with(&impatient());
    assert!(server.client().is_closed());
}

/// The part of the second head arrives with the first request, so that no byte is seen to come.
#[test]
fn half_a_head_behind_a_request_is_a_408_too() {
    let server = Running::with(&impatient());
    let mut client = server.client();
    client.write(b"GET /livez HTTP/1.1\r\nhost: t\r\n\r\nGET /livez HT");
    client.receive().expect(200);
    client.receive().problem(408, "request_timeout");
    assert!(client.is_closed());
}

#[test]
fn looking_for_half_a_head_does_not_disturb_an_idle_connection() {
    let server = Running::with(&impatient());
    let mut idle = server.client();
    idle.get("/livez").expect(200);
    for _ in 0..3 {
        // Takes as long as a head may take.
        let mut slow = server.client();
        slow.write(b"GET /livez HT");
        slow.receive().problem(408, "request_timeout");
        idle.get("/livez").expect(200);
    }
}

#[test]
fn a_caller_that_does_not_read_is_cut() {
    let server = Running::with(&impatient());
    let client = server.client();
    let mut socket = client.stream.into_inner();
    let asked = 400_usize;
    for _ in 0..asked {
        if socket
            .write_all(b"GET /openapi.json HTTP/1.1\r\nhost: t\r\n\r\n")
            .is_err()
        {
            break;
        }
    }
    // Other connections do not notice.
    server.client().get("/livez").expect(200);
    let closed = |server: &Running| {
        let text = server.client().get("/metrics").text().to_owned();
        let line = text
            .lines()
            .find(|line| line.starts_with("holdfast_http_connections"));
        line.unwrap_or_else(|| panic!("no gauge: {text}"))
            .ends_with(" 1")
    };
    while !closed(&server) {
        std::thread::yield_now();
    }
    let mut received = 0;
    let mut bytes = vec![0; 1 << 16];
    while let Ok(n @ 1..) = socket.read(&mut bytes) {
        received += n;
    }
    assert!(received < asked * holdfast::http::openapi::text().len());
}

/// Soft limit of open files of this process.
fn files_max() -> usize {
    let limits = std::fs::read_to_string("/proc/self/limits").unwrap();
    let line = limits
        .lines()
        .find(|line| line.starts_with("Max open files"))
        .unwrap();
    line.split_whitespace().nth(3).unwrap().parse().unwrap()
}

#[test]
fn ten_thousand_idle_connections() {
    let server = Running::start();
    // Both ends of a connection are in this process; other tests need files too.
    let count = (files_max().saturating_sub(1_000) / 2).min(9_990);
    assert!(count >= 10, "raise ulimit -n");
    let mut idle: Vec<Client> = (0..count).map(|_| server.client()).collect();
    let text = server.client().get("/metrics").text().to_owned();
    let line = text
        .lines()
        .find(|line| line.starts_with("holdfast_http_connections"))
        .unwrap();
    let open: usize = line.rsplit(' ').next().unwrap().parse().unwrap();
    assert!(open > count.saturating_sub(2_048), "{open} of {count}");
    let said = format!("opened {count} idle connections; the server counts {open}\n");
    std::io::stderr().write_all(said.as_bytes()).unwrap();
    for client in idle.iter_mut().step_by(7) {
        client.get("/livez").expect(200);
    }
}

#[test]
fn stopping_closes_idle_connections_and_answers_half_sent_requests() {
    let mut server = Running::start();
    let mut idle: Vec<Client> = (0..50).map(|_| server.client()).collect();
    for client in &mut idle {
        client.get("/livez").expect(200);
    }
    let mut head = server.client();
    head.get("/livez").expect(200);
    head.write(b"GET /livez HT");
    let mut body = server.client();
    body.write(b"POST /v1/reservations HTTP/1.1\r\nhost: t\r\nexpect: 100-continue\r\nidempotency-key: k\r\ncontent-length: 9\r\n\r\n");
    assert_eq!(body.head().0, 100, "the server waits for the body");
    server.begin_stop();
    body.receive().problem(503, "shutting_down");
    // The half head may not have been read yet when the server stopped: then it was idle.
    let mut rest = Vec::new();
    drop(head.stream.read_to_end(&mut rest));
    assert!(rest.is_empty() || rest.starts_with(b"HTTP/1.1 503 "));
    drop(head);
    drop(body);
    assert!(idle.iter_mut().all(Client::is_closed));
    drop(idle);
    server.join();
    let refused = std::net::TcpStream::connect(server.addr);
    assert!(refused.is_err(), "nobody listens any more");
}

#[test]
fn a_caller_that_does_not_read_cannot_hold_up_the_stop() {
    let mut config = config();
    config.drain = Duration::from_millis(50);
    let mut server = Running::with(&config);
    let mut socket = server.client().stream.into_inner();
    socket
        .set_write_timeout(Some(Duration::from_millis(50)))
        .unwrap();
    while socket
        .write_all(b"GET /openapi.json HTTP/1.1\r\nhost: t\r\n\r\n")
        .is_ok()
    {}
    server.begin_stop();
    server.join();
}

#[test]
fn every_answer_before_the_stop_is_kept() {
    let mut server = Running::start();
    server.stock("a", 1_000_000);
    let addr = server.addr;
    let (made, done) = std::sync::mpsc::sync_channel(1_000_000);
    let threads: Vec<_> = (0..8)
        .map(|thread| {
            let made = made.clone();
            let mut client = Client::connect(addr);
            std::thread::spawn(move || {
                let socket = client.stream.get_ref().try_clone().unwrap();
                for n in 0.. {
                    let key = format!("{thread}-{n}");
                    let head = format!("POST {RESERVE} HTTP/1.1\r\nhost: t\r\nidempotency-key: {key}\r\ncontent-length: {}\r\n\r\n{BODY}", BODY.len());
                    if (&socket).write_all(head.as_bytes()).is_err() {
                        return;
                    }
                    let mut first = [0; 12];
                    match client.stream.read_exact(&mut first) {
                        Ok(()) if first == *b"HTTP/1.1 201" => made.send(()).unwrap(),
                        Ok(()) => assert_eq!(&first, b"HTTP/1.1 503"),
                        Err(_) => return,
                    }
                    let mut rest = [0_u8; 1];
                    let mut tail = Vec::new();
                    // The body ends with the only "}]}" of the answer.
                    while !tail.ends_with(b"}]}") {
                        if client.stream.read_exact(&mut rest).is_err() {
                            return;
                        }
                        tail.extend_from_slice(&rest);
                    }
                }
            })
        })
        .collect();
    drop(made);
    let mut count = 0_u64;
    while count < 200 {
        done.recv().unwrap();
        count += 1;
    }
    server.begin_stop();
    server.join();
    for thread in threads {
        thread.join().unwrap();
    }
    count += u64::try_from(done.iter().count()).unwrap();
    let stock = wait_for(
        server
            .engine
            .stock(holdfast::domain::Sku::new("a").unwrap()),
    )
    .unwrap()
    .unwrap();
    assert!(
        stock.held.get() >= count,
        "an answer was given for what is not there"
    );
    // At most one request per connection can have lost its answer.
    assert!(stock.held.get() <= count + 8);
}

#[test]
fn a_disk_that_hangs_is_a_504() {
    let gate = Arc::new(Gate::default());
    let mut config = impatient();
    config.work = Duration::from_millis(200);
    let server = Running::behind(&gate, &config);
    let opened = Opened(&gate);
    server.stock("a", 1);
    gate.set_shut(true);
    let mut client = server.client();
    let answer = client.post(RESERVE, "k", BODY);
    answer.problem(504, "result_unknown");
    assert_eq!(answer.header("connection"), Some("close"));
    assert_eq!(client.stream.read(&mut [0]).unwrap(), 0);
    drop(opened);
    let made = server.client().post(RESERVE, "k", BODY);
    made.expect(201);
    assert_eq!(made.header("idempotent-replayed"), Some("true"));
}
