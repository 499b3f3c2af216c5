//! Proofs made by hand.

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// What happened in one shard, from its beginning.
pub(crate) struct Story {
    pub(crate) records: Vec<Value>,
    /// How the SKU stands at the end, and a reservation.
    pub(crate) sku: Option<Value>,
    pub(crate) reservation: Option<Value>,
}

impl Story {
    pub(crate) fn new() -> Self {
        Self {
            records: Vec::new(),
            sku: None,
            reservation: None,
        }
    }

    /// Adds a record, a millisecond after 1970 began.
    pub(crate) fn add(&mut self, record: Value) {
        self.add_at(1, record);
    }

    /// Adds a record of this moment.
    pub(crate) fn add_at(&mut self, at: i64, mut record: Value) {
        record["seq"] = json!(self.records.len() + 1);
        record["epoch"] = json!(1);
        record["at"] = json!(at);
        self.records.push(record);
    }
}

pub(crate) fn id(number: u64) -> String {
    format!("rsv_{number:026}")
}

pub(crate) fn command(number: u64) -> String {
    format!("cmd_{number:026}")
}

/// A reservation of so many units of A, of any node.
pub(crate) fn created(number: u64, units: u64, deadline: i64) -> Value {
    json!({
        "kind": "reservation.created", "id": id(number), "channel": "web", "deadline": deadline,
        "lines": [{"sku": "A", "held": units}],
    })
}

/// All its units are confirmed.
pub(crate) fn confirmed(number: u64, units: u64, deadline: i64) -> Value {
    json!({
        "kind": "reservation.confirmed", "id": id(number), "command": command(100 + number),
        "deadline": deadline,
        "lines": [{"line": 0, "sku": "A", "moves": [{"move": "commit", "units": units}],
                   "held": 0, "committed": units, "shipped": 0, "released": 0, "expired": 0,
                   "returned": 0}],
    })
}

/// All its units expire.
pub(crate) fn expired(number: u64, units: u64) -> Value {
    json!({
        "kind": "reservation.expired", "id": id(number), "line": 0, "sku": "A", "units": units,
    })
}

/// A proof of a story, with every hash as it should be.
pub(crate) fn proof(story: &Story) -> Vec<u8> {
    let count = story.records.len();
    let at = { story.records.iter() }.filter_map(|record| record["at"].as_i64());
    let at = at.max().unwrap_or(0);
    let mut lines = vec![
        json!({"proof": {"format": "holdfast proof", "version": 1, "ledger": "0123456789abcdef",
                         "shards": 1, "retention_ms": 1_000_000, "returns_ms": 1_000_000}}),
        json!({"opening": {"shard": 0, "sequence": 0, "at": 0}}),
    ];
    lines.extend(story.records.iter().map(|record| json!({"record": record})));
    lines.push(json!({"closing": {"shard": 0, "sequence": count, "at": at}}));
    lines.extend(story.sku.iter().map(|sku| json!({"sku": sku})));
    lines.extend(
        story
            .reservation
            .iter()
            .map(|of| json!({"reservation": of})),
    );
    lines.push(json!({"end": {
        "lines": lines.len(), "records": count,
        "skus": usize::from(story.sku.is_some()),
        "reservations": usize::from(story.reservation.is_some()),
    }}));
    chained(&lines)
}

/// Each line with its hash.
fn chained(lines: &[Value]) -> Vec<u8> {
    let mut tip = "0".repeat(64);
    let mut bytes = Vec::new();
    for line in lines {
        let text = line.to_string();
        let body = text.strip_suffix('}').unwrap_or(&text);
        let digest = Sha256::new()
            .chain_update(&tip)
            .chain_update(body)
            .finalize();
        tip = digest
            .iter()
            .flat_map(|byte| [byte >> 4, byte & 15])
            .filter_map(|half| char::from_digit(half.into(), 16))
            .collect();
        bytes.extend(format!("{body},\"hash\":\"{tip}\"}}\n").into_bytes());
    }
    bytes
}
