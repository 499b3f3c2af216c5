//! `holdfast doctor`: what would go wrong here, found before it does.

use std::fs;
use std::io;
use std::net::TcpListener;
use std::path::{Path, PathBuf};

use serde_json::json;

use super::args::Doctor;
use super::open::{self, InStore, Why};
use super::{Exit, Failure, advice, load_config, output, probe};
use crate::clock::Clock;
use crate::config::{Config, StoreSettings};
use crate::ledger::remote;
use crate::ledger::remote::link::Address;
use crate::ledger::remote::preflight::Severity;
use crate::limits::{FILES_KEPT, FILES_OF_THREAD, GUESTS_MAX};
use crate::telemetry::Meters;

/// A sync slower than this at the 99th percentile is what callers will feel.
const SYNC_SLOW_NS: u64 = 20_000_000;
/// Free space that is worth a warning, bytes.
const FREE_LOW: u64 = 5 * 1024 * 1024 * 1024;
/// 2025-01-01: a clock before this program was written is wrong.
const CLOCK_MIN_MS: i64 = 1_735_689_600_000;
/// 2100-01-01.
const CLOCK_MAX_MS: i64 = 4_102_444_800_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Grade {
    Good,
    Warn,
    Bad,
}

/// One line of the report.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Finding {
    grade: Grade,
    what: &'static str,
    found: String,
    /// What to do; empty where there is nothing to do.
    fix: String,
}

impl Finding {
    fn good(what: &'static str, found: impl Into<String>) -> Self {
        Self {
            grade: Grade::Good,
            what,
            found: found.into(),
            fix: String::new(),
        }
    }

    fn warn(what: &'static str, found: impl Into<String>, fix: impl Into<String>) -> Self {
        Self {
            grade: Grade::Warn,
            what,
            found: found.into(),
            fix: fix.into(),
        }
    }

    fn bad(what: &'static str, found: impl Into<String>, fix: impl Into<String>) -> Self {
        Self {
            grade: Grade::Bad,
            what,
            found: found.into(),
            fix: fix.into(),
        }
    }
}

/// Examines the machine and the folder and prints what it found.
pub fn run(arguments: &Doctor) -> Result<(), Failure> {
    let config = load_config(&arguments.flags())?.config;
    let mut findings = match (&config.store, &arguments.accept_loss) {
        (StoreSettings::Embedded, None) => data_folder(&config),
        (StoreSettings::Embedded, Some(_)) => {
            let message = "--accept-loss is about a ledger in a store: name it with --store";
            return Err(Failure::new(Exit::Usage, message));
        }
        (StoreSettings::Remote(address), loss) => {
            let accepted = loss.iter().map(|loss| accept(&config, address, loss));
            let mut findings: Vec<Finding> = accepted.collect();
            findings.extend(store(&config, address));
            findings
        }
    };
    findings.push(open_files(&config));
    findings.push(clock(Clock::system().now().0));
    findings.push(port(&config));
    report(&findings, arguments.output.is_json())?;
    match findings.iter().filter(|f| f.grade == Grade::Bad).count() {
        0 => Ok(()),
        n => Err(Failure::new(Exit::Failed, format!("{n} checks failed"))),
    }
}

/// What the embedded ledger needs.
fn data_folder(config: &Config) -> Vec<Finding> {
    let folder = nearest(&config.data);
    let mut findings = vec![writable(&config.data, &folder)];
    if findings.iter().all(|f| f.grade != Grade::Bad) {
        findings.push(sync(&folder));
    }
    findings.push(free_space(&folder));
    findings.push(journal(config));
    findings
}

/// Lets a ledger go on without what its store has lost.
fn accept(config: &Config, address: &Address, loss: &str) -> Finding {
    let what = "loss";
    let settings = open::remote_settings(config, address, InStore::Expected, Meters::new());
    match remote::accept_loss(&settings, loss) {
        Ok(Some(epoch)) => {
            let found = format!("{loss} is accepted; the ledger goes on in epoch {epoch}");
            Finding::good(what, found)
        }
        Ok(None) => {
            let found = format!("the store is not stopped for a loss {loss}");
            Finding::bad(
                what,
                found,
                "take the name from doctor without --accept-loss",
            )
        }
        Err(error) => Finding::bad(what, error.to_string(), advice::on_store(&error)),
    }
}

/// What a ledger in a store needs.
fn store(config: &Config, address: &Address) -> Vec<Finding> {
    let settings = open::remote_settings(config, address, InStore::Expected, Meters::new());
    let report = match remote::inspect(&settings) {
        Ok(report) => report,
        Err(error) => {
            let fix = advice::on_store(&error);
            return vec![Finding::bad("store", error.to_string(), fix)];
        }
    };
    let mut findings: Vec<Finding> = report
        .findings
        .into_iter()
        .map(|found| {
            let what = found.name;
            match found.severity {
                Severity::Refused => Finding::bad(what, found.found, found.fix),
                Severity::Accepted => {
                    let fix = format!("accepted by name; else: {}", found.fix);
                    Finding::warn(what, found.found, fix)
                }
                Severity::Warned => Finding::warn(what, found.found, found.fix),
            }
        })
        .collect();
    for what in report.unverified {
        let fix = "look at the server's configuration by hand";
        findings.push(Finding::warn(what, "the server does not tell", fix));
    }
    if findings.iter().all(|found| found.grade == Grade::Good) {
        let level = config.durability.as_str();
        let found = format!("{address} can keep what durability {level} promises");
        findings.push(Finding::good("store", found));
    }
    findings
}

/// The folder itself, or the nearest one above it that exists.
fn nearest(data: &Path) -> PathBuf {
    let data = std::path::absolute(data).unwrap_or_else(|_error| data.to_owned());
    data.ancestors()
        .find(|path| path.exists())
        .unwrap_or(&data)
        .to_owned()
}

fn writable(data: &Path, folder: &Path) -> Finding {
    let what = "data folder";
    let shown = data.display();
    let probe = folder.join(format!("holdfast-probe-{}", std::process::id()));
    if !folder.is_dir() {
        return Finding::bad(
            what,
            format!("{} is not a folder", folder.display()),
            "use another --data",
        );
    }
    match fs::write(&probe, b"").and_then(|()| fs::remove_file(&probe)) {
        Ok(()) if data.is_dir() => Finding::good(what, format!("{shown} can be written")),
        Ok(()) => Finding::good(what, format!("{shown} is not there yet and can be made")),
        Err(error) => {
            let found = format!("{shown} cannot be written: {error}");
            Finding::bad(what, found, advice::on_file(&error))
        }
    }
}

fn sync(folder: &Path) -> Finding {
    let what = "sync of 4 KiB";
    match probe::sync_latency(folder) {
        Err(error) => Finding::bad(what, error.to_string(), advice::on_file(&error)),
        Ok(times) => {
            let (p50, p99) = (times.value_at_quantile(0.5), times.value_at_quantile(0.99));
            let found = format!("p50 {}, p99 {}", probe::human(p50), probe::human(p99));
            if p99 > SYNC_SLOW_NS {
                let fix = "callers wait this long with durability = \"disk\"; use a faster disk";
                Finding::warn(what, found, fix)
            } else {
                Finding::good(what, found)
            }
        }
    }
}

fn free_space(folder: &Path) -> Finding {
    let what = "free space";
    match rustix::fs::statvfs(folder) {
        Err(error) => Finding::warn(what, io::Error::from(error).to_string(), "look by hand: df"),
        Ok(stat) => {
            let free = stat.f_bavail.saturating_mul(stat.f_frsize);
            let found = format!("{} MiB", free / (1024 * 1024));
            if free < FREE_LOW {
                Finding::warn(
                    what,
                    found,
                    "the journal and two snapshots need room; clear some",
                )
            } else {
                Finding::good(what, found)
            }
        }
    }
}

/// Opens the folder as it is: that needs the lock, and reads the newest snapshot and the journal.
fn journal(config: &Config) -> Finding {
    let what = "journal";
    match open::engine_to_look(config) {
        Ok(opened) => {
            let sequence = opened.engine.health().durable.sequence;
            // Nothing was written, so nothing can fail to be.
            let _ = opened.engine.close();
            let took = opened.took.as_secs_f64();
            Finding::good(
                what,
                format!("readable up to record {sequence}, in {took:.2} s"),
            )
        }
        Err(failure) => match failure.why {
            Why::New => Finding::good(what, "none yet"),
            Why::Locked => {
                let fix = "stop that process to have the journal examined";
                Finding::warn(what, failure.found, fix)
            }
            Why::Away | Why::Other => Finding::bad(what, failure.found, failure.fix),
        },
    }
}

fn open_files(config: &Config) -> Finding {
    let what = "open files";
    let of_threads = config.http.threads.get().saturating_mul(FILES_OF_THREAD);
    let others = of_threads.saturating_add(GUESTS_MAX + FILES_KEPT);
    let needed = config.http.connections_max.saturating_add(others);
    let needed = u64::try_from(needed).unwrap_or(u64::MAX);
    match probe::open_files_max() {
        None => Finding::good(what, "no limit"),
        Some(limit) if limit < needed => {
            let fix = format!(
                "http.connections_max = {} needs {needed}: ulimit -Hn {needed}, or LimitNOFILE=; until then \
                 there are fewer connections",
                config.http.connections_max
            );
            Finding::warn(what, format!("at most {limit}"), fix)
        }
        Some(limit) => Finding::good(what, format!("at most {limit}")),
    }
}

fn clock(now_ms: i64) -> Finding {
    let what = "clock";
    if (CLOCK_MIN_MS..CLOCK_MAX_MS).contains(&now_ms) {
        Finding::good(what, "plausible")
    } else {
        Finding::bad(
            what,
            format!("{now_ms} ms since 1970"),
            "set the clock: deadlines need it",
        )
    }
}

fn port(config: &Config) -> Finding {
    let what = "address";
    match TcpListener::bind(config.listen) {
        Ok(_) => Finding::good(what, format!("{} is free", config.listen)),
        Err(error) => Finding::warn(
            what,
            format!("{}: {error}", config.listen),
            advice::on_listening(&error),
        ),
    }
}

fn report(findings: &[Finding], is_json: bool) -> Result<(), Failure> {
    let word = |grade| match grade {
        Grade::Good => ("✓", "good"),
        Grade::Warn => ("!", "warning"),
        Grade::Bad => ("✗", "bad"),
    };
    if is_json {
        let list: Vec<_> = findings
            .iter()
            .map(|f| json!({"check": f.what, "grade": word(f.grade).1, "found": f.found, "fix": f.fix}))
            .collect();
        return output::json(&json!({"machine": probe::machine(), "checks": list}));
    }
    output::line(&probe::machine())?;
    for Finding {
        grade,
        what,
        found,
        fix,
    } in findings
    {
        let mark = word(*grade).0;
        let fix = if fix.is_empty() {
            String::new()
        } else {
            format!("\n    → {fix}")
        };
        output::line(&format!("{mark} {what:<14} {found}{fix}"))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_of_another_century_is_bad() {
        assert_eq!(clock(0).grade, Grade::Bad);
        assert_eq!(clock(1_800_000_000_000).grade, Grade::Good);
    }

    #[test]
    fn the_nearest_folder_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        assert_eq!(nearest(&root.join("a/b")), root);
        assert_eq!(nearest(&root), root);
    }
}
