//! Running seeds: each is a world of its own, so they are run on as many threads as there are
//! processors.

use std::num::NonZero;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};

use super::counts::{Counts, Named};

/// What came of a seed.
pub(crate) struct Found<F, S> {
    pub(crate) counts: Counts<F, S>,
    /// Of the film, with the number of its lines.
    pub(crate) film: (u64, u64),
}

/// Simulates a seed; what is wrong comes with the command that shows it.
pub(crate) fn shown<T>(
    number: u64,
    replay: &str,
    simulate: impl FnOnce() -> Result<T, String>,
) -> Result<T, String> {
    let what = match catch_unwind(AssertUnwindSafe(simulate)) {
        Ok(Ok(found)) => return Ok(found),
        Ok(Err(fault)) => fault,
        Err(_) => "panicked".to_owned(),
    };
    Err(format!(
        "seed {number}: {what}\nHOLDFAST_SIM_SEED={number} {replay}"
    ))
}

/// Runs a seed, and once more where that is asked for: both must be the same to the last line.
pub(crate) fn alike<F: Named, S: Named>(
    number: u64,
    is_twice: bool,
    run: impl Fn() -> Result<Found<F, S>, String>,
) -> Result<Counts<F, S>, String> {
    let found = run()?;
    if is_twice && run()?.film != found.film {
        return Err(format!("seed {number} has two films"));
    }
    Ok(found.counts)
}

/// Runs all seeds below a number; the first fault ends it.
pub(crate) fn run_all<F: Named + Send, S: Named + Send>(
    seeds: u64,
    run: impl Fn(u64) -> Result<Counts<F, S>, String> + Sync,
) -> Result<Counts<F, S>, String> {
    let next = AtomicU64::new(0);
    let work = || {
        let mut counts = Counts::default();
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= seeds {
                return Ok(counts);
            }
            match run(number) {
                Ok(found) => counts.add(&found),
                Err(fault) => {
                    next.store(seeds, Ordering::Relaxed);
                    return Err(fault);
                }
            }
        }
    };
    let threads = std::thread::available_parallelism().map_or(1, NonZero::get);
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        let mut sum = Counts::default();
        for worker in workers {
            sum.add(&worker.join().unwrap()?);
        }
        Ok(sum)
    })
}
