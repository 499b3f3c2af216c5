//! An order that the search has found, held against the independent model that all other tests use.

use crate::linear::names::Names;
use crate::linear::said::seen;
use crate::linear::words::{Call, Heard, History, Said, Step};
use crate::support::model::Model;

/// Whether an order is one: every answered call is in it, and none stands before one that was over when
/// it began.
fn is_order(part: &History, order: &[usize]) -> Result<(), String> {
    let mut is_done = vec![false; part.calls.len()];
    let mut latest = 0;
    for at in order {
        let call = &part.calls[*at];
        if std::mem::replace(&mut is_done[*at], true) {
            return Err(format!("twice: {call:?}"));
        }
        latest = latest.max(call.sent);
        if call.answered() < latest {
            return Err(format!("behind one that began later: {call:?}"));
        }
    }
    let mut left = part.calls.iter().zip(is_done);
    match left.find(|(call, is_done)| !is_done && call.end.is_some()) {
        Some((call, _)) => Err(format!("missing: {call:?}")),
        None => Ok(()),
    }
}

struct Replay {
    names: Names,
    model: Model,
    now: i64,
}

impl Replay {
    fn answer(&mut self, step: Step) -> Heard {
        match step {
            Step::Clock { by } => {
                self.now += by;
                Heard::first(Said::Moved)
            }
            Step::Look { sku } => {
                self.model.expire_all(self.now);
                let view = self.model.stock(&self.names.sku(sku));
                Heard::first(seen(view.as_ref()))
            }
            Step::Ask { key, wish } => {
                let script = self.names.script(wish);
                let name = self.names.key(key);
                let reply = self.model.execute(self.now, &name, key.into(), &script);
                Heard {
                    said: self.names.said(&reply.verdict),
                    replayed: reply.replayed,
                }
            }
        }
    }
}

/// Checks an order, and that the model gives every answer in it.
pub(crate) fn replay(part: &History, order: &[usize]) -> Result<(), String> {
    is_order(part, order)?;
    let mut names = Names::new("h".to_owned(), part.began.is_some());
    for call in &part.calls {
        if let Step::Ask { key, .. } = call.step {
            names.learn(key, key.into());
        }
    }
    let mut replay = Replay {
        names,
        model: Model::default(),
        now: part.began.unwrap_or(0),
    };
    for at in order {
        let call: &Call = &part.calls[*at];
        let answer = replay.answer(call.step);
        if call.end.is_some_and(|(_, heard)| heard != answer) {
            return Err(format!("{call:?}\n  the model says {answer:?}"));
        }
    }
    Ok(())
}
