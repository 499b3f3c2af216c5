//! One connection: what it is doing, since when, and the socket that notes it.
//!
//! No timer runs per request. The socket notes in [`State`] what the connection is doing; once per
//! tick the thread's sweeper looks at all of them and ends those that take too long.

use std::cell::{Cell, RefCell};
use std::cmp::Reverse;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker, ready};

use rustix::io::ioctl_fionread;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use crate::http::catalog::{self, Kind};
use crate::http::error::{Problem, RETRY_AFTER_S};

/// What a connection is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Accepted, and no byte has come.
    Fresh,
    /// Waiting for another request.
    Idle,
    /// The head of a request is arriving.
    Head,
    /// The body of a request is arriving.
    Body,
    /// A request is worked on.
    Busy,
    /// An answer is complete and being written.
    Answer,
    /// An answer without an end is being written.
    Stream,
    /// Our side is closed; waiting for the caller to close, so that it can read the last answer.
    Closing,
}

/// Why a connection is ended from outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// Nothing is under way; just close.
    Quiet,
    /// Nothing came for longer than a head may take: part of one may lie unnoticed behind the
    /// request before it.
    Look,
    /// It speaks another protocol: 400.
    Foreign,
    /// The request did not arrive in time: 408.
    Late,
    /// Others need the place more than a head that does not get on: 503.
    Crowded,
    /// Others need the place, and no request was seen; one may have arrived all the same.
    Spared,
    /// The answer was not there in time, so nobody knows the result: 504.
    Unknown,
    /// The server stops and has not begun with the request: 503.
    Stopping,
    /// The server stops: finish what is under way, then close.
    Finish,
}

/// Longest times in each phase, in ticks of the sweeper.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// Between requests.
    pub idle: u32,
    /// For the head of a request.
    pub head: u32,
    /// For head and body of a request together.
    pub request: u32,
    /// For the work on a request that arrived.
    pub work: u32,
    /// For the caller to take any byte of an answer.
    pub write: u32,
    /// For the caller to close after us.
    pub closing: u32,
}

/// The time of a thread's connections.
#[derive(Debug, Default)]
pub struct LaneClock {
    /// Ticks of the sweeper.
    ticks: Cell<u32>,
    /// Changes of what a connection is doing: finer than ticks, of which a burst takes one.
    turns: Cell<u64>,
}

impl LaneClock {
    /// The sweeper goes round.
    pub fn tick(&self) {
        self.ticks.set(self.now().wrapping_add(1));
    }

    const fn now(&self) -> u32 {
        self.ticks.get()
    }

    fn next_turn(&self) -> u64 {
        let turn = self.turns.get().wrapping_add(1);
        self.turns.set(turn);
        turn
    }
}

/// What one connection is doing. Shared by its socket, its requests and the sweeper.
#[derive(Debug)]
pub struct State {
    clock: Rc<LaneClock>,
    phase: Cell<Phase>,
    /// Tick and turn at which it began with that.
    since: Cell<u32>,
    turn: Cell<u64>,
    /// Tick at which a write last made no progress; `None`: nothing waits to be written.
    stuck: Cell<Option<u32>>,
    /// Whether [`End::Look`] was asked for since the last answer.
    looked: Cell<bool>,
    /// There was no place for it: it may ask how the server is, and nothing else.
    is_guest: bool,
    end: Cell<Option<End>>,
    waker: RefCell<Option<Waker>>,
}

impl State {
    /// A connection that was just accepted.
    pub fn new(clock: Rc<LaneClock>, is_guest: bool) -> Self {
        Self {
            since: Cell::new(clock.now()),
            turn: Cell::new(clock.next_turn()),
            clock,
            phase: Cell::new(Phase::Fresh),
            looked: Cell::new(false),
            is_guest,
            stuck: Cell::new(None),
            end: Cell::new(None),
            waker: RefCell::new(None),
        }
    }

    /// What it is doing.
    pub const fn phase(&self) -> Phase {
        self.phase.get()
    }

    /// Whether it came when all places were taken.
    pub const fn is_guest(&self) -> bool {
        self.is_guest
    }

    fn enter(&self, phase: Phase) {
        self.phase.set(phase);
        self.since.set(self.clock.now());
        self.turn.set(self.clock.next_turn());
    }

    /// A request's head is complete. Its time goes on from its first byte.
    pub fn head_done(&self) {
        if self.phase.get() == Phase::Head {
            self.phase.set(Phase::Body);
        } else {
            self.enter(Phase::Body);
        }
    }

    /// A request arrived completely.
    pub fn body_done(&self) {
        self.enter(Phase::Busy);
    }

    /// An answer was handed over completely.
    pub fn answered(&self) {
        self.enter(Phase::Answer);
    }

    /// An answer without an end begins.
    pub fn streaming(&self) {
        self.enter(Phase::Stream);
    }

    fn received(&self) {
        if matches!(self.phase.get(), Phase::Fresh | Phase::Idle) {
            self.enter(Phase::Head);
        }
    }

    fn flushed(&self) {
        self.stuck.set(None);
        if self.phase.get() == Phase::Answer {
            self.enter(Phase::Idle);
            self.looked.set(false);
        }
    }

    /// Keeps the waker of the connection's task, to be woken when it is ended from outside.
    pub fn keep_waker(&self, waker: &Waker) {
        let mut kept = self.waker.borrow_mut();
        if !kept.as_ref().is_some_and(|kept| kept.will_wake(waker)) {
            *kept = Some(waker.clone());
        }
    }

    /// Asks the connection's task to end.
    pub fn end(&self, end: End) {
        self.end.set(Some(end));
        let waker = self.waker.borrow().clone();
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Whether it was asked to end.
    pub fn take_end(&self) -> Option<End> {
        self.end.take()
    }

    /// Ends it if it takes too long: at the latest when its time is over, up to a tick before.
    pub fn sweep(&self, patience: &Patience) {
        let now = self.clock.now();
        let over = |since: u32, limit: u32| now.wrapping_sub(since) >= limit;
        if self
            .stuck
            .get()
            .is_some_and(|since| over(since, patience.write))
        {
            self.end(End::Quiet);
            return;
        }
        let since = self.since.get();
        match self.phase.get() {
            Phase::Fresh if over(since, patience.head) => self.end(End::Quiet),
            Phase::Idle if over(since, patience.idle) => self.end(End::Quiet),
            Phase::Idle if self.is_guest && over(since, patience.head) => self.end(End::Quiet),
            Phase::Idle if !self.looked.get() && over(since, patience.head) => {
                self.looked.set(true);
                self.end(End::Look);
            }
            Phase::Head if over(since, patience.head) => self.end(End::Late),
            Phase::Body if over(since, patience.request) => self.end(End::Late),
            // What an earlier answer left unwritten must not be followed by a last word.
            Phase::Busy if over(since, patience.work) && self.stuck.get().is_none() => {
                self.end(End::Unknown);
            }
            Phase::Closing if over(since, patience.closing) => self.end(End::Quiet),
            Phase::Fresh
            | Phase::Idle
            | Phase::Head
            | Phase::Body
            | Phase::Busy
            | Phase::Answer
            | Phase::Stream
            | Phase::Closing => {}
        }
    }

    /// How well the connection can be spared, the more the greater: those that wait for a request,
    /// the longest first; then those whose head does not get on. `None`: not at all.
    ///
    /// Who came or was answered a moment ago is at work: a request is on its way. If newcomers took its
    /// place, it would be the next newcomer, and under a crowd nothing would be done but connecting.
    pub fn spare(&self) -> Option<(bool, Reverse<u64>)> {
        // One tick may be the last part of a moment.
        let is_long = self.clock.now().wrapping_sub(self.since.get()) > 1;
        let longest = Reverse(self.turn.get());
        match self.phase.get() {
            // Asked to end already.
            _ if self.end.get().is_some_and(|end| end != End::Look) => None,
            Phase::Fresh | Phase::Idle if is_long => Some((true, longest)),
            // A head usually comes in one piece.
            Phase::Head if is_long => Some((false, longest)),
            Phase::Fresh
            | Phase::Idle
            | Phase::Head
            | Phase::Body
            | Phase::Busy
            | Phase::Answer
            | Phase::Stream
            | Phase::Closing => None,
        }
    }

    /// Gives the place to another.
    pub fn evict(&self) {
        self.end(if self.phase.get() == Phase::Head {
            End::Crowded
        } else {
            End::Spared
        });
    }

    /// The server stops. What has not begun is told so at once.
    pub fn drain(&self) {
        match self.phase.get() {
            Phase::Fresh | Phase::Idle | Phase::Closing => self.end(End::Quiet),
            Phase::Head | Phase::Body => self.end(End::Stopping),
            Phase::Busy | Phase::Answer | Phase::Stream => self.end(End::Finish),
        }
    }
}

/// A complete answer for a request that no handler saw.
pub fn canned(kind: &'static Kind) -> Vec<u8> {
    let body = Problem::bare(kind);
    let retry = if kind.will_pass() {
        format!("retry-after: {RETRY_AFTER_S}\r\n")
    } else {
        String::new()
    };
    let head = format!(
        "HTTP/1.1 {}\r\ncontent-type: application/problem+json\r\n{retry}content-length: {}\r\n\
         connection: close\r\n\r\n",
        kind.status,
        body.len()
    );
    let mut out = head.into_bytes();
    out.extend_from_slice(&body);
    out
}

/// The socket of a connection.
#[derive(Debug)]
pub struct Socket {
    stream: TcpStream,
    state: Rc<State>,
    /// Bytes that may still be read and thrown away while closing.
    linger: usize,
}

/// Most bytes that are read and thrown away so that the caller can read the last answer: closing
/// a socket with unread bytes makes the kernel reset it, and the answer may be lost.
const LINGER_BYTES: usize = 16 << 20;

impl Socket {
    /// A socket that notes what it does.
    pub const fn new(stream: TcpStream, state: Rc<State>) -> Self {
        Self {
            stream,
            state,
            linger: LINGER_BYTES,
        }
    }

    /// Whether something has arrived that was not read.
    pub fn has_unread(&self) -> bool {
        ioctl_fionread(&self.stream).is_ok_and(|bytes| bytes > 0)
    }

    /// Says a last word, if the socket takes it at once.
    pub fn last_word(&self, kind: &'static Kind) {
        // The connection ends in any case; whoever does not take the word sees it closed.
        drop(self.stream.try_write(&canned(kind)));
    }

    /// Closes our side, then waits for the caller to close its own.
    pub async fn close(mut self) {
        std::future::poll_fn(|cx| {
            self.state.keep_waker(cx.waker());
            if self.state.take_end().is_some() {
                return Poll::Ready(());
            }
            Pin::new(&mut self).poll_shutdown(cx).map(drop)
        })
        .await;
    }

    /// What hyper answers by itself when it cannot read a request, as a problem.
    ///
    /// No handler saw the request, so nothing else can be under way on this connection.
    fn own_words(&self, bytes: &[u8]) -> Option<Vec<u8>> {
        if !matches!(self.state.phase(), Phase::Fresh | Phase::Idle | Phase::Head) {
            return None;
        }
        let kind = match bytes.get(..13)? {
            b"HTTP/1.1 431 " => &catalog::HEADERS_TOO_LARGE,
            b"HTTP/1.1 414 " => &catalog::URI_TOO_LONG,
            b"HTTP/1.1 400 " => &catalog::MALFORMED_REQUEST,
            _ => return None,
        };
        Some(canned(kind))
    }

    fn wrote(&self, result: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        let now = self.state.clock.now();
        match &result {
            Poll::Ready(_) => self.state.stuck.set(Some(now)),
            Poll::Pending => {
                let since = self.state.stuck.get().unwrap_or(now);
                self.state.stuck.set(Some(since));
            }
        }
        result
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buf))?;
        if buf.filled().len() > before {
            self.state.received();
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        if let Some(words) = self.own_words(buf) {
            ready!(Pin::new(&mut self.stream).poll_write(cx, &words))?;
            return Poll::Ready(Ok(buf.len()));
        }
        let result = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.wrote(result)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let first = bufs.iter().find(|buf| !buf.is_empty());
        if let Some(words) = first.and_then(|buf| self.own_words(buf)) {
            ready!(Pin::new(&mut self.stream).poll_write(cx, &words))?;
            return Poll::Ready(Ok(bufs.iter().map(|buf| buf.len()).sum()));
        }
        let result = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.wrote(result)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.stream).poll_flush(cx))?;
        self.state.flushed();
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.state.phase() != Phase::Closing {
            ready!(Pin::new(&mut self.stream).poll_shutdown(cx))?;
            self.state.enter(Phase::Closing);
        }
        let mut scrap = [0_u8; 4_096];
        loop {
            let mut buf = ReadBuf::new(&mut scrap);
            let read = ready!(Pin::new(&mut self.stream).poll_read(cx, &mut buf));
            let bytes = buf.filled().len();
            match read {
                Ok(()) if bytes > 0 && self.linger > bytes => self.linger -= bytes,
                Ok(()) | Err(_) => return Poll::Ready(Ok(())),
            }
        }
    }
}
