//! A cluster of three nodes.

use std::time::Duration;

use holdfast::clock::monotonic;

use crate::server::Kind;
use crate::store::{Store, free_port};

/// Slots of every cluster.
const SLOTS: u16 = 16_384;

pub(crate) struct Nodes {
    kind: Kind,
    nodes: Vec<Store>,
}

impl Nodes {
    pub(crate) fn start(kind: Kind) -> Self {
        let start = |_| {
            let bus = free_port().to_string();
            let settings = [
                ["--cluster-enabled", "yes"],
                ["--cluster-port", &bus],
                ["--cluster-allow-replica-migration", "no"],
                ["--cluster-require-full-coverage", "no"],
            ];
            Store::start(kind, &settings.concat())
        };
        let nodes: Vec<Store> = (0..3).map(start).collect();
        let cluster = Self { kind, nodes };
        cluster.join();
        cluster
    }

    /// Deals the slots out and makes the nodes known to each other.
    fn join(&self) {
        let share = SLOTS / 3 + 1;
        for (at, node) in (0_u16..).zip(&self.nodes) {
            let first = at * share;
            let last = (first + share - 1).min(SLOTS - 1);
            node.tell(&[
                "CLUSTER",
                "ADDSLOTSRANGE",
                &first.to_string(),
                &last.to_string(),
            ]);
            node.tell(&["CLUSTER", "SET-CONFIG-EPOCH", &(at + 1).to_string()]);
        }
        for other in &self.nodes[1..] {
            let bus: String = other.ask(&["CONFIG", "GET", "cluster-port"]).map_or_else(
                |error| panic!("{error}"),
                |pair: Vec<String>| pair[1].clone(),
            );
            let port = other.port().to_string();
            self.nodes[0].tell(&["CLUSTER", "MEET", "127.0.0.1", &port, &bus]);
        }
        for node in &self.nodes {
            node.until(&["CLUSTER", "SLOTS"], |ranges: &Vec<redis::Value>| {
                ranges.len() == self.nodes.len()
            });
            node.until(&["CLUSTER", "INFO"], |info: &String| {
                info.contains("cluster_state:ok")
            });
        }
    }

    /// As `--store` takes it; not all nodes are named.
    pub(crate) fn address(&self) -> String {
        let [first, second, ..] = &*self.nodes else {
            panic!("three nodes");
        };
        let (first, second) = (first.port(), second.port());
        format!("redis+cluster://127.0.0.1:{first},127.0.0.1:{second}")
    }

    /// The slot of a key, and the place of the node that serves it.
    fn served(&self, key: &str) -> (u16, usize) {
        let slot: u16 = self.nodes[0].ask(&["CLUSTER", "KEYSLOT", key]).unwrap();
        let share = SLOTS / 3 + 1;
        (slot, usize::from(slot / share))
    }

    /// Moves the slot of a key, which was never moved before, to the next node.
    pub(crate) fn move_slot(&self, key: &str) {
        let (slot, from) = self.served(key);
        let (from, to) = (
            &self.nodes[from],
            &self.nodes[(from + 1) % self.nodes.len()],
        );
        match self.kind {
            Kind::Redis => move_by_keys(&slot.to_string(), from, to),
            Kind::Valkey => move_at_once(&slot.to_string(), from, to),
        }
    }
}

fn name(node: &Store) -> String {
    node.ask(&["CLUSTER", "MYID"]).unwrap()
}

/// In one step, as Valkey has it since version 9.
fn move_at_once(slot: &str, from: &Store, to: &Store) {
    let range = ["CLUSTER", "MIGRATESLOTS", "SLOTSRANGE", slot, slot];
    from.tell(&[&range[..], &["NODE", &name(to)]].concat());
    let count = ["CLUSTER", "COUNTKEYSINSLOT", slot];
    from.until(&count, |keys: &u64| *keys == 0);
    to.until(&count, |keys: &u64| *keys > 0);
}

/// Key by key, as servers of every version can.
fn move_by_keys(slot: &str, from: &Store, to: &Store) {
    to.tell(&["CLUSTER", "SETSLOT", slot, "IMPORTING", &name(from)]);
    from.tell(&["CLUSTER", "SETSLOT", slot, "MIGRATING", &name(to)]);
    let port = to.port().to_string();
    let started = monotonic();
    loop {
        let keys: Vec<String> = from.ask(&["CLUSTER", "GETKEYSINSLOT", slot, "1"]).unwrap();
        let [key] = &*keys else { break };
        from.tell(&["MIGRATE", "127.0.0.1", &port, key, "0", "5000"]);
        assert!(started.elapsed() < Duration::from_secs(30), "{key} stays");
    }
    for node in [to, from] {
        node.tell(&["CLUSTER", "SETSLOT", slot, "NODE", &name(to)]);
    }
}
