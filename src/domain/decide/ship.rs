//! Decides which node ships, and whether a line may be pinned to another one.

use smallvec::SmallVec;

use super::super::calendar::Timeline;
use super::super::day::Day;
use super::super::ids::NodeIx;
use super::super::line::{Line, Move};
use super::super::stock::Stock;
use super::super::units::Units;
use super::super::verdict::{Limit, Refusal, Shortage};
use super::act::{Amounts, LineFacts, Running, running};

fn short_of(sku: &str, node: Option<NodeIx>, asked: Units, room: Units, limit: Limit) -> Shortage {
    Shortage {
        sku: sku.into(),
        node,
        requested: asked,
        available: room,
        limit,
        next: None,
        bound: None,
    }
}

fn all_or_none(
    moves: SmallVec<[(usize, Move); 2]>,
    shortages: Vec<Shortage>,
) -> Result<SmallVec<[(usize, Move); 2]>, Refusal> {
    if shortages.is_empty() {
        Ok(moves)
    } else {
        Err(Refusal::InsufficientStock {
            shortages: shortages.into(),
        })
    }
}

pub(super) fn ship<'s>(
    from: Option<NodeIx>,
    amounts: &Amounts,
    facts: &[LineFacts<'_>],
    today: Day,
    stock_of: impl Fn(usize) -> Option<&'s Stock>,
) -> Result<SmallVec<[(usize, Move); 2]>, Refusal> {
    let mut moves = SmallVec::new();
    let mut shortages = Vec::new();
    let mut current = None;
    for (at, units) in amounts {
        let Some(fact) = facts.get(*at) else { continue };
        let mut stock = running(&mut current, fact.sku, || stock_of(*at));
        match ship_line(from, fact, *units, &stock, today) {
            Err(shortage) => shortages.push(shortage),
            Ok(steps) => {
                for step in steps {
                    // Only tried on a copy here; the caller applies it for good and checks.
                    let tried = stock.move_units(&fact.line, step);
                    debug_assert_eq!(tried, Ok(()), "shipping within what the node has");
                    moves.push((*at, step));
                }
            }
        }
        current = Some(Running {
            sku: fact.sku,
            stock,
        });
    }
    all_or_none(moves, shortages)
}

fn ship_line(
    from: Option<NodeIx>,
    fact: &LineFacts<'_>,
    units: Units,
    stock: &Stock,
    today: Day,
) -> Result<SmallVec<[Move; 2]>, Shortage> {
    let steps = nodes_to_ship(from, fact, units, stock, today)?;
    match room_before_its_day(&fact.line, units, stock, today) {
        Some((room, limit)) if room < units => {
            let node = from.or(fact.line.pin);
            Err(short_of(fact.sku, node, units, room, limit))
        }
        _ => Ok(steps),
    }
}

fn nodes_to_ship(
    from: Option<NodeIx>,
    fact: &LineFacts<'_>,
    units: Units,
    stock: &Stock,
    today: Day,
) -> Result<SmallVec<[Move; 2]>, Shortage> {
    let one = |node: NodeIx, room: Units| {
        if room < units {
            Err(short_of(fact.sku, Some(node), units, room, Limit::Node))
        } else {
            Ok(SmallVec::from_iter([Move::Ship(node, units)]))
        }
    };
    match (fact.line.pin, from) {
        (Some(pin), Some(node)) if pin != node => one(node, Units::ZERO),
        (Some(pin), _) => one(pin, stock.node(pin).on_hand),
        (None, Some(node)) => one(node, stock.spare(node, today)),
        (None, None) => {
            let timeline = stock.timeline(today);
            let mut rest = units;
            let mut steps = SmallVec::new();
            for place in stock.nodes() {
                let spare = match &timeline {
                    Some(timeline) => timeline.spare(place.node),
                    None => place.unpinned(),
                };
                let part = rest.min(spare);
                if !part.is_zero() {
                    steps.push(Move::Ship(place.node, part));
                    rest = rest.left_after(part);
                }
            }
            if rest.is_zero() {
                return Ok(steps);
            }
            let room = units.left_after(rest);
            Err(short_of(fact.sku, None, units, room, Limit::Stock))
        }
    }
}

/// How many units of a line whose day has not passed may leave now: what could be promised of what
/// is on hand if they had not been promised yet. `None`: the line was promised of what is on hand,
/// or its day has passed. Safety stock is there for promises such as this one.
fn room_before_its_day(
    line: &Line,
    units: Units,
    stock: &Stock,
    today: Day,
) -> Option<(Units, Limit)> {
    line.day.filter(|day| *day >= today)?;
    let mut without = stock.clone();
    let tried = without.move_units(line, Move::ReleaseCommitted(units));
    debug_assert_eq!(tried, Ok(()), "no more ships than is committed");
    Some(Timeline::of(&without, today).room_beyond_safety(None, line.pin))
}

pub(super) fn repin<'s>(
    to: NodeIx,
    amounts: &Amounts,
    facts: &[LineFacts<'_>],
    today: Day,
    stock_of: impl Fn(usize) -> Option<&'s Stock>,
) -> Result<SmallVec<[(usize, Move); 2]>, Refusal> {
    let mut moves = SmallVec::new();
    let mut shortages = Vec::new();
    let mut current = None;
    let mut taken: Option<(&str, Units)> = None;
    for (at, units) in amounts {
        let Some(fact) = facts.get(*at) else { continue };
        if fact.line.pin == Some(to) {
            continue;
        }
        let before = match taken {
            Some((sku, units)) if sku == fact.sku => units,
            _ => Units::ZERO,
        };
        let room = match stock_of(*at) {
            None => Units::ZERO,
            Some(stock) if stock.calendar().is_empty() => {
                stock.node(to).unpinned().left_after(before)
            }
            Some(stock) => {
                let mut stock = running(&mut current, fact.sku, || Some(stock));
                let room = pin_dated(&fact.line, *units, to, &mut stock, today);
                current = Some(Running {
                    sku: fact.sku,
                    stock,
                });
                room
            }
        };
        let granted = room.min(*units);
        if granted < *units {
            shortages.push(short_of(fact.sku, Some(to), *units, room, Limit::Node));
        } else {
            moves.push((*at, Move::Repin(to)));
        }
        taken = Some((fact.sku, before.checked_add(granted).unwrap_or(Units::MAX)));
    }
    all_or_none(moves, shortages)
}

/// Pins a line where supply or promises are dated, if there is room for it: units that no pin
/// needs from its day on, without which every promise that can be kept now still can.
fn pin_dated(line: &Line, units: Units, to: NodeIx, stock: &mut Stock, today: Day) -> Units {
    let before = Timeline::of(stock, today);
    let room = before.spare_from(to, line.day);
    if room < units {
        return room;
    }
    let mut pinned = stock.clone();
    let tried = pinned.move_units(line, Move::Repin(to));
    debug_assert_eq!(tried, Ok(()), "open units move with their line");
    if before.is_harmed_in(&Timeline::of(&pinned, today)) {
        return Units::ZERO;
    }
    *stock = pinned;
    room
}
