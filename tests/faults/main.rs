//! Faults of a store under load, with real processes: fail-overs, commands of operators, a machine
//! that is full, disks that are asked whether it is true, clocks that jump. Nothing that was acknowledged
//! is lost at its level; what level `memory` loses is noticed and named.
//!
//! `HOLDFAST_FAULT_ROUNDS` says how often each fault is made.

#![expect(clippy::unwrap_used, clippy::panic, reason = "test code")]
#![expect(
    clippy::print_stdout,
    reason = "what was answered and lost is counted, and shown on request"
)]

#[path = "../crash/client.rs"]
#[expect(dead_code, reason = "the tests of crashes use the rest of it")]
mod client;
mod clocks;
mod cluster;
mod commands;
mod disk;
mod failover;
#[path = "../crash/judge.rs"]
mod judge;
mod loss;
#[path = "../support/net.rs"]
mod net;
#[path = "../crash/server.rs"]
#[expect(dead_code, reason = "the tests of crashes use the rest of it")]
mod server;
mod stack;
#[path = "../crash/wire.rs"]
mod wire;

/// What these tests share with others.
#[path = "../support"]
mod support {
    pub(crate) mod amount;
    pub(crate) mod clock;
    #[expect(dead_code, reason = "the tests of the remote ledger move slots")]
    pub(crate) mod nodes;
    pub(crate) mod rng;
    #[expect(dead_code, reason = "only its programs are started, by `store`")]
    pub(crate) mod server;
    #[expect(dead_code, reason = "the tests of the link use the rest of it")]
    pub(crate) mod store;
    #[expect(dead_code, reason = "the tests of crashes use the rest of it")]
    pub(crate) mod trace;
}

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};

use client::{NODES, SKUS};
use serde_json::json;
use support::amount::asked;
use wire::Wire;

/// How often each fault is made: twice, or what `HOLDFAST_FAULT_ROUNDS` says.
fn rounds_wanted() -> usize {
    asked("HOLDFAST_FAULT_ROUNDS").unwrap_or(2)
}

/// Ends the load when it goes, also when a test fails meanwhile.
struct Load<'a>(&'a AtomicBool);

impl Drop for Load<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Sets every SKU to that many units, over its nodes.
fn stock_up(address: SocketAddr, opening: i64) {
    let half = opening / 2;
    let items = SKUS.iter().flat_map(|sku| {
        let item = move |node| json!({ "sku": sku, "node": node, "on_hand": half });
        NODES.iter().map(item)
    });
    let body = json!({ "items": items.collect::<Vec<_>>(), "reason": "opening" });
    let mut wire = Wire::connect(address).unwrap();
    let reply = wire.post("/v1/stock", "opening", &body).unwrap();
    assert_eq!(reply.status, 200, "{}", reply.body);
}
