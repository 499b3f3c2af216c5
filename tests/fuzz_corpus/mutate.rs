//! Changes of a corpus that a seed decides.

use crate::support::rng::Rng;

/// Values at which things change.
const EDGES: [u8; 8] = [0x00, 0x01, 0x7f, 0x80, 0xff, b'"', b'9', b'-'];

/// Longest input; what matters is small.
const BYTES_MAX: usize = 16 * 1024;

/// Makes inputs from those of a corpus.
pub(crate) struct Mutator<'c> {
    corpus: &'c [&'c [u8]],
    rng: Rng,
}

impl<'c> Mutator<'c> {
    pub(crate) fn new(corpus: &'c [&'c [u8]]) -> Self {
        let rng = Rng::new(1);
        Self { corpus, rng }
    }

    /// One of the corpus with a few changes.
    pub(crate) fn next(&mut self) -> Vec<u8> {
        let mut bytes = self.rng.pick(self.corpus).to_vec();
        for _ in 0..self.rng.between(1, 4) {
            self.change(&mut bytes);
        }
        bytes.truncate(BYTES_MAX);
        bytes
    }

    /// A place in something of this length, or its end.
    fn place(&mut self, len: usize) -> usize {
        self.rng.index(len + 1)
    }

    /// Part of something, mostly a short one.
    fn part(&mut self, len: usize) -> std::ops::Range<usize> {
        let start = self.place(len);
        let longest = if self.rng.percent(80) { 8 } else { len };
        start..(start + self.place(longest)).min(len)
    }

    fn change(&mut self, bytes: &mut Vec<u8>) {
        let part = self.part(bytes.len());
        match self.rng.below(8) {
            0 => drop(bytes.drain(part)),
            1 => bytes.extend_from_within(part),
            2 => {
                let copied = bytes[part].to_vec();
                let at = self.place(bytes.len());
                bytes.splice(at..at, copied);
            }
            3 => {
                let other = self.rng.pick(self.corpus);
                let copied = other[self.part(other.len())].to_vec();
                bytes.splice(part, copied);
            }
            4 => bytes.truncate(part.start),
            5 => bytes.insert(part.start, self.rng.pick(&EDGES)),
            kind => {
                let Some(byte) = bytes.get_mut(part.start) else {
                    return;
                };
                *byte = match kind {
                    6 => self.rng.pick(&EDGES),
                    _ => *byte ^ (1 << self.rng.below(8)),
                };
            }
        }
    }
}

#[test]
fn the_same_seed_makes_the_same_changes() {
    let corpus: [&[u8]; 2] = [b"one", b"another"];
    let changes = || {
        let mut mutator = Mutator::new(&corpus);
        (0..500).map(|_| mutator.next()).collect::<Vec<_>>()
    };
    let made = changes();
    assert_eq!(made, changes());
    let different: std::collections::HashSet<_> = made.iter().collect();
    assert!(different.len() > 300);
}
