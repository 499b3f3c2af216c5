//! A server in this process, clients of it, and a relay that loses answers.

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use holdfast::blocking::wait_for;
use holdfast::clock::Clock;
use holdfast::domain::{Sku, Ttl, UnixMillis};
use holdfast::engine::{Engine, EngineConfig};
use holdfast::http::{HttpConfig, Server, serve};
use holdfast::ledger::Durability;
use holdfast::telemetry::Meters;
use holdfast_client::{Answer, Client, Config, Error, Problem, Refusal, SetStock};
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

/// 2026-11-11T12:00:00Z, where every server's clock stands.
const START: UnixMillis = UnixMillis(1_794_398_400_000);

/// Seconds that a hold lives when nobody says otherwise.
pub(crate) const HOLD_SECONDS: u32 = 900;

/// So many seconds after the start, as the client tells it.
pub(crate) fn after_start(seconds: u32) -> Option<SystemTime> {
    let start = Duration::from_millis(START.0.unsigned_abs());
    let moment = start + Duration::from_secs(seconds.into());
    SystemTime::UNIX_EPOCH.checked_add(moment)
}

/// A running server; its data folder is the caller's, so that another one may follow.
pub(crate) struct Running {
    pub(crate) addr: SocketAddr,
    pub(crate) engine: Engine,
    pub(crate) clock: Clock,
    stop: watch::Sender<bool>,
    server: Option<Server>,
}

impl Running {
    pub(crate) fn start(folder: &Path) -> Self {
        Self::start_holding(folder, HOLD_SECONDS)
    }

    /// With another time to live of holds whose caller names none.
    pub(crate) fn start_holding(folder: &Path, seconds: u32) -> Self {
        let clock = Clock::manual(START);
        let meters = Meters::new();
        let mut engine = EngineConfig::new(clock.clone(), meters.clone());
        engine.journal.durability = Durability::Os;
        engine.journal.segment_bytes = 1 << 20;
        let engine = Engine::open(folder, engine).unwrap();
        let mut config = HttpConfig::new(Ttl::from_millis(seconds * 1_000).unwrap());
        config.threads = NonZeroUsize::new(2).unwrap();
        let (stop, stopped) = watch::channel(false);
        let listen = SocketAddr::from(([127, 0, 0, 1], 0));
        let server = serve(listen, engine.clone(), meters, &config, &stopped).unwrap();
        Self {
            addr: server.local_addr(),
            engine,
            clock,
            stop,
            server: Some(server),
        }
    }

    pub(crate) fn client(&self) -> Client {
        Client::new(&config(self.addr))
    }

    /// Units held of a SKU, by the engine.
    pub(crate) fn held(&self, sku: &str) -> u64 {
        let sku = Sku::new(sku).unwrap();
        let stock = wait_for(self.engine.stock(sku)).unwrap();
        stock.map_or(0, |stock| stock.held.get())
    }

    /// Counters and records agree. Returns the units held and committed.
    pub(crate) fn recount(&self) -> u64 {
        let recount = wait_for(self.engine.recount()).unwrap();
        assert_eq!(recount.violations, Vec::<String>::new());
        assert_eq!((recount.violation_count, recount.deficits), (0, 0));
        recount.units_promised
    }

    /// Stops as on a signal and waits for the end.
    pub(crate) async fn stop(self) {
        let ended = tokio::task::spawn_blocking(move || drop(self));
        ended.await.unwrap();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop.send_replace(true);
        if let Some(server) = self.server.take() {
            drop(server.join());
        }
        let _closed = self.engine.close();
    }
}

/// The usual limits with short pauses.
pub(crate) fn config(addr: SocketAddr) -> Config {
    let mut config = Config::new(&format!("http://{addr}")).unwrap();
    config.attempts_max = 3;
    config.backoff_first = Duration::from_millis(2);
    config.backoff_max = Duration::from_millis(10);
    config
}

/// Puts stock of one SKU.
pub(crate) async fn put(client: &Client, sku: &str, on_hand: u64) {
    let set = done(
        client
            .set_stock(&[SetStock::new(sku, on_hand)], "test")
            .await,
    );
    assert_eq!(set.len(), 1);
}

#[track_caller]
pub(crate) fn done<T>(answer: Result<Answer<T>, Error>) -> T {
    match answer {
        Ok(Answer::Done(outcome)) => outcome,
        Ok(Answer::Refused(refusal)) => panic!("refused: {refusal:?}"),
        Err(error) => panic!("error: {error:?}"),
    }
}

/// The refusal, which must have this code.
#[track_caller]
pub(crate) fn refused<T>(answer: Result<Answer<T>, Error>, code: &str) -> Refusal {
    match answer {
        Ok(Answer::Refused(refusal)) if refusal.code == code => *refusal,
        Ok(Answer::Refused(refusal)) => panic!("not {code}: {refusal:?}"),
        Ok(Answer::Done(_)) => panic!("done, not {code}"),
        Err(error) => panic!("not {code}: {error:?}"),
    }
}

/// The rejection, which must have this status and code.
#[track_caller]
pub(crate) fn rejected<T>(answer: Result<T, Error>, status: u16, code: &str) -> Problem {
    match answer {
        Err(Error::Rejected(problem)) => {
            assert_eq!((problem.status, &*problem.code), (status, code));
            assert!(problem.title.is_some() && problem.detail.is_some());
            *problem
        }
        Err(error) => panic!("not {code}: {error:?}"),
        Ok(_) => panic!("done, not {code}"),
    }
}

/// Stands between client and server. Dropped, it breaks every connection and takes no new one.
pub(crate) struct Relay {
    pub(crate) addr: SocketAddr,
    lose_answers: Arc<AtomicBool>,
    listening: JoinHandle<()>,
}

impl Relay {
    pub(crate) async fn start(server: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let lose_answers = Arc::new(AtomicBool::new(false));
        let lose = Arc::clone(&lose_answers);
        let listening = tokio::spawn(async move {
            // Aborted with this task.
            let mut connections = JoinSet::new();
            while let Ok((caller, _)) = listener.accept().await {
                connections.spawn(relay(caller, server, Arc::clone(&lose)));
            }
        });
        Self {
            addr,
            lose_answers,
            listening,
        }
    }

    /// From now on requests arrive and answers do not.
    pub(crate) fn lose_answers(&self) {
        self.lose_answers.store(true, Ordering::Relaxed);
    }

    /// Breaks every connection; returns when that is done.
    pub(crate) async fn cut(self) {
        self.listening.abort();
        assert!(self.listening.await.unwrap_err().is_cancelled());
    }
}

async fn relay(caller: TcpStream, server: SocketAddr, lose: Arc<AtomicBool>) {
    let Ok(server) = TcpStream::connect(server).await else {
        return;
    };
    let (mut from_caller, mut to_caller) = caller.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let requests = copy(&mut from_caller, &mut to_server);
    let answers = async {
        let mut buffer = vec![0; 64 * 1024];
        while let Ok(read @ 1..) = from_server.read(&mut buffer).await {
            if !lose.load(Ordering::Relaxed) && to_caller.write_all(&buffer[..read]).await.is_err()
            {
                break;
            }
        }
    };
    tokio::select! {
        _ended = requests => (),
        () = answers => (),
    }
}
