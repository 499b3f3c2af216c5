//! The control: level `memory` loses what a cut-off primary went on acknowledging. The instance
//! notices at the first contact with the new one, stops, and lists exactly what is missing.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use holdfast::clock::monotonic;
use serde_json::{Value, json};

use crate::net::CLIENT;
use crate::server::{pause, run};
use crate::stack::Stack;
use crate::support::server::Kind;
use crate::wire::{Reply, Wire};
use crate::{Load, rounds_wanted, stock_up};

/// Enough for every reservation.
const OPENING: i64 = 1_000_000_000;

const CALLERS: usize = 6;

/// Between two calls of a caller: some thousand are enough, and each is looked for afterwards.
const PACE: Duration = Duration::from_millis(5);

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

fn lose_and_name(kind: Kind) {
    let stack = Stack::start(kind);
    let (mut server, address) = stack.serve("memory");
    stock_up(address, OPENING);
    let is_over = AtomicBool::new(false);
    let granted: Vec<String> = std::thread::scope(|scope| {
        let (is_over, load) = (&is_over, Load(&is_over));
        let callers: Vec<_> = (0..CALLERS)
            .map(|name| {
                scope.spawn(move || shop(address, name, || !is_over.load(Ordering::Relaxed)))
            })
            .collect();
        pause(Duration::from_millis(500));
        let side = [stack.stores[0].address, CLIENT];
        stack.net.cut(&side, &stack.others(&side));
        stack.moved();
        stack.net.heal();
        until("the loss is not noticed", || {
            status(address, "/readyz") == 503
        });
        let quarantined = || status(address, "/v1/stock/hot") == 503;
        until("reads do not say so", quarantined);
        drop(load);
        callers
            .into_iter()
            .flat_map(|caller| caller.join().unwrap())
            .collect()
    });
    let url = stack.url();
    let (is_well, said) = doctor(&["--store", &url]);
    assert!(!is_well, "{said}");
    let loss = name_of_the_loss(&said);
    let (is_well, said) = doctor(&["--store", &url, "--accept-loss", &loss]);
    assert!(is_well, "{said}");
    until("it does not go on", || status(address, "/readyz") == 200);
    let mut wire = Wire::connect(address).unwrap();
    let lost: BTreeSet<String> = { granted.iter() }
        .filter(|id| wire.get(&format!("/v1/reservations/{id}")).unwrap().status == 404)
        .cloned()
        .collect();
    assert_eq!(reserve(&mut wire, "afterwards").unwrap().status, 201);
    let (ended, log) = server.stop();
    assert!(ended.success(), "{ended}:\n{log}");
    println!("{kind:?}: {} granted, {} lost", granted.len(), lost.len());
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

#[test]
fn memory_loses_what_a_cut_off_primary_acknowledged_and_every_command_is_named() {
    for round in 0..rounds_wanted() {
        lose_and_name(Kind::ALL[round % 2]);
    }
}
