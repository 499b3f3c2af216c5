//! Recounting: every counter against the records it stands for.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::Ordering;

use super::EmbeddedLedger;
use super::stock_shard::StockShard;
use crate::domain::{Day, Units};
use crate::ledger::sums::Sums;
use crate::ledger::{Gauges, LedgerError, Recount};
use crate::limits::{RECORD_SHARDS, STOCK_SHARDS};

/// Recounts one shard's stocks from its lines.
pub(super) fn check_shard(shard: &StockShard, today: Day) -> Recount {
    let mut found = Recount::default();
    let mut sums: HashMap<u32, Sums> = HashMap::new();
    let mut gauges = Gauges::default();
    for (_, entry) in shard.lines.iter() {
        let line = entry.line();
        if !line.open().is_zero() {
            gauges.open_lines += 1;
            sums.entry(entry.stock)
                .or_default()
                .add(&line, entry.channel);
        }
    }
    for (slot, entry) in shard.stocks.iter() {
        gauges.missing.note(Units::ZERO, entry.stock.deficit_told());
        let sums = sums.remove(&slot).unwrap_or_default();
        sums.judge(entry.sku(), Some(&entry.stock), today, &mut found);
    }
    if shard.gauges != gauges {
        let counters = shard.gauges;
        found.violation(|| format!("counters are {counters:?}, there are {gauges:?}"));
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
        let today = Day::of(self.now());
        for number in 0..STOCK_SHARDS {
            let shard = self.state.pool.stock_shard(number)?;
            found.add(check_shard(&shard, today));
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
                        entry.reservation().0 == record.id() && usize::from(entry.number()) == at
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
