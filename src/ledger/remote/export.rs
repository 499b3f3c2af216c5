//! The ledger as items of an export.
//!
//! Of a reservation over several partitions home has all lines, so the parts elsewhere are left out;
//! they are only looked at for whether anything is on its way. What a change of stock in several
//! partitions was answered is one answer, which the lowest of them gives for all.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use redis::FromRedisValue;

use super::feed::read_meta;
use super::script::Meta;
use super::wire::export::{self, Found};
use super::wire::record::Booking;
use super::wire::several;
use super::{RemoteLedger, senseless};
use crate::domain::{ReservationId, UnixMillis};
use crate::ledger::LedgerError;
use crate::ledger::export::{Head, Item, Page, Place, Policy, Print, WalkError};

/// Fields asked for at once.
const PAGE: usize = 512;

/// Looks at whether everything that is past its deadline has expired everywhere, and the pause
/// between them: nodes of a cluster have clocks of their own.
const LOOKS: usize = 200;
const PAUSE: Duration = Duration::from_millis(20);

/// Units here that no reservation has: a part that waits for its home, or what was placed of a
/// reservation that is none yet, or no more.
#[derive(Debug, Clone, Copy)]
pub(super) struct Loose {
    pub(super) id: ReservationId,
    pub(super) fingerprint: u64,
    pub(super) deadline: UnixMillis,
    pub(super) partition: u16,
}

/// Names and values of a hash.
pub(super) type Fields = Vec<(Bytes, Bytes)>;

impl RemoteLedger {
    /// Where it stands: the same as long as nothing is decided. That a line elsewhere has expired its
    /// home notes without an event, but not without taking it from the index of deadlines.
    pub async fn export_stand(&self) -> Result<Vec<u64>, LedgerError> {
        let metas = self.metas().await?;
        let mut stand: Vec<u64> = metas.iter().map(|meta| meta.sequence).collect();
        if stand.len() > 1 {
            for (partition, keys) in self.partitions.numbered() {
                let mut question = redis::cmd("ZCARD");
                question.arg(keys.due());
                stand.push(self.asked(partition, question).await?);
            }
        }
        Ok(stand)
    }

    /// What an export is of.
    pub async fn export_head(&self) -> Result<Head, LedgerError> {
        let metas = self.metas().await?;
        let highest = |of: fn(&Meta) -> u64| metas.iter().map(of).max().unwrap_or_default();
        let now = metas.iter().map(|meta| meta.now).max();
        Ok(Head {
            seed: Print(self.hasher().seed()),
            epoch: metas
                .iter()
                .map(|meta| meta.epoch)
                .max()
                .unwrap_or_default(),
            sequence: highest(|meta| meta.sequence),
            now_ms: now.unwrap_or_default(),
            labelled: metas.len() > 1 || metas.iter().any(|meta| meta.moved.is_some()),
        })
    }

    async fn metas(&self) -> Result<Vec<Meta>, LedgerError> {
        let mut metas = Vec::new();
        for (partition, keys) in self.partitions.numbered() {
            let (caller, meta) = (self.rare.caller(partition), keys.meta().to_owned());
            let read = async move { read_meta(&caller, &meta).await };
            let meta = self.rare.run(read).await?;
            metas.push(meta.map_err(|error| unreadable(&error))?);
        }
        Ok(metas)
    }

    /// Has everything expire that is past its deadline in any partition, so that the lines of a
    /// reservation say the same in all.
    pub async fn even_out(&self) -> Result<(), WalkError> {
        if self.partitions.count() == 1 {
            return Ok(());
        }
        for _ in 0..LOOKS {
            let latest = loop {
                if let Some(latest) = self.expire().await? {
                    break latest;
                }
            };
            if !self.is_any_due(latest).await? {
                return Ok(());
            }
            // Made where it runs: the caller need not have a timer.
            self.rare
                .run(async { tokio::time::sleep(PAUSE).await })
                .await?;
        }
        Err(WalkError::Uneven)
    }

    async fn is_any_due(&self, at: UnixMillis) -> Result<bool, LedgerError> {
        for (partition, keys) in self.partitions.numbered() {
            let mut question = redis::cmd("ZCOUNT");
            question.arg(keys.due()).arg("-inf").arg(at.0);
            if self.asked::<u64>(partition, question).await? > 0 {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Part of what an export holds.
    pub async fn export_page(&self, place: Place) -> Result<Page, WalkError> {
        match place {
            Place::Names => {
                let mut items = self.names_of_export().await?;
                let versions = self.kept_policies().await?;
                items.extend(
                    versions
                        .iter()
                        .rev()
                        .map(|of| Item::Policy(Policy::new(of))),
                );
                Ok((items, Some(Place::Skus(0, 0))))
            }
            Place::Skus(partition, cursor) => {
                let (next, fields) = self.stocks_page(partition, cursor).await?;
                let items = fields.iter().map(|(sku, stock)| export::sku(sku, stock));
                let items = items.collect::<Result<_, _>>().map_err(senseless)?;
                let next = self.after(partition, next, Place::Skus);
                Ok((items, Some(next.unwrap_or(Place::Records(0, 0)))))
            }
            Place::Records(partition, cursor) => {
                let (next, fields) = self.records_page(partition, cursor).await?;
                if let Some(loose) = self.loose(partition, &fields).await?.first() {
                    return Err(WalkError::Underway(loose.id));
                }
                let items = self.items_of(partition, &fields).await?;
                Ok((items, self.after(partition, next, Place::Records)))
            }
        }
    }

    /// Where to go on: in this partition, else in the next.
    fn after(
        &self,
        partition: u16,
        cursor: Option<u64>,
        place: fn(u16, u64) -> Place,
    ) -> Option<Place> {
        match cursor {
            Some(cursor) => Some(place(partition, cursor)),
            None if partition + 1 < self.partitions.count() => Some(place(partition + 1, 0)),
            None => None,
        }
    }

    pub(super) async fn stocks_page(
        &self,
        partition: u16,
        cursor: u64,
    ) -> Result<(Option<u64>, Fields), LedgerError> {
        let stock = self.partitions.keys(partition)?.stock();
        self.scan(partition, stock, cursor).await
    }

    pub(super) async fn records_page(
        &self,
        partition: u16,
        cursor: u64,
    ) -> Result<(Option<u64>, Fields), LedgerError> {
        let records = self.partitions.keys(partition)?.records();
        self.scan(partition, records, cursor).await
    }

    async fn scan(
        &self,
        partition: u16,
        key: &str,
        cursor: u64,
    ) -> Result<(Option<u64>, Fields), LedgerError> {
        let mut question = redis::cmd("HSCAN");
        question.arg(key).arg(cursor).arg("COUNT").arg(PAGE);
        let (next, fields): (u64, _) = self.asked(partition, question).await?;
        Ok((Some(next).filter(|next| *next > 0), fields))
    }

    async fn asked<T: FromRedisValue + Send + 'static>(
        &self,
        partition: u16,
        question: redis::Cmd,
    ) -> Result<T, LedgerError> {
        let caller = self.rare.caller(partition);
        let asked = self.rare.run(async move { caller.ask(&question).await });
        asked.await?.map_err(|error| unreadable(&error))
    }

    /// What several ids stand for in a partition; empty for nothing.
    async fn records_at(&self, partition: u16, ids: &[u128]) -> Result<Vec<Bytes>, LedgerError> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let mut question = redis::cmd("HMGET");
        question.arg(self.partitions.keys(partition)?.records());
        ids.iter().for_each(|id| {
            question.arg(&id.to_be_bytes());
        });
        let found: Vec<Option<Bytes>> = self.asked(partition, question).await?;
        Ok(found.into_iter().map(Option::unwrap_or_default).collect())
    }

    /// Does something with all units in any partition that no reservation has.
    pub(super) async fn for_all_loose(
        &self,
        each: impl AsyncFn(Loose) -> Result<(), WalkError>,
    ) -> Result<(), WalkError> {
        for partition in self.partitions.numbers() {
            let mut cursor = Some(0);
            while let Some(from) = cursor {
                let (next, fields) = self.records_page(partition, from).await?;
                for loose in self.loose(partition, &fields).await? {
                    each(loose).await?;
                }
                cursor = next;
            }
        }
        Ok(())
    }

    /// What is loose among these records of a partition.
    async fn loose(&self, partition: u16, fields: &Fields) -> Result<Vec<Loose>, LedgerError> {
        let mut loose = Vec::new();
        // Parts, which are if their home is no reservation.
        let mut parts: BTreeMap<u16, Vec<Loose>> = BTreeMap::new();
        for (id, bytes) in fields {
            let found = export::with_ties(id, bytes).map_err(senseless)?;
            let Some((id, fingerprint, booking)) = found else {
                continue;
            };
            let found = Loose {
                id: ReservationId(id),
                fingerprint,
                deadline: booking.deadline,
                partition,
            };
            if booking.waits() || has_units(&booking) && booking.is_placing() {
                loose.push(found);
            } else if has_units(&booking) && booking.is_part() {
                let home = self.partitions.of_id(found.id);
                parts.entry(home).or_default().push(found);
            }
        }
        for (home, parts) in parts {
            let ids: Vec<u128> = parts.iter().map(|part| part.id.0).collect();
            let homes = self.records_at(home, &ids).await?;
            for (part, home) in parts.into_iter().zip(homes) {
                let home = several::booking(&home).map_err(senseless)?;
                if home.is_none_or(|home| !home.is_whole()) {
                    loose.push(part);
                }
            }
        }
        Ok(loose)
    }

    async fn items_of(&self, partition: u16, fields: &Fields) -> Result<Vec<Item>, LedgerError> {
        let mut items = Vec::new();
        // Answers that other partitions may have parts of.
        let mut parts: Vec<(u128, Bytes)> = Vec::new();
        for (id, bytes) in fields {
            match export::record(id, bytes).map_err(senseless)? {
                Found::Item(item) => items.push(*item),
                Found::Nothing => {}
                Found::Change(id) if self.partitions.count() > 1 => parts.push((id, bytes.clone())),
                Found::Change(id) => items.push(export::answer(&[(id, bytes)]).map_err(senseless)?),
            }
        }
        items.extend(self.changes_of(partition, &parts).await?);
        Ok(items)
    }

    /// What changes of stock, of shares and of what is announced were answered, each by the lowest
    /// partition that has a part of it.
    async fn changes_of(
        &self,
        partition: u16,
        parts: &[(u128, Bytes)],
    ) -> Result<Vec<Item>, LedgerError> {
        let mut all: Vec<Vec<(u128, Bytes)>> = vec![Vec::new(); parts.len()];
        for other in self.partitions.numbers() {
            let id_there = |(id, _): &(u128, Bytes)| {
                if other == partition {
                    *id
                } else {
                    self.partitions.id_at(*id, other)
                }
            };
            let ids: Vec<u128> = parts.iter().map(id_there).collect();
            let found = self.records_at(other, &ids).await?;
            for ((all, id), found) in all.iter_mut().zip(ids).zip(found) {
                all.push((id, found));
            }
        }
        let mut items = Vec::new();
        for ((own, record), all) in parts.iter().zip(all) {
            let same = export::same_command(record, &all).map_err(senseless)?;
            if same.first().is_some_and(|(id, _)| id == own) {
                items.push(export::answer(&same).map_err(senseless)?);
            }
        }
        Ok(items)
    }

    async fn names_of_export(&self) -> Result<Vec<Item>, LedgerError> {
        let mut question = redis::cmd("HGETALL");
        question.arg(self.partitions.keys(0)?.names());
        let fields: Vec<(String, u16)> = self.asked(0, question).await?;
        let names = fields
            .iter()
            .map(|(field, index)| export::name(field, *index));
        let mut names: Vec<Item> = names
            .filter_map(Result::transpose)
            .collect::<Result<_, _>>()
            .map_err(senseless)?;
        names.sort_by_key(|item| match item {
            Item::Node(name) => (0, name.index),
            Item::Channel(name) => (1, name.index),
            Item::Policy(_) | Item::Sku(_) | Item::Reservation(_) | Item::Answer(_) => (2, 0),
        });
        Ok(names)
    }
}

/// Whether lines here have open units.
fn has_units(booking: &Booking<'_>) -> bool {
    let mut lines = booking.lines.iter().enumerate();
    lines.any(|(at, (_, _, line))| booking.is_here(at) && !line.open().is_zero())
}

fn unreadable(error: &dyn std::fmt::Display) -> LedgerError {
    tracing::error!(%error, "the ledger cannot be read");
    LedgerError::Unavailable
}
