//! SKUs that are promised beyond what is there.

use std::collections::{BTreeMap, HashSet};

use super::wire::export::{self, Found};
use super::wire::{Malformed, record};
use super::{RemoteLedger, senseless};
use crate::domain::deficit::Promise;
use crate::domain::{Day, Sku, UnixMillis};
use crate::ledger::export::{Held, Item};
use crate::ledger::{Deficit, LedgerError, StockView};

impl RemoteLedger {
    /// Those after a name, in the order of their names, at most `limit`. Page after page is read
    /// while others go on, so promises and stock may be of different moments; the ledger decides
    /// again when something is done about it.
    pub async fn deficits(&self, after: &str, limit: usize) -> Result<Vec<Deficit>, LedgerError> {
        self.expire().await?;
        let today = Day::of(self.now());
        let mut first = BTreeMap::new();
        for partition in self.partitions.numbers() {
            let mut cursor = Some(0);
            while let Some(from) = cursor {
                let (next, stocks) = self.stocks_page(partition, from).await?;
                for (sku, bytes) in &stocks {
                    let sku = str::from_utf8(sku).or(Err(senseless(Malformed)))?;
                    let stock = record::stock(bytes).map_err(senseless)?;
                    let stock = StockView::of(&stock, today);
                    if sku > after && !stock.deficit.is_zero() {
                        first.insert(sku.into(), stock);
                    }
                    if first.len() > limit {
                        first.pop_last();
                    }
                }
                cursor = next;
            }
        }
        self.with_promises(first).await
    }

    /// That of one SKU; `None`: unknown, or nothing is missing.
    pub async fn deficit(&self, sku: Sku<'_>) -> Result<Option<Deficit>, LedgerError> {
        let stock = self.stock(sku).await?;
        let Some(stock) = stock.filter(|stock| !stock.deficit.is_zero()) else {
            return Ok(None);
        };
        let found = BTreeMap::from([(sku.as_str().into(), stock)]);
        Ok(self.with_promises(found).await?.pop())
    }

    /// Looks for the promises of all of them in one pass.
    async fn with_promises(
        &self,
        stocks: BTreeMap<Box<str>, StockView>,
    ) -> Result<Vec<Deficit>, LedgerError> {
        let deficit = |(sku, stock)| Deficit {
            sku,
            stock,
            promises: Vec::new(),
        };
        let mut found: Vec<Deficit> = stocks.into_iter().map(deficit).collect();
        if found.is_empty() {
            return Ok(found);
        }
        let mut seen: HashSet<u128> = HashSet::new();
        for partition in self.partitions.numbers() {
            let mut cursor = Some(0);
            while let Some(from) = cursor {
                let (next, fields) = self.records_page(partition, from).await?;
                for (id, bytes) in &fields {
                    // A store may show a record twice in one walk.
                    if let Found::Item(item) = export::record(id, bytes).map_err(senseless)?
                        && let Item::Reservation(held) = *item
                        && touches(&found, &held)
                        && seen.insert(held.id().0)
                    {
                        add_promises(&mut found, &held)?;
                    }
                }
                cursor = next;
            }
        }
        Ok(found)
    }
}

fn touches(found: &[Deficit], held: &Held) -> bool {
    let is_short = |sku: &str| found.binary_search_by(|of| (*of.sku).cmp(sku)).is_ok();
    held.lines.iter().any(|line| is_short(&line.sku))
}

fn add_promises(found: &mut [Deficit], held: &Held) -> Result<(), LedgerError> {
    for line in &held.lines {
        let at = found.binary_search_by(|of| (*of.sku).cmp(line.sku.as_str()));
        let Some(deficit) = at.ok().and_then(|at| found.get_mut(at)) else {
            continue;
        };
        let state = line.state().or(Err(senseless(Malformed)))?;
        let promise = Promise {
            reservation: held.id(),
            channel: held.channel(),
            charged_to: state.charged_to,
            made: UnixMillis(held.created_ms),
            pin: state.pin,
            day: state.day,
            held: state.held,
            committed: state.committed,
        };
        if !promise.open().is_zero() {
            deficit.promises.push(promise);
        }
    }
    Ok(())
}
