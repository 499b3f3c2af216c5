//! What operators, and a machine that is full, do to a store under load: no answer is lost, nothing
//! is promised twice, and no key is answered twice differently.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::client::Client;
use crate::judge::{Faults, judge};
use crate::server::{Server, pause};
use crate::support::server::Kind;
use crate::support::store::Store;
use crate::{Load, rounds_wanted, stock_up};

/// Units of every SKU at the start.
const OPENING: i64 = 400;

/// How often a fault is made in each round.
const TIMES: usize = 5;

const META: &str = "hf4:{0}:meta";
const RECORDS: &str = "hf4:{0}:records";

/// A store, and a replica where the level needs one.
struct Stores {
    primary: Store,
    replica: Option<Store>,
}

impl Stores {
    fn start(kind: Kind, level: &str) -> Self {
        let settings = ["--repl-diskless-sync-delay", "0"];
        let primary = Store::start(kind, &settings);
        let replica = (level == "replica").then(|| {
            let replica = Store::start(kind, &settings);
            replica.follow(&primary);
            primary.tell(&["CONFIG", "SET", "min-replicas-to-write", "1"]);
            replica
        });
        Self { primary, replica }
    }

    fn serve(&self, level: &str) -> (Server, SocketAddr) {
        let url = format!("redis://127.0.0.1:{}", self.primary.port());
        let settings = [("HOLDFAST_REMOTE__REPLICAS", "1")];
        let used = usize::from(self.replica.is_some());
        Server::spawn_at(level, &url, &settings[..used]).until_ready()
    }

    fn sequence(&self) -> u64 {
        self.primary.ask(&["HGET", META, "seq"]).unwrap()
    }

    /// Waits until the load has changed that much more.
    fn until_changed(&self, times: u64) {
        let wanted = self.sequence() + times;
        let reached = |sequence: &u64| *sequence >= wanted;
        self.primary.until(&["HGET", META, "seq"], reached);
    }

    /// How often the store answered with this error.
    fn refusals(&self, code: &str) -> u64 {
        let info: String = self.primary.ask(&["INFO", "errorstats"]).unwrap();
        let name = format!("errorstat_{code}:count=");
        let line = info.lines().find_map(|line| line.strip_prefix(&name));
        line.map_or(0, |count| count.trim().parse().unwrap())
    }

    /// Waits until it does so again.
    fn until_refused(&self, code: &str, before: u64) {
        let begun = holdfast::clock::monotonic();
        while self.refusals(code) == before {
            let waits = begun.elapsed();
            assert!(waits < Duration::from_secs(30), "{code} never came");
            pause(Duration::from_millis(1));
        }
    }
}

/// Two instances under load while something is done to their store; what the judge finds
/// afterwards, through either.
fn under_load(
    kind: Kind,
    level: &str,
    harm: impl Fn(&Stores),
    afterwards: impl Fn(&Stores),
) -> Faults {
    let stores = Stores::start(kind, level);
    let (mut one, at_one) = stores.serve(level);
    stock_up(at_one, OPENING);
    let (mut other, at_other) = stores.serve(level);
    let mut clients: Vec<Client> = (0..6).map(|n| Client::new(&format!("c{n}"), n)).collect();
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let load = Load(&is_over);
        for (at, client) in clients.iter_mut().enumerate() {
            let (address, is_over) = ([at_one, at_other][at % 2], &is_over);
            scope.spawn(move || client.persist(address, |_| !is_over.load(Ordering::Relaxed)));
        }
        stores.until_changed(200);
        harm(&stores);
        stores.until_changed(50);
        drop(load);
    });
    afterwards(&stores);
    let mut faults = judge(at_one, &mut clients, OPENING);
    faults.extend(judge(at_other, &mut clients, OPENING));
    for server in [&mut one, &mut other] {
        let (status, log) = server.stop();
        assert!(status.success(), "{status}:\n{log}");
    }
    faults
}

fn survives(level: &str, harm: impl Fn(&Stores)) {
    for kind in Kind::ALL {
        let again_and_again = |stores: &Stores| {
            for _ in 0..TIMES * rounds_wanted() {
                harm(stores);
                stores.until_changed(20);
            }
        };
        let faults = under_load(kind, level, again_and_again, |_| {});
        assert!(faults.is_empty(), "{kind:?}: {faults:#?}");
    }
}

#[test]
fn scripts_that_are_flushed_under_load_cost_nothing() {
    survives("memory", |stores| {
        let before = stores.refusals("NOSCRIPT");
        stores.primary.tell(&["SCRIPT", "FLUSH"]);
        stores.until_refused("NOSCRIPT", before);
    });
}

#[test]
fn connections_that_are_killed_under_load_cost_nothing() {
    survives("memory", |stores| {
        let killed: u64 = stores
            .primary
            .ask(&["CLIENT", "KILL", "TYPE", "normal"])
            .unwrap();
        assert!(killed > 0, "nobody was connected");
    });
}

#[test]
fn a_store_that_is_paused_under_load_goes_on_where_it_was() {
    survives("memory", |stores| {
        stores.primary.tell(&["CLIENT", "PAUSE", "60000", "WRITE"]);
        let stands = stores.sequence();
        pause(Duration::from_millis(100));
        assert_eq!(stores.sequence(), stands, "it is not paused");
        stores.primary.tell(&["CLIENT", "UNPAUSE"]);
    });
}

/// Reservations are refused as if nothing had happened; what gives back goes on.
fn fill(stores: &Stores) {
    let before = stores.refusals("OOM");
    stores.primary.tell(&["CONFIG", "SET", "maxmemory", "1"]);
    stores.until_refused("OOM", before);
    stores.until_changed(5);
    stores.primary.tell(&["CONFIG", "SET", "maxmemory", "0"]);
}

#[test]
fn a_store_that_is_full_under_load_promises_nothing_and_takes_back() {
    survives("memory", fill);
}

#[test]
fn a_full_primary_with_a_replica_does_the_same() {
    survives("replica", fill);
}

/// The control: what was promised since then is forgotten, and the judge must say so.
#[test]
fn promises_that_a_store_forgets_are_noticed() {
    const COPY: &str = "hf4:{0}:copy";
    for kind in Kind::ALL {
        let keep = |stores: &Stores| stores.primary.tell(&["COPY", RECORDS, COPY]);
        let forget = |stores: &Stores| {
            stores.primary.tell(&["COPY", COPY, RECORDS, "REPLACE"]);
        };
        let faults = under_load(kind, "memory", keep, forget);
        assert!(
            !faults.is_empty(),
            "{kind:?}: forgotten promises went unnoticed"
        );
    }
}
