//! The journal as its callers see it.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use super::*;
use crate::ledger::Position;
use crate::ledger::embedded::storage::DiskStorage;
use crate::ledger::embedded::storage::sim::{Fault, SimStorage, Site};
use crate::limits::FRAME_BYTES_MAX;
use crate::telemetry::Meters;

pub(super) fn config() -> JournalConfig {
    JournalConfig {
        segment_bytes: 16 * 1024,
        retain_bytes: 0,
        ..JournalConfig::default()
    }
}

pub(super) fn open(sim: &SimStorage, config: JournalConfig) -> JournalRecovery {
    Journal::open(Arc::new(sim.clone()), config).unwrap()
}

pub(super) fn records(bodies: &[&[u8]]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for body in bodies {
        bytes.extend_from_slice(&u32::try_from(body.len()).unwrap().to_le_bytes());
        bytes.extend_from_slice(body);
    }
    bytes
}

pub(super) fn append(journal: &Journal, body: &[u8]) -> u64 {
    journal.append(&records(&[body]), 1)
}

pub(super) fn replay(recovery: &mut JournalRecovery, from: u64) -> Vec<(Position, Vec<u8>)> {
    let mut found = Vec::new();
    let replayed = recovery.replay(from, |position, bytes| {
        found.push((position, bytes.to_vec()));
        Ok::<(), Infallible>(())
    });
    let (replayed, bodies) = (replayed.unwrap(), found.iter().map(|of| of.1.len()));
    assert_eq!(usize::try_from(replayed.records), Ok(found.len()));
    assert!(usize::try_from(replayed.bytes).unwrap() >= bodies.sum());
    found
}

#[test]
fn what_was_appended_is_read_back_with_its_epoch() {
    let sim = SimStorage::new();
    for epoch in 1..=3_u32 {
        let mut recovery = open(&sim, config());
        assert_eq!(recovery.epoch(), epoch);
        assert_eq!(recovery.last(), u64::from(epoch - 1) * 2);
        let found = replay(&mut recovery, 0);
        assert_eq!(found.len(), usize::try_from(epoch - 1).unwrap() * 2);
        let (journal, mut writer) = recovery.start_stepped().unwrap();
        assert_eq!(writer.step().unwrap(), Step::Idle);
        let last = journal.append(&records(&[b"one", b""]), 2);
        assert_eq!(last, u64::from(epoch) * 2);
        assert_eq!(journal.durable(), last - 2);
        assert_eq!(writer.step().unwrap(), Step::Committed { last });
        assert_eq!(journal.durable(), last);
        let page = journal.read(last - 2, 10, 1_000).unwrap();
        let sequence = last - 1;
        assert_eq!(
            page[0],
            (
                Position {
                    shard: 0,
                    epoch,
                    sequence
                },
                b"one".to_vec()
            )
        );
        assert_eq!(page[1].1, b"");
        journal.close().unwrap();
        assert_eq!(writer.step().unwrap(), Step::Closed);
    }
}

#[test]
fn all_of_one_step_is_one_write_and_one_sync() {
    let sim = SimStorage::new();
    let (journal, mut writer) = open(&sim, config()).start_stepped().unwrap();
    let before = (sim.count(Site::Write), sim.count(Site::Sync));
    for _ in 0..50 {
        append(&journal, b"record");
    }
    writer.step().unwrap();
    let after = (sim.count(Site::Write), sim.count(Site::Sync));
    assert_eq!(after, (before.0 + 1, before.1 + 1));
}

#[test]
fn the_level_os_syncs_only_at_rotation_on_demand_and_at_the_end() {
    let sim = SimStorage::new();
    let config = JournalConfig {
        durability: Durability::Os,
        ..config()
    };
    let (journal, mut writer) = open(&sim, config).start_stepped().unwrap();
    let before = sim.count(Site::Sync);
    let last = append(&journal, b"record");
    writer.step().unwrap();
    assert_eq!(journal.wait_blocking(last), Ok(()));
    assert_eq!(sim.count(Site::Sync), before);
    thread::scope(|scope| {
        let waits = scope.spawn(|| journal.sync_blocking());
        while !waits.is_finished() {
            writer.step().unwrap();
            thread::yield_now();
        }
        assert_eq!(waits.join().unwrap(), Ok(()));
    });
    assert_eq!(sim.count(Site::Sync), before + 1);
    append(&journal, b"record");
    journal.close().unwrap();
    writer.step().unwrap();
    assert_eq!(
        sim.count(Site::Sync),
        before + 3,
        "the records, then the marker"
    );
}

#[test]
fn a_full_queue_is_refused_and_a_record_longer_than_a_segment_is_not() {
    let sim = SimStorage::new();
    let config = JournalConfig {
        queue_bytes_max: 10_000,
        ..config()
    };
    let (journal, mut writer) = open(&sim, config).start_stepped().unwrap();
    assert_eq!(journal.admit(), Ok(()));
    append(&journal, b"before");
    append(&journal, &vec![7; 40_000]);
    append(&journal, &vec![8; FRAME_BYTES_MAX]);
    assert_eq!(journal.admit(), Err(LedgerError::Overloaded));
    writer.step().unwrap();
    assert_eq!(journal.admit(), Ok(()));
    append(&journal, b"after");
    writer.step().unwrap();
    let lengths: Vec<usize> = journal
        .read(0, 10, usize::MAX)
        .unwrap()
        .iter()
        .map(|record| record.1.len())
        .collect();
    assert_eq!(lengths, [6, 40_000, FRAME_BYTES_MAX, 5]);
    assert_eq!(replay(&mut open(&sim, config), 2).len(), 2);
}

#[test]
fn released_segments_are_used_again_and_readers_are_told() {
    let sim = SimStorage::new();
    let (journal, mut writer) = open(&sim, config()).start_stepped().unwrap();
    for round in 0..200_u64 {
        let last = append(&journal, &[3; 500]);
        writer.step().unwrap();
        if round % 10 == 9 {
            journal.release_before(last).unwrap();
        }
    }
    // Active, spare or waiting to be one.
    assert!(sim.files().len() <= 3, "{:?}", sim.files().keys());
    assert!(sim.count(Site::Create) <= 3, "{}", sim.count(Site::Create));
    let error = journal.read(0, 10, 1_000).unwrap_err();
    let JournalError::Gone { oldest } = error else {
        panic!("{error}")
    };
    assert_eq!(
        journal.read(oldest - 1, 1, 1).unwrap()[0].0.sequence,
        oldest
    );
    // One released segment may still wait under its name.
    assert!(open(&sim, config()).oldest() <= oldest);
}

#[test]
fn the_feed_reads_in_pages_over_segments_and_only_what_is_durable() {
    let sim = SimStorage::new();
    let (journal, mut writer) = open(&sim, config()).start_stepped().unwrap();
    for _ in 0..300 {
        append(&journal, &[1; 200]);
        writer.step().unwrap();
    }
    append(&journal, b"not yet");
    let (mut after, mut pages) = (0, 0);
    loop {
        let page = journal.read(after, 7, 1_000).unwrap();
        let Some(last) = page.last() else { break };
        assert!(page.len() <= 5, "1,000 bytes are reached with the fifth");
        assert_eq!(page[0].0.sequence, after + 1);
        after = last.0.sequence;
        pages += 1;
    }
    assert_eq!((after, pages), (300, 60));
    let least = journal.read(7, 10, 0).unwrap();
    assert_eq!(least.len(), 1, "whoever asks gets on");
}

#[test]
fn nothing_appended_after_the_end_is_ever_acknowledged() {
    let sim = SimStorage::new();
    let (journal, mut writer) = open(&sim, config()).start_stepped().unwrap();
    let safe = append(&journal, b"safe");
    journal.close().unwrap();
    let late = append(&journal, b"late");
    assert_eq!(writer.step().unwrap(), Step::Closed);
    assert_eq!(journal.wait_blocking(safe), Ok(()));
    assert_eq!(journal.wait_blocking(late), Err(LedgerError::Unavailable));
    assert_eq!(journal.admit(), Err(LedgerError::Unavailable));
    assert_eq!(journal.durable(), safe);
}

#[test]
fn a_refused_start_changes_nothing() {
    let sim = SimStorage::new();
    let (journal, mut writer) = open(&sim, config()).start_stepped().unwrap();
    for _ in 0..100 {
        append(&journal, &[1; 400]);
        writer.step().unwrap();
    }
    let mut files = sim.files();
    let first = files.values_mut().next().unwrap();
    first[6_000] ^= 1;
    let damaged = SimStorage::with_files(files.clone());
    let replayed = open(&damaged, config()).replay(0, |_, _| Ok::<(), Infallible>(()));
    let Err(ReplayError::Journal(JournalError::Damaged { offset, .. })) = replayed else {
        panic!("{replayed:?}")
    };
    assert!(offset > 4_096 && offset <= 6_000);
    assert_eq!(damaged.files(), files);
    assert_eq!(damaged.moment(), 0);
}

#[test]
fn threads_on_a_real_disk_lose_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let config = JournalConfig {
        segment_bytes: 64 * 1024,
        retain_bytes: u64::MAX,
        ..config()
    };
    let open = || {
        let storage = Arc::new(DiskStorage::open(folder.path()).unwrap());
        Journal::open(storage, config).unwrap()
    };
    let journal = open().start(Meters::new()).unwrap();
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for round in 0..200_u64 {
                    let last = journal.append(&records(&[&round.to_le_bytes(), &[9; 70]]), 2);
                    assert_eq!(journal.wait_blocking(last), Ok(()));
                    assert!(journal.durable() >= last);
                }
            });
        }
    });
    assert_eq!(journal.last(), 1_600);
    journal.close().unwrap();
    drop(journal);
    let mut recovery = open();
    assert_eq!(recovery.cut(), None);
    assert_eq!(replay(&mut recovery, 0).len(), 1_600);
}

async fn many_waiters(journal: &Arc<Journal>, woken: &Arc<AtomicU64>) {
    journal.install_lane();
    let mut tasks = Vec::new();
    for _ in 0..500 {
        let (journal, woken) = (Arc::clone(journal), Arc::clone(woken));
        tasks.push(tokio::task::spawn_local(async move {
            let sequence = append(&journal, b"lane");
            journal.wait(sequence).await.unwrap();
            assert!(journal.durable() >= sequence);
            woken.fetch_add(1, Ordering::SeqCst);
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
}

#[test]
fn lanes_wake_every_waiter_on_their_own_thread() {
    let sim = SimStorage::new();
    let config = JournalConfig {
        segment_bytes: 1 << 20,
        ..config()
    };
    let journal = Arc::new(open(&sim, config).start(Meters::new()).unwrap());
    let woken = Arc::new(AtomicU64::new(0));
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let runtime = tokio::runtime::Builder::new_current_thread()
                    .build()
                    .unwrap();
                tokio::task::LocalSet::new().block_on(&runtime, many_waiters(&journal, &woken));
            });
        }
    });
    assert_eq!(woken.load(Ordering::SeqCst), 1_000);
}

#[test]
fn a_lane_learns_of_a_failure() {
    let sim = SimStorage::new();
    let journal = open(&sim, config()).start(Meters::new()).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let kind = io::ErrorKind::Other;
    sim.fail(Fault {
        site: Site::Sync,
        after: 0,
        kind,
        stays: true,
    });
    let outcome = tokio::task::LocalSet::new().block_on(&runtime, async {
        journal.install_lane();
        let mut outcome = Ok(());
        // The thread that prepares segments may meet the fault before the writer does.
        for _ in 0..2 {
            let sequence = append(&journal, b"lost");
            outcome = outcome.and(journal.wait(sequence).await);
        }
        outcome
    });
    assert_eq!(outcome, Err(LedgerError::Unknown));
    assert!(journal.is_poisoned());
}

#[test]
fn a_journal_poisoned_from_outside_leaves_a_folder_that_opens() {
    let sim = SimStorage::new();
    let (journal, mut writer) = open(&sim, config()).start_stepped().unwrap();
    let safe = append(&journal, b"safe");
    writer.step().unwrap();
    let lost = append(&journal, b"lost");
    journal.poison("state and journal differ");
    assert_eq!(writer.step().unwrap(), Step::Closed);
    assert_eq!(journal.wait_blocking(safe), Ok(()));
    assert_eq!(journal.wait_blocking(lost), Err(LedgerError::Unknown));
    assert_eq!(journal.sync_blocking(), Err(LedgerError::Unknown));
    journal.close().unwrap_err();
    assert_eq!(writer.step().unwrap(), Step::Closed);
    let mut recovery = open(&sim, config());
    let found = replay(&mut recovery, 0);
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].1, b"safe");

    let journal = recovery.start(Meters::new()).unwrap();
    let safe = append(&journal, b"safe too");
    journal.wait_blocking(safe).unwrap();
    append(&journal, b"lost");
    journal.poison("state and journal differ");
    journal.close().unwrap_err();
    // The thread may have begun with the last record before the end.
    let found = replay(&mut open(&sim, config()), 0);
    assert!((2..=3).contains(&found.len()), "{found:?}");
    assert_eq!(found[1].1, b"safe too");
}

#[test]
fn a_snapshot_that_waits_for_a_sync_fails_with_the_journal() {
    let sim = SimStorage::new();
    let (journal, mut writer) = open(&sim, config()).start_stepped().unwrap();
    append(&journal, b"record");
    thread::scope(|scope| {
        let waits = scope.spawn(|| journal.sync_blocking());
        while !journal.shared.lock_queue().sync_wanted {
            thread::yield_now();
        }
        journal.poison("state and journal differ");
        assert_eq!(writer.step().unwrap(), Step::Closed);
        assert_eq!(waits.join().unwrap(), Err(LedgerError::Unknown));
    });
}
