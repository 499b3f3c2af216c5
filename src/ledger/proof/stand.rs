//! How a shard stands at a place in its history: what a proof opens and closes with.

use std::collections::{BTreeMap, HashMap, VecDeque};

use smallvec::SmallVec;

use super::ProveError;
use crate::domain::line::{Inconsistent, Move};
use crate::domain::uses::Charge;
use crate::domain::{ChannelIx, Inbound, Line, ReservationId, Settings, Stock, Units, UnixMillis};
use crate::ledger::event::{
    Acted, Body, Event, InboundChanged, Reserved, StockChanged, TermsNoted,
};
use crate::ledger::export::Item;

/// A reservation that something may still happen to.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) channel: ChannelIx,
    pub(super) deadline: UnixMillis,
    /// When it was made or last acted on.
    pub(super) touched: UnixMillis,
    pub(super) lines: SmallVec<[(Box<str>, Line); 1]>,
}

impl Known {
    fn is_open(&self) -> bool {
        self.lines.iter().any(|(_, line)| !line.open().is_zero())
    }

    /// Whether it is part of how a shard stands: units are promised, or may still come back.
    pub(super) fn stands(&self, at: UnixMillis, returns_ms: i64) -> bool {
        let returnable = |(_, line): &(Box<str>, Line)| !line.returnable().is_zero();
        let is_young = at.0.saturating_sub(self.touched.0) <= returns_ms;
        self.is_open() || is_young && self.lines.iter().any(returnable)
    }

    /// The line whose units expired. Where a reservation lies in several partitions, events number its
    /// lines as a whole, and each partition has some of them.
    pub(super) fn expiring(&self, sku: &str, number: u16, units: Units) -> Option<usize> {
        let is_it = |(of, line): &(Box<str>, Line)| **of == *sku && line.held == units;
        let number = usize::from(number);
        let there = self.lines.get(number).is_some_and(is_it);
        there
            .then_some(number)
            .or_else(|| self.lines.iter().position(is_it))
    }
}

/// See the module's documentation.
#[derive(Debug, Default)]
pub(super) struct Stand {
    pub(super) sequence: u64,
    pub(super) at: UnixMillis,
    pub(super) skus: BTreeMap<Box<str>, Stock>,
    pub(super) reservations: HashMap<u128, Known>,
    pub(super) policy: Option<(u64, Box<str>)>,
    /// Reservations without open units, and since when; in order.
    closed: VecDeque<(UnixMillis, u128)>,
}

impl Stand {
    /// Takes what stood in the ledger at this place.
    pub(super) fn take(&mut self, item: &Item) -> Result<(), ProveError> {
        let bad = |bad: crate::ledger::export::BadItem| ProveError::Damaged(bad.to_string());
        match item {
            Item::Node(_) | Item::Channel(_) | Item::Answer(_) => {}
            Item::Policy(of) => self.policy = Some((of.version, of.text.as_str().into())),
            Item::Sku(sku) => {
                let stock = sku.stock().map_err(bad)?;
                self.skus.insert(sku.sku.as_str().into(), stock);
            }
            Item::Reservation(held) => {
                let line = |line: &crate::ledger::export::Line| {
                    Ok((line.sku.as_str().into(), line.state().map_err(bad)?))
                };
                let lines = held.lines.iter().map(line);
                let known = Known {
                    channel: held.channel(),
                    deadline: UnixMillis(held.deadline_ms),
                    touched: UnixMillis(held.touched_ms),
                    lines: lines.collect::<Result<_, ProveError>>()?,
                };
                self.reservations.insert(held.id().0, known);
            }
        }
        Ok(())
    }

    /// After the last item: leaves out reservations to which nothing can happen any more.
    pub(super) fn taken(&mut self, (sequence, at): (u64, UnixMillis), returns_ms: i64) {
        (self.sequence, self.at) = (sequence, at);
        self.reservations
            .retain(|_, known| known.stands(at, returns_ms));
        let closed = { self.reservations.iter() }.filter(|(_, known)| !known.is_open());
        let mut closed: Vec<_> = closed.map(|(id, known)| (known.touched, *id)).collect();
        closed.sort_unstable();
        self.closed = closed.into();
    }

    /// Forgets reservations to which nothing can happen any more.
    pub(super) fn forget(&mut self, returns_ms: i64) {
        while let Some((since, id)) = self.closed.front().copied() {
            if self.at.0.saturating_sub(since.0) <= returns_ms {
                break;
            }
            self.closed.pop_front();
            let is_over = |known: &Known| !known.stands(self.at, returns_ms);
            if self.reservations.get(&id).is_some_and(is_over) {
                self.reservations.remove(&id);
            }
        }
    }

    /// Does what happened.
    pub(super) fn apply(&mut self, event: &Event<'_>) -> Result<(), ProveError> {
        let done = match &event.body {
            Body::Reserved(reserved) => self.reserve(event.at, reserved),
            Body::Acted(acted) => self.act(event.at, acted),
            Body::Expired {
                id,
                line,
                sku,
                units,
            } => self.expire((event.at, *id), *line, sku, *units),
            Body::StockChanged(changed) => self.change_stock(changed),
            Body::InboundChanged(changed) => self.change_inbound(changed),
            Body::SettingsPut { sku, after, .. } => {
                self.stock(sku).put_settings(after.clone());
                Ok(())
            }
            Body::TermsNoted(noted) => {
                let settings = self.settings_after(noted);
                self.stock(noted.sku).put_settings(settings);
                Ok(())
            }
            Body::PolicyPut { version, text, .. } => {
                self.policy = Some((*version, (*text).into()));
                Ok(())
            }
            Body::Opened { .. }
            | Body::NodeNamed { .. }
            | Body::ChannelNamed { .. }
            | Body::SharesMoved(_)
            | Body::LowWater(_)
            | Body::Deficit(_)
            | Body::Refused { .. } => Ok(()),
        };
        done.map_err(|Inconsistent| ProveError::Unfit(event.position))?;
        self.sequence = event.position.sequence;
        self.at = self.at.max(event.at);
        Ok(())
    }

    /// Settings in force of a SKU once it is noted what the policy says.
    pub(super) fn settings_after(&self, noted: &TermsNoted<'_>) -> Settings {
        let stock = self.skus.get(noted.sku);
        let mut settings = stock.map_or(Settings::DEFAULT, Stock::settings).clone();
        settings.note(&noted.terms);
        settings
    }

    fn stock(&mut self, sku: &str) -> &mut Stock {
        self.skus.entry(sku.into()).or_default()
    }

    fn reserve(&mut self, at: UnixMillis, reserved: &Reserved<'_>) -> Result<(), Inconsistent> {
        let mut lines = SmallVec::new();
        for made in &reserved.lines {
            let stock = self.skus.get_mut(made.sku).ok_or(Inconsistent)?;
            let line = made.empty();
            let charge = charge(&line, reserved.channel);
            stock.apply(&line, Move::Hold(made.held), charge)?;
            lines.push((made.sku.into(), made.made()));
        }
        let ttl = i64::from(reserved.ttl_ms);
        let known = Known {
            channel: reserved.channel,
            deadline: UnixMillis(at.0.saturating_add(ttl)),
            touched: at,
            lines,
        };
        self.reservations.insert(reserved.id.0, known);
        Ok(())
    }

    fn act(&mut self, at: UnixMillis, acted: &Acted<'_>) -> Result<(), Inconsistent> {
        let Some(known) = self.reservations.get_mut(&acted.id.0) else {
            // What was done before, and is forgotten here, may be asked for again.
            let moves_nothing = acted.lines.iter().all(|line| line.moves.is_empty());
            return moves_nothing.then_some(()).ok_or(Inconsistent);
        };
        if known.lines.len() != acted.lines.len() {
            return Err(Inconsistent);
        }
        for ((sku, line), told) in known.lines.iter_mut().zip(&acted.lines) {
            let stock = self.skus.get_mut(sku).ok_or(Inconsistent)?;
            for step in &told.moves {
                stock.apply(line, *step, charge(line, known.channel))?;
                line.apply(*step)?;
            }
            if *line != told.after {
                return Err(Inconsistent);
            }
        }
        (known.deadline, known.touched) = (acted.deadline, at);
        if !known.is_open() {
            self.closed.push_back((at, acted.id.0));
        }
        Ok(())
    }

    fn expire(
        &mut self,
        (at, id): (UnixMillis, ReservationId),
        number: u16,
        sku: &str,
        units: Units,
    ) -> Result<(), Inconsistent> {
        let known = self.reservations.get_mut(&id.0).ok_or(Inconsistent)?;
        let line = known.expiring(sku, number, units).ok_or(Inconsistent)?;
        let (_, line) = known.lines.get_mut(line).ok_or(Inconsistent)?;
        let stock = self.skus.get_mut(sku).ok_or(Inconsistent)?;
        let step = Move::Expire(units);
        stock.apply(line, step, charge(line, known.channel))?;
        line.apply(step)?;
        if !known.is_open() {
            self.closed.push_back((at, id.0));
        }
        Ok(())
    }

    fn change_stock(&mut self, changed: &StockChanged<'_>) -> Result<(), Inconsistent> {
        for item in &changed.items {
            let stock = self.stock(item.sku);
            let before = stock.node(item.node);
            if (before.on_hand, before.unavailable)
                != (item.on_hand_before, item.unavailable_before)
            {
                return Err(Inconsistent);
            }
            stock.set_node(item.node, item.on_hand, item.unavailable)?;
        }
        Ok(())
    }

    fn change_inbound(&mut self, changed: &InboundChanged<'_>) -> Result<(), Inconsistent> {
        for item in &changed.items {
            let entry: Inbound = item.entry.clone();
            self.stock(item.sku).receive_inbound(entry, item.received)?;
        }
        Ok(())
    }
}

/// Whose units they are. The window matters to limits alone, which are not part of how it stands.
fn charge(line: &Line, own: ChannelIx) -> Charge {
    Charge {
        channel: line.user(own),
        window: UnixMillis::default(),
    }
}
