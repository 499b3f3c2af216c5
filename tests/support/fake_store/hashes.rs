//! Hashes. Their fields come in the order in which they were made, as in the store's small hashes.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::database::{Database, Object, Refused, integer, is_word, syntax_error, wrong_type};
use super::reply::Reply;

/// Fields and values.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Hash {
    fields: BTreeMap<Bytes, (u64, Bytes)>,
    made: u64,
}

impl Hash {
    /// Whether the field is new.
    fn set(&mut self, field: &Bytes, value: &Bytes) -> bool {
        if let Some((_, known)) = self.fields.get_mut(field) {
            known.clone_from(value);
            return false;
        }
        self.made += 1;
        self.fields
            .insert(field.clone(), (self.made, value.clone()));
        true
    }

    fn get(&self, field: &Bytes) -> Option<&Bytes> {
        self.fields.get(field).map(|(_, value)| value)
    }

    fn in_order(&self) -> Vec<(&Bytes, &Bytes)> {
        let mut all: Vec<_> = { self.fields.iter() }
            .map(|(field, (made, value))| (*made, field, value))
            .collect();
        all.sort_unstable_by_key(|(made, ..)| *made);
        all.into_iter()
            .map(|(_, field, value)| (field, value))
            .collect()
    }
}

/// The hash at a key; `None`: there is none.
fn at<'d>(database: &'d Database, key: &Bytes) -> Result<Option<&'d Hash>, Refused> {
    match database.object(key) {
        None => Ok(None),
        Some(Object::Hash(hash)) => Ok(Some(hash)),
        Some(_) => Err(wrong_type()),
    }
}

fn at_mut<'d>(database: &'d mut Database, key: &Bytes) -> Result<&'d mut Hash, Refused> {
    match database.object_or(key, || Object::Hash(Hash::default())) {
        Object::Hash(hash) => Ok(hash),
        Object::SortedSet(_) | Object::Stream(_) => Err(wrong_type()),
    }
}

pub(super) fn get(database: &mut Database, args: &[Bytes]) -> Result<Reply, Refused> {
    let hash = at(database, &args[0])?;
    Ok(Reply::found(
        hash.and_then(|hash| hash.get(&args[1])).cloned(),
    ))
}

pub(super) fn get_many(database: &mut Database, args: &[Bytes]) -> Result<Reply, Refused> {
    let hash = at(database, &args[0])?;
    let value = |field| hash.and_then(|hash| hash.get(field)).cloned();
    Ok(Reply::Array(
        args[1..]
            .iter()
            .map(|field| Reply::found(value(field)))
            .collect(),
    ))
}

pub(super) fn get_all(database: &mut Database, args: &[Bytes]) -> Result<Reply, Refused> {
    let hash = at(database, &args[0])?;
    let all = hash.map(Hash::in_order).unwrap_or_default();
    let pair = |(field, value): (&Bytes, &Bytes)| (Reply::bulk(field), Reply::bulk(value));
    Ok(Reply::Map(all.into_iter().map(pair).collect()))
}

pub(super) fn len(database: &mut Database, args: &[Bytes]) -> Result<Reply, Refused> {
    let hash = at(database, &args[0])?;
    Ok(Reply::count(hash.map_or(0, |hash| hash.fields.len())))
}

pub(super) fn exists(database: &mut Database, args: &[Bytes]) -> Result<Reply, Refused> {
    let hash = at(database, &args[0])?;
    let is_there = hash.is_some_and(|hash| hash.get(&args[1]).is_some());
    Ok(Reply::Int(is_there.into()))
}

pub(super) fn set(database: &mut Database, args: &[Bytes]) -> Result<Reply, Refused> {
    let (key, pairs) = args.split_first().ok_or_else(syntax_error)?;
    if !pairs.len().is_multiple_of(2) {
        let what = "ERR wrong number of arguments for 'hset' command";
        return Err(Reply::error(what));
    }
    let hash = at_mut(database, key)?;
    let mut new = 0;
    for pair in pairs.chunks_exact(2) {
        new += usize::from(hash.set(&pair[0], &pair[1]));
    }
    database.changed();
    Ok(Reply::count(new))
}

pub(super) fn set_new(database: &mut Database, args: &[Bytes]) -> Result<Reply, Refused> {
    if at(database, &args[0])?.is_some_and(|hash| hash.get(&args[1]).is_some()) {
        return Ok(Reply::Int(0));
    }
    at_mut(database, &args[0])?.set(&args[1], &args[2]);
    database.changed();
    Ok(Reply::Int(1))
}

pub(super) fn add(database: &mut Database, args: &[Bytes]) -> Result<Reply, Refused> {
    let by = integer(&args[2])?;
    let known = at(database, &args[0])?.and_then(|hash| hash.get(&args[1]));
    let known = known.map_or(Ok(0), |text| {
        integer(text).map_err(|_refused| Reply::error("ERR hash value is not an integer"))
    })?;
    let sum = known + by;
    at_mut(database, &args[0])?.set(&args[1], &sum.to_string().into());
    database.changed();
    Ok(Reply::Int(sum))
}

pub(super) fn delete(database: &mut Database, args: &[Bytes]) -> Result<Reply, Refused> {
    if at(database, &args[0])?.is_none() {
        return Ok(Reply::Int(0));
    }
    let hash = at_mut(database, &args[0])?;
    let gone = args[1..]
        .iter()
        .filter(|field| hash.fields.remove(*field).is_some());
    let gone = gone.count();
    // Without fields there is no hash.
    if hash.fields.is_empty() {
        database.remove(&args[0]);
    }
    if gone > 0 {
        database.changed();
    }
    Ok(Reply::count(gone))
}

pub(super) fn scan(database: &mut Database, args: &[Bytes]) -> Result<Reply, Refused> {
    let hash = at(database, &args[0])?;
    let fields = hash.map(Hash::in_order).unwrap_or_default();
    let (next, page) = page_of(fields, &args[1], &args[2..])?;
    let page = page.into_iter().flat_map(|(field, value)| [field, value]);
    Ok(Reply::Array(vec![
        Reply::bulk(next),
        Reply::Array(page.map(Reply::bulk).collect()),
    ]))
}

/// Some of a collection, from a cursor on, and the next cursor. The place of an element is a hash of
/// its name, so that what is there all the time is met however much comes and goes.
pub(super) fn page_of<'a, T>(
    all: Vec<(&'a Bytes, T)>,
    cursor: &Bytes,
    options: &[Bytes],
) -> Result<(String, Vec<(&'a Bytes, T)>), Refused> {
    let cursor = std::str::from_utf8(cursor)
        .ok()
        .and_then(|text| text.parse::<u64>().ok());
    let cursor = cursor.ok_or_else(|| Reply::error("ERR invalid cursor"))?;
    let count = match options {
        [] => 10,
        [word, count] if is_word(Some(word), "COUNT") => integer(count)?,
        _ => return Err(syntax_error()),
    };
    let count = usize::try_from(count).or(Err(syntax_error()))?;
    // The lowest bit is set: a cursor of zero is the beginning and the end.
    let place = |name: &[u8]| (xxhash_rust::xxh3::xxh3_64(name) >> 16) | 1;
    let mut left: Vec<_> = all
        .into_iter()
        .map(|(name, of)| (place(name), name, of))
        .collect();
    left.retain(|(place, ..)| *place >= cursor);
    left.sort_by_key(|(place, ..)| *place);
    let end = left.get(count).map(|(place, ..)| *place);
    let taken = left
        .into_iter()
        .filter(|(place, ..)| end.is_none_or(|end| *place < end));
    let taken: Vec<_> = taken.map(|(_, name, of)| (name, of)).collect();
    Ok((end.unwrap_or(0).to_string(), taken))
}
