//! A short life of an engine on simulated storage, and what must be left of it after a crash.

use std::sync::Arc;

use holdfast::blocking::wait_for;
use holdfast::clock::Clock;
use holdfast::domain::policy::Document;
use holdfast::domain::{Refusal, ReservationId, Sku, Units, UnixMillis, Verdict};
use holdfast::engine::{Engine, EngineConfig, OpenError};
use holdfast::ledger::embedded::journal::JournalConfig;
use holdfast::ledger::embedded::storage::sim::{Files, SimStorage};
use holdfast::ledger::{Answer, StockView};
use holdfast::telemetry::Meters;
use tokio::runtime::{Builder, Runtime};

use crate::support::check::START;
use crate::support::driven::{id_of, put_policy, submit, try_give_names};
use crate::support::history::{Maker, SKUS, Step};
use crate::support::model::{Model, is_recorded};
use crate::support::script::Script;

/// A command that was answered as far as memory goes.
pub(crate) struct Done {
    key: String,
    id: u128,
    script: Script,
    now: i64,
    answer: Answer,
    /// How much the storage had done by then.
    moment: usize,
}

impl Done {
    /// A reservation that was refused for lack of stock: the only answer that does not wait for
    /// its own place in the journal.
    fn is_early(&self) -> bool {
        matches!(self.answer.verdict, Err(Refusal::InsufficientStock { .. }))
    }

    /// Whether its caller may have heard of it: everything up to there was acknowledged when the
    /// storage had done that much.
    pub(crate) const fn may_be_told(&self, acknowledged: u64, moment: usize) -> bool {
        self.is_decided_by(moment) && self.answer.told_after.sequence <= acknowledged
    }

    /// Whether it was decided when the storage had done that much.
    pub(crate) const fn is_decided_by(&self, moment: usize) -> bool {
        self.moment <= moment
    }
}

/// A policy that was put as far as memory goes.
struct Put {
    document: Document,
    version: u64,
    sequence: u64,
    /// How many commands were done before it.
    after: usize,
}

/// What happened, and when what was acknowledged.
pub(crate) struct Past {
    pub(crate) storage: SimStorage,
    done: Vec<Done>,
    put: Vec<Put>,
    /// At this moment of the storage at the latest, everything up to this sequence was durable.
    acknowledged: Vec<(usize, u64)>,
    end: i64,
    /// The engine took itself out of service.
    pub(crate) poisoned: bool,
}

fn open(storage: &SimStorage, clock: &Clock) -> Result<Engine, OpenError> {
    let mut config = EngineConfig::new(clock.clone(), Meters::new());
    config.journal = JournalConfig {
        segment_bytes: 16 * 1024,
        retain_bytes: 0,
        ..JournalConfig::default()
    };
    Engine::open_on(Arc::new(storage.clone()), config)
}

impl Past {
    /// Lives through a history, until the storage fails or its end.
    pub(crate) fn make(seed: u64, storage: SimStorage) -> Self {
        let clock = Clock::manual(UnixMillis(START));
        let mut past = Self {
            storage,
            done: Vec::new(),
            put: Vec::new(),
            acknowledged: Vec::new(),
            end: START,
            poisoned: false,
        };
        let mut maker = Maker::new(seed);
        (maker.policies, maker.terms, maker.share_moves) = (true, true, 8);
        let history = maker.history(90);
        // Twice, so that there is a start on what the first life left.
        for half in history.chunks(history.len().div_ceil(2)) {
            let Ok(engine) = open(&past.storage, &clock) else {
                return past;
            };
            let named = try_give_names(&engine).ok();
            let done = named.and_then(|()| past.live(half, &engine, &clock));
            past.poisoned |= engine.health().poisoned;
            if done.is_none() || engine.close().is_err() {
                return past;
            }
        }
        past
    }

    /// `None` when the engine answers no more.
    fn live(&mut self, history: &[Step], engine: &Engine, clock: &Clock) -> Option<()> {
        for (at, step) in history.iter().enumerate() {
            match step {
                Step::Command { key, script } => self.command(engine, key, script)?,
                Step::Clock(by) => drop(clock.advance(by.abs())),
                Step::Tick | Step::Compare | Step::Restart => wait_for(engine.tick()).ok()?,
                Step::Policy(document) => self.policy(engine, document)?,
                Step::Snapshot => {}
            }
            if at % 3 == 0 {
                self.acknowledge(engine)?;
            }
            if at % 17 == 16 {
                // A snapshot that fails is no reason to stop.
                engine.snapshot().unwrap_or_default();
            }
            self.end = clock.now().0;
        }
        self.acknowledge(engine)
    }

    fn command(&mut self, engine: &Engine, key: &str, script: &Script) -> Option<()> {
        let target = script.target().map_or(0, |target| id_of(engine, target));
        let answer = submit(engine, key, script, target).ok()?;
        if is_recorded(&answer.verdict) && !answer.replayed {
            self.done.push(Done {
                key: key.to_owned(),
                id: id_of(engine, key),
                script: script.clone(),
                now: engine.now().0,
                answer,
                moment: self.storage.moment(),
            });
        }
        Some(())
    }

    fn policy(&mut self, engine: &Engine, document: &Document) -> Option<()> {
        if let Some(put) = put_policy(engine, document).ok()? {
            let sequence = engine.durable(0).sequence;
            self.acknowledged.push((self.storage.moment(), sequence));
            self.put.push(Put {
                document: document.clone(),
                version: put.version,
                sequence,
                after: self.done.len(),
            });
        }
        Some(())
    }

    fn acknowledge(&mut self, engine: &Engine) -> Option<()> {
        let Some(done) = self.done.last() else {
            return Some(());
        };
        let position = done.answer.position;
        engine.wait_blocking(position).ok()?;
        let moment = self.storage.moment();
        self.acknowledged.push((moment, position.sequence));
        Some(())
    }

    /// Up to which sequence callers had been told, when the storage had done that much.
    pub(crate) fn acknowledged_by(&self, moment: usize) -> u64 {
        let told = self.acknowledged.iter().filter(|(at, _)| *at <= moment);
        told.map(|(_, sequence)| *sequence).max().unwrap_or(0)
    }
}

/// Opens what a crash left and compares it with the past.
pub(crate) fn judge(past: &Past, files: Files, moment: usize) -> Result<(), String> {
    let acknowledged = past.acknowledged_by(moment);
    ask_refused_again(past, files.clone(), |done| {
        done.may_be_told(acknowledged, moment)
    })?;
    let clock = Clock::manual(UnixMillis(past.end));
    let storage = SimStorage::with_files(files);
    let engine = open(&storage, &clock).map_err(|error| format!("does not open: {error}"))?;
    let judged = compare(past, &engine, acknowledged);
    engine.close().map_err(|error| error.to_string())?;
    judged
}

/// A refusal may be told before it is in the journal. Asked again after a crash that lost it, the
/// key must be answered the same, since nothing that it was refused for is lost. `told` says which
/// refusals their callers may have heard of.
pub(crate) fn ask_refused_again(
    past: &Past,
    files: Files,
    told: impl Fn(&Done) -> bool,
) -> Result<u64, String> {
    let mut asked = 0;
    let mut refused = past
        .done
        .iter()
        .filter(|done| done.is_early() && told(done));
    let Some(first) = refused.clone().next() else {
        return Ok(asked);
    };
    let clock = Clock::manual(UnixMillis(first.now));
    let storage = SimStorage::with_files(files);
    let engine = open(&storage, &clock).map_err(|error| format!("does not open: {error}"))?;
    let end = engine.health().durable.sequence;
    refused.try_for_each(|done| {
        if done.answer.position.sequence <= end {
            return Ok(());
        }
        asked += 1;
        clock.set(UnixMillis(done.now));
        let again = submit(&engine, &done.key, &done.script, 0);
        match again {
            Ok(again) if again.verdict == done.answer.verdict => Ok(()),
            again => Err(format!("{}: {:?}, now {again:?}", done.key, done.answer)),
        }
    })?;
    engine.close().map_err(|error| error.to_string())?;
    Ok(asked)
}

/// The version in force, which must be one that was put, and not before the last that was
/// acknowledged.
fn current_policy(past: &Past, engine: &Engine, acknowledged: u64) -> Result<u64, String> {
    let in_force = wait_for(engine.policy()).map_err(|error| error.to_string())?;
    let current = in_force.as_ref().map_or(0, |found| found.version.version);
    for put in &past.put {
        if put.sequence <= acknowledged && put.version > current {
            return Err(format!(
                "policy {} was acknowledged and is lost",
                put.version
            ));
        }
    }
    let put = past.put.iter().find(|put| put.version == current);
    let same = in_force.as_ref().map(|found| &found.document) == put.map(|put| &put.document);
    same.then_some(current)
        .ok_or_else(|| format!("policy {current} is not what was put"))
}

/// What must be there of a stock: on hand, held, committed, version, whether it is low and suspended.
fn counters(view: &StockView) -> (Units, Units, Units, u64, bool, bool) {
    (
        view.on_hand,
        view.held,
        view.committed,
        view.version,
        view.low,
        view.suspended,
    )
}

fn compare(past: &Past, engine: &Engine, acknowledged: u64) -> Result<(), String> {
    let runtime: Runtime = Builder::new_current_thread().build().unwrap();
    let settle = |key: &str| runtime.block_on(engine.settle(key)).unwrap();
    let mut model = Model::default();
    let mut lost = None;
    let current = current_policy(past, engine, acknowledged)?;
    let mut puts = past.put.iter().peekable();
    for (at, done) in past.done.iter().enumerate() {
        while let Some(put) = puts.next_if(|put| put.after <= at) {
            if put.version <= current {
                model.put_policy(&put.document);
            }
            if let (Some(lost), true) = (lost, put.version <= current) {
                return Err(format!("a policy is there, but {lost} before it is not"));
            }
        }
        let sequence = done.answer.position.sequence;
        match settle(&done.key) {
            Some(found) => {
                if let Some(lost) = lost {
                    return Err(format!(
                        "{} is there, but {lost} before it is not",
                        done.key
                    ));
                }
                if found.verdict != done.answer.verdict {
                    return Err(format!("{}: {:?}, now {found:?}", done.key, done.answer));
                }
                let modelled = model.execute(done.now, &done.key, done.id, &done.script);
                if without_bounds(&modelled.verdict) != without_bounds(&done.answer.verdict) {
                    let answer = &done.answer;
                    return Err(format!("{}: {answer:?}, modelled {modelled:?}", done.key));
                }
            }
            None if sequence <= acknowledged => {
                return Err(format!("{} was acknowledged and is lost", done.key));
            }
            None => lost = Some(&done.key),
        }
    }
    model.expire_all(past.end);
    for sku in SKUS {
        let found = wait_for(engine.stock(Sku::new(sku).unwrap())).unwrap();
        let expected = model.stock(sku);
        let (found, expected) = (
            found.as_ref().map(counters),
            expected.as_ref().map(counters),
        );
        if found != expected {
            return Err(format!("stock of {sku}: {found:?}, should be {expected:?}"));
        }
    }
    for done in &past.done {
        let found = wait_for(engine.reservation(ReservationId(done.id))).unwrap();
        let expected = model.reservation(&done.key);
        if found != expected {
            return Err(format!("{}: {found:?}, should be {expected:?}", done.key));
        }
    }
    match wait_for(engine.recount()).unwrap().violations.first() {
        Some(violation) => Err(violation.clone()),
        None => Ok(()),
    }
}

/// How a cap or a protection stood is not for the model to say.
fn without_bounds(verdict: &Verdict) -> Verdict {
    let mut verdict = verdict.clone();
    if let Err(Refusal::InsufficientStock { shortages }) = &mut verdict {
        shortages.iter_mut().for_each(|short| short.bound = None);
    }
    verdict
}
