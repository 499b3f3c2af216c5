//! The rule book alone, under the simplest ledger there could be: one thread, no files.

use crate::support::book::{Book, with_ticks};
use crate::support::check::check;
use crate::support::commands_wanted;
use crate::support::history::Maker;

#[test]
fn rule_book_agrees_with_the_model() {
    let mut left = commands_wanted() / 3;
    for seed in 0.. {
        let steps = if seed % 8 == 0 { 4_000 } else { 500 };
        let mut maker = Maker::new(seed);
        maker.policies = seed % 2 == 1;
        maker.terms = seed % 4 == 3;
        maker.share_moves = 4;
        let history = with_ticks(maker.history(steps));
        if let Err(report) = check(seed, &history, Book::new) {
            panic!("{report}");
        }
        left = left.saturating_sub(steps);
        if left == 0 {
            break;
        }
    }
}
