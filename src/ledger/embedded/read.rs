//! Reading: stock, availability, reservations.

use std::sync::Arc;

use smallvec::SmallVec;

use super::record_shard::{Head, Record};
use super::scratch::Scratch;
use super::stock_shard::{StockShard, shard_of};
use super::{EmbeddedLedger, State};
use crate::domain::line::Move;
use crate::domain::policy::Claim;
use crate::domain::verdict::{Reservation, ReservationLine};
use crate::domain::{ChannelIx, Day, ReservationId, Settings, Sku, Stock, UnixMillis};
use crate::ledger::policy::SkuPolicy;
use crate::ledger::{About, Availability, LedgerError, StockView};

impl EmbeddedLedger {
    /// Reads the stock of a SKU, after what is due there has expired. A reader and the next
    /// reservation thus see the same. While the journal takes nothing, units that are due still
    /// count as held: late is safe.
    fn with_stock<T>(
        &self,
        sku: Sku<'_>,
        read: impl FnOnce(&Stock, UnixMillis, &StockShard) -> T,
    ) -> Result<Option<T>, LedgerError> {
        let hash = self.state.hasher.sku(sku.as_str());
        let mut shard = self.state.pool.stock_shard(shard_of(hash))?;
        let now = self.now();
        if shard.has_due(now) && self.journal.admit().is_ok() {
            let mut scratch = Scratch::new();
            self.expire_shard(&mut shard, now, u64::MAX, &mut scratch)?;
            scratch.commit(&self.journal);
        }
        let slot = shard.find(hash, sku.as_str());
        // By what the policy says now, as the next command will note it.
        let stock = slot.and_then(|slot| shard.stock_now(slot, now));
        Ok(stock.map(|stock| read(&stock, now, &shard)))
    }

    /// Stock of a SKU; `None`: unknown.
    pub fn stock(&self, sku: Sku<'_>) -> Result<Option<StockView>, LedgerError> {
        self.with_stock(sku, |stock, now, _| StockView::of(stock, Day::of(now)))
    }

    /// Stock of a SKU as the rule book has it; `None`: unknown.
    pub fn whole_stock(&self, sku: Sku<'_>) -> Result<Option<Stock>, LedgerError> {
        self.with_stock(sku, |stock, _, _| stock.clone())
    }

    /// Settings of a SKU; `None`: unknown.
    pub fn settings(&self, sku: Sku<'_>) -> Result<Option<Settings>, LedgerError> {
        self.with_stock(sku, |stock, _, _| stock.settings().clone())
    }

    /// What may be promised of a SKU now; `None`: unknown.
    pub fn availability(
        &self,
        sku: Sku<'_>,
        about: About,
    ) -> Result<Option<Availability>, LedgerError> {
        let About { node, channel } = about;
        self.with_stock(sku, |stock, now, shard| {
            let rule = channel.and_then(|_| shard.rule(sku.as_str(), now));
            let claim = channel.zip(rule);
            let claim = claim.map(|(channel, rule)| Claim { channel, rule });
            Availability::for_claim(stock, node, claim, now)
        })
    }

    /// What of the policy is in force for a SKU; `None`: unknown.
    pub fn sku_policy(
        &self,
        sku: Sku<'_>,
        channel: Option<ChannelIx>,
    ) -> Result<Option<SkuPolicy>, LedgerError> {
        // Copied: with many limits the rest takes long.
        let seen = self.with_stock(sku, |stock, now, shard| {
            (stock.clone(), shard.policy.as_ref().map(Arc::clone), now)
        })?;
        Ok(seen.map(|(stock, policy, now)| {
            SkuPolicy::of(sku, &stock, policy.as_deref(), channel, now)
        }))
    }

    /// A reservation; `None`: unknown or forgotten.
    pub fn reservation(&self, id: ReservationId) -> Result<Option<Reservation>, LedgerError> {
        let records = self.state.pool.records(&[id.0])?;
        let record = records.of(id.0).and_then(|shard| shard.get(id.0));
        let Some((record, head)) = record.and_then(|r| Some((r, r.head()?))) else {
            return Ok(None);
        };
        let mut view = self.state.view(record, &head)?;
        let now = self.now();
        if view.deadline.is_due(now) {
            for line in &mut view.lines {
                // What is due counts as expired even before anyone wrote it down.
                let held = line.line.held;
                line.line
                    .apply(Move::Expire(held))
                    .map_err(|bad| self.broken(bad))?;
            }
        }
        Ok(Some(view))
    }

    /// The latest reservation of a channel with this reference.
    pub fn by_reference(
        &self,
        channel: ChannelIx,
        reference: &str,
    ) -> Result<Option<Reservation>, LedgerError> {
        let hash = self.state.hasher.reference(channel, reference);
        let Some((shard, slot)) = self.state.pool.references(hash)?.get(&hash).copied() else {
            return Ok(None);
        };
        let id = {
            let records = self.state.pool.record_shard(usize::from(shard))?;
            let same = |record: &&Record| {
                let head = record.head();
                head.is_some_and(|head| {
                    head.channel == channel && head.reference == Some(reference)
                })
            };
            records.records.get(slot).filter(same).map(Record::id)
        };
        id.map_or(Ok(None), |id| self.reservation(ReservationId(id)))
    }
}

impl State {
    /// A reservation as its lines stand. To be called with its record locked.
    pub(super) fn view(
        &self,
        record: &Record,
        head: &Head<'_>,
    ) -> Result<Reservation, LedgerError> {
        let refs = head.lines.as_slice();
        let stock = self
            .pool
            .stock(refs.iter().map(|line| usize::from(line.shard)).collect())?;
        let mut deadline = UnixMillis::default();
        let mut lines = SmallVec::new();
        for line in refs {
            let shard = stock
                .shard(usize::from(line.shard))
                .ok_or(LedgerError::Unavailable)?;
            let entry = shard.lines.get(line.slot).ok_or(LedgerError::Unavailable)?;
            let owner = shard
                .stocks
                .get(entry.stock)
                .ok_or(LedgerError::Unavailable)?;
            deadline = entry.deadline();
            lines.push(ReservationLine {
                sku: owner.sku().into(),
                requested: line.requested,
                line: entry.line(),
            });
        }
        Ok(Reservation {
            id: ReservationId(record.id()),
            channel: head.channel,
            reference: head.reference.map(Into::into),
            created_at: record.at,
            deadline,
            lines,
        })
    }
}
