//! A policy made ready for questions: the tree as intervals, SKUs by their classes.
//!
//! Entries are numbered in preorder, so that an entry and all below it are an interval of numbers:
//! whether a channel belongs to a group is two comparisons, at any depth.

use std::collections::{BTreeMap, HashMap};

use xxhash_rust::xxh3::Xxh3Builder;

use super::super::ids::ChannelIx;
use super::super::time::UnixMillis;
use super::check::{Fault, check};
use super::document::{Against, Amount, Document, Rule, Scope, Selector};

type ByText = HashMap<Box<str>, Class, Xxh3Builder>;

/// Rules that are about a SKU, the first that is in force counts: places in [`Policy::rules`].
type Class = Box<[usize]>;

/// Where an entry stands in the tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Standing {
    /// Its number, and that after the last one below it.
    pub(super) low: u16,
    pub(super) high: u16,
    pub(super) rank: u16,
}

impl Standing {
    pub(super) const fn contains(self, number: u16) -> bool {
        self.low <= number && number < self.high
    }
}

/// A limit of a rule.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limited {
    pub(super) at: Standing,
    /// The place of the next limited entry above it.
    pub(super) parent: Option<usize>,
    pub(super) cap: Option<Amount>,
    pub(super) protection: Option<(Amount, Against)>,
}

/// A rule with its limits in preorder.
#[derive(Debug)]
pub(super) struct Ready {
    id: Box<str>,
    from: Option<UnixMillis>,
    until: Option<UnixMillis>,
    every: Option<i64>,
    pub(super) limits: Box<[Limited]>,
}

impl Ready {
    fn is_in_force(&self, now: UnixMillis) -> bool {
        self.from.is_none_or(|from| from <= now) && self.until.is_none_or(|until| now < until)
    }

    fn window(&self, now: UnixMillis) -> UnixMillis {
        let from = self.from.unwrap_or_default();
        let since = now.0.saturating_sub(from.0);
        let into = self.every.and_then(|every| since.checked_rem(every));
        UnixMillis(into.map_or(from.0, |into| now.0.saturating_sub(into)))
    }
}

/// A policy that can be asked. Does not change any more.
#[derive(Debug)]
pub struct Policy {
    /// Names of the entries, by number.
    names: Box<[Box<str>]>,
    channels: HashMap<ChannelIx, Standing>,
    rules: Box<[Ready]>,
    skus: ByText,
    /// Longest first.
    prefixes: Box<[(usize, ByText)]>,
    default: Class,
}

/// The rule that counts for a SKU at a moment.
#[derive(Debug, Clone, Copy)]
pub struct InForce<'a> {
    pub(super) policy: &'a Policy,
    pub(super) rule: &'a Ready,
    window: UnixMillis,
}

impl<'a> InForce<'a> {
    /// Beginning of the window.
    pub const fn window(&self) -> UnixMillis {
        self.window
    }

    /// The rule's name.
    pub fn rule(&self) -> &'a str {
        &self.rule.id
    }
}

impl Policy {
    /// Checks a document and makes it ready. `index` gives the index of a channel's name; a channel
    /// without one has not sold yet and never will under another name.
    pub fn compile(
        document: &Document,
        index: impl Fn(&str) -> Option<ChannelIx>,
    ) -> Result<Self, Vec<Fault>> {
        let faults = check(document);
        if !faults.is_empty() {
            return Err(faults);
        }
        let tree = Tree::of(document);
        let standings = tree.standings();
        let known = standings
            .iter()
            .filter_map(|(name, at)| Some((index(name)?, *at)));
        let rules = document.rules.iter().map(|rule| ready(rule, &standings));
        let scopes = Scopes::of(document);
        Ok(Self {
            names: tree.names().map(Into::into).collect(),
            channels: known.collect(),
            rules: rules.collect(),
            skus: scopes.skus(),
            prefixes: scopes.prefixes(),
            default: scopes.default.as_slice().into(),
        })
    }

    /// The rule that counts for a SKU now; `None`: nothing is limited.
    pub fn in_force(&self, sku: &str, now: UnixMillis) -> Option<InForce<'_>> {
        let mut rules = self.class(sku).iter().filter_map(|at| self.rules.get(*at));
        let rule = rules.find(|rule| rule.is_in_force(now))?;
        Some(InForce {
            policy: self,
            rule,
            window: rule.window(now),
        })
    }

    fn class(&self, sku: &str) -> &[usize] {
        if let Some(class) = self.skus.get(sku) {
            return class;
        }
        let by_prefix = self.prefixes.iter().find_map(|(length, classes)| {
            let prefix = sku.get(..*length)?;
            classes.get(prefix)
        });
        by_prefix.unwrap_or(&self.default)
    }

    pub(super) fn standing(&self, channel: ChannelIx) -> Option<Standing> {
        self.channels.get(&channel).copied()
    }

    pub(super) fn name(&self, number: u16) -> &str {
        self.names.get(usize::from(number)).map_or("", |name| name)
    }
}

/// The entries with those below each.
struct Tree<'a> {
    /// In preorder: name, first number after all below it, rank.
    entries: Vec<(&'a str, u16, u16)>,
}

impl<'a> Tree<'a> {
    /// Of a document without faults: no cycles, every parent there.
    fn of(document: &'a Document) -> Self {
        let mut below: BTreeMap<Option<&str>, Vec<(&str, Option<u16>)>> = BTreeMap::new();
        for entry in &document.channels {
            let parent = entry.parent.as_deref();
            below
                .entry(parent)
                .or_default()
                .push((&entry.name, entry.rank));
        }
        let mut tree = Self {
            entries: Vec::new(),
        };
        tree.add(&below, None, u16::MAX);
        tree
    }

    /// Adds what is below a parent. As deep as the check allows.
    fn add(
        &mut self,
        below: &BTreeMap<Option<&'a str>, Vec<(&'a str, Option<u16>)>>,
        parent: Option<&'a str>,
        rank: u16,
    ) {
        for (name, own) in below.get(&parent).into_iter().flatten() {
            let rank = own.unwrap_or(rank);
            let at = self.entries.len();
            self.entries.push((name, 0, rank));
            self.add(below, Some(name), rank);
            let high = u16::try_from(self.entries.len()).unwrap_or(u16::MAX);
            if let Some(entry) = self.entries.get_mut(at) {
                entry.1 = high;
            }
        }
    }

    fn names(&self) -> impl Iterator<Item = &'a str> {
        self.entries.iter().map(|(name, ..)| *name)
    }

    fn standings(&self) -> HashMap<&'a str, Standing> {
        let entries = (0_u16..).zip(&self.entries);
        let standing = |(low, (name, high, rank)): (u16, &(&'a str, u16, u16))| {
            let (high, rank) = (*high, *rank);
            (*name, Standing { low, high, rank })
        };
        entries.map(standing).collect()
    }
}

fn ready(rule: &Rule, standings: &HashMap<&str, Standing>) -> Ready {
    let mut limits: Vec<Limited> = Vec::with_capacity(rule.limits.len());
    for limit in &rule.limits {
        let Some(at) = standings.get(limit.channel.as_str()) else {
            continue;
        };
        limits.push(Limited {
            at: *at,
            parent: None,
            cap: limit.cap,
            protection: limit.protection.map(|kept| (kept.amount, kept.against)),
        });
    }
    limits.sort_by_key(|limit| limit.at.low);
    let mut open: Vec<(usize, Standing)> = Vec::new();
    for (place, limit) in limits.iter_mut().enumerate() {
        while open
            .last()
            .is_some_and(|(_, above)| !above.contains(limit.at.low))
        {
            open.pop();
        }
        limit.parent = open.last().map(|(place, _)| *place);
        open.push((place, limit.at));
    }
    Ready {
        id: rule.id.as_str().into(),
        from: rule.from,
        until: rule.until,
        every: rule.every.map(super::Every::millis),
        limits: limits.into(),
    }
}

/// Rules by what they are about, those with a period before those without.
struct Scopes<'a> {
    /// Of single SKUs, then of the list or tag that each is in.
    listed: BTreeMap<&'a str, Vec<usize>>,
    prefixes: BTreeMap<&'a str, Vec<usize>>,
    default: Vec<usize>,
}

impl<'a> Scopes<'a> {
    fn of(document: &'a Document) -> Self {
        let mut rules: Vec<(usize, &Rule)> = document.rules.iter().enumerate().collect();
        rules.sort_by_key(|(_, rule)| (rule.from.is_none() && rule.until.is_none(), rule.from));
        let mut scopes = Self {
            listed: BTreeMap::new(),
            prefixes: BTreeMap::new(),
            default: Vec::new(),
        };
        for (at, rule) in &rules {
            match &rule.scope {
                Scope::Sku(sku) => scopes.listed.entry(sku).or_default().push(*at),
                Scope::Default => scopes.default.push(*at),
                Scope::Set(_) => {}
            }
        }
        for (at, rule) in &rules {
            if let Scope::Set(name) = &rule.scope {
                scopes.add_set(document, name, *at);
            }
        }
        scopes
    }

    fn add_set(&mut self, document: &'a Document, name: &str, rule: usize) {
        let set = document.sets.iter().find(|set| set.name == name);
        let skus: &[String] = match set.map(|set| &set.selector) {
            Some(Selector::Prefix(prefix)) => {
                self.prefixes.entry(prefix).or_default().push(rule);
                &[]
            }
            Some(Selector::Skus(skus)) => skus,
            Some(Selector::Tag(tag)) => {
                let tag = document.tags.iter().find(|known| known.name == *tag);
                tag.map_or(&[], |tag| &tag.skus)
            }
            None => &[],
        };
        for sku in skus {
            self.listed.entry(sku).or_default().push(rule);
        }
    }

    /// The rules of all prefixes of a text, the longest first, then those of everything.
    fn beneath(&self, text: &str) -> impl Iterator<Item = usize> {
        let mut fitting: Vec<_> = self
            .prefixes
            .iter()
            .filter(|(prefix, _)| text.starts_with(**prefix))
            .collect();
        fitting.sort_by_key(|(prefix, _)| std::cmp::Reverse(prefix.len()));
        let rules: Vec<usize> = fitting
            .into_iter()
            .flat_map(|(_, rules)| rules.iter().copied())
            .collect();
        rules.into_iter().chain(self.default.iter().copied())
    }

    fn skus(&self) -> ByText {
        let class = |(sku, own): (&&str, &Vec<usize>)| {
            let class = own.iter().copied().chain(self.beneath(sku));
            (Box::from(*sku), class.collect())
        };
        self.listed.iter().map(class).collect()
    }

    fn prefixes(&self) -> Box<[(usize, ByText)]> {
        let mut by_length: BTreeMap<usize, ByText> = BTreeMap::new();
        for prefix in self.prefixes.keys() {
            let classes = by_length.entry(prefix.len()).or_default();
            classes.insert(Box::from(*prefix), self.beneath(prefix).collect());
        }
        by_length.into_iter().rev().collect()
    }
}
