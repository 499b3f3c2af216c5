//! Cutting a history into parts that have nothing to do with each other.

use std::collections::BTreeMap;

use super::words::{Call, History, Key, SKUS, Step, Wish};

/// The SKUs and keys of a history, those that a call connects under one root.
struct Forest {
    roots: Vec<usize>,
}

impl Forest {
    fn root(&self, mut at: usize) -> usize {
        while self.roots[at] != at {
            at = self.roots[at];
        }
        at
    }

    fn join(&mut self, one: usize, other: usize) {
        let (one, other) = (self.root(one), self.root(other));
        self.roots[one.max(other)] = one.min(other);
    }
}

fn of_key(key: Key) -> usize {
    SKUS + usize::from(key)
}

/// What a call names, SKUs first.
fn named(step: Step) -> Vec<usize> {
    match step {
        Step::Clock { .. } => Vec::new(),
        Step::Look { sku } => vec![sku],
        Step::Ask { key, wish } => {
            let mut all = match wish {
                Wish::Set { sku, .. } | Wish::Adjust { sku, .. } => vec![sku],
                Wish::Reserve { units, .. } => (0..SKUS).filter(|sku| units[*sku] > 0).collect(),
                Wish::Act { target, .. } => vec![of_key(target)],
            };
            all.push(of_key(key));
            all
        }
    }
}

/// The parts of a history. What moves the clock is in each of them: they share nothing else, and a
/// ledger promises an order in time for each SKU, since each call reads the clock once, somewhere
/// between its beginning and its end.
pub(crate) fn parts(history: &History) -> Vec<History> {
    let named: Vec<Vec<usize>> = history.calls.iter().map(|call| named(call.step)).collect();
    let most = named.iter().flatten().max().map_or(0, |most| most + 1);
    let mut forest = Forest {
        roots: (0..most).collect(),
    };
    for all in &named {
        all.windows(2)
            .for_each(|pair| forest.join(pair[0], pair[1]));
    }
    let mut parts: BTreeMap<usize, Vec<Call>> = BTreeMap::new();
    for (call, all) in history.calls.iter().zip(&named) {
        if let Some(one) = all.first() {
            parts.entry(forest.root(*one)).or_default().push(*call);
        }
    }
    let clocks = |call: &&Call| matches!(call.step, Step::Clock { .. });
    let clocks: Vec<Call> = history.calls.iter().filter(clocks).copied().collect();
    let with_clocks = |mut calls: Vec<Call>| {
        calls.extend(&clocks);
        History {
            is_retried: history.is_retried,
            ..History::new(history.began, calls)
        }
    };
    parts.into_values().map(with_clocks).collect()
}
