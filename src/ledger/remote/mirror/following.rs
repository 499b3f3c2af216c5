//! Keeping the mirror up: reading the content when there is none, the stream when there is.
//!
//! The stream is read at a pace, not whenever it has something: most of what it has the mirror took
//! from this instance's own replies, and a question would only fetch that again. Where a reply shows
//! that others have done something, the stream is read at once.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{sleep, timeout};

use super::Mirror;
use super::course::Astray;
use super::reading::{Entries, Unreadable, entry, read};
use crate::clock::{Monotonic, monotonic};
use crate::ledger::remote::feed::Caller;
use crate::ledger::remote::script::Keys;

/// Entries of the stream that are read at once.
const ENTRIES: usize = 64;

/// From one look at the stream to the next: this part of the mirror's bound, and these limits.
const LOOKS_IN_BOUND: u32 = 4;
const PACE_MIN: Duration = Duration::from_millis(5);
const PACE_MAX: Duration = Duration::from_millis(50);

/// What a reply shows to be missing may be another batch of our own, whose reply is on its way.
const GRACE: Duration = Duration::from_millis(1);

/// Pauses after failures: each is twice the one before.
const PAUSE_MIN: Duration = Duration::from_millis(20);
const PAUSE_MAX: Duration = Duration::from_secs(10);

/// From one round of forgetting to the next.
const TIDY_PAUSE: Duration = Duration::from_millis(50);

/// The answer to a question for what is next.
type Next = Option<HashMap<String, Entries>>;

/// Keeps a mirror up for as long as the ledger is open.
pub(super) async fn follow(mirror: Arc<Mirror>, caller: Caller, keys: Keys) {
    let pace = (mirror.bound / LOOKS_IN_BOUND).clamp(PACE_MIN, PACE_MAX);
    let mut follower = Follower {
        mirror,
        pace,
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
                    most,
                    "too many records to mirror: the store answers everything"
                );
                return;
            }
            Err(why) => {
                tracing::warn!(%why, "the mirror cannot follow the store");
                follower.caller.forget();
                sleep(pause).await;
                pause = (pause * 2).min(PAUSE_MAX);
            }
        }
    }
}

struct Follower {
    mirror: Arc<Mirror>,
    pace: Duration,
    caller: Caller,
    keys: Keys,
    tidied: Monotonic,
}

impl Follower {
    async fn step(&mut self) -> Result<(), Unreadable> {
        match self.mirror.feed.sequence() {
            Some(sequence) => self.read_next(sequence).await?,
            None => self.read_all().await?,
        }
        if self.tidied.elapsed() >= TIDY_PAUSE {
            self.tidied = monotonic();
            self.mirror.tidy()?;
        }
        Ok(())
    }

    async fn read_all(&self) -> Result<(), Unreadable> {
        let Mirror { feed, replica, .. } = &*self.mirror;
        let told = feed.fresh.told();
        let records_max = self.mirror.retention.records_max;
        let course = read(&self.caller, &self.keys, replica, records_max).await?;
        if course.position() < told {
            return Err(Unreadable::Lost(course.sequence));
        }
        let sequence = course.sequence;
        feed.begin(course);
        self.mirror.meters.mirror().filled();
        tracing::info!(sequence, "the mirror is there");
        Ok(())
    }

    /// Reads what follows in the stream; to its end, or as much as one answer may have.
    async fn read_next(&self, after: u64) -> Result<(), Unreadable> {
        let Mirror { feed, replica, .. } = &*self.mirror;
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
        let feed = &self.mirror.feed;
        let begun = monotonic();
        while let Some(left) = self.pace.checked_sub(begun.elapsed()) {
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
