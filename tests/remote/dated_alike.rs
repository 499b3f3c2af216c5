//! Dated supply in both ledgers: the same random commands about announcements, promises for days and
//! all that may become of them, to the embedded ledger and to one in a store of one partition or
//! several. Every answer, every view and, where there is one partition, every event is the same.
//!
//! That the embedded ledger is right is what `tests/model` shows, by assigning units to promises one by
//! one.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::Arc;

use holdfast::blocking::wait_for;
use holdfast::clock::Clock;
use holdfast::domain::command::{Act, Command, Keyed, Verb};
use holdfast::domain::deficit::Order;
use holdfast::domain::stock::NodeStock;
use holdfast::domain::verdict::Limit;
use holdfast::domain::{
    ChannelIx, Day, NodeIx, Outcome, Refusal, ReservationId, Sku, UnixMillis, Verdict,
};
use holdfast::engine::Engine;
use holdfast::ledger::{About, Answer, Consistency};

use crate::alike::{compare_in_order, told};
use crate::dated_commands::{DAY_MS, Maker, count};
use crate::deficits_told::Deficits;
use crate::instance::{Instance, Place};
use crate::mirror::agrees;
use crate::moving::{export, into_store};
use crate::server::{Kind, Server};
use crate::support::check::START;
use crate::support::driven;
use crate::support::history::{NODES, SKUS};
use crate::support::memory::Memory;
use crate::support::rng::Rng;

const STEPS: usize = 500;

/// How often each kind of answer was met.
type Seen = BTreeMap<&'static str, usize>;

/// The same of both ledgers, but for ids and positions, which name partitions.
fn bare(answer: &Answer, has_one_order: bool) -> (Verdict, bool) {
    let mut verdict = answer.verdict.clone();
    match &mut verdict {
        Ok(Outcome::Reservation(made)) => made.id = ReservationId(0),
        Ok(Outcome::Stock(results)) if !has_one_order => {
            results.iter_mut().for_each(|one| one.version = 0);
        }
        Ok(Outcome::Inbound(results)) if !has_one_order => {
            results.iter_mut().for_each(|one| one.version = 0);
        }
        Ok(_) | Err(_) => {}
    }
    (verdict, answer.replayed)
}

/// What a key alone is answered: whoever has no more does not know the order of the items.
fn in_any_order(answer: &Answer, has_one_order: bool) -> (Verdict, bool) {
    let (mut verdict, replayed) = bare(answer, has_one_order);
    match &mut verdict {
        Ok(Outcome::Stock(results)) => results.sort_by(|a, b| a.sku.cmp(&b.sku)),
        Ok(Outcome::Inbound(results)) => results.sort_by(|a, b| a.sku.cmp(&b.sku)),
        Ok(_) | Err(_) => {}
    }
    (verdict, replayed)
}

struct Pair {
    embedded: Engine,
    remote: Instance,
    maker: Maker,
    /// Of each reservation, its id in both.
    made: Vec<[ReservationId; 2]>,
    /// Else what was placed in one partition and taken back for want of stock in another has been two
    /// changes of it.
    has_one_order: bool,
    sent: usize,
    seen: Seen,
}

fn same<T: PartialEq + Debug>(what: &dyn Debug, embedded: &T, remote: &T) {
    assert_eq!(embedded, remote, "{what:?}: embedded on the left");
}

impl Pair {
    fn execute(&mut self, commands: &[Command<'static>; 2]) {
        self.sent += 1;
        let text = format!("k{}", self.sent);
        let again = self.maker.rng.percent(10);
        let [ours, theirs] = [&self.embedded, &self.remote.0].map(|engine| {
            let at = usize::from(!std::ptr::eq(engine, &raw const self.embedded));
            let command = commands[at].clone();
            let keyed = Keyed {
                key: engine.key(&text, &command),
                command,
            };
            let first = wait_for(engine.execute(&keyed)).unwrap();
            let second = again.then(|| wait_for(engine.execute(&keyed)).unwrap());
            (first, second)
        });
        let what = (self.maker.now, &commands[0]);
        let bare = |answer: &Answer| bare(answer, self.has_one_order);
        same(&what, &bare(&ours.0), &bare(&theirs.0));
        same(
            &what,
            &ours.1.as_ref().map(bare),
            &theirs.1.as_ref().map(bare),
        );
        let settled = |engine: &Engine| {
            let answer = wait_for(engine.settle(&text)).unwrap();
            answer.map(|answer| in_any_order(&answer, self.has_one_order))
        };
        same(&what, &settled(&self.embedded), &settled(&self.remote.0));
        self.note(&ours.0, &theirs.0);
    }

    fn note(&mut self, ours: &Answer, theirs: &Answer) {
        let kind = match &ours.verdict {
            Ok(Outcome::Reservation(made)) => {
                let today = Day::of(UnixMillis(self.maker.now));
                let waits = made.lines.iter().any(|line| line.line.day > Some(today));
                if waits {
                    "promised for later"
                } else {
                    "reserved"
                }
            }
            Ok(Outcome::Inbound(_)) => "announced or received",
            Ok(_) => "changed",
            Err(Refusal::InsufficientStock { shortages }) => {
                for short in shortages {
                    let limit = match short.limit {
                        Limit::Date => "short: date",
                        Limit::Later => "short: later",
                        Limit::Inbound => "short: inbound",
                        Limit::Cap | Limit::Protection if short.next.is_some() => {
                            "short: cap until"
                        }
                        Limit::Suspended
                        | Limit::Stock
                        | Limit::Safety
                        | Limit::Cap
                        | Limit::Protection
                        | Limit::Node => "short: other",
                    };
                    *self.seen.entry(limit).or_default() += 1;
                }
                "short"
            }
            Err(refusal) => refusal.code(),
        };
        *self.seen.entry(kind).or_default() += 1;
        if let (Ok(Outcome::Reservation(ours)), Ok(Outcome::Reservation(theirs))) =
            (&ours.verdict, &theirs.verdict)
        {
            let ids = [ours.id, theirs.id];
            if !self.made.contains(&ids) {
                self.made.push(ids);
            }
        }
    }

    fn step(&mut self) {
        let acts = self.maker.rng.percent(30);
        let target = self.maker.one_of(self.made.len()).filter(|_| acts);
        let Some(at) = target else {
            let command = self.maker.any();
            return self.execute(&[command.clone(), command]);
        };
        let act = self.maker.act(self.made[at][0]);
        if matches!(act.verb, Verb::Ship { .. }) && self.may_leave_early(act.id) {
            return;
        }
        let theirs = Act {
            id: self.made[at][1],
            ..act.clone()
        };
        self.execute(&[Command::Act(act), Command::Act(theirs)]);
    }

    /// Where several partitions decide, a line that leaves before its day may have to wait for supply
    /// that one ledger alone need not wait for.
    fn may_leave_early(&self, id: ReservationId) -> bool {
        let today = Day::of(UnixMillis(self.maker.now));
        let made = wait_for(self.embedded.reservation(id)).unwrap();
        let lines = made.into_iter().flat_map(|made| made.lines);
        !self.has_one_order && { lines }.any(|line| line.line.day >= Some(today))
    }

    /// What anybody may look at is the same.
    fn compare(&mut self) {
        for name in SKUS {
            let sku = Sku::new(name).unwrap();
            let view = |engine: &Engine| {
                let mut view = wait_for(engine.stock(sku)).unwrap();
                if let Some(view) = &mut view {
                    view.nodes.iter_mut().for_each(|place| place.counted = 0);
                    if !self.has_one_order {
                        view.version = 0;
                        view.nodes
                            .retain(|place| *place != NodeStock::empty(place.node));
                    }
                }
                view
            };
            same(&name, &view(&self.embedded), &view(&self.remote.0));
            for at in 0..=NODES {
                let about = About {
                    node: at.checked_sub(1).map(NodeIx),
                    channel: self.maker.rng.percent(50).then_some(ChannelIx(at % 2)),
                };
                let found = |engine: &Engine| {
                    wait_for(engine.availability(sku, about, Consistency::Strong)).unwrap()
                };
                same(
                    &(name, about),
                    &found(&self.embedded),
                    &found(&self.remote.0),
                );
            }
        }
        for ids in self.made.iter().rev().take(20) {
            let [ours, theirs] = [(&self.embedded, ids[0]), (&self.remote.0, ids[1])]
                .map(|(engine, id)| wait_for(engine.reservation(id)).unwrap());
            let theirs = theirs.map(|mut theirs| {
                theirs.id = ids[0];
                theirs
            });
            same(&ids, &ours, &theirs);
        }
        for engine in [&self.embedded, &self.remote.0] {
            let recount = wait_for(engine.recount()).unwrap();
            same(&"violations", &Vec::new(), &recount.violations);
        }
        let short = |engine: &Engine| {
            let listed = wait_for(engine.deficits("", 100, Some(Order::Newest))).unwrap();
            let listed = listed.touched.into_iter().map(|of| {
                let risks: u64 = of.at_risk.iter().map(|risk| risk.units.get()).sum();
                (of.sku, of.stock.deficit, risks)
            });
            listed.collect::<Vec<_>>()
        };
        let deficits = short(&self.embedded);
        same(&"deficits", &deficits, &short(&self.remote.0));
        *self.seen.entry("deficit").or_default() += deficits.len();
    }

    /// What both told of deficits is the same, at any number of partitions: a SKU lies in one.
    fn compare_deficits(&mut self, ours: &Deficits, theirs: &Deficits) {
        same(&"deficits told", ours, theirs);
        let [begun, ended] = ours.turns();
        *self.seen.entry("deficit begun").or_default() += begun;
        *self.seen.entry("deficit ended").or_default() += ended;
    }
}

/// A ledger in a store that nobody knows yet.
fn place<'s>(server: &'s Server, clock: &Clock, partitions: Option<u16>) -> Place<'s> {
    let mut place = Place::new(server);
    place.clock = clock.clone();
    place.partitions = partitions;
    place
}

/// Runs a history; what was met in it. `partitions` are those of the ledger in the store, and of the
/// one that it moves into after half of it, where it does.
fn run(server: &Server, seed: u64, partitions: &[Option<u16>]) -> Seen {
    let has_one_order = partitions == [None];
    let clock = Clock::manual(UnixMillis(START));
    let mut places = partitions.iter().map(|of| place(server, &clock, *of));
    let first = places.next().unwrap();
    let moved = places.next();
    if first.partitions.is_none() {
        first.make(seed);
    }
    let storage = Arc::new(Memory::with_seed(seed));
    let rng = Rng::new(seed);
    let mut pair = Pair {
        embedded: driven::open(storage, clock.clone(), None),
        remote: first.open_named(),
        maker: Maker {
            rng,
            now: START,
            marks: has_one_order,
        },
        has_one_order,
        made: Vec::new(),
        sent: 0,
        seen: Seen::new(),
    };
    let mut watching = first.open_mirrored();
    for name in SKUS {
        pair.execute(&[count(name, 4), count(name, 4)]);
    }
    for step in 0..STEPS {
        pair.step();
        if step % 100 == 99 && seed % 2 == 1 {
            let document = pair.maker.policy();
            let put = |engine| driven::put_policy(engine, &document).unwrap().is_some();
            same(&"policy", &put(&pair.embedded), &put(&pair.remote.0));
        }
        if step % 20 == 19 {
            let by = i64::try_from(pair.maker.rng.below(2)).unwrap() * DAY_MS;
            pair.maker.now += by + i64::try_from(pair.maker.rng.below(40_000_000)).unwrap();
            clock.set(UnixMillis(pair.maker.now));
            // So that both write down at the same moment what has expired.
            for engine in [&pair.embedded, &pair.remote.0] {
                wait_for(engine.tick()).unwrap();
            }
            pair.compare();
        }
        if step % 100 == 50 {
            agrees(&watching);
        }
        if let Some(to) = moved.as_ref().filter(|_| step == STEPS / 2) {
            let (bytes, ..) = export(&pair.remote.0);
            into_store(to, &bytes, false).unwrap();
            (pair.remote, watching) = (to.open_named(), to.open_mirrored());
        }
    }
    if moved.is_none() {
        let count = partitions[0].unwrap_or(1);
        let (ours, theirs) = (told(&pair.embedded, 1), told(&pair.remote.0, count));
        pair.compare_deficits(&ours.deficits, &theirs.deficits);
        if has_one_order {
            compare_in_order(&ours.done, &theirs.done);
            compare_in_order(&ours.expired, &theirs.expired);
        }
    }
    pair.embedded.close().unwrap();
    pair.seen
}

fn add(all: &mut Seen, seen: Seen) {
    for (what, times) in seen {
        *all.entry(what).or_default() += times;
    }
}

fn has_met_everything(seen: &Seen) {
    for what in [
        "promised for later",
        "announced or received",
        "short: date",
        "short: later",
        "short: inbound",
        "unknown_inbound",
        "over_receipt",
        "due_too_late",
        "deficit",
        "deficit begun",
        "deficit ended",
    ] {
        assert!(seen.contains_key(what), "{what} was not met: {seen:?}");
    }
}

#[test]
fn both_ledgers_keep_dated_supply_alike() {
    for kind in Kind::ALL {
        let (server, mut seen) = (Server::start(kind), Seen::new());
        for seed in 0..6 {
            add(&mut seen, run(&server, seed, &[None]));
        }
        has_met_everything(&seen);
    }
}

#[test]
fn any_number_of_partitions_keeps_dated_supply_alike() {
    for (kind, partitions) in Kind::ALL.into_iter().zip([2, 5]) {
        let (server, mut seen) = (Server::start(kind), Seen::new());
        for seed in 10..14 {
            add(&mut seen, run(&server, seed, &[Some(partitions)]));
        }
        has_met_everything(&seen);
    }
}

#[test]
fn dated_supply_moves_with_its_ledger() {
    let server = Server::start(Kind::Redis);
    run(&server, 20, &[None, Some(3)]);
    run(&server, 21, &[Some(3), None]);
}
