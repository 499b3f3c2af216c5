//! An independent, naive model of the ledger: what the rules say, with nothing clever.
//!
//! Maps keyed by texts, 128-bit integers, and no counters: what is held, committed or pinned is
//! summed from the reservations each time. It shares only the types of commands and verdicts with
//! the engine. Given the same commands at the same times it must give the same verdicts.

mod act;
mod bug;
mod policy;
mod reserve;
mod stock;
mod terms;
mod view;
mod water;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

pub(crate) use bug::Bug;
use holdfast::domain::policy::Document;
use holdfast::domain::stock::{Safety, Selling};
use holdfast::domain::verdict::{Refusal, Verdict};
use holdfast::domain::{Level, NodeSafety, Own, Settings, Units};

use super::script::Script;

pub(crate) const UNITS_MAX: i128 = 1_000_000_000_000;

/// What the model answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Reply {
    pub(crate) verdict: Verdict,
    pub(crate) replayed: bool,
}

/// Whether a refusal is kept under its key. What names something unknown is not kept: the caller
/// may create it and send the same command again.
pub(crate) fn is_recorded(verdict: &Verdict) -> bool {
    !matches!(
        verdict,
        Err(Refusal::KeyReused | Refusal::UnknownSku { .. } | Refusal::UnknownReservation)
    )
}

/// Usable units and units apart of one node.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Place {
    on_hand: i128,
    apart: i128,
}

#[derive(Debug, Clone)]
struct Item {
    places: BTreeMap<u16, Place>,
    settings: Settings,
    /// It fell to its low-water mark, and did not reach again what ends that.
    low: bool,
    /// Counts what was done to the stock of this SKU.
    moves: u64,
    /// Lines that hold or commit units: the reservation's key and the line's place in it.
    open: BTreeSet<(String, usize)>,
    /// What was shipped in the last window that anything was shipped in.
    window: policy::Window,
}

impl Item {
    fn new() -> Self {
        let settings = Settings {
            safety: Safety::Units(Units::ZERO),
            node_safety: NodeSafety::default(),
            selling: Selling::On,
            low_water: None,
            own: Own::default(),
            version: 0,
        };
        Self {
            places: BTreeMap::new(),
            settings,
            low: false,
            moves: 0,
            open: BTreeSet::new(),
            window: policy::Window::default(),
        }
    }

    fn place(&self, node: u16) -> Place {
        self.places.get(&node).copied().unwrap_or_default()
    }

    fn on_hand(&self) -> i128 {
        self.places.values().map(|p| p.on_hand).sum()
    }

    fn apart(&self) -> i128 {
        self.places.values().map(|p| p.apart).sum()
    }

    /// What is kept back: the larger of the SKU's own and of all that its nodes keep.
    fn kept_back(&self) -> i128 {
        let at_nodes: i128 = self.places.keys().map(|node| self.kept_at(*node)).sum();
        level(self.settings.safety, self.on_hand()).max(at_nodes)
    }

    /// What a node keeps back, which is no more than it has.
    fn kept_at(&self, node: u16) -> i128 {
        let there = self.place(node).on_hand;
        let mut nodes = self.settings.node_safety.nodes().iter();
        let own = nodes.find(|(of, _)| of.0 == node);
        own.map_or(0, |(_, keep)| level(*keep, there).min(there))
    }
}

/// That many units of so many on hand.
fn level(of: Level, on_hand: i128) -> i128 {
    match of {
        Level::Units(units) => i128::from(units.get()),
        Level::Percent(points) => (on_hand * i128::from(points) + 9_999) / 10_000,
    }
}

/// One line of a reservation.
#[derive(Debug, Clone, Default)]
struct Row {
    sku: String,
    pin: Option<u16>,
    /// The channel of whose share it is, where that is not the seller's.
    charged: Option<u16>,
    requested: i128,
    granted: i128,
    held: i128,
    committed: i128,
    shipped: i128,
    released: i128,
    expired: i128,
    returned: i128,
}

impl Row {
    fn open(&self) -> i128 {
        self.held + self.committed
    }

    fn back(&self) -> i128 {
        self.released + self.expired
    }

    fn returnable(&self) -> i128 {
        self.shipped - self.returned
    }
}

#[derive(Debug, Clone)]
struct Booking {
    id: u128,
    channel: u16,
    reference: Option<String>,
    created: i64,
    deadline: i64,
    /// When it was made or last acted on.
    touched: i64,
    rows: Vec<Row>,
}

/// What a key was answered.
#[derive(Debug, Clone)]
struct Answered {
    at: i64,
    script: Script,
    verdict: Verdict,
}

impl Answered {
    /// Whether it must still be known, with what it made.
    fn is_kept(&self, made: Option<&Booking>, now: i64, keeping: Keeping) -> bool {
        let age = now - self.at;
        match (&self.verdict, made) {
            (Err(_), _) => age <= keeping.refusals,
            (Ok(_), Some(booking)) => {
                let expired = booking.rows.iter().any(|row| row.expired > 0);
                let ended = if expired {
                    booking.deadline
                } else {
                    booking.touched
                };
                now - ended.max(booking.touched) <= keeping.answers
                    || booking.rows.iter().any(|row| row.open() > 0)
            }
            (Ok(_), None) => age <= keeping.answers,
        }
    }
}

/// How long answers are kept, milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Keeping {
    pub(crate) answers: i64,
    pub(crate) refusals: i64,
}

/// The whole ledger.
#[derive(Debug, Clone, Default)]
pub(crate) struct Model {
    items: BTreeMap<String, Item>,
    /// By the key that made them. Clones of the model share them until one of them is another one.
    bookings: Arc<HashMap<String, Booking>>,
    /// What each key was asked, canonical, and answered; shared in the same way.
    answers: Arc<HashMap<String, Answered>>,
    /// The latest reservation by channel and reference.
    references: BTreeMap<(u16, String), String>,
    /// Which channel may take how much.
    policy: Option<Document>,
    /// A fault put in on purpose, to see that it is noticed.
    bug: Option<Bug>,
}

impl Model {
    pub(crate) fn with_bug(bug: Bug) -> Self {
        Self {
            bug: Some(bug),
            ..Self::default()
        }
    }

    fn has(&self, bug: Bug) -> bool {
        self.bug == Some(bug)
    }

    /// Does a command that came with this key at `now`. `id` is the identity that the ledger
    /// derives from the key.
    pub(crate) fn execute(&mut self, now: i64, key: &str, id: u128, script: &Script) -> Reply {
        let script = script.canonical();
        if let Some(answered) = self.answers.get(key) {
            let verdict = if answered.script == script || self.has(Bug::ContentIgnored) {
                answered.verdict.clone()
            } else {
                Err(Refusal::KeyReused)
            };
            return Reply {
                replayed: is_recorded(&verdict),
                verdict,
            };
        }
        let verdict = self.decide(now, key, id, &script);
        if is_recorded(&verdict) {
            let answered = Answered {
                at: now,
                script,
                verdict: verdict.clone(),
            };
            Arc::make_mut(&mut self.answers).insert(key.to_owned(), answered);
        }
        Reply {
            verdict,
            replayed: false,
        }
    }

    fn decide(&mut self, now: i64, key: &str, id: u128, script: &Script) -> Verdict {
        self.look_up_terms(now);
        match script {
            Script::Reserve { .. } => self.reserve(now, key, id, script),
            Script::Act {
                target,
                verb,
                lines,
            } => self.act(now, target, *verb, lines.as_deref()),
            Script::Set { items, .. } => self.set(now, items),
            Script::Adjust { items, .. } => self.adjust(now, items),
            Script::Move { items, .. } => self.shift(now, items),
            Script::Shares { items } => self.move_shares(now, items),
            Script::Settings { .. } => self.put_settings(now, script),
        }
    }

    /// Sums over the open lines of a SKU.
    fn sum(&self, sku: &str, of: impl Fn(&Row) -> i128) -> i128 {
        let Some(item) = self.items.get(sku) else {
            return 0;
        };
        item.open
            .iter()
            .map(|(key, row)| of(&self.bookings[key].rows[*row]))
            .sum()
    }

    fn promised(&self, sku: &str) -> i128 {
        self.sum(sku, Row::open)
    }

    fn pinned(&self, sku: &str, node: u16) -> i128 {
        self.sum(
            sku,
            |row| if row.pin == Some(node) { row.open() } else { 0 },
        )
    }

    fn available(&self, sku: &str) -> i128 {
        let item = &self.items[sku];
        (item.on_hand() - item.kept_back() - self.promised(sku)).max(0)
    }

    /// Gives back what is held past its deadline, in every reservation of this SKU.
    fn expire(&mut self, now: i64, sku: &str) {
        let late = i64::from(self.has(Bug::DeadlineOneLater));
        let Some(item) = self.items.get_mut(sku) else {
            return;
        };
        let mut closed = Vec::new();
        for place in &item.open {
            let booking = &self.bookings[&place.0];
            let due = booking.deadline + late <= now;
            if due && booking.rows[place.1].held > 0 {
                let row = &mut booking_mut(&mut self.bookings, &place.0).rows[place.1];
                row.expired += row.held;
                row.held = 0;
                item.moves += 1;
                if row.committed == 0 {
                    closed.push(place.clone());
                }
            }
        }
        for place in closed {
            item.open.remove(&place);
        }
        self.settle_water(sku);
    }

    /// Forgets what has been kept long enough; reservations with open units stay.
    pub(crate) fn forget(&mut self, now: i64, keeping: Keeping) {
        let old = { self.answers.keys() }.filter(|key| self.may_forget(key, now, keeping));
        for key in old.cloned().collect::<Vec<_>>() {
            self.forget_key(&key);
        }
    }

    /// Whether the answer to this key has been kept long enough.
    pub(crate) fn may_forget(&self, key: &str, now: i64, keeping: Keeping) -> bool {
        let booking = self.bookings.get(key);
        let answered = self.answers.get(key);
        answered.is_none_or(|answered| !answered.is_kept(booking, now, keeping))
    }

    /// Forgets the answer to this key, and what it made.
    pub(crate) fn forget_key(&mut self, key: &str) {
        Arc::make_mut(&mut self.answers).remove(key);
        Arc::make_mut(&mut self.bookings).remove(key);
    }

    /// Gives back everything that is past its deadline.
    pub(crate) fn expire_all(&mut self, now: i64) {
        let skus: Vec<String> = self.items.keys().cloned().collect();
        for sku in skus {
            self.expire(now, &sku);
        }
        self.look_up_terms(now);
    }
}

/// A booking to be changed.
fn booking_mut<'b>(all: &'b mut Arc<HashMap<String, Booking>>, key: &str) -> &'b mut Booking {
    Arc::make_mut(all).get_mut(key).unwrap()
}

/// A count as the ledger writes it. Only a fault that was put in can make it less than nothing.
fn units(value: i128) -> Units {
    Units::new(u64::try_from(value.max(0)).unwrap()).unwrap()
}
