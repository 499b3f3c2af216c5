//! Opening: the newest good snapshot, then the journal after it.
//!
//! Events are replayed without deciding anything again. Each says what it left behind, and what is
//! found must equal that: state and journal check each other.

use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, RwLock};

use super::answer::held_line;
use super::journal::{Journal, JournalConfig, JournalError, JournalRecovery, ReplayError};
use super::pool::Pool;
use super::record::{self, BadRecord};
use super::record_shard::{Head, Kept, LineRef, LineRefs, Record, shard_of as record_shard_of};
use super::snapshot::{NAMES, RECORDS, STOCK, get_names, get_records, get_stock};
use super::snapshot_file::{SnapshotError, SnapshotReader};
use super::stock_shard::{LineEntry, shard_of};
use super::storage::{OpenStorageError, Storage};
use super::{Counts, EmbeddedLedger, Retention, State, upkeep};
use crate::clock::Clock;
use crate::domain::command::CommandKey;
use crate::domain::hash::Hasher;
use crate::domain::line::{Inconsistent, Move};
use crate::domain::{ReservationId, Ttl, Units, UnixMillis};
use crate::ledger::LedgerError;
use crate::ledger::event::{Acted, Body, Event, Reserved, StockItem};
use crate::ledger::names::Names;
use crate::limits::{CHANNELS_MAX, NODES_MAX, RECORD_SHARDS, STOCK_SHARDS};
use crate::telemetry::Meters;

/// Name of [`NodeIx::MAIN`](crate::domain::NodeIx::MAIN).
const DEFAULT_NODE: &str = "main";

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
struct Loading {
    stock_marks: Vec<u64>,
    record_marks: Vec<u64>,
    /// Lines of a snapshot whose head comes only with the journal.
    orphans: HashMap<(u128, u16), LineRef>,
    /// Latest moment seen.
    latest: UnixMillis,
}

impl EmbeddedLedger {
    /// Opens the ledger in a storage; makes a new one in an empty storage.
    pub fn open(
        storage: Arc<dyn Storage>,
        config: &LedgerConfig,
        clock: Clock,
        meters: Meters,
    ) -> Result<Self, OpenError> {
        let seed = super::identity::read_or_make(&*storage)?;
        let mut recovery = Journal::open(Arc::clone(&storage), config.journal)?;
        let state = State {
            pool: Pool::new(meters.clone()),
            hasher: Hasher::new(seed),
            nodes: RwLock::new(Names::new(NODES_MAX)),
            channels: RwLock::new(Names::new(CHANNELS_MAX)),
            counts: Counts::default(),
        };
        let (from, latest) = state.recover(&storage, &mut recovery)?;
        if let Some(cut) = recovery.cut() {
            tracing::warn!(?cut, "cut the unfinished end of the journal");
        }
        let ledger = Self {
            state,
            journal: recovery.start(meters.clone())?,
            clock,
            meters,
            retention: config.retention,
            latest: AtomicI64::new(latest.0),
            upkeep: upkeep::Upkeep::default(),
            storage,
        };
        ledger.upkeep.snapshot_at.store(from, Ordering::Relaxed);
        // The default node has index 0: it is the first name of every ledger.
        ledger.make_node(DEFAULT_NODE)?;
        Ok(ledger)
    }
}

impl State {
    /// Reads snapshot and journal. Returns the snapshot's sequence and the latest moment seen.
    fn recover(
        &self,
        storage: &Arc<dyn Storage>,
        recovery: &mut JournalRecovery,
    ) -> Result<(u64, UnixMillis), OpenError> {
        let mut loading = Loading {
            stock_marks: vec![0; STOCK_SHARDS],
            record_marks: vec![0; RECORD_SHARDS],
            orphans: HashMap::new(),
            latest: UnixMillis(i64::MIN),
        };
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
        Ok((from, loading.latest))
    }

    fn load_snapshot(
        &self,
        storage: &Arc<dyn Storage>,
        loading: &mut Loading,
    ) -> Result<u64, OpenError> {
        let Some(mut reader) = SnapshotReader::newest(&**storage)? else {
            return Ok(0);
        };
        while let Some(section) = reader.next_section()? {
            let shard = usize::try_from(section.index).unwrap_or(usize::MAX);
            match section.kind {
                NAMES => self.load_names(section.bytes)?,
                RECORDS => self.load_records(shard, section.bytes, loading)?,
                STOCK => self.load_stock(shard, section.bytes, loading)?,
                kind => {
                    return Err(OpenError::Damaged(format!(
                        "snapshot section of kind {kind}"
                    )));
                }
            }
        }
        Ok(reader.sequence())
    }

    fn load_names(&self, bytes: &[u8]) -> Result<(), OpenError> {
        let [nodes, channels] = get_names(bytes)?;
        for (table, names) in [(&self.nodes, nodes), (&self.channels, channels)] {
            let mut table = super::unpoisoned(table.write());
            for name in names {
                table
                    .add(name)
                    .ok_or_else(|| OpenError::Damaged("too many names".to_owned()))?;
            }
        }
        Ok(())
    }

    fn load_records(
        &self,
        shard: usize,
        bytes: &[u8],
        loading: &mut Loading,
    ) -> Result<(), OpenError> {
        let mut records = self.pool.record_shard(shard)?;
        let mark = get_records(bytes, |record| {
            loading.latest = loading.latest.max(record.at);
            records.insert(record)?;
            self.counts.records.fetch_add(1, Ordering::Relaxed);
            Ok::<(), OpenError>(())
        })?;
        set_mark(&mut loading.record_marks, shard, mark)
    }

    fn load_stock(
        &self,
        shard: usize,
        bytes: &[u8],
        loading: &mut Loading,
    ) -> Result<(), OpenError> {
        let mut lines = Vec::new();
        let mut stock = self.pool.stock_shard(shard)?;
        let mut slots = Vec::new();
        let mark = get_stock(
            bytes,
            |stored| {
                let hash = self.hasher.sku(stored.sku);
                let slot = stock.find_or_make(hash, stored.sku)?;
                if let Some(entry) = stock.stocks.get_mut(slot) {
                    entry.stock = stored.stock;
                }
                slots.push(slot);
                Ok::<(), OpenError>(())
            },
            |line| {
                lines.push(line);
                Ok(())
            },
        )?;
        let mut refs = Vec::with_capacity(lines.len());
        for mut entry in lines {
            let place = usize::try_from(entry.stock).unwrap_or(usize::MAX);
            entry.stock = slots.get(place).copied().ok_or(BadRecord)?;
            let (id, number) = (entry.reservation(), entry.number);
            refs.push((id, number, stock.restore_line(entry)?));
        }
        drop(stock);
        for (id, number, slot) in refs {
            self.link(id, number, line_ref(shard, slot), loading)?;
        }
        set_mark(&mut loading.stock_marks, shard, mark)
    }

    /// Tells a head where its line is; a line whose head is not there yet waits for it.
    fn link(
        &self,
        id: ReservationId,
        number: u16,
        found: LineRef,
        loading: &mut Loading,
    ) -> Result<(), OpenError> {
        let mut records = self.pool.record_shard(record_shard_of(id.0))?;
        let head = records.get_mut(id.0).and_then(Record::head_mut);
        let place = head.and_then(|h| h.lines.as_mut_slice().get_mut(usize::from(number)));
        match place {
            Some(place) => {
                *place = place.placed(found.shard, found.slot);
            }
            None => {
                loading.orphans.insert((id.0, number), found);
            }
        }
        Ok(())
    }

    fn replay_event(&self, event: &Event<'_>, loading: &mut Loading) -> Result<(), OpenError> {
        let sequence = event.position.sequence;
        loading.latest = loading.latest.max(event.at);
        match &event.body {
            Body::Opened { .. } => Ok(()),
            Body::NodeNamed { node, name } => replay_name(&self.nodes, node.0, name),
            Body::ChannelNamed { channel, name } => replay_name(&self.channels, channel.0, name),
            Body::Reserved(reserved) => self.replay_reserved(sequence, event.at, reserved, loading),
            Body::Acted(acted) => {
                self.keep_event(event, acted.key, loading)?;
                self.replay_acted(sequence, acted, loading)
            }
            Body::Expired {
                id,
                line,
                sku,
                units,
            } => self.replay_expired(sequence, (*id, *line), sku, *units, loading),
            Body::StockChanged(changed) => {
                self.keep_event(event, changed.key, loading)?;
                let items = changed.items.iter();
                items
                    .into_iter()
                    .try_for_each(|item| self.replay_item(sequence, item, loading))
            }
            Body::SettingsPut {
                key, sku, after, ..
            } => {
                self.keep_event(event, *key, loading)?;
                let hash = self.hasher.sku(sku);
                if covered(&loading.stock_marks, shard_of(hash), sequence) {
                    return Ok(());
                }
                let mut shard = self.pool.stock_shard(shard_of(hash))?;
                let slot = shard.find_or_make(hash, sku)?;
                let entry = shard.stocks.get_mut(slot).ok_or(Inconsistent)?;
                entry.stock.put_settings(*after);
                Ok(())
            }
            Body::Refused { key, .. } => self.keep_event(event, *key, loading),
        }
    }

    /// Puts a command's record in, in place of a forgotten one with the same id.
    fn keep(&self, record: Record, loading: &Loading) -> Result<(), OpenError> {
        let number = record_shard_of(record.id());
        if covered(&loading.record_marks, number, record.sequence) {
            return Ok(());
        }
        let mut shard = self.pool.record_shard(number)?;
        if let Some(slot) = shard.find(record.id())
            && let Some(old) = shard.remove(slot)
        {
            self.forget_lines(&old, (u16::try_from(number).unwrap_or(u16::MAX), slot))?;
            self.counts.records.fetch_sub(1, Ordering::Relaxed);
        }
        shard.insert(record)?;
        self.counts.records.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    fn keep_event(
        &self,
        event: &Event<'_>,
        key: CommandKey,
        loading: &Loading,
    ) -> Result<(), OpenError> {
        let mut bytes = Vec::new();
        record::encode(event.at, &event.body, &mut bytes);
        let kept = Kept::Event(bytes.get(4..).unwrap_or_default().into());
        self.keep(
            Record::new(key, event.position.sequence, event.at, kept),
            loading,
        )
    }

    fn replay_reserved(
        &self,
        sequence: u64,
        at: UnixMillis,
        reserved: &Reserved<'_>,
        loading: &mut Loading,
    ) -> Result<(), OpenError> {
        let ttl = Ttl::from_millis(reserved.ttl_ms).ok_or(BadRecord)?;
        let missing: smallvec::SmallVec<[LineRef; 2]> = reserved
            .lines
            .iter()
            .map(|line| LineRef::missing(line.requested, line.pin))
            .collect();
        let head = Head {
            channel: reserved.channel,
            ttl,
            reference: reserved.reference.map(Into::into),
            lines: LineRefs::new(&missing),
        };
        let key = CommandKey {
            id: reserved.id.0,
            fingerprint: reserved.fingerprint,
        };
        self.keep(
            Record::new(key, sequence, at, Kept::Reservation(head)),
            loading,
        )?;
        for (number, line) in (0_u16..).zip(&reserved.lines) {
            let hash = self.hasher.sku(line.sku);
            let shard = shard_of(hash);
            let found = if covered(&loading.stock_marks, shard, sequence) {
                loading.orphans.remove(&(reserved.id.0, number))
            } else {
                let mut stock = self.pool.stock_shard(shard)?;
                let owner = stock.find(hash, line.sku).ok_or(Inconsistent)?;
                let empty = held_line(line.pin, Units::ZERO);
                let entry = LineEntry::new(reserved.id, number, owner, at.after(ttl), empty);
                Some(line_ref(shard, stock.hold(entry, line.held)?))
            };
            if let Some(found) = found {
                self.link(reserved.id, number, found, loading)?;
            }
        }
        Ok(())
    }

    /// Where a line is, for an event that touches it; `None` when its shard's snapshot covers it.
    fn uncovered_line(
        &self,
        sequence: u64,
        (id, number): (ReservationId, u16),
        sku: &str,
        loading: &Loading,
    ) -> Result<Option<LineRef>, OpenError> {
        if covered(
            &loading.stock_marks,
            shard_of(self.hasher.sku(sku)),
            sequence,
        ) {
            return Ok(None);
        }
        let records = self.pool.record_shard(record_shard_of(id.0))?;
        let head = records.get(id.0).and_then(Record::head);
        let line = head.and_then(|head| head.lines.as_slice().get(usize::from(number)));
        match line {
            Some(line) if !line.is_missing() => Ok(Some(*line)),
            _ => Err(OpenError::Damaged(format!(
                "line {number} of {id} is not there"
            ))),
        }
    }

    fn replay_acted(
        &self,
        sequence: u64,
        acted: &Acted<'_>,
        loading: &Loading,
    ) -> Result<(), OpenError> {
        for (number, line) in (0_u16..).zip(&acted.lines) {
            let place = (acted.id, number);
            let Some(found) = self.uncovered_line(sequence, place, line.sku, loading)? else {
                continue;
            };
            let mut shard = self.pool.stock_shard(usize::from(found.shard))?;
            for step in &line.moves {
                shard.step(found.slot, *step)?;
            }
            let entry = shard.lines.get(found.slot).ok_or(Inconsistent)?;
            if entry.line != line.after {
                let id = acted.id;
                return Err(OpenError::Damaged(format!("line {number} of {id} differs")));
            }
            if entry.deadline != acted.deadline {
                shard.extend(found.slot, acted.deadline);
            }
        }
        Ok(())
    }

    fn replay_expired(
        &self,
        sequence: u64,
        place: (ReservationId, u16),
        sku: &str,
        units: Units,
        loading: &Loading,
    ) -> Result<(), OpenError> {
        if let Some(found) = self.uncovered_line(sequence, place, sku, loading)? {
            let mut shard = self.pool.stock_shard(usize::from(found.shard))?;
            shard.step(found.slot, Move::Expire(units))?;
        }
        Ok(())
    }

    fn replay_item(
        &self,
        sequence: u64,
        item: &StockItem<'_>,
        loading: &Loading,
    ) -> Result<(), OpenError> {
        let hash = self.hasher.sku(item.sku);
        if covered(&loading.stock_marks, shard_of(hash), sequence) {
            return Ok(());
        }
        let mut shard = self.pool.stock_shard(shard_of(hash))?;
        let slot = shard.find_or_make(hash, item.sku)?;
        let entry = shard.stocks.get_mut(slot).ok_or(Inconsistent)?;
        let before = entry.stock.node(item.node);
        if (before.on_hand, before.unavailable) != (item.on_hand_before, item.unavailable_before) {
            return Err(OpenError::Damaged(format!("stock of {} differs", item.sku)));
        }
        Ok(entry
            .stock
            .set_node(item.node, item.on_hand, item.unavailable)?)
    }

    /// After the last event: derived indexes and counts.
    fn finish(&self, loading: &Loading) -> Result<(), OpenError> {
        let mut newest: HashMap<u64, (u64, super::pool::HeadRef)> = HashMap::new();
        let mut gone = Vec::new();
        for number in 0..RECORD_SHARDS {
            let at = u16::try_from(number).unwrap_or(u16::MAX);
            let shard = self.pool.record_shard(number)?;
            for (slot, record) in shard.records.iter() {
                let Some(head) = record.head() else { continue };
                if head.lines.as_slice().iter().any(|line| line.is_missing()) {
                    gone.push((number, slot));
                } else if let Some(reference) = &head.reference {
                    let hash = self.hasher.reference(head.channel, reference);
                    let entry = newest.entry(hash).or_insert((record.sequence, (at, slot)));
                    if entry.0 <= record.sequence {
                        *entry = (record.sequence, (at, slot));
                    }
                }
            }
        }
        for (hash, (_, at)) in newest {
            self.pool.references(hash)?.insert(hash, at);
        }
        self.drop_forgotten(&gone, loading)?;
        let mut open = 0;
        for number in 0..STOCK_SHARDS {
            let shard = self.pool.stock_shard(number)?;
            let lines = shard
                .lines
                .iter()
                .filter(|(_, entry)| !entry.line.open().is_zero());
            open += i64::try_from(lines.count()).unwrap_or(0);
        }
        self.counts.open_lines.store(open, Ordering::Relaxed);
        Ok(())
    }

    /// A reservation that was forgotten while the snapshot was written may have left its head or
    /// some lines behind; none of them holds units, else the folder is damaged.
    fn drop_forgotten(&self, heads: &[(usize, u32)], loading: &Loading) -> Result<(), OpenError> {
        let mut lines: Vec<LineRef> = loading.orphans.values().copied().collect();
        for (number, slot) in heads {
            if let Some(record) = self.pool.record_shard(*number)?.remove(*slot) {
                self.counts.records.fetch_sub(1, Ordering::Relaxed);
                let refs = record
                    .head()
                    .map(|head| head.lines.as_slice())
                    .unwrap_or_default();
                lines.extend(refs.iter().filter(|line| !line.is_missing()));
            }
        }
        for line in lines {
            let mut shard = self.pool.stock_shard(usize::from(line.shard))?;
            let open = shard
                .lines
                .get(line.slot)
                .is_some_and(|e| !e.line.open().is_zero());
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

fn set_mark(marks: &mut [u64], shard: usize, mark: u64) -> Result<(), OpenError> {
    let place = marks.get_mut(shard);
    *place.ok_or_else(|| OpenError::Damaged("snapshot of another shard count".to_owned()))? = mark;
    Ok(())
}

fn replay_name(table: &RwLock<Names>, index: u16, name: &str) -> Result<(), OpenError> {
    let mut table = super::unpoisoned(table.write());
    match table.name(index) {
        Some(known) if &*known == name => Ok(()),
        Some(_) => Err(OpenError::Damaged(format!("two names for index {index}"))),
        None if table.add(name) == Some(index) => Ok(()),
        None => Err(OpenError::Damaged(format!("name {index} out of order"))),
    }
}
