//! The file: each line ends in a hash over the hash before it and the line.

use std::io::{self, Write};

use sha2::{Digest, Sha256};

use super::shape::Line;
use crate::ledger::export::hex;

/// Hexadecimal digits of a hash.
const HASH_DIGITS: usize = 64;

/// Writes lines, each bound to all before it.
pub(super) struct Writer<W> {
    to: W,
    tip: String,
    lines: u64,
    buffer: Vec<u8>,
}

impl<W: Write> Writer<W> {
    pub(super) fn new(to: W) -> Self {
        Self {
            to,
            tip: "0".repeat(HASH_DIGITS),
            lines: 0,
            buffer: Vec::new(),
        }
    }

    /// Lines so far.
    pub(super) const fn lines(&self) -> u64 {
        self.lines
    }

    pub(super) fn put(&mut self, line: &Line<'_>) -> io::Result<()> {
        self.buffer.clear();
        serde_json::to_writer(&mut self.buffer, line)?;
        // The hash goes in before the end of the object.
        self.buffer.pop();
        let hash = Sha256::new()
            .chain_update(&self.tip)
            .chain_update(&self.buffer)
            .finalize();
        self.tip = hex::text(&hash);
        self.buffer.extend_from_slice(br#","hash":""#);
        self.buffer.extend_from_slice(self.tip.as_bytes());
        self.buffer.extend_from_slice(b"\"}\n");
        self.lines += 1;
        self.to.write_all(&self.buffer)
    }

    /// Ends it; the last hash.
    pub(super) fn finish(mut self) -> io::Result<String> {
        self.to.flush()?;
        Ok(self.tip)
    }
}
