//! Promises beyond what is there: who is touched, and taking units back on command.

use crate::domain::command::{Act, Command, Keyed, LineRequest, Lines, Verb};
use crate::domain::deficit::{AtRisk, Means, Order, at_risk};
use crate::domain::{Day, Outcome, Refusal, Sku, Units};
use crate::ledger::{Deficit, LedgerError, StockView};

use super::Engine;

/// A SKU that is promised beyond what is there, and whom that touches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Touched {
    /// What.
    pub sku: Box<str>,
    /// Its stock.
    pub stock: StockView,
    /// Lines that would be left without units, first those to go.
    pub at_risk: Vec<AtRisk>,
}

/// What became of one promise that was to be taken back.
#[derive(Debug)]
pub struct TakenBack {
    /// The promise, and how many of its units.
    pub of: AtRisk,
    /// Why not, where it was not.
    pub failure: Option<Failure>,
}

/// Why a promise was not taken back.
#[derive(Debug)]
pub enum Failure {
    /// It has changed meanwhile.
    Refused(Refusal),
    /// The ledger did not answer.
    Ledger(LedgerError),
}

impl Touched {
    fn new(deficit: Deficit, order: Order, today: Day) -> Result<Self, LedgerError> {
        let Deficit {
            sku,
            stock,
            promises,
        } = deficit;
        let means = Means {
            nodes: &stock.nodes,
            inbound: &stock.inbound,
            today,
        };
        // Promises and stock may be of different moments, but sums are sums.
        let at_risk = at_risk(means, promises, order).or(Err(LedgerError::Unavailable))?;
        Ok(Self {
            sku,
            stock,
            at_risk,
        })
    }
}

impl Engine {
    /// SKUs that are promised beyond what is there, in the order of their names, those after a name,
    /// at most `limit`. Goes through the whole ledger.
    pub async fn deficits(
        &self,
        after: &str,
        limit: usize,
        order: Order,
    ) -> Result<Vec<Touched>, LedgerError> {
        let found = self.parts.ledger.deficits(after, limit).await?;
        let today = Day::of(self.now());
        let touched = found.into_iter();
        touched.map(|of| Touched::new(of, order, today)).collect()
    }

    /// The same of one SKU; `None`: unknown, or nothing is missing.
    pub async fn deficit(
        &self,
        sku: Sku<'_>,
        order: Order,
    ) -> Result<Option<Touched>, LedgerError> {
        let found = self.parts.ledger.deficit(sku).await?;
        let today = Day::of(self.now());
        found.map(|of| Touched::new(of, order, today)).transpose()
    }

    /// Releases units of a SKU that is promised beyond what is there, in order, until nothing is
    /// missing or `most` units went back. `None`: nothing was missing.
    ///
    /// Each release is a command of its own, under a key that is made of `key` and its number. A key
    /// that has released anything releases nothing more: whom else a deficit touches by then, the
    /// caller has not seen.
    pub async fn take_back(
        &self,
        key: &str,
        sku: Sku<'_>,
        most: Units,
        order: Order,
    ) -> Result<Option<Vec<TakenBack>>, LedgerError> {
        if self.settle(&part_of(key, 0)).await?.is_some() {
            return Ok(Some(Vec::new()));
        }
        let Some(touched) = self.deficit(sku, order).await? else {
            return Ok(None);
        };
        let mut left = most;
        let mut done = Vec::new();
        for (number, mut of) in touched.at_risk.into_iter().enumerate() {
            of.units = of.units.min(left);
            if of.units.is_zero() {
                break;
            }
            let failure = self.release(&part_of(key, number), sku, &of).await.err();
            if failure.is_none() {
                left = left.left_after(of.units);
            }
            done.push(TakenBack { of, failure });
        }
        Ok(Some(done))
    }

    async fn release(&self, key: &str, sku: Sku<'_>, of: &AtRisk) -> Result<Outcome, Failure> {
        let AtRisk { promise, units } = of;
        let line = LineRequest {
            sku,
            node: promise.pin,
            quantity: *units,
            by: None,
        };
        // One line of at least one unit is always a list of lines.
        let lines = Lines::try_new([line]).or(Err(Failure::Ledger(LedgerError::Unavailable)))?;
        let command = Command::Act(Act {
            id: promise.reservation,
            verb: Verb::Release,
            lines: Some(lines),
        });
        let command = Keyed {
            key: self.key(key, &command),
            command,
        };
        let answer = self.execute(&command).await.map_err(Failure::Ledger)?;
        answer.verdict.map_err(Failure::Refused)
    }
}

/// The key of one of several commands that a call stands for. No caller's key has a space.
fn part_of(key: &str, number: usize) -> String {
    format!("{key} {number}")
}
