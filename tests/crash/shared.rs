//! Two instances over one store: one of them is killed under load, the other goes on.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::client::Client;
use crate::judge::judge;
use crate::rng::Rng;
use crate::server::{Server, pause, verify_with};
use crate::store;
use crate::wire::Wire;
use crate::{OPENING, clients, cycles_wanted, stock_up};

/// Each server has one of so many kills.
const SHARE: u64 = 20;

type Instance = (Server, SocketAddr);

fn start(url: &str) -> Instance {
    Server::spawn_over(url).until_ready()
}

/// Load on both, then the end of one; a moment later the callers of the other stop.
fn load_and_end<T>(
    instances: &mut [Instance; 2],
    victim: usize,
    clients: &mut [Client],
    ms: u64,
    end: fn(&mut Server) -> T,
) -> T {
    let is_over = AtomicBool::new(false);
    let addresses = instances.each_ref().map(|(_, address)| *address);
    std::thread::scope(|scope| {
        for (at, client) in clients.iter_mut().enumerate() {
            let (address, is_over) = (addresses[at % 2], &is_over);
            scope.spawn(move || {
                if let Ok(mut wire) = Wire::connect(address) {
                    client.work(&mut wire, || !is_over.load(Ordering::Relaxed));
                }
            });
        }
        pause(Duration::from_millis(ms));
        let ended = end(&mut instances[victim].0);
        pause(Duration::from_millis(ms / 4));
        is_over.store(true, Ordering::Relaxed);
        ended
    })
}

fn survive(kind: store::Kind, seed: u64) {
    let store = store::Server::start(kind);
    let url = store.url();
    let mut rng = Rng::new(seed);
    let mut clients = clients(seed);
    let first = start(&url);
    stock_up(first.1);
    let mut instances = [first, start(&url)];
    let cycles = cycles_wanted().div_ceil(SHARE);
    for cycle in 0..cycles {
        let victim = rng.index(2);
        let load = rng.between(40, 400);
        let log = load_and_end(&mut instances, victim, &mut clients, load, Server::kill);
        // By the one that goes on, and by one that was not there.
        let (_, survivor) = instances[1 - victim];
        let faults = judge(survivor, &mut clients, OPENING);
        assert!(
            faults.is_empty(),
            "{kind:?}, cycle {cycle}: {faults:#?}\nkilled server said:\n{log}"
        );
        instances[victim] = start(&url);
        let faults = judge(instances[victim].1, &mut clients, OPENING);
        assert!(faults.is_empty(), "{kind:?}, cycle {cycle}: {faults:#?}");
    }
    let unknown: u64 = clients.iter().map(|client| client.unknown).sum();
    assert!(unknown >= cycles, "kills hit calls in flight");
    for (server, _) in &mut instances {
        let (status, log) = server.stop();
        assert!(status.success(), "{status}:\n{log}");
    }
    let (clean, said) = verify_with(&["--store", &url, "--durability", "memory"]);
    assert!(clean, "{said}");
}

#[test]
fn what_instances_over_a_store_acknowledged_survives_each_of_them() {
    survive(store::Kind::Redis, 7);
    survive(store::Kind::Valkey, 8);
}

#[test]
fn an_instance_that_is_told_to_stop_under_load_loses_nothing() {
    let store = store::Server::start(store::Kind::Valkey);
    let url = store.url();
    let mut clients = clients(9);
    let first = start(&url);
    stock_up(first.1);
    let mut instances = [first, start(&url)];
    let (status, log) = load_and_end(&mut instances, 0, &mut clients, 300, Server::stop);
    assert!(status.success(), "{status}:\n{log}");
    let unknown: u64 = clients.iter().map(|client| client.unknown).sum();
    let faults = judge(instances[1].1, &mut clients, OPENING);
    assert!(faults.is_empty(), "{unknown} unknown: {faults:#?}\n{log}");
}
