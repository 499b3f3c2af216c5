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
//! Where there are several partitions, it has a pane of each, with a course, a freshness and a fate
//! of its own. A reservation is refused by the pane of the partition that all its SKUs belong to.
//! One over several partitions is left to the store: its refusal names what is short in all of
//! them, and no position is that of two.
//!
//! A refusal by the mirror is not kept under its key. It is given only to a key of which nothing
//! is known at that position, and no other command with it is underway through this instance: a
//! key that was granted gets its grant.

mod course;
mod feed;
mod following;
mod freshness;
mod pane;
mod reading;
mod turns;
mod underway;

use std::sync::Arc;
use std::time::Duration;

use self::following::follow;
pub(super) use self::freshness::Seen;
use self::pane::Pane;
use self::turns::Turns;
pub(super) use self::underway::Ticket;
use self::underway::Underway;
use super::feed::Rare;
use super::script::Keys;
use super::wire::reply::BatchReply;
use crate::clock::{Clock, Monotonic};
use crate::domain::command::{CommandKey, Reserve};
use crate::domain::hash::Hasher;
use crate::domain::{Refusal, Sku};
use crate::ledger::embedded::Retention;
use crate::ledger::policy::PolicyInForce;
use crate::ledger::{About, Availability, MirrorHealth};
use crate::telemetry::{Meters, MirrorAnswer};

/// See the module's documentation.
pub(super) struct Mirror {
    /// By the number of the partition.
    panes: Box<[Pane]>,
    turns: Turns,
    underway: Arc<Underway>,
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
    pub(super) fn new(hasher: Hasher, partitions: u16, config: &MirrorConfig) -> Self {
        let pane = |partition| Pane::new((partition, partitions), hasher, config);
        Self {
            panes: (0..partitions).map(pane).collect(),
            turns: Turns::new(partitions, config.bound),
            underway: Arc::new(Underway::new()),
            meters: config.meters.clone(),
        }
    }

    /// Fills it, and keeps it up on that thread. The keys are those of all partitions.
    pub(super) fn start(self: &Arc<Self>, thread: &Rare, keys: &[Keys]) {
        // Until there is a proof, it is as old as this.
        self.meters.mirror().age(Duration::ZERO);
        for (partition, keys) in (0..).zip(keys) {
            let (caller, keys) = (thread.caller(partition), keys.clone());
            thread.begin(follow(Arc::clone(self), partition, caller, keys));
        }
    }

    /// Judges by this policy where the store does.
    pub(super) fn enforce(&self, policy: Option<&Arc<PolicyInForce>>) {
        for pane in &self.panes {
            pane.enforce(policy);
        }
    }

    pub(super) fn health(&self) -> MirrorHealth {
        let age = self.age();
        age.map_or(MirrorHealth::Filling, MirrorHealth::Whole)
    }

    fn pane(&self, partition: u16) -> Option<&Pane> {
        self.panes.get(usize::from(partition))
    }

    /// A batch of this instance was answered by a partition, as durably as the level says.
    pub(super) fn heard(
        &self,
        partition: u16,
        argument: &[u8],
        reply: &BatchReply,
        sent: Monotonic,
    ) {
        if let Some(pane) = self.pane(partition) {
            pane.heard(argument, reply, sent);
        }
    }

    /// It is as old as its oldest pane; `None`: not all are filled.
    fn age(&self) -> Option<Duration> {
        let ages = self.panes.iter().map(|pane| pane.feed.fresh.age());
        let oldest = ages.reduce(|one, other| Some(one?.max(other?)));
        oldest.flatten()
    }

    fn tell_the_age(&self) {
        if let Some(age) = self.age() {
            self.meters.mirror().age(age);
        }
    }

    /// Lets a reservation whose SKUs all belong to a partition pass to the store, or refuses it.
    pub(super) fn admit(
        &self,
        partition: u16,
        key: CommandKey,
        reserve: &Reserve<'_>,
    ) -> Way<Ticket> {
        let ticket = self.underway.enter(key.id);
        if !ticket.is_alone() {
            return Way::Store(ticket);
        }
        let refusal = |pane: &Pane| pane.refusal(key, reserve);
        let Some(refused) = self.pane(partition).and_then(refusal) else {
            return Way::Store(ticket);
        };
        ticket.settle();
        self.meters.mirror().answered(MirrorAnswer::Refusal);
        Way::Refused(refused)
    }

    /// What may be promised of a SKU of a partition; `None`: the store knows.
    pub(super) fn availability(
        &self,
        partition: u16,
        sku: Sku<'_>,
        about: About,
    ) -> Option<Availability> {
        let seen = self.pane(partition)?.availability(sku, about)?;
        self.meters.mirror().answered(MirrorAnswer::Availability);
        Some(seen)
    }
}
