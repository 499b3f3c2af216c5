//! The partitions of a ledger: which decides what, and under which keys.
//!
//! A SKU belongs to one partition for ever: the hash of its name with the ledger's seed, modulo the
//! number of partitions, which is fixed when the ledger is made.
//!
//! An id names the partition that decided it by its label, the lowest bits. In a ledger that moved
//! here the label may name one of another ledger, or none. Such an id is at home in the partition of
//! its label where there is one, else in that of its stem, the other bits; so whoever holds the id
//! finds it. Whoever holds the key does not know the label: a signpost leads to the id, which stands
//! in the partition of the stem under a label that no partition has.

use super::script::Keys;
use super::wire::several::Share;
use crate::domain::command::{Command, LineRequest};
use crate::domain::hash::Hasher;
use crate::domain::ids::{LABEL_BITS, stem};
use crate::domain::{ReservationId, Sku};
use crate::ledger::LedgerError;
use crate::limits::PARTITIONS_MAX;

/// The bits of an id that name a partition; all of them name none.
const LABEL: u128 = (1 << LABEL_BITS) - 1;
const _: () = assert!(
    PARTITIONS_MAX == (1 << LABEL_BITS) - 1,
    "the bits hold any number"
);

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
            _ => (id & !LABEL) | u128::from(partition),
        }
    }

    /// The partition where an id is at home.
    pub(super) fn of_id(&self, id: ReservationId) -> u16 {
        let count = u128::from(self.count().max(1));
        let label = id.0 & LABEL;
        let home = if label < count {
            label
        } else {
            stem(id.0) % count
        };
        u16::try_from(home).unwrap_or(0)
    }

    /// Where the signpost of a moved key stands, and its id there.
    pub(super) fn signpost(&self, id: u128) -> (u16, u128) {
        let id = id | LABEL;
        (self.of_id(ReservationId(id)), id)
    }

    /// The partitions of a command in ascending order; the first is its home.
    pub(super) fn of_command(&self, command: &Command<'_>) -> Vec<u16> {
        let of = |sku: &Sku<'_>| self.of_sku(*sku);
        let mut all: Vec<u16> = match command {
            Command::Reserve(reserve) => {
                let lines = reserve.lines.as_slice();
                lines.iter().map(|line| of(&line.sku)).collect()
            }
            Command::Act(act) => vec![self.of_id(act.id)],
            Command::PutSettings(put) => vec![of(&put.sku)],
            Command::Stock(_) | Command::MoveShares(_) | Command::Inbound(_) => {
                command.changed_skus().iter().map(of).collect()
            }
        };
        all.sort_unstable();
        all.dedup();
        all
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
