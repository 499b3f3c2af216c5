//! Threads that make plans come true on engines, and write down what they saw.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Barrier;
use std::sync::atomic::{AtomicU64, Ordering};

use holdfast::blocking::wait_for;
use holdfast::clock::Clock;
use holdfast::domain::Sku;
use holdfast::domain::command::Keyed;
use holdfast::engine::Engine;
use holdfast::ledger::{Answer, LedgerError};

use super::judge::{Tally, judge_all};
use super::names::Names;
use super::plan::{Fate, Plan, Planned};
use super::said::seen;
use super::words::{Call, Heard, History, Said, Step, Wish};
use crate::support::driven::id_of;

/// What came of sending something.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Sent {
    Heard(Heard),
    /// It may have happened, or may still happen.
    Unknown,
    /// Certainly nothing happened.
    Nothing,
}

/// What came of a call, as a caller is told it.
pub(crate) fn sent(names: &Names, answer: Result<Answer, LedgerError>) -> Sent {
    match answer {
        Ok(answer) => Sent::Heard(names.heard(&answer)),
        Err(LedgerError::Unknown | LedgerError::Poisoned) => Sent::Unknown,
        Err(LedgerError::Unavailable | LedgerError::Overloaded | LedgerError::Quarantined) => {
            Sent::Nothing
        }
    }
}

/// The names of a history in a ledger.
pub(crate) fn names(plan: &Plan, prefix: &str, is_timed: bool, engine: &Engine) -> Names {
    let mut names = Names::new(format!("{prefix}{}", plan.number), is_timed);
    for planned in &plan.steps {
        if let Step::Ask {
            key,
            wish: Wish::Reserve { .. },
        } = planned.step
        {
            names.learn(key, id_of(engine, &names.key(key)));
        }
    }
    names
}

/// Sends a command to an engine, on a thread that may wait.
pub(crate) type Send = fn(&Engine, &Keyed<'_>) -> Result<Answer, LedgerError>;

/// Where plans come true.
pub(crate) struct Place<'e> {
    /// Client `n` uses the one with that number, modulo theirs.
    pub(crate) engines: Vec<&'e Engine>,
    pub(crate) clock: Clock,
    pub(crate) send: Send,
    /// See [`History`].
    pub(crate) is_retried: bool,
}

/// Of all names; no plan is played twice in a ledger.
const PREFIX: &str = "h";

/// The calls of one client of one plan.
type Lived = std::thread::Result<Vec<Call>>;

/// One client of one plan.
struct Client<'p> {
    engine: &'p Engine,
    place: &'p Place<'p>,
    names: &'p Names,
    tickets: &'p AtomicU64,
    calls: Vec<Call>,
    /// What is still on its way.
    late: Option<Planned>,
}

impl Client<'_> {
    fn ticket(&self) -> u64 {
        self.tickets.fetch_add(1, Ordering::SeqCst)
    }

    fn act(&mut self, planned: &Planned) {
        let sent = self.ticket();
        if planned.yields[0] {
            std::thread::yield_now();
        }
        let came = match planned.fate {
            Fate::Heard => self.perform(planned.step),
            Fate::ReplyLost => {
                self.perform(planned.step);
                Sent::Unknown
            }
            Fate::RequestLost | Fate::Late => Sent::Unknown,
        };
        if planned.yields[1] {
            std::thread::yield_now();
        }
        let end = match came {
            Sent::Heard(heard) => Some((self.ticket(), heard)),
            Sent::Unknown => None,
            Sent::Nothing => return,
        };
        let step = planned.step;
        self.calls.push(Call { sent, step, end });
        self.deliver();
        if planned.fate == Fate::Late {
            self.late = Some(*planned);
        }
    }

    /// What was on its way arrives.
    fn deliver(&mut self) {
        if let Some(late) = self.late.take() {
            self.perform(late.step);
        }
    }

    fn perform(&self, step: Step) -> Sent {
        let engine = self.engine;
        match step {
            Step::Clock { by } => {
                self.place.clock.advance(by);
                Sent::Heard(Heard::first(Said::Moved))
            }
            Step::Look { sku } => {
                let name = self.names.sku(sku);
                let view = wait_for(engine.stock(Sku::new(&name).unwrap()));
                view.map_or(Sent::Nothing, |view| {
                    Sent::Heard(Heard::first(seen(view.as_ref())))
                })
            }
            Step::Ask { key, wish } => {
                let script = self.names.script(wish);
                let target = script.target().map_or(0, |target| id_of(engine, target));
                let command = script.command(target);
                let key = engine.key(&self.names.key(key), &command);
                sent(
                    self.names,
                    (self.place.send)(engine, &Keyed { key, command }),
                )
            }
        }
    }
}

impl Place<'_> {
    /// Makes plans come true and judges the histories, which must all have an order.
    pub(crate) fn judged(&self, plans: &[Plan]) -> Tally {
        let judged = judge_all(&self.play(plans));
        judged.unwrap_or_else(|fault| panic!("plans from {}: {fault}", plans[0].number))
    }

    /// Makes plans come true, one after the other, each with all of its clients at once. Nothing else
    /// moves the clock.
    pub(crate) fn play(&self, plans: &[Plan]) -> Vec<History> {
        let began = self.clock.now().0;
        let clients = plans.iter().flat_map(|plan| &plan.steps);
        let clients = clients.map(|step| step.client + 1).max().unwrap_or(1);
        let named = |plan| names(plan, PREFIX, true, self.engines[0]);
        let names: Vec<Names> = plans.iter().map(named).collect();
        let (barrier, tickets) = (Barrier::new(clients), AtomicU64::new(1));
        let live = |client: usize| -> Vec<Lived> {
            let one = |(plan, names): (&Plan, &Names)| {
                barrier.wait();
                let mut at = Client {
                    engine: self.engines[client % self.engines.len()],
                    place: self,
                    names,
                    tickets: &tickets,
                    calls: Vec::new(),
                    late: None,
                };
                // Whoever panics comes to the barrier again: the others would wait there for ever.
                catch_unwind(AssertUnwindSafe(|| {
                    plan.of(client).for_each(|planned| at.act(planned));
                    at.deliver();
                    at.calls
                }))
            };
            plans.iter().zip(&names).map(one).collect()
        };
        let live = &live;
        let seen: Vec<Vec<Vec<Call>>> = std::thread::scope(|scope| {
            let threads = (0..clients).map(|client| scope.spawn(move || live(client)));
            let threads: Vec<_> = threads.collect();
            let joined = threads.into_iter().map(|thread| thread.join().unwrap());
            joined
                .map(|lives| lives.into_iter().map(Lived::unwrap).collect())
                .collect()
        });
        let mut now = began;
        let history = |(at, plan): (usize, &Plan)| {
            let calls = seen.iter().flat_map(|of| of[at].iter().copied());
            let began = now;
            now += plan.passes();
            History {
                is_retried: self.is_retried,
                ..History::new(Some(began), calls.collect())
            }
        };
        plans.iter().enumerate().map(history).collect()
    }
}
