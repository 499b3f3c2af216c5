//! Changes of stock and of settings.

use std::collections::BTreeMap;

use smallvec::SmallVec;

use super::EmbeddedLedger;
use super::pool::StockGuards;
use super::scratch::Scratch;
use super::stock_shard::shard_of;
use crate::domain::command::{CommandKey, PutSettings, StockChange, StockCommand};
use crate::domain::decide::{self, Place};
use crate::domain::line::Inconsistent;
use crate::domain::stock::Change;
use crate::domain::{Day, Sku, Stock, Units};
use crate::ledger::event::{Body, StockChanged, StockItem, StockVerb};
use crate::ledger::{Answer, LedgerError};

impl EmbeddedLedger {
    pub(super) fn change_stock(
        &self,
        key: CommandKey,
        command: &StockCommand<'_>,
    ) -> Result<Answer, LedgerError> {
        let skus = command.change.skus();
        let mut records = self.state.pool.records(&[key.id])?;
        if let Some(answer) = self.answered(&records, key) {
            return answer.map(|answer| answer.in_order_of(&skus));
        }
        let mut stock = self
            .state
            .pool
            .stock(skus.iter().map(|sku| self.shard(*sku)).collect())?;
        let _hold = self.state.pool.hold_timer();
        let now = self.now();
        let mut scratch = Scratch::new();
        self.expire(&mut stock, now, &mut scratch)?;
        self.note_terms_of(&mut stock, &skus, now, &mut scratch);
        let verdict = decide::stock(&command.change, Day::of(now), |sku| {
            self.locked_stock(&stock, sku)
        });
        let places = match verdict {
            Err(refusal) => return self.refuse(&mut records, key, now, refusal, scratch),
            Ok(places) => places,
        };
        for place in &places {
            self.note_terms_of_new(&mut stock, place.sku, now, &mut scratch)?;
            let is_count = matches!(command.change, StockChange::Set(_));
            self.change_locked(&mut stock, place.sku, |stock| {
                let node = place.before.node;
                stock.set_node(node, place.on_hand, place.unavailable)?;
                if is_count {
                    stock.note_count(node, now)?;
                }
                Ok(())
            })?;
        }
        let changed = places
            .iter()
            .filter_map(|place| self.slot(&stock, place.sku));
        let changed: SmallVec<[_; 4]> = changed.collect();
        let changed = changed.into_iter().map(|place| (place, Change::Supply));
        self.settle_skus(&mut stock, changed, now, &mut scratch);
        let body = StockChanged {
            key,
            verb: verb(&command.change),
            reason: command.reason,
            operator: command.operator,
            items: self.items(&stock, &places, Day::of(now)),
        };
        let body = Body::StockChanged(body);
        let answer = self.conclude(&mut records, key, now, body, scratch)?;
        stock.note_change(answer.position.sequence);
        Ok(answer)
    }

    pub(super) fn put_settings(
        &self,
        key: CommandKey,
        put: &PutSettings<'_>,
    ) -> Result<Answer, LedgerError> {
        let sku = put.sku;
        let mut records = self.state.pool.records(&[key.id])?;
        if let Some(answer) = self.answered(&records, key) {
            return answer;
        }
        let mut stock = self
            .state
            .pool
            .stock(SmallVec::from_iter([self.shard(sku)]))?;
        let _hold = self.state.pool.hold_timer();
        let now = self.now();
        let mut scratch = Scratch::new();
        self.expire(&mut stock, now, &mut scratch)?;
        self.note_terms_of(&mut stock, &[sku], now, &mut scratch);
        let before = self.locked_stock(&stock, sku).map(Stock::settings);
        let policy = stock
            .shard(self.shard(sku))
            .and_then(|shard| shard.policy());
        let plan = match decide::settings(put, before, policy, now) {
            Err(refusal) => return self.refuse(&mut records, key, now, refusal, scratch),
            Ok(plan) => plan,
        };
        let before = before.cloned().unwrap_or_default();
        let after = plan.after;
        self.change_locked(&mut stock, sku, |stock| {
            stock.put_settings(after.clone());
            Ok(())
        })?;
        let slot = self
            .slot(&stock, sku)
            .map(|place| (place, Change::Promises));
        self.settle_skus(&mut stock, slot.into_iter(), now, &mut scratch);
        let body = Body::SettingsPut {
            key,
            sku: sku.as_str(),
            before,
            after,
            over: put.over.filter(|_| plan.is_overridden).unwrap_or_default(),
        };
        let answer = self.conclude(&mut records, key, now, body, scratch)?;
        stock.note_change(answer.position.sequence);
        Ok(answer)
    }

    pub(super) fn shard(&self, sku: Sku<'_>) -> usize {
        shard_of(self.state.hasher.sku(sku.as_str()))
    }

    pub(super) fn locked_stock<'s>(
        &self,
        stock: &'s StockGuards<'_>,
        sku: Sku<'_>,
    ) -> Option<&'s Stock> {
        let (number, slot) = self.slot(stock, sku)?;
        stock.shard(number)?.stock(slot)
    }

    /// Shard and slot of a SKU's stock.
    pub(super) fn slot(&self, stock: &StockGuards<'_>, sku: Sku<'_>) -> Option<(usize, u32)> {
        let hash = self.state.hasher.sku(sku.as_str());
        let number = shard_of(hash);
        let slot = stock.shard(number)?.find(hash, sku.as_str())?;
        Some((number, slot))
    }

    /// Changes the stock of a SKU whose shard is locked; makes the SKU where it is missing.
    pub(super) fn change_locked<T>(
        &self,
        stock: &mut StockGuards<'_>,
        sku: Sku<'_>,
        change: impl FnOnce(&mut Stock) -> Result<T, Inconsistent>,
    ) -> Result<T, LedgerError> {
        let hash = self.state.hasher.sku(sku.as_str());
        let shard = stock
            .shard_mut(shard_of(hash))
            .ok_or(LedgerError::Unavailable)?;
        let slot = shard.find_or_make(hash, sku.as_str());
        let slot = slot.map_err(|bad| self.broken(bad))?;
        let entry = shard.stocks.get_mut(slot).ok_or(LedgerError::Unavailable)?;
        change(&mut entry.stock).map_err(|bad| self.broken(bad))
    }

    /// The places as they stand after the whole command.
    fn items<'a>(
        &self,
        stock: &StockGuards<'_>,
        places: &[Place<'a>],
        today: Day,
    ) -> Vec<StockItem<'a>> {
        let mut after: BTreeMap<Sku<'a>, (Units, u64)> = BTreeMap::new();
        let mut item = |place: &Place<'a>| {
            let (available, version) = *after.entry(place.sku).or_insert_with(|| {
                let stock = self.locked_stock(stock, place.sku);
                stock.map_or((Units::ZERO, 0), |stock| {
                    (stock.available(today), stock.version())
                })
            });
            StockItem {
                sku: place.sku.as_str(),
                node: place.before.node,
                on_hand_before: place.before.on_hand,
                on_hand: place.on_hand,
                unavailable_before: place.before.unavailable,
                unavailable: place.unavailable,
                available,
                version,
            }
        };
        places.iter().map(&mut item).collect()
    }
}

const fn verb(change: &StockChange<'_>) -> StockVerb {
    match change {
        StockChange::Set(_) => StockVerb::Set,
        StockChange::Adjust(_) => StockVerb::Adjust,
        StockChange::Transfer(_) => StockVerb::Transfer,
    }
}
