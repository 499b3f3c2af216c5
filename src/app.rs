//! Composition root: the only file that knows every module.

use std::ffi::OsString;
use std::future::{Future, pending};
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::time::Duration;

use clap::Parser;
use tokio::runtime::Builder;
use tokio::sync::watch;
use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::{MissedTickBehavior, interval};

use crate::cli::args::{Action, Arguments, Serve};
use crate::cli::open::{self, Opened};
use crate::cli::{self, Exit, Failure, demo, replay};
use crate::clock::{Monotonic, monotonic};
use crate::config::Config;
use crate::domain::Ttl;
use crate::engine::Engine;
use crate::http::{self, HttpConfig};
use crate::ledger::LedgerError;
use crate::shutdown::Signals;
use crate::telemetry::logging;

/// From one round of upkeep to the next: how late a deadline may be noticed when nobody asks.
const UPKEEP_PAUSE: Duration = Duration::from_millis(50);

/// After a failed snapshot, before the next: doubled with each that fails again.
const SNAPSHOT_PAUSE: Duration = Duration::from_mins(1);

/// The longest of these pauses.
const SNAPSHOT_PAUSE_MAX: Duration = Duration::from_hours(1);

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
        Action::Replay(arguments) => replay::run(arguments, |opened, config| {
            Ok(Box::new(Background::start(opened, config)?))
        }),
        Action::Bench(arguments) => cli::bench::run(arguments),
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
            Failure::new(
                Exit::Failed,
                format!("cannot listen on {}: {e}", config.listen),
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
    Ok(HttpConfig {
        threads: http.threads,
        connections_max: http.connections_max,
        streams_max: http.streams_max,
        idle: http.idle_timeout,
        header: http.header_timeout,
        request: http.request_timeout,
        work: http.work_timeout,
        write: http.write_timeout,
        drain: http.drain,
        ..HttpConfig::new(hold_ttl)
    })
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
    let result = runtime.block_on(async {
        // Before anything is opened, so that a signal during a long recovery ends it.
        let mut signals = Signals::listen()?;
        let opening = spawn_blocking(move || {
            let opened = open::engine(&config)?;
            let server = Background::start(&opened, &config)?;
            ready(&config, &opened, server.server.local_addr(), with_demo);
            Ok((opened.engine, server))
        });
        let (engine, server) = tokio::select! {
            opened = opening => opened.unwrap_or_else(|_panic| {
                Err(Failure::new(Exit::Failed, format!("starting on {listen} failed")))
            })?,
            name = signals.next() => {
                tracing::info!(signal = name, "ended before it was ready");
                return Ok(());
            }
        };
        live(&engine, server, signals, with_demo).await
    });
    // A second signal must not wait for what is still under way.
    runtime.shutdown_background();
    result
}

fn ready(config: &Config, opened: &Opened, address: SocketAddr, with_demo: bool) {
    let durability = config.durability.as_str();
    let data = config.data.display();
    tracing::info!(
        %address, data = %data, durability,
        recovery_seconds = opened.took.as_secs_f64(), "open for business"
    );
    cli::tell(&format!(
        "holdfast ready on http://{address} (data {data}, store embedded, durability {durability})"
    ));
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
    let ended = tokio::select! {
        name = signals.next() => {
            tracing::info!(signal = name, "stopping");
            Ok(())
        }
        failure = upkeep(engine) => Err(failure),
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
        name = signals.next() => {
            Err(Failure::new(Exit::Failed, format!("second signal, {name}: ended at once")))
        }
    }
}

/// When to try the next snapshot: at once, unless the last one failed.
#[derive(Debug, Default)]
struct SnapshotPace(Option<(Monotonic, Duration)>);

impl SnapshotPace {
    fn is_due(&self, now: Monotonic) -> bool {
        self.0
            .is_none_or(|(failed, pause)| now.since(failed) >= pause)
    }

    fn failed(&mut self, now: Monotonic) {
        let pause = self.0.map_or(SNAPSHOT_PAUSE, |(_, pause)| pause * 2);
        self.0 = Some((now, pause.min(SNAPSHOT_PAUSE_MAX)));
    }

    const fn succeeded(&mut self) {
        self.0 = None;
    }
}

fn out_of_service() -> Failure {
    Failure::new(
        Exit::Failed,
        "a write or sync of the journal failed, or a panic left work half done; what was \
         acknowledged is safe, and this process must not promise any more. Check the log and the \
         disk, then start again",
    )
}

/// What must happen by itself, until the ledger fails.
async fn upkeep(engine: &Engine) -> Failure {
    let mut timer = interval(UPKEEP_PAUSE);
    timer.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut snapshot: Option<JoinHandle<Result<bool, LedgerError>>> = None;
    let mut pace = SnapshotPace::default();
    loop {
        timer.tick().await;
        if engine.health().poisoned {
            return out_of_service();
        }
        match engine.tick().and_then(|()| engine.audit()) {
            Ok(()) => {}
            Err(LedgerError::Poisoned) => return out_of_service(),
            Err(error) => tracing::warn!(%error, "upkeep failed"),
        }
        if let Some(ended) = snapshot.take_if(|snapshot| snapshot.is_finished()) {
            match ended.await {
                Ok(Ok(_)) => pace.succeeded(),
                Ok(Err(LedgerError::Poisoned)) => return out_of_service(),
                Ok(Err(error)) => {
                    pace.failed(monotonic());
                    tracing::error!(%error, "no snapshot; the journal keeps growing");
                }
                Err(error) => {
                    pace.failed(monotonic());
                    tracing::error!(%error, "the snapshot panicked; the journal keeps growing");
                }
            }
        }
        if snapshot.is_none() && pace.is_due(monotonic()) {
            let engine = engine.clone();
            snapshot = Some(spawn_blocking(move || engine.snapshot_if_due()));
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

    use super::*;
    use crate::clock::Clock;
    use crate::domain::command::{Command, Keyed, SetItem, StockChange, StockCommand};
    use crate::domain::{NodeIx, Sku, Units};
    use crate::engine::EngineConfig;
    use crate::ledger::embedded::storage::sim::{Fault, SimStorage, Site};
    use crate::telemetry::Meters;

    fn break_journal(storage: &SimStorage, engine: &Engine) {
        storage.fail(Fault {
            site: Site::Sync,
            after: 0,
            kind: ErrorKind::Other,
            stays: true,
        });
        let item = SetItem {
            sku: Sku::new("A").unwrap(),
            node: NodeIx::MAIN,
            on_hand: Units::new(1),
            unavailable: None,
            change_from: None,
        };
        let change = StockChange::Set(vec![item]);
        let command = Command::Stock(StockCommand {
            change,
            reason: "test",
            operator: None,
        });
        let key = engine.key("k", &command);
        let answer = engine.execute_blocking(&Keyed { key, command });
        assert!(answer.is_err(), "{answer:?}");
    }

    #[test]
    fn a_failed_sync_ends_the_process() {
        let storage = SimStorage::new();
        let mut config = EngineConfig::new(Clock::system(), Meters::new());
        config.journal.segment_bytes = 64 * 1024;
        let engine = Engine::open_on(Arc::new(storage.clone()), config).unwrap();
        let runtime = Builder::new_current_thread().enable_time().build().unwrap();
        let calm = runtime.block_on(async {
            tokio::time::timeout(UPKEEP_PAUSE * 3, upkeep(&engine))
                .await
                .is_err()
        });
        assert!(calm, "upkeep goes on while nothing fails");
        break_journal(&storage, &engine);
        let failure = runtime.block_on(upkeep(&engine));
        assert_eq!(failure.exit, Exit::Failed);
        assert!(
            failure.message.contains("sync of the journal failed"),
            "{failure}"
        );
    }

    #[test]
    fn failed_snapshots_are_tried_again_ever_more_seldom() {
        let mut pace = SnapshotPace::default();
        let now = monotonic();
        assert!(pace.is_due(now));
        let mut pauses = Vec::new();
        for _ in 0..8 {
            pace.failed(now);
            assert!(!pace.is_due(now));
            pauses.push(pace.0.unwrap().1.as_secs() / 60);
        }
        assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 60, 60]);
        pace.succeeded();
        assert!(pace.is_due(now));
    }

    #[test]
    fn a_poisoned_server_does_not_wait_for_its_callers() {
        let storage = SimStorage::new();
        let mut config = EngineConfig::new(Clock::system(), Meters::new());
        config.journal.segment_bytes = 64 * 1024;
        let engine = Engine::open_on(Arc::new(storage.clone()), config).unwrap();
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
