//! What a policy says beside limits, where several instances share a store.

use holdfast::blocking::wait_for;
use holdfast::clock::Clock;
use holdfast::domain::policy::{Document, Rule, Scope};
use holdfast::domain::{Level, Terms, Units, UnixMillis};

use crate::instance::{Place, hold, set};
use crate::mirror::{is_refused, mirrored, until};
use crate::server::{Kind, Server};
use crate::support::check::START;
use crate::support::driven::put_policy;

const HOUR: i64 = 3_600_000;
const DAY: u32 = 86_400_000;

/// Five of everything are kept back for an hour.
fn kept_back() -> Document {
    let rule = Rule {
        frees: false,
        id: "first".to_owned(),
        scope: Scope::Default,
        from: Some(UnixMillis(START)),
        until: Some(UnixMillis(START + HOUR)),
        every: None,
        limits: Vec::new(),
        terms: Terms {
            safety: Some(Level::Units(Units::new(5).unwrap())),
            low_water: None,
        },
    };
    Document {
        rules: vec![rule],
        ..Document::default()
    }
}

#[test]
fn no_mirror_refuses_by_what_the_policy_said_before() {
    for kind in Kind::ALL {
        let server = Server::start(kind);
        let mut place = Place::new(&server);
        place.clock = Clock::manual(UnixMillis(START));
        let (one, other) = (place.open_named(), place.open_mirrored());
        one.execute("stock", &set("A", 10));
        put_policy(&one.0, &kept_back()).unwrap().unwrap();
        // Nobody has touched it since, and it is noted then.
        for key in ["first", "second"] {
            assert!(is_refused(&one.execute(key, &hold("A", 6, DAY))));
        }
        let available = |units: u64| {
            until("the mirror shows what is available", || {
                wait_for(other.0.tick()).unwrap();
                let seen = mirrored(&other, "A", None)?;
                (seen.available.get() == units).then_some(())
            });
        };
        available(5);
        assert!(is_refused(&other.execute("third", &hold("A", 6, DAY))));
        place.clock.advance(HOUR);
        available(10);
        let late = other.execute("late", &hold("A", 6, DAY));
        assert!(late.verdict.is_ok(), "{late:?}");
        assert!(is_refused(&one.execute("last", &hold("A", 5, DAY))));
        one.recounts_clean();
    }
}
