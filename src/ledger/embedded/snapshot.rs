//! What a snapshot holds: the whole state, shard by shard, each with the sequence it stands at.
//!
//! Shards are written one after the other while the others work on. A shard's watermark is the
//! journal's last sequence at the moment it was locked: everything up to it that touched the shard
//! is in, nothing after it is. Recovery therefore replays from the snapshot's start and skips, per
//! shard, what its watermark covers.
//!
//! Sections: kind 1 the time and the names, kind 2 a stock shard, kind 3 a record shard, kind 4 a
//! version of the policy, as the record of its event. Versions are numbered: what is put while the
//! snapshot is written is known again in the journal.

use std::sync::atomic::Ordering;

use smallvec::SmallVec;

use super::EmbeddedLedger;
use super::record::bytes::{Reader, Writer};
use super::record::inbound::{get_due, get_entry, put_entry};
use super::record::{
    BadRecord, get_line, get_pin, get_settings, get_water, put_line, put_pin, put_settings,
    put_water,
};
use super::record_shard::{Head, Kept, LineRef, LineRefs, Record, RecordShard};
use super::snapshot_file::{SnapshotError, SnapshotWriter};
use super::stock_shard::{LineEntry, StockShard};
use crate::domain::calendar::{Calendar, Promised};
use crate::domain::command::CommandKey;
use crate::domain::stock::NodeStock;
use crate::domain::{ChannelIx, ChannelUse, NodeIx, ReservationId, Stock, Ttl, UnixMillis, Uses};
use crate::ledger::{LedgerError, Position};
use crate::limits::{RECORD_SHARDS, STOCK_SHARDS};

/// Section of the names.
pub(super) const NAMES: u8 = 1;
/// Section of a stock shard.
pub(super) const STOCK: u8 = 2;
/// Section of a record shard.
pub(super) const RECORDS: u8 = 3;
/// Section of a version of the policy.
pub(super) const POLICY: u8 = 4;

fn index(shard: usize) -> u32 {
    u32::try_from(shard).unwrap_or(u32::MAX)
}

/// A snapshot on its way, part by part; dropped before its end, it leaves nothing.
pub struct Snapshotting<'l> {
    ledger: &'l EmbeddedLedger,
    writer: SnapshotWriter,
    /// Sequence that it starts at.
    start: u64,
    next: Part,
    bytes: Vec<u8>,
}

/// What of a snapshot comes next.
#[derive(Debug, Clone, Copy)]
enum Part {
    Names,
    Policy,
    Records(usize),
    Stock(usize),
    /// Everything up to this sequence is to be durable.
    Sync(u64),
}

/// What a step of a snapshot came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SnapshotStep {
    /// A part was written; there are more.
    Wrote,
    /// All parts are written. What they show must be durable before they stand for it: the journal
    /// was asked to sync up to this sequence.
    Waits(u64),
    /// It may be finished.
    Ready,
}

fn failed(error: &SnapshotError) -> LedgerError {
    tracing::error!(%error, "snapshot failed; the journal is kept");
    LedgerError::Unavailable
}

impl<'l> Snapshotting<'l> {
    fn begin(ledger: &'l EmbeddedLedger) -> Result<Self, LedgerError> {
        let start = ledger.journal.last();
        Ok(Self {
            ledger,
            writer: SnapshotWriter::create(&ledger.storage, start)
                .map_err(|error| failed(&error))?,
            start,
            next: Part::Names,
            bytes: Vec::new(),
        })
    }

    /// Writes the next part; never waits. A shard is locked for as long as copying it takes.
    pub fn step(&mut self) -> Result<SnapshotStep, LedgerError> {
        self.next = match self.next {
            Part::Names => self.names()?,
            Part::Policy => self.policy()?,
            Part::Records(shard) => self.records(shard)?,
            Part::Stock(shard) => self.stock(shard)?,
            Part::Sync(target) if self.ledger.journal.is_synced(target)? => {
                return Ok(SnapshotStep::Ready);
            }
            Part::Sync(target) => return Ok(SnapshotStep::Waits(target)),
        };
        Ok(SnapshotStep::Wrote)
    }

    fn names(&mut self) -> Result<Part, LedgerError> {
        self.ledger.put_names(&mut self.bytes);
        self.section(NAMES, 0)?;
        Ok(Part::Policy)
    }

    fn policy(&mut self) -> Result<Part, LedgerError> {
        for (at, record) in self.ledger.state.policy.records().iter().enumerate() {
            let section = self.writer.section(POLICY, index(at), record);
            section.map_err(|error| failed(&error))?;
        }
        Ok(Part::Records(0))
    }

    fn records(&mut self, shard: usize) -> Result<Part, LedgerError> {
        let EmbeddedLedger { state, journal, .. } = self.ledger;
        let records = state.pool.record_shard(shard)?;
        put_records(&mut Writer(&mut self.bytes), journal.last(), &records);
        drop(records);
        self.section(RECORDS, index(shard))?;
        let next = shard + 1;
        Ok(if next < RECORD_SHARDS {
            Part::Records(next)
        } else {
            Part::Stock(0)
        })
    }

    fn stock(&mut self, shard: usize) -> Result<Part, LedgerError> {
        let EmbeddedLedger { state, journal, .. } = self.ledger;
        let stock = state.pool.stock_shard(shard)?;
        put_stock(&mut Writer(&mut self.bytes), journal.last(), &stock);
        drop(stock);
        self.section(STOCK, index(shard))?;
        let next = shard + 1;
        Ok(if next < STOCK_SHARDS {
            Part::Stock(next)
        } else {
            Part::Sync(journal.ask_for_sync()?)
        })
    }

    fn section(&mut self, kind: u8, index: u32) -> Result<(), LedgerError> {
        let section = self.writer.section(kind, index, &self.bytes);
        self.bytes.clear();
        section.map_err(|error| failed(&error))
    }

    /// Has it stand for the state, and lets the journal drop what it replaces. Returns the sequence
    /// that it starts at.
    pub fn finish(self) -> Result<u64, LedgerError> {
        let kept = self.writer.finish().map_err(|error| failed(&error))?;
        let EmbeddedLedger {
            journal, upkeep, ..
        } = self.ledger;
        if let Err(error) = journal.release_before(kept.oldest_kept) {
            tracing::warn!(%error, "cannot remove old segments");
        }
        upkeep.snapshot_at.store(self.start, Ordering::Relaxed);
        Ok(self.start)
    }
}

impl EmbeddedLedger {
    /// Writes a snapshot and lets the journal drop what it replaces. Others go on meanwhile. Returns
    /// the sequence it starts at.
    pub fn snapshot(&self) -> Result<u64, LedgerError> {
        let mut snapshot = self.begin_snapshot()?;
        loop {
            match snapshot.step()? {
                SnapshotStep::Wrote => {}
                SnapshotStep::Waits(target) => self.journal.wait_until_synced(target)?,
                SnapshotStep::Ready => return snapshot.finish(),
            }
        }
    }

    /// Begins a snapshot that is written step by step.
    pub fn begin_snapshot(&self) -> Result<Snapshotting<'_>, LedgerError> {
        Snapshotting::begin(self)
    }

    /// Changes since the last snapshot.
    pub fn since_snapshot(&self) -> u64 {
        self.journal
            .last()
            .saturating_sub(self.upkeep.snapshot_at.load(Ordering::Relaxed))
    }

    fn put_names(&self, bytes: &mut Vec<u8>) {
        let mut writer = Writer(bytes);
        // Not the clock: a snapshot decides nothing, so it does not move time on.
        writer.signed(self.latest.load(Ordering::Relaxed));
        for table in [&self.state.nodes, &self.state.channels] {
            let names = super::unpoisoned(table.read());
            writer.count(names.len());
            names.iter().for_each(|name| writer.text(name));
        }
    }
}

/// Reads the time of the snapshot and the names: nodes, then channels.
pub(super) fn get_names(bytes: &[u8]) -> Result<(UnixMillis, [Vec<&str>; 2]), BadRecord> {
    let mut reader = Reader(bytes);
    let at = UnixMillis(reader.signed()?);
    let mut table = || {
        let count = reader.count()?;
        (0..count)
            .map(|_| reader.text())
            .collect::<Result<Vec<&str>, BadRecord>>()
    };
    Ok((at, [table()?, table()?]))
}

fn put_stock(w: &mut Writer<'_>, watermark: u64, shard: &StockShard) {
    w.number(watermark);
    w.count(shard.stocks.len());
    let slots = usize::try_from(shard.stocks.slots()).unwrap_or(0);
    let mut places = vec![0_u32; slots];
    for (place, (slot, entry)) in (0_u32..).zip(shard.stocks.iter()) {
        if let Some(at) = usize::try_from(slot)
            .ok()
            .and_then(|slot| places.get_mut(slot))
        {
            *at = place;
        }
        w.text(entry.sku());
        let stock = &entry.stock;
        put_settings(w, stock.settings());
        put_water(w, stock.water());
        w.units(stock.deficit_told());
        w.units(stock.held());
        w.units(stock.committed());
        w.number(stock.version());
        w.count(stock.nodes().len());
        for node in stock.nodes() {
            w.number(u64::from(node.node.0));
            w.units(node.on_hand);
            w.units(node.unavailable);
            w.units(node.pinned);
            w.number(u64::from(node.counted));
        }
        put_uses(w, stock.uses());
        put_calendar(w, stock.calendar());
    }
    w.count(shard.lines.len());
    for (_, entry) in shard.lines.iter() {
        w.wide(entry.reservation().0);
        w.number(u64::from(entry.number()));
        w.number(u64::from(entry.channel.0));
        let place = usize::try_from(entry.stock)
            .ok()
            .and_then(|slot| places.get(slot));
        w.number(place.map_or(u64::MAX, |place| u64::from(*place)));
        w.signed(entry.deadline().0);
        put_line(w, &entry.line());
    }
}

fn put_uses(w: &mut Writer<'_>, uses: &Uses) {
    // Also where nobody uses anything: what is read is what was written, and equal to a replay.
    w.signed(uses.window().0);
    w.count(uses.channels().len());
    for of in uses.channels() {
        w.number(u64::from(of.channel.0));
        w.units(of.open);
        w.units(of.shipped);
        w.signed(of.moved);
    }
}

fn get_uses(r: &mut Reader<'_>) -> Result<Uses, BadRecord> {
    let window = UnixMillis(r.signed()?);
    let count = r.count()?;
    let mut uses: SmallVec<[ChannelUse; 1]> = SmallVec::new();
    for _ in 0..count {
        uses.push(ChannelUse {
            channel: ChannelIx(r.narrow()?),
            open: r.units()?,
            shipped: r.units()?,
            moved: r.signed()?,
        });
    }
    Ok(Uses::from_parts(window, uses))
}

fn put_calendar(w: &mut Writer<'_>, calendar: &Calendar) {
    w.count(calendar.inbound().len());
    for entry in calendar.inbound() {
        put_entry(w, entry);
    }
    w.count(calendar.promises().len());
    for promise in calendar.promises() {
        w.number(u64::from(promise.day.get()));
        put_pin(w, promise.pin);
        w.units(promise.units);
    }
}

fn get_calendar(r: &mut Reader<'_>) -> Result<Calendar, BadRecord> {
    let count = r.count()?;
    let inbound = (0..count).map(|_| get_entry(r)).collect::<Result<_, _>>()?;
    let count = r.count()?;
    let promise = |r: &mut Reader<'_>| {
        Ok(Promised {
            day: get_due(r)?,
            pin: get_pin(r)?,
            units: r.units()?,
        })
    };
    let promises = (0..count).map(|_| promise(r)).collect::<Result<_, _>>()?;
    Ok(Calendar::from_parts(inbound, promises))
}

/// A stock of a snapshot.
pub(super) struct StoredStock<'a> {
    pub(super) sku: &'a str,
    pub(super) stock: Stock,
}

/// Reads a stock shard: its watermark; stocks and lines go to the callbacks, stocks first. A
/// line's `stock` is the position of its stock among the stocks read.
pub(super) fn get_stock<'a, E: From<BadRecord>>(
    bytes: &'a [u8],
    mut stock: impl FnMut(StoredStock<'a>) -> Result<(), E>,
    mut line: impl FnMut(LineEntry) -> Result<(), E>,
) -> Result<u64, E> {
    let mut r = Reader(bytes);
    let watermark = r.number()?;
    for _ in 0..r.count()? {
        let sku = r.text()?;
        let settings = get_settings(&mut r)?;
        let (water, deficit_told) = (get_water(&mut r)?, r.units()?);
        let (held, committed, version) = (r.units()?, r.units()?, r.number()?);
        let mut nodes: SmallVec<[NodeStock; 1]> = SmallVec::new();
        for _ in 0..r.count()? {
            nodes.push(NodeStock {
                node: NodeIx(r.narrow()?),
                on_hand: r.units()?,
                unavailable: r.units()?,
                pinned: r.units()?,
                counted: r.narrow()?,
            });
        }
        let uses = get_uses(&mut r)?;
        let parts = Stock::from_parts(nodes, held, committed, settings, uses, version);
        let parts = parts.with_calendar(get_calendar(&mut r)?);
        stock(StoredStock {
            sku,
            stock: parts.with_water(water).with_deficit_told(deficit_told),
        })?;
    }
    for _ in 0..r.count()? {
        let id = ReservationId(r.wide()?);
        let (number, channel, place) = (r.narrow()?, ChannelIx(r.narrow()?), r.narrow()?);
        let deadline = UnixMillis(r.signed()?);
        line(LineEntry::new(
            id,
            number,
            channel,
            place,
            deadline,
            get_line(&mut r)?,
        ))?;
    }
    if r.0.is_empty() {
        Ok(watermark)
    } else {
        Err(BadRecord.into())
    }
}

fn put_records(w: &mut Writer<'_>, watermark: u64, shard: &RecordShard) {
    w.number(watermark);
    w.count(shard.records.len());
    for (_, record) in shard.records.iter() {
        w.wide(record.id());
        w.fixed(record.fingerprint);
        w.number(u64::from(record.position().epoch));
        w.number(record.position().sequence);
        w.signed(record.at.0);
        match record.kept() {
            Kept::Reservation(head) => {
                w.byte(1);
                w.number(u64::from(head.channel.0));
                w.number(u64::from(head.ttl.as_millis()));
                w.signed(head.touched.0);
                w.maybe_text(head.reference);
                w.count(head.lines.as_slice().len());
                for line in head.lines.as_slice() {
                    w.units(line.requested);
                    put_pin(w, line.made_at());
                }
            }
            Kept::Event(event) => {
                w.byte(2);
                w.count(event.len());
                w.0.extend_from_slice(event);
            }
        }
    }
}

/// Reads a record shard: its watermark; records go to the callback, with their lines missing.
pub(super) fn get_records<E: From<BadRecord>>(
    bytes: &[u8],
    mut record: impl FnMut(Record) -> Result<(), E>,
) -> Result<u64, E> {
    let mut r = Reader(bytes);
    let watermark = r.number()?;
    for _ in 0..r.count()? {
        let key = CommandKey {
            id: r.wide()?,
            fingerprint: r.fixed()?,
        };
        let position = Position {
            shard: 0,
            epoch: r.narrow()?,
            sequence: r.number()?,
        };
        let at = UnixMillis(r.signed()?);
        record(match r.byte()? {
            1 => Record::of_reservation(key, position, at, &get_head(&mut r)?),
            2 => {
                let length = r.count()?;
                Record::of_event(key, position, at, r.take(length)?.into())
            }
            _ => return Err(BadRecord.into()),
        })?;
    }
    if r.0.is_empty() {
        Ok(watermark)
    } else {
        Err(BadRecord.into())
    }
}

fn get_head<'a>(r: &mut Reader<'a>) -> Result<Head<'a>, BadRecord> {
    let channel = ChannelIx(r.narrow()?);
    let ttl = Ttl::from_millis(r.narrow()?).ok_or(BadRecord)?;
    let touched = UnixMillis(r.signed()?);
    let reference = r.maybe_text()?;
    let count = r.count()?;
    let mut lines = LineRefs::new();
    for _ in 0..count {
        lines.push(LineRef::missing(r.units()?, get_pin(r)?));
    }
    Ok(Head {
        channel,
        ttl,
        touched,
        reference,
        lines,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uses_are_read_as_they_were_also_where_only_the_window_is_left() {
        let one = ChannelUse {
            moved: -3,
            ..ChannelUse::none(ChannelIx(2))
        };
        for channels in [vec![], vec![one]] {
            let uses = Uses::from_parts(UnixMillis(7_000), channels);
            let mut bytes = Vec::new();
            put_uses(&mut Writer(&mut bytes), &uses);
            assert_eq!(get_uses(&mut Reader(&bytes)).unwrap(), uses);
        }
    }
}
