//! Many threads against one engine, judged afterwards by the witness check.
//!
//! `HOLDFAST_WITNESS_OPERATIONS` says how many calls.

#![expect(
    clippy::unwrap_used,
    clippy::unreachable,
    clippy::panic,
    reason = "test code"
)]
#![expect(dead_code, reason = "the model tests use the rest of what they share")]

mod crowd;
mod mutants;
#[path = "../support/proved.rs"]
mod proved;
#[path = "../support/mod.rs"]
mod support;
#[path = "../support/witness.rs"]
mod witness;

use crowd::{Crowd, Recorded};
use mutants::mutate;
use support::amount::asked;
use support::rng::Rng;
use witness::judge;

#[test]
fn concurrent_histories_have_a_witness() {
    let mut left: usize = asked("HOLDFAST_WITNESS_OPERATIONS").unwrap_or(1_000_000);
    for seed in 0.. {
        let crowd = Crowd {
            seed,
            threads: 8,
            calls: 1_200,
            phases: 3,
        };
        let Recorded {
            calls,
            feed,
            violations,
        } = crowd.run();
        assert_eq!(violations, Vec::<String>::new(), "seed {seed}");
        judge(&calls, &feed).unwrap_or_else(|fault| panic!("seed {seed}: {fault}"));
        left = left.saturating_sub(calls.len());
        if left == 0 {
            break;
        }
    }
}

/// The check is not asleep: each of these histories has exactly one fault.
#[test]
fn every_single_fault_is_seen() {
    let mut seen = 0;
    let mut rng = Rng::new(26);
    for seed in 0..4 {
        let crowd = Crowd {
            seed: 1_000 + seed,
            threads: 4,
            calls: 100,
            phases: 2,
        };
        let Recorded { calls, feed, .. } = crowd.run();
        judge(&calls, &feed).unwrap_or_else(|fault| panic!("seed {seed}: {fault}"));
        let target = seen + 300;
        while seen < target {
            let Some((what, mutant)) = mutate(&calls, &mut rng) else {
                continue;
            };
            assert!(judge(&mutant, &feed).is_err(), "not seen: {what}");
            seen += 1;
        }
    }
    assert!(seen >= 1_000);
}
