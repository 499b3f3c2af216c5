//! Is the store set up to keep what we promise? Asked before serving, by `doctor`, and again and
//! again while serving, because settings change and servers fail over.

mod collect;
mod facts;
mod rules;
mod script_time;

use std::fmt;
use std::time::Duration;

pub use facts::{Facts, SentinelFacts};
pub use rules::{Expected, HISTORY, judge};

use super::link::{Target, Why};

/// How often a store is looked at while serving.
pub const EVERY: Duration = Duration::from_secs(30);

/// The same, while something is wrong.
const SOON: Duration = Duration::from_secs(1);

/// What is done about a finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// Nothing is promised while it stands.
    Refused,
    /// It would be refused, had the operator not accepted it by name.
    Accepted,
    /// Said, and no more.
    Warned,
}

/// One unsafe setting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The name by which it can be accepted.
    pub name: &'static str,
    /// What is so.
    pub found: String,
    /// What to do.
    pub fix: &'static str,
    /// What is done about it.
    pub severity: Severity,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}; {}", self.name, self.found, self.fix)
    }
}

/// What a look at the store found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Report {
    /// Unsafe settings.
    pub findings: Vec<Finding>,
    /// Names of what the server would not tell.
    pub unverified: Vec<&'static str>,
}

impl Report {
    /// Whether promises may be made.
    pub fn is_safe(&self) -> bool {
        self.refused().next().is_none()
    }

    /// The findings because of which none may be made.
    pub fn refused(&self) -> impl Iterator<Item = &Finding> {
        self.findings
            .iter()
            .filter(|finding| finding.severity == Severity::Refused)
    }
}

/// Looks at the store once. An error says why it cannot be reached.
pub async fn look(target: &Target) -> Result<Facts, Why> {
    let limit = (target.patience.connect + target.patience.reply) * 2;
    match tokio::time::timeout(limit, collect::facts(target)).await {
        Ok(Ok(facts)) => Ok(facts),
        Ok(Err(error)) => Err(Why(error.to_string())),
        Err(_) => Err(Why(format!(
            "the store did not tell what it is within {limit:?}"
        ))),
    }
}

/// Looks at the store again and again, reads its count of script time, and hands over what was
/// found; never ends by itself. `told` says whether all is well: if not, the next look comes soon,
/// so that promises are not refused for longer than there is a reason.
pub async fn watch(
    target: &Target,
    every: Duration,
    mut told: impl FnMut(Result<Facts, Why>) -> bool,
) {
    let mut earlier = None;
    loop {
        let pause = if told(look(target).await) {
            every
        } else {
            every.min(SOON)
        };
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            // Whoever talks to the store may find out first.
            () = target.until_lost() => {}
        }
        // Metrics only; whether the store can be reached was just said.
        let Ok(now) = script_time::read(target).await else {
            continue;
        };
        if let (Some(now), Some(earlier)) = (now, earlier)
            && let Some((calls, held)) = script_time::ScriptTime::since(now, earlier)
        {
            target.meters.script_hold(calls, held);
        }
        earlier = now;
    }
}
