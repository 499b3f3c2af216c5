//! Flipped bits: the same records, or a refusal that names the place, or a cut of an end that
//! nobody could prove to have been durable.

use std::sync::Arc;

use holdfast::ledger::Durability;
use holdfast::ledger::embedded::journal::{Journal, JournalConfig, JournalError};
use holdfast::ledger::embedded::storage::Storage;
use holdfast::ledger::embedded::storage::sim::{Files, SimStorage};

use super::life::{Found, append, config, recover};

/// One position in so many is flipped.
const STRIDE: usize = 16;
const JOURNAL_BYTES: u64 = 64 * 1024;

#[derive(Debug, Default)]
struct Outcomes {
    equal: u64,
    refused: u64,
    cut: u64,
}

/// A full journal of 64 KiB; also the records before the last frame with records.
fn journal(segment_bytes: u64, closed: bool) -> (Files, u64) {
    let sim = SimStorage::new();
    let storage: Arc<dyn Storage> = Arc::new(sim.clone());
    let config = JournalConfig {
        segment_bytes,
        ..config(Durability::Disk)
    };
    let (journal, mut writer) = Journal::open(storage, config)
        .unwrap()
        .start_stepped()
        .unwrap();
    let mut before = 0;
    let segments = JOURNAL_BYTES / segment_bytes;
    while u64::try_from(sim.files().len()).unwrap() < segments || writer.room() > 4_000 {
        before = journal.durable();
        append(&journal, 7);
        writer.step().unwrap();
    }
    if closed {
        journal.close().unwrap();
        writer.step().unwrap();
    }
    (sim.files(), before)
}

fn flip_all(files: &Files, may_cut_after: u64) -> Outcomes {
    let whole = recover(files, 0).unwrap();
    let mut outcomes = Outcomes::default();
    for (name, content) in files {
        for bit in (0..content.len() * 8).step_by(STRIDE) {
            // Every bit of a byte gets its turn.
            let bit = bit + (bit / STRIDE) % STRIDE;
            let mut image = files.clone();
            image.get_mut(name).unwrap()[bit / 8] ^= 1 << (bit % 8);
            judge(&image, &whole, may_cut_after, &mut outcomes, name, bit);
        }
    }
    outcomes
}

fn judge(
    image: &Files,
    whole: &[Found],
    may_cut_after: u64,
    outcomes: &mut Outcomes,
    name: &str,
    bit: usize,
) {
    match recover(image, 0) {
        Ok(found) if found == whole => outcomes.equal += 1,
        Ok(found) => {
            assert!(whole.starts_with(&found), "{name} bit {bit}: invented");
            let last = u64::try_from(found.len()).unwrap();
            assert_eq!(
                last, may_cut_after,
                "{name} bit {bit}: durable records were cut"
            );
            outcomes.cut += 1;
        }
        Err(JournalError::Damaged { file, offset, .. }) => {
            let place = u64::try_from(bit / 8).unwrap();
            assert_eq!(file, *name, "bit {bit}");
            assert!(offset <= place, "{name} bit {bit}: refused at {offset}");
            outcomes.refused += 1;
        }
        Err(error) => panic!("{name} bit {bit}: {error}"),
    }
}

#[test]
fn a_journal_that_was_closed_is_never_cut() {
    for segment_bytes in [JOURNAL_BYTES, JOURNAL_BYTES / 4] {
        let (files, _) = journal(segment_bytes, true);
        let outcomes = flip_all(&files, u64::MAX);
        assert_eq!(outcomes.cut, 0);
        assert!(
            outcomes.refused > 20_000 && outcomes.equal > 1_000,
            "{outcomes:?}"
        );
    }
}

#[test]
fn a_journal_that_crashed_loses_at_most_its_last_frame() {
    let (files, before) = journal(JOURNAL_BYTES, false);
    let outcomes = flip_all(&files, before);
    assert!(
        outcomes.cut > 10 && outcomes.refused > 20_000,
        "{outcomes:?}"
    );
}

#[test]
fn missing_and_foreign_segments_are_refused() {
    let (files, _) = journal(JOURNAL_BYTES / 4, true);
    let names: Vec<&String> = files.keys().filter(|name| name.contains(".seg")).collect();
    assert!(names.len() >= 4);
    for name in &names[..names.len() - 1] {
        let mut image = files.clone();
        image.remove(*name);
        let gone = recover(&image, 0);
        assert!(matches!(gone, Err(JournalError::Gone { .. })), "{name}");
    }
    let last = names[names.len() - 1];
    let mut image = files.clone();
    image.remove(last);
    let snapshot = u64::try_from(recover(&files, 0).unwrap().len()).unwrap();
    assert!(matches!(
        recover(&image, snapshot),
        Err(JournalError::Behind { .. })
    ));
    let (other, _) = journal(JOURNAL_BYTES / 4, true);
    let mut image = files.clone();
    image.insert(names[1].clone(), other[names[1]].clone());
    assert!(matches!(
        recover(&image, 0),
        Err(JournalError::Damaged { .. })
    ));
}

#[test]
fn another_version_is_refused_by_number() {
    let (mut files, _) = journal(JOURNAL_BYTES, true);
    let name = files.keys().next().unwrap().clone();
    for other in [1, 3, 5] {
        let content = files.get_mut(&name).unwrap();
        content[8] = other;
        let crc = crc32c::crc32c(&content[..64]);
        content[64..68].copy_from_slice(&crc.to_le_bytes());
        let error = recover(&files, 0).unwrap_err();
        assert!(matches!(error, JournalError::Version { .. }), "{error}");
        let said = format!("format version {other}; this program reads version 4");
        assert!(error.to_string().contains(&said), "{error}");
    }
}
