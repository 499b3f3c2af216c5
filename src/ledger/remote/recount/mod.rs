//! Recounting: every counter of a partition against the records it stands for, exact while others
//! decide.
//!
//! The store is read page by page, each together with the sequence at which it stands so. What was
//! read before is carried on to that sequence by the events of the stream, which are written in the
//! same step as what they tell. So at the end everything that was read stands at one position, and
//! what differs there is wrong; it was not merely read at different moments. On the way every entry
//! of the stream that is still there is checked against the chain.
//!
//! Memory: some 40 bytes for each reservation, 150 for each with open units and for each SKU.

mod copy;
mod course;
mod whole;

use bytes::Bytes;
use redis::aio::ConnectionLike;

use self::copy::Copy;
use self::course::Course;
use super::script::{BadMeta, Keys, Meta};
use super::several::Parts;
use super::wire::Malformed;
use super::wire::record::{Kept, Record};
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
    /// Events are missing again and again, so that nothing can be carried on over them.
    #[error("events went away while it was counted, {0} times")]
    Outrun(usize),
}

/// Fields or entries asked for at once.
const PAGE: usize = 512;

/// Reservations looked at once more together.
const SUSPECTS: usize = 64;

/// Times that a count is begun anew because events were missing on its way.
const ATTEMPTS: usize = 5;

/// Times that a SKU, a deadline or a part is looked at again because it went on meanwhile.
const LOOKS: usize = 100;

/// Recounts a partition.
pub async fn recount(
    connection: &mut (impl ConnectionLike + Send),
    keys: &Keys,
) -> Result<Recount, RecountError> {
    Ok(recount_with_parts(connection, keys).await?.0)
}

/// The same, with what is to be compared with other partitions.
async fn recount_with_parts(
    connection: &mut (impl ConnectionLike + Send),
    keys: &Keys,
) -> Result<(Recount, Parts), RecountError> {
    let meta = read_meta(connection, keys).await?;
    let mut count = Count {
        connection,
        keys,
        course: Course::begin(&meta),
        copy: Copy::default(),
    };
    // What is behind already only needs the chain.
    count.carry_on(meta.sequence, |_, _| Ok(())).await?;
    for _ in 0..ATTEMPTS {
        count.copy = Copy::default();
        if let Some(meta) = count.run().await? {
            let (mut found, parts) = count.copy.finish(&meta);
            found.add(count.course.found);
            return Ok((found, parts));
        }
    }
    Err(RecountError::Outrun(ATTEMPTS))
}

async fn read_meta(
    connection: &mut (impl ConnectionLike + Send),
    keys: &Keys,
) -> Result<Meta, RecountError> {
    let mut ask = redis::cmd("HGETALL");
    let fields = ask.arg(keys.meta()).query_async(connection).await?;
    Ok(Meta::parse(&fields)?)
}

/// Fields and values, two by two.
type Pairs = Vec<(Bytes, Bytes)>;

/// A count on its way.
struct Count<'c, C> {
    connection: &'c mut C,
    keys: &'c Keys,
    course: Course,
    copy: Copy,
}

impl<C: ConnectionLike + Send> Count<'_, C> {
    /// Reads everything and carries it on to one position, whose meta it gives; `None` where events
    /// were missing on the way.
    async fn run(&mut self) -> Result<Option<Meta>, RecountError> {
        let keys = self.keys;
        let whole = self.scan(keys.records(), "records", Copy::record).await?
            && self.scan(keys.stock(), "stock", Copy::stock).await?
            && self.look_at_new_skus().await?;
        if !whole {
            return Ok(None);
        }
        self.look_at_deadlines().await?;
        let meta = read_meta(self.connection, keys).await?;
        if !self.carry_on_copy(meta.sequence).await? {
            return Ok(None);
        }
        self.course.end(&meta);
        Ok(Some(meta))
    }

    /// Reads the stream up to a sequence.
    async fn carry_on(
        &mut self,
        to: u64,
        each: impl Fn(&mut Copy, &super::wire::event::Entry) -> Result<(), Malformed>,
    ) -> Result<bool, RecountError> {
        let copy = &mut self.copy;
        let each = |entry: &_| each(copy, entry);
        self.course.read(self.connection, self.keys, to, each).await
    }

    /// Carries on to a sequence what was read so far; whether no event was missing.
    async fn carry_on_copy(&mut self, to: u64) -> Result<bool, RecountError> {
        self.carry_on(to, |copy, entry| {
            entry.events()?.iter().for_each(|event| copy.event(event));
            Ok(())
        })
        .await
    }

    /// Everything in a hash; whether no event was missing on the way.
    async fn scan(
        &mut self,
        key: &str,
        place: &'static str,
        each: impl Fn(&mut Copy, &[u8], &[u8]) -> Result<(), Malformed>,
    ) -> Result<bool, RecountError> {
        let mut cursor = 0_u64;
        loop {
            let mut together = redis::pipe();
            together.atomic().cmd("HSCAN").arg(key).arg(cursor);
            together.arg("COUNT").arg(PAGE);
            together.hget(self.keys.meta(), "seq");
            let ((next, page), sequence): ((u64, Pairs), u64) =
                together.query_async(self.connection).await?;
            if !self.carry_on_copy(sequence).await? {
                return Ok(false);
            }
            for (field, value) in page {
                each(&mut self.copy, &field, &value).map_err(|_bad| strange(place))?;
            }
            if next == 0 {
                return Ok(true);
            }
            cursor = next;
        }
    }

    /// SKUs that came while the stock was read, and that no page may have shown.
    async fn look_at_new_skus(&mut self) -> Result<bool, RecountError> {
        for _ in 0..LOOKS {
            let late = self.copy.late();
            if late.is_empty() {
                return Ok(true);
            }
            for skus in late.chunks(PAGE) {
                let names: Vec<&str> = skus.iter().map(|sku| &**sku).collect();
                let mut together = redis::pipe();
                together
                    .atomic()
                    .cmd("HMGET")
                    .arg(self.keys.stock())
                    .arg(&names);
                together.hget(self.keys.meta(), "seq");
                let (stocks, sequence): (Vec<Option<Bytes>>, u64) =
                    together.query_async(self.connection).await?;
                if !self.carry_on_copy(sequence).await? {
                    return Ok(false);
                }
                for (sku, stock) in names.iter().zip(stocks) {
                    let Some(stock) = stock else { continue };
                    let taken = self.copy.stock(sku.as_bytes(), &stock);
                    taken.map_err(|_bad| strange("stock"))?;
                }
            }
        }
        Ok(false)
    }

    /// The index of deadlines moves on while it is read, so whoever is not in it is looked at once
    /// more: record and index together.
    async fn look_at_deadlines(&mut self) -> Result<(), RecountError> {
        let mut cursor = 0_u64;
        loop {
            let mut ask = redis::cmd("ZSCAN");
            ask.arg(self.keys.due()).arg(cursor).arg("COUNT").arg(PAGE);
            let (next, page): (u64, Pairs) = ask.query_async(self.connection).await?;
            for (ids, deadline) in page {
                self.copy.due(&ids, &deadline);
            }
            if next == 0 {
                break;
            }
            cursor = next;
        }
        let mut suspects = self.copy.without_due();
        for _ in 0..LOOKS {
            if suspects.is_empty() {
                break;
            }
            let mut moved = Vec::new();
            for some in suspects.chunks(SUSPECTS) {
                moved.extend(self.look_again(some).await?);
            }
            suspects = moved;
        }
        Ok(())
    }

    /// Those whose deadline is another by now.
    async fn look_again(
        &mut self,
        suspects: &[(u128, i64)],
    ) -> Result<Vec<(u128, i64)>, RecountError> {
        let mut together = redis::pipe();
        together.atomic();
        for (id, deadline) in suspects {
            together.hget(self.keys.records(), &id.to_be_bytes());
            together.zrangebyscore(self.keys.due(), *deadline, *deadline);
        }
        let answers: Vec<redis::Value> = together.query_async(self.connection).await?;
        let mut moved = Vec::new();
        for (suspect, answer) in suspects.iter().zip(answers.chunks(2)) {
            let [record, due] = answer else { continue };
            let record: Option<Bytes> = read(record)?;
            let due: Vec<Bytes> = read(due)?;
            match still_held(record.as_deref())? {
                Some(deadline) if deadline != suspect.1 => moved.push((suspect.0, deadline)),
                Some(_) if !has(&due, suspect.0) => self.copy.never_due(suspect.0, suspect.1),
                Some(_) | None => {}
            }
        }
        Ok(moved)
    }
}

fn read<T: redis::FromRedisValue>(value: &redis::Value) -> redis::RedisResult<T> {
    Ok(redis::from_redis_value_ref(value)?)
}

fn has(due: &[Bytes], id: u128) -> bool {
    let id = id.to_be_bytes();
    due.iter().any(|ids| ids.as_chunks::<16>().0.contains(&id))
}

/// The deadline of a reservation that holds units.
fn still_held(record: Option<&[u8]>) -> Result<Option<i64>, RecountError> {
    let Some(record) = record else {
        return Ok(None);
    };
    let record = Record::parse(record).map_err(|_bad| strange("records"))?;
    let Kept::Reservation(booking) = record.kept else {
        return Ok(None);
    };
    // A part that waits for its home is not due.
    let waits = booking.waits();
    let mut lines = booking.lines.iter().enumerate();
    let holds = lines.any(|(at, (_, _, line))| !line.held.is_zero() && booking.is_here(at));
    Ok((holds && !waits).then_some(booking.deadline.0))
}

fn strange(place: &str) -> RecountError {
    RecountError::Damaged(format!(
        "something in {place} is not what the scripts write"
    ))
}
