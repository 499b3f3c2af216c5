//! Runs a history against a ledger and the model at once, and compares everything they say.

use std::collections::BTreeMap;
use std::fmt::{Debug, Write};

use holdfast::domain::policy::Document;
use holdfast::domain::stock::NodeStock;
use holdfast::domain::verdict::Limit;
use holdfast::domain::{Outcome, Refusal, Units, Verdict};
use holdfast::domain::{Reservation, Settings};
use holdfast::ledger::{Answer, Availability, Position, StockView};

use super::history::{CHANNELS, NODES, REFERENCES, SKUS, Step};
use super::model::{Keeping, Model, Reply, is_recorded};
use super::script::Script;

/// Wall clock at the start of every history.
pub(crate) const START: i64 = 1_700_000_000_000;

/// A ledger under test, driven by one thread.
pub(crate) trait Subject {
    /// The identity that the ledger derives from a key.
    fn id(&self, key: &str) -> u128;
    fn execute(&mut self, key: &str, script: &Script, target: u128) -> Answer;
    fn set_clock(&mut self, at: i64);
    /// Now, as the ledger sees it: never earlier than it was before.
    fn now(&self) -> i64;
    fn tick(&mut self);
    fn restart(&mut self);
    fn snapshot(&mut self);
    /// Puts a policy, whatever is in force; false if it has faults, or if this ledger takes none.
    fn put_policy(&mut self, _document: &Document) -> bool {
        false
    }
    fn stock(&self, sku: &str) -> Option<StockView>;
    fn settings(&self, sku: &str) -> Option<Settings>;
    fn availability(&self, sku: &str, node: Option<u16>) -> Option<Availability>;
    /// What a channel may take, and what binds it; `None` also where it is not asked.
    fn room_of(&self, _sku: &str, _channel: u16) -> Option<(Units, Limit)> {
        None
    }
    fn reservation(&self, id: u128) -> Option<Reservation>;
    fn by_reference(&self, channel: u16, reference: &str) -> Option<Reservation>;
    fn settle(&self, key: &str) -> Option<Answer>;
    /// How long it keeps answers; `None`: for ever.
    fn keeping(&self) -> Option<Keeping> {
        None
    }
    /// Whether its positions are those of one order. Partitions have an order each.
    fn has_one_order(&self) -> bool {
        true
    }
    /// What the ledger's own recount finds wrong.
    fn violations(&self) -> Vec<String>;
}

/// Where a ledger and the model part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mismatch {
    pub(crate) step: usize,
    pub(crate) what: String,
}

/// How often each kind of answer was given, by its code.
pub(crate) type Coverage = BTreeMap<&'static str, u64>;

/// A verdict without how limits stood, which the model does not tell.
pub(crate) fn unexplained(mut verdict: Verdict) -> Verdict {
    if let Err(Refusal::InsufficientStock { shortages }) = &mut verdict {
        shortages.iter_mut().for_each(|short| short.bound = None);
    }
    verdict
}

struct Run<'a, S> {
    subject: &'a mut S,
    model: Model,
    wall: i64,
    now: i64,
    /// The time of the last answer that was recorded.
    written: i64,
    keys: BTreeMap<String, u128>,
    reserves: Vec<String>,
    positions: BTreeMap<String, Position>,
    last: u64,
    coverage: Coverage,
}

/// Runs a history; `Err` says where the first difference is.
pub(crate) fn run<S: Subject>(subject: &mut S, history: &[Step]) -> Result<Coverage, Mismatch> {
    let mut run = Run {
        subject,
        model: Model::default(),
        wall: START,
        now: START,
        written: START,
        keys: BTreeMap::new(),
        reserves: Vec::new(),
        positions: BTreeMap::new(),
        last: 0,
        coverage: Coverage::new(),
    };
    for (at, step) in history.iter().enumerate() {
        run.step(step).map_err(|what| Mismatch { step: at, what })?;
    }
    Ok(run.coverage)
}

fn same<T: PartialEq + Debug>(what: &str, ledger: &T, model: &T) -> Result<(), String> {
    if ledger == model {
        return Ok(());
    }
    Err(format!("{what}\n  ledger: {ledger:?}\n  model:  {model:?}"))
}

impl<S: Subject> Run<'_, S> {
    fn step(&mut self, step: &Step) -> Result<(), String> {
        match step {
            Step::Command { key, script } => self.command(key, script),
            Step::Clock(by) => {
                self.wall += by;
                self.subject.set_clock(self.wall);
                Ok(())
            }
            Step::Tick => {
                self.tick();
                Ok(())
            }
            Step::Snapshot => {
                self.subject.snapshot();
                Ok(())
            }
            Step::Restart => {
                self.subject.restart();
                self.restarted()?;
                if self.subject.keeping().is_some() {
                    // What was forgotten comes back with the journal, until the next round.
                    self.tick();
                }
                self.compare()
            }
            Step::Policy(document) => {
                self.put_policy(document);
                Ok(())
            }
            Step::Compare => self.compare(),
        }
    }

    fn put_policy(&mut self, document: &Document) {
        let is_put = self.subject.put_policy(document);
        // Whether it is frozen is a matter of time.
        self.now = self.now.max(self.wall);
        if is_put {
            self.model.put_policy(document);
            self.written = self.now;
        }
        let code = if is_put { "policy" } else { "policy_faults" };
        *self.coverage.entry(code).or_default() += 1;
    }

    fn tick(&mut self) {
        self.now = self.now.max(self.wall);
        self.subject.tick();
        if let Some(keeping) = self.subject.keeping() {
            self.model.expire_all(self.now);
            self.model.forget(self.now, keeping);
        }
    }

    /// Time only read and never written down may be forgotten by a restart, but not time that an
    /// answer shows.
    fn restarted(&mut self) -> Result<(), String> {
        let now = self.subject.now();
        let (least, most) = (self.written.max(self.wall), self.now.max(self.wall));
        if !(least..=most).contains(&now) {
            return Err(format!(
                "now after a restart is {now}, not in {least}..={most}"
            ));
        }
        self.now = now;
        Ok(())
    }

    fn id(&mut self, key: &str) -> u128 {
        if let Some(id) = self.keys.get(key) {
            return *id;
        }
        let id = self.subject.id(key);
        self.keys.insert(key.to_owned(), id);
        id
    }

    fn command(&mut self, key: &str, script: &Script) -> Result<(), String> {
        let id = self.id(key);
        let target = script.target().map_or(0, |target| self.id(target));
        let now = self.now.max(self.wall);
        let expected = self.model.execute(now, key, id, script);
        if !expected.replayed && expected.verdict != Err(Refusal::KeyReused) {
            // Time goes on when something is decided, not when an answer is looked up.
            self.now = now;
        }
        let answer = self.subject.execute(key, script, target);
        let code = expected
            .verdict
            .as_ref()
            .map_or_else(Refusal::code, |_| "done");
        let code = if expected.replayed { "replayed" } else { code };
        *self.coverage.entry(code).or_default() += 1;
        let plain = |verdict: &Verdict| self.comparable(verdict.clone());
        let (ledger, model) = (plain(&answer.verdict), plain(&expected.verdict));
        same("verdict", &ledger, &model)?;
        same("replayed", &answer.replayed, &expected.replayed)?;
        if matches!(script, Script::Reserve { .. }) && answer.verdict.is_ok() && !answer.replayed {
            self.reserves.push(key.to_owned());
        }
        self.position(key, &answer)
    }

    /// How a cap or a protection stood is not for the model to say, which sums up anew each time.
    /// What was placed in one partition and taken back for want of stock in another has been two
    /// changes; and what a key was answered is put together from what each partition did.
    fn comparable(&self, mut verdict: Verdict) -> Verdict {
        if let Ok(Outcome::Stock(results)) = &mut verdict
            && !self.subject.has_one_order()
        {
            results.iter_mut().for_each(|result| result.version = 0);
            results.sort_by(|one, other| one.sku.cmp(&other.sku));
        }
        unexplained(verdict)
    }

    /// A new answer stands after all before it; a repeated one where it stood. The epoch of a
    /// repeated one is that of the present opening: a place in the order is its sequence.
    fn position(&mut self, key: &str, answer: &Answer) -> Result<(), String> {
        if answer.replayed {
            let first = self.positions.get(key).map(|position| position.sequence);
            return same(
                "sequence of a replay",
                &Some(answer.position.sequence),
                &first,
            );
        }
        if is_recorded(&answer.verdict) {
            let sequence = answer.position.sequence;
            if sequence <= self.last && self.subject.has_one_order() {
                return Err(format!("sequence {sequence} is not after {}", self.last));
            }
            self.last = sequence;
            self.written = self.now;
            self.positions.insert(key.to_owned(), answer.position);
        }
        Ok(())
    }

    fn compare(&mut self) -> Result<(), String> {
        self.now = self.now.max(self.wall);
        self.model.expire_all(self.now);
        let recent = self.reserves.len().saturating_sub(40);
        for key in &self.reserves[recent..] {
            let id = self.keys[key];
            let label = format!("reservation {key}");
            same(
                &label,
                &self.subject.reservation(id),
                &self.model.reservation(key),
            )?;
            self.compare_settled(key)?;
        }
        if let Some((key, _)) = self.positions.iter().next_back() {
            self.compare_settled(key)?;
        }
        // Reading stock writes down what has expired, so it comes after what must see that unwritten.
        for sku in SKUS {
            self.compare_sku(sku)?;
        }
        // Which of several reservations with one reference is found after the latest was forgotten
        // is not defined.
        if self.subject.keeping().is_none() {
            self.compare_references()?;
        }
        same("violations", &self.subject.violations(), &Vec::new())?;
        same("now", &self.subject.now(), &self.now)
    }

    fn compare_references(&self) -> Result<(), String> {
        for channel in 0..CHANNELS {
            for reference in REFERENCES {
                let ledger = self.subject.by_reference(channel, reference);
                let label = format!("latest reservation {channel} {reference}");
                let model = self.model.by_reference(channel, reference);
                let made = |found: &Option<Reservation>| found.as_ref().map(|r| r.created_at);
                if !self.subject.has_one_order() && made(&ledger) == made(&model) {
                    // Of those of one millisecond any may be taken for the latest.
                    continue;
                }
                same(&label, &ledger, &model)?;
            }
        }
        Ok(())
    }

    fn compare_settled(&self, key: &str) -> Result<(), String> {
        let settled = self.subject.settle(key);
        let reply = settled.map(|a| Reply {
            verdict: self.comparable(a.verdict),
            replayed: a.replayed,
        });
        let model = self.model.settle(key).map(|reply| Reply {
            verdict: self.comparable(reply.verdict),
            ..reply
        });
        same(&format!("settled {key}"), &reply, &model)
    }

    fn compare_sku(&self, sku: &str) -> Result<(), String> {
        for node in std::iter::once(None).chain((0..NODES).map(Some)) {
            let ledger = self.subject.availability(sku, node);
            let label = format!("availability of {sku} at {node:?}");
            same(
                &label,
                &ledger,
                &self.model.availability(sku, node, self.now),
            )?;
        }
        for channel in 0..CHANNELS {
            let Some(ledger) = self.subject.room_of(sku, channel) else {
                continue;
            };
            let label = format!("room of {channel} in {sku}");
            let model = self.model.room_of(sku, channel, self.now);
            same(&label, &Some(ledger), &model)?;
        }
        same(
            "settings",
            &self.subject.settings(sku),
            &self.model.settings(sku),
        )?;
        let mut stock = self.subject.stock(sku);
        // When something was counted decides nothing, and the model does not know it.
        if let Some(view) = &mut stock {
            view.nodes.iter_mut().for_each(|node| node.counted = 0);
            view.nodes.retain(|n| *n != NodeStock::empty(n.node));
        }
        let mut model = self.model.stock(sku);
        if !self.subject.has_one_order() {
            let views = [&mut stock, &mut model].into_iter().flatten();
            views.for_each(|view| view.version = 0);
        }
        same(&format!("stock of {sku}"), &stock, &model)
    }
}

/// Takes steps out of a failing history as long as it still fails.
pub(crate) fn shrink(history: &[Step], fails: impl Fn(&[Step]) -> bool) -> Vec<Step> {
    let mut least = history.to_vec();
    let mut chunk = least.len().div_ceil(2);
    while chunk > 0 {
        let mut at = 0;
        let mut shorter = false;
        while at < least.len() {
            let end = (at + chunk).min(least.len());
            let mut tried = least.clone();
            tried.drain(at..end);
            if fails(&tried) {
                least = tried;
                shorter = true;
            } else {
                at = end;
            }
        }
        if chunk == 1 && !shorter {
            break;
        }
        chunk = if chunk == 1 { 1 } else { chunk.div_ceil(2) };
    }
    least
}

/// A history for a human to read.
pub(crate) fn listing(history: &[Step]) -> String {
    let mut text = String::new();
    for (at, step) in history.iter().enumerate() {
        writeln!(text, "{at:4}: {step:?}").unwrap();
    }
    text
}

/// Runs the history of a seed, on mismatch shrinks it and says all there is to know.
pub(crate) fn check<S: Subject>(
    seed: u64,
    history: &[Step],
    open: impl Fn() -> S,
) -> Result<Coverage, String> {
    let first = match run(&mut open(), history) {
        Ok(coverage) => return Ok(coverage),
        Err(first) => first,
    };
    let upto = &history[..=first.step];
    let least = shrink(upto, |tried| run(&mut open(), tried).is_err());
    let what = run(&mut open(), &least)
        .err()
        .map_or_else(|| first.what.clone(), |m| m.what);
    let listing = listing(&least);
    Err(format!(
        "seed {seed}, step {}: {}\nleast history ({} steps): {what}\n{listing}",
        first.step,
        first.what,
        least.len()
    ))
}
