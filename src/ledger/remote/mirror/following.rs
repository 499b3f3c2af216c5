//! Keeping the mirror up: reading the content when there is none, the stream when there is.
//!
//! The stream is read at a pace, not whenever it has something: most of what it has the mirror took
//! from this instance's own replies, and a question would only fetch that again. Where a reply shows
//! that others have done something, the stream is read at once.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{sleep, timeout};

use super::course::Astray;
use super::pane::Pane;
use super::reading::{Entries, Unreadable, entry};
use super::{Mirror, Turns};
use crate::clock::{Monotonic, monotonic};
use crate::ledger::remote::feed::{Caller, is_elsewhere};
use crate::ledger::remote::script::Keys;

/// Entries of the stream that are read at once.
const ENTRIES: usize = 64;

/// What a reply shows to be missing may be another batch of our own, whose reply is on its way.
const GRACE: Duration = Duration::from_millis(1);

/// Pauses after failures: each is twice the one before.
const PAUSE_MIN: Duration = Duration::from_millis(20);
const PAUSE_MAX: Duration = Duration::from_secs(10);

/// From one round of forgetting to the next.
const TIDY_PAUSE: Duration = Duration::from_millis(50);

/// The answer to a question for what is next.
type Next = Option<HashMap<String, Entries>>;

/// Keeps a pane of the mirror up for as long as the ledger is open.
pub(super) async fn follow(mirror: Arc<Mirror>, partition: u16, caller: Caller, keys: Keys) {
    let Some(pane) = mirror.pane(partition) else {
        return;
    };
    let mut follower = Follower {
        mirror: &mirror,
        pane,
        caller,
        keys,
        tidied: monotonic(),
    };
    let mut pause = PAUSE_MIN;
    loop {
        match follower.step().await {
            Ok(()) => pause = PAUSE_MIN,
            Err(Unreadable::Astray(Astray::TooMuch(most))) => {
                tracing::error!(
                    partition,
                    most,
                    "too many records to mirror: the store answers everything"
                );
                return;
            }
            Err(Unreadable::Store(error)) if is_elsewhere(&error) => {
                follower.caller.look_anew().await;
            }
            Err(why) => {
                tracing::warn!(partition, %why, "the mirror cannot follow the store");
                follower.caller.forget();
                sleep(pause).await;
                pause = (pause * 2).min(PAUSE_MAX);
            }
        }
    }
}

struct Follower<'m> {
    mirror: &'m Mirror,
    pane: &'m Pane,
    caller: Caller,
    keys: Keys,
    tidied: Monotonic,
}

impl Follower<'_> {
    async fn step(&mut self) -> Result<(), Unreadable> {
        if self.pane.feed.sequence().is_some() {
            self.read_next().await?;
        } else {
            let _permit = self.turns().fill().await;
            self.pane.fill(&self.caller, &self.keys).await?;
            self.mirror.meters.mirror().filled();
        }
        if self.tidied.elapsed() >= TIDY_PAUSE {
            self.tidied = monotonic();
            self.mirror.underway.tidy(self.tidied);
            self.pane.tidy()?;
        }
        Ok(())
    }

    const fn turns(&self) -> &Turns {
        &self.mirror.turns
    }

    /// Reads what follows in the stream; to its end, or as much as one answer may have.
    async fn read_next(&self) -> Result<(), Unreadable> {
        self.turns().look().await;
        let Pane { feed, replica, .. } = self.pane;
        // It may have moved on, or have been given up.
        let Some(after) = feed.sequence() else {
            return Ok(());
        };
        let known = feed.fresh.told();
        let mut question = redis::cmd("XREAD");
        question.arg("COUNT").arg(ENTRIES);
        question.arg("STREAMS").arg(self.keys.events()).arg(after);
        let next: Next = self.caller.ask(&question).await?;
        let entries = next.into_iter().flatten().flat_map(|(_, entries)| entries);
        let mut count = 0;
        for (id, fields) in entries {
            count += 1;
            if !is_in(&id, feed.sequence()) {
                lost(feed.read(replica, &entry(fields)?))?;
            }
        }
        self.mirror.tell_the_age();
        if count < ENTRIES {
            lost(feed.read_to_the_end(known))?;
            self.rest().await;
        }
        Ok(())
    }

    /// Waits until the stream is to be looked at again.
    async fn rest(&self) {
        let feed = &self.pane.feed;
        let begun = monotonic();
        while let Some(left) = self.turns().pace.checked_sub(begun.elapsed()) {
            if timeout(left, feed.is_behind()).await.is_err() {
                return;
            }
            let told = feed.fresh.told().sequence;
            sleep(GRACE).await;
            if feed.sequence().is_none_or(|sequence| sequence < told) {
                return;
            }
        }
    }
}

/// An entry has the sequence of its first event as its id.
fn is_in(id: &str, sequence: Option<u64>) -> bool {
    let first = id.split('-').next().and_then(|first| first.parse().ok());
    first.is_some_and(|first: u64| sequence.is_some_and(|last| first <= last))
}

fn lost(why: Option<Astray>) -> Result<(), Unreadable> {
    why.map_or(Ok(()), |why| Err(why.into()))
}
