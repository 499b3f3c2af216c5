//! Power cuts at every moment, each with several ways to lose what was not synced.

use std::collections::HashMap;

use holdfast::ledger::Durability;
use holdfast::ledger::embedded::storage::sim::{Dice, Files, Loss, SimStorage};

use super::life::{Promises, judge, recover, start, work};

/// Seeds, each a life of its own.
const SEEDS: u64 = 16;
/// Images for each moment and way to lose.
const ROLLS: usize = 2;
/// What the whole run must reach.
const IMAGES_MIN: u64 = 20_000;

#[derive(Debug, Default)]
struct Tally {
    images: u64,
    per_loss: HashMap<Loss, u64>,
    /// Images that had lost something that was not acknowledged.
    lost_unacknowledged: u64,
    /// Images that had kept something that was not acknowledged.
    kept_unacknowledged: u64,
    second_crashes: u64,
    rotated: u64,
}

#[test]
fn no_power_cut_loses_or_invents_a_record() {
    let mut tally = Tally::default();
    for seed in 0..SEEDS {
        let durability = if seed % 4 == 3 {
            Durability::Os
        } else {
            Durability::Disk
        };
        crash_life(seed, durability, &mut tally);
    }
    assert!(tally.images >= IMAGES_MIN, "{tally:?}");
    assert!(tally.second_crashes >= IMAGES_MIN, "{tally:?}");
    assert!(
        Loss::ALL.iter().all(|loss| tally.per_loss[loss] > 1_000),
        "{tally:?}"
    );
    assert!(
        tally.lost_unacknowledged > 100 && tally.kept_unacknowledged > 100,
        "{tally:?}"
    );
    assert!(tally.rotated > 20, "{tally:?}");
}

fn crash_life(seed: u64, durability: Durability, tally: &mut Tally) {
    let sim = SimStorage::new();
    let mut dice = Dice::new(seed);
    let mut promises = Promises::default();
    work(
        &sim,
        start(&sim, durability).unwrap(),
        90,
        &mut dice,
        &mut promises,
    )
    .unwrap();
    if durability == Durability::Os {
        // A power cut may lose what the level `os` acknowledged, but not order or truth.
        promises.acks.clear();
    }
    tally.rotated += u64::try_from(sim.files().len()).unwrap();
    let mut crashes = sim.crashes();
    while crashes.advance() {
        for loss in Loss::ALL {
            for _ in 0..ROLLS {
                let image = crashes.image(loss, &mut dice);
                *tally.per_loss.entry(loss).or_default() += 1;
                tally.images += 1;
                let moment = crashes.moment();
                let acknowledged = promises.acknowledged(moment);
                let from = promises.released(moment);
                let at = format!("seed {seed}, moment {moment}, {loss:?}");
                let found = recover(&image, from).unwrap_or_else(|error| panic!("{at}: {error}"));
                let last = judge(&found, from, acknowledged, promises.appended, &[])
                    .unwrap_or_else(|what| panic!("{at}: {what}"));
                tally.lost_unacknowledged += u64::from(last < promises.appended);
                tally.kept_unacknowledged += u64::from(last > acknowledged);
                second_life(image, from, last, &mut dice, &at);
                tally.second_crashes += 1;
            }
        }
    }
}

/// The recovered journal takes records again, and a crash of that life is survived too.
fn second_life(image: Files, from: u64, last: u64, dice: &mut Dice, at: &str) {
    let sim = SimStorage::with_files(image);
    let parts = start(&sim, Durability::Disk).unwrap_or_else(|error| panic!("{at}: {error}"));
    let started = sim.moment();
    let epoch = parts.0.epoch();
    assert_eq!(parts.0.last(), last, "{at}");
    let mut promises = Promises::default();
    work(&sim, parts, 4, dice, &mut promises).unwrap();
    let mut crashes = sim.crashes();
    let stop = dice.roll(u64::try_from(sim.moment()).unwrap() + 1);
    while crashes.moment() < usize::try_from(stop).unwrap() && crashes.advance() {}
    let loss = Loss::ALL[usize::try_from(dice.roll(5)).unwrap()];
    let image = crashes.image(loss, dice);
    let moment = crashes.moment();
    let from = from.max(promises.released(moment));
    let found = recover(&image, from).unwrap_or_else(|error| panic!("{at}, second: {error}"));
    // What was recovered once was promised to whoever read it; it must not go again.
    let held = if moment >= started { last } else { from };
    let acknowledged = promises.acknowledged(moment).max(held);
    let ends = if epoch == 1 { vec![] } else { vec![last] };
    judge(
        &found,
        from,
        acknowledged,
        promises.appended.max(last),
        &ends,
    )
    .unwrap_or_else(|what| panic!("{at}, second, moment {moment}, {loss:?}: {what}"));
}
