//! Reading the content of the mirror from a store that goes on meanwhile.
//!
//! Each page of records or stocks is read in one step with the sequence that the partition has at
//! that moment. Before it is put in, every event up to that sequence is, so that the page is as old
//! as everything else. An event about something that was not read yet is passed over: the page
//! that has it will show what the event did. What was made after the beginning, and may therefore
//! be on no page, has its whole event. So no event counts twice and none is missed, however much
//! happens meanwhile.

use bytes::Bytes;
use redis::{Cmd, FromRedisValue, RedisError};

use super::course::{Astray, Course};
use super::pane::Pane;
use crate::domain::command::CommandKey;
use crate::ledger::Position;
use crate::ledger::embedded::replica::{Progress, ReadReservation, Replica};
use crate::ledger::remote::feed::Caller;
use crate::ledger::remote::script::Keys;
use crate::ledger::remote::wire::Malformed;
use crate::ledger::remote::wire::event::Entry;
use crate::ledger::remote::wire::record::{self, Kept, Record};

/// Fields of a page.
const PAGE: usize = 512;

/// Entries of the stream that are read at once.
const ENTRIES: usize = 16;

/// Why the content cannot be read.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unreadable {
    /// The store does not answer.
    #[error("the store cannot be read: {0}")]
    Store(#[from] RedisError),
    /// What was read does not fit together.
    #[error(transparent)]
    Astray(#[from] Astray),
    /// There is no ledger.
    #[error("the store has no ledger any more")]
    Missing,
    /// What this instance has told of is not there.
    #[error("the store has lost what stood after {0}")]
    Lost(u64),
}

impl From<Malformed> for Unreadable {
    fn from(malformed: Malformed) -> Self {
        Self::Astray(malformed.into())
    }
}

impl From<crate::ledger::embedded::replica::Unfit> for Unreadable {
    fn from(unfit: crate::ledger::embedded::replica::Unfit) -> Self {
        Self::Astray(unfit.into())
    }
}

/// Where the partition stands, with what was asked in the same step.
type Answered<T> = ((Option<u32>, Option<u64>, Option<String>), T);

/// A page, and where the next one begins.
type Page = (String, Vec<(Bytes, Bytes)>);

/// Entries of the stream by their ids.
pub(super) type Entries = Vec<(String, Vec<Bytes>)>;

/// An entry of the stream.
pub(super) fn entry(fields: Vec<Bytes>) -> Result<Entry, Malformed> {
    let [_, argument, _, reply] = fields.try_into().or(Err(Malformed))?;
    Entry::parse(argument, reply)
}

/// Reads everything; the course goes on from there.
pub(super) async fn read(caller: &Caller, keys: &Keys, pane: &Pane) -> Result<Course, Unreadable> {
    let replica = &pane.replica;
    replica.clear()?;
    let mut reading = Reading {
        caller,
        keys,
        replica,
        course: Course {
            partition: pane.partition,
            epoch: 0,
            sequence: 0,
            tip: String::new(),
            progress: Progress::new(),
            records_max: pane.retention.records_max,
        },
        is_begun: false,
    };
    reading.all(keys.records(), Reading::record).await?;
    reading.all(keys.stock(), Reading::stock).await?;
    reading.course.progress.all_was_read();
    reading.awaited().await?;
    Ok(reading.course)
}

struct Reading<'a> {
    caller: &'a Caller,
    keys: &'a Keys,
    replica: &'a Replica,
    course: Course,
    is_begun: bool,
}

impl Reading<'_> {
    /// Every field of a hash, page by page.
    async fn all(
        &mut self,
        key: &str,
        put: fn(&mut Self, &[u8], &[u8]) -> Result<(), Unreadable>,
    ) -> Result<(), Unreadable> {
        let mut cursor = "0".to_owned();
        loop {
            let mut scan = redis::cmd("HSCAN");
            scan.arg(key).arg(&cursor).arg("COUNT").arg(PAGE);
            let (next, page): Page = self.ask(scan).await?;
            for (field, value) in page {
                put(self, &field, &value)?;
            }
            if next == "0" {
                return Ok(());
            }
            cursor = next;
        }
    }

    /// The stocks that were named by something, but not on any page.
    async fn awaited(&mut self) -> Result<(), Unreadable> {
        loop {
            let progress = &mut self.course.progress;
            let skus = self.replica.awaited(PAGE, progress)?;
            if skus.is_empty() {
                return Ok(());
            }
            let mut read = redis::cmd("HMGET");
            read.arg(self.keys.stock()).arg(&skus);
            let stocks: Vec<Option<Bytes>> = self.ask(read).await?;
            for (sku, stock) in skus.iter().zip(stocks) {
                self.stock(sku.as_bytes(), &stock.ok_or(Malformed)?)?;
            }
        }
    }

    /// Asks, and puts in what happened until then.
    async fn ask<T: FromRedisValue>(&mut self, question: Cmd) -> Result<T, Unreadable> {
        let mut step = redis::pipe();
        step.atomic();
        step.cmd("HMGET").arg(self.keys.meta());
        step.arg(&["epoch", "seq", "tip"]);
        step.add_command(question);
        let (stands, answer): Answered<T> = self.caller.ask_in_one(&step).await?;
        let (Some(epoch), Some(sequence), Some(tip)) = stands else {
            return Err(Unreadable::Missing);
        };
        if !self.is_begun {
            self.is_begun = true;
            (self.course.epoch, self.course.sequence) = (epoch, sequence);
            self.course.tip.clone_from(&tip);
        }
        self.catch_up(sequence).await?;
        if (self.course.epoch, &self.course.tip) == (epoch, &tip) {
            Ok(answer)
        } else {
            Err(Astray::OtherHistory(sequence).into())
        }
    }

    /// Puts in what happened up to this sequence, which is the end of a batch.
    async fn catch_up(&mut self, to: u64) -> Result<(), Unreadable> {
        while self.course.sequence < to {
            let mut question = redis::cmd("XRANGE");
            question.arg(self.keys.events());
            question.arg(self.course.sequence + 1).arg(to);
            question.arg("COUNT").arg(ENTRIES);
            let entries: Entries = self.caller.ask(&question).await?;
            if entries.is_empty() {
                return Err(Astray::Gap(self.course.sequence).into());
            }
            for (_, fields) in entries {
                let entry = entry(fields)?;
                let batch = (entry.argument().as_ref(), entry.reply());
                self.course.advance(self.replica, batch, None)?;
            }
        }
        Ok(())
    }

    fn record(&mut self, id: &[u8], bytes: &[u8]) -> Result<(), Unreadable> {
        let id = u128::from_be_bytes(id.try_into().or(Err(Malformed))?);
        let record = Record::parse(bytes)?;
        let key = CommandKey {
            id,
            fingerprint: record.fingerprint,
        };
        let position = Position {
            shard: self.course.partition,
            epoch: self.course.epoch,
            sequence: record.sequence,
        };
        match record.kept {
            Kept::Reservation(booking) => {
                let mut now = booking.now(id);
                let mut number = 0..;
                now.lines
                    .retain(|_| number.next().is_some_and(|line| booking.is_here(line)));
                let read = ReadReservation {
                    key,
                    position,
                    touched: booking.touched,
                    ttl: booking.ttl(),
                    now,
                };
                let progress = &mut self.course.progress;
                self.replica.put_reservation(&read, progress)?;
            }
            Kept::Answer { at, refused, .. } => {
                self.replica.put_answer(key, position, at, refused)?;
            }
        }
        Ok(())
    }

    fn stock(&mut self, sku: &[u8], bytes: &[u8]) -> Result<(), Unreadable> {
        let sku = str::from_utf8(sku).or(Err(Malformed))?;
        let stock = record::stock(bytes)?;
        let progress = &mut self.course.progress;
        self.replica.put_stock(sku, stock, progress)?;
        Ok(())
    }
}
