//! Opening: the newest good snapshot, then the journal after it.
//!
//! Events are replayed without deciding anything again. Each says what it left behind, and what is
//! found must equal that: state and journal check each other.

mod load;
mod past;
mod replay;

pub use self::past::Past;

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, RwLock};

use crossbeam::utils::CachePadded;

use super::journal::{Journal, JournalConfig, JournalError, JournalRecovery, ReplayError, Writer};
use super::policy::Kept;
use super::pool::Pool;
use super::record::{self, BadRecord};
use super::record_shard::LineRef;
use super::snapshot_file::SnapshotError;
use super::stock_shard::StockShard;
use super::storage::{OpenStorageError, Storage};
use super::{EmbeddedLedger, Retention, State, upkeep};
use crate::clock::Clock;
use crate::domain::hash::Hasher;
use crate::domain::line::Inconsistent;
use crate::domain::{Units, UnixMillis};
use crate::ledger::names::{DEFAULT_NODE, Names};
use crate::ledger::{LedgerError, Position};
use crate::limits::{CHANNELS_MAX, NODES_MAX, RECORD_SHARDS, STOCK_SHARDS};
use crate::telemetry::Meters;

/// Why a ledger cannot be opened. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The journal cannot be opened.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The snapshots cannot be read.
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
    /// The files of the folder contradict each other.
    #[error("the data folder is damaged: {0}")]
    Damaged(String),
    /// The data folder cannot be opened.
    #[error(transparent)]
    Folder(#[from] OpenStorageError),
    /// The storage failed.
    #[error("the data folder cannot be used: {0}")]
    Storage(#[from] std::io::Error),
}

impl OpenError {
    /// Says which record of the journal showed the damage.
    fn at_record(self, sequence: u64) -> Self {
        if let Self::Damaged(what) = self {
            return Self::Damaged(format!("record {sequence} of the journal: {what}"));
        }
        self
    }
}

impl From<BadRecord> for OpenError {
    fn from(bad: BadRecord) -> Self {
        Self::Damaged(bad.to_string())
    }
}

impl From<LedgerError> for OpenError {
    fn from(error: LedgerError) -> Self {
        Self::Damaged(error.to_string())
    }
}

impl From<Inconsistent> for OpenError {
    fn from(_: Inconsistent) -> Self {
        Self::Damaged("a counter leaves its range".to_owned())
    }
}

/// What a ledger needs to open.
#[derive(Debug, Clone)]
pub struct LedgerConfig {
    /// The journal's knobs.
    pub journal: JournalConfig,
    /// What is remembered.
    pub retention: Retention,
}

/// What recovery keeps while it reads.
#[derive(Debug)]
pub(super) struct Loading {
    stock_marks: Vec<u64>,
    record_marks: Vec<u64>,
    /// Lines of a snapshot whose head comes only with the journal.
    orphans: HashMap<(u128, u16), LineRef>,
    /// Latest moment seen.
    latest: UnixMillis,
    /// Whose events these are.
    source: Source,
}

/// Whose events are replayed.
#[derive(Debug)]
enum Source {
    /// Of this ledger's own journal: all of them, after its own snapshot.
    Journal,
    /// Of a ledger that goes on meanwhile, and forgets what it likes.
    Other(Awaited),
}

/// Stocks of another ledger that are still to be read: they were named, by shard and slot.
#[derive(Debug, Default)]
pub(super) struct Awaited {
    pub(super) stocks: HashSet<(usize, u32)>,
    /// A stock that was not named yet may be there all the same.
    pub(super) is_reading: bool,
}

impl Loading {
    fn of_journal() -> Self {
        Self::new(Source::Journal)
    }

    /// For events of another ledger, of which nothing was read yet.
    pub(super) fn of_other() -> Self {
        Self::new(Source::Other(Awaited {
            stocks: HashSet::new(),
            is_reading: true,
        }))
    }

    fn new(source: Source) -> Self {
        Self {
            stock_marks: vec![0; STOCK_SHARDS],
            record_marks: vec![0; RECORD_SHARDS],
            orphans: HashMap::new(),
            latest: UnixMillis(i64::MIN),
            source,
        }
    }

    /// What is still to be read of another ledger.
    pub(super) const fn awaited(&mut self) -> Option<&mut Awaited> {
        match &mut self.source {
            Source::Journal => None,
            Source::Other(awaited) => Some(awaited),
        }
    }

    /// Whether the stock at a place is still to be read, with what these events did to it.
    fn awaits(&self, shard: usize, slot: u32) -> bool {
        match &self.source {
            Source::Journal => false,
            Source::Other(awaited) => awaited.stocks.contains(&(shard, slot)),
        }
    }

    const fn is_of_journal(&self) -> bool {
        matches!(self.source, Source::Journal)
    }

    /// Whether a stock that is not there may still be read.
    fn is_reading(&self) -> bool {
        matches!(&self.source, Source::Other(awaited) if awaited.is_reading)
    }

    /// Makes a place for a stock that is still to be read.
    pub(super) fn await_stock(
        &mut self,
        shard: &mut StockShard,
        (number, hash): (usize, u64),
        sku: &str,
    ) -> Result<u32, Inconsistent> {
        match &mut self.source {
            Source::Other(awaited) if awaited.is_reading => {
                let slot = shard.find_or_make(hash, sku)?;
                awaited.stocks.insert((number, slot));
                Ok(slot)
            }
            Source::Journal | Source::Other(_) => Err(Inconsistent),
        }
    }
}

impl EmbeddedLedger {
    /// Opens the ledger in a storage; makes a new one in an empty storage.
    pub fn open(
        storage: Arc<dyn Storage>,
        config: &LedgerConfig,
        clock: Clock,
        meters: Meters,
    ) -> Result<Self, OpenError> {
        let counted = meters.clone();
        let start = |recovery: JournalRecovery| Ok((recovery.start(counted)?, ()));
        let (ledger, ()) = Self::open_with(storage, config, clock, meters, start)?;
        Ok(ledger)
    }

    /// Opens the ledger without any thread: the caller drives the journal's writer. For simulations.
    pub fn open_stepped(
        storage: Arc<dyn Storage>,
        config: &LedgerConfig,
        clock: Clock,
        meters: Meters,
    ) -> Result<(Self, Writer), OpenError> {
        Self::open_with(
            storage,
            config,
            clock,
            meters,
            JournalRecovery::start_stepped,
        )
    }

    /// Opens the ledger; `start` has the journal begin, with what drives it.
    fn open_with<D>(
        storage: Arc<dyn Storage>,
        config: &LedgerConfig,
        clock: Clock,
        meters: Meters,
        start: impl FnOnce(JournalRecovery) -> Result<(Journal, D), JournalError>,
    ) -> Result<(Self, D), OpenError> {
        let identity = super::identity::read_or_make(&*storage)?;
        let mut recovery = Journal::open(Arc::clone(&storage), config.journal)?;
        let state = State::new(Hasher::new(identity.seed), meters.clone());
        let (from, latest) = state.recover(&storage, &mut recovery)?;
        warn_of_an_early_clock(clock.now(), latest);
        if let Some(cut) = recovery.cut() {
            tracing::warn!(?cut, "cut the unfinished end of the journal");
        }
        let (journal, driver) = start(recovery)?;
        // Only now: a refused start changes nothing.
        if let Err(error) = super::snapshot_file::remove_unfinished(&*storage) {
            tracing::warn!(%error, "cannot remove an unfinished snapshot");
        }
        let ledger = Self {
            labelled: identity.labelled,
            state,
            journal,
            clock,
            meters,
            retention: config.retention,
            latest: AtomicI64::new(latest.0),
            upkeep: upkeep::Upkeep::default(),
            storage,
        };
        ledger.upkeep.snapshot_at.store(from, Ordering::Relaxed);
        ledger.record_opening();
        // The default node has index 0: it is the first name of every ledger.
        ledger.make_node(DEFAULT_NODE)?;
        Ok((ledger, driver))
    }
}

impl State {
    /// Without any content.
    pub(super) fn new(hasher: Hasher, meters: Meters) -> Self {
        Self::over(Pool::new(meters), hasher)
    }

    /// Over a pool without any content.
    pub(super) fn over(pool: Pool, hasher: Hasher) -> Self {
        Self {
            pool,
            hasher,
            nodes: RwLock::new(Names::new(NODES_MAX)),
            channels: RwLock::new(Names::new(CHANNELS_MAX)),
            policy: Kept::default(),
            counts: CachePadded::default(),
        }
    }

    /// Reads snapshot and journal. Returns the snapshot's sequence and the latest moment seen.
    fn recover(
        &self,
        storage: &Arc<dyn Storage>,
        recovery: &mut JournalRecovery,
    ) -> Result<(u64, UnixMillis), OpenError> {
        let mut loading = Loading::of_journal();
        let from = self.load_snapshot(storage, &mut loading)?;
        let replayed = recovery.replay(from, |position, bytes| {
            let event = record::decode(position, bytes)?;
            self.replay_event(&event, &mut loading)
                .map_err(|error| error.at_record(position.sequence))
        });
        replayed.map_err(|error| match error {
            ReplayError::Journal(error) => error.into(),
            ReplayError::Record { source, .. } => source,
        })?;
        self.finish(&loading)?;
        self.enforce_kept_policy()?;
        Ok((from, loading.latest))
    }

    /// After the last event: derived indexes.
    fn finish(&self, loading: &Loading) -> Result<(), OpenError> {
        // By time first: sequences of a ledger of several partitions do not go on from each other.
        type Newest = ((UnixMillis, Position), super::pool::HeadRef);
        let mut newest: HashMap<u64, Newest> = HashMap::new();
        let mut gone = Vec::new();
        for number in 0..RECORD_SHARDS {
            let at = u16::try_from(number).unwrap_or(u16::MAX);
            let shard = self.pool.record_shard(number)?;
            for (slot, record) in shard.records.iter() {
                let Some(head) = record.head() else { continue };
                if head.lines.as_slice().iter().any(|line| line.is_missing()) {
                    gone.push((number, slot));
                } else if let Some(reference) = head.reference {
                    let hash = self.hasher.reference(head.channel, reference);
                    let made = (record.at, record.position());
                    let entry = newest.entry(hash).or_insert((made, (at, slot)));
                    if entry.0 <= made {
                        *entry = (made, (at, slot));
                    }
                }
            }
        }
        for (hash, (_, at)) in newest {
            self.pool.references(hash)?.insert(hash, at);
        }
        self.drop_forgotten(&gone, loading)
    }

    /// A reservation that was forgotten while the snapshot was written may have left its head or
    /// some lines behind; none of them holds units, else the folder is damaged.
    fn drop_forgotten(&self, heads: &[(usize, u32)], loading: &Loading) -> Result<(), OpenError> {
        let mut lines: Vec<LineRef> = loading.orphans.values().copied().collect();
        for (number, slot) in heads {
            let mut shard = self.pool.record_shard(*number)?;
            if let Some(record) = shard.remove(*slot) {
                self.counts.record_removed(shard.records.len());
                let refs = record.head().map(|head| head.lines).unwrap_or_default();
                lines.extend(refs.iter().filter(|line| !line.is_missing()));
            }
        }
        for line in lines {
            let mut shard = self.pool.stock_shard(usize::from(line.shard))?;
            let open = shard
                .lines
                .get(line.slot)
                .is_some_and(|e| !e.line().open().is_zero());
            if open {
                return Err(OpenError::Damaged(
                    "promised units without a reservation".to_owned(),
                ));
            }
            shard.lines.remove(line.slot);
        }
        Ok(())
    }
}

fn line_ref(shard: usize, slot: u32) -> LineRef {
    let shard = u16::try_from(shard).unwrap_or(u16::MAX);
    LineRef::missing(Units::ZERO, None).placed(shard, slot)
}

fn covered(marks: &[u64], shard: usize, sequence: u64) -> bool {
    marks.get(shard).is_some_and(|mark| sequence <= *mark)
}

/// Behind the ledger by more than this, a clock is said to be wrong.
const CLOCK_BEHIND_MS: i64 = 2_000;

/// Time never goes back behind what was decided: until the clock has caught up, it stands still.
fn warn_of_an_early_clock(now: UnixMillis, latest: UnixMillis) {
    let behind = latest.0.saturating_sub(now.0);
    if behind > CLOCK_BEHIND_MS {
        tracing::warn!(
            seconds = behind / 1_000,
            "the clock of this machine is behind the ledger: until it has caught up, no hold expires"
        );
    }
}
