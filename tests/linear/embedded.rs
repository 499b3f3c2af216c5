//! Threads over an embedded ledger.

use std::sync::Arc;

use holdfast::clock::Clock;
use holdfast::domain::UnixMillis;
use holdfast::domain::command::Keyed;
use holdfast::engine::Engine;
use holdfast::ledger::{Answer, LedgerError};

use crate::linear::crowd::Place;
use crate::linear::judge::{Tally, judge_all};
use crate::linear::plan::{Kind, LARGE, Plan, SMALL, Size};
use crate::linear::wanted;
use crate::linear::words::History;
use crate::support::check::START;
use crate::support::driven::open;
use crate::support::memory::Memory;

/// Histories that one ledger sees.
const AT_ONCE: u64 = 200;

/// Sometimes with the wait for the journal, which callers of the engine have always.
fn send(engine: &Engine, command: &Keyed<'_>) -> Result<Answer, LedgerError> {
    let answer = engine.submit(command)?;
    if answer.position.sequence % 64 == 0 {
        engine.wait_blocking(answer.told_after)?;
    }
    Ok(answer)
}

/// Histories of a fresh ledger.
pub(crate) fn play(plans: &[Plan]) -> Vec<History> {
    let storage = Arc::new(Memory::with_seed(1));
    let clock = Clock::manual(UnixMillis(START));
    let engine = open(storage, clock.clone(), None);
    let place = Place {
        engines: vec![&engine],
        clock,
        send,
        prefix: "h".to_owned(),
    };
    let histories = place.play(plans, true);
    engine.close().unwrap();
    histories
}

fn judged(size: Size, count: u64) -> Tally {
    let mut sum = Tally::default();
    let mut first = 0;
    while first < count {
        let numbers = first..count.min(first + AT_ONCE);
        first = numbers.end;
        let plan = |number: u64| {
            let kind = Kind {
                is_timed: true,
                is_lossy: number % 3 == 0,
            };
            Plan::draw(number, size, kind)
        };
        let plans: Vec<Plan> = numbers.map(plan).collect();
        let judged = judge_all(&play(&plans));
        sum.add(
            judged.unwrap_or_else(|fault| panic!("histories from {}: {fault}", plans[0].number)),
        );
    }
    sum
}

#[test]
fn every_history_has_an_order() {
    let wanted = wanted();
    println!("embedded: {}", judged(SMALL, wanted));
    println!("embedded, large: {}", judged(LARGE, wanted / 10));
}
