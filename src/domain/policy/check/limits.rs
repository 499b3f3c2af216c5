//! The limits of one rule or campaign.

use std::collections::HashSet;

use super::Faults;
use crate::domain::policy::document::{Amount, LimitOn};
use crate::domain::policy::tree::{Place, Tree};

/// All of it, in basis points.
const WHOLE: u64 = 10_000;

/// The limits of what stands at `owner`.
pub(super) fn check(owner: &str, limits: &[LimitOn], tree: &Tree<'_>, faults: &mut Faults) {
    let mut seen = HashSet::new();
    for (at, limit) in limits.iter().enumerate() {
        let path = format!("{owner}.limits[{at}]");
        let name = &limit.channel;
        if tree.find(name).is_none() {
            let path = format!("{path}.channel");
            faults.add(path, "unknown_channel", format!("no channel {name}"));
        }
        if !seen.insert(name) {
            let path = format!("{path}.channel");
            faults.add(
                path,
                "duplicate_limit",
                format!("{name} has limits already"),
            );
        }
        if limit.cap.is_none() && limit.protection.is_none() {
            faults.add(&path, "empty_limit", "neither a cap nor a protection");
        }
        let cap = limit.cap.map(|cap| (cap, "cap"));
        let protection = limit.protection.map(|of| (of.amount, "protection"));
        for (amount, of) in cap.into_iter().chain(protection) {
            if matches!(amount, Amount::Percent(share) if u64::from(share) > WHOLE) {
                let path = format!("{path}.{of}.percent");
                faults.add(path, "percent_over_100", "more than 100 %");
            }
        }
    }
    sums(owner, limits, tree, faults);
}

/// What is kept for an entry: a share of the supply, and units. They are not comparable before
/// there is a supply, so each is compared with its own kind.
#[derive(Clone, Copy, Default)]
struct Kept {
    percent: u64,
    units: u64,
}

impl Kept {
    fn of(amount: Option<Amount>) -> Self {
        match amount {
            None => Self::default(),
            Some(Amount::Percent(share)) => Self {
                percent: u64::from(share),
                units: 0,
            },
            Some(Amount::Units(units)) => Self {
                percent: 0,
                units: units.get(),
            },
        }
    }

    fn exceeds(self, cap: Option<Amount>) -> bool {
        match cap {
            None => false,
            Some(Amount::Percent(share)) => self.percent > u64::from(share),
            Some(Amount::Units(units)) => self.units > units.get(),
        }
    }

    fn add(&mut self, other: Self) {
        self.percent = self.percent.saturating_add(other.percent);
        self.units = self.units.saturating_add(other.units);
    }

    fn max(self, other: Self) -> Self {
        Self {
            percent: self.percent.max(other.percent),
            units: self.units.max(other.units),
        }
    }
}

/// Protections must fit into the caps above them and, together, into what there is.
fn sums(owner: &str, limits: &[LimitOn], tree: &Tree<'_>, faults: &mut Faults) {
    let placed = limits.iter().enumerate().filter_map(|(at, limit)| {
        let place = tree.find(&limit.channel).and_then(|of| tree.place(of))?;
        Some((place, at, limit))
    });
    let mut placed: Vec<(Place, usize, &LimitOn)> = placed.collect();
    placed.sort_by_key(|(place, at, _)| (place.low, *at));
    placed.dedup_by_key(|(place, ..)| place.low);
    // What is kept below the entries seen so far that have not met the one above them.
    let mut open: Vec<(Place, Kept)> = Vec::new();
    for (place, at, limit) in placed.into_iter().rev() {
        let mut below = Kept::default();
        while let Some((_, kept)) = open.pop_if(|(inner, _)| place.contains(inner.low)) {
            below.add(kept);
        }
        let path = format!("{owner}.limits[{at}]");
        let own = Kept::of(limit.protection.map(|protection| protection.amount));
        if own.exceeds(limit.cap) {
            let path = format!("{path}.protection");
            faults.add(path, "protection_over_cap", "more than its own cap");
        }
        if below.exceeds(limit.cap) {
            let message = "the protections below it are more than its cap";
            faults.add(format!("{path}.cap"), "protections_over_cap", message);
        }
        if below.percent > WHOLE {
            let message = "the protections below it are more than 100 %";
            faults.add(path, "protections_over_100", message);
            below.percent = WHOLE;
        }
        open.push((place, own.max(below)));
    }
    let top: u64 = open.iter().map(|(_, kept)| kept.percent.min(WHOLE)).sum();
    if top > WHOLE {
        let path = format!("{owner}.limits");
        faults.add(
            path,
            "protections_over_100",
            "the protections are more than 100 %",
        );
    }
}
