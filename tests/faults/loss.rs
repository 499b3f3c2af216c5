//! The controls: level `memory` loses what a cut-off primary went on acknowledging, and so does
//! waiting for fewer replicas than could be promoted. The instance notices at the first contact with
//! the new primary, stops, and lists exactly what is missing.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use holdfast::clock::monotonic;
use serde_json::{Value, json};

use crate::cluster::until_worked;
use crate::net::CLIENT;
use crate::server::{Server, pause, run};
use crate::stack::Stack;
use crate::support::nodes::Nodes;
use crate::support::server::Kind;
use crate::wire::{Reply, Wire};
use crate::{Load, rounds_wanted, stock_up};

/// Enough for every reservation.
const OPENING: i64 = 1_000_000_000;

const CALLERS: usize = 6;

/// Between two calls of a caller: some thousand are enough, and each is looked for afterwards.
const PACE: Duration = Duration::from_millis(5);

/// How often is asked before there is load: on a busy machine the fault may come before the first of it.
const EARLY: u32 = 20;

/// Longest wait for a fact; a failure, not a pace.
const PATIENCE: Duration = Duration::from_mins(1);

fn reserve(wire: &mut Wire, key: &str) -> std::io::Result<Reply> {
    let lines = json!([{ "sku": "hot", "quantity": 1 }]);
    let body = json!({ "channel": "shop", "ttl_seconds": 86_400, "lines": lines });
    wire.post("/v1/reservations", key, &body)
}

/// Ids of what this caller was granted.
fn shop(address: SocketAddr, name: usize, goes_on: impl Fn() -> bool) -> Vec<String> {
    let mut granted = Vec::new();
    let mut count = 0;
    while goes_on() {
        let Ok(mut wire) = Wire::connect(address) else {
            continue;
        };
        while goes_on() {
            count += 1;
            match reserve(&mut wire, &format!("{name}-{count}")) {
                Ok(reply) if reply.status == 201 => {
                    granted.push(reply.body["id"].as_str().unwrap().to_owned());
                }
                // Nobody knows, or nothing happened: it was not acknowledged.
                Ok(_) => {}
                Err(_) => break,
            }
            pause(PACE);
        }
    }
    granted
}

/// What a request without a body is answered.
fn status(address: SocketAddr, path: &str) -> u16 {
    let wire = Wire::connect(address).and_then(|mut wire| wire.get(path));
    wire.map_or(0, |reply| reply.status)
}

/// Whether a read says that the ledger is stopped.
fn is_quarantined(address: SocketAddr) -> bool {
    let read = Wire::connect(address).and_then(|mut wire| wire.get("/v1/stock/hot"));
    read.is_ok_and(|reply| reply.status == 503 && reply.body["code"] == "quarantined")
}

fn until(what: &str, is_so: impl Fn() -> bool) {
    let begun = monotonic();
    while !is_so() {
        assert!(begun.elapsed() < PATIENCE, "{what}");
        pause(Duration::from_millis(10));
    }
}

/// What the log names as missing; everything that is missing, as it says itself.
fn named(log: &str) -> BTreeSet<String> {
    let lines = log.lines().map(serde_json::from_str::<Value>);
    let lines: Vec<Value> = lines.filter_map(Result::ok).collect();
    assert!(lines.iter().any(|line| line["is_all"] == true), "{log}");
    let lists = lines.iter().filter_map(|line| line["commands"].as_str());
    let ids = lists.flat_map(str::split_whitespace);
    ids.map(|word| word.split('@').next().unwrap().to_owned())
        .collect()
}

fn doctor(arguments: &[&str]) -> (bool, String) {
    let here = ["--durability", "memory", "--listen", "127.0.0.1:0"];
    run("doctor", &[&here, arguments].concat())
}

/// The name of the loss, as doctor tells it.
fn name_of_the_loss(said: &str) -> String {
    let (_, rest) = said
        .split_once("lost: ")
        .unwrap_or_else(|| panic!("{said}"));
    rest.split_whitespace().next().unwrap().to_owned()
}

/// A ledger that is made to lose something.
struct Scene<'a> {
    name: String,
    url: String,
    level: &'a str,
    settings: &'a [(&'a str, &'a str)],
}

/// Whether a reservation is not there.
fn is_missing(wire: &mut Wire, id: &str) -> bool {
    let begun = monotonic();
    loop {
        match wire.get(&format!("/v1/reservations/{id}")).unwrap().status {
            404 => return true,
            200 => return false,
            status => assert!(begun.elapsed() < PATIENCE, "{id}: {status}"),
        }
    }
}

/// Load, a fault, and the end of it: what is missing is what was named.
fn lose_and_name(scene: &Scene<'_>, strike: impl FnOnce()) {
    let Scene { name, url, .. } = scene;
    let (mut server, address) = Server::spawn_at(scene.level, url, scene.settings).until_ready();
    stock_up(address, OPENING);
    // Long before the fault: the replicas have these.
    let left = Cell::new(EARLY);
    let early = shop(address, CALLERS, || {
        left.replace(left.get().saturating_sub(1)) > 0
    });
    let is_over = AtomicBool::new(false);
    let late: Vec<String> = std::thread::scope(|scope| {
        let (is_over, load) = (&is_over, Load(&is_over));
        let callers: Vec<_> = (0..CALLERS)
            .map(|name| {
                scope.spawn(move || shop(address, name, || !is_over.load(Ordering::Relaxed)))
            })
            .collect();
        pause(Duration::from_millis(500));
        strike();
        until("the loss is not noticed", || is_quarantined(address));
        assert_eq!(status(address, "/readyz"), 503);
        drop(load);
        callers
            .into_iter()
            .flat_map(|caller| caller.join().unwrap())
            .collect()
    });
    let granted = [early, late].concat();
    let look = || doctor(&["--store", url]);
    until("doctor does not name it", || look().1.contains("lost: "));
    let (is_well, said) = look();
    assert!(!is_well, "{said}");
    let loss = name_of_the_loss(&said);
    let (is_well, said) = doctor(&["--store", url, "--accept-loss", &loss]);
    assert!(is_well, "{said}");
    until("it does not go on", || status(address, "/readyz") == 200);
    let mut wire = Wire::connect(address).unwrap();
    let lost: BTreeSet<String> = { granted.iter() }
        .filter(|id| is_missing(&mut wire, id))
        .cloned()
        .collect();
    assert_eq!(reserve(&mut wire, "afterwards").unwrap().status, 201);
    let (ended, log) = server.stop();
    assert!(ended.success(), "{ended}:\n{log}");
    println!("{name}: {} granted, {} lost", granted.len(), lost.len());
    assert!(!lost.is_empty(), "the control must lose something:\n{log}");
    assert!(lost.len() < granted.len(), "what was copied is there");
    let named = named(&log);
    assert_eq!(
        named.difference(&lost).count(),
        0,
        "named, and there:\n{log}"
    );
    assert_eq!(
        lost.difference(&named).count(),
        0,
        "missing, not named:\n{log}"
    );
}

/// Level `memory`, and a primary that is cut off together with the client.
fn memory(kind: Kind) {
    let stack = Stack::start(kind);
    let scene = Scene {
        name: format!("{kind:?}, memory"),
        url: stack.url(),
        level: "memory",
        settings: &[],
    };
    lose_and_name(&scene, || {
        let side = [stack.stores[0].address, CLIENT];
        stack.net.cut(&side, &stack.others(&side));
        stack.moved();
        stack.net.heal();
    });
}

/// Level `replica` with one replica waited for where two could be promoted, accepted by name: the
/// primary's machine dies while the one that will be promoted lags.
fn too_few_replicas(kind: Kind) {
    let mut stack = Stack::start(kind);
    let scene = Scene {
        name: format!("{kind:?}, too few replicas"),
        url: stack.url(),
        level: "replica",
        settings: &[
            ("HOLDFAST_REMOTE__REPLICAS", "1"),
            ("HOLDFAST_REMOTE__ACCEPT", "promotable"),
        ],
    };
    lose_and_name(&scene, || {
        let lagging = stack.stores[2].address;
        stack.net.cut(&[stack.stores[0].address], &[lagging]);
        stack.until_behind(lagging);
        pause(Duration::from_millis(300));
        stack.die();
        stack.net.heal();
        assert_eq!(stack.moved(), 2, "the complete one was promoted");
    });
}

/// Level `memory` over a cluster: a primary that has gone on alone dies, and its replica takes over.
fn memory_in_a_cluster(kind: Kind) {
    let mut nodes = Nodes::start_replicated(kind);
    let scene = Scene {
        name: format!("{kind:?}, memory in a cluster"),
        url: nodes.address(),
        level: "memory",
        settings: &[],
    };
    lose_and_name(&scene, || {
        let at = nodes.holder("hot");
        nodes.go_on_alone(at);
        until_worked(&nodes, at);
        nodes.nodes[at].kill();
        nodes.until_promoted(at);
    });
}

#[test]
fn memory_loses_what_a_cut_off_primary_acknowledged_and_every_command_is_named() {
    for round in 0..rounds_wanted() {
        memory(Kind::ALL[round % 2]);
    }
}

#[test]
fn waiting_for_fewer_replicas_than_could_be_promoted_loses_and_every_command_is_named() {
    for round in 0..rounds_wanted() {
        too_few_replicas(Kind::ALL[(round + 1) % 2]);
    }
}

#[test]
fn a_replica_that_lags_in_a_cluster_loses_and_every_command_is_named() {
    for round in 0..rounds_wanted() {
        memory_in_a_cluster(Kind::ALL[round % 2]);
    }
}
