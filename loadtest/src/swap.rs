//! Policies put while reservations are made: how long that takes, and what the reservations notice.

use std::io::Write;
use std::path::PathBuf;
use std::thread::scope;
use std::time::Duration;

use tokio::time::sleep_until;

use crate::Failure;
use crate::books::Books;
use crate::clock::now;
use crate::policy;
use crate::run::{Plan, Scenario, run};
use crate::server::seed;
use crate::store::Source;
use crate::tally::Report;

/// Units of each SKU: no limit is ever reached.
const ON_HAND: u64 = 1_000_000_000;

/// What to measure.
pub(crate) struct Swaps {
    pub(crate) binary: PathBuf,
    /// Where data folders are made: must be a real disk.
    pub(crate) scratch: PathBuf,
    /// A ledger in a store instead of one in a folder.
    pub(crate) store: Option<Source>,
    pub(crate) skus: u64,
    pub(crate) connections: usize,
    /// Reservations a second: an open loop, in which a pause cannot hide what it kept waiting.
    pub(crate) rate: u32,
    /// Measurements of each kind, one after the other in turn.
    pub(crate) rounds: usize,
    /// Policies put in each measurement with swaps.
    pub(crate) swaps: usize,
    pub(crate) measured: Duration,
}

/// Measures in turn without swaps and with them, and prints a table.
pub(crate) fn swap(what: &Swaps) -> Result<(), Failure> {
    let store = what.store.as_ref();
    let (server, books) = Books::open(&what.binary, &what.scratch, store, &[])?;
    seed(&server.address, what.skus, ON_HAND)?;
    policy::put(&server.address, &policy::with_sets(0))?;
    let plan = Plan {
        address: server.address.clone(),
        scenario: Scenario::ReserveSpread,
        connections: what.connections,
        rate: Some(what.rate),
        batch_size: 0,
        threads: 1,
        lanes: None,
        warmup: Duration::from_secs(1),
        measured: what.measured,
    };
    let mut out = std::io::stdout().lock();
    writeln!(
        out,
        "{} SKUs, {} connections, {} reservations a second, {} policies in {:.1} s\n",
        what.skus,
        what.connections,
        what.rate,
        what.swaps,
        what.measured.as_secs_f64(),
    )?;
    writeln!(
        out,
        "{:<10}{:>10}{:>9}{:>9}{:>9}{:>9}",
        "", "/s", "p50 ms", "p99 ms", "p99.9", "max"
    )?;
    let (mut without, mut with, mut took) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..what.rounds {
        let quiet = run(&plan)?;
        row(&mut out, "without", &quiet)?;
        without.push(quiet.accepted.p99_ms);
        let (busy, times) = run_with_swaps(what, &plan, round)?;
        row(&mut out, "with", &busy)?;
        with.push(busy.accepted.p99_ms);
        took.extend(times);
    }
    server.stop()?;
    books.close(&what.binary)?;
    let [without, with] = [without, with].map(Spread::of);
    let took = Spread::of(took);
    writeln!(
        out,
        "\nmedian p99: {:.2} ms without, {:.2} ms with, {:+.2} ms",
        without.median,
        with.median,
        with.median - without.median
    )?;
    writeln!(
        out,
        "a policy was put in {:.1} ms, {:.1} to {:.1}",
        took.median, took.least, took.most
    )?;
    Ok(())
}

/// One measurement with policies put at even intervals, and how many milliseconds each took.
fn run_with_swaps(what: &Swaps, plan: &Plan, round: usize) -> Result<(Report, Vec<f64>), Failure> {
    let swaps = u32::try_from(what.swaps).unwrap_or(u32::MAX);
    let (begin, gap) = (now() + plan.warmup, plan.measured / swaps);
    let put_all = async {
        let mut took = Vec::new();
        for at in 0..swaps {
            // Never the one that is in force already.
            let turn = round * what.swaps + took.len() + 1;
            let body = policy::with_sets(turn).to_string();
            sleep_until((begin + gap * at).into()).await;
            let since = now();
            policy::send(&plan.address, &body).await?;
            took.push(now().duration_since(since).as_secs_f64() * 1e3);
        }
        Ok::<_, Failure>(took)
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    scope(|scope| {
        let load = scope.spawn(|| run(plan));
        let took = runtime.block_on(put_all);
        let report = load.join();
        Ok((
            report.unwrap_or_else(|_| Err("the load died".into()))?,
            took?,
        ))
    })
}

fn row(out: &mut impl Write, name: &str, report: &Report) -> Result<(), Failure> {
    if let Some(error) = &report.error {
        return Err(format!("{} requests failed, for instance: {error}", report.errors).into());
    }
    let seen = report.accepted;
    writeln!(
        out,
        "{name:<10}{:>10.0}{:>9.2}{:>9.2}{:>9.2}{:>9.2}",
        seen.per_second, seen.p50_ms, seen.p99_ms, seen.p999_ms, seen.max_ms
    )?;
    Ok(())
}

/// Some values in order.
#[derive(Default)]
struct Spread {
    least: f64,
    median: f64,
    most: f64,
}

impl Spread {
    fn of(mut values: Vec<f64>) -> Self {
        values.sort_by(f64::total_cmp);
        let at = |place: usize| values.get(place).copied().unwrap_or_default();
        Self {
            least: at(0),
            median: at(values.len() / 2),
            most: at(values.len().saturating_sub(1)),
        }
    }
}
