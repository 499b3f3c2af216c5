//! A failing disk at every operation: nothing is acknowledged afterwards, and a restart on a
//! disk that works again finds everything that was.

use std::io::ErrorKind;
use std::sync::Arc;

use holdfast::ledger::embedded::journal::Journal;
use holdfast::ledger::embedded::storage::Storage;
use holdfast::ledger::embedded::storage::sim::{Dice, Fault, Loss, SimStorage, Site};
use holdfast::ledger::{Durability, LedgerError};
use holdfast::telemetry::Meters;

use super::life::{Promises, append, config, judge, recover, start, work};

const STEPS: u64 = 60;

#[test]
fn an_error_at_any_operation_stops_all_acknowledgements() {
    let clean = SimStorage::new();
    let mut promises = Promises::default();
    let parts = start(&clean, Durability::Disk).unwrap();
    work(&clean, parts, STEPS, &mut Dice::new(5), &mut promises).unwrap();
    let mut fired = 0;
    for site in Site::ALL {
        assert!(
            site == Site::Remove || clean.count(site) > 2,
            "{site:?} does not happen"
        );
        for after in 0..clean.count(site) {
            let faults = [
                (ErrorKind::Other, true),
                (ErrorKind::StorageFull, true),
                (ErrorKind::Other, false),
            ];
            for (kind, stays) in faults {
                fault(Fault {
                    site,
                    after,
                    kind,
                    stays,
                });
                fired += 1;
            }
        }
    }
    assert!(fired > 300, "{fired}");
}

fn fault(fault: Fault) {
    let sim = SimStorage::new();
    sim.fail(fault);
    let mut promises = Promises::default();
    let failed = start(&sim, Durability::Disk)
        .and_then(|parts| work(&sim, parts, STEPS, &mut Dice::new(5), &mut promises));
    assert!(failed.is_err(), "{fault:?}: the error was swallowed");
    assert!(sim.fired() >= 1, "{fault:?} did not fire");
    // A restart after a crash of the process, and after a power cut.
    let mut dice = Dice::new(fault.after);
    let mut images = vec![sim.files()];
    let mut crashes = sim.crashes();
    while crashes.advance() {}
    images.extend(Loss::ALL.map(|loss| crashes.image(loss, &mut dice)));
    let (from, acknowledged) = (
        promises.released(sim.moment()),
        promises.acknowledged(sim.moment()),
    );
    for image in images {
        let found = recover(&image, from).unwrap_or_else(|error| panic!("{fault:?}: {error}"));
        judge(&found, from, acknowledged, promises.appended, &[])
            .unwrap_or_else(|what| panic!("{fault:?}: {what}"));
        start(&SimStorage::with_files(image), Durability::Disk).unwrap();
    }
}

#[test]
fn a_failed_sync_answers_unknown_and_then_poisoned() {
    for stays in [true, false] {
        let sim = SimStorage::new();
        let (journal, mut writer) = start(&sim, Durability::Disk).unwrap();
        let safe = append(&journal, 2);
        writer.step().unwrap();
        assert_eq!(journal.wait_blocking(safe), Ok(()));
        let lost = append(&journal, 1);
        sim.fail(Fault {
            site: Site::Sync,
            after: 0,
            kind: ErrorKind::Other,
            stays,
        });
        assert!(writer.step().is_err());
        assert_eq!(sim.fired(), 1);
        assert!(journal.is_poisoned());
        assert_eq!(journal.admit(), Err(LedgerError::Poisoned));
        assert_eq!(journal.wait_blocking(lost), Err(LedgerError::Unknown));
        let syncs = sim.count(Site::Sync);
        let late = append(&journal, 1);
        writer.step().unwrap();
        assert_eq!(
            sim.count(Site::Sync),
            syncs,
            "a failed sync is never tried again"
        );
        assert_eq!(journal.wait_blocking(late), Err(LedgerError::Poisoned));
        assert_eq!(journal.wait_blocking(safe), Ok(()));
        assert_eq!(journal.durable(), safe);
        assert!(journal.close().is_err());
    }
}

#[test]
fn the_thread_reports_a_failure_to_those_who_wait_and_to_the_application() {
    let sim = SimStorage::new();
    let storage: Arc<dyn Storage> = Arc::new(sim.clone());
    let journal = Journal::open(storage, config(Durability::Disk)).unwrap();
    let journal = journal.start(Meters::new()).unwrap();
    let failure = journal.failure();
    let safe = append(&journal, 1);
    assert_eq!(journal.wait_blocking(safe), Ok(()));
    sim.fail(Fault {
        site: Site::Write,
        after: 0,
        kind: ErrorKind::StorageFull,
        stays: true,
    });
    // The thread that prepares the next segment may meet the fault first; both end the journal.
    let mut outcome = Ok(());
    for _ in 0..100 {
        let last = append(&journal, 40);
        outcome = journal.wait_blocking(last);
        if outcome.is_err() {
            break;
        }
    }
    assert!(sim.fired() >= 1);
    assert_eq!(outcome, Err(LedgerError::Unknown));
    assert!(
        failure
            .borrow()
            .as_ref()
            .is_some_and(|cause| cause.contains("cannot"))
    );
}
