//! The rules, ordinary ones and those of change sets: their scopes and their periods.

use std::collections::{HashMap, HashSet};

use super::{Faults, limits, overlaps, terms};
use crate::domain::policy::document::{ChangeSet, Document, Period, Rule, Scope};
use crate::domain::policy::tree::Tree;
use crate::limits::{POLICY_CHANGE_SETS_MAX, POLICY_RULES_MAX};

pub(super) fn check(document: &Document, tree: &Tree<'_>, faults: &mut Faults) {
    let sets = &document.change_sets;
    let changes = sets.iter().map(|set| set.rules.len()).sum();
    let count = document.rules.len().saturating_add(changes);
    faults.at_most("rules", "too_many_rules", count, POLICY_RULES_MAX);
    each("rules", document, &document.rules, tree, faults);
    for (at, rule) in document.rules.iter().enumerate() {
        ordinary_period(at, rule, faults);
    }
    duplicates(&document.rules, faults);
    let ordinary = document.rules.iter().enumerate();
    let dated = ordinary.filter_map(|(at, rule)| {
        let path = format!("rules[{at}]");
        Some((path, &rule.scope, rule.period()?))
    });
    overlapping(dated, faults);

    let name = "change_sets";
    faults.at_most(
        name,
        "too_many_change_sets",
        sets.len(),
        POLICY_CHANGE_SETS_MAX,
    );
    faults.names(name, "name", sets.iter().map(|set| set.name.as_str()));
    for (at, set) in sets.iter().enumerate() {
        change_set(at, set, faults);
        let path = format!("change_sets[{at}].rules");
        each(&path, document, &set.rules, tree, faults);
    }
    let changes = sets.iter().enumerate().flat_map(|(at, set)| {
        set.rules.iter().enumerate().map(move |(rule, of)| {
            let path = format!("change_sets[{at}].rules[{rule}]");
            (path, &of.scope, set.period(of))
        })
    });
    overlapping(changes, faults);
}

/// What a rule says whenever it is in force.
fn each(list: &str, document: &Document, rules: &[Rule], tree: &Tree<'_>, faults: &mut Faults) {
    faults.names(list, "id", rules.iter().map(|rule| rule.id.as_str()));
    let sets: HashSet<_> = document.sets.iter().map(|set| set.name.as_str()).collect();
    for (at, rule) in rules.iter().enumerate() {
        match &rule.scope {
            Scope::Sku(sku) => faults.sku(format_args!("{list}[{at}].sku"), sku),
            Scope::Set(set) if !sets.contains(set.as_str()) => {
                let path = format!("{list}[{at}].set");
                faults.add(path, "unknown_set", format!("no set {set}"));
            }
            Scope::Set(_) | Scope::Default => {}
        }
        let path = format!("{list}[{at}]");
        limits::check(&path, &rule.limits, tree, faults);
        terms::check(&path, &rule.terms, faults);
    }
}

fn ordinary_period(at: usize, rule: &Rule, faults: &mut Faults) {
    let path = format!("rules[{at}]");
    if let Some(period) = rule.period() {
        faults.period(&path, period, rule.every);
        return;
    }
    if rule.until.is_some() {
        let path = format!("{path}.until");
        faults.add(path, "missing_from", "a period needs its beginning");
    }
    if rule.every.is_some() {
        let path = format!("{path}.every");
        faults.add(path, "missing_from", "windows are counted from a beginning");
    }
}

fn change_set(at: usize, set: &ChangeSet, faults: &mut Faults) {
    if set.until.is_some_and(|until| until <= set.from) {
        let path = format!("change_sets[{at}].until");
        faults.add(path, "empty_period", "the period ends before it begins");
        return;
    }
    for (rule, of) in set.rules.iter().enumerate() {
        let path = format!("change_sets[{at}].rules[{rule}]");
        let ends_later = of.until.zip(set.until).is_some_and(|(own, end)| own > end);
        if of.from.is_some_and(|from| from < set.from) || ends_later {
            let message = "the period is not inside that of the change set";
            faults.add(path, "outside_change_set", message);
            continue;
        }
        faults.period(&path, set.period(of), of.every);
    }
}

/// A scope has one rule at most without a period.
fn duplicates(rules: &[Rule], faults: &mut Faults) {
    let mut always: HashMap<&Scope, usize> = HashMap::new();
    let undated = rules
        .iter()
        .enumerate()
        .filter(|(_, rule)| rule.from.is_none());
    for (at, rule) in undated {
        let first = *always.entry(&rule.scope).or_insert(at);
        if first != at {
            let message = format!("rules[{first}] has the same scope and no period either");
            faults.add(format!("rules[{at}]"), "duplicate_scope", message);
        }
    }
}

/// At any moment a scope has one rule at most with a period.
fn overlapping<'d>(rules: impl Iterator<Item = (String, &'d Scope, Period)>, faults: &mut Faults) {
    let mut paths = Vec::new();
    let mut scopes: HashMap<&Scope, Vec<(Period, usize)>> = HashMap::new();
    for (at, (path, scope, period)) in rules.enumerate() {
        paths.push(path);
        scopes.entry(scope).or_default().push((period, at));
    }
    let mut found: Vec<_> = scopes.into_values().flat_map(overlaps).collect();
    found.sort_unstable();
    for (at, other) in found {
        let (Some(path), Some(other)) = (paths.get(at), paths.get(other)) else {
            continue;
        };
        let message = format!("the period overlaps that of {other}, of the same scope");
        faults.add(path, "overlapping_periods", message);
    }
}
