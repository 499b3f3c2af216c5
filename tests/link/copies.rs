//! Acknowledgements that need copies, and finding the primary.

use std::time::Duration;

use holdfast::ledger::{Durability, LedgerError};

use crate::counting::mute;
use crate::shop::{Setup, connections, effects, initialise, settled};
use crate::support::server::Kind;
use crate::support::store::Store;

/// A primary that holds a ledger, and its replica.
fn pair(kind: Kind) -> (Store, Store) {
    let primary = Store::start(kind, &["--repl-diskless-sync-delay", "0"]);
    let replica = Store::start(kind, &[]);
    initialise(&primary);
    replica.follow(&primary);
    (primary, replica)
}

fn at_replica(primary: &Store) -> Setup {
    Setup {
        durability: Durability::Replica,
        replicas: 1,
        wait: Duration::from_millis(20),
        limit: Duration::from_millis(60),
        ..Setup::at(primary.port())
    }
}

#[test]
fn with_the_replica_frozen_nothing_is_acknowledged_on_any_path() {
    for kind in Kind::ALL {
        let (primary, replica) = pair(kind);
        let shop = at_replica(&primary).open();
        settled(|| shop.count(0));
        replica.freeze();
        for id in 1..=20 {
            let fresh_connection = at_replica(&primary).open();
            for (path, asked) in [
                ("first call", &shop),
                ("duplicate", &shop),
                ("duplicate over a fresh connection", &fresh_connection),
            ] {
                assert_eq!(asked.count(id), Err(LedgerError::Unknown), "{path}");
            }
            primary.tell(&["CLIENT", "KILL", "TYPE", "normal"]);
            assert_eq!(shop.count(id), Err(LedgerError::Unknown), "reconnected");
        }
        assert_eq!(effects(&primary), (21, 21), "done, but not told");
        // The control: a wait without a write of its own connection proves nothing.
        assert_eq!(primary.ask(&["WAIT", "1", "20"]), Ok(1));
        replica.thaw();
        let patient = Setup {
            limit: Duration::from_secs(20),
            ..at_replica(&primary)
        }
        .open();
        for id in 1..=20 {
            settled(|| patient.count(id));
        }
        assert_eq!(effects(&primary), (21, 21));
        assert_eq!(effects(&replica), (21, 21));
    }
}

#[test]
fn a_script_that_writes_nothing_for_a_duplicate_would_be_acknowledged_too_early() {
    let kind = Kind::Valkey;
    let (primary, replica) = pair(kind);
    let script = mute();
    let mute = Setup {
        script,
        ..at_replica(&primary)
    };
    replica.freeze();
    assert_eq!(mute.open().count(1), Err(LedgerError::Unknown));
    // The control: over a fresh connection the wait has nothing to wait for.
    assert!(mute.open().count(1).is_ok());
    replica.thaw();
}

#[test]
fn fewer_replicas_than_configured_are_never_enough() {
    for kind in Kind::ALL {
        let (primary, _replica) = pair(kind);
        let shop = Setup {
            replicas: 2,
            ..at_replica(&primary)
        }
        .open();
        assert_eq!(shop.count(1), Err(LedgerError::Unknown));
    }
}

#[test]
fn replica_and_disk_needs_a_server_that_can_say_so() {
    for kind in Kind::ALL {
        let settings = ["--appendonly", "yes", "--appendfsync", "always"];
        let primary = Store::start(kind, &settings);
        let replica = Store::start(kind, &settings);
        initialise(&primary);
        replica.follow(&primary);
        let durability = Durability::ReplicaDisk;
        let limit = Duration::from_secs(5);
        let shop = Setup {
            durability,
            limit,
            ..at_replica(&primary)
        }
        .open();
        let knows: Vec<Option<redis::Value>> =
            primary.ask(&["COMMAND", "INFO", "WAITAOF"]).unwrap();
        if knows[0].is_none() {
            assert_eq!(shop.count(1), Err(LedgerError::Unavailable));
            continue;
        }
        settled(|| shop.count(1));
        replica.freeze();
        let hurried = Setup {
            durability,
            ..at_replica(&primary)
        }
        .open();
        assert_eq!(hurried.count(2), Err(LedgerError::Unknown));
        replica.thaw();
    }
}

#[test]
fn a_replica_is_never_written_to() {
    for kind in Kind::ALL {
        let (_primary, replica) = pair(kind);
        assert_eq!(
            Setup::at(replica.port()).open().count(1),
            Err(LedgerError::Unavailable)
        );
    }
}

/// A pair under a Sentinel, which knows of both.
struct Watched {
    primary: Store,
    replica: Store,
    sentinel: Store,
}

impl Watched {
    fn start(kind: Kind) -> Self {
        let (primary, replica) = pair(kind);
        let sentinel = Store::start_sentinel(kind, &primary);
        let question = ["SENTINEL", "REPLICAS", "shop"];
        sentinel.until(&question, |replicas: &Vec<redis::Value>| {
            !replicas.is_empty()
        });
        Self {
            primary,
            replica,
            sentinel,
        }
    }

    /// The first Sentinel of the address does not exist.
    fn setup(&self, name: &str) -> Setup {
        let port = self.sentinel.port();
        let address = format!("redis+sentinel://127.0.0.1:1,127.0.0.1:{port}/{name}");
        Setup {
            address,
            ..Setup::at(1)
        }
    }

    fn fail_over(&self) {
        // It refuses until it has heard from the replica itself.
        let order = ["SENTINEL", "FAILOVER", "shop"];
        self.sentinel.until(&order, |_: &redis::Value| true);
        let port = self.replica.port().to_string();
        let question = ["SENTINEL", "GET-MASTER-ADDR-BY-NAME", "shop"];
        self.sentinel
            .until(&question, |place: &Vec<String>| place.last() == Some(&port));
    }

    fn until_copied(&self, effects: u64) {
        let question = ["HGET", "{0}:meta", "effects"];
        self.replica
            .until(&question, |n: &Option<u64>| *n == Some(effects));
    }
}

#[test]
fn sentinels_are_asked_in_turn_and_again_after_a_failover() {
    for kind in Kind::ALL {
        let watched = Watched::start(kind);
        let unknown_name = watched.setup("other").open();
        assert_eq!(unknown_name.count(1), Err(LedgerError::Unavailable));
        let shop = watched.setup("shop").open();
        let first = shop.count(1).unwrap();
        watched.until_copied(1);
        watched.fail_over();
        let question = ["INFO", "replication"];
        watched
            .primary
            .until(&question, |info: &String| info.contains("role:slave"));
        // An old connection may be good, and lead to what is now a replica.
        assert_eq!(settled(|| shop.count(1)), first);
        settled(|| shop.count(2));
        assert_eq!(effects(&watched.replica), (2, 2));
    }
}

#[test]
fn a_replaced_primary_that_does_not_know_it_is_left_when_a_sentinel_says_so() {
    for kind in Kind::ALL {
        let watched = Watched::start(kind);
        let shop = watched.setup("shop").open();
        while connections(&watched.primary) < 2 {
            shop.count_many(1..=600);
        }
        watched.until_copied(600);
        // Sentinel cannot tell the old primary any more, as if it were cut off from it.
        let rights = ["ACL", "SETUSER", "default", "-replicaof", "-slaveof"];
        watched.primary.tell(&rights);
        watched.fail_over();
        let started = holdfast::clock::monotonic();
        while connections(&watched.primary) > 0 {
            shop.count_many(1..=600);
            assert!(started.elapsed() < Duration::from_secs(20), "still there");
        }
        assert_eq!(connections(&watched.replica), 2);
        let role: String = watched.primary.ask(&["INFO", "replication"]).unwrap();
        assert!(role.contains("role:master"), "it still takes writes");
    }
}
