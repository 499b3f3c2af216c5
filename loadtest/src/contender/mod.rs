//! Reservations from a program, without HTTP: callers in this process against a store.
//!
//! Every way gets the same callers on the same threads, the same keys, and the same units to take.
//! What was accepted must be what the store holds afterwards.

mod holdfast;
mod plain;
mod postgres;

use std::cell::RefCell;
use std::rc::Rc;

use tokio::runtime::{Builder, LocalOptions};
use tokio::task::spawn_local;

use crate::Failure;
use crate::clock::now;
use crate::machine::processor_seconds;
use crate::run::Times;
use crate::store::Store;
use crate::tally::{Report, Tally};
use crate::template::{Choice, Draw, run_name, sku, write_digits};

pub(crate) use holdfast::Holdfast;
pub(crate) use plain::{Plain, Sharing};
pub(crate) use postgres::run as run_postgres;

/// How long a hold lives, as over HTTP.
const HOLD_SECONDS: u32 = 900;

/// The load of one cell.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Load {
    pub(crate) choice: Choice,
    pub(crate) callers: usize,
    pub(crate) threads: usize,
    pub(crate) times: Times,
}

/// A way to reserve.
pub(crate) trait Contender: Sync + 'static {
    /// What a thread has of its own.
    type Local: Clone + 'static;

    /// Puts stock on the SKUs from number 0 on.
    fn seed(&self, skus: u64, on_hand: u64) -> Result<(), Failure>;

    /// Prepares a thread; called on its runtime.
    fn enter(&self) -> impl Future<Output = Result<Self::Local, Failure>>;

    /// Reserves one unit. Whether it was granted.
    fn reserve(
        local: &Self::Local,
        key: &str,
        sku: &str,
    ) -> impl Future<Output = Result<bool, Failure>>;

    /// Units that are promised now, by the ledger's own books; an error if they are wrong.
    fn promised(&self) -> Result<u64, Failure>;
}

/// Runs the load.
pub(crate) fn run<C: Contender>(contender: &C, load: Load) -> Result<Report, Failure> {
    let cpu_before = processor_seconds("self");
    let started = now();
    let tallies = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..load.threads.max(1))
            .map(|at| scope.spawn(move || run_thread(contender, load, at)))
            .collect();
        workers
            .into_iter()
            .map(|worker| {
                worker
                    .join()
                    .unwrap_or_else(|_| Err("a thread died".into()))
            })
            .collect::<Result<Vec<Tally>, Failure>>()
    })?;
    let whole = now().duration_since(started).as_secs_f64();
    let cores = (processor_seconds("self") - cpu_before) / whole;
    let mut total = Tally::new()?;
    for tally in tallies {
        total.merge(tally)?;
    }
    Ok(total.report(load.times.measured().as_secs_f64(), cores))
}

/// What was accepted must be what is promised.
pub(crate) fn check<C: Contender>(contender: &C, report: &Report) -> Result<(), Failure> {
    if let Some(error) = &report.error {
        return Err(format!("{} calls failed, for instance: {error}", report.errors).into());
    }
    let promised = contender.promised()?;
    if promised != report.reserved_ever {
        let ours = report.reserved_ever;
        return Err(format!("{promised} units are promised, {ours} were accepted").into());
    }
    Ok(())
}

/// One thread with its share of the callers, all on a runtime of its own.
fn run_thread<C: Contender>(contender: &C, load: Load, at: usize) -> Result<Tally, Failure> {
    let runtime = Builder::new_current_thread()
        .enable_all()
        .build_local(LocalOptions::default())?;
    runtime.block_on(async {
        let tally = Rc::new(RefCell::new(Tally::new()?));
        let local = contender.enter().await?;
        let run = run_name();
        let callers: Vec<_> = (at..load.callers)
            .step_by(load.threads.max(1))
            .map(|caller| {
                let draw = Draw::new(load.choice, caller);
                let (local, tally) = (local.clone(), Rc::clone(&tally));
                spawn_local(call_loop::<C>(local, draw, run.clone(), load.times, tally))
            })
            .collect();
        for caller in callers {
            caller.await?;
        }
        Ok(tally.borrow().clone())
    })
}

/// One caller: a call, its answer, the next call.
async fn call_loop<C: Contender>(
    local: C::Local,
    mut draw: Draw,
    run: String,
    times: Times,
    tally: Rc<RefCell<Tally>>,
) {
    let mut name = sku(0).into_bytes();
    let mut key = format!("{run}-000000000000").into_bytes();
    let digits_at = run.len() + 1;
    loop {
        write_digits(&mut name, 4, 6, draw.sku());
        write_digits(&mut key, digits_at, 12, draw.key());
        let sent = now();
        if sent >= times.end {
            return;
        }
        let text = |bytes| str::from_utf8(bytes).unwrap_or_default();
        let answer = C::reserve(&local, text(&key), text(&name)).await;
        let mut tally = tally.borrow_mut();
        match answer {
            Ok(is_granted) => {
                let accepted = u64::from(is_granted);
                tally.reserved_ever += accepted;
                if times.records(sent) {
                    tally.add(accepted, 1 - accepted, now() - sent);
                }
            }
            Err(error) => return tally.fail(error),
        }
    }
}

/// The parts of a contender that are the same for all who use a store.
#[derive(Debug, Clone)]
struct Place {
    url: String,
    level: crate::server::Durability,
}

impl Place {
    fn of(store: &Store) -> Self {
        Self {
            url: store.url.clone(),
            level: store.level,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::server::Durability;
    use crate::store::Source;

    fn store(level: Durability) -> Store {
        let source = Source::Program("redis-server".into());
        source.open(&std::env::temp_dir(), level).unwrap()
    }

    fn load(choice: Choice) -> Load {
        Load {
            choice,
            callers: 8,
            threads: 2,
            times: Times::from_now(Duration::ZERO, Duration::from_millis(100)),
        }
    }

    fn reserves<C: Contender>(contender: &C, choice: Choice, skus: u64) {
        contender.seed(skus, 1_000_000).unwrap();
        let report = run(contender, load(choice)).unwrap();
        check(contender, &report).unwrap();
        assert!(report.reserved_ever > 0, "{report:?}");
        assert_eq!((report.refused.count, report.errors), (0, 0));
    }

    #[test]
    fn whichever_way_what_was_accepted_is_what_the_store_holds() {
        for level in [Durability::Memory, Durability::Disk, Durability::Replica] {
            let store = store(level);
            assert!(store.about().unwrap().starts_with("Redis 7"));
            let before = store.figures().unwrap();
            let ledger = Holdfast::open(&store).unwrap();
            reserves(&ledger, Choice::Hot, 1);
            ledger.discard().unwrap();
            for sharing in [Sharing::Pool, Sharing::Shared] {
                let plain = Plain::open(&store, sharing).unwrap();
                reserves(&plain, Choice::Spread, crate::template::SKUS);
                plain.discard().unwrap();
            }
            let after = store.figures().unwrap();
            assert!(after.script_us > before.script_us, "{after:?}");
            let mut left = store.connect().unwrap();
            let left: u64 = deadpool_redis::redis::cmd("DBSIZE")
                .query(&mut left)
                .unwrap();
            assert_eq!(left, 0, "{level:?}");
        }
    }

    #[test]
    fn what_is_not_there_is_refused_by_all() {
        fn refuses<C: Contender>(contender: &C) {
            contender.seed(1, 3).unwrap();
            let report = run(contender, load(Choice::Hot)).unwrap();
            check(contender, &report).unwrap();
            assert_eq!((report.reserved_ever, report.errors), (3, 0));
            assert!(report.refused.count > 0, "{report:?}");
        }
        let store = store(Durability::Memory);
        refuses(&Holdfast::open(&store).unwrap());
        refuses(&Plain::open(&store, Sharing::Shared).unwrap());
    }

    #[test]
    fn the_plain_script_answers_a_key_that_it_knows_as_before() {
        let store = store(Durability::Memory);
        let plain = Plain::open(&store, Sharing::Pool).unwrap();
        plain.seed(1, 1).unwrap();
        let runtime = Builder::new_current_thread()
            .enable_all()
            .build_local(LocalOptions::default())
            .unwrap();
        runtime.block_on(async {
            let calls = plain.enter().await.unwrap();
            for (key, granted) in [("a", true), ("b", false), ("a", true), ("b", false)] {
                let answer = Plain::reserve(&calls, key, &sku(0)).await.unwrap();
                assert_eq!(answer, granted, "{key}");
            }
        });
        assert_eq!(plain.promised().unwrap(), 1);
    }
}
