//! The ledger in a store, simulated: instances, the network, the store and its replicas on one thread,
//! in a time of its own, and one seed that decides what goes wrong when. Callers send commands, are
//! told or not, and ask again; connections break before, behind and within a reply; primaries die,
//! are replaced and come back; instances stop and start. At the end the history is replayed against
//! an independent model, and every answer held against it.
//!
//! Half of the seeds have a ledger of one partition; of the others some have several over Sentinels, some a
//! cluster whose slots move. There each partition's order is held against what callers saw, every answer
//! is asked for again, and the whole history goes through the program that checks proofs.
//!
//! `HOLDFAST_REMOTE_SIM_SEEDS` says how many seeds. What a failing one did:
//! `HOLDFAST_SIM_SEED=n cargo test --test remote_simulation film -- --nocapture`.

#![expect(
    clippy::unwrap_used,
    clippy::unreachable,
    clippy::panic,
    reason = "test code"
)]
#![expect(dead_code, reason = "the model tests use the rest of what they share")]
#![expect(clippy::print_stdout, reason = "films and counts are shown on request")]

mod caller;
#[path = "../support/fake_store/mod.rs"]
mod fake_store;
mod faults;
mod instance;
#[path = "../support/linear/mod.rs"]
mod linear;
mod linearity;
mod nemesis;
mod network;
mod order;
mod parts;
mod places;
mod run;
#[path = "../support/sim/mod.rs"]
mod sim;
#[path = "../support/mod.rs"]
mod support;
#[path = "../support/witness.rs"]
mod witness;
mod world;

use faults::Counts;
use order::{LOST, TWICE};
use run::{Seed, run};
use sim::film::Reel;
use sim::seeds::{alike, run_all};
use support::amount::asked;
use world::Sabotage;

/// The program's own, which makes a seed a little cheaper.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Seeds of the test, if not told otherwise.
const SEEDS: u64 = 140;
/// How often each fault is to have happened in that many.
const LEAST: u64 = 100;

/// Every so many seeds are run twice: both must be the same to the last line.
const TWICE_EVERY: u64 = 50;

fn run_checked(number: u64) -> Result<Counts, String> {
    let is_twice = number.is_multiple_of(TWICE_EVERY);
    let mut seed = Seed::new(number);
    if is_twice {
        seed.reel = Reel::Hash;
    }
    alike(number, is_twice, || Ok(run(&seed)?.found))
}

#[test]
fn every_seed_keeps_every_promise() {
    let seeds = asked("HOLDFAST_REMOTE_SIM_SEEDS").unwrap_or(SEEDS);
    let counts = run_all(seeds, run_checked).unwrap_or_else(|fault| panic!("{fault}"));
    println!("{seeds} seeds\n{}", counts.table());
    if seeds >= SEEDS {
        assert_eq!(counts.missing(LEAST), Vec::<String>::new());
    }
}

/// Prints what happens under the seed of `HOLDFAST_SIM_SEED`.
#[test]
fn film() {
    let number = asked("HOLDFAST_SIM_SEED");
    let mut seed = Seed::new(number.unwrap_or(1));
    seed.reel = number.map_or(Reel::Hash, |_| Reel::Print);
    let ended = run(&seed).unwrap_or_else(|what| panic!("{what}"));
    assert!(ended.found.film.1 > 0);
}

/// That it is noticed in one of these seeds, in these words.
fn noticed(seeds: u64, sabotage: Sabotage, words: &str) {
    let broken = |number| {
        let mut seed = Seed::new(number);
        seed.sabotage = Some(sabotage);
        run(&seed).err()
    };
    let is_noticed = (0..seeds)
        .filter_map(broken)
        .any(|what| what.contains(words));
    assert!(is_noticed, "{sabotage:?} went unnoticed in {seeds} seeds");
}

#[test]
fn a_retry_under_another_key_is_noticed() {
    noticed(10, Sabotage::NewKeys, TWICE);
}

/// The wait counts from the connection's own last write, so that of another one proves nothing.
#[test]
fn a_wait_that_proves_nothing_is_noticed() {
    noticed(40, Sabotage::VacuousWait, LOST);
}

/// Where nothing is waited for, a failover loses what was acknowledged; the ledger must say so.
#[test]
fn what_a_weaker_level_loses_is_named() {
    let mut losses = 0;
    for number in 0..20 {
        let mut seed = Seed::new(number);
        seed.sabotage = Some(Sabotage::NothingAwaited);
        let ended = run(&seed).unwrap_or_else(|what| panic!("{what}"));
        losses += u64::from(ended.lost > 0);
    }
    assert!(losses > 0, "no failover lost anything");
}
