//! Crashes of the real binary: kill -9 under load, at random moments, again and again; and ends that it
//! makes itself, where the kernel says that a write failed or the disk is full.
//!
//! `HOLDFAST_KILL_CYCLES` says how often it is killed. Nothing that was acknowledged may be lost, no key
//! may be answered twice differently, no unit may be promised twice.

#![expect(clippy::unwrap_used, clippy::panic, reason = "test code")]
#![expect(
    clippy::print_stdout,
    reason = "what was struck is counted, and shown on request"
)]

mod acks;
#[path = "../support/amount.rs"]
mod amount;
#[expect(dead_code, reason = "the tests of faults use the rest of it")]
mod client;
mod full;
mod io_errors;
mod judge;
mod life;
#[path = "../support/rng.rs"]
mod rng;
mod server;
mod shared;
#[path = "../support/server.rs"]
#[expect(dead_code, reason = "the programs here call the store themselves")]
mod store;
#[path = "../support/trace.rs"]
mod trace;
mod wire;

mod support {
    pub(crate) use crate::{rng, trace};
}

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use amount::asked;
use client::{Client, NODES, SKUS};
use judge::judge;
use rng::Rng;
use serde_json::json;
use server::{Server, pause, verify};
use wire::Wire;

/// Units of every SKU at the start, over its nodes.
const OPENING: i64 = 120;

fn stock_up(address: SocketAddr) {
    let half = OPENING / 2;
    let items = SKUS.iter().flat_map(|sku| {
        NODES
            .iter()
            .map(move |node| json!({ "sku": sku, "node": node, "on_hand": half }))
    });
    let body = json!({ "items": items.collect::<Vec<_>>(), "reason": "opening" });
    let reply = Wire::connect(address)
        .unwrap()
        .post("/v1/stock", "opening", &body)
        .unwrap();
    assert_eq!(reply.status, 200, "{}", reply.body);
}

/// Load for that long, then kill -9. Returns what the server said.
fn load_and_kill(
    server: &mut Server,
    address: SocketAddr,
    clients: &mut [Client],
    ms: u64,
) -> String {
    std::thread::scope(|scope| {
        for client in clients {
            scope.spawn(move || {
                if let Ok(mut wire) = Wire::connect(address) {
                    client.work(&mut wire, || true);
                }
            });
        }
        pause(Duration::from_millis(ms));
        server.kill()
    })
}

fn clients(seed: u64) -> Vec<Client> {
    (0..6)
        .map(|n| Client::new(&format!("c{n}"), seed + n))
        .collect()
}

fn cycles_wanted() -> u64 {
    asked("HOLDFAST_KILL_CYCLES").unwrap_or(200)
}

/// Ledgers that are killed side by side.
const LEDGERS: u64 = 4;

/// Milliseconds of load before a kill: mostly few, so that there are many kills.
fn load_time(rng: &mut Rng) -> u64 {
    let longest = if rng.percent(10) { 900 } else { 240 };
    rng.between(20, longest)
}

/// Starts and kills again while it starts; how often is drawn.
fn kill_while_starting(data: &Path, rng: &mut Rng) {
    while rng.percent(40) {
        let mut server = Server::spawn(data);
        pause(Duration::from_millis(rng.below(120)));
        server.kill();
    }
}

#[test]
fn acknowledged_changes_survive_kill_9() {
    std::thread::scope(|scope| {
        for ledger in 0..LEDGERS {
            scope.spawn(move || survive(ledger, cycles_wanted().div_ceil(LEDGERS)));
        }
    });
}

fn survive(ledger: u64, cycles: u64) {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let mut rng = Rng::new(20_261_123 + ledger);
    let mut clients = clients(1 + 10 * ledger);
    let (mut server, mut address) = Server::start(&data);
    stock_up(address);
    for cycle in 0..cycles {
        let load = load_time(&mut rng);
        let log = load_and_kill(&mut server, address, &mut clients, load);
        kill_while_starting(&data, &mut rng);
        (server, address) = Server::start(&data);
        let faults = judge(address, &mut clients, OPENING);
        assert!(
            faults.is_empty(),
            "ledger {ledger}, cycle {cycle}: {faults:#?}\nkilled server said:\n{log}"
        );
    }
    let answered: usize = clients.iter().map(|client| client.sent.len()).sum();
    let unknown: u64 = clients.iter().map(|client| client.unknown).sum();
    assert!(
        unknown >= cycles,
        "kills hit calls in flight: {unknown} of {answered}"
    );
    let (status, log) = server.stop();
    assert!(status.success(), "{status}:\n{log}");
    let (clean, said) = verify(&data);
    assert!(clean, "{said}");
}

/// The last bytes of the journal go, as if they had never been synced: acknowledged changes are
/// lost, and the check above must say so.
#[test]
fn lost_changes_are_noticed() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let mut clients = clients(100);
    let (mut server, address) = Server::start(&data);
    stock_up(address);
    load_and_kill(&mut server, address, &mut clients, 400);
    cut_journal(&data, 4_096);
    let mut server = Server::spawn(&data);
    // Refusing to start on such a journal would be noticing, too.
    if let Ok(address) = server.ready() {
        let faults = judge(address, &mut clients, OPENING);
        assert!(!faults.is_empty(), "lost changes went unnoticed");
    }
}

/// Takes the last written bytes of the newest segment back: zeros, as before they were written.
fn cut_journal(data: &Path, bytes: usize) {
    let mut segments: Vec<_> = std::fs::read_dir(data)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == "seg"))
        .collect();
    segments.sort();
    let mut left = bytes;
    for path in segments.iter().rev() {
        let mut content = std::fs::read(path).unwrap();
        let Some(last) = content.iter().rposition(|byte| *byte != 0) else {
            continue;
        };
        // The first page is the segment's header.
        let from = last.saturating_sub(left).max(4_096).min(last);
        content[from..=last].fill(0);
        std::fs::write(path, content).unwrap();
        left = left.saturating_sub(last - from);
        if left == 0 {
            return;
        }
    }
    panic!("the journal is shorter than {bytes} bytes");
}
