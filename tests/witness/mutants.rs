//! Faults put into a recorded history, one at a time: the witness check must see every one.

use holdfast::domain::Units;
use holdfast::domain::verdict::{Outcome, Refusal, Verdict};

use crate::support::model::is_recorded;
use crate::support::rng::Rng;
use crate::witness::Call;

/// The kinds of faults.
const KINDS: u64 = 9;

/// Puts one fault in; `None` when the call drawn does not lend itself to the fault drawn.
pub(crate) fn mutate(calls: &[Call], rng: &mut Rng) -> Option<(String, Vec<Call>)> {
    let at = rng.index(calls.len());
    let call = &calls[at];
    let mut mutant = calls.to_vec();
    let first = !call.answer.replayed && is_recorded(&call.answer.verdict);
    let kind = rng.below(KINDS);
    match kind {
        0 => mutant[at].answer.verdict = success_of_refusal(calls, call)?,
        1 => mutant[at].answer.verdict = refusal_of_success(call)?,
        2 => {
            let other = rng.index(calls.len());
            let apart = calls[other].answer.position != call.answer.position;
            let both = first && !calls[other].answer.replayed;
            if !(apart && both && is_recorded(&calls[other].answer.verdict)) {
                return None;
            }
            mutant[at].answer.position = calls[other].answer.position;
            mutant[other].answer.position = call.answer.position;
        }
        3 => mutant[at].answer.verdict = one_unit_off(&call.answer.verdict)?,
        4 if first => mutant[at].answer.position.sequence += 1,
        5 if first => {
            mutant.remove(at);
        }
        6 if first => mutant.push(call.clone()),
        7 if is_recorded(&call.answer.verdict) => {
            mutant[at].answer.replayed = !call.answer.replayed;
        }
        8 if first => mutant[at].answer.position.epoch += 1,
        _ => return None,
    }
    Some((format!("fault {kind} in {call:?}"), mutant))
}

/// An oversell: a refused command is told it succeeded, with an answer that another one got.
fn success_of_refusal(calls: &[Call], call: &Call) -> Option<Verdict> {
    call.answer.verdict.as_ref().err()?;
    let kind = std::mem::discriminant(&call.script);
    let like = calls.iter().find(|c| {
        std::mem::discriminant(&c.script) == kind && c.answer.verdict.is_ok() && c.key != call.key
    })?;
    Some(like.answer.verdict.clone())
}

fn refusal_of_success(call: &Call) -> Option<Verdict> {
    call.answer.verdict.as_ref().ok()?;
    Some(Err(Refusal::Expired))
}

fn more(units: Units) -> Units {
    let one = Units::new(1).unwrap();
    units.checked_add(one).unwrap_or(Units::ZERO)
}

fn one_unit_off(verdict: &Verdict) -> Option<Verdict> {
    let mut wrong = verdict.clone();
    match &mut wrong {
        Ok(Outcome::Reservation(reservation)) => {
            let line = &mut reservation.lines[0].line;
            line.held = more(line.held);
        }
        Ok(Outcome::Stock(results)) => results[0].available = more(results[0].available),
        Err(Refusal::InsufficientStock { shortages }) => {
            shortages[0].available = more(shortages[0].available);
        }
        Ok(Outcome::Inbound(results)) => results[0].on_hand = more(results[0].on_hand),
        Ok(Outcome::Settings { settings, .. }) => settings.version += 1,
        Ok(Outcome::Shares(_)) | Err(_) => return None,
    }
    Some(wrong)
}
