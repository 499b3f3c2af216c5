//! Calls that may fail, and what they came to.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::Value;

/// Longest wait for what must come.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// One unit of the only SKU.
pub(crate) const HOLD: &str = r#"{"channel":"web","lines":[{"sku":"A","quantity":1}]}"#;

/// A connection that is used again and again.
pub(crate) struct Wire(BufReader<TcpStream>);

impl Wire {
    pub(crate) fn connect(address: &str) -> Option<Self> {
        let stream = TcpStream::connect(address).ok()?;
        stream.set_read_timeout(Some(PATIENCE)).ok()?;
        stream.set_nodelay(true).ok()?;
        Some(Self(BufReader::new(stream)))
    }

    /// Sends bytes; false: nobody takes them.
    pub(crate) fn send(&mut self, bytes: &[u8]) -> bool {
        self.0.get_mut().write_all(bytes).is_ok()
    }

    /// Status and body of the next answer; `None`: the connection ended before it was whole.
    pub(crate) fn receive(&mut self) -> Option<(u16, Vec<u8>)> {
        let mut line = String::new();
        self.0.read_line(&mut line).ok().filter(|read| *read > 0)?;
        let status = line.split(' ').nth(1)?.parse().ok()?;
        let mut length = 0;
        loop {
            line.clear();
            self.0.read_line(&mut line).ok().filter(|read| *read > 0)?;
            match line.trim_end().split_once(": ") {
                Some(("content-length", value)) => length = value.parse().ok()?,
                Some(_) => {}
                None => break,
            }
        }
        let mut body = vec![0; length];
        self.0.read_exact(&mut body).ok()?;
        Some((status, body))
    }

    /// A POST of this body under this key.
    pub(crate) fn post(&mut self, path: &str, key: &str, body: &str) -> Option<(u16, Vec<u8>)> {
        let length = body.len();
        let request = format!(
            "POST {path} HTTP/1.1\r\nhost: x\r\nidempotency-key: {key}\r\n\
             content-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
        );
        self.send(request.as_bytes()).then(|| self.receive())?
    }

    pub(crate) fn get(&mut self, path: &str) -> Option<(u16, Vec<u8>)> {
        let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n");
        self.send(request.as_bytes()).then(|| self.receive())?
    }
}

/// Puts so much of a SKU.
pub(crate) fn stock(address: &str, sku: &str, on_hand: u64) {
    let body = format!(r#"{{"items":[{{"sku":"{sku}","on_hand":{on_hand}}}],"reason":"test"}}"#);
    let mut wire = Wire::connect(address).unwrap();
    let answer = wire.post("/v1/stock", &format!("stock-{sku}"), &body);
    assert_eq!(answer.unwrap().0, 200);
}

/// Units held of a SKU.
pub(crate) fn held(address: &str, sku: &str) -> u64 {
    let mut wire = Wire::connect(address).unwrap();
    let (status, body) = wire.get(&format!("/v1/stock/{sku}")).unwrap();
    assert_eq!(status, 200, "{}", String::from_utf8_lossy(&body));
    let stock: Value = serde_json::from_slice(&body).unwrap();
    stock["held"].as_u64().unwrap()
}
