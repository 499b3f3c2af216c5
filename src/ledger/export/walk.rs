//! Reading a ledger item by item, page by page.

use std::collections::HashSet;
use std::io;

use super::file::line;
use super::{Head, Item, Tally};
use crate::domain::ReservationId;
use crate::ledger::LedgerError;
use crate::ledger::port::Ledger;

/// Where a walk goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// Names of nodes and channels, and the policy.
    Names,
    /// SKUs of a partition, from here on: what the backend counts by.
    Skus(u16, u64),
    /// Reservations and answers of a partition, from here on.
    Records(u16, u64),
}

/// What was read, and where to go on; `None`: that was all.
pub type Page = (Vec<Item>, Option<Place>);

/// Why a ledger was not read to its end.
#[derive(Debug, thiserror::Error)]
pub enum WalkError {
    /// The ledger does not answer.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// A command over several partitions is half done.
    #[error("reservation {0} is on its way between partitions")]
    Underway(ReservationId),
    /// Some partitions are behind others for long.
    #[error("the clocks of the store's nodes differ too much")]
    Uneven,
    /// Something was decided meanwhile.
    #[error("the ledger moved on while it was read")]
    Moved,
    /// An item has no text.
    #[error(transparent)]
    Text(#[from] io::Error),
}

/// A walk over everything that an export holds. It is exact, or ends in an error: what is read page
/// by page belongs together only if nothing was decided meanwhile. Forgetting old records decides
/// nothing, so it may go on.
///
/// Keeps the id of every record, since a store may show one twice: some 40 bytes each.
pub struct Walk<'l> {
    ledger: &'l Ledger,
    head: Head,
    /// Numbers that change with everything that counts.
    stand: Vec<u64>,
    next: Option<Place>,
    records: HashSet<u128>,
    skus: HashSet<String>,
}

impl<'l> Walk<'l> {
    /// Begins at the beginning.
    pub async fn begin(ledger: &'l Ledger) -> Result<Self, WalkError> {
        ledger.even_out().await?;
        let stand = ledger.export_stand().await?;
        Ok(Self {
            ledger,
            head: ledger.export_head().await?,
            stand,
            next: Some(Place::Names),
            records: HashSet::new(),
            skus: HashSet::new(),
        })
    }

    /// Where the ledger stands.
    pub const fn head(&self) -> &Head {
        &self.head
    }

    /// The next items; `None`: that was all.
    pub async fn next(&mut self) -> Result<Option<Vec<Item>>, WalkError> {
        let Some(place) = self.next else {
            let stand = self.ledger.export_stand().await?;
            return if stand == self.stand {
                Ok(None)
            } else {
                Err(WalkError::Moved)
            };
        };
        let (mut items, next) = self.ledger.export_page(place).await?;
        self.next = next;
        items.retain(|item| self.is_new(item));
        Ok(Some(items))
    }

    fn is_new(&mut self, item: &Item) -> bool {
        match item {
            Item::Node(_) | Item::Channel(_) | Item::Policy(_) => true,
            Item::Sku(sku) => self.skus.insert(sku.sku.clone()),
            Item::Reservation(held) => self.records.insert(held.id.0),
            Item::Answer(answer) => self.records.insert(answer.id.0),
        }
    }

    /// Counts everything.
    pub async fn tally(mut self) -> Result<Tally, WalkError> {
        let mut tally = Tally::new(&self.head);
        while let Some(items) = self.next().await? {
            for item in &items {
                tally.add(item, &line(item)?);
            }
        }
        Ok(tally)
    }
}
