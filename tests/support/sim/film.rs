//! The film of a seed: every event as a line of text, printed, hashed, or neither.

use std::fmt::{self, Write};

/// What becomes of the lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reel {
    /// They are not even made.
    None,
    /// They are summed up in a hash: equal films, equal hashes.
    Hash,
    /// They are hashed and printed.
    Print,
}

/// FNV-1a: nothing depends on its quality, and it takes text piece by piece.
#[derive(Debug, Clone, Copy)]
struct Fnv(u64);

impl Write for Fnv {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for byte in text.bytes() {
            self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
        Ok(())
    }
}

/// A film that is being taken.
#[derive(Debug)]
pub(crate) struct Film {
    reel: Reel,
    hash: Fnv,
    lines: u64,
}

impl Film {
    pub(crate) fn new(reel: Reel) -> Self {
        Self {
            reel,
            hash: Fnv(0xcbf2_9ce4_8422_2325),
            lines: 0,
        }
    }

    /// Takes down what an actor did.
    pub(crate) fn note(&mut self, now: i64, actor: &str, what: fmt::Arguments<'_>) {
        if self.reel == Reel::None {
            return;
        }
        self.lines += 1;
        let line = format_args!("{now:>9} ms  {actor:<9} {what}\n");
        self.hash.write_fmt(line).unwrap();
        if self.reel == Reel::Print {
            print!("{line}");
        }
    }

    /// Of everything so far, with the number of lines.
    pub(crate) fn hash(&self) -> (u64, u64) {
        (self.hash.0, self.lines)
    }
}
