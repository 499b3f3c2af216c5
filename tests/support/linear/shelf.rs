//! What the rules say of the calls of a history, made one at a time: a model of its own, which shares
//! nothing with the engine and knows no counters. What is promised is summed from the reservations.

use super::words::{
    Booking, Heard, History, Key, NEVER, No, SKUS, Said, Stage, Step, Units, Verb, Wish,
};

/// Which keys matter for what comes later.
#[derive(Debug, Default)]
pub(crate) struct Care {
    /// Keys under which something is asked more than once: their answers are kept.
    repeated: Vec<bool>,
    /// Keys whose reservations are acted on.
    targeted: Vec<bool>,
}

impl Care {
    pub(crate) fn of(steps: impl Iterator<Item = Step>) -> Self {
        let mut care = Self::default();
        let mut asked = Vec::new();
        for step in steps {
            let Step::Ask { key, wish } = step else {
                continue;
            };
            if !mark(&mut asked, key) {
                mark(&mut care.repeated, key);
            }
            if let Wish::Act { target, .. } = wish {
                mark(&mut care.targeted, target);
            }
        }
        care
    }
}

/// Notes a key; false if it was noted before.
fn mark(keys: &mut Vec<bool>, key: Key) -> bool {
    let at = usize::from(key);
    if keys.len() <= at {
        keys.resize(at + 1, false);
    }
    !std::mem::replace(&mut keys[at], true)
}

fn has(keys: &[bool], key: Key) -> bool {
    keys.get(usize::from(key)).copied().unwrap_or(false)
}

/// Some SKUs with all that is known of them.
#[derive(Debug, Clone, Hash)]
pub(crate) struct Shelf {
    now: i64,
    is_timed: bool,
    /// `None`: no such SKU yet.
    on_hand: [Option<u16>; SKUS],
    /// By key. Those that nobody acts on are gone when nothing is promised of them any more.
    bookings: Vec<Booking>,
    /// What was asked and answered under keys that are used more than once.
    answers: Vec<(Key, Wish, Said)>,
}

/// What a call changes.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Change {
    Nothing,
    Clock(i64),
    Command {
        key: Key,
        wish: Wish,
        said: Said,
        effect: Effect,
    },
}

/// What a command does beside being remembered.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Effect {
    None,
    OnHand(usize, u16),
    Booking(Booking),
    /// Its units leave the stock.
    Shipped(Booking),
}

type Decided = Result<(Said, Effect), No>;

impl Shelf {
    pub(crate) const fn new(began: Option<i64>) -> Self {
        Self {
            now: match began {
                Some(now) => now,
                None => 0,
            },
            is_timed: began.is_some(),
            on_hand: [None; SKUS],
            bookings: Vec::new(),
            answers: Vec::new(),
        }
    }

    pub(crate) fn of(history: &History) -> Self {
        Self::new(history.began)
    }

    /// What a call is told that is made now, and what it changes.
    pub(crate) fn answer(&self, step: Step) -> (Heard, Change) {
        match step {
            Step::Clock { by } => (Heard::first(Said::Moved), Change::Clock(by)),
            Step::Look { sku } => (Heard::first(Said::Seen(self.seen(sku))), Change::Nothing),
            Step::Ask { key, wish } => self.ask(key, wish),
        }
    }

    fn ask(&self, key: Key, wish: Wish) -> (Heard, Change) {
        if let Some((_, asked, said)) = self.answers.iter().find(|(of, _, _)| *of == key) {
            let heard = if *asked == wish {
                Heard {
                    said: *said,
                    replayed: true,
                }
            } else {
                Heard::first(Said::Refused(No::KeyReused))
            };
            return (heard, Change::Nothing);
        }
        let decided = self.decide(key, wish);
        let (said, effect) = decided.unwrap_or_else(|no| (Said::Refused(no), Effect::None));
        let is_kept = !matches!(
            said,
            Said::Refused(No::UnknownSku { .. } | No::UnknownReservation)
        );
        let change = if is_kept {
            Change::Command {
                key,
                wish,
                said,
                effect,
            }
        } else {
            Change::Nothing
        };
        (Heard::first(said), change)
    }

    /// Whether a change makes any difference.
    pub(crate) fn is_changed(change: &Change, care: &Care) -> bool {
        match change {
            Change::Nothing => false,
            Change::Clock(_) => true,
            Change::Command { key, effect, .. } => {
                has(&care.repeated, *key) || !matches!(effect, Effect::None)
            }
        }
    }

    pub(crate) fn apply(&mut self, change: Change, care: &Care) {
        match change {
            Change::Nothing => {}
            Change::Clock(by) => self.move_clock(by, care),
            Change::Command {
                key,
                wish,
                said,
                effect,
            } => {
                if has(&care.repeated, key) {
                    let at = self.answers.partition_point(|(of, _, _)| *of < key);
                    self.answers.insert(at, (key, wish, said));
                }
                self.do_effect(effect, care);
            }
        }
    }

    fn do_effect(&mut self, effect: Effect, care: &Care) {
        match effect {
            Effect::None => {}
            Effect::OnHand(sku, units) => self.on_hand[sku] = Some(units),
            Effect::Booking(booking) => self.put(booking, care),
            Effect::Shipped(booking) => {
                for (there, gone) in self.on_hand.iter_mut().zip(booking.granted) {
                    *there = there.map(|units| units - gone);
                }
                self.put(booking, care);
            }
        }
    }

    fn put(&mut self, booking: Booking, care: &Care) {
        let found = self.bookings.binary_search_by_key(&booking.key, |b| b.key);
        let is_kept = is_open(&booking) || has(&care.targeted, booking.key);
        match (found, is_kept) {
            (Ok(at), true) => self.bookings[at] = booking,
            (Ok(at), false) => drop(self.bookings.remove(at)),
            (Err(at), true) => self.bookings.insert(at, booking),
            (Err(_), false) => {}
        }
    }

    fn move_clock(&mut self, by: i64, care: &Care) {
        self.now += by;
        for booking in &mut self.bookings {
            if booking.stage == Stage::Held && booking.deadline <= self.now {
                booking.stage = Stage::Expired;
            }
        }
        self.bookings
            .retain(|booking| is_open(booking) || has(&care.targeted, booking.key));
    }

    fn until(&self, ttl: u32) -> i64 {
        if self.is_timed {
            self.now + i64::from(ttl)
        } else {
            NEVER
        }
    }

    fn promised(&self, sku: usize, stages: &[Stage]) -> u16 {
        let open = self.bookings.iter().filter(|b| stages.contains(&b.stage));
        open.map(|booking| booking.granted[sku]).sum()
    }

    /// What is there and not promised.
    fn room(&self, sku: usize, on_hand: u16) -> u16 {
        on_hand.saturating_sub(self.promised(sku, &OPEN))
    }

    fn seen(&self, sku: usize) -> Option<[u16; 3]> {
        let promised = |stage| self.promised(sku, &[stage]);
        self.on_hand[sku]
            .map(|on_hand| [on_hand, promised(Stage::Held), promised(Stage::Committed)])
    }

    fn decide(&self, key: Key, wish: Wish) -> Decided {
        match wish {
            Wish::Set {
                sku,
                on_hand,
                change_from,
            } => {
                let there = self.on_hand[sku].unwrap_or(0);
                match change_from.filter(|thought| *thought != there) {
                    Some(_) => Err(No::Stale { on_hand: there }),
                    None => Ok(self.stock(sku, on_hand)),
                }
            }
            Wish::Adjust { sku, by } => {
                let there = self.on_hand[sku].ok_or(No::UnknownSku { sku })?;
                let sum = there.checked_add_signed(by);
                let sum = sum.ok_or(No::Negative { on_hand: there })?;
                Ok(self.stock(sku, sum))
            }
            Wish::Reserve {
                units,
                ttl,
                partial,
            } => self.reserve(key, units, ttl, partial),
            Wish::Act { target, verb } => self.act(target, verb),
        }
    }

    fn stock(&self, sku: usize, on_hand: u16) -> (Said, Effect) {
        let available = self.room(sku, on_hand);
        let said = Said::Stock { on_hand, available };
        (said, Effect::OnHand(sku, on_hand))
    }

    fn reserve(&self, key: Key, requested: Units, ttl: u32, partial: bool) -> Decided {
        let mut granted = [0; SKUS];
        let mut short = [None; SKUS];
        for sku in (0..SKUS).filter(|sku| requested[*sku] > 0) {
            let on_hand = self.on_hand[sku].ok_or(No::UnknownSku { sku })?;
            let room = self.room(sku, on_hand);
            granted[sku] = requested[sku].min(room);
            short[sku] = Some(room).filter(|room| *room < requested[sku]);
        }
        let is_nothing = granted.iter().all(|units| *units == 0);
        if short.iter().any(Option::is_some) && (!partial || is_nothing) {
            return Err(No::Short(short));
        }
        Ok(booked(Booking {
            key,
            created: self.now,
            deadline: self.until(ttl),
            requested,
            granted,
            stage: Stage::Held,
        }))
    }

    fn act(&self, target: Key, verb: Verb) -> Decided {
        let found = self.bookings.binary_search_by_key(&target, |b| b.key);
        let at = found.map_err(|_missing| No::UnknownReservation)?;
        let booking = self.bookings[at];
        let unchanged = Ok((Said::Reservation(booking), Effect::None));
        let to = |stage| Ok(booked(booking.at(stage)));
        match (verb, booking.stage) {
            (Verb::Confirm, Stage::Held) => to(Stage::Committed),
            (Verb::Confirm | Verb::Ship, Stage::Shipped)
            | (Verb::Confirm, Stage::Committed)
            | (Verb::Release, Stage::Released | Stage::Expired) => unchanged,
            (Verb::Release, Stage::Held | Stage::Committed) => to(Stage::Released),
            (Verb::Release, Stage::Shipped) => Err(No::Shipped),
            (Verb::Extend(ttl), Stage::Held) => Ok(booked(Booking {
                deadline: self.until(ttl).max(booking.deadline),
                ..booking
            })),
            (Verb::Extend(_), Stage::Committed | Stage::Shipped) => Err(No::NotHeld),
            (Verb::Ship, Stage::Committed) => self.ship(booking),
            (Verb::Ship, Stage::Held) => Err(No::NotConfirmed),
            (Verb::Confirm | Verb::Extend(_) | Verb::Ship, Stage::Released) => Err(No::Released),
            (Verb::Confirm | Verb::Extend(_) | Verb::Ship, Stage::Expired) => Err(No::Expired),
        }
    }

    fn ship(&self, booking: Booking) -> Decided {
        let mut short = [None; SKUS];
        for (sku, units) in booking.granted.into_iter().enumerate() {
            let there = self.on_hand[sku].unwrap_or(0);
            short[sku] = Some(there).filter(|there| *there < units);
        }
        if short.iter().any(Option::is_some) {
            return Err(No::Short(short));
        }
        let shipped = booking.at(Stage::Shipped);
        Ok((Said::Reservation(shipped), Effect::Shipped(shipped)))
    }
}

const OPEN: [Stage; 2] = [Stage::Held, Stage::Committed];

fn is_open(booking: &Booking) -> bool {
    OPEN.contains(&booking.stage)
}

fn booked(booking: Booking) -> (Said, Effect) {
    (Said::Reservation(booking), Effect::Booking(booking))
}
