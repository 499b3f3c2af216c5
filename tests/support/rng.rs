//! A small seeded generator of random numbers: the same seed gives the same history anywhere.

use std::collections::VecDeque;

/// xorshift64*, after Vigna; good enough to choose commands, and nothing to depend on.
#[derive(Debug, Clone)]
pub(crate) struct Rng(Source);

#[derive(Debug, Clone)]
enum Source {
    /// The state of the generator.
    Seed(u64),
    /// Bytes from elsewhere, as a fuzzer has them; zeros after their end.
    Tape(VecDeque<u8>),
}

/// Numbers that bytes decide: each takes as few of them as it needs.
impl From<&[u8]> for Rng {
    fn from(tape: &[u8]) -> Self {
        Self(Source::Tape(tape.iter().copied().collect()))
    }
}

impl Rng {
    pub(crate) fn new(seed: u64) -> Self {
        // Neighbouring seeds must not give neighbouring histories (splitmix64's finish).
        let mut x = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        Self(Source::Seed((x ^ (x >> 31)) | 1))
    }

    pub(crate) fn next(&mut self) -> u64 {
        match &mut self.0 {
            Source::Seed(state) => {
                *state ^= *state >> 12;
                *state ^= *state << 25;
                *state ^= *state >> 27;
                state.wrapping_mul(0x2545_f491_4f6c_dd1d)
            }
            Source::Tape(bytes) => taken(bytes, u64::MAX),
        }
    }

    /// A number under `end`, which is not 0.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        match &mut self.0 {
            // The higher bits are the better ones.
            Source::Seed(_) => (self.next() >> 11) % end,
            Source::Tape(bytes) => taken(bytes, end - 1) % end,
        }
    }

    /// A number in `first..=last`.
    pub(crate) fn between(&mut self, first: u64, last: u64) -> u64 {
        first + self.below(last - first + 1)
    }

    /// True that many times out of a hundred.
    pub(crate) fn percent(&mut self, chance: u64) -> bool {
        self.below(100) < chance
    }

    /// An index into something of this length.
    pub(crate) fn index(&mut self, len: usize) -> usize {
        let len = u64::try_from(len).unwrap();
        usize::try_from(self.below(len)).unwrap()
    }

    pub(crate) fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.index(from.len())]
    }
}

/// A number of as many bytes as this one has.
fn taken(bytes: &mut VecDeque<u8>, last: u64) -> u64 {
    let count = (u64::BITS - last.leading_zeros()).div_ceil(8);
    (0..count).fold(0, |sum, _| {
        (sum << 8) | u64::from(bytes.pop_front().unwrap_or(0))
    })
}
