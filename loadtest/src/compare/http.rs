//! A cell over HTTP: a fresh server, stock, the load, and the checks.

use std::time::Duration;

use super::Comparison;
use super::cell::{Cell, Subject};
use super::table::Sample;
use crate::Failure;
use crate::contender::Holdfast;
use crate::policy;
use crate::run::{Plan, Scenario, run};
use crate::scrape::{Page, scrape};
use crate::server::{Scratch, Server, seed, verify};
use crate::store::{Figures, Store};
use crate::tally::Report;
use crate::template::{Choice, SKUS};

const FSYNC: &str = "holdfast_journal_fsync_duration_seconds";

/// What a server keeps its ledger in.
enum Books {
    None,
    Folder(Scratch),
    Store(Box<Store>),
}

impl Books {
    fn store(&self) -> Option<&Store> {
        match self {
            Self::Store(store) => Some(store),
            Self::None | Self::Folder(_) => None,
        }
    }
}

fn start(what: &Comparison, subject: Subject) -> Result<(Server, Books), Failure> {
    match subject {
        Subject::Noop => Ok((Server::noop()?, Books::None)),
        Subject::Embedded(level) => {
            let folder = Scratch::new(&what.scratch, "data")?;
            let server = Server::holdfast(&what.binary, &folder.0, &[level.setting()])?;
            Ok((server, Books::Folder(folder)))
        }
        Subject::Store(level) | Subject::Ledger(_, level) => {
            let source = what.store.as_ref().ok_or("a cell of a store without one")?;
            let store = source.open(&what.scratch, level)?;
            let server = Server::over(&what.binary, &store.settings())?;
            Ok((server, Books::Store(Box::new(store))))
        }
    }
}

/// One repetition.
pub(super) fn measure(
    what: &Comparison,
    cell: &Cell,
    (scenario, batch_size): (Scenario, usize),
) -> Result<Sample, Failure> {
    let (server, books) = start(what, cell.subject)?;
    if cell.subject != Subject::Noop {
        let (count, on_hand) = stock_for(scenario);
        seed(&server.address, count, on_hand)?;
        if cell.is_limited {
            policy::put(&server.address, &policy::for_all())?;
        }
    }
    let plan = Plan {
        address: server.address.clone(),
        scenario,
        connections: cell.in_flight,
        rate: None,
        batch_size,
        threads: what.threads,
        lanes: None,
        warmup: what.warmup(),
        measured: what.measured,
    };
    let cpu_before = server.processor_seconds();
    let store_before = books.store().map(Store::figures).transpose()?;
    let report = run(&plan)?;
    let took = plan.warmup + plan.measured;
    let server_cores = (server.processor_seconds() - cpu_before) / took.as_secs_f64();
    let mut sample = Sample {
        server_cores,
        ..Sample::default()
    };
    if let (Some(store), Some(before)) = (books.store(), store_before) {
        sample.add_store(before, store.figures()?, took, &report);
    }
    let page = match books {
        Books::None => None,
        Books::Folder(_) | Books::Store(_) => Some(scrape(&server.address)?),
    };
    server.stop()?;
    if let Some(page) = &page {
        let fsync = |quantile| Some(page.quantile(FSYNC, quantile)? * 1e3);
        (sample.fsync_p50_ms, sample.fsync_p99_ms) = (fsync(0.5), fsync(0.99));
        check(scenario, &report, page)?;
    }
    match books {
        Books::None => {}
        Books::Folder(folder) => verify(&what.binary, &folder.0)?,
        Books::Store(store) => {
            let ledger = Holdfast::open(&store)?;
            ledger.recount()?;
            ledger.discard()?;
        }
    }
    sample.report = report;
    Ok(sample)
}

/// How many SKUs, and units of each.
fn stock_for(scenario: Scenario) -> (u64, u64) {
    match (scenario, scenario.choice()) {
        (Scenario::Soldout, _) => (1, 0),
        (_, Choice::Hot) => (1, 1_000_000_000_000),
        (_, Choice::Spread) => (SKUS, 1_000_000_000),
    }
}

/// What the generator counted and what the server counted must be the same reservations.
fn check(scenario: Scenario, report: &Report, page: &Page) -> Result<(), Failure> {
    if let Some(error) = &report.error {
        return Err(format!("{} requests failed, for instance: {error}", report.errors).into());
    }
    let oversold = page.sum("holdfast_oversold_units_total", &[]);
    let violations = page.sum("holdfast_invariant_violations_total", &[]);
    if oversold + violations > 0.0 {
        return Err(format!("{oversold} units oversold, {violations} violations").into());
    }
    if matches!(scenario, Scenario::Atp | Scenario::AtpBulk) {
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

impl Sample {
    /// Adds what the store says it did meanwhile.
    pub(super) fn add_store(
        &mut self,
        before: Figures,
        after: Figures,
        took: Duration,
        report: &Report,
    ) {
        let cores = after.processor_seconds - before.processor_seconds;
        self.store_cores = Some(cores / took.as_secs_f64());
        // The store counts from the beginning, the generator only what it measures; the rate of
        // both is the same.
        let per_second = report.accepted.per_second + report.refused.per_second;
        let script_us = (after.script_us - before.script_us) / took.as_secs_f64() / per_second;
        self.script_us = Some(script_us).filter(|time| time.is_finite());
    }
}
