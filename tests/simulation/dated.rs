//! Dated supply and promises for days: commands about SKUs of their own, and the books that are kept
//! of them from the events alone. Whether promises can be kept is found by giving each unit away.

use std::collections::BTreeMap;

use holdfast::domain::command::{
    Act, Channel, Command, InboundCommand, LineRequest, Lines, PutInbound, ReceiveInbound, Reserve,
    SetItem, StockChange, StockCommand, Verb,
};
use holdfast::domain::line::Move;
use holdfast::domain::{
    ChannelIx, Day, HoldTtl, InboundKind, Line, NodeIx, Refusal, ReservationId, Sku, Ttl, Units,
    UnixMillis,
};
use holdfast::ledger::StockView;
use holdfast::ledger::event::{Acted, InboundChanged, Reserved, StockChanged};

use crate::support::assignment::{Assignment, Supply, until};
use crate::support::history::CHANNEL_NAMES;
use crate::support::rng::Rng;
use crate::support::script::units;

/// The SKUs that these commands are about, and no others.
pub(crate) const SKUS: [&str; 2] = ["dated-a", "dated-b"];
const NAMES: [&str; 4] = ["po-0", "po-1", "po-2", "r"];
const NODES: u64 = 3;

/// A command about dated supply.
#[derive(Debug, Clone)]
pub(crate) enum Ask {
    Announce {
        sku: &'static str,
        id: &'static str,
        node: u16,
        due: Day,
        quantity: u64,
    },
    Receive {
        sku: &'static str,
        id: &'static str,
        quantity: u64,
        is_final: bool,
    },
    Count {
        sku: &'static str,
        node: u16,
        on_hand: u64,
    },
    Reserve(Promise),
    Act {
        target: String,
        verb: Verb,
    },
}

/// Units of a SKU that are to be there by a day.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Promise {
    sku: &'static str,
    pin: Option<u16>,
    quantity: u64,
    by: Option<Day>,
    ttl: u32,
}

fn sku(name: &str) -> Sku<'_> {
    Sku::new(name).unwrap()
}

impl Ask {
    pub(crate) fn target(&self) -> Option<&str> {
        match self {
            Self::Act { target, .. } => Some(target),
            Self::Announce { .. }
            | Self::Receive { .. }
            | Self::Count { .. }
            | Self::Reserve { .. } => None,
        }
    }

    pub(crate) fn command(&self, target: u128) -> Command<'_> {
        match *self {
            Self::Announce {
                sku: name,
                id,
                node,
                due,
                quantity,
            } => Command::Inbound(InboundCommand::Put(vec![PutInbound {
                sku: sku(name),
                id,
                kind: InboundKind::InTransit,
                node: NodeIx(node),
                due,
                quantity: units(quantity),
            }])),
            Self::Receive {
                sku: name,
                id,
                quantity,
                is_final,
            } => Command::Inbound(InboundCommand::Receive(vec![ReceiveInbound {
                sku: sku(name),
                id,
                quantity: units(quantity),
                is_final,
            }])),
            Self::Count {
                sku: name,
                node,
                on_hand,
            } => Command::Stock(StockCommand {
                change: StockChange::Set(vec![SetItem {
                    sku: sku(name),
                    node: NodeIx(node),
                    on_hand: Some(units(on_hand)),
                    unavailable: None,
                    change_from: None,
                }]),
                reason: "count",
                operator: None,
            }),
            Self::Reserve(promise) => promise.command(),
            Self::Act { verb, .. } => Command::Act(Act {
                id: ReservationId(target),
                verb,
                lines: None,
            }),
        }
    }
}

impl Promise {
    fn command<'a>(self) -> Command<'a> {
        let line = LineRequest {
            sku: sku(self.sku),
            node: self.pin.map(NodeIx),
            quantity: units(self.quantity),
            by: self.by,
        };
        Command::Reserve(Reserve {
            channel: Channel {
                name: CHANNEL_NAMES[0],
                index: Some(ChannelIx(0)),
            },
            reference: None,
            ttl: HoldTtl::Asked(Ttl::from_millis(self.ttl).unwrap()),
            allow_partial: false,
            lines: Lines::try_new([line]).unwrap(),
        })
    }
}

/// Makes commands from a seed.
pub(crate) struct Maker {
    rng: Rng,
    prefix: String,
    made: Vec<String>,
    sent: u64,
}

impl Maker {
    pub(crate) fn new(seed: u64, prefix: String) -> Self {
        Self {
            rng: Rng::new(seed),
            prefix,
            made: Vec::new(),
            sent: 0,
        }
    }

    /// The next command, with its key.
    pub(crate) fn next(&mut self, now: UnixMillis) -> (String, Ask) {
        self.sent += 1;
        let key = format!("{}{}", self.prefix, self.sent);
        let ask = match self.rng.below(20) {
            0..=3 => self.announce(now),
            4..=5 => self.receive(),
            6 => Ask::Count {
                sku: self.rng.pick(&SKUS),
                node: self.node(),
                on_hand: self.rng.below(6),
            },
            7..=12 if !self.made.is_empty() => self.act(),
            _ => {
                self.made.push(key.clone());
                Ask::Reserve(self.reserve(now))
            }
        };
        (key, ask)
    }

    fn node(&mut self) -> u16 {
        u16::try_from(self.rng.below(NODES)).unwrap()
    }

    fn day(&mut self, now: UnixMillis) -> Day {
        Day::of(now).later(u16::try_from(self.rng.below(6)).unwrap())
    }

    fn announce(&mut self, now: UnixMillis) -> Ask {
        Ask::Announce {
            sku: self.rng.pick(&SKUS),
            id: self.rng.pick(&NAMES),
            node: self.node(),
            due: self.day(now),
            quantity: self.rng.below(6),
        }
    }

    fn receive(&mut self) -> Ask {
        Ask::Receive {
            sku: self.rng.pick(&SKUS),
            id: self.rng.pick(&NAMES),
            quantity: self.rng.below(4),
            is_final: self.rng.percent(10),
        }
    }

    fn reserve(&mut self, now: UnixMillis) -> Promise {
        Promise {
            sku: self.rng.pick(&SKUS),
            pin: self.rng.percent(30).then(|| self.node()),
            quantity: self.rng.between(1, 3),
            by: self.rng.percent(80).then(|| self.day(now)),
            ttl: u32::try_from(self.rng.between(50, 20_000)).unwrap(),
        }
    }

    fn act(&mut self) -> Ask {
        let recent = self.made.len().saturating_sub(8);
        let at = recent + self.rng.index(self.made.len() - recent);
        let verb = match self.rng.below(6) {
            0..=1 => Verb::Confirm,
            2 => Verb::Release,
            3 => Verb::Transfer {
                to: NodeIx(self.node()),
            },
            _ => Verb::Ship { from: None },
        };
        Ask::Act {
            target: self.made[at].clone(),
            verb,
        }
    }
}

/// What the events say of these SKUs.
#[derive(Debug, Clone, Default)]
pub(crate) struct Books {
    supply: BTreeMap<String, Supply>,
    lines: BTreeMap<u128, (String, Line, UnixMillis)>,
    /// Days of promises depend on policies as well, which these books know nothing of.
    pub(crate) has_policies: bool,
}

/// Whether a SKU is one of these.
pub(crate) fn is_dated(sku: &str) -> bool {
    SKUS.contains(&sku)
}

impl Books {
    fn assigned(&self, sku: &str, today: Day) -> Assignment {
        let nothing = Supply::default();
        let supply = self.supply.get(sku).unwrap_or(&nothing);
        let lines = self.lines.values().filter(|(of, _, _)| of == sku);
        Assignment::of(supply, lines.map(|(_, line, _)| line), today.get())
    }

    fn of(&mut self, sku: &str) -> &mut Supply {
        self.supply.entry(sku.to_owned()).or_default()
    }

    /// The first day on which a promise can be kept; 0: now.
    fn first_day(&self, promise: Promise, today: Day) -> Option<u16> {
        let can = |day: Option<Day>| {
            let until = until(day, today.get());
            let assigned = self.assigned(promise.sku, today);
            assigned.takes(promise.quantity, until, promise.pin)
        };
        match promise.by {
            None => can(None).then_some(0),
            Some(by) => (today.get()..=by.get()).find(|day| can(Day::new(*day))),
        }
    }

    /// A promise was made: nobody else's may depend on the same units, and no earlier day would do.
    pub(crate) fn reserved(
        &mut self,
        made: &Reserved<'_>,
        at: UnixMillis,
        asked: Promise,
    ) -> Result<(), String> {
        let today = Day::of(at);
        let [line] = made.lines.as_slice() else {
            return Err(format!("one line was asked for: {made:?}"));
        };
        let before = self.assigned(line.sku, today).unserved;
        let first = self.first_day(asked, today);
        let deadline = at.after(Ttl::from_millis(made.ttl_ms).unwrap());
        let entry = (line.sku.to_owned(), line.made(), deadline);
        self.lines.insert(made.id.0, entry);
        let after = self.assigned(line.sku, today).unserved;
        if after > before {
            return Err(format!("{made:?} cannot be kept: {after} units short"));
        }
        if before == 0 && !self.has_policies && first != Some(line.day.map_or(0, Day::get)) {
            return Err(format!("{made:?} could be promised for {first:?}"));
        }
        Ok(())
    }

    /// A promise was refused: it could not have been kept.
    pub(crate) fn refused(
        &self,
        refusal: &Refusal,
        at: UnixMillis,
        asked: Promise,
    ) -> Result<(), String> {
        let today = Day::of(at);
        if !matches!(refusal, Refusal::InsufficientStock { .. })
            || self.has_policies
            || self.assigned(asked.sku, today).unserved > 0
        {
            return Ok(());
        }
        match self.first_day(asked, today) {
            None => Ok(()),
            Some(day) => Err(format!("{asked:?} was refused but for {day:?}")),
        }
    }

    pub(crate) fn acted(&mut self, acted: &Acted<'_>) -> Result<(), String> {
        let Some((sku, line, deadline)) = self.lines.get_mut(&acted.id.0) else {
            return Err(format!("no such reservation: {acted:?}"));
        };
        let sku = sku.clone();
        *deadline = acted.deadline;
        let [after] = acted.lines.as_slice() else {
            return Err(format!("it has one line: {acted:?}"));
        };
        *line = after.after;
        for made in &after.moves {
            if let Move::Ship(node, shipped) = made {
                let there = self.of(&sku).on_hand.entry(node.0).or_default();
                let left = there.checked_sub(shipped.get());
                *there = left.ok_or_else(|| format!("nothing to ship from {node:?}: {acted:?}"))?;
            }
        }
        Ok(())
    }

    /// Held units went back; fails when it is too early.
    pub(crate) fn expired(&mut self, id: u128, at: UnixMillis, gone: Units) -> Result<(), String> {
        let Some((_, line, deadline)) = self.lines.get_mut(&id) else {
            return Err("a hold expired that was never made".to_owned());
        };
        if *deadline > at || line.held != gone {
            return Err(format!(
                "{gone:?} of {line:?}, due {deadline:?}, expired at {at:?}"
            ));
        }
        line.held = Units::ZERO;
        line.expired = gone;
        Ok(())
    }

    pub(crate) fn stock_changed(&mut self, changed: &StockChanged<'_>) {
        for item in &changed.items {
            let supply = self.of(item.sku);
            supply.on_hand.insert(item.node.0, item.on_hand.get());
        }
    }

    pub(crate) fn inbound_changed(&mut self, changed: &InboundChanged<'_>) {
        for item in &changed.items {
            let supply = self.of(item.sku);
            let entry = &item.entry;
            let id = entry.id.to_string();
            supply.inbound.remove(&id);
            if !entry.units.is_zero() {
                let of = (entry.node.0, entry.due, entry.units.get());
                supply.inbound.insert(id, of);
            }
            if !item.received.is_zero() {
                supply.on_hand.insert(entry.node.0, item.on_hand.get());
            }
        }
    }

    /// The reservation that these books have under an identity: its line, as it is at a moment.
    pub(crate) fn line(&self, id: u128, now: UnixMillis) -> Option<Line> {
        let (_, line, deadline) = self.lines.get(&id)?;
        let mut line = *line;
        if deadline.is_due(now) {
            line.expired = units(line.expired.get() + line.held.get());
            line.held = Units::ZERO;
        }
        Some(line)
    }

    /// Compares the stock of a SKU at a moment.
    pub(crate) fn compare(
        &mut self,
        sku: &str,
        view: Option<&StockView>,
        now: UnixMillis,
    ) -> Result<(), String> {
        for id in self.lines.keys().copied().collect::<Vec<_>>() {
            let line = self.line(id, now).unwrap();
            self.lines.get_mut(&id).unwrap().1 = line;
        }
        let Some(view) = view else {
            let known = self.supply.contains_key(sku);
            return if known {
                Err(format!("{sku} is gone"))
            } else {
                Ok(())
            };
        };
        let unserved = self.assigned(sku, Day::of(now)).unserved;
        let supply = self.of(sku);
        let on_hand: u64 = supply.on_hand.values().sum();
        let inbound = view.inbound.iter();
        let inbound = inbound.map(|of| (of.id.to_string(), (of.node.0, of.due, of.units.get())));
        let same_inbound = inbound.collect::<BTreeMap<_, _>>() == supply.inbound;
        let lines = self.lines.values().filter(|(of, _, _)| of == sku);
        let promised: u64 = lines.map(|(_, line, _)| line.open().get()).sum();
        let is_same = view.on_hand.get() == on_hand
            && view.held.get() + view.committed.get() == promised
            && view.deficit.get() == unserved
            && same_inbound;
        if is_same {
            return Ok(());
        }
        Err(format!(
            "{sku}: {view:?}; on hand {on_hand}, promised {promised}, unserved {unserved}: {self:?}"
        ))
    }
}
