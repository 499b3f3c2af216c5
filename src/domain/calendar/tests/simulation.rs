//! A calendar that goes by, with random commands every day: what was promised is not broken by what
//! is promised afterwards.

use super::matching::{Matching, Want, moment};
use super::*;
use crate::domain::command::{
    Act, InboundCommand, LineRequest, Lines, PutInbound, ReceiveInbound, StockChange, TransferItem,
    Verb,
};
use crate::domain::decide::{self, LineFacts};
use crate::domain::ids::{ChannelIx, ReservationId, Sku};
use crate::domain::line::{Line, Move};
use crate::domain::time::UnixMillis;
use crate::domain::uses::Charge;
use crate::domain::verdict::{Limit, Refusal};

const NODES: u64 = 3;
const HORIZON: u64 = 8;

struct Shop {
    stock: Stock,
    /// Each is a reservation of its own.
    lines: Vec<Line>,
    today: u16,
    named: u64,
    /// Holds made, made for later, and refused; ships refused before their day.
    seen: [u64; 4],
}

fn sku() -> Sku<'static> {
    Sku::new("a").unwrap()
}

fn node(rng: &mut Rng) -> NodeIx {
    NodeIx(u16::try_from(rng.below(NODES)).unwrap())
}

impl Shop {
    fn new(today: u16) -> Self {
        Self {
            stock: Stock::default(),
            lines: Vec::new(),
            today,
            named: 0,
            seen: [0; 4],
        }
    }

    fn now(&self) -> UnixMillis {
        day(self.today).begins()
    }

    /// The same, line by line.
    fn world(&self) -> World {
        let nodes = self.stock.nodes().iter();
        let inbound = self.stock.calendar().inbound().iter();
        let open = self.lines.iter().filter(|line| !line.open().is_zero());
        World {
            on_hand: nodes
                .map(|place| (place.node.0, place.on_hand.get()))
                .collect(),
            inbound: inbound
                .map(|entry| (entry.node.0, entry.due.get(), entry.units.get()))
                .collect(),
            promises: open
                .map(|line| {
                    let pin = line.pin.map(|node| node.0);
                    (line.day.map(Day::get), pin, line.open().get())
                })
                .collect(),
            safety: None,
            node_safety: Vec::new(),
        }
    }

    fn assigned(&self) -> Matching {
        Matching::on(&self.world(), self.today)
    }

    fn step(&mut self, at: usize, step: Move) {
        let charge = Charge {
            channel: ChannelIx(0),
            window: UnixMillis(0),
        };
        let line = &mut self.lines[at];
        self.stock.apply(line, step, charge).unwrap();
        line.apply(step).unwrap();
    }

    /// A command; what it promises, ships or moves breaks nothing.
    fn command(&mut self, rng: &mut Rng) {
        let before = self.assigned().unserved();
        match rng.below(10) {
            0..4 => self.reserve(rng),
            4 => self.act(rng, Verb::Confirm),
            5 => {
                let from = rng.one_in(2).then(|| node(rng));
                self.act(rng, Verb::Ship { from });
            }
            6 => self.act(rng, Verb::Release),
            7 => {
                let to = node(rng);
                self.act(rng, Verb::Transfer { to });
            }
            8 => self.transfer(rng),
            _ => self.receive(rng),
        }
        let after = self.assigned().unserved();
        assert!(
            after <= before,
            "{after} units cannot be served, {before} before"
        );
        assert_eq!(self.stock.deficit(day(self.today)).get(), after);
    }

    fn reserve(&mut self, rng: &mut Rng) {
        let today = self.today;
        let mut ask = || LineRequest {
            sku: sku(),
            node: rng.one_in(2).then(|| node(rng)),
            quantity: units(1 + rng.below(4)),
            by: (!rng.one_in(4)).then(|| day(today + u16::try_from(rng.below(HORIZON)).unwrap())),
        };
        let asked = [ask(), ask()];
        let count = 1 + rng.index(2);
        let lines = Lines::try_new(asked.into_iter().take(count)).unwrap();
        let stock = self.stock.clone();
        match decide::reserve(&lines, false, day(self.today), |_| Some(&stock), |_| None) {
            Err(refusal) => {
                self.seen[2] += 1;
                self.check_refusal(lines.as_slice(), &refusal);
            }
            Ok(grants) => {
                for (asked, grant) in lines.as_slice().iter().zip(&grants) {
                    assert_eq!(grant.units, asked.quantity);
                    assert_eq!(grant.day.is_some(), asked.by.is_some());
                    assert!(grant.day <= asked.by);
                    self.check_earliest(asked, grant.day);
                    self.seen[0] += 1;
                    self.seen[1] += u64::from(grant.day > Some(day(self.today)));
                    let mut line = Line::pinned(asked.node);
                    line.day = grant.day;
                    self.lines.push(line);
                    self.step(self.lines.len() - 1, Move::Hold(grant.units));
                }
            }
        }
    }

    /// Whether so many more can be promised, as long as nothing is broken.
    fn can_be_had(&self, asked: &LineRequest<'_>, by: Option<u16>) -> Option<bool> {
        let assigned = self.assigned();
        let until = moment(by, self.today);
        let pin = asked.node.map(|node| node.0);
        let room = assigned.room(Want { until, pin });
        (assigned.unserved() == 0).then_some(room >= asked.quantity.get())
    }

    fn check_earliest(&self, asked: &LineRequest<'_>, granted: Option<Day>) {
        let Some(granted) = granted else { return };
        assert_ne!(self.can_be_had(asked, Some(granted.get())), Some(false));
        for earlier in self.today..granted.get() {
            assert_ne!(
                self.can_be_had(asked, Some(earlier)),
                Some(true),
                "{asked:?}"
            );
        }
    }

    fn check_refusal(&self, lines: &[LineRequest<'_>], refusal: &Refusal) {
        let Refusal::InsufficientStock { shortages } = refusal else {
            panic!("{refusal:?}")
        };
        let ([asked], [short]) = (lines, &shortages[..]) else {
            return;
        };
        let by = asked.by.map(Day::get);
        assert_ne!(
            self.can_be_had(asked, by),
            Some(true),
            "{asked:?} {short:?}"
        );
        assert_eq!(short.next.is_some(), short.limit == Limit::Date);
        let after = by.map_or(self.today, |by| by + 1);
        let last = self.today + u16::try_from(HORIZON).unwrap();
        let mut days = after..=last;
        let first = days.find(|by| self.can_be_had(asked, Some(*by)) == Some(true));
        if self.assigned().unserved() == 0 {
            assert_eq!(short.next.map(Day::get), first, "{asked:?} {short:?}");
        }
    }

    fn act(&mut self, rng: &mut Rng, verb: Verb) {
        if self.lines.is_empty() {
            return;
        }
        let at = rng.index(self.lines.len());
        let facts = [LineFacts {
            sku: "a",
            line: self.lines[at],
        }];
        let act = Act {
            id: ReservationId(0),
            verb,
            lines: None,
        };
        let deadline = UnixMillis(i64::MAX);
        let plan = decide::act(&act, deadline, self.now(), &facts, |_| Some(&self.stock));
        match plan {
            Ok(plan) => {
                for (_, step) in plan.moves {
                    self.step(at, step);
                }
            }
            Err(Refusal::InsufficientStock { .. }) => self.seen[3] += 1,
            Err(_) => {}
        }
        self.lines.retain(|line| !line.open().is_zero());
    }

    fn transfer(&mut self, rng: &mut Rng) {
        let (from, to) = (node(rng), node(rng));
        let item = TransferItem {
            sku: sku(),
            from,
            to,
            quantity: units(1 + rng.below(3)),
        };
        let change = StockChange::Transfer(vec![item]);
        if self.stock.nodes().is_empty() || from == to {
            return;
        }
        let places = decide::stock(&change, day(self.today), |_| Some(&self.stock));
        for place in places.unwrap_or_default() {
            let (on_hand, apart) = (place.on_hand, place.unavailable);
            self.stock
                .set_node(place.before.node, on_hand, apart)
                .unwrap();
        }
    }

    fn inbound(&mut self, command: &InboundCommand<'_>) {
        let today = day(self.today);
        let arrivals = decide::inbound(command, today, |_| Some(&self.stock)).unwrap();
        for arrival in arrivals {
            let (entry, received) = (arrival.entry, arrival.received);
            self.stock.receive_inbound(entry, received).unwrap();
        }
    }

    /// What was announced arrives, in whole or in part; nobody loses by that.
    fn receive(&mut self, rng: &mut Rng) {
        let inbound = self.stock.calendar().inbound();
        if inbound.is_empty() {
            return;
        }
        let entry = inbound[rng.index(inbound.len())].clone();
        let item = ReceiveInbound {
            sku: sku(),
            id: &entry.id,
            quantity: units(1 + rng.below(entry.units.get())),
            is_final: false,
        };
        self.inbound(&InboundCommand::Receive(vec![item]));
    }

    /// What happens to the shop: supply is announced, comes later or not at all, gets lost.
    fn fate(&mut self, rng: &mut Rng) {
        let inbound = self.stock.calendar().inbound();
        let known = (!inbound.is_empty()).then(|| inbound[rng.index(inbound.len())].clone());
        match known {
            Some(known) if rng.one_in(6) => {
                let quantity = units(rng.below(4));
                let (id, known_node) = (&*known.id, known.node);
                let due = day(self.today + u16::try_from(rng.below(HORIZON)).unwrap());
                self.put(id, known_node, due, quantity);
            }
            _ if rng.one_in(3) => {
                self.named += 1;
                let id = self.named.to_string();
                let due = day(self.today + u16::try_from(rng.below(HORIZON)).unwrap());
                self.put(&id, node(rng), due, units(1 + rng.below(5)));
            }
            _ if rng.one_in(30) => {
                let place = self.stock.node(node(rng));
                let left = units(rng.below(place.on_hand.get() + 1));
                self.stock.set_node(place.node, left, Units::ZERO).unwrap();
            }
            _ => {}
        }
    }

    fn put(&mut self, id: &str, node: NodeIx, due: Day, quantity: Units) {
        let item = PutInbound {
            sku: sku(),
            id,
            kind: InboundKind::Presale,
            node,
            due,
            quantity,
        };
        self.inbound(&InboundCommand::Put(vec![item]));
    }
}

#[test]
fn no_accepted_promise_is_broken_by_a_later_one() {
    let mut rng = Rng(1_912);
    let mut seen = [0; 4];
    for _ in 0..60 {
        let mut shop = Shop::new(TODAY);
        for _ in 0..40 {
            for _ in 0..6 {
                shop.fate(&mut rng);
                shop.command(&mut rng);
            }
            shop.today += 1;
        }
        for (sum, of) in seen.iter_mut().zip(shop.seen) {
            *sum += of;
        }
    }
    assert!(seen.iter().all(|count| *count > 100), "{seen:?}");
}
