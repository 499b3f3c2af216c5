//! More than a server can do: its peak, then 0.8 and several times of that, in an open loop.
//!
//! What is lost at several times the peak is lost by three: the engine, the network stack under so
//! many busy connections, and the generator. So the no-op server is asked for the same in the same
//! round. A third server has fewer places than there are callers, so that some are really refused.

mod crowd;
mod table;

use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

use crate::Failure;
use crate::books::Books;
use crate::cores::{Cores, on};
use crate::machine::{load_average, resident_mib};
use crate::run::{Plan, Scenario, run};
use crate::server::{Server, seed};
use crate::store::Source;
use crate::tally::{Figures, Report};
use crate::template::SKUS;
use crowd::Crowd;

/// Units of each SKU: no stock is ever short.
const ON_HAND: u64 = 1_000_000_000;

/// Connections with which the peak is looked for, beside the crowd's own.
const PEAK_CONNECTIONS: [usize; 3] = [64, 256, 512];

/// Of the peak, what a server is usually asked for.
const USUAL: f64 = 0.8;

/// Bytes of one.
const MIB: f64 = 1_048_576.0;

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
    /// Places of the server that has too few.
    pub(crate) places: usize,
    pub(crate) rounds: usize,
    pub(crate) measured: Duration,
    pub(crate) server_cores: Option<Cores>,
    pub(crate) generator_cores: Option<Cores>,
}

/// Whom the crowd asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Subject {
    /// With a place for everybody.
    Engine,
    Noop,
    /// With fewer places than callers.
    Crowded,
}

impl Subject {
    const ALL: [Self; 3] = [Self::Engine, Self::Noop, Self::Crowded];

    fn name(self) -> &'static str {
        match self {
            Self::Engine => "holdfast",
            Self::Noop => "no-op",
            Self::Crowded => "crowded",
        }
    }
}

/// One measurement of one load.
#[derive(Debug, Clone, Copy, Default)]
struct Load {
    connections: usize,
    /// Requests a second; `None`: a closed loop.
    offered: Option<f64>,
    unsent: f64,
    done: Figures,
    refused: Figures,
    /// Requests whose connection was closed without a word, in all.
    cut: u64,
    /// Of the server afterwards, and what it grew by for each reservation.
    resident_mib: f64,
    bytes_each: f64,
}

/// What one round saw of one subject.
#[derive(Debug, Clone, Copy)]
struct Round {
    /// The most with any number of connections that it has places for.
    peak: f64,
    /// The most with the crowd's number of connections, or as many as it has places.
    peak_of_all: f64,
    usual: Load,
    over: Load,
}

/// Measures, and prints tables.
pub(crate) fn overload(what: &Overload) -> Result<(), Failure> {
    what.generator_cores.as_ref().map_or(Ok(()), Cores::take)?;
    let mut out = std::io::stdout().lock();
    writeln!(
        out,
        "{} callers, {} threads of the generator, {:.0} s each; crowded: {} places; load average {}\n",
        what.connections,
        what.threads,
        what.measured.as_secs_f64(),
        what.places,
        load_average()
    )?;
    table::head(&mut out)?;
    let mut rounds = Subject::ALL.map(|subject| (subject, Vec::new()));
    for _ in 0..what.rounds {
        for (subject, seen) in &mut rounds {
            seen.push(round(what, *subject, &mut out)?);
        }
    }
    for (subject, seen) in &rounds {
        table::summary(&mut out, subject.name(), seen)?;
    }
    Ok(())
}

/// A new server, its peak, and both loads.
fn round(what: &Overload, subject: Subject, out: &mut impl Write) -> Result<Round, Failure> {
    let (server, books) = on(what.server_cores.as_ref(), || open(what, subject))?;
    let asked = Asked {
        what,
        subject,
        server: &server,
    };
    // The server ends also where this has failed.
    let seen = asked.round(out);
    server.stop()?;
    books.map_or(Ok(()), |books| books.close(&what.binary))?;
    seen
}

fn open(what: &Overload, subject: Subject) -> Result<(Server, Option<Books>), Failure> {
    let settings = match subject {
        Subject::Noop => return Ok((Server::noop()?, None)),
        Subject::Engine => Vec::new(),
        Subject::Crowded => vec![("HOLDFAST_HTTP__CONNECTIONS_MAX", what.places.to_string())],
    };
    let store = what.store.as_ref();
    let (server, books) = Books::open(&what.binary, &what.scratch, store, &settings)?;
    Ok((server, Some(books)))
}

/// A server that is asked.
struct Asked<'a> {
    what: &'a Overload,
    subject: Subject,
    server: &'a Server,
}

impl Asked<'_> {
    fn round(&self, out: &mut impl Write) -> Result<Round, Failure> {
        if self.subject != Subject::Noop {
            seed(&self.server.address, SKUS, ON_HAND)?;
        }
        let all = match self.subject {
            Subject::Engine | Subject::Noop => self.what.connections,
            Subject::Crowded => self.what.places.min(self.what.connections),
        };
        let fewer = PEAK_CONNECTIONS.into_iter().filter(|few| *few < all);
        let mut peaks = Vec::new();
        for connections in fewer.chain([all]) {
            let load = self.load(connections, None)?;
            table::row(out, self.subject.name(), &load)?;
            peaks.push(load.done.per_second);
        }
        let peak = peaks.iter().copied().fold(0.0, f64::max);
        let usual = self.load(all, Some(peak * USUAL))?;
        table::row(out, self.subject.name(), &usual)?;
        let over = self.load(self.what.connections, Some(peak * self.what.factor))?;
        table::row(out, self.subject.name(), &over)?;
        Ok(Round {
            peak,
            peak_of_all: peaks.last().copied().unwrap_or_default(),
            usual,
            over,
        })
    }

    /// Offers so many a second, or as many as are answered, and looks at the memory around it.
    fn load(&self, connections: usize, offered: Option<f64>) -> Result<Load, Failure> {
        let before = resident_mib(self.server.process());
        let (report, unsent) = match offered {
            None => (self.closed_loop(connections)?, 0.0),
            Some(rate) => {
                let crowd = Crowd {
                    connections,
                    threads: self.what.threads,
                    rate,
                    measured: self.what.measured,
                };
                let offered = crowd.offer(&self.server.address)?;
                (offered.report, offered.unsent)
            }
        };
        if let Some(error) = &report.error
            && self.subject != Subject::Crowded
        {
            let count = report.errors;
            return Err(format!("{count} requests failed, for instance: {error}").into());
        }
        let resident_mib = resident_mib(self.server.process());
        let made = u32::try_from(report.reserved_ever).unwrap_or(u32::MAX);
        Ok(Load {
            connections,
            offered,
            unsent,
            done: report.accepted,
            refused: report.refused,
            cut: report.errors,
            resident_mib,
            bytes_each: (resident_mib - before) * MIB / f64::from(made.max(1)),
        })
    }

    fn closed_loop(&self, connections: usize) -> Result<Report, Failure> {
        run(&Plan {
            address: self.server.address.clone(),
            scenario: Scenario::ReserveSpread,
            connections,
            rate: None,
            batch_size: 0,
            threads: self.what.threads,
            lanes: None,
            warmup: Duration::from_secs(1),
            measured: self.what.measured,
        })
    }
}
