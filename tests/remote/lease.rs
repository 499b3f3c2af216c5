//! Leases with growing tokens, also over the end of a server, and the job that needs one: trimming
//! the stream of events.

use std::time::Duration;

use holdfast::blocking::wait_for;
use holdfast::clock::Clock;
use holdfast::engine::Engine;
use holdfast::ledger::Durability;
use holdfast::ledger::event::Cursor;
use holdfast::ledger::remote::script::{LEASE, TRIM};
use holdfast::ledger::{EventsError, Recount};

use crate::instance::{Instance, Place, config_at, hold, set};
use crate::server::{Kind, Server};
use crate::store::Store;

/// Asks for a lease of the job as an instance does.
fn lease(place: &Place<'_>, step: &str, holder: &str, ttl: u64, token: u64) -> u64 {
    let script = redis::Script::new(LEASE);
    let mut call = script.key(place.keys().meta());
    call.arg(step).arg("trim").arg(holder).arg(ttl).arg(token);
    call.invoke(&mut place.server.connect()).unwrap()
}

const LONG: u64 = 3_600_000;

/// Trims with a source of the script, as the holder of a token.
fn trim(place: &Place<'_>, source: &str, held: (&str, u64), stay: u64) -> redis::RedisResult<u64> {
    let (script, keys) = (redis::Script::new(source), place.keys());
    let mut call = script.key(keys.meta());
    call.key(keys.events()).arg(held.1).arg(held.0).arg(stay);
    call.invoke(&mut place.server.connect())
}

/// A ledger with that many events, each in an entry of its own.
fn filled(server: &Server, events: u64) -> (Place<'_>, Instance) {
    let place = Place::new(server);
    let instance = place.open_named();
    instance.execute("stock", &set("A", events));
    for n in 0..events {
        instance.execute(&format!("k{n}"), &hold("A", 1, 60_000));
    }
    (place, instance)
}

#[test]
fn one_holder_at_a_time_and_every_token_is_new() {
    for kind in Kind::ALL {
        let server = Server::start(kind);
        let (place, _instance) = filled(&server, 1);
        assert_eq!(lease(&place, "acquire", "one", LONG, 0), 1);
        assert_eq!(lease(&place, "acquire", "other", LONG, 0), 0);
        // Whoever has it has it; a token of somebody else does nothing.
        assert_eq!(lease(&place, "acquire", "one", LONG, 0), 1);
        assert_eq!(lease(&place, "renew", "other", LONG, 1), 0);
        assert_eq!(lease(&place, "release", "other", LONG, 1), 0);
        assert_eq!(lease(&place, "renew", "one", LONG, 1), 1);
        assert_eq!(lease(&place, "release", "one", LONG, 1), 1);
        assert_eq!(lease(&place, "renew", "one", LONG, 1), 0);

        let _flushed: String = place.ask(&["SCRIPT", "FLUSH"]);
        // Due at once: the next one need not wait for anybody.
        assert_eq!(lease(&place, "acquire", "other", 0, 0), 2);
        assert_eq!(lease(&place, "renew", "other", 0, 2), 2);
        assert_eq!(lease(&place, "acquire", "one", LONG, 0), 3);
        assert_eq!(lease(&place, "renew", "other", LONG, 2), 0);
    }
}

#[test]
fn a_crowd_never_shares_a_token() {
    let server = Server::start(Kind::Valkey);
    let (place, _instance) = filled(&server, 1);
    let mut tokens: Vec<u64> = std::thread::scope(|scope| {
        let take = |holder: usize| {
            let place = &place;
            let get = move |_| {
                let token = lease(place, "acquire", &holder.to_string(), LONG, 0);
                lease(place, "release", &holder.to_string(), LONG, token);
                token
            };
            scope.spawn(move || (0..100).map(get).filter(|token| *token > 0).collect())
        };
        let holders: Vec<_> = (0..4).map(take).collect();
        let taken = holders.into_iter().flat_map(|holder| {
            let taken: Vec<u64> = holder.join().unwrap();
            taken
        });
        taken.collect()
    });
    tokens.sort_unstable();
    let granted = u64::try_from(tokens.len()).unwrap();
    assert!(granted >= 100);
    assert!(tokens.into_iter().eq(1..=granted));
}

/// A holder that slept while another one came writes nothing any more.
#[test]
fn the_store_refuses_what_a_late_holder_writes() {
    for kind in Kind::ALL {
        let server = Server::start(kind);
        let (place, instance) = filled(&server, 40);
        let late = lease(&place, "acquire", "late", 0, 0);
        let next = lease(&place, "acquire", "next", LONG, 0);
        assert!(next > late);
        let refused = trim(&place, TRIM, ("late", late), 10).unwrap_err();
        assert_eq!(refused.code(), Some("FENCED"), "{refused}");
        assert!(trim(&place, TRIM, ("next", next), 10).unwrap() > 0);
        assert_eq!(lease(&place, "release", "next", LONG, next), next);
        let refused = trim(&place, TRIM, ("late", late), 10).unwrap_err();
        assert_eq!(
            refused.code(),
            Some("FENCED"),
            "after the release as well: {refused}"
        );

        // Without the check the late one would have gone on.
        let unchecked = TRIM.replace("is_fenced('trim', token, holder)", "false");
        assert_ne!(unchecked, TRIM);
        assert!(trim(&place, &unchecked, ("late", late), 10).unwrap() > 0);
        assert_eq!(count(&instance).violations, Vec::<String>::new());
    }
}

fn count(instance: &Instance) -> Recount {
    wait_for(instance.0.recount()).unwrap()
}

#[test]
fn instances_trim_the_stream_together_and_keep_what_readers_may_want() {
    const STAY: u64 = 100;
    for kind in Kind::ALL {
        let server = Server::start(kind);
        let (place, _first) = filled(&server, 300);
        let pair = [0, 1].map(|_| {
            let mut config = place.config();
            config.retain_events = STAY;
            Instance(Engine::open_remote(config).unwrap())
        });
        std::thread::scope(|scope| {
            for instance in &pair {
                scope.spawn(|| (0..40).for_each(|_| wait_for(instance.0.tick()).unwrap()));
            }
        });
        let end = pair[0].0.health().durable.sequence;
        let page = |sequence| {
            let epoch = Some(1);
            wait_for(pair[1].0.events(
                Cursor {
                    shard: 0,
                    epoch,
                    sequence,
                },
                1_000,
            ))
        };
        let EventsError::Gone { oldest } = page(1).unwrap_err() else {
            panic!("nothing was trimmed");
        };
        assert!(
            (end - STAY * 2..=end - STAY + 1).contains(&oldest),
            "{oldest} of {end}"
        );
        // Also for a reader who stands where the stream begins now.
        let rest = page(oldest - 1).unwrap();
        let kept = u64::try_from(rest.records.len()).unwrap();
        assert_eq!(kept, end - oldest + 1);
        for instance in &pair {
            let found = count(instance);
            assert_eq!(found.violations, Vec::<String>::new());
        }
        let page = pair[0].0.meters().render() + &pair[1].0.meters().render();
        let held = "holdfast_lock_hold_seconds_count{kind=\"lease\"} ";
        let held = page.lines().filter_map(|line| line.strip_prefix(held));
        assert!(held.map(|count| count.parse::<u64>().unwrap()).sum::<u64>() > 0);
    }
}

const NAMESPACE: &str = "lease";
const META: &str = "lease4:{0}:meta";
const EVENTS: &str = "lease4:{0}:events";

/// A ledger in a store, with many events.
fn filled_at(store: &Store, durability: Durability, retain_events: u64) -> Instance {
    let address = format!("redis://127.0.0.1:{}", store.port());
    let mut config = config_at(&address, NAMESPACE, &Clock::system());
    config.level.durability = durability;
    config.level.replicas = u16::from(durability == Durability::Replica);
    // A machine that is busy is no reason to fail.
    config.level.wait = Duration::from_secs(20);
    config.patience.reply = Duration::from_secs(20);
    config.retain_events = retain_events;
    let instance = Instance(Engine::open_remote(config).unwrap());
    crate::support::driven::give_names(&instance.0);
    instance.execute("stock", &set("A", 100));
    for n in 0..40 {
        instance.execute(&format!("k{n}"), &hold("A", 1, 60_000));
    }
    instance
}

fn acquire_at(store: &Store, holder: &str, ttl: &str) -> u64 {
    let words = [
        "EVAL", LEASE, "1", META, "acquire", "trim", holder, ttl, "0",
    ];
    store.ask(&words).unwrap()
}

fn trim_at(store: &Store, source: &str, held: (&str, u64)) -> redis::RedisResult<u64> {
    let token = held.1.to_string();
    store.ask(&["EVAL", source, "2", META, EVENTS, &token, held.0, "10"])
}

fn is_fenced(store: &Store, held: (&str, u64)) -> bool {
    let refused = trim_at(store, TRIM, held).unwrap_err();
    refused.code() == Some("FENCED")
}

#[test]
fn a_lease_and_its_token_outlive_the_server() {
    for kind in Kind::ALL {
        let disk = ["--appendonly", "yes", "--appendfsync", "always"];
        let mut store = Store::start(kind, &disk);
        let instance = filled_at(&store, Durability::Disk, u64::MAX);
        let late = acquire_at(&store, "late", "0");
        let next = acquire_at(&store, "next", "3600000");
        assert!(next > late);
        store.kill();
        store.restart();
        assert!(is_fenced(&store, ("late", late)));
        assert_eq!(acquire_at(&store, "other", "0"), 0, "it is held");
        assert!(trim_at(&store, TRIM, ("next", next)).unwrap() > 0);
        store.tell(&[
            "EVAL",
            LEASE,
            "1",
            META,
            "release",
            "trim",
            "next",
            "0",
            &next.to_string(),
        ]);
        assert_eq!(acquire_at(&store, "other", "0"), next + 1);
        assert!(is_fenced(&store, ("next", next)));
        drop(instance);
    }
}

/// A primary, and a replica that has a copy of everything.
fn pair(kind: Kind) -> (Store, Store) {
    let primary = Store::start(kind, &["--repl-diskless-sync-delay", "0"]);
    let replica = Store::start(kind, &[]);
    replica.follow(&primary);
    primary.tell(&["CONFIG", "SET", "min-replicas-to-write", "1"]);
    (primary, replica)
}

/// Makes the replica the primary, without what the primary does from now on.
fn promote(replica: &Store) {
    replica.tell(&["REPLICAOF", "NO", "ONE"]);
}

#[test]
fn a_holder_that_a_promoted_replica_does_not_know_is_refused_also_where_its_token_is_given_again() {
    for kind in Kind::ALL {
        let (primary, replica) = pair(kind);
        let instance = filled_at(&primary, Durability::Replica, u64::MAX);
        assert_eq!(acquire_at(&primary, "first", "0"), 1);
        let ours: u64 = primary.ask(&["HGET", META, "seq"]).unwrap();
        let has_all =
            |lease: &Option<String>| lease.as_deref().is_some_and(|it| it.starts_with("1 "));
        replica.until(&["HGET", META, "lease:trim"], has_all);
        promote(&replica);
        primary.tell(&["CONFIG", "SET", "min-replicas-to-write", "0"]);
        // These two are lost.
        assert_eq!(acquire_at(&primary, "one", "0"), 2);
        assert_eq!(acquire_at(&primary, "other", "3600000"), 3);
        assert_eq!(replica.ask(&["HGET", META, "seq"]), Ok(ours));
        assert!(
            is_fenced(&replica, ("other", 3)),
            "it is ahead of the history"
        );
        assert_eq!(acquire_at(&replica, "next", "3600000"), 2);
        assert!(is_fenced(&replica, ("one", 2)), "its token is another's");
        // The token alone would not do.
        let by_token = TRIM.replace(" or holder ~= lease.holder", "");
        assert_ne!(by_token, TRIM);
        assert!(trim_at(&replica, &by_token, ("one", 2)).unwrap() > 0);
        assert!(trim_at(&replica, TRIM, ("next", 2)).is_ok());
        drop(instance);
    }
}

#[test]
fn a_lease_that_an_instance_uses_is_as_durable_as_its_answers() {
    for kind in Kind::ALL {
        let (primary, replica) = pair(kind);
        let instance = filled_at(&primary, Durability::Replica, 10);
        let token = |store: &Store| {
            let lease: Option<String> = store.ask(&["HGET", META, "lease:trim"]).unwrap();
            let lease = lease.unwrap_or_default();
            lease.split(' ').next().unwrap().parse().unwrap_or(0_u64)
        };
        (0..8).for_each(|_| wait_for(instance.0.tick()).unwrap());
        promote(&replica);
        assert!(token(&primary) > 0, "nothing was trimmed");
        assert_eq!(token(&replica), token(&primary));
    }
}
