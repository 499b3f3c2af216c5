//! Which settings of a store are unsafe, and what to do about each.

use super::facts::{Facts, SentinelFacts};
use super::{Finding, Report, Severity};
use crate::ledger::Durability;
use crate::ledger::remote::link::Level;

/// Sentinel decides by samples that may be this old, milliseconds.
const SENTINEL_DOWN_AFTER_MS_MIN: u64 = 5_000;

/// The oldest protocol with everything that the scripts need.
const VERSION_MIN: (u32, u32) = (7, 0);

/// Name of the finding that acknowledged changes are missing.
pub const HISTORY: &str = "history";

/// What the configuration promises, and what was seen before.
#[derive(Debug, Clone)]
pub struct Expected {
    /// What an acknowledgement waits for.
    pub level: Level,
    /// Names of findings that the operator takes responsibility for.
    pub accepted: Vec<String>,
}

/// Collects what is wrong.
struct Inspection<'a> {
    facts: &'a Facts,
    expected: &'a Expected,
    report: Report,
}

/// Judges what was found out about a store.
pub fn judge(facts: &Facts, expected: &Expected) -> Report {
    let mut inspection = Inspection {
        facts,
        expected,
        report: Report::default(),
    };
    inspection.server();
    inspection.memory();
    inspection.disk();
    inspection.replicas();
    inspection.cluster();
    inspection.sentinel();
    inspection.access();
    inspection.history();
    inspection.report
}

impl Inspection<'_> {
    fn refuse(&mut self, name: &'static str, found: String, fix: &'static str) {
        let is_accepted = self.expected.accepted.iter().any(|one| one == name);
        let severity = if is_accepted {
            Severity::Accepted
        } else {
            Severity::Refused
        };
        self.report.findings.push(Finding {
            name,
            found,
            fix,
            severity,
        });
    }

    /// What is known; notes what is not.
    fn known<T>(&mut self, name: &'static str, fact: Option<T>) -> Option<T> {
        if fact.is_none() {
            self.report.unverified.push(name);
        }
        fact
    }

    fn server(&mut self) {
        match self.known("version", self.facts.version) {
            Some(version) if version < VERSION_MIN => self.refuse(
                "version",
                format!("version {}.{}", version.0, version.1),
                "run Redis 7.0 or newer, or Valkey",
            ),
            _ => {}
        }
        if self.known("role", self.facts.is_primary) == Some(false) {
            self.refuse(
                "role",
                "the server is a replica".to_owned(),
                "give the address of the primary, or of the Sentinels that know it",
            );
        }
    }

    fn memory(&mut self) {
        match self.known("eviction", self.facts.eviction.clone()) {
            Some(policy) if policy != "noeviction" => self.refuse(
                "eviction",
                format!("maxmemory-policy is {policy}"),
                "set maxmemory-policy to noeviction: eviction throws stock away",
            ),
            _ => {}
        }
        if self.known("maxmemory", self.facts.maxmemory) == Some(0) {
            self.report.findings.push(Finding {
                name: "maxmemory",
                found: "maxmemory is not set".to_owned(),
                fix: "set maxmemory below the memory of the machine, or the system will kill the \
                      server when it is used up",
                severity: Severity::Warned,
            });
        }
    }

    fn disk(&mut self) {
        let durability = self.expected.level.durability;
        if !matches!(durability, Durability::Disk | Durability::ReplicaDisk) {
            return;
        }
        if self.known("aof", self.facts.has_aof) == Some(false) {
            self.refuse(
                "aof",
                "appendonly is no".to_owned(),
                "set appendonly to yes on every server",
            );
        }
        match self.facts.appendfsync.clone() {
            Some(policy) if policy == "always" => {}
            Some(policy) => self.refuse(
                "appendfsync",
                format!("appendfsync is {policy}"),
                "set appendfsync to always on every server, or choose another durability",
            ),
            None => self.refuse(
                "appendfsync",
                "the server does not tell its appendfsync".to_owned(),
                "allow CONFIG GET, or make sure that it is always and accept this by name",
            ),
        }
        if durability == Durability::ReplicaDisk && self.facts.has_waitaof == Some(false) {
            self.refuse(
                "waitaof",
                "the server has no WAITAOF".to_owned(),
                "run Redis 7.2 or newer, or Valkey, or choose another durability",
            );
        }
    }

    fn replicas(&mut self) {
        let Level {
            durability,
            replicas: wanted,
            ..
        } = self.expected.level;
        if !matches!(durability, Durability::Replica | Durability::ReplicaDisk) {
            return;
        }
        let wanted = u64::from(wanted);
        if let Some(attached) = self.known("replicas", self.facts.replicas) {
            if attached < wanted || wanted == 0 {
                self.refuse(
                    "replicas",
                    format!("{attached} replicas are up to date, {wanted} are configured"),
                    "bring the missing replicas back; lower the number only after taking the \
                     lost one out for good",
                );
            }
            let remembered = self.facts.sentinel.map_or(0, |sentinel| sentinel.replicas);
            let promotable = attached.max(remembered);
            if promotable > wanted {
                self.refuse(
                    "promotable",
                    format!("{promotable} replicas could be promoted, {wanted} are waited for"),
                    "wait for all of them, or give the others replica-priority 0 and accept this \
                     by name",
                );
            }
        }
        if self.known("min-replicas", self.facts.min_replicas) == Some(0) {
            self.refuse(
                "min-replicas",
                "min-replicas-to-write is 0".to_owned(),
                "set min-replicas-to-write to 1: it stops a primary that is cut off",
            );
        }
    }

    fn cluster(&mut self) {
        if !self.facts.is_cluster {
            return;
        }
        if self.known("replica-migration", self.facts.replica_migration) == Some(true) {
            self.refuse(
                "replica-migration",
                "cluster-allow-replica-migration is yes".to_owned(),
                "set it to no: the number of replicas of a primary must not change by itself",
            );
        }
        if self.known("full-coverage", self.facts.full_coverage) == Some(true) {
            self.refuse(
                "full-coverage",
                "cluster-require-full-coverage is yes".to_owned(),
                "set it to no: partitions that are there must go on when another is lost",
            );
        }
    }

    fn sentinel(&mut self) {
        let Some(SentinelFacts {
            down_after_ms,
            quorum,
            sentinels,
            ..
        }) = self.facts.sentinel
        else {
            return;
        };
        if down_after_ms < SENTINEL_DOWN_AFTER_MS_MIN {
            self.refuse(
                "sentinel-down-after",
                format!("down-after-milliseconds is {down_after_ms}"),
                "set it to 5000 or more: below that Sentinel chooses by samples that are older \
                 than the fault",
            );
        }
        if quorum <= sentinels / 2 {
            self.refuse(
                "sentinel-quorum",
                format!("{quorum} of {sentinels} sentinels decide"),
                "set the quorum to more than half of the sentinels",
            );
        }
    }

    fn access(&mut self) {
        if self.facts.is_local {
            return;
        }
        if !self.facts.is_encrypted {
            self.refuse(
                "plaintext",
                "the connection leaves this machine unencrypted".to_owned(),
                "use rediss://, or accept this by name on a private network",
            );
        }
        if self.known("default-user", self.facts.is_open) == Some(true) {
            self.refuse(
                "default-user",
                "the default user needs no password".to_owned(),
                "set requirepass, or switch the default user off and give holdfast its own",
            );
        }
    }

    fn history(&mut self) {
        let markers = self.facts.contacts.iter().map(|contact| &contact.marker);
        if self.facts.contacts.is_empty() || { markers }.any(Option::is_none) {
            return self.refuse(
                "marker",
                "the store holds no ledger under this namespace".to_owned(),
                "initialise it; if it held one before, it was lost: restore it first",
            );
        }
        let losses: Vec<String> = (0_u16..)
            .zip(&self.facts.contacts)
            .filter_map(|(partition, contact)| match &contact.stopped {
                Some(loss) => Some(loss.clone()),
                None => Some(format!("{partition}.{}", contact.missing()?.position)),
            })
            .collect();
        if losses.is_empty() {
            return;
        }
        // To be accepted once, by its own name, not by that of the rule for ever.
        self.report.findings.push(Finding {
            name: HISTORY,
            found: format!(
                "acknowledged changes are missing; lost: {}",
                losses.join(", ")
            ),
            fix: "bring back the server that has them; or compare with the books by the list in \
                  the log, then accept that loss by its name: doctor --accept-loss",
            severity: Severity::Refused,
        });
    }
}

#[cfg(test)]
#[path = "rules_tests.rs"]
mod tests;
