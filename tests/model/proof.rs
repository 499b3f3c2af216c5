//! Proofs of what the embedded ledger did in random histories.

use std::sync::Arc;

use holdfast::clock::Clock;
use holdfast::engine::Engine;

use crate::promises::{Home, agrees_with_an_assignment};
use crate::proved::{proved, range};
use crate::support::check::run;
use crate::support::commands_wanted;
use crate::support::driven::{Driven, open};
use crate::support::history::Maker;
use crate::support::memory::Memory;
use crate::support::model::Keeping;
use crate::support::rng::Rng;

/// One history in three is of a ledger that forgets.
fn keeping(seed: u64) -> Option<Keeping> {
    seed.is_multiple_of(3).then_some(Keeping {
        answers: 20_000,
        refusals: 5_000,
    })
}

#[test]
fn every_random_history_is_accepted() {
    let mut left = commands_wanted() / 10;
    for seed in 0.. {
        let mut maker = Maker::new(seed);
        maker.policies = seed % 2 == 1;
        maker.share_moves = 4;
        let history = maker.history(1_000);
        let keeping = keeping(seed);
        let mut driven = Driven::new(seed, keeping);
        run(&mut driven, &history).unwrap();
        let retention_ms = keeping.map_or(i64::MAX, |keeping| keeping.answers);
        let (proof, _) = proved(driven.as_ref(), &range(retention_ms));
        assert!(proof.made > 0, "seed {seed}");
        left = left.saturating_sub(history.len());
        if left == 0 {
            break;
        }
    }
}

/// A folder whose ledger is proved whenever it would be opened anew.
struct Proved(Arc<Memory>);

impl Home for Proved {
    fn open(&self, clock: &Clock) -> Engine {
        open(Arc::<Memory>::clone(&self.0), clock.clone(), None)
    }

    fn reopen(&self, engine: &mut Engine, _clock: &Clock, _rng: &mut Rng) {
        proved(engine, &range(i64::MAX));
    }
}

#[test]
fn dated_supply_and_promises_are_accepted() {
    agrees_with_an_assignment(0..6, |seed| Proved(Arc::new(Memory::with_seed(seed))));
}
