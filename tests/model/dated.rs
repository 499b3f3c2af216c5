//! Dated supply and promises for a day in the embedded ledger: restarts and snapshots in between.

use std::sync::Arc;

use holdfast::clock::Clock;
use holdfast::engine::Engine;

use crate::promises::{Home, agrees_with_an_assignment};
use crate::support::driven::open;
use crate::support::memory::Memory;
use crate::support::rng::Rng;

impl Home for Arc<Memory> {
    fn open(&self, clock: &Clock) -> Engine {
        open(Self::clone(self), clock.clone(), None)
    }

    fn reopen(&self, engine: &mut Engine, clock: &Clock, rng: &mut Rng) {
        if rng.percent(30) {
            engine.snapshot().unwrap();
        }
        if rng.percent(30) {
            engine.close().unwrap();
            *engine = self.open(clock);
        }
    }
}

#[test]
fn dated_supply_and_promises_agree_with_an_assignment_of_units() {
    agrees_with_an_assignment(0..24, |seed| Arc::new(Memory::with_seed(seed)));
}
