//! A cluster of three primaries, alone or with a replica each.

use std::time::Duration;

use holdfast::clock::monotonic;

use super::server::Kind;
use super::store::{Store, free_port};

/// Slots of every cluster.
const SLOTS: u16 = 16_384;

/// Primaries of every cluster at its start.
const PRIMARIES: usize = 3;

/// With a replica each: a dead primary is replaced soon, by a replica however far it is behind.
const REPLICATED: [&str; 8] = [
    "--cluster-node-timeout",
    "2000",
    "--cluster-replica-validity-factor",
    "0",
    "--repl-diskless-sync-delay",
    "0",
    "--maxmemory",
    "1gb",
];

pub(crate) struct Nodes {
    kind: Kind,
    /// The first three are the primaries at the start; the replica of each, where it has one, is as
    /// far behind it.
    pub(crate) nodes: Vec<Store>,
}

impl Nodes {
    pub(crate) fn start(kind: Kind) -> Self {
        Self::start_with(kind, PRIMARIES, &[])
    }

    /// Every primary has a replica.
    pub(crate) fn start_replicated(kind: Kind) -> Self {
        let cluster = Self::start_with(kind, 2 * PRIMARIES, &REPLICATED);
        let (primaries, replicas) = cluster.nodes.split_at(PRIMARIES);
        for (primary, replica) in primaries.iter().zip(replicas) {
            let name = name(primary);
            let is_known = |all: &String| all.contains(&name);
            replica.until(&["CLUSTER", "NODES"], is_known);
            replica.tell(&["CLUSTER", "REPLICATE", &name]);
        }
        for at in 0..PRIMARIES {
            cluster.until_copied(at, PRIMARIES + at);
        }
        cluster
    }

    fn start_with(kind: Kind, count: usize, more: &[&str]) -> Self {
        let start = |_| {
            let bus = free_port().to_string();
            let settings = [
                ["--cluster-enabled", "yes"],
                ["--cluster-port", &bus],
                ["--cluster-allow-replica-migration", "no"],
                ["--cluster-require-full-coverage", "no"],
            ];
            Store::start(kind, &[&settings.concat(), more].concat())
        };
        let nodes: Vec<Store> = (0..count).map(start).collect();
        let cluster = Self { kind, nodes };
        cluster.join();
        cluster
    }

    /// Waits until one node is a primary and another its replica with a copy of everything.
    pub(crate) fn until_copied(&self, primary: usize, replica: usize) {
        let question = ["INFO", "replication"];
        let follows = |info: &String| info.contains("master_link_status:up");
        self.nodes[replica].until(&question, follows);
        let leads = |info: &String| info.contains("role:master") && info.contains("state=online");
        self.nodes[primary].until(&question, leads);
    }

    /// Deals the slots out and makes the nodes known to each other.
    fn join(&self) {
        let share = SLOTS / 3 + 1;
        for (at, node) in (0_u16..).zip(&self.nodes[..PRIMARIES]) {
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
                ranges.len() == PRIMARIES
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

    /// Units of work that a node has done for the ledger: the last sequences of its partitions.
    pub(crate) fn work_of(&self, node: usize) -> u64 {
        let node = &self.nodes[node];
        let metas: Vec<String> = node.ask(&["KEYS", "hf4:*:meta"]).unwrap();
        // One that is a replica by now does not tell.
        let sequence = |meta: &String| {
            let told = node.ask::<Option<u64>>(&["HGET", meta, "seq"]);
            told.unwrap_or_default()
        };
        metas.iter().filter_map(sequence).sum()
    }

    /// All records of the ledger, as its primaries keep them.
    pub(crate) fn records(&self) -> Vec<(u128, Vec<u8>)> {
        let mut all = Vec::new();
        for node in &self.nodes {
            let keys: Vec<String> = node.ask(&["KEYS", "hf4:*:records"]).unwrap();
            for key in keys {
                // A replica does not tell.
                let records: Vec<(Vec<u8>, Vec<u8>)> =
                    node.ask(&["HGETALL", &key]).unwrap_or_default();
                let id = |id: Vec<u8>| u128::from_be_bytes(id.try_into().unwrap());
                all.extend(records.into_iter().map(|(it, record)| (id(it), record)));
            }
        }
        all
    }

    /// SKUs whose stock a node has, by keys like this, and the others.
    pub(crate) fn split(
        &self,
        node: usize,
        keys: &str,
        skus: &[String],
    ) -> (Vec<String>, Vec<String>) {
        let node = &self.nodes[node];
        let stocks: Vec<String> = node.ask(&["KEYS", keys]).unwrap();
        let is_here = |sku: &String| {
            let mut stocks = stocks.iter();
            stocks.any(|key| node.ask(&["HEXISTS", key, sku]).unwrap())
        };
        skus.iter().cloned().partition(is_here)
    }

    /// The node that serves the stock of a SKU.
    pub(crate) fn holder(&self, sku: &str) -> usize {
        let has = |node: &Store| {
            let stocks: Vec<String> = node.ask(&["KEYS", "hf4:*:stock"]).unwrap();
            // A replica does not tell.
            let is_there = |key: &String| node.ask(&["HEXISTS", key, sku]).unwrap_or(false);
            stocks.iter().any(is_there)
        };
        self.nodes.iter().position(has).unwrap()
    }

    /// The other one of a primary and its replica.
    pub(crate) const fn partner(node: usize) -> usize {
        (node + PRIMARIES) % (2 * PRIMARIES)
    }

    /// Cuts a primary off from its replica for good; both go on.
    pub(crate) fn go_on_alone(&self, primary: usize) {
        let (leader, replica) = (&self.nodes[primary], &self.nodes[Self::partner(primary)]);
        // A link that is up carries nothing yet before the replica has said for the first time, once
        // a second, how far it is.
        replica.until(&["DBSIZE"], |keys: &u64| *keys > 0);
        leader.tell(&["ACL", "SETUSER", "default", "-psync", "-sync"]);
        leader.tell(&["CLIENT", "KILL", "TYPE", "REPLICA"]);
        let is_alone = |info: &String| info.contains("master_link_status:down");
        replica.until(&["INFO", "replication"], is_alone);
    }

    /// Has the replica of this primary take over while that is well. An attempt gives up after five
    /// seconds, for instance where the others have voted on the same primary just before.
    pub(crate) fn hand_over(&self, primary: usize) {
        const ATTEMPT: Duration = Duration::from_secs(6);
        let replica = &self.nodes[Self::partner(primary)];
        let is_done = || {
            let info: String = replica.ask(&["INFO", "replication"]).unwrap();
            info.contains("role:master")
        };
        for _ in 0..10 {
            replica.tell(&["CLUSTER", "FAILOVER"]);
            let begun = monotonic();
            while begun.elapsed() < ATTEMPT {
                if is_done() {
                    return;
                }
                std::thread::park_timeout(Duration::from_millis(20));
            }
        }
        panic!("node {primary} is not replaced");
    }

    /// Waits until the replica of this primary has taken over. Returns which one that is.
    pub(crate) fn until_promoted(&self, primary: usize) -> usize {
        let replica = Self::partner(primary);
        let promoted = |info: &String| info.contains("role:master");
        self.nodes[replica].until(&["INFO", "replication"], promoted);
        replica
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
        let (from, to) = (&self.nodes[from], &self.nodes[(from + 1) % PRIMARIES]);
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
