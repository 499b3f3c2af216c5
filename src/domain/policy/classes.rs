//! SKUs for which the same rules and the same campaigns are written are of one class.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use super::layer::Layer;

/// What is written for a SKU.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Class {
    /// The scopes; the rule in force is that of the first that has one.
    pub(super) scopes: Arc<[u32]>,
    /// The campaigns, in order of time.
    pub(super) campaigns: Arc<[u32]>,
}

/// The number of a class in its policy: whoever has it need not look for the SKU again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClassIx(u32);

/// The class of every SKU.
#[derive(Debug)]
pub(super) struct Classes {
    all: Box<[Class]>,
    listed: HashMap<Box<str>, u32>,
    prefixes: HashMap<Box<str>, u32>,
    /// Lengths of the prefixes, longest first.
    lengths: Box<[usize]>,
    /// Of a SKU that nothing names: only defaults.
    rest: u32,
}

impl Classes {
    /// From the layers of rules, the first of which goes first, and from the campaigns, whose
    /// numbers are in order of time.
    pub(super) fn new(layers: &[Layer<'_>], campaigns: &Layer<'_>) -> Self {
        let mut found = Found::default();
        let all = || layers.iter().chain([campaigns]);
        // In order, so that a document is always compiled to the same numbers.
        let mut skus: Vec<_> = all().flat_map(Layer::skus).collect();
        skus.sort_unstable();
        skus.dedup();
        let mut named = |sku: &str| {
            let of = |layer: &Layer<'_>| -> Vec<_> {
                layer.naming(sku).chain(layer.covering(sku)).collect()
            };
            found.number(layers.iter().flat_map(of), of(campaigns))
        };
        let listed = skus.into_iter().map(|sku| (sku.into(), named(sku)));
        let listed = listed.collect();
        let mut covered = |text: &str| {
            let scopes = layers.iter().flat_map(|layer| layer.covering(text));
            found.number(scopes, campaigns.covering(text))
        };
        let rest = covered("");
        let prefixes: BTreeSet<_> = all().flat_map(Layer::prefixes).collect();
        let lengths: BTreeSet<_> = prefixes.iter().map(|prefix| prefix.len()).collect();
        let prefixes = prefixes.into_iter();
        Self {
            listed,
            prefixes: prefixes.map(|of| (of.into(), covered(of))).collect(),
            lengths: lengths.into_iter().rev().collect(),
            rest,
            all: found.all.into(),
        }
    }

    pub(super) fn all(&self) -> &[Class] {
        &self.all
    }

    /// The SKUs that are named one by one, with the numbers of their classes.
    pub(super) fn listed(&self) -> impl Iterator<Item = (&str, u32)> {
        self.listed.iter().map(|(sku, class)| (&**sku, *class))
    }

    /// The same of prefixes.
    pub(super) fn prefixes(&self) -> impl Iterator<Item = (&str, u32)> {
        self.prefixes.iter().map(|(of, class)| (&**of, *class))
    }

    pub(super) fn lengths(&self) -> &[usize] {
        &self.lengths
    }

    pub(super) const fn rest(&self) -> u32 {
        self.rest
    }

    /// The class of a SKU.
    pub(super) fn of(&self, sku: &str) -> Option<&Class> {
        self.get(self.number_of(sku))
    }

    /// The class with a number.
    pub(super) fn get(&self, ClassIx(number): ClassIx) -> Option<&Class> {
        self.all.get(usize::try_from(number).ok()?)
    }

    /// The number of a SKU's class.
    pub(super) fn number_of(&self, sku: &str) -> ClassIx {
        let prefixed = || {
            let mut prefixes = self.lengths.iter().filter_map(|length| sku.get(..*length));
            prefixes.find_map(|prefix| self.prefixes.get(prefix))
        };
        let number = self.listed.get(sku).or_else(prefixed);
        ClassIx(*number.unwrap_or(&self.rest))
    }
}

/// The classes found so far, none twice.
#[derive(Default)]
struct Found {
    all: Vec<Class>,
    numbers: HashMap<Class, u32>,
    /// Classes that differ in one thing share the other.
    parts: HashSet<Arc<[u32]>>,
}

impl Found {
    fn number(
        &mut self,
        scopes: impl Iterator<Item = u32>,
        campaigns: impl IntoIterator<Item = u32>,
    ) -> u32 {
        let scopes = self.part(scopes.collect());
        let campaigns: BTreeSet<u32> = campaigns.into_iter().collect();
        let campaigns = self.part(campaigns.into_iter().collect());
        let class = Class { scopes, campaigns };
        let next = u32::try_from(self.all.len()).unwrap_or(u32::MAX);
        *self.numbers.entry(class).or_insert_with_key(|class| {
            self.all.push(class.clone());
            next
        })
    }

    fn part(&mut self, numbers: Arc<[u32]>) -> Arc<[u32]> {
        match self.parts.get(&numbers) {
            Some(part) => Arc::clone(part),
            None => {
                self.parts.insert(Arc::clone(&numbers));
                numbers
            }
        }
    }
}
