//! The load: closed loop (so many requests in flight) or open loop (so many a second).

use std::cell::RefCell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use clap::ValueEnum;
use holdfast_client::{Client, Config, Line, Reserve};
use memchr::memmem;
use serde::{Deserialize, Serialize};
use tokio::time::sleep_until;

use crate::Failure;
use crate::clock::now;
use crate::machine::processor_seconds;
use crate::tally::{Report, Tally};
use crate::template::{Choice, Draw, ID_BYTES, Template, run_name, sku, write_digits};
use crate::wire::{Reply, Wire};

/// What the load does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Scenario {
    /// One unit of one SKU, always the same.
    ReserveHot,
    /// One unit of one of 100,000 SKUs.
    ReserveSpread,
    /// The same request as reserve-hot; the SKU must have no stock, so each is refused.
    Soldout,
    /// Availability of one of 100,000 SKUs.
    Atp,
    /// Availability of many of 100,000 SKUs in one call; counts SKUs, the latency is that of a call.
    AtpBulk,
    /// Reserve, confirm, ship; counts whole cycles.
    Cycle,
    /// Full batches of one SKU; counts reservations, the latency is that of a batch.
    BatchHot,
    /// Full batches over 100,000 SKUs.
    BatchSpread,
    /// Single calls of one SKU through the client library.
    ClientHot,
    /// Single calls over 100,000 SKUs through the client library.
    ClientSpread,
}

impl Scenario {
    pub(crate) fn choice(self) -> Choice {
        match self {
            Self::ReserveHot | Self::Soldout | Self::BatchHot | Self::ClientHot => Choice::Hot,
            Self::ReserveSpread
            | Self::Atp
            | Self::AtpBulk
            | Self::Cycle
            | Self::BatchSpread
            | Self::ClientSpread => Choice::Spread,
        }
    }

    fn through_client(self) -> bool {
        matches!(self, Self::ClientHot | Self::ClientSpread)
    }
}

/// A run.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(crate) address: String,
    pub(crate) scenario: Scenario,
    /// Connections, each with one request in flight; calls in flight for the client scenarios.
    pub(crate) connections: usize,
    /// Requests a second over all connections; `None`: closed loop.
    pub(crate) rate: Option<u32>,
    pub(crate) batch_size: usize,
    pub(crate) threads: usize,
    /// Batch connections of the client library; `None`: its default.
    pub(crate) lanes: Option<usize>,
    pub(crate) warmup: Duration,
    pub(crate) measured: Duration,
}

/// When a run records and when it ends.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Times {
    start: Instant,
    record: Instant,
    pub(crate) end: Instant,
}

impl Times {
    /// Begins now.
    pub(crate) fn from_now(warmup: Duration, measured: Duration) -> Self {
        let start = now();
        let record = start + warmup;
        Self {
            start,
            record,
            end: record + measured,
        }
    }

    pub(crate) fn warmup(&self) -> Duration {
        self.record - self.start
    }

    pub(crate) fn measured(&self) -> Duration {
        self.end - self.record
    }

    pub(crate) fn whole(&self) -> Duration {
        self.end - self.start
    }

    pub(crate) fn records(&self, sent: Instant) -> bool {
        sent >= self.record && sent < self.end
    }
}

/// Runs a plan to its end.
pub(crate) fn run(plan: &Plan) -> Result<Report, Failure> {
    let times = Times::from_now(plan.warmup, plan.measured);
    let cpu_before = processor_seconds("self");
    let threads = if plan.scenario.through_client() {
        1
    } else {
        plan.threads.max(1)
    };
    let run = run_name();
    let tallies = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads)
            .map(|at| {
                let run = run.as_str();
                scope.spawn(move || run_thread(plan, run, at, threads, times))
            })
            .collect();
        workers
            .into_iter()
            .map(|worker| {
                worker
                    .join()
                    .unwrap_or_else(|_| Err("a generator thread died".into()))
            })
            .collect::<Result<Vec<Tally>, Failure>>()
    })?;
    let mut total = Tally::new()?;
    for tally in tallies {
        total.merge(tally)?;
    }
    let whole = now().duration_since(times.start).as_secs_f64();
    let cores = (processor_seconds("self") - cpu_before) / whole;
    Ok(total.report(plan.measured.as_secs_f64(), cores))
}

/// One thread with its share of the connections, all on a runtime of its own.
fn run_thread(
    plan: &Plan,
    run: &str,
    at: usize,
    threads: usize,
    times: Times,
) -> Result<Tally, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let local = tokio::task::LocalSet::new();
    local.block_on(&runtime, async {
        // One tally for the thread: histograms of each connection would not fit the cache.
        let tally = Rc::new(RefCell::new(Tally::new()?));
        let client = if plan.scenario.through_client() {
            Some(client(plan)?)
        } else {
            None
        };
        let tasks: Vec<_> = (at..plan.connections)
            .step_by(threads)
            .map(|connection| {
                let draw = Draw::new(plan.scenario.choice(), connection);
                let pace = Pace::new(plan, connection, times.start);
                let (plan, run, client) = (plan.clone(), run.to_owned(), client.clone());
                let tally = Rc::clone(&tally);
                tokio::task::spawn_local(async move {
                    match client {
                        Some(client) => call_loop(&client, draw, times, &tally).await,
                        None => drive(&plan, &run, draw, pace, times, &tally).await?,
                    }
                    Ok::<_, Failure>(())
                })
            })
            .collect();
        for task in tasks {
            task.await??;
        }
        Ok(tally.borrow().clone())
    })
}

/// The schedule of one connection in the open loop.
///
/// A request that is late because the one before it was slow is still measured from when it was
/// due, so that a stalled server cannot hide the requests it kept from being sent.
#[derive(Debug, Clone, Copy)]
struct Pace {
    next: Option<Instant>,
    gap: Duration,
}

impl Pace {
    fn new(plan: &Plan, connection: usize, start: Instant) -> Self {
        let Some(rate) = plan.rate else {
            return Self {
                next: None,
                gap: Duration::ZERO,
            };
        };
        let between = Duration::from_secs(1) / rate.max(1);
        let connections = u32::try_from(plan.connections).unwrap_or(u32::MAX);
        let connection = u32::try_from(connection).unwrap_or(u32::MAX);
        Self {
            next: Some(start + between * connection),
            gap: between * connections,
        }
    }

    /// Waits for the next request's time and returns it.
    async fn due(&mut self) -> Instant {
        let Some(due) = self.next else { return now() };
        self.next = Some(due + self.gap);
        if due > now() {
            sleep_until(due.into()).await;
        }
        due
    }
}

/// Sends the scenario's requests one after the other on one connection.
async fn drive(
    plan: &Plan,
    run: &str,
    mut draw: Draw,
    mut pace: Pace,
    times: Times,
    tally: &RefCell<Tally>,
) -> Result<(), Failure> {
    let host = plan.address.as_str();
    let mut template = match plan.scenario {
        Scenario::Atp => Template::atp(host),
        Scenario::AtpBulk => Template::atp_bulk(host, plan.batch_size),
        Scenario::BatchHot | Scenario::BatchSpread => Template::batch(host, run, plan.batch_size),
        Scenario::ReserveHot
        | Scenario::ReserveSpread
        | Scenario::Soldout
        | Scenario::Cycle
        | Scenario::ClientHot
        | Scenario::ClientSpread => Template::reserve(host, run),
    };
    let mut acts = ["/confirm", "/ship"].map(|action| Template::act(host, run, action));
    if plan.scenario != Scenario::Cycle {
        acts = [Template::default(), Template::default()];
    }
    let mut wire = Wire::connect(host).await?;
    loop {
        let due = pace.due().await;
        if due >= times.end {
            return Ok(());
        }
        let answered = match plan.scenario {
            Scenario::Cycle => cycle(&mut wire, &mut template, &mut acts, &mut draw).await,
            Scenario::BatchHot | Scenario::BatchSpread => wire
                .exchange(template.next(&mut draw))
                .await
                .map(|reply| Seen::batch(&reply)),
            Scenario::AtpBulk => wire
                .exchange(template.next(&mut draw))
                .await
                .map(|reply| Seen::bulk(&reply)),
            Scenario::ReserveHot
            | Scenario::ReserveSpread
            | Scenario::Soldout
            | Scenario::Atp
            | Scenario::ClientHot
            | Scenario::ClientSpread => wire
                .exchange(template.next(&mut draw))
                .await
                .map(|reply| Seen::one(&reply)),
        };
        match answered {
            Ok(seen) => seen.count(&mut tally.borrow_mut(), due, times),
            Err(error) => {
                tally.borrow_mut().fail(error);
                wire = Wire::connect(host).await?;
            }
        }
    }
}

/// What one exchange showed.
#[derive(Debug, Clone, Copy, Default)]
struct Seen {
    accepted: u64,
    refused: u64,
    status: u16,
}

impl Seen {
    fn one(reply: &Reply<'_>) -> Self {
        let (accepted, refused) = match reply.status {
            200..=299 => (1, 0),
            409 => (0, 1),
            _ => (0, 0),
        };
        Self {
            accepted,
            refused,
            status: reply.status,
        }
    }

    fn batch(reply: &Reply<'_>) -> Self {
        Self::counted(reply, b"\"status\":201", b"{\"status\":409")
    }

    fn bulk(reply: &Reply<'_>) -> Self {
        Self::counted(reply, b"\"as_of\":", b"\"problem\":")
    }

    /// How often each of two texts stands in an answer of many.
    fn counted(reply: &Reply<'_>, accepted: &[u8], refused: &[u8]) -> Self {
        let count = |needle: &[u8]| {
            u64::try_from(memmem::find_iter(reply.body, needle).count()).unwrap_or_default()
        };
        if reply.status != 200 {
            return Self {
                status: reply.status,
                ..Self::default()
            };
        }
        Self {
            accepted: count(accepted),
            refused: count(refused),
            status: reply.status,
        }
    }

    fn count(self, tally: &mut Tally, due: Instant, times: Times) {
        if self.accepted + self.refused == 0 {
            return tally.fail(format_args!("status {}", self.status));
        }
        tally.reserved_ever += self.accepted;
        if times.records(due) {
            tally.add(self.accepted, self.refused, now().duration_since(due));
        }
    }
}

async fn cycle(
    wire: &mut Wire,
    reserve: &mut Template,
    acts: &mut [Template],
    draw: &mut Draw,
) -> std::io::Result<Seen> {
    let reply = wire.exchange(reserve.next(draw)).await?;
    let mut seen = Seen::one(&reply);
    // `{"id":"rsv_...`
    let id: Option<[u8; ID_BYTES]> = reply
        .body
        .get(7..7 + ID_BYTES)
        .and_then(|bytes| bytes.try_into().ok());
    for act in acts {
        let Some(id) = id.filter(|_| seen.accepted == 1) else {
            break;
        };
        seen = Seen::one(&wire.exchange(act.next_for(id, draw)).await?);
    }
    Ok(seen)
}

fn client(plan: &Plan) -> Result<Client, Failure> {
    let mut config = Config::new(&format!("http://{}", plan.address)).ok_or("not an address")?;
    config.batch_connections = plan.lanes.unwrap_or(config.batch_connections);
    Ok(Client::new(&config))
}

/// One caller of the client: a call, its answer, the next call.
async fn call_loop(client: &Client, mut draw: Draw, times: Times, tally: &RefCell<Tally>) {
    let mut name = sku(0).into_bytes();
    loop {
        write_digits(&mut name, 4, 6, draw.sku());
        let lines = [Line::new(str::from_utf8(&name).unwrap_or_default(), 1)];
        let sent = now();
        if sent >= times.end {
            return;
        }
        let status = match client
            .reserve(&Reserve::new("web", &lines).ttl_seconds(900))
            .await
        {
            Ok(answer) if answer.refusal().is_none() => 201,
            Ok(_) => 409,
            Err(error) => {
                tally.borrow_mut().fail(error);
                continue;
            }
        };
        let seen = Seen::one(&Reply {
            status,
            head: &[],
            body: &[],
        });
        seen.count(&mut tally.borrow_mut(), sent, times);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_scenario_runs_and_counts_what_it_was_answered() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        std::thread::spawn(move || crate::noop::serve_on(listener));
        let plan = |scenario, rate| Plan {
            address: address.clone(),
            scenario,
            connections: 4,
            rate,
            batch_size: 100,
            threads: 2,
            lanes: None,
            warmup: Duration::ZERO,
            measured: Duration::from_millis(100),
        };
        for scenario in [
            Scenario::ReserveHot,
            Scenario::ReserveSpread,
            Scenario::Atp,
            Scenario::BatchSpread,
            Scenario::ClientSpread,
        ] {
            let report = run(&plan(scenario, None)).unwrap();
            assert_eq!((report.errors, &report.error), (0, &None), "{scenario:?}");
            assert!(report.accepted.count > 0, "{scenario:?}: {report:?}");
            assert_eq!(report.reserved_ever, report.accepted.count, "{scenario:?}");
        }
        // The open loop sends as many as it should, whatever the answers take.
        let report = run(&plan(Scenario::ReserveSpread, Some(2_000))).unwrap();
        assert_eq!((report.accepted.count, report.errors), (200, 0));
    }
}
