//! The judge looks at a ledger that nobody else uses: it must be what its events say.

use holdfast::domain::stock::NodeStock;
use holdfast::domain::{Line, ReservationId, Sku, Units, UnixMillis};
use holdfast::engine::Engine;
use holdfast::ledger::StockView;

use super::Judge;
use crate::crowd::at_once;
use crate::dated;
use crate::support::history::SKUS;
use crate::support::model::Model;

/// Reservations that are compared, the latest ones.
const RECENT: usize = 60;

fn ready<T, E: std::fmt::Display>(
    what: &str,
    read: impl Future<Output = Result<T, E>>,
) -> Result<T, String> {
    match at_once(read) {
        Some(Ok(read)) => Ok(read),
        Some(Err(error)) => Err(format!("{what}: {error}")),
        None => Err(format!("{what}: waits though everything is durable")),
    }
}

/// A stock without what decides nothing, and what the model does not know.
fn comparable(mut view: StockView) -> StockView {
    view.nodes.iter_mut().for_each(|node| node.counted = 0);
    view.nodes
        .retain(|node| *node != NodeStock::empty(node.node));
    view
}

impl Judge {
    /// A ledger was opened, and everything in it is durable: reads its events to the end and compares
    /// all that it knows with them. `write` has the journal written; false when that fails.
    pub(crate) fn opened_anew(
        &mut self,
        engine: &Engine,
        write: impl FnMut() -> bool,
    ) -> Result<(), String> {
        self.is_recovering = true;
        let read = self.read(engine);
        self.is_recovering = false;
        read?;
        let now = engine.now();
        let mut model = self.model.clone();
        model.expire_all(now.0);
        self.views(&model, now)?;
        self.reservations(engine, &model, now)?;
        if !self.stocks(engine, &model, write)? {
            return Ok(());
        }
        let counted = ready("the recount", engine.recount())?;
        match counted.violations.first() {
            Some(violation) => Err(violation.clone()),
            None => Ok(()),
        }
    }

    /// Everything that anybody was told has been found.
    pub(crate) fn end(&self) -> Result<(), String> {
        match self.claims.values().flatten().next() {
            Some(claim) => Err(format!("told and never read: {claim:?}")),
            None => Ok(()),
        }
    }

    /// What anybody was shown has happened. That a hold was past its deadline may be forgotten: until
    /// somebody acts on it, that is a matter of time only.
    fn views(&mut self, model: &Model, now: UnixMillis) -> Result<(), String> {
        let done = |line: &Line| (line.shipped, line.released, line.returned);
        for (key, view) in std::mem::take(&mut self.views) {
            let before = view.lines.iter().map(|line| done(&line.line));
            let after: Vec<_> = match (self.books.line(view.id.0, now), model.reservation(&key)) {
                (Some(line), _) => vec![done(&line)],
                // The key was forgotten since, and is another reservation's now.
                (None, Some(made)) if made.created_at != view.created_at => continue,
                (None, Some(made)) => made.lines.iter().map(|line| done(&line.line)).collect(),
                // Forgotten, and perhaps refused since.
                (None, None) if now.0 - view.created_at.0 > self.keeping.answers => continue,
                (None, None) => return Err(format!("{view:?} was shown and is lost")),
            };
            let is_there = |(before, after): (_, &(Units, Units, Units))| {
                let (shipped, released, returned): (Units, Units, Units) = before;
                shipped <= after.0 && released <= after.1 && returned <= after.2
            };
            if !before.zip(&after).all(is_there) {
                return Err(format!("{view:?} was shown, of which is left: {after:?}"));
            }
        }
        Ok(())
    }

    fn reservations(&self, engine: &Engine, model: &Model, now: UnixMillis) -> Result<(), String> {
        let recent = self.reserved.len().saturating_sub(RECENT);
        for key in &self.reserved[recent..] {
            let id = self.hasher.key(key);
            let found = ready(key, engine.reservation(ReservationId(id)))?;
            let is_same = match (self.books.line(id, now), &found) {
                (Some(line), Some(found)) => found.lines[0].line == line,
                (Some(line), None) => line.open().is_zero(),
                (None, found) => {
                    let may_forget = found.is_none() && model.may_forget(key, now.0, self.keeping);
                    may_forget || *found == model.reservation(key)
                }
            };
            if !is_same {
                let expected = model.reservation(key);
                return Err(format!("{key}: {found:?}, should be {expected:?}"));
            }
        }
        Ok(())
    }

    /// Reading stock writes down what has expired, so it comes after what must see that unwritten.
    /// False when that can no longer be done.
    fn stocks(
        &self,
        engine: &Engine,
        model: &Model,
        mut write: impl FnMut() -> bool,
    ) -> Result<bool, String> {
        for sku in SKUS {
            let found = ready(sku, engine.stock(Sku::new(sku).unwrap()))?.map(comparable);
            let expected = model.stock(sku);
            if found != expected {
                return Err(format!("{sku}: {found:?}\n  should be {expected:?}"));
            }
            // While the queue is full nothing expires.
            if !write() {
                return Ok(false);
            }
        }
        let mut books = self.books.clone();
        for sku in dated::SKUS {
            let found = ready(sku, engine.stock(Sku::new(sku).unwrap()))?;
            books.compare(sku, found.as_ref(), engine.now())?;
            if !write() {
                return Ok(false);
            }
        }
        Ok(true)
    }
}
