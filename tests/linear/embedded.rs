//! Threads over an embedded ledger.

use std::sync::Arc;

use holdfast::clock::Clock;
use holdfast::domain::UnixMillis;
use holdfast::domain::command::Keyed;
use holdfast::engine::Engine;
use holdfast::ledger::{Answer, LedgerError};

use crate::linear::crowd::Place;
use crate::linear::judge::Tally;
use crate::linear::plan::{LARGE, Plan, SMALL, Size, mixed};
use crate::linear::wanted;
use crate::linear::words::History;
use crate::support::check::START;
use crate::support::driven::open;
use crate::support::memory::Memory;

/// Histories that one ledger sees.
const AT_ONCE: usize = 200;

/// Sometimes with the wait for the journal, which callers of the engine have always.
fn send(engine: &Engine, command: &Keyed<'_>) -> Result<Answer, LedgerError> {
    let answer = engine.submit(command)?;
    if answer.position.sequence % 64 == 0 {
        engine.wait_blocking(answer.told_after)?;
    }
    Ok(answer)
}

/// Does something with a fresh ledger.
fn with_ledger<T>(work: impl FnOnce(&Place<'_>) -> T) -> T {
    let storage = Arc::new(Memory::with_seed(1));
    let clock = Clock::manual(UnixMillis(START));
    let engine = open(storage, clock.clone(), None);
    let done = work(&Place {
        engines: vec![&engine],
        clock,
        send,
        is_retried: false,
    });
    engine.close().unwrap();
    done
}

/// Histories of a fresh ledger.
pub(crate) fn play(plans: &[Plan]) -> Vec<History> {
    with_ledger(|place| place.play(plans))
}

fn judged(size: Size, count: u64) -> Tally {
    let mut sum = Tally::default();
    for plans in mixed(0..count, size).chunks(AT_ONCE) {
        sum.add(with_ledger(|place| place.judged(plans)));
    }
    sum
}

#[test]
fn every_history_has_an_order() {
    println!("embedded: {}", judged(SMALL, wanted()));
    println!("embedded, large: {}", judged(LARGE, wanted() / 10));
}
