//! Recounting: every counter against the records it stands for.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::Ordering;

use super::EmbeddedLedger;
use super::stock_shard::StockShard;
use crate::domain::{NodeIx, Units};
use crate::ledger::{LedgerError, Recount};
use crate::limits::{RECORD_SHARDS, STOCK_SHARDS};

#[derive(Default, Clone, Copy)]
struct Sums {
    held: u64,
    committed: u64,
}

/// Recounts one shard's stocks from its lines.
pub(super) fn check_shard(shard: &StockShard) -> Recount {
    let mut found = Recount::default();
    let mut sums: HashMap<u32, Sums> = HashMap::new();
    let mut pinned: HashMap<(u32, NodeIx), u64> = HashMap::new();
    let mut open_lines = 0;
    for (_, entry) in shard.lines.iter() {
        let line = entry.line();
        let open = line.open();
        if open.is_zero() {
            continue;
        }
        open_lines += 1;
        let sum = sums.entry(entry.stock).or_default();
        sum.held += line.held.get();
        sum.committed += line.committed.get();
        if let Some(node) = line.pin {
            *pinned.entry((entry.stock, node)).or_default() += open.get();
        }
    }
    if shard.open_lines != open_lines {
        let counter = shard.open_lines;
        found.violation(|| format!("open lines counter is {counter}, there are {open_lines}"));
    }
    for (slot, entry) in shard.stocks.iter() {
        let (stock, sku) = (&entry.stock, entry.sku());
        let sum = sums.get(&slot).copied().unwrap_or_default();
        for (what, counter, records) in [
            ("held", stock.held(), sum.held),
            ("committed", stock.committed(), sum.committed),
        ] {
            if counter.get() != records {
                found.violation(|| {
                    format!("sku {sku}: {what} counter is {counter}, its lines sum to {records}")
                });
            }
        }
        for place in stock.nodes() {
            let records = pinned.get(&(slot, place.node)).copied().unwrap_or(0);
            if place.pinned.get() != records {
                let (node, counter) = (place.node.0, place.pinned);
                found.violation(|| {
                    format!("sku {sku} node {node}: pinned is {counter}, lines sum to {records}")
                });
            }
        }
        found.skus += 1;
        found.units_promised += stock.promised().get();
        found.units_on_hand += stock.on_hand().get();
        found.deficits += u64::from(stock.deficit() > Units::ZERO);
    }
    found
}

impl EmbeddedLedger {
    /// Recounts everything, shard by shard, while others may go on.
    pub fn recount(&self) -> Result<Recount, LedgerError> {
        let mut found = Recount::default();
        let oversold = &self.state.counts.oversold_in_journal;
        let oversold = oversold.load(Ordering::Relaxed);
        if oversold > 0 {
            found.violation(|| {
                format!("the journal holds {oversold} units beyond what was there: oversold")
            });
        }
        let mut open: HashSet<u128> = HashSet::new();
        for number in 0..STOCK_SHARDS {
            let shard = self.state.pool.stock_shard(number)?;
            found.add(check_shard(&shard));
            let lines = shard
                .lines
                .iter()
                .filter(|(_, entry)| !entry.line().open().is_zero());
            open.extend(lines.map(|(_, entry)| entry.reservation().0));
        }
        found.open = u64::try_from(open.len()).unwrap_or(u64::MAX);
        for number in 0..RECORD_SHARDS {
            let shard = self.state.pool.record_shard(number)?;
            for (_, record) in shard.records.iter() {
                let Some(head) = record.head() else { continue };
                found.reservations += 1;
                for (at, line) in head.lines.as_slice().iter().enumerate() {
                    let stock = self.state.pool.stock_shard(usize::from(line.shard))?;
                    let mine = stock.lines.get(line.slot).is_some_and(|entry| {
                        entry.reservation().0 == record.id() && usize::from(entry.number) == at
                    });
                    if !mine {
                        let id = crate::domain::ReservationId(record.id());
                        found.violation(|| format!("reservation {id}: line {at} is missing"));
                    }
                }
            }
        }
        Ok(found)
    }
}
