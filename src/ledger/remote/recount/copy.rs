//! What the store held at one position: read page by page, and carried on by events.

use std::collections::{BTreeSet, HashMap, HashSet};

use smallvec::SmallVec;

use crate::domain::line::{Inconsistent, Move};
use crate::domain::{ChannelIx, Charge, Day, Line, ReservationId, Stock, Units, UnixMillis};
use crate::ledger::event::{Acted, Body, Event, Reserved, StockItem};
use crate::ledger::remote::script::Meta;
use crate::ledger::remote::several::Parts;
use crate::ledger::remote::wire::Malformed;
use crate::ledger::remote::wire::record::{self, Booking, Kept, Record};
use crate::ledger::sums::Sums;
use crate::ledger::{Gauges, Recount};

/// A reservation with open units.
#[derive(Debug)]
struct Open {
    deadline: i64,
    /// The index of deadlines has it.
    is_due_there: bool,
    /// It is part of one whose home is elsewhere, and counted there.
    is_part: bool,
    channel: ChannelIx,
    lines: SmallVec<[OpenLine; 1]>,
}

/// A line that lies in this partition.
#[derive(Debug)]
struct OpenLine {
    /// Its place among all lines of the reservation.
    number: u16,
    /// Its SKU.
    place: u32,
    line: Line,
}

impl Open {
    fn holds(&self) -> bool {
        self.lines.iter().any(|open| !open.line.held.is_zero())
    }
}

/// A SKU that was named, by a record or by itself.
#[derive(Debug)]
struct Named {
    sku: Box<str>,
    stock: Option<Stock>,
}

/// See the module's documentation. The records are read first: a change of stock can be carried on
/// only by who knows the lines that it is about.
#[derive(Debug, Default)]
pub(super) struct Copy {
    found: Recount,
    /// Reservations that were seen: a page may show one twice.
    seen: HashSet<u128>,
    /// Those of them whose home is another partition.
    strangers: u64,
    /// What is to be compared with other partitions.
    parts: Parts,
    open: HashMap<u128, Open>,
    places: HashMap<Box<str>, u32>,
    skus: Vec<Named>,
    /// SKUs that changed before they were seen.
    late: BTreeSet<Box<str>>,
    /// Every SKU that there is was seen: another one is new.
    has_all_skus: bool,
}

impl Copy {
    fn place(&mut self, sku: &str) -> u32 {
        if let Some(place) = self.places.get(sku) {
            return *place;
        }
        let place = u32::try_from(self.skus.len()).unwrap_or(u32::MAX);
        self.places.insert(sku.into(), place);
        self.skus.push(Named {
            sku: sku.into(),
            stock: None,
        });
        place
    }

    fn named(&mut self, place: u32) -> Option<&mut Named> {
        self.skus.get_mut(usize::try_from(place).ok()?)
    }

    /// A record as it stands now; one that was seen before is carried on already.
    pub(super) fn record(&mut self, id: &[u8], bytes: &[u8]) -> Result<(), Malformed> {
        let id = id.try_into().map(u128::from_be_bytes).or(Err(Malformed))?;
        if let Kept::Reservation(booking) = Record::parse(bytes)?.kept
            && self.seen.insert(id)
        {
            self.parts.add(id, &booking);
            self.booking(id, &booking);
        }
        Ok(())
    }

    fn booking(&mut self, id: u128, booking: &Booking<'_>) {
        let is_part = booking.is_part();
        self.strangers += u64::from(is_part);
        let lines = (0_u16..).zip(&booking.lines);
        let here = lines.filter(|(number, _)| booking.is_here(usize::from(*number)));
        let open = Open {
            deadline: booking.deadline.0,
            is_due_there: false,
            is_part,
            channel: booking.channel(),
            lines: here
                .map(|(number, (sku, _, line))| OpenLine {
                    number,
                    place: self.place(sku),
                    line: *line,
                })
                .collect(),
        };
        self.keep(id, open);
    }

    fn keep(&mut self, id: u128, open: Open) {
        if open.lines.iter().any(|open| !open.line.open().is_zero()) {
            self.open.insert(id, open);
        }
    }

    /// The stock of a SKU as it stands now.
    pub(super) fn stock(&mut self, sku: &[u8], bytes: &[u8]) -> Result<(), Malformed> {
        let sku = str::from_utf8(sku).or(Err(Malformed))?;
        let stock = record::stock(bytes)?;
        let place = self.place(sku);
        self.late.remove(sku);
        if let Some(named) = self.named(place) {
            named.stock.get_or_insert(stock);
        }
        Ok(())
    }

    /// SKUs that changed and that no page has shown: new ones. None means that all were seen.
    pub(super) fn late(&mut self) -> Vec<Box<str>> {
        self.has_all_skus = self.late.is_empty();
        std::mem::take(&mut self.late).into_iter().collect()
    }

    /// An entry of the index of deadlines.
    pub(super) fn due(&mut self, ids: &[u8], deadline: &[u8]) {
        let deadline = str::from_utf8(deadline);
        let deadline = deadline.ok().and_then(|text| text.parse().ok());
        let (ids, _) = ids.as_chunks::<16>();
        for id in ids {
            if let Some(open) = self.open.get_mut(&u128::from_be_bytes(*id)) {
                open.is_due_there |= Some(open.deadline) == deadline;
            }
        }
    }

    /// Reservations that hold units, and that the index of deadlines did not have when it was read:
    /// id and deadline.
    pub(super) fn without_due(&self) -> Vec<(u128, i64)> {
        let missing = self.open.iter();
        let missing = missing.filter(|(_, open)| open.holds() && !open.is_due_there);
        let mut missing: Vec<_> = missing.map(|(id, open)| (*id, open.deadline)).collect();
        missing.sort_unstable();
        missing
    }

    /// Says of a reservation that nothing is due at its deadline.
    pub(super) fn never_due(&mut self, id: u128, deadline: i64) {
        let id = ReservationId(id);
        self.found
            .violation(|| format!("reservation {id}: nothing is due at its deadline {deadline}"));
    }

    /// Carries on what is known so far.
    pub(super) fn event(&mut self, event: &Event<'_>) {
        let done = match &event.body {
            Body::Reserved(reserved) => self.reserved(event.at.0, reserved),
            Body::Acted(acted) => self.acted(acted),
            Body::Expired {
                id,
                line,
                sku,
                units,
            } => {
                let at = self.expiring(id.0, *line, sku, *units);
                self.step(id.0, at, sku, Move::Expire(*units), UnixMillis::default())
            }
            Body::StockChanged(changed) => {
                changed.items.iter().try_for_each(|item| self.item(item))
            }
            Body::InboundChanged(changed) => changed.items.iter().try_for_each(|item| {
                let (entry, received) = (item.entry.clone(), item.received);
                self.changing(item.sku)
                    .map_or(Ok(()), |stock| stock.receive_inbound(entry, received))
            }),
            Body::SettingsPut { sku, after, .. } => {
                if let Some(stock) = self.changing(sku) {
                    stock.put_settings(after.clone());
                }
                Ok(())
            }
            Body::Deficit(told) => {
                if let Some(stock) = self.changing(told.sku) {
                    stock.put_deficit_told(told.deficit);
                }
                Ok(())
            }
            Body::TermsNoted(noted) => {
                if let Some(stock) = self.changing(noted.sku) {
                    stock.note_terms(&noted.terms, Day::of(event.at));
                }
                Ok(())
            }
            Body::SharesMoved(moved) => moved.items.iter().try_for_each(|item| {
                let stock = self.changing(item.sku);
                stock.map_or(Ok(()), |stock| {
                    stock.move_share(item.from, item.to, item.units, item.window)
                })
            }),
            Body::Opened { .. }
            | Body::NodeNamed { .. }
            | Body::ChannelNamed { .. }
            | Body::LowWater(_)
            | Body::PolicyPut { .. }
            | Body::Refused { .. } => Ok(()),
        };
        if done.is_err() {
            let sequence = event.position.sequence;
            self.found
                .violation(|| format!("event {sequence} does not fit what was there before it"));
        }
        if let Body::Acted(Acted { id, .. }) | Body::Expired { id, .. } = &event.body {
            self.close(id.0);
        }
    }

    fn close(&mut self, id: u128) {
        let is_over = |open: &Open| { open.lines.iter() }.all(|open| open.line.open().is_zero());
        if self.open.get(&id).is_some_and(is_over) {
            self.open.remove(&id);
        }
    }

    /// The stock of a SKU that an event changes; one that was not seen is looked at later.
    fn changing(&mut self, sku: &str) -> Option<&mut Stock> {
        let (place, is_new) = (self.place(sku), self.has_all_skus);
        if !is_new && self.known(place).is_none() {
            self.late.insert(sku.into());
            return None;
        }
        let named = self.named(place)?;
        Some(named.stock.get_or_insert_with(Stock::default))
    }

    fn reserved(&mut self, at: i64, reserved: &Reserved<'_>) -> Result<(), Inconsistent> {
        let mut lines = SmallVec::new();
        for (number, line) in (0_u16..).zip(&reserved.lines) {
            let place = self.place(line.sku);
            lines.push(OpenLine {
                number,
                place,
                line: line.made(),
            });
            if let Some(stock) = self.known(place) {
                let empty = line.empty();
                let charge = Charge {
                    channel: empty.user(reserved.channel),
                    window: UnixMillis::default(),
                };
                stock.apply(&empty, Move::Hold(line.held), charge)?;
            }
        }
        self.seen.insert(reserved.id.0);
        let open = Open {
            deadline: at.saturating_add(i64::from(reserved.ttl_ms)),
            is_due_there: false,
            is_part: false,
            channel: reserved.channel,
            lines,
        };
        self.keep(reserved.id.0, open);
        Ok(())
    }

    fn known(&mut self, place: u32) -> Option<&mut Stock> {
        self.named(place).and_then(|named| named.stock.as_mut())
    }

    fn acted(&mut self, acted: &Acted<'_>) -> Result<(), Inconsistent> {
        let id = acted.id.0;
        for (at, line) in acted.lines.iter().enumerate() {
            for step in &line.moves {
                self.step(id, at, line.sku, *step, line.window)?;
            }
            let lines = self.open.get(&id).map(|open| &open.lines);
            let after = lines.and_then(|lines| lines.get(at));
            if after.is_some_and(|after| after.line != line.after) {
                return Err(Inconsistent);
            }
        }
        if let Some(open) = self.open.get_mut(&id)
            && open.deadline != acted.deadline.0
        {
            (open.deadline, open.is_due_there) = (acted.deadline.0, false);
        }
        Ok(())
    }

    /// Which of the lines here expires: events give its number among all lines, which for one that
    /// came as an event is not known where some of them lie elsewhere.
    fn expiring(&mut self, id: u128, number: u16, sku: &str, units: Units) -> usize {
        let place = self.place(sku);
        let lines = self.open.get(&id).map(|open| open.lines.as_slice());
        let lines = lines.unwrap_or_default().iter();
        let is_it = |line: &OpenLine| line.place == place && line.line.held == units;
        let exact = |line: &OpenLine| line.number == number && is_it(line);
        let at = { lines.clone() }.position(exact);
        at.or_else(|| { lines }.position(is_it))
            .unwrap_or(usize::MAX)
    }

    /// One move of a line, on the line and on the stock, as far as each was seen. A line that is not
    /// among the open ones has no open units: only moves that need none are made of it.
    fn step(
        &mut self,
        id: u128,
        at: usize,
        sku: &str,
        step: Move,
        window: UnixMillis,
    ) -> Result<(), Inconsistent> {
        let place = self.place(sku);
        let open = self.open.get_mut(&id);
        let channel = open.as_ref().map(|open| open.channel);
        let line = open.and_then(|open| open.lines.get_mut(at));
        let before = line.as_ref().map(|open| open.line).unwrap_or_default();
        if let Some(open) = line {
            open.line.apply(step)?;
        }
        if let Some(stock) = self.known(place) {
            // Nothing that is not open moves between used and not.
            let channel = before.user(channel.unwrap_or(ChannelIx(0)));
            stock.apply(&before, step, Charge { channel, window })?;
        }
        Ok(())
    }

    fn item(&mut self, item: &StockItem<'_>) -> Result<(), Inconsistent> {
        let Some(stock) = self.changing(item.sku) else {
            return Ok(());
        };
        let before = stock.node(item.node);
        let expected = (item.on_hand_before, item.unavailable_before);
        if (before.on_hand, before.unavailable) != expected {
            return Err(Inconsistent);
        }
        stock.set_node(item.node, item.on_hand, item.unavailable)
    }

    /// Compares counters and records, which stand at the position of this meta.
    pub(super) fn finish(mut self, meta: &Meta) -> (Recount, Parts) {
        let today = Day::of(UnixMillis(meta.now));
        let mut sums: HashMap<u32, Sums> = HashMap::new();
        let mut gauges = Gauges::default();
        for open in self.open.values() {
            for OpenLine { place, line, .. } in &open.lines {
                gauges.open_lines += u64::from(!line.open().is_zero());
                let sums = sums.entry(*place).or_default();
                sums.add(line, open.channel);
            }
        }
        for (place, named) in (0_u32..).zip(&self.skus) {
            let told = named.stock.as_ref().map(Stock::deficit_told);
            gauges.missing.note(Units::ZERO, told.unwrap_or_default());
            let sums = sums.remove(&place).unwrap_or_default();
            sums.judge(&named.sku, named.stock.as_ref(), today, &mut self.found);
        }
        if gauges != meta.gauges {
            let told = meta.gauges;
            self.found
                .violation(|| format!("counters are {told:?}, counted are {gauges:?}"));
        }
        let whole = self.open.values().filter(|open| !open.is_part).count();
        self.found.open = u64::try_from(whole).unwrap_or(u64::MAX);
        let seen = u64::try_from(self.seen.len()).unwrap_or(u64::MAX);
        self.found.reservations = seen.saturating_sub(self.strangers);
        (self.found, self.parts)
    }
}
