//! The ledger as items of an export, and a new folder made of them.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, RwLock};

use super::journal::Journal;
use super::record;
use super::record_shard::{Head, Kept, LineRef, LineRefs, Record, shard_of as record_shard_of};
use super::recover::{LedgerConfig, OpenError};
use super::stock_shard::{LineEntry, shard_of};
use super::storage::Storage;
use super::{EmbeddedLedger, State, identity, upkeep};
use crate::clock::Clock;
use crate::domain::hash::Hasher;
use crate::domain::line::Inconsistent;
use crate::domain::{ReservationId, UnixMillis};
use crate::ledger::export::{self, BadItem, Item, Name, Page, Place};
use crate::ledger::names::Names;
use crate::ledger::{LedgerError, Position};
use crate::limits::{RECORD_SHARDS, STOCK_SHARDS};
use crate::telemetry::Meters;

impl From<BadItem> for OpenError {
    fn from(bad: BadItem) -> Self {
        Self::Damaged(bad.to_string())
    }
}

impl EmbeddedLedger {
    /// Where it stands: the same as long as nothing is decided.
    pub fn export_stand(&self) -> Vec<u64> {
        vec![self.journal.last()]
    }

    /// What an export is of.
    pub fn export_head(&self) -> export::Head {
        export::Head {
            seed: export::Print(self.state.hasher.seed()),
            epoch: self.journal.epoch(),
            sequence: self.journal.last(),
            now_ms: self.latest.load(Ordering::Relaxed),
            labelled: self.labelled,
        }
    }

    /// Part of what an export holds: names, then a shard each.
    pub fn export_page(&self, place: Place) -> Result<Page, LedgerError> {
        Ok(match place {
            Place::Names => (self.state.names_of_export(), Some(Place::Skus(0, 0))),
            Place::Skus(_, shard) => {
                let next = Some(shard + 1).filter(|next| at(*next) < STOCK_SHARDS);
                let next = next.map_or(Place::Records(0, 0), |next| Place::Skus(0, next));
                (self.state.skus_of_export(at(shard))?, Some(next))
            }
            Place::Records(_, shard) => {
                let next = Some(shard + 1).filter(|next| at(*next) < RECORD_SHARDS);
                let next = next.map(|next| Place::Records(0, next));
                (self.state.records_of_export(at(shard))?, next)
            }
        })
    }

    /// Makes a ledger in an empty storage. Its identity is written last: what a broken import
    /// leaves is refused by whoever opens it.
    pub fn import<E: From<OpenError>>(
        storage: &Arc<dyn Storage>,
        config: &LedgerConfig,
        clock: Clock,
        meters: Meters,
        head: &export::Head,
        items: impl Iterator<Item = Result<Item, E>>,
    ) -> Result<(), E> {
        let identity = identity::Identity {
            seed: head.seed.0,
            labelled: head.labelled,
        };
        identity::expect_none(&**storage).map_err(OpenError::from)?;
        let state = State::new(Hasher::new(identity.seed), meters.clone());
        for item in items {
            state.take_item(head.epoch, &item?)?;
        }
        state.enforce_kept_policy()?;
        let ledger = Self::begun(Arc::clone(storage), config, clock, meters, head, state)?;
        let snapshot = ledger.snapshot();
        // So that a reader who stands where the export stood may go on.
        ledger.begin_epoch(head.epoch);
        let written = snapshot.and_then(|_| ledger.close());
        written.map_err(OpenError::from)?;
        identity::write(&**storage, identity).map_err(OpenError::from)?;
        Ok(())
    }

    /// The journal begins after the last change of the export, in a later epoch.
    fn begun(
        storage: Arc<dyn Storage>,
        config: &LedgerConfig,
        clock: Clock,
        meters: Meters,
        head: &export::Head,
        state: State,
    ) -> Result<Self, OpenError> {
        let mut recovery = Journal::open(Arc::clone(&storage), config.journal)?;
        recovery.begin_after(Position {
            shard: 0,
            epoch: head.epoch,
            sequence: head.sequence,
        });
        Ok(Self {
            labelled: head.labelled,
            state,
            journal: recovery.start(meters.clone())?,
            clock,
            meters,
            retention: config.retention,
            latest: AtomicI64::new(head.now_ms),
            upkeep: upkeep::Upkeep::default(),
            storage,
        })
    }
}

fn at(shard: u64) -> usize {
    usize::try_from(shard).unwrap_or(usize::MAX)
}

impl State {
    pub(super) fn names_of_export(&self) -> Vec<Item> {
        let mut items = Vec::new();
        let tables: [(_, fn(Name) -> Item); 2] =
            [(&self.nodes, Item::Node), (&self.channels, Item::Channel)];
        for (table, item) in tables {
            let names = super::unpoisoned(table.read());
            let named = (0_u16..).zip(names.iter()).map(|(index, name)| Name {
                index,
                name: name.to_owned(),
            });
            items.extend(named.map(item));
        }
        let versions = self.policy.versions();
        let versions = versions.iter().rev().map(export::Policy::new);
        items.extend(versions.map(Item::Policy));
        items
    }

    pub(super) fn skus_of_export(&self, shard: usize) -> Result<Vec<Item>, LedgerError> {
        let shard = self.pool.stock_shard(shard)?;
        let stocks = shard.stocks.iter();
        Ok(stocks
            .map(|(_, entry)| Item::Sku(export::Sku::new(entry.sku(), &entry.stock)))
            .collect())
    }

    pub(super) fn records_of_export(&self, shard: usize) -> Result<Vec<Item>, LedgerError> {
        let shard = self.pool.record_shard(shard)?;
        let records = shard.records.iter();
        records
            .map(|(_, record)| self.record_of_export(record))
            .collect()
    }

    fn record_of_export(&self, record: &Record) -> Result<Item, LedgerError> {
        let Position { sequence, .. } = record.position();
        match record.kept() {
            Kept::Reservation(head) => {
                let view = self.view(record, &head)?;
                let making = export::Making {
                    fingerprint: record.fingerprint,
                    sequence,
                    ttl: head.ttl,
                    touched: head.touched,
                };
                let pins = head.lines.iter().map(|line| line.made_at());
                Ok(Item::Reservation(export::Held::new(making, &view, pins)))
            }
            Kept::Event(bytes) => {
                let event = record::decode(record.position(), bytes);
                let event = event.or(Err(LedgerError::Unavailable))?;
                let answer = export::Answer::new(sequence, event.at, event.body);
                answer.map(Item::Answer).ok_or(LedgerError::Unavailable)
            }
        }
    }

    fn take_item(&self, epoch: u32, item: &Item) -> Result<(), OpenError> {
        match item {
            Item::Node(name) => take_name(&self.nodes, name),
            Item::Channel(name) => take_name(&self.channels, name),
            Item::Policy(policy) => self.keep_policy(policy.version()),
            Item::Sku(sku) => self.take_sku(sku),
            Item::Reservation(held) => self.take_reservation(epoch, held),
            Item::Answer(answer) => {
                let bytes = answer.bytes()?;
                let (key, event) = answer.read(epoch, &bytes)?;
                let (position, at) = (event.position, event.at);
                self.take_record(Record::of_event(key, position, at, bytes.as_slice().into()))
            }
        }
    }

    fn take_sku(&self, sku: &export::Sku) -> Result<(), OpenError> {
        let stock = sku.stock()?;
        let hash = self.hasher.sku(&sku.sku);
        let mut shard = self.pool.stock_shard(shard_of(hash))?;
        if shard.find(hash, &sku.sku).is_some() {
            return Err(twice(&sku.sku));
        }
        let slot = shard.find_or_make(hash, &sku.sku)?;
        let taken = shard.change(slot, |of| *of = stock);
        Ok(taken.ok_or(Inconsistent)?)
    }

    fn take_reservation(&self, epoch: u32, held: &export::Held) -> Result<(), OpenError> {
        let mut lines = LineRefs::new();
        for (number, line) in (0_u16..).zip(&held.lines) {
            lines.push(self.take_line(held, number, line)?);
        }
        let head = Head {
            channel: held.channel(),
            ttl: held.ttl()?,
            touched: UnixMillis(held.touched_ms),
            reference: held.reference.as_deref(),
            lines,
        };
        let sequence = held.sequence;
        let position = Position {
            shard: 0,
            epoch,
            sequence,
        };
        let created = UnixMillis(held.created_ms);
        self.take_record(Record::of_reservation(held.key(), position, created, &head))
    }

    fn take_line(
        &self,
        held: &export::Held,
        number: u16,
        line: &export::Line,
    ) -> Result<LineRef, OpenError> {
        let hash = self.hasher.sku(&line.sku);
        let shard = shard_of(hash);
        let mut stock = self.pool.stock_shard(shard)?;
        let owner = stock.find(hash, &line.sku).ok_or(BadItem::LINE)?;
        let deadline = UnixMillis(held.deadline_ms);
        let entry = LineEntry::new(
            held.id(),
            number,
            held.channel(),
            owner,
            deadline,
            line.state()?,
        );
        let slot = stock.restore_line(entry)?;
        let shard = u16::try_from(shard).unwrap_or(u16::MAX);
        Ok(LineRef::missing(line.requested()?, line.made_at()).placed(shard, slot))
    }

    fn take_record(&self, record: Record) -> Result<(), OpenError> {
        let mut shard = self.pool.record_shard(record_shard_of(record.id()))?;
        if shard.has(record.id()) {
            return Err(twice(&ReservationId(record.id()).to_string()));
        }
        shard.insert(record)?;
        self.counts.record_added(shard.records.len());
        Ok(())
    }
}

fn take_name(table: &RwLock<Names>, name: &Name) -> Result<(), OpenError> {
    let mut table = super::unpoisoned(table.write());
    if table.find(&name.name).is_none() && table.add(&name.name) == Some(name.index) {
        return Ok(());
    }
    Err(BadItem::NAME.into())
}

fn twice(what: &str) -> OpenError {
    OpenError::Damaged(format!("{what} comes twice"))
}
