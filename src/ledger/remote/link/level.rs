//! What an acknowledgement waits for, and whether it was reached.

use std::time::Duration;

use redis::{ErrorKind, Pipeline, RedisError, RedisResult, Value};

use super::Why;
use crate::ledger::Durability;
use crate::sabotage::{self, Fault};

/// The durability level of a remote ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Level {
    /// The word.
    pub durability: Durability,
    /// Copies that an acknowledgement needs besides the primary's: every replica that could be
    /// promoted. Never lowered by itself.
    pub replicas: u16,
    /// How long the store may wait for them.
    pub wait: Duration,
}

/// The command that stands behind the script.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wait {
    /// None: the reply itself says all there is to say.
    Nothing,
    /// `WAIT replicas`.
    Replicas(u16),
    /// `WAITAOF 1 replicas`.
    Disks(u16),
}

impl Wait {
    /// Adds the command; `limit` is how long the store may wait.
    pub(in crate::ledger::remote) fn add_to(self, commands: &mut Pipeline, limit: Duration) {
        // For the store 0 is for ever.
        let limit = u64::try_from(limit.as_millis()).unwrap_or(u64::MAX).max(1);
        match self {
            Self::Nothing => {}
            Self::Replicas(replicas) => {
                commands.cmd("WAIT").arg(replicas).arg(limit);
            }
            Self::Disks(replicas) => {
                commands.cmd("WAITAOF").arg(1).arg(replicas).arg(limit);
            }
        }
    }
}

impl Level {
    fn copies(self) -> u16 {
        let missed = u16::from(sabotage::is_on(Fault::OneCopyLess));
        self.replicas.saturating_sub(missed)
    }

    /// What to wait for on the server that describes itself like this. An error if it cannot give
    /// what the level promises.
    pub(in crate::ledger::remote) fn on_server(self, info: &str) -> RedisResult<Wait> {
        let has_waitaof = version(info).is_some_and(|version| version >= WAITAOF_SINCE);
        Ok(match self.durability {
            // With `appendfsync always` the reply comes after the sync; where there is a way to ask
            // for it as well, it is asked for: that answers truly should the setting be changed.
            Durability::Disk if has_waitaof => Wait::Disks(0),
            Durability::Memory | Durability::Os | Durability::Disk => Wait::Nothing,
            Durability::Replica => Wait::Replicas(self.copies()),
            Durability::ReplicaDisk if has_waitaof => Wait::Disks(self.copies()),
            Durability::ReplicaDisk => {
                return Err(RedisError::from((
                    ErrorKind::InvalidClientConfig,
                    "the server has no WAITAOF, which durability `replica+disk` needs",
                )));
            }
        })
    }

    /// Whether the reply to the wait says that the level was reached; an error if it does not say.
    pub(in crate::ledger::remote) fn reached(self, waited: &Value) -> Result<bool, Why> {
        if sabotage::is_on(Fault::WaitIgnored) {
            return Ok(true);
        }
        let replicas = i64::from(self.copies());
        let pair = |value: &Value| match value.as_sequence()? {
            &[Value::Int(here), Value::Int(copies)] => Some((here, copies)),
            _odd => None,
        };
        let single = |value: &Value| redis::from_redis_value_ref::<i64>(value).ok();
        let reached = match self.durability {
            Durability::Memory | Durability::Os => Some(*waited == Value::Nil),
            Durability::Disk if *waited == Value::Nil => Some(true),
            Durability::Disk => pair(waited).map(|(here, _)| here >= 1),
            Durability::Replica => single(waited).map(|copies| copies >= replicas),
            Durability::ReplicaDisk => {
                pair(waited).map(|(here, copies)| here >= 1 && copies >= replicas)
            }
        };
        let odd = || Why(format!("the wait for copies was answered with {waited:?}"));
        reached.ok_or_else(odd)
    }
}

/// The first version of the protocol's reference server with `WAITAOF`. Valkey says which version
/// of it it is compatible with.
const WAITAOF_SINCE: (u32, u32) = (7, 2);

/// Major and minor version in the server's description of itself.
pub(in crate::ledger::remote) fn version(info: &str) -> Option<(u32, u32)> {
    let text = info
        .lines()
        .find_map(|line| line.strip_prefix("redis_version:"))?;
    let mut parts = text.trim().split('.').map(|part| part.parse().ok());
    Some((parts.next()??, parts.next()??))
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: &str = "# Server\r\nredis_version:7.0.15\r\n";
    const NEW: &str = "# Server\r\nredis_version:7.2.4\r\nserver_name:valkey\r\n";

    fn level(durability: Durability, replicas: u16) -> Level {
        let wait = Duration::from_millis(100);
        Level {
            durability,
            replicas,
            wait,
        }
    }

    #[test]
    fn each_level_waits_for_what_its_word_says() {
        let cases = [
            (Durability::Memory, Wait::Nothing, Some(Wait::Nothing)),
            (Durability::Disk, Wait::Disks(0), Some(Wait::Nothing)),
            (
                Durability::Replica,
                Wait::Replicas(2),
                Some(Wait::Replicas(2)),
            ),
            (Durability::ReplicaDisk, Wait::Disks(2), None),
        ];
        for (durability, new, old) in cases {
            let level = level(durability, 2);
            assert_eq!(level.on_server(NEW).unwrap(), new);
            assert_eq!(level.on_server(OLD).ok(), old);
        }
    }

    #[test]
    fn fewer_copies_than_configured_are_not_enough() {
        let replica = level(Durability::Replica, 2);
        assert_eq!(replica.reached(&Value::Int(2)), Ok(true));
        assert_eq!(replica.reached(&Value::Int(1)), Ok(false));
        let synced = |here, copies| Value::Array(vec![Value::Int(here), Value::Int(copies)]);
        let both = level(Durability::ReplicaDisk, 1);
        assert_eq!(both.reached(&synced(1, 1)), Ok(true));
        assert_eq!(both.reached(&synced(0, 1)), Ok(false));
        assert_eq!(both.reached(&synced(1, 0)), Ok(false));
        let disk = level(Durability::Disk, 0);
        assert_eq!(disk.reached(&synced(1, 0)), Ok(true));
        assert_eq!(disk.reached(&synced(0, 0)), Ok(false));
    }

    #[test]
    fn a_wait_that_answers_something_else_proves_nothing() {
        let unblocked = redis::parse_redis_value(b"-UNBLOCKED instance state changed\r\n").unwrap();
        for durability in [
            Durability::Replica,
            Durability::ReplicaDisk,
            Durability::Disk,
        ] {
            assert!(level(durability, 1).reached(&unblocked).is_err());
        }
        assert!(level(Durability::Replica, 1).reached(&Value::Nil).is_err());
    }

    #[test]
    fn the_version_is_that_of_the_protocol() {
        assert_eq!(version(OLD), Some((7, 0)));
        assert_eq!(version(NEW), Some((7, 2)));
        assert_eq!(version("valkey_version:9.1.2"), None);
    }
}
