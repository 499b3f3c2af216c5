//! Opening a remote ledger: is it there, is it safe, which hashes and names does it have.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt::Write as _;
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::RemoteLedger;
use super::batcher::{Batcher, BatcherConfig};
use super::feed::{Caller, MetaError, Rare, read_meta};
use super::format::WireFormat;
use super::history::History;
use super::link::{Address, Level, Moves, Patience, Target, Why};
use super::loss::{self, Losses};
use super::naming::Naming;
use super::partitions::Partitions;
use super::preflight::{self, Expected, Report};
use super::script::{BATCH, BadMeta, INIT, Identity, Keys, Meta, RELIEF};
use super::stand::Stand;
use super::upkeep::Rounds;
use crate::blocking::wait_for;
use crate::clock::Clock;
use crate::domain::hash::Hasher;
use crate::ledger::LedgerError;
use crate::ledger::embedded::Retention;
use crate::telemetry::{Meters, Script};

/// The partition of a store that is not a cluster.
const ONLY_PARTITION: u16 = 0;

/// What a remote ledger needs to open.
#[derive(Debug, Clone)]
pub struct RemoteConfig {
    /// Where the store is.
    pub address: Address,
    /// First part of every key; one store can hold several ledgers.
    pub namespace: String,
    /// What an acknowledgement waits for.
    pub level: Level,
    /// Time limits of connections.
    pub patience: Patience,
    /// Bounds of queues and of settling.
    pub batcher: BatcherConfig,
    /// How long keys are remembered.
    pub retention: Retention,
    /// Names of unsafe settings that the operator takes responsibility for.
    pub accept: Vec<String>,
    /// Make the ledger where there is none.
    pub init: bool,
    /// What the connections are called in the server's list of clients.
    pub name: String,
    /// How often the store is looked at again.
    pub look_every: Duration,
    /// Where time comes from.
    pub clock: Clock,
    /// Where figures go.
    pub meters: Meters,
}

/// Why a remote ledger does not open.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The machine gives no more threads.
    #[error("cannot start the threads of the store: {0}")]
    Threads(#[from] io::Error),
    /// Nobody answers.
    #[error("the store at {place} does not answer: {why}")]
    Unreachable {
        /// Where, without any password.
        place: String,
        /// Why.
        why: String,
    },
    /// There is no ledger.
    #[error("the store at {0} holds no ledger of this namespace")]
    Missing(String),
    /// The ledger is not one that this program can use.
    #[error("the ledger in the store cannot be used: {0}")]
    Unusable(String),
    /// The store would not keep what the level promises.
    #[error("the store is not safe for what is promised:{0}")]
    Unsafe(String),
}

fn target(config: &RemoteConfig, keys: &[Keys]) -> Target {
    let source = |script: &Script| {
        Cow::Borrowed(match script {
            Script::Batch => BATCH,
            Script::Relief => RELIEF,
        })
    };
    Target {
        address: config.address.clone(),
        name: config.name.clone(),
        scripts: Script::ALL.iter().map(source).collect(),
        keys: keys.iter().map(in_bytes).collect(),
        level: config.level,
        patience: config.patience,
        meters: config.meters.clone(),
        moves: Moves::default(),
        histories: keys.iter().map(|_| History::default()).collect(),
    }
}

fn in_bytes(keys: &Keys) -> Vec<Vec<u8>> {
    let keys = keys.all().iter();
    keys.map(|key| key.clone().into_bytes()).collect()
}

fn refusals(report: &Report) -> String {
    let mut text = String::new();
    for finding in report.refused() {
        let _infallible = write!(text, "\n  {finding}");
    }
    text
}

/// Reads what the partition is; makes it where that is wanted and there is none.
async fn identify(caller: &Caller, keys: &Keys, init: bool) -> Result<Meta, MetaError> {
    match read_meta(caller, keys.meta()).await {
        Err(MetaError::Bad(BadMeta::Missing)) if init => make(caller, keys).await,
        found => found,
    }
}

async fn make(caller: &Caller, keys: &Keys) -> Result<Meta, MetaError> {
    // The standard library's hasher keys are random; no more than that is needed.
    let random = || RandomState::new().hash_one(0_u8);
    let identity = Identity {
        ledger: (u128::from(random()) << 64) | u128::from(random()),
        partitions: 1,
        seed: random(),
    };
    let mut call = redis::cmd("EVAL");
    let names = keys.of_init();
    call.arg(INIT).arg(names.len());
    names.iter().for_each(|key| {
        call.arg(*key);
    });
    identity.arguments().iter().for_each(|argument| {
        call.arg(argument);
    });
    let fields: HashMap<String, String> = caller.ask(&call).await?;
    tracing::info!("made a new ledger in the store");
    Ok(Meta::parse(&fields)?)
}

impl RemoteLedger {
    /// Opens the ledger in a store. Blocks.
    pub fn open(config: RemoteConfig) -> Result<Self, OpenError> {
        let keys = vec![Keys::new(&config.namespace, ONLY_PARTITION)];
        let target = Arc::new(target(&config, &keys));
        let rare = Rare::start(Arc::clone(&target))?;
        let meta = wait_for(identified(&rare, &config))?;
        let stand = Arc::new(Stand::new(expected(&config), Arc::clone(&target)));
        wait_for(inspected(&rare, &target, &stand))?;
        watch(&rare, &target, &stand, config.look_every);
        for (partition, keys) in (0..).zip(&keys) {
            let losses = Losses {
                caller: rare.caller(),
                target: Arc::clone(&target),
                partition,
                keys: keys.clone(),
                identity: meta.identity,
            };
            rare.begin(losses.watch());
        }
        let format = WireFormat {
            meters: config.meters,
            target: Arc::clone(&target),
        };
        let ledger = Self {
            batcher: Batcher::start(format, target, config.batcher)?,
            rare,
            partitions: Partitions::new(keys, Hasher::new(meta.identity.seed)),
            naming: Naming::new(),
            stand,
            clock: config.clock,
            retention: config.retention,
            upkeep: Mutex::new(Rounds::default()),
        };
        wait_for(ledger.read_names()).map_err(|error| OpenError::Unreachable {
            place: config.address.to_string(),
            why: error.to_string(),
        })?;
        Ok(ledger)
    }
}

/// Looks at a store as a server with this configuration would.
pub fn inspect(config: &RemoteConfig) -> Result<Report, OpenError> {
    let keys = Keys::new(&config.namespace, ONLY_PARTITION);
    let target = Arc::new(target(config, &[keys]));
    let rare = Rare::start(Arc::clone(&target))?;
    let looked = rare.run(async move { preflight::look(&target).await });
    let unreachable = |why: String| OpenError::Unreachable {
        place: config.address.to_string(),
        why,
    };
    let facts = wait_for(looked).map_err(|error| unreachable(error.to_string()))?;
    let facts = facts.map_err(|why| unreachable(why.to_string()))?;
    Ok(preflight::judge(&facts, &expected(config)))
}

fn expected(config: &RemoteConfig) -> Expected {
    Expected {
        level: config.level,
        accepted: config.accept.clone(),
    }
}

/// Accepts that what is missing under this name stays missing; the epoch in which the ledger goes
/// on, or nothing where the store is not stopped for this loss. Blocks.
pub fn accept_loss(config: &RemoteConfig, name: &str) -> Result<Option<u32>, OpenError> {
    let partition = name.split_once('.').and_then(|(text, _)| text.parse().ok());
    let Some(partition) = partition else {
        return Ok(None);
    };
    let keys = Keys::new(&config.namespace, partition);
    let rare = Rare::start(Arc::new(target(config, std::slice::from_ref(&keys))))?;
    let (caller, name) = (rare.caller(), name.to_owned());
    let accepted = rare.run(async move { loss::accept(&caller, keys.meta(), &name).await });
    let unreachable = |why: String| OpenError::Unreachable {
        place: config.address.to_string(),
        why,
    };
    wait_for(accepted)
        .map_err(|error| unreachable(error.to_string()))?
        .map_err(|error| unreachable(error.to_string()))
}

async fn identified(rare: &Rare, config: &RemoteConfig) -> Result<Meta, OpenError> {
    let unreachable = |why: String| OpenError::Unreachable {
        place: config.address.to_string(),
        why,
    };
    let (caller, init) = (rare.caller(), config.init);
    let keys = Keys::new(&config.namespace, ONLY_PARTITION);
    let found = rare.run(async move { identify(&caller, &keys, init).await });
    let meta = match found.await {
        Ok(Ok(meta)) => meta,
        Ok(Err(MetaError::Store(error))) => return Err(unreachable(error.to_string())),
        Ok(Err(MetaError::Bad(BadMeta::Missing))) => {
            return Err(OpenError::Missing(config.address.to_string()));
        }
        Ok(Err(MetaError::Bad(bad))) => return Err(OpenError::Unusable(bad.to_string())),
        Err(error) => return Err(unreachable(error.to_string())),
    };
    match meta.identity.partitions {
        1 => Ok(meta),
        n => Err(OpenError::Unusable(format!("it has {n} partitions"))),
    }
}

async fn inspected(rare: &Rare, target: &Arc<Target>, stand: &Stand) -> Result<(), OpenError> {
    let looked = Arc::clone(target);
    let looked = rare
        .run(async move { preflight::look(&looked).await })
        .await;
    let facts = looked.unwrap_or_else(|error: LedgerError| Err(Why(error.to_string())));
    match stand.look(facts) {
        Some(report) if !report.is_safe() => Err(OpenError::Unsafe(refusals(&report))),
        Some(_) => Ok(()),
        None => Err(OpenError::Unreachable {
            place: target.address.to_string(),
            why: "it does not tell what it is".to_owned(),
        }),
    }
}

/// Looks at the store again and again for as long as the ledger is open.
fn watch(rare: &Rare, target: &Arc<Target>, stand: &Arc<Stand>, every: Duration) {
    let (target, stand) = (Arc::clone(target), Arc::clone(stand));
    rare.begin(async move {
        preflight::watch(&target, every, |looked| {
            stand.look(looked).is_some_and(|report| report.is_safe())
        })
        .await;
    });
}
