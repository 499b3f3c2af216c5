//! The witness check of a concurrent history: each answer says where it stands in the order of
//! changes, so the history is right when replaying it in that order gives every answer again, and
//! that order contradicts nothing that callers saw happen one after the other.

use std::collections::{BTreeMap, HashMap};

use holdfast::domain::verdict::{Outcome, Refusal};
use holdfast::ledger::event::Event;
use holdfast::ledger::{Answer, Position};

use crate::support::model::{Model, is_recorded};
use crate::support::script::Script;

/// One call. The tickets come from one counter: when it was sent, and when its answer was there.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    pub(crate) sent: u64,
    pub(crate) answered: u64,
    pub(crate) key: String,
    pub(crate) id: u128,
    pub(crate) script: Script,
    pub(crate) answer: Answer,
}

/// One entry of the event feed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Fed {
    pub(crate) position: Position,
    /// When it was decided.
    pub(crate) at: i64,
    /// The command that it is the answer to; `None` for what no caller asked for.
    pub(crate) command: Option<u128>,
}

impl Fed {
    pub(crate) fn of(event: &Event<'_>) -> Self {
        Self {
            position: event.position,
            at: event.at.0,
            command: event.body.key().map(|key| key.id),
        }
    }
}

/// Judges a history; `Err` says what is wrong with it.
pub(crate) fn judge(calls: &[Call], feed: &[Fed]) -> Result<(), String> {
    let first = |call: &&Call| !call.answer.replayed && is_recorded(&call.answer.verdict);
    let mut firsts: Vec<&Call> = calls.iter().filter(first).collect();
    firsts.sort_by_key(|call| call.answer.position);
    positions(&firsts, feed)?;
    real_time(&firsts)?;
    replay(&firsts, feed)?;
    others(calls, &firsts)
}

/// Judges a history over several partitions, each with an order and a feed of its own: what was
/// answered stands where the answer says, and no order contradicts what callers saw. Commands over
/// several partitions have entries in all of them, so nothing is replayed.
pub(crate) fn judge_orders(calls: &[Call], feeds: &[Vec<Fed>]) -> Result<(), String> {
    let first = |call: &&Call| !call.answer.replayed && is_recorded(&call.answer.verdict);
    let mut firsts: Vec<&Call> = calls.iter().filter(first).collect();
    firsts.sort_by_key(|call| call.answer.position);
    for (shard, feed) in (0..).zip(feeds) {
        unbroken(feed)?;
        let here = firsts
            .iter()
            .filter(|call| call.answer.position.shard == shard);
        let here: Vec<&Call> = here.copied().collect();
        real_time(&here)?;
        let told: HashMap<Position, &Fed> = feed.iter().map(|fed| (fed.position, fed)).collect();
        for call in here {
            let told = told.get(&call.answer.position);
            if told.is_none_or(|fed| fed.command != Some(call.id)) {
                return Err(format!("{call:?} stands where the feed has {told:?}"));
            }
        }
    }
    Ok(())
}

/// The feed has no gaps.
fn unbroken(feed: &[Fed]) -> Result<(), String> {
    for pair in feed.windows(2) {
        let (a, b) = (pair[0].position, pair[1].position);
        if b.sequence != a.sequence + 1 || b.epoch < a.epoch {
            return Err(format!("the feed goes from {a:?} to {b:?}"));
        }
    }
    Ok(())
}

/// The feed has no gaps, and exactly the calls' positions.
fn positions(firsts: &[&Call], feed: &[Fed]) -> Result<(), String> {
    unbroken(feed)?;
    let asked: Vec<(Position, u128)> = feed
        .iter()
        .filter_map(|fed| Some((fed.position, fed.command?)))
        .collect();
    let answered = firsts.iter().map(|call| (call.answer.position, call.id));
    for (place, (fed, call)) in asked.iter().zip(answered).enumerate() {
        if *fed != call {
            return Err(format!(
                "entry {place}: the feed has {fed:?}, the calls {call:?}"
            ));
        }
    }
    if asked.len() != firsts.len() {
        return Err(format!(
            "{} commands in the feed, {} calls",
            asked.len(),
            firsts.len()
        ));
    }
    Ok(())
}

/// What was answered before something else was sent stands before it.
fn real_time(firsts: &[&Call]) -> Result<(), String> {
    let mut answered = u64::MAX;
    for call in firsts.iter().rev() {
        if call.sent > answered {
            let at = call.answer.position;
            return Err(format!(
                "{} at {at:?} was sent after a later one's answer",
                call.key
            ));
        }
        answered = answered.min(call.answered);
    }
    Ok(())
}

fn replay(firsts: &[&Call], feed: &[Fed]) -> Result<(), String> {
    let at: HashMap<Position, i64> = feed.iter().map(|fed| (fed.position, fed.at)).collect();
    let mut model = Model::default();
    for call in firsts {
        let now = at[&call.answer.position];
        let expected = model.execute(now, &call.key, call.id, &call.script);
        if expected.replayed {
            return Err(format!("{} was answered twice", call.key));
        }
        if expected.verdict != call.answer.verdict {
            return Err(format!(
                "{} at {:?}: {:?}\n  answered: {:?}\n  model:    {:?}",
                call.key, call.answer.position, call.script, call.answer.verdict, expected.verdict
            ));
        }
    }
    Ok(())
}

/// Answers that made no change: repeated ones, and those about what is not there.
fn others(calls: &[Call], firsts: &[&Call]) -> Result<(), String> {
    let by_key: BTreeMap<&str, &Call> = firsts.iter().map(|c| (c.key.as_str(), *c)).collect();
    let creations = creations(firsts);
    for call in calls {
        let first = by_key.get(call.key.as_str());
        let wrong = |what: &str| Err(format!("{}: {what}: {call:?}", call.key));
        if call.answer.replayed {
            let Some(first) = first else {
                return wrong("repeats an answer that nobody got");
            };
            if first.script.canonical() != call.script.canonical() {
                return wrong("repeats the answer to another command");
            }
            if first.answer.verdict != call.answer.verdict
                || first.answer.position.sequence != call.answer.position.sequence
            {
                return wrong("does not repeat the first answer");
            }
            if first.sent > call.answered {
                return wrong("repeats an answer from the future");
            }
            continue;
        }
        match &call.answer.verdict {
            Err(Refusal::KeyReused) => {
                let other = first.is_some_and(|f| f.script.canonical() != call.script.canonical());
                if !other || first.is_some_and(|f| f.sent > call.answered) {
                    return wrong("no other command had this key");
                }
            }
            Err(Refusal::UnknownSku { sku }) => {
                let created = creations.get(&**sku);
                if created.is_some_and(|answered| *answered < call.sent) {
                    return wrong("the SKU was there");
                }
            }
            Err(Refusal::UnknownReservation) => {
                let made = by_key.get(call.script.target().unwrap_or_default());
                if made.is_some_and(|made| is_made(made) && made.answered < call.sent) {
                    return wrong("the reservation was there");
                }
            }
            Ok(_) | Err(_) => {}
        }
    }
    Ok(())
}

fn is_made(call: &Call) -> bool {
    matches!(call.script, Script::Reserve { .. }) && call.answer.verdict.is_ok()
}

/// When at the latest each SKU was there: the first answer that says so.
fn creations<'a>(firsts: &[&'a Call]) -> HashMap<&'a str, u64> {
    let mut creations: HashMap<&str, u64> = HashMap::new();
    for call in firsts {
        let mut skus: Vec<&str> = Vec::new();
        match (&call.answer.verdict, &call.script) {
            (Ok(Outcome::Stock(results)), _) => skus.extend(results.iter().map(|r| &*r.sku)),
            (Ok(Outcome::Settings { .. }), Script::Settings { sku, .. }) => skus.push(sku),
            (Ok(_) | Err(_), _) => {}
        }
        for sku in skus {
            let answered = creations.entry(sku).or_insert(call.answered);
            *answered = call.answered.min(*answered);
        }
    }
    creations
}
