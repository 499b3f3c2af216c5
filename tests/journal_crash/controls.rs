//! Negative controls: journals that are broken on purpose must fail the same checks.

use holdfast::ledger::embedded::storage::Storage as _;
use holdfast::ledger::embedded::storage::sim::{Dice, Files, Loss, SimStorage, Site};
use holdfast::ledger::{Durability, Position};

use super::life::{Ack, Found, Promises, append, judge, record, recover, start, work};

/// Number of crash images that fail the check.
fn failures(
    sim: &SimStorage,
    promises: &Promises,
    recover: impl Fn(&Files) -> Option<Vec<Found>>,
) -> u64 {
    let mut crashes = sim.crashes();
    let mut dice = Dice::new(1);
    let mut failures = 0;
    while crashes.advance() {
        for loss in Loss::ALL.into_iter().chain(Loss::ALL) {
            let image = crashes.image(loss, &mut dice);
            let acknowledged = promises.acknowledged(crashes.moment());
            let passed = recover(&image).is_some_and(|found| {
                judge(&found, 0, acknowledged, promises.appended, &[]).is_ok()
            });
            failures += u64::from(!passed);
        }
    }
    failures
}

fn life(sim: &SimStorage) -> Promises {
    let mut promises = Promises::default();
    let (journal, mut writer) = start(sim, Durability::Disk).unwrap();
    for _ in 0..40 {
        promises.appended = append(&journal, 3);
        writer.step().unwrap();
        promises.acks.push(Ack {
            moment: sim.moment(),
            to: journal.durable(),
        });
    }
    promises
}

#[test]
fn an_honest_journal_passes() {
    let sim = SimStorage::new();
    let promises = life(&sim);
    assert_eq!(failures(&sim, &promises, |image| recover(image, 0).ok()), 0);
}

#[test]
fn a_disk_that_lies_about_syncs_is_noticed() {
    for site in [Site::Sync, Site::SyncDir] {
        let sim = SimStorage::new();
        sim.lie(site);
        let promises = life(&sim);
        let failures = failures(&sim, &promises, |image| recover(image, 0).ok());
        assert!(failures > 50, "{site:?}: {failures}");
    }
}

#[test]
fn an_acknowledgement_before_the_sync_is_noticed() {
    let sim = SimStorage::new();
    let mut promises = Promises::default();
    let (journal, mut writer) = start(&sim, Durability::Disk).unwrap();
    for _ in 0..40 {
        promises.appended = append(&journal, 3);
        promises.acks.push(Ack {
            moment: sim.moment(),
            to: journal.last(),
        });
        writer.step().unwrap();
    }
    assert!(failures(&sim, &promises, |image| recover(image, 0).ok()) > 50);
}

#[test]
fn the_level_os_is_not_the_level_disk() {
    let sim = SimStorage::new();
    let mut promises = Promises::default();
    let parts = start(&sim, Durability::Os).unwrap();
    work(&sim, parts, 10, &mut Dice::new(3), &mut promises).unwrap();
    assert!(failures(&sim, &promises, |image| recover(image, 0).ok()) > 5);
}

/// A journal without checksums: length, sequence, record; synced before it acknowledges.
#[test]
fn a_journal_without_checksums_is_noticed() {
    let sim = SimStorage::new();
    let file = sim.create("log").unwrap();
    file.write_at(&vec![0; 64 * 1024], 0).unwrap();
    file.sync_data().unwrap();
    sim.sync_dir().unwrap();
    let mut promises = Promises::default();
    let mut offset = 0;
    for sequence in 1..=300 {
        let mut bytes = Vec::new();
        let body = record(1, sequence);
        bytes.extend_from_slice(&u32::try_from(body.len()).unwrap().to_le_bytes());
        bytes.extend_from_slice(&sequence.to_le_bytes());
        bytes.extend_from_slice(&body);
        promises.appended = sequence;
        file.write_at(&bytes, offset).unwrap();
        file.sync_data().unwrap();
        offset += u64::try_from(bytes.len()).unwrap();
        promises.acks.push(Ack {
            moment: sim.moment(),
            to: sequence,
        });
    }
    let failures = failures(&sim, &promises, |image| {
        let mut rest = image.get("log").map_or(&[][..], |log| &log[..]);
        let mut found = Vec::new();
        while let Some((head, body)) = rest.split_at_checked(12) {
            let len = usize::try_from(u32::from_le_bytes(head[..4].try_into().unwrap())).unwrap();
            let sequence = u64::from_le_bytes(head[4..].try_into().unwrap());
            let Some((body, next)) = body.split_at_checked(len) else {
                break;
            };
            if sequence == 0 {
                break;
            }
            found.push((
                Position {
                    shard: 0,
                    epoch: 1,
                    sequence,
                },
                body.to_vec(),
            ));
            rest = next;
        }
        Some(found)
    });
    assert!(failures > 10, "{failures}");
}
