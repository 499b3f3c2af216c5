//! Accepting and serving: one acceptor deals connections to one single-threaded runtime per core.
//!
//! One acceptor that deals in turn, rather than every thread accepting: connections of this API
//! live long, so an uneven share would stay uneven, and the slowest thread would set the pace.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::mpsc::sync_channel;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::runtime::Builder;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, watch};

use crate::domain::Ttl;
use crate::engine::Engine;
use crate::http::app::App;
use crate::http::catalog::Kind;
use crate::http::conn::{Patience, canned};
use crate::http::lane::{Dealt, LaneParts};
use crate::http::places::Places;
use crate::limits::GUESTS_MAX;
use crate::telemetry::Meters;

/// Connections that the kernel keeps ready while the acceptor is busy.
const BACKLOG: u32 = 4_096;

/// Connections dealt to a thread that it has not taken yet.
const DEALT_MAX: usize = 1_024;

/// Rest after a failed accept: out of file descriptors, most likely.
const ACCEPT_REST: Duration = Duration::from_millis(50);

/// How the server treats its callers.
#[derive(Debug, Clone)]
pub struct HttpConfig {
    /// Threads that serve.
    pub threads: NonZeroUsize,
    /// Most connections open at once. When all are taken, those that have waited for a request for a
    /// moment give way.
    pub connections_max: usize,
    /// Most of them from one address.
    pub connections_each: usize,
    /// Connections beyond these, which may only ask how the server is.
    pub guests_max: usize,
    /// Most event streams open at once.
    pub streams_max: usize,
    /// Time between requests of a connection.
    pub idle: Duration,
    /// Time for the head of a request.
    pub header: Duration,
    /// Time for head and body of a request together.
    pub request: Duration,
    /// Time for the work on a request; then its result is unknown.
    pub work: Duration,
    /// Time in which the caller must take any byte of an answer.
    pub write: Duration,
    /// Time for the caller to close after us.
    pub closing: Duration,
    /// From one look at the connections to the next: how exact these times are.
    pub sweep: Duration,
    /// Time for open requests to finish when the server stops; then they are cut.
    pub drain: Duration,
    /// Time to live of a hold whose caller names none.
    pub hold_ttl: Ttl,
}

impl HttpConfig {
    /// The defaults; `hold_ttl` is the time to live of a hold whose caller names none.
    pub fn new(hold_ttl: Ttl) -> Self {
        let cores = std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
        Self {
            threads: cores,
            connections_max: 10_000,
            connections_each: usize::MAX,
            guests_max: GUESTS_MAX,
            streams_max: 64,
            idle: Duration::from_secs(75),
            header: Duration::from_secs(5),
            request: Duration::from_secs(10),
            work: Duration::from_secs(30),
            write: Duration::from_secs(10),
            closing: Duration::from_secs(2),
            sweep: Duration::from_millis(500),
            drain: Duration::from_secs(8),
            hold_ttl,
        }
    }

    /// The times in ticks of the sweeper, at least two each: the first may come at once.
    pub(super) fn patience(&self) -> Patience {
        let tick = self.sweep.as_micros().max(1);
        let ticks = |time: Duration| {
            u32::try_from(time.as_micros().div_ceil(tick))
                .unwrap_or(u32::MAX / 2)
                .max(2)
        };
        Patience {
            idle: ticks(self.idle),
            head: ticks(self.header),
            request: ticks(self.request),
            work: ticks(self.work),
            write: ticks(self.write),
            closing: ticks(self.closing),
        }
    }
}

/// A running server.
#[derive(Debug)]
pub struct Server {
    addr: SocketAddr,
    threads: Vec<JoinHandle<()>>,
}

impl Server {
    /// Where it listens.
    pub const fn local_addr(&self) -> SocketAddr {
        self.addr
    }

    /// Waits until every thread has ended, which they do after the shutdown was asked for. An
    /// error if one of them panicked.
    pub fn join(self) -> io::Result<()> {
        let ended = self.threads.into_iter().map(JoinHandle::join);
        let panicked = ended.filter(Result::is_err).count();
        match panicked {
            0 => Ok(()),
            _ => Err(io::Error::other("a serving thread panicked")),
        }
    }
}

/// Listens and serves until `shutdown` is true or its sender is gone.
pub fn serve(
    listen: SocketAddr,
    engine: Engine,
    meters: Meters,
    config: &HttpConfig,
    shutdown: &watch::Receiver<bool>,
) -> io::Result<Server> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let listener = {
        let _entered = runtime.enter();
        bind(listen)?
    };
    let addr = listener.local_addr()?;
    let app = Arc::new(App::new(engine, meters, config));
    let limit = config.connections_max.saturating_add(config.guests_max);
    let places = Arc::new(Places::new(limit, config.connections_each));
    let mut threads = Vec::new();
    let mut hands = Vec::new();
    for number in 0..config.threads.get() {
        let (hand, dealt) = mpsc::channel(DEALT_MAX);
        hands.push(hand);
        let lane = LaneParts {
            app: Arc::clone(&app),
            places: Arc::clone(&places),
            config: config.clone(),
            shutdown: shutdown.clone(),
        };
        let named = std::thread::Builder::new().name(format!("holdfast-http-{number}"));
        let (ready, begun) = sync_channel(1);
        threads.push(named.spawn(move || lane.run(dealt, &ready))?);
        // Nobody is told that this serves before every thread does.
        begun
            .recv()
            .unwrap_or_else(|_| Err(io::Error::other("a serving thread ended at once")))?;
    }
    let acceptor = Acceptor {
        listener,
        hands,
        places,
        app,
    };
    let stop = shutdown.clone();
    let named = std::thread::Builder::new().name("holdfast-accept".to_owned());
    threads.push(named.spawn(move || {
        runtime.block_on(acceptor.run(stop));
    })?);
    Ok(Server { addr, threads })
}

fn bind(listen: SocketAddr) -> io::Result<TcpListener> {
    let socket = if listen.is_ipv4() {
        TcpSocket::new_v4()?
    } else {
        TcpSocket::new_v6()?
    };
    // A restarted server must not wait for the old one's connections to be forgotten.
    socket.set_reuseaddr(true)?;
    socket.bind(listen)?;
    socket.listen(BACKLOG)
}

/// Returns when the server shall stop.
pub(super) async fn stopped(shutdown: &mut watch::Receiver<bool>) {
    // An error means that the sender is gone, which is a shutdown too.
    drop(shutdown.wait_for(|stop| *stop).await);
}

struct Acceptor {
    listener: TcpListener,
    hands: Vec<mpsc::Sender<Dealt>>,
    places: Arc<Places>,
    app: Arc<App>,
}

impl Acceptor {
    async fn run(mut self, mut shutdown: watch::Receiver<bool>) {
        let mut turn = 0_usize;
        // Told once for as long as it goes on.
        let mut fails = false;
        loop {
            let accepted = tokio::select! {
                biased;
                () = stopped(&mut shutdown) => break,
                accepted = self.listener.accept() => accepted,
            };
            match accepted {
                Ok((stream, peer)) => {
                    fails = false;
                    if !self.deal(&mut turn, stream, peer.ip()).await {
                        break;
                    }
                }
                Err(error) if is_callers_fault(&error) => {}
                Err(error) => {
                    if !std::mem::replace(&mut fails, true) {
                        tracing::warn!(%error, "cannot accept a connection");
                    }
                    tokio::time::sleep(ACCEPT_REST).await;
                }
            }
        }
        self.app.drain();
        self.hands.clear();
    }

    /// Hands a connection to the next thread that has room; false if no thread lives any more.
    ///
    /// Waits while no thread has room: until then the kernel keeps the connections that come.
    async fn deal(&self, turn: &mut usize, stream: TcpStream, peer: IpAddr) -> bool {
        let taken = match self.places.take(peer) {
            Ok(taken) => taken,
            Err(why) => {
                turn_away(&stream, why);
                return true;
            }
        };
        let Ok(stream) = stream.into_std() else {
            return true;
        };
        let mut dealt = Dealt { stream, taken };
        for _ in &self.hands {
            *turn = (*turn + 1) % self.hands.len();
            let Some(hand) = self.hands.get(*turn) else {
                continue;
            };
            match hand.try_send(dealt) {
                Ok(()) => return true,
                Err(TrySendError::Full(back) | TrySendError::Closed(back)) => dealt = back,
            }
        }
        let Some(hand) = self.hands.iter().find(|hand| !hand.is_closed()) else {
            return false;
        };
        // Dropped with its place where that thread has just ended.
        drop(hand.send(dealt).await);
        true
    }
}

/// Says why, takes what the caller already sent so that the answer is not lost, and closes.
fn turn_away(stream: &TcpStream, why: &'static Kind) {
    drop(stream.try_write(&canned(why)));
    drop(stream.try_read(&mut [0_u8; 4_096]));
}

/// The caller gave up before the connection was taken.
fn is_callers_fault(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::Interrupted
    )
}
