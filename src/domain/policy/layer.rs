//! Which rules, or campaigns, a SKU has to do with: they are numbered, and found by what they name.

use std::collections::{BTreeSet, HashMap};

use super::document::{Document, Scope, Selection};

/// Numbers by the SKUs that they are for.
#[derive(Debug, Default)]
pub(super) struct Layer<'d> {
    skus: HashMap<&'d str, u32>,
    lists: HashMap<&'d str, Vec<u32>>,
    prefixes: HashMap<&'d str, Vec<u32>>,
    lengths: BTreeSet<usize>,
    default: Option<u32>,
}

impl<'d> Layer<'d> {
    pub(super) fn add_scope(&mut self, document: &'d Document, scope: &'d Scope, number: u32) {
        match scope {
            Scope::Sku(sku) => {
                self.skus.insert(sku, number);
            }
            Scope::Default => self.default = Some(number),
            Scope::Set(name) => {
                if let Some(set) = document.set(name) {
                    self.add(document.selection(&set.selector), number);
                }
            }
        }
    }

    pub(super) fn add(&mut self, selection: Selection<'d>, number: u32) {
        match selection {
            Selection::Listed(skus) => {
                for sku in skus {
                    let numbers = self.lists.entry(sku).or_default();
                    // A list may name a SKU twice.
                    if numbers.last() != Some(&number) {
                        numbers.push(number);
                    }
                }
            }
            Selection::Prefix(prefix) => {
                self.prefixes.entry(prefix).or_default().push(number);
                self.lengths.insert(prefix.len());
            }
        }
    }

    /// The SKUs that are named one by one.
    pub(super) fn skus(&self) -> impl Iterator<Item = &'d str> {
        self.skus.keys().chain(self.lists.keys()).copied()
    }

    /// The prefixes.
    pub(super) fn prefixes(&self) -> impl Iterator<Item = &'d str> {
        self.prefixes.keys().copied()
    }

    /// What names a SKU itself, the most specific first.
    pub(super) fn naming(&self, sku: &str) -> impl Iterator<Item = u32> {
        let lists = self.lists.get(sku).into_iter().flatten();
        self.skus.get(sku).into_iter().chain(lists).copied()
    }

    /// What is for everything that begins like a text, the most specific first.
    pub(super) fn covering(&self, text: &str) -> impl Iterator<Item = u32> {
        let lengths = self.lengths.iter().rev();
        let prefixes = lengths.filter_map(|length| self.prefixes.get(text.get(..*length)?));
        prefixes.flatten().copied().chain(self.default)
    }
}
