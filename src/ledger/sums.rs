//! Units of a SKU, summed over reservation lines, against its counters: the same for every backend.

use std::collections::{BTreeSet, HashMap};

use super::Recount;
use crate::domain::{ChannelIx, Day, Line, NodeIx, Stock, Units};

/// See the module's documentation.
#[derive(Debug, Default)]
pub(super) struct Sums {
    held: u64,
    committed: u64,
    pinned: HashMap<NodeIx, u64>,
    used: HashMap<ChannelIx, u64>,
    dated: HashMap<(Day, Option<NodeIx>), u64>,
}

impl Sums {
    pub(super) fn add(&mut self, line: &Line, channel: ChannelIx) {
        self.held += line.held.get();
        self.committed += line.committed.get();
        if let Some(node) = line.pin.filter(|_| !line.open().is_zero()) {
            *self.pinned.entry(node).or_default() += line.open().get();
        }
        *self.used.entry(line.user(channel)).or_default() += line.open().get();
        if let Some(day) = line.day.filter(|_| !line.open().is_zero()) {
            *self.dated.entry((day, line.pin)).or_default() += line.open().get();
        }
    }

    /// Says where they differ from the counters of the SKU, and counts it.
    pub(super) fn judge(&self, sku: &str, stock: Option<&Stock>, today: Day, found: &mut Recount) {
        let Some(stock) = stock else {
            if self.held + self.committed > 0 {
                found.violation(|| format!("sku {sku}: reserved, but it has no stock"));
            }
            return;
        };
        for (what, counter, records) in [
            ("held", stock.held(), self.held),
            ("committed", stock.committed(), self.committed),
        ] {
            if counter.get() != records {
                found.violation(|| {
                    format!("sku {sku}: {what} counter is {counter}, its lines sum to {records}")
                });
            }
        }
        for place in stock.nodes() {
            let records = self.pinned.get(&place.node).copied().unwrap_or(0);
            if place.pinned.get() != records {
                let (node, counter) = (place.node.0, place.pinned);
                found.violation(|| {
                    format!("sku {sku} node {node}: pinned is {counter}, lines sum to {records}")
                });
            }
        }
        self.judge_uses(sku, stock, found);
        self.judge_promises(sku, stock, found);
        found.skus += 1;
        found.units_promised += stock.promised().get();
        found.units_on_hand += stock.on_hand().get();
        found.deficits += u64::from(stock.deficit(today) > Units::ZERO);
    }

    fn judge_uses(&self, sku: &str, stock: &Stock, found: &mut Recount) {
        let uses = stock.uses().channels();
        let counted = |channel| { uses.iter() }.find(|of| of.channel == channel);
        let known = uses.iter().map(|of| of.channel);
        let all: BTreeSet<ChannelIx> = known.chain(self.used.keys().copied()).collect();
        for channel in all {
            let counter = counted(channel).map_or(0, |of| of.open.get());
            let records = self.used.get(&channel).copied().unwrap_or(0);
            if counter != records {
                let channel = channel.0;
                found.violation(|| {
                    format!(
                        "sku {sku} channel {channel}: used are {counter}, lines sum to {records}"
                    )
                });
            }
        }
    }

    fn judge_promises(&self, sku: &str, stock: &Stock, found: &mut Recount) {
        let promises = stock.calendar().promises().iter();
        let counted: HashMap<_, _> = promises
            .map(|promise| ((promise.day, promise.pin), promise.units.get()))
            .collect();
        if counted != self.dated {
            let (counters, records) = (counted.len(), self.dated.len());
            found.violation(|| {
                format!(
                    "sku {sku}: what is promised for days ({counters} of them) is not what its \
                     lines sum to ({records})"
                )
            });
        }
    }
}
