//! Where the ledger stands, as far as this instance has seen.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::history::History;
use super::link::{Level, Target, Why};
use super::preflight::{Expected, Facts, Finding, HISTORY, Report, Severity, judge};
use crate::ledger::{Gauges, Health, LedgerError, Missing, Position};

/// What was seen last. See the module's documentation.
#[derive(Debug)]
pub(super) struct Stand {
    level: Level,
    expected: Expected,
    target: Arc<Target>,
    /// Names of the findings that were told. LOCK: while they are told.
    told: Mutex<Vec<&'static str>>,
    /// An unsafe setting was found that nobody has accepted.
    is_unsafe: AtomicBool,
    /// A partition lacks what was acknowledged. It refuses by itself; the others go on.
    is_stopped: AtomicBool,
    /// LOCK: while they are copied.
    gauges: Mutex<Gauges>,
    /// Rounds of upkeep one after the other in which the store could not be used.
    away: AtomicU32,
}

/// As many such rounds as make an instance of a ledger of one partition not ready: a single failure
/// says little. Where there are several partitions, those that can be reached are served.
const AWAY: u32 = 3;

impl Stand {
    pub(super) const fn new(expected: Expected, target: Arc<Target>) -> Self {
        Self {
            level: expected.level,
            expected,
            target,
            told: Mutex::new(Vec::new()),
            is_stopped: AtomicBool::new(false),
            is_unsafe: AtomicBool::new(false),
            gauges: Mutex::new(Gauges {
                open_lines: 0,
                missing: Missing { skus: 0, units: 0 },
            }),
            away: AtomicU32::new(0),
        }
    }

    /// Whether promises may be made.
    pub(super) fn admit(&self) -> Result<(), LedgerError> {
        if self.is_unsafe.load(Ordering::Relaxed) {
            Err(LedgerError::Unavailable)
        } else {
            Ok(())
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
        let report = judge(&facts, &self.expected);
        tell(
            &report,
            &mut self.told.lock().unwrap_or_else(PoisonError::into_inner),
        );
        for (history, contact) in self.target.histories.iter().zip(&facts.contacts) {
            history.resume(contact);
        }
        let is_unsafe = report.refused().any(|finding| finding.name != HISTORY);
        self.is_unsafe.store(is_unsafe, Ordering::Relaxed);
        let is_stopped = report.refused().any(|finding| finding.name == HISTORY);
        self.is_stopped.store(is_stopped, Ordering::Relaxed);
        Some(report)
    }

    pub(super) fn health(&self) -> Health {
        Health {
            durability: self.level.durability,
            durable: self.position(0),
            queued_bytes: 0,
            poisoned: false,
            is_safe: !self.is_unsafe.load(Ordering::Relaxed)
                && !self.is_stopped.load(Ordering::Relaxed)
                && !self.is_away()
                && !self.target.histories.iter().any(History::is_lost),
            mirror: None,
        }
    }

    /// Takes note of how a round of upkeep ended.
    pub(super) fn note_round<T>(&self, ended: &Result<T, LedgerError>) {
        match ended {
            Err(LedgerError::Unavailable) => {
                let rounds = self.away.load(Ordering::Relaxed).saturating_add(1);
                self.away.store(rounds, Ordering::Relaxed);
            }
            Ok(_) | Err(_) => self.away.store(0, Ordering::Relaxed),
        }
    }

    fn is_away(&self) -> bool {
        self.target.partitions() == 1 && self.away.load(Ordering::Relaxed) >= AWAY
    }

    /// The last change of a partition that any answer spoke of.
    pub(super) fn position(&self, partition: u16) -> Position {
        let history = self.target.history(partition);
        history.map(History::position).unwrap_or_default()
    }

    pub(super) fn gauges(&self) -> Gauges {
        *self.gauges.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn put_gauges(&self, gauges: Gauges) {
        *self.gauges.lock().unwrap_or_else(PoisonError::into_inner) = gauges;
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
