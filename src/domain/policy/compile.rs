//! The policy as the ledger asks it: resolved, numbered, and never changed again.

use std::collections::{BTreeSet, HashMap};

use super::check::{self, Fault};
use super::document::{Amount, Document, Every, LimitOn, Protection, Rule, Scope, Selector};
use super::tree::{LAST, Place, Tree};
use crate::domain::ids::ChannelIx;
use crate::domain::time::UnixMillis;

/// A policy without faults.
#[derive(Debug)]
pub struct Policy {
    /// By number.
    entries: Box<[Named]>,
    /// By channel.
    numbers: Box<[Option<u16>]>,
    scopes: Box<[ScopeRules]>,
    listed: HashMap<Box<str>, Listed>,
    prefixes: HashMap<Box<str>, usize>,
    /// Lengths of the prefixes, longest first.
    prefix_lengths: Box<[usize]>,
    default: Option<usize>,
}

#[derive(Debug)]
struct Named {
    name: Box<str>,
    place: Place,
}

/// The scopes that name a SKU.
#[derive(Debug, Default)]
struct Listed {
    sku: Option<usize>,
    list: Option<usize>,
}

/// The rules of one scope, of which one at most is in force at a time.
#[derive(Debug, Default)]
struct ScopeRules {
    /// In order of their periods, which do not overlap.
    dated: Vec<RuleInTime>,
    always: Option<Box<[EntryLimit]>>,
}

#[derive(Debug)]
struct RuleInTime {
    from: UnixMillis,
    until: UnixMillis,
    every: Option<i64>,
    limits: Box<[EntryLimit]>,
}

/// An entry of the tree, by which a limit is named.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EntryIx(pub(super) u16);

/// The limits of one entry in one rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct EntryLimit {
    pub place: Place,
    /// The nearest entry above it that has limits in this rule, by position there.
    pub parent: Option<u16>,
    /// How many such entries are above it.
    pub depth: u16,
    pub cap: Option<Amount>,
    pub protection: Option<Protection>,
}

/// The rule that is in force for a SKU at a moment.
#[derive(Debug, Clone, Copy)]
pub struct InForce<'p> {
    pub(super) policy: &'p Policy,
    /// In preorder.
    pub(super) limits: &'p [EntryLimit],
    window: UnixMillis,
}

impl InForce<'_> {
    /// The beginning of the window that use and supply are counted in; 0 without a period.
    pub const fn window(&self) -> UnixMillis {
        self.window
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
        let mut policy = Self {
            entries: names(document, &tree),
            numbers: numbers(document, &tree, channel_index),
            scopes: Box::default(),
            listed: HashMap::new(),
            prefixes: HashMap::new(),
            prefix_lengths: Box::default(),
            default: None,
        };
        policy.add_rules(document, &tree);
        Ok(policy)
    }

    /// The name of an entry.
    pub fn name(&self, entry: EntryIx) -> &str {
        let named = self.entries.get(usize::from(entry.0));
        named.map_or("", |named| &named.name)
    }

    /// The rule in force: of the most specific scope that has one at that moment.
    pub fn in_force(&self, sku: &str, now: UnixMillis) -> Option<InForce<'_>> {
        let listed = self.listed.get(sku);
        let named = listed.into_iter().flat_map(|of| [of.sku, of.list]);
        let prefixes = self.prefix_lengths.iter().map(|length| {
            let prefix = sku.get(..*length)?;
            self.prefixes.get(prefix).copied()
        });
        let mut scopes = named.chain(prefixes).chain([self.default]).flatten();
        let (window, limits) = scopes.find_map(|scope| self.scopes.get(scope)?.at(now))?;
        Some(InForce {
            policy: self,
            limits,
            window,
        })
    }

    /// The number of a channel, if it is an entry of the tree, and its rank.
    pub(super) fn find(&self, channel: ChannelIx) -> (Option<u16>, u16) {
        let number = self.numbers.get(usize::from(channel.0)).copied().flatten();
        let place = number.and_then(|number| self.place(number));
        (number, place.map_or(LAST, |place| place.rank))
    }

    /// Where the entry of that number stands.
    pub(super) fn place(&self, number: u16) -> Option<Place> {
        let named = self.entries.get(usize::from(number))?;
        Some(named.place)
    }

    fn add_rules(&mut self, document: &Document, tree: &Tree<'_>) {
        let mut scopes: Vec<ScopeRules> = Vec::new();
        let mut known: HashMap<&Scope, usize> = HashMap::new();
        for rule in &document.rules {
            let at = *known.entry(&rule.scope).or_insert_with(|| {
                scopes.push(ScopeRules::default());
                scopes.len().saturating_sub(1)
            });
            if let Some(scope) = scopes.get_mut(at) {
                scope.add(rule, tree);
            }
        }
        for scope in &mut scopes {
            scope.dated.sort_by_key(|rule| rule.from);
        }
        for (scope, at) in known {
            self.add_scope(document, scope, at);
        }
        let lengths: BTreeSet<_> = self.prefixes.keys().map(|prefix| prefix.len()).collect();
        self.prefix_lengths = lengths.into_iter().rev().collect();
        self.scopes = scopes.into();
    }

    fn add_scope(&mut self, document: &Document, scope: &Scope, at: usize) {
        match scope {
            Scope::Sku(sku) => self.listed.entry(sku.as_str().into()).or_default().sku = Some(at),
            Scope::Default => self.default = Some(at),
            Scope::Set(name) => match document.set(name).map(|set| &set.selector) {
                Some(Selector::Prefix(prefix)) => {
                    self.prefixes.insert(prefix.as_str().into(), at);
                }
                Some(selector) => {
                    for sku in document.listed(selector) {
                        self.listed.entry(sku.as_str().into()).or_default().list = Some(at);
                    }
                }
                None => {}
            },
        }
    }
}

impl ScopeRules {
    fn add(&mut self, rule: &Rule, tree: &Tree<'_>) {
        let limits = limits(&rule.limits, tree);
        match rule.from {
            None => self.always = Some(limits),
            Some(from) => self.dated.push(RuleInTime {
                from,
                until: rule.until.unwrap_or(UnixMillis(i64::MAX)),
                every: rule.every.map(Every::as_millis),
                limits,
            }),
        }
    }

    /// The window and the limits of the rule in force.
    fn at(&self, now: UnixMillis) -> Option<(UnixMillis, &[EntryLimit])> {
        let begun = self.dated.partition_point(|rule| rule.from <= now);
        let last = begun.checked_sub(1).and_then(|at| self.dated.get(at));
        if let Some(rule) = last.filter(|rule| now < rule.until) {
            return Some((rule.window(now), &rule.limits));
        }
        let always = self.always.as_deref()?;
        Some((UnixMillis::default(), always))
    }
}

impl RuleInTime {
    fn window(&self, now: UnixMillis) -> UnixMillis {
        let since = now.0.saturating_sub(self.from.0);
        let into = self.every.and_then(|every| since.checked_rem(every));
        UnixMillis(into.map_or(self.from.0, |into| now.0.saturating_sub(into)))
    }
}

fn names(document: &Document, tree: &Tree<'_>) -> Box<[Named]> {
    let named = document
        .channels
        .iter()
        .enumerate()
        .filter_map(|(at, entry)| {
            Some(Named {
                name: entry.name.as_str().into(),
                place: tree.place(at)?,
            })
        });
    let mut entries: Vec<_> = named.collect();
    entries.sort_by_key(|named| named.place.low);
    entries.into()
}

fn numbers(
    document: &Document,
    tree: &Tree<'_>,
    channel_index: impl Fn(&str) -> Option<ChannelIx>,
) -> Box<[Option<u16>]> {
    let mut numbers = Vec::new();
    for (at, entry) in document.channels.iter().enumerate() {
        let Some(ChannelIx(channel)) = channel_index(&entry.name) else {
            continue;
        };
        let channel = usize::from(channel);
        if numbers.len() <= channel {
            numbers.resize(channel.saturating_add(1), None);
        }
        if let Some(number) = numbers.get_mut(channel) {
            *number = tree.place(at).map(|place| place.low);
        }
    }
    numbers.into()
}

/// The limits of a rule in preorder, each with the nearest one above it.
fn limits(limits: &[LimitOn], tree: &Tree<'_>) -> Box<[EntryLimit]> {
    let placed = limits.iter().filter_map(|limit| {
        Some(EntryLimit {
            place: tree.find(&limit.channel).and_then(|at| tree.place(at))?,
            parent: None,
            depth: 0,
            cap: limit.cap,
            protection: limit.protection,
        })
    });
    let mut placed: Vec<_> = placed.collect();
    placed.sort_by_key(|limit| limit.place.low);
    let mut path: Vec<(u16, Place)> = Vec::new();
    for (at, limit) in placed.iter_mut().enumerate() {
        while path
            .pop_if(|(_, above)| !above.contains(limit.place.low))
            .is_some()
        {}
        limit.parent = path.last().map(|(above, _)| *above);
        limit.depth = u16::try_from(path.len()).unwrap_or(u16::MAX);
        path.push((u16::try_from(at).unwrap_or(u16::MAX), limit.place));
    }
    placed.into()
}
