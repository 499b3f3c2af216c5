//! Opening a remote ledger: is it there, is it safe, which hashes and names does it have.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt::Write as _;
use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::batcher::{Batcher, BatcherConfig, Threads};
use super::feed::{Caller, MetaError, Rare, no_older, read_meta};
use super::format::WireFormat;
use super::history::History;
use super::lease::Leases;
use super::link::{Address, Cluster, Level, Moves, Patience, Place, Target, Why};
use super::loss::{self, Losses};
use super::mirror::{Mirror, MirrorConfig};
use super::naming::Naming;
use super::partitions::Partitions;
use super::policy::Known;
use super::preflight::{self, Expected, Facts, Report};
use super::script::{BadMeta, INIT, Identity, Keys, Meta, sent};
use super::several::Leftovers;
use super::stand::Stand;
use super::upkeep::Rounds;
use super::{Mirrored, RemoteLedger};
use crate::blocking::wait_for;
use crate::clock::Clock;
use crate::domain::UnixMillis;
use crate::domain::hash::Hasher;
use crate::ledger::LedgerError;
use crate::ledger::embedded::Retention;
use crate::sabotage::{self, Fault};
use crate::telemetry::{Meters, Script};

/// The partition that says what the ledger is.
pub(super) const FIRST: u16 = 0;

/// Partitions of a new ledger in a cluster, where nobody has chosen: enough to spread over a dozen
/// nodes, few enough that a batch of one of them is worth its call.
const IN_CLUSTER: u16 = 64;

/// Names of the threads that a ledger has beside those of its batcher.
const RARE_THREAD: &str = "store-rare";
const MIRROR_THREAD: &str = "store-mirror";

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
    /// Events that stay in the stream for readers.
    pub retain_events: u64,
    /// Names of unsafe settings that the operator takes responsibility for.
    pub accept: Vec<String>,
    /// Make the ledger where there is none.
    pub init: bool,
    /// Partitions of a new ledger, and of one that is there; `None`: as the address suggests, or as
    /// many as there are.
    pub partitions: Option<u16>,
    /// What the connections are called in the server's list of clients.
    pub name: String,
    /// How old what the mirror says may be; zero: there is no mirror.
    pub mirror: Duration,
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
    /// An import is on its way, or was broken off.
    #[error("an import of a whole ledger into the store at {0} was not finished")]
    Importing(String),
    /// There is a ledger where one was to be made.
    #[error("the store at {0} holds a ledger of this namespace already")]
    Taken(String),
    /// The ledger is not one that this program can use.
    #[error("the ledger in the store cannot be used: {0}")]
    Unusable(String),
    /// The store would not keep what the level promises.
    #[error("the store is not safe for what is promised:{0}")]
    Unsafe(String),
}

fn batcher_of(config: &RemoteConfig) -> BatcherConfig {
    let mut batcher = config.batcher.clone();
    if sabotage::is_on(Fault::InstanceClock) {
        batcher.settling.clock = Some(config.clock.clone());
    }
    batcher
}

fn target(config: &RemoteConfig, keys: &[Keys]) -> Target {
    let source = |script: &Script| Cow::Borrowed(sent(*script, keys.len()));
    Target {
        address: config.address.clone(),
        name: config.name.clone(),
        scripts: Script::ALL.iter().map(source).collect(),
        keys: keys.iter().map(in_bytes).collect(),
        level: config.level,
        patience: config.patience,
        meters: config.meters.clone(),
        moves: Moves::default(),
        histories: keys.iter().map(|_| History::new(keys.len())).collect(),
        cluster: Cluster::default(),
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

/// Reads what a partition is; makes it where that is wanted and there is none.
async fn identify(
    caller: &Caller,
    (namespace, partition): (&str, u16),
    made: Option<Identity>,
) -> Result<Meta, MetaError> {
    let keys = Keys::new(namespace, partition);
    let found = read_meta(caller, keys.meta()).await;
    let Err(MetaError::Bad(BadMeta::Missing)) = found else {
        return found;
    };
    no_older(caller, namespace, partition).await?;
    match made {
        Some(identity) => make(caller, &keys, partition, &identity).await,
        None => found,
    }
}

async fn make(
    caller: &Caller,
    keys: &Keys,
    partition: u16,
    identity: &Identity,
) -> Result<Meta, MetaError> {
    let mut call = redis::cmd("EVAL");
    let names = keys.of_init();
    call.arg(INIT).arg(names.len());
    names.iter().for_each(|key| {
        call.arg(*key);
    });
    identity.arguments(partition).iter().for_each(|argument| {
        call.arg(argument);
    });
    let fields: HashMap<String, String> = caller.ask(&call).await?;
    Ok(Meta::parse(&fields)?)
}

/// What a new ledger shall be.
fn new_identity(config: &RemoteConfig) -> Identity {
    Identity {
        ledger: config.batcher.random.whole(),
        partitions: partitions_of_new(config),
        seed: config.batcher.random.half(),
    }
}

/// As many as were chosen, or as the address suggests.
pub(super) fn partitions_of_new(config: &RemoteConfig) -> u16 {
    let usual = match config.address.place {
        Place::Cluster(_) => IN_CLUSTER,
        Place::Server(_) | Place::Sentinel { .. } => 1,
    };
    config.partitions.unwrap_or(usual)
}

impl RemoteLedger {
    /// Opens the ledger in a store, with its work on these threads.
    pub async fn open(config: RemoteConfig, threads: Threads) -> Result<Self, OpenError> {
        let Meta {
            identity, moved, ..
        } = learn(&config, threads).await?;
        let keys: Vec<Keys> = (0..identity.partitions)
            .map(|partition| Keys::new(&config.namespace, partition))
            .collect();
        let target = Arc::new(target(&config, &keys));
        let rare = Rare::start(Arc::clone(&target), RARE_THREAD, threads)?;
        complete(&rare, &config, identity).await?;
        let stand = Arc::new(Stand::new(expected(&config), Arc::clone(&target)));
        inspected(&rare, &target, &stand, |facts| facts).await?;
        watch(&rare, &target, &stand, config.look_every);
        for (partition, keys) in (0..).zip(&keys) {
            let losses = Losses {
                caller: rare.caller(partition),
                target: Arc::clone(&target),
                partition,
                keys: keys.clone(),
                identity,
            };
            rare.begin(losses.watch());
        }
        let hasher = Hasher::new(identity.seed);
        let policy = Known::new(keys.len());
        let mirror = mirrored(&config, &target, &keys, hasher, threads)?;
        let format = WireFormat {
            meters: config.meters.clone(),
            target: Arc::clone(&target),
            mirror: mirror.as_ref().map(|on| Arc::clone(&on.mirror)),
        };
        let random = config.batcher.random.clone();
        let ledger = Self {
            batcher: Batcher::start(format, target, batcher_of(&config), threads)?,
            rare,
            mirror,
            partitions: Partitions::new(keys, hasher),
            moved_until: moved.map(|at| UnixMillis(at.saturating_add(config.retention.keys_ms))),
            naming: Naming::new(),
            policy,
            stand,
            clock: config.clock,
            retention: config.retention,
            retain_events: config.retain_events,
            leases: Leases {
                holder: format!("{:016x}", random.half()),
                level: config.level,
                meters: config.meters,
            },
            leftovers: Leftovers::default(),
            upkeep: Mutex::new(Rounds::default()),
            random,
        };
        let learned = async {
            ledger.read_names().await?;
            ledger.read_policy().await
        };
        learned.await.map_err(|error| OpenError::Unreachable {
            place: config.address.to_string(),
            why: error.to_string(),
        })?;
        Ok(ledger)
    }
}

/// The thread and connection to a store where a ledger is to be made; only one that would keep
/// what the level promises. Blocks.
pub(super) fn for_import(config: &RemoteConfig, keys: &[Keys]) -> Result<Rare, OpenError> {
    let target = Arc::new(target(config, keys));
    let rare = Rare::start(Arc::clone(&target), RARE_THREAD, Threads::Own)?;
    let to_be = |mut facts: Facts| {
        for contact in &mut facts.contacts {
            contact.marker.get_or_insert_default();
        }
        facts
    };
    let stand = Stand::new(expected(config), Arc::clone(&target));
    wait_for(inspected(&rare, &target, &stand, to_be))?;
    Ok(rare)
}

/// Begins to fill the mirror, if one is wanted.
fn mirrored(
    config: &RemoteConfig,
    target: &Arc<Target>,
    keys: &[Keys],
    hasher: Hasher,
    threads: Threads,
) -> io::Result<Option<Mirrored>> {
    if config.mirror.is_zero() {
        return Ok(None);
    }
    let partitions = u16::try_from(keys.len()).unwrap_or(u16::MAX);
    let mirror = Arc::new(Mirror::new(
        hasher,
        partitions,
        &MirrorConfig {
            bound: config.mirror,
            clock: config.batcher.settling.clock.clone(),
            retention: config.retention,
            meters: config.meters.clone(),
        },
    ));
    let thread = Rare::start(Arc::clone(target), MIRROR_THREAD, threads)?;
    mirror.start(&thread, keys);
    Ok(Some(Mirrored { mirror, thread }))
}

/// Looks at a store as a server with this configuration would.
pub fn inspect(config: &RemoteConfig) -> Result<Report, OpenError> {
    // Where there is no ledger yet, one partition stands for all.
    let learned = wait_for(learn(config, Threads::Own));
    let partitions = learned.map_or(1, |meta| meta.identity.partitions);
    let keys: Vec<Keys> = (0..partitions)
        .map(|partition| Keys::new(&config.namespace, partition))
        .collect();
    let target = Arc::new(target(config, &keys));
    let rare = Rare::start(Arc::clone(&target), RARE_THREAD, Threads::Own)?;
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
    let target = Arc::new(target(config, std::slice::from_ref(&keys)));
    let rare = Rare::start(target, RARE_THREAD, Threads::Own)?;
    let (caller, name) = (rare.caller(partition), name.to_owned());
    let accepted = rare.run(async move { loss::accept(&caller, keys.meta(), &name).await });
    let unreachable = |why: String| OpenError::Unreachable {
        place: config.address.to_string(),
        why,
    };
    wait_for(accepted)
        .map_err(|error| unreachable(error.to_string()))?
        .map_err(|error| unreachable(error.to_string()))
}

/// Asks the first partition what the ledger is; makes it where that is wanted.
async fn learn(config: &RemoteConfig, threads: Threads) -> Result<Meta, OpenError> {
    let keys = Keys::new(&config.namespace, FIRST);
    let target = Arc::new(target(config, std::slice::from_ref(&keys)));
    let rare = Rare::start(target, RARE_THREAD, threads)?;
    let made = config.init.then(|| new_identity(config));
    let meta = identified(&rare, config, FIRST, made).await?;
    let found = meta.identity.partitions;
    let wanted = config.partitions.unwrap_or(found);
    if found == wanted && wanted > 0 {
        return Ok(meta);
    }
    Err(OpenError::Unusable(format!(
        "it has {found} partitions, not {wanted}; to change their number, export and import"
    )))
}

/// Makes sure that all partitions are of one ledger. Makes those that are missing where that is
/// wanted and nothing was ever decided: whoever began may have got no further. A ledger in use was
/// complete, so a partition that it lacks was lost, and an empty one would hide that.
async fn complete(rare: &Rare, config: &RemoteConfig, identity: Identity) -> Result<(), OpenError> {
    let mut missing = Vec::new();
    let mut is_used = false;
    for partition in 0..identity.partitions {
        match identified(rare, config, partition, None).await {
            Ok(meta) => {
                is_used |= meta.sequence > 0;
                is_part_of(identity, &meta, partition)?;
            }
            Err(OpenError::Missing(_)) => missing.push(partition),
            Err(error) => return Err(error),
        }
    }
    let made = (config.init && !is_used).then_some(identity);
    for partition in missing {
        // Another instance may just have made it.
        match identified(rare, config, partition, made).await {
            Ok(meta) => is_part_of(identity, &meta, partition)?,
            Err(OpenError::Missing(_)) if is_used => {
                let what = format!("partition {partition} is gone from the store");
                return Err(OpenError::Unusable(what));
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn is_part_of(identity: Identity, meta: &Meta, partition: u16) -> Result<(), OpenError> {
    if meta.identity == identity {
        return Ok(());
    }
    let what = format!("partition {partition} belongs to another one");
    Err(OpenError::Unusable(what))
}

async fn identified(
    rare: &Rare,
    config: &RemoteConfig,
    partition: u16,
    made: Option<Identity>,
) -> Result<Meta, OpenError> {
    let unreachable = |why: String| OpenError::Unreachable {
        place: config.address.to_string(),
        why,
    };
    let (caller, namespace) = (rare.caller(partition), config.namespace.clone());
    let found = rare.run(async move { identify(&caller, (&namespace, partition), made).await });
    match found.await {
        Ok(Ok(meta)) => Ok(meta),
        Ok(Err(MetaError::Store(error))) => Err(unreachable(error.to_string())),
        Ok(Err(MetaError::Bad(BadMeta::Missing))) => {
            Err(OpenError::Missing(config.address.to_string()))
        }
        Ok(Err(MetaError::Bad(BadMeta::Importing))) => {
            Err(OpenError::Importing(config.address.to_string()))
        }
        Ok(Err(MetaError::Bad(bad))) => Err(OpenError::Unusable(bad.to_string())),
        Err(error) => Err(unreachable(error.to_string())),
    }
}

async fn inspected(
    rare: &Rare,
    target: &Arc<Target>,
    stand: &Stand,
    seen_as: impl FnOnce(Facts) -> Facts,
) -> Result<(), OpenError> {
    let looked = Arc::clone(target);
    let looked = rare
        .run(async move { preflight::look(&looked).await })
        .await;
    let facts = looked.unwrap_or_else(|error: LedgerError| Err(Why(error.to_string())));
    match stand.look(facts.map(seen_as)) {
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
