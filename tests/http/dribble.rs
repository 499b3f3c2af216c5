//! Callers who send byte by byte, and callers who speak another protocol. `HOLDFAST_DRIBBLERS` makes it
//! the long form: so many of them, the usual times, a byte now and then, and figures.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use holdfast::clock::{Monotonic, monotonic};
use holdfast::http::HttpConfig;

use crate::amount::asked;
use crate::open_files::raise;
use crate::support::{Client, Running, config};

/// In the long form, from one byte of a connection to the next.
const PAUSE: Duration = Duration::from_millis(100);

const HEAD: &[u8] = b"POST /v1/reservations HTTP/1.1\r\nhost: t\r\nidempotency-key: k\r\n\
                      content-length: 200000\r\n\r\n";

/// One thread, whose limits are over soon.
fn impatient() -> HttpConfig {
    let mut config = config();
    config.threads = NonZeroUsize::MIN;
    config.sweep = Duration::from_millis(10);
    config.header = Duration::from_millis(500);
    config.request = Duration::from_secs(1);
    config.closing = Duration::from_millis(100);
    config
}

/// How many there are, and the times of the server; whether it is the long form.
fn form() -> (usize, HttpConfig, bool) {
    match asked("HOLDFAST_DRIBBLERS") {
        Some(many) => (many, config(), true),
        None => (200, impatient(), false),
    }
}

/// A connection that never says a whole request: a head without an end, or a body.
struct Dribbler {
    socket: TcpStream,
    told: Vec<u8>,
    is_closed: bool,
    begun: Monotonic,
    /// How long it was open.
    lived: Duration,
}

impl Dribbler {
    fn new(server: &Running, sends_body: bool) -> Self {
        let mut socket = server.client().stream.into_inner();
        let begin = if sends_body { HEAD } else { b"GET /livez?" };
        socket.write_all(begin).unwrap();
        socket.set_nonblocking(true).unwrap();
        Self {
            socket,
            told: Vec::new(),
            is_closed: false,
            begun: monotonic(),
            lived: Duration::ZERO,
        }
    }

    /// Sends one more byte and reads what there is.
    fn drip(&mut self) {
        // Whoever was told to go may find the connection gone.
        let _sent = self.socket.write(b"a");
        let mut bytes = [0; 1_024];
        match self.socket.read(&mut bytes) {
            Ok(0) => self.is_closed = true,
            Ok(count) => self.told.extend_from_slice(&bytes[..count]),
            Err(error) => self.is_closed = error.kind() != std::io::ErrorKind::WouldBlock,
        }
        self.lived = self.begun.elapsed();
    }
}

/// What an honest caller waits, until the flag says that it is enough.
fn honest(server: &Running, is_enough: impl Fn(usize) -> bool) -> Vec<Duration> {
    let mut client = server.client();
    let mut took = Vec::new();
    while !is_enough(took.len()) {
        let since = monotonic();
        client.get("/v1/stock/a").expect(200);
        took.push(since.elapsed());
    }
    took
}

fn p99(mut took: Vec<Duration>) -> Duration {
    took.sort_unstable();
    took[took.len() * 99 / 100]
}

/// Each is told 408 and closed, however lively it drips, and meanwhile others are served by the same
/// thread.
#[test]
fn who_sends_byte_by_byte_is_closed_and_holds_nobody_up() {
    raise();
    let (many, times, is_long) = form();
    let server = Running::with(&times);
    server.stock("a", 1);
    let alone = honest(&server, |asked| asked >= if is_long { 100_000 } else { 1 });
    let half = many / 2;
    let mut dribblers: Vec<Dribbler> = (0..many)
        .map(|at| Dribbler::new(&server, at < half))
        .collect();
    let open = AtomicUsize::new(many);
    let served = std::thread::scope(|scope| {
        let honest = scope.spawn(|| honest(&server, |_| open.load(Ordering::Relaxed) == 0));
        while open.load(Ordering::Relaxed) > 0 {
            for dribbler in dribblers.iter_mut().filter(|of| !of.is_closed) {
                dribbler.drip();
                if dribbler.is_closed {
                    open.fetch_sub(1, Ordering::Relaxed);
                }
            }
            if is_long {
                std::thread::park_timeout(PAUSE);
            }
        }
        honest.join().unwrap()
    });
    assert!(served.len() > 10, "{} requests beside them", served.len());
    for dribbler in &dribblers {
        let told = String::from_utf8_lossy(&dribbler.told);
        // A word may be lost when more bytes come after the end: the kernel resets then.
        assert!(
            told.is_empty() || told.starts_with("HTTP/1.1 408 "),
            "{told}"
        );
    }
    let told = dribblers.iter().filter(|of| !of.told.is_empty()).count();
    assert!(told > 0, "none was told why");
    let by_key = server.client().get("/v1/reservations?key=k");
    by_key.problem(404, "unknown_key");
    if is_long {
        let longest = dribblers.iter().map(|of| of.lived).max().unwrap();
        let (alone, beside) = (p99(alone), p99(served));
        println!(
            "{many} dribblers, the last gone after {longest:?}; p99 {alone:?} alone, {beside:?} beside them"
        );
        assert!(longest <= times.request + times.sweep + 2 * PAUSE);
    }
}

/// The bound that the documents name: with the default times a dribbler is gone within ten seconds.
#[test]
fn the_default_times_end_any_request_within_ten_seconds() {
    let config = config();
    let ten = Duration::from_secs(10);
    assert!(config.header <= config.request && config.request <= ten);
    assert!(
        config.sweep <= Duration::from_secs(1),
        "how early it may be"
    );
    assert!(config.drain + config.closing <= ten, "and so does a stop");
}

#[test]
fn a_preface_of_http_2_is_refused_and_the_connection_closed() {
    let server = Running::start();
    let mut client = server.client();
    // With the empty SETTINGS frame that follows it.
    client.write(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00");
    let answer = client.receive();
    answer.problem(400, "malformed_request");
    assert_eq!(answer.header("connection"), Some("close"));
    assert!(client.is_closed());
    server.client().get("/livez").expect(200);
}

/// Frames without end: nothing is read beyond the head that is none.
#[test]
fn a_flood_of_frames_is_cut() {
    let server = Running::start();
    let mut socket = server.client().stream.into_inner();
    let mut flood = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    // Empty DATA frames of stream 1.
    flood.resize(64 << 10, 0);
    while socket.write_all(&flood).is_ok() {}
    server.client().get("/livez").expect(200);
}

/// RFC 9110, 7.8: a server may ignore the offer. Nothing of the connection is another protocol then.
#[test]
fn an_upgrade_is_not_taken() {
    let server = Running::start();
    for protocol in ["h2c", "websocket"] {
        let mut client: Client = server.client();
        let headers = [
            ("connection", "upgrade, http2-settings"),
            ("upgrade", protocol),
            ("http2-settings", "AAMAAABkAAQAAP__"),
        ];
        let answer = client.call("GET", "/livez", &headers, b"");
        answer.expect(200);
        assert_eq!(answer.header("upgrade"), None);
        client.get("/livez").expect(200);
    }
}
