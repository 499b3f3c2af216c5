//! Group commit under schedules: callers, lanes and the writer, one step at a time, in every order
//! that a seed chooses. Somebody who sleeps for ever is a failure of the exploration itself.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::Poll;

use super::*;
use crate::ledger::embedded::storage::sim::SimStorage;
use crate::sync::explored::{Body, awaited, explore, schedules};

/// A journal that ends with the last who has it, and its writer's thread.
fn journal() -> (Arc<Journal>, Body) {
    let config = JournalConfig {
        segment_bytes: 16 * 1024,
        ..JournalConfig::default()
    };
    let recovery = Journal::open(Arc::new(SimStorage::new()), config).unwrap();
    let (journal, mut writer) = recovery.start_stepped().unwrap();
    let write = move || {
        loop {
            writer.wait_for_work();
            if matches!(writer.step(), Ok(Step::Closed) | Err(_)) {
                return;
            }
        }
    };
    (Arc::new(journal), Box::new(write))
}

fn append(journal: &Journal) -> u64 {
    journal.append(&[0; 4], 1)
}

/// Waits without a lane.
fn wait(journal: &Journal, sequence: u64) -> Result<(), LedgerError> {
    let outcome = awaited(journal.wait(sequence));
    assert!(
        outcome.is_err() || journal.durable() >= sequence,
        "told too early"
    );
    outcome
}

/// Waits on a lane whose pump runs meanwhile.
async fn wait_in_lane(journal: &Journal, mut pump: Pin<&mut impl Future<Output = ()>>, last: u64) {
    let mut waits = [last - 1, last].map(|sequence| journal.wait(sequence));
    let mut left = waits.len();
    poll_fn(|context| {
        assert!(pump.as_mut().poll(context).is_pending());
        while left > 0 && Pin::new(&mut waits[left - 1]).poll(context) == Poll::Ready(Ok(())) {
            left -= 1;
        }
        if left == 0 {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    })
    .await;
    assert!(journal.durable() >= last, "told too early");
}

#[test]
fn everybody_who_waits_is_told_when_it_is_durable() {
    explore(schedules(6_000), || {
        let (journal, write) = journal();
        let call = move || {
            for _ in 0..2 {
                assert_eq!(wait(&journal, append(&journal)), Ok(()));
            }
        };
        vec![Box::new(call.clone()), Box::new(call), write]
    });
}

#[test]
fn a_lane_is_told_beside_those_who_have_none() {
    explore(schedules(4_000), || {
        let (journal, write) = journal();
        let other = Arc::clone(&journal);
        let in_lane = move || {
            let mut pump = pin!(journal.lane());
            for _ in 0..2 {
                append(&journal);
                let last = append(&journal);
                awaited(wait_in_lane(&journal, pump.as_mut(), last));
            }
        };
        let beside = move || assert_eq!(wait(&other, append(&other)), Ok(()));
        vec![Box::new(in_lane), Box::new(beside), write]
    });
}

#[test]
fn who_waits_in_a_lane_that_is_given_up_is_told_all_the_same() {
    explore(schedules(3_000), || {
        let (journal, write) = journal();
        let other = Arc::clone(&journal);
        let leave = move || {
            let lane = journal.lane();
            let mut wait = pin!(journal.wait(append(&journal)));
            let mut lane = Some(lane);
            awaited(poll_fn(|context| {
                let outcome = wait.as_mut().poll(context);
                lane.take();
                outcome
            }))
            .unwrap();
        };
        let beside = move || assert_eq!(wait(&other, append(&other)), Ok(()));
        vec![Box::new(leave), Box::new(beside), write]
    });
}

#[test]
fn nobody_sleeps_on_when_the_journal_fails() {
    explore(schedules(4_000), || {
        let (journal, write) = journal();
        let (one, other) = (Arc::clone(&journal), Arc::clone(&journal));
        let call = move || {
            let first = wait(&one, append(&one));
            let second = wait(&one, append(&one));
            assert!(first.is_ok() || second.is_err(), "{first:?}, {second:?}");
        };
        let sync = move || {
            let last = append(&other);
            let synced = other.sync_blocking();
            assert!(synced.is_err() || other.durable() >= last, "told too early");
        };
        let fail = move || journal.poison("a test");
        vec![Box::new(call), Box::new(sync), Box::new(fail), write]
    });
}

#[test]
fn a_sync_ends_when_the_journal_does() {
    explore(schedules(3_000), || {
        let (journal, write) = journal();
        let other = Arc::clone(&journal);
        let sync = move || {
            let last = append(&other);
            let synced = other.sync_blocking();
            assert!(synced.is_err() || other.durable() >= last, "told too early");
        };
        let close = move || {
            append(&journal);
            journal.close().unwrap();
        };
        vec![Box::new(sync), Box::new(close), write]
    });
}
