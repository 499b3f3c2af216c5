//! The reply of a batch: where the partition stands, what expired, and a result for each command.

use bytes::Bytes;

use super::Malformed;
use super::command::{CHANNEL_LETTER, NODE_LETTER, Table};
use super::pack::{Reader, id};
use super::record::{self, Booking, Kept, Made, Record};
use super::result::{Asked, List, Outcome, Shown, body};
use super::told;
use crate::domain::command::{Command, CommandKey, Keyed};
use crate::domain::decide::Grant;
use crate::domain::{ChannelIx, Refusal, Reservation, ReservationId, Stock, UnixMillis, Verdict};
use crate::ledger::answer::verdict_of;
use crate::ledger::event::{Body, Reserved, ReservedLine};
use crate::ledger::{Answer, Position};

/// A reply that fits its batch. The results are read one by one, by those who wait for them.
#[derive(Debug, Clone)]
pub struct BatchReply {
    bytes: Bytes,
    header: Header,
    /// Where each result begins, and the sequence of the last event before it. Grants in a row begin
    /// at the same place.
    results: Vec<(usize, u64)>,
    /// Where the list of what expired begins.
    expired: usize,
    /// Where the list of what is told of SKUs begins.
    told: usize,
    /// Whose order its positions are in.
    partition: u16,
}

/// Where the partition stands after a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// Counts the times a suffix may have been lost.
    pub epoch: u32,
    /// The moment everything was decided at.
    pub now: UnixMillis,
    /// Sequence of the last event before the batch.
    pub before: u64,
    /// Sequence of the last event now.
    pub last: u64,
    /// The chain over all batches with events.
    pub tip: String,
    /// More is past its deadline than one call gives back; the next one goes on.
    pub backlog: bool,
    /// The version of the policy that it decides by; 0: none.
    pub policy: u64,
}

/// What a command got.
#[expect(
    clippy::large_enum_variant,
    reason = "nearly every one is an answer, and none is kept"
)]
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Item {
    /// An answer.
    Answer(Answer),
    /// It waits for units that are past their deadline: to be sent again in the next batch.
    Deferred,
    /// There is no index left for its channel; nothing happened.
    Full,
    /// It is about a reservation over several partitions, whose record this is; nothing happened.
    Several,
}

/// Names, as field and index.
pub type NamedIndexes = Vec<(Table, String, u16)>;

impl BatchReply {
    /// Checks the reply to a batch of that many commands with this id.
    pub fn parse(bytes: Bytes, batch_id: &[u8; 16], commands: usize) -> Result<Self, Malformed> {
        let reply = Self::read(bytes, commands)?;
        let mut reader = Reader(&reply.bytes);
        reader.skip_many(1)?;
        let mine = Reader(&reply.bytes);
        let echoed = after_head(mine)?.bytes()? == batch_id;
        Some(reply)
            .filter(|reply| echoed && reply.results.len() == commands)
            .ok_or(Malformed)
    }

    /// A reply as the stream of events keeps it, to so many commands at most: a few bytes may stand
    /// for many grants.
    pub(super) fn read(bytes: Bytes, commands_max: usize) -> Result<Self, Malformed> {
        let whole = bytes.len();
        let mut reader = after_head(Reader(&bytes))?;
        reader.skip()?;
        let epoch = reader.narrow()?;
        let now = UnixMillis(reader.int()?);
        let before: u64 = reader.narrow()?;
        let tip = reader.text()?.to_owned();
        let backlog = reader.int()? == 1;
        let policy = reader.narrow()?;
        let expired = whole - reader.0.len();
        let lines = reader.array()?;
        reader.skip_many(lines)?;
        let told = whole - reader.0.len();
        let taken = told::all(&mut reader)?.into_iter().map(|(at, _)| at);
        let mut taken = taken.collect::<Vec<u64>>().into_iter().peekable();
        // What is told of SKUs stands among the others: what the policy says of one before the command
        // that looks at it, anything else right after its cause.
        let mut past = |mut last: u64| {
            while taken.next_if(|at| *at == last + 1).is_some() {
                last += 1;
            }
            last
        };
        let mut last = past(before);
        for _ in 0..lines / EXPIRED_VALUES {
            last = past(last + 1);
        }
        let mut results = Vec::new();
        for _ in 0..reader.array()? {
            let start = whole - reader.0.len();
            let events = Outcome::read(reader)?.events();
            let alike = usize::from(alike(&mut reader)?);
            if results.len() + alike > commands_max {
                return Err(Malformed);
            }
            for _ in 0..alike {
                results.push((start, last));
                last = past(last + events);
            }
        }
        if taken.next().is_some() {
            return Err(Malformed);
        }
        let header = Header {
            epoch,
            now,
            before,
            last,
            tip,
            backlog,
            policy,
        };
        Ok(Self {
            bytes,
            header,
            results,
            expired,
            told,
            partition: 0,
        })
    }

    /// The same, as the reply of this partition.
    #[must_use]
    pub fn of(self, partition: u16) -> Self {
        Self { partition, ..self }
    }

    /// Where the partition stands.
    pub const fn header(&self) -> &Header {
        &self.header
    }

    /// Whether the command at this place is to be sent again in the next batch.
    pub fn is_deferred(&self, at: usize) -> bool {
        matches!(self.outcome(at), Ok((Outcome::Deferred, _)))
    }

    /// Lines that expired before the first command.
    pub fn expirations(&self) -> u64 {
        self.expired()
            .map_or(0, |lines| u64::try_from(lines.len()).unwrap_or(u64::MAX))
    }

    /// How SKUs stand otherwise than before, with the sequences of these events.
    pub fn told(&self) -> Result<Vec<(u64, Body<'_>)>, Malformed> {
        told::all(&mut Reader(self.bytes.get(self.told..).ok_or(Malformed)?))
    }

    /// Number of results.
    pub const fn len(&self) -> usize {
        self.results.len()
    }

    /// Whether there is no result.
    pub const fn is_empty(&self) -> bool {
        self.results.is_empty()
    }

    /// The place in the order of changes with this sequence.
    pub(in crate::ledger::remote) const fn position(&self, sequence: u64) -> Position {
        Position {
            shard: self.partition,
            epoch: self.header.epoch,
            sequence,
        }
    }

    /// The result at a place, and the sequence of the last event before it.
    pub(super) fn outcome(&self, at: usize) -> Result<(Outcome<'_>, u64), Malformed> {
        let (start, before) = *self.results.get(at).ok_or(Malformed)?;
        let bytes = self.bytes.get(start..).ok_or(Malformed)?;
        Ok((Outcome::read(Reader(bytes))?, before))
    }

    /// What expired before the first command.
    pub(super) fn expired(&self) -> Result<Vec<Body<'_>>, Malformed> {
        let mut reader = Reader(self.bytes.get(self.expired..).ok_or(Malformed)?);
        let lines = reader.array()? / EXPIRED_VALUES;
        let line = |_| {
            Ok(Body::Expired {
                id: ReservationId(reader.id()?),
                line: reader.narrow()?,
                sku: reader.text()?,
                units: super::refusal::units(&mut reader)?,
            })
        };
        (0..lines).map(line).collect()
    }

    /// Sequence of the event that stands for the answer at this place; `None` where none is kept.
    pub fn recorded(&self, at: usize) -> Option<u64> {
        let (outcome, before) = self.outcome(at).ok()?;
        match outcome {
            Outcome::Record(bytes) => Some(Record::parse(bytes).ok()?.sequence),
            Outcome::Granted | Outcome::Part(_) | Outcome::Indexed(..) | Outcome::Recorded(_) => {
                Some(before + outcome.events())
            }
            Outcome::Deferred
            | Outcome::Full
            | Outcome::Unrecorded(_)
            | Outcome::Named(_)
            | Outcome::Value(_) => None,
        }
    }

    /// What the command at this place got.
    pub fn answer(&self, at: usize, keyed: &Keyed<'_>) -> Result<Item, Malformed> {
        let (outcome, before) = self.outcome(at)?;
        let position = self.position(before + outcome.events());
        let now = self.header.now;
        let verdict = match outcome {
            Outcome::Deferred => return Ok(Item::Deferred),
            Outcome::Full => return Ok(Item::Full),
            Outcome::Unrecorded(list) => return Ok(Item::Answer(unrecorded(list.refusal()?))),
            Outcome::Record(bytes) => {
                if is_several(bytes) {
                    return Ok(Item::Several);
                }
                let answer = self.kept_answer(keyed.key.id, bytes)?;
                return answer.map(Item::Answer).ok_or(Malformed);
            }
            Outcome::Granted => verdict_of(now, reserved(keyed, None, None)?),
            Outcome::Part(list) => verdict_of(now, reserved(keyed, None, Some(list))?),
            Outcome::Indexed(index, _, list) => {
                verdict_of(now, reserved(keyed, Some(index), list)?)
            }
            Outcome::Recorded(packed) => {
                verdict_of(now, body(Asked::by(keyed.key), packed, Shown::All)?)
            }
            Outcome::Named(_) | Outcome::Value(_) => return Err(Malformed),
        };
        let verdict = verdict.ok_or(Malformed)?;
        Ok(Item::Answer(told(verdict, false, position)))
    }

    /// What the id at this place was answered; `None`: nothing is known of it.
    pub fn settled(&self, at: usize, id: u128) -> Result<Option<Answer>, Malformed> {
        self.kept_answer(id, self.record(at)?)
    }

    /// The fingerprint of the command whose record was read.
    pub fn fingerprint(&self, at: usize) -> Result<u64, Malformed> {
        Ok(Record::parse(self.record(at)?)?.fingerprint)
    }

    /// The answer that a record stands for; `None` where nobody was answered.
    pub(in crate::ledger::remote) fn kept_answer(
        &self,
        id: u128,
        bytes: &[u8],
    ) -> Result<Option<Answer>, Malformed> {
        if bytes.is_empty() {
            return Ok(None);
        }
        let record = Record::parse(bytes)?;
        let verdict = match record.kept {
            Kept::Reservation(booking) if !booking.is_whole() => return Ok(None),
            Kept::Reservation(booking) => {
                Ok(crate::domain::Outcome::Reservation(booking.as_made(id)))
            }
            Kept::Answer { at, result, .. } => {
                let Outcome::Recorded(packed) = Outcome::read(Reader(result))? else {
                    return Err(Malformed);
                };
                let key = CommandKey {
                    id,
                    fingerprint: record.fingerprint,
                };
                verdict_of(at, body(Asked::by(key), packed, Shown::All)?).ok_or(Malformed)?
            }
        };
        Ok(Some(told(verdict, true, self.position(record.sequence))))
    }

    /// The reservation that was read; `None`: unknown or forgotten.
    pub fn reservation(&self, at: usize, id: u128) -> Result<Option<Reservation>, Malformed> {
        view(id, self.record(at)?)
    }

    /// The reservation that was read by its reference.
    pub fn by_reference(&self, at: usize) -> Result<Option<Reservation>, Malformed> {
        let bytes = self.value(at)?.bytes()?;
        let Some((first, record)) = bytes.split_at_checked(16) else {
            return Ok(None);
        };
        view(id(first)?, record)
    }

    /// The stock that was read; `None`: unknown.
    pub fn stock(&self, at: usize) -> Result<Option<Stock>, Malformed> {
        let bytes = self.value(at)?.bytes()?;
        let known = Some(bytes).filter(|bytes| !bytes.is_empty());
        known.map(record::stock).transpose()
    }

    /// All names.
    pub fn names(&self, at: usize) -> Result<NamedIndexes, Malformed> {
        let mut reader = self.value(at)?;
        let mut names = Vec::new();
        for _ in 0..reader.array()? / 2 {
            let (field, index) = (reader.text()?, reader.text()?);
            let index = index.parse().or(Err(Malformed))?;
            let table = match field.split_once(':') {
                Some((NODE_LETTER, name)) => (Table::Nodes, name),
                Some((CHANNEL_LETTER, name)) => (Table::Channels, name),
                // The number of names of a table.
                None => continue,
                Some(_) => return Err(Malformed),
            };
            names.push((table.0, table.1.to_owned(), index));
        }
        Ok(names)
    }

    /// The index that a name has now; `None`: no room for more.
    pub fn named(&self, at: usize) -> Result<Option<u16>, Malformed> {
        if let Outcome::Named(index) = self.outcome(at)?.0 {
            return Ok(Some(index));
        }
        Ok(u16::try_from(self.value(at)?.int()?).ok())
    }

    /// Whether the record was forgotten.
    pub fn forgotten(&self, at: usize) -> Result<bool, Malformed> {
        Ok(self.value(at)?.int()? == 1)
    }

    pub(super) fn value(&self, at: usize) -> Result<Reader<'_>, Malformed> {
        let Outcome::Value(reader) = self.outcome(at)?.0 else {
            return Err(Malformed);
        };
        Ok(reader)
    }

    /// What the id at this place stands for; empty for nothing.
    pub fn record(&self, at: usize) -> Result<&[u8], Malformed> {
        let Outcome::Record(bytes) = self.outcome(at)?.0 else {
            return Err(Malformed);
        };
        Ok(bytes)
    }
}

/// Whether a record is that of a reservation over several partitions.
fn is_several(bytes: &[u8]) -> bool {
    let kept = Record::parse(bytes).map(|record| record.kept);
    matches!(kept, Ok(Kept::Reservation(Booking { ties: Some(_), .. })))
}

/// Values of a line that expired.
const EXPIRED_VALUES: usize = 4;

/// Values of a reply.
const REPLY_VALUES: usize = 10;

fn after_head(mut reader: Reader<'_>) -> Result<Reader<'_>, Malformed> {
    if reader.array()? == REPLY_VALUES {
        Ok(reader)
    } else {
        Err(Malformed)
    }
}

/// Passes over a result, and says for how many commands it stands.
fn alike(reader: &mut Reader<'_>) -> Result<u16, Malformed> {
    let grants = Reader(reader.0).int().ok().filter(|number| *number < 0);
    reader.skip()?;
    grants.map_or(Ok(1), |grants| {
        u16::try_from(grants.unsigned_abs()).or(Err(Malformed))
    })
}

fn view(id: u128, bytes: &[u8]) -> Result<Option<Reservation>, Malformed> {
    if bytes.is_empty() {
        return Ok(None);
    }
    Ok(match Record::parse(bytes)?.kept {
        Kept::Reservation(booking) => Some(booking.now(id)).filter(|_| booking.is_whole()),
        Kept::Answer { .. } => None,
    })
}

pub(in crate::ledger::remote) const fn told(
    verdict: Verdict,
    replayed: bool,
    position: Position,
) -> Answer {
    Answer {
        verdict,
        replayed,
        position,
        told_after: position,
        mirror_age: None,
    }
}

pub(in crate::ledger::remote) fn unrecorded(refusal: Refusal) -> Answer {
    told(Err(refusal), false, Position::default())
}

/// The event of a reserve command. `index` is the channel's where the command does not have it,
/// `grants` what each line got; none: all that was asked for.
fn reserved<'a>(
    keyed: &Keyed<'a>,
    index: Option<ChannelIx>,
    grants: Option<List<'_>>,
) -> Result<Body<'a>, Malformed> {
    let Command::Reserve(reserve) = &keyed.command else {
        return Err(Malformed);
    };
    let grants = grants.map(List::grants).transpose()?;
    let grant = |line| grants.as_ref().and_then(|grants| grants.get(line).copied());
    let lines = reserve.lines.as_slice().iter().enumerate();
    Ok(Body::Reserved(Reserved {
        id: ReservationId(keyed.key.id),
        fingerprint: keyed.key.fingerprint,
        channel: reserve.channel.index.or(index).ok_or(Malformed)?,
        reference: reserve.reference,
        ttl_ms: reserve.ttl.get().as_millis(),
        lines: lines
            .map(|(at, line)| ReservedLine {
                sku: line.sku.as_str(),
                pin: line.node,
                day: grant(at).and_then(|grant| grant.day),
                charged_to: grant(at).and_then(|grant| grant.charged_to),
                requested: line.quantity,
                held: grant(at).map_or(line.quantity, |grant| grant.units),
            })
            .collect(),
    }))
}

/// The same, from what was packed for the record.
pub(super) fn reserved_as_packed<'a>(
    id: u128,
    mut made: Made<'a>,
    grants: Option<List<'_>>,
) -> Result<Reserved<'a>, Malformed> {
    let grants = grants.map(List::grants).transpose()?;
    put_grants(&mut made.lines, &grants.unwrap_or_default());
    Ok(made.reserved(id))
}

/// Tells lines what they got.
pub(super) fn put_grants(lines: &mut [ReservedLine<'_>], grants: &[Grant]) {
    for (line, grant) in lines.iter_mut().zip(grants) {
        (line.held, line.day, line.charged_to) = (grant.units, grant.day, grant.charged_to);
    }
}
