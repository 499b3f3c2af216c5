//! The whole engine: key records, shards, journal, recovery, snapshots, views.

use crate::support::check::{Coverage, check};
use crate::support::commands_wanted;
use crate::support::driven::Driven;
use crate::support::history::Maker;
use crate::support::model::Keeping;

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
        let mut maker = Maker::new(seed);
        // Every other pair: a ledger without a policy must not know of any.
        maker.policies = seed % 4 >= 2;
        maker.terms = seed % 4 == 3;
        maker.share_moves = 4;
        let history = maker.history(steps(seed));
        let seen = check(seed, &history, || Driven::new(seed, None));
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
            "policy",
            "over_share",
            "reservation_expired",
        ] {
            assert!(even[code] > 0 && odd[code] > 0, "{code}: {even:?} {odd:?}");
        }
    });
}

/// Keys and reservations are forgotten in the middle of histories: their places are used again,
/// their keys mean something new.
#[test]
fn forgetful_engine_agrees_with_the_model() {
    let keeping = Keeping {
        answers: 4_000,
        refusals: 1_500,
    };
    let mut left = commands_wanted() / 3;
    for seed in 0.. {
        let mut maker = Maker::new(1_000_000 + seed);
        maker.backwards = false;
        let history = maker.history(1_500);
        let seen = check(seed, &history, || Driven::new(seed, Some(keeping)));
        if let Err(report) = seen {
            panic!("{report}");
        }
        left = left.saturating_sub(history.len());
        if left == 0 {
            break;
        }
    }
}
