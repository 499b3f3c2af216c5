//! Promises beyond what is there: who is touched, and taking units back on command.

use std::sync::Arc;

use crate::domain::command::{Act, Command, Keyed, LineRequest, Lines, Verb};
use crate::domain::deficit::{AtRisk, Means, Order, at_risk};
use crate::domain::{ChannelIx, Day, Outcome, Refusal, Sku, Units};
use crate::ledger::policy::PolicyInForce;
use crate::ledger::{Deficit, LedgerError, StockView};
use crate::limits::DEFICIT_LINES_MAX;

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

/// A page of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TouchedPage {
    /// In the order of their names.
    pub touched: Vec<Touched>,
    /// The SKU after which the next page begins; `None`: this is the last.
    pub next: Option<Box<str>>,
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

/// Who is the first to go without.
struct Priority {
    order: Order,
    policy: Option<Arc<PolicyInForce>>,
    /// From when on announced supply counts.
    today: Day,
}

impl Priority {
    fn rank(&self, channel: ChannelIx) -> u16 {
        let policy = self.policy.as_deref();
        policy.map_or(u16::MAX, |of| of.policy.rank(channel))
    }
}

impl Touched {
    fn new(deficit: Deficit, who: &Priority) -> Result<Self, LedgerError> {
        let Deficit {
            sku,
            stock,
            promises,
        } = deficit;
        let means = Means {
            nodes: &stock.nodes,
            inbound: &stock.inbound,
            today: who.today,
        };
        // Promises and stock may be of different moments, but sums are sums.
        let at_risk = at_risk(means, promises, who.order, |channel| who.rank(channel));
        let at_risk = at_risk.or(Err(LedgerError::Unavailable))?;
        Ok(Self {
            sku,
            stock,
            at_risk,
        })
    }
}

impl Engine {
    /// The order that was asked for, or that of the policy.
    async fn priority(&self, order: Option<Order>) -> Result<Priority, LedgerError> {
        let policy = self.policy().await?;
        let usual = policy.as_ref().map(|of| of.document.deficit_order);
        Ok(Priority {
            order: order.or(usual).unwrap_or_default(),
            policy,
            today: Day::of(self.now()),
        })
    }

    /// SKUs that are promised beyond what is there, in the order of their names, those after a name,
    /// at most `limit`. Goes through the whole ledger. Without an order the policy names it. A page
    /// may have fewer than `limit`, or none, and not be the last.
    pub async fn deficits(
        &self,
        after: &str,
        limit: usize,
        order: Option<Order>,
    ) -> Result<TouchedPage, LedgerError> {
        // One more than asked for tells whether there is a next page.
        let one_more = limit.saturating_add(1);
        let found = self.parts.ledger.deficits(after, one_more).await?;
        let who = self.priority(order).await?;
        let (found, next) = page(found, limit);
        let touched = found.into_iter().map(|of| Touched::new(of, &who));
        Ok(TouchedPage {
            touched: touched.collect::<Result<_, _>>()?,
            next,
        })
    }

    /// The same of one SKU; `None`: unknown, or nothing is missing.
    pub async fn deficit(
        &self,
        sku: Sku<'_>,
        order: Option<Order>,
    ) -> Result<Option<Touched>, LedgerError> {
        let found = self.parts.ledger.deficit(sku).await?;
        let who = self.priority(order).await?;
        found.map(|of| Touched::new(of, &who)).transpose()
    }

    /// Releases units of a SKU that is promised beyond what is there, in order, until nothing is
    /// missing or `most` units went back, at most from [`DEFICIT_LINES_MAX`] promises: those that
    /// [`deficit`](Self::deficit) shows. `None`: nothing was missing.
    ///
    /// Each release is a command of its own, under a key that is made of `key` and its number. A key
    /// that has released anything releases nothing more: whom else a deficit touches by then, the
    /// caller has not seen.
    pub async fn take_back(
        &self,
        key: &str,
        sku: Sku<'_>,
        most: Units,
        order: Option<Order>,
    ) -> Result<Option<Vec<TakenBack>>, LedgerError> {
        if self.settle(&part_of(key, 0)).await?.is_some() {
            return Ok(Some(Vec::new()));
        }
        let Some(touched) = self.deficit(sku, order).await? else {
            return Ok(None);
        };
        let mut left = most;
        let mut done = Vec::new();
        let first = touched.at_risk.into_iter().take(DEFICIT_LINES_MAX);
        for (number, mut of) in first.enumerate() {
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

/// The first of these that still miss something, and where to go on. One that was mended while its
/// promises were looked for is none any more, but the page goes as far as it was found to go.
fn page(mut found: Vec<Deficit>, limit: usize) -> (Vec<Deficit>, Option<Box<str>>) {
    let more = found.len() > limit;
    found.truncate(limit);
    let next = found.last().filter(|_| more).map(|last| last.sku.clone());
    found.retain(|of| !of.stock.deficit.is_zero());
    (found, next)
}

/// The key of one of several commands that a call stands for. No caller's key has a space.
fn part_of(key: &str, number: usize) -> String {
    format!("{key} {number}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Stock, UnixMillis};

    fn found(sku: &str, deficit: u64) -> Deficit {
        let stock = StockView::of(&Stock::default(), Day::of(UnixMillis(0)));
        Deficit {
            sku: sku.into(),
            stock: StockView {
                deficit: Units::new(deficit).unwrap(),
                ..stock
            },
            promises: Vec::new(),
        }
    }

    #[test]
    fn what_was_mended_meanwhile_is_left_out_and_the_page_goes_as_far() {
        let names = |found: &[(&str, u64)], limit| {
            let found = found
                .iter()
                .map(|(sku, deficit)| self::found(sku, *deficit));
            let (kept, next) = page(found.collect(), limit);
            let kept: Vec<_> = kept.into_iter().map(|of| of.sku.into_string()).collect();
            (kept.join(" "), next.map(String::from))
        };
        let all = [("a", 1), ("b", 0), ("c", 2)];
        assert_eq!(names(&all, 3), ("a c".into(), None));
        assert_eq!(names(&all, 2), ("a".into(), Some("b".into())));
        assert_eq!(names(&all[1..], 1), (String::new(), Some("b".into())));
    }
}
