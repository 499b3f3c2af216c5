//! More than a server can do: its peak, then 0.8 and several times of that, in an open loop.
//!
//! Callers are a bounded crowd of connections. Who is due while every connection waits for an answer is
//! not sent: a real caller would find no connection either. So nothing queues in the generator, and a
//! time is that from sending to the answer.

use std::cell::RefCell;
use std::io::Write;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::{Duration, Instant};

use tokio::runtime::Builder;
use tokio::task::LocalSet;
use tokio::time::sleep_until;

use crate::Failure;
use crate::books::Books;
use crate::clock::now;
use crate::machine::{load_average, resident_mib};
use crate::run::{Plan, Scenario, Times, run};
use crate::server::seed;
use crate::store::Source;
use crate::tally::{Report, Tally};
use crate::template::{Draw, SKUS, Template, run_name};
use crate::wire::Wire;

/// Units of each SKU: no stock is ever short.
const ON_HAND: u64 = 1_000_000_000;

/// Connections with which the peak is looked for.
const PEAK_CONNECTIONS: [usize; 3] = [64, 256, 512];

/// What to measure.
pub(crate) struct Overload {
    pub(crate) binary: PathBuf,
    /// Where data folders are made: must be a real disk.
    pub(crate) scratch: PathBuf,
    /// A ledger in a store instead of one in a folder.
    pub(crate) store: Option<Source>,
    pub(crate) connections: usize,
    /// How many times the peak is offered.
    pub(crate) factor: f64,
    pub(crate) threads: usize,
    pub(crate) measured: Duration,
}

/// One load that was offered.
struct Offered {
    rate: f64,
    report: Report,
    /// Requests a second that found no free connection.
    unsent: f64,
}

/// Measures, and prints a table.
pub(crate) fn overload(what: &Overload) -> Result<(), Failure> {
    let store = what.store.as_ref();
    let (server, books) = Books::open(&what.binary, &what.scratch, store, "overload")?;
    seed(&server.address, SKUS, ON_HAND)?;
    let mut out = std::io::stdout().lock();
    writeln!(
        out,
        "{} connections, {} threads of the generator, {:.0} s each; load average {}\n",
        what.connections,
        what.threads,
        what.measured.as_secs_f64(),
        load_average()
    )?;
    let peak = peak(what, &server.address)?;
    writeln!(out, "peak, closed loop: {peak:.0} a second\n")?;
    writeln!(
        out,
        "{:>9} {:>9} {:>9} {:>9} {:>9} {:>9} {:>9} {:>9} {:>9}",
        "offered/s",
        "unsent/s",
        "done/s",
        "p50 ms",
        "p99 ms",
        "503/s",
        "p50 ms",
        "p99 ms",
        "RSS MiB"
    )?;
    let mut rows = Vec::new();
    for factor in [0.8, what.factor] {
        let offered = offer(what, &server.address, peak * factor)?;
        let (done, refused) = (offered.report.accepted, offered.report.refused);
        writeln!(
            out,
            "{:>9.0} {:>9.0} {:>9.0} {:>9.2} {:>9.2} {:>9.0} {:>9.2} {:>9.2} {:>9}",
            offered.rate,
            offered.unsent,
            done.per_second,
            done.p50_ms,
            done.p99_ms,
            refused.per_second,
            refused.p50_ms,
            refused.p99_ms,
            resident_mib(server.process())
        )?;
        if let Some(error) = &offered.report.error {
            let count = offered.report.errors;
            return Err(format!("{count} requests failed, for instance: {error}").into());
        }
        rows.push(done);
    }
    if let [usual, over] = rows.as_slice() {
        writeln!(
            out,
            "\ngoodput: {:.2} of the peak; p99 of what is done: {:.1} times that at 0.8",
            over.per_second / peak,
            over.p99_ms / usual.p99_ms
        )?;
    }
    server.stop()?;
    books.close(&what.binary)
}

/// The most that the server does in a closed loop.
fn peak(what: &Overload, address: &str) -> Result<f64, Failure> {
    let mut peak = 0.0_f64;
    for connections in PEAK_CONNECTIONS {
        let report = run(&Plan {
            address: address.to_owned(),
            scenario: Scenario::ReserveSpread,
            connections,
            rate: None,
            batch_size: 0,
            threads: what.threads,
            lanes: None,
            warmup: Duration::from_secs(1),
            measured: what.measured,
        })?;
        peak = peak.max(report.accepted.per_second);
    }
    Ok(peak)
}

/// Offers so many a second over all connections.
fn offer(what: &Overload, address: &str, rate: f64) -> Result<Offered, Failure> {
    let times = Times::from_now(Duration::from_secs(1), what.measured);
    let threads = what.threads.max(1);
    let run = run_name();
    let counted = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads)
            .map(|at| {
                let run = run.as_str();
                let crowd = (at..what.connections).step_by(threads).collect();
                let mine = rate / share(threads);
                scope.spawn(move || offer_from(address, run, crowd, mine, times))
            })
            .collect();
        let ended = |worker: std::thread::ScopedJoinHandle<'_, _>| {
            let died = |_| Err("a generator thread died".into());
            worker.join().unwrap_or_else(died)
        };
        workers
            .into_iter()
            .map(ended)
            .collect::<Result<Vec<Crowd>, Failure>>()
    })?;
    let (mut total, mut unsent) = (Tally::new()?, 0);
    for crowd in counted {
        total.merge(crowd.tally)?;
        unsent += crowd.unsent;
    }
    let seconds = what.measured.as_secs_f64();
    Ok(Offered {
        rate,
        report: total.report(seconds, 0.0),
        unsent: f64::from(unsent) / seconds,
    })
}

fn share(threads: usize) -> f64 {
    f64::from(u32::try_from(threads).unwrap_or(u32::MAX))
}

/// The connections of one thread, those that are free, and what was counted.
struct Crowd {
    tally: Tally,
    unsent: u32,
    free: Vec<Caller>,
}

/// A connection and what it asks for.
struct Caller {
    wire: Wire,
    template: Template,
    draw: Draw,
}

/// One thread: takes a free connection whenever a request is due.
fn offer_from(
    address: &str,
    run: &str,
    connections: Vec<usize>,
    rate: f64,
    times: Times,
) -> Result<Crowd, Failure> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    LocalSet::new().block_on(&runtime, async {
        let mut free = Vec::new();
        for connection in connections {
            free.push(Caller {
                wire: Wire::connect(address).await?,
                template: Template::reserve(address, run),
                draw: Draw::new(Scenario::ReserveSpread.choice(), connection),
            });
        }
        let callers = free.len();
        let crowd = Rc::new(RefCell::new(Crowd {
            tally: Tally::new()?,
            unsent: 0,
            free,
        }));
        let gap = Duration::from_secs_f64(1.0 / rate);
        let mut due = now();
        while due < times.end {
            if due > now() {
                sleep_until(due.into()).await;
            } else {
                // Answers are read also while the generator is behind.
                tokio::task::yield_now().await;
            }
            let caller = crowd.borrow_mut().free.pop();
            match caller {
                Some(caller) => {
                    let address = address.to_owned();
                    tokio::task::spawn_local(ask(caller, address, Rc::clone(&crowd), times));
                }
                None if times.records(due) => crowd.borrow_mut().unsent += 1,
                None => {}
            }
            due += gap;
        }
        while crowd.borrow().free.len() < callers {
            sleep_until((now() + Duration::from_millis(1)).into()).await;
        }
        let crowd = Rc::into_inner(crowd).ok_or("a request is still under way")?;
        Ok(crowd.into_inner())
    })
}

/// One request; the connection is free again when it has its answer.
async fn ask(mut caller: Caller, address: String, crowd: Rc<RefCell<Crowd>>, times: Times) {
    let sent = now();
    let answer = caller
        .wire
        .exchange(caller.template.next(&mut caller.draw))
        .await;
    let status = answer.map(|reply| reply.status);
    count(&mut crowd.borrow_mut().tally, &status, sent, times);
    if status.is_err() {
        match Wire::connect(&address).await {
            Ok(wire) => caller.wire = wire,
            Err(error) => crowd.borrow_mut().tally.fail(error),
        }
    }
    crowd.borrow_mut().free.push(caller);
}

fn count(tally: &mut Tally, status: &std::io::Result<u16>, sent: Instant, times: Times) {
    let took = now().duration_since(sent);
    match status {
        Ok(201) if times.records(sent) => tally.accepted.add(1, took),
        Ok(503) if times.records(sent) => tally.refused.add(1, took),
        Ok(201 | 503) => {}
        Ok(status) => tally.fail(format_args!("status {status}")),
        Err(error) => tally.fail(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_are_sent_as_are_offered_while_connections_are_free() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        std::thread::spawn(move || crate::noop::serve_on(listener));
        let what = Overload {
            binary: PathBuf::new(),
            scratch: PathBuf::new(),
            store: None,
            connections: 100,
            factor: 5.0,
            threads: 2,
            measured: Duration::from_millis(200),
        };
        let offered = offer(&what, &address, 1_000.0).unwrap();
        let report = offered.report;
        assert_eq!((report.errors, report.refused.count), (0, 0), "{report:?}");
        // Some may find no connection free where the machine is busy.
        assert!((1..=201).contains(&report.accepted.count), "{report:?}");
        let all = report.accepted.per_second + offered.unsent;
        assert!((995.0..=1_005.0).contains(&all), "{all} a second");
    }
}
