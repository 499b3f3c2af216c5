//! Waiting for a record to become durable.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};

use super::lanes::LaneGuard;
use super::shared::Shared;
use crate::ledger::LedgerError;

/// The pump of a new lane of this thread.
pub(super) fn pump(shared: Arc<Shared>) -> impl Future<Output = ()> + 'static {
    let guard = shared.lanes.install();
    let mut lane = OnLane { guard, shared };
    async move {
        loop {
            lane.guard.notified().await;
            if lane.guard.take_nudge() {
                lane.shared.nudge();
            }
            lane.drain();
        }
    }
}

/// A lane of the thread that runs the pump; given up when the pump is dropped.
struct OnLane {
    guard: LaneGuard,
    shared: Arc<Shared>,
}

impl OnLane {
    fn drain(&mut self) {
        let shared = &self.shared;
        self.guard.drain(|| {
            if shared.is_over() {
                u64::MAX
            } else {
                shared.durable()
            }
        });
    }
}

impl Drop for OnLane {
    fn drop(&mut self) {
        self.shared.lanes.uninstall(&self.guard);
    }
}

/// Wakes a parked thread.
struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// See [`Journal::wait`](super::Journal::wait).
#[derive(Debug)]
pub struct Wait<'a> {
    shared: &'a Shared,
    sequence: u64,
    /// Addresses of the waker that is registered. They stay its own: the queue holds a clone.
    registered: Option<(usize, usize)>,
}

impl<'a> Wait<'a> {
    pub(super) const fn new(shared: &'a Shared, sequence: u64) -> Self {
        Self {
            shared,
            sequence,
            registered: None,
        }
    }

    /// Waits without a runtime: the thread is parked.
    pub(super) fn block(mut self) -> Result<(), LedgerError> {
        if let Some(outcome) = self.shared.outcome(self.sequence) {
            return outcome;
        }
        let waker = Waker::from(Arc::new(Unpark(thread::current())));
        let mut context = Context::from_waker(&waker);
        loop {
            match Pin::new(&mut self).poll(&mut context) {
                Poll::Ready(outcome) => return outcome,
                Poll::Pending => thread::park(),
            }
        }
    }
}

impl Future for Wait<'_> {
    type Output = Result<(), LedgerError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        if let Some(outcome) = self.shared.outcome(self.sequence) {
            return Poll::Ready(outcome);
        }
        let waker = context.waker();
        let address = (
            waker.data().addr(),
            std::ptr::from_ref(waker.vtable()).addr(),
        );
        if self.registered != Some(address) {
            self.registered = Some(address);
            if !self.shared.lanes.register(self.sequence, waker) {
                self.shared.nudge();
            }
            // A sync may have passed between the look and the registration.
            if let Some(outcome) = self.shared.outcome(self.sequence) {
                return Poll::Ready(outcome);
            }
        }
        Poll::Pending
    }
}
