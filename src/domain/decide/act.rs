//! Decides what may be done with an existing reservation.

use smallvec::SmallVec;

use super::super::command::{Act, LineRequest, Verb};
use super::super::day::Day;
use super::super::ids::NodeIx;
use super::super::line::{Line, Move};
use super::super::stock::Stock;
use super::super::time::UnixMillis;
use super::super::units::Units;
use super::super::verdict::{Excess, Refusal};
use super::ship::{repin, ship};

/// A line of the reservation as it is now.
#[derive(Debug, Clone, Copy)]
pub struct LineFacts<'a> {
    /// What.
    pub sku: &'a str,
    /// Where its units are.
    pub line: Line,
}

/// What an act changes: moves by line position, in order, and the new deadline.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ActPlan {
    /// The moves; empty when the act was already finished.
    pub moves: SmallVec<[(usize, Move); 2]>,
    /// The deadline afterwards, where the act moves it.
    pub deadline: Option<UnixMillis>,
}

/// Units to move per line position.
pub type Amounts = SmallVec<[(usize, Units); 2]>;

/// The part of [`act`] that looks at no stock: which units it is about. `None` where it was finished
/// before, and for [`Verb::Extend`], which moves none.
pub fn units_asked(act: &Act<'_>, facts: &[LineFacts<'_>]) -> Result<Option<Amounts>, Refusal> {
    let sums = Sums::of(facts);
    if let Verb::Extend(_) = act.verb {
        return sums.extend().map(|()| None);
    }
    amounts(act, &sums, facts)
}

/// Decides an act. `facts` are all lines of the reservation, sorted by SKU then pin; `stock_of`
/// gives the stock of the line at a position.
pub fn act<'s>(
    act: &Act<'_>,
    deadline: UnixMillis,
    now: UnixMillis,
    facts: &[LineFacts<'_>],
    stock_of: impl Fn(usize) -> Option<&'s Stock>,
) -> Result<ActPlan, Refusal> {
    let sums = Sums::of(facts);
    if let Verb::Extend(ttl) = act.verb {
        sums.extend()?;
        return Ok(ActPlan {
            moves: SmallVec::new(),
            deadline: Some(deadline.max(now.after(ttl))),
        });
    }
    let Some(amounts) = amounts(act, &sums, facts)? else {
        return Ok(ActPlan::default());
    };
    let moves = match act.verb {
        Verb::Extend(_) => SmallVec::new(),
        Verb::Confirm => amounts
            .iter()
            .map(|(at, units)| (*at, Move::Commit(*units)))
            .collect(),
        Verb::Release => release(&amounts, facts),
        Verb::Ship { from } => ship(from, &amounts, facts, Day::of(now), stock_of)?,
        Verb::Return { restock, to } => give_back(restock, to, &amounts, facts, stock_of)?,
        Verb::Transfer { to } => repin(to, &amounts, facts, Day::of(now), stock_of)?,
    };
    Ok(ActPlan {
        moves,
        deadline: None,
    })
}

/// Which states the units of the whole reservation are in.
#[expect(clippy::struct_excessive_bools, reason = "a set of seven states")]
struct Sums {
    held: bool,
    committed: bool,
    shipped: bool,
    returned: bool,
    returnable: bool,
    released: bool,
    expired: bool,
}

impl Sums {
    fn of(facts: &[LineFacts<'_>]) -> Self {
        let any = |part: fn(&Line) -> Units| facts.iter().any(|f| !part(&f.line).is_zero());
        Self {
            held: any(|l| l.held),
            committed: any(|l| l.committed),
            shipped: any(|l| l.shipped),
            returned: any(|l| l.returned),
            returnable: any(Line::returnable),
            released: any(|l| l.released),
            expired: any(|l| l.expired),
        }
    }

    fn extend(&self) -> Result<(), Refusal> {
        match self {
            Self { held: true, .. } => Ok(()),
            Self { expired: true, .. } => Err(Refusal::Expired),
            Self {
                released: true,
                committed: false,
                shipped: false,
                ..
            } => Err(Refusal::Released),
            _ => Err(Refusal::NotHeld),
        }
    }

    /// Whether the verb has anything to move: `Ok(true)`; was finished before: `Ok(false)`; or why
    /// it cannot be done.
    fn movable(&self, verb: Verb) -> Result<bool, Refusal> {
        match verb {
            Verb::Extend(_) => self.extend().map(|()| true),
            Verb::Confirm => match self {
                Self { held: true, .. } => Ok(true),
                Self { expired: true, .. } => Err(Refusal::Expired),
                _ if self.committed || self.shipped => Ok(false),
                _ => Err(Refusal::Released),
            },
            Verb::Release => match self {
                _ if self.held || self.committed => Ok(true),
                _ if self.released || self.expired => Ok(false),
                _ => Err(Refusal::Shipped),
            },
            Verb::Ship { .. } => match self {
                Self {
                    committed: true, ..
                } => Ok(true),
                Self { held: true, .. } => Err(Refusal::NotConfirmed),
                Self { shipped: true, .. } => Ok(false),
                Self { expired: true, .. } => Err(Refusal::Expired),
                _ => Err(Refusal::Released),
            },
            Verb::Return { .. } => match self {
                Self {
                    returnable: true, ..
                } => Ok(true),
                Self { returned: true, .. } => Ok(false),
                _ => Err(Refusal::NotShipped),
            },
            Verb::Transfer { .. } => match self {
                _ if self.held || self.committed => Ok(true),
                Self { expired: true, .. } => Err(Refusal::Expired),
                Self {
                    released: true,
                    shipped: false,
                    ..
                } => Err(Refusal::Released),
                _ => Err(Refusal::Shipped),
            },
        }
    }
}

/// What the verb can move of a line.
fn movable(verb: Verb, line: &Line) -> Units {
    match verb {
        Verb::Confirm | Verb::Extend(_) => line.held,
        Verb::Release | Verb::Transfer { .. } => line.open(),
        Verb::Ship { .. } => line.committed,
        Verb::Return { .. } => line.returnable(),
    }
}

/// Units to move per line; `None` when the whole act was finished before.
fn amounts(
    act: &Act<'_>,
    sums: &Sums,
    facts: &[LineFacts<'_>],
) -> Result<Option<Amounts>, Refusal> {
    let whole = sums.movable(act.verb);
    let Some(asked) = &act.lines else {
        if !whole? {
            return Ok(None);
        }
        let all = facts
            .iter()
            .enumerate()
            .map(|(at, f)| (at, movable(act.verb, &f.line)));
        return Ok(Some(all.filter(|(_, units)| !units.is_zero()).collect()));
    };
    if matches!(
        act.verb,
        Verb::Confirm | Verb::Ship { .. } | Verb::Transfer { .. }
    ) {
        whole?;
    } else if act.verb == Verb::Release && whole == Ok(false) {
        // What the caller wants to be free is free: these units came back before.
        by_lines(act.verb, asked.as_slice(), facts, Line::came_back)?;
        return Ok(None);
    }
    let movable = |line: &Line| movable(act.verb, line);
    by_lines(act.verb, asked.as_slice(), facts, movable).map(Some)
}

fn by_lines(
    verb: Verb,
    asked: &[LineRequest<'_>],
    facts: &[LineFacts<'_>],
    part: impl Fn(&Line) -> Units,
) -> Result<Amounts, Refusal> {
    let fits = |ask: &LineRequest<'_>, fact: &LineFacts<'_>| {
        fact.sku == ask.sku.as_str() && (ask.node.is_none() || fact.line.pin == ask.node)
    };
    if let Some(ask) = asked
        .iter()
        .find(|ask| !facts.iter().any(|fact| fits(ask, fact)))
    {
        return Err(Refusal::UnknownLine {
            sku: ask.sku.as_str().into(),
            node: ask.node,
        });
    }
    let mut left: SmallVec<[Units; 2]> = facts.iter().map(|f| part(&f.line)).collect();
    let mut taken = Amounts::new();
    let mut excess = Vec::new();
    for ask in asked {
        let possible = facts
            .iter()
            .zip(&left)
            .filter(|(fact, _)| fits(ask, fact))
            .try_fold(Units::ZERO, |sum, (_, units)| sum.checked_add(*units))
            .unwrap_or(Units::MAX);
        let whole_only = matches!(verb, Verb::Transfer { .. });
        if ask.quantity > possible || (whole_only && ask.quantity != possible) {
            excess.push(Excess {
                sku: ask.sku.as_str().into(),
                node: ask.node,
                requested: ask.quantity,
                possible,
            });
            continue;
        }
        let mut rest = ask.quantity;
        for ((at, fact), left) in facts.iter().enumerate().zip(&mut left) {
            let units = if fits(ask, fact) {
                rest.min(*left)
            } else {
                Units::ZERO
            };
            if !units.is_zero() {
                *left = left.left_after(units);
                rest = rest.left_after(units);
                taken.push((at, units));
            }
        }
    }
    if excess.is_empty() {
        Ok(taken)
    } else {
        Err(over(verb, excess.into()))
    }
}

fn over(verb: Verb, lines: Box<[Excess]>) -> Refusal {
    match verb {
        Verb::Confirm | Verb::Extend(_) => Refusal::OverConfirm { lines },
        Verb::Release => Refusal::OverRelease { lines },
        Verb::Ship { .. } => Refusal::OverShip { lines },
        Verb::Return { .. } => Refusal::OverReturn { lines },
        Verb::Transfer { .. } => Refusal::PartialTransfer { lines },
    }
}

/// Held units go first: they cost the caller least.
fn release(amounts: &Amounts, facts: &[LineFacts<'_>]) -> SmallVec<[(usize, Move); 2]> {
    let mut moves = SmallVec::new();
    let mut gone: SmallVec<[(usize, Units); 2]> = SmallVec::new();
    for (at, units) in amounts {
        let before = gone
            .iter()
            .filter(|(line, _)| line == at)
            .map(|(_, units)| *units);
        let before = before.fold(Units::ZERO, |a, b| a.checked_add(b).unwrap_or(Units::MAX));
        let held = facts
            .get(*at)
            .map_or(Units::ZERO, |f| f.line.held)
            .left_after(before);
        let from_held = held.min(*units);
        let from_committed = units.left_after(from_held);
        if !from_held.is_zero() {
            moves.push((*at, Move::ReleaseHeld(from_held)));
        }
        if !from_committed.is_zero() {
            moves.push((*at, Move::ReleaseCommitted(from_committed)));
        }
        gone.push((*at, from_held));
    }
    moves
}

/// Stock of the SKU of the line at hand, as it is after the moves of the lines before it.
pub(super) struct Running<'a> {
    pub(super) sku: &'a str,
    pub(super) stock: Stock,
}

pub(super) fn running<'a, 's>(
    current: &mut Option<Running<'a>>,
    sku: &'a str,
    stock: impl FnOnce() -> Option<&'s Stock>,
) -> Stock {
    match current.take() {
        Some(Running { sku: same, stock }) if same == sku => stock,
        _ => stock().cloned().unwrap_or_default(),
    }
}

fn give_back<'s>(
    restock: bool,
    to: Option<NodeIx>,
    amounts: &Amounts,
    facts: &[LineFacts<'_>],
    stock_of: impl Fn(usize) -> Option<&'s Stock>,
) -> Result<SmallVec<[(usize, Move); 2]>, Refusal> {
    let mut moves = SmallVec::new();
    let mut current = None;
    for (at, units) in amounts {
        let Some(fact) = facts.get(*at) else { continue };
        let node = to.or(fact.line.pin).unwrap_or(NodeIx::MAIN);
        let step = if restock {
            Move::Restock(node, *units)
        } else {
            Move::Quarantine(node, *units)
        };
        let mut stock = running(&mut current, fact.sku, || stock_of(*at));
        if stock.move_units(&fact.line, step).is_err() || !stock.fits() {
            return Err(Refusal::TooMany {
                sku: fact.sku.into(),
            });
        }
        moves.push((*at, step));
        current = Some(Running {
            sku: fact.sku,
            stock,
        });
    }
    Ok(moves)
}
