//! Callers: each sends commands under keys, waits or gives up, and asks again with the same key until
//! it knows what became of them. Whatever it hears, it tells the judge.

use std::cell::{Cell, RefCell};
use std::collections::HashSet;
use std::future::Future;
use std::pin::{Pin, pin};
use std::rc::Rc;

use holdfast::blocking::wait_for;
use holdfast::domain::command::{Command, Keyed};
use holdfast::domain::hash::Hasher;
use holdfast::domain::stock::{Safety, Selling};
use holdfast::domain::{CommandKey, Outcome, Refusal, Units};
use holdfast::ledger::policy::{PolicyPut, PutPolicyError, text};
use holdfast::ledger::{Answer, LedgerError};

use crate::dated;
use crate::faults::{Fault, Sometimes};
use crate::judge::{Judge, Sent};
use crate::scheduler::{First, Sim, race};
use crate::support::history::{Maker, NODES, SKUS, Step};
use crate::support::policies;
use crate::support::rng::Rng;
use crate::support::script::{AdjustAsk, Ask, Script};
use crate::world::{Door, Life, Plan, Sabotage};

/// What a command says.
#[derive(Debug, Clone)]
pub(crate) enum Content {
    Plain(Script),
    Dated(dated::Ask),
}

impl Content {
    /// The key of the reservation that it acts on.
    pub(crate) fn target(&self) -> Option<&str> {
        match self {
            Self::Plain(script) => script.target(),
            Self::Dated(ask) => ask.target(),
        }
    }

    pub(crate) fn command(&self, hasher: Hasher) -> Command<'_> {
        let target = self.target().map_or(0, |key| hasher.key(key));
        match self {
            Self::Plain(script) => script.command(target),
            Self::Dated(ask) => ask.command(target),
        }
    }
}

/// An answer on its way.
type Answering<'a, T> = Pin<Box<dyn Future<Output = T> + 'a>>;

/// What a caller heard.
enum Heard {
    Answer {
        /// It is a reservation as it stands.
        is_granted: bool,
    },
    /// Nothing happened, for certain.
    Nothing,
    Unknown,
}

/// What all callers share.
pub(crate) struct Crowd {
    pub(crate) sim: Sim,
    pub(crate) plan: Plan,
    pub(crate) door: Door,
    pub(crate) judge: Rc<RefCell<Judge>>,
    /// Commands that are still to be sent.
    pub(crate) left: Cell<u64>,
    /// Callers that are not done.
    pub(crate) busy: Cell<u64>,
    /// Until then nobody sends anything.
    pub(crate) idle_until: Cell<i64>,
}

/// A caller.
pub(crate) struct Caller {
    crowd: Rc<Crowd>,
    name: String,
    maker: Maker,
    dated: dated::Maker,
    policies: Rng,
    /// Keys under which it was told of a reservation.
    granted: HashSet<String>,
    /// What it does not know the result of.
    open: Vec<(String, Rc<Content>)>,
}

impl Caller {
    /// The first two send the same commands under the same keys.
    pub(crate) fn new(crowd: &Rc<Crowd>, number: u64) -> Self {
        let own = number.max(1);
        let mut maker = Maker::new(crowd.plan.seed * 100 + own);
        maker.prefix = format!("c{own}.");
        maker.share_moves = 5;
        Self {
            crowd: Rc::clone(crowd),
            name: format!("caller {number}"),
            maker,
            dated: dated::Maker::new(crowd.plan.seed * 100 + number, format!("d{number}.")),
            policies: Rng::new(crowd.plan.seed * 100 + number),
            granted: HashSet::new(),
            open: Vec::new(),
        }
    }

    /// Sends its share of the commands, then asks until nothing is unknown.
    pub(crate) async fn live(mut self) {
        let crowd = Rc::clone(&self.crowd);
        let sim = &crowd.sim;
        while let Some(left) = crowd.left.get().checked_sub(1) {
            crowd.left.set(left);
            self.think().await;
            if !self.open.is_empty() && sim.percent(60) {
                self.ask_again().await;
            }
            self.send_next().await;
        }
        while !self.open.is_empty() {
            sim.sleep(sim.between(1, 40)).await;
            self.ask_again().await;
        }
        crowd.busy.set(crowd.busy.get() - 1);
    }

    async fn think(&self) {
        let sim = &self.crowd.sim;
        match sim.below(10) {
            0..=5 => sim.pause().await,
            6..=8 => sim.sleep(sim.between(1, 8)).await,
            _ => sim.sleep(sim.between(5, 60)).await,
        }
        let idle = self.crowd.idle_until.get() - sim.now();
        if let Ok(idle @ 1..) = u64::try_from(idle) {
            sim.sleep(idle).await;
        }
    }

    async fn send_next(&mut self) {
        let sim = self.crowd.sim.clone();
        let plan = self.crowd.plan;
        if plan.has_policies && sim.below(150) == 0 {
            return self.put_policy().await;
        }
        let (key, content) = if sim.percent(plan.dated) {
            let (key, ask) = self.dated.next(sim.clock().now());
            (key, Content::Dated(ask))
        } else if sim.percent(8) {
            (
                format!("{}r{}", self.maker.prefix, sim.now()),
                self.restock(),
            )
        } else {
            let (key, script) = self.next_command();
            (key, Content::Plain(script))
        };
        let content = Rc::new(content);
        if sim.percent(3) {
            sim.fired(Fault::SentTwice);
            let (crowd, name) = (Rc::clone(&self.crowd), format!("{}'", self.name));
            let (key, content) = (key.clone(), Rc::clone(&content));
            sim.spawn(async move {
                crowd.attempt(&name, &key, &content).await;
            });
        }
        self.send(key, content).await;
    }

    /// Mostly nothing about reservations that it was never granted.
    fn next_command(&mut self) -> (String, Script) {
        loop {
            let Step::Command { key, script } = self.maker.command() else {
                continue;
            };
            let is_sensible = { script.target() }.is_none_or(|key| self.granted.contains(key));
            if is_sensible || self.crowd.sim.percent(5) {
                return (key, script);
            }
        }
    }

    /// More of a SKU, or what ends that none of it is sold.
    fn restock(&mut self) -> Content {
        let sim = &self.crowd.sim;
        let sku = sim.pick(&SKUS[..5]).to_owned();
        Content::Plain(if sim.percent(30) {
            Script::Settings {
                sku,
                safety: Some(Safety::Units(Units::ZERO)),
                node_safety: None,
                selling: Some(Selling::On),
                low_water: Some(None),
                if_version: None,
            }
        } else {
            Script::Adjust {
                reason: "delivery".to_owned(),
                items: vec![AdjustAsk {
                    sku,
                    node: u16::try_from(sim.below(u64::from(NODES))).unwrap(),
                    on_hand: i64::try_from(sim.between(5, 40)).unwrap(),
                    unavailable: 0,
                    change_from: None,
                }],
            }
        })
    }

    async fn send(&mut self, key: String, content: Rc<Content>) {
        let heard = Box::pin(self.crowd.attempt(&self.name, &key, &content)).await;
        match heard {
            Heard::Answer { is_granted: true } => drop(self.granted.insert(key)),
            Heard::Answer { is_granted: false } => {}
            // Some try again, some have better things to do.
            Heard::Nothing if self.crowd.sim.percent(50) => {}
            Heard::Nothing | Heard::Unknown => self.open.push((key, content)),
        }
    }

    /// Settles something that it does not know: by its key, or by sending it again.
    async fn ask_again(&mut self) {
        let sim = self.crowd.sim.clone();
        let at = sim.below(u64::try_from(self.open.len()).unwrap());
        let (key, content) = self.open.swap_remove(usize::try_from(at).unwrap());
        if sim.percent(20) && self.crowd.look_up(&self.name, &key, &content).await {
            return;
        }
        if matches!(*content, Content::Plain(_)) && sim.percent(5) {
            sim.fired(Fault::KeyReused);
            let Step::Command { script, .. } = self.maker.command() else {
                return;
            };
            let other = Rc::new(Content::Plain(script));
            self.crowd.attempt(&self.name, &key, &other).await;
        }
        self.send(key, content).await;
    }

    async fn put_policy(&mut self) {
        let text = text::write(&policies::random(&mut self.policies));
        self.crowd.put_policy(&self.name, &text).await;
    }
}

impl Crowd {
    /// Sends a command once.
    async fn attempt(&self, name: &str, key: &str, content: &Rc<Content>) -> Heard {
        let sim = &self.sim;
        sim.pause().await;
        let Some(life) = self.door.life() else {
            sim.sleep(sim.between(1, 30)).await;
            return Heard::Nothing;
        };
        let sent = self.judge.borrow_mut().sent(key, content);
        let command = content.command(self.judge.borrow().hasher());
        sim.note(name, format_args!("sends {key}: {content:?}"));
        let keyed = Keyed {
            key: CommandKey {
                id: sent.id,
                fingerprint: sent.fingerprint,
            },
            command,
        };
        let heard = self.wait(&life, Box::pin(self.execute(&life, &sent, &keyed)));
        let heard = self.note_heard(name, key, &sent, heard.await);
        if let Heard::Nothing = heard {
            sim.sleep(sim.between(1, 20)).await;
        }
        heard
    }

    /// Tells the judge what was heard; `None`: nothing.
    fn note_heard(
        &self,
        name: &str,
        key: &str,
        sent: &Sent,
        heard: Option<Result<Answer, LedgerError>>,
    ) -> Heard {
        let sim = &self.sim;
        let mut judge = self.judge.borrow_mut();
        match heard {
            Some(Ok(answer)) => {
                self.note_answer(name, key, &answer);
                sim.check(judge.told(sent, &answer));
                if sim.percent(2) {
                    sim.fired(Fault::AnswerLost);
                    return Heard::Unknown;
                }
                Heard::Answer {
                    is_granted: matches!(answer.verdict, Ok(Outcome::Reservation(_))),
                }
            }
            Some(Err(LedgerError::Unknown)) | None => {
                judge.unknown(sent);
                sim.saw(Sometimes::Unknown);
                sim.note(name, format_args!("is not told of {key}"));
                Heard::Unknown
            }
            Some(Err(error)) => {
                if error == LedgerError::Overloaded {
                    sim.saw(Sometimes::Overloaded);
                }
                judge.nothing(sent);
                sim.note(name, format_args!("is turned away with {key}: {error}"));
                Heard::Nothing
            }
        }
    }

    fn note_answer(&self, name: &str, key: &str, answer: &Answer) {
        let Answer {
            verdict,
            replayed,
            position,
            ..
        } = answer;
        let code = verdict.as_ref().map_or_else(Refusal::code, |_| "done");
        let again = if *replayed { " again" } else { "" };
        let what = format_args!("is told{again} of {key}: {code} at {position}: {verdict:?}");
        self.sim.note(name, what);
    }

    async fn execute(
        &self,
        life: &Life,
        sent: &Sent,
        keyed: &Keyed<'_>,
    ) -> Result<Answer, LedgerError> {
        if self.plan.is_sabotaged(Sabotage::ToldBeforeSync) {
            let answer = life.engine.submit(keyed);
            life.work.raise();
            return answer;
        }
        if self.sim.percent(10) {
            // A list of one, decided at once and waited for later.
            let submitted = life.engine.submit_batch(std::slice::from_ref(keyed));
            life.note_decided(sent);
            self.sim.pause().await;
            let mut answers = life.engine.finish_batch(submitted).await;
            return answers.pop().unwrap();
        }
        let mut executing = pin!(life.engine.execute(keyed));
        let mut is_first = true;
        std::future::poll_fn(|context| {
            let polled = executing.as_mut().poll(context);
            if std::mem::take(&mut is_first) {
                life.note_decided(sent);
            }
            polled
        })
        .await
    }

    /// Waits for an answer: `None` when the server is gone, or the caller's patience is at an end.
    async fn wait<T>(&self, life: &Life, answer: Answering<'_, T>) -> Option<T> {
        let sim = &self.sim;
        let waiting = race(life.ended.raised(), answer);
        let first = if sim.percent(8) {
            match race(waiting, sim.sleep(sim.between(0, 12))).await {
                First::One(first) => first,
                First::Other(()) => {
                    sim.fired(Fault::GivesUp);
                    return None;
                }
            }
        } else {
            waiting.await
        };
        match first {
            First::One(()) => None,
            First::Other(answer) => Some(answer),
        }
    }

    /// Asks what a key was answered; false when that is not known or nothing is.
    async fn look_up(&self, name: &str, key: &str, content: &Rc<Content>) -> bool {
        let life = self.door.opened().await;
        let sent = self.judge.borrow_mut().sent(key, content);
        let found = self.wait(&life, Box::pin(life.engine.settle(key))).await;
        let mut judge = self.judge.borrow_mut();
        judge.nothing(&sent);
        let Some(Ok(found)) = found else {
            return false;
        };
        match &found {
            Some(answer) => {
                self.note_answer(name, key, answer);
                self.sim.saw(Sometimes::Looked);
                self.sim.check(judge.found(&sent, answer));
            }
            None => self.sim.check(judge.found_nothing(&sent)),
        }
        found.is_some()
    }

    async fn put_policy(&self, name: &str, text: &str) {
        let life = self.door.opened().await;
        let put = PolicyPut {
            text,
            expected: None,
            operator: "",
            reason: "",
            over: "",
        };
        self.judge.borrow_mut().putting(text);
        let putting = async {
            let putting = life.engine.put_policy(&put);
            let mut putting = pin!(putting);
            std::future::poll_fn(|context| {
                let polled = putting.as_mut().poll(context);
                life.work.raise();
                polled
            })
            .await
        };
        match self.wait(&life, Box::pin(putting)).await {
            Some(Ok(version)) => {
                self.sim.saw(Sometimes::Policy);
                self.judge.borrow_mut().put(version.version);
                let version = version.version;
                self.sim
                    .note(name, format_args!("is told of policy {version}"));
            }
            Some(Err(PutPolicyError::Faults(_))) => self.judge.borrow_mut().not_put(),
            Some(Err(error)) => self.sim.note(name, format_args!("policy not put: {error}")),
            None => self.sim.note(name, format_args!("is not told of a policy")),
        }
    }

    /// Many holds that end at the same moment.
    pub(crate) fn storm(self: &Rc<Self>, number: u64) {
        let ttl = self.sim.between(20, 400);
        for at in 0..self.sim.between(20, 60) {
            let key = format!("storm{number}.{at}");
            let content = Rc::new(Content::Plain(Script::Reserve {
                channel: 0,
                reference: None,
                ttl: u32::try_from(ttl).unwrap(),
                partial: false,
                lines: vec![Ask {
                    sku: self.sim.pick(&SKUS[..5]).to_owned(),
                    node: None,
                    quantity: 1,
                }],
            }));
            let crowd = Rc::clone(self);
            self.sim.spawn(async move {
                crowd.attempt("storm", &key, &content).await;
            });
        }
    }
}

impl Life {
    fn note_decided(&self, sent: &Sent) {
        sent.decided.set(self.engine.now().0);
        self.decided.set(self.decided.get() + 1);
        self.decided_ever.set(self.decided_ever.get() + 1);
        self.work.raise();
    }
}

/// The result of a future that needs nothing more to happen.
pub(crate) fn at_once<T>(future: impl Future<Output = T>) -> Option<T> {
    let once = race(future, std::future::ready(()));
    match wait_for(once) {
        First::One(done) => Some(done),
        First::Other(()) => None,
    }
}
