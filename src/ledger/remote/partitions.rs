//! The partitions of a ledger: which decides what, and under which keys.
//!
//! A SKU belongs to one partition for ever: the hash of its name with the ledger's seed, modulo the
//! number of partitions, which is fixed when the ledger is made.

use super::script::Keys;
use super::wire::several::Share;
use crate::domain::command::{Command, LineRequest, StockChange};
use crate::domain::hash::Hasher;
use crate::domain::{ReservationId, Sku};
use crate::ledger::LedgerError;
use crate::limits::PARTITIONS_MAX;

/// The bits of an id that name a partition.
const NUMBER: u128 = 1_023;
const _: () = assert!(PARTITIONS_MAX == 1_024, "the bits hold any number");

/// See the module's documentation.
#[derive(Debug)]
pub(super) struct Partitions {
    keys: Vec<Keys>,
    hasher: Hasher,
}

impl Partitions {
    pub(super) fn new(keys: Vec<Keys>, hasher: Hasher) -> Self {
        Self { keys, hasher }
    }

    /// How many there are.
    pub(super) fn count(&self) -> u16 {
        u16::try_from(self.keys.len()).unwrap_or(u16::MAX)
    }

    /// All, with their numbers.
    pub(super) fn numbered(&self) -> impl Iterator<Item = (u16, &Keys)> {
        (0..).zip(&self.keys)
    }

    /// The numbers of all.
    pub(super) fn numbers(&self) -> impl Iterator<Item = u16> + use<> {
        0..self.count()
    }

    /// The keys of one.
    pub(super) fn keys(&self, partition: u16) -> Result<&Keys, LedgerError> {
        let keys = self.keys.get(usize::from(partition));
        keys.ok_or(LedgerError::Unavailable)
    }

    /// The number of the one that a SKU belongs to.
    pub(super) fn of_sku(&self, sku: Sku<'_>) -> u16 {
        match self.count() {
            0 | 1 => 0,
            n => u16::try_from(self.hasher.sku(sku.as_str()) % u64::from(n)).unwrap_or(0),
        }
    }

    /// An id that is decided in a partition, which it names: where there are several, its lowest
    /// bits are the partition's number.
    pub(super) fn id_at(&self, id: u128, partition: u16) -> u128 {
        match self.count() {
            0 | 1 => id,
            _ => (id & !NUMBER) | u128::from(partition),
        }
    }

    /// The partition that an id names; `None`: none of this ledger.
    pub(super) fn of_id(&self, id: ReservationId) -> Option<u16> {
        match self.count() {
            0 | 1 => Some(0),
            count => u16::try_from(id.0 & NUMBER).ok().filter(|at| *at < count),
        }
    }

    /// The partitions of a command in ascending order; the first is its home. `None`: it is about
    /// a reservation of another ledger.
    pub(super) fn of_command(&self, command: &Command<'_>) -> Option<Vec<u16>> {
        let of = |sku: &Sku<'_>| self.of_sku(*sku);
        let mut all: Vec<u16> = match command {
            Command::Reserve(reserve) => {
                let lines = reserve.lines.as_slice();
                lines.iter().map(|line| of(&line.sku)).collect()
            }
            Command::Act(act) => vec![self.of_id(act.id)?],
            Command::Stock(stock) => match &stock.change {
                StockChange::Set(items) => items.iter().map(|item| of(&item.sku)).collect(),
                StockChange::Adjust(items) => items.iter().map(|item| of(&item.sku)).collect(),
                StockChange::Transfer(items) => items.iter().map(|item| of(&item.sku)).collect(),
            },
            Command::PutSettings(put) => vec![of(&put.sku)],
        };
        all.sort_unstable();
        all.dedup();
        Some(all)
    }

    /// Lines by partition, in ascending order.
    pub(super) fn shares<'a>(&self, lines: &[LineRequest<'a>]) -> Vec<Share<'a>> {
        let mut shares: Vec<Share<'a>> = Vec::new();
        for (number, line) in lines.iter().enumerate() {
            let partition = self.of_sku(line.sku);
            let known = shares.iter_mut().find(|share| share.partition == partition);
            match known {
                Some(share) => share.lines.push((number, *line)),
                None => shares.push(Share {
                    partition,
                    lines: vec![(number, *line)],
                }),
            }
        }
        shares.sort_unstable_by_key(|share| share.partition);
        shares
    }

    pub(super) const fn hasher(&self) -> Hasher {
        self.hasher
    }
}
