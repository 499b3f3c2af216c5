//! A cluster: stores that have some of the slots each. A slot moves to another one key by key; meanwhile
//! the one says that a key is there already, and the other serves only those who were sent to it.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;

use bytes::Bytes;

use super::database::{Command, is_word, known};
use super::reply::Reply;
use super::serve::HOST;
use super::store::Store;

const SLOTS: u16 = 16_384;

/// Ports of the nodes of a store begin with so many times its number.
pub(crate) const PORTS: usize = 10;

/// A slot on its way.
#[derive(Debug, Clone, Copy)]
struct Move {
    slot: u16,
    from: usize,
    to: usize,
}

/// See the module's documentation.
pub(crate) struct Cluster {
    stores: Vec<Rc<Store>>,
    /// Slots that are not where they were at the beginning.
    moved: RefCell<BTreeMap<u16, usize>>,
    moving: Cell<Option<Move>>,
}

impl Cluster {
    /// Of these stores, each with as many slots.
    pub(crate) fn new(stores: Vec<Rc<Store>>) -> Rc<Self> {
        let cluster = Rc::new(Self {
            stores,
            moved: RefCell::default(),
            moving: Cell::default(),
        });
        for (at, store) in cluster.stores.iter().enumerate() {
            store.join(&cluster, at);
        }
        cluster
    }

    /// The store that a slot belongs to.
    fn owner(&self, slot: u16) -> usize {
        let first = usize::from(slot) * self.stores.len() / usize::from(SLOTS);
        self.moved.borrow().get(&slot).copied().unwrap_or(first)
    }

    fn port(&self, store: usize) -> usize {
        store * PORTS + self.stores[store].primary()
    }

    fn elsewhere(&self, word: &str, slot: u16, store: usize) -> Reply {
        Reply::error(format!("{word} {slot} {HOST}:{}", self.port(store)))
    }

    /// What a node of a store says to a command that it does not serve, or not yet.
    pub(super) fn turned_away(
        &self,
        (store, node): (usize, usize),
        command: &Command,
        was_sent: bool,
    ) -> Option<Reply> {
        if is_word(command.first(), "CLUSTER") {
            return Some(self.slots());
        }
        let keys = keys_of(command);
        let slot = slot_of(keys.first()?);
        let own = &self.stores[store];
        let there = keys.iter().filter(|key| own.has(node, key)).count();
        let again = || Reply::error("TRYAGAIN Multiple keys request during rehashing of slot");
        let owner = self.owner(slot);
        let moving = self.moving.get().filter(|moving| moving.slot == slot);
        match moving {
            _ if !own.is_primary(node) => Some(self.elsewhere("MOVED", slot, owner)),
            Some(_) if owner == store && there == keys.len() => None,
            Some(moving) if owner == store && there == 0 => {
                Some(self.elsewhere("ASK", slot, moving.to))
            }
            Some(_) if owner == store => Some(again()),
            Some(moving) if moving.to == store && was_sent => {
                (keys.len() > 1 && there < keys.len()).then(again)
            }
            _ if owner == store => None,
            _ => Some(self.elsewhere("MOVED", slot, owner)),
        }
    }

    /// The map: a first slot, a last one, and the node that serves them.
    fn slots(&self) -> Reply {
        let mut ranges: Vec<(u16, u16, usize)> = Vec::new();
        for slot in 0..SLOTS {
            let owner = self.owner(slot);
            match ranges.last_mut() {
                Some(range) if range.2 == owner => range.1 = slot,
                _ => ranges.push((slot, slot, owner)),
            }
        }
        let number = |number: usize| Reply::Int(i64::try_from(number).unwrap());
        let range = |(first, last, owner): (u16, u16, usize)| {
            let node = Reply::Array(vec![Reply::bulk(HOST), number(self.port(owner))]);
            Reply::Array(vec![number(first.into()), number(last.into()), node])
        };
        Reply::Array(ranges.into_iter().map(range).collect())
    }

    /// Begins to move the slot of a key to the next store.
    pub(crate) fn begin_move(&self, key: &str) {
        let slot = slot_of(key.as_bytes());
        let from = self.owner(slot);
        let to = (from + 1) % self.stores.len();
        self.moving.set(Some(Move { slot, from, to }));
    }

    /// Moves one key; false when there is none left. Then the slot belongs to the other store.
    pub(crate) fn move_key(&self) -> bool {
        let Some(Move { slot, from, to }) = self.moving.get() else {
            return false;
        };
        let is_there = |key: &Bytes| slot_of(key) == slot;
        if let Some((key, held)) = self.stores[from].give(is_there) {
            self.stores[to].receive(key, held);
            return true;
        }
        self.moved.borrow_mut().insert(slot, to);
        self.moving.set(None);
        false
    }
}

/// The keys of a command: of one that is no script, the first will do.
fn keys_of(command: &Command) -> &[Bytes] {
    let is = |word| is_word(command.first(), word);
    if is("EVALSHA") || is("EVAL") {
        let count = command
            .get(2)
            .and_then(|count| std::str::from_utf8(count).ok());
        let count = count.and_then(|count| count.parse().ok()).unwrap_or(0);
        return command[3..].get(..count).unwrap_or_default();
    }
    if is("XREAD") {
        let streams = command
            .iter()
            .position(|word| is_word(Some(word), "STREAMS"));
        return streams.map_or(&[], |at| &command[at + 1..=at + 1]);
    }
    let has_key = command.first().and_then(|name| known(name)).is_some();
    let is_of_node = is("TIME") || is("FLUSHALL");
    if has_key && !is_of_node {
        &command[1..2]
    } else {
        &[]
    }
}

/// The slot of a key: that of what stands in its braces.
fn slot_of(key: &[u8]) -> u16 {
    let open = key.iter().position(|byte| *byte == b'{');
    let tag = open.and_then(|open| {
        let rest = &key[open + 1..];
        let close = rest.iter().position(|byte| *byte == b'}')?;
        (close > 0).then(|| &rest[..close])
    });
    let mut crc: u16 = 0;
    for byte in tag.unwrap_or(key) {
        crc ^= u16::from(*byte) << 8;
        for _ in 0..8 {
            let carry = crc & 0x8000 != 0;
            crc <<= 1;
            if carry {
                crc ^= 0x1021;
            }
        }
    }
    crc % SLOTS
}
