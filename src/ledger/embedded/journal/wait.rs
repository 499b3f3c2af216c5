//! Waiting for a record to become durable.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

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

/// What a wait has registered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Registered {
    /// Addresses of the waker. They stay its own: the queue holds a clone.
    waker: (usize, usize),
    /// Generation of the lanes: in a later one, the lane with the clone may be gone.
    generation: u64,
}

/// See [`Journal::wait`](super::Journal::wait).
#[derive(Debug)]
pub struct Wait<'a> {
    shared: &'a Shared,
    sequence: u64,
    registered: Option<Registered>,
}

impl<'a> Wait<'a> {
    pub(super) const fn new(shared: &'a Shared, sequence: u64) -> Self {
        Self {
            shared,
            sequence,
            registered: None,
        }
    }
}

impl Future for Wait<'_> {
    type Output = Result<(), LedgerError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        if let Some(outcome) = self.shared.outcome(self.sequence) {
            if self.registered.is_none() {
                self.shared.nudge_for_others();
            }
            return Poll::Ready(outcome);
        }
        let waker = context.waker();
        let registered = Some(Registered {
            waker: (
                waker.data().addr(),
                std::ptr::from_ref(waker.vtable()).addr(),
            ),
            generation: self.shared.lanes.generation(),
        });
        if self.registered != registered {
            self.registered = registered;
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

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::{Wake, Waker};

    use super::*;
    use crate::ledger::embedded::journal::{Journal, JournalConfig, Step};
    use crate::ledger::embedded::storage::sim::SimStorage;

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    #[test]
    fn a_waiter_whose_lane_is_gone_is_woken_all_the_same() {
        let config = JournalConfig {
            segment_bytes: 16 * 1024,
            ..JournalConfig::default()
        };
        let recovery = Journal::open(Arc::new(SimStorage::new()), config).unwrap();
        let (journal, mut writer) = recovery.start_stepped().unwrap();
        let lane = journal.lane();
        let last = journal.append(&[0; 4], 1);
        let count = Arc::new(Count::default());
        let waker = Waker::from(Arc::clone(&count));
        let mut context = Context::from_waker(&waker);
        let mut wait = journal.wait(last);
        assert_eq!(Pin::new(&mut wait).poll(&mut context), Poll::Pending);
        drop(lane);
        assert_eq!(count.0.load(Ordering::SeqCst), 1, "told to look again");
        assert_eq!(Pin::new(&mut wait).poll(&mut context), Poll::Pending);
        assert_eq!(writer.step().unwrap(), Step::Committed { last });
        assert_eq!(count.0.load(Ordering::SeqCst), 2, "told of the sync");
        assert_eq!(Pin::new(&mut wait).poll(&mut context), Poll::Ready(Ok(())));
    }
}
