//! A batcher in front of a real server, and what the tests ask of both.

use std::borrow::Cow;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use holdfast::ledger::remote::batcher::{Batcher, BatcherConfig, QueueLimits, Settling, Threads};
use holdfast::ledger::remote::history::History;
use holdfast::ledger::remote::link::{Cluster, Level, Moves, Patience, Target};
use holdfast::ledger::{Durability, LedgerError};
use holdfast::telemetry::{Meters, Script};
use tokio::runtime::{Builder, Runtime};

use crate::counting::{COUNT, Count, Counting, Id, relief};
use crate::support::store::Store;

const META: &str = "{0}:meta";
const NUMBERS: &str = "{0}:numbers";
const EFFECTS: &str = "{0}:effects";

/// Everything that a test may want different.
#[derive(Debug, Clone)]
pub(crate) struct Setup {
    pub(crate) address: String,
    pub(crate) script: String,
    pub(crate) durability: Durability,
    pub(crate) replicas: u16,
    /// How long the store waits for copies.
    pub(crate) wait: Duration,
    /// How long a reply may take beyond that.
    pub(crate) reply: Duration,
    /// How long the fate of a batch is asked for.
    pub(crate) limit: Duration,
    pub(crate) queue: QueueLimits,
}

impl Setup {
    /// For a server at this port: memory only, patient.
    pub(crate) fn at(port: u16) -> Self {
        Self {
            address: format!("redis://127.0.0.1:{port}"),
            script: COUNT.to_owned(),
            durability: Durability::Memory,
            replicas: 0,
            wait: Duration::from_millis(50),
            reply: Duration::from_secs(2),
            limit: Duration::from_secs(20),
            queue: QueueLimits {
                age: Duration::from_secs(20),
                ..QueueLimits::default()
            },
        }
    }

    /// What every link of it shares.
    pub(crate) fn target(&self, meters: Meters) -> Arc<Target> {
        Arc::new(Target {
            address: self.address.parse().unwrap(),
            name: "holdfast-test".to_owned(),
            scripts: vec![
                Cow::Owned(self.script.clone()),
                Cow::Owned(relief(&self.script)),
            ],
            keys: vec![[META, NUMBERS, EFFECTS].map(Vec::from).to_vec()],
            level: Level {
                durability: self.durability,
                replicas: self.replicas,
                wait: self.wait,
            },
            patience: Patience {
                connect: Duration::from_secs(1),
                reply: self.reply,
            },
            meters,
            moves: Moves::default(),
            histories: vec![History::new(1)],
            cluster: Cluster::default(),
        })
    }

    pub(crate) fn open(&self) -> Shop {
        let config = BatcherConfig {
            queue: self.queue,
            settling: Settling {
                limit: self.limit,
                pause_min: Duration::from_millis(1),
                pause_max: Duration::from_millis(20),
                ..Settling::default()
            },
            ..BatcherConfig::default()
        };
        let meters = Meters::new();
        let target = self.target(meters.clone());
        Shop {
            batcher: Arc::new(Batcher::start(Counting, target, config, Threads::Own).unwrap()),
            meters,
            runtime: Builder::new_current_thread().enable_all().build().unwrap(),
        }
    }
}

/// A batcher, and a runtime to wait on.
pub(crate) struct Shop {
    pub(crate) batcher: Arc<Batcher<Counting>>,
    pub(crate) meters: Meters,
    runtime: Runtime,
}

impl Shop {
    /// Counts an id and returns its number.
    pub(crate) fn count(&self, id: u64) -> Result<Id, LedgerError> {
        self.call(id, Script::Batch)
    }

    /// The same with the script for a store without memory.
    pub(crate) fn call(&self, id: u64, script: Script) -> Result<Id, LedgerError> {
        self.wait(count(&self.batcher, id, script))
    }

    /// Counts many ids at once; what fails is asked for again.
    pub(crate) fn count_many(&self, ids: RangeInclusive<u64>) {
        let answers: Vec<_> = ids
            .clone()
            .map(|id| count(&self.batcher, id, Script::Batch))
            .collect();
        for (id, answer) in ids.zip(answers) {
            if self.wait(answer).is_err() {
                settled(|| self.count(id));
            }
        }
    }

    pub(crate) fn wait<T>(&self, future: impl Future<Output = T>) -> T {
        self.runtime.block_on(future)
    }
}

/// Counts an id through a batcher.
pub(crate) fn count(
    batcher: &Batcher<Counting>,
    id: u64,
    script: Script,
) -> impl Future<Output = Result<Id, LedgerError>> + Send + use<> {
    let id = id_of(id);
    let answer = batcher.submit(Count { id, script });
    async move {
        let (reply, at) = answer.await?;
        Ok(reply[at])
    }
}

fn id_of(number: u64) -> Id {
    u128::from(number).to_be_bytes()
}

/// Makes the server hold a ledger.
pub(crate) fn initialise(store: &Store) {
    store.tell(&["HSET", META, "ledger", "x"]);
}

/// Ids that were counted, and how often they were counted together.
pub(crate) fn effects(store: &Store) -> (u64, u64) {
    let ids = store.ask(&["HLEN", NUMBERS]).unwrap();
    let effects: Option<u64> = store.ask(&["HGET", META, "effects"]).unwrap();
    (ids, effects.unwrap_or(0))
}

/// Connections of batchers to a server.
pub(crate) fn connections(store: &Store) -> usize {
    let clients: String = store.ask(&["CLIENT", "LIST"]).unwrap();
    let ours = |line: &&str| line.contains("name=holdfast-test");
    clients.lines().filter(ours).count()
}

/// The largest number of times that one id was counted.
pub(crate) fn most_effects(store: &Store) -> u64 {
    let all: Vec<u64> = store.ask(&["HVALS", EFFECTS]).unwrap();
    all.into_iter().max().unwrap_or(0)
}

/// Asks again until the answer is known.
pub(crate) fn settled<T>(ask: impl Fn() -> Result<T, LedgerError>) -> T {
    let started = holdfast::clock::monotonic();
    loop {
        match ask() {
            Ok(answer) => return answer,
            Err(error) => assert!(started.elapsed() < Duration::from_secs(20), "{error}"),
        }
    }
}
