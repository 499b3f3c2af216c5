//! The ledger: the only writer of stock. One port, answered by a backend.

mod answer;
pub mod embedded;
pub mod event;
pub mod export;
mod kind;
pub mod names;
pub mod policy;
pub mod port;
pub mod proof;
pub mod remote;
mod sums;
pub mod time_text;

use std::time::Duration;

use smallvec::SmallVec;

use crate::domain::calendar::Bucket;
use crate::domain::deficit::Promise;
use crate::domain::policy::{Claim, Standing, Supply};
use crate::domain::stock::NodeStock;
use crate::domain::verdict::{BoundBy, Limit};
use crate::domain::{ChannelIx, Day, Inbound, NodeIx, Settings, Stock, Units, UnixMillis, Verdict};

/// Place of a committed change in the order of one ledger shard.
///
/// The embedded ledger is one shard, number 0. The epoch grows with every opening of the data
/// folder, so positions of a lost suffix are never mistaken for new ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Position {
    /// Which order: a partition of a remote ledger; the embedded ledger has one.
    pub shard: u16,
    /// Counts the openings of the ledger.
    pub epoch: u32,
    /// Counts the changes, without gaps; 0 is before the first.
    pub sequence: u64,
}

impl std::fmt::Display for Position {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.epoch, self.sequence)
    }
}

/// A verdict and where it stands in the order of changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The outcome or refusal.
    pub verdict: Verdict,
    /// This key was answered before; the verdict is that answer again.
    pub replayed: bool,
    /// Where the change that this verdict came from stands.
    pub position: Position,
    /// Nobody may be told before everything up to here is durable. It is the answer's own
    /// position, but for a reservation that was refused: that promises nothing, and waits only
    /// until what it was refused for cannot be lost.
    pub told_after: Position,
    /// The mirror said so, of which it is known that this long ago it was whole. It is kept under
    /// no key: asked again, the key is decided anew.
    pub mirror_age: Option<Duration>,
}

/// Why the ledger could not answer. Not a refusal: those are verdicts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LedgerError {
    /// Nothing happened.
    #[error("the ledger is not available; nothing was changed")]
    Unavailable,
    /// Acknowledged changes are missing in the store, and nothing is decided or shown before
    /// somebody has accepted that. Nothing happened.
    #[error("acknowledged changes were lost; nothing was changed")]
    Quarantined,
    /// It may have happened: ask again with the same key.
    #[error("the result is unknown; ask again with the same idempotency key")]
    Unknown,
    /// A sync failed; this process serves no more writes.
    #[error("the journal failed; this process accepts no more changes")]
    Poisoned,
    /// A queue is full; nothing happened.
    #[error("too much work is queued; nothing was changed")]
    Overloaded,
}

/// How durable an acknowledged change is, named after what a crash can lose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Durability {
    /// Synced to the disk before the answer: survives a power cut.
    Disk,
    /// Handed to the operating system before the answer: survives a killed process; a power cut
    /// can lose it. Embedded ledger only.
    Os,
    /// In the memory of the store before the answer: survives a killed instance; a fail-over or a
    /// restart of the store can lose it. Remote ledger only, as are the next two.
    Memory,
    /// In the memory of every replica that could be promoted before the answer: survives the loss
    /// of the primary.
    Replica,
    /// On the disks of the primary and of every replica that could be promoted before the answer:
    /// survives a power cut of all of them.
    ReplicaDisk,
}

impl Durability {
    /// The word of the configuration, the health answer and the response header.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Disk => "disk",
            Self::Os => "os",
            Self::Memory => "memory",
            Self::Replica => "replica",
            Self::ReplicaDisk => "replica+disk",
        }
    }
}

/// Stock of one SKU as a reader sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StockView {
    /// Usable units over all nodes.
    pub on_hand: Units,
    /// Units apart over all nodes.
    pub unavailable: Units,
    /// Open units held.
    pub held: Units,
    /// Open units committed.
    pub committed: Units,
    /// Units kept back now.
    pub safety_stock: Units,
    /// Units that can still be promised.
    pub available: Units,
    /// Units promised beyond what is there.
    pub deficit: Units,
    /// It fell to its low-water mark, and did not reach again what ends that.
    pub low: bool,
    /// It takes no new holds: by its settings, or because it is low.
    pub suspended: bool,
    /// Counts the changes.
    pub version: u64,
    /// The settings.
    pub settings: Settings,
    /// Per node, sorted by node index.
    pub nodes: SmallVec<[NodeStock; 1]>,
    /// What is announced, sorted by day, then name; overdue or not.
    pub inbound: Vec<Inbound>,
}

impl StockView {
    /// Of this stock on that day.
    pub fn of(stock: &Stock, today: Day) -> Self {
        Self {
            on_hand: stock.on_hand(),
            unavailable: stock.unavailable(),
            held: stock.held(),
            committed: stock.committed(),
            safety_stock: stock.safety(),
            available: stock.available(today),
            deficit: stock.deficit(today),
            low: stock.is_low(),
            suspended: stock.is_suspended(),
            version: stock.version(),
            settings: stock.settings().clone(),
            nodes: SmallVec::from_slice(stock.nodes()),
            inbound: stock.calendar().inbound().to_vec(),
        }
    }
}

/// A SKU whose promises exceed what is there, with all of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deficit {
    /// What.
    pub sku: Box<str>,
    /// Its stock.
    pub stock: StockView,
    /// Its lines with open units, in no order.
    pub promises: Vec<Promise>,
}

/// What is promised beyond what there is, of so many SKUs, as far as the feed told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Missing {
    /// SKUs with a deficit.
    pub skus: u64,
    /// Units of all of them.
    pub units: u64,
}

impl Missing {
    /// The deficit of a SKU is another one.
    pub(in crate::ledger) fn note(&mut self, before: Units, after: Units) {
        self.skus += u64::from(!after.is_zero());
        self.skus -= u64::from(!before.is_zero());
        self.units += after.get();
        self.units -= before.get();
    }
}

/// What a ledger counts as it goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Gauges {
    /// Reservation lines with held or committed units.
    pub open_lines: u64,
    /// What is promised beyond what there is.
    pub missing: Missing,
}

impl std::ops::AddAssign for Gauges {
    fn add_assign(&mut self, other: Self) {
        self.open_lines += other.open_lines;
        self.missing.skus += other.missing.skus;
        self.missing.units += other.missing.units;
    }
}

/// How new an answer must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Consistency {
    /// As of a moment not long ago, with everything that this instance has told anybody of.
    #[default]
    Mirror,
    /// After everything that was acknowledged anywhere.
    Strong,
}

/// What an availability is about: a node or all of them, a channel or nobody in particular.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct About {
    /// Where.
    pub node: Option<NodeIx>,
    /// For whom.
    pub channel: Option<ChannelIx>,
}

impl From<Option<NodeIx>> for About {
    fn from(node: Option<NodeIx>) -> Self {
        Self {
            node,
            channel: None,
        }
    }
}

/// How a channel stands with a SKU, under the rule in force.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Share {
    /// What it uses, with all below it.
    pub used: Units,
    /// Its own cap in units.
    pub cap: Option<Units>,
    /// Its own protection in units.
    pub protected: Option<Units>,
    /// The most that the policy lets it take of what is free.
    pub left: Units,
    /// The cap or protection that keeps it from more.
    pub bound: Option<(Limit, BoundBy)>,
}

impl Share {
    /// Of this stock, of this supply.
    pub fn of(stock: &Stock, claim: Claim<'_>, supply: Supply) -> Self {
        Self::at(claim, &claim.standing(supply, stock.uses()))
    }

    fn at(claim: Claim<'_>, standing: &Standing) -> Self {
        Self {
            used: standing.used,
            cap: standing.cap,
            protected: standing.protected,
            left: standing.left,
            bound: { standing.bound.as_ref() }
                .and_then(|bound| Some((bound.limit, claim.rule.explain(bound)?))),
        }
    }
}

/// What may be promised of a SKU now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Availability {
    /// The most that one line may take; zero while selling is suspended.
    pub available: Units,
    /// What binds it.
    pub limit: Limit,
    /// Usable units over all nodes.
    pub on_hand: Units,
    /// Held and committed units.
    pub promised: Units,
    /// Units kept back.
    pub safety_stock: Units,
    /// Units free at the node asked for; `None` when no node was named.
    pub at_node: Option<Units>,
    /// Units kept back at that node, where the SKU has a safety stock of its own for it.
    pub safety_at_node: Option<Units>,
    /// What may be promised for later days, beginning with now; nothing where nothing is announced.
    pub dates: Vec<Bucket>,
    /// How the channel asked for stands; `None` when none was named, or no rule is in force.
    pub share: Option<Share>,
    /// Moment of the answer.
    pub as_of: UnixMillis,
}

impl Availability {
    /// Of this stock at this moment, at a node or anywhere, for nobody in particular.
    pub fn of(stock: &Stock, node: Option<NodeIx>, as_of: UnixMillis) -> Self {
        Self::for_claim(stock, node, None, as_of)
    }

    /// Of this stock at this moment, for a channel under the rule in force.
    pub fn for_claim(
        stock: &Stock,
        node: Option<NodeIx>,
        claim: Option<Claim<'_>>,
        as_of: UnixMillis,
    ) -> Self {
        let today = Day::of(as_of);
        let timeline = stock.timeline(today);
        let supply = |day| match &timeline {
            Some(timeline) => timeline.supplied(day),
            None => stock.supply(Units::ZERO),
        };
        let standing = |day| claim.map(|claim| claim.standing(supply(day), stock.uses()));
        let now = standing(None);
        let bound_on = |day: Option<Day>| match day {
            None => now?.bound,
            Some(_) => standing(day)?.bound,
        };
        let dates = { timeline.as_ref() }
            .map(|timeline| stock.profile(timeline, node, bound_on))
            .unwrap_or_default();
        let (available, limit) = match dates.first() {
            Some(now) => (now.available, now.limit),
            None => stock.room(node, Units::ZERO, bound_on(None).as_ref()),
        };
        Self {
            share: claim.zip(now).map(|(claim, now)| Share::at(claim, &now)),
            available,
            limit,
            on_hand: stock.on_hand(),
            promised: stock.promised(),
            safety_stock: stock.safety(),
            at_node: node.map(|node| stock.spare(node, today)),
            safety_at_node: node.and_then(|node| stock.safety_at(&stock.node(node))),
            dates,
            as_of,
        }
    }
}

/// How the ledger is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Health {
    /// The level in force.
    pub durability: Durability,
    /// Position of the last change that is durable.
    pub durable: Position,
    /// Bytes of journal records not yet durable.
    pub queued_bytes: usize,
    /// A sync failed.
    pub poisoned: bool,
    /// Whether the store is set up to keep what the level promises. Always so in this process's
    /// own journal.
    pub is_safe: bool,
    /// How the mirror is, where there is one. The ledger serves without it as well.
    pub mirror: Option<MirrorHealth>,
}

/// How the mirror of a ledger is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MirrorHealth {
    /// It is being filled: the store answers everything.
    Filling,
    /// It was whole this long ago.
    Whole(Duration),
}

/// What a full recount found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Recount {
    /// SKUs counted.
    pub skus: u64,
    /// Reservations counted, of which `open` still hold or commit units.
    pub reservations: u64,
    /// Reservations with held or committed units.
    pub open: u64,
    /// Units held and committed.
    pub units_promised: u64,
    /// Units on hand.
    pub units_on_hand: u64,
    /// SKUs whose promises exceed what is there after a count or a loss. Not a violation.
    pub deficits: u64,
    /// One sentence per violation; at most 100 are kept.
    pub violations: Vec<String>,
    /// Number of violations.
    pub violation_count: u64,
}

impl Recount {
    /// Most violations that are kept as sentences.
    const SENTENCES_MAX: usize = 100;

    /// Adds what was found in another part of the ledger.
    fn add(&mut self, other: Self) {
        self.skus += other.skus;
        self.reservations += other.reservations;
        self.open += other.open;
        self.units_promised += other.units_promised;
        self.units_on_hand += other.units_on_hand;
        self.deficits += other.deficits;
        self.violation_count += other.violation_count;
        self.violations.extend(other.violations);
        self.violations.truncate(Self::SENTENCES_MAX);
    }

    /// Counts a violation, and keeps what is said of it while there is room.
    fn violation(&mut self, sentence: impl FnOnce() -> String) {
        self.violation_count += 1;
        if self.violations.len() < Self::SENTENCES_MAX {
            self.violations.push(sentence());
        }
    }
}

/// Why a page of events cannot be given.
#[derive(Debug, thiserror::Error)]
pub enum EventsError {
    /// There are fewer shards.
    #[error("there are {shards} shards")]
    NoShard {
        /// How many.
        shards: u16,
    },
    /// Events so old were dropped.
    #[error("events before {oldest} are no longer kept")]
    Gone {
        /// Sequence of the oldest event kept.
        oldest: u64,
    },
    /// The place to continue after is not one of this history: what stood there was lost.
    #[error("what stood at {sequence} was lost")]
    Lost {
        /// The sequence asked for.
        sequence: u64,
    },
    /// The files cannot be read.
    #[error("the journal cannot be read: {0}")]
    Unreadable(String),
}
