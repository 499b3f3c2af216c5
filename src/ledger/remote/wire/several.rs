//! Commands about reservations over several partitions, and what they are answered. What they do
//! stands in `lua/place.lua` and `lua/several.lua`.

use super::Malformed;
use super::command::{
    ACT_WHOLE, BUMP, ENTIRE, FOLLOW, PLACE, QUOTE, QUOTE_LATER, READ_TIES, REFUSE, TIE, UNDO,
    is_later, made, pin, put_bys, put_flags, put_key, put_lines, verb,
};
use super::grant;
use super::pack::{EXT_ID, EXT_TARGET, Writer};
use super::record::{Booking, Kept, Record};
use super::refusal;
use super::reply::BatchReply;
use super::result::Outcome;
use crate::domain::command::{Act, CommandKey, LineRequest, Reserve};
use crate::domain::decide::{Grant, Grants};
use crate::domain::{ChannelIx, Line, Refusal, Units, UnixMillis};
use crate::ledger::Position;

/// The lines of one partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Share<'a> {
    /// The partition.
    pub partition: u16,
    /// Its lines, and the number of each among all.
    pub lines: Vec<(usize, LineRequest<'a>)>,
}

impl<'a> Share<'a> {
    fn requests(&self) -> Vec<LineRequest<'a>> {
        self.lines.iter().map(|(_, line)| *line).collect()
    }
}

/// Places the lines of a share; at home if there is no deadline yet.
pub fn encode_place(
    key: CommandKey,
    reserve: &Reserve<'_>,
    share: &Share<'_>,
    deadline: Option<UnixMillis>,
) -> Vec<u8> {
    let mut w = Writer::default();
    let all = reserve.lines.as_slice();
    let here = share.requests();
    w.uint(PLACE);
    w.id(EXT_TARGET, key.id);
    put_flags(&mut w, reserve, &here);
    w.bytes(&match deadline {
        None => made(key, reserve, reserve.reference, all),
        Some(_) => made(key, reserve, None, &here),
    });
    w.uint(u64::from(reserve.ttl.get().as_millis()));
    w.int(deadline.map_or(0, |deadline| deadline.0));
    put_lines(&mut w, &here);
    let count = if deadline.is_some() { 0 } else { all.len() };
    w.count(count);
    for number in 0..count {
        let is_here = share.lines.iter().any(|(here, _)| *here == number);
        w.uint(u64::from(!is_here));
    }
    put_bys(&mut w, &here);
    w.0
}

/// Asks what a share would be refused for.
pub fn encode_quote(channel: ChannelIx, share: &Share<'_>) -> Vec<u8> {
    let mut w = Writer::default();
    let lines = share.requests();
    w.uint(if is_later(&lines) { QUOTE_LATER } else { QUOTE });
    w.uint(u64::from(channel.0));
    put_lines(&mut w, &lines);
    put_bys(&mut w, &lines);
    w.0
}

/// All parts are placed; these lines elsewhere got this.
pub fn encode_entire(id: u128, deadline: UnixMillis, elsewhere: &[(usize, Grant)]) -> Vec<u8> {
    let mut w = Writer::default();
    w.uint(ENTIRE);
    w.id(EXT_TARGET, id);
    w.int(deadline.0);
    w.count(elsewhere.len());
    for (line, got) in elsewhere {
        w.count(line + 1);
        grant::put(&mut w, got);
    }
    w.0
}

/// It is refused.
pub fn encode_refuse(
    key: CommandKey,
    deadline: Option<UnixMillis>,
    refusal: &Refusal,
) -> Result<Vec<u8>, Malformed> {
    let mut w = Writer::default();
    w.uint(REFUSE);
    w.id(EXT_TARGET, key.id);
    w.bytes(&key.fingerprint.to_le_bytes());
    w.int(deadline.map_or(0, |deadline| deadline.0));
    w.bytes(&refusal::pack(refusal)?);
    Ok(w.0)
}

/// What was placed in this attempt is given back, and forgotten.
pub fn encode_undo(key: CommandKey, deadline: UnixMillis) -> Vec<u8> {
    let mut w = Writer::default();
    w.uint(UNDO);
    w.id(EXT_TARGET, key.id);
    w.bytes(&key.fingerprint.to_le_bytes());
    w.int(deadline.0);
    w.0
}

/// A part shall not end by itself; and could these of its lines, from 0, move so far?
pub fn encode_tie(act: &Act<'_>, version: u64, amounts: &[(usize, Units)]) -> Vec<u8> {
    let (kind, a, b) = verb(act.verb);
    let mut w = Writer::default();
    w.uint(TIE);
    w.id(EXT_TARGET, act.id.0);
    w.uint(version);
    w.uint(kind);
    w.uint(a);
    w.uint(b);
    w.count(amounts.len());
    for (line, units) in amounts {
        w.count(line + 1);
        w.uint(units.get());
    }
    w.0
}

/// An act, to be decided at home if it still has that version. `refused` is what the stock elsewhere
/// does not allow.
pub fn encode_act_whole(
    key: CommandKey,
    act: &Act<'_>,
    version: u64,
    refused: &[Refusal],
) -> Result<Vec<u8>, Malformed> {
    let (kind, a, b) = verb(act.verb);
    let mut w = Writer::default();
    put_key(&mut w, ACT_WHOLE, key);
    w.id(EXT_TARGET, act.id.0);
    w.uint(kind);
    w.uint(a);
    w.uint(b);
    w.uint(version);
    let short = refused.iter().map(refusal::shortages);
    let short = short.collect::<Result<Vec<_>, _>>()?.concat();
    w.count(short.len());
    for one in &short {
        refusal::put_shortage(&mut w, one);
    }
    let lines = act.lines.as_ref();
    put_lines(&mut w, lines.map_or(&[], |lines| lines.as_slice()));
    Ok(w.0)
}

/// Home shall count one decision more, if it still has that version.
pub fn encode_bump(id: u128, version: u64) -> Vec<u8> {
    let mut w = Writer::default();
    w.uint(BUMP);
    w.id(EXT_TARGET, id);
    w.uint(version);
    w.0
}

/// What a part shall follow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decided {
    /// Version of home afterwards.
    pub version: u64,
    /// When held units go back.
    pub deadline: UnixMillis,
    /// States of the part's lines at home.
    pub lines: Vec<Line>,
}

/// A part follows what home decided: by this act, or by one that nobody remembers.
pub fn encode_follow(key: CommandKey, id: u128, act: Option<&Act<'_>>, what: &Decided) -> Vec<u8> {
    let (kind, a, b) = act.map_or((0, 0, 0), |act| verb(act.verb));
    let mut w = Writer::default();
    w.uint(FOLLOW);
    w.id(EXT_ID, key.id);
    w.bytes(&key.fingerprint.to_le_bytes());
    w.id(EXT_TARGET, id);
    w.uint(what.version);
    w.uint(kind);
    w.uint(a);
    w.uint(b);
    w.int(what.deadline.0);
    w.count(what.lines.len());
    for line in &what.lines {
        w.uint(pin(line.pin));
        for units in [
            line.held,
            line.committed,
            line.shipped,
            line.released,
            line.expired,
            line.returned,
        ] {
            w.uint(units.get());
        }
    }
    w.0
}

/// Ids of parts that have waited for their home for longer than this.
pub fn encode_ties(older_ms: u64) -> Vec<u8> {
    let mut w = Writer::default();
    w.uint(READ_TIES);
    w.uint(older_ms);
    w.0
}

/// What a step was answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step<'a> {
    /// The lines of the share got this.
    Placed(Grants),
    /// What the id stands for; empty for nothing.
    Record(&'a [u8]),
    /// It is done, or could be.
    Done,
    /// Not done: it came too late.
    Late,
    /// Not done, for this.
    Refused(Refusal),
}

impl BatchReply {
    /// What the step at this place was answered, and where that stands.
    pub fn step(&self, at: usize) -> Result<(Step<'_>, Position), Malformed> {
        let (outcome, before) = self.outcome(at)?;
        let position = self.position(before + outcome.events());
        let step = match outcome {
            Outcome::Part(grants) => Step::Placed(grants.grants()?),
            Outcome::Record(bytes) => Step::Record(bytes),
            Outcome::Recorded(_) => Step::Done,
            Outcome::Unrecorded(list) => Step::Refused(list.refusal()?),
            Outcome::Value(mut reader) => match reader.int()? {
                0 => Step::Late,
                _ => Step::Done,
            },
            Outcome::Granted
            | Outcome::Deferred
            | Outcome::Full
            | Outcome::Indexed(..)
            | Outcome::Named(_) => return Err(Malformed),
        };
        Ok((step, position))
    }

    /// What home says after [`encode_entire`].
    pub fn entire(&self, at: usize) -> Result<&[u8], Malformed> {
        if let Outcome::Recorded(packed) = self.outcome(at)?.0 {
            return packed.record();
        }
        self.record(at)
    }

    /// The ids that were read by [`encode_ties`].
    pub fn ties(&self, at: usize) -> Result<Vec<u128>, Malformed> {
        let mut reader = self.value(at)?;
        (0..reader.array()?).map(|_| reader.id()).collect()
    }
}

/// The reservation in a record; `None` where there is none.
pub fn booking(bytes: &[u8]) -> Result<Option<Booking<'_>>, Malformed> {
    if bytes.is_empty() {
        return Ok(None);
    }
    Ok(match Record::parse(bytes)?.kept {
        Kept::Reservation(booking) => Some(booking),
        Kept::Answer { .. } => None,
    })
}
