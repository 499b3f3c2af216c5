//! A ledger over the nodes of a cluster: whole orders against the answers of an independent program,
//! and a crowd on three instances while slots move.

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use holdfast::blocking::wait_for;
use holdfast::clock::{Clock, monotonic};
use holdfast::domain::command::Verb;
use holdfast::domain::line::LineState;
use holdfast::domain::{Outcome, ReservationId, Sku};
use holdfast::engine::Engine;
use holdfast::ledger::LedgerError;
use holdfast::ledger::embedded::storage::Storage;
use holdfast::ledger::remote::script::SCHEMA;
use serde_json::Value;

use crate::instance::{Instance, config_at, hold, patient, set};
use crate::moving::{export, into, into_storage, tally};
use crate::nodes::Nodes;
use crate::program_support::{folder, run};
use crate::server::Kind;
use crate::support::driven;
use crate::support::memory::Memory;
use crate::support::script::{Ask, Script};

#[test]
fn orders_over_many_partitions_come_out_as_the_independent_program_says() {
    let nodes = Nodes::start(Kind::Redis);
    let inside = folder();
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("data");
    let trace = data.join("orders-sample.csv.gz");
    let expected = std::fs::read(data.join("orders-sample.fill-0.8.json")).unwrap();
    let expected: Value = serde_json::from_slice(&expected).unwrap();
    let replayed = run(
        inside.path(),
        &[
            "replay",
            &trace.to_string_lossy(),
            "--fill",
            "0.8",
            "--json",
            "--durability",
            "memory",
            "--store",
            &nodes.address(),
        ],
    );
    assert_eq!(replayed.code, Some(0), "{}", replayed.err);
    let found = replayed.json();
    for (key, value) in expected.as_object().unwrap() {
        assert_eq!(&found[key], value, "{key}");
    }
    assert_eq!(found["recount"]["violations"], 0);
}

const CLIENTS: usize = 64;
const SKUS: usize = 24;
const ON_HAND: u64 = 400;

/// What the crowd was told.
#[derive(Default)]
struct Told {
    /// Reservations, with the state that was acknowledged last.
    kept: Mutex<Vec<(u128, LineState)>>,
    calls: AtomicU64,
}

/// Asks until there is an answer.
fn answered(instance: &Instance, key: &str, script: &Script, target: u128) -> Outcome {
    let started = monotonic();
    loop {
        match instance.try_execute(key, script, target) {
            Ok(answer) => return answer.verdict.unwrap(),
            Err(LedgerError::Poisoned) => panic!("a ledger in a store is never poisoned"),
            Err(error) => assert!(started.elapsed().as_secs() < 60, "{key}: {error}"),
        }
    }
}

fn client(number: usize, instance: &Instance, told: &Told, goes_on: &AtomicBool) {
    let line = |at: usize| Ask {
        sku: format!("s{}", at % SKUS),
        node: None,
        quantity: 1,
    };
    for round in 0.. {
        if round > 1 && !goes_on.load(Ordering::Relaxed) {
            return;
        }
        let key = format!("c{number}-{round}");
        let reserve = Script::Reserve {
            channel: 0,
            reference: None,
            ttl: 3_600_000,
            partial: false,
            lines: vec![line(number), line(number + round + 1), line(number * 7 + 3)],
        };
        let Outcome::Reservation(made) = answered(instance, &key, &reserve, 0) else {
            panic!("a reservation");
        };
        let id = made.id.0;
        let act = |verb: Verb, state: LineState| {
            let script = Script::Act {
                target: String::new(),
                verb,
                lines: None,
            };
            let key = format!("{key}-{state:?}");
            let Outcome::Reservation(after) = answered(instance, &key, &script, id) else {
                panic!("a reservation");
            };
            assert_eq!(after.state(), state);
            state
        };
        let state = match round % 3 {
            0 => act(Verb::Release, LineState::Released),
            1 => {
                act(Verb::Confirm, LineState::Committed);
                act(Verb::Ship { from: None }, LineState::Shipped)
            }
            _ => {
                act(Verb::Confirm, LineState::Committed);
                act(Verb::Release, LineState::Released)
            }
        };
        told.kept.lock().unwrap().push((id, state));
        told.calls.fetch_add(1, Ordering::Relaxed);
    }
}

/// Whichever node it is, also the one that the address names first.
#[test]
fn a_node_that_is_silent_holds_up_none_but_its_own_partitions() {
    let nodes = Nodes::start(Kind::Redis);
    let mut config = config_at(&nodes.address(), "silent", &Clock::system());
    config.batcher.settling.limit = Duration::from_secs(1);
    // Whoever waited for the silent one would wait for this long.
    config.patience.connect = Duration::from_secs(20);
    config.patience.reply = Duration::from_secs(20);
    config.batcher.queue.age = Duration::from_secs(20);
    let instance = Instance(Engine::open_remote(config).unwrap());
    driven::give_names(&instance.0);
    let skus: Vec<String> = (0..SKUS).map(|sku| format!("s{sku}")).collect();
    for sku in &skus {
        answered(&instance, sku, &set(sku, ON_HAND), 0);
    }
    let (own, others) = nodes.split(0, &format!("silent{SCHEMA}:*:stock"), &skus);
    nodes.nodes[0].freeze();
    // From now on the map is in doubt.
    let failed = instance.try_execute("own", &set(&own[0], 1), 0);
    assert!(failed.is_err(), "the node answers");
    for sku in &others {
        let key = format!("{sku}-again");
        let answer = instance.try_execute(&key, &set(sku, ON_HAND + 1), 0);
        assert!(answer.unwrap().verdict.is_ok());
    }
    nodes.nodes[0].thaw();
    answered(&instance, "own", &set(&own[0], 1), 0);
}

/// A crowd fills every place of a lane with commands that the silent node does not answer.
#[test]
fn a_crowd_at_a_silent_node_does_not_keep_the_others_from_theirs() {
    const SKUS: usize = 96;
    const CALLERS: usize = 384;
    const ROUNDS: usize = 8;
    let nodes = Nodes::start(Kind::Redis);
    // The silent node is waited for much longer than the others take.
    let mut config = patient(config_at(&nodes.address(), "loaded", &Clock::system()));
    config.batcher.settling.limit = Duration::from_secs(1);
    let instance = Instance(Engine::open_remote(config).unwrap());
    driven::give_names(&instance.0);
    let skus: Vec<String> = (0..SKUS).map(|sku| format!("s{sku}")).collect();
    for sku in &skus {
        answered(&instance, sku, &set(sku, ON_HAND), 0);
    }
    let (silent, others) = nodes.split(0, &format!("loaded{SCHEMA}:*:stock"), &skus);
    let at_silent: Vec<usize> = (0..CALLERS * silent.len() / SKUS).collect();
    let at_others: Vec<usize> = (0..CALLERS - at_silent.len()).collect();
    let wish = |skus: &[String], caller: usize| hold(&skus[caller % skus.len()], 1, 3_600_000);
    nodes.nodes[0].freeze();
    std::thread::scope(|scope| {
        let held_up = at_silent.iter().map(|caller| {
            let (instance, wish) = (&instance, wish(&silent, *caller));
            scope.spawn(move || instance.try_execute(&format!("silent{caller}"), &wish, 0))
        });
        let held_up: Vec<_> = held_up.collect();
        let served = at_others.iter().map(|caller| {
            let (instance, wish) = (&instance, wish(&others, *caller));
            scope.spawn(move || {
                let mut asked = (0..ROUNDS).map(|round| format!("other{caller}-{round}"));
                asked.try_for_each(|key| instance.try_execute(&key, &wish, 0).map(drop))
            })
        });
        let served: Vec<_> = served.collect();
        let answers = served.into_iter().map(|one| one.join().unwrap());
        let failed: Vec<LedgerError> = answers.filter_map(Result::err).collect();
        let unanswered = held_up.iter().filter(|one| !one.is_finished()).count();
        nodes.nodes[0].thaw();
        assert_eq!(failed, [], "all are served while one node is silent");
        assert!(unanswered > 0, "it was silent all the time");
        for one in held_up {
            let told = one.join().unwrap().map(|answer| answer.verdict.is_ok());
            let told_well = [
                Ok(true),
                Err(LedgerError::Unknown),
                Err(LedgerError::Overloaded),
            ];
            assert!(told_well.contains(&told), "{told:?}");
        }
    });
    for caller in at_silent {
        answered(
            &instance,
            &format!("silent{caller}"),
            &wish(&silent, caller),
            0,
        );
    }
    let held = skus.iter().map(|sku| instance.units(sku)[1]).sum::<u64>();
    let asked = CALLERS * silent.len() / SKUS + at_others.len() * ROUNDS;
    assert_eq!(held, u64::try_from(asked).unwrap(), "each key once");
    instance.recounts_clean();
}

#[test]
fn slots_move_under_a_crowd_on_three_instances_and_nothing_acknowledged_is_lost() {
    std::thread::scope(|scope| {
        for kind in Kind::ALL {
            scope.spawn(move || slots_move_under_a_crowd(kind));
        }
    });
}

fn slots_move_under_a_crowd(kind: Kind) {
    let nodes = Nodes::start(kind);
    let open = |_| {
        let config = patient(config_at(&nodes.address(), "crowd", &Clock::system()));
        Instance(Engine::open_remote(config).unwrap())
    };
    let instances: Vec<Instance> = (0..3).map(open).collect();
    driven::give_names(&instances[0].0);
    for sku in 0..SKUS {
        let stock = set(&format!("s{sku}"), ON_HAND * 100);
        answered(&instances[0], &format!("stock{sku}"), &stock, 0);
    }
    let told = Told::default();
    let goes_on = AtomicBool::new(true);
    std::thread::scope(|scope| {
        for number in 0..CLIENTS {
            let (instance, told, goes_on) = (&instances[number % 3], &told, &goes_on);
            scope.spawn(move || client(number, instance, told, goes_on));
        }
        for partition in [0, 7, 23, 42] {
            let before = told.calls.load(Ordering::Relaxed);
            nodes.move_slot(&format!("{{{partition}}}"));
            while told.calls.load(Ordering::Relaxed) < before + 20 {
                std::thread::yield_now();
            }
        }
        goes_on.store(false, Ordering::Relaxed);
    });
    let mut shipped = [0; SKUS];
    for (id, state) in told.kept.lock().unwrap().iter() {
        let found = wait_for(instances[0].0.reservation(ReservationId(*id))).unwrap();
        let found = found.unwrap();
        assert_eq!(found.state(), *state);
        if *state == LineState::Shipped {
            for line in &found.lines {
                let at: usize = line.sku.trim_start_matches('s').parse().unwrap();
                shipped[at] += line.line.shipped.get();
            }
        }
    }
    for (sku, shipped) in shipped.into_iter().enumerate() {
        let name = format!("s{sku}");
        let stock = wait_for(instances[1].0.stock(Sku::new(&name).unwrap()));
        let stock = stock.unwrap().unwrap();
        assert_eq!(stock.on_hand.get(), ON_HAND * 100 - shipped, "{name}");
        assert_eq!(stock.held.get() + stock.committed.get(), 0, "{name}");
    }
    instances[2].recounts_clean();
}

#[test]
fn a_ledger_moves_between_a_cluster_and_a_folder() {
    const HELD: usize = 20;
    let nodes = Nodes::start(Kind::Redis);
    let config = |namespace: &str| config_at(&nodes.address(), namespace, &Clock::system());
    let stayed = Instance(Engine::open_remote(config("stayed")).unwrap());
    driven::give_names(&stayed.0);
    for sku in 0..SKUS {
        stayed.execute(&format!("stock{sku}"), &set(&format!("s{sku}"), ON_HAND));
    }
    let reserve = |number: usize| Script::Reserve {
        channel: 0,
        reference: None,
        ttl: 3_600_000,
        partial: false,
        lines: (0..4)
            .map(|line| Ask {
                sku: format!("s{}", (number + line * 5) % SKUS),
                node: None,
                quantity: 1,
            })
            .collect(),
    };
    let held = |instance: &Instance| -> Vec<u128> {
        let made = (0..HELD).map(|number| {
            let answer = answered(instance, &format!("k{number}"), &reserve(number), 0);
            let Outcome::Reservation(made) = answer else {
                panic!("a reservation");
            };
            made.id.0
        });
        made.collect()
    };
    let ids = held(&stayed);
    wait_for(stayed.0.settle_all()).unwrap();
    let (bytes, _, counted) = export(&stayed.0);
    let folder: Arc<dyn Storage> = Arc::new(Memory::default());
    into_storage(&folder, Clock::system(), &bytes).unwrap();
    let folder = Instance(driven::open(folder, Clock::system(), None));
    assert_eq!(tally(&folder.0), counted);

    let (bytes, ..) = export(&folder.0);
    let mut place = config("moved");
    place.partitions = Some(17);
    into(&place, &bytes, false).unwrap();
    let moved = Instance(Engine::open_remote(place).unwrap());
    assert_eq!(tally(&moved.0), counted);
    assert_eq!(held(&moved), ids, "each key stands for what it made");
    let confirm = Script::Act {
        target: String::new(),
        verb: Verb::Confirm,
        lines: None,
    };
    for (number, id) in ids.into_iter().enumerate() {
        let after = answered(&moved, &format!("c{number}"), &confirm, id);
        assert!(
            matches!(after, Outcome::Reservation(after) if after.state() == LineState::Committed)
        );
    }
    moved.recounts_clean();
}
