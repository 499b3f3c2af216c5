//! The chain: each line ends in a hash over the hash before it and the line.

use std::io::{self, BufRead, Read};

use sha2::{Digest, Sha256};

use crate::Fault;

/// Hexadecimal digits of a hash.
pub(crate) const DIGITS: usize = 64;

/// What stands before the hash at the end of a line, and after it.
const BEFORE: &[u8] = br#","hash":""#;
const AFTER: &[u8] = b"\"}\n";

/// Longest line: a policy can be long.
const LINE_BYTES_MAX: u64 = 8 << 20;

/// Hash over a hash and bytes, as hexadecimal digits.
pub(crate) fn hash(before: &[u8], bytes: &[u8]) -> [u8; DIGITS] {
    let digest = Sha256::new()
        .chain_update(before)
        .chain_update(bytes)
        .finalize();
    let mut digits = [b'0'; DIGITS];
    for (pair, byte) in digits.chunks_exact_mut(2).zip(digest.iter()) {
        for (digit, half) in pair.iter_mut().zip([byte >> 4, byte & 15]) {
            *digit = if half < 10 {
                b'0' + half
            } else {
                b'a' - 10 + half
            };
        }
    }
    digits
}

/// Reads lines and checks that each continues the one before.
pub(crate) struct Chain<R> {
    from: R,
    tip: [u8; DIGITS],
    /// The line that was read last, from 1.
    pub(crate) line: u64,
    buffer: Vec<u8>,
}

impl<R: BufRead> Chain<R> {
    pub(crate) fn new(from: R) -> Self {
        Self {
            from,
            tip: [b'0'; DIGITS],
            line: 0,
            buffer: Vec::new(),
        }
    }

    /// The hash of the line that was read last.
    pub(crate) fn tip(&self) -> String {
        self.tip.iter().copied().map(char::from).collect()
    }

    /// Reads the next line, with its hash; `false`: there is none.
    pub(crate) fn read(&mut self) -> io::Result<bool> {
        self.buffer.clear();
        let mut limited = self.from.by_ref().take(LINE_BYTES_MAX);
        let read = limited.read_until(b'\n', &mut self.buffer)?;
        self.line += u64::from(read > 0);
        Ok(read > 0)
    }

    /// The line that was read last.
    pub(crate) fn text(&self) -> &[u8] {
        &self.buffer
    }

    /// The line that was read last without its hash, a whole object, if it continues the chain.
    pub(crate) fn checked(&mut self) -> Result<&[u8], Fault> {
        if self.buffer.last() != Some(&b'\n') {
            return Err(Fault::new("the line breaks off", "a line with a line feed"));
        }
        let Some((body, found)) = split(&self.buffer) else {
            return Err(Fault::new(
                "the line has no hash",
                "`,\"hash\":\"` and 64 digits at its end",
            ));
        };
        let hash = hash(&self.tip, body);
        if found != hash {
            let found = String::from_utf8_lossy(found).into_owned();
            let hash = String::from_utf8_lossy(&hash).into_owned();
            return Err(Fault::new(format!("its hash is {found}"), hash));
        }
        self.tip = hash;
        let length = body.len();
        self.buffer.truncate(length);
        self.buffer.push(b'}');
        Ok(&self.buffer)
    }
}

/// A line as what its hash is over, and the hash.
fn split(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let line = line.strip_suffix(AFTER)?;
    let (rest, hash) = line.split_at_checked(line.len().checked_sub(DIGITS)?)?;
    Some((rest.strip_suffix(BEFORE)?, hash))
}
