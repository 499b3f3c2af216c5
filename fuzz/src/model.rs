//! The rule book against the independent model: bytes decide a history. Every verdict and every
//! balance is equal.
//!
//! The first byte says whether policies are put and share is moved; the others stand for the
//! numbers that a random history is made of.

use super::support::book::{Book, with_ticks};
use super::support::check;
use super::support::history::Maker;
use super::support::rng::Rng;

/// A step takes more bytes than this.
const STEP_BYTES: usize = 8;

/// Plays the history of these bytes.
pub fn check(bytes: &[u8]) -> bool {
    let Some((choice, tape)) = bytes.split_first() else {
        return false;
    };
    let mut maker = Maker::from(Rng::from(tape));
    maker.policies = choice & 1 != 0;
    maker.share_moves = if choice & 2 == 0 { 0 } else { 8 };
    maker.compare_every = 12;
    let history = with_ticks(maker.history(tape.len() / STEP_BYTES));
    if let Err(report) = check::check(0, &history, Book::new) {
        panic!("{report}");
    }
    true
}
