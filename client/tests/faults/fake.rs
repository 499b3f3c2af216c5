//! A small ledger behind a raw listener that fails on demand. It answers one request at a time on
//! each connection and knows just enough HTTP for that.

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};

use holdfast_client::{Client, Config};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

/// What happens to one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    None,
    /// Done, then the connection closes without an answer.
    ReplyDropped,
    /// Done, then the connection closes in the middle of the answer.
    ReplyCut,
    /// Done, answered with 504.
    Unknown,
    /// Not done, 503, come back after so many seconds.
    Shed(u64),
    /// Done, never answered.
    Silent,
    /// Done when the gate opens.
    Gated,
    /// Done, and the connection closes after the answer without saying so.
    ClosedAfter,
}

#[derive(Default)]
pub(crate) struct Ledger {
    pub(crate) stock: HashMap<String, u64>,
    /// First answers by key.
    pub(crate) answers: HashMap<String, (u16, Value)>,
    /// Requests by path, in order.
    pub(crate) requests: Vec<String>,
    pub(crate) faults: VecDeque<Fault>,
    /// What happens to requests when `faults` has run out.
    pub(crate) usual: Option<fn(usize) -> Fault>,
}

#[derive(Clone)]
pub(crate) struct Fake {
    pub(crate) address: SocketAddr,
    ledger: Arc<Mutex<Ledger>>,
    gate: Arc<Semaphore>,
    arrivals: Arc<Semaphore>,
}

impl Fake {
    pub(crate) async fn start(faults: &[Fault]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let ledger = Ledger {
            faults: faults.iter().copied().collect(),
            ..Ledger::default()
        };
        let fake = Self {
            address: listener.local_addr().unwrap(),
            ledger: Arc::new(Mutex::new(ledger)),
            gate: Arc::new(Semaphore::new(0)),
            arrivals: Arc::new(Semaphore::new(0)),
        };
        fake.ledger().stock.insert("A".into(), 1_000_000);
        let accepting = fake.clone();
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let serving = accepting.clone();
                tokio::spawn(async move { serving.serve(stream).await });
            }
        });
        fake
    }

    pub(crate) fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap()
    }

    pub(crate) fn config(&self) -> Config {
        let mut config = Config::new(&format!("http://{}", self.address)).unwrap();
        config.backoff_first = std::time::Duration::from_millis(1);
        config.attempt_timeout = std::time::Duration::from_millis(200);
        config
    }

    pub(crate) fn client(&self) -> Client {
        Client::new(&self.config())
    }

    pub(crate) fn open_gate(&self) {
        self.gate.add_permits(1);
    }

    /// Waits until one more request was read.
    pub(crate) async fn arrival(&self) {
        self.arrivals.acquire().await.unwrap().forget();
    }

    async fn serve(&self, mut stream: TcpStream) {
        let mut buffer = Vec::new();
        while let Some(request) = read_request(&mut stream, &mut buffer).await {
            let fault = {
                let mut ledger = self.ledger();
                ledger.requests.push(request.path.clone());
                let (at, usual) = (ledger.requests.len(), ledger.usual);
                ledger
                    .faults
                    .pop_front()
                    .or(usual.map(|f| f(at)))
                    .unwrap_or(Fault::None)
            };
            self.arrivals.add_permits(1);
            if !self.answer(&mut stream, &request, fault).await {
                return;
            }
        }
    }

    /// Returns whether the connection goes on.
    async fn answer(&self, stream: &mut TcpStream, request: &Request, fault: Fault) -> bool {
        match fault {
            Fault::Gated => self.gate.acquire().await.unwrap().forget(),
            Fault::Shed(seconds) => {
                let body = problem("overloaded").to_string();
                let head = format!("retry-after: {seconds}\r\n");
                return write(stream, 503, &head, &body, body.len()).await;
            }
            _ => {}
        }
        let (status, answer) = self.ledger().process(request);
        let body = answer.to_string();
        match fault {
            Fault::ReplyDropped => false,
            Fault::ReplyCut => {
                write(stream, status, "", &body, body.len() / 2).await;
                false
            }
            Fault::Unknown => write(stream, 504, "", "{}", 2).await,
            Fault::Silent => std::future::pending().await,
            Fault::ClosedAfter => {
                write(stream, status, "", &body, body.len()).await;
                false
            }
            Fault::None | Fault::Gated | Fault::Shed(_) => {
                write(stream, status, "", &body, body.len()).await
            }
        }
    }
}

pub(crate) struct Request {
    method: String,
    path: String,
    key: Option<String>,
    body: Value,
}

async fn read_request(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> Option<Request> {
    let head_end = loop {
        if let Some(at) = buffer.windows(4).position(|w| w == b"\r\n\r\n") {
            break at + 4;
        }
        read_more(stream, buffer).await?;
    };
    let head = String::from_utf8(buffer[..head_end].to_vec()).unwrap();
    let header = |name: &str| {
        let line = head
            .lines()
            .find(|line| line.to_lowercase().starts_with(name))?;
        Some(line.split_once(": ")?.1.to_owned())
    };
    let length: usize = header("content-length:").map_or(0, |text| text.parse().unwrap());
    while buffer.len() < head_end + length {
        read_more(stream, buffer).await?;
    }
    let body = serde_json::from_slice(&buffer[head_end..head_end + length]).unwrap_or_default();
    buffer.drain(..head_end + length);
    let mut words = head.split(' ').map(str::to_owned);
    let (method, path) = (words.next()?, words.next()?);
    Some(Request {
        method,
        path,
        key: header("idempotency-key:"),
        body,
    })
}

async fn read_more(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> Option<()> {
    (stream.read_buf(buffer).await.ok()? > 0).then_some(())
}

async fn write(stream: &mut TcpStream, status: u16, head: &str, body: &str, bytes: usize) -> bool {
    let head = format!(
        "HTTP/1.1 {status} x\r\n{head}content-length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).await.is_ok()
        && stream.write_all(&body.as_bytes()[..bytes]).await.is_ok()
}

fn problem(code: &str) -> Value {
    json!({"type": "x", "title": "x", "code": code, "detail": "a sentence"})
}

impl Ledger {
    fn process(&mut self, request: &Request) -> (u16, Value) {
        let path = request.path.as_str();
        let key = request.key.clone();
        match (request.method.as_str(), path) {
            ("POST", "/v1/reservations") => self.reserve(&key.unwrap(), &request.body),
            ("POST", "/v1/reservations/batch") => self.batch(&request.body),
            ("GET", path) if path.starts_with("/v1/reservations?key=") => {
                let key = path.split_once('=').unwrap().1;
                self.answers
                    .get(key)
                    .cloned()
                    .unwrap_or((404, problem("unknown_reservation")))
            }
            ("POST", path) if path.ends_with("/confirm") => {
                let answer = (200, reservation("rsv_1", "committed", 1));
                self.answers.entry(key.unwrap()).or_insert(answer).clone()
            }
            ("POST", path) if path.ends_with("/release") => (409, problem("reservation_expired")),
            _ => (404, problem("unknown_sku")),
        }
    }

    fn batch(&mut self, body: &Value) -> (u16, Value) {
        let items = body["reservations"].as_array().unwrap();
        if items.iter().any(|item| item["lines"][0]["sku"] == "BAD") {
            return (422, problem("malformed_sku"));
        }
        let results: Vec<Value> = items
            .iter()
            .map(
                |item| match self.reserve(item["key"].as_str().unwrap(), item) {
                    (status @ 201, done) => json!({"status": status, "reservation": done}),
                    (status, problem) => json!({"status": status, "problem": problem}),
                },
            )
            .collect();
        (200, json!({"results": results}))
    }

    fn reserve(&mut self, key: &str, body: &Value) -> (u16, Value) {
        if let Some(answer) = self.answers.get(key) {
            return answer.clone();
        }
        let line = &body["lines"][0];
        let (sku, quantity) = (
            line["sku"].as_str().unwrap(),
            line["quantity"].as_u64().unwrap(),
        );
        let id = format!("rsv_{}", self.answers.len());
        let answer = match self.stock.get_mut(sku) {
            None => return (422, problem("malformed_sku")),
            Some(units) if *units >= quantity => {
                *units -= quantity;
                (201, reservation(&id, "held", quantity))
            }
            Some(units) => {
                let mut refusal = problem("insufficient_stock");
                refusal["shortages"] = json!([{
                    "sku": sku, "node": null, "requested": quantity, "available": *units,
                    "short": quantity - *units, "limit": "stock",
                }]);
                (409, refusal)
            }
        };
        self.answers.insert(key.to_owned(), answer.clone());
        answer
    }
}

fn reservation(id: &str, state: &str, units: u64) -> Value {
    json!({
        "id": id, "state": state, "channel": "web", "reference": null,
        "expires_at": "2026-11-23T01:12:18.250Z", "some_new_member": {"a": [1]},
        "lines": [{"sku": "A", "node": "main", "quantity": units, "held": units,
                   "committed": 0, "shipped": 0, "released": 0}],
    })
}
