//! The policy as the ledger asks it: resolved, numbered, and never changed again.

use std::collections::HashMap;

use super::campaign::{self, CampaignTerms};
use super::check::{self, Fault};
use super::classes::{ClassIx, Classes};
use super::document::{Document, Every, Period, Rule, Scope};
use super::fallback::Fallbacks;
use super::layer::Layer;
use super::limits::Limits;
use super::terms::TermsInTime;
use super::tree::{LAST, Place, Tree};
use crate::domain::ids::ChannelIx;
use crate::domain::time::UnixMillis;

/// A policy without faults.
#[derive(Debug)]
pub struct Policy {
    /// By number.
    entries: Box<[Named]>,
    /// By channel.
    pub(super) numbers: Box<[Option<u16>]>,
    pub(super) fallbacks: Fallbacks,
    pub(super) scopes: Box<[ScopeRules]>,
    /// In order of time.
    pub(super) campaigns: Box<[CampaignTerms]>,
    /// Whether any of them, or any rule, says more than limits.
    pub(super) has_terms: bool,
    pub(super) classes: Classes,
}

#[derive(Debug)]
struct Named {
    name: Box<str>,
    place: Place,
    /// If it was known when this was compiled.
    channel: Option<ChannelIx>,
}

/// The rules of one scope, of which one at most is in force at a time.
#[derive(Debug, Default)]
pub(super) struct ScopeRules {
    /// In order of their periods, which do not overlap.
    pub dated: Vec<RuleInTime>,
    pub always: Option<Always>,
    /// What they say beside limits.
    pub terms: Vec<TermsInTime>,
}

#[derive(Debug)]
pub(super) struct Always {
    id: Box<str>,
    pub limits: Limits,
}

#[derive(Debug)]
pub(super) struct RuleInTime {
    id: Box<str>,
    pub from: UnixMillis,
    pub until: UnixMillis,
    pub every: Option<Every>,
    pub limits: Limits,
}

/// An entry of the tree, by which a limit is named.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EntryIx(pub(super) u16);

/// A rule at a moment: its name, the beginning of its window, its limits.
pub(super) type Found<'p> = (&'p str, UnixMillis, &'p Limits);

/// The rule that is in force for a SKU at a moment.
#[derive(Debug, Clone, Copy)]
pub struct InForce<'p> {
    pub(super) policy: &'p Policy,
    pub(super) limits: &'p Limits,
    window: UnixMillis,
    id: &'p str,
}

impl<'p> InForce<'p> {
    /// The name of the rule, or of the campaign whose limits these are.
    pub const fn id(&self) -> &'p str {
        self.id
    }

    /// The entries that have limits in it, as channels, in the order of the tree.
    pub fn entries(&self) -> impl Iterator<Item = ChannelIx> {
        let entries = self
            .limits
            .each()
            .iter()
            .map(|limit| EntryIx(limit.place.low));
        entries.filter_map(|entry| self.policy.channel(entry))
    }

    /// The beginning of the window that use and supply are counted in; 0 without a period.
    pub const fn window(&self) -> UnixMillis {
        self.window
    }

    /// Whose shares a channel may use when its own does not do, in that order.
    pub fn fallbacks(&self, channel: ChannelIx) -> &'p [ChannelIx] {
        self.policy.fallbacks(channel)
    }

    /// Its limits.
    pub const fn limits(&self) -> &'p Limits {
        self.limits
    }
}

impl Policy {
    /// Checks and compiles a document.
    ///
    /// `channel_index` knows the channels that have sold so far. A channel that gets its index
    /// later has no limits of its own before the document is compiled again.
    pub fn compile(
        document: &Document,
        channel_index: impl Fn(&str) -> Option<ChannelIx>,
    ) -> Result<Self, Vec<Fault>> {
        let tree = Tree::new(&document.channels);
        let faults = check::check(document, &tree);
        if !faults.is_empty() {
            return Err(faults);
        }
        let mut scopes = Vec::new();
        let changes = document.change_sets.iter().flat_map(|set| {
            let rules = set.rules.iter();
            rules.map(|rule| (rule, Some(set.period(rule))))
        });
        let changes = layer(document, &tree, changes, &mut scopes);
        let rules = document.rules.iter().map(|rule| (rule, rule.period()));
        let rules = layer(document, &tree, rules, &mut scopes);
        let (campaigns, sold) = campaign::compile(document, &tree);
        let entries = entries(document, &tree, &channel_index);
        let has_terms = scopes.iter().any(|of: &ScopeRules| !of.terms.is_empty())
            || campaigns.iter().any(|of| !of.terms.is_none());
        Ok(Self {
            has_terms,
            fallbacks: Fallbacks::new(document, &tree, &channel_index),
            numbers: numbers(&entries),
            entries,
            scopes: scopes.into(),
            campaigns,
            classes: Classes::new(&[changes, rules], &sold),
        })
    }

    /// The name of an entry.
    pub fn name(&self, entry: EntryIx) -> &str {
        let named = self.entries.get(usize::from(entry.0));
        named.map_or("", |named| &named.name)
    }

    /// The class of a SKU.
    pub fn class_of(&self, sku: &str) -> ClassIx {
        self.classes.number_of(sku)
    }

    /// The rule in force: that of a campaign, or of a change set, or an ordinary one; in each layer
    /// of the most specific scope that has one at that moment.
    pub fn in_force(&self, sku: &str, now: UnixMillis) -> Option<InForce<'_>> {
        self.in_force_in(self.class_of(sku), now)
    }

    /// The same for the SKUs of a class.
    pub fn in_force_in(&self, class: ClassIx, now: UnixMillis) -> Option<InForce<'_>> {
        let class = self.classes.get(class)?;
        let campaign = self.running(class, now).and_then(|of| of.rule(now));
        let (id, window, limits) = campaign.or_else(|| {
            let mut scopes = class.scopes.iter();
            scopes.find_map(|scope| self.scopes.get(usize::try_from(*scope).ok()?)?.at(now))
        })?;
        Some(InForce {
            policy: self,
            limits,
            window,
            id,
        })
    }

    /// Whose shares a channel may use when its own does not do, in that order.
    pub fn fallbacks(&self, channel: ChannelIx) -> &[ChannelIx] {
        self.fallbacks.of(channel)
    }

    /// The channel that an entry is, if it was known when this was compiled.
    pub fn channel(&self, entry: EntryIx) -> Option<ChannelIx> {
        self.entries.get(usize::from(entry.0))?.channel
    }

    /// The number of a channel, if it is an entry of the tree, and its rank.
    pub(super) fn find(&self, channel: ChannelIx) -> (Option<u16>, u16) {
        let number = self.numbers.get(usize::from(channel.0)).copied().flatten();
        let place = number.and_then(|number| self.place(number));
        (number, place.map_or(LAST, |place| place.rank))
    }

    /// The rank of a channel; one that is no entry of the tree comes last.
    pub fn rank(&self, channel: ChannelIx) -> u16 {
        self.find(channel).1
    }

    /// Where the entry of that number stands.
    pub(super) fn place(&self, number: u16) -> Option<Place> {
        let named = self.entries.get(usize::from(number))?;
        Some(named.place)
    }
}

/// Compiles the rules of one layer, each with its period, onto the scopes that there are.
fn layer<'d>(
    document: &'d Document,
    tree: &Tree<'_>,
    rules: impl Iterator<Item = (&'d Rule, Option<Period>)>,
    scopes: &mut Vec<ScopeRules>,
) -> Layer<'d> {
    let mut known: HashMap<&Scope, usize> = HashMap::new();
    for (rule, period) in rules {
        let at = *known.entry(&rule.scope).or_insert_with(|| {
            scopes.push(ScopeRules::default());
            scopes.len().saturating_sub(1)
        });
        if let Some(scope) = scopes.get_mut(at) {
            scope.add(rule, period, tree);
        }
    }
    let mut layer = Layer::default();
    for (scope, at) in known {
        if let Some(rules) = scopes.get_mut(at) {
            rules.dated.sort_by_key(|rule| rule.from);
            rules.terms.sort_by_key(TermsInTime::order);
        }
        layer.add_scope(document, scope, u32::try_from(at).unwrap_or(u32::MAX));
    }
    layer
}

impl ScopeRules {
    fn add(&mut self, rule: &Rule, period: Option<Period>, tree: &Tree<'_>) {
        self.terms.extend(TermsInTime::of(rule.terms, period));
        if !rule.says_limits() {
            return;
        }
        let limits = Limits::new(&rule.limits, tree);
        let id = rule.id.as_str().into();
        match period {
            None => self.always = Some(Always { id, limits }),
            Some((from, until)) => self.dated.push(RuleInTime {
                id,
                from,
                until,
                every: rule.every,
                limits,
            }),
        }
    }

    /// The rule in force: its name, its window and its limits.
    fn at(&self, now: UnixMillis) -> Option<Found<'_>> {
        let begun = self.dated.partition_point(|rule| rule.from <= now);
        let last = begun.checked_sub(1).and_then(|at| self.dated.get(at));
        if let Some(rule) = last.filter(|rule| now < rule.until) {
            let window = window(rule.from, rule.every, now);
            return Some((&rule.id, window, &rule.limits));
        }
        let always = self.always.as_ref()?;
        Some((&always.id, UnixMillis::default(), &always.limits))
    }
}

/// The beginning of the window that a moment after `from` is in.
pub(super) fn window(from: UnixMillis, every: Option<Every>, now: UnixMillis) -> UnixMillis {
    let since = now.0.saturating_sub(from.0);
    let into = every.and_then(|every| since.checked_rem(every.as_millis()));
    UnixMillis(into.map_or(from.0, |into| now.0.saturating_sub(into)))
}

/// The entries by number.
fn entries(
    document: &Document,
    tree: &Tree<'_>,
    channel_index: impl Fn(&str) -> Option<ChannelIx>,
) -> Box<[Named]> {
    let channels = document.channels.iter().enumerate();
    let named = channels.filter_map(|(at, entry)| {
        Some(Named {
            name: entry.name.as_str().into(),
            place: tree.place(at)?,
            channel: channel_index(&entry.name),
        })
    });
    let mut entries: Vec<_> = named.collect();
    entries.sort_by_key(|named| named.place.low);
    entries.into()
}

/// The numbers of the entries by channel.
fn numbers(entries: &[Named]) -> Box<[Option<u16>]> {
    let mut numbers = Vec::new();
    for named in entries {
        let Some(ChannelIx(channel)) = named.channel else {
            continue;
        };
        let channel = usize::from(channel);
        if numbers.len() <= channel {
            numbers.resize(channel.saturating_add(1), None);
        }
        if let Some(number) = numbers.get_mut(channel) {
            *number = Some(named.place.low);
        }
    }
    numbers.into()
}
