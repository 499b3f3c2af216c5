//! SKUs that are promised beyond what is there.

use std::collections::BTreeMap;

use super::EmbeddedLedger;
use super::stock_shard::{StockShard, shard_of};
use crate::domain::deficit::Promise;
use crate::domain::{Day, Sku, Stock, Units, UnixMillis};
use crate::ledger::{Deficit, LedgerError, StockView};
use crate::limits::STOCK_SHARDS;

impl EmbeddedLedger {
    /// Those after a name, in the order of their names, at most `limit`. Each shard is seen as it is
    /// at one moment.
    pub fn deficits(&self, after: &str, limit: usize) -> Result<Vec<Deficit>, LedgerError> {
        self.reap()?;
        let today = Day::of(self.now());
        let mut first: BTreeMap<Box<str>, Deficit> = BTreeMap::new();
        for number in 0..STOCK_SHARDS {
            let shard = self.state.pool.stock_shard(number)?;
            for (slot, entry) in shard.stocks.iter() {
                let sku = entry.sku();
                if sku <= after || entry.stock.deficit(today).is_zero() {
                    continue;
                }
                let last = first.last_key_value();
                if first.len() < limit || last.is_some_and(|(last, _)| *sku < **last) {
                    first.insert(
                        sku.into(),
                        deficit_at(&shard, slot, (sku, &entry.stock), today),
                    );
                    if first.len() > limit {
                        first.pop_last();
                    }
                }
            }
        }
        let mut found: Vec<_> = first.into_values().collect();
        self.date(&mut found)?;
        Ok(found)
    }

    /// That of one SKU; `None`: unknown, or nothing is missing.
    pub fn deficit(&self, sku: Sku<'_>) -> Result<Option<Deficit>, LedgerError> {
        self.reap()?;
        let today = Day::of(self.now());
        let hash = self.state.hasher.sku(sku.as_str());
        let found = {
            let shard = self.state.pool.stock_shard(shard_of(hash))?;
            let slot = shard.find(hash, sku.as_str());
            let stock = slot.and_then(|slot| Some((slot, shard.stock(slot)?)));
            stock
                .filter(|(_, stock)| stock.deficit(today) > Units::ZERO)
                .map(|(slot, stock)| deficit_at(&shard, slot, (sku.as_str(), stock), today))
        };
        let Some(mut found) = found else {
            return Ok(None);
        };
        self.date(std::slice::from_mut(&mut found))?;
        Ok(Some(found))
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

fn deficit_at(shard: &StockShard, slot: u32, (sku, stock): (&str, &Stock), today: Day) -> Deficit {
    let lines = shard.lines.iter().map(|(_, entry)| entry);
    let promises = lines.filter(|entry| entry.stock == slot).map(|entry| {
        let line = entry.line();
        Promise {
            reservation: entry.reservation(),
            channel: entry.channel,
            made: UnixMillis::default(),
            pin: line.pin,
            day: line.day,
            held: line.held,
            committed: line.committed,
        }
    });
    Deficit {
        sku: sku.into(),
        stock: StockView::of(stock, today),
        promises: promises.filter(|of| !of.open().is_zero()).collect(),
    }
}
