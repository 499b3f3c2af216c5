//! Acknowledgements that need copies, and finding the primary.

use std::time::Duration;

use holdfast::ledger::{Durability, LedgerError};

use crate::shop::{Setup, effects, initialise, settled};
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

#[test]
fn sentinels_are_asked_in_turn_and_again_after_a_failover() {
    for kind in Kind::ALL {
        let (primary, replica) = pair(kind);
        let sentinel = Store::start_sentinel(kind, &primary);
        let at = |name: &str| {
            let address = format!(
                "redis+sentinel://127.0.0.1:1,127.0.0.1:{}/{name}",
                sentinel.port()
            );
            Setup {
                address,
                ..Setup::at(1)
            }
        };
        assert_eq!(at("other").open().count(1), Err(LedgerError::Unavailable));
        let shop = at("shop").open();
        let first = shop.count(1).unwrap();
        sentinel.until(
            &["SENTINEL", "REPLICAS", "shop"],
            |replicas: &Vec<redis::Value>| !replicas.is_empty(),
        );
        replica.until(&["HGET", "{0}:meta", "effects"], |n: &Option<u64>| {
            *n == Some(1)
        });
        // It refuses until it has heard from the replica itself.
        sentinel.until(&["SENTINEL", "FAILOVER", "shop"], |_: &redis::Value| true);
        replica.until(&["INFO", "replication"], |info: &String| {
            info.contains("role:master")
        });
        let port = replica.port().to_string();
        let question = ["SENTINEL", "GET-MASTER-ADDR-BY-NAME", "shop"];
        sentinel.until(&question, |place: &Vec<String>| place.last() == Some(&port));
        primary.until(&["INFO", "replication"], |info: &String| {
            info.contains("role:slave")
        });
        // The old connection is good, and leads to what is now a replica.
        while shop.count(1) != Ok(first) {}
        settled(|| shop.count(2));
        assert_eq!(effects(&replica), (2, 2));
    }
}
