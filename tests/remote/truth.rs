//! What has no copy yet is told to nobody, on no path; and what nobody knows is not undone.

use std::time::Duration;

use holdfast::blocking::wait_for;
use holdfast::clock::Clock;
use holdfast::engine::Engine;
use holdfast::ledger::event::{Cursor, EventPage};
use holdfast::ledger::remote::RemoteConfig;
use holdfast::ledger::{Durability, EventsError, LedgerError};

use crate::instance::{Instance, config_at, hold, patient, set};
use crate::server::Kind;
use crate::store::Store;
use crate::support::driven::give_names;

/// A primary, and its replica. However long that is silent, the primary goes on by itself.
fn pair(kind: Kind) -> (Store, Store) {
    let primary = Store::start(kind, &["--repl-diskless-sync-delay", "0"]);
    let replica = Store::start(kind, &[]);
    replica.follow(&primary);
    primary.tell(&["CONFIG", "SET", "min-replicas-max-lag", "3600"]);
    primary.tell(&["CONFIG", "SET", "repl-timeout", "3600"]);
    primary.tell(&["CONFIG", "SET", "min-replicas-to-write", "1"]);
    (primary, replica)
}

fn at_replica(primary: &Store) -> RemoteConfig {
    let address = format!("redis://127.0.0.1:{}", primary.port());
    let mut config = patient(config_at(&address, "truth", &Clock::system()));
    config.level.durability = Durability::Replica;
    config.level.replicas = 1;
    config.level.wait = Duration::from_secs(20);
    config
}

/// An instance that soon gives up waiting for copies.
fn hasty(primary: &Store) -> Instance {
    let mut config = at_replica(primary);
    config.level.wait = Duration::from_millis(20);
    config.batcher.settling.limit = Duration::from_millis(60);
    Instance(Engine::open_remote(config).unwrap())
}

fn all_events(instance: &Instance) -> Result<EventPage, EventsError> {
    wait_for(instance.0.events(Cursor::default(), 100))
}

#[test]
fn nothing_is_told_of_what_has_no_copy() {
    const KEYS: [&str; 3] = ["k0", "k1", "k2"];
    for kind in Kind::ALL {
        let (primary, replica) = pair(kind);
        let waits = Instance(Engine::open_remote(at_replica(&primary)).unwrap());
        give_names(&waits.0);
        assert!(waits.execute("stock", &set("A", 10)).verdict.is_ok());
        let told = all_events(&waits).unwrap().records.len();
        let (one, other) = (hasty(&primary), hasty(&primary));

        replica.freeze();
        for key in KEYS {
            let asked =
                |instance: &Instance| instance.try_execute(key, &hold("A", 1, 3_600_000), 0);
            for (path, instance) in [
                ("first call", &one),
                ("duplicate", &one),
                ("duplicate through another instance", &other),
            ] {
                assert_eq!(
                    asked(instance).err(),
                    Some(LedgerError::Unknown),
                    "{kind:?}: {path}"
                );
            }
            // Until now nothing but the missing copy keeps it.
            assert!(all_events(&one).is_err(), "{kind:?}: the feed tells of it");
            primary.tell(&["CLIENT", "KILL", "TYPE", "normal"]);
            let fresh = asked(&one).err();
            assert_eq!(
                fresh,
                Some(LedgerError::Unknown),
                "{kind:?}: over a fresh connection"
            );
        }

        replica.thaw();
        for key in KEYS {
            let settled = waits.execute(key, &hold("A", 1, 3_600_000));
            assert!(
                settled.replayed && settled.verdict.is_ok(),
                "{kind:?}: {key}"
            );
        }
        assert_eq!(
            waits.units("A"),
            [10, 3, 0],
            "{kind:?}: what was unknown was undone"
        );
        // The connections that the others read the feed over were cut.
        let late = Instance(Engine::open_remote(at_replica(&primary)).unwrap());
        assert_eq!(all_events(&late).unwrap().records.len(), told + KEYS.len());
    }
}
