//! Composition root: the only module that knows every other.

mod upkeep;

use std::ffi::OsString;
use std::future::{Future, pending};
use std::io;
use std::net::SocketAddr;
use std::pin::pin;

use clap::Parser;
use tokio::runtime::Builder;
use tokio::sync::watch;
use tokio::task::spawn_blocking;

use crate::cli::args::{Action, Arguments, Serve};
use crate::cli::open::{self, InStore, Opened};
use crate::cli::{self, Exit, Failure, advice, demo, probe, replay};
use crate::config::{Config, StoreSettings};
use crate::domain::Ttl;
use crate::engine::Engine;
use crate::http::{self, HttpConfig};
use crate::ledger::Durability;
use crate::limits::{FILES_KEPT, FILES_KEPT_MIN, FILES_OF_THREAD};
use crate::shutdown::{Insistence, Signals};
use crate::telemetry::logging;

/// Reads the command line and does what it says.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> Exit {
    let arguments = match Arguments::try_parse_from(arguments) {
        Ok(arguments) => arguments,
        Err(error) => {
            // Help and version are "errors" too, and go to standard output. If that is closed,
            // nobody reads them.
            drop(error.print());
            return if error.use_stderr() {
                Exit::Usage
            } else {
                Exit::Done
            };
        }
    };
    match dispatch(&arguments.command) {
        Ok(()) => Exit::Done,
        Err(failure) => {
            cli::report(&failure);
            failure.exit
        }
    }
}

fn dispatch(action: &Action) -> Result<(), Failure> {
    match action {
        Action::Serve(arguments) => serve(arguments),
        Action::Healthcheck(arguments) => cli::healthcheck::run(arguments),
        Action::Doctor(arguments) => cli::doctor::run(arguments),
        Action::Verify(arguments) => cli::verify::run(arguments),
        Action::Import(arguments) => cli::import::run(arguments),
        Action::Export(arguments) => cli::export::run(arguments),
        Action::Prove(command) => cli::prove::run(command),
        Action::Replay(arguments) => replay::run(arguments, |opened, config| {
            Ok(Box::new(Background::start(opened, config)?))
        }),
        Action::Preflight(arguments) => cli::preflight::run(arguments),
        Action::Bench(arguments) => cli::bench::run(arguments),
        Action::Policy(command) => cli::policy::run(&command.action),
        Action::Config(command) => cli::config_command::run(&command.action),
        Action::Openapi => cli::print(http::openapi::text()),
        Action::Completions { shell } => cli::completions::run(*shell),
    }
}

/// A server and the switch that stops it.
struct Background {
    server: http::Server,
    stop: watch::Sender<bool>,
}

impl Background {
    fn start(opened: &Opened, config: &Config) -> Result<Self, Failure> {
        let (stop, stopped) = watch::channel(false);
        let settings = http_config(config)?;
        let (engine, meters) = (opened.engine.clone(), opened.meters.clone());
        let server = http::serve(config.listen, engine, meters, &settings, &stopped);
        let server = server.map_err(|e| {
            let fix = advice::on_listening(&e);
            Failure::new(
                Exit::Failed,
                format!("cannot listen on {}: {e}; {fix}", config.listen),
            )
        })?;
        Ok(Self { server, stop })
    }

    /// Lets open requests finish and ends the server.
    fn drain(self) -> io::Result<()> {
        self.stop.send_replace(true);
        self.server.join()
    }
}

impl replay::Server for Background {
    fn address(&self) -> SocketAddr {
        self.server.local_addr()
    }

    fn stop(self: Box<Self>) -> io::Result<()> {
        self.drain()
    }
}

fn http_config(config: &Config) -> Result<HttpConfig, Failure> {
    let http = &config.http;
    let hold_ttl = Ttl::from_millis(config.hold_ttl_ms);
    let hold_ttl = hold_ttl.ok_or_else(|| Failure::new(Exit::Config, "hold.ttl_seconds"))?;
    let default = HttpConfig::new(hold_ttl);
    let wanted = (http.connections_max, default.guests_max);
    let (connections_max, guests_max) =
        files_for(wanted, http.threads.get(), probe::raise_open_files());
    if connections_max < http.connections_max {
        tracing::warn!(
            connections_max,
            wanted = http.connections_max,
            "fewer connections than configured: this process may not open so many files"
        );
    }
    Ok(HttpConfig {
        threads: http.threads,
        connections_max,
        connections_each: http.connections_each,
        guests_max,
        streams_max: http.streams_max,
        idle: http.idle_timeout,
        header: http.header_timeout,
        request: http.request_timeout,
        work: http.work_timeout,
        write: http.write_timeout,
        drain: http.drain,
        ..default
    })
}

/// As many connections and guests as there are files for, when the others have theirs: the journal
/// must never be the one that finds no file. Of a small number half is for connections, of a very small
/// one what the others leave.
fn files_for(
    (connections, guests): (usize, usize),
    threads: usize,
    files: Option<u64>,
) -> (usize, usize) {
    let Some(files) = files else {
        return (connections, guests);
    };
    let files = usize::try_from(files).unwrap_or(usize::MAX);
    let of_threads = threads.saturating_mul(FILES_OF_THREAD);
    let least = FILES_KEPT_MIN.saturating_add(of_threads);
    let kept = FILES_KEPT.saturating_add(of_threads);
    let left = files.saturating_sub(kept.min(least.max(files / 2)));
    let guests = guests.min(left / 8);
    (connections.min(left - guests).max(1), guests)
}

fn serve(arguments: &Serve) -> Result<(), Failure> {
    let config = cli::load_config(&arguments.flags())?.config;
    logging::start(config.log_format, &config.log_level)
        .map_err(|e| Failure::new(Exit::Config, e.to_string()))?;
    let runtime = Builder::new_multi_thread()
        .worker_threads(1)
        .thread_name("holdfast-upkeep")
        .max_blocking_threads(4)
        .enable_all()
        .build()?;
    let (listen, with_demo) = (config.listen, arguments.demo);
    let in_store = if arguments.init {
        InStore::Made
    } else {
        InStore::Expected
    };
    let result = runtime.block_on(async {
        // Before anything is opened, so that a signal during a long recovery ends it.
        let mut signals = Signals::listen()?;
        let opening = {
            let config = config.clone();
            spawn_blocking(move || open::engine(&config, in_store).map_err(Failure::from))
        };
        let failed = |_panic| {
            let why = format!("starting on {listen} failed");
            Failure::new(Exit::Failed, why)
        };
        let opened = tokio::select! {
            opened = opening => opened.map_err(failed)??,
            name = signals.next() => {
                tracing::info!(signal = name, "ended before it was ready");
                return Ok(());
            }
        };
        // From here on callers may have been answered: a signal waits for `live`, which drains.
        let starting = spawn_blocking(move || {
            let server = Background::start(&opened, &config)?;
            ready(&config, &opened, server.server.local_addr(), with_demo);
            Ok::<_, Failure>((opened.engine, server))
        });
        let (engine, server) = starting.await.map_err(failed)??;
        live(&engine, server, signals, with_demo).await
    });
    // A second signal must not wait for what is still under way.
    runtime.shutdown_background();
    result
}

fn ready(config: &Config, opened: &Opened, address: SocketAddr, with_demo: bool) {
    let durability = config.durability.as_str();
    let place = match &config.store {
        StoreSettings::Embedded => format!("data {}, store embedded", config.data.display()),
        StoreSettings::Remote(store) => format!("store {store}"),
    };
    tracing::info!(
        %address, place, durability,
        recovery_seconds = opened.took.as_secs_f64(), "open for business"
    );
    cli::tell(&format!(
        "holdfast ready on http://{address} ({place}, durability {durability})"
    ));
    if config.durability == Durability::Memory {
        cli::tell(
            "durability memory: if the store is lost or fails over, acknowledged reservations can \
             be lost with it",
        );
    }
    if with_demo {
        cli::tell(&demo::Tour(address).to_string());
    }
}

/// Serves until a signal or a failure, then stops in order.
async fn live(
    engine: &Engine,
    server: Background,
    mut signals: Signals,
    with_demo: bool,
) -> Result<(), Failure> {
    let mut insistence = Insistence::new(engine.clock());
    let ended = tokio::select! {
        name = signals.next() => {
            tracing::info!(signal = name, "stopping");
            insistence.asked();
            Ok(())
        }
        failure = upkeep::run(engine) => Err(failure),
        failure = shop(engine, with_demo) => Err(failure),
    };
    let closing = engine.clone();
    let stopped = spawn_blocking(move || {
        server.drain()?;
        closing.close().map_err(Failure::from)
    });
    tokio::select! {
        stopped = stopped => {
            ended?;
            stopped.unwrap_or_else(|_panic| Err(Failure::new(Exit::Failed, "stopping failed")))
        }
        name = insist(&mut signals, &insistence) => {
            Err(Failure::new(Exit::Failed, format!("second signal, {name}: ended at once")))
        }
    }
}

/// Waits for a signal that is not an echo of the first.
async fn insist(signals: &mut Signals, insistence: &Insistence) -> &'static str {
    loop {
        let name = signals.next().await;
        if insistence.insists() {
            return name;
        }
    }
}

fn shop(engine: &Engine, with_demo: bool) -> impl Future<Output = Failure> {
    let engine = with_demo.then(|| engine.clone());
    async move {
        let Some(engine) = engine else {
            return pending().await;
        };
        let shopping = pin!(demo::run(engine));
        match shopping.await {
            Ok(()) => Failure::new(Exit::Failed, "the demo ended"),
            Err(failure) => failure,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{ErrorKind, Write};
    use std::net::TcpStream;
    use std::num::NonZeroUsize;
    use std::sync::Arc;
    use std::time::Duration;

    use super::*;
    use crate::clock::{Clock, monotonic};
    use crate::domain::command::{Command, Keyed, SetItem, StockChange, StockCommand};
    use crate::domain::{NodeIx, Sku, Units};
    use crate::engine::EngineConfig;
    use crate::ledger::embedded::storage::sim::{Fault, SimStorage, Site};
    use crate::ledger::{Answer, LedgerError};
    use crate::telemetry::Meters;

    /// An engine on simulated storage.
    pub(super) fn open(storage: &SimStorage, adjust: impl FnOnce(&mut EngineConfig)) -> Engine {
        let mut config = EngineConfig::new(Clock::system(), Meters::new());
        config.journal.segment_bytes = 64 * 1024;
        adjust(&mut config);
        Engine::open_on(Arc::new(storage.clone()), config).unwrap()
    }

    pub(super) fn set_stock(engine: &Engine, on_hand: u64) -> Result<Answer, LedgerError> {
        let item = SetItem {
            sku: Sku::new("A").unwrap(),
            node: NodeIx::MAIN,
            on_hand: Units::new(on_hand),
            unavailable: None,
            change_from: None,
        };
        let command = Command::Stock(StockCommand {
            change: StockChange::Set(vec![item]),
            reason: "test",
            operator: None,
        });
        let key = engine.key(&format!("stock-{on_hand}"), &command);
        engine.execute_blocking(&Keyed { key, command })
    }

    /// From now on no write is safe.
    pub(super) fn break_journal(storage: &SimStorage, engine: &Engine) {
        storage.fail(Fault {
            site: Site::Sync,
            after: 0,
            kind: ErrorKind::Other,
            stays: true,
        });
        let answer = set_stock(engine, 1);
        assert!(answer.is_err(), "{answer:?}");
    }

    #[test]
    fn connections_leave_files_for_the_journal() {
        let wanted = (10_000, 256);
        assert_eq!(files_for(wanted, 4, None), wanted);
        assert_eq!(files_for(wanted, 4, Some(1 << 20)), wanted);
        assert_eq!(files_for(wanted, 4, Some(1_024)), (658, 94));
        assert_eq!(files_for(wanted, 4, Some(64)), (14, 2));
        assert_eq!(files_for(wanted, 4, Some(0)), (1, 0));
    }

    #[test]
    fn a_poisoned_server_does_not_wait_for_its_callers() {
        let storage = SimStorage::new();
        let engine = open(&storage, |_| {});
        let (stop, stopped) = watch::channel(false);
        let mut settings = HttpConfig::new(Ttl::from_millis(60_000).unwrap());
        settings.threads = NonZeroUsize::MIN;
        settings.closing = Duration::from_mins(1);
        let listen = SocketAddr::from(([127, 0, 0, 1], 0));
        let server =
            http::serve(listen, engine.clone(), Meters::new(), &settings, &stopped).unwrap();
        let server = Background { server, stop };
        // A caller in the middle of a request, who will not close when told to go.
        let mut caller = TcpStream::connect(server.server.local_addr()).unwrap();
        let head = b"POST /v1/reservations HTTP/1.1\r\nhost: a\r\ncontent-length: 9\r\n\r\n{";
        caller.write_all(head).unwrap();
        break_journal(&storage, &engine);
        assert!(engine.health().poisoned);
        let timer = monotonic();
        server.drain().unwrap();
        assert!(timer.elapsed() < Duration::from_secs(1), "{timer:?}");
        drop(caller);
    }
}
