//! Coalescing: concurrent reserve calls gather into batches while the connections are busy.
//!
//! There is no timer. A call writes its piece of JSON into the newest batch and waits. Each of a
//! few lanes takes the oldest batch as soon as it has nothing in flight, however small the batch
//! is; what is called meanwhile gathers in the next one. Alone, a call goes out at once; under
//! load, batches grow by themselves until the server is kept busy.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;

use tokio::sync::{Notify, Semaphore};
use tokio::time::{Instant, sleep_until};

use crate::answer::Error;
use crate::board::{Board, Ticket};
use crate::clock::now;
use crate::config::Config;
use crate::key::IdempotencyKey;
use crate::request::Reserve;

const HEAD: &[u8] = b"{\"reservations\":[";
const SPARES_MAX: usize = 16;

/// A batch that is gathering or on its way.
#[derive(Default)]
pub(crate) struct Batch {
    pub(crate) body: Vec<u8>,
    pub(crate) board: Arc<Board>,
    calls: usize,
}

/// A batch to send.
pub(crate) struct Sealed {
    pub(crate) body: Vec<u8>,
    pub(crate) board: Arc<Board>,
    /// Calls in the body, at least one.
    pub(crate) calls: usize,
    /// When the last of them gives up.
    pub(crate) deadline: Instant,
}

pub(crate) struct Queue {
    state: Mutex<State>,
    /// One permit for each idle lane that was called to a batch.
    work: Semaphore,
    sweep: Notify,
    calls_max: usize,
    batch_max: usize,
    batch_bytes: usize,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Batch>,
    /// Calls in `waiting`.
    queued: usize,
    flying: Vec<Arc<Board>>,
    spare_boards: Vec<Arc<Board>>,
    spare_bodies: Vec<Vec<u8>>,
    lanes_idle: usize,
    /// When the sweeper looks next.
    sweep_at: Option<Instant>,
}

impl Queue {
    pub(crate) fn new(config: &Config) -> Self {
        Self {
            state: Mutex::default(),
            work: Semaphore::new(0),
            sweep: Notify::new(),
            calls_max: config.queue_max,
            batch_max: config.batch_max.max(1),
            batch_bytes: config.batch_bytes,
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a call to the newest batch; refused at once when the queue is full.
    pub(crate) fn push(
        &self,
        request: &Reserve<'_>,
        key: &IdempotencyKey,
        deadline: Instant,
        waker: Waker,
    ) -> Result<Ticket, Error> {
        let mut state = self.lock();
        if state.queued >= self.calls_max {
            return Err(Error::Overloaded { retry_after: None });
        }
        let room =
            |batch: &Batch| batch.calls < self.batch_max && batch.body.len() < self.batch_bytes;
        let starts = !state.waiting.back().is_some_and(room);
        if starts {
            let batch = state.start_batch();
            state.waiting.push_back(batch);
        }
        let Some(batch) = state.waiting.back_mut() else {
            return Err(Error::Overloaded { retry_after: None });
        };
        request.write(Some(key), &mut batch.body);
        batch.body.push(b',');
        batch.calls += 1;
        let ticket = batch.board.join(batch.body.len(), deadline, waker);
        state.queued += 1;
        let wake_lane = starts && state.lanes_idle > 0;
        if wake_lane {
            state.lanes_idle -= 1;
        }
        let wake_sweeper = state.sweep_at.is_none_or(|at| deadline < at);
        if wake_sweeper {
            state.sweep_at = Some(deadline);
        }
        drop(state);
        if wake_lane {
            self.work.add_permits(1);
        }
        if wake_sweeper {
            self.sweep.notify_one();
        }
        Ok(ticket)
    }

    /// The oldest batch, as soon as there is one; `None` once the client is gone.
    pub(crate) async fn next(&self) -> Option<Sealed> {
        loop {
            if let Some(sealed) = self.take() {
                return Some(sealed);
            }
            self.work.acquire().await.ok()?.forget();
        }
    }

    /// The oldest batch, or this lane counts as idle.
    fn take(&self) -> Option<Sealed> {
        let mut state = self.lock();
        loop {
            let Some(mut batch) = state.waiting.pop_front() else {
                state.lanes_idle += 1;
                return None;
            };
            state.queued -= batch.calls;
            let (calls, latest) = batch.board.seal(HEAD.len(), &mut batch.body);
            if let Some(deadline) = latest
                && calls > 0
            {
                // The last comma becomes the end of the list.
                batch.body.pop();
                batch.body.extend_from_slice(b"]}");
                state.flying.push(Arc::clone(&batch.board));
                let Batch { body, board, .. } = batch;
                return Some(Sealed {
                    body,
                    board,
                    calls,
                    deadline,
                });
            }
            state.keep(batch.board, batch.body);
        }
    }

    /// The batch was answered; its parts are used again.
    pub(crate) fn finish(&self, board: Arc<Board>, body: Vec<u8>) {
        let mut state = self.lock();
        state.flying.retain(|other| !Arc::ptr_eq(other, &board));
        state.keep(board, body);
    }

    /// Ends lanes and sweeper.
    pub(crate) fn close(&self) {
        self.work.close();
        self.sweep.notify_one();
    }

    /// Ends the waits of calls whose deadline passes, until the client is gone.
    pub(crate) async fn run_sweeper(&self) {
        let mut wakers = Vec::new();
        while !self.work.is_closed() {
            let next = self.expire(now(), &mut wakers);
            wakers.drain(..).for_each(Waker::wake);
            match next {
                Some(at) => tokio::select! {
                    () = sleep_until(at) => (),
                    () = self.sweep.notified() => (),
                },
                None => self.sweep.notified().await,
            }
        }
    }

    /// Ends what is due and returns the next deadline.
    fn expire(&self, now: Instant, wakers: &mut Vec<Waker>) -> Option<Instant> {
        let mut state = self.lock();
        let waiting = state.waiting.iter().map(|batch| &batch.board);
        let next = state
            .flying
            .iter()
            .chain(waiting)
            .filter_map(|b| b.expire(now, wakers))
            .min();
        state.sweep_at = next;
        next
    }
}

impl State {
    fn start_batch(&mut self) -> Batch {
        // A board is free once every caller has picked up its answer.
        let free = self
            .spare_boards
            .iter_mut()
            .position(|board| Arc::get_mut(board).is_some());
        let mut board = free
            .map(|at| self.spare_boards.swap_remove(at))
            .unwrap_or_default();
        if let Some(board) = Arc::get_mut(&mut board) {
            board.reset();
        }
        let mut body = self.spare_bodies.pop().unwrap_or_default();
        body.clear();
        body.extend_from_slice(HEAD);
        Batch {
            body,
            board,
            calls: 0,
        }
    }

    fn keep(&mut self, board: Arc<Board>, body: Vec<u8>) {
        if self.spare_boards.len() < SPARES_MAX {
            self.spare_boards.push(board);
        }
        if self.spare_bodies.len() < SPARES_MAX {
            self.spare_bodies.push(body);
        }
    }
}
