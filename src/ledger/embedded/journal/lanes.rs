//! Waking those who wait for a sync.
//!
//! A thread with a lane keeps its waiters in a thread-local queue, without a lock. The writer only
//! notifies the lane, once for each sync that somebody of the lane waits for, and the lane's pump,
//! a task of the same thread, wakes the waiters that are due. All other threads share one queue
//! behind a mutex.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::task::Waker;
use std::time::Duration;

use tokio::sync::Notify;

use crate::clock::{Monotonic, monotonic};
use crate::sync::{AtomicU64, Mutex, MutexGuard};

/// `lowest` of a lane that nobody waits in.
const NOBODY: u64 = u64::MAX;

/// From one nudge for records that nobody waits for to the next.
const CALM: Duration = Duration::from_millis(5);

/// Waiters sorted by sequence.
#[derive(Debug, Default)]
struct Waiters(VecDeque<(u64, Waker)>);

impl Waiters {
    /// Sequences come nearly in order, so the walk from the back is short.
    fn insert(&mut self, sequence: u64, waker: Waker) {
        self.0.push_back((sequence, waker));
        let mut at = self.0.len() - 1;
        while at > 0 && self.0.get(at - 1).is_some_and(|before| before.0 > sequence) {
            self.0.swap(at - 1, at);
            at -= 1;
        }
    }

    fn lowest(&self) -> u64 {
        self.0.front().map_or(NOBODY, |front| front.0)
    }

    fn take_due(&mut self, durable: u64, due: &mut Vec<Waker>) {
        while self.lowest() <= durable
            && let Some((_, waker)) = self.0.pop_front()
        {
            due.push(waker);
        }
    }
}

/// What the writer sees of a thread's lane.
#[derive(Debug)]
struct Lane {
    notify: Notify,
    /// Lowest sequence that somebody waits for.
    lowest: AtomicU64,
}

/// A lane of this thread.
struct LocalLane {
    owner: u64,
    lane: Arc<Lane>,
    waiters: Waiters,
    /// Somebody waits whom the writer may not know of.
    is_nudge_due: bool,
    /// When the writer was last nudged for records that nobody waits for.
    calm: Option<Monotonic>,
}

impl LocalLane {
    /// For records that nobody waits for: a flood of them must not have the disk sync all the time.
    fn nudge_calmly(&mut self) {
        let now = monotonic();
        if self.calm.is_none_or(|last| now.since(last) >= CALM) {
            self.calm = Some(now);
            self.nudge_later();
        }
    }

    fn nudge_later(&mut self) {
        if !std::mem::replace(&mut self.is_nudge_due, true) {
            self.lane.notify.notify_one();
        }
    }
}

thread_local! {
    static LOCAL: RefCell<Vec<LocalLane>> = const { RefCell::new(Vec::new()) };
}

/// Tells the journals of a process apart in the thread-local lists.
static NEXT_JOURNAL: AtomicU64 = AtomicU64::new(0);

/// All lanes of a journal.
#[derive(Debug)]
pub(super) struct Lanes {
    owner: u64,
    /// Lanes given up so far: whoever waited in one of them has to register again.
    given_up: AtomicU64,
    installed: Mutex<Vec<Arc<Lane>>>,
    shared: Mutex<Waiters>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Lanes {
    pub(super) fn new() -> Self {
        Self {
            owner: NEXT_JOURNAL.fetch_add(1, Ordering::Relaxed),
            given_up: AtomicU64::new(0),
            installed: Mutex::default(),
            shared: Mutex::default(),
        }
    }

    /// Changes whenever a lane is given up.
    pub(super) fn generation(&self) -> u64 {
        self.given_up.load(Ordering::Acquire)
    }

    /// Registers a waiter in this thread's lane or in the shared one. The caller looks at the
    /// durable sequence again afterwards: a sync may have come in between.
    ///
    /// True for a lane: its pump will nudge the writer once everything that is ready on this
    /// thread has run, so that the group is as large as the thread can make it.
    pub(super) fn register(&self, sequence: u64, waker: &Waker) -> bool {
        // `try_with` fails only while the thread ends; then the shared lane serves.
        let in_lane = LOCAL.try_with(|local| {
            let mut local = local.borrow_mut();
            let Some(lane) = local.iter_mut().find(|lane| lane.owner == self.owner) else {
                return false;
            };
            let before = lane.waiters.lowest();
            lane.waiters.insert(sequence, waker.clone());
            if sequence < before {
                lane.lane.lowest.store(sequence, Ordering::SeqCst);
            }
            lane.nudge_later();
            true
        });
        let in_lane = in_lane == Ok(true);
        if !in_lane {
            lock(&self.shared).insert(sequence, waker.clone());
        }
        in_lane
    }

    /// Has the writer nudged, once everything that is ready on this thread has run, for records that
    /// nobody waits for; seldom, when they come in a flood. False where the thread has no lane.
    pub(super) fn nudge_calmly(&self) -> bool {
        let in_lane = LOCAL.try_with(|local| {
            let mut local = local.borrow_mut();
            let lane = local.iter_mut().find(|lane| lane.owner == self.owner);
            lane.map(LocalLane::nudge_calmly).is_some()
        });
        in_lane == Ok(true)
    }

    /// Wakes everybody who waits for a sequence up to `durable`; holds no lock while it does.
    /// `lanes` and `due` are the writer's own buffers.
    pub(super) fn wake(&self, durable: u64, scratch: &mut Scratch) {
        scratch.lanes.clear();
        scratch.lanes.extend(lock(&self.installed).iter().cloned());
        for lane in &scratch.lanes {
            if lane.lowest.load(Ordering::SeqCst) <= durable {
                lane.notify.notify_one();
            }
        }
        lock(&self.shared).take_due(durable, &mut scratch.due);
        for waker in scratch.due.drain(..) {
            waker.wake();
        }
    }

    /// Gives this thread a lane; the pump must run on it.
    pub(super) fn install(&self) -> LaneGuard {
        let lane = Arc::new(Lane {
            notify: Notify::new(),
            lowest: AtomicU64::new(NOBODY),
        });
        LOCAL.with_borrow_mut(|local| {
            local.push(LocalLane {
                owner: self.owner,
                lane: Arc::clone(&lane),
                waiters: Waiters::default(),
                is_nudge_due: false,
                calm: None,
            });
        });
        lock(&self.installed).push(Arc::clone(&lane));
        LaneGuard {
            lane,
            due: Vec::new(),
        }
    }

    /// Forgets a lane whose pump has ended.
    pub(super) fn uninstall(&self, guard: &LaneGuard) {
        // Before its waiters are woken, so that they register in the shared lane.
        self.given_up.fetch_add(1, Ordering::AcqRel);
        lock(&self.installed).retain(|lane| !Arc::ptr_eq(lane, &guard.lane));
    }
}

/// The writer's buffers, kept so that waking allocates nothing.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    lanes: Vec<Arc<Lane>>,
    due: Vec<Waker>,
}

/// This thread's lane; leaves the thread when dropped.
pub(super) struct LaneGuard {
    lane: Arc<Lane>,
    due: Vec<Waker>,
}

impl LaneGuard {
    /// Waits until the writer has something for this lane.
    pub(super) async fn notified(&self) {
        self.lane.notify.notified().await;
    }

    /// Whether somebody began to wait since the last time this was asked.
    pub(super) fn take_nudge(&self) -> bool {
        LOCAL.with_borrow_mut(|local| {
            let lane = local
                .iter_mut()
                .find(|lane| Arc::ptr_eq(&lane.lane, &self.lane));
            lane.is_some_and(|lane| std::mem::take(&mut lane.is_nudge_due))
        })
    }

    /// Wakes the waiters of this thread that are due.
    pub(super) fn drain(&mut self, durable: impl Fn() -> u64) {
        loop {
            let now = durable();
            let lowest = LOCAL.with_borrow_mut(|local| {
                let lane = local
                    .iter_mut()
                    .find(|lane| Arc::ptr_eq(&lane.lane, &self.lane));
                lane.map_or(NOBODY, |lane| {
                    lane.waiters.take_due(now, &mut self.due);
                    let lowest = lane.waiters.lowest();
                    lane.lane.lowest.store(lowest, Ordering::SeqCst);
                    lowest
                })
            });
            // Outside the borrow: a waker may run code that waits again.
            for waker in self.due.drain(..) {
                waker.wake();
            }
            // The writer may have passed `lowest` before it was stored, and then not notified.
            if lowest == NOBODY || lowest > durable() {
                return;
            }
        }
    }
}

impl Drop for LaneGuard {
    fn drop(&mut self) {
        let left = LOCAL.try_with(|local| {
            let mut local = local.borrow_mut();
            let at = local
                .iter()
                .position(|lane| Arc::ptr_eq(&lane.lane, &self.lane));
            at.map(|at| local.swap_remove(at))
        });
        // Those who still wait are woken and register in the shared lane.
        if let Ok(Some(lane)) = left {
            for (_, waker) in lane.waiters.0 {
                waker.wake();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicUsize;
    use std::task::Wake;
    use std::thread;

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    fn counter() -> (Arc<Count>, Waker) {
        let count = Arc::new(Count::default());
        (Arc::clone(&count), Waker::from(count))
    }

    #[test]
    fn waiters_are_woken_in_order_of_sequence_whatever_the_order_of_arrival() {
        let mut waiters = Waiters::default();
        for sequence in [5, 3, 9, 3, 1] {
            waiters.insert(sequence, Waker::noop().clone());
        }
        let order: Vec<u64> = waiters.0.iter().map(|waiter| waiter.0).collect();
        assert_eq!(order, [1, 3, 3, 5, 9]);
        let mut due = Vec::new();
        waiters.take_due(4, &mut due);
        assert_eq!((due.len(), waiters.lowest()), (3, 5));
    }

    #[test]
    fn a_thread_without_a_lane_is_woken_by_the_writer() {
        let lanes = Lanes::new();
        let (count, waker) = counter();
        lanes.register(2, &waker);
        let mut scratch = Scratch::default();
        lanes.wake(1, &mut scratch);
        assert_eq!(count.0.load(Ordering::SeqCst), 0);
        lanes.wake(2, &mut scratch);
        assert_eq!(count.0.load(Ordering::SeqCst), 1);
    }

    #[test]
    fn a_lane_is_woken_by_its_pump() {
        let lanes = Lanes::new();
        let mut guard = lanes.install();
        let (count, waker) = counter();
        lanes.register(2, &waker);
        lanes.wake(2, &mut Scratch::default());
        assert_eq!(
            count.0.load(Ordering::SeqCst),
            0,
            "the pump wakes, not the writer"
        );
        guard.drain(|| 2);
        assert_eq!(count.0.load(Ordering::SeqCst), 1);
        lanes.register(7, &waker);
        lanes.uninstall(&guard);
        drop(guard);
        assert_eq!(
            count.0.load(Ordering::SeqCst),
            2,
            "nobody is forgotten when a lane goes"
        );
    }

    #[test]
    fn only_a_thread_with_a_lane_of_this_journal_nudges_through_it() {
        let (lanes, others) = (Lanes::new(), Lanes::new());
        assert!(!lanes.nudge_calmly());
        let guard = lanes.install();
        assert!(!others.nudge_calmly());
        assert!(!guard.take_nudge());
        assert!(lanes.nudge_calmly());
        assert!(guard.take_nudge());
        assert!(!guard.take_nudge());
    }

    #[test]
    fn the_writer_is_told_of_the_lowest_that_somebody_waits_for() {
        let lanes = Lanes::new();
        let guard = lanes.install();
        for (sequence, lowest) in [(5, 5), (3, 3), (4, 3)] {
            assert!(lanes.register(sequence, Waker::noop()));
            assert_eq!(guard.lane.lowest.load(Ordering::SeqCst), lowest);
        }
    }

    /// The writer passed the waiter before it knew of it, while the lane was looking.
    #[test]
    fn what_becomes_durable_while_a_lane_is_drained_is_woken_for() {
        let lanes = Lanes::new();
        let mut guard = lanes.install();
        let (count, waker) = counter();
        lanes.register(5, &waker);
        let looks = AtomicUsize::new(0);
        guard.drain(|| 4 + u64::from(looks.fetch_add(1, Ordering::SeqCst) > 0));
        assert_eq!(count.0.load(Ordering::SeqCst), 1);
    }

    #[test]
    fn a_lane_that_is_given_up_takes_no_other_with_it() {
        let lanes = Lanes::new();
        let kept = lanes.install();
        thread::scope(|scope| {
            scope.spawn(|| {
                let guard = lanes.install();
                lanes.uninstall(&guard);
            });
        });
        let installed = lock(&lanes.installed);
        assert_eq!(installed.len(), 1);
        assert!(Arc::ptr_eq(&installed[0], &kept.lane));
    }
}
