//! What the store and the network may do, and what the callers are told.

use std::collections::BTreeSet;
use std::time::Duration;

use holdfast::ledger::remote::batcher::QueueLimits;
use holdfast::ledger::{Durability, LedgerError};
use holdfast::telemetry::Script;

use crate::shop::{Setup, count, effects, initialise, settled};
use crate::support::server::Kind;
use crate::support::store::Store;

/// Runs a test on every kind of server that is here.
fn on_every_store(settings: &[&str], test: impl Fn(Store, Setup)) {
    for kind in Kind::ALL {
        let store = Store::start(kind, settings);
        initialise(&store);
        let setup = Setup::at(store.port());
        test(store, setup);
    }
}

#[test]
fn answers_come_in_batches_and_are_counted() {
    on_every_store(&[], |store, setup| {
        let shop = setup.open();
        let answers: Vec<_> = (0..5_000)
            .map(|id| count(&shop.batcher, id, Script::Batch))
            .collect();
        let numbers = shop.wait(async {
            let mut numbers = BTreeSet::new();
            for answer in answers {
                numbers.insert(answer.await.unwrap());
            }
            numbers
        });
        assert_eq!(numbers.len(), 5_000, "everybody gets the own answer");
        assert_eq!(effects(&store), (5_000, 5_000));
        let calls: u64 = store.ask(&["HGET", "{0}:meta", "calls"]).unwrap();
        assert!(
            (20..500).contains(&calls),
            "{calls} calls for 5,000 commands"
        );
        let page = shop.meters.render();
        let counted =
            format!("holdfast_store_call_duration_seconds_count{{script=\"batch\"}} {calls}");
        assert!(page.contains(&counted), "{page}");
    });
}

#[test]
fn scripts_that_the_store_has_forgotten_are_loaded_within_the_call() {
    on_every_store(&[], |store, setup| {
        let shop = setup.open();
        for id in 0..20 {
            store.tell(&["SCRIPT", "FLUSH"]);
            shop.count(id).unwrap();
        }
        assert_eq!(effects(&store), (20, 20));
    });
}

#[test]
fn a_killed_connection_costs_nobody_an_answer() {
    on_every_store(&[], |store, setup| {
        let shop = setup.open();
        for id in 0..20 {
            shop.count(id).unwrap();
            store.tell(&["CLIENT", "KILL", "TYPE", "normal"]);
        }
        assert_eq!(effects(&store), (20, 20));
    });
}

#[test]
fn a_silent_store_makes_it_unknown_and_the_same_id_settles_it() {
    on_every_store(&[], |store, setup| {
        let short = Duration::from_millis(50);
        let shop = Setup {
            reply: short,
            limit: 2 * short,
            ..setup
        }
        .open();
        let first = shop.count(1).unwrap();
        for id in [1, 2] {
            // A connection stands; then nothing is heard over it.
            assert_eq!(settled(|| shop.count(1)), first);
            store.freeze();
            until_unknown(|| shop.count(id));
            store.thaw();
        }
        let second = settled(|| shop.count(2));
        assert_eq!(settled(|| shop.count(2)), second);
        assert_eq!(effects(&store), (2, 2));
    });
}

/// Asks until somebody was sent to the store and did not come back. Where there is no connection
/// yet, none can be made, and that did nothing.
fn until_unknown<T>(ask: impl Fn() -> Result<T, LedgerError>) {
    let started = holdfast::clock::monotonic();
    loop {
        let error = ask().err();
        if error == Some(LedgerError::Unknown) {
            return;
        }
        assert_eq!(error, Some(LedgerError::Unavailable));
        assert!(started.elapsed() < Duration::from_secs(20));
    }
}

/// They used to wait until the calls before them had given up.
#[test]
fn commands_that_grow_too_old_beside_a_silent_store_are_told_so() {
    on_every_store(&[], |store, setup| {
        let hour = Duration::from_hours(1);
        let queue = QueueLimits {
            age: Duration::from_millis(40),
            ..setup.queue
        };
        let shop = Setup {
            reply: hour,
            limit: hour,
            queue,
            ..setup
        }
        .open();
        shop.count(0).unwrap();
        store.freeze();
        // Two batches of 256 may be under way.
        let mut answers: Vec<_> = (1..=600)
            .map(|id| count(&shop.batcher, id, Script::Batch))
            .collect();
        let last = answers.pop().unwrap();
        let limit = Duration::from_secs(30);
        let last = shop.wait(async { tokio::time::timeout(limit, last).await });
        assert_eq!(last.unwrap(), Err(LedgerError::Overloaded));
        store.thaw();
        assert!(
            shop.wait(answers.swap_remove(0)).is_ok(),
            "it is waited for"
        );
    });
}

/// Somebody else's script keeps the store busy: nothing is done, that is told at once, and nothing
/// of ours is killed for it.
#[test]
fn a_busy_store_is_told_at_once_and_nothing_happens() {
    on_every_store(&["--busy-reply-threshold", "1"], |store, setup| {
        let shop = setup.open();
        shop.count(1).unwrap();
        let port = store.port();
        let busy = std::thread::spawn(move || {
            let client = redis::Client::open(("127.0.0.1", port)).unwrap();
            let mut endless = redis::cmd("EVAL");
            endless.arg("while true do end").arg(0);
            endless.exec(&mut client.get_connection().unwrap())
        });
        let begun = holdfast::clock::monotonic();
        // Before it is busy long enough, the store lets others wait.
        while shop.count(2) != Err(LedgerError::Unavailable) {
            assert!(
                begun.elapsed() < Duration::from_secs(20),
                "it never says so"
            );
        }
        store.until(&["SCRIPT", "KILL"], |_: &redis::Value| true);
        assert!(busy.join().unwrap().is_err());
        settled(|| shop.count(2));
        assert_eq!(effects(&store), (2, 2));
    });
}

#[test]
fn a_paused_store_is_waited_for() {
    on_every_store(&[], |store, setup| {
        let reply = Duration::from_millis(50);
        let shop = Setup { reply, ..setup }.open();
        shop.count(1).unwrap();
        // Several times longer than a reply may take.
        store.tell(&["CLIENT", "PAUSE", "300", "ALL"]);
        shop.count(2).unwrap();
        assert_eq!(effects(&store), (2, 2));
    });
}

#[test]
fn a_store_without_memory_refuses_what_needs_some_and_does_the_rest() {
    on_every_store(&[], |store, setup| {
        let shop = setup.open();
        store.tell(&["CONFIG", "SET", "maxmemory", "1"]);
        let refused = count(&shop.batcher, 1, Script::Batch);
        let done = count(&shop.batcher, 2, Script::Relief);
        assert_eq!(shop.wait(refused), Err(LedgerError::Unavailable));
        shop.wait(done).unwrap();
        store.tell(&["CONFIG", "SET", "maxmemory", "0"]);
        assert_eq!(effects(&store), (1, 1), "refused means nothing happened");
    });
}

#[test]
fn what_was_acknowledged_at_disk_survives_a_kill() {
    let settings = ["--appendonly", "yes", "--appendfsync", "always"];
    on_every_store(&settings, |mut store, setup| {
        let shop = Setup {
            durability: Durability::Disk,
            ..setup
        }
        .open();
        let numbers: Vec<_> = (0..50).map(|id| shop.count(id).unwrap()).collect();
        store.kill();
        assert_eq!(
            shop.count(50),
            Err(LedgerError::Unavailable),
            "refused connections did nothing"
        );
        store.restart();
        for (id, number) in (0..).zip(numbers) {
            assert_eq!(settled(|| shop.count(id)), number);
        }
    });
}

#[test]
fn a_store_that_came_back_empty_is_refused() {
    on_every_store(&[], |mut store, setup| {
        let shop = setup.open();
        shop.count(1).unwrap();
        store.kill();
        store.restart();
        for _ in 0..3 {
            assert_eq!(shop.count(1), Err(LedgerError::Unavailable));
        }
        assert_eq!(store.ask(&["DBSIZE"]), Ok(0), "nothing is made up");
        initialise(&store);
        settled(|| shop.count(1));
    });
}

#[test]
fn a_store_that_nobody_can_reach_is_unavailable_at_once() {
    let shop = Setup::at(1).open();
    for id in 0..100 {
        assert_eq!(shop.count(id), Err(LedgerError::Unavailable));
    }
}

#[test]
fn callers_that_go_away_only_miss_the_answer() {
    on_every_store(&[], |store, setup| {
        let shop = setup.open();
        for id in 0..100 {
            drop(count(&shop.batcher, id, Script::Batch));
        }
        shop.batcher.close();
        assert_eq!(effects(&store), (100, 100));
        assert_eq!(shop.count(100), Err(LedgerError::Unavailable), "closed");
    });
}

#[test]
fn a_full_queue_is_overload_and_changes_nothing() {
    on_every_store(&[], |store, setup| {
        let queue = QueueLimits {
            commands: 10,
            ..setup.queue
        };
        let shop = Setup { queue, ..setup }.open();
        shop.count(0).unwrap();
        store.freeze();
        // Two batches may be under way; then ten commands fit the queue.
        let answers: Vec<_> = (1..=2_000)
            .map(|id| count(&shop.batcher, id, Script::Batch))
            .collect();
        store.thaw();
        let (mut done, mut refused) = (1, 0);
        shop.wait(async {
            for answer in answers {
                match answer.await {
                    Ok(_) => done += 1,
                    Err(error) => {
                        assert_eq!(error, LedgerError::Overloaded);
                        refused += 1;
                    }
                }
            }
        });
        assert!(refused > 0);
        assert_eq!(effects(&store), (done, done));
    });
}

#[test]
fn a_login_a_socket_of_the_file_system_and_a_database_are_used() {
    for kind in Kind::ALL {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("store.sock");
        let path = socket.to_str().unwrap();
        let store = Store::start(kind, &["--unixsocket", path]);
        store.tell(&["ACL", "SETUSER", "ann", "on", ">p@ss", "~*", "+@all"]);
        let here = format!("unix:{path}?user=ann&password=p%40ss&db=3");
        let wrong = format!("redis://ann:canary@127.0.0.1:{}", store.port());
        let setup = |address: String| Setup {
            address,
            ..Setup::at(store.port())
        };
        let shop = setup(here).open();
        assert_eq!(
            shop.count(1),
            Err(LedgerError::Unavailable),
            "no ledger in database 3"
        );
        initialise(&store);
        store.tell(&["COPY", "{0}:meta", "{0}:meta", "DB", "3"]);
        shop.count(1).unwrap();
        let clients: String = store.ask(&["CLIENT", "LIST"]).unwrap();
        let ours = clients
            .lines()
            .find(|line| line.contains("name=holdfast-test"));
        let ours = ours.unwrap();
        assert!(ours.contains("user=ann") && ours.contains("db=3"), "{ours}");
        assert_eq!(setup(wrong).open().count(1), Err(LedgerError::Unavailable));
    }
}
