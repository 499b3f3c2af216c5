//! Dated supply and promises for a day, through a real ledger: restarts and repeated keys in between. The
//! model keeps lists of what was announced and promised, and assigns units to promises one by one.

use std::collections::BTreeMap;

use holdfast::blocking::wait_for;
use holdfast::clock::Clock;
use holdfast::domain::command::{
    Act, Channel, Command, InboundCommand, Keyed, LineRequest, Lines, PutInbound, ReceiveInbound,
    Reserve, SetItem, StockChange, StockCommand, Verb,
};
use holdfast::domain::{
    ChannelIx, Day, HoldTtl, InboundKind, Line, NodeIx, Outcome, Refusal, Reservation,
    ReservationId, Sku, Ttl, Units, UnixMillis, Verdict,
};
use holdfast::engine::Engine;
use holdfast::ledger::{Consistency, StockView};

use crate::support::assignment::{Assignment, Supply, until};
use crate::support::check::START;
use crate::support::rng::Rng;

const DAY_MS: i64 = 86_400_000;
const NODES: u64 = 3;
const SKUS: [&str; 2] = ["a", "b"];

fn units(n: u64) -> Units {
    Units::new(n).unwrap()
}

fn sku(name: &str) -> Sku<'_> {
    Sku::new(name).unwrap()
}

/// Where the ledger is.
pub(crate) trait Home {
    /// Opens it at the time of that clock.
    fn open(&self, clock: &Clock) -> Engine;

    /// Perhaps opens it anew.
    fn reopen(&self, engine: &mut Engine, clock: &Clock, rng: &mut Rng);
}

struct World<'h, H> {
    home: &'h H,
    clock: Clock,
    engine: Engine,
    rng: Rng,
    models: BTreeMap<&'static str, Supply>,
    made: Vec<Reservation>,
    sent: u64,
    /// Accepted for a later day; refused for the date; deficits seen.
    seen: [u64; 3],
}

impl<'h, H: Home> World<'h, H> {
    fn new(home: &'h H, seed: u64) -> Self {
        let clock = Clock::manual(UnixMillis(START));
        let engine = home.open(&clock);
        let mut world = Self {
            home,
            clock,
            engine,
            rng: Rng::new(seed),
            models: BTreeMap::new(),
            made: Vec::new(),
            sent: 0,
            seen: [0; 3],
        };
        for name in SKUS {
            world.models.insert(name, Supply::default());
            world.count(name, 0, 3);
        }
        world
    }

    fn today(&self) -> u16 {
        Day::of(self.engine.now()).get()
    }

    fn day(&mut self, most: u64) -> Day {
        let ahead = u16::try_from(self.rng.below(most)).unwrap();
        Day::new(self.today() + ahead).unwrap()
    }

    fn node(&mut self) -> NodeIx {
        NodeIx(u16::try_from(self.rng.below(NODES)).unwrap())
    }

    fn name(&mut self) -> &'static str {
        self.rng.pick(&SKUS)
    }

    /// Sends a command, now and then twice: the second answer is the first.
    fn send(&mut self, command: Command<'_>) -> Verdict {
        self.sent += 1;
        let key = self.engine.key(&format!("k{}", self.sent), &command);
        let keyed = Keyed { key, command };
        let answer = wait_for(self.engine.execute(&keyed)).unwrap();
        if self.rng.percent(10) {
            self.home
                .reopen(&mut self.engine, &self.clock, &mut self.rng);
            let again = wait_for(self.engine.execute(&keyed)).unwrap();
            let of_act = matches!(keyed.command, Command::Act(_));
            let known = again.replayed || answer.verdict.is_err();
            assert!(
                known && (of_act || again.verdict == answer.verdict),
                "{keyed:?}"
            );
        }
        answer.verdict
    }

    fn lines_of(&self, name: &str) -> impl Iterator<Item = &Line> {
        let lines = self.made.iter().flat_map(|made| &made.lines);
        lines
            .filter(move |line| &*line.sku == name)
            .map(|line| &line.line)
    }

    fn assigned(&self, name: &str) -> Assignment {
        Assignment::of(&self.models[name], self.lines_of(name), self.today())
    }

    fn unserved(&self) -> u64 {
        SKUS.iter().map(|name| self.assigned(name).unserved).sum()
    }

    fn count(&mut self, name: &'static str, node: u16, on_hand: u64) {
        let item = SetItem {
            sku: sku(name),
            node: NodeIx(node),
            on_hand: Some(units(on_hand)),
            unavailable: None,
            change_from: None,
        };
        let command = StockCommand {
            change: StockChange::Set(vec![item]),
            reason: "count",
            operator: None,
        };
        self.send(Command::Stock(command)).unwrap();
        let model = self.models.get_mut(name).unwrap();
        model.on_hand.insert(node, on_hand);
    }

    fn announce(&mut self) {
        let (name, node, due) = (self.name(), self.node(), self.day(7));
        let id = format!("po-{}", self.rng.below(6));
        let quantity = self.rng.below(5);
        let item = PutInbound {
            sku: sku(name),
            id: &id,
            kind: InboundKind::InTransit,
            node,
            due,
            quantity: units(quantity),
        };
        let command = InboundCommand::Put(vec![item]);
        self.send(Command::Inbound(command)).unwrap();
        let inbound = &mut self.models.get_mut(name).unwrap().inbound;
        inbound.remove(&id);
        if quantity > 0 {
            inbound.insert(id, (node.0, due, quantity));
        }
    }

    fn receive(&mut self) {
        let name = self.name();
        let id = format!("po-{}", self.rng.below(6));
        let (quantity, is_final) = (self.rng.below(4), self.rng.percent(10));
        let item = ReceiveInbound {
            sku: sku(name),
            id: &id,
            quantity: units(quantity),
            is_final,
        };
        let command = InboundCommand::Receive(vec![item]);
        let verdict = self.send(Command::Inbound(command));
        let model = self.models.get_mut(name).unwrap();
        let Some((node, _, open)) = model.inbound.get_mut(&id) else {
            assert!(matches!(verdict, Err(Refusal::UnknownInbound { .. })));
            return;
        };
        if quantity > *open {
            assert!(matches!(verdict, Err(Refusal::OverReceipt { .. })));
            return;
        }
        assert!(matches!(verdict, Ok(Outcome::Inbound(_))));
        *open -= quantity;
        *model.on_hand.entry(*node).or_default() += quantity;
        if *open == 0 || is_final {
            model.inbound.remove(&id);
        }
    }

    fn reserve(&mut self) {
        let name = self.name();
        let by = self.rng.percent(75).then(|| self.day(8));
        let pin = self.rng.percent(40).then(|| self.node());
        let quantity = self.rng.between(1, 4);
        let line = LineRequest {
            sku: sku(name),
            node: pin,
            quantity: units(quantity),
            by,
        };
        let command = Command::Reserve(Reserve {
            channel: Channel {
                name: "channel-0",
                index: Some(ChannelIx(0)),
            },
            reference: None,
            ttl: HoldTtl::Asked(Ttl::from_millis(3 * 86_400_000).unwrap()),
            allow_partial: false,
            lines: Lines::try_new([line]).unwrap(),
        });
        // What is due has expired before the ledger decides.
        self.expire();
        let before = self.assigned(name);
        let today = self.today();
        let pin = pin.map(|node| node.0);
        let can = |day: Option<Day>| self.assigned(name).takes(quantity, until(day, today), pin);
        let mut days = (today..=by.map_or(0, Day::get)).map(Day::new);
        let expected = match by {
            None => can(None).then_some(None),
            Some(_) => days.find(|day| can(*day)),
        };
        let is_sound = before.unserved == 0;
        match self.send(command) {
            Ok(Outcome::Reservation(made)) => {
                let day = made.lines[0].line.day;
                assert!(
                    !is_sound || expected == Some(day),
                    "{line:?}: {day:?}, {expected:?}"
                );
                self.seen[0] += u64::from(day.is_some_and(|day| day.get() > today));
                self.made.push(made);
            }
            Err(Refusal::InsufficientStock { shortages }) => {
                assert!(!is_sound || expected.is_none(), "{line:?}: {shortages:?}");
                self.seen[1] += u64::from(shortages[0].next.is_some());
            }
            other => panic!("{other:?}"),
        }
    }

    fn act(&mut self) {
        if self.made.is_empty() {
            return;
        }
        let at = self.rng.index(self.made.len());
        let verb = match self.rng.below(6) {
            0 | 1 => Verb::Confirm,
            2 => Verb::Release,
            3 => Verb::Transfer { to: self.node() },
            _ => Verb::Ship { from: None },
        };
        let act = Act {
            id: self.made[at].id,
            verb,
            lines: None,
        };
        let Ok(Outcome::Reservation(after)) = self.send(Command::Act(act)) else {
            return;
        };
        let id: ReservationId = after.id;
        let shown = wait_for(self.engine.reservation(id)).unwrap();
        assert_eq!(shown.as_ref(), Some(&after));
        let name = SKUS
            .iter()
            .find(|name| ***name == *after.lines[0].sku)
            .unwrap();
        if let Verb::Ship { .. } = verb {
            // Which node it came from shows in the stock alone.
            let view = self.view(name);
            let model = self.models.get_mut(name).unwrap();
            let before: u64 = model.on_hand.values().sum();
            for place in &view.nodes {
                model.on_hand.insert(place.node.0, place.on_hand.get());
            }
            let shipped = |of: &Reservation| of.lines[0].line.shipped.get();
            let left = shipped(&after) - shipped(&self.made[at]);
            assert_eq!(model.on_hand.values().sum::<u64>() + left, before);
        }
        self.made[at] = after;
    }

    fn view(&self, name: &str) -> StockView {
        wait_for(self.engine.stock(sku(name))).unwrap().unwrap()
    }

    /// Holds that are past their deadline.
    fn expire(&mut self) {
        let now = self.engine.now();
        for made in self
            .made
            .iter_mut()
            .filter(|made| made.deadline.is_due(now))
        {
            for line in &mut made.lines {
                line.line.expired = units(line.line.expired.get() + line.line.held.get());
                line.line.held = Units::ZERO;
            }
        }
    }

    fn compare(&mut self) {
        self.expire();
        for name in SKUS {
            let (view, model, today) = (self.view(name), &self.models[name], self.today());
            let on_hand: u64 = model.on_hand.values().sum();
            assert_eq!(view.on_hand.get(), on_hand);
            let promised: u64 = self.lines_of(name).map(|line| line.open().get()).sum();
            assert_eq!(view.held.get() + view.committed.get(), promised);
            let inbound = view.inbound.iter();
            let inbound =
                inbound.map(|of| (of.id.to_string(), (of.node.0, of.due, of.units.get())));
            assert_eq!(&inbound.collect::<BTreeMap<_, _>>(), &model.inbound);
            let unserved = self.assigned(name).unserved;
            assert_eq!(view.deficit.get(), unserved, "{name}");
            self.seen[2] += u64::from(unserved > 0);
            let node = self.rng.percent(30).then(|| self.node());
            let found = self
                .engine
                .availability(sku(name), node, Consistency::Strong);
            let found = wait_for(found).unwrap().unwrap();
            for bucket in found.dates.iter().filter(|_| unserved == 0) {
                let pin = node.map(|node| node.0);
                let room = self.assigned(name).room(until(bucket.day, today), pin);
                assert_eq!(bucket.available.get(), room, "{name} {bucket:?}");
            }
        }
        let violations = wait_for(self.engine.recount()).unwrap().violations;
        assert_eq!(violations, Vec::<String>::new());
    }

    fn step(&mut self) {
        self.expire();
        match self.rng.below(20) {
            0..=2 => self.announce(),
            3 if self.rng.percent(20) => {
                let (name, node, left) = (self.name(), self.node(), self.rng.below(4));
                self.count(name, node.0, left);
            }
            of => {
                let before = self.unserved();
                match of {
                    3..=10 => self.reserve(),
                    11..=12 => return self.receive_in_full_or_part(before),
                    _ => self.act(),
                }
                let after = self.unserved();
                assert!(
                    after <= before,
                    "{after} units are not served, {before} before"
                );
            }
        }
    }

    /// An arrival, which leaves nobody worse off unless it is said to be the last.
    fn receive_in_full_or_part(&mut self, before: u64) {
        let announced: u64 = self.announced();
        let on_hand = self.on_hand();
        self.receive();
        let is_lost = self.announced() + self.on_hand() < announced + on_hand;
        assert!(is_lost || self.unserved() <= before);
    }

    fn announced(&self) -> u64 {
        let inbound = self
            .models
            .values()
            .flat_map(|model| model.inbound.values());
        inbound.map(|(_, _, open)| open).sum()
    }

    fn on_hand(&self) -> u64 {
        let places = self
            .models
            .values()
            .flat_map(|model| model.on_hand.values());
        places.sum()
    }
}

/// Runs histories with these seeds, each in a home of its own.
pub(crate) fn agrees_with_an_assignment<H: Home>(
    seeds: std::ops::Range<u64>,
    home_of: impl Fn(u64) -> H,
) {
    let mut seen = [0; 3];
    for seed in seeds {
        let home = home_of(seed);
        let mut world = World::new(&home, seed);
        for turn in 0..240 {
            world.step();
            if turn % 12 == 11 {
                world.clock.set(UnixMillis(world.engine.now().0 + DAY_MS));
                world.compare();
            }
        }
        for (sum, of) in seen.iter_mut().zip(world.seen) {
            *sum += of;
        }
        world.engine.close().unwrap();
    }
    assert!(seen.iter().all(|count| *count > 5), "{seen:?}");
}
