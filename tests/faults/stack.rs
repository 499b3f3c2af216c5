//! A primary, two replicas and three Sentinels, each on a host of its own.

use std::net::{Ipv4Addr, SocketAddr};

use crate::net::{CLIENT, Net};
use crate::server::Server;
use crate::support::server::Kind;
use crate::support::store::Store;

/// A server or Sentinel and its host.
#[derive(Debug)]
pub(crate) struct Host {
    pub(crate) address: Ipv4Addr,
    pub(crate) store: Store,
}

#[derive(Debug)]
pub(crate) struct Stack {
    pub(crate) net: Net,
    /// The first one is the primary at the start.
    pub(crate) stores: Vec<Host>,
    pub(crate) sentinels: Vec<Host>,
}

/// As the preflight demands it.
const SETTINGS: [&str; 8] = [
    "--repl-diskless-sync-delay",
    "0",
    "--min-replicas-to-write",
    "1",
    "--maxmemory",
    "1gb",
    "--appendonly",
    "no",
];

fn start(kind: Kind, net: &mut Net) -> Host {
    let address = net.address();
    let own = address.to_string();
    let announced = ["--replica-announce-ip", &own, "--bind-source-addr", &own];
    let store = Store::start(kind, &[&SETTINGS[..], &announced].concat());
    net.listen(address, store.port());
    Host { address, store }
}

fn watch(kind: Kind, net: &mut Net, primary: &Host) -> Host {
    let address = net.address();
    let (at, port) = (primary.address, primary.store.port());
    let lines = [
        format!("sentinel monitor shop {at} {port} 2"),
        "sentinel down-after-milliseconds shop 5000".to_owned(),
        "sentinel failover-timeout shop 10000".to_owned(),
        format!("sentinel announce-ip {address}"),
        format!("bind-source-addr {address}"),
    ];
    let store = Store::start_sentinel_with(kind, &lines);
    net.listen(address, store.port());
    Host { address, store }
}

impl Stack {
    pub(crate) fn start(kind: Kind) -> Self {
        let mut net = Net::new();
        let stores: Vec<Host> = (0..3).map(|_| start(kind, &mut net)).collect();
        for replica in &stores[1..] {
            follow(&replica.store, &stores[0]);
        }
        let online = |info: &String| info.matches("state=online").count() == 2;
        stores[0].store.until(&["INFO", "replication"], online);
        // The one whose link is taken down where one lags: the worst choice, made certain.
        let first = ["CONFIG", "SET", "replica-priority", "1"];
        stores[2].store.tell(&first);
        let sentinels: Vec<Host> = (0..3).map(|_| watch(kind, &mut net, &stores[0])).collect();
        for sentinel in &sentinels {
            for (question, wanted) in [("REPLICAS", 2), ("SENTINELS", 2)] {
                let known = |all: &Vec<redis::Value>| all.len() == wanted;
                sentinel.store.until(&["SENTINEL", question, "shop"], known);
            }
        }
        Self {
            net,
            stores,
            sentinels,
        }
    }

    /// Address of the ledger: all Sentinels.
    pub(crate) fn url(&self) -> String {
        let places = self.sentinels.iter();
        let places = places.map(|host| format!("{}:{}", host.address, host.store.port()));
        let places: Vec<String> = places.collect();
        format!("redis+sentinel://{}/shop", places.join(","))
    }

    /// An instance at a level, and where it listens.
    pub(crate) fn serve(&self, level: &str, settings: &[(&str, &str)]) -> (Server, SocketAddr) {
        Server::spawn_at(level, &self.url(), settings).until_ready()
    }

    /// Every host but these, and the client.
    pub(crate) fn others(&self, side: &[Ipv4Addr]) -> Vec<Ipv4Addr> {
        let hosts = self.stores.iter().chain(&self.sentinels);
        let hosts = hosts.map(|host| host.address).chain([CLIENT]);
        hosts.filter(|address| !side.contains(address)).collect()
    }

    /// Waits until all Sentinels name another primary than the first, and it says so itself.
    /// Returns which one that is.
    pub(crate) fn moved(&self) -> usize {
        let first = self.stores[0].store.port().to_string();
        let question = ["SENTINEL", "GET-MASTER-ADDR-BY-NAME", "shop"];
        for sentinel in &self.sentinels {
            let is_other = |place: &Vec<String>| place.last() != Some(&first);
            sentinel.store.until(&question, is_other);
        }
        let place: Vec<String> = self.sentinels[0].store.ask(&question).unwrap();
        let is_it = |host: &Host| Some(&host.store.port().to_string()) == place.last();
        let at = self.stores.iter().position(is_it).unwrap();
        let promoted = |info: &String| info.contains("role:master");
        self.stores[at]
            .store
            .until(&["INFO", "replication"], promoted);
        at
    }

    /// Waits until the first primary has written what this replica does not have.
    pub(crate) fn until_behind(&self, replica: Ipv4Addr) {
        let of = |info: &str, name: &str| -> Option<u64> {
            let (_, rest) = info.split_once(name)?;
            let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
            digits.parse().ok()
        };
        let is_behind = |info: &String| {
            let line = info
                .lines()
                .find(|line| line.contains(&replica.to_string()));
            let copied = line.and_then(|line| of(line, "offset="));
            copied < of(info, "master_repl_offset:")
        };
        self.stores[0]
            .store
            .until(&["INFO", "replication"], is_behind);
    }

    /// Waits until the first primary follows the new one.
    pub(crate) fn is_back(&self, primary: usize) {
        let online = |info: &String| info.matches("state=online").count() == 2;
        let question = ["INFO", "replication"];
        self.stores[primary].store.until(&question, online);
        let demoted = |info: &String| info.contains("role:slave");
        self.stores[0].store.until(&question, demoted);
    }

    /// The machine of the first primary dies, with everything that was on its way.
    pub(crate) fn die(&mut self) {
        self.net.die(self.stores[0].address);
        self.stores[0].store.kill();
    }

    /// Starts the first primary again, after it was killed, as a replica of the new one.
    pub(crate) fn bring_back(&mut self, primary: usize) {
        self.net.revive(self.stores[0].address);
        let leader = &self.stores[primary];
        let (at, port) = (leader.address.to_string(), leader.store.port().to_string());
        self.stores[0]
            .store
            .restart_with(&["--replicaof", &at, &port]);
    }
}

fn follow(replica: &Store, primary: &Host) {
    let (at, port) = (
        primary.address.to_string(),
        primary.store.port().to_string(),
    );
    replica.tell(&["REPLICAOF", &at, &port]);
    let up = |info: &String| info.contains("master_link_status:up");
    replica.until(&["INFO", "replication"], up);
}
