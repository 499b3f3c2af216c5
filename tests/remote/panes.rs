//! The mirror of a ledger of several partitions against the store, on one server and on the nodes of
//! a cluster.

use std::collections::HashMap;
use std::time::Duration;

use holdfast::blocking::wait_for;
use holdfast::clock::Clock;
use holdfast::domain::{Outcome, Refusal, UnixMillis};
use holdfast::engine::Engine;
use holdfast::ledger::Answer;
use holdfast::ledger::remote::RemoteConfig;

use crate::instance::{Instance, Place, config_at, hold, patient, set};
use crate::mirror::{answers, filled, fills, mirrored, restock, strong, until};
use crate::nodes::Nodes;
use crate::server::{Kind, Server};
use crate::support::check::START;
use crate::support::driven;
use crate::support::history::{Maker, NODES, SKUS, Step};
use crate::support::script::{Ask, Script};

const PARTITIONS: u16 = 8;
const DAY: u32 = 86_400_000;

/// Where a ledger of several partitions is, and the time that it believes.
struct Ground {
    address: String,
    namespace: String,
    clock: Clock,
}

impl Ground {
    fn new(address: String, namespace: &str) -> Self {
        Self {
            address,
            namespace: namespace.to_owned(),
            clock: Clock::manual(UnixMillis(START)),
        }
    }

    /// An instance whose mirror may be as old as it likes: what it has not heard of decides.
    fn open(&self) -> Instance {
        let mut config = patient(RemoteConfig {
            mirror: Duration::from_hours(1),
            partitions: Some(PARTITIONS),
            ..config_at(&self.address, &self.namespace, &self.clock)
        });
        config.batcher.settling.clock = Some(self.clock.clone());
        Instance(Engine::open_remote(config).unwrap())
    }

    /// All that can be seen of all SKUs, from the store and from the mirror.
    fn agrees(&self, instance: &Instance) {
        for sku in SKUS {
            for node in std::iter::once(None).chain((0..NODES).map(Some)) {
                until("the mirror answers", || {
                    let Some(expected) = strong(instance, sku, node) else {
                        return Some(());
                    };
                    let Some(seen) = mirrored(instance, sku, node) else {
                        // What waits for its home goes on when it has waited for long.
                        self.clock.advance(1_000);
                        wait_for(instance.0.tick()).unwrap();
                        return None;
                    };
                    assert_eq!(seen, expected, "{sku} at {node:?}");
                    Some(())
                });
            }
        }
    }

    /// A history of its own, as fast as it goes. With two of them at once some commands are given
    /// up half way, as where a hold ends while it is placed.
    fn live(&self, instance: &Instance, seed: u64, steps: usize) {
        let mut maker = Maker::new(seed);
        (maker.backwards, maker.in_parts) = (false, true);
        maker.prefix = format!("{seed}-");
        let mut ids = HashMap::new();
        for step in maker.history(steps) {
            match step {
                Step::Command { key, script } => {
                    let target = script.target().and_then(|target| ids.get(target));
                    let target = target.copied().unwrap_or_default();
                    let answer = instance.try_execute(&key, &script, target);
                    if let Ok(Ok(Outcome::Reservation(made))) = answer.map(|told| told.verdict) {
                        ids.entry(key).or_insert(made.id.0);
                    }
                }
                Step::Clock(by) => {
                    self.clock.advance(by);
                }
                Step::Tick => wait_for(instance.0.tick()).unwrap_or_default(),
                Step::Restart | Step::Snapshot | Step::Policy(_) | Step::Compare => {}
            }
        }
    }
}

fn after_any_history_every_pane_is_its_partition(address: &str, seeds: std::ops::Range<u64>) {
    for seed in seeds {
        let ground = Ground::new(address.to_owned(), &format!("panes{seed}-"));
        let pair = [ground.open(), ground.open()];
        driven::give_names(&pair[0].0);
        std::thread::scope(|scope| {
            for (instance, seed) in pair.iter().zip([seed * 2, seed * 2 + 1]) {
                let ground = &ground;
                scope.spawn(move || ground.live(instance, seed, 400));
            }
        });
        pair.iter().for_each(|instance| ground.agrees(instance));
        for instance in &pair {
            assert_eq!(fills(instance), u64::from(PARTITIONS), "each pane once");
        }
        let late = ground.open();
        ground.agrees(&late);
        let recount = wait_for(late.0.recount()).unwrap();
        assert_eq!(recount.violations, Vec::<String>::new());
    }
}

#[test]
fn after_any_history_on_a_server_every_mirror_is_the_store() {
    for kind in Kind::ALL {
        let server = Server::start(kind);
        after_any_history_every_pane_is_its_partition(&server.url(), 0..4);
    }
}

#[test]
fn after_any_history_on_a_cluster_every_mirror_is_the_store() {
    let nodes = Nodes::start(Kind::Redis);
    after_any_history_every_pane_is_its_partition(&nodes.address(), 4..6);
}

fn is_refused(answer: &Answer) -> bool {
    matches!(answer.verdict, Err(Refusal::InsufficientStock { .. }))
}

/// How often a server ran a script.
fn scripts_run(place: &Place<'_>) -> u64 {
    let stats: String = place.ask(&["INFO", "commandstats"]);
    let of_scripts = |line: &str| Some(line.strip_prefix("cmdstat_evalsha:calls=")?.to_owned());
    let count = stats.lines().find_map(of_scripts).unwrap();
    count.split(',').next().unwrap().parse().unwrap()
}

/// A unit of each of these SKUs.
fn order(skus: &[&str], ttl: u32) -> Script {
    let line = |sku: &&str| Ask {
        sku: (*sku).to_owned(),
        node: None,
        quantity: 1,
    };
    Script::Reserve {
        channel: 0,
        reference: None,
        ttl,
        partial: false,
        lines: skus.iter().map(line).collect(),
    }
}

#[test]
fn what_is_sold_out_is_refused_by_the_pane_of_its_partition() {
    let server = Server::start(Kind::Redis);
    let mut place = Place::new(&server);
    place.partitions = Some(PARTITIONS);
    let (instance, other) = (place.open_mirrored(), place.open());
    let names: Vec<String> = (0..16).map(|n| format!("s{n}")).collect();
    let shard_of = |name: &String| instance.execute(name, &set(name, 0)).position.shard;
    let shards: Vec<u16> = names.iter().map(shard_of).collect();
    for name in &names {
        filled(&instance, name);
    }
    let before = scripts_run(&place);
    for (name, shard) in names.iter().zip(&shards) {
        let refused = instance.execute(&format!("k-{name}"), &hold(name, 1, DAY));
        assert!(is_refused(&refused) && refused.mirror_age.is_some());
        assert_eq!(refused.position.shard, *shard);
    }
    assert_eq!(scripts_run(&place), before, "the store was not asked");
    assert_eq!(answers(&instance, "refusal"), 16);
    // One over several is refused by the store, which names all that is short.
    let elsewhere = shards.iter().position(|shard| *shard != shards[0]).unwrap();
    let both = order(&[&names[0], &names[elsewhere]], DAY);
    let refused = instance.execute("both", &both);
    let Err(Refusal::InsufficientStock { shortages }) = &refused.verdict else {
        panic!("{refused:?}");
    };
    assert_eq!((shortages.len(), refused.mirror_age), (2, None));
    other.execute("restock", &restock(&names[3], 1));
    let mut tries = 0;
    until("the restock is heard of", || {
        tries += 1;
        let answer = instance.execute(&format!("late-{tries}"), &hold(&names[3], 1, DAY));
        (!is_refused(&answer)).then_some(())
    });
}

/// What is past its deadline is given back by the store alone; so it is asked, in each partition.
#[test]
fn parts_past_their_deadline_are_never_taken_for_sold() {
    let server = Server::start(Kind::Valkey);
    let mut place = Place::new(&server);
    place.partitions = Some(PARTITIONS);
    let instance = place.open_mirrored();
    let names = ["a", "b", "c", "d", "e", "f"];
    for name in names {
        instance.execute(name, &set(name, 1));
        filled(&instance, name);
    }
    for round in 0..20 {
        let order = order(&names, 1_000);
        let held = instance.execute(&format!("order-{round}"), &order);
        assert!(held.verdict.is_ok(), "{held:?}");
        place.clock.advance(999);
        for name in names {
            let refused = instance.execute(&format!("early-{round}-{name}"), &hold(name, 1, 1));
            assert!(is_refused(&refused) && refused.mirror_age.is_some());
        }
        place.clock.advance(1);
        for name in names {
            let granted = instance.execute(&format!("late-{round}-{name}"), &hold(name, 1, 1));
            assert!(granted.verdict.is_ok(), "{granted:?}");
        }
        place.clock.advance(1);
    }
    assert_eq!(fills(&instance), u64::from(PARTITIONS));
}
