//! Streams.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::database::{Database, Object, Refused, integer, is_word, syntax_error, wrong_type};
use super::reply::Reply;

/// Milliseconds and number of an entry.
type Id = (u64, u64);

/// Entries by their ids.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Stream {
    entries: BTreeMap<Id, Vec<Bytes>>,
    /// The latest id that was ever given: a smaller one is refused although nothing is there.
    last: Id,
}

const FIRST: Id = (0, 0);
const LAST: Id = (u64::MAX, u64::MAX);

/// Reads an id; where it has no number, it gets this one.
fn id(text: &Bytes, number: u64) -> Result<Id, Refused> {
    let parsed = || {
        let text = std::str::from_utf8(text).ok()?;
        Some(match text.split_once('-') {
            Some((millis, number)) => (millis.parse().ok()?, number.parse().ok()?),
            None => (text.parse().ok()?, number),
        })
    };
    let invalid = || Reply::error("ERR Invalid stream ID specified as stream command argument");
    parsed().ok_or_else(invalid)
}

/// An end of a range.
fn end(text: &Bytes, number: u64) -> Result<Id, Refused> {
    match text.as_ref() {
        b"-" => Ok(FIRST),
        b"+" => Ok(LAST),
        _ => id(text, number),
    }
}

fn at<'d>(database: &'d Database, key: &Bytes) -> Result<Option<&'d Stream>, Refused> {
    match database.object(key) {
        None => Ok(None),
        Some(Object::Stream(stream)) => Ok(Some(stream)),
        Some(_) => Err(wrong_type()),
    }
}

fn shown((id, fields): (&Id, &Vec<Bytes>)) -> Reply {
    let fields = fields.iter().map(Reply::bulk);
    Reply::Array(vec![
        Reply::bulk(format!("{}-{}", id.0, id.1)),
        Reply::Array(fields.collect()),
    ])
}

pub(super) fn add(database: &mut Database, args: &[Bytes]) -> Result<Reply, Refused> {
    let id = id(&args[1], 0)?;
    let is_there = at(database, &args[0])?.is_some();
    if id == FIRST {
        return Err(Reply::error(
            "ERR The ID specified in XADD must be greater than 0-0",
        ));
    }
    let fields = args[2..].to_vec();
    if !fields.len().is_multiple_of(2) {
        let what = "ERR wrong number of arguments for 'xadd' command";
        return Err(Reply::error(what));
    }
    let stream = database.object_or(&args[0], || Object::Stream(Stream::default()));
    let Object::Stream(stream) = stream else {
        return Err(wrong_type());
    };
    if is_there && id <= stream.last {
        let what =
            "ERR The ID specified in XADD is equal or smaller than the target stream top item";
        return Err(Reply::error(what));
    }
    stream.entries.insert(id, fields);
    stream.last = id;
    database.changed();
    Ok(Reply::bulk(format!("{}-{}", id.0, id.1)))
}

/// `COUNT n` or nothing.
fn most(options: &[Bytes]) -> Result<usize, Refused> {
    match options {
        [] => Ok(usize::MAX),
        [word, count] if is_word(Some(word), "COUNT") => {
            usize::try_from(integer(count)?).or(Err(syntax_error()))
        }
        _ => Err(syntax_error()),
    }
}

pub(super) fn range(database: &mut Database, args: &[Bytes]) -> Result<Reply, Refused> {
    let (from, to) = (end(&args[1], 0)?, end(&args[2], u64::MAX)?);
    let most = most(&args[3..])?;
    let stream = at(database, &args[0])?.filter(|_| from <= to);
    let found = stream
        .into_iter()
        .flat_map(|stream| stream.entries.range(from..=to));
    Ok(Reply::Array(found.take(most).map(shown).collect()))
}

pub(super) fn range_back(database: &mut Database, args: &[Bytes]) -> Result<Reply, Refused> {
    let (to, from) = (end(&args[1], u64::MAX)?, end(&args[2], 0)?);
    let most = most(&args[3..])?;
    let stream = at(database, &args[0])?.filter(|_| from <= to);
    let found = stream
        .into_iter()
        .flat_map(|stream| stream.entries.range(from..=to).rev());
    Ok(Reply::Array(found.take(most).map(shown).collect()))
}

/// Of one stream, without waiting.
pub(super) fn read(database: &mut Database, args: &[Bytes]) -> Result<Reply, Refused> {
    let streams = args.iter().position(|word| is_word(Some(word), "STREAMS"));
    let (options, streams) = args.split_at(streams.ok_or_else(syntax_error)?);
    let [_, key, after] = streams else {
        return Err(syntax_error());
    };
    let (most, after) = (most(options)?, id(after, 0)?);
    let stream = at(database, key)?;
    let later = stream.into_iter().flat_map(|stream| &stream.entries);
    let later = later.filter(|(id, _)| **id > after).take(most);
    let later: Vec<Reply> = later.map(shown).collect();
    if later.is_empty() {
        return Ok(Reply::Nil);
    }
    Ok(Reply::Pairs(vec![(Reply::bulk(key), Reply::Array(later))]))
}

pub(super) fn trim(database: &mut Database, args: &[Bytes]) -> Result<Reply, Refused> {
    if !is_word(args.get(1), "MINID") || args.len() != 3 {
        return Err(syntax_error());
    }
    let least = id(&args[2], 0)?;
    let stream = match database.object_mut(&args[0]) {
        None => return Ok(Reply::Int(0)),
        Some(Object::Stream(stream)) => stream,
        Some(_) => return Err(wrong_type()),
    };
    let kept = stream.entries.split_off(&least);
    let gone = std::mem::replace(&mut stream.entries, kept).len();
    if gone > 0 {
        database.changed();
    }
    Ok(Reply::count(gone))
}
