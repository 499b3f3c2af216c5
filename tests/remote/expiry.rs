//! What is past its deadline goes back, whoever looks; what is past its retention is forgotten.

use holdfast::blocking::wait_for;
use holdfast::clock::Clock;
use holdfast::domain::{Refusal, UnixMillis};
use holdfast::engine::Engine;

use crate::instance::{Instance, Place, hold, set};
use crate::server::{Kind, Server};
use crate::support::check::START;
use crate::support::driven::give_names;

fn pass(clock: &Clock, millis: i64) {
    clock.set(UnixMillis(clock.now().0 + millis));
}

#[test]
fn holds_past_their_deadline_are_free_at_the_next_command_of_any_instance() {
    for kind in Kind::ALL {
        let server = Server::start(kind);
        let place = Place::new(&server);
        let (one, other) = (place.open_named(), place.open());
        one.execute("stock", &set("A", 1));
        assert!(one.execute("k1", &hold("A", 1, 10_000)).verdict.is_ok());
        pass(&place.clock, 9_999);
        assert!(other.execute("k2", &hold("A", 1, 10_000)).verdict.is_err());
        pass(&place.clock, 1);
        assert!(other.execute("k3", &hold("A", 1, 10_000)).verdict.is_ok());
        // Its key still tells what it was told.
        assert!(one.execute("k1", &hold("A", 1, 10_000)).replayed);
        one.recounts_clean();
    }
}

/// An instance may be wrong about the day: nothing goes back early, and nothing is kept for ever.
#[test]
fn deadlines_go_by_the_store_whatever_an_instance_believes() {
    const DAY: i64 = 86_400_000;
    for kind in Kind::ALL {
        let server = Server::start(kind);
        let place = Place::new(&server);
        let believing = |shift: i64| {
            let mut config = place.config();
            config.clock = Clock::manual(UnixMillis(START + shift));
            Instance(Engine::open_remote(config).unwrap())
        };
        let (right, behind, ahead) = (place.open_named(), believing(-DAY), believing(DAY));
        right.execute("stock", &set("A", 1));
        assert!(behind.execute("k1", &hold("A", 1, 10_000)).verdict.is_ok());
        pass(&place.clock, 9_999);
        wait_for(ahead.0.tick()).unwrap();
        assert!(ahead.execute("k2", &hold("A", 1, 10_000)).verdict.is_err());
        assert_eq!(right.units("A"), [1, 1, 0], "given back early");
        pass(&place.clock, 1);
        assert!(behind.execute("k3", &hold("A", 1, 10_000)).verdict.is_ok());
        right.recounts_clean();
    }
}

/// More than one call takes; many instances at once change nothing about it.
#[test]
fn a_tick_of_any_instance_gives_everything_back() {
    const HOLDS: u64 = 25_000;
    for kind in Kind::ALL {
        let server = Server::start(kind);
        let place = Place::new(&server);
        let instances = [place.open_named(), place.open(), place.open()];
        instances[0].execute("stock", &set("A", HOLDS));
        for n in 0..HOLDS {
            // Deadlines of their own.
            pass(&place.clock, 1);
            let held = instances[0].execute(&format!("k{n}"), &hold("A", 1, 60_000));
            assert!(held.verdict.is_ok(), "{n}");
        }
        assert_eq!(instances[1].units("A"), [HOLDS, HOLDS, 0]);
        pass(&place.clock, 60_000);
        std::thread::scope(|scope| {
            for instance in &instances {
                scope.spawn(|| wait_for(instance.0.tick()).unwrap());
            }
        });
        let keys = place.keys();
        let left: u64 = place.ask(&["ZCARD", keys.due()]);
        assert_eq!(left, 0);
        assert_eq!(instances[2].units("A"), [HOLDS, 0, 0]);
        instances[1].recounts_clean();
    }
}

/// Rounds until every record was looked at: the scan is as good as through when it begins anew.
fn tick_through(instance: &Instance) {
    for _ in 0..40 {
        wait_for(instance.0.tick()).unwrap();
    }
}

#[test]
fn what_is_past_its_retention_is_forgotten() {
    for kind in Kind::ALL {
        let server = Server::start(kind);
        let place = Place::new(&server);
        let mut config = place.config();
        config.retention.keys_ms = 3_600_000;
        config.retention.refusals_ms = 60_000;
        let instance = Instance(Engine::open_remote(config).unwrap());
        give_names(&instance.0);
        instance.execute("stock", &set("A", 400));
        for n in 0..400 {
            instance.execute(&format!("k{n}"), &hold("A", 1, 30_000));
        }
        let refused = instance.execute("none", &hold("A", 1, 30_000)).verdict;
        assert!(matches!(refused, Err(Refusal::InsufficientStock { .. })));

        pass(&place.clock, 61_000);
        tick_through(&instance);
        assert_eq!(wait_for(instance.0.settle("none")), Ok(None));
        assert!(wait_for(instance.0.settle("k7")).unwrap().is_some());
        let anew = instance.execute("none", &hold("A", 1, 7_200_000));
        assert!(anew.verdict.is_ok() && !anew.replayed, "decided anew");

        // An hour after they came to an end; the hold that is still open stays.
        pass(&place.clock, 3_600_000);
        tick_through(&instance);
        let keys = place.keys();
        let records: u64 = place.ask(&["HLEN", keys.all()[2].as_str()]);
        assert_eq!(records, 1, "at {}", place.clock.now().0 - START);
        assert!(wait_for(instance.0.settle("none")).unwrap().is_some());
        assert_eq!(instance.units("A"), [400, 1, 0]);
        instance.recounts_clean();
    }
}
