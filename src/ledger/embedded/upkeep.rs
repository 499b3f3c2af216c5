//! What must happen by itself: held units go back, old records are forgotten, counters are checked.
//!
//! All of it only triggers; nothing depends on it being on time. It may run in any number of
//! threads.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use super::pool::HeadRef;
use super::record_shard::{Kept, Record, RecordShard};
use super::scratch::Scratch;
use super::{EmbeddedLedger, Retention, State};
use crate::domain::{Day, UnixMillis};
use crate::ledger::{Gauges, LedgerError};
use crate::limits::{RECORD_SHARDS, STOCK_SHARDS};

/// Record slots looked at per shard and pass, so that no lock is held long.
const PRUNE_SLOTS: u32 = 64;

/// Lines that the reaper expires under one lock hold.
const REAP_LINES: u64 = 1_024;

/// Largest shard, in lines and SKUs, that is recounted while others wait for it: about a
/// millisecond. Larger ones are left to `verify` and to the check of every hold.
const AUDIT_ENTRIES: usize = 20_000;

/// Where the rounds go on.
#[derive(Debug, Default)]
pub(super) struct Upkeep {
    next_audit: AtomicUsize,
    /// Sequence of the last snapshot.
    pub(super) snapshot_at: AtomicU64,
}

impl EmbeddedLedger {
    /// Gives back, in every shard, the held units whose deadline has passed.
    pub fn reap(&self) -> Result<(), LedgerError> {
        for shard in 0..STOCK_SHARDS {
            self.reap_shard(shard)?;
        }
        // Nobody waits for what expired, nor for a new name.
        self.journal.nudge();
        Ok(())
    }

    /// Gives the lock up again and again, so that a storm of deadlines holds nobody up for long,
    /// and stops when the journal cannot follow.
    fn reap_shard(&self, number: usize) -> Result<(), LedgerError> {
        loop {
            self.journal.admit()?;
            let mut shard = self.state.pool.stock_shard(number)?;
            let now = self.now();
            if !shard.has_due(now) {
                return Ok(());
            }
            let mut scratch = Scratch::new();
            self.expire_shard(&mut shard, now, REAP_LINES, &mut scratch)?;
            scratch.commit(&self.journal);
        }
    }

    /// Forgets some of the records whose retention has ended. Reservations with open units stay.
    pub fn prune(&self) -> Result<(), LedgerError> {
        let now = self.now();
        let shards = 0..RECORD_SHARDS;
        shards
            .into_iter()
            .try_for_each(|shard| self.state.prune_shard(shard, now, &self.retention))
    }

    /// Recounts the next stock shard against its lines; the cheap continuous check.
    pub fn audit_next(&self) -> Result<(), LedgerError> {
        let today = Day::of(self.now());
        let next = self.upkeep.next_audit.fetch_add(1, Ordering::Relaxed) % STOCK_SHARDS;
        let shard = self.state.pool.stock_shard(next)?;
        if shard.lines.len().saturating_add(shard.stocks.len()) > AUDIT_ENTRIES {
            return Ok(());
        }
        let found = super::recount::check_shard(&shard, today);
        drop(shard);
        if found.violation_count > 0 {
            self.meters.invariant_violations(found.violation_count);
            tracing::error!(shard = next, first = ?found.violations.first(), "counters differ from their records");
        }
        Ok(())
    }

    /// What is counted, over all shards.
    pub fn gauges(&self) -> Result<Gauges, LedgerError> {
        let mut gauges = Gauges::default();
        for number in 0..STOCK_SHARDS {
            gauges += self.state.pool.stock_shard(number)?.gauges;
        }
        Ok(gauges)
    }
}

impl State {
    /// Forgets some of the records of a shard whose retention has ended.
    pub(super) fn prune_shard(
        &self,
        shard: usize,
        now: UnixMillis,
        retention: &Retention,
    ) -> Result<(), LedgerError> {
        let mut records = self.pool.record_shard(shard)?;
        let slots = records.records.slots();
        for _ in 0..PRUNE_SLOTS.min(slots) {
            let slot = if records.prune_at >= slots {
                0
            } else {
                records.prune_at
            };
            records.prune_at = slot.saturating_add(1);
            if self.is_forgettable(&records, slot, now, retention)? {
                self.forget(&mut records, slot)?;
            }
        }
        Ok(())
    }

    fn is_forgettable(
        &self,
        records: &RecordShard,
        slot: u32,
        now: UnixMillis,
        retention: &Retention,
    ) -> Result<bool, LedgerError> {
        let Some(record) = records.records.get(slot) else {
            return Ok(false);
        };
        let age = now.0.saturating_sub(record.last_touched().0);
        match record.kept() {
            Kept::Event(bytes) if super::record::is_refusal(bytes) => {
                Ok(age > retention.refusals_ms)
            }
            Kept::Event(_) => Ok(age > retention.keys_ms),
            Kept::Reservation(_) if age <= retention.keys_ms => Ok(false),
            Kept::Reservation(head) => {
                let view = self.view(record, &head)?;
                let is_open = view.lines.iter().any(|line| !line.line.open().is_zero());
                let expired = view.lines.iter().any(|line| !line.line.expired.is_zero());
                let since = now.0.saturating_sub(view.deadline.0);
                Ok(!is_open && (!expired || since > retention.keys_ms))
            }
        }
    }

    fn forget(&self, records: &mut RecordShard, slot: u32) -> Result<(), LedgerError> {
        let Some(record) = records.remove(slot) else {
            return Ok(());
        };
        self.counts.record_removed(records.records.len());
        let shard = super::record_shard::shard_of(record.id());
        self.forget_lines(&record, (u16::try_from(shard).unwrap_or(u16::MAX), slot))
    }

    /// Removes the lines of a reservation whose record, which was at `at`, is gone.
    pub(super) fn forget_lines(&self, record: &Record, at: HeadRef) -> Result<(), LedgerError> {
        let Some(head) = record.head() else {
            return Ok(());
        };
        let refs = head.lines;
        for line in refs.iter().filter(|line| !line.is_missing()) {
            self.pool
                .stock_shard(usize::from(line.shard))?
                .lines
                .remove(line.slot);
        }
        if let Some(reference) = head.reference {
            let hash = self.hasher.reference(head.channel, reference);
            let mut references = self.pool.references(hash)?;
            // A later reservation with the same reference has put its own entry there.
            if references.get(&hash) == Some(&at) {
                references.remove(&hash);
            }
        }
        Ok(())
    }
}
