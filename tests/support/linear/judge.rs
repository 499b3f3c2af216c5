//! The judgement of a whole history, and of many.

use std::fmt;
use std::num::NonZero;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::parts::parts;
use super::search::{Found, search};
use super::words::History;

/// States that are visited of one part at most. Most need fewer than they have calls; the worst of ten
/// thousand large histories, on a machine where callers were kept waiting in the middle of calls, 190,000.
pub(crate) const BUDGET: u64 = 10_000_000;

/// What is to be said of a history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Parts with an order for each.
    Legal(Vec<(History, Vec<usize>)>),
    Illegal(String),
    Undecided,
}

/// Judges a history, and says how many states that took.
pub(crate) fn judge(history: &History) -> (Verdict, u64) {
    let mut orders = Vec::new();
    let mut visited = 0;
    for part in parts(history) {
        let (found, states) = search(&part, BUDGET);
        visited += states;
        match found {
            Found::Order(order) => orders.push((part, order)),
            Found::None(why) => return (Verdict::Illegal(why), visited),
            Found::Undecided => return (Verdict::Undecided, visited),
        }
    }
    (Verdict::Legal(orders), visited)
}

/// What many histories came to.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Tally {
    pub(crate) histories: usize,
    pub(crate) calls: usize,
    /// Calls that began before another one's end.
    pub(crate) overlapping: usize,
    pub(crate) unheard: usize,
    pub(crate) states: u64,
    /// Of the history that took most.
    pub(crate) states_most: u64,
}

impl Tally {
    fn count(&mut self, history: &History, states: u64) {
        self.histories += 1;
        self.calls += history.calls.len();
        self.states += states;
        self.states_most = self.states_most.max(states);
        let mut end = 0;
        for call in &history.calls {
            self.overlapping += usize::from(call.sent < end);
            match call.end {
                Some((answered, _)) => end = end.max(answered),
                None => self.unheard += 1,
            }
        }
    }

    pub(crate) fn add(&mut self, other: Self) {
        self.histories += other.histories;
        self.calls += other.calls;
        self.overlapping += other.overlapping;
        self.unheard += other.unheard;
        self.states += other.states;
        self.states_most = self.states_most.max(other.states_most);
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            histories,
            calls,
            overlapping,
            unheard,
            states,
            states_most,
        } = self;
        write!(
            f,
            "{histories} histories, {calls} calls, {overlapping} of them overlapping earlier ones, \
             {unheard} unheard; {states} states, at most {states_most}"
        )
    }
}

/// Judges histories on as many threads as there are processors; `Err` says what is wrong with the first
/// one that is not legal. What is not decided is wrong.
pub(crate) fn judge_all(histories: &[History]) -> Result<Tally, String> {
    let next = AtomicUsize::new(0);
    let work = || {
        let mut tally = Tally::default();
        while let Some(history) = histories.get(next.fetch_add(1, Ordering::Relaxed)) {
            match judge(history) {
                (Verdict::Legal(_), states) => tally.count(history, states),
                (verdict, states) => {
                    next.store(histories.len(), Ordering::Relaxed);
                    return Err(complaint(history, &verdict, states));
                }
            }
        }
        Ok(tally)
    };
    let threads = std::thread::available_parallelism().map_or(1, NonZero::get);
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        let mut sum = Tally::default();
        for worker in workers {
            sum.add(worker.join().unwrap()?);
        }
        Ok(sum)
    })
}

fn complaint(history: &History, verdict: &Verdict, states: u64) -> String {
    let why = match verdict {
        Verdict::Illegal(why) => why,
        Verdict::Legal(_) | Verdict::Undecided => "not decided",
    };
    let calls = history.calls.iter().map(|call| format!("{call:?}\n"));
    let calls: String = calls.collect();
    format!("after {states} states: {why}\n{calls}")
}
