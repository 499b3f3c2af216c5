//! The embedded ledger: sharded pool in memory, journal on disk, snapshots.
//!
//! A command locks the shards it needs, asks the rule book, applies the change, takes its place in
//! the journal under the same locks, unlocks, and waits for durability outside them.

mod act;
mod deficits;
mod due;
mod export;
mod feed;
mod identity;
mod inbound_change;
mod index;
pub mod journal;
mod packed;
mod policy;
mod pool;
mod read;
pub mod record;
mod record_shard;
mod recount;
pub mod recover;
pub(in crate::ledger) mod replica;
mod reserve;
mod scratch;
mod shares;
mod slab;
mod snapshot;
pub mod snapshot_file;
mod stock_change;
mod stock_shard;
pub mod storage;
mod upkeep;

use std::sync::atomic::{AtomicI64, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

pub use self::snapshot::{SnapshotStep, Snapshotting};
use crossbeam::utils::CachePadded;

use self::journal::Journal;
use self::pool::{Pool, RecordGuards, StockGuards};
use self::record_shard::{Kept, Record};
use self::scratch::Scratch;
use self::stock_shard::{StockShard, shard_of};
use super::answer::verdict_of;
use super::event::Body;
use super::names::Names;
use super::{Answer, LedgerError, Position};
use crate::clock::Clock;
use crate::domain::command::{Command, CommandKey, Keyed};
use crate::domain::hash::Hasher;
use crate::domain::line::Inconsistent;
use crate::domain::policy::ClassIx;
use crate::domain::stock::Change;
use crate::domain::verdict::Outcome;
use crate::domain::{Day, Refusal, Sku, UnixMillis, Verdict};
use crate::telemetry::Meters;

/// How long and how much the ledger remembers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// Keys and finished reservations are kept this long, milliseconds.
    pub keys_ms: i64,
    /// Keys of refused commands are kept this long, milliseconds.
    pub refusals_ms: i64,
    /// Most records of keys and reservations; beyond it new commands are `overloaded`. Up to
    /// `RECORD_SHARDS * 15` more may be taken: they are counted in bunches.
    pub records_max: u64,
}

impl Default for Retention {
    fn default() -> Self {
        Self {
            keys_ms: 48 * 3_600_000,
            refusals_ms: 3_600_000,
            records_max: 60_000_000,
        }
    }
}

/// The embedded ledger. See the module's documentation.
pub struct EmbeddedLedger {
    /// See [`identity::Identity`].
    labelled: bool,
    state: State,
    journal: Journal,
    clock: Clock,
    meters: Meters,
    retention: Retention,
    /// The latest moment any command was decided at; time never goes back behind it.
    latest: AtomicI64,
    upkeep: upkeep::Upkeep,
    storage: Arc<dyn storage::Storage>,
}

/// What the ledger knows; all of it can be read back from snapshot and journal.
struct State {
    pool: Pool,
    hasher: Hasher,
    nodes: RwLock<Names>,
    channels: RwLock<Names>,
    policy: policy::Kept,
    /// Apart from what every command only reads.
    counts: CachePadded<Counts>,
}

/// Cheap counts for limits and gauges.
#[derive(Debug, Default)]
struct Counts {
    /// In bunches: each shard tells when another one is full, since all threads write here.
    records: AtomicUsize,
    /// Units that a hold in the journal took beyond what was there: seen while it was replayed.
    oversold_in_journal: AtomicU64,
}

/// Records of a shard that are counted at once.
const BUNCH: usize = 16;

impl Counts {
    /// A record was added to a shard, which has so many now.
    fn record_added(&self, len: usize) {
        if len.is_multiple_of(BUNCH) {
            self.records.fetch_add(BUNCH, Ordering::Relaxed);
        }
    }

    /// A record was taken from a shard, which has so many now.
    fn record_removed(&self, len: usize) {
        if (len + 1).is_multiple_of(BUNCH) {
            self.records.fetch_sub(BUNCH, Ordering::Relaxed);
        }
    }
}

impl EmbeddedLedger {
    /// Executes a command as far as memory goes: the answer must not be given to anyone before
    /// [`Self::wait`] for its `told_after` is done.
    pub fn submit(&self, keyed: &Keyed<'_>) -> Result<Answer, LedgerError> {
        if self.state.pool.is_poisoned() {
            return Err(LedgerError::Poisoned);
        }
        self.journal.admit()?;
        match &keyed.command {
            Command::Reserve(reserve) => self.reserve(keyed.key, reserve),
            Command::Act(act) => self.act(keyed.key, act),
            Command::Stock(stock) => self.change_stock(keyed.key, stock),
            Command::PutSettings(put) => self.put_settings(keyed.key, put),
            Command::MoveShares(moves) => self.move_shares(keyed.key, moves),
            Command::Inbound(inbound) => self.change_inbound(keyed.key, inbound),
        }
    }

    /// Now; never earlier than any moment that a command was decided at.
    pub fn now(&self) -> UnixMillis {
        self.moment(self.clock.now())
    }

    /// The moment at which a command is decided that read the clock before it had its locks: under
    /// them it is never earlier than that of any command which had one of them before.
    fn moment(&self, read: UnixMillis) -> UnixMillis {
        let now = read.0;
        let latest = self.latest.load(Ordering::Relaxed);
        if now <= latest {
            return UnixMillis(latest);
        }
        UnixMillis(self.latest.fetch_max(now, Ordering::Relaxed).max(now))
    }

    fn position(&self, sequence: u64) -> Position {
        Position {
            shard: 0,
            epoch: self.journal.epoch(),
            sequence,
        }
    }

    /// State and change do not fit: a bug or damaged memory. Nothing is promised any more.
    fn broken(&self, _: Inconsistent) -> LedgerError {
        self.meters.invariant_violations(1);
        self.journal
            .poison("a counter left its range: state and change do not belong together");
        LedgerError::Poisoned
    }

    /// Gives held units back whose deadline has passed, in all locked shards.
    fn expire(
        &self,
        stock: &mut StockGuards<'_>,
        now: UnixMillis,
        scratch: &mut Scratch,
    ) -> Result<(), LedgerError> {
        for (_, shard) in stock.iter_mut() {
            if shard.has_due(now) {
                self.expire_shard(shard, now, u64::MAX, scratch)?;
            }
        }
        Ok(())
    }

    fn expire_shard(
        &self,
        shard: &mut StockShard,
        now: UnixMillis,
        most: u64,
        scratch: &mut Scratch,
    ) -> Result<(), LedgerError> {
        let mut expired = 0;
        while expired < most {
            let Some(due) = shard.next_due(now) else {
                break;
            };
            let (stock, units) = (due.stock, due.units);
            self.note_terms(shard, stock, now, scratch);
            shard.expire(&due).map_err(|bad| self.broken(bad))?;
            let Some(entry) = shard.lines.get(due.slot) else {
                continue;
            };
            let Some(owner) = shard.stocks.get(stock) else {
                continue;
            };
            let sku = owner.sku();
            let (id, line) = (entry.reservation(), entry.number());
            scratch.push(
                now,
                &Body::Expired {
                    id,
                    line,
                    sku,
                    units,
                },
            );
            if let Some(told) = shard.settle_water(stock, Day::of(now)) {
                scratch.push(now, &Body::LowWater(told));
                self.meters.low_water(told.low);
            }
            if let Some(told) = shard.settle_deficit(stock, Change::Promises, Day::of(now)) {
                scratch.push(now, &Body::Deficit(told));
                self.meters.deficits().told(told.was, told.deficit);
            }
            expired += 1;
            if scratch.len() >= crate::limits::COMMAND_RECORD_BYTES_MAX {
                scratch.commit(&self.journal);
            }
        }
        self.meters.expirations(expired);
        Ok(())
    }

    /// Notes what the policy says of the SKU at a slot now. Every command does so with what it is
    /// about before it looks at it. The class of the SKU, if it was looked for.
    fn note_terms(
        &self,
        shard: &mut StockShard,
        slot: u32,
        now: UnixMillis,
        scratch: &mut Scratch,
    ) -> Option<ClassIx> {
        let class = shard.class_with_terms(slot);
        let noted = shard.note_terms(slot, class, now);
        let Some(noted) = noted else {
            return class;
        };
        scratch.push(now, &Body::TermsNoted(noted));
        if let Some(told) = shard.settle_water(slot, Day::of(now)) {
            scratch.push(now, &Body::LowWater(told));
            self.meters.low_water(told.low);
        }
        class
    }

    /// The same of these SKUs, as far as they are known.
    fn note_terms_of(
        &self,
        stock: &mut StockGuards<'_>,
        skus: &[Sku<'_>],
        now: UnixMillis,
        scratch: &mut Scratch,
    ) {
        for sku in skus {
            let hash = self.state.hasher.sku(sku.as_str());
            if let Some(shard) = stock.shard_mut(shard_of(hash))
                && let Some(slot) = shard.find(hash, sku.as_str())
            {
                self.note_terms(shard, slot, now, scratch);
            }
        }
    }

    /// The same of a SKU that the command makes, if it is not known yet. That it is low without
    /// any stock is told of once the command is done, if it is so then.
    fn note_terms_of_new(
        &self,
        stock: &mut StockGuards<'_>,
        sku: Sku<'_>,
        now: UnixMillis,
        scratch: &mut Scratch,
    ) -> Result<(), LedgerError> {
        let hash = self.state.hasher.sku(sku.as_str());
        let shard = stock.shard_mut(shard_of(hash));
        let shard = shard.ok_or(LedgerError::Unavailable)?;
        if shard.find(hash, sku.as_str()).is_some() {
            return Ok(());
        }
        let slot = shard.find_or_make(hash, sku.as_str());
        let slot = slot.map_err(|bad| self.broken(bad))?;
        let class = shard.class_with_terms(slot);
        if let Some(noted) = shard.note_terms(slot, class, now) {
            scratch.push(now, &Body::TermsNoted(noted));
        }
        Ok(())
    }

    /// Decides anew whether the SKUs at these places, shard and slot, are low, and what is missing of
    /// them after such a change. What is to be told of that follows the command's own record.
    fn settle_skus(
        &self,
        stock: &mut StockGuards<'_>,
        places: impl Iterator<Item = ((usize, u32), Change)>,
        now: UnixMillis,
        scratch: &mut Scratch,
    ) {
        let today = Day::of(now);
        for ((number, slot), change) in places {
            let Some(shard) = stock.shard_mut(number) else {
                continue;
            };
            if let Some(told) = shard.settle_water(slot, today) {
                scratch.push_after(now, &Body::LowWater(told));
                self.meters.low_water(told.low);
            }
            if let Some(told) = shard.settle_deficit(slot, change, today) {
                scratch.push_after(now, &Body::Deficit(told));
                self.meters.deficits().told(told.was, told.deficit);
            }
        }
    }

    /// Ends a command with an event of its own: journal, key record, answer.
    fn conclude(
        &self,
        records: &mut RecordGuards<'_>,
        key: CommandKey,
        at: UnixMillis,
        body: Body<'_>,
        mut scratch: Scratch,
    ) -> Result<Answer, LedgerError> {
        scratch.push(at, &body);
        let kept = scratch.last_record().into();
        let sequence = scratch.commit(&self.journal);
        let shard = records.of_mut(key.id).ok_or(LedgerError::Unavailable)?;
        let record = Record::of_event(key, self.position(sequence), at, kept);
        shard.insert(record).map_err(|bad| self.broken(bad))?;
        self.state.counts.record_added(shard.records.len());
        let verdict = verdict_of(at, body).ok_or(LedgerError::Unavailable)?;
        let position = self.position(sequence);
        Ok(Answer {
            verdict,
            replayed: false,
            position,
            told_after: position,
            mirror_age: None,
        })
    }

    /// Ends a command with a refusal. Those that say nothing about stock or reservations are not
    /// remembered: the same key may be used again once the mistake is mended.
    fn refuse(
        &self,
        records: &mut RecordGuards<'_>,
        key: CommandKey,
        at: UnixMillis,
        refusal: Refusal,
        mut scratch: Scratch,
    ) -> Result<Answer, LedgerError> {
        match refusal {
            Refusal::KeyReused | Refusal::UnknownSku { .. } | Refusal::UnknownReservation => {
                scratch.commit(&self.journal);
                Ok(unrecorded(refusal))
            }
            Refusal::InsufficientStock { .. }
            | Refusal::UnknownLine { .. }
            | Refusal::Expired
            | Refusal::Released
            | Refusal::Shipped
            | Refusal::NotHeld
            | Refusal::NotConfirmed
            | Refusal::NotShipped
            | Refusal::OverConfirm { .. }
            | Refusal::OverRelease { .. }
            | Refusal::OverShip { .. }
            | Refusal::OverReturn { .. }
            | Refusal::PartialTransfer { .. }
            | Refusal::ChangeFromStale { .. }
            | Refusal::NegativeStock { .. }
            | Refusal::TooMany { .. }
            | Refusal::OverShare { .. }
            | Refusal::VersionMismatch { .. }
            | Refusal::Frozen(_)
            | Refusal::UnknownInbound { .. }
            | Refusal::OverReceipt { .. }
            | Refusal::DueTooLate { .. }
            | Refusal::TooManyInbound { .. } => {
                self.conclude(records, key, at, Body::Refused { key, refusal }, scratch)
            }
        }
    }

    /// The answer of a key that was used before, if it was.
    fn answered(
        &self,
        records: &RecordGuards<'_>,
        key: CommandKey,
    ) -> Option<Result<Answer, LedgerError>> {
        let record = records.of(key.id)?.of_key(key.id)?;
        if record.fingerprint != key.fingerprint {
            return Some(Ok(unrecorded(Refusal::KeyReused)));
        }
        Some(self.replay(record))
    }

    fn replay(&self, record: &Record) -> Result<Answer, LedgerError> {
        let position = record.position();
        let verdict: Verdict = match record.kept() {
            Kept::Event(bytes) => {
                let event = record::decode(position, bytes);
                let event = event.map_err(|_damaged| self.broken(Inconsistent))?;
                verdict_of(event.at, event.body).ok_or(LedgerError::Unavailable)?
            }
            Kept::Reservation(head) => {
                let mut reservation = self.state.view(record, &head)?;
                reservation.deadline = record.at.after(head.ttl);
                for (line, made) in reservation.lines.iter_mut().zip(head.lines.as_slice()) {
                    line.line = line.line.as_made(made.made_at());
                }
                Ok(Outcome::Reservation(reservation))
            }
        };
        Ok(Answer {
            verdict,
            replayed: true,
            position,
            told_after: position,
            mirror_age: None,
        })
    }

    /// What the command with this key was answered; `None` when nothing is known of it.
    pub fn settle(&self, id: u128) -> Result<Option<Answer>, LedgerError> {
        let records = self.state.pool.records(&[id])?;
        let Some(record) = records.of(id).and_then(|shard| shard.of_key(id)) else {
            return Ok(None);
        };
        self.replay(record).map(Some)
    }

    /// The hashes of this ledger.
    pub const fn hasher(&self) -> Hasher {
        self.state.hasher
    }
}

/// An answer that was not recorded: position 0.
fn unrecorded(refusal: Refusal) -> Answer {
    Answer {
        verdict: Err(refusal),
        replayed: false,
        position: Position::default(),
        told_after: Position::default(),
        mirror_age: None,
    }
}

/// The value behind a lock of plain data, where a panic of another thread cannot leave it half
/// done.
fn unpoisoned<T>(result: Result<T, PoisonError<T>>) -> T {
    result.unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_counted_up_to_what_fills_no_bunch() {
        let counts = Counts::default();
        let counted = || counts.records.load(Ordering::Relaxed);
        for len in 1..=100 {
            counts.record_added(len);
            assert_eq!(counted(), len / BUNCH * BUNCH);
        }
        for len in (0..100).rev() {
            counts.record_removed(len);
            assert_eq!(counted(), len / BUNCH * BUNCH);
        }
    }
}
