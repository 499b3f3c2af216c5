//! What lies in the journal's files: frames where they are looked for, and nothing beside them.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use super::tests::{append, config, open, records, replay};
use super::*;
use crate::clock::monotonic;
use crate::ledger::Position;
use crate::ledger::embedded::storage::sim::{Files, SimStorage};
use crate::limits::FRAME_BYTES_MAX;
use crate::telemetry::Meters;

/// Where a body lies in the only segment.
fn place_of(files: &Files, body: &[u8]) -> Option<usize> {
    let segment = files.values().next().unwrap();
    segment.windows(body.len()).position(|it| it == body)
}

/// Four records of a process that was killed before any of them was synced.
fn unsynced(segment_bytes: u64) -> (Files, JournalConfig) {
    let config = JournalConfig {
        durability: Durability::Os,
        segment_bytes,
        ..config()
    };
    let sim = SimStorage::new();
    let (journal, mut writer) = open(&sim, config).start_stepped().unwrap();
    let long = vec![3; 1_500_000];
    for body in [&b"the first"[..], b"the second", &long, b"the last"] {
        append(&journal, body);
        writer.step().unwrap();
    }
    (sim.files(), config)
}

/// Frames of a write that was never acknowledged would else be taken for newer ones, once the frames
/// of the next run end where they begin.
#[test]
fn what_an_unfinished_write_left_is_gone_before_anything_is_appended() {
    let (mut files, config) = unsynced(4 * 1024 * 1024);
    let torn = place_of(&files, b"the second").unwrap();
    files.values_mut().next().unwrap()[torn] ^= 1;
    let sim = SimStorage::with_files(files);
    let mut recovery = open(&sim, config);
    assert_eq!(replay(&mut recovery, 0).len(), 1);
    let cut = recovery.cut().unwrap();
    assert_eq!(cut.next_sequence, 2);
    let (journal, mut writer) = recovery.start_stepped().unwrap();
    writer.step().unwrap();
    let files = sim.files();
    assert!(place_of(&files, b"the first").is_some());
    // The mark of the new epoch is there, and a blank behind it.
    let after = usize::try_from(cut.offset).unwrap() + 1_024;
    let left = files.values().next().unwrap()[after..].iter();
    assert_eq!(left.filter(|byte| **byte != 0).count(), 0);
    assert_eq!(files.values().next().unwrap().len(), 4 * 1024 * 1024);
    assert_eq!(append(&journal, b"another second"), 2);
}

#[test]
fn a_torn_or_missing_end_is_told_of_and_a_clean_one_is_not() {
    let (files, config) = unsynced(4 * 1024 * 1024);
    let cut = |change: fn(&mut [u8], usize)| {
        let mut files = files.clone();
        let at = place_of(&files, b"the last").unwrap();
        change(files.values_mut().next().unwrap(), at);
        open(&SimStorage::with_files(files), config).cut()
    };
    assert!(cut(|_, _| {}).is_none());
    assert!(cut(|bytes, at| bytes[at] ^= 1).is_some(), "its payload");
    assert!(
        cut(|bytes, at| bytes[at - 16] ^= 1).is_some(),
        "its header, and nothing behind it"
    );
}

#[test]
fn a_segment_under_another_name_is_refused() {
    let sim = SimStorage::new();
    let (journal, mut writer) = open(&sim, config()).start_stepped().unwrap();
    append(&journal, b"record");
    writer.step().unwrap();
    let bytes = sim.files().into_values().next().unwrap();
    let renamed = Files::from([("00000000000000000007.seg".to_owned(), bytes)]);
    let renamed = Arc::new(SimStorage::with_files(renamed));
    let error = Journal::open(renamed, config()).unwrap_err();
    assert!(
        matches!(error, JournalError::Damaged { offset: 0, .. }),
        "{error}"
    );
}

#[test]
fn a_new_journal_goes_on_after_the_place_it_is_given() {
    let sim = SimStorage::new();
    let mut recovery = open(&sim, config());
    recovery.begin_after(Position {
        shard: 0,
        epoch: 3,
        sequence: 41,
    });
    assert_eq!((recovery.epoch(), recovery.last()), (4, 41));
    let (journal, mut writer) = recovery.start_stepped().unwrap();
    assert_eq!(append(&journal, b"record"), 42);
    writer.step().unwrap();
    let found = replay(&mut open(&sim, config()), 41);
    assert_eq!(found[0].0.sequence, 42);
}

/// A batch that begins a segment in its middle.
#[test]
fn frames_of_one_batch_are_found_in_two_segments_and_so_is_what_follows() {
    let sim = SimStorage::new();
    let config = JournalConfig {
        segment_bytes: 5 * 1024 * 1024,
        ..config()
    };
    let (journal, mut writer) = open(&sim, config).start_stepped().unwrap();
    let long = FRAME_BYTES_MAX / 2;
    let mut lengths = Vec::new();
    for step in [&[long, long, 900, long][..], &[70_000, 9], &[80_000], &[5]] {
        for length in step {
            append(&journal, &vec![7; *length]);
            lengths.push(*length);
        }
        writer.step().unwrap();
    }
    assert_eq!(sim.files().len(), 2);
    let of =
        |found: Vec<(Position, Vec<u8>)>| found.iter().map(|of| of.1.len()).collect::<Vec<_>>();
    assert_eq!(of(replay(&mut open(&sim, config), 0)), lengths);
    for (after, left) in (0..).zip(0..lengths.len()) {
        let read = journal.read(after, 10, usize::MAX).unwrap();
        assert_eq!(of(read), lengths[left..], "after {after}");
    }
}

/// Reading by position begins where the index says, and what one read learns serves the next.
#[test]
fn every_position_is_read_in_long_segments() {
    let sim = SimStorage::new();
    let config = JournalConfig {
        segment_bytes: 300_000,
        ..config()
    };
    let (journal, mut writer) = open(&sim, config).start_stepped().unwrap();
    for number in 0..600_u32 {
        append(&journal, &number.to_le_bytes().repeat(300));
        if number % 3 == 0 {
            writer.step().unwrap();
        }
    }
    journal.close().unwrap();
    writer.step().unwrap();
    assert!(sim.files().len() > 2);
    assert!(sim.files().values().all(|bytes| bytes.len() == 300_000));
    // Opened anew nothing is known of the older segments.
    let (journal, _writer) = open(&sim, config).start_stepped().unwrap();
    for _ in 0..2 {
        for after in (0..600_u64).step_by(7) {
            let page = journal.read(after, 1, usize::MAX).unwrap();
            let number = u32::try_from(after).unwrap();
            assert_eq!(page[0].1[..4], number.to_le_bytes(), "after {after}");
        }
    }
}

/// Whatever the length of its frames, the mark of the end has room in it.
#[test]
fn no_segment_grows() {
    for length in (600..760).step_by(8) {
        let sim = SimStorage::new();
        let (journal, mut writer) = open(&sim, config()).start_stepped().unwrap();
        for _ in 0..21 {
            append(&journal, &vec![1; length]);
            writer.step().unwrap();
        }
        journal.close().unwrap();
        writer.step().unwrap();
        assert!(sim.files().values().all(|bytes| bytes.len() == 16 * 1024));
    }
}

#[test]
fn behind_the_last_frame_of_a_used_segment_is_a_blank() {
    let sim = SimStorage::new();
    let (journal, mut writer) = open(&sim, config()).start_stepped().unwrap();
    for round in 0..120_u64 {
        let last = append(&journal, &[3; 700]);
        writer.step().unwrap();
        if round % 10 == 9 {
            journal.release_before(last).unwrap();
        }
        assert!(open(&sim, config()).cut().is_none(), "round {round}");
    }
}

/// Whoever need not wait was told what may rest on records that are not durable yet.
#[test]
fn records_that_nobody_waits_for_become_durable_once_the_writer_is_nudged() {
    let sim = SimStorage::new();
    let journal = open(&sim, config()).start(Meters::new()).unwrap();
    let nudges: [fn(&Journal); 2] = [Journal::nudge, |journal| journal.shared.nudge_for_others()];
    for nudge in nudges {
        let last = append(&journal, b"record");
        let begun = monotonic();
        while journal.durable() < last {
            nudge(&journal);
            assert!(monotonic().since(begun) < Duration::from_secs(30));
            thread::yield_now();
        }
    }
}

/// Nobody would ever be answered.
#[test]
fn a_writer_that_panics_poisons_the_journal() {
    let sim = SimStorage::new();
    let (journal, _writer) = open(&sim, config()).start_stepped().unwrap();
    let last = journal.append(&records(&[b"record"]), 1);
    let guard = PoisonOnPanic(Arc::clone(&journal.shared));
    let ended = thread::spawn(move || {
        let _guard = guard;
        std::panic::panic_any(());
    });
    assert!(ended.join().is_err());
    assert_eq!(journal.admit(), Err(LedgerError::Poisoned));
    assert_eq!(journal.wait_blocking(last), Err(LedgerError::Unknown));
}
