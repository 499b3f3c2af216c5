//! The mirror when the store is away, has forgotten what happened, or tells another story.

use std::time::Duration;

use holdfast::blocking::wait_for;
use holdfast::clock::{Monotonic, monotonic};
use holdfast::engine::Engine;
use holdfast::ledger::LedgerError;
use holdfast::ledger::remote::RemoteConfig;
use holdfast::ledger::remote::batcher::Settling;

use crate::gate::Gate;
use crate::instance::{Instance, Place, hold, set};
use crate::mirror::{answers, filled, fills, mirrored, until};
use crate::server::{Kind, Server};

const DAY: u32 = 86_400_000;

/// An instance with the network to its store in the test's hand.
struct Remote {
    instance: Instance,
    gate: Gate,
}

fn behind_a_gate(place: &Place<'_>, mirror: Duration) -> Remote {
    let gate = Gate::before(&place.server.socket());
    let mut config = place.config();
    config.address = gate.url().parse().unwrap();
    config.mirror = mirror;
    config.batcher.settling = Settling {
        limit: Duration::from_millis(200),
        ..config.batcher.settling
    };
    let instance = Instance(Engine::open_remote(config).unwrap());
    Remote { instance, gate }
}

/// Asks for a unit; whether the mirror refused it.
fn is_refused_by_the_mirror(instance: &Instance, key: &str) -> Result<bool, LedgerError> {
    let answer = instance.try_execute(key, &hold("A", 1, DAY), 0)?;
    assert!(answer.verdict.is_err(), "there is nothing: {answer:?}");
    Ok(answer.mirror_age.is_some())
}

/// What the mirror says while the network is cut was proved before, and not longer ago than the
/// bound; then it says nothing until the network is back.
#[test]
fn a_mirror_that_is_cut_off_knows_that_it_is_stale() {
    const BOUND: Duration = Duration::from_millis(250);
    for kind in Kind::ALL {
        let server = Server::start(kind);
        let place = Place::new(&server);
        let Remote { instance, gate } = behind_a_gate(&place, BOUND);
        instance.execute("stock", &set("A", 0));
        filled(&instance, "A");
        gate.cut(true);
        let cut = monotonic();
        let mut tries = 0;
        let mut ask = || -> (Monotonic, Result<bool, LedgerError>) {
            tries += 1;
            let asked = monotonic();
            (
                asked,
                is_refused_by_the_mirror(&instance, &format!("k{tries}")),
            )
        };
        until("the mirror is stale", || {
            let (asked, answer) = ask();
            match answer {
                // Whatever it goes by, it had heard before the cut.
                Ok(by_mirror) => {
                    assert!(by_mirror, "the store is away");
                    assert!(asked.since(cut) <= BOUND, "{:?}", asked.since(cut));
                    None
                }
                Err(_) => Some(()),
            }
        });
        for _ in 0..5 {
            let (_, answer) = ask();
            assert!(answer.is_err(), "it stays stale: {answer:?}");
        }
        gate.cut(false);
        until("the mirror is back", || {
            is_refused_by_the_mirror(&instance, "back").ok()?;
            mirrored(&instance, "A", None)
        });
        assert_eq!(fills(&instance), 1, "it goes on where it was");
    }
}

/// Lets others do this while an instance is cut off.
fn meanwhile(remote: &Remote, work: impl FnOnce()) {
    remote.gate.cut(true);
    work();
    remote.gate.cut(false);
}

/// Waits until the mirror shows so many units promised.
fn shows(instance: &Instance, promised: u64) {
    until("the mirror is up to date", || {
        // An empty stream does not say that anything is missing, but a reply does.
        wait_for(instance.0.tick()).unwrap_or_default();
        let seen = mirrored(instance, "A", None)?;
        (seen.promised.get() == promised).then_some(())
    });
}

#[test]
fn what_happened_while_it_was_away_is_put_in_afterwards() {
    for kind in Kind::ALL {
        let server = Server::start(kind);
        let place = Place::new(&server);
        let other = place.open();
        other.execute("stock", &set("A", 100));
        let remote = behind_a_gate(&place, Duration::from_hours(1));
        filled(&remote.instance, "A");
        meanwhile(&remote, || {
            for n in 0..50 {
                other.execute(&format!("k{n}"), &hold("A", 1, DAY));
            }
        });
        shows(&remote.instance, 50);
        assert_eq!(fills(&remote.instance), 1);
    }
}

/// The stream was trimmed behind it, in its middle, or altogether: the mirror is filled anew.
#[test]
fn what_the_stream_has_no_more_is_read_from_the_store() {
    for kind in Kind::ALL {
        let server = Server::start(kind);
        for cut in ["front", "middle", "all"] {
            let place = Place::new(&server);
            let keys = place.keys();
            let other = place.open();
            other.execute("stock", &set("A", 100));
            let remote = behind_a_gate(&place, Duration::from_hours(1));
            filled(&remote.instance, "A");
            meanwhile(&remote, || {
                for n in 0..50 {
                    other.execute(&format!("k{n}"), &hold("A", 1, DAY));
                }
                let _trimmed: u64 = match cut {
                    "front" => place.ask(&["XTRIM", keys.events(), "MINID", "30"]),
                    "middle" => place.ask(&["XDEL", keys.events(), "30-0"]),
                    _ => place.ask(&["XTRIM", keys.events(), "MAXLEN", "0"]),
                };
            });
            shows(&remote.instance, 50);
            assert_eq!(fills(&remote.instance), 2, "{cut}");
        }
    }
}

/// Entries with the right numbers, but not what stood there before: the chain shows it.
#[test]
fn a_history_that_is_another_one_is_noticed() {
    type Entries = Vec<(String, Vec<Vec<u8>>)>;
    for kind in Kind::ALL {
        let server = Server::start(kind);
        let place = Place::new(&server);
        let keys = place.keys();
        let other = place.open();
        other.execute("stock", &set("A", 100));
        let remote = behind_a_gate(&place, Duration::from_hours(1));
        filled(&remote.instance, "A");
        meanwhile(&remote, || {
            for n in 0..50 {
                other.execute(&format!("k{n}"), &hold("A", 1, DAY));
            }
            let mut entries: Entries = place.ask(&["XRANGE", keys.events(), "-", "+"]);
            // Two holds change places, with everything that a reader needs.
            let [one, two] = entries.get_disjoint_mut([20, 30]).unwrap();
            std::mem::swap(&mut one.1[1], &mut two.1[1]);
            let mut again = redis::pipe();
            again.atomic().cmd("DEL").arg(keys.events());
            for (id, fields) in entries {
                again.cmd("XADD").arg(keys.events()).arg(id).arg(fields);
            }
            again.exec(&mut server.connect()).unwrap();
        });
        shows(&remote.instance, 50);
        assert_eq!(fills(&remote.instance), 2);
    }
}

#[test]
fn without_a_mirror_the_store_answers_everything() {
    let server = Server::start(Kind::Redis);
    let place = Place::new(&server);
    let config = RemoteConfig {
        mirror: Duration::ZERO,
        ..place.config()
    };
    let instance = Instance(Engine::open_remote(config).unwrap());
    instance.execute("stock", &set("A", 0));
    assert_eq!(is_refused_by_the_mirror(&instance, "k"), Ok(false));
    assert_eq!(mirrored(&instance, "A", None), None);
    assert_eq!((answers(&instance, "refusal"), fills(&instance)), (0, 0));
}
