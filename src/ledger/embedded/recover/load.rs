//! Recovery, first part: the snapshot.

use std::sync::Arc;

use super::super::State;
use super::super::record::{self, BadRecord};
use super::super::record_shard::{LineRef, shard_of as record_shard_of};
use super::super::snapshot::{NAMES, POLICY, RECORDS, STOCK, get_names, get_records, get_stock};
use super::super::snapshot_file::SnapshotReader;
use super::super::storage::Storage;
use super::{Loading, OpenError, line_ref};
use crate::domain::ReservationId;
use crate::ledger::Position;

impl State {
    pub(super) fn load_snapshot(
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
                NAMES => self.load_names(section.bytes, loading)?,
                POLICY => self.load_policy(section.bytes)?,
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

    fn load_policy(&self, bytes: &[u8]) -> Result<(), OpenError> {
        let event = record::decode(Position::default(), bytes)?;
        self.replay_policy(event.at, &event.body)
    }

    fn load_names(&self, bytes: &[u8], loading: &mut Loading) -> Result<(), OpenError> {
        let (at, [nodes, channels]) = get_names(bytes)?;
        loading.latest = loading.latest.max(at);
        for (table, names) in [(&self.nodes, nodes), (&self.channels, channels)] {
            let mut table = super::super::unpoisoned(table.write());
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
            self.counts.record_added(records.records.len());
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
                stock.change(slot, |stock| *stock = stored.stock);
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
            let (id, number) = (entry.reservation(), entry.number());
            refs.push((id, number, stock.restore_line(entry)?));
        }
        drop(stock);
        for (id, number, slot) in refs {
            self.link(id, number, line_ref(shard, slot), loading)?;
        }
        set_mark(&mut loading.stock_marks, shard, mark)
    }

    /// Tells a head where its line is; a line whose head is not there yet waits for it.
    pub(super) fn link(
        &self,
        id: ReservationId,
        number: u16,
        found: LineRef,
        loading: &mut Loading,
    ) -> Result<(), OpenError> {
        let mut records = self.pool.record_shard(record_shard_of(id.0))?;
        let record = records.get_mut(id.0);
        if !record.is_some_and(|record| record.place_line(number, found.shard, found.slot)) {
            loading.orphans.insert((id.0, number), found);
        }
        Ok(())
    }

    /// Where the snapshot has a line of a reservation that is made now, whose stock shard it saw
    /// later. What was there of an earlier one with the same key had been forgotten by then; but its
    /// head may still be there, and the line was taken for its own.
    pub(super) fn take_restored(
        &self,
        id: ReservationId,
        number: u16,
        loading: &mut Loading,
    ) -> Result<Option<(u16, u32)>, OpenError> {
        if let Some(line) = loading.orphans.remove(&(id.0, number)) {
            return Ok(Some((line.shard, line.slot)));
        }
        let mut records = self.pool.record_shard(record_shard_of(id.0))?;
        let head = records.get_mut(id.0);
        Ok(head.and_then(|head| head.take_line(number)))
    }
}

fn set_mark(marks: &mut [u64], shard: usize, mark: u64) -> Result<(), OpenError> {
    let place = marks.get_mut(shard);
    *place.ok_or_else(|| OpenError::Damaged("snapshot of another shard count".to_owned()))? = mark;
    Ok(())
}
