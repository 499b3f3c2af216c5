//! The rule book alone, under the simplest ledger there could be: one thread, no files.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};

use holdfast::domain::command::{
    Act, Command, CommandKey, MoveShares, PutSettings, Reserve, StockCommand,
};
use holdfast::domain::decide::{self, LineFacts};
use holdfast::domain::hash::Hasher;
use holdfast::domain::line::Move;
use holdfast::domain::policy::{Claim, Document, InForce, Policy};
use holdfast::domain::verdict::{
    MovedShare, Outcome, Refusal, ReservationLine, StockResult, Verdict,
};
use holdfast::domain::{
    ChannelIx, Charge, Day, Line, NodeIx, Reservation, ReservationId, Settings, Sku, Stock, Terms,
    Units, UnixMillis,
};
use holdfast::ledger::{Answer, Availability, Position, StockView};

use super::check::{START, Subject};
use super::history::{Step, entry_names};
use super::model::is_recorded;
use super::script::Script;

/// A ledger that asks the rule book and does what it says.
pub(crate) struct Book {
    hasher: Hasher,
    wall: i64,
    now: i64,
    sequence: u64,
    stocks: BTreeMap<String, Stock>,
    reservations: BTreeMap<u128, Reservation>,
    answers: HashMap<u128, (u64, Verdict, Position)>,
    references: BTreeMap<(u16, String), u128>,
    policy: Option<Policy>,
}

impl Book {
    pub(crate) fn new() -> Self {
        Self {
            hasher: Hasher::new(11),
            wall: START,
            now: START,
            sequence: 0,
            stocks: BTreeMap::new(),
            reservations: BTreeMap::new(),
            answers: HashMap::new(),
            references: BTreeMap::new(),
            policy: None,
        }
    }

    fn expire(&mut self) {
        self.now = self.now();
        let now = UnixMillis(self.now);
        for reservation in self.reservations.values_mut() {
            if !reservation.deadline.is_due(now) {
                continue;
            }
            for line in &mut reservation.lines {
                if line.line.held > Units::ZERO {
                    let step = Move::Expire(line.line.held);
                    let (channel, window) = (reservation.channel, UnixMillis::default());
                    make(&mut self.stocks, Charge { channel, window }, line, step);
                }
            }
        }
        self.settle_water();
    }

    fn settle_water(&mut self) {
        let today = Day::of(UnixMillis(self.now));
        for stock in self.stocks.values_mut() {
            if stock.settle_water(today) {
                let low = stock.is_low();
                stock.put_water_told(low);
            }
        }
    }

    fn terms(&self, sku: &str) -> Terms {
        let policy = self.policy.as_ref();
        policy.map_or(Terms::NONE, |of| of.terms(sku, UnixMillis(self.now())))
    }

    /// Notes what the policy says of a SKU now.
    fn note_terms(&mut self, sku: &str) {
        let terms = self.terms(sku);
        let today = Day::of(UnixMillis(self.now));
        let stock = self.stocks.entry(sku.to_owned()).or_default();
        if !stock.follows(&terms) {
            stock.note_terms(&terms, today);
        }
    }

    fn note_all_terms(&mut self) {
        let skus: Vec<String> = self.stocks.keys().cloned().collect();
        skus.iter().for_each(|sku| self.note_terms(sku));
    }

    /// A stock as it will be once that is noted.
    fn stock_now(&self, sku: &str) -> Option<Cow<'_, Stock>> {
        let today = Day::of(UnixMillis(self.now()));
        let stock = self.stocks.get(sku)?;
        Some(stock.in_terms(&self.terms(sku), today))
    }

    fn rule(&self, sku: &str) -> Option<InForce<'_>> {
        self.policy.as_ref()?.in_force(sku, UnixMillis(self.now))
    }

    fn decide(&mut self, key: CommandKey, command: &Command<'_>) -> Verdict {
        match command {
            Command::Reserve(reserve) => self.reserve(key.id, reserve),
            Command::Act(act) => self.act(act),
            Command::Stock(stock) => self.stock_command(stock),
            Command::PutSettings(put) => self.settings_command(put),
            Command::MoveShares(moves) => self.shares_command(moves),
            Command::Inbound(_) => unreachable!("these histories announce nothing"),
        }
    }

    fn reserve(&mut self, id: u128, reserve: &Reserve<'_>) -> Verdict {
        let lines = reserve.lines.as_slice();
        let stock_of = |at: usize| self.stocks.get(lines[at].sku.as_str());
        let channel = reserve.channel.index.unwrap();
        let claim_of = |at: usize| {
            let rule = self.rule(lines[at].sku.as_str())?;
            Some(Claim { channel, rule })
        };
        let now = UnixMillis(self.now);
        let (partial, today) = (reserve.allow_partial, Day::of(now));
        let grants = decide::reserve(&reserve.lines, partial, today, stock_of, claim_of)?;
        let mut reservation = Reservation {
            id: ReservationId(id),
            channel,
            reference: reserve.reference.map(Into::into),
            created_at: now,
            deadline: now.after(reserve.ttl.get()),
            lines: lines
                .iter()
                .map(|line| ReservationLine {
                    sku: line.sku.as_str().into(),
                    requested: line.quantity,
                    line: Line::pinned(line.node),
                })
                .collect(),
        };
        for (line, granted) in reservation.lines.iter_mut().zip(grants) {
            let window = UnixMillis::default();
            line.line.charged_to = granted.charged_to;
            let charge = Charge { channel, window };
            make(&mut self.stocks, charge, line, Move::Hold(granted.units));
        }
        if let Some(reference) = reserve.reference {
            self.references
                .insert((channel.0, reference.to_owned()), id);
        }
        self.reservations.insert(id, reservation.clone());
        Ok(Outcome::Reservation(reservation))
    }

    fn act(&mut self, act: &Act<'_>) -> Verdict {
        let found = self.reservations.get_mut(&act.id.0);
        let reservation = found.ok_or(Refusal::UnknownReservation)?;
        let facts = reservation.lines.iter();
        let facts: Vec<_> = facts
            .map(|l| LineFacts {
                sku: &l.sku,
                line: l.line,
            })
            .collect();
        let stock_of = |at: usize| self.stocks.get(facts[at].sku);
        let now = UnixMillis(self.now);
        let plan = decide::act(act, reservation.deadline, now, &facts, stock_of)?;
        let channel = reservation.channel;
        for (at, step) in plan.moves {
            let line = &mut reservation.lines[at];
            let policy = self.policy.as_ref();
            let rule = policy.and_then(|policy| policy.in_force(&line.sku, now));
            let window = rule.map_or(UnixMillis::default(), |rule| rule.window());
            make(&mut self.stocks, Charge { channel, window }, line, step);
        }
        reservation.deadline = plan.deadline.unwrap_or(reservation.deadline);
        Ok(Outcome::Reservation(reservation.clone()))
    }

    fn stock_command(&mut self, command: &StockCommand<'_>) -> Verdict {
        let transfer = matches!(
            command.change,
            holdfast::domain::command::StockChange::Transfer(_)
        );
        let today = Day::of(UnixMillis(self.now));
        let stock_of = |sku: Sku<'_>| self.stocks.get(sku.as_str());
        let places = decide::stock(&command.change, today, stock_of)?;
        for place in &places {
            self.note_terms(place.sku.as_str());
            let stock = self
                .stocks
                .entry(place.sku.as_str().to_owned())
                .or_default();
            stock
                .set_node(place.before.node, place.on_hand, place.unavailable)
                .unwrap();
        }
        let named = places
            .iter()
            .skip(usize::from(transfer))
            .step_by(1 + usize::from(transfer));
        let results = named.map(|place| {
            let stock = &self.stocks[place.sku.as_str()];
            StockResult {
                sku: place.sku.as_str().into(),
                node: place.before.node,
                on_hand: place.on_hand,
                unavailable: place.unavailable,
                available: stock.available(today),
                version: stock.version(),
            }
        });
        Ok(Outcome::Stock(results.collect()))
    }

    fn shares_command(&mut self, moves: &MoveShares<'_>) -> Verdict {
        let stock_of = |sku: Sku<'_>| self.stocks.get(sku.as_str());
        let windows = decide::shares(&moves.items, stock_of, |sku| self.rule(sku.as_str()))?;
        let mut moved = Vec::new();
        for (item, window) in moves.items.iter().zip(windows) {
            let stock = self.stocks.get_mut(item.sku.as_str()).unwrap();
            stock
                .move_share(item.from, item.to, item.units, window)
                .unwrap();
            moved.push(MovedShare {
                sku: item.sku.as_str().into(),
                from: item.from,
                to: item.to,
                units: item.units,
                window,
            });
        }
        Ok(Outcome::Shares(moved))
    }

    fn settings_command(&mut self, put: &PutSettings<'_>) -> Verdict {
        let current = self.stocks.get(put.sku.as_str()).map(Stock::settings);
        let (policy, now) = (self.policy.as_ref(), UnixMillis(self.now));
        let settings = decide::settings(put, current, policy, now)?.after;
        self.stocks
            .entry(put.sku.as_str().to_owned())
            .or_default()
            .put_settings(settings.clone());
        Ok(Outcome::Settings {
            sku: put.sku.as_str().into(),
            settings,
        })
    }
}

/// Does a move to a line and to its stock.
fn make(
    stocks: &mut BTreeMap<String, Stock>,
    charge: Charge,
    line: &mut ReservationLine,
    step: Move,
) {
    let channel = line.line.user(charge.channel);
    let charge = Charge { channel, ..charge };
    let stock = stocks.get_mut(&*line.sku).unwrap();
    stock.apply(&line.line, step, charge).unwrap();
    line.line.apply(step).unwrap();
}

impl Subject for Book {
    fn id(&self, key: &str) -> u128 {
        self.hasher.key(key)
    }

    fn execute(&mut self, key: &str, script: &Script, target: u128) -> Answer {
        let command = script.command(target);
        let fingerprint = self.hasher.fingerprint(&command);
        let key = CommandKey {
            id: self.hasher.key(key),
            fingerprint,
        };
        if let Some((known, verdict, position)) = self.answers.get(&key.id) {
            return if *known == fingerprint {
                Answer {
                    verdict: verdict.clone(),
                    replayed: true,
                    position: *position,
                    told_after: *position,
                    mirror_age: None,
                }
            } else {
                Answer {
                    verdict: Err(Refusal::KeyReused),
                    replayed: false,
                    position: *position,
                    told_after: *position,
                    mirror_age: None,
                }
            };
        }
        self.note_all_terms();
        self.expire();
        let verdict = self.decide(key, &command);
        self.settle_water();
        self.sequence += 1;
        let position = Position {
            shard: 0,
            epoch: 1,
            sequence: self.sequence,
        };
        if is_recorded(&verdict) {
            self.answers
                .insert(key.id, (fingerprint, verdict.clone(), position));
        }
        Answer {
            verdict,
            replayed: false,
            position,
            told_after: position,
            mirror_age: None,
        }
    }

    fn set_clock(&mut self, at: i64) {
        self.wall = at;
    }

    fn now(&self) -> i64 {
        self.now.max(self.wall)
    }

    fn tick(&mut self) {
        self.expire();
    }

    fn restart(&mut self) {
        self.expire();
    }

    fn snapshot(&mut self) {}

    fn put_policy(&mut self, document: &Document) -> bool {
        let index = |name: &str| {
            let at = entry_names().position(|known| known == name)?;
            u16::try_from(at).ok().map(ChannelIx)
        };
        self.expire();
        let Ok(policy) = Policy::compile(document, index) else {
            return false;
        };
        self.policy = Some(policy);
        true
    }

    fn stock(&self, sku: &str) -> Option<StockView> {
        let today = Day::of(UnixMillis(self.now()));
        let stock = self.stock_now(sku);
        stock.map(|stock| StockView::of(&stock, today))
    }

    fn settings(&self, sku: &str) -> Option<Settings> {
        self.stock_now(sku).map(|stock| stock.settings().clone())
    }

    fn availability(&self, sku: &str, node: Option<u16>) -> Option<Availability> {
        let stock = self.stock_now(sku)?;
        let now = UnixMillis(self.now());
        Some(Availability::of(&stock, node.map(NodeIx), now))
    }

    fn reservation(&self, id: u128) -> Option<Reservation> {
        self.reservations.get(&id).cloned()
    }

    fn by_reference(&self, channel: u16, reference: &str) -> Option<Reservation> {
        self.reservation(*self.references.get(&(channel, reference.to_owned()))?)
    }

    fn settle(&self, key: &str) -> Option<Answer> {
        let (_, verdict, position) = self.answers.get(&self.hasher.key(key))?;
        Some(Answer {
            verdict: verdict.clone(),
            replayed: true,
            position: *position,
            told_after: *position,
            mirror_age: None,
        })
    }

    fn violations(&self) -> Vec<String> {
        Vec::new()
    }
}

/// The same history with a tick before each comparison: this ledger looks for what is past its
/// deadline only where a command or a tick comes by.
pub(crate) fn with_ticks(history: Vec<Step>) -> Vec<Step> {
    let with_tick = |step| match step {
        Step::Compare => vec![Step::Tick, step],
        Step::Command { .. }
        | Step::Clock(_)
        | Step::Tick
        | Step::Restart
        | Step::Snapshot
        | Step::Policy(_) => vec![step],
    };
    history.into_iter().flat_map(with_tick).collect()
}
