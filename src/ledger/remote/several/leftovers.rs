//! Parts of reservations that were refused or given up while a partition could not be reached, home
//! or theirs. This instance has them undone when it can be; should it end before, they end by their
//! deadline.

use std::sync::{Mutex, MutexGuard, PoisonError};

use super::super::wire::several::{Step, encode_undo};
use super::super::{RemoteLedger, senseless};
use super::{AT_ONCE, all_of};
use crate::domain::command::CommandKey;
use crate::domain::{ReservationId, UnixMillis};
use crate::ledger::LedgerError;
use crate::telemetry::Script;

/// How many are remembered; what is more is left to its deadline.
const LEFTOVERS_MAX: usize = 100_000;

/// How many are looked after in one round of upkeep.
const ONE_ROUND: usize = 1_000;

/// A part of an attempt that was refused or given up.
#[derive(Debug, Clone, Copy)]
pub(super) struct Leftover {
    pub(super) partition: u16,
    pub(super) key: CommandKey,
    /// Names the attempt among those under its key, as long as home's time has moved on since.
    pub(super) deadline: UnixMillis,
    /// Home's time when it was placed there.
    pub(super) placed_at: UnixMillis,
}

/// See the module's documentation.
#[derive(Debug, Default)]
pub(in crate::ledger::remote) struct Leftovers(
    /// LOCK: held to add to it and to take from it.
    Mutex<Vec<Leftover>>,
);

impl Leftovers {
    fn lock(&self) -> MutexGuard<'_, Vec<Leftover>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn keep(&self, some: Vec<Leftover>) {
        let mut all = self.lock();
        let room = LEFTOVERS_MAX.saturating_sub(all.len());
        if some.len() > room {
            let left = some.len() - room;
            tracing::warn!(
                left,
                "parts of refused reservations are left to their deadline"
            );
        }
        all.extend(some.into_iter().take(room));
    }

    fn take_some(&self) -> Vec<Leftover> {
        let mut all = self.lock();
        let count = all.len().min(ONE_ROUND);
        all.drain(..count).collect()
    }
}

impl RemoteLedger {
    /// Undoes these parts, now or as soon as their partitions can be reached.
    pub(super) async fn undo(&self, parts: Vec<Leftover>) {
        for some in parts.chunks(AT_ONCE) {
            let undone = all_of(some.iter().map(|part| {
                let bytes = encode_undo(part.key, part.deadline);
                self.step(part.partition, bytes, 1, Script::Relief)
            }));
            let undone = undone.await.into_iter().zip(some);
            let failed = undone.filter(|(step, _)| step.is_err());
            self.leftovers.keep(failed.map(|(_, part)| *part).collect());
        }
    }

    /// Takes an attempt back at its home, so that nobody can make it a reservation any more. Home's
    /// time then, or nothing: it is one.
    pub(super) async fn undo_at_home(
        &self,
        key: CommandKey,
        deadline: UnixMillis,
    ) -> Result<Option<UnixMillis>, LedgerError> {
        let home = self.partitions.of_id(ReservationId(key.id));
        let bytes = encode_undo(key, deadline);
        let (reply, at) = self.step(home, bytes, 1, Script::Relief).await?;
        let (step, _) = reply.step(at).map_err(senseless)?;
        // Where it comes too late, the attempt was taken back or refused before.
        let is_dead = matches!(step, Step::Done | Step::Late);
        Ok(is_dead.then(|| reply.header().now))
    }

    /// Tries again what could not be undone before, some of it, as far as its homes can be reached.
    pub(super) async fn undo_leftovers(&self) {
        let mut some = self.leftovers.take_some().into_iter();
        while let Some(part) = some.next() {
            // At home first: perhaps it was not reached before, or somebody has gone on meanwhile.
            match self.undo_at_home(part.key, part.deadline).await {
                Ok(Some(now)) if part.placed_at < now => self.undo(vec![part]).await,
                // As long as home's time stands still, the next attempt under the key would have the
                // same deadline, and its parts would be taken for this one.
                Ok(Some(_)) => self.leftovers.keep(vec![part]),
                Ok(None) => {}
                Err(_) => {
                    // The others first, the next time.
                    self.leftovers.keep(some.collect());
                    return self.leftovers.keep(vec![part]);
                }
            }
        }
    }
}
