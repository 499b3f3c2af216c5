//! Load for holdfast: a bounded generator, a no-op server as the yardstick, and a comparison.

mod books;
mod clock;
mod compare;
mod contender;
mod cores;
mod machine;
mod noop;
mod overload;
mod policy;
mod run;
mod scrape;
mod server;
mod store;
mod swap;
mod tally;
mod template;
mod wire;

use std::io::Write;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;

use cores::Cores;
use server::Durability;
use store::Source;

/// Whatever ends the program.
pub(crate) type Failure = Box<dyn std::error::Error + Send + Sync>;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Load generator and side-by-side comparison for holdfast.
#[derive(Debug, Parser)]
#[command(version)]
enum Arguments {
    /// Serve the no-op yardstick: parses and answers the same JSON, does nothing.
    Noop {
        /// Address to listen on.
        #[arg(long, default_value = "127.0.0.1:0")]
        listen: SocketAddr,
    },
    /// Load one running server and print what was seen as JSON.
    Run(RunArguments),
    /// Put stock on the SKUs of the scenarios of a running server.
    Seed {
        /// `host:port` of the server.
        #[arg(long)]
        address: String,
        /// SKUs, from `SKU-000000` on; at most 1,000,000.
        #[arg(long, default_value_t = 1)]
        skus: u64,
        /// Units each.
        #[arg(long, default_value_t = 1_000_000_000)]
        on_hand: u64,
    },
    /// Measure the no-op server and the engine in turn and print a table.
    Compare(CompareArguments),
    /// Put policies while reservations are made, and print what those notice of it.
    Swap(SwapArguments),
    /// Find the peak, then offer 0.8 and several times of it, and print what becomes of that.
    Overload(OverloadArguments),
}

#[derive(Debug, clap::Args)]
struct OverloadArguments {
    /// The engine's binary; the one next to this program when left out.
    #[arg(long)]
    binary: Option<PathBuf>,
    /// Where data folders are made. Must be on a real disk; next to this program when left out.
    #[arg(long)]
    scratch: Option<PathBuf>,
    /// A ledger in a store instead, level `memory`: this program, started for it.
    #[arg(long, value_name = "REDIS_OR_VALKEY_SERVER")]
    store_server: Option<PathBuf>,
    /// Connections of the open loop.
    #[arg(long, default_value_t = 2_000)]
    connections: usize,
    /// How many times the peak is offered.
    #[arg(long, default_value_t = 5.0)]
    factor: f64,
    /// Threads of the generator.
    #[arg(long, default_value_t = 2)]
    threads: usize,
    /// Places of a server that gets more callers than it has places for.
    #[arg(long, default_value_t = 500)]
    places: usize,
    /// Times that each is measured.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Seconds of each measurement.
    #[arg(long, default_value_t = 5.0)]
    seconds: f64,
    /// Cores of the servers and the store, for instance `0,1`.
    #[arg(long, requires = "generator_cores")]
    server_cores: Option<Cores>,
    /// Cores of the generator, for instance `2,3`.
    #[arg(long, requires = "server_cores")]
    generator_cores: Option<Cores>,
}

#[derive(Debug, clap::Args)]
struct SwapArguments {
    /// The engine's binary; the one next to this program when left out.
    #[arg(long)]
    binary: Option<PathBuf>,
    /// Where data folders are made. Must be on a real disk; next to this program when left out.
    #[arg(long)]
    scratch: Option<PathBuf>,
    /// A ledger in a store instead, level `memory`: this program, started for it.
    #[arg(long, value_name = "REDIS_OR_VALKEY_SERVER")]
    store_server: Option<PathBuf>,
    /// SKUs with stock, at most 1,000,000. Reservations go to the first 100,000.
    #[arg(long, default_value_t = template::SKUS_MAX)]
    skus: u64,
    /// Connections, each with one request in flight.
    #[arg(long, default_value_t = 64)]
    connections: usize,
    /// Reservations a second over all connections.
    #[arg(long, default_value_t = 10_000)]
    rate: u32,
    /// Times that it is measured without swaps and with them.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Policies put in each measurement with swaps.
    #[arg(long, default_value_t = 10)]
    swaps: usize,
    /// Seconds of each measurement.
    #[arg(long, default_value_t = 5.0)]
    seconds: f64,
    /// Cores for both sides together, for instance `0,1`.
    #[arg(long)]
    cpus: Option<Cores>,
}

#[derive(Debug, clap::Args)]
struct RunArguments {
    /// `host:port` of the server.
    #[arg(long)]
    address: String,
    /// What to do.
    #[arg(long, value_enum)]
    scenario: run::Scenario,
    /// Connections, each with one request in flight; calls in flight for the client scenarios.
    #[arg(long, default_value_t = 64)]
    connections: usize,
    /// Open loop: requests a second over all connections. Closed loop when left out.
    #[arg(long)]
    rate: Option<u32>,
    /// Reservations of one batch.
    #[arg(long, default_value_t = 8_192)]
    batch_size: usize,
    /// Threads of the generator.
    #[arg(long, default_value_t = 1)]
    threads: usize,
    /// Batch connections of the client library; its default when left out.
    #[arg(long)]
    lanes: Option<usize>,
    /// Seconds before recording begins.
    #[arg(long, default_value_t = 1.0)]
    warmup: f64,
    /// Seconds that are recorded.
    #[arg(long, default_value_t = 5.0)]
    seconds: f64,
}

#[derive(Debug, clap::Args)]
struct CompareArguments {
    /// The engine's binary; the one next to this program when left out.
    #[arg(long)]
    binary: Option<PathBuf>,
    /// Where data folders are made. Must be on a real disk; next to this program when left out.
    #[arg(long)]
    scratch: Option<PathBuf>,
    /// About a minute: fewer cells, once each, two seconds long.
    #[arg(long)]
    quick: bool,
    /// Times that each cell is measured.
    #[arg(long, default_value_t = 3)]
    repetitions: usize,
    /// Seconds that each is measured.
    #[arg(long, default_value_t = 5.0)]
    seconds: f64,
    /// Threads of the generator.
    #[arg(long, default_value_t = 1)]
    threads: usize,
    /// Only cells whose name contains this; can be given several times.
    #[arg(long)]
    only: Vec<String>,
    /// Also ledgers in this Redis or Valkey, `redis://host:port`, which should have nothing else to
    /// do; what is made there is removed again.
    #[arg(long, conflicts_with = "store_server")]
    store: Option<String>,
    /// Also ledgers in a store: this program, started for each cell with what its level needs.
    #[arg(long, value_name = "REDIS_OR_VALKEY_SERVER")]
    store_server: Option<PathBuf>,
    /// Levels of the ledgers in a store; `memory` where its address is given, else all.
    #[arg(long, value_delimiter = ',')]
    levels: Vec<Durability>,
    /// Cores for both sides together, for instance `0,1`.
    #[arg(long)]
    cpus: Option<Cores>,
    /// Write the document here as well.
    #[arg(long)]
    json: Option<PathBuf>,
}

fn main() -> ExitCode {
    let done = match Arguments::parse() {
        Arguments::Noop { listen } => noop::serve(listen),
        Arguments::Run(arguments) => run_one(arguments),
        Arguments::Seed {
            address,
            skus,
            on_hand,
        } => server::seed(&address, skus, on_hand),
        Arguments::Compare(arguments) => compare_all(arguments),
        Arguments::Swap(arguments) => swap_some(arguments),
        Arguments::Overload(arguments) => overload_one(arguments),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            drop(writeln!(std::io::stderr(), "holdfast-loadtest: {failure}"));
            ExitCode::FAILURE
        }
    }
}

fn run_one(arguments: RunArguments) -> Result<(), Failure> {
    let report = run::run(&run::Plan {
        address: arguments.address,
        scenario: arguments.scenario,
        connections: arguments.connections,
        rate: arguments.rate,
        batch_size: arguments.batch_size,
        threads: arguments.threads,
        lanes: arguments.lanes,
        warmup: Duration::try_from_secs_f64(arguments.warmup)?,
        measured: Duration::try_from_secs_f64(arguments.seconds)?,
    })?;
    writeln!(
        std::io::stdout().lock(),
        "{}",
        serde_json::to_string_pretty(&report)?
    )?;
    Ok(())
}

/// The folder of this program, and the engine's binary: the one that was named, or that beside it.
fn beside(binary: Option<PathBuf>) -> Result<(PathBuf, PathBuf), Failure> {
    let here = std::env::current_exe()?;
    let folder = here.parent().ok_or("this program lies nowhere")?;
    let binary = binary.unwrap_or_else(|| folder.join("holdfast"));
    if binary.is_file() {
        return Ok((folder.to_owned(), binary));
    }
    let binary = binary.display();
    Err(format!("no engine at {binary}: build it first, or give --binary").into())
}

fn swap_some(arguments: SwapArguments) -> Result<(), Failure> {
    if let Some(cpus) = &arguments.cpus {
        cpus.take()?;
    }
    let (folder, binary) = beside(arguments.binary)?;
    swap::swap(&swap::Swaps {
        binary,
        scratch: arguments.scratch.unwrap_or(folder),
        store: arguments.store_server.map(Source::Program),
        skus: arguments.skus,
        connections: arguments.connections,
        rate: arguments.rate,
        rounds: arguments.rounds.max(1),
        swaps: arguments.swaps.max(1),
        measured: Duration::try_from_secs_f64(arguments.seconds)?,
    })
}

fn overload_one(arguments: OverloadArguments) -> Result<(), Failure> {
    let (folder, binary) = beside(arguments.binary)?;
    overload::overload(&overload::Overload {
        binary,
        scratch: arguments.scratch.unwrap_or(folder),
        store: arguments.store_server.map(Source::Program),
        connections: arguments.connections.max(1),
        factor: arguments.factor,
        threads: arguments.threads.max(1),
        places: arguments.places.max(1),
        rounds: arguments.rounds.max(1),
        server_cores: arguments.server_cores,
        generator_cores: arguments.generator_cores,
        measured: Duration::try_from_secs_f64(arguments.seconds)?,
    })
}

fn compare_all(arguments: CompareArguments) -> Result<(), Failure> {
    if let Some(cpus) = &arguments.cpus {
        cpus.take()?;
    }
    let (folder, binary) = beside(arguments.binary)?;
    let levels = match (arguments.levels, &arguments.store) {
        (levels, _) if !levels.is_empty() => levels,
        (_, Some(_)) => vec![Durability::Memory],
        (_, None) => vec![Durability::Memory, Durability::Disk, Durability::Replica],
    };
    let given = arguments.store.map(Source::Given);
    let what = compare::Comparison {
        store: given.or(arguments.store_server.map(Source::Program)),
        levels,
        binary,
        scratch: arguments.scratch.unwrap_or(folder),
        quick: arguments.quick,
        repetitions: if arguments.quick {
            1
        } else {
            arguments.repetitions.max(1)
        },
        measured: Duration::try_from_secs_f64(if arguments.quick {
            2.0
        } else {
            arguments.seconds
        })?,
        threads: arguments.threads,
        only: arguments.only,
    };
    compare::compare(&what, arguments.json.as_deref())
}
