//! What happened, from an entry of the stream: the batch as it was sent, and its reply.

use std::ops::Range;

use bytes::Bytes;

use super::Malformed;
use super::batch::Argument;
use super::command;
use super::inbound;
use super::pack::Reader;
use super::record::Made;
use super::reply::{BatchReply, Header, put_grants, reserved_as_packed};
use super::result::{Asked, List, Outcome, Shown, body};
use crate::domain::command::CommandKey;
use crate::domain::{ChannelIx, NodeIx, Ttl, UnixMillis};
use crate::ledger::event::{Body, Event, Reserved};
use crate::limits::STORE_BATCH_COMMANDS_MAX;

/// An entry of the stream of events.
#[derive(Debug, Clone)]
pub struct Entry {
    argument: Bytes,
    reply: BatchReply,
}

/// What a command of a batch says that its event needs.
enum Said<'a> {
    Reserve(Asking<'a>),
    Other(Asked<'a>),
    Name {
        letter: &'a str,
        name: &'a str,
    },
    Place(Placing<'a>),
    /// A version of the policy.
    Policy(Body<'a>),
    Nothing,
}

/// The lines here of a reservation over several partitions.
struct Placing<'a> {
    id: u128,
    /// What the record keeps.
    made: &'a [u8],
    /// What home has set; `None`: this is home.
    deadline: Option<UnixMillis>,
    /// Of each line whether it lies elsewhere.
    elsewhere: Vec<bool>,
}

/// A reserve command.
struct Asking<'a> {
    id: u128,
    made: Made<'a>,
    /// Of a channel that has no other.
    name: &'a str,
}

impl Entry {
    /// From the fields `a` and `r`.
    pub fn parse(argument: Bytes, reply: Bytes) -> Result<Self, Malformed> {
        Ok(Self {
            argument,
            reply: BatchReply::read(reply, STORE_BATCH_COMMANDS_MAX)?,
        })
    }

    /// A batch that was sent, and its reply.
    pub fn of(argument: &[u8], reply: &BatchReply) -> Self {
        Self {
            argument: Bytes::copy_from_slice(argument),
            reply: reply.clone(),
        }
    }

    /// The batch as it was sent.
    pub const fn argument(&self) -> &Bytes {
        &self.argument
    }

    /// Its reply.
    pub const fn reply(&self) -> &BatchReply {
        &self.reply
    }

    /// Where the partition stood after it.
    pub const fn header(&self) -> &Header {
        self.reply.header()
    }

    /// Its events, in order.
    pub fn events(&self) -> Result<Vec<Event<'_>>, Malformed> {
        events(&self.argument, &self.reply)
    }
}

/// The events of a batch, in order: what expired first, then what the commands did.
pub fn events<'a>(argument: &'a [u8], reply: &'a BatchReply) -> Result<Vec<Event<'a>>, Malformed> {
    let mut said = Commands::new(Argument::parse(argument)?);
    let header = reply.header();
    let event = |sequence, body| Event {
        position: reply.position(sequence),
        at: header.now,
        body,
    };
    let told = reply.told()?;
    // In ascending order, as they were told.
    let is_free = |sequence: &u64| told.binary_search_by_key(sequence, |(at, _)| *at).is_err();
    let expired = reply.expired()?.into_iter();
    let mut events: Vec<Event<'_>> = { (header.before + 1..).filter(is_free) }
        .zip(expired)
        .map(|(sequence, body)| event(sequence, body))
        .collect();
    for at in 0..reply.len() {
        let (outcome, before) = reply.outcome(at)?;
        let bodies = happened(said.next()?, outcome, header.now)?
            .into_iter()
            .flatten();
        events.extend((before + 1..).zip(bodies).map(|(at, body)| event(at, body)));
    }
    if !told.is_empty() {
        events.extend(told.into_iter().map(|(at, body)| event(at, body)));
        events.sort_by_key(|event| event.position.sequence);
    }
    Ok(events)
}

/// The chain after a batch with this argument.
pub fn chained(tip: &str, argument: &[u8]) -> String {
    let digest = |bytes: &[u8]| sha1_smol::Sha1::from(bytes).digest().to_string();
    digest(format!("{tip}{}", digest(argument)).as_bytes())
}

/// At most a name for a channel, and what the command did.
type Bodies<'a> = [Option<Body<'a>>; 2];

fn reserved<'a>(
    asking: Asking<'a>,
    index: Option<ChannelIx>,
    grants: Option<List<'_>>,
) -> Result<Body<'a>, Malformed> {
    let mut reserved = reserved_as_packed(asking.id, asking.made, grants)?;
    reserved.channel = index.unwrap_or(reserved.channel);
    Ok(Body::Reserved(reserved))
}

fn happened<'a>(
    said: Said<'a>,
    outcome: Outcome<'a>,
    at: UnixMillis,
) -> Result<Bodies<'a>, Malformed> {
    let mut named = None;
    let body = match (said, outcome) {
        (Said::Reserve(asking), Outcome::Granted) => reserved(asking, None, None)?,
        (Said::Reserve(asking), Outcome::Part(list)) => reserved(asking, None, Some(list))?,
        (Said::Reserve(asking), Outcome::Indexed(channel, is_new, list)) => {
            let name = asking.name;
            named = is_new.then_some(Body::ChannelNamed { channel, name });
            reserved(asking, Some(channel), list)?
        }
        (Said::Reserve(asking), Outcome::Recorded(packed)) => {
            let (id, fingerprint) = (asking.id, asking.made.fingerprint);
            let asked = Asked::by(CommandKey { id, fingerprint });
            body(asked, packed, Shown::Here)?
        }
        (Said::Other(asked), Outcome::Recorded(packed)) => body(asked, packed, Shown::Here)?,
        (Said::Policy(put), Outcome::Named(_)) => put,
        (Said::Place(placing), Outcome::Part(grants)) => {
            Body::Reserved(placed(&placing, grants, at)?)
        }
        (Said::Name { letter, name }, Outcome::Named(index)) => {
            if letter == command::NODE_LETTER {
                Body::NodeNamed {
                    node: NodeIx(index),
                    name,
                }
            } else {
                Body::ChannelNamed {
                    channel: ChannelIx(index),
                    name,
                }
            }
        }
        (_, outcome) if outcome.events() > 0 => return Err(Malformed),
        _ => return Ok([None, None]),
    };
    Ok([named, Some(body)])
}

/// The event of the lines that were placed here at this moment.
fn placed<'a>(
    placing: &Placing<'a>,
    grants: List<'_>,
    at: UnixMillis,
) -> Result<Reserved<'a>, Malformed> {
    let made = Made::take(&mut Reader(placing.made))?;
    let mut reserved = reserved_as_packed(placing.id, made, None)?;
    // A part ends with its home, which began a little earlier.
    let left = placing.deadline.map(|deadline| deadline.0 - at.0);
    let left = left.and_then(|left| Ttl::from_millis(left.try_into().ok()?));
    reserved.ttl_ms = left.map_or(reserved.ttl_ms, Ttl::as_millis);
    let mut line = 0..;
    reserved.lines.retain(|_| {
        let number = line.next().unwrap_or_default();
        placing.elsewhere.get(number) != Some(&true)
    });
    put_grants(&mut reserved.lines, &grants.grants()?);
    Ok(reserved)
}

fn key(argument: &Argument<'_>, r: &mut Reader<'_>) -> Result<CommandKey, Malformed> {
    let id = argument.id(r.narrow()?)?;
    let print = r.bytes()?.try_into().or(Err(Malformed))?;
    Ok(CommandKey {
        id,
        fingerprint: u64::from_le_bytes(print),
    })
}

/// The key of what happens to an id under no key of its own.
fn own_key(argument: &Argument<'_>, r: &mut Reader<'_>) -> Result<CommandKey, Malformed> {
    Ok(CommandKey {
        id: argument.id(r.narrow()?)?,
        fingerprint: 0,
    })
}

/// The commands of an argument, one by one.
struct Commands<'a> {
    argument: Argument<'a>,
    /// Reservations that are left of a run, and the place of the id of the next.
    run: Range<usize>,
}

impl<'a> Commands<'a> {
    const fn new(argument: Argument<'a>) -> Self {
        Self {
            argument,
            run: 0..0,
        }
    }

    fn next(&mut self) -> Result<Said<'a>, Malformed> {
        if self.run.is_empty() {
            let mut ahead = self.argument.commands;
            if ahead.narrow() != Ok(command::RESERVE_ONE) {
                return other(&mut self.argument);
            }
            let (count, first): (usize, usize) = (ahead.narrow()?, ahead.narrow()?);
            ahead.skip_many(2)?;
            self.argument.commands = ahead;
            self.run = first..first.checked_add(count).ok_or(Malformed)?;
        }
        let place = self.run.next().ok_or(Malformed)?;
        let id = self.argument.id(place)?;
        let r = &mut self.argument.commands;
        let (packed, sku) = (r.bytes()?, r.narrow()?);
        r.skip()?;
        let made = Made::of_one(packed, self.argument.sku(sku)?)?;
        let name = "";
        Ok(Said::Reserve(Asking { id, made, name }))
    }
}

/// Takes the next command, which is not in a run.
fn other<'a>(argument: &mut Argument<'a>) -> Result<Said<'a>, Malformed> {
    let mut reader = argument.commands;
    let r = &mut reader;
    let kind: u64 = r.narrow()?;
    let said = match kind {
        command::RESERVE => {
            let id = argument.id(r.narrow()?)?;
            let flags: u64 = r.narrow()?;
            let made = Made::take(&mut Reader(r.bytes()?))?;
            r.skip_many(2)?;
            let name = r.text()?;
            skip_lines(r, 3)?;
            skip_bys(r, flags, made.lines.len())?;
            Said::Reserve(Asking { id, made, name })
        }
        command::CONFIRM..=command::TRANSFER => {
            let key = key(argument, r)?;
            r.skip_many(3)?;
            skip_lines(r, 3)?;
            Said::Other(Asked::by(key))
        }
        command::STOCK_SET..=command::STOCK_TRANSFER | command::MOVE_SHARES => {
            let asked = Asked {
                key: key(argument, r)?,
                reason: r.text()?,
                operator: r.maybe_text()?,
            };
            let is_narrow = matches!(kind, command::STOCK_TRANSFER | command::MOVE_SHARES);
            skip_lines(r, if is_narrow { 4 } else { 5 })?;
            Said::Other(asked)
        }
        command::PUT_SETTINGS => {
            let key = key(argument, r)?;
            r.skip_many(8)?;
            Said::Other(Asked::by(key))
        }
        command::NAME => {
            let (letter, name) = (r.text()?, r.text()?);
            r.skip()?;
            Said::Name { letter, name }
        }
        inbound::PUT_INBOUND | inbound::RECEIVE_INBOUND => {
            let key = key(argument, r)?;
            skip_lines(r, inbound::item_values(kind))?;
            Said::Other(Asked::by(key))
        }
        command::PUT_POLICY => policy_put(r)?,
        command::PLACE.. => step(kind, argument, r)?,
        _ => {
            r.skip_many(read_values(kind)?)?;
            Said::Nothing
        }
    };
    argument.commands = reader;
    Ok(said)
}

/// Takes the rest of a command that puts a policy.
fn policy_put<'a>(r: &mut Reader<'a>) -> Result<Said<'a>, Malformed> {
    r.skip()?;
    let version = r.narrow()?;
    r.skip_many(3)?;
    Ok(Said::Policy(Body::PolicyPut {
        version,
        operator: r.text()?,
        reason: r.text()?,
        over: r.text()?,
        text: r.text()?,
    }))
}

/// Takes a step of a command over several partitions.
fn step<'a>(kind: u64, argument: &Argument<'a>, r: &mut Reader<'a>) -> Result<Said<'a>, Malformed> {
    if kind == command::PLACE {
        return placing(argument, r).map(Said::Place);
    }
    // Single values, and the widths of the lists that follow.
    let (key, values, widths): (_, _, &[usize]) = match kind {
        command::REFUSE => (Some(key(argument, r)?), 2, &[]),
        command::UNDO => (Some(key(argument, r)?), 1, &[]),
        command::ACT_WHOLE => (Some(key(argument, r)?), 5, &[5, 3]),
        command::FOLLOW => (Some(key(argument, r)?), 6, &[7]),
        // It says no fingerprint: its event is one of what became of its id.
        command::ENTIRE => (Some(own_key(argument, r)?), 1, &[2]),
        command::QUOTE => (None, 1, &[3]),
        command::QUOTE_LATER => return quoted_later(r),
        command::TIE => (None, 5, &[2]),
        command::BUMP => (None, 2, &[]),
        command::READ_TIES => (None, 1, &[]),
        _ => return Err(Malformed),
    };
    r.skip_many(values)?;
    for width in widths {
        skip_lines(r, *width)?;
    }
    Ok(key.map_or(Said::Nothing, |key| Said::Other(Asked::by(key))))
}

fn quoted_later<'a>(r: &mut Reader<'a>) -> Result<Said<'a>, Malformed> {
    r.skip()?;
    let lines = skip_lines(r, 3)?;
    r.skip_many(lines)?;
    Ok(Said::Nothing)
}

/// Takes the rest of a command that places lines.
fn placing<'a>(argument: &Argument<'a>, r: &mut Reader<'a>) -> Result<Placing<'a>, Malformed> {
    let id = argument.id(r.narrow()?)?;
    let flags: u64 = r.narrow()?;
    let made = r.bytes()?;
    r.skip()?;
    let deadline = Some(UnixMillis(r.int()?)).filter(|deadline| deadline.0 > 0);
    let here = skip_lines(r, 3)?;
    let count: usize = r.narrow()?;
    let elsewhere = (0..count).map(|_| Ok(r.int()? == 1));
    let elsewhere = elsewhere.collect::<Result<_, Malformed>>()?;
    skip_bys(r, flags, here)?;
    Ok(Placing {
        id,
        made,
        deadline,
        elsewhere,
    })
}

/// Passes over a count and as many lines of that width; gives the count.
fn skip_lines(r: &mut Reader<'_>, width: usize) -> Result<usize, Malformed> {
    let count: usize = r.narrow()?;
    r.skip_many(count.checked_mul(width).ok_or(Malformed)?)?;
    Ok(count)
}

/// Passes over the last days of so many lines, if the flags say that they follow.
fn skip_bys(r: &mut Reader<'_>, flags: u64, lines: usize) -> Result<(), Malformed> {
    if flags < command::LATER {
        return Ok(());
    }
    r.skip_many(lines)
}

/// Values after the kind of commands that never are events.
const fn read_values(kind: u64) -> Result<usize, Malformed> {
    match kind {
        command::READ_STOCK | command::READ_RECORD | command::READ_REFERENCE => Ok(1),
        command::READ_NAMES | command::EXPIRE => Ok(0),
        command::FORGET => Ok(3),
        _ => Err(Malformed),
    }
}
