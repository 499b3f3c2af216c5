//! Recovery, second part: the journal after the snapshot, event by event.

use std::sync::RwLock;
use std::sync::atomic::Ordering;

use super::super::State;
use super::super::record::{self, BadRecord};
use super::super::record_shard::{Head, LineRef, LineRefs, Record, shard_of as record_shard_of};
use super::super::stock_shard::{LineEntry, StockShard, shard_of};
use super::{Loading, OpenError, covered};
use crate::domain::command::CommandKey;
use crate::domain::line::{Inconsistent, Move};
use crate::domain::{ChannelIx, Charge, Day, ReservationId, Stock, Ttl, Units, UnixMillis};
use crate::ledger::Position;
use crate::ledger::event::{
    Acted, ActedLine, Body, Event, InboundItem, Reserved, ShareMove, StockItem, StockVerb,
};
use crate::ledger::names::Names;

impl State {
    pub(in super::super) fn replay_event(
        &self,
        event: &Event<'_>,
        loading: &mut Loading,
    ) -> Result<(), OpenError> {
        let sequence = event.position.sequence;
        loading.latest = loading.latest.max(event.at);
        match &event.body {
            Body::Opened { .. } => Ok(()),
            Body::NodeNamed { node, name } => replay_name(&self.nodes, node.0, name),
            Body::ChannelNamed { channel, name } => replay_name(&self.channels, channel.0, name),
            Body::Reserved(reserved) => {
                self.replay_reserved(event.position, event.at, reserved, loading)
            }
            Body::Acted(acted) => {
                // Where it lies in several partitions, what undoes a part of it, or moves it on, may
                // have no other key than its own: the record of the reservation stays.
                if acted.key.id != acted.id.0 {
                    self.keep_event(event, acted.key, loading)?;
                }
                self.replay_touch(event, acted.id, loading)?;
                self.replay_acted(event, acted, loading)
            }
            Body::Expired {
                id,
                line,
                sku,
                units,
            } => self.replay_expired(event, (*id, *line), sku, *units, loading),
            Body::StockChanged(changed) => {
                self.keep_event(event, changed.key, loading)?;
                let counted = (changed.verb == StockVerb::Set).then_some(event.at);
                for item in &changed.items {
                    self.replay_item(sequence, item, counted, loading)?;
                }
                let skus = changed.items.iter().map(|item| item.sku);
                self.replay_water(event, skus, loading)
            }
            Body::SettingsPut {
                key, sku, after, ..
            } => {
                self.keep_event(event, *key, loading)?;
                self.replay_stock(sequence, sku, loading, |stock| {
                    stock.put_settings(after.clone());
                    stock.settle_water(Day::of(event.at));
                    Ok(())
                })
            }
            Body::SharesMoved(moved) => {
                self.keep_event(event, moved.key, loading)?;
                let mut items = moved.items.iter();
                items.try_for_each(|item| self.replay_share(sequence, item, loading))
            }
            Body::PolicyPut { .. } => self.replay_policy(event.at, &event.body),
            Body::TermsNoted(noted) => self.replay_stock(sequence, noted.sku, loading, |stock| {
                stock.note_terms(&noted.terms, Day::of(event.at));
                Ok(())
            }),
            Body::LowWater(told) => self.replay_stock(sequence, told.sku, loading, |stock| {
                stock.put_water_told(told.low);
                Ok(())
            }),
            Body::Deficit(told) => self.replay_stock(sequence, told.sku, loading, |stock| {
                stock.put_deficit_told(told.deficit);
                Ok(())
            }),
            Body::InboundChanged(changed) => {
                self.keep_event(event, changed.key, loading)?;
                for item in &changed.items {
                    self.replay_inbound(sequence, item, loading)?;
                }
                let skus = changed.items.iter().map(|item| item.sku);
                self.replay_water(event, skus, loading)
            }
            Body::Refused { key, .. } => self.keep_event(event, *key, loading),
        }
    }

    /// Puts a command's record in, in place of a forgotten one with the same id.
    fn keep(&self, record: Record, loading: &Loading) -> Result<(), OpenError> {
        let number = record_shard_of(record.id());
        if covered(&loading.record_marks, number, record.position().sequence) {
            return Ok(());
        }
        let mut shard = self.pool.record_shard(number)?;
        if let Some(slot) = shard.find(record.id())
            && let Some(old) = shard.remove(slot)
        {
            self.forget_lines(&old, (u16::try_from(number).unwrap_or(u16::MAX), slot))?;
            self.counts.record_removed(shard.records.len());
        }
        shard.insert(record)?;
        self.counts.record_added(shard.records.len());
        Ok(())
    }

    fn keep_event(
        &self,
        event: &Event<'_>,
        key: CommandKey,
        loading: &Loading,
    ) -> Result<(), OpenError> {
        let kept = if loading.is_of_journal() {
            let mut bytes = Vec::new();
            record::encode(event.at, &event.body, &mut bytes);
            bytes.get(4..).unwrap_or_default().into()
        } else {
            record::bare(matches!(event.body, Body::Refused { .. }))
        };
        self.keep(
            Record::of_event(key, event.position, event.at, kept),
            loading,
        )
    }

    fn replay_reserved(
        &self,
        position: Position,
        at: UnixMillis,
        reserved: &Reserved<'_>,
        loading: &mut Loading,
    ) -> Result<(), OpenError> {
        let ttl = Ttl::from_millis(reserved.ttl_ms).ok_or(BadRecord)?;
        let mut lines = LineRefs::new();
        for (number, line) in (0_u16..).zip(&reserved.lines) {
            let found =
                self.replay_line((position.sequence, at), ttl, number, reserved, loading)?;
            let missing = LineRef::missing(line.requested, line.pin);
            lines.push(found.map_or(missing, |(shard, slot)| missing.placed(shard, slot)));
        }
        let number = record_shard_of(reserved.id.0);
        if covered(&loading.record_marks, number, position.sequence) {
            let placed = (0_u16..).zip(&lines).filter(|(_, line)| !line.is_missing());
            return placed
                .into_iter()
                .try_for_each(|(number, line)| self.link(reserved.id, number, *line, loading));
        }
        let head = Head {
            channel: reserved.channel,
            touched: at,
            ttl,
            reference: reserved.reference,
            lines,
        };
        let key = CommandKey {
            id: reserved.id.0,
            fingerprint: reserved.fingerprint,
        };
        self.keep(Record::of_reservation(key, position, at, &head), loading)
    }

    /// Puts a line of a new reservation in and says where; `None` when the snapshot covers its
    /// shard and did not hold it.
    fn replay_line(
        &self,
        (sequence, at): (u64, UnixMillis),
        ttl: Ttl,
        number: u16,
        reserved: &Reserved<'_>,
        loading: &mut Loading,
    ) -> Result<Option<(u16, u32)>, OpenError> {
        let line = reserved.lines.get(usize::from(number)).ok_or(BadRecord)?;
        let hash = self.hasher.sku(line.sku);
        let shard = shard_of(hash);
        if covered(&loading.stock_marks, shard, sequence) {
            return self.take_restored(reserved.id, number, loading);
        }
        let mut stock = self.pool.stock_shard(shard)?;
        let owner = match stock.find(hash, line.sku) {
            Some(owner) => owner,
            None => loading.await_stock(&mut stock, (shard, hash), line.sku)?,
        };
        let entry = LineEntry::new(
            reserved.id,
            number,
            reserved.channel,
            owner,
            at.after(ttl),
            line.empty(),
        );
        let slot = if loading.awaits(shard, owner) {
            stock.hold_line(entry, line.held)?
        } else {
            self.replay_hold(&mut stock, entry, line.held, Day::of(at))?
        };
        Ok(Some((u16::try_from(shard).unwrap_or(u16::MAX), slot)))
    }

    /// Holds units as the event says, and counts what was never there: replay does not decide
    /// again, but a hold never makes a deficit nor a larger one.
    fn replay_hold(
        &self,
        shard: &mut StockShard,
        entry: LineEntry,
        units: Units,
        today: Day,
    ) -> Result<u32, Inconsistent> {
        let owner = entry.stock;
        let deficit = |shard: &StockShard| {
            let stock = shard.stock(owner);
            stock.map_or(Units::ZERO, |stock| stock.deficit(today))
        };
        let before = deficit(shard);
        let slot = shard.hold(entry, units)?;
        // Whatever further lines take of the SKU, it can only get lower.
        shard.settle_water_quietly(owner, today);
        let oversold = deficit(shard).left_after(before).get();
        self.counts
            .oversold_in_journal
            .fetch_add(oversold, Ordering::Relaxed);
        Ok(slot)
    }

    /// Where a line is, for an event that touches it.
    fn find_line(
        &self,
        sequence: u64,
        (id, number): (ReservationId, u16),
        sku: &str,
        loading: &Loading,
    ) -> Result<Found, OpenError> {
        if covered(
            &loading.stock_marks,
            shard_of(self.hasher.sku(sku)),
            sequence,
        ) {
            return Ok(Found::Covered);
        }
        let records = self.pool.record_shard(record_shard_of(id.0))?;
        let head = records.get(id.0).and_then(Record::head);
        let line = head.and_then(|head| head.lines.get(usize::from(number)).copied());
        match line {
            Some(line) if !line.is_missing() => Ok(Found::At(line)),
            _ if loading.is_of_journal() => Err(no_line(id, number)),
            _ => Ok(Found::Nowhere),
        }
    }

    fn replay_touch(
        &self,
        event: &Event<'_>,
        id: ReservationId,
        loading: &Loading,
    ) -> Result<(), OpenError> {
        let number = record_shard_of(id.0);
        if !covered(&loading.record_marks, number, event.position.sequence) {
            let mut records = self.pool.record_shard(number)?;
            if let Some(record) = records.get_mut(id.0) {
                record.touch(event.at);
            }
        }
        Ok(())
    }

    fn replay_acted(
        &self,
        event: &Event<'_>,
        acted: &Acted<'_>,
        loading: &mut Loading,
    ) -> Result<(), OpenError> {
        let sequence = event.position.sequence;
        let mut is_moved = false;
        for (number, line) in (0_u16..).zip(&acted.lines) {
            let place = (acted.id, number);
            let found = match self.find_line(sequence, place, line.sku, loading)? {
                Found::At(found) => found,
                Found::Covered => continue,
                Found::Nowhere => {
                    self.replay_forgotten(event, acted.channel, line, loading)?;
                    continue;
                }
            };
            let mut shard = self.pool.stock_shard(usize::from(found.shard))?;
            for step in &line.moves {
                replay_step(&mut shard, found, *step, line.window, loading)?;
            }
            is_moved |= !line.moves.is_empty();
            let next = acted.lines.get(usize::from(number) + 1);
            let is_last = next.is_none_or(|next| next.sku != line.sku);
            if is_last && std::mem::take(&mut is_moved) {
                settle_water(&mut shard, found, Day::of(event.at), loading)?;
            }
            let entry = shard.lines.get(found.slot).ok_or(Inconsistent)?;
            if entry.line() != line.after {
                let id = acted.id;
                return Err(OpenError::Damaged(format!("line {number} of {id} differs")));
            }
            if entry.deadline() != acted.deadline {
                shard.extend(found.slot, acted.deadline);
            }
        }
        Ok(())
    }

    fn replay_expired(
        &self,
        event: &Event<'_>,
        place: (ReservationId, u16),
        sku: &str,
        units: Units,
        loading: &mut Loading,
    ) -> Result<(), OpenError> {
        let sequence = event.position.sequence;
        match self.find_line(sequence, place, sku, loading)? {
            Found::Covered => Ok(()),
            Found::At(found) => {
                let mut shard = self.pool.stock_shard(usize::from(found.shard))?;
                let step = Move::Expire(units);
                replay_step(&mut shard, found, step, UnixMillis::default(), loading)?;
                Ok(settle_water(&mut shard, found, Day::of(event.at), loading)?)
            }
            // What holds units is never forgotten: its stock at least is still to be read.
            Found::Nowhere => self.replay_stock(sequence, sku, loading, |_| {
                let (id, number) = place;
                Err(no_line(id, number))
            }),
        }
    }

    /// Moves of a line that was forgotten, or was not read yet: they show in the stock alone.
    /// What was forgotten has no open units, and nothing but a return can still happen to it.
    fn replay_forgotten(
        &self,
        event: &Event<'_>,
        channel: ChannelIx,
        line: &ActedLine<'_>,
        loading: &mut Loading,
    ) -> Result<(), OpenError> {
        if line.moves.is_empty() {
            return Ok(());
        }
        self.replay_stock(event.position.sequence, line.sku, loading, |stock| {
            let mut moves = line.moves.iter();
            let window = line.window;
            let channel = line.after.user(channel);
            let charge = Charge { channel, window };
            moves.try_for_each(|step| stock.apply(&line.after, *step, charge))?;
            stock.settle_water(Day::of(event.at));
            Ok(())
        })
    }

    /// Changes the stock of a SKU, unless it is covered or still to be read.
    fn replay_stock(
        &self,
        sequence: u64,
        sku: &str,
        loading: &mut Loading,
        change: impl FnOnce(&mut Stock) -> Result<(), OpenError>,
    ) -> Result<(), OpenError> {
        let hash = self.hasher.sku(sku);
        let number = shard_of(hash);
        if covered(&loading.stock_marks, number, sequence) {
            return Ok(());
        }
        let mut shard = self.pool.stock_shard(number)?;
        let slot = match shard.find(hash, sku) {
            Some(slot) => slot,
            None if loading.is_reading() => loading.await_stock(&mut shard, (number, hash), sku)?,
            None => shard.find_or_make(hash, sku)?,
        };
        if loading.awaits(number, slot) {
            return Ok(());
        }
        shard.change(slot, change).ok_or(Inconsistent)?
    }

    /// Decides anew whether these SKUs are low, now that all of an event was done.
    fn replay_water<'a>(
        &self,
        event: &Event<'_>,
        skus: impl Iterator<Item = &'a str>,
        loading: &mut Loading,
    ) -> Result<(), OpenError> {
        for sku in skus {
            self.replay_stock(event.position.sequence, sku, loading, |stock| {
                stock.settle_water(Day::of(event.at));
                Ok(())
            })?;
        }
        Ok(())
    }

    fn replay_share(
        &self,
        sequence: u64,
        item: &ShareMove<'_>,
        loading: &mut Loading,
    ) -> Result<(), OpenError> {
        self.replay_stock(sequence, item.sku, loading, |stock| {
            Ok(stock.move_share(item.from, item.to, item.units, item.window)?)
        })
    }

    fn replay_inbound(
        &self,
        sequence: u64,
        item: &InboundItem<'_>,
        loading: &mut Loading,
    ) -> Result<(), OpenError> {
        self.replay_stock(sequence, item.sku, loading, |stock| {
            Ok(stock.receive_inbound(item.entry.clone(), item.received)?)
        })
    }

    fn replay_item(
        &self,
        sequence: u64,
        item: &StockItem<'_>,
        counted: Option<UnixMillis>,
        loading: &mut Loading,
    ) -> Result<(), OpenError> {
        self.replay_stock(sequence, item.sku, loading, |stock| {
            let before = stock.node(item.node);
            let expected = (item.on_hand_before, item.unavailable_before);
            if (before.on_hand, before.unavailable) != expected {
                return Err(OpenError::Damaged(format!("stock of {} differs", item.sku)));
            }
            stock.set_node(item.node, item.on_hand, item.unavailable)?;
            if let Some(at) = counted {
                stock.note_count(item.node, at)?;
            }
            Ok(())
        })
    }
}

/// Where a line is.
enum Found {
    /// In a shard whose snapshot covers the event.
    Covered,
    At(LineRef),
    /// Of another ledger: it was forgotten, or was not read yet.
    Nowhere,
}

fn no_line(id: ReservationId, number: u16) -> OpenError {
    OpenError::Damaged(format!("line {number} of {id} is not there"))
}

/// Does a move on a line and on its stock, unless that is still to be read.
fn replay_step(
    shard: &mut StockShard,
    at: LineRef,
    step: Move,
    window: UnixMillis,
    loading: &Loading,
) -> Result<(), Inconsistent> {
    let owner = shard.lines.get(at.slot).ok_or(Inconsistent)?.stock;
    if loading.awaits(usize::from(at.shard), owner) {
        shard.step_line(at.slot, step)
    } else {
        shard.step(at.slot, step, window)
    }
}

/// Decides anew whether the SKU of a line is low, unless its stock is still to be read.
fn settle_water(
    shard: &mut StockShard,
    at: LineRef,
    today: Day,
    loading: &Loading,
) -> Result<(), Inconsistent> {
    let owner = shard.lines.get(at.slot).ok_or(Inconsistent)?.stock;
    if !loading.awaits(usize::from(at.shard), owner) {
        shard.settle_water_quietly(owner, today);
    }
    Ok(())
}

fn replay_name(table: &RwLock<Names>, index: u16, name: &str) -> Result<(), OpenError> {
    let mut table = super::super::unpoisoned(table.write());
    match table.name(index) {
        Some(known) if &*known == name => Ok(()),
        Some(_) => Err(OpenError::Damaged(format!("two names for index {index}"))),
        None if table.add(name) == Some(index) => Ok(()),
        None => Err(OpenError::Damaged(format!("name {index} out of order"))),
    }
}
