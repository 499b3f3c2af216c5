//! Requests built once; only digits change from one to the next.

use std::hash::{BuildHasher, RandomState};

use serde::Serialize;

/// SKUs of the spread scenarios.
pub(crate) const SKUS: u64 = 100_000;

/// As many as have names.
pub(crate) const SKUS_MAX: u64 = 1_000_000;

const KEY_DIGITS: usize = 12;
const SKU_DIGITS: usize = 6;

/// Length of a reservation id.
pub(crate) const ID_BYTES: usize = 30;

/// The SKU of this number.
pub(crate) fn sku(number: u64) -> String {
    format!("SKU-{number:06}")
}

/// A request as bytes, with the places of its keys and SKUs.
#[derive(Debug, Clone, Default)]
pub(crate) struct Template {
    bytes: Vec<u8>,
    keys: Vec<usize>,
    skus: Vec<usize>,
    id: Option<usize>,
}

/// Which SKUs requests name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Choice {
    /// Always number 0.
    Hot,
    /// Any, evenly.
    Spread,
}

/// Draws keys that never repeat and SKUs.
#[derive(Debug, Clone)]
pub(crate) struct Draw {
    choice: Choice,
    key: u64,
    random: u64,
}

impl Draw {
    /// The draw of one connection out of fewer than ten thousand.
    pub(crate) fn new(choice: Choice, connection: usize) -> Self {
        let connection = u64::try_from(connection).unwrap_or_default();
        let random = RandomState::new().hash_one(connection);
        Self {
            choice,
            key: connection * 100_000_000,
            random,
        }
    }

    pub(crate) fn key(&mut self) -> u64 {
        self.key += 1;
        self.key
    }

    pub(crate) fn sku(&mut self) -> u64 {
        match self.choice {
            Choice::Hot => 0,
            Choice::Spread => self.next() % SKUS,
        }
    }

    /// splitmix64
    fn next(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.random;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

/// A prefix of keys that no other run uses.
pub(crate) fn run_name() -> String {
    format!("{:016x}", RandomState::new().hash_one(0_u8))
}

impl Template {
    /// `POST /v1/reservations` with one line.
    pub(crate) fn reserve(host: &str, run: &str) -> Self {
        let mut body = Self::default();
        body.push(r#"{"channel":"web","ttl_seconds":900,"lines":[{"sku":"#);
        body.push_sku();
        body.push(r#","quantity":1}]}"#);
        let mut request = Self::default();
        request.push("POST /v1/reservations HTTP/1.1\r\nhost: ");
        request.push(host);
        request.push("\r\ncontent-type: application/json\r\nidempotency-key: ");
        request.push_key(run);
        request.push_body(&body);
        request
    }

    /// `POST /v1/reservations/batch` with so many reservations of one line.
    pub(crate) fn batch(host: &str, run: &str, size: usize) -> Self {
        let mut body = Self::default();
        body.push(r#"{"reservations":["#);
        for at in 0..size {
            body.push(if at == 0 {
                r#"{"key":""#
            } else {
                r#",{"key":""#
            });
            body.push_key(run);
            body.push(r#"","channel":"web","ttl_seconds":900,"lines":[{"sku":"#);
            body.push_sku();
            body.push(r#","quantity":1}]}"#);
        }
        body.push("]}");
        let mut request = Self::default();
        request.push("POST /v1/reservations/batch HTTP/1.1\r\nhost: ");
        request.push(host);
        request.push("\r\ncontent-type: application/json");
        request.push_body(&body);
        request
    }

    /// `GET /v1/atp/{sku}`.
    pub(crate) fn atp(host: &str) -> Self {
        let mut request = Self::default();
        request.push("GET /v1/atp/SKU-");
        request.skus.push(request.bytes.len());
        request.push("000000?channel=web HTTP/1.1\r\nhost: ");
        request.push(host);
        request.push("\r\n\r\n");
        request
    }

    /// `POST /v1/atp` with so many SKUs.
    pub(crate) fn atp_bulk(host: &str, size: usize) -> Self {
        let mut body = Self::default();
        body.push(r#"{"channel":"web","skus":["#);
        for at in 0..size {
            body.push(if at == 0 { "" } else { "," });
            body.push_sku();
        }
        body.push("]}");
        let mut request = Self::default();
        request.push("POST /v1/atp HTTP/1.1\r\nhost: ");
        request.push(host);
        request.push("\r\ncontent-type: application/json");
        request.push_body(&body);
        request
    }

    /// `POST /v1/reservations/{id}/...`; the id is put in with [`next_for`](Self::next_for).
    pub(crate) fn act(host: &str, run: &str, action: &str) -> Self {
        let mut request = Self::default();
        request.push("POST /v1/reservations/");
        request.id = Some(request.bytes.len());
        request.bytes.extend_from_slice(&[b'0'; ID_BYTES]);
        request.push(action);
        request.push(" HTTP/1.1\r\nhost: ");
        request.push(host);
        request.push("\r\nidempotency-key: ");
        request.push_key(run);
        request.push_body(&Self::default());
        request
    }

    /// The request with this reservation and the next key.
    pub(crate) fn next_for(&mut self, id: [u8; ID_BYTES], draw: &mut Draw) -> &[u8] {
        if let Some(place) = self.id.and_then(|at| self.bytes.get_mut(at..at + ID_BYTES)) {
            place.copy_from_slice(&id);
        }
        self.next(draw)
    }

    /// The request with its next keys and SKUs.
    pub(crate) fn next(&mut self, draw: &mut Draw) -> &[u8] {
        for at in &self.keys {
            write_digits(&mut self.bytes, *at, KEY_DIGITS, draw.key());
        }
        for at in &self.skus {
            write_digits(&mut self.bytes, *at, SKU_DIGITS, draw.sku());
        }
        &self.bytes
    }

    fn push(&mut self, text: &str) {
        self.bytes.extend_from_slice(text.as_bytes());
    }

    fn push_key(&mut self, run: &str) {
        self.push(run);
        self.push("-");
        self.keys.push(self.bytes.len());
        self.push("000000000000");
    }

    fn push_sku(&mut self) {
        self.push("\"SKU-");
        self.skus.push(self.bytes.len());
        self.push("000000\"");
    }

    fn push_body(&mut self, body: &Self) {
        self.push("\r\ncontent-length: ");
        self.push(itoa::Buffer::new().format(body.bytes.len()));
        self.push("\r\n\r\n");
        let start = self.bytes.len();
        self.bytes.extend_from_slice(&body.bytes);
        self.keys.extend(body.keys.iter().map(|at| at + start));
        self.skus.extend(body.skus.iter().map(|at| at + start));
    }
}

/// Writes a number with leading zeros.
pub(crate) fn write_digits(bytes: &mut [u8], at: usize, digits: usize, mut number: u64) {
    for slot in bytes.iter_mut().skip(at).take(digits).rev() {
        *slot = b'0' + u8::try_from(number % 10).unwrap_or_default();
        number /= 10;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_whole_and_never_alike() {
        let mut template = Template::batch("h", "run", 3);
        let mut draw = Draw::new(Choice::Spread, 7);
        let first = String::from_utf8(template.next(&mut draw).to_vec()).unwrap();
        let second = String::from_utf8(template.next(&mut draw).to_vec()).unwrap();
        let (head, body) = first.split_once("\r\n\r\n").unwrap();
        assert!(
            head.ends_with(&format!("content-length: {}", body.len())),
            "{head}"
        );
        let json: serde_json::Value = serde_json::from_str(body).unwrap();
        assert_eq!(json["reservations"][2]["key"], "run-000700000003");
        assert!(second.contains("run-000700000004") && !second.contains("run-000700000003"));
        let one = Template::reserve("h", "run").next(&mut draw).to_vec();
        let one = String::from_utf8(one).unwrap();
        assert!(one.contains("idempotency-key: run-0007000000"), "{one}");
    }
}
