//! Lines of reservations, and how their units move from state to state.

use crate::Fault;
use crate::stock::Terms;

/// Where the units of a line are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct States {
    pub(crate) held: u64,
    pub(crate) committed: u64,
    pub(crate) shipped: u64,
    pub(crate) released: u64,
    pub(crate) expired: u64,
    pub(crate) returned: u64,
}

impl States {
    /// Units promised.
    pub(crate) const fn open(&self) -> u64 {
        self.held.saturating_add(self.committed)
    }

    /// Units that left and have not come back.
    pub(crate) const fn away(&self) -> u64 {
        self.shipped.saturating_sub(self.returned)
    }

    /// Units go from one state to another.
    pub(crate) fn pass(
        &mut self,
        from: fn(&mut Self) -> &mut u64,
        to: fn(&mut Self) -> &mut u64,
        units: u64,
    ) -> Result<(), Fault> {
        let place = from(self);
        let Some(left) = place.checked_sub(units) else {
            let there = *place;
            return Err(Fault::new(
                format!("{units} units change their state"),
                format!("at most {there}, which are in it"),
            ));
        };
        *place = left;
        *to(self) += units;
        Ok(())
    }
}

/// A line of a reservation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Line {
    pub(crate) terms: Terms,
    pub(crate) units: States,
}

/// A reservation to which something may still happen, or whose id cannot come again yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Reservation {
    pub(crate) channel: u32,
    pub(crate) deadline: i64,
    /// When it was made or last acted on.
    pub(crate) touched: i64,
    pub(crate) lines: Box<[Line]>,
}

impl Reservation {
    pub(crate) fn is_open(&self) -> bool {
        self.lines.iter().any(|line| line.units.open() > 0)
    }

    pub(crate) fn is_held(&self) -> bool {
        self.lines.iter().any(|line| line.units.held > 0)
    }

    /// Whether it is part of how a shard stands: units are promised, or may still come back.
    pub(crate) fn stands(&self, at: i64, returns_ms: i64) -> bool {
        let is_young = at.saturating_sub(self.touched) <= returns_ms;
        self.is_open() || is_young && self.lines.iter().any(|line| line.units.away() > 0)
    }

    /// Whether its id may not come again yet: its key is remembered from its last act, and from its
    /// deadline where units expired.
    pub(crate) fn is_remembered(&self, at: i64, retention_ms: i64) -> bool {
        let has_expired = self.lines.iter().any(|line| line.units.expired > 0);
        let since = if has_expired {
            self.touched.max(self.deadline)
        } else {
            self.touched
        };
        self.is_open() || at.saturating_sub(since) <= retention_ms
    }
}
