//! Stores that hold no ledger, another one, or one that they would not keep.

use std::time::Duration;

use holdfast::blocking::wait_for;
use holdfast::clock::{Clock, monotonic};
use holdfast::domain::Sku;
use holdfast::engine::Engine;
use holdfast::ledger::LedgerError;
use holdfast::ledger::remote::script::Keys;
use holdfast::ledger::remote::{OpenError, inspect};

use crate::instance::{Instance, Place, config_at, hold, set};
use crate::server::{Kind, Server};
use crate::store::Store;
use crate::support::driven::give_names;

#[test]
fn a_ledger_is_made_only_where_that_is_wanted() {
    for kind in Kind::ALL {
        let server = Server::start(kind);
        let place = Place::new(&server);
        let mut config = place.config();
        config.init = false;
        let refused = Place::refusal(config.clone());
        assert!(matches!(refused, OpenError::Missing(_)), "{refused:?}");
        let made: u64 = place.ask(&["DBSIZE"]);
        assert_eq!(made, 0, "a look leaves nothing behind");

        let first = place.open_named();
        first.execute("stock", &set("A", 3));
        // Made once: a second one that would make it finds it.
        assert_eq!(place.open().units("A"), [3, 0, 0]);
        let later = Instance(Engine::open_remote(config).unwrap());
        assert_eq!(later.units("A"), [3, 0, 0]);
    }
}

#[test]
fn an_emptied_store_is_noticed_and_nothing_is_made_anew() {
    for kind in Kind::ALL {
        let server = Server::start(kind);
        let place = Place::new(&server);
        let mut config = place.config();
        config.look_every = Duration::from_millis(5);
        let instance = Instance(Engine::open_remote(config).unwrap());
        give_names(&instance.0);
        instance.execute("stock", &set("A", 3));
        instance.execute("before", &hold("A", 1, 60_000));
        let _done: String = place.ask(&["FLUSHALL"]);
        for (key, script) in [("after", hold("A", 1, 60_000)), ("stock-2", set("A", 9))] {
            let refused = instance.try_execute(key, &script, 0).unwrap_err();
            assert_eq!(refused, LedgerError::Unavailable, "{key}");
        }
        // Not even what was answered before is answered from memory.
        let again = instance.try_execute("before", &hold("A", 1, 60_000), 0);
        assert_eq!(again.unwrap_err(), LedgerError::Unavailable);
        assert!(wait_for(instance.0.stock(Sku::new("A").unwrap())).is_err());
        assert!(wait_for(instance.0.tick()).is_err());
        assert!(wait_for(instance.0.recount()).is_err());
        let keys: u64 = place.ask(&["DBSIZE"]);
        assert_eq!(keys, 0);
        until("it is not noticed", || !instance.0.health().is_safe);
    }
}

#[test]
fn a_store_that_is_away_makes_an_instance_not_ready_until_it_is_back() {
    for kind in Kind::ALL {
        let mut store = Store::start(kind, &["--appendonly", "yes", "--appendfsync", "always"]);
        let address = format!("redis://127.0.0.1:{}", store.port());
        let config = config_at(&address, "away", &Clock::system());
        let instance = Instance(Engine::open_remote(config).unwrap());
        give_names(&instance.0);
        instance.execute("stock", &set("A", 3));
        let is_safe_after_a_round = || {
            let _ended = wait_for(instance.0.tick());
            instance.0.health().is_safe
        };
        assert!(is_safe_after_a_round());
        store.kill();
        until("it stays ready", || !is_safe_after_a_round());
        store.restart();
        until("it stays away", is_safe_after_a_round);
        assert_eq!(instance.units("A"), [3, 0, 0]);
    }
}

fn until(what: &str, is_so: impl Fn() -> bool) {
    let begun = monotonic();
    while !is_so() {
        assert!(begun.elapsed() < Duration::from_secs(20), "{what}");
        std::thread::yield_now();
    }
}

#[test]
fn a_store_that_became_unsafe_gets_no_more_promises_until_it_is_safe_again() {
    for kind in Kind::ALL {
        let server = Server::start(kind);
        let place = Place::new(&server);
        let mut config = place.config();
        config.look_every = Duration::from_millis(5);
        let instance = Instance(Engine::open_remote(config.clone()).unwrap());
        give_names(&instance.0);
        instance.execute("stock", &set("A", 3));

        let _done: String = place.ask(&["CONFIG", "SET", "maxmemory-policy", "allkeys-lru"]);
        let report = inspect(&config).unwrap();
        let names: Vec<_> = report.refused().map(|finding| finding.name).collect();
        assert_eq!(names.len(), 1, "{report:?}");
        let refused = Place::refusal(config.clone());
        let OpenError::Unsafe(text) = refused else {
            panic!("{refused:?}");
        };
        assert!(text.contains("allkeys-lru"), "{text}");
        until("it is not noticed", || !instance.0.health().is_safe);
        let command = instance.try_execute("k", &hold("A", 1, 60_000), 0);
        assert_eq!(command.unwrap_err(), LedgerError::Unavailable);
        assert_eq!(instance.units("A"), [3, 0, 0], "it may still be read");

        // By its name it is accepted.
        config.accept = names.iter().map(|name| (*name).to_owned()).collect();
        let bold = Instance(Engine::open_remote(config).unwrap());
        assert!(bold.execute("bold", &hold("A", 1, 60_000)).verdict.is_ok());

        let _done: String = place.ask(&["CONFIG", "SET", "maxmemory-policy", "noeviction"]);
        until("it stays unsafe", || instance.0.health().is_safe);
        assert!(instance.execute("k", &hold("A", 1, 60_000)).verdict.is_ok());
    }
}

#[test]
fn ledgers_of_two_namespaces_do_not_meet() {
    let server = Server::start(Kind::Valkey);
    let (here, there) = (Place::new(&server), Place::new(&server));
    let (one, other) = (here.open_named(), there.open_named());
    one.execute("stock", &set("A", 3));
    assert_eq!(wait_for(other.0.stock(Sku::new("A").unwrap())), Ok(None));
    other.execute("stock", &set("A", 7));
    assert!(!other.execute("k", &hold("A", 7, 60_000)).replayed);
    assert!(!one.execute("k", &hold("A", 2, 60_000)).replayed);
    assert_ne!(one.id("k"), other.id("k"), "each has hashes of its own");
    wait_for(other.0.discard()).unwrap();
    assert_eq!(one.units("A"), [3, 2, 0]);
    one.recounts_clean();
}

#[test]
fn a_ledger_of_another_schema_or_size_is_left_alone() {
    let server = Server::start(Kind::Redis);
    let place = Place::new(&server);
    place.make(1);
    let keys = place.keys();
    for (field, value, said) in [
        ("schema", "99", "99"),
        ("partitions", "4", "4 partitions"),
        ("seed", "many", "seed"),
    ] {
        let before: String = place.ask(&["HGET", keys.meta(), field]);
        let _new: u64 = place.ask(&["HSET", keys.meta(), field, value]);
        let mut config = place.config();
        config.partitions = Some(1);
        let refused = Place::refusal(config);
        let OpenError::Unusable(text) = refused else {
            panic!("{refused:?}");
        };
        assert!(text.contains(said), "{text}");
        let found: String = place.ask(&["HGET", keys.meta(), field]);
        assert_eq!(found, value);
        let _old: u64 = place.ask(&["HSET", keys.meta(), field, &before]);
    }
    drop(place.open());
}

#[test]
fn a_ledger_of_an_older_schema_is_refused_by_its_number() {
    let server = Server::start(Kind::Redis);
    let place = Place::new(&server);
    let older = format!("{}1:{{0}}:meta", place.namespace);
    let _new: u64 = place.ask(&["HSET", &older, "schema", "1", "epoch", "1"]);
    let mut config = place.config();
    for init in [false, true] {
        config.init = init;
        let OpenError::Unusable(text) = Place::refusal(config.clone()) else {
            panic!("the older ledger is not noticed");
        };
        assert_eq!(text, "the ledger has schema 1, this program needs 4");
    }
    let keys: u64 = place.ask(&["EXISTS", place.keys().meta()]);
    assert_eq!(keys, 0, "none is made beside it");
}

#[test]
fn a_partition_that_a_used_ledger_lacks_is_not_made_anew() {
    let server = Server::start(Kind::Redis);
    let mut place = Place::new(&server);
    place.partitions = Some(4);
    // Whoever began to make it got no further than the first partition.
    place.make(1);
    let instance = place.open_named();
    for sku in ["a", "b", "c", "d"] {
        instance.execute(sku, &set(sku, 5));
    }
    drop(instance);
    let third = Keys::new(&place.namespace, 2);
    let _removed: u64 = place.ask(&["DEL", third.meta()]);
    let refused = Place::refusal(place.config());
    let OpenError::Unusable(text) = refused else {
        panic!("{refused:?}");
    };
    assert!(text.contains("partition 2 is gone"), "{text}");
    let found: u64 = place.ask(&["EXISTS", third.meta()]);
    assert_eq!(found, 0);
}

#[test]
fn nobody_there_is_said_with_the_place() {
    let server = Server::start(Kind::Redis);
    let mut config = Place::new(&server).config();
    config.address = "unix:/nowhere/server.sock?password=secret".parse().unwrap();
    let refused = Place::refusal(config);
    let text = refused.to_string();
    assert!(matches!(refused, OpenError::Unreachable { .. }), "{text}");
    assert!(
        text.contains("/nowhere/server.sock") && !text.contains("secret"),
        "{text}"
    );
}
