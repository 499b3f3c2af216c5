//! Moving reservations on.

use std::collections::BTreeMap;

use holdfast::domain::NodeIx;
use holdfast::domain::command::Verb;
use holdfast::domain::verdict::{Excess, Limit, Outcome, Refusal, Shortage, Verdict};

use super::super::script::Ask;
use super::{Booking, Bug, Model, Row, UNITS_MAX, booking_mut, units};

/// The default node.
const MAIN: u16 = 0;

/// One step of one line.
#[derive(Debug, Clone, Copy)]
enum Step {
    Commit(i128),
    FreeHeld(i128),
    FreeCommitted(i128),
    Ship(u16, i128),
    Back {
        node: u16,
        quantity: i128,
        restock: bool,
    },
    Pin(u16),
}

/// The steps of a verb, each with the line it is for.
type Steps = Vec<(usize, Step)>;

/// How many units of which line a verb is to move; a line comes twice where two asks take from it.
type Chosen = Vec<(usize, i128)>;

/// Units of the whole reservation by state.
struct Sums {
    held: i128,
    committed: i128,
    shipped: i128,
    released: i128,
    expired: i128,
    returned: i128,
}

impl Booking {
    fn sums(&self) -> Sums {
        let sum = |of: fn(&Row) -> i128| self.rows.iter().map(of).sum();
        Sums {
            held: sum(|r| r.held),
            committed: sum(|r| r.committed),
            shipped: sum(|r| r.shipped),
            released: sum(|r| r.released),
            expired: sum(|r| r.expired),
            returned: sum(|r| r.returned),
        }
    }

    /// Everything a verb can move.
    fn all(&self, can: impl Fn(&Row) -> i128) -> Chosen {
        let movable = self.rows.iter().map(can).enumerate();
        movable.filter(|(_, units)| *units > 0).collect()
    }

    /// Shares what is asked out over the lines; what each line can give is used up in order.
    fn choose(
        &self,
        asks: &[Ask],
        can: impl Fn(&Row) -> i128,
        whole_lines: bool,
    ) -> Result<(Chosen, Vec<Excess>), Refusal> {
        for ask in asks {
            self.matching(ask)?;
        }
        let mut left: Vec<i128> = self.rows.iter().map(can).collect();
        let mut chosen = Chosen::new();
        let mut excess = Vec::new();
        for ask in asks {
            let matching = self.matching(ask)?;
            let requested = i128::from(ask.quantity);
            let possible: i128 = matching.iter().map(|at| left[*at]).sum();
            if requested > possible || (whole_lines && requested != possible) {
                excess.push(excess_of(ask, possible));
                continue;
            }
            let mut rest = requested;
            for at in matching {
                let part = rest.min(left[at]);
                if part > 0 {
                    left[at] -= part;
                    rest -= part;
                    chosen.push((at, part));
                }
            }
        }
        Ok((chosen, excess))
    }

    /// The lines that an ask means.
    fn matching(&self, ask: &Ask) -> Result<Vec<usize>, Refusal> {
        let means = |row: &Row| row.sku == ask.sku && (ask.node.is_none() || ask.node == row.pin);
        let found: Vec<usize> = (0..self.rows.len())
            .filter(|at| means(&self.rows[*at]))
            .collect();
        if found.is_empty() {
            let node = ask.node.map(NodeIx);
            return Err(Refusal::UnknownLine {
                sku: ask.sku.as_str().into(),
                node,
            });
        }
        Ok(found)
    }
}

fn excess_of(ask: &Ask, possible: i128) -> Excess {
    Excess {
        sku: ask.sku.as_str().into(),
        node: ask.node.map(NodeIx),
        requested: units(i128::from(ask.quantity)),
        possible: units(possible),
    }
}

impl Model {
    pub(super) fn act(
        &mut self,
        now: i64,
        target: &str,
        verb: Verb,
        lines: Option<&[Ask]>,
    ) -> Verdict {
        let Some(booking) = self.bookings.get(target) else {
            return Err(Refusal::UnknownReservation);
        };
        let skus: Vec<String> = booking.rows.iter().map(|row| row.sku.clone()).collect();
        skus.iter().for_each(|sku| self.expire(now, sku));
        let booking = &self.bookings[target];
        let steps = match verb {
            Verb::Confirm => confirm(booking, lines)?,
            Verb::Release => self.release(booking, lines)?,
            Verb::Extend(ttl) => {
                let until = self.extend(booking, now + i64::from(ttl.as_millis()))?;
                booking_mut(&mut self.bookings, target).deadline = until;
                Steps::new()
            }
            Verb::Ship { from } => self.ship(booking, lines, from.map(|n| n.0))?,
            Verb::Return { restock, to } => {
                self.give_back(booking, lines, restock, to.map(|n| n.0))?
            }
            Verb::Transfer { to } => self.repin(booking, lines, to.0)?,
        };
        for (at, step) in steps {
            if let Step::Ship(_, quantity) = step {
                self.count_shipped(now, target, at, quantity);
            }
            self.apply(target, at, step);
        }
        skus.iter().for_each(|sku| self.settle_water(sku));
        booking_mut(&mut self.bookings, target).touched = now;
        Ok(Outcome::Reservation(self.bookings[target].view()))
    }

    fn release(&self, booking: &Booking, lines: Option<&[Ask]>) -> Result<Steps, Refusal> {
        let chosen = if let Some(asks) = lines {
            let sums = booking.sums();
            let is_over = sums.held + sums.committed == 0 && sums.released + sums.expired > 0;
            let can = if is_over { Row::back } else { Row::open };
            let (chosen, excess) = booking.choose(asks, can, false)?;
            if excess.is_empty() && is_over {
                Chosen::new()
            } else if excess.is_empty() {
                chosen
            } else if self.has(Bug::ReleaseClamped) {
                booking.all(Row::open)
            } else {
                return Err(Refusal::OverRelease {
                    lines: excess.into(),
                });
            }
        } else {
            let sums = booking.sums();
            if sums.held + sums.committed == 0 && sums.released + sums.expired == 0 {
                return Err(Refusal::Shipped);
            }
            booking.all(Row::open)
        };
        let mut steps = Steps::new();
        let mut held: Vec<i128> = booking.rows.iter().map(|row| row.held).collect();
        for (at, quantity) in chosen {
            let of_held = quantity.min(held[at]);
            held[at] -= of_held;
            if of_held > 0 {
                steps.push((at, Step::FreeHeld(of_held)));
            }
            if quantity > of_held {
                steps.push((at, Step::FreeCommitted(quantity - of_held)));
            }
        }
        Ok(steps)
    }

    fn extend(&self, booking: &Booking, until: i64) -> Result<i64, Refusal> {
        let sums = booking.sums();
        if sums.held > 0 {
            let shortens = self.has(Bug::ExtendShortens);
            Ok(if shortens {
                until
            } else {
                until.max(booking.deadline)
            })
        } else if sums.expired > 0 {
            Err(Refusal::Expired)
        } else if sums.released > 0 && sums.committed + sums.shipped == 0 {
            Err(Refusal::Released)
        } else {
            Err(Refusal::NotHeld)
        }
    }

    fn ship(
        &self,
        booking: &Booking,
        lines: Option<&[Ask]>,
        from: Option<u16>,
    ) -> Result<Steps, Refusal> {
        let sums = booking.sums();
        if sums.committed == 0 {
            if sums.shipped > 0 && sums.held == 0 {
                if lines.is_none() {
                    return Ok(Steps::new());
                }
            } else if sums.held > 0 {
                return Err(Refusal::NotConfirmed);
            } else if sums.expired > 0 {
                return Err(Refusal::Expired);
            } else {
                return Err(Refusal::Released);
            }
        }
        let chosen = if let Some(asks) = lines {
            let (chosen, excess) = booking.choose(asks, |row| row.committed, false)?;
            if !excess.is_empty() {
                return Err(Refusal::OverShip {
                    lines: excess.into(),
                });
            }
            chosen
        } else {
            booking.all(|row| row.committed)
        };
        self.pick(booking, &chosen, from)
    }

    /// Finds the nodes that ship.
    fn pick(
        &self,
        booking: &Booking,
        chosen: &Chosen,
        from: Option<u16>,
    ) -> Result<Steps, Refusal> {
        // What each place has, and what pins there need, as the lines are served in turn.
        let mut there: BTreeMap<(&str, u16), (i128, i128)> = BTreeMap::new();
        for row in &booking.rows {
            for (node, place) in &self.items[&row.sku].places {
                let state = (place.on_hand, self.pinned(&row.sku, *node));
                there.insert((&row.sku, *node), state);
            }
        }
        let mut steps = Steps::new();
        let mut shortages = Vec::new();
        for (at, quantity) in chosen {
            let row = &booking.rows[*at];
            let mut parts: Vec<(u16, i128)> = Vec::new();
            let mut rest = *quantity;
            for ((sku, node), (on_hand, pinned)) in &there {
                let allowed = *sku == row.sku && from.is_none_or(|f| f == *node);
                let free = match row.pin {
                    Some(pin) if pin == *node => *on_hand,
                    Some(_) => 0,
                    None => (on_hand - pinned).max(0),
                };
                let part = if allowed { free.min(rest) } else { 0 };
                if part > 0 {
                    parts.push((*node, part));
                    rest -= part;
                }
            }
            if rest > 0 {
                let named = row.pin.is_some() || from.is_some();
                shortages.push(Shortage {
                    sku: row.sku.as_str().into(),
                    node: from.or(row.pin).map(NodeIx),
                    requested: units(*quantity),
                    available: units(quantity - rest),
                    limit: if named { Limit::Node } else { Limit::Stock },
                    next: None,
                    bound: None,
                });
                continue;
            }
            for (node, part) in parts {
                let place = there.get_mut(&(row.sku.as_str(), node)).unwrap();
                place.0 -= part;
                place.1 -= if row.pin.is_some() { part } else { 0 };
                steps.push((*at, Step::Ship(node, part)));
            }
        }
        if !shortages.is_empty() {
            return Err(Refusal::InsufficientStock {
                shortages: shortages.into(),
            });
        }
        Ok(steps)
    }

    fn give_back(
        &self,
        booking: &Booking,
        lines: Option<&[Ask]>,
        restock: bool,
        to: Option<u16>,
    ) -> Result<Steps, Refusal> {
        let chosen = if let Some(asks) = lines {
            let (chosen, excess) = booking.choose(asks, Row::returnable, false)?;
            if !excess.is_empty() {
                return Err(Refusal::OverReturn {
                    lines: excess.into(),
                });
            }
            chosen
        } else {
            let sums = booking.sums();
            if sums.shipped == 0 && sums.returned == 0 {
                return Err(Refusal::NotShipped);
            }
            booking.all(Row::returnable)
        };
        let mut coming: BTreeMap<&str, i128> = BTreeMap::new();
        let mut steps = Steps::new();
        for (at, quantity) in chosen {
            let row = &booking.rows[at];
            let item = &self.items[&row.sku];
            let there = if restock {
                item.on_hand()
            } else {
                item.apart()
            };
            let sum = coming.entry(&row.sku).or_default();
            *sum += quantity;
            if there + *sum > UNITS_MAX {
                return Err(Refusal::TooMany {
                    sku: row.sku.as_str().into(),
                });
            }
            let node = to.or(row.pin).unwrap_or(MAIN);
            steps.push((
                at,
                Step::Back {
                    node,
                    quantity,
                    restock,
                },
            ));
        }
        Ok(steps)
    }

    fn repin(&self, booking: &Booking, lines: Option<&[Ask]>, to: u16) -> Result<Steps, Refusal> {
        let sums = booking.sums();
        if sums.held + sums.committed == 0 {
            return Err(if sums.expired > 0 {
                Refusal::Expired
            } else if sums.released > 0 && sums.shipped == 0 {
                Refusal::Released
            } else {
                Refusal::Shipped
            });
        }
        let chosen = if let Some(asks) = lines {
            let (chosen, excess) = booking.choose(asks, Row::open, true)?;
            if !excess.is_empty() {
                return Err(Refusal::PartialTransfer {
                    lines: excess.into(),
                });
            }
            chosen
        } else {
            booking.all(Row::open)
        };
        let mut taken: BTreeMap<&str, i128> = BTreeMap::new();
        let mut shortages = Vec::new();
        let mut steps = Steps::new();
        for (at, open) in chosen {
            let row = &booking.rows[at];
            if row.pin == Some(to) {
                continue;
            }
            let here = self.items[&row.sku].place(to).on_hand - self.pinned(&row.sku, to);
            let taken = taken.entry(&row.sku).or_default();
            let free = (here - *taken).max(0);
            if open > free {
                shortages.push(Shortage {
                    sku: row.sku.as_str().into(),
                    node: Some(NodeIx(to)),
                    requested: units(open),
                    available: units(free),
                    limit: Limit::Node,
                    next: None,
                    bound: None,
                });
            }
            *taken += open.min(free);
            steps.push((at, Step::Pin(to)));
        }
        if !shortages.is_empty() {
            return Err(Refusal::InsufficientStock {
                shortages: shortages.into(),
            });
        }
        Ok(steps)
    }

    fn apply(&mut self, key: &str, at: usize, step: Step) {
        let faults = (
            self.has(Bug::ShipFromFirst),
            self.has(Bug::ReturnAlwaysRestocks),
        );
        let row = &mut booking_mut(&mut self.bookings, key).rows[at];
        let item = self.items.get_mut(&row.sku).unwrap();
        item.moves += 1;
        match step {
            Step::Commit(quantity) => {
                row.held -= quantity;
                row.committed += quantity;
            }
            Step::FreeHeld(quantity) => {
                row.held -= quantity;
                row.released += quantity;
            }
            Step::FreeCommitted(quantity) => {
                row.committed -= quantity;
                row.released += quantity;
            }
            Step::Ship(node, quantity) => {
                row.committed -= quantity;
                row.shipped += quantity;
                let first = *item.places.keys().next().unwrap();
                let node = if faults.0 { first } else { node };
                item.places.get_mut(&node).unwrap().on_hand -= quantity;
            }
            Step::Back {
                node,
                quantity,
                restock,
            } => {
                row.returned += quantity;
                let place = item.places.entry(node).or_default();
                let counter = if restock || faults.1 {
                    &mut place.on_hand
                } else {
                    &mut place.apart
                };
                *counter += quantity;
            }
            Step::Pin(node) => row.pin = Some(node),
        }
        if row.open() == 0 {
            item.open.remove(&(key.to_owned(), at));
        }
    }
}

fn confirm(booking: &Booking, lines: Option<&[Ask]>) -> Result<Steps, Refusal> {
    let sums = booking.sums();
    if sums.held == 0 {
        if sums.expired > 0 {
            return Err(Refusal::Expired);
        }
        if sums.committed + sums.shipped == 0 {
            return Err(Refusal::Released);
        }
    }
    let chosen = if let Some(asks) = lines {
        let (chosen, excess) = booking.choose(asks, |row| row.held, false)?;
        if !excess.is_empty() {
            return Err(Refusal::OverConfirm {
                lines: excess.into(),
            });
        }
        chosen
    } else {
        booking.all(|row| row.held)
    };
    Ok(chosen
        .into_iter()
        .map(|(at, quantity)| (at, Step::Commit(quantity)))
        .collect())
}
