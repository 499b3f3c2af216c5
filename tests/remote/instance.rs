//! Instances of the engine over one store.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use holdfast::blocking::wait_for;
use holdfast::clock::Clock;
use holdfast::domain::UnixMillis;
use holdfast::domain::command::Keyed;
use holdfast::engine::Engine;
use holdfast::ledger::embedded::Retention;
use holdfast::ledger::remote::batcher::BatcherConfig;
use holdfast::ledger::remote::link::{Level, Patience};
use holdfast::ledger::remote::script::{INIT, Identity, Keys};
use holdfast::ledger::remote::{OpenError, RemoteConfig};
use holdfast::ledger::{Answer, Durability, LedgerError};
use holdfast::telemetry::Meters;

use crate::server::Server;
use crate::support::check::START;
use crate::support::driven;
use crate::support::script::{Ask, Script, SetAsk};

/// Numbers namespaces, so that the histories of one server do not meet.
static NEXT_NAMESPACE: AtomicU64 = AtomicU64::new(0);

/// A place for one ledger in a server, and the time that it believes.
pub(crate) struct Place<'s> {
    pub(crate) server: &'s Server,
    pub(crate) namespace: String,
    pub(crate) clock: Clock,
    /// Of a new ledger.
    pub(crate) partitions: Option<u16>,
}

impl<'s> Place<'s> {
    /// A place where there is nothing yet.
    pub(crate) fn new(server: &'s Server) -> Self {
        let number = NEXT_NAMESPACE.fetch_add(1, Ordering::Relaxed);
        Self {
            server,
            namespace: format!("test{number}-"),
            clock: Clock::manual(UnixMillis(START)),
            partitions: None,
        }
    }

    pub(crate) fn keys(&self) -> Keys {
        Keys::new(&self.namespace, 0)
    }

    /// What an instance is opened with; it keeps everything for ever.
    pub(crate) fn config(&self) -> RemoteConfig {
        let mut config = config_at(&self.server.url(), &self.namespace, &self.clock);
        config.batcher.settling.clock = Some(self.clock.clone());
        config.partitions = self.partitions;
        config
    }

    /// An instance; makes the ledger where there is none.
    pub(crate) fn open(&self) -> Instance {
        Instance(Engine::open_remote(self.config()).unwrap())
    }

    /// An engine that believes this clock, and gave the nodes and channels of histories their indexes.
    pub(crate) fn engine_at(&self, clock: &Clock) -> Engine {
        let mut config = RemoteConfig {
            clock: clock.clone(),
            ..self.config()
        };
        config.batcher.settling.clock = Some(clock.clone());
        let engine = Engine::open_remote(config).unwrap();
        driven::give_names(&engine);
        engine
    }

    /// An instance with a mirror that may be as old as it likes: what it has not heard of decides.
    pub(crate) fn open_mirrored(&self) -> Instance {
        let mirror = Duration::from_hours(1);
        let config = patient(RemoteConfig {
            mirror,
            ..self.config()
        });
        Instance(Engine::open_remote(config).unwrap())
    }

    /// An instance that gave the nodes and channels of histories their indexes.
    pub(crate) fn open_named(&self) -> Instance {
        let instance = self.open();
        driven::give_names(&instance.0);
        instance
    }

    /// Why an instance with this configuration does not open.
    pub(crate) fn refusal(config: RemoteConfig) -> OpenError {
        match Engine::open_remote(config) {
            Ok(_) => panic!("it opened"),
            Err(error) => error,
        }
    }

    /// Makes the ledger, its first partition that is, with a seed of the test's.
    pub(crate) fn make(&self, seed: u64) {
        let identity = Identity {
            ledger: u128::from(seed),
            partitions: self.partitions.unwrap_or(1),
            seed,
        };
        let script = redis::Script::new(INIT);
        let mut call = script.prepare_invoke();
        call.key(&self.keys().of_init()[..]);
        call.arg(&identity.arguments(0)[..]);
        let made: redis::Value = call.invoke(&mut self.server.connect()).unwrap();
        drop(made);
    }

    /// Asks the server for something.
    pub(crate) fn ask<T: redis::FromRedisValue>(&self, words: &[&str]) -> T {
        let mut command = redis::Cmd::new();
        command.arg(words);
        command.query(&mut self.server.connect()).unwrap()
    }
}

/// What an instance over the store at an address is opened with.
pub(crate) fn config_at(address: &str, namespace: &str, clock: &Clock) -> RemoteConfig {
    RemoteConfig {
        address: address.parse().unwrap(),
        namespace: namespace.to_owned(),
        level: Level {
            durability: Durability::Memory,
            replicas: 0,
            wait: Duration::from_secs(1),
        },
        patience: Patience::default(),
        batcher: BatcherConfig::default(),
        retention: Retention {
            keys_ms: i64::MAX / 4,
            refusals_ms: i64::MAX / 4,
            records_max: u64::MAX,
        },
        retain_events: u64::MAX,
        accept: Vec::new(),
        init: true,
        mirror: Duration::ZERO,
        partitions: None,
        name: "test".to_owned(),
        look_every: Duration::from_secs(30),
        clock: clock.clone(),
        meters: Meters::new(),
    }
}

/// The same for a machine that is busy, which is no reason to fail.
pub(crate) fn patient(mut config: RemoteConfig) -> RemoteConfig {
    config.patience.connect = Duration::from_secs(20);
    config.patience.reply = Duration::from_secs(20);
    config.batcher.queue.age = Duration::from_secs(20);
    config
}

/// One instance, which is closed when it is dropped.
pub(crate) struct Instance(pub(crate) Engine);

impl Instance {
    /// Executes a command; `target` is the identity of the reservation it acts on.
    pub(crate) fn try_execute(
        &self,
        key: &str,
        script: &Script,
        target: u128,
    ) -> Result<Answer, LedgerError> {
        let command = script.command(target);
        let key = self.0.key(key, &command);
        wait_for(self.0.execute(&Keyed { key, command }))
    }

    /// The same, for a command that must be answered.
    pub(crate) fn execute(&self, key: &str, script: &Script) -> Answer {
        let target = script.target().map_or(0, |target| self.id(target));
        self.try_execute(key, script, target).unwrap()
    }

    /// The identity that a key stands for.
    pub(crate) fn id(&self, key: &str) -> u128 {
        driven::id_of(&self.0, key)
    }

    /// Units of a SKU: on hand, held, committed.
    pub(crate) fn units(&self, name: &str) -> [u64; 3] {
        let sku = holdfast::domain::Sku::new(name).unwrap();
        let stock = wait_for(self.0.stock(sku)).unwrap().unwrap();
        [stock.on_hand, stock.held, stock.committed].map(holdfast::domain::Units::get)
    }

    /// Asserts that everything that is counted agrees with its records.
    pub(crate) fn recounts_clean(&self) {
        let recount = wait_for(self.0.recount()).unwrap();
        assert_eq!(recount.violations, Vec::<String>::new());
        assert_eq!(recount.deficits, 0);
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        // Whether a test ends well or not, the threads end.
        self.0.close().unwrap_or_default();
    }
}

/// Units of a SKU at the first node.
pub(crate) fn set(sku: &str, on_hand: u64) -> Script {
    set_at(sku, 0, on_hand)
}

/// Units of a SKU at a node.
pub(crate) fn set_at(sku: &str, node: u16, on_hand: u64) -> Script {
    Script::Set {
        reason: "count".to_owned(),
        items: vec![SetAsk {
            sku: sku.to_owned(),
            node,
            on_hand: Some(on_hand),
            unavailable: None,
            change_from: None,
        }],
    }
}

/// A hold on units of a SKU.
pub(crate) fn hold(sku: &str, quantity: u64, ttl: u32) -> Script {
    Script::Reserve {
        channel: 0,
        reference: None,
        ttl,
        partial: false,
        lines: vec![Ask {
            sku: sku.to_owned(),
            node: None,
            quantity,
        }],
    }
}
