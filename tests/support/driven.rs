//! The real engine under a test's clock and storage.

use std::sync::Arc;

use holdfast::blocking::wait_for;
use holdfast::clock::Clock;
use holdfast::domain::command::Keyed;
use holdfast::domain::policy::Document;
use holdfast::domain::verdict::Limit;
use holdfast::domain::{
    ChannelIx, NodeIx, Reservation, ReservationId, Settings, Sku, Units, UnixMillis,
};
use holdfast::engine::{Engine, EngineConfig, NameError};
use holdfast::ledger::embedded::Retention;
use holdfast::ledger::embedded::journal::JournalConfig;
use holdfast::ledger::embedded::storage::Storage;
use holdfast::ledger::policy::{PolicyPut, PolicyVersion, PutPolicyError, text};
use holdfast::ledger::{
    About, Answer, Availability, Consistency, Durability, LedgerError, StockView,
};
use holdfast::telemetry::Meters;
use tokio::runtime::{Builder, Runtime};

use super::check::{START, Subject};
use super::history::{CHANNEL_NAMES, NODES, entry_names};
use super::memory::Memory;
use super::model::Keeping;
use super::script::Script;

/// An engine that never makes a snapshot by itself, and keeps everything for ever unless told
/// otherwise.
pub(crate) fn config(clock: Clock, keeping: Option<Keeping>) -> EngineConfig {
    let keeping = keeping.unwrap_or(Keeping {
        answers: i64::MAX / 4,
        refusals: i64::MAX / 4,
    });
    let mut config = EngineConfig::new(clock, Meters::new());
    config.journal = JournalConfig {
        segment_bytes: 64 * 1024,
        durability: Durability::Os,
        ..JournalConfig::default()
    };
    config.retention = Retention {
        keys_ms: keeping.answers,
        refusals_ms: keeping.refusals,
        records_max: 100_000_000,
    };
    config.snapshot_every = u64::MAX;
    config
}

/// Such an engine, which knows the names of histories.
pub(crate) fn open(storage: Arc<dyn Storage>, clock: Clock, keeping: Option<Keeping>) -> Engine {
    let engine = Engine::open_on(storage, config(clock, keeping)).unwrap();
    give_names(&engine);
    engine
}

/// Gives the nodes and channels of histories their indexes.
pub(crate) fn give_names(engine: &Engine) {
    try_give_names(engine).unwrap();
}

/// [`give_names`] to an engine that may be out of service.
pub(crate) fn try_give_names(engine: &Engine) -> Result<(), NameError> {
    for node in 1..NODES {
        let index = wait_for(engine.node(&format!("n{node}")))?;
        assert_eq!(index, NodeIx(node));
    }
    for (at, name) in entry_names().enumerate() {
        let index = wait_for(engine.make_channel(name))?.index;
        assert_eq!(index.map(|index| usize::from(index.0)), Some(at));
    }
    Ok(())
}

/// Sends a command as far as memory goes; `target` is the identity of the reservation it acts on.
pub(crate) fn submit(
    engine: &Engine,
    key: &str,
    script: &Script,
    target: u128,
) -> Result<Answer, LedgerError> {
    let command = script.command(target);
    engine.submit(&Keyed {
        key: engine.key(key, &command),
        command,
    })
}

/// Puts a policy, whatever is in force; `None` if it has faults.
pub(crate) fn put_policy(
    engine: &Engine,
    document: &Document,
) -> Result<Option<PolicyVersion>, PutPolicyError> {
    let put = PolicyPut {
        text: &text::write(document),
        expected: None,
        operator: "",
        reason: "",
        over: "",
    };
    match wait_for(engine.put_policy(&put)) {
        Ok(version) => Ok(Some(version)),
        Err(PutPolicyError::Faults(_)) => Ok(None),
        Err(error) => Err(error),
    }
}

/// The identity that the engine derives from a key.
pub(crate) fn id_of(engine: &Engine, key: &str) -> u128 {
    let any = Script::Set {
        reason: String::new(),
        items: Vec::new(),
    };
    engine.key(key, &any.command(0)).id
}

/// An engine with its storage, driven by one thread.
pub(crate) struct Driven {
    storage: Arc<Memory>,
    clock: Clock,
    engine: Engine,
    runtime: Runtime,
    keeping: Option<Keeping>,
}

impl Driven {
    pub(crate) fn new(seed: u64, keeping: Option<Keeping>) -> Self {
        let storage = Arc::new(Memory::with_seed(seed));
        let clock = Clock::manual(UnixMillis(START));
        let engine = open(Arc::<Memory>::clone(&storage), clock.clone(), keeping);
        let runtime = Builder::new_current_thread().build().unwrap();
        Self {
            storage,
            clock,
            engine,
            runtime,
            keeping,
        }
    }
}

impl AsRef<Engine> for Driven {
    fn as_ref(&self) -> &Engine {
        &self.engine
    }
}

fn sku(text: &str) -> Sku<'_> {
    Sku::new(text).unwrap()
}

impl Subject for Driven {
    fn id(&self, key: &str) -> u128 {
        id_of(&self.engine, key)
    }

    fn execute(&mut self, key: &str, script: &Script, target: u128) -> Answer {
        submit(&self.engine, key, script, target).unwrap()
    }

    fn set_clock(&mut self, at: i64) {
        self.clock.set(UnixMillis(at));
    }

    fn now(&self) -> i64 {
        self.engine.now().0
    }

    fn tick(&mut self) {
        wait_for(self.engine.tick()).unwrap();
    }

    fn restart(&mut self) {
        self.engine.close().unwrap();
        self.engine = open(
            Arc::<Memory>::clone(&self.storage),
            self.clock.clone(),
            self.keeping,
        );
    }

    fn snapshot(&mut self) {
        self.engine.snapshot().unwrap();
    }

    fn put_policy(&mut self, document: &Document) -> bool {
        put_policy(&self.engine, document).unwrap().is_some()
    }

    fn stock(&self, name: &str) -> Option<StockView> {
        wait_for(self.engine.stock(sku(name))).unwrap()
    }

    fn settings(&self, name: &str) -> Option<Settings> {
        wait_for(self.engine.settings(sku(name))).unwrap()
    }

    fn availability(&self, name: &str, node: Option<u16>) -> Option<Availability> {
        let (sku, node) = (sku(name), node.map(NodeIx));
        wait_for(self.engine.availability(sku, node, Consistency::Strong)).unwrap()
    }

    fn room_of(&self, name: &str, channel: u16) -> Option<(Units, Limit)> {
        let about = About {
            node: None,
            channel: Some(ChannelIx(channel)),
        };
        let found = self
            .engine
            .availability(sku(name), about, Consistency::Strong);
        let found = wait_for(found).unwrap()?;
        Some((found.available, found.limit))
    }

    fn reservation(&self, id: u128) -> Option<Reservation> {
        wait_for(self.engine.reservation(ReservationId(id))).unwrap()
    }

    fn by_reference(&self, channel: u16, reference: &str) -> Option<Reservation> {
        wait_for(
            self.engine
                .by_reference(CHANNEL_NAMES[usize::from(channel)], reference),
        )
        .unwrap()
    }

    fn settle(&self, key: &str) -> Option<Answer> {
        self.runtime.block_on(self.engine.settle(key)).unwrap()
    }

    fn keeping(&self) -> Option<Keeping> {
        self.keeping
    }

    fn violations(&self) -> Vec<String> {
        wait_for(self.engine.recount()).unwrap().violations
    }
}

impl Drop for Driven {
    fn drop(&mut self) {
        // Whether a history ends well or not, its threads end.
        self.engine.close().unwrap_or_default();
    }
}
