//! A ledger of several partitions against the independent model: what a command does and is answered
//! must not show where its lines lie.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::future::Future;
use std::pin::pin;

use holdfast::blocking::wait_for;
use holdfast::domain::command::Keyed;
use holdfast::domain::policy::Document;
use holdfast::domain::verdict::Limit;
use holdfast::domain::{
    ChannelIx, NodeIx, Outcome, Reservation, ReservationId, Settings, Sku, Units, UnixMillis,
};
use holdfast::ledger::event::{Body, Cursor};
use holdfast::ledger::remote::script::Keys;
use holdfast::ledger::{About, Answer, Availability, Consistency, EventsError, StockView};

use crate::instance::{Instance, Place, set};
use crate::server::{Kind, Server};
use crate::support::check::{Coverage, Subject, check};
use crate::support::commands_wanted;
use crate::support::driven::put_policy;
use crate::support::history::{CHANNEL_NAMES, Maker};
use crate::support::script::{Ask, Script, SetAsk};

/// Two instances that take turns over one ledger.
pub(crate) struct Spread<'s> {
    place: Place<'s>,
    partitions: u16,
    instances: [Instance; 2],
    turn: Cell<usize>,
    /// Identities as the model knows them, by those that name a partition.
    ids: RefCell<HashMap<u128, u128>>,
}

impl<'s> Spread<'s> {
    pub(crate) fn new(server: &'s Server, partitions: u16) -> Self {
        let mut place = Place::new(server);
        place.partitions = Some(partitions);
        let instances = [place.open_named(), place.open()];
        Self {
            place,
            partitions,
            instances,
            turn: Cell::new(0),
            ids: RefCell::default(),
        }
    }

    /// The instance whose turn it is.
    pub(crate) fn next(&self) -> &Instance {
        let turn = 1 - self.turn.get();
        self.turn.set(turn);
        &self.instances[turn]
    }

    /// The identity in the store of a reservation that the model knows by another.
    fn real(&self, id: u128) -> u128 {
        let ids = self.ids.borrow();
        let real = ids.iter().find(|(_, known)| **known == id);
        real.map_or(id, |(real, _)| *real)
    }

    fn as_known(&self, mut found: Reservation) -> Reservation {
        found.id = ReservationId(self.ids.borrow().get(&found.id.0).copied().unwrap_or(0));
        found
    }

    fn answer_as_known(&self, mut answer: Answer) -> Answer {
        if let Ok(Outcome::Reservation(found)) = answer.verdict {
            answer.verdict = Ok(Outcome::Reservation(self.as_known(found)));
        }
        answer
    }
}

fn sku(text: &str) -> Sku<'_> {
    Sku::new(text).unwrap()
}

impl Subject for Spread<'_> {
    fn id(&self, key: &str) -> u128 {
        self.next().id(key)
    }

    fn execute(&mut self, key: &str, script: &Script, target: u128) -> Answer {
        let target = self.real(target);
        let answer = self.next().try_execute(key, script, target).unwrap();
        if let (Script::Reserve { .. }, Ok(Outcome::Reservation(made))) = (script, &answer.verdict)
        {
            let id = self.next().id(key);
            self.ids.borrow_mut().insert(made.id.0, id);
        }
        self.answer_as_known(answer)
    }

    fn set_clock(&mut self, at: i64) {
        self.place.clock.set(UnixMillis(at));
    }

    fn now(&self) -> i64 {
        let last = |partition| {
            let keys = Keys::new(&self.place.namespace, partition);
            self.place.ask::<i64>(&["HGET", keys.meta(), "now"])
        };
        let last = (0..self.partitions).map(last).max().unwrap();
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
        let id = ReservationId(self.real(id));
        let found = wait_for(self.next().0.reservation(id)).unwrap();
        found.map(|found| self.as_known(found))
    }

    fn by_reference(&self, channel: u16, reference: &str) -> Option<Reservation> {
        let name = CHANNEL_NAMES[usize::from(channel)];
        let found = wait_for(self.next().0.by_reference(name, reference)).unwrap();
        found.map(|found| self.as_known(found))
    }

    fn settle(&self, key: &str) -> Option<Answer> {
        let found = wait_for(self.next().0.settle(key)).unwrap();
        found.map(|found| self.answer_as_known(found))
    }

    fn has_one_order(&self) -> bool {
        false
    }

    fn violations(&self) -> Vec<String> {
        wait_for(self.next().0.recount()).unwrap().violations
    }
}

/// Neither does the clock go back, nor is a key used again with another content: where that lies in
/// other partitions, it is another command.
fn run(partitions: u16, commands: usize) -> Coverage {
    let server = Server::start(Kind::Redis);
    let mut left = commands;
    let mut coverage = Coverage::new();
    for seed in 0.. {
        let mut maker = Maker::new(seed);
        maker.backwards = false;
        maker.policies = seed % 2 == 1;
        maker.terms = seed % 4 == 3;
        maker.share_moves = if maker.policies { 8 } else { 1 };
        maker.in_parts = true;
        let history = maker.history(400);
        let seen = check(seed, &history, || Spread::new(&server, partitions));
        for (code, times) in seen.unwrap_or_else(|report| panic!("{partitions}: {report}")) {
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
fn any_number_of_partitions_agrees_with_the_model() {
    std::thread::scope(|scope| {
        for partitions in [4, 64] {
            scope.spawn(move || {
                let coverage = run(partitions, commands_wanted() / 200);
                assert!(
                    coverage.len() >= 18,
                    "not every answer was met: {coverage:?}"
                );
            });
        }
    });
}

#[test]
fn each_partition_tells_of_its_own_lines() {
    let server = Server::start(Kind::Redis);
    let mut place = Place::new(&server);
    place.partitions = Some(4);
    let instance = place.open_named();
    let skus = ["a", "b", "c", "d", "e", "f"];
    for name in skus {
        instance.execute(name, &set(name, 5));
    }
    let lines = skus.map(|sku| Ask {
        sku: sku.to_owned(),
        node: None,
        quantity: 2,
    });
    let reserve = Script::Reserve {
        channel: 0,
        reference: None,
        ttl: 60_000,
        partial: false,
        lines: lines.to_vec(),
    };
    assert!(instance.execute("k", &reserve).verdict.is_ok());
    let (mut stocked, mut reserved, mut shards) = (Vec::new(), Vec::new(), 0);
    for shard in 0..4 {
        let after = Cursor {
            shard,
            ..Cursor::default()
        };
        let page = wait_for(instance.0.events(after, 100)).unwrap();
        let mut here = Vec::new();
        for event in page.iter().map(Result::unwrap) {
            assert_eq!(event.position.shard, shard);
            if let Body::StockChanged(changed) = &event.body {
                here.extend(changed.items.iter().map(|item| item.sku.to_owned()));
            }
            if let Body::Reserved(made) = &event.body {
                shards += 1;
                let lines: Vec<_> = made.lines.iter().map(|line| line.sku.to_owned()).collect();
                assert!(lines.iter().all(|sku| here.contains(sku)), "{lines:?}");
                reserved.extend(lines);
            }
        }
        stocked.extend(here);
    }
    stocked.sort_unstable();
    reserved.sort_unstable();
    assert_eq!(stocked, skus);
    assert_eq!(reserved, skus);
    assert!(shards > 1, "they lie in several partitions");
    let beyond = Cursor {
        shard: 4,
        ..Cursor::default()
    };
    let refused = wait_for(instance.0.events(beyond, 1)).unwrap_err();
    assert!(matches!(refused, EventsError::NoShard { shards: 4 }));
}

/// Does something else just before the future takes its step with that number; whether it got there.
fn overtaken<T>(future: impl Future<Output = T>, step: usize, other: impl FnOnce()) -> (T, bool) {
    let (mut future, mut other, mut steps) = (pin!(future), Some(other), 0);
    let done = wait_for(std::future::poll_fn(|context| {
        steps += 1;
        if steps == step
            && let Some(other) = other.take()
        {
            other();
        }
        future.as_mut().poll(context)
    }));
    (done, steps >= step)
}

/// Between the question whether a key is known and the check of what it asks for, somebody else did the
/// same under the same key. Home had its items then, and the caller was told of these alone.
#[test]
fn a_change_that_is_overtaken_under_its_key_is_answered_whole() {
    let server = Server::start(Kind::Redis);
    let skus = ["a", "b", "c", "d", "e", "f"];
    let is_overtaken = |step| {
        let mut place = Place::new(&server);
        place.partitions = Some(4);
        let (instance, other) = (place.open_named(), place.open());
        for sku in skus {
            instance.execute(sku, &set(sku, 5));
        }
        let items = skus.map(|sku| SetAsk {
            sku: sku.to_owned(),
            node: 0,
            on_hand: Some(7),
            unavailable: None,
            change_from: Some(5),
        });
        let script = Script::Set {
            reason: "count".to_owned(),
            items: items.to_vec(),
        };
        let command = script.command(0);
        let key = instance.0.key("key", &command);
        let keyed = Keyed { key, command };
        let mut first = None;
        let by_other = || first = Some(other.execute("key", &script).verdict);
        let (answer, is_overtaken) = overtaken(instance.0.execute(&keyed), step, by_other);
        let answer = answer.unwrap().verdict;
        assert!(matches!(&answer, Ok(Outcome::Stock(all)) if all.len() == skus.len()));
        assert!(first.is_none_or(|first| first == answer));
        instance.recounts_clean();
        is_overtaken
    };
    assert!((1..60).any(|step| !is_overtaken(step)), "it does not end");
}
