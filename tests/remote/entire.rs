//! The step that makes a reservation over several partitions whole: what it must not count, and that it
//! is missed where a store has lost it.

use holdfast::blocking::wait_for;
use holdfast::domain::hash::Hasher;
use holdfast::ledger::LedgerError;

use crate::halves::{ON_HAND, PARTITIONS, SKUS, TTL, at_every_step, reservation, reserve, seed};
use crate::instance::set;
use crate::loss::{COPY, copy, metric, until};

/// The clocks of partitions differ: parts may have ended where home does not know it yet.
#[test]
fn parts_that_have_ended_are_not_counted_among_what_is_whole() {
    let is_home = |sku: &str| {
        Hasher::new(seed())
            .sku(sku)
            .is_multiple_of(u64::from(PARTITIONS))
    };
    at_every_step(|scene, steps| {
        let done = scene.cut_off("k", &reserve(), 0, steps);
        scene.now(i64::from(TTL) + 1);
        for sku in SKUS.iter().filter(|sku| !is_home(sku)) {
            let touched = format!("{sku} in the meantime");
            scene.other.execute(&touched, &set(sku, ON_HAND));
        }
        scene.now(0);
        if let Ok(answer) = scene.other.try_execute("k", &reserve(), 0) {
            let mut lines = reservation(&answer).lines.iter();
            assert!(lines.all(|line| !line.line.quantity().is_zero()));
        }
        scene.other.recounts_clean();
        done
    });
}

/// The record at home is there without it, and so is every event before it.
#[test]
fn a_reservation_that_a_store_has_only_begun_is_named() {
    at_every_step(|scene, steps| {
        let done = scene.cut_off("k", &reserve(), 0, steps);
        copy(&scene.place, "0", COPY);
        let answer = scene.other.try_execute("k", &reserve(), 0).unwrap();
        let id = reservation(&answer).id;
        copy(&scene.place, COPY, "0");
        let found = wait_for(scene.other.0.reservation(id));
        if answer.replayed {
            assert_eq!(found.unwrap().unwrap().id, id);
        } else {
            let error = found.unwrap_err();
            let is_right = [LedgerError::Quarantined, LedgerError::Unknown].contains(&error);
            assert!(is_right, "{error:?}");
            until("it is not named", || {
                metric(&scene.other, "holdfast_store_lost_commands_total") == 1
            });
        }
        done
    });
}
