//! An instance of the engine: opened, looked after, stopped or killed.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use holdfast::clock::Clock;
use holdfast::domain::UnixMillis;
use holdfast::engine::Engine;
use holdfast::ledger::Durability;
use holdfast::ledger::embedded::Retention;
use holdfast::ledger::remote::batcher::{BatcherConfig, Settling};
use holdfast::ledger::remote::link::{Address, Endpoint, Level, Login, Patience, Place};
use holdfast::ledger::remote::{Random, RemoteConfig, Threads};
use holdfast::telemetry::Meters;

use crate::fake_store::cluster::PORTS;
use crate::fake_store::serve::HOST;
use crate::network::{Rings, SENTINEL, dial};
use crate::world::{NAMESPACE, Sabotage, World};

/// Replicas of the store, all of which hold what was acknowledged.
pub(crate) const REPLICAS: u16 = 2;

/// From one round of upkeep to the next.
const ROUND: Duration = Duration::from_millis(250);

/// See the module's documentation.
pub(crate) struct Instance {
    pub(crate) number: usize,
    pub(crate) engine: Engine,
    clock: Clock,
    is_open: Cell<bool>,
    is_cut_off: Cell<bool>,
    is_killed: Cell<bool>,
}

impl Instance {
    pub(crate) fn is_open(&self) -> bool {
        self.is_open.get()
    }

    /// Whether anything that it sends arrives.
    pub(crate) fn is_reached(&self) -> bool {
        !self.is_cut_off.get() && !self.is_killed.get()
    }

    pub(crate) fn cut_off(&self, is_cut_off: bool) {
        self.is_cut_off.set(is_cut_off);
    }

    /// It goes on with what was sent, and takes no more.
    pub(crate) fn stop(&self) {
        self.is_open.set(false);
        self.engine.close().unwrap();
    }

    /// From now on nothing that it does reaches anybody.
    pub(crate) fn kill(&self) {
        self.is_killed.set(true);
        self.stop();
    }

    /// Changes that this instance knows to be lost.
    pub(crate) fn lost(&self) -> u64 {
        let page = self.engine.meters().render();
        let name = "holdfast_store_lost_commands_total ";
        let value = |line: &str| line.strip_prefix(name)?.trim().parse().ok();
        page.lines().find_map(value).unwrap_or(0)
    }
}

/// The entries to that many stores.
fn place(stores: usize) -> Place {
    if stores == 1 {
        return Place::Sentinel {
            sentinels: vec![Endpoint::Tcp(SENTINEL.to_owned(), 1)],
            name: "primary".to_owned(),
            login: Login::default(),
        };
    }
    let node = |store: usize| {
        let port = u16::try_from(store * PORTS).unwrap();
        Endpoint::Tcp(HOST.to_owned(), port)
    };
    Place::Cluster((0..stores).map(node).collect())
}

fn config(world: &World, rings: &Rings, number: usize, clock: &Clock) -> RemoteConfig {
    let is_weak = world.is_sabotaged(Sabotage::NothingAwaited);
    let address = Address {
        place: place(world.plan().stores),
        login: Login::default(),
        database: 0,
        tls: None,
        dial: Some(dial(rings.clone(), number)),
    };
    RemoteConfig {
        address,
        namespace: NAMESPACE.to_owned(),
        level: Level {
            durability: if is_weak {
                Durability::Memory
            } else {
                Durability::Replica
            },
            replicas: if is_weak { 0 } else { REPLICAS },
            wait: Duration::from_millis(300),
        },
        patience: Patience::default(),
        batcher: BatcherConfig {
            settling: Settling {
                limit: Duration::from_secs(3),
                ..Settling::default()
            },
            random: Random::seeded(world.below(u64::MAX)),
            ..BatcherConfig::default()
        },
        retention: Retention {
            keys_ms: i64::MAX / 4,
            refusals_ms: i64::MAX / 4,
            records_max: u64::MAX,
        },
        retain_events: u64::MAX,
        accept: vec!["plaintext".to_owned()],
        init: true,
        partitions: Some(world.plan().partitions),
        name: format!("instance-{number}"),
        mirror: if world.percent(50) {
            Duration::from_millis(500)
        } else {
            Duration::ZERO
        },
        look_every: Duration::from_secs(5),
        clock: clock.clone(),
        meters: Meters::new(),
    }
}

/// Opens another instance, as often as it takes.
pub(crate) async fn open(world: &World, rings: &Rings) -> Rc<Instance> {
    let number = world.all_instances().len();
    loop {
        let clock = Clock::manual(UnixMillis(world.wall()));
        let config = config(world, rings, number, &clock);
        match Engine::open_remote_on(config, Threads::Callers).await {
            Ok(engine) => {
                world.note(&format!("instance {number}"), format_args!("opens"));
                let instance = Rc::new(Instance {
                    number,
                    engine,
                    clock,
                    is_open: Cell::new(true),
                    is_cut_off: Cell::new(false),
                    is_killed: Cell::new(false),
                });
                world.add(Rc::clone(&instance));
                world.begin(look_after(world.clone(), Rc::clone(&instance)));
                return instance;
            }
            Err(error) => {
                let what = format_args!("does not open: {error}");
                world.note(&format!("instance {number}"), what);
            }
        }
        world.pause(50, 500).await;
    }
}

/// What a server does from time to time.
async fn look_after(world: World, instance: Rc<Instance>) {
    while instance.is_open() {
        instance.clock.set(UnixMillis(world.wall()));
        let done = instance.engine.tick().await;
        if let Err(error) = done {
            let name = format!("instance {}", instance.number);
            world.note(&name, format_args!("upkeep: {error}"));
        }
        tokio::time::sleep(ROUND).await;
    }
}
