//! Ids of requests that came without one: a prefix drawn once per thread, and a counter.

use std::cell::Cell;
use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};

/// Length of an id.
pub const BYTES: usize = 27;

thread_local! {
    static NEXT: Cell<(u64, u64)> = Cell::new((draw(), 0));
}

/// A number that differs between threads and processes; the standard library's hasher is seeded
/// from the operating system.
fn draw() -> u64 {
    RandomState::new().build_hasher().finish()
}

fn put_hex(out: &mut [u8], mut value: u64) {
    for slot in out.iter_mut().rev() {
        let nibble = usize::try_from(value & 15).unwrap_or_default();
        *slot = b"0123456789abcdef".get(nibble).copied().unwrap_or(b'0');
        value >>= 4;
    }
}

/// The next id, ASCII: 16 hexadecimal digits, a dash, 10 more.
pub fn next() -> [u8; BYTES] {
    let (prefix, count) = NEXT.get();
    NEXT.set((prefix, count.wrapping_add(1)));
    let mut out = [b'-'; BYTES];
    let (first, rest) = out.split_at_mut(16);
    put_hex(first, prefix);
    if let Some(digits) = rest.get_mut(1..) {
        put_hex(digits, count);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_differ_and_are_text() {
        let (a, b) = (next(), next());
        assert_ne!(a, b);
        assert!(
            str::from_utf8(&a)
                .unwrap()
                .bytes()
                .all(|c| c.is_ascii_hexdigit() || c == b'-')
        );
        let other = std::thread::spawn(next).join().unwrap();
        assert_ne!(a[..16], other[..16]);
    }
}
