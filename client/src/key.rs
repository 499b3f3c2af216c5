//! Idempotency keys: made once a call, kept over every repetition of it.

use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::Text;

/// Names one intended change. The server does the change at most once for a key and answers every
/// repetition the same.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct IdempotencyKey(Repr);

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Repr {
    Made { client: u128, call: u64 },
    Given(Text),
}

impl IdempotencyKey {
    /// A key of the caller's own, for instance the channel's order id: at most 255 visible ASCII
    /// characters. The right choice when the caller itself may crash and call again.
    pub fn new(text: &str) -> Option<Self> {
        let good = !text.is_empty()
            && text.len() <= 255
            && text
                .bytes()
                .all(|b| b.is_ascii_graphic() && b != b'"' && b != b'\\');
        good.then(|| Self(Repr::Given(Text::from(text))))
    }

    /// Appends the text. Needs no JSON escapes.
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        match &self.0 {
            Repr::Made { client, call } => {
                push_hex(out, *client, 32);
                out.push(b'-');
                push_hex(out, u128::from(*call), 8);
            }
            Repr::Given(text) => out.extend_from_slice(text.as_bytes()),
        }
    }
}

fn push_hex(out: &mut Vec<u8>, value: u128, digits_min: u32) {
    let digits = digits_min.max((128 - value.leading_zeros()).div_ceil(4));
    for at in (0..digits).rev() {
        let digit = u8::try_from((value >> (4 * at)) & 15).unwrap_or_default();
        out.push(if digit < 10 {
            b'0' + digit
        } else {
            b'a' + digit - 10
        });
    }
}

impl fmt::Display for IdempotencyKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = Vec::with_capacity(64);
        self.write(&mut text);
        f.write_str(str::from_utf8(&text).unwrap_or_default())
    }
}

/// Makes keys: 128 random bits that name the client, and a counter.
#[derive(Debug)]
pub(crate) struct KeyMaker {
    client: u128,
    calls: AtomicU64,
}

impl KeyMaker {
    pub(crate) fn new() -> Self {
        // Each `RandomState` hashes with a secret 128-bit key seeded by the operating system.
        let random = RandomState::new();
        let (high, low) = (random.hash_one(0_u8), random.hash_one(1_u8));
        Self {
            client: (u128::from(high) << 64) | u128::from(low),
            calls: AtomicU64::new(0),
        }
    }

    pub(crate) fn next(&self) -> IdempotencyKey {
        let call = self.calls.fetch_add(1, Ordering::Relaxed);
        IdempotencyKey(Repr::Made {
            client: self.client,
            call,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_differ_between_calls_and_between_clients() {
        let (one, two) = (KeyMaker::new(), KeyMaker::new());
        let mut seen = std::collections::HashSet::new();
        for _ in 0..100 {
            assert!(seen.insert(one.next().to_string()));
            assert!(seen.insert(two.next().to_string()));
        }
        assert!(seen.iter().all(|key| key.len() == 41));
    }

    #[test]
    fn keys_of_the_caller_are_checked() {
        assert_eq!(
            IdempotencyKey::new("order-7").unwrap().to_string(),
            "order-7"
        );
        for bad in ["", "a b", "a\"", "ä", &"x".repeat(256)] {
            assert_eq!(IdempotencyKey::new(bad), None, "{bad}");
        }
    }
}
