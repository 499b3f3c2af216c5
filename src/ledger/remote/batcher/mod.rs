//! Coalesces the commands of concurrent requests into batches, without a timer: what has queued
//! while the last batches were in flight goes next. The slower the store, the larger the batch.
//!
//! Each serving thread has a lane of its own, queue and connections included, so that nothing of a
//! command crosses threads; everybody else shares one lane on a thread of its own. A lane keeps
//! [`STORE_BATCHES_IN_FLIGHT`] batches in flight, each on its own connection: where the store waits
//! for replicas, it holds up everything behind it on the same connection. Over several partitions
//! there are more, and one that a node of a cluster leaves without an answer [gives its place
//! back](limp).
//!
//! The batcher owns the commands. A caller that goes away only misses the answer.

mod ids;
mod limp;
#[cfg(test)]
mod numbers;
mod places;
mod queue;
mod worker;

use std::any::Any;
use std::cell::RefCell;
use std::fmt;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use bytes::Bytes;
use tokio::runtime::{Builder, LocalOptions};
use tokio::sync::oneshot;

pub use queue::{Place, QueueLimits, Settle, Weight};

use crate::clock::{Clock, Monotonic, monotonic};
use crate::ledger::LedgerError;
use crate::limits::{STORE_BATCHES_IN_FLIGHT, STORE_BATCHES_IN_FLIGHT_OF_MANY};
use ids::BatchIds;
use queue::{Entry, Queue};
use worker::{QueueOf, Worker};

use super::link::{Link, Target, follow};
use super::random::Random;

/// How commands become a batch, and a reply becomes answers.
pub trait Format: Send + Sync + 'static {
    /// One command, owned by the batcher until it is answered.
    type Command: Settle + Send + 'static;
    /// The reply to a batch, shared by all its commands.
    type Reply: Send + Sync + 'static;
    /// Why a batch or a reply cannot be one.
    type Malformed: fmt::Display;
    /// What is remembered of the moment before a call.
    type Before;

    /// What a command adds to a batch.
    fn weigh(&self, command: &Self::Command) -> Weight;

    /// The argument of a batch.
    fn pack(&self, commands: &[&Self::Command]) -> Result<Vec<u8>, Self::Malformed>;

    /// Reads the reply to a batch.
    fn parse(&self, bytes: Bytes, asked: Question<'_>) -> Result<Self::Reply, Self::Malformed>;

    /// Called before each call of a partition's script.
    fn before(&self, partition: u16) -> Self::Before;

    /// Takes note of a reply before anybody is told of it. False: it comes out of another history
    /// than the replies before, and nobody may be told.
    fn note(
        &self,
        asked: Question<'_>,
        before: Self::Before,
        reply: &Self::Reply,
        commands: &[&Self::Command],
    ) -> bool;

    /// Whether the store left the command at this place for the next batch.
    fn is_deferred(&self, reply: &Self::Reply, at: usize) -> bool;
}

/// What a reply must answer.
#[derive(Debug, Clone, Copy)]
pub struct Question<'a> {
    /// The partition that was asked.
    pub partition: u16,
    /// What the reply echoes.
    pub batch_id: &'a [u8; 16],
    /// Number of commands, and so of results.
    pub commands: usize,
    /// The commands, as [`Format::pack`] made them.
    pub argument: &'a [u8],
    /// When it was asked, or a little before.
    pub at: Monotonic,
}

/// What is done about a batch whose fate is unknown.
#[derive(Debug, Clone)]
pub struct Settling {
    /// How long it is asked for.
    pub limit: Duration,
    /// The first pause between two attempts; each is twice the one before.
    pub pause_min: Duration,
    /// The longest one.
    pub pause_max: Duration,
    /// How long it keeps its place in the lane, where others could use that.
    pub keeps_place: Duration,
    /// The time that the store shall believe it is; only tests have one.
    pub clock: Option<Clock>,
}

impl Default for Settling {
    fn default() -> Self {
        Self {
            limit: Duration::from_secs(10),
            pause_min: Duration::from_millis(20),
            pause_max: Duration::from_millis(500),
            keeps_place: Duration::from_millis(100),
            clock: None,
        }
    }
}

/// Bounds of a batcher.
#[derive(Debug, Clone, Default)]
pub struct BatcherConfig {
    /// Of each lane's queue.
    pub queue: QueueLimits,
    /// Of the attempts to learn what became of a batch.
    pub settling: Settling,
    /// For ids and pauses.
    pub random: Random,
}

/// On which threads a ledger does what does not belong to a caller's call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Threads {
    /// On its own.
    #[default]
    Own,
    /// On the one that opens it, which must run a single-threaded runtime for as long as it is
    /// open: a simulation decides the order of everything.
    Callers,
}

/// What all lanes have in common.
struct Parts<F> {
    format: Arc<F>,
    target: Arc<Target>,
    config: BatcherConfig,
    ids: Arc<BatchIds>,
}

impl<F: Format> Parts<F> {
    fn new_queue(&self) -> Arc<QueueOf<F>> {
        let target = Arc::clone(&self.target);
        let node_of = move |partition| target.node_of(partition);
        let partitions = self.target.partitions();
        Arc::new(Queue::new(self.config.queue, partitions, Box::new(node_of)))
    }
}

/// Tells the batchers of a process apart in the thread-local lists.
static NEXT_BATCHER: AtomicU64 = AtomicU64::new(0);

/// A lane of this thread. The queue's type is that of its batcher, which `owner` names.
struct LocalLane {
    owner: u64,
    queue: Arc<dyn Any + Send + Sync>,
}

thread_local! {
    static LOCAL: RefCell<Vec<LocalLane>> = const { RefCell::new(Vec::new()) };
}

/// Sends commands to the store in batches.
pub struct Batcher<F: Format> {
    owner: u64,
    parts: Arc<Parts<F>>,
    shared: Arc<QueueOf<F>>,
    /// LOCK: taken once, by whoever closes the batcher.
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl<F: Format> fmt::Debug for Batcher<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Batcher")
            .field("owner", &self.owner)
            .finish_non_exhaustive()
    }
}

impl<F: Format> Batcher<F> {
    /// Starts the shared lane. Nothing is connected before the first command.
    pub fn start(
        format: F,
        target: Arc<Target>,
        config: BatcherConfig,
        threads: Threads,
    ) -> io::Result<Self> {
        let ids = Arc::new(BatchIds::new(config.random.clone()));
        let parts = Arc::new(Parts {
            format: Arc::new(format),
            target,
            config,
            ids,
        });
        let shared = parts.new_queue();
        let lane = Lane {
            parts: Arc::clone(&parts),
            queue: Arc::clone(&shared),
        };
        let thread = match threads {
            Threads::Own => {
                let thread = std::thread::Builder::new().name("store".to_owned());
                Some(thread.spawn(move || lane.run_here())?)
            }
            Threads::Callers => {
                tokio::task::spawn_local(async move { lane.serve().await });
                None
            }
        };
        Ok(Self {
            owner: NEXT_BATCHER.fetch_add(1, Ordering::Relaxed),
            parts,
            shared,
            thread: Mutex::new(thread),
        })
    }

    /// Puts a command into the next batch. It is sent whether or not the answer is awaited.
    pub fn submit(
        &self,
        command: F::Command,
    ) -> impl Future<Output = Result<Place<F::Reply>, LedgerError>> + Send + use<F> {
        let (waiter, answer) = oneshot::channel();
        let weight = self.parts.format.weigh(&command);
        let entry = Entry {
            command,
            weight,
            waiter,
            since: monotonic(),
            sent: None,
            is_in_doubt: false,
        };
        self.with_queue(|queue| queue.push(entry));
        async move {
            // The lane is gone with the command, perhaps in the middle of a call.
            answer.await.unwrap_or(Err(LedgerError::Unknown))
        }
    }

    /// Calls with this thread's queue, or with the shared one if this thread has none.
    fn with_queue(&self, push: impl FnOnce(&QueueOf<F>)) {
        let local = LOCAL.try_with(|local| {
            let local = local.borrow();
            let lane = local.iter().find(|lane| lane.owner == self.owner)?;
            Arc::clone(&lane.queue).downcast::<QueueOf<F>>().ok()
        });
        match local {
            Ok(Some(queue)) => push(&queue),
            _ => push(&self.shared),
        }
    }

    /// Gives this thread a lane of its own. Call it on the thread's single-threaded runtime, which
    /// then also runs the lane; the lane ends with the runtime.
    pub fn install_lane(&self) {
        let lane = Lane {
            parts: Arc::clone(&self.parts),
            queue: self.parts.new_queue(),
        };
        let guard = LaneGuard::<F>::install(self.owner, Arc::clone(&lane.queue));
        tokio::task::spawn_local(async move {
            let _guard = guard;
            lane.run().await;
        });
    }

    /// Sends what is queued in the shared lane, then stops it.
    pub fn close(&self) {
        self.shared.close();
        let thread = self
            .thread
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(thread) = thread
            && thread.join().is_err()
        {
            tracing::error!("the thread of the store's shared lane panicked");
        }
    }
}

impl<F: Format> Drop for Batcher<F> {
    fn drop(&mut self) {
        self.close();
    }
}

/// A queue and those who empty it.
struct Lane<F: Format> {
    parts: Arc<Parts<F>>,
    queue: Arc<QueueOf<F>>,
}

impl<F: Format> Lane<F> {
    /// Runs on a thread that does nothing else.
    fn run_here(self) {
        let runtime = Builder::new_current_thread()
            .enable_all()
            .max_blocking_threads(2)
            .build_local(LocalOptions::default());
        match runtime {
            Ok(runtime) => runtime.block_on(self.serve()),
            Err(error) => {
                tracing::error!(%error, "the shared lane of the store has no runtime");
                self.queue.abandon();
            }
        }
    }

    /// Works, and listens to the Sentinels meanwhile.
    async fn serve(&self) {
        tokio::select! {
            biased;
            () = self.run() => {}
            () = follow(&self.parts.target) => {}
        }
    }

    /// Works until the queue is closed and empty.
    async fn run(&self) {
        let places = match self.parts.target.partitions() {
            1 => STORE_BATCHES_IN_FLIGHT,
            _ => STORE_BATCHES_IN_FLIGHT_OF_MANY,
        };
        places::fill(places, &self.queue, || self.new_worker()).await;
        self.queue.abandon();
    }

    fn new_worker(&self) -> Worker<F, Link> {
        Worker {
            queue: Arc::clone(&self.queue),
            format: Arc::clone(&self.parts.format),
            caller: Link::new(Arc::clone(&self.parts.target)),
            ids: Arc::clone(&self.parts.ids),
            settling: self.parts.config.settling.clone(),
            is_unusable: false,
        }
    }
}

/// This thread's lane; leaves the thread when dropped.
struct LaneGuard<F: Format> {
    owner: u64,
    queue: Arc<QueueOf<F>>,
}

impl<F: Format> LaneGuard<F> {
    fn install(owner: u64, queue: Arc<QueueOf<F>>) -> Self {
        let lane = LocalLane {
            owner,
            queue: Arc::<QueueOf<F>>::clone(&queue),
        };
        LOCAL.with_borrow_mut(|local| local.push(lane));
        Self { owner, queue }
    }
}

impl<F: Format> Drop for LaneGuard<F> {
    fn drop(&mut self) {
        // From here on this thread's commands go to the shared lane.
        let _ended = LOCAL.try_with(|local| {
            local.borrow_mut().retain(|lane| lane.owner != self.owner);
        });
        self.queue.abandon();
    }
}
