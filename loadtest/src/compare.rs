//! Side by side: the no-op server and the engine, in turn, in one run.
//!
//! Absolute figures depend on the machine and its mood; the ratios of one run much less. So the
//! repetitions are interleaved, every other one in reverse order, and medians are compared.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Serialize;

use crate::Failure;
use crate::machine::Machine;
use crate::run::{Plan, Scenario, run};
use crate::scrape::{Page, scrape};
use crate::server::{Durability, Scratch, Server, seed, verify};
use crate::tally::Report;
use crate::template::SKUS;

const FSYNC: &str = "holdfast_journal_fsync_duration_seconds";

/// What to compare.
pub(crate) struct Comparison {
    pub(crate) binary: PathBuf,
    /// Where data folders are made: must be a real disk.
    pub(crate) scratch: PathBuf,
    pub(crate) quick: bool,
    pub(crate) repetitions: usize,
    pub(crate) measured: Duration,
    pub(crate) threads: usize,
    /// Only cells whose name contains this.
    pub(crate) only: String,
}

/// One thing that is measured.
#[derive(Debug, Clone, Serialize)]
struct Cell {
    name: String,
    scenario: Scenario,
    connections: usize,
    batch_size: usize,
    /// `None`: the no-op server.
    durability: Option<Durability>,
    /// Name of the cell that the ratios are to.
    yardstick: Option<String>,
    in_quick: bool,
}

/// What one repetition of a cell showed.
#[derive(Debug, Clone, Serialize)]
struct Sample {
    #[serde(flatten)]
    report: Report,
    server_cores: f64,
    fsync_p50_ms: Option<f64>,
    fsync_p99_ms: Option<f64>,
}

/// A cell's medians.
#[derive(Debug, Serialize)]
struct Row {
    cell: Cell,
    per_second: f64,
    per_second_min: f64,
    per_second_max: f64,
    p50_ms: f64,
    p99_ms: f64,
    p999_ms: f64,
    accepted: u64,
    refused: u64,
    errors: u64,
    server_cores: f64,
    generator_cores: f64,
    fsync_p50_ms: Option<f64>,
    fsync_p99_ms: Option<f64>,
    /// Throughput against the yardstick's.
    ratio: Option<f64>,
    /// p99 against the yardstick's.
    p99_ratio: Option<f64>,
    samples: Vec<Sample>,
}

#[derive(Debug, Serialize)]
struct Document {
    machine: Machine,
    seconds_per_sample: f64,
    repetitions: usize,
    rows: Vec<Row>,
}

fn cell(
    scenario: Scenario,
    connections: usize,
    durability: Option<Durability>,
    in_quick: bool,
) -> Cell {
    let kind = match scenario {
        Scenario::ReserveHot => "reserve hot",
        Scenario::ReserveSpread => "reserve spread",
        Scenario::Soldout => "sold out",
        Scenario::Atp => "atp",
        Scenario::Cycle => "cycle",
        Scenario::BatchHot => "batch hot",
        Scenario::BatchSpread => "batch spread",
        Scenario::ClientHot => "client hot",
        Scenario::ClientSpread => "client spread",
    };
    let level = durability.map_or("no-op", Durability::word);
    let name = format!("{kind}, {connections}, {level}");
    let yardstick = match scenario {
        Scenario::Atp => Some(format!("atp, {connections}, no-op")),
        Scenario::ReserveHot | Scenario::ReserveSpread | Scenario::Soldout => {
            Some(format!("reserve hot, {connections}, no-op"))
        }
        Scenario::Cycle
        | Scenario::BatchHot
        | Scenario::BatchSpread
        | Scenario::ClientHot
        | Scenario::ClientSpread => None,
    };
    let yardstick = yardstick.filter(|_| durability.is_some());
    Cell {
        name,
        scenario,
        connections,
        batch_size: 0,
        durability,
        yardstick,
        in_quick,
    }
}

fn batch(scenario: Scenario, size: usize, in_quick: bool) -> Cell {
    let mut cell = cell(scenario, 4, Some(Durability::Disk), in_quick);
    cell.name = cell.name.replace(", 4,", &format!(" of {size}, 4,"));
    cell.batch_size = size;
    cell
}

fn cells() -> Vec<Cell> {
    use Durability::{Disk, Os};
    let mut cells = Vec::new();
    for connections in [64, 256] {
        cells.push(cell(Scenario::ReserveHot, connections, None, true));
        for durability in [Disk, Os] {
            cells.push(cell(
                Scenario::ReserveHot,
                connections,
                Some(durability),
                true,
            ));
            cells.push(cell(
                Scenario::ReserveSpread,
                connections,
                Some(durability),
                false,
            ));
        }
        cells.push(cell(
            Scenario::Soldout,
            connections,
            Some(Disk),
            connections == 256,
        ));
        cells.push(cell(Scenario::Atp, connections, None, connections == 64));
        cells.push(cell(
            Scenario::Atp,
            connections,
            Some(Disk),
            connections == 64,
        ));
    }
    cells.push(cell(Scenario::Cycle, 256, Some(Disk), false));
    for scenario in [Scenario::BatchHot, Scenario::BatchSpread] {
        cells.push(batch(scenario, 1_000, false));
        cells.push(batch(scenario, 8_192, scenario == Scenario::BatchSpread));
    }
    for scenario in [Scenario::ClientHot, Scenario::ClientSpread] {
        cells.push(cell(scenario, 64, Some(Disk), false));
        cells.push(cell(
            scenario,
            1_024,
            Some(Disk),
            scenario == Scenario::ClientSpread,
        ));
    }
    cells
}

/// Runs the comparison, prints its table, and writes the document.
pub(crate) fn compare(what: &Comparison, json: Option<&Path>) -> Result<(), Failure> {
    let mut out = std::io::stderr();
    let mut cells = cells();
    // A yardstick stays in when a cell that needs it does.
    let wanted: Vec<String> = cells
        .iter()
        .filter(|cell| (cell.in_quick || !what.quick) && cell.name.contains(&what.only))
        .flat_map(|cell| [Some(cell.name.clone()), cell.yardstick.clone()])
        .flatten()
        .collect();
    cells.retain(|cell| wanted.contains(&cell.name));
    let machine = Machine::look(&what.scratch);
    let mut samples: Vec<Vec<Sample>> = vec![Vec::new(); cells.len()];
    for repetition in 0..what.repetitions {
        let mut order: Vec<usize> = (0..cells.len()).collect();
        if repetition % 2 == 1 {
            order.reverse();
        }
        for at in order {
            let (Some(cell), Some(samples)) = (cells.get(at), samples.get_mut(at)) else {
                continue;
            };
            let sample = measure(what, cell).map_err(|e| format!("{}: {e}", cell.name))?;
            let rate = sample.report.main().per_second;
            writeln!(
                out,
                "{} of {}: {} {rate:.0}/s",
                repetition + 1,
                what.repetitions,
                cell.name
            )?;
            samples.push(sample);
        }
    }
    let mut rows: Vec<Row> = cells
        .into_iter()
        .zip(samples)
        .map(|(cell, samples)| Row::new(cell, samples))
        .collect();
    put_ratios(&mut rows);
    let document = Document {
        machine,
        seconds_per_sample: what.measured.as_secs_f64(),
        repetitions: what.repetitions,
        rows,
    };
    document.print(&mut std::io::stdout().lock())?;
    if let Some(path) = json {
        std::fs::write(path, serde_json::to_vec_pretty(&document)?)?;
    }
    let errors: u64 = document.rows.iter().map(|row| row.errors).sum();
    if errors > 0 {
        Err(format!("{errors} requests failed").into())
    } else {
        Ok(())
    }
}

/// One repetition: a fresh server, stock, the load, and the checks.
fn measure(what: &Comparison, cell: &Cell) -> Result<Sample, Failure> {
    let scratch = Scratch::new(&what.scratch, "data")?;
    let server = match cell.durability {
        None => Server::noop()?,
        Some(durability) => Server::holdfast(&what.binary, &scratch.0, durability)?,
    };
    if cell.durability.is_some() {
        let (count, on_hand) = match cell.scenario {
            Scenario::Soldout => (1, 0),
            Scenario::ReserveHot | Scenario::BatchHot | Scenario::ClientHot => {
                (1, 1_000_000_000_000)
            }
            Scenario::ReserveSpread
            | Scenario::Atp
            | Scenario::Cycle
            | Scenario::BatchSpread
            | Scenario::ClientSpread => (SKUS, 1_000_000_000),
        };
        seed(&server.address, count, on_hand)?;
    }
    let plan = Plan {
        address: server.address.clone(),
        scenario: cell.scenario,
        connections: cell.connections,
        rate: None,
        batch_size: cell.batch_size,
        threads: what.threads,
        lanes: None,
        warmup: what.measured.mul_f64(0.25).min(Duration::from_secs(2)),
        measured: what.measured,
    };
    let cpu_before = server.processor_seconds();
    let report = run(&plan)?;
    let took = (plan.warmup + plan.measured).as_secs_f64();
    let server_cores = (server.processor_seconds() - cpu_before) / took;
    let page = match cell.durability {
        Some(_) => Some(scrape(&server.address)?),
        None => None,
    };
    server.stop()?;
    let fsync = |q| {
        page.as_ref()
            .and_then(|page| page.quantile(FSYNC, q))
            .map(|s| s * 1e3)
    };
    let (fsync_p50_ms, fsync_p99_ms) = (fsync(0.5), fsync(0.99));
    if let Some(page) = &page {
        check(cell, &report, page)?;
        verify(&what.binary, &scratch.0)?;
    }
    Ok(Sample {
        report,
        server_cores,
        fsync_p50_ms,
        fsync_p99_ms,
    })
}

/// What the generator counted and what the server counted must be the same reservations.
fn check(cell: &Cell, report: &Report, page: &Page) -> Result<(), Failure> {
    if let Some(error) = &report.error {
        return Err(format!("{} requests failed, for instance: {error}", report.errors).into());
    }
    let oversold = page.sum("holdfast_oversold_units_total", &[]);
    let violations = page.sum("holdfast_invariant_violations_total", &[]);
    if oversold + violations > 0.0 {
        return Err(format!("{oversold} units oversold, {violations} violations").into());
    }
    if cell.scenario == Scenario::Atp {
        return Ok(());
    }
    let labels = ["op=\"reserve\"", "outcome=\"ok\""];
    let counted = page.sum("holdfast_reservation_ops_total", &labels);
    if format!("{counted}") != report.reserved_ever.to_string() {
        let ours = report.reserved_ever;
        return Err(format!("the server counted {counted} reservations, the load {ours}").into());
    }
    Ok(())
}

impl Row {
    fn new(cell: Cell, samples: Vec<Sample>) -> Self {
        let of = |value: fn(&Sample) -> f64| median(samples.iter().map(value).collect());
        let maybe = |value: fn(&Sample) -> Option<f64>| {
            let values: Vec<f64> = samples.iter().filter_map(value).collect();
            (!values.is_empty()).then(|| median(values))
        };
        let rates = samples.iter().map(|sample| sample.report.main().per_second);
        let (low, high) = rates.fold((f64::MAX, 0.0_f64), |(a, b), r| (a.min(r), b.max(r)));
        Self {
            per_second: of(|sample| sample.report.main().per_second),
            per_second_min: low,
            per_second_max: high,
            p50_ms: of(|sample| sample.report.main().p50_ms),
            p99_ms: of(|sample| sample.report.main().p99_ms),
            p999_ms: of(|sample| sample.report.main().p999_ms),
            accepted: samples
                .iter()
                .map(|sample| sample.report.accepted.count)
                .sum(),
            refused: samples
                .iter()
                .map(|sample| sample.report.refused.count)
                .sum(),
            errors: samples.iter().map(|sample| sample.report.errors).sum(),
            server_cores: of(|sample| sample.server_cores),
            generator_cores: of(|sample| sample.report.generator_cores),
            fsync_p50_ms: maybe(|sample| sample.fsync_p50_ms),
            fsync_p99_ms: maybe(|sample| sample.fsync_p99_ms),
            ratio: None,
            p99_ratio: None,
            cell,
            samples,
        }
    }
}

fn put_ratios(rows: &mut [Row]) {
    let known: Vec<(String, f64, f64)> = rows
        .iter()
        .map(|row| (row.cell.name.clone(), row.per_second, row.p99_ms))
        .collect();
    for row in rows {
        let Some(yardstick) = &row.cell.yardstick else {
            continue;
        };
        let found = known.iter().find(|(name, _, _)| name == yardstick);
        row.ratio = found.map(|(_, rate, _)| row.per_second / rate);
        row.p99_ratio = found.map(|(_, _, p99)| row.p99_ms / p99);
    }
}

/// Zero for no values.
fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(0.0)
}

impl Document {
    fn print(&self, out: &mut impl Write) -> std::io::Result<()> {
        let Machine {
            cpu,
            cores,
            affinity,
            kernel,
            file_system,
        } = &self.machine;
        writeln!(
            out,
            "{cpu}, {cores} cores ({affinity}), Linux {kernel}, {file_system}"
        )?;
        writeln!(
            out,
            "medians of {} repetitions of {:.1} s; closed loop, no pipelining\n",
            self.repetitions, self.seconds_per_sample
        )?;
        writeln!(
            out,
            "{:<30}{:>10}{:>19}{:>7}{:>9}{:>9}{:>9}{:>7}{:>11}{:>11}{:>8}{:>8}{:>14}",
            "cell",
            "/s",
            "(min-max)",
            "ratio",
            "p50 ms",
            "p99 ms",
            "p99.9",
            "p99 x",
            "accepted",
            "refused",
            "server",
            "load",
            "fsync 50/99"
        )?;
        self.rows.iter().try_for_each(|row| row.print(out))
    }
}

impl Row {
    fn print(&self, out: &mut impl Write) -> std::io::Result<()> {
        let ratio = |value: Option<f64>| value.map_or_else(String::new, |v| format!("{v:.2}"));
        let range = format!("({:.0}-{:.0})", self.per_second_min, self.per_second_max);
        let fsync = match (self.fsync_p50_ms, self.fsync_p99_ms) {
            (Some(p50), Some(p99)) => format!("{p50:.2}/{p99:.2}"),
            (_, _) => String::new(),
        };
        writeln!(
            out,
            "{:<30}{:>10.0}{range:>19}{:>7}{:>9.2}{:>9.2}{:>9.2}{:>7}{:>11}{:>11}{:>8.2}{:>8.2}{fsync:>14}",
            self.cell.name,
            self.per_second,
            ratio(self.ratio),
            self.p50_ms,
            self.p99_ms,
            self.p999_ms,
            ratio(self.p99_ratio),
            self.accepted,
            self.refused,
            self.server_cores,
            self.generator_cores,
        )
    }
}
