//! Leases with growing tokens, and the job that needs one: trimming the stream of events.

use holdfast::blocking::wait_for;
use holdfast::ledger::event::Cursor;
use holdfast::ledger::remote::script::{LEASE, TRIM};
use holdfast::ledger::{EventsError, Recount};

use crate::instance::{Instance, Place, hold, set};
use crate::server::{Kind, Server};

/// Asks for a lease of the job as an instance does.
fn lease(place: &Place<'_>, step: &str, holder: &str, ttl: u64, token: u64) -> u64 {
    let script = redis::Script::new(LEASE);
    let mut call = script.key(place.keys().meta());
    call.arg(step).arg("trim").arg(holder).arg(ttl).arg(token);
    call.invoke(&mut place.server.connect()).unwrap()
}

const LONG: u64 = 3_600_000;

/// Trims with a source of the script, as the holder of this token.
fn trim(place: &Place<'_>, source: &str, token: u64, stay: u64) -> redis::RedisResult<u64> {
    let (script, keys) = (redis::Script::new(source), place.keys());
    let mut call = script.key(keys.meta());
    call.key(keys.events()).arg(token).arg(stay);
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
        let refused = trim(&place, TRIM, late, 10).unwrap_err();
        assert_eq!(refused.code(), Some("FENCED"), "{refused}");
        assert!(trim(&place, TRIM, next, 10).unwrap() > 0);
        assert_eq!(lease(&place, "release", "next", LONG, next), next);
        let refused = trim(&place, TRIM, late, 10).unwrap_err();
        assert_eq!(
            refused.code(),
            Some("FENCED"),
            "after the release as well: {refused}"
        );

        // Without the check the late one would have gone on.
        let unchecked = TRIM.replace("is_fenced('trim', token)", "false");
        assert_ne!(unchecked, TRIM);
        assert!(trim(&place, &unchecked, late, 10).unwrap() > 0);
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
            Instance(holdfast::engine::Engine::open_remote(config).unwrap())
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
