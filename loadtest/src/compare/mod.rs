//! Side by side: the no-op server, the engine, and other ways to reserve, in turn, in one run.
//!
//! Absolute figures depend on the machine and its mood; the ratios of one run much less. So the
//! repetitions are interleaved, every other one in reverse order, and medians are compared.

mod cell;
mod http;
mod ledger;
mod table;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::Failure;
use crate::machine::Machine;
use crate::server::Durability;
use crate::store::Source;
use cell::{Cell, Subject, Work};
use table::{Document, Sample};

/// What to compare.
pub(crate) struct Comparison {
    pub(crate) binary: PathBuf,
    /// Where data folders are made: must be a real disk.
    pub(crate) scratch: PathBuf,
    pub(crate) quick: bool,
    pub(crate) repetitions: usize,
    pub(crate) measured: Duration,
    pub(crate) threads: usize,
    /// Only cells whose name contains one of these; all, if there are none.
    pub(crate) only: Vec<String>,
    /// Ledgers in a store as well.
    pub(crate) store: Option<Source>,
    /// The levels of those.
    pub(crate) levels: Vec<Durability>,
}

impl Comparison {
    fn warmup(&self) -> Duration {
        self.measured.mul_f64(0.25).min(Duration::from_secs(2))
    }

    fn wants(&self, cell: &Cell) -> bool {
        let is_named = |part: &String| cell.name.contains(part);
        (cell.in_quick || !self.quick) && (self.only.is_empty() || self.only.iter().any(is_named))
    }

    fn cells(&self) -> Vec<Cell> {
        let mut cells = [cell::noop(), cell::embedded()].concat();
        if self.store.is_some() {
            cells.extend(cell::store(&self.levels));
        }
        // A yardstick stays in when a cell that needs it does.
        let wanted: Vec<String> = cells
            .iter()
            .filter(|cell| self.wants(cell))
            .flat_map(|cell| [vec![cell.name.clone()], cell.yardsticks.clone()].concat())
            .collect();
        cells.retain(|cell| wanted.contains(&cell.name));
        cells
    }

    /// One repetition of a cell. `None`: what it needs is not installed.
    fn measure(&self, cell: &Cell) -> Result<Option<Sample>, Failure> {
        let source = self.store.as_ref();
        match (cell.work, cell.subject) {
            (Work::Reserve(choice), Subject::Ledger(way, level)) => {
                let source = source.ok_or("a cell of a store without one")?;
                ledger::measure(self, source, (way, level), (choice, cell.in_flight))
            }
            (Work::Http(scenario, batch_size), _) => {
                http::measure(self, cell, (scenario, batch_size)).map(Some)
            }
            (Work::Reserve(_), subject) => Err(format!("{subject:?} has no ledger").into()),
        }
    }
}

/// Runs the comparison, prints its table, and writes the document.
pub(crate) fn compare(what: &Comparison, json: Option<&Path>) -> Result<(), Failure> {
    let mut out = std::io::stderr();
    let cells = what.cells();
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
            let measured = what.measure(cell);
            let measured = measured.map_err(|e| format!("{}: {e}", cell.name))?;
            let (round, rounds, name) = (repetition + 1, what.repetitions, &cell.name);
            match measured {
                None => writeln!(out, "{round} of {rounds}: {name} is not installed")?,
                Some(sample) => {
                    let rate = sample.report.main().per_second;
                    writeln!(out, "{round} of {rounds}: {name} {rate:.0}/s")?;
                    samples.push(sample);
                }
            }
        }
    }
    let cells = cells.into_iter().zip(samples);
    let cells = cells.filter(|(_, samples)| !samples.is_empty()).collect();
    let mut document = Document::new(machine, cells);
    document.store = what.about_store()?;
    document.seconds_per_sample = what.measured.as_secs_f64();
    document.repetitions = what.repetitions;
    document.print(&mut std::io::stdout().lock())?;
    if let Some(path) = json {
        std::fs::write(path, serde_json::to_vec_pretty(&document)?)?;
    }
    match document.errors() {
        0 => Ok(()),
        errors => Err(format!("{errors} requests failed").into()),
    }
}

impl Comparison {
    fn about_store(&self) -> Result<Option<String>, Failure> {
        let Some(source) = &self.store else {
            return Ok(None);
        };
        let store = source.open(&self.scratch, Durability::Memory)?;
        store.about().map(Some)
    }
}
