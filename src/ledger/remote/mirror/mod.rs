//! The mirror: what the store holds, in the memory of this instance, as far as it has heard.
//!
//! It is the pool of the embedded ledger, filled by the events of the store instead of a journal,
//! in order and without gaps. It promises nothing: it answers what may be promised, as of a
//! position, and refuses what is sold out without asking the store. Whatever it does not know for
//! certain, it leaves to the store.
//!
//! What it says is true of one position, which the answer names; at some moment within the
//! configured bound, that was all there was; and it holds everything that this instance has told
//! anybody of. The proof of that moment is a reply to a batch of this instance, which came as
//! durably as the level says: a store that was cut off from its replicas proves nothing.
//!
//! A refusal by the mirror is not kept under its key. It is given only to a key of which nothing
//! is known at that position, and no other command with it is underway through this instance: a
//! key that was granted gets its grant.

mod course;
mod feed;
mod following;
mod freshness;
mod reading;
mod underway;

use std::sync::Arc;
use std::time::Duration;

use self::feed::Feed;
use self::following::follow;
pub(super) use self::freshness::Seen;
pub(super) use self::underway::Ticket;
use self::underway::Underway;
use super::feed::Rare;
use super::script::Keys;
use super::wire::reply::BatchReply;
use crate::clock::{Clock, Monotonic, monotonic};
use crate::domain::command::{CommandKey, Reserve};
use crate::domain::hash::Hasher;
use crate::domain::{NodeIx, Refusal, Sku, UnixMillis};
use crate::ledger::embedded::Retention;
use crate::ledger::embedded::replica::{Replica, Unfit};
use crate::ledger::{Availability, MirrorHealth};
use crate::telemetry::{Meters, MirrorAnswer};

/// The mirror is of a ledger that is one partition.
const ONLY_PARTITION: u16 = 0;

/// See the module's documentation.
pub(super) struct Mirror {
    replica: Replica,
    feed: Feed,
    underway: Arc<Underway>,
    /// Nothing that was proved longer ago is said.
    bound: Duration,
    /// The time that the store believes; only tests have one.
    clock: Option<Clock>,
    retention: Retention,
    meters: Meters,
}

/// What a mirror is opened with.
pub(super) struct MirrorConfig {
    pub(super) bound: Duration,
    pub(super) clock: Option<Clock>,
    pub(super) retention: Retention,
    pub(super) meters: Meters,
}

/// Who answers a command.
pub(super) enum Way<T> {
    /// The store.
    Store(T),
    /// The mirror: there is not enough.
    Refused(Seen<Refusal>),
}

impl Mirror {
    /// Without any content.
    pub(super) fn new(hasher: Hasher, config: MirrorConfig) -> Self {
        Self {
            replica: Replica::new(hasher, config.meters.clone()),
            feed: Feed::new(),
            underway: Arc::new(Underway::new()),
            bound: config.bound,
            clock: config.clock,
            retention: config.retention,
            meters: config.meters,
        }
    }

    /// Fills it, and keeps it up on that thread.
    pub(super) fn start(self: &Arc<Self>, thread: &Rare, keys: Keys) {
        // Until there is a proof, it is as old as this.
        self.meters.mirror().age(Duration::ZERO);
        thread.begin(follow(
            Arc::clone(self),
            thread.caller(ONLY_PARTITION),
            keys,
        ));
    }

    /// A batch of this instance was answered, as durably as the level says.
    pub(super) fn heard(&self, argument: &[u8], reply: &BatchReply, sent: Monotonic) {
        let astray = self.feed.heard(&self.replica, argument, reply, sent);
        if let Some(why) = astray {
            tracing::warn!(%why, "the mirror does not fit the store; it is read anew");
        }
        self.tell_the_age();
    }

    pub(super) fn health(&self) -> MirrorHealth {
        let age = self.feed.fresh.age();
        age.map_or(MirrorHealth::Filling, MirrorHealth::Whole)
    }

    fn tell_the_age(&self) {
        if let Some(age) = self.feed.fresh.age() {
            self.meters.mirror().age(age);
        }
    }

    /// Lets a reservation pass to the store, or refuses it.
    pub(super) fn admit(&self, key: CommandKey, reserve: &Reserve<'_>) -> Way<Ticket> {
        let ticket = self.underway.enter(key.id);
        if !ticket.is_alone() {
            return Way::Store(ticket);
        }
        let Some(refused) = self.refusal(key, reserve) else {
            return Way::Store(ticket);
        };
        ticket.settle();
        self.meters.mirror().answered(MirrorAnswer::Refusal);
        Way::Refused(refused)
    }

    fn refusal(&self, key: CommandKey, reserve: &Reserve<'_>) -> Option<Seen<Refusal>> {
        self.look(|by| {
            let refusal = self.replica.refusal(reserve, by).ok()??;
            let is_known = self.replica.knows(key.id).ok()?;
            (!is_known).then_some(refusal)
        })
    }

    /// What may be promised of a SKU; `None`: the store knows.
    pub(super) fn availability(&self, sku: Sku<'_>, node: Option<NodeIx>) -> Option<Availability> {
        let seen = self.look(|by| {
            let look = |stock: &_| Availability::of(stock, node, UnixMillis::default());
            self.replica.look(sku, by, look).ok()?
        })?;
        self.meters.mirror().answered(MirrorAnswer::Availability);
        Some(Availability {
            as_of: seen.as_of,
            ..seen.value
        })
    }

    fn look<T>(&self, look: impl FnMut(UnixMillis) -> Option<T>) -> Option<Seen<T>> {
        let clock = self.clock.as_ref();
        self.feed.fresh.look(self.bound, clock, look)
    }

    /// Forgets what the store may have forgotten.
    fn tidy(&self) -> Result<(), Unfit> {
        self.underway.tidy(monotonic());
        let now = self.feed.fresh.as_of();
        for shard in 0..Replica::SHARDS {
            // Between two batches: an event must find what it is about.
            let tidied = || self.replica.tidy(shard, now, &self.retention);
            self.feed.quietly(tidied)?;
        }
        Ok(())
    }
}
