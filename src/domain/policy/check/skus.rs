//! Sets and tags: which SKUs they list, and that no SKU is in two that have rules.

use std::collections::{HashMap, HashSet};

use super::Faults;
use crate::domain::policy::document::{Document, Items, Rule, Scope, Selector};
use crate::limits::{POLICY_RULES_MAX, POLICY_SKUS_MAX};

pub(super) fn check(document: &Document, faults: &mut Faults) {
    let (sets, tags) = (&document.sets, &document.tags);
    faults.at_most("sets", "too_many_sets", sets.len(), POLICY_RULES_MAX);
    faults.at_most("tags", "too_many_tags", tags.len(), POLICY_RULES_MAX);
    faults.at_most("", "too_many_skus", count(document), POLICY_SKUS_MAX);
    faults.names("sets", "name", sets.iter().map(|set| set.name.as_str()));
    faults.names("tags", "name", tags.iter().map(|tag| tag.name.as_str()));
    for (at, tag) in tags.iter().enumerate() {
        each_sku(&format!("tags[{at}]"), &tag.skus, faults);
    }
    let known: HashSet<_> = tags.iter().map(|tag| tag.name.as_str()).collect();
    for (at, set) in sets.iter().enumerate() {
        match &set.selector {
            Selector::Prefix(prefix) => faults.sku(format_args!("sets[{at}].prefix"), prefix),
            Selector::Skus(skus) => each_sku(&format!("sets[{at}]"), skus, faults),
            Selector::Tag(tag) if known.contains(tag.as_str()) => {}
            Selector::Tag(tag) => {
                let path = format!("sets[{at}].tag");
                faults.add(path, "unknown_tag", format!("no tag {tag}"));
            }
        }
    }
    overlaps(document, document.rules.iter(), faults);
    let changes = document.change_sets.iter();
    overlaps(document, changes.flat_map(|set| &set.rules), faults);
}

/// The SKUs that are written down, wherever that is.
fn count(document: &Document) -> usize {
    let sets = document.sets.iter().map(|set| match &set.selector {
        Selector::Skus(skus) => skus.len(),
        Selector::Prefix(_) | Selector::Tag(_) => 0,
    });
    let tags = document.tags.iter().map(|tag| tag.skus.len());
    let changes = document.change_sets.iter().flat_map(|set| &set.rules);
    let scopes = document.rules.iter().chain(changes);
    let scopes = scopes.map(|rule| match rule.scope {
        Scope::Sku(_) => 1,
        Scope::Set(_) | Scope::Default => 0,
    });
    let sold = document.campaigns.iter().map(|of| match &of.items {
        Items::Skus(skus) => skus.len(),
        Items::Set(_) => 0,
    });
    sets.chain(tags).chain(scopes).chain(sold).sum()
}

fn each_sku(path: &str, skus: &[String], faults: &mut Faults) {
    for (at, sku) in skus.iter().enumerate() {
        faults.sku(format_args!("{path}.skus[{at}]"), sku);
    }
}

/// Sets with rules of one layer must be apart: one list per SKU, one set per prefix. A set is
/// reported once, with the first SKU that it shares.
fn overlaps<'d>(document: &Document, rules: impl Iterator<Item = &'d Rule>, faults: &mut Faults) {
    let scopes = rules.filter_map(|rule| match &rule.scope {
        Scope::Set(name) => Some(name.as_str()),
        Scope::Sku(_) | Scope::Default => None,
    });
    let ruled: HashSet<_> = scopes.collect();
    let mut by_prefix = HashMap::new();
    let mut by_sku = HashMap::new();
    let sets = document.sets.iter().enumerate();
    for (at, set) in sets.filter(|(_, set)| ruled.contains(set.name.as_str())) {
        let name = set.name.as_str();
        if let Selector::Prefix(prefix) = &set.selector
            && let Some(other) = by_prefix.insert(prefix.as_str(), name)
        {
            let message = format!("{other} has the same prefix, and both have rules");
            faults.add(format!("sets[{at}].prefix"), "duplicate_prefix", message);
        }
        let mut shared = None;
        for sku in document.selection(&set.selector).listed() {
            let other = *by_sku.entry(sku.as_str()).or_insert(at);
            if other != at && shared.is_none() {
                shared = Some((sku, other));
            }
        }
        if let Some((sku, other)) = shared {
            let message = format!("{sku} is in sets[{other}] too, and both have rules");
            faults.add(format!("sets[{at}]"), "sku_in_two_sets", message);
        }
    }
}
