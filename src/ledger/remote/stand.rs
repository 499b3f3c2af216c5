//! Where the ledger stands, as far as this instance has seen.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::link::{Level, Why};
use super::preflight::{Expected, Facts, Finding, Report, Severity, judge};
use super::wire::reply::Header;
use crate::ledger::{Health, LedgerError, Position};

/// What was seen last. See the module's documentation.
#[derive(Debug)]
pub(super) struct Stand {
    level: Level,
    /// LOCK: copies only.
    seen: Mutex<Seen>,
    /// An unsafe setting was found that nobody has accepted.
    is_unsafe: AtomicBool,
    open_lines: AtomicU64,
}

#[derive(Debug)]
struct Seen {
    /// Of each partition the last change that any answer spoke of; durable at the level, since
    /// answers wait for it.
    positions: Vec<Position>,
    expected: Expected,
    /// Names of the findings that were told.
    told: Vec<&'static str>,
}

impl Stand {
    pub(super) fn new(expected: Expected, partitions: usize) -> Self {
        Self {
            level: expected.level,
            seen: Mutex::new(Seen {
                positions: vec![Position::default(); partitions],
                expected,
                told: Vec::new(),
            }),
            is_unsafe: AtomicBool::new(false),
            open_lines: AtomicU64::new(0),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether promises may be made.
    pub(super) fn admit(&self) -> Result<(), LedgerError> {
        if self.is_unsafe.load(Ordering::Relaxed) {
            Err(LedgerError::Unavailable)
        } else {
            Ok(())
        }
    }

    /// Takes note of a reply of a partition.
    pub(super) fn saw(&self, partition: u16, header: &Header) {
        let position = Position {
            epoch: header.epoch,
            sequence: header.last,
        };
        if let Some(last) = self.lock().positions.get_mut(usize::from(partition)) {
            *last = position.max(*last);
        }
    }

    /// Judges what a look at the store found, and tells what is new.
    pub(super) fn look(&self, looked: Result<Facts, Why>) -> Option<Report> {
        let facts = match looked {
            Ok(facts) => facts,
            Err(why) => {
                tracing::warn!(%why, "the store cannot be looked at");
                return None;
            }
        };
        let mut seen = self.lock();
        let report = judge(&facts, &seen.expected);
        tell(&report, &mut seen.told);
        if report.is_safe() {
            seen.expected.seen = facts.marker.or(seen.expected.seen.take());
        }
        self.is_unsafe.store(!report.is_safe(), Ordering::Relaxed);
        Some(report)
    }

    pub(super) fn health(&self) -> Health {
        Health {
            durability: self.level.durability,
            durable: self.position(0),
            queued_bytes: 0,
            poisoned: false,
            is_safe: !self.is_unsafe.load(Ordering::Relaxed),
        }
    }

    /// The last change of a partition that any answer spoke of.
    pub(super) fn position(&self, partition: u16) -> Position {
        let seen = self.lock();
        let position = seen.positions.get(usize::from(partition));
        position.copied().unwrap_or_default()
    }

    pub(super) fn open_lines(&self) -> u64 {
        self.open_lines.load(Ordering::Relaxed)
    }

    pub(super) fn count_open_lines(&self, lines: u64) {
        self.open_lines.store(lines, Ordering::Relaxed);
    }
}

/// Logs every finding once, for as long as it stands.
fn tell(report: &Report, told: &mut Vec<&'static str>) {
    let stands = |name: &&'static str| report.findings.iter().any(|found| found.name == *name);
    for name in told.extract_if(.., |name| !stands(&&**name)) {
        tracing::info!(name, "a setting of the store is safe again");
    }
    for finding in &report.findings {
        let Finding {
            name,
            found,
            fix,
            severity,
        } = finding;
        if told.contains(name) {
            continue;
        }
        told.push(name);
        match severity {
            Severity::Refused => {
                tracing::error!(name, found, fix, "unsafe setting of the store: no promises");
            }
            Severity::Accepted => {
                tracing::warn!(name, found, "unsafe setting of the store, accepted by name");
            }
            Severity::Warned => tracing::warn!(name, found, fix, "setting of the store"),
        }
    }
}
