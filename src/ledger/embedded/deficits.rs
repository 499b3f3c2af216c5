//! SKUs that are promised beyond what is there.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::EmbeddedLedger;
use super::stock_shard::{LineEntry, StockShard, shard_of};
use crate::domain::deficit::Promise;
use crate::domain::{Day, Sku, UnixMillis};
use crate::ledger::{Deficit, LedgerError, StockView};
use crate::limits::STOCK_SHARDS;

impl EmbeddedLedger {
    /// Those after a name, in the order of their names, at most `limit`. Each shard is seen twice, as
    /// it is at a moment: what is found first may be mended when its promises are looked for.
    pub fn deficits(&self, after: &str, limit: usize) -> Result<Vec<Deficit>, LedgerError> {
        self.reap()?;
        let today = Day::of(self.now());
        let mut by_shard: BTreeMap<usize, Vec<Box<str>>> = BTreeMap::new();
        for sku in self.short_of(after, limit, today)? {
            let shard = shard_of(self.state.hasher.sku(&sku));
            by_shard.entry(shard).or_default().push(sku);
        }
        let mut found = Vec::new();
        for (number, skus) in by_shard {
            let shard = self.state.pool.stock_shard(number)?;
            found.extend(self.promises_of(&shard, &skus, today));
        }
        found.sort_unstable_by(|one, other| one.sku.cmp(&other.sku));
        self.date(&mut found)?;
        Ok(found)
    }

    /// That of one SKU; `None`: unknown, or nothing is missing.
    pub fn deficit(&self, sku: Sku<'_>) -> Result<Option<Deficit>, LedgerError> {
        self.reap()?;
        let today = Day::of(self.now());
        let number = shard_of(self.state.hasher.sku(sku.as_str()));
        let mut found = {
            let shard = self.state.pool.stock_shard(number)?;
            self.promises_of(&shard, &[sku.as_str().into()], today)
        };
        found.retain(|of| !of.stock.deficit.is_zero());
        self.date(&mut found)?;
        Ok(found.pop())
    }

    /// The names of those with a deficit.
    fn short_of(
        &self,
        after: &str,
        limit: usize,
        today: Day,
    ) -> Result<BTreeSet<Box<str>>, LedgerError> {
        let mut first: BTreeSet<Box<str>> = BTreeSet::new();
        for number in 0..STOCK_SHARDS {
            let shard = self.state.pool.stock_shard(number)?;
            for (_, entry) in shard.stocks.iter() {
                let sku = entry.sku();
                if sku <= after || entry.stock.deficit(today).is_zero() {
                    continue;
                }
                if first.len() < limit || first.last().is_some_and(|last| *sku < **last) {
                    first.insert(sku.into());
                }
                if first.len() > limit {
                    first.pop_last();
                }
            }
        }
        Ok(first)
    }

    /// The stocks of these SKUs of a shard with their promises, in one pass over all lines.
    fn promises_of(&self, shard: &StockShard, skus: &[Box<str>], today: Day) -> Vec<Deficit> {
        let known = skus.iter().filter_map(|sku| {
            let slot = shard.find(self.state.hasher.sku(sku), sku)?;
            let deficit = Deficit {
                sku: sku.clone(),
                stock: StockView::of(shard.stock(slot)?, today),
                promises: Vec::new(),
            };
            Some((slot, deficit))
        });
        let mut known: HashMap<u32, Deficit> = known.collect();
        for (_, entry) in shard.lines.iter() {
            if let Some(deficit) = known.get_mut(&entry.stock) {
                deficit.promises.extend(promise(entry));
            }
        }
        known.into_values().collect()
    }

    /// Says when each promise was made: a record is locked before the stock that it names, so that
    /// is looked up afterwards. What was forgotten meanwhile is no promise any more.
    fn date(&self, found: &mut [Deficit]) -> Result<(), LedgerError> {
        for deficit in found {
            let mut dated = Vec::with_capacity(deficit.promises.len());
            for mut promise in std::mem::take(&mut deficit.promises) {
                let id = promise.reservation.0;
                let records = self.state.pool.records(&[id])?;
                if let Some(record) = records.of(id).and_then(|shard| shard.get(id)) {
                    promise.made = record.at;
                    promise.channel = record.head().map_or(promise.channel, |head| head.channel);
                    dated.push(promise);
                }
            }
            deficit.promises = dated;
        }
        Ok(())
    }
}

/// What a line promises, if it has open units. When it was made is not known here.
fn promise(entry: &LineEntry) -> Option<Promise> {
    let line = entry.line();
    let promise = Promise {
        reservation: entry.reservation(),
        channel: entry.channel,
        charged_to: line.charged_to,
        made: UnixMillis::default(),
        pin: line.pin,
        day: line.day,
        held: line.held,
        committed: line.committed,
    };
    Some(promise).filter(|of| !of.open().is_zero())
}
