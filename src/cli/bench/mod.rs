//! `holdfast bench`: what the engine does in this process, without a network.
//!
//! Each run has a fresh data folder. Commands are sent without waiting for the disk one by one: a
//! thread keeps a window of them in flight, as a server with that many callers does. What was
//! accepted and what was refused are timed apart.

mod load;

use std::path::PathBuf;

use hdrhistogram::Histogram;
use serde_json::{Value, json};

use super::args::Bench;
use super::open::{self, InStore};
use super::{Exit, Failure, judge, load_config, number, output, probe};
use crate::blocking::wait_for;
use crate::config::{Config, StoreSettings};
use crate::ledger::Durability;
use load::{Tally, Work};

/// One run.
struct Run {
    name: &'static str,
    durability: Durability,
    threads: u16,
    tally: Tally,
}

/// Runs every case and prints the figures.
pub fn run(arguments: &Bench) -> Result<(), Failure> {
    let config = load_config(&arguments.ledger.flags())?.config;
    if config.store != StoreSettings::Embedded {
        let message = "bench measures the embedded ledger; measure a store through a server, with \
                       holdfast-loadtest run";
        return Err(Failure::new(Exit::Usage, message));
    }
    let inside = arguments
        .ledger
        .data
        .clone()
        .unwrap_or_else(|| PathBuf::from("."));
    open::make(&inside)?;
    let syncs = probe::sync_latency(&inside)?;
    let levels = match arguments.ledger.durability {
        Some(_) => vec![config.durability],
        None => vec![Durability::Os, Durability::Disk],
    };
    let mut runs = Vec::new();
    for durability in levels {
        for (name, work, skus) in cases(arguments) {
            for threads in threads(arguments) {
                let plan = load::Plan {
                    work,
                    skus,
                    threads,
                    operations: arguments.reservations,
                };
                output::note(&format!(
                    "{name}, {}, {threads} threads",
                    durability.as_str()
                ));
                let tally = measure(&config, &inside, durability, &plan)?;
                runs.push(Run {
                    name,
                    durability,
                    threads,
                    tally,
                });
            }
        }
    }
    if arguments.output.is_json() {
        output::json(&to_json(arguments, &syncs, &runs))
    } else {
        print(arguments, &syncs, &runs)
    }
}

fn cases(arguments: &Bench) -> [(&'static str, Work, u32); 4] {
    [
        ("reserve, one hot SKU", Work::Reserve, 1),
        ("reserve, spread", Work::Reserve, arguments.skus),
        ("reserve, sold out", Work::Refuse, 1),
        ("reserve, confirm, ship", Work::Cycle, arguments.skus),
    ]
}

fn threads(arguments: &Bench) -> Vec<u16> {
    if arguments.threads == 1 {
        vec![1]
    } else {
        vec![1, arguments.threads]
    }
}

fn measure(
    config: &Config,
    inside: &std::path::Path,
    durability: Durability,
    plan: &load::Plan,
) -> Result<Tally, Failure> {
    let folder = open::Folder::temporary(inside, "bench")?;
    let config = Config {
        data: folder.path().to_owned(),
        durability,
        ..config.clone()
    };
    let opened = open::engine(&config, InStore::Expected)?;
    let tally = load::run(&opened.engine, plan);
    let recount = wait_for(opened.engine.recount())?;
    opened.engine.close()?;
    drop(folder);
    judge(&recount)?;
    tally
}

fn percentiles(times: &Histogram<u64>) -> Value {
    json!({
        "samples": times.len(),
        "p50_ns": times.value_at_quantile(0.5),
        "p99_ns": times.value_at_quantile(0.99),
        "p99_9_ns": times.value_at_quantile(0.999),
        "max_ns": times.max(),
    })
}

fn to_json(arguments: &Bench, syncs: &Histogram<u64>, runs: &[Run]) -> Value {
    let list: Vec<_> = runs
        .iter()
        .map(|run| {
            json!({
                "name": run.name,
                "durability": run.durability.as_str(),
                "threads": run.threads,
                "operations": run.tally.operations(),
                "accepted": run.tally.accepted,
                "refused": run.tally.refused,
                "seconds": run.tally.seconds,
                "operations_per_second": run.tally.per_second(),
                "decide": percentiles(&run.tally.decide),
                "accepted_durable": percentiles(&run.tally.accepted_times),
                "refused_durable": percentiles(&run.tally.refused_times),
            })
        })
        .collect();
    json!({
        "machine": probe::machine(),
        "fsync": percentiles(syncs),
        "skus": arguments.skus,
        "reservations": arguments.reservations,
        "in_flight_per_thread": load::WINDOW,
        "runs": list,
    })
}

fn print(arguments: &Bench, syncs: &Histogram<u64>, runs: &[Run]) -> Result<(), Failure> {
    output::table(&[
        ("machine", probe::machine()),
        ("fsync of 4 KiB", spread(syncs)),
        ("spread over", format!("{} SKUs", arguments.skus)),
        ("in flight", format!("{} commands a thread", load::WINDOW)),
    ])?;
    output::line(&format!(
        "\n{:<24} {:<5} {:>7} {:>12} {:>10}  {:<26} {:<26} {}",
        "run", "level", "threads", "ops/s", "refused", "decide", "accepted, durable", "refused"
    ))?;
    for run in runs {
        let tally = &run.tally;
        output::line(&format!(
            "{:<24} {:<5} {:>7} {:>12.0} {:>10}  {:<26} {:<26} {}",
            run.name,
            run.durability.as_str(),
            run.threads,
            tally.per_second(),
            tally.refused,
            spread(&tally.decide),
            spread(&tally.accepted_times),
            spread(&tally.refused_times),
        ))?;
    }
    output::line("\ntimes are p50 / p99; one of 16 commands is timed")
}

fn spread(times: &Histogram<u64>) -> String {
    if times.is_empty() {
        return "-".to_owned();
    }
    let at = |quantile| probe::human(times.value_at_quantile(quantile));
    format!("{} / {}", at(0.5), at(0.99))
}

impl Tally {
    fn operations(&self) -> u64 {
        self.accepted + self.refused
    }

    fn per_second(&self) -> f64 {
        number::to_f64(self.operations()) / self.seconds.max(1e-9)
    }
}
