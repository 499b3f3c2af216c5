//! A ledger over the nodes of a cluster: whole orders against the answers of an independent program,
//! and a crowd on three instances while slots move.

use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use holdfast::blocking::wait_for;
use holdfast::clock::{Clock, monotonic};
use holdfast::domain::command::Verb;
use holdfast::domain::line::LineState;
use holdfast::domain::{Outcome, ReservationId, Sku};
use holdfast::engine::Engine;
use holdfast::ledger::LedgerError;
use serde_json::Value;

use crate::instance::{Instance, config_at, patient, set};
use crate::nodes::Nodes;
use crate::program_support::{folder, run};
use crate::server::Kind;
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
    crate::support::driven::give_names(&instances[0].0);
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
