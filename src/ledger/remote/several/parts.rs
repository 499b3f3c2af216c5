//! Whether the parts of reservations over several partitions are what their homes say.

use std::collections::{BTreeSet, HashMap};

use super::super::partitions::Partitions;
use super::super::wire::record::{Booking, Phase};
use crate::domain::{Line, ReservationId, Sku};

/// Lines, with their SKUs.
type Lines = Vec<(String, Line)>;

/// What was found of such reservations in the partitions counted so far.
#[derive(Debug, Default)]
pub(in crate::ledger::remote) struct Parts {
    /// All lines, as home has them.
    homes: HashMap<u128, Lines>,
    /// Lines elsewhere; of parts that wait for their home, nothing is known.
    parts: HashMap<u128, Vec<Option<Lines>>>,
}

impl Parts {
    /// Takes note of a record.
    pub(in crate::ledger::remote) fn add(&mut self, id: u128, booking: &Booking<'_>) {
        let Some(ties) = &booking.ties else { return };
        let lines = booking.lines.iter();
        let lines: Lines = lines
            .map(|(sku, _, line)| ((*sku).to_owned(), *line))
            .collect();
        if !ties.is_home {
            let waits = ties.phase == Phase::Bound;
            let parts = self.parts.entry(id).or_default();
            parts.push((!waits).then_some(lines));
        } else if booking.is_whole() {
            self.homes.insert(id, lines);
        }
    }

    /// Adds what was found in another partition.
    pub(in crate::ledger::remote) fn join(&mut self, other: Self) {
        self.homes.extend(other.homes);
        for (id, parts) in other.parts {
            self.parts.entry(id).or_default().extend(parts);
        }
    }

    /// Reservations whose parts are not what their homes say, as far as each was read.
    pub(in crate::ledger::remote) fn suspects(
        &self,
        partitions: &Partitions,
    ) -> Vec<ReservationId> {
        let ids: BTreeSet<u128> = self
            .homes
            .keys()
            .chain(self.parts.keys())
            .copied()
            .collect();
        ids.into_iter()
            .map(ReservationId)
            .filter(|id| self.wrong(*id, partitions).is_some())
            .collect()
    }

    /// The partitions besides home in which it is known to have lines.
    pub(in crate::ledger::remote) fn places(
        &self,
        id: ReservationId,
        partitions: &Partitions,
    ) -> Vec<u16> {
        let lines = self.parts_of(id).iter().flatten();
        others(partitions, id, lines.chain(self.homes.get(&id.0)).flatten())
    }

    fn parts_of(&self, id: ReservationId) -> &[Option<Lines>] {
        self.parts.get(&id.0).map_or(&[], Vec::as_slice)
    }

    /// What is wrong with the parts of a reservation.
    pub(in crate::ledger::remote) fn wrong(
        &self,
        id: ReservationId,
        partitions: &Partitions,
    ) -> Option<String> {
        let (home, parts) = (self.homes.get(&id.0), self.parts_of(id));
        if let Some(part) = parts.iter().flatten().find(|part| !is_of(home, part)) {
            let says = home.map(|all| of_part(all, part));
            return Some(format!(
                "a part is not what home says: it is {part:?}, and home says {says:?}"
            ));
        }
        let open = home.into_iter().flatten();
        let open = open.filter(|(_, line)| !line.open().is_zero());
        let (open, there) = (others(partitions, id, open).len(), parts.len());
        (there < open).then(|| format!("{open} parts are open, {there} are there"))
    }
}

/// Whether a part is as home has it.
fn is_of(home: Option<&Lines>, part: &Lines) -> bool {
    match home.map(|all| of_part(all, part)) {
        Some(at_home) => at_home.len() == part.len() && agree(&at_home, part),
        // It was refused, or is being placed: then nothing of it is firm.
        None => part.iter().all(|(_, line)| line.committed.is_zero()),
    }
}

/// The lines at home that this part has.
fn of_part(all: &Lines, part: &Lines) -> Lines {
    let has = |sku: &String| part.iter().any(|(own, _)| own == sku);
    all.iter().filter(|(sku, _)| has(sku)).cloned().collect()
}

/// Whether both are in the same states. Each gives back what is past its deadline by itself.
fn agree(home: &Lines, part: &Lines) -> bool {
    home.iter().zip(part).all(|((_, home), (_, part))| {
        let mut same = *part;
        (same.held, same.expired) = (home.held, home.expired);
        same == *home && home.quantity() == part.quantity()
    })
}

/// Partitions of lines, besides home.
fn others<'a>(
    partitions: &Partitions,
    id: ReservationId,
    lines: impl Iterator<Item = &'a (String, Line)>,
) -> Vec<u16> {
    let home = partitions.of_id(id);
    let mut others: Vec<u16> = lines
        .filter_map(|(sku, _)| Some(partitions.of_sku(Sku::new(sku).ok()?)))
        .filter(|partition| *partition != home)
        .collect();
    others.sort_unstable();
    others.dedup();
    others
}
