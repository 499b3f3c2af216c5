//! One shard of the pool: the SKUs that hash to it, with the reservation lines that touch them.
//!
//! Stock and lines of a SKU are in one shard, under one lock, so that a deadline that passed is
//! honoured by whoever touches the SKU next, without asking anyone else.

use std::borrow::Cow;
use std::sync::Arc;

use super::due::DueQueue;
use super::index::Index;
use super::packed::{PackedLine, PackedPlace, PackedTerm, halves, joined};
use super::slab::Slab;
use crate::domain::line::{Inconsistent, Move};
use crate::domain::policy::{ClassIx, InForce, Policy};
use crate::domain::stock::Change;
use crate::domain::{ChannelIx, Charge, Day, Line, ReservationId, Stock, Terms, Units, UnixMillis};
use crate::ledger::Gauges;
use crate::ledger::event::{DeficitTold, LowWaterTold, TermsNoted};
use crate::ledger::policy::PolicyInForce;
use crate::limits::STOCK_SHARDS;

/// For moves that count in no window: only what is shipped does.
const ANY_WINDOW: UnixMillis = UnixMillis(0);

/// A SKU's name; in place as long as it is short, so that finding a SKU does not follow one more
/// pointer.
#[derive(Debug)]
enum Name {
    Short { length: u8, bytes: [u8; NAME_BYTES] },
    Long(Box<str>),
}

/// Longest name in place: no larger than the other variant.
const NAME_BYTES: usize = 22;

impl Name {
    fn new(name: &str) -> Self {
        let mut bytes = [0; NAME_BYTES];
        match (u8::try_from(name.len()), bytes.get_mut(..name.len())) {
            (Ok(length), Some(place)) => {
                place.copy_from_slice(name.as_bytes());
                Self::Short { length, bytes }
            }
            _ => Self::Long(name.into()),
        }
    }

    fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Short { length, bytes } => bytes.get(..usize::from(*length)).unwrap_or_default(),
            Self::Long(name) => name.as_bytes(),
        }
    }
}

/// A SKU and its stock.
#[derive(Debug)]
pub(super) struct StockEntry {
    name: Name,
    pub(super) stock: Stock,
}

const _: () = assert!(size_of::<Option<StockEntry>>() == 96);

impl StockEntry {
    fn new(sku: &str) -> Self {
        Self {
            name: Name::new(sku),
            stock: Stock::default(),
        }
    }

    fn is(&self, sku: &str) -> bool {
        self.name.as_bytes() == sku.as_bytes()
    }

    /// The SKU.
    pub(super) fn sku(&self) -> &str {
        str::from_utf8(self.name.as_bytes()).unwrap_or_default()
    }
}

/// A reservation line; fills one cache line.
#[derive(Debug, Clone)]
#[repr(align(64))]
pub(super) struct LineEntry {
    /// The reservation, as two halves: a `u128` would round the entry up to 16 bytes.
    reservation: [u64; 2],
    /// Until when it is held, and the day that it is promised for.
    term: PackedTerm,
    line: PackedLine,
    pub(super) stock: u32,
    place: PackedPlace,
    /// Whose use of the SKU goes with the line's units: who sells, or whose share it is.
    pub(super) channel: ChannelIx,
}

const _: () = assert!(size_of::<Option<LineEntry>>() == 64);

impl LineEntry {
    /// A line of a reservation of `channel`.
    pub(super) fn new(
        id: ReservationId,
        number: u16,
        channel: ChannelIx,
        stock: u32,
        deadline: UnixMillis,
        line: Line,
    ) -> Self {
        Self {
            reservation: halves(id.0),
            term: PackedTerm::new(deadline, line.day),
            line: PackedLine::new(line),
            stock,
            place: PackedPlace::new(number, line.charged_to.is_some()),
            channel: line.user(channel),
        }
    }

    /// Its place in the reservation.
    pub(super) fn number(&self) -> u16 {
        self.place.number()
    }

    /// The line itself.
    pub(super) fn line(&self) -> Line {
        Line {
            day: self.term.day(),
            charged_to: self.place.is_charged().then_some(self.channel),
            ..self.line.get()
        }
    }

    /// When its held units go back.
    pub(super) fn deadline(&self) -> UnixMillis {
        self.term.deadline()
    }

    pub(super) fn reservation(&self) -> ReservationId {
        ReservationId(joined(self.reservation))
    }
}

/// Units of a line that expires.
pub(super) struct Expiry {
    pub(super) slot: u32,
    /// The slot of its stock.
    pub(super) stock: u32,
    pub(super) units: Units,
}

/// The shard. See the module's documentation.
#[derive(Debug, Default)]
pub(super) struct StockShard {
    index: Index,
    pub(super) stocks: Slab<StockEntry>,
    pub(super) lines: Slab<LineEntry>,
    due: DueQueue,
    /// Lines with held or committed units, and what the feed told of deficits. Kept here, where a
    /// command has written anyway, and not for the whole pool, where all threads would write to it.
    pub(super) gauges: Gauges,
    /// Sequence of the last command that changed anything here since the start. Expiries do not
    /// count: after a crash, time makes the lost ones again.
    pub(super) changed: u64,
    /// The channel policy. Each shard has it, so that to look at it is to look at what the lock
    /// covers anyway.
    pub(super) policy: Option<Arc<PolicyInForce>>,
}

/// The shard of a SKU's hash: its top bits, since the table uses the low ones.
pub(super) fn shard_of(hash: u64) -> usize {
    let bits = STOCK_SHARDS.trailing_zeros();
    usize::try_from(hash >> (64 - bits)).unwrap_or(0)
}

impl StockShard {
    /// The slot of a SKU's stock.
    pub(super) fn find(&self, hash: u64, sku: &str) -> Option<u32> {
        let same = |slot| self.stocks.get(slot).is_some_and(|e| e.is(sku));
        self.index.find(hash, same)
    }

    /// Fetches what looking for this SKU and adding a line will need.
    pub(super) fn warm(&self, hash: u64) {
        self.index.warm(hash);
        self.lines.warm_next();
    }

    /// The slot of a SKU's stock, made where it is missing.
    pub(super) fn find_or_make(&mut self, hash: u64, sku: &str) -> Result<u32, Inconsistent> {
        if let Some(slot) = self.find(hash, sku) {
            return Ok(slot);
        }
        let slot = self
            .stocks
            .insert(StockEntry::new(sku))
            .ok_or(Inconsistent)?;
        self.index.insert(hash, slot);
        Ok(slot)
    }

    /// The stock at a slot.
    pub(super) fn stock(&self, slot: u32) -> Option<&Stock> {
        self.stocks.get(slot).map(|e| &e.stock)
    }

    /// The class of the SKU at a slot, where the policy says anything beside limits.
    #[inline]
    pub(super) fn class_with_terms(&self, slot: u32) -> Option<ClassIx> {
        let policy = self.policy().filter(|policy| policy.has_terms())?;
        Some(policy.class_of(self.stocks.get(slot)?.sku()))
    }

    /// Notes what the policy says of the SKU at a slot, which is of [that](Self::class_with_terms)
    /// class, where that is another than before, and decides anew whether it is low; what is noted
    /// then.
    #[inline]
    pub(super) fn note_terms(
        &mut self,
        slot: u32,
        class: Option<ClassIx>,
        now: UnixMillis,
    ) -> Option<TermsNoted<'_>> {
        let policy = &self.policy.as_deref()?.policy;
        let entry = self.stocks.get_mut(slot)?;
        let terms = class.map_or(Terms::NONE, |class| policy.terms_in(class, now));
        if entry.stock.follows(&terms) {
            return None;
        }
        entry.stock.note_terms(&terms, Day::of(now));
        Some(TermsNoted {
            sku: entry.sku(),
            terms: entry.stock.settings().terms(),
        })
    }

    /// Whether what the policy says now of the SKU at a slot is noted.
    pub(super) fn has_noted_terms(&self, slot: u32, now: UnixMillis) -> bool {
        matches!(self.stock_now(slot, now), Some(Cow::Borrowed(_)))
    }

    /// The stock at a slot by what the policy says now, which may not be noted yet.
    pub(super) fn stock_now(&self, slot: u32, now: UnixMillis) -> Option<Cow<'_, Stock>> {
        let stock = self.stock(slot)?;
        let Some(policy) = self.policy() else {
            return Some(Cow::Borrowed(stock));
        };
        let class = self.class_with_terms(slot);
        let terms = class.map_or(Terms::NONE, |class| policy.terms_in(class, now));
        Some(stock.in_terms(&terms, Day::of(now)))
    }

    /// Decides anew whether the SKU at a slot is low; how it stands, where the feed is to tell of it.
    /// It counts as told from now on.
    pub(super) fn settle_water(&mut self, slot: u32, today: Day) -> Option<LowWaterTold<'_>> {
        let entry = self.stocks.get_mut(slot)?;
        if !entry.stock.settle_water(today) {
            return None;
        }
        let low = entry.stock.is_low();
        entry.stock.put_water_told(low);
        Some(LowWaterTold::of(entry.sku(), &entry.stock, today))
    }

    /// The same, where what the feed told comes by itself.
    pub(super) fn settle_water_quietly(&mut self, slot: u32, today: Day) {
        if let Some(entry) = self.stocks.get_mut(slot) {
            entry.stock.settle_water(today);
        }
    }

    /// Decides anew what is missing of the SKU at a slot; the same, where the feed is to tell of it.
    pub(super) fn settle_deficit(
        &mut self,
        slot: u32,
        change: Change,
        today: Day,
    ) -> Option<DeficitTold<'_>> {
        let stock = self.stock(slot)?;
        let (was, deficit) = (stock.deficit_told(), stock.untold_deficit(change, today)?);
        self.change(slot, |stock| stock.put_deficit_told(deficit))?;
        let sku = self.stocks.get(slot)?.sku();
        Some(DeficitTold { sku, deficit, was })
    }

    /// Changes what is known of the SKU at a slot; `None`: there is none.
    pub(super) fn change<T>(
        &mut self,
        slot: u32,
        change: impl FnOnce(&mut Stock) -> T,
    ) -> Option<T> {
        let stock = &mut self.stocks.get_mut(slot)?.stock;
        let before = stock.deficit_told();
        let done = change(stock);
        self.gauges.missing.note(before, stock.deficit_told());
        Some(done)
    }

    /// Counts a line as it was and as it is.
    fn count_open(&mut self, before: &Line, after: &Line) {
        self.gauges.open_lines += u64::from(!after.open().is_zero());
        self.gauges.open_lines -= u64::from(!before.open().is_zero());
    }

    /// Adds a line and takes its held units. Returns the line's slot.
    pub(super) fn hold(&mut self, entry: LineEntry, units: Units) -> Result<u32, Inconsistent> {
        let stock = self.stocks.get_mut(entry.stock).ok_or(Inconsistent)?;
        let charge = Charge {
            channel: entry.channel,
            window: ANY_WINDOW,
        };
        stock
            .stock
            .apply(&entry.line(), Move::Hold(units), charge)?;
        self.hold_line(entry, units)
    }

    /// [`Self::hold`] for a stock that knows of these units already.
    pub(super) fn hold_line(
        &mut self,
        mut entry: LineEntry,
        units: Units,
    ) -> Result<u32, Inconsistent> {
        entry.line.apply(Move::Hold(units))?;
        let deadline = entry.deadline();
        let slot = self.lines.insert(entry).ok_or(Inconsistent)?;
        self.due.push(deadline, slot);
        self.gauges.open_lines += u64::from(!units.is_zero());
        Ok(slot)
    }

    /// Puts a line back as it was stored; its units are already in the stock's counters.
    pub(super) fn restore_line(&mut self, entry: LineEntry) -> Result<u32, Inconsistent> {
        let (deadline, line) = (entry.deadline(), entry.line());
        let slot = self.lines.insert(entry).ok_or(Inconsistent)?;
        if !line.held.is_zero() {
            self.due.push(deadline, slot);
        }
        self.count_open(&Line::pinned(None), &line);
        Ok(slot)
    }

    /// Forgets everything but the policy.
    pub(super) fn clear(&mut self) {
        *self = Self {
            policy: self.policy.take(),
            ..Self::default()
        };
    }

    /// The channel policy.
    pub(super) fn policy(&self) -> Option<&Policy> {
        self.policy.as_deref().map(|of| &of.policy)
    }

    /// The rule in force for a SKU.
    pub(super) fn rule(&self, sku: &str, now: UnixMillis) -> Option<InForce<'_>> {
        self.policy()?.in_force(sku, now)
    }

    /// Beginning of the window in force for the SKU of a line.
    pub(super) fn window_of(&self, slot: u32, now: UnixMillis) -> UnixMillis {
        let owner = self.lines.get(slot).map(|line| line.stock);
        let sku = owner.and_then(|owner| self.stocks.get(owner));
        let rule = sku.and_then(|entry| self.rule(entry.sku(), now));
        rule.map_or(ANY_WINDOW, |rule| rule.window())
    }

    /// Does one move of a line, on the line and on its SKU's stock. What is shipped counts in the
    /// window that began then.
    pub(super) fn step(
        &mut self,
        slot: u32,
        step: Move,
        window: UnixMillis,
    ) -> Result<(), Inconsistent> {
        let entry = self.lines.get_mut(slot).ok_or(Inconsistent)?;
        let stock = self.stocks.get_mut(entry.stock).ok_or(Inconsistent)?;
        let line = entry.line();
        let charge = Charge {
            channel: entry.channel,
            window,
        };
        stock.stock.apply(&line, step, charge)?;
        entry.line.apply(step)?;
        let after = entry.line();
        self.count_open(&line, &after);
        Ok(())
    }

    /// [`Self::step`] for a stock that knows of this move already.
    pub(super) fn step_line(&mut self, slot: u32, step: Move) -> Result<(), Inconsistent> {
        let entry = self.lines.get_mut(slot).ok_or(Inconsistent)?;
        let before = entry.line();
        entry.line.apply(step)?;
        let after = entry.line();
        self.count_open(&before, &after);
        Ok(())
    }

    /// Moves the deadline of a line.
    pub(super) fn extend(&mut self, slot: u32, deadline: UnixMillis) {
        if let Some(entry) = self.lines.get_mut(slot) {
            entry.term = PackedTerm::new(deadline, entry.term.day());
            if !entry.line().held.is_zero() {
                self.due.push(deadline, slot);
            }
        }
    }

    /// Whether [`Self::next_due`] has anything to look at.
    pub(super) fn has_due(&self, now: UnixMillis) -> bool {
        self.due
            .first()
            .is_some_and(|deadline| deadline.is_due(now))
    }

    /// Whether any line holds units past its deadline. Takes out of the queue what is stale.
    pub(super) fn has_overdue(&mut self, now: UnixMillis) -> bool {
        while let Some(slot) = self.due.peek_due(now) {
            let line = self.lines.get(slot);
            if line.is_some_and(|line| !line.line().held.is_zero() && line.deadline().is_due(now)) {
                return true;
            }
            self.due.pop_due(now);
        }
        false
    }

    /// The next line whose deadline has passed, and what it holds; `None` when there is none left.
    /// Whoever asks [expires](Self::expire) it.
    ///
    /// The queue may hold entries of lines that were confirmed, released, extended or replaced
    /// since: the line itself says what is due.
    pub(super) fn next_due(&mut self, now: UnixMillis) -> Option<Expiry> {
        while let Some(slot) = self.due.pop_due(now) {
            let Some(entry) = self.lines.get(slot) else {
                continue;
            };
            let (stock, units) = (entry.stock, entry.line().held);
            if !units.is_zero() && entry.deadline().is_due(now) {
                return Some(Expiry { slot, stock, units });
            }
        }
        None
    }

    /// Gives back what a line holds past its deadline.
    pub(super) fn expire(&mut self, due: &Expiry) -> Result<(), Inconsistent> {
        self.step(due.slot, Move::Expire(due.units), ANY_WINDOW)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::SKU_BYTES_MAX;

    #[test]
    fn a_sku_of_any_length_keeps_its_name() {
        for length in [1, NAME_BYTES - 1, NAME_BYTES, NAME_BYTES + 1, SKU_BYTES_MAX] {
            let sku = "s".repeat(length);
            let entry = StockEntry::new(&sku);
            assert_eq!(entry.sku(), sku);
            assert!(entry.is(&sku) && !entry.is("other") && !entry.is(&format!("{sku}s")));
        }
    }
}
