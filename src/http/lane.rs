//! One serving thread: its runtime, its connections, its sweeper.

use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::mpsc::SyncSender;
use std::task::Poll;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::runtime::{Builder, LocalOptions};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::clock::monotonic;
use crate::http::app::App;
use crate::http::catalog;
use crate::http::conn::{End, LaneClock, Patience, Phase, Socket, State};
use crate::http::places::{Places, Taken};
use crate::http::route_meters::RouteMeters;
use crate::http::server::{HttpConfig, stopped};
use crate::http::{hot, routes};
use crate::limits::{HEAD_BYTES_MAX, HEADERS_MAX, OPERATOR_CALLS_MAX};

/// Connections that a thread takes before it looks after those it has.
const TAKE_MAX: usize = 16;

/// How long callers may take when the ledger is out of service: they wait for a process that
/// works.
const POISONED_DRAIN: Duration = Duration::from_millis(400);

/// A connection that was accepted, and its place among all.
pub(super) struct Dealt {
    pub(super) stream: std::net::TcpStream,
    pub(super) taken: Taken,
}

/// What a serving thread is made of.
pub(super) struct LaneParts {
    pub(super) app: Arc<App>,
    pub(super) places: Arc<Places>,
    pub(super) config: HttpConfig,
    pub(super) shutdown: watch::Receiver<bool>,
}

impl LaneParts {
    /// Serves what is dealt, until the shutdown. Says first whether it can.
    pub(super) fn run(self, dealt: mpsc::Receiver<Dealt>, ready: &SyncSender<io::Result<()>>) {
        // Blocking threads do what `App::beside` and `App::for_operator` admit, and render metrics.
        let runtime = Builder::new_current_thread()
            .enable_all()
            .max_blocking_threads(4 + OPERATOR_CALLS_MAX + self.config.threads.get())
            .build_local(LocalOptions::default());
        // Whoever started this waits for it, and tells of an error.
        let runtime = match runtime {
            Ok(runtime) => {
                drop(ready.send(Ok(())));
                runtime
            }
            Err(error) => return drop(ready.send(Err(error))),
        };
        runtime.block_on(async {
            self.app.engine.install_lane();
            let mut http = http1::Builder::new();
            http.max_header_size(HEAD_BYTES_MAX)
                .max_headers(HEADERS_MAX)
                .header_read_timeout(None)
                .half_close(false);
            let lane = Rc::new(Lane {
                router: routes::router(Arc::clone(&self.app)),
                meters: RouteMeters::new(self.app.meters.clone()),
                app: self.app,
                places: self.places,
                limit: self.config.connections_max,
                http,
                clock: Rc::default(),
                connections: RefCell::default(),
            });
            lane.run(dealt, self.shutdown, &self.config).await;
        });
    }
}

/// Time in which what callers have already sent is read before idle connections are closed.
const SETTLE: Duration = Duration::from_millis(10);

/// One serving thread.
struct Lane {
    app: Arc<App>,
    router: Router,
    meters: RouteMeters,
    places: Arc<Places>,
    /// Most connections open at once, those of the other threads included.
    limit: usize,
    http: http1::Builder,
    clock: Rc<LaneClock>,
    connections: RefCell<Connections>,
}

/// Connections of a thread, each at a place that stays its own.
#[derive(Default)]
struct Connections {
    places: Vec<Option<Rc<State>>>,
    free: Vec<usize>,
}

impl Connections {
    fn enter(&mut self, state: Rc<State>) -> usize {
        let at = self.free.pop().unwrap_or_else(|| {
            self.places.push(None);
            self.places.len() - 1
        });
        if let Some(place) = self.places.get_mut(at) {
            *place = Some(state);
        }
        at
    }

    fn leave(&mut self, at: usize) {
        if let Some(place) = self.places.get_mut(at) {
            *place = None;
            self.free.push(at);
        }
    }

    fn count(&self) -> usize {
        self.places.len() - self.free.len()
    }

    /// Ends the one that can best be spared, among the guests or among the others; false: none can.
    fn evict(&self, guests: bool) -> bool {
        let those = self.places.iter().flatten();
        let those = those.filter(|state| state.is_guest() == guests);
        let spare = those.filter_map(|state| Some((state.spare()?, state)));
        match spare.max_by_key(|(spare, _)| *spare) {
            Some((_, state)) => {
                state.evict();
                true
            }
            None => false,
        }
    }

    fn each(&self, mut visit: impl FnMut(&State)) {
        self.places.iter().flatten().for_each(|state| visit(state));
    }
}

/// A connection's place among those of its thread; gives it back however the connection ends.
struct Place {
    lane: Rc<Lane>,
    at: usize,
    #[expect(dead_code, reason = "held, not read")]
    taken: Taken,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.lane.connections.borrow_mut().leave(self.at);
        self.lane.app.meters.connection_closed();
    }
}

impl Lane {
    async fn run(
        self: Rc<Self>,
        mut dealt: mpsc::Receiver<Dealt>,
        mut shutdown: watch::Receiver<bool>,
        config: &HttpConfig,
    ) {
        let patience = config.patience();
        let mut arrived = Vec::new();
        let mut tick = interval(config.sweep);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                biased;
                () = stopped(&mut shutdown) => break,
                _ = tick.tick() => self.sweep(&patience),
                taken = dealt.recv_many(&mut arrived, TAKE_MAX) => {
                    self.welcome(&mut arrived);
                    if taken == 0 {
                        break;
                    }
                    // In a flood there is always another to take: without this those at work are
                    // not looked after, look idle, and give way.
                    tokio::task::yield_now().await;
                }
            }
        }
        self.app.drain();
        // Those that were accepted but not taken yet are served like all others: told to go.
        dealt.close();
        while let Some(one) = dealt.recv().await {
            self.take(one, false);
        }
        self.finish(&mut tick, &patience, config.drain).await;
    }

    fn sweep(&self, patience: &Patience) {
        self.clock.tick();
        let connections = self.connections.borrow();
        connections.each(|state| state.sweep(patience));
        // Nobody else gets as far as a thread that would make one of them give way.
        if self.places.are_taken() {
            connections.each(|state| {
                if state.is_guest() && state.spare().is_some() {
                    state.evict();
                }
            });
        }
    }

    /// Ends what is idle, lets finish what is under way, and gives up after the hard deadline.
    async fn finish(&self, tick: &mut tokio::time::Interval, patience: &Patience, limit: Duration) {
        // Give connections that were just taken the chance to read what is there.
        tokio::time::sleep(SETTLE).await;
        let deadline = tokio::time::sleep(limit);
        let mut deadline = std::pin::pin!(deadline);
        let mut look = interval(Duration::from_millis(5));
        let mut hurried = false;
        self.connections.borrow().each(State::drain);
        while self.connections.borrow().count() > 0 {
            tokio::select! {
                biased;
                () = &mut deadline => break,
                _ = tick.tick() => self.sweep(patience),
                _ = look.tick() => {
                    if !hurried && self.app.engine.health().poisoned {
                        hurried = true;
                        let soon = Instant::from_std(monotonic().instant()) + POISONED_DRAIN;
                        let sooner = deadline.deadline().min(soon);
                        deadline.as_mut().reset(sooner);
                    }
                }
            }
        }
        let cut = self.connections.borrow().count();
        if cut > 0 {
            tracing::warn!(connections = cut, "cut what did not finish in time");
        }
    }

    /// Takes connections. When all places are taken, those that can be spared go; where none can,
    /// a newcomer is a guest, for whom one that has nothing to ask makes room.
    fn welcome(self: &Rc<Self>, arrived: &mut Vec<Dealt>) {
        let over = self.places.seated().saturating_sub(self.limit);
        let places = arrived.len().saturating_sub(over);
        for (at, one) in arrived.drain(..).enumerate() {
            let is_guest = at >= places && !self.connections.borrow().evict(false);
            if is_guest {
                self.connections.borrow().evict(true);
            }
            self.take(one, is_guest);
        }
    }

    fn take(self: &Rc<Self>, dealt: Dealt, is_guest: bool) {
        let Dealt { stream, mut taken } = dealt;
        if is_guest {
            taken = taken.into_guest();
        }
        self.app.meters.connection_opened();
        let state = Rc::new(State::new(Rc::clone(&self.clock), is_guest));
        let at = self.connections.borrow_mut().enter(Rc::clone(&state));
        let place = Place {
            lane: Rc::clone(self),
            at,
            taken,
        };
        // From here on dropping `place` counts the connection as gone.
        match stream
            .set_nodelay(true)
            .and_then(|()| TcpStream::from_std(stream))
        {
            Ok(stream) => {
                tokio::task::spawn_local(connection(place, stream, state));
            }
            Err(error) => tracing::debug!(%error, "a connection broke before it began"),
        }
    }
}

/// Serves one connection to its end.
async fn connection(place: Place, stream: TcpStream, state: Rc<State>) {
    let lane = &place.lane;
    let mut io = TokioIo::new(Socket::new(stream, Rc::clone(&state)));
    let (socket, word) = loop {
        let service = service_fn(|request| {
            hot::serve(&lane.app, &lane.router, &lane.meters, &state, request)
        });
        let mut served = lane.http.serve_connection(io, service);
        let end = poll_fn(|cx| {
            state.keep_waker(cx.waker());
            match state.take_end() {
                Some(End::Finish) => Pin::new(&mut served).graceful_shutdown(),
                Some(end) => return Poll::Ready(Some(end)),
                None => {}
            }
            Pin::new(&mut served).poll(cx).map(|done| {
                // hyper leaves a preface of HTTP/2 unanswered.
                let is_preface = done.is_err_and(|error| error.is_parse());
                (is_preface && state.phase() == Phase::Head).then_some(End::Foreign)
            })
        });
        let Some(end) = end.await else { return };
        let parts = served.into_parts();
        let word = match end {
            // Nothing was read and not understood: it is just idle, and served on.
            End::Look if parts.read_buf.is_empty() => {
                io = parts.io;
                continue;
            }
            End::Quiet | End::Finish => return,
            End::Spared if parts.read_buf.is_empty() && !parts.io.inner().has_unread() => return,
            End::Look | End::Late => &catalog::REQUEST_TIMEOUT,
            End::Foreign => &catalog::MALFORMED_REQUEST,
            End::Unknown => &catalog::RESULT_UNKNOWN,
            End::Crowded | End::Spared => &catalog::TOO_MANY_CONNECTIONS,
            End::Stopping => &catalog::SHUTTING_DOWN,
        };
        break (parts.io.into_inner(), word);
    };
    socket.last_word(word);
    socket.close().await;
}
