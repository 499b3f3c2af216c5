//! Every unsafe setting that one machine can have, found on real servers.

use std::time::Duration;

use holdfast::ledger::Durability;
use holdfast::ledger::remote::preflight::{Expected, Facts, Report, judge, look, watch};
use holdfast::telemetry::Meters;
use tokio::runtime::Builder;

use crate::shop::{Setup, initialise};
use crate::support::server::Kind;
use crate::support::store::Store;

fn wait<T>(future: impl Future<Output = T>) -> T {
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(future)
}

fn facts(setup: &Setup) -> Facts {
    wait(look(&setup.target(Meters::new()))).unwrap()
}

fn expected(setup: &Setup) -> Expected {
    Expected {
        level: setup.target(Meters::new()).level,
        accepted: Vec::new(),
    }
}

fn names(report: &Report) -> Vec<&'static str> {
    report.findings.iter().map(|finding| finding.name).collect()
}

/// A server without a fault for `disk`.
const SOUND: [&str; 6] = [
    "--appendonly",
    "yes",
    "--appendfsync",
    "always",
    "--maxmemory",
    "1gb",
];

#[test]
fn a_sound_server_passes_and_each_changed_setting_is_named() {
    for kind in Kind::ALL {
        let store = Store::start(kind, &SOUND);
        initialise(&store);
        let disk = Setup {
            durability: Durability::Disk,
            ..Setup::at(store.port())
        };
        let found = |setup: &Setup| judge(&facts(setup), &expected(setup));
        assert_eq!(found(&disk), Report::default());
        for (setting, unsafe_value, safe_value, name) in [
            ("maxmemory-policy", "allkeys-lru", "noeviction", "eviction"),
            ("maxmemory", "0", "1gb", "maxmemory"),
            ("appendonly", "no", "yes", "aof"),
            ("appendfsync", "everysec", "always", "appendfsync"),
        ] {
            store.tell(&["CONFIG", "SET", setting, unsafe_value]);
            assert_eq!(names(&found(&disk)), [name]);
            store.tell(&["CONFIG", "SET", setting, safe_value]);
        }
        store.tell(&["DEL", "{0}:meta"]);
        assert_eq!(names(&found(&disk)), ["marker"]);
    }
}

#[test]
fn replicas_are_counted() {
    for kind in Kind::ALL {
        let primary = Store::start(kind, &SOUND);
        let replica = Store::start(kind, &SOUND);
        initialise(&primary);
        let setup = Setup {
            durability: Durability::ReplicaDisk,
            replicas: 1,
            ..Setup::at(primary.port())
        };
        let found = |setup: &Setup| judge(&facts(setup), &expected(setup));
        let has_waitaof = facts(&setup).has_waitaof == Some(true);
        let and_waitaof = |mut names: Vec<&'static str>| {
            if !has_waitaof {
                names.insert(0, "waitaof");
            }
            names
        };
        assert_eq!(
            names(&found(&setup)),
            and_waitaof(vec!["replicas", "min-replicas"])
        );
        replica.follow(&primary);
        primary.tell(&["CONFIG", "SET", "min-replicas-to-write", "1"]);
        assert_eq!(names(&found(&setup)), and_waitaof(vec![]));
        let two = Setup {
            replicas: 2,
            ..setup.clone()
        };
        assert_eq!(names(&found(&two)), and_waitaof(vec!["replicas"]));
        let at_replica = Setup::at(replica.port());
        assert_eq!(names(&found(&at_replica)), ["role"]);
        let third = Store::start(kind, &SOUND);
        third.follow(&primary);
        primary.until(&["INFO", "replication"], |info: &String| {
            info.matches("state=online").count() == 2
        });
        assert_eq!(names(&found(&setup)), and_waitaof(vec!["promotable"]));
    }
}

#[test]
fn sentinels_and_clusters_are_asked_as_well() {
    for kind in Kind::ALL {
        let primary = Store::start(kind, &SOUND);
        initialise(&primary);
        let sentinel = Store::start_sentinel(kind, &primary);
        let address = format!("redis+sentinel://127.0.0.1:{}/shop", sentinel.port());
        let setup = Setup {
            address,
            ..Setup::at(1)
        };
        let found = |setup: &Setup| judge(&facts(setup), &expected(setup));
        assert_eq!(names(&found(&setup)), Vec::<&str>::new());
        sentinel.tell(&["SENTINEL", "SET", "shop", "down-after-milliseconds", "300"]);
        assert_eq!(names(&found(&setup)), ["sentinel-down-after"]);

        let node = Store::start(kind, &[&SOUND[..], &["--cluster-enabled", "yes"]].concat());
        let report = found(&Setup::at(node.port()));
        assert_eq!(
            names(&report),
            ["replica-migration", "full-coverage", "marker"]
        );
    }
}

#[test]
fn a_server_that_forbids_to_ask_is_judged_by_what_it_tells() {
    for kind in Kind::ALL {
        let store = Store::start(kind, &SOUND);
        initialise(&store);
        let rights = ["~*", "+@all", "-config", "-acl"];
        store.tell(&[&["ACL", "SETUSER", "ann", "on", ">word"], &rights[..]].concat());
        let setup = |durability| Setup {
            address: format!("redis://ann:word@127.0.0.1:{}", store.port()),
            durability,
            ..Setup::at(1)
        };
        let found = |setup: &Setup| judge(&facts(setup), &expected(setup));
        assert_eq!(found(&setup(Durability::Memory)), Report::default());
        let at_disk = found(&setup(Durability::Disk));
        assert_eq!(names(&at_disk), ["appendfsync"], "it cannot be verified");
        store.tell(&["CONFIG", "SET", "maxmemory-policy", "allkeys-lru"]);
        assert_eq!(names(&found(&setup(Durability::Memory))), ["eviction"]);
    }
}

#[test]
fn the_watch_sees_a_change_and_an_outage_and_counts_script_time() {
    for kind in Kind::ALL {
        let mut store = Store::start(kind, &SOUND);
        initialise(&store);
        let setup = Setup::at(store.port());
        let shop = setup.open();
        let meters = shop.meters.clone();
        let target = setup.target(meters.clone());
        let judged = expected(&setup);
        let mut stage = 0;
        let story = async {
            let (tell, mut told) = tokio::sync::mpsc::channel(1);
            let watching = watch(&target, Duration::from_millis(1), |looked| {
                tell.try_send(looked).is_ok()
            });
            let reading = async {
                while let Some(looked) = told.recv().await {
                    let names = looked.map(|facts| names(&judge(&facts, &judged)));
                    stage = match (stage, names) {
                        (0, Ok(names)) if names.is_empty() => {
                            store.tell(&["CONFIG", "SET", "maxmemory-policy", "allkeys-lru"]);
                            1
                        }
                        (1, Ok(names)) if names == ["eviction"] => 2,
                        (2, Ok(_)) if !meters.render().contains(NONE_HELD) => {
                            store.kill();
                            3
                        }
                        (3, Err(_)) => return,
                        (now, _) => now,
                    };
                    if stage == 2 {
                        store.tell(&["EVALSHA", &sha(&store), "0"]);
                    }
                }
            };
            tokio::select! {
                () = watching => {}
                () = reading => {}
            }
        };
        let done = wait(async { tokio::time::timeout(Duration::from_secs(20), story).await });
        assert!(done.is_ok(), "stuck");
    }
}

/// No script was timed so far.
const NONE_HELD: &str = "holdfast_lock_hold_seconds_count{kind=\"script\"} 0\n";

/// A script that does nothing.
fn sha(store: &Store) -> String {
    store.ask(&["SCRIPT", "LOAD", "return 1"]).unwrap()
}
