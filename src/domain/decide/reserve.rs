//! Decides a reservation.

use smallvec::SmallVec;

use super::super::calendar::Timeline;
use super::super::command::{LineRequest, Lines};
use super::super::day::Day;
use super::super::ids::ChannelIx;
use super::super::line::{Line, Move};
use super::super::policy::{Bound, Claim, Supply, Taken};
use super::super::stock::Stock;
use super::super::units::Units;
use super::super::uses::Uses;
use super::super::verdict::{Limit, Refusal, Shortage};

/// What a line of a reservation gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Grant {
    /// How many units.
    pub units: Units,
    /// The day by which they are promised; `None`: of what is on hand.
    pub day: Option<Day>,
    /// The channel that they are charged to; `None`: the one that asks.
    pub charged_to: Option<ChannelIx>,
}

/// What the lines of a reservation get, in line order.
pub type Grants = SmallVec<[Grant; 2]>;

/// Decides a reservation. `stock_of` gives the stock of the line at a position; `None` there means
/// the SKU is unknown. `claim_of` gives the channel under the rule in force for that SKU, where one
/// is. Each line is judged after the lines before it of the same SKU.
///
/// A line whose caller takes it later gets the first day on which all its units can be promised: by
/// its own share, or else by that of a fallback. So an earlier day goes before its own share.
pub fn reserve<'s>(
    lines: &Lines<'_>,
    allow_partial: bool,
    today: Day,
    stock_of: impl Fn(usize) -> Option<&'s Stock>,
    claim_of: impl Fn(usize) -> Option<Claim<'s>>,
) -> Result<Grants, Refusal> {
    let lines = lines.as_slice();
    if let Some((_, line)) = lines
        .iter()
        .enumerate()
        .find(|(at, _)| stock_of(*at).is_none())
    {
        return Err(Refusal::UnknownSku {
            sku: line.sku.as_str().into(),
        });
    }
    let mut grants = Grants::new();
    let mut shortages: Vec<Shortage> = Vec::new();
    let mut earlier = Earlier::default();
    let mut before = None;
    for (at, line) in lines.iter().enumerate() {
        if before != Some(line.sku) {
            earlier.taken.clear();
            earlier.lines.clear();
            before = Some(line.sku);
        }
        let Some(stock) = stock_of(at) else { continue };
        let claim = claim_of(at);
        let offer = if stock.calendar().inbound().is_empty() {
            of_stock(stock, line, &earlier.taken, claim, today)
        } else {
            dated(stock, &mut earlier, line, claim, today)
        };
        let units = line.quantity.min(offer.room);
        if units < line.quantity {
            shortages.push(offer.shortage(line, claim));
        }
        let (day, charged_to) = (offer.day, offer.charged_to);
        let own = claim.map(|claim| claim.channel);
        earlier.taken.add(charged_to.or(own), units);
        grants.push(Grant {
            units,
            day,
            charged_to,
        });
    }
    let nothing = grants.iter().all(|grant| grant.units.is_zero());
    if shortages.is_empty() || (allow_partial && !nothing) {
        Ok(grants)
    } else {
        Err(Refusal::InsufficientStock {
            shortages: shortages.into(),
        })
    }
}

/// What earlier lines of the same command and SKU took.
#[derive(Default)]
struct Earlier {
    taken: Taken,
    /// The lines themselves, where supply is dated: there it matters when they are due, and where.
    lines: Vec<(Line, Units)>,
}

impl Earlier {
    /// The stock as it is after them.
    fn after(&self, stock: &Stock) -> Option<Stock> {
        let mut after = None;
        for (line, units) in &self.lines {
            let after = after.get_or_insert_with(|| stock.clone());
            // Only tried on a copy here; the caller applies it for good and checks.
            let tried = after.move_units(line, Move::Hold(*units));
            debug_assert_eq!(tried, Ok(()), "no more is held than there is room for");
        }
        after
    }
}

/// The most that a line can have, and when. No more than it asks for is looked for.
struct Offer {
    day: Option<Day>,
    room: Units,
    limit: Limit,
    /// The first day after those that the caller takes with all that he asks for.
    next: Option<Day>,
    /// What the rule in force keeps back.
    bound: Option<Bound>,
    /// The channel whose share it is of; `None`: the caller's own.
    charged_to: Option<ChannelIx>,
}

impl Offer {
    /// On no day there is anything.
    const NOTHING: Self = Self {
        day: None,
        room: Units::ZERO,
        limit: Limit::Stock,
        next: None,
        bound: None,
        charged_to: None,
    };

    /// The most that a line can have of a supply, by the channel's own share or another that it may
    /// use. `room` is what is there under what a rule leaves.
    #[inline]
    fn of(
        line: &LineRequest<'_>,
        claim: Option<Claim<'_>>,
        supply: impl Fn() -> Supply,
        (uses, taken): (&Uses, &Taken),
        room: impl Fn(Option<&Bound>) -> (Units, Limit),
    ) -> Self {
        let asked = line.quantity;
        let mut bound = claim.and_then(|claim| claim.bound(asked, supply(), uses, taken));
        let mut found = room(bound.as_ref());
        let mut charged_to = None;
        if let (Some(claim), Some(own)) = (claim, bound)
            && found.0 < asked
            && claim.may_be_lent()
        {
            // More than is there without the rule no share can give.
            let wanted = asked.min(room(None).0);
            let lent = claim.lent(own, wanted, (supply(), uses), taken);
            (bound, charged_to) = (lent.bound, lent.charged_to);
            found = room(bound.as_ref());
        }
        let (room, limit) = found;
        Self {
            day: None,
            room,
            limit,
            next: None,
            bound,
            charged_to,
        }
    }

    /// What a caller is told who gets less than he asked for: that the date keeps him from it,
    /// where more comes later.
    fn shortage(&self, line: &LineRequest<'_>, claim: Option<Claim<'_>>) -> Shortage {
        let is_of_supply = matches!(
            self.limit,
            Limit::Stock | Limit::Safety | Limit::Node | Limit::Inbound | Limit::Later
        );
        let limit = if is_of_supply && self.next.is_some() {
            Limit::Date
        } else {
            self.limit
        };
        Shortage {
            sku: line.sku.as_str().into(),
            node: line.node,
            requested: line.quantity,
            available: self.room,
            limit,
            next: self.next,
            bound: { self.bound.filter(|bound| bound.limit == self.limit) }
                .and_then(|bound| claim?.rule.explain(&bound)),
        }
    }
}

/// Of a SKU that has no other supply than its stock.
#[inline]
fn of_stock(
    stock: &Stock,
    line: &LineRequest<'_>,
    taken: &Taken,
    claim: Option<Claim<'_>>,
    today: Day,
) -> Offer {
    let supply = || stock.supply(taken.all());
    let room = |bound: Option<&_>| stock.room(line.node, taken.all(), bound);
    let offer = Offer::of(line, claim, supply, (stock.uses(), taken), room);
    if line.by.is_some_and(|by| by < today) {
        return Offer {
            limit: offer.limit,
            next: (line.quantity <= offer.room).then_some(today),
            ..Offer::NOTHING
        };
    }
    Offer {
        day: line.by.map(|_| today),
        ..offer
    }
}

/// Of a SKU of which supply is announced. Not part of the way that every reservation takes.
#[cold]
fn dated(
    stock: &Stock,
    earlier: &mut Earlier,
    line: &LineRequest<'_>,
    claim: Option<Claim<'_>>,
    today: Day,
) -> Offer {
    let after = earlier.after(stock);
    let stock = after.as_ref().unwrap_or(stock);
    let timeline = Timeline::of(stock, today);
    let offer_on = |day| {
        let supply = || timeline.supplied(day);
        let room = |bound: Option<&_>| stock.room_on(&timeline, (day, line.node), bound);
        let offer = Offer::of(line, claim, supply, (stock.uses(), &earlier.taken), room);
        Offer { day, ..offer }
    };
    let offer = earliest(line, &timeline, offer_on);
    let mut made = Line::pinned(line.node);
    made.day = offer.day;
    let units = line.quantity.min(offer.room);
    earlier.lines.push((made, units));
    offer
}

/// The first day with all that is asked for; else that with the most.
fn earliest(
    line: &LineRequest<'_>,
    timeline: &Timeline<'_>,
    offer_on: impl Fn(Option<Day>) -> Offer,
) -> Offer {
    let suits = |day: &Day| line.by.is_some_and(|by| *day <= by);
    let now = line.by.is_none().then_some(None);
    let days = timeline.days().take_while(suits).map(Some);
    let mut best: Option<Offer> = None;
    for day in now.into_iter().chain(days) {
        let offer = offer_on(day);
        let has_all = offer.room >= line.quantity;
        if best.as_ref().is_none_or(|best| offer.room > best.room) {
            best = Some(offer);
        }
        if has_all {
            break;
        }
    }
    let mut best = best.unwrap_or(Offer::NOTHING);
    if best.room < line.quantity {
        let mut later = timeline.days().skip_while(suits);
        best.next = later.find(|day| offer_on(Some(*day)).room >= line.quantity);
    }
    best
}
