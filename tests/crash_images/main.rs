//! Power cuts under the whole engine, on simulated storage: every folder that a crash may leave
//! must open, hold everything that was acknowledged, and nothing half done.
//!
//! `HOLDFAST_CRASH_IMAGES` says how many folders are tried.

#![expect(clippy::unwrap_used, clippy::unreachable, reason = "test code")]
#![expect(dead_code, reason = "the model tests use the rest of what they share")]

mod cuts;
mod deficits;
#[path = "../support/deficits_told.rs"]
mod deficits_told;
mod past;
#[path = "../support/mod.rs"]
mod support;
mod water;

use std::io::ErrorKind;

use holdfast::ledger::embedded::storage::sim::{Dice, Fault, Loss, SimStorage, Site};
use past::{Past, ask_refused_again, judge};
use support::amount::asked;

/// Tries every moment of a past with every kind of loss, as long as more are wanted.
fn crash_everywhere(past: &Past, seed: u64, left: &mut usize) -> Result<(), String> {
    let mut dice = Dice::new(seed);
    let mut crashes = past.storage.crashes();
    loop {
        for loss in Loss::ALL {
            if *left == 0 {
                return Ok(());
            }
            *left -= 1;
            let moment = crashes.moment();
            let files = crashes.image(loss, &mut dice);
            judge(past, files, moment)
                .map_err(|fault| format!("seed {seed}, moment {moment}, {loss:?}: {fault}"))?;
        }
        if !crashes.advance() {
            return Ok(());
        }
    }
}

#[test]
fn no_power_cut_loses_what_was_acknowledged() {
    let mut left = asked("HOLDFAST_CRASH_IMAGES").unwrap_or(2_000);
    for seed in 0.. {
        let past = Past::make(seed, SimStorage::new());
        crash_everywhere(&past, seed, &mut left).unwrap_or_else(|fault| panic!("{fault}"));
        if left == 0 {
            break;
        }
    }
}

/// A disk that says it has synced and has not: the check above must notice.
#[test]
fn a_lying_disk_is_noticed() {
    for site in [Site::Sync, Site::SyncDir] {
        let storage = SimStorage::new();
        storage.lie(site);
        let past = Past::make(1, storage);
        let fault = crash_everywhere(&past, 1, &mut 5_000);
        assert!(fault.is_err(), "{site:?} may lie unnoticed");
    }
}

/// Refusals that were told early and lost are asked for again in the check above; and if they were
/// told before what they were refused for is durable, it would notice.
#[test]
fn a_refusal_told_too_early_is_noticed() {
    let (mut asked, mut noticed) = (0, 0);
    for seed in 0..20 {
        let past = Past::make(seed, SimStorage::new());
        let mut crashes = past.storage.crashes();
        while crashes.advance() {
            let moment = crashes.moment();
            let acknowledged = past.acknowledged_by(moment);
            let files = crashes.image(Loss::Everything, &mut Dice::new(seed));
            let told = ask_refused_again(&past, files.clone(), |done| {
                done.may_be_told(acknowledged, moment)
            });
            asked += told.unwrap_or_else(|fault| panic!("{fault}"));
            let early = ask_refused_again(&past, files, |done| done.is_decided_by(moment));
            noticed += u64::from(early.is_err());
        }
    }
    assert!(
        asked > 100,
        "{asked} early refusals were lost and asked again"
    );
    assert!(
        noticed > 10,
        "{noticed} refusals told too early were noticed"
    );
}

/// Every operation on the storage fails once: what was acknowledged before or after is there
/// after a power cut, and a failed write or sync of the journal ends all acknowledging.
#[test]
fn failures_of_the_storage_acknowledge_nothing() {
    let whole = Past::make(3, SimStorage::new());
    let mut poisoned = 0;
    for site in Site::ALL {
        for after in 0..whole.storage.count(site) {
            let storage = SimStorage::new();
            storage.fail(Fault {
                site,
                after,
                kind: ErrorKind::Other,
                stays: false,
            });
            let past = Past::make(3, storage);
            poisoned += u64::from(past.poisoned);
            let mut crashes = past.storage.crashes();
            while crashes.advance() {}
            let files = crashes.image(Loss::Everything, &mut Dice::new(after));
            judge(&past, files, usize::MAX)
                .unwrap_or_else(|fault| panic!("{site:?} {after}: {fault}"));
        }
    }
    assert!(poisoned > 10, "failed syncs poison: {poisoned}");
}
