//! Whose turn it is.

use std::cell::RefCell;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};

/// A schedule with more steps does not end.
const STEPS_MAX: u32 = 20_000;

/// Steps among which those are at which the most urgent thread becomes the least urgent one.
const CHANGES_WITHIN: u64 = 200;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Doing {
    Ready,
    /// Waits for what has this address.
    Waits(usize),
    Done,
}

#[derive(Debug)]
struct Task {
    doing: Doing,
    thread: Thread,
    urgency: i64,
}

/// A schedule: who goes on at each step, which a seed decides.
#[derive(Debug)]
struct Plan {
    state: Mutex<State>,
    /// Waits for the end.
    explorer: Thread,
}

#[derive(Debug)]
struct State {
    random: u64,
    /// By urgency with a few changes, or anybody at every step.
    is_by_urgency: bool,
    changes: [u32; 3],
    tasks: Vec<Task>,
    running: Option<usize>,
    steps: u32,
    /// What went wrong: all threads end.
    failure: Option<String>,
}

impl State {
    /// xorshift64*, after Vigna.
    fn below(&mut self, end: u64) -> u64 {
        self.random ^= self.random >> 12;
        self.random ^= self.random << 25;
        self.random ^= self.random >> 27;
        (self.random.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 11) % end
    }

    fn one_of(&mut self, tasks: &[usize]) -> Option<usize> {
        let count = u64::try_from(tasks.len()).ok().filter(|count| *count > 0)?;
        let at = self.below(count);
        tasks.get(usize::try_from(at).ok()?).copied()
    }

    fn those(&self, doing: Doing) -> Vec<usize> {
        let tasks = self.tasks.iter().enumerate();
        let those = tasks.filter(|(_, task)| task.doing == doing);
        those.map(|(at, _)| at).collect()
    }

    /// Chooses who goes on.
    fn choose(&mut self) {
        self.steps += 1;
        let ready = self.those(Doing::Ready);
        if self.changes.contains(&self.steps)
            && let Some(task) = self.running.and_then(|at| self.tasks.get_mut(at))
        {
            task.urgency = -i64::from(self.steps);
        }
        let urgent = ready
            .iter()
            .copied()
            .max_by_key(|at| self.tasks[*at].urgency);
        self.running = if self.is_by_urgency {
            urgent
        } else {
            self.one_of(&ready)
        };
        if self.steps > STEPS_MAX {
            self.fail("it does not end".to_owned());
        } else if ready.is_empty() && self.tasks.iter().any(|task| task.doing != Doing::Done) {
            self.fail(format!("somebody sleeps for ever: {:?}", self.tasks));
        }
    }

    fn fail(&mut self, what: String) {
        self.failure.get_or_insert(what);
        self.tasks.iter().for_each(|task| task.thread.unpark());
    }
}

impl Plan {
    fn new(seed: u64, threads: &[Thread]) -> Self {
        let mut state = State {
            random: seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1,
            is_by_urgency: seed % 2 == 1,
            changes: [0; 3],
            tasks: Vec::new(),
            running: None,
            steps: 0,
            failure: None,
        };
        // The first numbers of neighbouring seeds are alike.
        for _ in 0..4 {
            state.below(2);
        }
        for at in 0..state.changes.len() {
            state.changes[at] = u32::try_from(state.below(CHANGES_WITHIN)).unwrap();
        }
        for thread in threads {
            let urgency = i64::try_from(state.below(1 << 32)).unwrap();
            state.tasks.push(Task {
                doing: Doing::Ready,
                thread: thread.clone(),
                urgency,
            });
        }
        Self {
            state: Mutex::new(state),
            explorer: thread::current(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has the next one go on.
    fn pass_on(&self, state: &mut State) {
        let before = state.running;
        state.choose();
        match state.running {
            Some(at) if before != Some(at) => state.tasks[at].thread.unpark(),
            Some(_) => {}
            None => self.explorer.unpark(),
        }
    }

    /// Waits until all have ended; says what went wrong.
    fn end(&self) -> Option<String> {
        loop {
            let mut state = self.lock();
            if state.tasks.iter().all(|task| task.doing == Doing::Done) {
                return state.failure.take();
            }
            drop(state);
            thread::park();
        }
    }
}

/// The place of a thread in its exploration.
#[derive(Debug, Clone)]
pub(super) struct Turn {
    plan: Arc<Plan>,
    at: usize,
}

thread_local! {
    static TURN: RefCell<Option<Turn>> = const { RefCell::new(None) };
}

/// Thrown in the threads of a schedule that has failed elsewhere.
struct Over;

impl Turn {
    /// That of this thread; `None` where it is in no exploration, or its end.
    pub(super) fn current() -> Option<Self> {
        let turn = TURN.try_with(|turn| turn.borrow().clone()).ok().flatten()?;
        if thread::panicking() {
            // What it drops may need locks of threads whose turn never comes.
            turn.plan.lock().fail(String::new());
            return None;
        }
        Some(turn)
    }

    /// Others may go first.
    pub(super) fn offer(&self) {
        self.give_up(Doing::Ready);
    }

    /// Waits until somebody wakes those who wait there.
    pub(super) fn wait_at(&self, place: usize) {
        self.give_up(Doing::Waits(place));
    }

    fn give_up(&self, doing: Doing) {
        let mut state = self.plan.lock();
        state.tasks[self.at].doing = doing;
        self.plan.pass_on(&mut state);
        drop(state);
        self.await_turn();
    }

    fn await_turn(&self) {
        loop {
            let state = self.plan.lock();
            if state.failure.is_some() {
                drop(state);
                resume_unwind(Box::new(Over));
            }
            if state.running == Some(self.at) {
                return;
            }
            drop(state);
            thread::park();
        }
    }

    pub(super) fn wake_all_at(&self, place: usize) {
        let mut state = self.plan.lock();
        for at in state.those(Doing::Waits(place)) {
            state.tasks[at].doing = Doing::Ready;
        }
    }

    pub(super) fn wake_one_at(&self, place: usize) {
        let mut state = self.plan.lock();
        let waiting = state.those(Doing::Waits(place));
        if let Some(at) = state.one_of(&waiting) {
            state.tasks[at].doing = Doing::Ready;
        }
    }

    /// Runs what a thread does, from its first turn to its end.
    fn run(self, body: impl FnOnce()) {
        TURN.set(Some(self.clone()));
        let done = catch_unwind(AssertUnwindSafe(|| {
            self.await_turn();
            body();
        }));
        TURN.set(None);
        let mut state = self.plan.lock();
        state.tasks[self.at].doing = Doing::Done;
        if let Err(panic) = done
            && !panic.is::<Over>()
        {
            let text = panic.downcast_ref::<String>().cloned();
            let text = text.or_else(|| Some((*panic.downcast_ref::<&str>()?).to_owned()));
            state.failure = text.or(Some(String::new()));
            state.fail(String::new());
        }
        self.plan.pass_on(&mut state);
        if state.failure.is_some() {
            self.plan.explorer.unpark();
        }
    }
}

/// Before each use of a primitive.
pub(super) fn point() {
    if let Some(turn) = Turn::current() {
        turn.offer();
    }
}

/// How many schedules a test explores: so many, or what `HOLDFAST_SCHEDULES` says.
#[expect(
    clippy::disallowed_methods,
    reason = "the tests have no configuration file"
)]
pub(crate) fn schedules(usual: u64) -> u64 {
    std::env::var("HOLDFAST_SCHEDULES").map_or(usual, |n| n.parse().unwrap())
}

/// What a thread of an exploration does.
pub(crate) type Body = Box<dyn FnOnce() + Send>;

/// Takes threads through so many schedules; `Err` says the seed of the first that fails, and how.
pub(crate) fn explored(schedules: u64, bodies: impl Fn() -> Vec<Body>) -> Result<(), String> {
    thread::scope(|scope| {
        let (mut desks, mut threads) = (Vec::new(), Vec::new());
        for _ in bodies() {
            let (desk, jobs) = sync_channel::<(Turn, Body)>(1);
            let work = move || jobs.into_iter().for_each(|(turn, body)| turn.run(body));
            threads.push(scope.spawn(work).thread().clone());
            desks.push(desk);
        }
        for seed in 0..schedules {
            let plan = Arc::new(Plan::new(seed, &threads));
            for (at, (desk, body)) in desks.iter().zip(bodies()).enumerate() {
                let plan = Arc::clone(&plan);
                desk.send((Turn { plan, at }, body)).unwrap();
            }
            plan.pass_on(&mut plan.lock());
            if let Some(failure) = plan.end() {
                return Err(format!("schedule {seed}: {failure}"));
            }
        }
        Ok(())
    })
}

/// The same, for what must not fail.
pub(crate) fn explore(schedules: u64, bodies: impl Fn() -> Vec<Body>) {
    explored(schedules, bodies).unwrap_or_else(|failure| panic!("{failure}"));
}

/// Wakes a thread of an exploration.
struct Bell {
    turn: Turn,
    rang: AtomicBool,
}

impl Bell {
    fn place(&self) -> usize {
        std::ptr::from_ref(self).addr()
    }
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.rang.store(true, Ordering::SeqCst);
        self.turn.wake_all_at(self.place());
    }
}

/// Waits for a future on a thread of an exploration.
pub(crate) fn awaited<T>(future: impl Future<Output = T>) -> T {
    let turn = Turn::current().unwrap();
    let bell = Arc::new(Bell {
        turn: turn.clone(),
        rang: AtomicBool::new(false),
    });
    let waker = Waker::from(Arc::clone(&bell));
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(value) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return value;
        }
        if !bell.rang.swap(false, Ordering::SeqCst) {
            turn.wait_at(bell.place());
            bell.rang.store(false, Ordering::SeqCst);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{AtomicBool, Condvar, Mutex};
    use super::*;

    /// A sleeper who looks at a flag that is set without the lock.
    fn careless(sleeper_locks: bool) -> Vec<Body> {
        let shared = Arc::new((Mutex::new(()), Condvar::new(), AtomicBool::new(false)));
        let other = Arc::clone(&shared);
        let sleep = move || {
            let (mutex, signal, flag) = &*shared;
            let mut guard = mutex.lock().unwrap();
            while !flag.load(Ordering::SeqCst) {
                guard = signal.wait(guard).unwrap();
            }
        };
        let wake = move || {
            let (mutex, signal, flag) = &*other;
            flag.store(true, Ordering::SeqCst);
            if sleeper_locks {
                drop(mutex.lock());
            }
            signal.notify_one();
        };
        vec![Box::new(sleep), Box::new(wake)]
    }

    #[test]
    fn a_lost_wake_up_is_found_and_its_absence_is_not() {
        let lost = explored(100, || careless(false)).unwrap_err();
        assert!(lost.contains("sleeps for ever"), "{lost}");
        explore(1_000, || careless(true));
    }

    #[test]
    fn a_lost_update_is_found() {
        let threads = || {
            let count = Arc::new(super::super::AtomicU64::new(0));
            let add = move || {
                let before = count.load(Ordering::SeqCst);
                count.store(before + 1, Ordering::SeqCst);
                assert!(count.load(Ordering::SeqCst) == before + 1, "lost");
            };
            let bodies: [Body; 2] = [Box::new(add.clone()), Box::new(add)];
            bodies.into()
        };
        assert!(explored(100, threads).unwrap_err().contains("lost"));
    }
}
