//! The rules: their scopes, their periods and their limits.

use std::collections::{HashMap, HashSet};

use super::Faults;
use crate::domain::policy::document::{Amount, Document, LimitOn, Rule, Scope};
use crate::domain::policy::tree::{Place, Tree};
use crate::domain::time::UnixMillis;
use crate::limits::POLICY_RULES_MAX;

/// All of it, in basis points.
const WHOLE: u64 = 10_000;

pub(super) fn check(document: &Document, tree: &Tree<'_>, faults: &mut Faults) {
    let rules = &document.rules;
    faults.at_most("rules", "too_many_rules", rules.len(), POLICY_RULES_MAX);
    faults.names("rules", "id", rules.iter().map(|rule| rule.id.as_str()));
    let sets: HashSet<_> = document.sets.iter().map(|set| set.name.as_str()).collect();
    for (at, rule) in rules.iter().enumerate() {
        match &rule.scope {
            Scope::Sku(sku) => faults.sku(format_args!("rules[{at}].sku"), sku),
            Scope::Set(set) if !sets.contains(set.as_str()) => {
                let path = format!("rules[{at}].set");
                faults.add(path, "unknown_set", format!("no set {set}"));
            }
            Scope::Set(_) | Scope::Default => {}
        }
        period(at, rule, faults);
        limits(at, &rule.limits, tree, faults);
    }
    overlaps(rules, faults);
}

fn period(at: usize, rule: &Rule, faults: &mut Faults) {
    let Some(from) = rule.from else {
        if rule.until.is_some() {
            let path = format!("rules[{at}].until");
            faults.add(path, "missing_from", "a period needs its beginning");
        }
        if rule.every.is_some() {
            let path = format!("rules[{at}].every");
            faults.add(path, "missing_from", "windows are counted from a beginning");
        }
        return;
    };
    let Some(until) = rule.until else { return };
    if until <= from {
        let path = format!("rules[{at}].until");
        faults.add(path, "empty_period", "the period ends before it begins");
        return;
    }
    let length = until.0.saturating_sub(from.0);
    if rule.every.is_some_and(|every| every.as_millis() > length) {
        let path = format!("rules[{at}].every");
        faults.add(
            path,
            "period_too_short",
            "one window is longer than the period",
        );
    }
}

/// At any moment a scope has one rule at most with a period, and one at most without.
fn overlaps(rules: &[Rule], faults: &mut Faults) {
    let mut always: HashMap<&Scope, usize> = HashMap::new();
    let mut dated: HashMap<&Scope, Vec<(UnixMillis, UnixMillis, usize)>> = HashMap::new();
    for (at, rule) in rules.iter().enumerate() {
        if let Some(from) = rule.from {
            let until = rule.until.unwrap_or(UnixMillis(i64::MAX));
            if from < until {
                dated
                    .entry(&rule.scope)
                    .or_default()
                    .push((from, until, at));
            }
            continue;
        }
        let first = *always.entry(&rule.scope).or_insert(at);
        if first != at {
            let message = format!("rules[{first}] has the same scope and no period either");
            faults.add(format!("rules[{at}]"), "duplicate_scope", message);
        }
    }
    let mut found = Vec::new();
    for periods in dated.values_mut() {
        periods.sort_unstable();
        let mut latest: Option<(UnixMillis, usize)> = None;
        for (from, until, at) in periods.iter() {
            if let Some((_, other)) = latest.filter(|(end, _)| from < end) {
                found.push((*at, other));
            }
            if latest.is_none_or(|(end, _)| end < *until) {
                latest = Some((*until, *at));
            }
        }
    }
    found.sort_unstable();
    for (at, other) in found {
        let message = format!("the period overlaps that of rules[{other}], of the same scope");
        faults.add(format!("rules[{at}]"), "overlapping_periods", message);
    }
}

fn limits(rule: usize, limits: &[LimitOn], tree: &Tree<'_>, faults: &mut Faults) {
    let mut seen = HashSet::new();
    for (at, limit) in limits.iter().enumerate() {
        let path = format!("rules[{rule}].limits[{at}]");
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
    sums(rule, limits, tree, faults);
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
fn sums(rule: usize, limits: &[LimitOn], tree: &Tree<'_>, faults: &mut Faults) {
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
        let path = format!("rules[{rule}].limits[{at}]");
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
        let path = format!("rules[{rule}].limits");
        faults.add(
            path,
            "protections_over_100",
            "the protections are more than 100 %",
        );
    }
}
