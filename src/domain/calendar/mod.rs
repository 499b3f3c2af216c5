//! Dated supply of one SKU, and what is promised against it.
//!
//! Stock says what is there; a calendar adds what is announced and for when, and which promises
//! name a day. What may still be promised is worked out in [`timeline`].

mod room;
mod timeline;

#[cfg(test)]
mod tests;

pub use timeline::{Bucket, Timeline};

use super::day::Day;
use super::ids::NodeIx;
use super::line::Inconsistent;
use super::units::Units;

/// What kind of supply is announced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum InboundKind {
    /// On its way: bought, or moved between nodes out of band.
    InTransit,
    /// Not made or not bought yet, but sold already.
    Presale,
    /// Expected to come back from buyers.
    Return,
}

impl InboundKind {
    /// The word of the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::InTransit => "in_transit",
            Self::Presale => "presale",
            Self::Return => "return",
        }
    }
}

/// Supply that is announced for a day.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inbound {
    /// The caller's name for it; one SKU has no two of the same name.
    pub id: Box<str>,
    /// What it is.
    pub kind: InboundKind,
    /// Where it will be.
    pub node: NodeIx,
    /// The day on which it will be there. Once that day has passed it counts for nothing.
    pub due: Day,
    /// Units that are still to come.
    pub units: Units,
}

/// Open units of lines that were promised for a day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Promised {
    /// The day.
    pub day: Day,
    /// The node that must ship.
    pub pin: Option<NodeIx>,
    /// How many.
    pub units: Units,
}

/// What is announced of a SKU, and what is promised for a day. Units that were promised without a
/// day are those of its stock that are not in here.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Calendar {
    /// Sorted by day, then name; none of zero units.
    inbound: Vec<Inbound>,
    /// Sorted by day, then pin; none of zero units.
    promises: Vec<Promised>,
}

impl Calendar {
    /// Nothing.
    pub const EMPTY: Self = Self {
        inbound: Vec::new(),
        promises: Vec::new(),
    };

    /// Builds one from its stored parts.
    pub fn from_parts(mut inbound: Vec<Inbound>, mut promises: Vec<Promised>) -> Self {
        inbound.sort_by(|a, b| (a.due, &a.id).cmp(&(b.due, &b.id)));
        promises.sort_by_key(|promise| (promise.day, promise.pin));
        Self { inbound, promises }
    }

    /// What is announced, sorted by day, then name; overdue or not.
    pub fn inbound(&self) -> &[Inbound] {
        &self.inbound
    }

    /// What is promised for days, sorted by day, then pin.
    pub fn promises(&self) -> &[Promised] {
        &self.promises
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.inbound.is_empty() && self.promises.is_empty()
    }

    /// What is announced under that name.
    pub fn find(&self, id: &str) -> Option<&Inbound> {
        self.inbound.iter().find(|entry| *entry.id == *id)
    }

    /// All units that are announced, overdue or not.
    pub fn announced(&self) -> Units {
        let units = self.inbound.iter().map(|entry| entry.units);
        units.fold(Units::ZERO, |sum, units| {
            sum.checked_add(units).unwrap_or(Units::MAX)
        })
    }

    /// Announces supply, in place of what has the same name. None of it: no longer announced.
    pub(super) fn put(&mut self, entry: Inbound) {
        self.inbound.retain(|other| other.id != entry.id);
        if !entry.units.is_zero() {
            let at = self
                .inbound
                .partition_point(|other| (other.due, &other.id) < (entry.due, &entry.id));
            self.inbound.insert(at, entry);
        }
    }

    /// Adds units, at least one, to what is promised for a day.
    pub(super) fn promise(
        &mut self,
        day: Day,
        pin: Option<NodeIx>,
        units: Units,
    ) -> Result<(), Inconsistent> {
        match self.position(day, pin) {
            Ok(at) => {
                let promise = self.promises.get_mut(at).ok_or(Inconsistent)?;
                promise.units = promise.units.checked_add(units).ok_or(Inconsistent)?;
            }
            Err(at) => self.promises.insert(at, Promised { day, pin, units }),
        }
        Ok(())
    }

    /// Takes units from what is promised for a day.
    pub(super) fn settle(
        &mut self,
        day: Day,
        pin: Option<NodeIx>,
        units: Units,
    ) -> Result<(), Inconsistent> {
        let at = self.position(day, pin).or(Err(Inconsistent))?;
        let promise = self.promises.get_mut(at).ok_or(Inconsistent)?;
        promise.units = promise.units.checked_sub(units).ok_or(Inconsistent)?;
        if promise.units.is_zero() {
            self.promises.remove(at);
        }
        Ok(())
    }

    fn position(&self, day: Day, pin: Option<NodeIx>) -> Result<usize, usize> {
        self.promises
            .binary_search_by_key(&(day, pin), |promise| (promise.day, promise.pin))
    }
}
