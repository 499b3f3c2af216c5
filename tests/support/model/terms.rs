//! What the policy says beside limits, by the words of `docs/POLICY.md`: looked up anew each time.

use holdfast::domain::policy::{Document, Items, Rule};
use holdfast::domain::{Level, Terms, Units};

use super::policy::scopes;
use super::{Bug, Model};

/// All that is in force for a SKU, first what goes first: its campaign, rules of change sets, ordinary
/// ones; of each kind the most specific first, and of two of them the one with a period.
fn in_force(document: &Document, sku: &str, now: i64) -> Vec<Terms> {
    let scopes = scopes(document, sku);
    let mut found = Vec::new();
    for campaign in &document.campaigns {
        let is_sold = match &campaign.items {
            Items::Skus(skus) => skus.iter().any(|one| one == sku),
            Items::Set(name) => {
                scopes.contains(&holdfast::domain::policy::Scope::Set(name.clone()))
            }
        };
        if is_sold && campaign.from.0 <= now && now < campaign.until.0 {
            found.push(campaign.terms);
        }
    }
    for scope in &scopes {
        for set in &document.change_sets {
            let rules = set.rules.iter().filter(|rule| rule.scope == *scope);
            let runs = |rule: &&Rule| {
                let from = rule.from.unwrap_or(set.from).0;
                let until = rule.until.or(set.until).map_or(i64::MAX, |until| until.0);
                from <= now && now < until
            };
            found.extend(rules.filter(runs).map(|rule| rule.terms));
        }
    }
    for scope in &scopes {
        let rules = document.rules.iter().filter(|rule| rule.scope == *scope);
        let (always, dated): (Vec<_>, Vec<_>) = rules.partition(|rule| rule.from.is_none());
        let runs = |rule: &&&Rule| {
            let until = rule.until.map_or(i64::MAX, |until| until.0);
            rule.from.is_some_and(|from| from.0 <= now) && now < until
        };
        let dated = dated.iter().filter(runs);
        found.extend(dated.chain(&always).map(|rule| rule.terms));
    }
    found
}

impl Model {
    /// What the policy says now of the SKUs that leave it to it, and which of them are low by that.
    pub(super) fn look_up_terms(&mut self, now: i64) {
        // Without a policy nothing was ever left to one.
        if self.policy.is_none() {
            return;
        }
        let skus: Vec<String> = self.items.keys().cloned().collect();
        skus.iter().for_each(|sku| self.look_up_terms_of(sku, now));
    }

    pub(super) fn look_up_terms_of(&mut self, sku: &str, now: i64) {
        let said = self.policy.as_ref().map(|of| in_force(of, sku, now));
        let mut said = said.unwrap_or_default();
        if self.has(Bug::TermsForgotten) {
            said.clear();
        }
        let safety = said.iter().find_map(|of| of.safety);
        let safety = safety.filter(|level| *level != Level::Percent(0));
        let mark = said.iter().find_map(|of| of.low_water);
        if let Some(item) = self.items.get_mut(sku) {
            let settings = &mut item.settings;
            if !settings.own.safety {
                settings.safety = safety.unwrap_or(Level::Units(Units::ZERO));
            }
            if !settings.own.low_water {
                settings.low_water = mark;
            }
        }
        self.settle_water(sku);
    }
}
