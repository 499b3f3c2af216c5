//! The search for an order of the calls of one part of a history.

use std::cmp::Reverse;
use std::collections::HashSet;
use std::hash::Hash;

use xxhash_rust::xxh3::Xxh3;

use super::shelf::{Care, Change, Shelf};
use super::words::{Call, History};

/// A set of calls, by their places.
#[derive(Debug, Clone, Copy, Default, Hash)]
struct Places([u64; WORDS]);

const WORDS: usize = 8;
/// Calls that one part may have.
const CALLS_MAX: usize = WORDS * 64;

impl Places {
    fn has(&self, at: usize) -> bool {
        self.0[at / 64] & (1 << (at % 64)) != 0
    }

    fn with(mut self, at: usize) -> Self {
        self.0[at / 64] |= 1 << (at % 64);
        self
    }
}

/// What a search came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Found {
    /// An order that gives every answer: places of calls.
    Order(Vec<usize>),
    /// There is none; where the longest attempt ended.
    None(String),
    /// It was given up.
    Undecided,
}

/// Calls put in order, and the state that they led to.
#[derive(Debug, Clone, Hash)]
struct Reached {
    done: Places,
    shelf: Shelf,
}

impl Reached {
    /// What is kept of it. That two have the same one could hide an order, which would be a false alarm;
    /// it cannot make one up.
    fn print(&self) -> u128 {
        let mut hasher = Xxh3::new();
        self.hash(&mut hasher);
        hasher.digest128()
    }
}

/// A step of the search: what was reached, and what may come next.
struct Frame {
    reached: Reached,
    /// Every answered call before this one is done.
    first: usize,
    /// Answered calls to come.
    left: usize,
    /// How many calls are done, of those in order.
    done: usize,
    /// What may come next and was not tried, best last, and what it changes.
    next: Vec<(usize, Change)>,
}

struct Search<'h> {
    part: &'h History,
    calls: &'h [Call],
    /// Places of the calls that nobody heard the answer of.
    unheard: Vec<usize>,
    care: Care,
    /// What leads nowhere.
    dead: HashSet<u128>,
    frames: Vec<Frame>,
    /// What is done, in order.
    order: Vec<usize>,
    /// Where the longest attempt ended.
    longest: (usize, String),
}

/// Looks for an order, visiting so many states at most, and says how many it visited.
pub(crate) fn search(part: &History, budget: u64) -> (Found, u64) {
    let calls = &part.calls;
    assert!(calls.len() <= CALLS_MAX, "a part has too many calls");
    let is_unheard = |at: &usize| calls[*at].end.is_none();
    let mut search = Search {
        part,
        calls,
        unheard: (0..calls.len()).filter(is_unheard).collect(),
        care: Care::of(calls.iter().map(|call| call.step)),
        dead: HashSet::new(),
        frames: Vec::new(),
        order: Vec::new(),
        longest: (0, String::new()),
    };
    search.begin(Shelf::of(part));
    let mut visited = 1;
    loop {
        let Some(frame) = search.frames.last_mut() else {
            return (Found::None(search.longest.1), visited);
        };
        if frame.left == 0 {
            return (Found::Order(search.order), visited);
        }
        if visited >= budget {
            return (Found::Undecided, visited);
        }
        match frame.next.pop() {
            Some((at, change)) => {
                visited += 1;
                search.advance(at, change);
            }
            None => search.give_up(),
        }
    }
}

impl Search<'_> {
    fn begin(&mut self, shelf: Shelf) {
        let reached = Reached {
            done: Places::default(),
            shelf,
        };
        let mut frame = Frame {
            reached,
            first: 0,
            left: self.calls.len() - self.unheard.len(),
            done: 0,
            next: Vec::new(),
        };
        self.look_ahead(&mut frame);
        self.frames.push(frame);
    }

    /// Puts a call next, unless that leads to what is known to lead nowhere.
    fn advance(&mut self, at: usize, change: Change) {
        let Some(frame) = self.frames.last() else {
            return;
        };
        self.order.truncate(frame.done);
        let mut next = Frame {
            reached: frame.reached.clone(),
            next: Vec::new(),
            ..*frame
        };
        self.put(&mut next, at);
        next.reached.shelf.apply(change, &self.care);
        self.look_ahead(&mut next);
        if self.dead.is_empty() || !self.dead.contains(&next.reached.print()) {
            self.frames.push(next);
        }
    }

    fn put(&mut self, frame: &mut Frame, at: usize) {
        frame.reached.done = frame.reached.done.with(at);
        frame.left -= usize::from(self.calls[at].end.is_some());
        frame.done += 1;
        self.order.push(at);
    }

    /// Finds what may come next. A call that is told the right thing now and changes nothing is put in
    /// order at once: wherever it stood later, it might as well stand here.
    fn look_ahead(&mut self, frame: &mut Frame) {
        loop {
            let end = self.window(frame);
            let fits = |(at, change): &(usize, Change)| {
                self.calls[*at].end.is_some() && !Shelf::is_changed(change, &self.care)
            };
            let Some(found) = frame.next.iter().position(fits) else {
                return self.add_unheard(frame, end);
            };
            let (at, _) = frame.next[found];
            self.put(frame, at);
        }
    }

    /// Finds the calls that began before any other one ended that is not done, and that would be told
    /// the right thing; returns when that was.
    fn window(&self, frame: &mut Frame) -> u64 {
        let Reached { done, shelf } = &frame.reached;
        let is_over = |at: &usize| done.has(*at) || self.calls[*at].end.is_none();
        frame.first += (frame.first..self.calls.len()).take_while(is_over).count();
        frame.next.clear();
        let mut first_end = u64::MAX;
        for (at, call) in self.calls.iter().enumerate().skip(frame.first) {
            if call.sent > first_end {
                break;
            }
            let Some((end, told)) = call.end.filter(|_| !done.has(at)) else {
                continue;
            };
            first_end = first_end.min(end);
            let (heard, change) = shelf.answer(call.step);
            if self.part.fits(told, heard) {
                frame.next.push((at, change));
            }
        }
        // What ended first is the likeliest to have been first.
        let ended = |(at, _): &(usize, Change)| Reverse(self.calls[*at].answered());
        frame.next.sort_unstable_by_key(ended);
        first_end
    }

    /// Adds the calls that may have been done without their callers' knowing. That matters only if it
    /// makes a difference.
    fn add_unheard(&self, frame: &mut Frame, end: u64) {
        let Reached { done, shelf } = &frame.reached;
        let may_be = |at: &usize| !done.has(*at) && self.calls[*at].sent < end;
        let open = self.unheard.iter().copied().filter(may_be);
        let changes = open.map(|at| (at, shelf.answer(self.calls[at].step).1));
        let changes = changes.filter(|(_, change)| Shelf::is_changed(change, &self.care));
        frame.next.splice(0..0, changes);
    }

    /// Goes back from what leads nowhere.
    fn give_up(&mut self) {
        if let Some(frame) = self.frames.pop() {
            if self.longest.0 < frame.done {
                self.longest = (frame.done, self.explain(&frame));
            }
            self.dead.insert(frame.reached.print());
        }
    }

    /// What could have come next, and what it would have been told.
    fn explain(&self, frame: &Frame) -> String {
        let Reached { done, shelf } = &frame.reached;
        let open = (0..self.calls.len()).filter(|at| !done.has(*at));
        let end = { open.clone() }.map(|at| self.calls[at].answered()).min();
        let next = open.filter(|at| end.is_some_and(|end| self.calls[*at].sent < end));
        let line = |at: usize| {
            let (call, (heard, _)) = (&self.calls[at], shelf.answer(self.calls[at].step));
            format!("  {call:?}\n    would be told {heard:?}\n")
        };
        let next: String = next.map(line).collect();
        format!("after {} calls, at {shelf:?}:\n{next}", frame.done)
    }
}
