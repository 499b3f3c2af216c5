//! Callers: each sends one command after the other, and the same again until it is told.

use std::rc::Rc;
use std::time::Duration;

use holdfast::domain::command::Keyed;
use holdfast::domain::{Outcome, Verdict};
use holdfast::ledger::{Answer, LedgerError};

use crate::faults::{Fault, Sometimes};
use crate::instance::Instance;
use crate::support::history::{Maker, Step};
use crate::support::script::Script;
use crate::witness::Call;
use crate::world::{Sabotage, World};

/// How long callers wait before they give up and ask again; some longer than a ledger does.
pub(crate) const PATIENCE: [Duration; 3] = [
    Duration::from_millis(500),
    Duration::from_millis(1_500),
    Duration::from_secs(8),
];

/// Between a key and the number of the attempt, where each has a key of its own.
pub(crate) const AGAIN: char = '~';

/// Sends this many commands.
pub(crate) async fn call(world: World, number: u64, mut maker: Maker, count: usize) {
    let mut sent = 0;
    while sent < count {
        let Step::Command { key, script } = maker.command() else {
            continue;
        };
        sent += 1;
        let mut errand = Errand {
            world: &world,
            caller: number,
            sent: world.sends(&key, &script),
            key,
            script,
        };
        errand.until_told().await;
        world.pause(0, 60).await;
    }
}

/// A command, until its caller is told.
struct Errand<'w> {
    world: &'w World,
    caller: u64,
    sent: u64,
    key: String,
    script: Script,
}

impl Errand<'_> {
    async fn until_told(&mut self) {
        let asked = self.key.clone();
        let what = format_args!("sends {asked}: {:?}", self.script);
        self.world.note(&format!("caller {}", self.caller), what);
        for attempt in 0.. {
            if attempt > 0 && self.world.is_sabotaged(Sabotage::NewKeys) {
                self.key = format!("{asked}{AGAIN}{attempt}");
                self.world.sends(&self.key, &self.script);
            }
            let Some(instance) = pick(self.world) else {
                self.world.pause(50, 200).await;
                continue;
            };
            if attempt == 0 && self.world.percent(3) {
                self.send_elsewhere();
            }
            let is_over = match self.attempt(&instance).await {
                Ok(answer) => self.told(&instance, answer, attempt),
                Err(error) => self.not_told(error),
            };
            if is_over {
                return;
            }
            self.world.pause(20, 300).await;
            self.nothing_happened();
        }
    }

    /// Sends it another time, and waits for no answer.
    fn send_elsewhere(&self) {
        let Self {
            world, caller, key, ..
        } = self;
        world.fired(Fault::SentTwice);
        world.note(
            &format!("caller {caller}"),
            format_args!("sends {key} twice"),
        );
        world.may_be_done(key);
        if let Some(other) = pick(world) {
            let (key, script) = (key.clone(), self.script.clone());
            let world = self.world.clone();
            tokio::task::spawn_local(async move {
                drop(try_once(&world, &other, &key, &script).await);
            });
        }
    }

    /// No error: nobody had the patience to wait for one.
    async fn attempt(&self, instance: &Instance) -> Result<Answer, Option<LedgerError>> {
        let patience = PATIENCE[self.world.index(PATIENCE.len())];
        let tried = try_once(self.world, instance, &self.key, &self.script);
        match tokio::time::timeout(patience, tried).await {
            Ok(heard) => heard.map_err(Some),
            Err(_) => Err(None),
        }
    }

    /// Whether that is all there is to know.
    fn told(&self, instance: &Instance, answer: Answer, attempt: u32) -> bool {
        let Self {
            world, caller, key, ..
        } = self;
        let (at, verdict) = (answer.position, word(&answer.verdict));
        let what = format_args!(
            "is told of {key} by {} at {at}: {verdict}, replayed {}, mirror {:?}",
            instance.number, answer.replayed, answer.mirror_age
        );
        world.note(&format!("caller {caller}"), what);
        if answer.mirror_age.is_some() {
            self.refused_by_mirror(&answer);
            return !world.is_perhaps_done(key);
        }
        if attempt > 0 {
            world.saw(if answer.replayed {
                Sometimes::Repeated
            } else {
                Sometimes::Done
            });
        }
        world.may_be_done(key);
        world.record(Call {
            sent: self.sent,
            answered: world.ticket(),
            id: world.id(key, &self.script),
            key: key.clone(),
            script: self.script.clone(),
            answer,
        });
        true
    }

    /// Whether to ask again is of no use.
    fn not_told(&self, error: Option<LedgerError>) -> bool {
        let Self {
            world, caller, key, ..
        } = self;
        let what = format_args!("is not told of {key}: {error:?}");
        world.note(&format!("caller {caller}"), what);
        if error.is_none_or(|error| error == LedgerError::Unknown) {
            world.may_be_done(key);
        }
        match error {
            None => world.fired(Fault::GaveUp),
            Some(LedgerError::Unknown) => world.saw(Sometimes::ToldUnknown),
            Some(_) => world.saw(Sometimes::ToldUnavailable),
        }
        let is_stopped = error == Some(LedgerError::Quarantined);
        is_stopped && world.loses()
    }

    /// What a mirror says is kept nowhere: it may only refuse, and only as of a moment when the key was
    /// not granted. Who is in doubt asks again.
    fn refused_by_mirror(&self, answer: &Answer) {
        let Self { world, key, .. } = self;
        world.saw(Sometimes::Mirrored);
        if answer.verdict.is_ok() {
            world.fail(format!("a mirror accepted {key}"));
        }
        world.mirrored(world.id(key, &self.script), answer.position);
    }

    /// Where nobody was told anything else of a command that nobody else sends, nothing must have
    /// happened. What was placed of a reservation in several partitions may wait to be taken back.
    fn nothing_happened(&self) {
        let Self { world, key, .. } = self;
        let ids = world.ids(key, &self.script);
        let may_wait = matches!(self.script, Script::Reserve { .. }) && ids.len() > 1;
        let is_sure = key.starts_with("own") && !world.is_perhaps_done(key) && !may_wait;
        if is_sure && ids.iter().any(|id| world.is_recorded(*id)) {
            world.fail(format!("{key}: told that nothing happened, and it had"));
        }
    }
}

pub(crate) fn pick(world: &World) -> Option<Rc<Instance>> {
    let open = world.instances();
    (!open.is_empty()).then(|| Rc::clone(&open[world.index(open.len())]))
}

pub(crate) async fn try_once(
    world: &World,
    instance: &Instance,
    key: &str,
    script: &Script,
) -> Result<Answer, LedgerError> {
    let engine = &instance.engine;
    let command = script.command(world.target(script));
    let key = engine.key(key, &command);
    engine.execute(&Keyed { key, command }).await
}

fn word(verdict: &Verdict) -> String {
    match verdict {
        Ok(Outcome::Reservation(_)) => "reservation".to_owned(),
        Ok(_) => "done".to_owned(),
        Err(refusal) => refusal.code().to_owned(),
    }
}
