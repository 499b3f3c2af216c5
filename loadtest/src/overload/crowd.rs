//! The open loop of a bounded crowd.
//!
//! Who is due while every connection waits for an answer is not sent: a real caller would find no
//! connection either. So nothing queues in the generator, and a time is that from sending to the
//! answer, a new connection included where the server has closed the one before. Who is refused stays
//! away for as long as the answer asks for.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io;
use std::rc::Rc;
use std::sync::Barrier;
use std::thread::{ScopedJoinHandle, scope};
use std::time::{Duration, Instant};

use tokio::runtime::Builder;
use tokio::task::{LocalSet, spawn_local, yield_now};
use tokio::time::{sleep, sleep_until};

use crate::Failure;
use crate::clock::now;
use crate::run::{Scenario, Times};
use crate::tally::{Report, Tally};
use crate::template::{Draw, Template, run_name};
use crate::wire::Wire;

/// A timer may be late by this; who is due sooner is waited for awake.
const TIMER: Duration = Duration::from_millis(2);

/// How many callers there are, and what they want.
#[derive(Debug, Clone, Copy)]
pub(super) struct Crowd {
    pub(super) connections: usize,
    pub(super) threads: usize,
    /// Requests a second, all together.
    pub(super) rate: f64,
    pub(super) measured: Duration,
}

/// One load that was offered.
#[derive(Debug)]
pub(super) struct Offered {
    pub(super) report: Report,
    /// Requests a second that found no free connection.
    pub(super) unsent: f64,
}

impl Crowd {
    /// Offers the load.
    pub(super) fn offer(self, address: &str) -> Result<Offered, Failure> {
        let run = run_name();
        let connected = Barrier::new(self.threads);
        let counted = scope(|scope| {
            let workers: Vec<_> = (0..self.threads)
                .map(|at| {
                    let (run, connected) = (run.as_str(), &connected);
                    scope.spawn(move || self.thread(address, run, at, connected))
                })
                .collect();
            let ended = |worker: ScopedJoinHandle<'_, _>| {
                let died = |_| Err("a generator thread died".into());
                worker.join().unwrap_or_else(died)
            };
            workers
                .into_iter()
                .map(ended)
                .collect::<Result<Vec<Counted>, Failure>>()
        })?;
        let (mut total, mut unsent) = (Tally::new()?, 0);
        for of in counted {
            total.merge(of.tally)?;
            unsent += of.unsent;
        }
        let seconds = self.measured.as_secs_f64();
        Ok(Offered {
            report: total.report(seconds, 0.0),
            unsent: f64::from(unsent) / seconds,
        })
    }

    /// One thread with its share of the connections: sends on a free one whenever a request is due.
    fn thread(
        self,
        address: &str,
        run: &str,
        at: usize,
        connected: &Barrier,
    ) -> Result<Counted, Failure> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        LocalSet::new().block_on(&runtime, async {
            let mine = (at..self.connections).step_by(self.threads);
            let free = connect(address, run, mine).await;
            connected.wait();
            let free = free?;
            let callers = free.len();
            let times = Times::from_now(Duration::from_secs(1), self.measured);
            let shared = Rc::new(Shared {
                address: address.to_owned(),
                times,
                free: RefCell::new(free),
                tally: RefCell::new(Tally::new()?),
            });
            let threads = u32::try_from(self.threads).unwrap_or(u32::MAX);
            let gap = Duration::from_secs_f64(f64::from(threads) / self.rate);
            let unsent = send_all(&shared, gap).await;
            while shared.free.borrow().len() < callers {
                sleep_until((now() + TIMER).into()).await;
            }
            let tally = shared.tally.borrow().clone();
            Ok(Counted { tally, unsent })
        })
    }
}

/// What one thread counted.
struct Counted {
    tally: Tally,
    unsent: u32,
}

/// What the requests of a thread have in common.
struct Shared {
    address: String,
    times: Times,
    /// Whose turn it is: each caller sends as often as every other.
    free: RefCell<VecDeque<Caller>>,
    tally: RefCell<Tally>,
}

/// A connection and what it asks for.
struct Caller {
    /// `None`: closed; the next request opens another.
    wire: Option<Wire>,
    template: Template,
    draw: Draw,
}

/// Callers with these numbers, each with a connection.
async fn connect(
    address: &str,
    run: &str,
    numbers: impl Iterator<Item = usize>,
) -> io::Result<VecDeque<Caller>> {
    let mut callers = VecDeque::new();
    for number in numbers {
        callers.push_back(Caller {
            wire: Some(Wire::connect(address).await?),
            template: Template::reserve(address, run),
            draw: Draw::new(Scenario::ReserveSpread.choice(), number),
        });
    }
    Ok(callers)
}

/// Sends one request a gap until the end. How many found no free connection in the recorded time.
async fn send_all(shared: &Rc<Shared>, gap: Duration) -> u32 {
    let end = shared.times.end;
    let (mut unsent, mut due) = (0, now());
    while due < end {
        let time = now();
        while due <= time && due < end {
            let caller = shared.free.borrow_mut().pop_front();
            match caller {
                Some(caller) => drop(spawn_local(ask(caller, due, Rc::clone(shared)))),
                None => unsent += u32::from(shared.times.records(due)),
            }
            due += gap;
        }
        let early = due.duration_since(time).saturating_sub(TIMER);
        if early.is_zero() {
            yield_now().await;
        } else {
            sleep_until((time + early).into()).await;
        }
    }
    unsent
}

/// One request; the connection is free again when it has its answer. It counts if it was due in the
/// recorded time, like one that was not sent.
async fn ask(mut caller: Caller, due: Instant, shared: Rc<Shared>) {
    let sent = now();
    let answer = caller.ask(&shared.address).await;
    let took = now().duration_since(sent);
    let is_recorded = shared.times.records(due);
    count(&mut shared.tally.borrow_mut(), &answer, took, is_recorded);
    if let Ok(Answer {
        rest: Some(rest), ..
    }) = answer
    {
        sleep(rest).await;
    }
    shared.free.borrow_mut().push_back(caller);
}

impl Caller {
    /// What the next request is answered. Where the server had closed the connection it is sent again on
    /// another, as any client does.
    async fn ask(&mut self, address: &str) -> io::Result<Answer> {
        let request = self.template.next(&mut self.draw);
        if let Some(wire) = self.wire.take()
            && let Ok(answer) = exchange(wire, request, &mut self.wire).await
        {
            return Ok(answer);
        }
        let wire = Wire::connect(address).await?;
        exchange(wire, request, &mut self.wire).await
    }
}

/// What a request was answered, and how long its caller shall stay away.
struct Answer {
    status: u16,
    rest: Option<Duration>,
}

/// Sends a request and keeps the connection, if the answer is not its last.
async fn exchange(mut wire: Wire, request: &[u8], kept: &mut Option<Wire>) -> io::Result<Answer> {
    let reply = wire.exchange(request).await?;
    let (status, is_last, rest) = (reply.status, reply.is_last(), reply.retry_after());
    *kept = Some(wire).filter(|_| !is_last);
    Ok(Answer { status, rest })
}

fn count(tally: &mut Tally, answer: &io::Result<Answer>, took: Duration, is_recorded: bool) {
    let status = answer.as_ref().map(|answer| answer.status);
    tally.reserved_ever += u64::from(status.as_ref().is_ok_and(|status| *status == 201));
    match status {
        Ok(201) if is_recorded => tally.accepted.add(1, took),
        Ok(503) if is_recorded => tally.refused.add(1, took),
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
        let crowd = Crowd {
            connections: 100,
            threads: 2,
            rate: 1_000.0,
            measured: Duration::from_millis(200),
        };
        let offered = crowd.offer(&address).unwrap();
        let report = offered.report;
        assert_eq!((report.errors, report.refused.count), (0, 0), "{report:?}");
        // Some may find no connection free where the machine is busy.
        assert!((1..=201).contains(&report.accepted.count), "{report:?}");
        let all = report.accepted.per_second + offered.unsent;
        assert!((995.0..=1_005.0).contains(&all), "{all} a second");
    }
}
