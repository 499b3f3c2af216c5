//! Two instances that take turns, against the independent model: no command and no read may show
//! which of them was asked.

use std::cell::Cell;

use holdfast::blocking::wait_for;
use holdfast::clock::Clock;
use holdfast::domain::policy::Document;
use holdfast::domain::verdict::Limit;
use holdfast::domain::{
    ChannelIx, NodeIx, Reservation, ReservationId, Settings, Sku, Units, UnixMillis,
};
use holdfast::engine::Engine;
use holdfast::ledger::{About, Answer, Availability, Consistency, StockView};

use crate::instance::{Instance, Place};
use crate::promises::{Home, agrees_with_an_assignment};
use crate::server::{Kind, Server};
use crate::support::check::{Coverage, Subject, check};
use crate::support::commands_wanted;
use crate::support::driven::put_policy;
use crate::support::history::{CHANNEL_NAMES, Maker};
use crate::support::rng::Rng;
use crate::support::script::Script;

pub(crate) struct Pair<'s> {
    place: Place<'s>,
    instances: [Instance; 2],
    turn: Cell<usize>,
}

impl<'s> Pair<'s> {
    pub(crate) fn new(server: &'s Server) -> Self {
        let place = Place::new(server);
        let instances = [place.open_named(), place.open()];
        Self {
            place,
            instances,
            turn: Cell::new(0),
        }
    }

    /// The instance whose turn it is.
    pub(crate) fn next(&self) -> &Instance {
        let turn = 1 - self.turn.get();
        self.turn.set(turn);
        &self.instances[turn]
    }
}

fn sku(text: &str) -> Sku<'_> {
    Sku::new(text).unwrap()
}

impl Subject for Pair<'_> {
    fn id(&self, key: &str) -> u128 {
        self.next().id(key)
    }

    fn execute(&mut self, key: &str, script: &Script, target: u128) -> Answer {
        self.next().try_execute(key, script, target).unwrap()
    }

    fn set_clock(&mut self, at: i64) {
        self.place.clock.set(UnixMillis(at));
    }

    fn now(&self) -> i64 {
        let meta = self.place.keys();
        let last: i64 = self.place.ask(&["HGET", meta.meta(), "now"]);
        last.max(self.place.clock.now().0)
    }

    fn tick(&mut self) {
        wait_for(self.next().0.tick()).unwrap();
    }

    fn restart(&mut self) {
        let turn = self.turn.get();
        self.instances[turn] = self.place.open();
    }

    fn snapshot(&mut self) {}

    fn put_policy(&mut self, document: &Document) -> bool {
        put_policy(&self.next().0, document).unwrap().is_some()
    }

    fn stock(&self, name: &str) -> Option<StockView> {
        wait_for(self.next().0.stock(sku(name))).unwrap()
    }

    fn settings(&self, name: &str) -> Option<Settings> {
        wait_for(self.next().0.settings(sku(name))).unwrap()
    }

    fn availability(&self, name: &str, node: Option<u16>) -> Option<Availability> {
        let (sku, node) = (sku(name), node.map(NodeIx));
        let instance = self.next();
        wait_for(instance.0.availability(sku, node, Consistency::Strong)).unwrap()
    }

    fn room_of(&self, name: &str, channel: u16) -> Option<(Units, Limit)> {
        let about = About {
            node: None,
            channel: Some(ChannelIx(channel)),
        };
        let instance = self.next();
        let found = instance
            .0
            .availability(sku(name), about, Consistency::Strong);
        let found = wait_for(found).unwrap()?;
        Some((found.available, found.limit))
    }

    fn reservation(&self, id: u128) -> Option<Reservation> {
        wait_for(self.next().0.reservation(ReservationId(id))).unwrap()
    }

    fn by_reference(&self, channel: u16, reference: &str) -> Option<Reservation> {
        let name = CHANNEL_NAMES[usize::from(channel)];
        wait_for(self.next().0.by_reference(name, reference)).unwrap()
    }

    fn settle(&self, key: &str) -> Option<Answer> {
        wait_for(self.next().0.settle(key)).unwrap()
    }

    fn violations(&self) -> Vec<String> {
        wait_for(self.next().0.recount()).unwrap().violations
    }
}

/// The clock never goes back: the scripts keep every time they see, also of calls that only read,
/// which the model does not. `tests/differential` turns it back.
fn run(kind: Kind, commands: usize) -> Coverage {
    let server = Server::start(kind);
    let mut left = commands;
    let mut coverage = Coverage::new();
    for seed in 0.. {
        let mut maker = Maker::new(seed);
        maker.backwards = false;
        maker.policies = seed % 2 == 1;
        maker.terms = seed % 4 == 3;
        maker.share_moves = if maker.policies { 8 } else { 1 };
        let history = maker.history(800);
        let seen = check(seed, &history, || Pair::new(&server));
        for (code, times) in seen.unwrap_or_else(|report| panic!("{kind:?}: {report}")) {
            *coverage.entry(code).or_default() += times;
        }
        left = left.saturating_sub(history.len());
        if left == 0 {
            break;
        }
    }
    coverage
}

#[test]
fn two_instances_agree_with_the_model_on_every_server() {
    std::thread::scope(|scope| {
        for kind in Kind::ALL {
            scope.spawn(move || {
                let coverage = run(kind, commands_wanted() / 100);
                assert!(
                    coverage.len() >= 20,
                    "not every answer was met: {coverage:?}"
                );
            });
        }
    });
}

/// A ledger in a store, of which a new instance is opened now and then.
struct Store<'s>(Place<'s>);

impl Home for Store<'_> {
    fn open(&self, clock: &Clock) -> Engine {
        self.0.engine_at(clock)
    }

    fn reopen(&self, engine: &mut Engine, clock: &Clock, rng: &mut Rng) {
        if rng.percent(30) {
            engine.close().unwrap();
            *engine = self.open(clock);
        }
    }
}

#[test]
fn dated_supply_and_promises_agree_with_an_assignment_of_units_on_every_server() {
    for (kind, partitions) in Kind::ALL.into_iter().zip([None, Some(3)]) {
        let server = Server::start(kind);
        agrees_with_an_assignment(0..8, |_| {
            let mut place = Place::new(&server);
            place.partitions = partitions;
            Store(place)
        });
    }
}
