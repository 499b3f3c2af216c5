//! A lane over two nodes of a cluster, one of which falls silent.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::runtime::{Builder, LocalOptions};
use tokio::sync::watch;

use super::*;
use crate::ledger::LedgerError;
use crate::ledger::remote::batcher::ids::BatchIds;
use crate::ledger::remote::batcher::numbers::{Numbers, PARTITIONS, Waiter, submit};
use crate::ledger::remote::batcher::queue::Queue;
use crate::ledger::remote::batcher::{QueueLimits, Settling};
use crate::ledger::remote::link::{Call, CallError, Endpoint, Reply, Why};
use crate::limits::STORE_BATCHES_IN_FLIGHT_OF_MANY as PLACES;

/// A command for each node.
const AT_FIRST: u8 = 1;
const AT_SECOND: u8 = 65;

/// What the first node does with a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Does {
    Answers,
    IsSilent,
    /// Ends the call without an answer.
    HangsUp,
}

/// Both nodes.
struct Nodes {
    first: watch::Sender<Does>,
    /// The second one serves all partitions.
    has_failed_over: AtomicBool,
}

/// The calls of one lane.
#[derive(Default)]
struct Calls {
    unanswered: Cell<usize>,
    most_unanswered: Cell<usize>,
}

#[derive(Clone)]
struct Store {
    nodes: Arc<Nodes>,
    calls: Rc<Calls>,
}

impl Nodes {
    fn serves(&self, partition: u16) -> u16 {
        match partition {
            0 if !self.has_failed_over.load(Ordering::Relaxed) => 1,
            _ => 2,
        }
    }
}

impl Caller for Store {
    async fn call(&mut self, call: Call<'_>) -> Result<Reply, CallError> {
        if self.nodes.serves(call.partition) == 1 {
            let Calls {
                unanswered,
                most_unanswered,
            } = &*self.calls;
            unanswered.update(|calls| calls + 1);
            most_unanswered.update(|most| most.max(unanswered.get()));
            let mut first = self.nodes.first.subscribe();
            let does = first.wait_for(|does| *does != Does::IsSilent).await;
            unanswered.update(|calls| calls - 1);
            if *does.unwrap() == Does::HangsUp {
                return Err(CallError::Unknown(Why(String::new())));
            }
        }
        Ok(Reply {
            bytes: [call.batch_id.as_slice(), call.argument].concat().into(),
            durable: true,
        })
    }

    fn distrust(&mut self) {}
}

/// A lane with a silent node.
struct Lane {
    queue: Arc<QueueOf<Numbers>>,
    store: Store,
}

impl Lane {
    fn new(limits: QueueLimits) -> Self {
        let nodes = Arc::new(Nodes {
            first: watch::Sender::new(Does::IsSilent),
            has_failed_over: AtomicBool::new(false),
        });
        let known = Arc::clone(&nodes);
        let node_of = move |partition| Some(Endpoint::Tcp(String::new(), known.serves(partition)));
        Self {
            queue: Arc::new(Queue::new(limits, PARTITIONS, Box::new(node_of))),
            store: Store {
                nodes,
                calls: Rc::default(),
            },
        }
    }

    /// Works until the queue is closed and empty; what is in doubt for so long is given up.
    async fn works(&self, limit: Duration) {
        let ids = Arc::new(BatchIds::default());
        let new_worker = || Worker {
            queue: Arc::clone(&self.queue),
            format: Arc::new(Numbers),
            caller: self.store.clone(),
            ids: Arc::clone(&ids),
            settling: Settling {
                limit,
                pause_min: Duration::from_millis(1),
                pause_max: Duration::from_millis(1),
                keeps_place: Duration::from_millis(1),
                clock: None,
            },
            is_unusable: false,
        };
        fill(PLACES, &self.queue, new_worker).await;
    }

    /// Asks the silent node until it is in trouble.
    async fn is_in_trouble(&self) -> Vec<Waiter> {
        let mut waiters = Vec::new();
        while self.queue.limping() < PLACES {
            if self.store.calls.unanswered.get() < PLACES {
                waiters.push(submit(&self.queue, AT_FIRST));
            }
            tokio::task::yield_now().await;
        }
        waiters
    }

    fn first_node(&self, does: Does) {
        self.store.nodes.first.send_replace(does);
    }
}

fn patient() -> QueueLimits {
    QueueLimits {
        age: LONG,
        ..QueueLimits::default()
    }
}

/// Longer than anything here takes.
const LONG: Duration = Duration::from_hours(1);

/// Both on one thread, until both have ended.
fn beside(works: impl Future<Output = ()>, test: impl Future<Output = ()>) {
    let mut runtime = Builder::new_current_thread();
    let runtime = runtime
        .enable_time()
        .build_local(LocalOptions::default())
        .unwrap();
    let both = async { tokio::join!(works, test) };
    let both = async { tokio::time::timeout(Duration::from_secs(30), both).await };
    runtime.block_on(both).expect("somebody waits for ever");
}

async fn told(waiter: Waiter) -> Result<u8, LedgerError> {
    let (reply, at) = waiter.await.unwrap()?;
    Ok(reply[at])
}

#[test]
fn a_silent_node_keeps_no_place_from_the_other() {
    let lane = Lane::new(patient());
    beside(lane.works(LONG), async {
        let mut held_up = Vec::new();
        for _ in 0..100 {
            held_up.push(submit(&lane.queue, AT_FIRST));
            assert_eq!(told(submit(&lane.queue, AT_SECOND)).await, Ok(AT_SECOND));
        }
        held_up.extend(lane.is_in_trouble().await);
        assert_eq!(told(submit(&lane.queue, AT_SECOND)).await, Ok(AT_SECOND));
        let most = lane.store.calls.most_unanswered.get();
        assert!(most < 2 * PLACES, "{most} calls at once wait for it");
        lane.queue.close();
        lane.first_node(Does::Answers);
        for waiter in held_up {
            assert_eq!(told(waiter).await, Ok(AT_FIRST));
        }
    });
    assert_eq!(lane.queue.limping(), 0);
}

#[test]
fn what_waits_too_long_for_a_silent_node_is_overload() {
    let lane = Lane::new(QueueLimits {
        age: Duration::from_millis(4),
        ..QueueLimits::default()
    });
    beside(lane.works(LONG), async {
        let sent = lane.is_in_trouble().await;
        let late = submit(&lane.queue, AT_FIRST);
        assert_eq!(told(late).await, Err(LedgerError::Overloaded));
        lane.queue.close();
        lane.first_node(Does::Answers);
        for waiter in sent {
            let told = told(waiter).await;
            assert!([Ok(AT_FIRST), Err(LedgerError::Overloaded)].contains(&told));
        }
    });
}

#[test]
fn a_node_whose_batches_are_given_up_is_tried_again() {
    let lane = Lane::new(patient());
    beside(lane.works(Duration::ZERO), async {
        let mut held_up = lane.is_in_trouble().await;
        let waits = held_up.pop().unwrap();
        lane.first_node(Does::HangsUp);
        assert_eq!(told(waits).await, Err(LedgerError::Unknown));
        for waiter in held_up {
            assert_eq!(told(waiter).await, Err(LedgerError::Unknown));
        }
        lane.first_node(Does::Answers);
        assert_eq!(told(submit(&lane.queue, AT_FIRST)).await, Ok(AT_FIRST));
        lane.queue.close();
    });
}

#[test]
fn a_partition_that_another_node_has_taken_over_waits_no_longer() {
    let lane = Lane::new(patient());
    beside(lane.works(LONG), async {
        let held_up = lane.is_in_trouble().await;
        let waits = submit(&lane.queue, AT_FIRST);
        let has_failed_over = &lane.store.nodes.has_failed_over;
        has_failed_over.store(true, Ordering::Relaxed);
        // By now nobody sends anything: those that limp have it looked at again.
        assert_eq!(told(waits).await, Ok(AT_FIRST));
        lane.queue.close();
        lane.first_node(Does::HangsUp);
        for waiter in held_up {
            assert_eq!(told(waiter).await, Ok(AT_FIRST), "by the other one");
        }
    });
}

#[test]
fn a_lane_that_is_dropped_leaves_nobody_waiting() {
    let lane = Lane::new(patient());
    let dropped = async {
        tokio::select! {
            () = lane.works(LONG) => panic!("the queue is open"),
            held_up = lane.is_in_trouble() => held_up,
        }
    };
    beside(std::future::ready(()), async {
        let held_up = dropped.await;
        lane.queue.abandon();
        for waiter in held_up {
            // Without a word where it was sent: then nobody knows.
            let told = waiter.await;
            assert!(matches!(told, Err(_) | Ok(Err(LedgerError::Unavailable))));
        }
    });
    assert_eq!(lane.queue.limping(), 0);
}
