//! The judge: an independent model follows the events in their order, and everything that anybody was
//! told is held against it.
//!
//! Callers say what they send and hear; the judge reads the event feed as any consumer does. What was
//! told stands in line by its sequence until the feed has come so far. A crash shows what was lost: the
//! first event of a new epoch says where the history goes on.

mod compare;
mod feed;

use std::cell::Cell;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::rc::Rc;

use holdfast::domain::hash::Hasher;
use holdfast::domain::{Outcome, Refusal, Reservation, Verdict};
use holdfast::ledger::{Answer, Position};

use crate::client::Content;
use crate::dated::Books;
use crate::faults::Sometimes;
use crate::scheduler::Sim;
use crate::support::check::unexplained;
use crate::support::model::{Keeping, Model, is_recorded};

/// What is known of a key.
#[derive(Debug, Default)]
struct Asked {
    key: String,
    /// What was sent under it, by fingerprint.
    contents: Vec<(u64, Rc<Content>)>,
    in_flight: u64,
    /// An attempt has ended of which nobody knows what became.
    is_open: bool,
    /// Somebody heard an answer.
    is_told: bool,
    first: Option<First>,
}

/// The event of a key: its first answer.
#[derive(Debug, Clone)]
struct First {
    position: Position,
    fingerprint: u64,
    at: i64,
    /// What the model answers; for what it does not know, what was told first.
    verdict: Option<Verdict>,
}

/// An attempt that was sent.
#[derive(Debug)]
pub(crate) struct Sent {
    pub(crate) id: u128,
    pub(crate) fingerprint: u64,
    /// When it was decided, by the ledger's clock.
    pub(crate) decided: Cell<i64>,
    /// The last place that anybody had been told of.
    floor: Position,
    /// How much had been told.
    ticket: u64,
}

/// An answer that somebody was told, and whose event was not read yet.
#[derive(Debug, Clone)]
struct Claim {
    id: u128,
    fingerprint: Option<u64>,
    answer: Answer,
    /// When it was decided, by the ledger's clock.
    decided: i64,
}

/// A key was said to be unknown: true only if it may have been forgotten. What ended it may be told by
/// events that are not read yet.
#[derive(Debug)]
struct Doubt {
    key: String,
    /// The latest that any clock has shown when it was said.
    now: i64,
    violation: String,
}

/// See the module's documentation.
pub(crate) struct Judge {
    sim: Sim,
    keeping: Keeping,
    hasher: Hasher,
    model: Model,
    books: Books,
    asked: HashMap<u128, Asked>,
    /// By sequence.
    claims: BTreeMap<u64, Vec<Claim>>,
    /// Until the feed has been read once more.
    doubts: Vec<Doubt>,
    /// The last event that was read.
    read: Position,
    /// What is read now was there when the ledger was opened.
    is_recovering: bool,
    floor: Position,
    ticket: u64,
    /// When it was first told that a SKU, or a reservation, is there.
    shown: HashMap<String, u64>,
    /// Reservations as they were shown since the ledger was opened.
    views: Vec<(String, Reservation)>,
    /// Policies that somebody tried to put.
    putting: HashSet<String>,
    /// Somebody waits to be told of one.
    is_putting: bool,
    /// The last version that somebody was told of, and the last that was read.
    policy_told: u64,
    policy_read: u64,
    /// Units of a SKU that came back from holds that expired.
    freed: BTreeMap<String, u64>,
    /// Keys of reservations, in the order of their events.
    reserved: Vec<String>,
}

impl Judge {
    pub(crate) fn new(sim: &Sim, hasher: Hasher, keeping: Keeping, model: Model) -> Self {
        Self {
            sim: sim.clone(),
            keeping,
            hasher,
            model,
            books: Books::default(),
            asked: HashMap::new(),
            claims: BTreeMap::new(),
            doubts: Vec::new(),
            read: Position::default(),
            is_recovering: false,
            floor: Position::default(),
            ticket: 0,
            shown: HashMap::new(),
            views: Vec::new(),
            putting: HashSet::new(),
            is_putting: false,
            policy_told: 0,
            policy_read: 0,
            freed: BTreeMap::new(),
            reserved: Vec::new(),
        }
    }

    pub(crate) const fn hasher(&self) -> Hasher {
        self.hasher
    }

    /// A command goes on its way.
    pub(crate) fn sent(&mut self, key: &str, content: &Rc<Content>) -> Sent {
        let id = self.hasher.key(key);
        let fingerprint = self.hasher.fingerprint(&content.command(self.hasher));
        let asked = self.asked.entry(id).or_default();
        if asked.contents.is_empty() {
            key.clone_into(&mut asked.key);
        }
        if asked.contents.iter().all(|(of, _)| *of != fingerprint) {
            asked.contents.push((fingerprint, Rc::clone(content)));
        }
        asked.in_flight += 1;
        Sent {
            id,
            fingerprint,
            decided: Cell::new(0),
            floor: self.floor,
            ticket: self.ticket,
        }
    }

    fn ended(&mut self, sent: &Sent) -> &mut Asked {
        let asked = self.asked.get_mut(&sent.id).unwrap();
        asked.in_flight -= 1;
        asked
    }

    /// The attempt has certainly done nothing.
    pub(crate) fn nothing(&mut self, sent: &Sent) {
        self.ended(sent);
    }

    /// Nobody knows what became of the attempt.
    pub(crate) fn unknown(&mut self, sent: &Sent) {
        self.ended(sent).is_open = true;
    }

    /// Somebody was told an answer.
    pub(crate) fn told(&mut self, sent: &Sent, answer: &Answer) -> Result<(), String> {
        let asked = self.ended(sent);
        let is_retry = std::mem::replace(&mut asked.is_open, true);
        if !is_recorded(&answer.verdict) {
            return self.told_unrecorded(sent, answer);
        }
        let was_told = std::mem::replace(&mut asked.is_told, true);
        if !answer.replayed && answer.position <= sent.floor {
            return Err(format!(
                "{} at {} was sent after the answer at {}",
                asked.key, answer.position, sent.floor
            ));
        }
        if is_retry && !was_told {
            self.sim.saw(if answer.replayed {
                Sometimes::RetryFound
            } else {
                Sometimes::RetryDid
            });
        }
        self.claim(sent, Some(sent.fingerprint), answer)
    }

    /// Somebody looked an answer up by its key.
    pub(crate) fn found(&mut self, sent: &Sent, answer: &Answer) -> Result<(), String> {
        self.asked.get_mut(&sent.id).unwrap().is_told = true;
        self.claim(sent, None, answer)
    }

    /// Somebody looked a key up, and there was nothing.
    pub(crate) fn found_nothing(&mut self, sent: &Sent) {
        let asked = &self.asked[&sent.id];
        if asked.first.is_some() {
            let violation = format!("{} was answered, and now it was not", asked.key);
            self.doubt(asked.key.clone(), violation);
        }
    }

    fn doubt(&mut self, key: String, violation: String) {
        let now = self.sim.latest();
        self.doubts.push(Doubt {
            key,
            now,
            violation,
        });
        self.clear_doubts();
    }

    /// Drops the doubts about keys that may be forgotten by what has been read.
    fn clear_doubts(&mut self) {
        let mut doubts = std::mem::take(&mut self.doubts);
        doubts.retain(|doubt| !self.may_forget(&doubt.key, doubt.now));
        self.doubts = doubts;
    }

    /// The feed was read to its end.
    fn settle_doubts(&mut self) -> Result<(), String> {
        match self.doubts.pop() {
            Some(doubt) => Err(doubt.violation),
            None => Ok(()),
        }
    }

    /// Somebody was shown a reservation.
    pub(crate) fn read_by_somebody(&mut self, key: &str, found: Reservation) {
        self.views.push((key.to_owned(), found));
    }

    /// Whether the answer to a key has been kept long enough.
    fn may_forget(&self, key: &str, now: i64) -> bool {
        let Some(asked) = self.asked.get(&self.hasher.key(key)) else {
            return true;
        };
        let is_dated = asked.contents.iter().any(|(_, content)| match **content {
            Content::Plain(_) => false,
            Content::Dated(_) => true,
        });
        // The books keep no time of their answers: those are asked again soon or never.
        is_dated || self.model.may_forget(key, now, self.keeping) || {
            // It may have expired unwritten.
            let mut model = self.model.clone();
            model.expire_all(now);
            model.may_forget(key, now, self.keeping)
        }
    }

    fn claim(
        &mut self,
        sent: &Sent,
        fingerprint: Option<u64>,
        answer: &Answer,
    ) -> Result<(), String> {
        self.floor = self.floor.max(answer.position);
        self.ticket += 1;
        if answer.told_after < answer.position {
            self.sim.saw(Sometimes::ToldEarly);
        }
        let claim = Claim {
            id: sent.id,
            fingerprint,
            answer: answer.clone(),
            decided: sent.decided.get(),
        };
        let sequence = answer.position.sequence;
        if sequence <= self.read.sequence {
            return self.settle(&claim);
        }
        self.claims.entry(sequence).or_default().push(claim);
        Ok(())
    }

    /// Holds an answer against the event that it is the answer to.
    fn settle(&mut self, claim: &Claim) -> Result<(), String> {
        let asked = self.asked.get_mut(&claim.id).unwrap();
        let answer = &claim.answer;
        let wrong = |what: &str| Err(format!("{}: {what}: {claim:?}", asked.key));
        let Some(first) = &mut asked.first else {
            return wrong("answered, and there is no event");
        };
        if first.position.sequence != answer.position.sequence {
            return wrong(&format!("its event is {first:?}"));
        }
        if claim.fingerprint.is_some_and(|of| of != first.fingerprint) {
            return wrong("the answer to another command");
        }
        let verdict = unexplained(answer.verdict.clone());
        let expected = first.verdict.get_or_insert_with(|| verdict.clone());
        if *expected != verdict {
            return Err(format!(
                "{} at {}: answered {verdict:?}\n  expected {expected:?}",
                asked.key, answer.position
            ));
        }
        let shown: Vec<String> = match verdict {
            Ok(Outcome::Reservation(made)) if made.id.0 == claim.id => vec![asked.key.clone()],
            Ok(Outcome::Stock(of)) => of.iter().map(|item| item.sku.to_string()).collect(),
            Ok(Outcome::Settings { sku, .. }) => vec![sku.to_string()],
            Ok(_) | Err(_) => Vec::new(),
        };
        for name in shown {
            self.shown.entry(name).or_insert(self.ticket);
        }
        Ok(())
    }

    /// Answers that are kept under no key.
    fn told_unrecorded(&mut self, sent: &Sent, answer: &Answer) -> Result<(), String> {
        let asked = &self.asked[&sent.id];
        let violation = format!("{}: {:?} cannot be", asked.key, answer.verdict);
        let was_shown = |name: &str| self.shown.get(name).is_some_and(|at| *at <= sent.ticket);
        let wrong = match &answer.verdict {
            Err(Refusal::KeyReused) => {
                self.sim.saw(Sometimes::KeyReused);
                asked.contents.len() < 2
            }
            Err(Refusal::UnknownSku { sku }) => was_shown(sku),
            Err(Refusal::UnknownReservation) => {
                let content = asked
                    .contents
                    .iter()
                    .find(|(of, _)| *of == sent.fingerprint);
                let target = content.and_then(|(_, content)| content.target());
                let is_there = |key: &&str| was_shown(key) && self.model.reservation(key).is_some();
                if let Some(key) = target.filter(is_there) {
                    self.doubt(key.to_owned(), violation);
                }
                return Ok(());
            }
            Ok(_) | Err(_) => true,
        };
        if wrong {
            return Err(violation);
        }
        Ok(())
    }

    /// Somebody tries to put a policy.
    pub(crate) fn putting(&mut self, text: &str) {
        self.putting.insert(text.to_owned());
        self.is_putting = true;
    }

    /// A policy was not put: it has faults.
    pub(crate) const fn not_put(&mut self) {
        self.is_putting = false;
    }

    /// Somebody was told that a version of the policy is in force.
    pub(crate) fn put(&mut self, version: u64) {
        self.policy_told = self.policy_told.max(version);
        self.is_putting = false;
    }
}
