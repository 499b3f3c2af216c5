//! What came out: medians, ratios, the table and the document.

use std::io::Write;

use serde::Serialize;

use super::cell::Cell;
use crate::machine::Machine;
use crate::tally::Report;

/// What one repetition of a cell showed.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct Sample {
    #[serde(flatten)]
    pub(crate) report: Report,
    /// Of the server; nothing where the ledger is in the caller's process.
    pub(crate) server_cores: f64,
    pub(crate) fsync_p50_ms: Option<f64>,
    pub(crate) fsync_p99_ms: Option<f64>,
    /// Of the store's primary.
    pub(crate) store_cores: Option<f64>,
    /// Time that the store spent in scripts, by its own count, per reservation.
    pub(crate) script_us: Option<f64>,
}

/// One cell's throughput and latency against another's.
#[derive(Debug, Serialize)]
pub(crate) struct Ratio {
    to: String,
    per_second: f64,
    p99: f64,
}

/// A cell's medians.
#[derive(Debug, Serialize)]
pub(crate) struct Row {
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
    store_cores: Option<f64>,
    script_us: Option<f64>,
    ratios: Vec<Ratio>,
    samples: Vec<Sample>,
}

/// Everything.
#[derive(Debug, Serialize)]
pub(crate) struct Document {
    pub(crate) machine: Machine,
    /// The store's own name for itself.
    pub(crate) store: Option<String>,
    pub(crate) seconds_per_sample: f64,
    pub(crate) repetitions: usize,
    rows: Vec<Row>,
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
        let counted = |count: fn(&Report) -> u64| samples.iter().map(|s| count(&s.report)).sum();
        Self {
            per_second: of(|sample| sample.report.main().per_second),
            per_second_min: low,
            per_second_max: high,
            p50_ms: of(|sample| sample.report.main().p50_ms),
            p99_ms: of(|sample| sample.report.main().p99_ms),
            p999_ms: of(|sample| sample.report.main().p999_ms),
            accepted: counted(|report| report.accepted.count),
            refused: counted(|report| report.refused.count),
            errors: counted(|report| report.errors),
            server_cores: of(|sample| sample.server_cores),
            generator_cores: of(|sample| sample.report.generator_cores),
            fsync_p50_ms: maybe(|sample| sample.fsync_p50_ms),
            fsync_p99_ms: maybe(|sample| sample.fsync_p99_ms),
            store_cores: maybe(|sample| sample.store_cores),
            script_us: maybe(|sample| sample.script_us),
            ratios: Vec::new(),
            cell,
            samples,
        }
    }

    fn print(&self, out: &mut impl Write) -> std::io::Result<()> {
        let first = self.ratios.first();
        let range = format!("({:.0}-{:.0})", self.per_second_min, self.per_second_max);
        let fsync = match (self.fsync_p50_ms, self.fsync_p99_ms) {
            (Some(p50), Some(p99)) => format!("{p50:.2}/{p99:.2}"),
            (_, _) => String::new(),
        };
        writeln!(
            out,
            "{:<34}{:>10.0}{range:>19}{:>7}{:>9.2}{:>9.2}{:>9.2}{:>7}{:>11}{:>11}{:>8.2}{:>8.2}{:>7}{:>8}{fsync:>14}",
            self.cell.name,
            self.per_second,
            shown(first.map(|ratio| ratio.per_second)),
            self.p50_ms,
            self.p99_ms,
            self.p999_ms,
            shown(first.map(|ratio| ratio.p99)),
            self.accepted,
            self.refused,
            self.server_cores,
            self.generator_cores,
            shown(self.store_cores),
            shown(self.script_us),
        )
    }
}

fn shown(value: Option<f64>) -> String {
    value.map_or_else(String::new, |value| format!("{value:.2}"))
}

fn put_ratios(rows: &mut [Row]) {
    let known: Vec<(String, f64, f64)> = rows
        .iter()
        .map(|row| (row.cell.name.clone(), row.per_second, row.p99_ms))
        .collect();
    for row in rows {
        for name in &row.cell.yardsticks {
            let found = known.iter().find(|(known, _, _)| known == name);
            row.ratios.extend(found.map(|(_, rate, p99)| Ratio {
                to: name.clone(),
                per_second: row.per_second / rate,
                p99: row.p99_ms / p99,
            }));
        }
    }
}

/// Zero for no values.
fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(0.0)
}

impl Document {
    pub(crate) fn new(machine: Machine, cells: Vec<(Cell, Vec<Sample>)>) -> Self {
        let rows = cells.into_iter();
        let mut rows: Vec<Row> = rows
            .map(|(cell, samples)| Row::new(cell, samples))
            .collect();
        put_ratios(&mut rows);
        Self {
            machine,
            store: None,
            seconds_per_sample: 0.0,
            repetitions: 0,
            rows,
        }
    }

    pub(crate) fn errors(&self) -> u64 {
        self.rows.iter().map(|row| row.errors).sum()
    }

    pub(crate) fn print(&self, out: &mut impl Write) -> std::io::Result<()> {
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
        if let Some(store) = &self.store {
            writeln!(out, "{store}")?;
        }
        writeln!(
            out,
            "medians of {} repetitions of {:.1} s; closed loop, no pipelining\n",
            self.repetitions, self.seconds_per_sample
        )?;
        writeln!(
            out,
            "{:<34}{:>10}{:>19}{:>7}{:>9}{:>9}{:>9}{:>7}{:>11}{:>11}{:>8}{:>8}{:>7}{:>8}{:>14}",
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
            "store",
            "script",
            "fsync 50/99"
        )?;
        self.rows.iter().try_for_each(|row| row.print(out))?;
        writeln!(out)?;
        for row in &self.rows {
            for ratio in &row.ratios {
                let (name, to) = (&row.cell.name, &ratio.to);
                writeln!(out, "{name:<34}{:>7.2} x {to}", ratio.per_second)?;
            }
        }
        Ok(())
    }
}
