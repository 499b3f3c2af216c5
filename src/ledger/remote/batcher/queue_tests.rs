//! The queue by itself.

use super::*;

impl Settle for u32 {}

type Waiter = oneshot::Receiver<Result<Place<()>, LedgerError>>;

fn entry(number: u32, lines: usize, bytes: usize) -> (Entry<u32, ()>, Waiter) {
    let (waiter, receiver) = oneshot::channel();
    let script = Script::Batch;
    let entry = Entry {
        command: number,
        weight: Weight {
            lines,
            bytes,
            script,
            partition: 0,
        },
        waiter,
        since: monotonic(),
        sent: None,
        is_in_doubt: false,
    };
    (entry, receiver)
}

fn queue(commands: usize, bytes: usize, age: Duration) -> Queue<u32, ()> {
    let limits = QueueLimits {
        commands,
        bytes,
        age,
    };
    Queue::new(limits, 1)
}

const LONG: Duration = Duration::from_hours(1);

fn numbers(batch: &[Entry<u32, ()>]) -> Vec<u32> {
    batch.iter().map(|entry| entry.command).collect()
}

#[test]
fn a_batch_ends_at_the_first_limit_that_it_meets() {
    for (lines, bytes, per_batch) in [
        (1, 10, STORE_BATCH_COMMANDS_MAX),
        (STORE_BATCH_LINES_MAX / 4, 1, 4),
        (1, STORE_BATCH_BYTES_MAX / 3, 3),
        (STORE_BATCH_LINES_MAX * 2, 1, 1),
        (1, STORE_BATCH_BYTES_MAX * 2, 1),
    ] {
        let queue = queue(1_000, usize::MAX, LONG);
        queue.push(entry(0, 1, 1).0);
        assert_eq!(queue.take().len(), 1, "it is in flight from now on");
        (0..300).for_each(|n| queue.push(entry(n, lines, bytes).0));
        let first = numbers(&queue.take());
        assert_eq!(first.len(), per_batch);
        let second = numbers(&queue.take());
        assert_eq!(second.first().copied(), u32::try_from(per_batch).ok());
    }
}

#[test]
fn half_stays_for_the_next_batch_while_nothing_is_in_flight() {
    let queue = queue(1_000, usize::MAX, LONG);
    let push = |count| (0..count).for_each(|n| queue.push(entry(n, 1, 1).0));
    push(65);
    assert_eq!(queue.take().len(), 33);
    assert_eq!(queue.take().len(), 32, "the rest, beside the first");
    queue.settled();
    push(33);
    assert_eq!(
        queue.take().len(),
        33,
        "all that came back, beside the other"
    );
    queue.settled();
    queue.settled();
    push(47);
    assert_eq!(queue.take().len(), 47, "too few for two");
    queue.settled();
    push(300);
    let first = queue.take().len();
    assert_eq!(first, STORE_BATCH_COMMANDS_MAX, "there are two anyway");
}

#[test]
fn a_full_queue_answers_overloaded_and_has_room_again_after_a_batch() {
    for queue in [queue(2, usize::MAX, LONG), queue(99, 20, LONG)] {
        queue.push(entry(1, 1, 10).0);
        queue.push(entry(2, 1, 10).0);
        let (third, mut waiter) = entry(3, 1, 10);
        queue.push(third);
        assert!(matches!(
            waiter.try_recv(),
            Ok(Err(LedgerError::Overloaded))
        ));
        assert_eq!(numbers(&queue.take()), [1, 2]);
        let (fourth, mut waiter) = entry(4, 1, 10);
        queue.push(fourth);
        assert!(waiter.try_recv().is_err(), "it waits");
        assert_eq!(numbers(&queue.take()), [4]);
    }
}

#[test]
fn what_has_waited_too_long_is_not_sent_unless_it_was_sent_before() {
    let queue = queue(9, usize::MAX, Duration::ZERO);
    let (late, mut waiter) = entry(1, 1, 1);
    let since = late.since;
    let (mut deferred, _) = entry(2, 1, 1);
    deferred.sent = Some(monotonic());
    queue.push(late);
    queue.push(deferred);
    while since.elapsed().is_zero() {}
    assert_eq!(numbers(&queue.take()), [2]);
    assert!(matches!(
        waiter.try_recv(),
        Ok(Err(LedgerError::Overloaded))
    ));
}

#[test]
fn what_is_put_back_comes_first_and_in_order() {
    let queue = queue(2, usize::MAX, LONG);
    queue.push(entry(3, 1, 1).0);
    queue.push(entry(4, 1, 1).0);
    queue.put_back(vec![entry(1, 1, 1).0, entry(2, 1, 1).0]);
    assert_eq!(numbers(&queue.take()), [1, 2, 3, 4]);
}

#[test]
fn nobody_is_left_waiting_when_a_queue_is_abandoned() {
    let queue = queue(9, usize::MAX, LONG);
    let (fresh, mut fresh_waiter) = entry(1, 1, 1);
    let (mut doubtful, mut doubtful_waiter) = entry(2, 1, 1);
    doubtful.is_in_doubt = true;
    queue.push(fresh);
    queue.push(doubtful);
    queue.abandon();
    let (late, mut late_waiter) = entry(3, 1, 1);
    queue.push(late);
    let told = [&mut fresh_waiter, &mut doubtful_waiter, &mut late_waiter]
        .map(|waiter| waiter.try_recv().unwrap().unwrap_err());
    let nothing = LedgerError::Unavailable;
    assert_eq!(told, [nothing, LedgerError::Unknown, nothing]);
}
