//! Commands over keys of any kind.

use bytes::Bytes;

use super::database::{Database, Object, Refused, integer};
use super::reply::Reply;

pub(super) fn time(database: &mut Database, _: &[Bytes]) -> Result<Reply, Refused> {
    let (seconds, micros) = (
        database.micros.div_euclid(1_000_000),
        database.micros.rem_euclid(1_000_000),
    );
    let parts = [seconds, micros].map(|part| Reply::bulk(part.to_string()));
    Ok(Reply::Array(parts.into()))
}

pub(super) fn exists(database: &mut Database, keys: &[Bytes]) -> Result<Reply, Refused> {
    let there = keys.iter().filter(|key| database.object(key).is_some());
    Ok(Reply::count(there.count()))
}

pub(super) fn kind(database: &mut Database, keys: &[Bytes]) -> Result<Reply, Refused> {
    Ok(Reply::Status(match database.object(&keys[0]) {
        None => "none",
        Some(Object::Hash(_)) => "hash",
        Some(Object::SortedSet(_)) => "zset",
        Some(Object::Stream(_)) => "stream",
    }))
}

pub(super) fn unlink(database: &mut Database, keys: &[Bytes]) -> Result<Reply, Refused> {
    let mut gone = 0;
    for key in keys {
        gone += usize::from(database.remove(key));
    }
    if gone > 0 {
        database.changed();
    }
    Ok(Reply::count(gone))
}

pub(super) fn rename(database: &mut Database, keys: &[Bytes]) -> Result<Reply, Refused> {
    if !database.rename(&keys[0], &keys[1]) {
        return Err(Reply::error("ERR no such key"));
    }
    database.changed();
    Ok(Reply::OK)
}

pub(super) fn persist(database: &mut Database, keys: &[Bytes]) -> Result<Reply, Refused> {
    let had_end = database.set_end(&keys[0], None) == Some(true);
    if had_end {
        database.changed();
    }
    Ok(Reply::Int(had_end.into()))
}

pub(super) fn expire(database: &mut Database, args: &[Bytes]) -> Result<Reply, Refused> {
    let until = database.now() + integer(&args[1])? * 1_000;
    end(database, &args[0], until)
}

pub(super) fn expire_at(database: &mut Database, args: &[Bytes]) -> Result<Reply, Refused> {
    let until = integer(&args[1])?;
    end(database, &args[0], until)
}

fn end(database: &mut Database, key: &Bytes, until: i64) -> Result<Reply, Refused> {
    let is_there = database.set_end(key, Some(until)).is_some();
    if is_there {
        database.changed();
    }
    Ok(Reply::Int(is_there.into()))
}

pub(super) fn flush(database: &mut Database, _: &[Bytes]) -> Result<Reply, Refused> {
    database.clear();
    database.changed();
    Ok(Reply::OK)
}
