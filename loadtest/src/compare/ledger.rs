//! A cell without HTTP: callers in this process against a fresh store.

use super::Comparison;
use super::cell::Way;
use super::table::Sample;
use crate::Failure;
use crate::contender::{Contender, Holdfast, Load, Plain, Sharing, check, run, run_postgres};
use crate::run::Times;
use crate::server::Durability;
use crate::store::{Source, Store};
use crate::template::{Choice, SKUS};

/// One repetition. `None`: what it needs is not installed.
pub(super) fn measure(
    what: &Comparison,
    source: &Source,
    (way, level): (Way, Durability),
    (choice, callers): (Choice, usize),
) -> Result<Option<Sample>, Failure> {
    let load = || Load {
        choice,
        callers,
        threads: what.threads,
        times: Times::from_now(what.warmup(), what.measured),
    };
    if way == Way::Postgres {
        let report = run_postgres(&what.scratch, level, load())?;
        return Ok(report.map(|report| Sample {
            report,
            ..Sample::default()
        }));
    }
    let store = source.open(&what.scratch, level)?;
    let sharing = match way {
        Way::Holdfast | Way::Postgres => {
            let ledger = Holdfast::open(&store)?;
            let sample = on(&ledger, &store, load)?;
            ledger.discard()?;
            return Ok(Some(sample));
        }
        Way::Pool => Sharing::Pool,
        Way::Shared => Sharing::Shared,
    };
    let plain = Plain::open(&store, sharing)?;
    let sample = on(&plain, &store, load)?;
    plain.discard()?;
    Ok(Some(sample))
}

fn on<C: Contender>(
    contender: &C,
    store: &Store,
    load: impl Fn() -> Load,
) -> Result<Sample, Failure> {
    let skus = match load().choice {
        Choice::Hot => 1,
        Choice::Spread => SKUS,
    };
    contender.seed(skus, 1_000_000_000)?;
    let before = store.figures()?;
    let load = load();
    let report = run(contender, load)?;
    let after = store.figures()?;
    check(contender, &report)?;
    let mut sample = Sample::default();
    sample.add_store(before, after, load.times.whole(), &report);
    sample.report = report;
    Ok(sample)
}
