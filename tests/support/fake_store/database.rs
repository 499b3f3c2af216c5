//! The keys of a node, and its commands over them.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::hashes::{self, Hash};
use super::keys;
use super::reply::Reply;
use super::sorted_sets::{self, SortedSet};
use super::streams::{self, Stream};

/// A command with its arguments, as it came.
pub(crate) type Command = Vec<Bytes>;

/// What a key leads to.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Object {
    Hash(Hash),
    SortedSet(SortedSet),
    Stream(Stream),
}

/// A value and its end.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Held {
    object: Object,
    /// When it goes away, in milliseconds.
    until: Option<i64>,
}

/// Everything a node has.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Database {
    keys: BTreeMap<Bytes, Held>,
    /// The moment by the node's clock, in microseconds.
    pub(crate) micros: i64,
    /// Something was changed since this was taken.
    is_changed: bool,
}

/// Why a command was refused.
pub(crate) type Refused = Reply;

/// What a command of the store does.
type Body = fn(&mut Database, &[Bytes]) -> Result<Reply, Refused>;

/// A command of the store.
pub(crate) struct Known {
    /// Least number of arguments, its name among them.
    pub(crate) least: usize,
    pub(crate) is_write: bool,
    /// Refused by a store that has no memory left.
    pub(crate) needs_memory: bool,
    body: Body,
}

const fn read(least: usize, body: Body) -> Known {
    Known {
        least,
        is_write: false,
        needs_memory: false,
        body,
    }
}

const fn write(least: usize, body: Body) -> Known {
    Known {
        least,
        is_write: true,
        needs_memory: false,
        body,
    }
}

const fn growth(least: usize, body: Body) -> Known {
    Known {
        least,
        is_write: true,
        needs_memory: true,
        body,
    }
}

/// The command with this name.
pub(crate) fn known(name: &[u8]) -> Option<Known> {
    let name = name.to_ascii_uppercase();
    Some(match name.as_slice() {
        b"TIME" => read(1, keys::time),
        b"EXISTS" => read(2, keys::exists),
        b"TYPE" => read(2, keys::kind),
        b"UNLINK" | b"DEL" => write(2, keys::unlink),
        b"RENAME" => write(3, keys::rename),
        b"PERSIST" => write(2, keys::persist),
        b"EXPIRE" => write(3, keys::expire),
        b"PEXPIREAT" => write(3, keys::expire_at),
        b"FLUSHALL" => write(1, keys::flush),
        b"HGET" => read(3, hashes::get),
        b"HMGET" => read(3, hashes::get_many),
        b"HGETALL" => read(2, hashes::get_all),
        b"HLEN" => read(2, hashes::len),
        b"HEXISTS" => read(3, hashes::exists),
        b"HSCAN" => read(3, hashes::scan),
        b"HSET" => growth(4, hashes::set),
        b"HSETNX" => growth(4, hashes::set_new),
        b"HINCRBY" => growth(4, hashes::add),
        b"HDEL" => write(3, hashes::delete),
        b"ZADD" => growth(4, sorted_sets::add),
        b"ZREM" => write(3, sorted_sets::remove),
        b"ZCARD" => read(2, sorted_sets::len),
        b"ZCOUNT" => read(4, sorted_sets::count),
        b"ZRANGE" => read(4, sorted_sets::range),
        b"ZRANGEBYSCORE" => read(4, sorted_sets::range_by_score),
        b"ZSCAN" => read(3, sorted_sets::scan),
        b"XADD" => growth(5, streams::add),
        b"XRANGE" => read(4, streams::range),
        b"XREVRANGE" => read(4, streams::range_back),
        b"XREAD" => read(4, streams::read),
        b"XTRIM" => write(4, streams::trim),
        _ => return None,
    })
}

impl Database {
    /// Now, in milliseconds.
    pub(crate) const fn now(&self) -> i64 {
        self.micros.div_euclid(1_000)
    }

    /// Does one command. What must be repeated elsewhere to get the same is returned beside the
    /// reply.
    pub(crate) fn execute(&mut self, command: &[Bytes]) -> (Reply, Option<Command>) {
        let Some(name) = command.first() else {
            return (Reply::error("ERR empty command"), None);
        };
        let shown = String::from_utf8_lossy(name).into_owned();
        let Some(known) = known(name) else {
            return (Reply::error(format!("ERR unknown command '{shown}'")), None);
        };
        if command.len() < known.least {
            let shown = shown.to_lowercase();
            let what = format!("ERR wrong number of arguments for '{shown}' command");
            return (Reply::error(what), None);
        }
        self.is_changed = false;
        let reply = (known.body)(self, &command[1..]).unwrap_or_else(|refused| refused);
        let repeated = (known.is_write && self.is_changed).then(|| self.repeated(command));
        (reply, repeated)
    }

    /// The same command, so that it does the same at another time.
    fn repeated(&self, command: &[Bytes]) -> Command {
        if command[0].eq_ignore_ascii_case(b"EXPIRE") {
            let until = self.keys.get(&command[1]).and_then(|held| held.until);
            let until = until.unwrap_or_default().to_string();
            return vec!["PEXPIREAT".into(), command[1].clone(), until.into()];
        }
        command.to_vec()
    }

    pub(super) const fn changed(&mut self) {
        self.is_changed = true;
    }

    /// Takes away what has come to its end; a primary tells its replicas of that.
    pub(crate) fn expire_keys(&mut self) -> Vec<Command> {
        let now = self.now();
        let is_over = |held: &Held| held.until.is_some_and(|until| until <= now);
        let over = self.keys.iter().filter(|(_, held)| is_over(held));
        let over: Vec<Bytes> = over.map(|(key, _)| key.clone()).collect();
        over.into_iter()
            .map(|key| {
                self.keys.remove(&key);
                vec!["UNLINK".into(), key]
            })
            .collect()
    }

    pub(super) fn object(&self, key: &Bytes) -> Option<&Object> {
        self.keys.get(key).map(|held| &held.object)
    }

    /// The object, made by `new` where there is none.
    pub(super) fn object_or(&mut self, key: &Bytes, new: impl FnOnce() -> Object) -> &mut Object {
        let held = self.keys.entry(key.clone()).or_insert_with(|| Held {
            object: new(),
            until: None,
        });
        &mut held.object
    }

    pub(super) fn object_mut(&mut self, key: &Bytes) -> Option<&mut Object> {
        self.keys.get_mut(key).map(|held| &mut held.object)
    }

    pub(super) fn remove(&mut self, key: &Bytes) -> bool {
        self.keys.remove(key).is_some()
    }

    /// Takes out the first key that is one of these.
    pub(super) fn take(&mut self, is_one: impl Fn(&Bytes) -> bool) -> Option<(Bytes, Held)> {
        let key = self.keys.keys().find(|key| is_one(key)).cloned()?;
        self.keys.remove_entry(&key)
    }

    pub(super) fn put(&mut self, key: Bytes, held: Held) {
        self.keys.insert(key, held);
    }

    /// Gives a key's value another key, its end included; false where there is none.
    pub(super) fn rename(&mut self, from: &Bytes, to: &Bytes) -> bool {
        let held = self.keys.remove(from);
        held.is_some_and(|held| {
            self.keys.insert(to.clone(), held);
            true
        })
    }

    /// Gives a key an end, or none; false where there is no such key.
    pub(super) fn set_end(&mut self, key: &Bytes, until: Option<i64>) -> Option<bool> {
        let held = self.keys.get_mut(key)?;
        let is_other = held.until != until;
        held.until = until;
        Some(is_other)
    }

    pub(super) fn clear(&mut self) {
        self.keys.clear();
    }
}

/// A key of another kind than the command takes.
pub(super) fn wrong_type() -> Refused {
    Reply::error("WRONGTYPE Operation against a key holding the wrong kind of value")
}

pub(super) fn syntax_error() -> Refused {
    Reply::error("ERR syntax error")
}

pub(super) fn integer(text: &Bytes) -> Result<i64, Refused> {
    let number = std::str::from_utf8(text)
        .ok()
        .and_then(|text| text.parse().ok());
    number.ok_or_else(|| Reply::error("ERR value is not an integer or out of range"))
}

/// Whether an argument is this word.
pub(super) fn is_word(argument: Option<&Bytes>, word: &str) -> bool {
    argument.is_some_and(|argument| argument.eq_ignore_ascii_case(word.as_bytes()))
}
