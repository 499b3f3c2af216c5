//! A server on a port of its own, and a small HTTP client that does exactly what it is told.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use holdfast::clock::{Clock, monotonic};
use holdfast::domain::{Ttl, UnixMillis};
use holdfast::engine::{Engine, EngineConfig};
use holdfast::http::{HttpConfig, Server, serve};
use holdfast::ledger::Durability;
use holdfast::ledger::embedded::storage::DiskStorage;
use holdfast::telemetry::Meters;
use serde_json::Value;
use tempfile::TempDir;
use tokio::sync::watch;

use crate::stuck::{Gate, Gated};

/// 2026-11-11T12:00:00Z
pub(crate) const START: UnixMillis = UnixMillis(1_794_398_400_000);

/// Longest time that a test waits for what must come.
const PATIENCE: Duration = Duration::from_secs(30);

/// Tries until it is so.
pub(crate) fn until(mut is_so: impl FnMut() -> bool) {
    let begun = monotonic();
    while !is_so() {
        assert!(begun.elapsed() < PATIENCE, "that does not come");
    }
}

/// A running server with its engine and a clock that stands still.
pub(crate) struct Running {
    pub(crate) addr: SocketAddr,
    pub(crate) engine: Engine,
    pub(crate) clock: Clock,
    stop: watch::Sender<bool>,
    server: Option<Server>,
    _folder: TempDir,
}

/// Two threads and usual times.
pub(crate) fn config() -> HttpConfig {
    let mut config = HttpConfig::new(Ttl::from_millis(900_000).unwrap());
    config.threads = NonZeroUsize::new(2).unwrap();
    config
}

impl Running {
    pub(crate) fn start() -> Self {
        Self::with(&config())
    }

    pub(crate) fn with(config: &HttpConfig) -> Self {
        Self::with_engine(config, |_| {})
    }

    pub(crate) fn with_engine(config: &HttpConfig, adjust: impl FnOnce(&mut EngineConfig)) -> Self {
        Self::build(config, adjust, |folder, engine| {
            Engine::open(folder, engine).unwrap()
        })
    }

    /// On a disk that does not answer while the gate is shut.
    pub(crate) fn behind(gate: &Arc<Gate>, config: &HttpConfig) -> Self {
        Self::behind_with(gate, config, |_| {})
    }

    pub(crate) fn behind_with(
        gate: &Arc<Gate>,
        config: &HttpConfig,
        adjust: impl FnOnce(&mut EngineConfig),
    ) -> Self {
        let on_disk = |engine: &mut EngineConfig| {
            engine.journal.durability = Durability::Disk;
            adjust(engine);
        };
        Self::build(config, on_disk, |folder, engine| {
            let disk = DiskStorage::open(folder).unwrap();
            let gate = Arc::clone(gate);
            Engine::open_on(Arc::new(Gated { disk, gate }), engine).unwrap()
        })
    }

    fn build(
        config: &HttpConfig,
        adjust: impl FnOnce(&mut EngineConfig),
        open: impl FnOnce(&Path, EngineConfig) -> Engine,
    ) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let clock = Clock::manual(START);
        let meters = Meters::new();
        let mut engine = EngineConfig::new(clock.clone(), meters.clone());
        engine.journal.durability = Durability::Os;
        engine.journal.segment_bytes = 1 << 20;
        adjust(&mut engine);
        let engine = open(folder.path(), engine);
        let (stop, stopped) = watch::channel(false);
        let listen = SocketAddr::from(([127, 0, 0, 1], 0));
        let server = serve(listen, engine.clone(), meters, config, &stopped).unwrap();
        let addr = server.local_addr();
        Self {
            addr,
            engine,
            clock,
            stop,
            server: Some(server),
            _folder: folder,
        }
    }

    pub(crate) fn client(&self) -> Client {
        Client::connect(self.addr)
    }

    /// Puts stock of one SKU.
    pub(crate) fn stock(&self, sku: &str, on_hand: u64) {
        let body =
            format!(r#"{{"items":[{{"sku":"{sku}","on_hand":{on_hand}}}],"reason":"test"}}"#);
        self.client()
            .post("/v1/stock", &format!("stock-{sku}"), &body)
            .expect(200);
    }

    /// Asks the server to stop, without waiting.
    pub(crate) fn begin_stop(&self) {
        self.stop.send_replace(true);
    }

    /// Waits for the end.
    pub(crate) fn join(&mut self) {
        if let Some(server) = self.server.take() {
            server.join().unwrap();
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.begin_stop();
        if let Some(server) = self.server.take() {
            drop(server.join());
        }
        let _closed = self.engine.close();
    }
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(n, _)| n == name)
            .map(|(_, value)| value.as_str())
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|e| panic!("{e}: {self:?}"))
    }

    /// The status must be this one; the body as JSON, null where it is none.
    #[track_caller]
    pub(crate) fn expect(&self, status: u16) -> Value {
        assert_eq!(
            self.status,
            status,
            "{}",
            String::from_utf8_lossy(&self.body)
        );
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    /// The answer must be a well-formed problem of this status and code.
    #[track_caller]
    pub(crate) fn problem(&self, status: u16, code: &str) -> Value {
        assert_eq!(
            self.status,
            status,
            "{}",
            String::from_utf8_lossy(&self.body)
        );
        assert_eq!(
            self.header("content-type"),
            Some("application/problem+json")
        );
        let problem = self.json();
        assert_eq!(problem["code"], code, "{problem}");
        assert_eq!(problem["status"], status);
        assert_eq!(problem["type"], format!("/problems/{code}"));
        for member in ["title", "detail"] {
            assert!(
                problem[member]
                    .as_str()
                    .is_some_and(|text| !text.is_empty()),
                "{problem}"
            );
        }
        if let Some(id) = self.header("x-request-id") {
            assert_eq!(problem["request_id"], id);
            assert!(
                problem["instance"]
                    .as_str()
                    .is_some_and(|path| path.starts_with('/'))
            );
        }
        problem
    }
}

/// One connection.
pub(crate) struct Client {
    pub(crate) stream: BufReader<TcpStream>,
}

impl Client {
    pub(crate) fn connect(addr: SocketAddr) -> Self {
        let stream = TcpStream::connect(addr).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        Self {
            stream: BufReader::new(stream),
        }
    }

    pub(crate) fn write(&mut self, bytes: &[u8]) {
        self.stream.get_mut().write_all(bytes).unwrap();
    }

    /// A head with these headers and a body of known length.
    pub(crate) fn send(&mut self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) {
        let mut text = format!("{method} {path} HTTP/1.1\r\nhost: test\r\n");
        for (name, value) in headers {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        if !body.is_empty() {
            text.push_str(&format!("content-length: {}\r\n", body.len()));
        }
        text.push_str("\r\n");
        let mut bytes = text.into_bytes();
        bytes.extend_from_slice(body);
        self.write(&bytes);
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.stream.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    pub(crate) fn receive(&mut self) -> Answer {
        self.receive_for("GET")
    }

    pub(crate) fn head(&mut self) -> (u16, Vec<(String, String)>) {
        let first = self.line();
        let status = first.split(' ').nth(1).and_then(|s| s.parse().ok());
        let status = status.unwrap_or_else(|| panic!("no status line: {first:?}"));
        let mut headers = Vec::new();
        loop {
            let line = self.line();
            let Some((name, value)) = line.split_once(": ") else {
                break;
            };
            headers.push((name.to_ascii_lowercase(), value.to_owned()));
        }
        (status, headers)
    }

    pub(crate) fn receive_for(&mut self, method: &str) -> Answer {
        let (status, headers) = self.head();
        let mut answer = Answer {
            status,
            headers,
            body: Vec::new(),
        };
        let length = answer
            .header("content-length")
            .and_then(|n| n.parse().ok())
            .unwrap_or(0);
        if method != "HEAD" {
            answer.body = vec![0; length];
            self.stream.read_exact(&mut answer.body).unwrap();
        }
        answer
    }

    pub(crate) fn call(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Answer {
        self.send(method, path, headers, body);
        self.receive_for(method)
    }

    pub(crate) fn get(&mut self, path: &str) -> Answer {
        self.call("GET", path, &[], b"")
    }

    pub(crate) fn post(&mut self, path: &str, key: &str, body: &str) -> Answer {
        let headers = [
            ("content-type", "application/json"),
            ("idempotency-key", key),
        ];
        self.call("POST", path, &headers, body.as_bytes())
    }

    /// Whether the server has closed the connection and everything was read.
    pub(crate) fn is_closed(&mut self) -> bool {
        let mut byte = [0];
        match self.stream.read(&mut byte) {
            Ok(0) => true,
            Ok(_) => false,
            Err(error) => error.kind() == std::io::ErrorKind::ConnectionReset,
        }
    }
}
