//! The whole engine, simulated: one seed decides the order of all steps, the time, the disk and the
//! faults. Many callers send commands, give up and ask again; the power is cut, the disk fails, the clock
//! jumps; and an independent model follows the events and holds every answer against them.
//!
//! `HOLDFAST_SIM_SEEDS` says how many seeds. What a failing one did:
//! `HOLDFAST_SIM_SEED=n HOLDFAST_SIM_FILM=1 cargo test --test simulation film -- --nocapture`.

#![expect(
    clippy::unwrap_used,
    clippy::unreachable,
    clippy::panic,
    reason = "test code"
)]
#![expect(dead_code, reason = "the model tests use the rest of what they share")]
#![expect(clippy::print_stdout, reason = "films and counts are shown on request")]

mod client;
mod crowd;
mod dated;
mod disk;
mod embedded;
mod faults;
mod judge;
mod nemesis;
mod scheduler;
mod seed;
#[path = "../support/sim/mod.rs"]
mod sim;
mod stories;
#[path = "../support/mod.rs"]
mod support;
mod world;

use faults::Counts;
use seed::{Seed, run};
use sim::film::Reel;
use sim::seeds::{alike, run_all};
use support::amount::asked;
use support::model::Bug;
use world::Sabotage;

/// The program's own, which makes a seed a little cheaper.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Seeds of the test, if not told otherwise, and commands of each.
const SEEDS: u64 = 2_000;
const COMMANDS: u64 = 2_000;
/// How often each fault is to fire in that many seeds.
const LEAST: u64 = 100;

/// Every so many seeds are run twice: both must be the same to the last line.
const TWICE_EVERY: u64 = 100;

fn run_checked(number: u64) -> Result<Counts, String> {
    let is_twice = number.is_multiple_of(TWICE_EVERY);
    let reel = if is_twice { Reel::Hash } else { Reel::None };
    let seed = Seed::new(number, COMMANDS, reel);
    alike(number, is_twice, || run(&seed))
}

#[test]
fn every_seed_keeps_every_promise() {
    let seeds = asked("HOLDFAST_SIM_SEEDS").unwrap_or(SEEDS);
    let counts = run_all(seeds, run_checked).unwrap_or_else(|fault| panic!("{fault}"));
    println!("{seeds} seeds of {COMMANDS} commands\n{}", counts.table());
    if seeds >= SEEDS {
        assert_eq!(counts.missing(LEAST), Vec::<String>::new());
    }
}

/// Prints what happens under the seed of `HOLDFAST_SIM_SEED`, else checks that two films are the same.
#[test]
fn film() {
    let number = asked("HOLDFAST_SIM_SEED");
    let reel = if asked::<u64>("HOLDFAST_SIM_FILM").is_some() {
        Reel::Print
    } else {
        Reel::Hash
    };
    let seed = Seed::new(number.unwrap_or(1), COMMANDS, reel);
    let found = run(&seed).unwrap_or_else(|fault| panic!("{fault}"));
    let (_, lines) = found.film;
    assert!(lines > COMMANDS, "{lines} lines");
}

/// How many seeds it takes to notice a world that is broken.
fn noticed_within(seeds: u64, what: &str, broken: impl Fn(u64) -> Seed) {
    let noticed = (0..seeds).find_map(|number| run(&broken(number)).err());
    let noticed = noticed.unwrap_or_else(|| panic!("{what} went unnoticed in {seeds} seeds"));
    println!("{what}: {}", noticed.lines().next().unwrap_or_default());
}

#[test]
fn a_world_that_breaks_its_word_is_noticed() {
    for sabotage in Sabotage::ALL {
        noticed_within(10, &format!("{sabotage:?}"), |number| {
            let mut seed = Seed::new(number, COMMANDS, Reel::None);
            seed.sabotage = Some(sabotage);
            seed
        });
    }
}

#[test]
fn a_rule_that_is_broken_is_noticed() {
    // The model never sees a key with another content: the ledger makes no event of it.
    let bugs = { Bug::ALL.into_iter() }.filter(|bug| *bug != Bug::ContentIgnored);
    for bug in bugs {
        noticed_within(40, &format!("{bug:?}"), |number| {
            let mut seed = Seed::new(number, COMMANDS, Reel::None);
            seed.bug = Some(bug);
            seed
        });
    }
}
