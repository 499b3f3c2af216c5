//! Whether every promise has its units.
//!
//! Time is a row of moments: now, with what is there, then each day from today on, with what is
//! announced for days up to it. With `S_n(t)` the units that node `n` will have at moment `t`, `P_n(t)`
//! the units promised up to `t` that it must ship, `U(t)` those that any node may ship, and `K(t)` what
//! is kept back, all promises can be kept exactly if `P_n(t) <= S_n(t)` for each node and moment, and
//! `U(t) + K(t)` is at most the sum over the nodes of the least that `S_n(s) - P_n(s)` is at any `s`
//! from `t` on (P. Hall, 1935). Where nothing is announced that is: what is pinned to a node is there,
//! and what is promised is there over all.
//!
//! A count or a loss may break these conditions, a promise may not: no condition may fail after it that
//! it made worse.

use std::collections::BTreeSet;

use crate::Fault;
use crate::stock::{Name, Stock, Terms};

/// Signed units.
type Units = i128;

/// Whether what is kept back counts as promised.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Safety {
    /// Nobody may have it.
    Kept,
    /// It is there for promises such as this one.
    Free,
}

/// How the conditions stand at each moment: what is over, or lacks.
struct Slack {
    over_all: Vec<Units>,
    nodes: Vec<(Name, Vec<Units>)>,
}

/// The moments of these stocks from a day on; the first is now.
fn moments(stocks: [&Stock; 2], today: u16) -> Vec<u16> {
    let mut days = BTreeSet::from([0]);
    for stock in stocks {
        let due = stock.inbound.values().map(|entry| entry.due);
        let promised = stock.dated.keys().map(|(day, _)| *day);
        days.extend(due.chain(promised).filter(|day| *day >= today));
    }
    days.into_iter().collect()
}

impl Slack {
    fn of(stock: &Stock, moments: &[u16], today: u16, safety: Safety) -> Self {
        let mut names: BTreeSet<Name> = stock.nodes.keys().copied().collect();
        names.extend(stock.inbound.values().map(|entry| entry.node));
        names.extend(stock.settings.node_safety.keys());
        let supplies: Vec<(Name, Vec<Units>)> = { names.into_iter() }
            .map(|node| (node, supply(stock, node, moments, today)))
            .collect();
        let mut kept = vec![0; moments.len()];
        let mut over_all = vec![0; moments.len()];
        let mut nodes = Vec::new();
        for (node, supply) in &supplies {
            let bound = promised(stock, Some(*node), moments, today);
            let free: Vec<Units> = supply.iter().zip(&bound).map(|(s, p)| s - p).collect();
            let mut least = Units::MAX;
            for (sum, free) in over_all.iter_mut().zip(&free).rev() {
                least = least.min(*free);
                *sum += least;
            }
            let keeps = kept_at(stock, *node, supply, safety);
            let beside = free.iter().zip(&keeps).map(|(free, kept)| free - kept);
            nodes.push((*node, beside.collect()));
            kept.iter_mut()
                .zip(&keeps)
                .for_each(|(sum, kept)| *sum += kept);
        }
        let unpinned = promised(stock, None, moments, today);
        for (at, slack) in over_all.iter_mut().enumerate() {
            let all: Units = supplies.iter().filter_map(|(_, s)| s.get(at)).sum();
            let level = match safety {
                Safety::Kept => keeps_of(stock.settings.safety, all),
                Safety::Free => 0,
            };
            let at_nodes = kept.get(at).copied().unwrap_or(0);
            *slack -= unpinned.get(at).copied().unwrap_or(0) + level.max(at_nodes);
        }
        Self { over_all, nodes }
    }
}

fn keeps_of(level: crate::form::Keeps, supply: Units) -> Units {
    Units::from(level.of(u64::try_from(supply.max(0)).unwrap_or(u64::MAX)))
}

/// What a node keeps back at each moment: no more than it has.
fn kept_at(stock: &Stock, node: Name, supply: &[Units], safety: Safety) -> Vec<Units> {
    let level = { stock.settings.node_safety.get(&node) }.filter(|_| safety == Safety::Kept);
    let kept = |supply: &Units| level.map_or(0, |level| keeps_of(*level, *supply).min(*supply));
    supply.iter().map(kept).collect()
}

/// `S_n` at each moment.
fn supply(stock: &Stock, node: Name, moments: &[u16], today: u16) -> Vec<Units> {
    let on_hand = Units::from(stock.node(node).on_hand);
    let coming = |until: &u16| {
        let entries = stock.inbound.values();
        let due = entries.filter(|of| of.node == node && of.due >= today && of.due <= *until);
        due.map(|of| Units::from(of.units)).sum::<Units>()
    };
    moments
        .iter()
        .map(|until| on_hand + coming(until))
        .collect()
}

/// `P_n`, or `U` for no node, at each moment. What was promised for a day that has passed is now.
fn promised(stock: &Stock, node: Option<Name>, moments: &[u16], today: u16) -> Vec<Units> {
    let open = match node {
        Some(node) => Units::from(stock.node(node).pinned),
        None => {
            let pinned = stock.nodes.values().map(|node| u128::from(node.pinned));
            let unpinned = stock.promised().saturating_sub(pinned.sum());
            Units::try_from(unpinned).unwrap_or(Units::MAX)
        }
    };
    let later = |until: &u16| {
        let of_node = stock.dated.iter().filter(|((_, pin), _)| *pin == node);
        let later = of_node.filter(|((day, _), _)| *day >= today && day > until);
        later.map(|(_, units)| Units::from(*units)).sum::<Units>()
    };
    moments.iter().map(|until| open - later(until)).collect()
}

/// Fails where a promise of these terms has broken a condition that held, or made one worse that did
/// not.
pub(crate) fn check(
    before: &Stock,
    after: &Stock,
    terms: &Terms,
    today: u16,
    safety: Safety,
) -> Result<(), Fault> {
    let moments = moments([before, after], today);
    let old = Slack::of(before, &moments, today, safety);
    let new = Slack::of(after, &moments, today, safety);
    let worse = |old: &[Units], new: &[Units]| {
        let mut pairs = new.iter().zip(old.iter().chain(std::iter::repeat(&0)));
        let found = pairs.position(|(new, old)| new < old && *new < 0);
        found.and_then(|at| Some((*moments.get(at)?, *new.get(at)?)))
    };
    if let Some(node) = terms.node {
        let of = |slack: &Slack| {
            let found = slack.nodes.iter().find(|(of, _)| *of == node);
            found.map_or_else(Vec::new, |(_, units)| units.clone())
        };
        if let Some((day, lacks)) = worse(&of(&old), &of(&new)) {
            return Err(lack(lacks, day, " at the node"));
        }
    }
    match worse(&old.over_all, &new.over_all) {
        Some((day, lacks)) => Err(lack(lacks, day, "")),
        None => Ok(()),
    }
}

fn lack(lacks: Units, day: u16, place: &str) -> Fault {
    let units = lacks.unsigned_abs();
    let day = match day {
        0 => String::new(),
        day => format!(" by day {day}"),
    };
    Fault::new(
        format!("{units} units are promised{place} that are not there{day}"),
        "units for every promise",
    )
}

/// [`check`] of a new promise where nothing is announced and nothing is promised for a day, in fewer
/// steps.
pub(crate) fn check_now(after: &Stock, terms: &Terms) -> Result<(), Fault> {
    let on_hand = after.on_hand();
    let units = u64::try_from(on_hand).unwrap_or(u64::MAX);
    let kept = u128::from(after.settings.safety.of(units));
    let levels = after.settings.node_safety.iter();
    let at = |(node, level): (&Name, &crate::form::Keeps)| {
        let there = after.node(*node).on_hand;
        u128::from(level.of(there).min(there))
    };
    let needs = after.promised() + kept.max(levels.map(at).sum());
    if needs > on_hand {
        let lacks = Units::try_from(needs - on_hand).unwrap_or(Units::MAX);
        return Err(lack(lacks, 0, ""));
    }
    let Some(node) = terms.node else {
        return Ok(());
    };
    let place = after.node(node);
    let level = after.settings.node_safety.get(&node);
    let kept = level.map_or(0, |level| level.of(place.on_hand).min(place.on_hand));
    let needs = Units::from(place.pinned) + Units::from(kept);
    if needs > Units::from(place.on_hand) {
        return Err(lack(needs - Units::from(place.on_hand), 0, " at the node"));
    }
    Ok(())
}
