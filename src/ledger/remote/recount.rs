//! Recounting: every counter of a partition against the records it stands for.
//!
//! The store is read page by page, so the count is exact only while nothing is decided: the
//! partition's sequence is read before and after, and a count during which it moved is not given.
//! A ledger that never rests is counted on a replica that was cut off, or on a copy of its files:
//! there the sequence stands still, and says which position was counted.

use std::collections::{HashMap, HashSet};

use bytes::Bytes;
use redis::aio::ConnectionLike;

use super::script::{BadMeta, Keys, Meta};
use super::several::Parts;
use super::wire::Malformed;
use super::wire::event::{Entry, chained};
use super::wire::record::{self, Booking, Kept, Phase, Record};
use crate::domain::{NodeIx, ReservationId, Stock, Units};
use crate::ledger::Recount;

/// Why there is no count.
#[derive(Debug, thiserror::Error)]
pub enum RecountError {
    /// The store could not be read.
    #[error("the store cannot be read: {0}")]
    Store(#[from] redis::RedisError),
    /// There is no ledger, or not one of this version.
    #[error(transparent)]
    Meta(#[from] BadMeta),
    /// Something that the scripts did not write.
    #[error("damaged: {0}")]
    Damaged(String),
    /// Something was decided while it was counted.
    #[error("the ledger moved on while it was counted; count again when it rests")]
    Moved,
}

/// Fields or entries asked for at once.
const PAGE: usize = 512;

/// Units of a SKU, summed over reservation lines.
#[derive(Debug, Default)]
struct Sums {
    held: u64,
    committed: u64,
    pinned: HashMap<NodeIx, u64>,
}

/// A count on its way.
#[derive(Debug, Default)]
struct Count {
    found: Recount,
    stocks: HashMap<Bytes, Stock>,
    sums: HashMap<Bytes, Sums>,
    /// Every id seen: a page may show a record twice.
    seen: HashSet<Bytes>,
    /// Deadlines of reservations that hold units.
    deadlines: HashMap<Bytes, i64>,
    open_lines: u64,
    parts: Parts,
    /// Sequence and tip after the last entry of the stream.
    stream: Option<(u64, String)>,
}

/// Recounts a partition.
pub async fn recount(
    connection: &mut (impl ConnectionLike + Send),
    keys: &Keys,
) -> Result<Recount, RecountError> {
    Ok(recount_with_parts(connection, keys).await?.0)
}

/// The same, with what is to be compared with other partitions.
pub(super) async fn recount_with_parts(
    connection: &mut (impl ConnectionLike + Send),
    keys: &Keys,
) -> Result<(Recount, Parts), RecountError> {
    let meta = read_meta(connection, keys).await?;
    let mut count = Count::default();
    let mut damage = None;
    scan(connection, "HSCAN", keys.stock(), |sku, stock| {
        note(&mut damage, "stock", count.stock(sku, &stock));
    })
    .await?;
    scan(connection, "HSCAN", keys.records(), |id, record| {
        note(&mut damage, "records", count.record(id, &record));
    })
    .await?;
    scan(connection, "ZSCAN", keys.due(), |ids, deadline| {
        count.due(&ids, &deadline);
    })
    .await?;
    read_stream(connection, keys, &mut count, &mut damage).await?;
    if read_meta(connection, keys).await?.sequence != meta.sequence {
        return Err(RecountError::Moved);
    }
    match damage {
        Some(what) => Err(RecountError::Damaged(what)),
        None => {
            let parts = std::mem::take(&mut count.parts);
            Ok((count.finish(&meta), parts))
        }
    }
}

fn note(damage: &mut Option<String>, place: &str, read: Result<(), Malformed>) {
    if read.is_err() && damage.is_none() {
        *damage = Some(format!(
            "something in {place} is not what the scripts write"
        ));
    }
}

async fn read_meta(
    connection: &mut (impl ConnectionLike + Send),
    keys: &Keys,
) -> Result<Meta, RecountError> {
    let mut ask = redis::cmd("HGETALL");
    let fields = ask.arg(keys.meta()).query_async(connection).await?;
    Ok(Meta::parse(&fields)?)
}

/// Everything in a hash or a sorted set, two by two.
async fn scan(
    connection: &mut (impl ConnectionLike + Send),
    command: &str,
    key: &str,
    mut each: impl FnMut(Bytes, Bytes),
) -> Result<(), RecountError> {
    let mut cursor = "0".to_owned();
    loop {
        let mut ask = redis::cmd(command);
        ask.arg(key).arg(&cursor).arg("COUNT").arg(PAGE);
        let (next, page): (String, Vec<(Bytes, Bytes)>) = ask.query_async(connection).await?;
        page.into_iter()
            .for_each(|(field, value)| each(field, value));
        if next == "0" {
            return Ok(());
        }
        cursor = next;
    }
}

async fn read_stream(
    connection: &mut (impl ConnectionLike + Send),
    keys: &Keys,
    count: &mut Count,
    damage: &mut Option<String>,
) -> Result<(), RecountError> {
    let mut from = "-".to_owned();
    loop {
        let mut ask = redis::cmd("XRANGE");
        ask.arg(keys.events()).arg(&from).arg("+");
        ask.arg("COUNT").arg(PAGE);
        let page: Vec<(String, Vec<Bytes>)> = ask.query_async(connection).await?;
        let Some((last, _)) = page.last() else {
            return Ok(());
        };
        from = format!("({last}");
        for (id, fields) in page {
            note(damage, "the stream", count.entry(&id, fields));
        }
    }
}

impl Count {
    fn stock(&mut self, sku: Bytes, bytes: &[u8]) -> Result<(), Malformed> {
        self.stocks.insert(sku, record::stock(bytes)?);
        Ok(())
    }

    fn record(&mut self, id: Bytes, bytes: &[u8]) -> Result<(), Malformed> {
        if self.seen.contains(&id) {
            return Ok(());
        }
        if let Kept::Reservation(booking) = Record::parse(bytes)?.kept {
            self.parts.add(&id, &booking);
            self.booking(&id, &booking);
        }
        self.seen.insert(id);
        Ok(())
    }

    fn booking(&mut self, id: &Bytes, booking: &Booking<'_>) {
        let ties = booking.ties.as_ref();
        let is_part = ties.is_some_and(|ties| !ties.is_home);
        // A part that waits for its home is not due.
        let waits = is_part && ties.is_some_and(|ties| ties.phase == Phase::Bound);
        self.found.reservations += u64::from(!is_part);
        let mut open = 0;
        for (number, (sku, _, line)) in booking.lines.iter().enumerate() {
            if line.open().is_zero() || !booking.is_here(number) {
                continue;
            }
            open += 1;
            let sums = self.sums.entry(Bytes::copy_from_slice(sku.as_bytes()));
            let sums = sums.or_default();
            sums.held += line.held.get();
            sums.committed += line.committed.get();
            if let Some(node) = line.pin {
                *sums.pinned.entry(node).or_default() += line.open().get();
            }
            if !line.held.is_zero() && !waits {
                self.deadlines.insert(id.clone(), booking.deadline.0);
            }
        }
        self.open_lines += open;
        self.found.open += u64::from(open > 0 && !is_part);
    }

    /// An entry of the index of deadlines: whom it is about no longer wants for one.
    fn due(&mut self, ids: &[u8], deadline: &[u8]) {
        let deadline = str::from_utf8(deadline)
            .ok()
            .and_then(|text| text.parse().ok());
        let (ids, _) = ids.as_chunks::<16>();
        for id in ids {
            if self.deadlines.get(id.as_slice()).copied() == deadline {
                self.deadlines.remove(id.as_slice());
            }
        }
    }

    /// An entry of the stream continues the one before.
    fn entry(&mut self, id: &str, fields: Vec<Bytes>) -> Result<(), Malformed> {
        let [_, argument, _, reply] = fields.try_into().or(Err(Malformed))?;
        let entry = Entry::parse(argument.clone(), reply)?;
        entry.events()?;
        let header = entry.header();
        let first = header.before + 1;
        if id != format!("{first}-0") {
            self.found
                .violation(|| format!("the event entry {id} begins with event {first}"));
        }
        let before = match &self.stream {
            None if header.before == 0 => Some((0, String::new())),
            before => before.clone(),
        };
        if let Some((last, tip)) = before {
            if last != header.before {
                self.found
                    .violation(|| format!("events after {last} are missing up to {first}"));
            } else if chained(&tip, &argument) != header.tip {
                self.found
                    .violation(|| format!("the chain breaks at event {first}"));
            }
        }
        self.stream = Some((header.last, header.tip.clone()));
        Ok(())
    }

    fn finish(mut self, meta: &Meta) -> Recount {
        let mut sums = std::mem::take(&mut self.sums);
        for (sku, stock) in std::mem::take(&mut self.stocks) {
            let sum = sums.remove(&sku).unwrap_or_default();
            self.sku(&String::from_utf8_lossy(&sku), &stock, &sum);
        }
        for sku in sums.keys() {
            let sku = String::from_utf8_lossy(sku);
            self.found
                .violation(|| format!("sku {sku}: reserved, but it has no stock"));
        }
        for (id, deadline) in &self.deadlines {
            let id = id.as_ref().try_into().map_or(0, u128::from_be_bytes);
            let id = ReservationId(id);
            self.found.violation(|| {
                format!("reservation {id}: nothing is due at its deadline {deadline}")
            });
        }
        let (counted, told) = (self.open_lines, meta.open_lines);
        if counted != told {
            self.found
                .violation(|| format!("open lines are {told}, counted are {counted}"));
        }
        let kept = self.stream.as_ref();
        if kept.is_some_and(|(last, tip)| (*last, tip) != (meta.sequence, &meta.tip)) {
            let last = meta.sequence;
            self.found
                .violation(|| format!("the stream does not end at event {last} and its chain"));
        }
        self.found
    }

    fn sku(&mut self, sku: &str, stock: &Stock, sums: &Sums) {
        for (what, counter, records) in [
            ("held", stock.held(), sums.held),
            ("committed", stock.committed(), sums.committed),
        ] {
            if counter.get() != records {
                self.found.violation(|| {
                    format!("sku {sku}: {what} counter is {counter}, its lines sum to {records}")
                });
            }
        }
        for place in stock.nodes() {
            let records = sums.pinned.get(&place.node).copied().unwrap_or(0);
            if place.pinned.get() != records {
                let (node, counter) = (place.node.0, place.pinned);
                self.found.violation(|| {
                    format!("sku {sku} node {node}: pinned is {counter}, lines sum to {records}")
                });
            }
        }
        self.found.skus += 1;
        self.found.units_promised += stock.promised().get();
        self.found.units_on_hand += stock.on_hand().get();
        self.found.deficits += u64::from(stock.deficit() > Units::ZERO);
    }
}
