//! Where the callers of one batch wait, and where their answers are put.
//!
//! One board serves a whole batch: a caller costs a slot in a vector that is used again and again,
//! not an allocation of its own.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use tokio::time::Instant;

use crate::answer::{Error, Problem, Reservation};
use crate::refusal::Refusal;
use crate::retry::Shed;

/// What became of one call of a batch.
#[derive(Debug)]
pub(crate) enum Told {
    Done(Reservation),
    Refused(Box<Refusal>),
    Rejected(Box<Problem>),
    /// Nothing was changed; may be repeated.
    Shed(Box<Shed>),
    /// It may have happened; to be repeated with the same key.
    Lost,
    /// The batch was rejected as a whole, perhaps because of another call: to be sent by itself.
    Alone,
    /// The batch was repeated as often as it may be. `None`: it may have happened.
    GaveUp(Option<Box<Error>>),
    /// The call's time ran out while its batch was on its way.
    LateSent,
    /// The call's time ran out before it was sent; it never will be.
    LateUnsent,
}

#[derive(Debug)]
enum State {
    Waiting {
        waker: Waker,
        deadline: Instant,
    },
    Told(Told),
    /// The caller has its answer or went away.
    Left,
}

#[derive(Debug)]
struct Slot {
    state: State,
    /// Where its piece of the body ends.
    end: usize,
    /// Its piece is part of what is sent.
    in_body: bool,
}

#[derive(Debug, Default)]
struct Slots {
    list: Vec<Slot>,
    sealed: bool,
    earliest: Option<Instant>,
    latest: Option<Instant>,
}

/// The slots of one batch.
#[derive(Debug, Default)]
pub(crate) struct Board(Mutex<Slots>);

impl Board {
    fn lock(&self) -> MutexGuard<'_, Slots> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ready for another batch. Nobody else may hold the board.
    pub(crate) fn reset(&mut self) {
        let slots = self.0.get_mut().unwrap_or_else(PoisonError::into_inner);
        slots.list.clear();
        slots.sealed = false;
        slots.earliest = None;
        slots.latest = None;
    }

    /// A caller's slot, for the piece of the body that ends at `end`.
    pub(crate) fn join(self: &Arc<Self>, end: usize, deadline: Instant, waker: Waker) -> Ticket {
        let mut slots = self.lock();
        let at = slots.list.len();
        let state = State::Waiting { waker, deadline };
        slots.list.push(Slot {
            state,
            end,
            in_body: true,
        });
        slots.earliest = Some(slots.earliest.map_or(deadline, |at| at.min(deadline)));
        slots.latest = Some(slots.latest.map_or(deadline, |at| at.max(deadline)));
        drop(slots);
        Ticket {
            board: Arc::clone(self),
            at,
        }
    }

    /// From now on the body is on its way. Cuts out the pieces of callers who left or whose time
    /// ran out, so that they have no effect. Returns how many are left and the last deadline.
    pub(crate) fn seal(&self, head: usize, body: &mut Vec<u8>) -> (usize, Option<Instant>) {
        let mut slots = self.lock();
        slots.sealed = true;
        let live = slots.list.iter().filter(|slot| slot.in_body).count();
        if live < slots.list.len() {
            let mut start = head;
            let mut kept = head;
            for slot in &slots.list {
                if slot.in_body {
                    body.copy_within(start..slot.end, kept);
                    kept += slot.end - start;
                }
                start = slot.end;
            }
            body.truncate(kept);
        }
        (live, slots.latest)
    }

    /// Gives every caller whose piece was sent its answer, in order; `wakers` is scratch space.
    pub(crate) fn tell(&self, answers: impl IntoIterator<Item = Told>, wakers: &mut Vec<Waker>) {
        let mut slots = self.lock();
        let in_body = slots.list.iter_mut().filter(|slot| slot.in_body);
        for (slot, told) in in_body.zip(answers) {
            if let State::Waiting { .. } = slot.state
                && let State::Waiting { waker, .. } =
                    std::mem::replace(&mut slot.state, State::Told(told))
            {
                wakers.push(waker);
            }
        }
        drop(slots);
        wakers.drain(..).for_each(Waker::wake);
    }

    /// Ends the waits whose time ran out; returns when the next one does.
    pub(crate) fn expire(&self, now: Instant, wakers: &mut Vec<Waker>) -> Option<Instant> {
        let mut slots = self.lock();
        if slots.earliest.is_some_and(|earliest| earliest <= now) {
            let sealed = slots.sealed;
            slots.earliest = None;
            let mut next: Option<Instant> = None;
            for slot in &mut slots.list {
                let State::Waiting { deadline, .. } = slot.state else {
                    continue;
                };
                if deadline > now {
                    next = Some(next.map_or(deadline, |at| at.min(deadline)));
                    continue;
                }
                slot.in_body &= sealed;
                let told = if sealed {
                    Told::LateSent
                } else {
                    Told::LateUnsent
                };
                if let State::Waiting { waker, .. } =
                    std::mem::replace(&mut slot.state, State::Told(told))
                {
                    wakers.push(waker);
                }
            }
            slots.earliest = next;
        }
        slots.earliest
    }
}

/// A caller's claim on a slot. Dropped before the batch is sent, the call has no effect; dropped
/// later, it runs to its end on the server.
#[derive(Debug)]
pub(crate) struct Ticket {
    board: Arc<Board>,
    at: usize,
}

impl Future for Ticket {
    type Output = Told;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Told> {
        let mut slots = self.board.lock();
        let Some(slot) = slots.list.get_mut(self.at) else {
            return Poll::Pending;
        };
        if let State::Waiting { waker, .. } = &mut slot.state {
            waker.clone_from(cx.waker());
            return Poll::Pending;
        }
        match std::mem::replace(&mut slot.state, State::Left) {
            State::Told(told) => Poll::Ready(told),
            State::Left | State::Waiting { .. } => Poll::Pending,
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let mut slots = self.board.lock();
        let sealed = slots.sealed;
        if let Some(slot) = slots.list.get_mut(self.at) {
            slot.in_body &= sealed;
            slot.state = State::Left;
        }
    }
}
