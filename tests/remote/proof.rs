//! Proofs of what ledgers in stores did, while they are in use.

use holdfast::blocking::wait_for;
use holdfast::clock::Clock;
use holdfast::domain::UnixMillis;
use holdfast::engine::Engine;
use holdfast::ledger::proof::{Edge, ProveError, Range};

use crate::instance::{Place, hold, set};
use crate::model::Pair;
use crate::promises::{Home, agrees_with_an_assignment};
use crate::proved::{proved, range};
use crate::server::{Kind, Server};
use crate::several::Spread;
use crate::support::check::run;
use crate::support::history::{Maker, Step};
use crate::support::rng::Rng;

fn history(seed: u64, in_parts: bool) -> Vec<Step> {
    let mut maker = Maker::new(seed);
    maker.backwards = false;
    maker.policies = seed % 2 == 1;
    maker.share_moves = 4;
    maker.in_parts = in_parts;
    maker.history(600)
}

#[test]
fn every_random_history_is_accepted_on_every_server() {
    for kind in Kind::ALL {
        let server = Server::start(kind);
        for seed in 0..4 {
            let mut pair = Pair::new(&server);
            run(&mut pair, &history(seed, false)).unwrap();
            let (proof, _) = proved(&pair.next().0, &range(i64::MAX));
            assert!(proof.made > 0, "{kind:?}, seed {seed}");
        }
    }
}

#[test]
fn every_random_history_of_several_partitions_is_accepted() {
    let server = Server::start(Kind::Redis);
    for (seed, partitions) in [(0, 2), (1, 3), (2, 7), (3, 3)] {
        let mut spread = Spread::new(&server, partitions);
        run(&mut spread, &history(seed, true)).unwrap();
        let (proof, _) = proved(&spread.next().0, &range(i64::MAX));
        assert!(proof.made > 0, "seed {seed}");
    }
}

/// A ledger in a store that is proved whenever a new instance would be opened.
struct Proved<'s>(Place<'s>);

impl Home for Proved<'_> {
    fn open(&self, clock: &Clock) -> Engine {
        self.0.engine_at(clock)
    }

    fn reopen(&self, engine: &mut Engine, _clock: &Clock, _rng: &mut Rng) {
        proved(engine, &range(i64::MAX));
    }
}

#[test]
fn dated_supply_and_promises_are_accepted_in_one_partition_and_several() {
    let server = Server::start(Kind::Redis);
    for partitions in [None, Some(3)] {
        agrees_with_an_assignment(0..2, |_| {
            let mut place = Place::new(&server);
            place.partitions = partitions;
            Proved(place)
        });
    }
}

#[test]
fn several_partitions_are_proved_between_moments_and_not_between_numbers() {
    let server = Server::start(Kind::Redis);
    let mut place = Place::new(&server);
    place.partitions = Some(3);
    let instance = place.open();
    for sku in ["a", "b", "c", "d"] {
        instance.execute(sku, &set(sku, 9));
        instance.execute(&format!("{sku}1"), &hold(sku, 2, 60_000));
    }
    let middle = place.clock.now();
    place.clock.set(UnixMillis(middle.0 + 1_000));
    for sku in ["a", "b", "c", "d"] {
        instance.execute(&format!("{sku}2"), &hold(sku, 3, 60_000));
    }
    let between = |from, to| Range {
        from,
        to,
        ..range(i64::MAX)
    };
    let later = UnixMillis(middle.0 + 1);
    let (first, _) = proved(&instance.0, &between(None, Some(Edge::Moment(middle))));
    let (second, _) = proved(&instance.0, &between(Some(Edge::Moment(later)), None));
    assert_eq!((first.made, second.made), (4, 4));
    assert_eq!(first.closing, second.opening);
    assert_ne!(second.closing, second.opening);

    let numbers = between(Some(Edge::Sequence(3)), None);
    let refused = wait_for(instance.0.prove(&numbers, Vec::new()));
    assert!(matches!(refused, Err(ProveError::Sequences(3))));
}
