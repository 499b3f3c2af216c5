//! How long the scripts kept the store busy, as the store itself counts it.
//!
//! A script is the store's one lock: nobody else is served while it runs. Its reply does not carry
//! its time, and the round trip holds the network and the queue as well; so the store's own count
//! is read, from time to time, and the difference to the last reading is recorded.

use std::time::Duration;

use redis::RedisResult;

use crate::ledger::remote::link::{Connection, Target, primaries};

/// Calls of scripts so far, and the time that they took together, in microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct ScriptTime {
    calls: u64,
    micros: u64,
}

impl ScriptTime {
    /// Reads `cmdstat_evalsha:calls=12,usec=345,...`.
    fn of(info: &str) -> Option<Self> {
        let line = info
            .lines()
            .find_map(|line| line.strip_prefix("cmdstat_evalsha:"))?;
        let field = |name: &str| {
            let part = line.split(',').find_map(|part| part.strip_prefix(name))?;
            part.trim().parse().ok()
        };
        Some(Self {
            calls: field("calls=")?,
            micros: field("usec=")?,
        })
    }

    /// What was added since an earlier reading. `None` where the counts went back: the server was
    /// restarted, replaced or told to forget.
    pub(super) fn since(self, earlier: Self) -> Option<(u64, Duration)> {
        let calls = self.calls.checked_sub(earlier.calls)?;
        let micros = self.micros.checked_sub(earlier.micros)?;
        Some((calls, Duration::from_micros(micros)))
    }
}

/// Reads the counts of all primaries, as one.
pub(super) async fn read(target: &Target) -> RedisResult<Option<ScriptTime>> {
    let entry = target.address.entry();
    let mut sum = None;
    for endpoint in primaries(target).await? {
        let mut connection = Connection::open(&endpoint, entry, target.patience).await?;
        let mut question = redis::cmd("INFO");
        question.arg("commandstats");
        let info: String = redis::from_redis_value(connection.ask(&question).await?)?;
        if let Some(time) = ScriptTime::of(&info) {
            let ScriptTime { calls, micros } = sum.unwrap_or_default();
            sum = Some(ScriptTime {
                calls: calls + time.calls,
                micros: micros + time.micros,
            });
        }
    }
    Ok(sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_added_counts() {
        let info = |calls: u64, micros: u64| {
            let eval = "cmdstat_eval:calls=9,usec=9,usec_per_call=1.00";
            format!(
                "# Commandstats\r\n{eval}\r\ncmdstat_evalsha:calls={calls},usec={micros},x=1\r\n"
            )
        };
        let earlier = ScriptTime::of(&info(10, 100)).unwrap();
        let later = ScriptTime::of(&info(14, 180)).unwrap();
        assert_eq!(later.since(earlier), Some((4, Duration::from_micros(80))));
        assert_eq!(earlier.since(later), None);
        assert_eq!(ScriptTime::of("cmdstat_eval:calls=1,usec=2"), None);
    }
}
