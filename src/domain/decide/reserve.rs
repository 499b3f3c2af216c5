//! Decides a reservation.

use smallvec::SmallVec;

use super::super::calendar::Timeline;
use super::super::command::{LineRequest, Lines};
use super::super::day::Day;
use super::super::line::{Line, Move};
use super::super::policy::Claim;
use super::super::stock::Stock;
use super::super::units::Units;
use super::super::verdict::{BoundBy, Limit, Refusal, Shortage};

/// What a line of a reservation gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Grant {
    /// How many units.
    pub units: Units,
    /// The day by which they are promised; `None`: of what is on hand.
    pub day: Option<Day>,
}

/// What the lines of a reservation get, in line order.
pub type Grants = SmallVec<[Grant; 2]>;

/// Decides a reservation. `stock_of` gives the stock of the line at a position; `None` there means
/// the SKU is unknown. `claim_of` gives the channel under the rule in force for that SKU, where one
/// is. Each line is judged after the lines before it of the same SKU.
///
/// A line whose caller takes it later gets the first day on which all its units can be promised.
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
            earlier = Earlier::default();
            before = Some(line.sku);
        }
        let Some(stock) = stock_of(at) else { continue };
        let offer = if stock.calendar().inbound().is_empty() {
            of_stock(stock, line, earlier.taken, claim_of(at), today)
        } else {
            dated(stock, &mut earlier, line, claim_of(at), today)
        };
        let units = line.quantity.min(offer.room);
        if units < line.quantity {
            shortages.push(offer.shortage(line));
        }
        earlier.taken = earlier.taken.checked_add(units).unwrap_or(Units::MAX);
        let day = offer.day;
        grants.push(Grant { units, day });
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
    taken: Units,
    /// The lines themselves, where supply is dated: there it matters when they are due, and where.
    lines: SmallVec<[(Line, Units); 1]>,
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

/// The most that a line can have, and when.
struct Offer {
    day: Option<Day>,
    room: Units,
    limit: Limit,
    /// The first day after those that the caller takes with all that he asks for.
    next: Option<Day>,
    /// The cap or protection that keeps the caller from what he asks for.
    bound: Option<BoundBy>,
}

impl Offer {
    /// What a caller is told who gets less than he asked for: that the date keeps him from it,
    /// where more comes later.
    fn shortage(&self, line: &LineRequest<'_>) -> Shortage {
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
            bound: self.bound,
        }
    }
}

/// Of a SKU that has no other supply than its stock.
fn of_stock(
    stock: &Stock,
    line: &LineRequest<'_>,
    taken: Units,
    claim: Option<Claim<'_>>,
    today: Day,
) -> Offer {
    let (room, limit) = stock.room(line.node, taken, claim);
    if line.by.is_some_and(|by| by < today) {
        return Offer {
            day: None,
            room: Units::ZERO,
            limit,
            next: (line.quantity <= room).then_some(today),
            bound: None,
        };
    }
    let explain = |claim| stock.bound(claim, stock.supply(taken), taken, limit);
    Offer {
        day: line.by.map(|_| today),
        room,
        limit,
        next: None,
        bound: claim.filter(|_| room < line.quantity).and_then(explain),
    }
}

/// Of a SKU of which supply is announced.
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
    let room = |day| stock.room_on(&timeline, (day, line.node), earlier.taken, claim);
    let mut offer = earliest(line, &timeline, room);
    let explain = |claim| {
        let supply = timeline.supplied(offer.day);
        stock.bound(claim, supply, earlier.taken, offer.limit)
    };
    let is_short = offer.room < line.quantity;
    offer.bound = claim.filter(|_| is_short).and_then(explain);
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
    room: impl Fn(Option<Day>) -> (Units, Limit),
) -> Offer {
    let suits = |day: &Day| line.by.is_some_and(|by| *day <= by);
    let now = line.by.is_none().then_some(None);
    let days = timeline.days().take_while(suits).map(Some);
    let mut best: Option<Offer> = None;
    for day in now.into_iter().chain(days) {
        let (room, limit) = room(day);
        if best.as_ref().is_none_or(|best| room > best.room) {
            best = Some(Offer {
                day,
                room,
                limit,
                next: None,
                bound: None,
            });
        }
        if room >= line.quantity {
            break;
        }
    }
    let mut best = best.unwrap_or(Offer {
        day: None,
        room: Units::ZERO,
        limit: Limit::Stock,
        next: None,
        bound: None,
    });
    if best.room < line.quantity {
        let mut later = timeline.days().skip_while(suits);
        best.next = later.find(|day| room(Some(*day)).0 >= line.quantity);
    }
    best
}

#[cfg(test)]
mod tests {
    use smallvec::smallvec;

    use super::*;
    use crate::domain::command::LineRequest;
    use crate::domain::day::Day;
    use crate::domain::ids::{NodeIx, Sku};
    use crate::domain::stock::{NodeStock, Safety, Selling, Settings};
    use crate::domain::uses::Uses;
    use crate::domain::verdict::Limit;

    fn units(n: u64) -> Units {
        Units::new(n).unwrap()
    }

    /// Two nodes with 6 and 4 units, 1 pinned at the second, 2 held in all.
    fn two_nodes(settings: Settings) -> Stock {
        let place = |node, on_hand, pinned| NodeStock {
            on_hand: units(on_hand),
            pinned: units(pinned),
            ..NodeStock::empty(NodeIx(node))
        };
        let nodes = smallvec![place(1, 6, 0), place(2, 4, 1)];
        Stock::from_parts(nodes, units(2), Units::ZERO, settings, Uses::EMPTY, 7)
    }

    fn ask(
        lines: &[(Option<u16>, u64)],
        partial: bool,
        stock: &Stock,
    ) -> Result<Vec<u64>, Refusal> {
        let lines = lines.iter().map(|(node, quantity)| LineRequest {
            sku: Sku::new("a").unwrap(),
            node: node.map(NodeIx),
            quantity: units(*quantity),
            by: None,
        });
        let lines = Lines::try_new(lines).unwrap();
        let grants = reserve(&lines, partial, Day::FIRST, |_| Some(stock), |_| None)?;
        Ok(grants.iter().map(|grant| grant.units.get()).collect())
    }

    fn short(refusal: Result<Vec<u64>, Refusal>) -> Vec<(u64, u64, Limit)> {
        let Err(Refusal::InsufficientStock { shortages }) = refusal else {
            panic!("{refusal:?}")
        };
        shortages
            .iter()
            .map(|s| (s.available.get(), s.short().get(), s.limit))
            .collect()
    }

    #[test]
    fn takes_up_to_what_is_unpromised() {
        let stock = two_nodes(Settings::default());
        assert_eq!(ask(&[(None, 8)], false, &stock), Ok(vec![8]));
        assert_eq!(
            short(ask(&[(None, 9)], false, &stock)),
            [(8, 1, Limit::Stock)]
        );
        assert_eq!(ask(&[(None, 9)], true, &stock), Ok(vec![8]));
    }

    #[test]
    fn pin_is_bound_by_its_node() {
        let stock = two_nodes(Settings::default());
        assert_eq!(ask(&[(Some(2), 3)], false, &stock), Ok(vec![3]));
        assert_eq!(
            short(ask(&[(Some(2), 4)], false, &stock)),
            [(3, 1, Limit::Node)]
        );
        assert_eq!(
            short(ask(&[(Some(9), 1)], false, &stock)),
            [(0, 1, Limit::Node)]
        );
    }

    #[test]
    fn lines_of_one_sku_share_what_is_there() {
        let stock = two_nodes(Settings::default());
        assert_eq!(
            ask(&[(None, 5), (Some(2), 3)], false, &stock),
            Ok(vec![5, 3])
        );
        assert_eq!(
            short(ask(&[(None, 6), (Some(2), 3)], false, &stock)),
            [(2, 1, Limit::Stock)]
        );
    }

    #[test]
    fn safety_and_suspension_are_named() {
        let mut settings = Settings {
            safety: Safety::Percent(2_500),
            ..Settings::default()
        };
        let stock = two_nodes(settings);
        assert_eq!(
            short(ask(&[(None, 6)], false, &stock)),
            [(5, 1, Limit::Safety)]
        );
        settings.selling = Selling::Suspended;
        let stock = two_nodes(settings);
        assert_eq!(
            short(ask(&[(None, 1)], true, &stock)),
            [(0, 1, Limit::Suspended)]
        );
    }

    #[test]
    fn unknown_sku_comes_before_any_shortage() {
        let lines = Lines::try_new([LineRequest {
            sku: Sku::new("nope").unwrap(),
            node: None,
            quantity: units(1),
            by: None,
        }])
        .unwrap();
        let refusal = reserve(&lines, true, Day::FIRST, |_| None, |_| None).unwrap_err();
        assert_eq!(refusal, Refusal::UnknownSku { sku: "nope".into() });
    }
}
