//! Threads that call one engine at once, while its clock moves, snapshots are taken and, between
//! phases, it is closed and opened again.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::Scope;

use holdfast::blocking::wait_for;
use holdfast::clock::Clock;
use holdfast::domain::UnixMillis;
use holdfast::engine::Engine;
use holdfast::ledger::event::Cursor;

use crate::proved::{proved, range};
use crate::support::check::START;
use crate::support::driven::{id_of, open, submit};
use crate::support::history::{Maker, Step};
use crate::support::memory::Memory;
use crate::witness::{Call, Fed};

/// What happened.
pub(crate) struct Recorded {
    pub(crate) calls: Vec<Call>,
    pub(crate) feed: Vec<Fed>,
    /// What the engine's recount found at the end.
    pub(crate) violations: Vec<String>,
}

/// A number of threads, each with a number of calls, in a number of phases.
#[derive(Clone, Copy)]
pub(crate) struct Crowd {
    pub(crate) seed: u64,
    pub(crate) threads: u64,
    pub(crate) calls: usize,
    pub(crate) phases: u64,
}

impl Crowd {
    pub(crate) fn run(self) -> Recorded {
        let storage = Arc::new(Memory::with_seed(self.seed));
        let clock = Clock::manual(UnixMillis(START));
        let tickets = AtomicU64::new(0);
        let mut makers: Vec<Maker> = (0..self.threads).map(|n| self.maker(n)).collect();
        let mut recorded = Recorded {
            calls: Vec::new(),
            feed: Vec::new(),
            violations: Vec::new(),
        };
        for _ in 0..self.phases {
            let engine = open(Arc::<Memory>::clone(&storage), clock.clone(), None);
            recorded
                .calls
                .extend(self.phase(&engine, &clock, &tickets, &mut makers));
            let last = recorded.calls.iter().map(|call| call.answer.position).max();
            engine.wait_blocking(last.unwrap_or_default()).unwrap();
            recorded
                .violations
                .extend(wait_for(engine.recount()).unwrap().violations);
            read_feed(&engine, &mut recorded.feed);
            // Times of a SKU go on, whoever read the clock first, and nothing passes its deadline.
            proved(&engine, &range(i64::MAX));
            engine.close().unwrap();
        }
        recorded
    }

    /// What a thread sends. Threads 0 and 1 send the same under the same keys; 2 and 3 other
    /// things under the same keys, and act on each other's reservations; the rest keep to
    /// themselves. All are after the same few SKUs.
    fn maker(self, thread: u64) -> Maker {
        let (seed, prefix) = match thread {
            0 | 1 => (0, "same".to_owned()),
            2 | 3 => (thread, "mixed".to_owned()),
            own => (own, format!("own{own}")),
        };
        let mut maker = Maker::new(self.seed * 1_000 + seed);
        maker.prefix = prefix;
        maker
    }

    fn phase(
        self,
        engine: &Engine,
        clock: &Clock,
        tickets: &AtomicU64,
        makers: &mut [Maker],
    ) -> Vec<Call> {
        let done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            upkeep(scope, engine, clock, &done);
            let workers: Vec<_> = makers
                .iter_mut()
                .map(|maker| scope.spawn(move || work(engine, tickets, maker, self.calls)))
                .collect();
            let calls = workers
                .into_iter()
                .flat_map(|worker| worker.join().unwrap())
                .collect();
            done.store(true, Ordering::Release);
            calls
        })
    }
}

/// Moves the clock, and does what runs in the background of a server, until all calls are done.
fn upkeep<'s>(
    scope: &'s Scope<'s, '_>,
    engine: &'s Engine,
    clock: &'s Clock,
    done: &'s AtomicBool,
) {
    scope.spawn(|| {
        let mut round = 0_i64;
        while !done.load(Ordering::Acquire) {
            round += 1;
            // Mostly on; sometimes back.
            clock.advance(if round % 7 == 0 { -3 } else { 2 });
            wait_for(engine.tick()).unwrap();
            if round % 50 == 0 {
                engine.snapshot().unwrap();
            }
            std::thread::yield_now();
        }
    });
}

fn work(engine: &Engine, tickets: &AtomicU64, maker: &mut Maker, count: usize) -> Vec<Call> {
    let mut calls = Vec::with_capacity(count);
    while calls.len() < count {
        let Step::Command { key, script } = maker.command() else {
            continue;
        };
        let id = id_of(engine, &key);
        let target = script.target().map_or(0, |target| id_of(engine, target));
        let sent = tickets.fetch_add(1, Ordering::SeqCst);
        let answer = submit(engine, &key, &script, target).unwrap();
        if calls.len() % 16 == 0 {
            engine.wait_blocking(answer.position).unwrap();
        }
        let answered = tickets.fetch_add(1, Ordering::SeqCst);
        calls.push(Call {
            sent,
            answered,
            key,
            id,
            script,
            answer,
        });
    }
    calls
}

/// Reads on in the event feed, to its end.
fn read_feed(engine: &Engine, feed: &mut Vec<Fed>) {
    loop {
        let after = feed
            .last()
            .map_or_else(Cursor::default, |fed| fed.position.into());
        let page = wait_for(engine.events(after, 1_000)).unwrap();
        if page.records.is_empty() {
            return;
        }
        for event in page.iter() {
            let event = event.unwrap();
            feed.push(Fed::of(&event));
        }
    }
}
