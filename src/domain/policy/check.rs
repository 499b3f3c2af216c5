//! Finds every fault of a document at once, so that whoever writes one mends it in one go.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use super::super::ids::{Sku, check_name};
use super::super::time::UnixMillis;
use super::document::{Amount, Document, Entry, LimitOn, Rule, Scope, Selector};
use crate::limits::{
    CHANNELS_MAX, POLICY_FAULTS_MAX, POLICY_LEVELS_MAX, POLICY_RULES_MAX, POLICY_SETS_MAX,
    POLICY_SKUS_MAX,
};

/// All of something, in basis points.
const WHOLE: u16 = 10_000;

/// Something that is wrong with a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Where: `rules[3].limits[0].cap.percent`.
    pub path: String,
    /// What, for programs.
    pub code: &'static str,
    /// What, and what would be right, for people.
    pub message: String,
}

/// Every fault of a document, at most [`POLICY_FAULTS_MAX`] of them; none: it is one.
pub fn check(document: &Document) -> Vec<Fault> {
    let mut checking = Checking {
        document,
        parents: parents(document),
        faults: Vec::new(),
    };
    checking.sizes();
    checking.tree();
    checking.sets();
    checking.rules();
    checking.periods();
    checking.overlaps();
    checking.faults
}

fn parents<'a>(document: &'a Document) -> HashMap<&'a str, Option<&'a str>> {
    let entries = document.channels.iter();
    let parent = |entry: &'a Entry| (entry.name.as_str(), entry.parent.as_deref());
    entries.map(parent).collect()
}

struct Checking<'a> {
    document: &'a Document,
    parents: HashMap<&'a str, Option<&'a str>>,
    faults: Vec<Fault>,
}

impl<'a> Checking<'a> {
    fn fault(&mut self, path: impl Into<String>, code: &'static str, message: impl Into<String>) {
        if self.faults.len() < POLICY_FAULTS_MAX {
            self.faults.push(Fault {
                path: path.into(),
                code,
                message: message.into(),
            });
        }
    }

    fn sizes(&mut self) {
        let Document {
            channels,
            sets,
            tags,
            rules,
        } = self.document;
        let listed = sets.iter().map(|set| match &set.selector {
            Selector::Skus(skus) => skus.len(),
            Selector::Prefix(_) | Selector::Tag(_) => 0,
        });
        let tagged = tags.iter().map(|tag| tag.skus.len());
        let skus = listed.chain(tagged).fold(0_usize, usize::saturating_add);
        for (what, count, most) in [
            ("channels", channels.len(), CHANNELS_MAX),
            ("sets", sets.len(), POLICY_SETS_MAX),
            ("tags", tags.len(), POLICY_SETS_MAX),
            ("rules", rules.len(), POLICY_RULES_MAX),
            ("sets", skus, POLICY_SKUS_MAX),
        ] {
            if count > most {
                self.fault(
                    what,
                    "too_many",
                    format!("{count} are too many; the most is {most}"),
                );
            }
        }
    }

    fn tree(&mut self) {
        let mut seen = HashSet::new();
        for (at, entry) in self.document.channels.iter().enumerate() {
            let path = format!("channels[{at}]");
            self.name(format!("{path}.name"), &entry.name);
            if !seen.insert(entry.name.as_str()) {
                self.fault(&path, "twice", format!("{} is there twice", entry.name));
            }
            if entry.rank == Some(0) {
                self.fault(format!("{path}.rank"), "rank", "ranks begin at 1");
            }
            if let Some(parent) = &entry.parent
                && !self.parents.contains_key(parent.as_str())
            {
                let message = format!("{parent} is not among the channels");
                self.fault(format!("{path}.parent"), "unknown_channel", message);
            }
            match self.above(&entry.name).count() {
                depth if depth <= POLICY_LEVELS_MAX => {}
                _ if self.is_in_a_cycle(&entry.name) => {
                    let message = format!("{} is above itself", entry.name);
                    self.fault(format!("{path}.parent"), "cycle", message);
                }
                _ => {
                    let message = format!("there are more than {POLICY_LEVELS_MAX} levels");
                    self.fault(format!("{path}.parent"), "too_deep", message);
                }
            }
        }
    }

    /// An entry and what is above it; of a cycle a part that is longer than any tree.
    fn above(&self, name: &'a str) -> impl Iterator<Item = &'a str> {
        let next = |name: &&'a str| self.parents.get(name).copied().flatten();
        std::iter::successors(Some(name), next).take(POLICY_LEVELS_MAX.saturating_add(1))
    }

    fn is_in_a_cycle(&self, name: &'a str) -> bool {
        let next = |name: &&'a str| self.parents.get(name).copied().flatten();
        let above = std::iter::successors(Some(name), next).skip(1);
        above.take(self.parents.len()).any(|above| above == name)
    }

    fn name(&mut self, path: String, name: &str) {
        if let Err(bad) = check_name(name) {
            self.fault(path, "name", format!("a name {bad}"));
        }
    }

    fn sku(&mut self, path: String, sku: &str) {
        if let Err(bad) = Sku::new(sku) {
            self.fault(path, "sku", format!("a SKU {bad}"));
        }
    }

    fn sets(&mut self) {
        let mut seen = HashSet::new();
        let tags: HashSet<&str> = self
            .document
            .tags
            .iter()
            .map(|tag| tag.name.as_str())
            .collect();
        for (at, set) in self.document.sets.iter().enumerate() {
            let path = format!("sets[{at}]");
            self.name(format!("{path}.name"), &set.name);
            if !seen.insert(set.name.as_str()) {
                self.fault(&path, "twice", format!("{} is there twice", set.name));
            }
            match &set.selector {
                Selector::Prefix(prefix) => self.sku(format!("{path}.prefix"), prefix),
                Selector::Skus(skus) => self.skus(&format!("{path}.skus"), skus),
                Selector::Tag(tag) if tags.contains(tag.as_str()) => {}
                Selector::Tag(tag) => {
                    let message = format!("{tag} is not among the tags");
                    self.fault(format!("{path}.tag"), "unknown_tag", message);
                }
            }
        }
        let mut seen = HashSet::new();
        for (at, tag) in self.document.tags.iter().enumerate() {
            let path = format!("tags[{at}]");
            self.name(format!("{path}.name"), &tag.name);
            if !seen.insert(tag.name.as_str()) {
                self.fault(&path, "twice", format!("{} is there twice", tag.name));
            }
            self.skus(&format!("{path}.skus"), &tag.skus);
        }
    }

    fn skus(&mut self, path: &str, skus: &[String]) {
        let mut seen = HashSet::new();
        for (at, sku) in skus.iter().enumerate() {
            self.sku(format!("{path}[{at}]"), sku);
            if !seen.insert(sku) {
                self.fault(
                    format!("{path}[{at}]"),
                    "twice",
                    format!("{sku} is there twice"),
                );
            }
        }
    }

    fn rules(&mut self) {
        let mut seen = HashSet::new();
        for (at, rule) in self.document.rules.iter().enumerate() {
            let path = format!("rules[{at}]");
            self.name(format!("{path}.id"), &rule.id);
            if !seen.insert(rule.id.as_str()) {
                self.fault(
                    format!("{path}.id"),
                    "twice",
                    format!("{} is there twice", rule.id),
                );
            }
            match &rule.scope {
                Scope::Sku(sku) => self.sku(format!("{path}.sku"), sku),
                Scope::Set(set) => {
                    if !self.document.sets.iter().any(|known| known.name == *set) {
                        let message = format!("{set} is not among the sets");
                        self.fault(format!("{path}.set"), "unknown_set", message);
                    }
                }
                Scope::Default => {}
            }
            self.limits(&path, rule);
        }
    }

    fn limits(&mut self, path: &str, rule: &'a Rule) {
        let mut seen = HashSet::new();
        for (at, limit) in rule.limits.iter().enumerate() {
            let path = format!("{path}.limits[{at}]");
            if !self.parents.contains_key(limit.channel.as_str()) {
                let message = format!("{} is not among the channels", limit.channel);
                self.fault(format!("{path}.channel"), "unknown_channel", message);
            }
            if !seen.insert(limit.channel.as_str()) {
                let message = format!("{} has limits in this rule already", limit.channel);
                self.fault(format!("{path}.channel"), "twice", message);
            }
            if limit.cap.is_none() && limit.protection.is_none() {
                self.fault(&path, "empty", "needs a cap, a protection or both");
            }
            for (what, amount) in [("cap", limit.cap), ("protection", kept(limit))] {
                if let Some(Amount::Percent(points)) = amount
                    && points > WHOLE
                {
                    let path = format!("{path}.{what}.percent");
                    self.fault(path, "percent", "there is no more than 100 percent");
                }
            }
            if is_above(kept(limit), limit.cap) {
                let path = format!("{path}.protection");
                self.fault(
                    path,
                    "protection_above_cap",
                    "more is kept than the cap allows",
                );
            }
        }
        self.shares(path, rule);
    }

    /// What is kept for the entries below one is no more than that has, nor more than there is.
    fn shares(&mut self, path: &str, rule: &'a Rule) {
        let limits: BTreeMap<&str, (usize, &LimitOn)> = rule
            .limits
            .iter()
            .enumerate()
            .map(|(at, limit)| (limit.channel.as_str(), (at, limit)))
            .collect();
        // By the nearest limited entry above: percent, units.
        let mut sums: BTreeMap<Option<&str>, (u64, u64)> = BTreeMap::new();
        for (name, (at, limit)) in &limits {
            let above = self
                .above(name)
                .skip(1)
                .find(|name| limits.contains_key(name));
            let cap = above
                .and_then(|above| limits.get(above))
                .and_then(|(_, over)| over.cap);
            if is_above(kept(limit), cap) {
                let path = format!("{path}.limits[{at}].protection");
                let message = "more is kept than the cap of a group above allows";
                self.fault(path, "protection_above_cap", message);
            }
            let sum = sums.entry(above).or_default();
            match kept(limit) {
                Some(Amount::Percent(points)) => sum.0 = sum.0.saturating_add(points.into()),
                Some(Amount::Units(units)) => sum.1 = sum.1.saturating_add(units.get()),
                None => {}
            }
        }
        for (above, (points, units)) in sums {
            let cap = above
                .and_then(|above| limits.get(above))
                .and_then(|(_, over)| over.cap);
            let (most_points, most_units) = match cap {
                Some(Amount::Percent(points)) => (points.min(WHOLE), u64::MAX),
                Some(Amount::Units(units)) => (WHOLE, units.get()),
                None => (WHOLE, u64::MAX),
            };
            if points > u64::from(most_points) || units > most_units {
                let whose = above.map_or("all channels".to_owned(), |name| {
                    format!("the channels below {name}")
                });
                let message = format!("the protections of {whose} are together more than there is");
                self.fault(format!("{path}.limits"), "protection_above_supply", message);
            }
        }
    }

    fn periods(&mut self) {
        for (at, rule) in self.document.rules.iter().enumerate() {
            let path = format!("rules[{at}]");
            if let (Some(from), Some(until)) = (rule.from, rule.until)
                && until <= from
            {
                self.fault(format!("{path}.until"), "period", "must be after from");
            }
            let Some(every) = rule.every else { continue };
            let Some(from) = rule.from else {
                let message = "windows are counted from the beginning of the rule: it needs from";
                self.fault(format!("{path}.every"), "period", message);
                continue;
            };
            let length = rule.until.map(|until| until.0.saturating_sub(from.0));
            if length.is_some_and(|length| length < every.millis()) {
                self.fault(
                    format!("{path}.every"),
                    "period",
                    "is longer than the rule is in force",
                );
            }
        }
    }

    /// Rules that would count for one SKU at one moment, and are not one more special.
    fn overlaps(&mut self) {
        let mut by_scope: BTreeMap<&Scope, Vec<(usize, &Rule)>> = BTreeMap::new();
        for (at, rule) in self.document.rules.iter().enumerate() {
            by_scope.entry(&rule.scope).or_default().push((at, rule));
        }
        for rules in by_scope.into_values() {
            self.overlap(rules);
        }
        self.sets_in_common();
    }

    /// Of one scope: those with a period among themselves, those without among themselves.
    fn overlap(&mut self, mut rules: Vec<(usize, &'a Rule)>) {
        let span = |rule: &Rule| {
            let is_dated = rule.from.is_some() || rule.until.is_some();
            let from = rule.from.unwrap_or(UnixMillis(i64::MIN));
            (is_dated, from, rule.until.unwrap_or(UnixMillis(i64::MAX)))
        };
        rules.sort_by_key(|(_, rule)| span(rule));
        let mut latest: Option<(bool, UnixMillis, &str)> = None;
        for (at, rule) in rules {
            let (is_dated, from, until) = span(rule);
            if let Some((same, end, before)) = latest
                && same == is_dated
                && from < end
            {
                let message = format!("is in force at the same time as {before}");
                self.fault(format!("rules[{at}]"), "overlap", message);
            }
            let end = latest
                .filter(|(same, ..)| *same == is_dated)
                .map_or(until, |(_, end, _)| end.max(until));
            latest = Some((is_dated, end, &rule.id));
        }
    }

    /// Lists and tags that have rules share no SKU, prefixes that have rules are not equal.
    fn sets_in_common(&mut self) {
        let document = self.document;
        let scopes = document.rules.iter().map(|rule| &rule.scope);
        let named: BTreeSet<&str> = scopes
            .filter_map(|scope| match scope {
                Scope::Set(name) => Some(name.as_str()),
                Scope::Sku(_) | Scope::Default => None,
            })
            .collect();
        let mut prefixes: HashMap<&str, &str> = HashMap::new();
        let mut owners: HashMap<&str, &str> = HashMap::new();
        for (at, set) in document.sets.iter().enumerate() {
            if !named.contains(set.name.as_str()) {
                continue;
            }
            let skus: &[String] = match &set.selector {
                Selector::Prefix(prefix) => {
                    if let Some(other) = prefixes.insert(prefix, &set.name) {
                        let message = format!("the set {other} has the same prefix");
                        self.fault(format!("sets[{at}].prefix"), "overlap", message);
                    }
                    &[]
                }
                Selector::Skus(skus) => skus,
                Selector::Tag(name) => {
                    let tag = document.tags.iter().find(|tag| tag.name == *name);
                    tag.map_or(&[], |tag| &tag.skus)
                }
            };
            for sku in skus {
                let other = owners
                    .insert(sku, &set.name)
                    .filter(|other| *other != set.name);
                if let Some(other) = other {
                    let message =
                        format!("{sku} is in the set {other} as well, and both have rules");
                    self.fault(format!("sets[{at}]"), "overlap", message);
                }
            }
        }
    }
}

fn kept(limit: &LimitOn) -> Option<Amount> {
    limit.protection.map(|kept| kept.amount)
}

/// Whether an amount is more than another, as far as that can be said without knowing the supply.
fn is_above(kept: Option<Amount>, cap: Option<Amount>) -> bool {
    match (kept, cap) {
        (Some(Amount::Percent(kept)), Some(Amount::Percent(cap))) => kept > cap,
        (Some(Amount::Units(kept)), Some(Amount::Units(cap))) => kept > cap,
        _ => false,
    }
}
