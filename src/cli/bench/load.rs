//! The load of one run.

use std::collections::VecDeque;
use std::sync::Barrier;

use hdrhistogram::Histogram;

use crate::blocking::wait_for;
use crate::cli::args::Mode;
use crate::cli::probe::nanoseconds;
use crate::cli::target::{Done, StockCall, StockItem, Target};
use crate::cli::{Exit, Failure};
use crate::clock::{Monotonic, monotonic};
use crate::domain::command::{Act, Channel, Command, Keyed, LineRequest, Lines, Reserve, Verb};
use crate::domain::{HoldTtl, Outcome, ReservationId, Sku, Ttl, Units};
use crate::engine::Engine;
use crate::ledger::{Answer, LedgerError, Position};
use crate::limits::{STOCK_ITEMS_MAX, TTL_MS_DEFAULT, UNITS_MAX};

/// Commands that a thread has in flight.
pub(super) const WINDOW: usize = 1_024;
/// One of so many commands is timed: reading the clock costs as much as some decisions.
const TIMED: u32 = 16;

/// What a run does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Work {
    /// Reserve one unit.
    Reserve,
    /// Reserve one unit of what is sold out.
    Refuse,
    /// Reserve, confirm and ship one unit.
    Cycle,
}

/// One run.
#[derive(Debug, Clone, Copy)]
pub(super) struct Plan {
    /// What is done.
    pub(super) work: Work,
    /// Over how many SKUs.
    pub(super) skus: u32,
    /// By how many threads.
    pub(super) threads: u16,
    /// How many reservations, over all threads.
    pub(super) operations: u32,
}

/// What came out.
#[derive(Debug)]
pub(super) struct Tally {
    pub(super) accepted: u64,
    pub(super) refused: u64,
    pub(super) seconds: f64,
    /// Time to the decision.
    pub(super) decide: Histogram<u64>,
    /// Time until what was accepted is durable.
    pub(super) accepted_times: Histogram<u64>,
    /// Time until what was refused is durable.
    pub(super) refused_times: Histogram<u64>,
}

impl Tally {
    fn new() -> Self {
        Self {
            accepted: 0,
            refused: 0,
            seconds: 0.0,
            decide: nanoseconds(),
            accepted_times: nanoseconds(),
            refused_times: nanoseconds(),
        }
    }

    fn take(&mut self, other: &Self) {
        self.accepted += other.accepted;
        self.refused += other.refused;
        for (mine, theirs) in [
            (&mut self.decide, &other.decide),
            (&mut self.accepted_times, &other.accepted_times),
            (&mut self.refused_times, &other.refused_times),
        ] {
            // All have the same bounds.
            let _ = mine.add(theirs);
        }
    }
}

/// Does a run on a fresh engine.
pub(super) fn run(engine: &Engine, plan: &Plan) -> Result<Tally, Failure> {
    let names: Vec<String> = (0..plan.skus).map(|n| format!("SKU-{n:08}")).collect();
    stock(engine, plan, &names)?;
    drop(names);
    let channel = wait_for(engine.make_channel("bench")).map_err(|e| failure(&format!("{e:?}")))?;
    let start = Barrier::new(usize::from(plan.threads) + 1);
    let (parts, seconds) = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..plan.threads)
            .map(|thread| {
                let start = &start;
                scope.spawn(move || {
                    let mut worker = Worker::new(engine, channel, thread);
                    start.wait();
                    let result = worker.run(plan);
                    result.map(|()| worker.tally)
                })
            })
            .collect();
        start.wait();
        let timer = monotonic();
        let parts: Vec<_> = threads
            .into_iter()
            .map(std::thread::ScopedJoinHandle::join)
            .collect();
        (parts, timer.elapsed().as_secs_f64())
    });
    let mut all = Tally::new();
    for part in parts {
        let part = part.map_err(|_panic| failure("a thread of the run panicked"))?;
        all.take(&part?);
    }
    all.seconds = seconds;
    Ok(all)
}

fn failure(what: &str) -> Failure {
    Failure::new(Exit::Failed, what)
}

fn stock(engine: &Engine, plan: &Plan, names: &[String]) -> Result<(), Failure> {
    let units = match plan.work {
        Work::Refuse => 0,
        Work::Reserve | Work::Cycle => i64::try_from(UNITS_MAX).unwrap_or(i64::MAX),
    };
    let mut target = Target::engine(engine)?;
    for (n, names) in names.chunks(STOCK_ITEMS_MAX).enumerate() {
        let items: Vec<_> = names
            .iter()
            .map(|sku| StockItem {
                sku,
                node: "main",
                quantity: units,
            })
            .collect();
        let key = format!("stock-{n}");
        let call = StockCall {
            key: &key,
            mode: Mode::Set,
            reason: "bench",
            items: &items,
        };
        if let Done::Refused(code) = target.stock(call)? {
            return Err(failure(&code));
        }
    }
    Ok(())
}

/// Writes a number with leading zeros. Not `write!`: that would take longer than some decisions, and
/// it is the engine that is measured.
fn put_digits(place: &mut [u8], mut number: u64) {
    for digit in place.iter_mut().rev() {
        *digit = b'0' + u8::try_from(number % 10).unwrap_or(0);
        number /= 10;
    }
}

/// Digits and letters as text.
fn text(ascii: &[u8]) -> &str {
    str::from_utf8(ascii).unwrap_or_default()
}

/// A command that was timed and is not durable yet.
struct Flight {
    position: Position,
    timer: Monotonic,
    is_accepted: bool,
}

struct Worker<'a> {
    engine: &'a Engine,
    channel: Channel<'static>,
    thread: u16,
    /// Idempotency key of the next command: thread, number and step.
    key: [u8; 18],
    /// Position of each command of the window, the oldest first.
    window: VecDeque<Position>,
    timed: VecDeque<Flight>,
    tally: Tally,
}

impl<'a> Worker<'a> {
    fn new(engine: &'a Engine, channel: Channel<'static>, thread: u16) -> Self {
        Self {
            engine,
            channel,
            thread,
            key: *b"00000-0000000000-r",
            window: VecDeque::with_capacity(WINDOW),
            timed: VecDeque::new(),
            tally: Tally::new(),
        }
    }

    fn run(&mut self, plan: &Plan) -> Result<(), Failure> {
        let mut name = *b"SKU-00000000";
        let mut random = u64::from(self.thread) + 1;
        let mine = plan.operations / u32::from(plan.threads);
        let one = Units::new(1).ok_or_else(|| failure("no unit"))?;
        let ttl = Ttl::from_millis(TTL_MS_DEFAULT).ok_or_else(|| failure("no time"))?;
        for n in 0..mine {
            random = random
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            let pick = (random >> 33) % u64::from(plan.skus);
            // Written anew each time: a caller's SKU is in its request, which is in the cache.
            put_digits(&mut name[4..], pick);
            let sku = Sku::new(text(&name)).map_err(|e| failure(&e.to_string()))?;
            let line = LineRequest {
                sku,
                node: None,
                quantity: one,
                by: None,
            };
            let lines = Lines::try_new([line]).map_err(|e| failure(&format!("{e:?}")))?;
            let (channel, reference) = (self.channel, None);
            let reserve = Reserve {
                channel,
                reference,
                ttl: HoldTtl::Asked(ttl),
                allow_partial: false,
                lines,
            };
            let id = ReservationId(self.command(n, b'r', Command::Reserve(reserve))?);
            if plan.work == Work::Cycle {
                for (step, verb) in [(b'c', Verb::Confirm), (b's', Verb::Ship { from: None })] {
                    self.command(
                        n,
                        step,
                        Command::Act(Act {
                            id,
                            verb,
                            lines: None,
                        }),
                    )?;
                }
            }
        }
        while let Some(position) = self.window.pop_front() {
            self.wait(position)?;
        }
        Ok(())
    }

    /// Sends one command and gives the id of its reservation.
    fn command(&mut self, n: u32, step: u8, command: Command<'_>) -> Result<u128, Failure> {
        put_digits(&mut self.key[..5], u64::from(self.thread));
        put_digits(&mut self.key[6..16], u64::from(n));
        self.key[17] = step;
        let keyed = Keyed {
            key: self.engine.key(text(&self.key), &command),
            command,
        };
        let timer = n.is_multiple_of(TIMED).then(monotonic);
        let answer = self.submit(&keyed)?;
        let is_accepted = answer.verdict.is_ok();
        if is_accepted {
            self.tally.accepted += 1;
        } else {
            self.tally.refused += 1;
        }
        let position = answer.position;
        // In several partitions the id of a reservation also says where it is at home.
        let id = match answer.verdict {
            Ok(Outcome::Reservation(made)) => made.id.0,
            Ok(_) | Err(_) => keyed.key.id,
        };
        if let Some(timer) = timer {
            record(&mut self.tally.decide, timer);
            self.timed.push_back(Flight {
                position,
                timer,
                is_accepted,
            });
        }
        self.window.push_back(position);
        if self.window.len() == WINDOW {
            // Wait for half a window at once: a thread that waits for each command is woken for
            // each.
            let half = self.window.drain(..WINDOW / 2).next_back();
            self.wait(half.unwrap_or(position))?;
        }
        Ok(id)
    }

    fn submit(&mut self, keyed: &Keyed<'_>) -> Result<Answer, Failure> {
        loop {
            match self.engine.submit(keyed) {
                Ok(answer) => return Ok(answer),
                Err(LedgerError::Overloaded) => match self.window.pop_front() {
                    Some(position) => self.wait(position)?,
                    None => std::thread::yield_now(),
                },
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn wait(&mut self, position: Position) -> Result<(), Failure> {
        self.engine.wait_blocking(position)?;
        while let Some(flight) = self.timed.front().filter(|f| f.position <= position) {
            let times = if flight.is_accepted {
                &mut self.tally.accepted_times
            } else {
                &mut self.tally.refused_times
            };
            record(times, flight.timer);
            self.timed.pop_front();
        }
        Ok(())
    }
}

fn record(times: &mut Histogram<u64>, timer: Monotonic) {
    times.saturating_record(u64::try_from(timer.elapsed().as_nanos()).unwrap_or(u64::MAX));
}
