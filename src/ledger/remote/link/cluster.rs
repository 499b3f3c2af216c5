//! Which node of a cluster serves which slot.
//!
//! Asked of any node that answers, and again whenever a node sends us elsewhere. The map may be
//! stale at any time: a node that does not serve a slot does nothing and says so.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use redis::{ErrorKind, RedisError, RedisResult, Value};

use super::Target;
use super::address::{Endpoint, Place};
use super::connection::{Connection, unexpected};
use super::race::first_of;
use super::sentinel::primary_of;

/// Slots of every cluster.
const SLOTS: u16 = 16_384;

/// The last map that was told. See the module's documentation.
#[derive(Debug, Default)]
pub struct Cluster {
    /// LOCK: copies only.
    ranges: Mutex<Vec<Range>>,
    is_stale: AtomicBool,
}

/// Slots that one node serves.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Range {
    first: u16,
    last: u16,
    primary: Endpoint,
}

impl Cluster {
    fn lock(&self) -> MutexGuard<'_, Vec<Range>> {
        self.ranges.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn of_slot(&self, slot: u16) -> Option<Endpoint> {
        if self.is_stale.load(Ordering::Acquire) {
            return None;
        }
        self.last_of_slot(slot)
    }

    /// As the last map says, stale or not.
    pub(super) fn last_of_slot(&self, slot: u16) -> Option<Endpoint> {
        let ranges = self.lock();
        let range = ranges.iter().find(|r| (r.first..=r.last).contains(&slot));
        range.map(|range| range.primary.clone())
    }

    /// The map may not be right any more.
    pub(in crate::ledger::remote) fn doubt(&self) {
        self.is_stale.store(true, Ordering::Release);
    }

    /// A node said that another one serves this slot.
    pub(super) fn moved(&self, slot: u16, primary: Endpoint) {
        // The newest word counts, so it stands first.
        let range = Range {
            first: slot,
            last: slot,
            primary,
        };
        let mut ranges = self.lock();
        ranges.retain(|one| (one.first, one.last) != (slot, slot));
        ranges.insert(0, range);
    }
}

/// Where the primary of a partition is.
pub(in crate::ledger::remote) async fn primary(
    target: &Target,
    partition: u16,
) -> RedisResult<Endpoint> {
    let Place::Cluster(nodes) = &target.address.place else {
        return primary_of(&target.address, target.patience).await;
    };
    let slot = slot_of(partition);
    if let Some(endpoint) = target.cluster.of_slot(slot) {
        return Ok(endpoint);
    }
    learn(target, nodes).await?;
    let served = target.cluster.of_slot(slot);
    served.ok_or(unexpected("no node serves the slot of a partition"))
}

/// Where all primaries are that hold anything.
pub(in crate::ledger::remote) async fn primaries(target: &Target) -> RedisResult<Vec<Endpoint>> {
    let Place::Cluster(nodes) = &target.address.place else {
        return Ok(vec![primary_of(&target.address, target.patience).await?]);
    };
    learn(target, nodes).await?;
    let mut found: Vec<Endpoint> = Vec::new();
    for range in target.cluster.lock().iter() {
        if !found.contains(&range.primary) {
            found.push(range.primary.clone());
        }
    }
    Ok(found)
}

/// Asks those of the address, and whoever served something before, for the map.
async fn learn(target: &Target, nodes: &[Endpoint]) -> RedisResult<()> {
    let before: Vec<Endpoint> = {
        let ranges = target.cluster.lock();
        ranges.iter().map(|range| range.primary.clone()).collect()
    };
    let more = before.iter().filter(|node| !nodes.contains(node));
    let asked = nodes.iter().chain(more);
    let asked = asked.map(|node| as_told_by(node, target));
    let ranges = first_of(asked, unexpected("the address names no node")).await?;
    *target.cluster.lock() = ranges;
    target.cluster.is_stale.store(false, Ordering::Release);
    Ok(())
}

async fn as_told_by(node: &Endpoint, target: &Target) -> RedisResult<Vec<Range>> {
    let opened = Connection::open(node, target.address.entry(), target.patience);
    let mut question = redis::cmd("CLUSTER");
    question.arg("SLOTS");
    let answer = opened.await?.ask(&question).await?;
    let ranges = answer.as_sequence().ok_or(odd())?;
    ranges.iter().map(|range| read(range, node)).collect()
}

/// A first slot, a last slot, and the node that serves them; its replicas do not matter here.
fn read(range: &Value, told_by: &Endpoint) -> RedisResult<Range> {
    let parts = range.as_sequence().ok_or(odd())?;
    let [first, last, primary, ..] = parts else {
        return Err(odd());
    };
    let [host, port, ..] = primary.as_sequence().ok_or(odd())? else {
        return Err(odd());
    };
    let host: Option<String> = redis::from_redis_value_ref(host)?;
    Ok(Range {
        first: redis::from_redis_value_ref(first)?,
        last: redis::from_redis_value_ref(last)?,
        primary: endpoint(
            host.unwrap_or_default(),
            redis::from_redis_value_ref(port)?,
            told_by,
        ),
    })
}

/// A node that does not know its own address says nothing for it.
fn endpoint(host: String, port: u16, told_by: &Endpoint) -> Endpoint {
    match told_by {
        Endpoint::Tcp(own, _) if host.is_empty() || host == "?" => Endpoint::Tcp(own.clone(), port),
        Endpoint::Tcp(..) | Endpoint::Unix(_) => Endpoint::Tcp(host, port),
    }
}

fn odd() -> RedisError {
    let kind = ErrorKind::UnexpectedReturnType;
    RedisError::from((kind, "CLUSTER SLOTS is answered in another form"))
}

/// The place that `MOVED` or `ASK` names: a slot, and host and port.
pub(super) fn named(details: &str, told_by: &Endpoint) -> Option<(u16, Endpoint)> {
    let (slot, place) = details.split_once(' ')?;
    let (host, port) = place.trim().rsplit_once(':')?;
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let place = endpoint(host.to_owned(), port.parse().ok()?, told_by);
    Some((slot.parse().ok()?, place))
}

/// The slot of a partition's keys: that of their hash tag, its number.
pub(super) fn slot_of(partition: u16) -> u16 {
    crc16(partition.to_string().as_bytes()) % SLOTS
}

/// CRC-16/XMODEM, as the cluster specification has it.
fn crc16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0, |crc, byte| {
        (0..8).fold(crc ^ (u16::from(*byte) << 8), |crc: u16, _| {
            if crc & 0x8000 == 0 {
                crc << 1
            } else {
                (crc << 1) ^ 0x1021
            }
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tcp(host: &str, port: u16) -> Endpoint {
        Endpoint::Tcp(host.to_owned(), port)
    }

    #[test]
    fn slots_are_those_of_the_specification() {
        assert_eq!(crc16(b"123456789"), 0x31c3);
        // As `CLUSTER KEYSLOT {0}` and `CLUSTER KEYSLOT {63}` say.
        assert_eq!((slot_of(0), slot_of(63)), (13_907, 10_499));
    }

    #[test]
    fn a_redirect_may_leave_out_the_host() {
        let by = tcp("10.0.0.1", 1);
        let cases = [
            ("866 10.0.0.2:6379", tcp("10.0.0.2", 6379)),
            ("866 :6379", tcp("10.0.0.1", 6379)),
            ("866 ::1:6379", tcp("::1", 6379)),
        ];
        for (text, endpoint) in cases {
            assert_eq!(named(text, &by), Some((866, endpoint)));
        }
        assert_eq!(named("866", &by), None);
    }

    #[test]
    fn the_newest_word_on_a_slot_counts() {
        let cluster = Cluster::default();
        cluster.lock().push(Range {
            first: 0,
            last: SLOTS - 1,
            primary: tcp("a", 1),
        });
        cluster.moved(7, tcp("b", 1));
        cluster.moved(7, tcp("c", 1));
        assert_eq!(cluster.of_slot(7), Some(tcp("c", 1)));
        assert_eq!(cluster.of_slot(8), Some(tcp("a", 1)));
        cluster.doubt();
        assert_eq!(cluster.of_slot(8), None);
        assert_eq!(cluster.last_of_slot(8), Some(tcp("a", 1)));
    }
}
