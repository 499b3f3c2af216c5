//! What callers have in common: how a command goes to the server and what may come back.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::pin::{Pin, pin};
use std::rc::Rc;

use holdfast::blocking::wait_for;
use holdfast::domain::command::Keyed;
use holdfast::domain::{CommandKey, Outcome, Refusal, ReservationId};
use holdfast::ledger::policy::{PolicyPut, PutPolicyError};
use holdfast::ledger::{Answer, LedgerError};

use crate::client::Content;
use crate::faults::{Fault, Sometimes};
use crate::judge::{Judge, Sent};
use crate::scheduler::{First, Sim, race};
use crate::support::history::SKUS;
use crate::support::script::{Ask, Script};
use crate::world::{Door, Life, Plan, Sabotage};

/// An answer on its way.
type Answering<'a, T> = Pin<Box<dyn Future<Output = T> + 'a>>;

/// What a caller heard.
pub(crate) enum Heard {
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

impl Crowd {
    /// Sends a command once.
    pub(crate) async fn attempt(&self, name: &str, key: &str, content: &Rc<Content>) -> Heard {
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
    pub(crate) async fn look_up(&self, name: &str, key: &str, content: &Rc<Content>) -> bool {
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
            None => judge.found_nothing(&sent),
        }
        found.is_some()
    }

    /// Reads a reservation: what is shown cannot be lost.
    pub(crate) async fn read(&self, name: &str, key: &str) {
        let life = self.door.opened().await;
        let id = ReservationId(self.judge.borrow().hasher().key(key));
        let read = self.wait(&life, Box::pin(life.engine.reservation(id)));
        if let Some(Ok(Some(found))) = read.await {
            self.sim.note(name, format_args!("reads {key}: {found:?}"));
            self.sim.saw(Sometimes::Read);
            self.judge.borrow_mut().read_by_somebody(key, found);
        }
    }

    pub(crate) async fn put_policy(&self, name: &str, text: &str) {
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
