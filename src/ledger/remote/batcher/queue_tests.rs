//! The queue by itself.

use super::*;
use crate::limits::{STORE_BATCHES_IN_FLIGHT_OF_MANY, STORE_BATCHES_LIMPING_MAX};
use crate::sync::explored::{Body, awaited, explore, schedules};

impl Settle for u32 {}

type Waiter = oneshot::Receiver<Result<Place<()>, LedgerError>>;

fn entry(number: u32, lines: usize, bytes: usize) -> (Entry<u32, ()>, Waiter) {
    entry_of(0, number, lines, bytes)
}

fn entry_of(partition: u16, number: u32, lines: usize, bytes: usize) -> (Entry<u32, ()>, Waiter) {
    let (waiter, receiver) = oneshot::channel();
    let script = Script::Batch;
    let entry = Entry {
        command: number,
        weight: Weight {
            lines,
            bytes,
            script,
            partition,
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
    Queue::new(limits, 1, Box::new(|_| None))
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
fn of_those_that_wait_too_long_only_what_was_sent_before_stays() {
    let queue = queue(9, usize::MAX, Duration::ZERO);
    let (late, mut waiter) = entry(1, 1, 1);
    let since = late.since;
    let (mut deferred, _) = entry(2, 1, 1);
    deferred.sent = Some(monotonic());
    queue.push(late);
    queue.put_back(vec![deferred]);
    while since.elapsed().is_zero() {}
    queue.drop_stale();
    assert!(matches!(
        waiter.try_recv(),
        Ok(Err(LedgerError::Overloaded))
    ));
    assert_eq!(numbers(&queue.take()), [2]);
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

/// A queue over nodes of a cluster: each partition is at a node of its own.
fn queue_of_nodes(commands: usize, partitions: u16) -> Queue<u32, ()> {
    let limits = QueueLimits {
        commands,
        age: LONG,
        ..QueueLimits::default()
    };
    let node_of = |partition| Some(Endpoint::Tcp(String::new(), partition));
    Queue::new(limits, usize::from(partitions), Box::new(node_of))
}

/// As many as bring it into trouble.
fn limp_at(queue: &Queue<u32, ()>, partition: u16) -> Endpoint {
    let limp = |_| queue.limp(partition).unwrap();
    (0..STORE_BATCHES_IN_FLIGHT_OF_MANY)
        .map(limp)
        .last()
        .unwrap()
}

#[test]
fn nothing_is_taken_for_a_node_in_trouble_until_a_batch_there_limps_no_more() {
    let queue = queue_of_nodes(99, 2);
    let push = |partition, number| queue.push(entry_of(partition, number, 1, 1).0);
    let node = limp_at(&queue, 0);
    push(0, 1);
    push(1, 2);
    push(0, 3);
    assert_eq!(numbers(&queue.take()), [2]);
    assert!(queue.take().is_empty());
    queue.close();
    assert!(!queue.is_drained(), "they wait");
    queue.limps_no_more(&node);
    assert_eq!(numbers(&queue.take()), [1, 3]);
    assert!(queue.is_drained());
}

#[test]
fn what_waits_for_a_node_in_trouble_leaves_half_of_the_room_to_the_others() {
    let queue = queue_of_nodes(6, 2);
    let push = |partition| {
        let (entry, mut waiter) = entry_of(partition, 0, 1, 1);
        queue.push(entry);
        waiter.try_recv().map_or(Ok(()), |told| told.map(drop))
    };
    limp_at(&queue, 0);
    let full = Err(LedgerError::Overloaded);
    assert_eq!([0, 0, 0, 0].map(push), [Ok(()), Ok(()), Ok(()), full]);
    assert_eq!([1, 1, 1, 1].map(push), [Ok(()), Ok(()), Ok(()), full]);
}

#[test]
fn only_so_many_batches_limp_at_all_nodes_and_none_at_a_single_server() {
    let most = u16::try_from(STORE_BATCHES_LIMPING_MAX).unwrap();
    let queue_of_many = queue_of_nodes(9, most + 1);
    let nodes: Vec<_> = (0..=most).map(|node| queue_of_many.limp(node)).collect();
    assert_eq!(nodes.iter().flatten().count(), usize::from(most));
    assert_eq!(nodes.last(), Some(&None), "it keeps its place");
    queue_of_many.limps_no_more(nodes[0].as_ref().unwrap());
    assert!(queue_of_many.limp(0).is_some());
    assert_eq!(queue(9, 9, LONG).limp(0), None);
}

/// Everybody who pushes is answered once, whoever takes it, whether it is put back meanwhile, and
/// whenever the queue is closed; all workers end.
#[test]
fn every_command_is_answered_in_every_schedule() {
    explore(schedules(4_000), || {
        let queue = Arc::new(queue(1_000, usize::MAX, LONG));
        let has_put_back = Arc::new(AtomicBool::new(false));
        let (pushing, closing) = (Arc::clone(&queue), Arc::clone(&queue));
        let push = move || {
            let mut is_closed = false;
            for number in 0..3 {
                let (entry, waiter) = entry(number, 1, 1);
                pushing.push(entry);
                let told = awaited(waiter).unwrap().map(drop);
                is_closed |= told.is_err();
                let expected = if is_closed {
                    Err(LedgerError::Unavailable)
                } else {
                    Ok(())
                };
                assert_eq!(told, expected);
            }
        };
        let work = move || {
            loop {
                let batch = awaited(queue.next_batch());
                if batch.is_empty() {
                    return queue.pass_on();
                }
                if has_put_back.swap(true, Ordering::SeqCst) {
                    { batch.into_iter() }.for_each(|entry| entry.answer((Arc::new(()), 0)));
                } else {
                    queue.put_back(batch);
                }
                queue.settled();
            }
        };
        let close = move || closing.close();
        let bodies: [Body; 4] = [
            Box::new(push),
            Box::new(work.clone()),
            Box::new(work),
            Box::new(close),
        ];
        bodies.into()
    });
}

#[test]
fn no_schedule_forgets_anybody_in_a_queue_that_is_given_up() {
    explore(schedules(2_000), || {
        let queue = Arc::new(queue(1, usize::MAX, LONG));
        let ours = Arc::clone(&queue);
        let push = move || {
            let (entry, waiter) = entry(0, 1, 1);
            ours.push(entry);
            let told = awaited(waiter).unwrap();
            let why = told.err().unwrap();
            assert!(matches!(
                why,
                LedgerError::Unavailable | LedgerError::Overloaded
            ));
        };
        let give_up = move || queue.abandon();
        vec![Box::new(push.clone()), Box::new(push), Box::new(give_up)]
    });
}
