//! The ledger as items of an export.

use bytes::Bytes;

use super::feed::read_meta;
use super::script::Keys;
use super::wire::Malformed;
use super::wire::export;
use super::{RemoteLedger, senseless};
use crate::ledger::LedgerError;
use crate::ledger::export::{Head, Item, Page, Place, Print};

/// Fields asked for at once.
const PAGE: usize = 512;

impl RemoteLedger {
    /// Whether an export can hold it: one partition only.
    pub fn is_exportable(&self) -> bool {
        self.partitions.count() == 1
    }

    fn exported(&self) -> Result<&Keys, LedgerError> {
        self.partitions.keys(0)
    }

    /// What an export is of.
    pub async fn export_head(&self) -> Result<Head, LedgerError> {
        let (caller, meta) = (self.rare.caller(0), self.exported()?.meta().to_owned());
        let read = self
            .rare
            .run(async move { read_meta(&caller, &meta).await });
        let meta = read.await?.map_err(|error| unreadable(&error))?;
        Ok(Head {
            seed: Print(meta.identity.seed),
            epoch: meta.epoch,
            sequence: meta.sequence,
            now_ms: meta.now,
        })
    }

    /// Part of what an export holds.
    pub async fn export_page(&self, place: Place) -> Result<Page, LedgerError> {
        match place {
            Place::Names => Ok((self.names_of_export().await?, Some(Place::Skus(0)))),
            Place::Skus(cursor) => {
                let (next, fields) = self.scan(self.exported()?.stock(), cursor).await?;
                let next = next.map_or(Place::Records(0), Place::Skus);
                Ok((items(&fields, export::sku)?, Some(next)))
            }
            Place::Records(cursor) => {
                let (next, fields) = self.scan(self.exported()?.records(), cursor).await?;
                Ok((items(&fields, export::record)?, next.map(Place::Records)))
            }
        }
    }

    async fn scan(
        &self,
        key: &str,
        cursor: u64,
    ) -> Result<(Option<u64>, Vec<(Bytes, Bytes)>), LedgerError> {
        let mut ask = redis::cmd("HSCAN");
        ask.arg(key).arg(cursor).arg("COUNT").arg(PAGE);
        let caller = self.rare.caller(0);
        let page = self.rare.run(async move { caller.ask(&ask).await }).await?;
        let (next, fields): (u64, _) = page.map_err(|error| unreadable(&error))?;
        Ok((Some(next).filter(|next| *next > 0), fields))
    }

    async fn names_of_export(&self) -> Result<Vec<Item>, LedgerError> {
        let mut ask = redis::cmd("HGETALL");
        ask.arg(self.exported()?.names());
        let caller = self.rare.caller(0);
        let read = self.rare.run(async move { caller.ask(&ask).await }).await?;
        let fields: Vec<(String, u16)> = read.map_err(|error| unreadable(&error))?;
        let names = fields
            .iter()
            .map(|(field, index)| export::name(field, *index));
        let mut names: Vec<Item> = names
            .filter_map(Result::transpose)
            .collect::<Result<_, _>>()
            .map_err(senseless)?;
        names.sort_by_key(|item| match item {
            Item::Node(name) => (0, name.index),
            Item::Channel(name) => (1, name.index),
            Item::Sku(_) | Item::Reservation(_) | Item::Answer(_) => (2, 0),
        });
        Ok(names)
    }
}

fn items(
    fields: &[(Bytes, Bytes)],
    read: impl Fn(&[u8], &[u8]) -> Result<Item, Malformed>,
) -> Result<Vec<Item>, LedgerError> {
    let items = fields.iter().map(|(field, value)| read(field, value));
    items.collect::<Result<_, _>>().map_err(senseless)
}

fn unreadable(error: &dyn std::fmt::Display) -> LedgerError {
    tracing::error!(%error, "the ledger cannot be read");
    LedgerError::Unavailable
}
