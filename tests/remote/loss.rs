//! A store that comes back without what was acknowledged: noticed at once, stopped for everybody,
//! counted, and gone on from when somebody has accepted it.

use std::time::Duration;

use holdfast::blocking::wait_for;
use holdfast::clock::monotonic;
use holdfast::domain::Sku;
use holdfast::engine::Engine;
use holdfast::ledger::event::Cursor;
use holdfast::ledger::remote::script::Keys;
use holdfast::ledger::remote::{OpenError, RemoteConfig, accept_loss, inspect};
use holdfast::ledger::{EventsError, LedgerError};

use crate::instance::{Instance, Place, hold, set};
use crate::server::{Kind, Server};
use crate::support::driven::give_names;

/// Another database of the same server, where an old copy of the ledger is kept.
pub(crate) const COPY: &str = "1";

pub(crate) fn copy(place: &Place<'_>, from: &str, to: &str) {
    let mut commands = redis::pipe();
    commands.atomic().cmd("SELECT").arg(from).ignore();
    let keys = (0..PARTITIONS).map(|partition| Keys::new(&place.namespace, partition));
    for key in keys.flat_map(|keys| keys.all().clone()) {
        // Keys that did not exist then must not exist afterwards.
        commands.cmd("SELECT").arg(to).ignore();
        commands.cmd("DEL").arg(&key).ignore();
        commands.cmd("SELECT").arg(from).ignore();
        commands.cmd("COPY").arg(&key).arg(&key);
        commands.arg("DB").arg(to).ignore();
    }
    let _done: () = commands.query(&mut place.server.connect()).unwrap();
}

/// Partitions of the ledger that has several.
const PARTITIONS: u16 = 4;

fn config(place: &Place<'_>) -> RemoteConfig {
    let mut config = place.config();
    // What is in doubt when the loss is noticed stays so; nobody here waits for it.
    config.batcher.settling.limit = Duration::from_millis(200);
    config
}

fn open(place: &Place<'_>) -> Instance {
    let instance = Instance(Engine::open_remote(config(place)).unwrap());
    give_names(&instance.0);
    instance
}

/// The value of a series of the metrics page.
pub(crate) fn metric(instance: &Instance, name: &str) -> u64 {
    let page = instance.0.meters().render();
    let value = |line: &str| line.strip_prefix(name)?.trim().parse().ok();
    page.lines().find_map(value).unwrap()
}

pub(crate) fn until(what: &str, is_so: impl Fn() -> bool) {
    let begun = monotonic();
    while !is_so() {
        assert!(begun.elapsed() < Duration::from_secs(30), "{what}");
        std::thread::yield_now();
    }
}

/// An instance that was told of two holds which the store then loses, and one that was not.
fn lose_two(place: &Place<'_>) -> (Instance, Instance) {
    let one = open(place);
    one.execute("stock", &set("A", 10));
    assert!(one.execute("kept", &hold("A", 1, 60_000)).verdict.is_ok());
    let other = open(place);
    assert_eq!(other.units("A"), [10, 1, 0]);
    copy(place, "0", COPY);
    for key in ["lost-1", "lost-2"] {
        assert!(one.execute(key, &hold("A", 1, 60_000)).verdict.is_ok());
    }
    copy(place, COPY, "0");
    (one, other)
}

fn refused_or_unknown(instance: &Instance, sku: &str) {
    let error = instance.try_execute("next", &hold(sku, 1, 60_000), 0);
    let error = error.unwrap_err();
    let is_right = [LedgerError::Quarantined, LedgerError::Unknown].contains(&error);
    assert!(is_right, "{error:?}");
}

fn is_stopped(one: &Instance, other: &Instance, place: &Place<'_>) -> String {
    until("it is not named", || {
        metric(one, "holdfast_store_quarantined") == 1
            && metric(one, "holdfast_store_lost_commands_total") > 0
    });
    assert_eq!(metric(one, "holdfast_store_lost_commands_total"), 2);
    assert!(!one.0.health().is_safe);
    for instance in [one, other] {
        let refused = instance.try_execute("more", &hold("A", 1, 60_000), 0);
        assert_eq!(refused.unwrap_err(), LedgerError::Quarantined);
        let read = wait_for(instance.0.stock(Sku::new("A").unwrap()));
        assert_eq!(read.unwrap_err(), LedgerError::Quarantined);
    }
    let loss: String = place.ask(&["HGET", place.keys().meta(), "lost"]);
    let refused = Place::refusal(config(place));
    assert!(matches!(&refused, OpenError::Unsafe(text) if text.contains(&loss)));
    let findings = inspect(&config(place)).unwrap().findings;
    assert!(findings.iter().any(|f| f.name == "history"));
    loss
}

fn goes_on(one: &Instance, other: &Instance, place: &Place<'_>, loss: &str) {
    let accept = |name| accept_loss(&config(place), name).unwrap();
    for other in ["0.9.9", "1.1.1", "nonsense"] {
        assert_eq!(accept(other), None, "{other}");
    }
    assert_eq!(accept(loss), Some(2));
    assert_eq!(accept(loss), None, "once");
    until("it does not go on", || one.0.health().is_safe);
    let again = one.execute("lost-1", &hold("A", 1, 60_000));
    assert!(!again.replayed && again.verdict.is_ok());
    assert_eq!(again.position.epoch, 2);
    readers_are_told(other, again.position.sequence);
    until("the other does not go on", || other.0.health().is_safe);
    let seen = other.execute("lost-1", &hold("A", 1, 60_000));
    assert_eq!(seen.verdict, again.verdict);
    assert_eq!(metric(one, "holdfast_store_quarantined"), 0);
    one.recounts_clean();
    drop(open(place));
}

/// Where an event of the new epoch stands now, one stood that was lost: whoever has read that must
/// read the state anew.
fn readers_are_told(instance: &Instance, sequence: u64) {
    let read = |epoch| {
        let after = Cursor {
            shard: 0,
            epoch: Some(epoch),
            sequence,
        };
        wait_for(instance.0.events(after, 10))
    };
    // Its connections may be among those that were killed, and it may not know yet that the loss
    // was accepted.
    until("no events", || read(2).is_ok());
    until("readers are not told", || match read(1) {
        Ok(page) => panic!("{page:?}"),
        Err(error) => matches!(error, EventsError::Lost { .. }),
    });
}

#[test]
fn what_a_store_lost_is_noticed_over_a_new_connection() {
    for kind in Kind::ALL {
        let server = Server::start(kind);
        let place = Place::new(&server);
        let (one, other) = lose_two(&place);
        let _killed: u64 = place.ask(&["CLIENT", "KILL", "TYPE", "normal"]);
        // Nobody asked the store for anything between the fault and this. If it was sent before
        // the end of the connection was noticed, nobody knows.
        refused_or_unknown(&one, "A");
        let loss = is_stopped(&one, &other, &place);
        goes_on(&one, &other, &place, &loss);
    }
}

#[test]
fn what_a_store_lost_is_noticed_in_a_reply() {
    for kind in Kind::ALL {
        let server = Server::start(kind);
        let place = Place::new(&server);
        let (one, other) = lose_two(&place);
        // Over the same connection: the store has done it before anybody could know.
        let unknown = one.try_execute("next", &hold("A", 1, 60_000), 0);
        assert_eq!(unknown.unwrap_err(), LedgerError::Unknown);
        let loss = is_stopped(&one, &other, &place);
        goes_on(&one, &other, &place, &loss);
    }
}

#[test]
fn what_a_store_lost_is_noticed_after_others_went_on() {
    let server = Server::start(Kind::Valkey);
    let place = Place::new(&server);
    let (one, other) = lose_two(&place);
    // It was told of nothing that is missing, and makes the history longer than it was.
    for n in 0..10 {
        let more = other.execute(&format!("new-{n}"), &hold("A", 1, 60_000));
        assert!(more.position.sequence > 0);
    }
    let _killed: u64 = place.ask(&["CLIENT", "KILL", "TYPE", "normal"]);
    refused_or_unknown(&one, "A");
    is_stopped(&one, &other, &place);
}

/// The control: connections that end again and again, and another instance in between, are no loss.
#[test]
fn a_store_that_lost_nothing_is_not_stopped() {
    for kind in Kind::ALL {
        let server = Server::start(kind);
        let place = Place::new(&server);
        let (one, other) = (open(&place), open(&place));
        one.execute("stock", &set("A", 100));
        for n in 0..30 {
            for (at, instance) in [&one, &other].into_iter().enumerate() {
                instance.execute(&format!("{at}-{n}"), &hold("A", 1, 60_000));
            }
            let _killed: u64 = place.ask(&["CLIENT", "KILL", "TYPE", "normal"]);
        }
        assert_eq!(one.units("A"), [100, 60, 0]);
        for instance in [&one, &other] {
            assert_eq!(metric(instance, "holdfast_store_lost_commands_total"), 0);
            assert!(instance.0.health().is_safe);
        }
    }
}

/// The partitions that are stopped, and why.
fn stopped(place: &Place<'_>) -> Vec<String> {
    let losses = (0..PARTITIONS).filter_map(|partition| {
        let keys = Keys::new(&place.namespace, partition);
        place.ask::<Option<String>>(&["HGET", keys.meta(), "lost"])
    });
    losses.collect()
}

#[test]
fn only_the_partition_that_lost_something_is_stopped() {
    for kind in Kind::ALL {
        let server = Server::start(kind);
        let place = Place::new(&server);
        let config = RemoteConfig {
            partitions: Some(PARTITIONS),
            ..config(&place)
        };
        let one = Instance(Engine::open_remote(config.clone()).unwrap());
        give_names(&one.0);
        let skus: Vec<String> = (0..16).map(|n| format!("S{n}")).collect();
        for sku in &skus {
            one.execute(sku, &set(sku, 10));
        }
        copy(&place, "0", COPY);
        one.execute("lost", &hold("S0", 1, 60_000));
        copy(&place, COPY, "0");
        let _killed: u64 = place.ask(&["CLIENT", "KILL", "TYPE", "normal"]);
        refused_or_unknown(&one, "S0");
        until("it is not stopped", || stopped(&place).len() == 1);
        let hold_all = |round: &str| -> usize {
            let reserve = |sku: &String| {
                let key = format!("{round}-{sku}");
                one.try_execute(&key, &hold(sku, 1, 60_000), 0)
            };
            let answers = skus.iter().map(reserve);
            let refused = |answer: &Result<_, _>| *answer == Err(LedgerError::Quarantined);
            answers.filter(refused).count()
        };
        let refused = hold_all("stopped");
        assert!((1..16).contains(&refused), "{refused} of 16");
        assert!(!one.0.health().is_safe);
        let [loss] = &stopped(&place)[..] else {
            panic!("one loss");
        };
        let said = inspect(&config).unwrap().findings;
        assert!(said.iter().any(|finding| finding.found.contains(loss)));
        assert_eq!(accept_loss(&config, loss).unwrap(), Some(2));
        until("it does not go on", || one.0.health().is_safe);
        assert_eq!(hold_all("again"), 0);
        one.recounts_clean();
    }
}
