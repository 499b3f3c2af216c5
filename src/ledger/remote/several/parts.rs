//! Whether the parts of reservations over several partitions are what their homes say.

use std::collections::HashMap;

use bytes::Bytes;

use super::super::partitions::Partitions;
use super::super::wire::record::{Booking, Phase};
use crate::domain::{Line, ReservationId, Sku};
use crate::ledger::Recount;

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
    pub(in crate::ledger::remote) fn add(&mut self, id: &Bytes, booking: &Booking<'_>) {
        let Some(ties) = &booking.ties else { return };
        let id = id.as_ref().try_into().map_or(0, u128::from_be_bytes);
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

    /// Compares each part with its home.
    pub(in crate::ledger::remote) fn compare(&self, partitions: &Partitions, found: &mut Recount) {
        for (id, parts) in &self.parts {
            for lines in parts.iter().flatten() {
                let at_home = self.homes.get(id).map(|all| of_part(all, lines));
                let agrees = match at_home {
                    Some(at_home) => at_home.len() == lines.len() && agree(&at_home, lines),
                    // It was refused, or is being placed: then nothing of it is firm.
                    None => lines.iter().all(|(_, line)| line.committed.is_zero()),
                };
                if !agrees {
                    let id = ReservationId(*id);
                    found.violation(|| format!("reservation {id}: a part is not what home says"));
                }
            }
        }
        for (id, all) in &self.homes {
            let parts = self.parts.get(id).map_or(0, Vec::len);
            let elsewhere = elsewhere_open(partitions, *id, all);
            if parts < elsewhere {
                let id = ReservationId(*id);
                found.violation(|| {
                    format!("reservation {id}: {elsewhere} parts are open, {parts} are there")
                });
            }
        }
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

/// Partitions besides home in which a reservation has open units.
fn elsewhere_open(partitions: &Partitions, id: u128, all: &Lines) -> usize {
    let home = partitions.of_id(ReservationId(id));
    let open = all.iter().filter(|(_, line)| !line.open().is_zero());
    let mut others: Vec<u16> = open
        .filter_map(|(sku, _)| Some(partitions.of_sku(Sku::new(sku).ok()?)))
        .filter(|partition| Some(*partition) != home)
        .collect();
    others.sort_unstable();
    others.dedup();
    others.len()
}
