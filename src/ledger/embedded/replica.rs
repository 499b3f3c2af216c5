//! The pool without a journal: what another ledger's events make of it. It decides nothing that
//! anybody is promised.
//!
//! It is filled from what that ledger tells of itself, record by record and stock by stock, while
//! the ledger goes on: [`Replica::apply`] with every event in order keeps what was read so far as it
//! is there, and passes over what was not read yet. Records come first, since lines belong to
//! them; until the stock of a SKU is read, its lines are there without it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use smallvec::SmallVec;

use super::Retention;
use super::State;
use super::pool::Pool;
use super::record;
use super::record_shard::{Head, LineRef, LineRefs, Record, shard_of as record_shard_of};
use super::recover::{Loading, OpenError};
use super::stock_shard::{LineEntry, shard_of};
use crate::domain::command::{CommandKey, Reserve};
use crate::domain::decide;
use crate::domain::hash::Hasher;
use crate::domain::line::Inconsistent;
use crate::domain::policy::Claim;
use crate::domain::{
    ChannelIx, Day, Refusal, Reservation, ReservationId, Sku, Stock, Ttl, UnixMillis,
};
use crate::ledger::event::{Body, Event};
use crate::ledger::policy::PolicyInForce;
use crate::ledger::{About, Availability, LedgerError, Position};
use crate::telemetry::Meters;

/// The events do not fit what is there.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(in crate::ledger) struct Unfit(String);

impl From<OpenError> for Unfit {
    fn from(error: OpenError) -> Self {
        Self(error.to_string())
    }
}

impl From<LedgerError> for Unfit {
    fn from(error: LedgerError) -> Self {
        Self(error.to_string())
    }
}

impl From<Inconsistent> for Unfit {
    fn from(_: Inconsistent) -> Self {
        Self("a counter leaves its range".to_owned())
    }
}

/// What whoever fills a replica knows of the way.
#[derive(Debug)]
pub(in crate::ledger) struct Progress(Loading);

impl Progress {
    /// Before anything was read.
    pub(in crate::ledger) fn new() -> Self {
        Self(Loading::of_other())
    }

    /// Every record and every stock that was there at the beginning was read; what is still
    /// awaited is all that is missing.
    pub(in crate::ledger) const fn all_was_read(&mut self) {
        if let Some(awaited) = self.0.awaited() {
            awaited.is_reading = false;
        }
    }
}

/// A reservation that was read.
#[derive(Debug)]
pub(in crate::ledger) struct ReadReservation {
    /// The command that made it.
    pub(in crate::ledger) key: CommandKey,
    /// Where that stands.
    pub(in crate::ledger) position: Position,
    /// When it was last acted on.
    pub(in crate::ledger) touched: UnixMillis,
    /// Its time to live when it was made.
    pub(in crate::ledger) ttl: Ttl,
    /// As it stands.
    pub(in crate::ledger) now: Reservation,
}

/// See the module's documentation.
pub(in crate::ledger) struct Replica {
    state: State,
    /// The version of the policy in all shards; none while they do not have the same.
    policy: AtomicU64,
}

/// No version of a policy.
const MIXED: u64 = u64::MAX;

impl Replica {
    /// One of so many, each of which has a part of the SKUs.
    pub(in crate::ledger) fn one_of(replicas: u16, hasher: Hasher, meters: Meters) -> Self {
        Self {
            state: State::over(Pool::one_of(replicas, meters), hasher),
            policy: AtomicU64::new(0),
        }
    }

    /// Judges by this policy from now on.
    pub(in crate::ledger) fn enforce(
        &self,
        policy: Option<&Arc<PolicyInForce>>,
    ) -> Result<(), Unfit> {
        self.policy.store(MIXED, Ordering::Release);
        for shard in 0..self.state.pool.places() {
            self.state.pool.stock_shard(shard)?.policy = policy.map(Arc::clone);
        }
        let version = policy.map_or(0, |of| of.version.version);
        self.policy.store(version, Ordering::Release);
        Ok(())
    }

    /// The version that it judges by; 0: there is no policy.
    pub(in crate::ledger) fn policy(&self) -> u64 {
        self.policy.load(Ordering::Acquire)
    }

    /// Forgets everything but the policy.
    pub(in crate::ledger) fn clear(&self) -> Result<(), Unfit> {
        Ok(self.state.pool.clear()?)
    }

    /// Does what happened. After an error the content is worth nothing.
    pub(in crate::ledger) fn apply(
        &self,
        event: &Event<'_>,
        progress: &mut Progress,
    ) -> Result<(), Unfit> {
        match event.body {
            // Names and the policy have their own places, next to the ledger that they are of.
            Body::NodeNamed { .. } | Body::ChannelNamed { .. } | Body::PolicyPut { .. } => Ok(()),
            Body::Expired {
                id,
                line,
                sku,
                units,
            } => {
                let line = self.expiring(id, sku)?.unwrap_or(line);
                let body = Body::Expired {
                    id,
                    line,
                    sku,
                    units,
                };
                let event = Event { body, ..*event };
                Ok(self.state.replay_event(&event, &mut progress.0)?)
            }
            Body::Opened { .. }
            | Body::Reserved(_)
            | Body::Acted(_)
            | Body::StockChanged(_)
            | Body::SettingsPut { .. }
            | Body::TermsNoted(_)
            | Body::LowWater(_)
            | Body::Deficit(_)
            | Body::SharesMoved(_)
            | Body::InboundChanged(_)
            | Body::Refused { .. } => Ok(self.state.replay_event(event, &mut progress.0)?),
        }
    }

    /// Which of the lines here gives its units back. The event has its place among all lines of the
    /// reservation, some of which may lie in other partitions; but they expire in their order.
    fn expiring(&self, id: ReservationId, sku: &str) -> Result<Option<u16>, LedgerError> {
        let records = self.state.pool.record_shard(record_shard_of(id.0))?;
        let Some(head) = records.get(id.0).and_then(Record::head) else {
            return Ok(None);
        };
        for (number, line) in (0_u16..).zip(&head.lines) {
            let shard = self.state.pool.stock_shard(usize::from(line.shard))?;
            let Some(entry) = shard.lines.get(line.slot) else {
                continue;
            };
            let owner = shard.stocks.get(entry.stock);
            if owner.is_some_and(|owner| owner.sku() == sku) && !entry.line().held.is_zero() {
                return Ok(Some(number));
            }
        }
        Ok(None)
    }

    /// Puts in a reservation that was read, as it stands after every event so far.
    pub(in crate::ledger) fn put_reservation(
        &self,
        read: &ReadReservation,
        progress: &mut Progress,
    ) -> Result<(), Unfit> {
        if self.knows(read.key.id)? {
            return Ok(());
        }
        let mut lines = LineRefs::new();
        for (number, line) in (0_u16..).zip(&read.now.lines) {
            let hash = self.state.hasher.sku(&line.sku);
            let shard = shard_of(hash);
            let mut stock = self.state.pool.stock_shard(shard)?;
            let owner = match stock.find(hash, &line.sku) {
                Some(owner) => owner,
                None => progress
                    .0
                    .await_stock(&mut stock, (shard, hash), &line.sku)?,
            };
            let (id, deadline) = (read.now.id, read.now.deadline);
            let entry = LineEntry::new(id, number, read.now.channel, owner, deadline, line.line);
            let slot = stock.restore_line(entry)?;
            let shard = u16::try_from(shard).unwrap_or(u16::MAX);
            lines.push(LineRef::missing(line.requested, line.line.pin).placed(shard, slot));
        }
        let head = Head {
            channel: read.now.channel,
            ttl: read.ttl,
            touched: read.touched,
            reference: read.now.reference.as_deref(),
            lines,
        };
        let made = read.now.created_at;
        self.put(Record::of_reservation(read.key, read.position, made, &head))
    }

    /// Puts in that a command was answered.
    pub(in crate::ledger) fn put_answer(
        &self,
        key: CommandKey,
        position: Position,
        at: UnixMillis,
        is_refusal: bool,
    ) -> Result<(), Unfit> {
        if self.knows(key.id)? {
            return Ok(());
        }
        let kept = record::bare(is_refusal);
        self.put(Record::of_event(key, position, at, kept))
    }

    fn put(&self, record: Record) -> Result<(), Unfit> {
        let number = record_shard_of(record.id());
        let mut shard = self.state.pool.record_shard(number)?;
        shard.insert(record)?;
        self.state.counts.record_added(shard.records.len());
        Ok(())
    }

    /// Puts in the stock of a SKU that was read, as it stands after every event so far.
    pub(in crate::ledger) fn put_stock(
        &self,
        sku: &str,
        read: Stock,
        progress: &mut Progress,
    ) -> Result<(), Unfit> {
        let hash = self.state.hasher.sku(sku);
        let number = shard_of(hash);
        let mut shard = self.state.pool.stock_shard(number)?;
        let known = shard.find(hash, sku);
        let slot = shard.find_or_make(hash, sku)?;
        let was_awaited = progress
            .0
            .awaited()
            .is_some_and(|awaited| awaited.stocks.remove(&(number, slot)));
        if known.is_none() || was_awaited {
            let put = shard.change(slot, |stock| *stock = read);
            put.ok_or(Inconsistent)?;
        }
        Ok(())
    }

    /// SKUs whose stock is still to be read, at most so many.
    pub(in crate::ledger) fn awaited(
        &self,
        most: usize,
        progress: &mut Progress,
    ) -> Result<Vec<String>, Unfit> {
        let mut names = Vec::new();
        let Some(awaited) = progress.0.awaited() else {
            return Ok(names);
        };
        for (number, slot) in awaited.stocks.iter().take(most) {
            let shard = self.state.pool.stock_shard(*number)?;
            let entry = shard.stocks.get(*slot).ok_or(Inconsistent)?;
            names.push(entry.sku().to_owned());
        }
        Ok(names)
    }

    /// Records of commands that are kept, but for a few.
    pub(in crate::ledger) fn records(&self) -> u64 {
        let kept = &self.state.counts.records;
        u64::try_from(kept.load(Ordering::Relaxed)).unwrap_or(u64::MAX)
    }

    /// Whether anything is known of a command.
    pub(in crate::ledger) fn knows(&self, id: u128) -> Result<bool, LedgerError> {
        let shard = self.state.pool.record_shard(record_shard_of(id))?;
        Ok(shard.has(id))
    }

    /// What may be promised of a SKU. `None`: it is not there, or what is past its deadline by then
    /// would have to be given back first, as only the ledger itself can.
    pub(in crate::ledger) fn availability(
        &self,
        sku: Sku<'_>,
        about: About,
        by: UnixMillis,
    ) -> Result<Option<Availability>, LedgerError> {
        let hash = self.state.hasher.sku(sku.as_str());
        let mut shard = self.state.pool.stock_shard(shard_of(hash))?;
        if shard.has_overdue(by) {
            return Ok(None);
        }
        let slot = shard.find(hash, sku.as_str());
        let stock = slot.and_then(|slot| shard.stock_now(slot, by));
        let rule = about.channel.and_then(|_| shard.rule(sku.as_str(), by));
        let claim = about.channel.zip(rule);
        let claim = claim.map(|(channel, rule)| Claim { channel, rule });
        Ok(stock.map(|stock| Availability::for_claim(&stock, about.node, claim, by)))
    }

    /// Why a new reservation is refused for want of units; `None`: it is not, or that cannot be
    /// known here: the ledger may not have noted yet what the policy says by now.
    pub(in crate::ledger) fn refusal(
        &self,
        reserve: &Reserve<'_>,
        by: UnixMillis,
    ) -> Result<Option<Refusal>, LedgerError> {
        let lines = reserve.lines.as_slice();
        let hashes: SmallVec<[u64; 2]> = lines
            .iter()
            .map(|line| self.state.hasher.sku(line.sku.as_str()))
            .collect();
        let shards = hashes.iter().map(|hash| shard_of(*hash)).collect();
        let mut stock = self.state.pool.stock(shards)?;
        if stock.iter_mut().any(|(_, shard)| shard.has_overdue(by)) {
            return Ok(None);
        }
        let place_of = |at: usize| {
            let (line, hash) = (lines.get(at)?, *hashes.get(at)?);
            let shard = stock.shard(shard_of(hash))?;
            Some((shard, shard.find(hash, line.sku.as_str())?))
        };
        let mut places = (0..lines.len()).filter_map(place_of);
        if places.any(|(shard, slot)| !shard.has_noted_terms(slot, by)) {
            return Ok(None);
        }
        let stock_of = |at: usize| {
            let (shard, slot) = place_of(at)?;
            shard.stock(slot)
        };
        let claim_of = |at: usize| {
            let shard = stock.shard(shard_of(*hashes.get(at)?))?;
            let rule = shard.rule(lines.get(at)?.sku.as_str(), by)?;
            let channel = reserve.channel.index.unwrap_or(ChannelIx::UNNAMED);
            Some(Claim { channel, rule })
        };
        let (lines, today) = (&reserve.lines, Day::of(by));
        let verdict = decide::reserve(lines, reserve.allow_partial, today, stock_of, claim_of);
        Ok(match verdict {
            Err(refusal @ Refusal::InsufficientStock { .. }) => Some(refusal),
            Ok(_) | Err(_) => None,
        })
    }

    /// Forgets some of the records of a shard whose retention has ended, and what became stale of
    /// its deadlines.
    pub(in crate::ledger) fn tidy(
        &self,
        shard: usize,
        now: UnixMillis,
        retention: &Retention,
    ) -> Result<(), Unfit> {
        self.state.prune_shard(shard, now, retention)?;
        self.state.pool.stock_shard(shard)?.has_overdue(now);
        Ok(())
    }

    /// Shards that [`Self::tidy`] knows.
    pub(in crate::ledger) const fn shards(&self) -> usize {
        self.state.pool.places()
    }
}
