//! The worker against a store that does what a list says.

use std::collections::VecDeque;
use std::time::Duration;

use super::*;
use crate::ledger::remote::batcher::QueueLimits;
use crate::ledger::remote::batcher::numbers::{ELSEWHERE, Numbers, PARTITIONS, UNPACKABLE, submit};
use crate::ledger::remote::link::Why;

/// What the store does with a call.
#[derive(Debug, Clone, Copy)]
enum Does {
    /// Answers everything.
    Answers,
    /// Answers everything but the first command, which it leaves for later.
    Defers,
    /// Answers everything; too few copies.
    AnswersTooEarly,
    /// Answers something else.
    Babbles,
    /// Answers out of another history.
    Strays,
    /// Does nothing and says so.
    Refuses,
    /// Does nothing, because of what it has lost.
    HasLost,
    /// Does nothing until somebody has looked after it.
    IsUnusable,
    /// Does nothing for want of memory.
    IsFull,
    /// Is not heard of again.
    GoesSilent,
}

use Does::{
    Answers, AnswersTooEarly, Babbles, Defers, GoesSilent, HasLost, IsFull, IsUnusable, Refuses,
    Strays,
};

/// A store that goes through its list, and answers once it is at the end.
#[derive(Default)]
struct Scripted {
    list: VecDeque<Does>,
    calls: Vec<(Script, Vec<u8>)>,
    distrusted: u32,
}

impl Caller for &mut Scripted {
    async fn call(&mut self, call: Call<'_>) -> Result<Reply, CallError> {
        self.calls.push((call.script, call.argument.to_vec()));
        let why = Why(String::new());
        let mut answers = call.argument.to_vec();
        let does = self.list.pop_front().unwrap_or(Answers);
        match does {
            Refuses => return Err(CallError::NothingHappened(why)),
            HasLost => return Err(CallError::Quarantined(why)),
            IsUnusable => return Err(CallError::Unusable(why)),
            IsFull => return Err(CallError::OutOfMemory(why)),
            GoesSilent => return Err(CallError::Unknown(why)),
            Babbles => answers.clear(),
            Strays => answers.fill(ELSEWHERE),
            Defers => answers[0] = 0,
            Answers | AnswersTooEarly => {}
        }
        Ok(Reply {
            bytes: [call.batch_id.as_slice(), &answers].concat().into(),
            durable: !matches!(does, AnswersTooEarly),
        })
    }

    fn distrust(&mut self) {
        self.distrusted += 1;
    }
}

struct Outcome {
    /// What the callers were told: their own number, or an error.
    told: Vec<Result<u8, LedgerError>>,
    calls: Vec<(Script, Vec<u8>)>,
    distrusted: u32,
}

/// Sends the commands to a store that does what the list says.
fn run(commands: &[u8], list: &[Does], limit: Duration) -> Outcome {
    let limits = QueueLimits::default();
    let queue = Arc::new(Queue::new(limits, PARTITIONS, Box::new(|_| None)));
    let submit = |command: &u8| submit(&queue, *command);
    let waiters: Vec<_> = commands.iter().map(submit).collect();
    queue.close();
    let mut store = Scripted {
        list: list.iter().copied().collect(),
        ..Scripted::default()
    };
    let worker = Worker {
        queue,
        format: Arc::new(Numbers),
        caller: &mut store,
        ids: Arc::new(BatchIds::default()),
        settling: Settling {
            limit,
            pause_min: Duration::from_micros(1),
            pause_max: Duration::from_micros(1),
            keeps_place: Duration::ZERO,
            clock: None,
        },
        is_unusable: false,
    };
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_time().build().unwrap();
    assert!(runtime.block_on(worker.run()).is_none(), "it has its place");
    let told = waiters.into_iter().map(|mut waiter| {
        let (reply, at) = waiter.try_recv().unwrap()?;
        Ok(reply[at])
    });
    Outcome {
        told: told.collect(),
        calls: store.calls,
        distrusted: store.distrusted,
    }
}

const LONG: Duration = Duration::from_hours(1);

#[test]
fn each_caller_gets_the_shared_reply_and_its_place_in_it() {
    let outcome = run(&[1, 2, 3], &[Answers], LONG);
    assert_eq!(outcome.told, [Ok(1), Ok(2), Ok(3)]);
    assert_eq!(outcome.calls, [(Script::Batch, vec![1, 2, 3])]);
}

#[test]
fn a_batch_that_needs_no_memory_goes_to_the_script_that_takes_none() {
    let outcome = run(&[2, 4], &[Answers], LONG);
    assert_eq!(outcome.calls, [(Script::Relief, vec![2, 4])]);
}

#[test]
fn when_nothing_happened_that_is_told_at_once() {
    for does in [Refuses, IsUnusable] {
        let outcome = run(&[1, 2], &[does], LONG);
        assert_eq!(outcome.told, [Err(LedgerError::Unavailable); 2]);
        assert_eq!(outcome.calls.len(), 1, "nobody asks twice");
    }
    let outcome = run(&[1, 2], &[HasLost], LONG);
    assert_eq!(outcome.told, [Err(LedgerError::Quarantined); 2]);
}

#[test]
fn what_cannot_be_packed_is_not_sent() {
    let outcome = run(&[UNPACKABLE], &[Answers], LONG);
    assert_eq!(outcome.told, [Err(LedgerError::Unavailable)]);
    assert!(outcome.calls.is_empty());
}

#[test]
fn a_batch_in_doubt_is_sent_again_until_it_is_answered() {
    for does in [GoesSilent, AnswersTooEarly, Babbles, Strays] {
        let outcome = run(&[1, 2], &[does, does, Refuses, Answers], LONG);
        assert_eq!(outcome.told, [Ok(1), Ok(2)], "{does:?}");
        let same = (Script::Batch, vec![1, 2]);
        assert_eq!(outcome.calls, vec![same; 4]);
        let babbled = if matches!(does, Babbles | Strays) {
            2
        } else {
            0
        };
        assert_eq!(outcome.distrusted, babbled, "of an odd reply's connection");
    }
}

#[test]
fn once_in_doubt_a_later_refusal_does_not_make_it_nothing() {
    for later in [Refuses, HasLost, IsUnusable, GoesSilent] {
        let outcome = run(&[1], &[GoesSilent, later, later], Duration::ZERO);
        assert_eq!(outcome.told, [Err(LedgerError::Unknown)]);
    }
    let full = run(&[1, 2], &[GoesSilent, IsFull, Answers], LONG);
    assert_eq!(full.told, [Err(LedgerError::Unknown), Ok(2)]);
}

#[test]
fn a_store_without_memory_still_takes_what_gives_back() {
    let outcome = run(&[1, 2, 3, 4], &[IsFull, Answers], LONG);
    let nothing = Err(LedgerError::Unavailable);
    assert_eq!(outcome.told, [nothing, Ok(2), nothing, Ok(4)]);
    assert_eq!(outcome.calls[1], (Script::Relief, vec![2, 4]));
    let relief_too = run(&[2], &[IsFull], LONG);
    assert_eq!(relief_too.told, [nothing]);
}

#[test]
fn what_the_store_leaves_for_later_goes_into_the_next_batch() {
    let outcome = run(&[1, 2], &[Defers, Defers, Answers], LONG);
    assert_eq!(outcome.told, [Ok(1), Ok(2)]);
    let batches: Vec<Vec<u8>> = outcome.calls.into_iter().map(|call| call.1).collect();
    assert_eq!(batches, [vec![1, 2], vec![1], vec![1]]);
}

#[test]
fn what_is_left_for_later_for_too_long_is_overload_or_in_doubt() {
    let outcome = run(&[1, 2], &[Defers], Duration::ZERO);
    assert_eq!(outcome.told, [Err(LedgerError::Overloaded), Ok(2)]);
    // Sent, lost, sent again and left for later: the lost one may be done yet.
    let outcome = run(
        &[1],
        &[GoesSilent, Defers, GoesSilent],
        Duration::from_millis(1),
    );
    assert_eq!(outcome.told.len(), 1);
    assert_ne!(outcome.told, [Err(LedgerError::Overloaded)]);
}
