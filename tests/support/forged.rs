//! Proofs that somebody changed.

use serde_json::Value;
use sha2::{Digest, Sha256};

/// The lines of a proof, without their hashes.
#[derive(Clone)]
pub(crate) struct Lines(pub(crate) Vec<Value>);

impl Lines {
    pub(crate) fn of(bytes: &[u8]) -> Self {
        let text = str::from_utf8(bytes).unwrap();
        let line = |line: &str| {
            let mut value: Value = serde_json::from_str(line).unwrap();
            value.as_object_mut().unwrap().remove("hash").unwrap();
            value
        };
        Self(text.lines().map(line).collect())
    }

    /// All of them, each with the hash that it should have.
    pub(crate) fn chained(&self) -> Vec<u8> {
        let mut tip = "0".repeat(64);
        let mut bytes = Vec::new();
        for line in &self.0 {
            let (text, hash) = chained(&tip, &line.to_string());
            bytes.extend(text);
            tip = hash;
        }
        bytes
    }

    /// Positions of the records of these kinds.
    pub(crate) fn records(&self, kinds: &[&str]) -> Vec<usize> {
        let is_it = |line: &Value| kinds.contains(&line["record"]["kind"].as_str().unwrap_or(""));
        let lines = self.0.iter().enumerate();
        let found = lines.filter(|(_, line)| is_it(line));
        found.map(|(at, _)| at).collect()
    }

    /// Numbers the records, and counts them and the lines, as if nothing had happened.
    pub(crate) fn renumber(&mut self) {
        let (mut sequence, mut records) = (0, 0_u64);
        for line in &mut self.0 {
            if let Some(at) = line["opening"]["sequence"].as_u64() {
                sequence = at;
            }
            if line["record"].is_object() {
                sequence += 1;
                records += 1;
                line["record"]["seq"] = sequence.into();
            }
            if line["closing"].is_object() {
                line["closing"]["sequence"] = sequence.into();
            }
        }
        let last = self.0.len() - 1;
        self.0[last]["end"]["lines"] = last.into();
        self.0[last]["end"]["records"] = records.into();
    }
}

/// A line with its hash, and that hash; `text` is a whole object.
pub(crate) fn chained(tip: &str, text: &str) -> (Vec<u8>, String) {
    let body = text.strip_suffix('}').unwrap();
    let digest = Sha256::new()
        .chain_update(tip)
        .chain_update(body)
        .finalize();
    let hash: String = digest
        .iter()
        .flat_map(|byte| [byte >> 4, byte & 15])
        .filter_map(|half| char::from_digit(half.into(), 16))
        .collect();
    (format!("{body},\"hash\":\"{hash}\"}}\n").into_bytes(), hash)
}

/// The hash that a line ends with.
pub(crate) fn hash_of(line: &[u8]) -> &str {
    let text = str::from_utf8(line).unwrap().trim_end();
    let (_, hash) = text.split_at(text.len() - 66);
    hash.strip_suffix("\"}").unwrap()
}
