//! Reserve: the hot path.

use std::sync::atomic::Ordering;

use smallvec::SmallVec;

use super::EmbeddedLedger;
use super::pool::{RecordGuards, StockGuards};
use super::record_shard::{Head, LineRef, LineRefs, Record, shard_of as record_shard_of};
use super::scratch::Scratch;
use super::stock_shard::{LineEntry, StockShard, shard_of};
use crate::domain::command::{CommandKey, LineRequest, Reserve};
use crate::domain::decide;
use crate::domain::decide::Grants;
use crate::domain::line::Inconsistent;
use crate::domain::policy::{Claim, ClassIx};
use crate::domain::stock::Change;
use crate::domain::verdict::{Outcome, Reservation, ReservationLine};
use crate::domain::{ChannelIx, Day, Refusal, ReservationId, Ttl, Units, UnixMillis};
use crate::ledger::event::{Body, Reserved, ReservedLine};
use crate::ledger::{Answer, LedgerError, Position};
use crate::sabotage::{self, Fault};

/// Where the stock of a line is: shard, and slot once it was found.
#[derive(Clone, Copy)]
struct Place {
    hash: u64,
    shard: usize,
    slot: Option<u32>,
    /// Of the SKU in the policy, where that was looked for already.
    class: Option<ClassIx>,
}

type Places = SmallVec<[Place; 2]>;

impl EmbeddedLedger {
    pub(super) fn reserve(
        &self,
        key: CommandKey,
        reserve: &Reserve<'_>,
    ) -> Result<Answer, LedgerError> {
        // Before the locks: the processor finishes all reads before it reads the clock, which would
        // part those that are warmed from those that follow.
        let read = self.clock.now();
        let lines = reserve.lines.as_slice().iter();
        let mut places: Places = gather(lines.map(|line| self.place(line)));
        let mut records = self.state.pool.records(&[key.id])?;
        let mut stock = self.lock_all(&places)?;
        warm(key, &places, &records, &stock);
        if records
            .of(key.id)
            .is_some_and(|shard| shard.find_key(key.id).is_some())
        {
            // The answer is read from the lines, under their own locks.
            drop(stock);
            return self
                .answered(&records, key)
                .ok_or(LedgerError::Unavailable)?;
        }
        // Only what makes the memory grow without end is turned away: what was promised can
        // always be confirmed, released and asked for.
        let kept = self.state.counts.records.load(Ordering::Relaxed);
        if u64::try_from(kept).unwrap_or(u64::MAX) >= self.retention.records_max {
            return Err(LedgerError::Overloaded);
        }
        let hold = self.state.pool.hold_timer();
        let now = self.moment(read);
        let mut scratch = Scratch::new();
        self.expire(&mut stock, now, &mut scratch)?;
        self.find(&mut places, reserve, &mut stock, now, &mut scratch);
        let verdict = self.judge(reserve, now, &places, &stock);
        if sabotage::is_on(Fault::CheckThenTake) {
            drop(stock);
            std::thread::yield_now();
            stock = self.lock_all(&places)?;
        }
        match verdict {
            Err(refusal) => {
                let refused = self.refuse(&mut records, key, now, refusal, scratch);
                refused.map(|answer| Answer {
                    told_after: self.position(stock.changed()),
                    ..answer
                })
            }
            Ok(grants) => {
                let channel = self.channel_index(reserve.channel, now, &mut scratch)?;
                let policy = places.first().and_then(|place| stock.shard(place.shard));
                let policy = policy.and_then(|shard| shard.policy());
                let made = Making {
                    key,
                    reserve,
                    channel,
                    now,
                    ttl: decide::hold_ttl(reserve, policy, now),
                    places: &places,
                    grants: &grants,
                };
                let position = self.make(&made, &mut records, &mut stock, scratch)?;
                drop(hold);
                // What the caller is told needs no lock.
                drop(stock);
                drop(records);
                Ok(Answer {
                    verdict: Ok(Outcome::Reservation(made.reservation())),
                    replayed: false,
                    position,
                    told_after: position,
                    mirror_age: None,
                })
            }
        }
    }

    /// Finds the stocks of the lines, and notes what the policy says of them.
    fn find(
        &self,
        places: &mut Places,
        reserve: &Reserve<'_>,
        stock: &mut StockGuards<'_>,
        now: UnixMillis,
        scratch: &mut Scratch,
    ) {
        for (place, line) in places.iter_mut().zip(reserve.lines.as_slice()) {
            let Some(shard) = stock.shard_mut(place.shard) else {
                continue;
            };
            place.slot = shard.find(place.hash, line.sku.as_str());
            if let Some(slot) = place.slot {
                place.class = self.note_terms(shard, slot, now, scratch);
            }
        }
    }

    fn lock_all(&self, places: &Places) -> Result<StockGuards<'_>, LedgerError> {
        self.state
            .pool
            .stock(places.iter().map(|place| place.shard).collect())
    }

    fn judge(
        &self,
        reserve: &Reserve<'_>,
        now: UnixMillis,
        places: &Places,
        stock: &StockGuards<'_>,
    ) -> Result<Grants, Refusal> {
        let lines = &reserve.lines;
        let shard_of = |at: usize| {
            let place = places.get(at)?;
            Some((stock.shard(place.shard)?, place.slot?))
        };
        let stock_of = |at| {
            let (shard, slot) = shard_of(at)?;
            shard.stock(slot)
        };
        let claim_of = |at| {
            let (shard, _) = shard_of(at)?;
            let rule = match places.get(at)?.class {
                Some(class) => shard.policy()?.in_force_in(class, now)?,
                None => shard.rule(lines.as_slice().get(at)?.sku.as_str(), now)?,
            };
            let named = reserve.channel.index;
            let channel = named.or_else(|| self.find_channel(reserve.channel.name));
            let channel = channel.unwrap_or(ChannelIx::UNNAMED);
            Some(Claim { channel, rule })
        };
        let today = Day::of(now);
        decide::reserve(lines, reserve.allow_partial, today, stock_of, claim_of)
    }

    /// Decides anew how SKUs stand of which more is promised.
    fn settle_places(
        &self,
        stock: &mut StockGuards<'_>,
        places: &Places,
        now: UnixMillis,
        scratch: &mut Scratch,
    ) {
        let slots = places.iter().filter_map(|place| {
            let at = (place.shard, place.slot?);
            Some((at, Change::Promises))
        });
        self.settle_skus(stock, slots, now, scratch);
    }

    /// The shard of a line; its slot is found under the locks.
    fn place(&self, line: &LineRequest<'_>) -> Place {
        let hash = self.state.hasher.sku(line.sku.as_str());
        Place {
            hash,
            shard: shard_of(hash),
            slot: None,
            class: None,
        }
    }

    /// Writes an accepted reservation: lines and counters, journal, head. Returns its place.
    fn make(
        &self,
        making: &Making<'_, '_>,
        records: &mut RecordGuards<'_>,
        stock: &mut StockGuards<'_>,
        mut scratch: Scratch,
    ) -> Result<Position, LedgerError> {
        let refs = self.place_lines(making, stock)?;
        self.settle_places(stock, making.places, making.now, &mut scratch);
        let body = making.body();
        scratch.push(making.now, &Body::Reserved(body));
        let sequence = scratch.commit(&self.journal);
        stock.note_change(sequence);
        let reserve = making.reserve;
        let position = self.position(sequence);
        let head = Head {
            channel: making.channel,
            touched: making.now,
            ttl: making.ttl,
            reference: reserve.reference,
            lines: refs,
        };
        let record = Record::of_reservation(making.key, position, making.now, &head);
        let shard = records
            .of_mut(making.key.id)
            .ok_or(LedgerError::Unavailable)?;
        let slot = shard.insert(record).map_err(|bad| self.broken(bad))?;
        self.state.counts.record_added(shard.records.len());
        if let Some(reference) = reserve.reference {
            let hash = self.state.hasher.reference(making.channel, reference);
            let shard = u16::try_from(record_shard_of(making.key.id)).unwrap_or(u16::MAX);
            self.state
                .pool
                .references(hash)?
                .insert(hash, (shard, slot));
        }
        Ok(position)
    }

    fn place_lines(
        &self,
        making: &Making<'_, '_>,
        stock: &mut StockGuards<'_>,
    ) -> Result<LineRefs, LedgerError> {
        let mut refs = LineRefs::new();
        let deadline = making.now.after(making.ttl);
        let today = Day::of(making.now);
        for (at, (line, place)) in making.lines().zip(making.places).enumerate() {
            let shard = stock
                .shard_mut(place.shard)
                .ok_or(LedgerError::Unavailable)?;
            let owner = place.slot.ok_or(LedgerError::Unavailable)?;
            let deficit = |shard: &StockShard| shard.stock(owner).map(|stock| stock.deficit(today));
            let short_before = deficit(shard);
            let number = u16::try_from(at).unwrap_or(u16::MAX);
            let id = ReservationId(making.key.id);
            let entry = LineEntry::new(id, number, making.channel, owner, deadline, line.empty());
            let slot = shard
                .hold(entry, line.held)
                .map_err(|bad| self.broken(bad))?;
            let short_after = deficit(shard);
            if short_after > short_before {
                // The continuous check: a hold must never promise what is not there.
                self.meters
                    .oversold_units(short_after.map_or(0, Units::get));
                return Err(self.broken(Inconsistent));
            }
            let number = u16::try_from(place.shard).unwrap_or(u16::MAX);
            refs.push(LineRef::missing(line.requested, line.pin).placed(number, slot));
        }
        Ok(refs)
    }
}

/// Collects one by one: nearly always there is one, for which to ask for room first costs more.
fn gather<A: smallvec::Array>(items: impl Iterator<Item = A::Item>) -> SmallVec<A> {
    let mut all = SmallVec::new();
    items.for_each(|item| all.push(item));
    all
}

/// Reads a little of every place that the command is about to work on. The processor fetches them
/// from memory all at once, where it would else wait for one after the other: it does not look past
/// the next lock.
fn warm(key: CommandKey, places: &Places, records: &RecordGuards<'_>, stock: &StockGuards<'_>) {
    if let Some(shard) = records.of(key.id) {
        shard.warm(key.id);
    }
    for place in places {
        if let Some(shard) = stock.shard(place.shard) {
            shard.warm(place.hash);
        }
    }
}

/// An accepted reservation on its way into the ledger.
struct Making<'a, 'r> {
    key: CommandKey,
    reserve: &'a Reserve<'r>,
    channel: ChannelIx,
    now: UnixMillis,
    ttl: Ttl,
    places: &'a Places,
    grants: &'a Grants,
}

impl Making<'_, '_> {
    /// The lines, each with what was granted.
    fn lines(&self) -> impl Iterator<Item = ReservedLine<'_>> {
        let lines = self.reserve.lines.as_slice().iter();
        lines.zip(self.grants).map(|(line, granted)| ReservedLine {
            sku: line.sku.as_str(),
            pin: line.node,
            day: granted.day,
            charged_to: granted.charged_to,
            requested: line.quantity,
            held: granted.units,
        })
    }

    fn body(&self) -> Reserved<'_> {
        Reserved {
            id: ReservationId(self.key.id),
            fingerprint: self.key.fingerprint,
            channel: self.channel,
            reference: self.reserve.reference,
            ttl_ms: self.ttl.as_millis(),
            lines: gather(self.lines()),
        }
    }

    fn reservation(&self) -> Reservation {
        Reservation {
            id: ReservationId(self.key.id),
            channel: self.channel,
            reference: self.reserve.reference.map(Into::into),
            created_at: self.now,
            deadline: self.now.after(self.ttl),
            lines: gather(self.lines().map(|line| ReservationLine {
                sku: line.sku.into(),
                requested: line.requested,
                line: line.made(),
            })),
        }
    }
}
