//! One thread, many tasks, and a seed that decides everything: which of the tasks that can go on does
//! so next, how long each sleeps, and what time it is.
//!
//! Time passes only while nobody can go on. The wall clock that engines read is that time with an
//! offset, by which a fault can make it jump.

use std::cell::{Cell, RefCell};
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

use holdfast::clock::Clock;
use holdfast::domain::UnixMillis;

use crate::faults::{Counts, Fault, Sometimes};
use crate::sim::counts::Named;
use crate::sim::film::{Film, Reel};
use crate::support::check::START;
use crate::support::rng::Rng;

type Task = Pin<Box<dyn Future<Output = ()>>>;

/// The tasks that can go on, in the order in which they were woken.
#[derive(Default)]
struct Ready {
    tasks: Mutex<Vec<usize>>,
    /// Those that go on at once.
    prompt: Mutex<Vec<usize>>,
}

/// The waker of a task.
struct Flag {
    task: usize,
    is_prompt: bool,
    is_ready: AtomicBool,
    ready: Arc<Ready>,
}

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        if !self.is_ready.swap(true, Ordering::Relaxed) {
            let ready = if self.is_prompt {
                &self.ready.prompt
            } else {
                &self.ready.tasks
            };
            lock(ready).push(self.task);
        }
    }
}

fn lock(tasks: &Mutex<Vec<usize>>) -> MutexGuard<'_, Vec<usize>> {
    tasks.lock().unwrap_or_else(PoisonError::into_inner)
}

struct Timer {
    at: i64,
    number: u64,
    waker: Waker,
}

impl PartialEq for Timer {
    fn eq(&self, other: &Self) -> bool {
        (self.at, self.number) == (other.at, other.number)
    }
}

impl Eq for Timer {}

impl PartialOrd for Timer {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Timer {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.number).cmp(&(other.at, other.number))
    }
}

struct Inner {
    rng: RefCell<Rng>,
    now: Cell<i64>,
    /// What the wall clock shows more than that.
    offset: Cell<i64>,
    /// The latest moment that the wall clock has shown.
    latest: Cell<i64>,
    clock: Clock,
    /// The clock that ledgers read: the same, unless that is the sabotage.
    ledger_clock: Clock,
    ahead: Cell<i64>,
    tasks: RefCell<Vec<(Option<Task>, Arc<Flag>)>>,
    ready: Arc<Ready>,
    timers: RefCell<BinaryHeap<Reverse<Timer>>>,
    timers_made: Cell<u64>,
    film: RefCell<Film>,
    counts: RefCell<Counts>,
    violation: RefCell<Option<String>>,
}

/// A simulation. Clones are the same one.
#[derive(Clone)]
pub(crate) struct Sim(Rc<Inner>);

impl Sim {
    pub(crate) fn new(seed: u64, reel: Reel) -> Self {
        Self(Rc::new(Inner {
            rng: RefCell::new(Rng::new(seed)),
            now: Cell::new(0),
            offset: Cell::new(START),
            latest: Cell::new(START),
            clock: Clock::manual(UnixMillis(START)),
            ledger_clock: Clock::manual(UnixMillis(START)),
            ahead: Cell::new(0),
            tasks: RefCell::default(),
            ready: Arc::default(),
            timers: RefCell::default(),
            timers_made: Cell::new(0),
            film: RefCell::new(Film::new(reel)),
            counts: RefCell::default(),
            violation: RefCell::default(),
        }))
    }

    /// A number under `end`.
    pub(crate) fn below(&self, end: u64) -> u64 {
        self.0.rng.borrow_mut().below(end)
    }

    /// A number in `first..=last`.
    pub(crate) fn between(&self, first: u64, last: u64) -> u64 {
        self.0.rng.borrow_mut().between(first, last)
    }

    pub(crate) fn percent(&self, chance: u64) -> bool {
        self.0.rng.borrow_mut().percent(chance)
    }

    /// An index into something of this length.
    pub(crate) fn index(&self, len: usize) -> usize {
        self.0.rng.borrow_mut().index(len)
    }

    pub(crate) fn pick<T: Copy>(&self, from: &[T]) -> T {
        self.0.rng.borrow_mut().pick(from)
    }

    /// Milliseconds since the beginning.
    pub(crate) fn now(&self) -> i64 {
        self.0.now.get()
    }

    /// The wall clock.
    pub(crate) fn clock(&self) -> &Clock {
        &self.0.clock
    }

    /// The clock that ledgers read.
    pub(crate) fn ledger_clock(&self) -> &Clock {
        &self.0.ledger_clock
    }

    /// Has the ledgers' clock be ahead of the wall clock.
    pub(crate) fn set_ahead(&self, by: i64) {
        self.0.ahead.set(by);
        self.set_clock();
    }

    /// The latest moment that the wall clock has shown.
    pub(crate) fn latest(&self) -> i64 {
        self.0.latest.get()
    }

    /// Has the wall clock jump.
    pub(crate) fn jump(&self, by: i64) {
        self.0.offset.set(self.0.offset.get() + by);
        self.set_clock();
    }

    fn set_clock(&self) {
        let wall = self.now() + self.0.offset.get();
        self.0.clock.set(UnixMillis(wall));
        let ahead = wall + self.0.ahead.get();
        self.0.ledger_clock.set(UnixMillis(ahead));
        self.0.latest.set(self.latest().max(wall));
    }

    /// Takes down what an actor did.
    pub(crate) fn note(&self, actor: &str, what: fmt::Arguments<'_>) {
        self.0.film.borrow_mut().note(self.now(), actor, what);
    }

    /// Counts a fault that was made.
    pub(crate) fn fired(&self, fault: Fault) {
        self.note("fault", format_args!("{}", fault.name()));
        self.0.counts.borrow_mut().fired(fault);
    }

    /// Counts what is to be seen sometimes.
    pub(crate) fn saw(&self, what: Sometimes) {
        self.0.counts.borrow_mut().saw(what);
    }

    /// Ends the simulation: a promise was broken.
    pub(crate) fn violated(&self, what: String) {
        self.note("judge", format_args!("VIOLATION: {what}"));
        self.0.violation.borrow_mut().get_or_insert(what);
    }

    /// What a check found.
    pub(crate) fn check(&self, found: Result<(), String>) {
        if let Err(what) = found {
            self.violated(what);
        }
    }

    pub(crate) fn is_over(&self) -> bool {
        self.0.violation.borrow().is_some()
    }

    pub(crate) fn counts(&self) -> Counts {
        self.0.counts.borrow().clone()
    }

    /// Hash and length of the film so far.
    pub(crate) fn film(&self) -> (u64, u64) {
        self.0.film.borrow().hash()
    }

    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + 'static) {
        self.add(task, false);
    }

    /// A task that is no choice of the seed: it goes on as soon as it can. How often it is woken must
    /// make no difference.
    pub(crate) fn spawn_prompt(&self, task: impl Future<Output = ()> + 'static) {
        self.add(task, true);
    }

    fn add(&self, task: impl Future<Output = ()> + 'static, is_prompt: bool) {
        let mut tasks = self.0.tasks.borrow_mut();
        let flag = Arc::new(Flag {
            task: tasks.len(),
            is_prompt,
            is_ready: AtomicBool::new(false),
            ready: Arc::clone(&self.0.ready),
        });
        tasks.push((Some(Box::pin(task)), Arc::clone(&flag)));
        flag.wake();
    }

    /// Lets others go on first, perhaps.
    pub(crate) async fn pause(&self) {
        let mut has_paused = false;
        std::future::poll_fn(|context| {
            if std::mem::replace(&mut has_paused, true) {
                return Poll::Ready(());
            }
            context.waker().wake_by_ref();
            Poll::Pending
        })
        .await;
    }

    /// Goes on that many milliseconds later.
    pub(crate) async fn sleep(&self, millis: u64) {
        let until = self.now() + i64::try_from(millis).unwrap();
        let mut is_set = false;
        std::future::poll_fn(|context| {
            if self.now() >= until {
                return Poll::Ready(());
            }
            if !std::mem::replace(&mut is_set, true) {
                let number = self.0.timers_made.get();
                self.0.timers_made.set(number + 1);
                self.0.timers.borrow_mut().push(Reverse(Timer {
                    at: until,
                    number,
                    waker: context.waker().clone(),
                }));
            }
            Poll::Pending
        })
        .await;
    }

    /// Runs until a task says that it is over; `Err` is the promise that was broken.
    pub(crate) fn run(&self, is_over: &Cell<bool>) -> Result<(), String> {
        while !is_over.get() && !self.is_over() {
            if !self.step() && !self.advance() {
                return Err("nobody can go on".to_owned());
            }
        }
        // Tasks hold the simulation, which holds them.
        let tasks = std::mem::take(&mut *self.0.tasks.borrow_mut());
        drop(tasks);
        self.0.timers.borrow_mut().clear();
        self.0.violation.take().map_or(Ok(()), Err)
    }

    /// Lets one of the tasks that can go on do so; false when there is none.
    fn step(&self) -> bool {
        while let Some(prompt) = self.next_prompt() {
            self.poll(prompt);
        }
        let chosen = {
            let mut ready = lock(&self.0.ready.tasks);
            if ready.is_empty() {
                return false;
            }
            let at = self.0.rng.borrow_mut().index(ready.len());
            ready.swap_remove(at)
        };
        self.poll(chosen);
        true
    }

    fn next_prompt(&self) -> Option<usize> {
        lock(&self.0.ready.prompt).pop()
    }

    fn poll(&self, chosen: usize) {
        let (task, flag) = {
            let tasks = &mut self.0.tasks.borrow_mut()[chosen];
            (tasks.0.take(), Arc::clone(&tasks.1))
        };
        flag.is_ready.store(false, Ordering::Relaxed);
        let Some(mut task) = task else { return };
        let waker = Waker::from(flag);
        let polled = task.as_mut().poll(&mut Context::from_waker(&waker));
        if polled.is_pending() {
            self.0.tasks.borrow_mut()[chosen].0 = Some(task);
        }
    }

    /// Goes on to the next moment at which somebody wakes; false when nobody will.
    fn advance(&self) -> bool {
        let Some(Reverse(first)) = self.0.timers.borrow_mut().pop() else {
            return false;
        };
        self.0.now.set(first.at.max(self.now()));
        self.set_clock();
        first.waker.wake();
        true
    }
}

/// Something that is so from some moment on, and that tasks can wait for.
#[derive(Clone, Default)]
pub(crate) struct Signal(Rc<RefCell<(bool, Vec<Waker>)>>);

impl Signal {
    pub(crate) fn raise(&self) {
        let mut state = self.0.borrow_mut();
        state.0 = true;
        state.1.drain(..).for_each(Waker::wake);
    }

    pub(crate) fn lower(&self) {
        self.0.borrow_mut().0 = false;
    }

    pub(crate) fn is_raised(&self) -> bool {
        self.0.borrow().0
    }

    pub(crate) async fn raised(&self) {
        std::future::poll_fn(|context| {
            let mut state = self.0.borrow_mut();
            if state.0 {
                return Poll::Ready(());
            }
            if !state.1.iter().any(|one| one.will_wake(context.waker())) {
                state.1.push(context.waker().clone());
            }
            Poll::Pending
        })
        .await;
    }
}

/// Which of two came first.
pub(crate) enum First<A, B> {
    One(A),
    Other(B),
}

/// Waits for the first of two; of both at once, it is the former. The other one is dropped.
pub(crate) async fn race<A, B>(
    one: impl Future<Output = A>,
    other: impl Future<Output = B>,
) -> First<A, B> {
    let (mut one, mut other) = (std::pin::pin!(one), std::pin::pin!(other));
    std::future::poll_fn(|context| {
        if let Poll::Ready(done) = one.as_mut().poll(context) {
            return Poll::Ready(First::One(done));
        }
        other.as_mut().poll(context).map(First::Other)
    })
    .await
}
