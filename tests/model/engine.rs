//! The whole engine: key records, shards, journal, recovery, snapshots, views.

use crate::support::check::{Coverage, check};
use crate::support::commands_wanted;
use crate::support::driven::Driven;
use crate::support::history::Maker;

/// Commands of a history: mostly short, for many restarts from an empty folder; some long, for
/// many records of every kind.
fn steps(seed: u64) -> usize {
    if seed.is_multiple_of(16) {
        8_000
    } else {
        1_200
    }
}

fn run(seeds: impl Iterator<Item = u64>, commands: usize) -> Coverage {
    let mut left = commands;
    let mut coverage = Coverage::new();
    for seed in seeds {
        let history = Maker::new(seed).history(steps(seed));
        let seen = check(seed, &history, || Driven::new(seed));
        for (code, times) in seen.unwrap_or_else(|report| panic!("{report}")) {
            *coverage.entry(code).or_default() += times;
            left = left.saturating_sub(usize::try_from(times).unwrap());
        }
        if left == 0 {
            break;
        }
    }
    coverage
}

#[test]
fn engine_agrees_with_the_model() {
    // Two threads: histories are independent of each other.
    let half = commands_wanted() / 2;
    std::thread::scope(|scope| {
        let even = scope.spawn(move || run((0..).step_by(2), half));
        let odd = run((1..).step_by(2), half);
        let even = even.join().unwrap();
        for code in [
            "done",
            "replayed",
            "insufficient_stock",
            "reservation_expired",
        ] {
            assert!(even[code] > 0 && odd[code] > 0, "{code}: {even:?} {odd:?}");
        }
    });
}
