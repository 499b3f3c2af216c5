//! What this instance has seen of the ledger's history, and whether the store still has it.
//!
//! A store that failed over, or came back from its disk, may lack what was acknowledged, and gives
//! the same sequences out again: the numbers alone show nothing. So the end of the chain that an
//! answer spoke of last is kept, and at every new connection, every look at the store and every
//! reply it is made sure that the store's chain contains it. If not, nothing is promised any more
//! until an operator has accepted the loss, which raises the epoch.
//!
//! All of this lives in memory. An instance that starts anew takes the store as it finds it; what
//! others had found missing by then is marked in the store itself.

mod contact;
mod recent;

use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

pub use contact::{Contact, Marker};
pub(super) use contact::{Question, ask_for_end, end_at};
pub(super) use recent::is_end;
pub use recent::{Acknowledged, Remembered};

use self::recent::Recent;
use super::wire::reply::Header;
use crate::ledger::Position;

/// What was seen, and whether it is missing. See the module's documentation.
#[derive(Debug)]
pub struct History {
    /// LOCK: copies, and what one batch adds.
    inner: Mutex<Inner>,
    /// What was seen is missing in the store. Set under the lock.
    lost: watch::Sender<bool>,
}

#[derive(Debug, Default)]
struct Inner {
    /// The last change that any answer spoke of; durable at the level, since answers wait for it.
    seen: Option<Marker>,
    recent: Recent,
}

impl Default for History {
    fn default() -> Self {
        Self {
            inner: Mutex::default(),
            lost: watch::Sender::new(false),
        }
    }
}

impl History {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The last change that any answer spoke of.
    pub fn seen(&self) -> Option<Marker> {
        self.lock().seen.clone()
    }

    /// Where it stands.
    pub fn position(&self) -> Position {
        let inner = self.lock();
        inner.seen.as_ref().map_or(START, |seen| seen.position)
    }

    /// Whether what was seen is missing in the store.
    pub fn is_lost(&self) -> bool {
        *self.lost.borrow()
    }

    /// Returns when what was seen is missing.
    pub(super) async fn until_lost(&self) {
        // The sender lives as long as this does.
        drop(self.lost.subscribe().wait_for(|lost| *lost).await);
    }

    /// Returns when nothing is missing.
    pub(super) async fn until_whole(&self) {
        drop(self.lost.subscribe().wait_for(|lost| !*lost).await);
    }

    fn lose(&self) {
        self.lost.send_replace(true);
    }

    /// Takes note of a reply before anybody is told of it. `sent_after` is where the history stood
    /// when the call was sent. False: what was seen is missing, and nobody may be told.
    pub(super) fn note(
        &self,
        sent_after: Position,
        header: &Header,
        acknowledged: impl Iterator<Item = Acknowledged>,
    ) -> bool {
        let at = |sequence| Position {
            shard: 0,
            epoch: header.epoch,
            sequence,
        };
        let mut inner = self.lock();
        if self.is_lost() {
            return false;
        }
        let now = at(header.last);
        let is_other = |seen: &Marker| seen.position == now && seen.tip != header.tip.as_bytes();
        if at(header.before) < sent_after || inner.seen.as_ref().is_some_and(is_other) {
            self.lose();
            return false;
        }
        if inner.seen.as_ref().is_none_or(|seen| seen.position < now) {
            inner.seen = Some(Marker {
                position: now,
                tip: header.tip.clone().into_bytes(),
            });
        }
        inner.recent.add(now, header.tip.as_bytes(), acknowledged);
        true
    }

    /// Takes note of what a store said when it was met.
    pub(super) fn meet(&self, contact: &Contact) {
        if contact.missing().is_some() {
            // Whoever is in `note` has either been told everything or will see this.
            let _inner = self.lock();
            self.lose();
        }
    }

    /// What was missing is not missed any more: it is there again, or the loss was accepted, which
    /// the higher epoch says.
    pub(super) fn resume(&self, contact: &Contact) {
        let Some(marker) = contact.continued() else {
            return;
        };
        let mut inner = self.lock();
        let is_raised = |seen: &Marker| seen.position.epoch < marker.position.epoch;
        if inner.seen.as_ref().is_none_or(is_raised) {
            inner.seen = Some(marker.clone());
        }
        // Should it have become so since the store was asked, the answer says nothing about it.
        if contact.was_lost {
            self.lost.send_replace(false);
        }
    }

    /// Takes out what is known of recent answers: nothing is added while something is missing.
    pub(super) fn take_remembered(&self) -> Remembered {
        std::mem::take(&mut self.lock().recent).into_remembered()
    }
}

/// Before the first change.
const START: Position = Position {
    shard: 0,
    epoch: 0,
    sequence: 0,
};

#[cfg(test)]
mod tests;
