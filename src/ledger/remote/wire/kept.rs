//! What the scripts keep, written by the program: the other half of [`record`](super::record) and
//! [`result`](super::result), for ledgers that come from elsewhere.

use super::calendar;
use super::command::{
    CONFIRM, EXTEND, RELEASE, RETURN, SHIP, STOCK_ADJUST, STOCK_SET, STOCK_TRANSFER, TRANSFER, pin,
};
use super::grant;
use super::inbound;
use super::node_safety;
use super::pack::Writer;
use super::record::{DATED, LENT};
use super::refusal;
use super::result::{ACTED, CHANGED, MOVED, SETTLED, SHARED};
use super::settings::{IS_DATED, IS_SHORT, packed, water_flags};
use super::water;
use crate::domain::command::CommandKey;
use crate::domain::line::Move;
use crate::domain::{self, ChannelIx, ChannelUse, NodeIx, Stock, Ttl, Units, UnixMillis, Uses};
use crate::ledger::event::{Acted, Body, Event, SharesMoved, StockChanged, StockVerb, VerbKind};
use crate::ledger::export::{BadItem, Held, Line};

const RESERVATION: u8 = 1;
const ANSWER: u8 = 2;
const REFUSAL: u8 = 3;
const WHOLE: u8 = 4;
const PART: u8 = 5;

/// Phases, in which nothing is on its way: of a reservation at home, of a part elsewhere.
const HELD: u64 = 2;
const LOOSE: u64 = 1;

/// Appends little-endian integers, each as wide as its field.
#[derive(Debug, Default)]
struct Integers(Vec<u8>);

impl Integers {
    fn put(&mut self, bytes: usize, number: u64) {
        self.0.extend(number.to_le_bytes().iter().take(bytes));
    }

    /// A sequence or a version.
    fn counter(&mut self, number: u64) {
        self.put(6, number);
    }

    fn amount(&mut self, number: u64) {
        self.put(5, number);
    }

    fn units(&mut self, units: Units) {
        self.amount(units.get());
    }

    /// In six bytes.
    fn signed(&mut self, number: i64) {
        self.put(6, number.cast_unsigned());
    }

    fn moment(&mut self, at: UnixMillis) {
        self.put(6, u64::try_from(at.0).unwrap_or(0));
    }

    fn index(&mut self, number: u64) {
        self.put(2, number);
    }
}

/// The stock of a SKU.
pub(super) fn stock(stock: &Stock) -> Vec<u8> {
    let (safety, flags) = packed(stock.settings());
    let mut out = Integers::default();
    out.counter(stock.version());
    out.units(stock.held());
    out.units(stock.committed());
    out.units(stock.on_hand());
    let is_dated = !stock.calendar().is_empty();
    let dated = if is_dated { IS_DATED } else { 0 };
    let deficit_told = stock.deficit_told();
    let is_short = !deficit_told.is_zero();
    let short = if is_short { IS_SHORT } else { 0 };
    out.put(2, flags + water_flags(stock) + short + dated);
    out.amount(safety);
    put_uses(&mut out, stock.uses());
    if is_short {
        out.units(deficit_told);
    }
    if is_dated {
        out.0.extend(calendar::packed(stock.calendar()));
    }
    out.units(stock.unavailable());
    out.0.extend(water::pack(stock.settings().low_water));
    out.0
        .extend(node_safety::pack(&stock.settings().node_safety));
    out.put(4, u64::from(stock.settings().version));
    for place in stock.nodes() {
        out.index(u64::from(place.node.0));
        out.units(place.on_hand);
        out.units(place.unavailable);
        out.units(place.pinned);
        out.put(4, u64::from(place.counted));
    }
    out.0
}

/// The uses of a SKU; before them that of the channel in front, which is any.
fn put_uses(out: &mut Integers, uses: &Uses) {
    let nobody = ChannelUse::none(ChannelIx(0));
    let front = uses.channels().first().unwrap_or(&nobody);
    out.index(u64::from(front.channel.0));
    out.units(front.open);
    out.index(u64::try_from(uses.channels().len()).unwrap_or(u64::MAX));
    out.signed(uses.window().0);
    for of in uses.channels() {
        out.index(u64::from(of.channel.0));
        out.units(of.open);
        out.units(of.shipped);
        out.signed(of.moved);
    }
}

/// The head of a record: kind, sequence, fingerprint.
fn head(kind: u8, sequence: u64, fingerprint: u64) -> Vec<u8> {
    let mut out = Integers(vec![kind]);
    out.counter(sequence);
    out.put(8, fingerprint);
    out.0
}

/// One line of a reservation: what was asked for, the pin it was made with, and where it stands.
struct Stored<'a> {
    sku: &'a str,
    requested: Units,
    made_at: Option<NodeIx>,
    state: domain::Line,
}

impl Stored<'_> {
    fn is_as_made(&self) -> bool {
        let made = domain::Line::pinned(self.made_at);
        self.state
            == domain::Line {
                held: self.requested,
                ..made
            }
    }
}

/// What follows the fingerprint of a reservation's record.
struct Booking<'a> {
    channel: u16,
    reference: Option<&'a str>,
    ttl: Ttl,
    created: UnixMillis,
    touched: UnixMillis,
    deadline: UnixMillis,
    lines: Vec<Stored<'a>>,
    ties: Option<Ties>,
}

/// What a record has whose reservation lies in several partitions.
struct Ties {
    phase: u64,
    /// At home, of each line, whether it lies elsewhere.
    elsewhere: Vec<bool>,
}

impl Ties {
    /// Nothing was decided since it came here, and no verb is on its way.
    fn put(&self, out: &mut Integers) {
        let flags = self.elsewhere.iter().map(|flag| u64::from(*flag));
        [self.phase, 0, 0, 0, 0]
            .into_iter()
            .chain(flags)
            .for_each(|number| out.put(8, number));
    }
}

impl Booking<'_> {
    fn put(&self, record: Vec<u8>) -> Vec<u8> {
        let mut w = Writer(record);
        w.0.push(0xcd);
        w.0.extend(self.channel.to_be_bytes());
        w.array(2 + 3 * self.lines.len());
        match self.reference {
            Some(reference) => w.bytes(reference.as_bytes()),
            None => w.flag(false),
        }
        w.uint(u64::from(self.ttl.as_millis()));
        for line in &self.lines {
            w.uint(pin(line.made_at));
            w.uint(line.requested.get());
            w.bytes(line.sku.as_bytes());
        }
        let mut out = Integers(w.0);
        out.moment(self.created);
        out.moment(self.touched);
        out.moment(self.deadline);
        if self.ties.is_none() && self.lines.iter().all(Stored::is_as_made) {
            out.index(0);
            return out.0;
        }
        let days = self.lines.iter().map(|line| line.state.day);
        let is_dated = days.clone().any(|day| day.is_some());
        let users = self.lines.iter().map(|line| line.state.charged_to);
        let is_lent = users.clone().any(|user| user.is_some());
        let flag = |is_set, flag| if is_set { u64::from(flag) } else { 0 };
        let flags = flag(is_dated, DATED) | flag(is_lent, LENT);
        out.index(u64::try_from(self.lines.len()).unwrap_or(0) | flags);
        for Stored { state, .. } in &self.lines {
            let units = [
                state.held,
                state.committed,
                state.shipped,
                state.released,
                state.expired,
                state.returned,
            ];
            out.index(pin(state.pin));
            units.iter().for_each(|units| out.units(*units));
        }
        for day in days.filter(|_| is_dated) {
            out.index(day.map_or(0, |day| u64::from(day.get())));
        }
        for user in users.filter(|_| is_lent) {
            out.index(u64::from(grant::user(user)));
        }
        if let Some(ties) = &self.ties {
            ties.put(&mut out);
        }
        out.0
    }
}

/// The record of a reservation that lies in one partition.
pub(super) fn reservation(held: &Held) -> Result<Vec<u8>, BadItem> {
    let booking = booking(held, held.lines.iter(), held.reference.as_deref(), None)?;
    Ok(booking.put(head_of(RESERVATION, held)))
}

/// The record at home of a reservation that has lines elsewhere, too.
pub(super) fn whole(held: &Held, elsewhere: Vec<bool>) -> Result<Vec<u8>, BadItem> {
    let phase = HELD;
    let ties = Some(Ties { phase, elsewhere });
    let booking = booking(held, held.lines.iter(), held.reference.as_deref(), ties)?;
    Ok(booking.put(head_of(WHOLE, held)))
}

/// The record elsewhere of some lines of a reservation.
pub(super) fn elsewhere(held: &Held, lines: &[&Line]) -> Result<Vec<u8>, BadItem> {
    let ties = Some(Ties {
        phase: LOOSE,
        elsewhere: Vec::new(),
    });
    let booking = booking(held, lines.iter().copied(), None, ties)?;
    Ok(booking.put(head_of(PART, held)))
}

fn head_of(kind: u8, held: &Held) -> Vec<u8> {
    head(kind, held.sequence, held.key().fingerprint)
}

fn booking<'a>(
    held: &'a Held,
    lines: impl Iterator<Item = &'a Line>,
    reference: Option<&'a str>,
    ties: Option<Ties>,
) -> Result<Booking<'a>, BadItem> {
    let lines = lines.map(|line| {
        Ok(Stored {
            sku: &line.sku,
            requested: line.requested()?,
            made_at: line.made_at(),
            state: line.state()?,
        })
    });
    Ok(Booking {
        channel: held.channel,
        reference,
        ttl: held.ttl()?,
        created: UnixMillis(held.created_ms),
        touched: UnixMillis(held.touched_ms),
        deadline: UnixMillis(held.deadline_ms),
        lines: lines.collect::<Result<_, BadItem>>()?,
        ties,
    })
}

/// The record under which a key leads to an id that it does not name. It looks like an answer of
/// this moment to the scripts, which keep it as long as one.
pub(super) fn signpost(key: CommandKey, sequence: u64, at: UnixMillis, to: u128) -> Vec<u8> {
    let mut out = Integers(head(ANSWER, sequence, key.fingerprint));
    out.moment(at);
    let mut w = Writer(out.0);
    w.array(2);
    w.int(MOVED);
    w.bytes(&to.to_be_bytes());
    w.0
}

/// The record of an answer; nothing for an event that is none.
pub(super) fn answer(key: CommandKey, event: &Event<'_>) -> Option<Vec<u8>> {
    let mut w = Writer::default();
    let kind = match &event.body {
        Body::Acted(acted) => put_acted(&mut w, acted),
        Body::StockChanged(changed) => put_changed(&mut w, changed),
        Body::InboundChanged(changed) => {
            inbound::put_changed(&mut w, changed);
            ANSWER
        }
        Body::SharesMoved(moved) => put_shared(&mut w, moved),
        Body::SettingsPut {
            sku,
            before,
            after,
            over,
            ..
        } => {
            w.array(5);
            w.int(SETTLED);
            w.bytes(sku.as_bytes());
            for found in [before, after] {
                let (safety, flags) = packed(found);
                w.array(5);
                w.uint(safety);
                w.uint(flags);
                w.bytes(&water::pack(found.low_water));
                w.bytes(&node_safety::pack(&found.node_safety));
                w.uint(u64::from(found.version));
            }
            w.bytes(over.as_bytes());
            ANSWER
        }
        Body::Refused { refusal, .. } => {
            refusal::put(&mut w, refusal);
            REFUSAL
        }
        Body::Opened { .. }
        | Body::NodeNamed { .. }
        | Body::ChannelNamed { .. }
        | Body::PolicyPut { .. }
        | Body::Reserved(_)
        | Body::Expired { .. }
        | Body::TermsNoted(_)
        | Body::LowWater(_)
        | Body::Deficit(_) => return None,
    };
    let mut out = Integers(head(kind, event.position.sequence, key.fingerprint));
    out.moment(event.at);
    out.0.extend(w.0);
    Some(out.0)
}

/// The reservation in it is what readers are shown of it: nothing else of it is ever read.
fn put_acted(w: &mut Writer, acted: &Acted<'_>) -> u8 {
    w.array(6);
    w.int(ACTED);
    w.uint(match acted.verb {
        VerbKind::Confirm => CONFIRM,
        VerbKind::Release => RELEASE,
        VerbKind::Extend => EXTEND,
        VerbKind::Ship => SHIP,
        VerbKind::Return => RETURN,
        VerbKind::Transfer => TRANSFER,
    });
    w.bytes(&acted.id.0.to_be_bytes());
    let lines = acted.lines.iter().map(|line| Stored {
        sku: line.sku,
        requested: line.requested,
        made_at: line.after.pin,
        state: line.after,
    });
    let booking = Booking {
        channel: acted.channel.0,
        reference: acted.reference,
        ttl: Ttl::SHORTEST,
        created: acted.created_at,
        touched: acted.created_at,
        deadline: acted.deadline,
        lines: lines.collect(),
        ties: None,
    };
    w.bytes(&booking.put(head(RESERVATION, 0, 0)));
    let moves = (0_u64..).zip(&acted.lines);
    let moves = moves.flat_map(|(at, line)| line.moves.iter().map(move |step| (at, *step)));
    let moves: Vec<_> = moves
        .filter_map(|(at, step)| Some((at, step_of(step)?)))
        .collect();
    w.array(4 * moves.len());
    for (line, (kind, node, units)) in moves {
        [line, kind, u64::from(node.0), units.get()]
            .iter()
            .for_each(|value| w.uint(*value));
    }
    let windows = (0_u64..).zip(&acted.lines);
    let windows: Vec<_> = windows.filter(|(_, line)| line.window.0 != 0).collect();
    w.array(2 * windows.len());
    for (number, line) in windows {
        w.uint(number);
        w.int(line.window.0);
    }
    ANSWER
}

/// `None` for moves that no command makes of a line that is there.
const fn step_of(step: Move) -> Option<(u64, NodeIx, Units)> {
    Some(match step {
        Move::Hold(_) | Move::Expire(_) => return None,
        Move::Commit(units) => (2, NodeIx::MAIN, units),
        Move::ReleaseHeld(units) => (3, NodeIx::MAIN, units),
        Move::ReleaseCommitted(units) => (4, NodeIx::MAIN, units),
        Move::Ship(node, units) => (6, node, units),
        Move::Restock(node, units) => (7, node, units),
        Move::Quarantine(node, units) => (8, node, units),
        Move::Repin(node) => (9, node, Units::ZERO),
    })
}

fn put_shared(w: &mut Writer, moved: &SharesMoved<'_>) -> u8 {
    w.array(2);
    w.int(SHARED);
    w.array(5 * moved.items.len());
    for item in &moved.items {
        w.bytes(item.sku.as_bytes());
        w.uint(u64::from(item.from.0));
        w.uint(u64::from(item.to.0));
        w.uint(item.units.get());
        w.int(item.window.0);
    }
    ANSWER
}

fn put_changed(w: &mut Writer, changed: &StockChanged<'_>) -> u8 {
    w.array(3);
    w.int(CHANGED);
    w.uint(match changed.verb {
        StockVerb::Set => STOCK_SET,
        StockVerb::Adjust => STOCK_ADJUST,
        StockVerb::Transfer => STOCK_TRANSFER,
    });
    w.array(8 * changed.items.len());
    for item in &changed.items {
        w.bytes(item.sku.as_bytes());
        w.uint(u64::from(item.node.0));
        let units = [
            item.on_hand_before,
            item.on_hand,
            item.unavailable_before,
            item.unavailable,
            item.available,
        ];
        units.iter().for_each(|units| w.uint(units.get()));
        w.uint(item.version);
    }
    ANSWER
}
