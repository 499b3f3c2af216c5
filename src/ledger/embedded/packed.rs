//! Quantities in five bytes, ids in two words: what there are millions of is kept in as few cache lines as possible.

use std::num::NonZeroU16;

use crate::domain::line::{Inconsistent, Move};
use crate::domain::{Day, Line, NodeIx, Units, UnixMillis};
use crate::limits::{LINES_MAX, NODES_MAX, UNITS_MAX};

const BYTES: usize = 5;
const _: () = assert!(UNITS_MAX < 1 << (8 * BYTES));

/// [`Units`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct PackedUnits([u8; BYTES]);

impl PackedUnits {
    pub(super) fn new(units: Units) -> Self {
        let mut low = [0; BYTES];
        low.copy_from_slice(&units.get().to_le_bytes()[..BYTES]);
        Self(low)
    }

    pub(super) fn get(self) -> Units {
        let mut wide = [0; 8];
        wide[..BYTES].copy_from_slice(&self.0);
        Units::new(u64::from_le_bytes(wide)).unwrap_or(Units::MAX)
    }
}

/// An id as two halves, low first: a `u128` would round whatever holds it up to 16 bytes.
pub(super) fn halves(id: u128) -> [u64; 2] {
    let low = u64::try_from(id & u128::from(u64::MAX)).unwrap_or(0);
    let high = u64::try_from(id >> 64).unwrap_or(0);
    [low, high]
}

/// The id of two halves.
pub(super) fn joined([low, high]: [u64; 2]) -> u128 {
    (u128::from(high) << 64) | u128::from(low)
}

/// A pin in two bytes, of which zero is not one: an entry that is not there is told by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct PackedPin(NonZeroU16);

const UNPINNED: PackedPin = PackedPin(NonZeroU16::MIN);
const _: () = assert!(NODES_MAX < 65_533);

impl PackedPin {
    fn new(pin: Option<NodeIx>) -> Self {
        pin.map_or(UNPINNED, |NodeIx(node)| {
            Self(UNPINNED.0.saturating_add(node.saturating_add(1)))
        })
    }

    fn get(self) -> Option<NodeIx> {
        self.0.get().checked_sub(2).map(NodeIx)
    }
}

/// [`Line`], but for its day, see [`PackedTerm`], and the channel it is charged to, see [`PackedPlace`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct PackedLine {
    pin: PackedPin,
    held: PackedUnits,
    committed: PackedUnits,
    shipped: PackedUnits,
    released: PackedUnits,
    expired: PackedUnits,
    returned: PackedUnits,
}

impl PackedLine {
    pub(super) fn new(line: Line) -> Self {
        let Line {
            pin,
            day: _,
            charged_to: _,
            held,
            committed,
            shipped,
            released,
            expired,
            returned,
        } = line;
        Self {
            pin: PackedPin::new(pin),
            held: PackedUnits::new(held),
            committed: PackedUnits::new(committed),
            shipped: PackedUnits::new(shipped),
            released: PackedUnits::new(released),
            expired: PackedUnits::new(expired),
            returned: PackedUnits::new(returned),
        }
    }

    pub(super) fn get(&self) -> Line {
        Line {
            pin: self.pin.get(),
            day: None,
            charged_to: None,
            held: self.held.get(),
            committed: self.committed.get(),
            shipped: self.shipped.get(),
            released: self.released.get(),
            expired: self.expired.get(),
            returned: self.returned.get(),
        }
    }

    /// Does a move, or changes nothing.
    pub(super) fn apply(&mut self, step: Move) -> Result<(), Inconsistent> {
        let mut line = self.get();
        line.apply(step)?;
        *self = Self::new(line);
        Ok(())
    }
}

/// A deadline in six bytes, which are enough for ten thousand years, and the day of a promise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct PackedTerm(i64);

const DAY_BITS: u32 = 16;
const DAY_MASK: i64 = (1 << DAY_BITS) - 1;
const DEADLINE_MAX: i64 = i64::MAX >> DAY_BITS;

impl PackedTerm {
    pub(super) fn new(deadline: UnixMillis, day: Option<Day>) -> Self {
        let deadline = deadline.0.clamp(-DEADLINE_MAX, DEADLINE_MAX);
        Self((deadline << DAY_BITS) | i64::from(day.map_or(0, Day::get)))
    }

    pub(super) fn deadline(self) -> UnixMillis {
        UnixMillis(self.0 >> DAY_BITS)
    }

    pub(super) fn day(self) -> Option<Day> {
        Day::new(u16::try_from(self.0 & DAY_MASK).unwrap_or(0))
    }
}

/// The place of a line in its reservation, and whether it is charged to another channel than that of
/// the reservation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct PackedPlace(u16);

const IS_CHARGED: u16 = 1 << 15;
const _: () = assert!(LINES_MAX <= 1 << 15);

impl PackedPlace {
    pub(super) fn new(number: u16, is_charged: bool) -> Self {
        Self(number | if is_charged { IS_CHARGED } else { 0 })
    }

    pub(super) fn number(self) -> u16 {
        self.0 & !IS_CHARGED
    }

    pub(super) fn is_charged(self) -> bool {
        self.0 & IS_CHARGED != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_counter_keeps_its_value() {
        for value in [0, 1, 255, 256, UNITS_MAX - 1, UNITS_MAX] {
            let units = Units::new(value).unwrap();
            assert_eq!(PackedUnits::new(units).get(), units);
        }
        let unit = |n| Units::new(UNITS_MAX - n).unwrap();
        let line = Line {
            pin: Some(NodeIx(u16::MAX - 2)),
            day: None,
            charged_to: None,
            held: unit(1),
            committed: unit(2),
            shipped: unit(3),
            released: unit(4),
            expired: unit(5),
            returned: unit(6),
        };
        assert_eq!(PackedLine::new(line).get(), line);
        for pin in [None, Some(NodeIx::MAIN)] {
            let line = Line { pin, ..line };
            assert_eq!(PackedLine::new(line).get(), line);
        }
    }

    #[test]
    fn a_term_keeps_deadline_and_day() {
        for deadline in [0, 1, -1, 1_800_000_000_000, DEADLINE_MAX] {
            for day in [None, Some(Day::FIRST), Day::new(u16::MAX)] {
                let term = PackedTerm::new(UnixMillis(deadline), day);
                assert_eq!(term.deadline(), UnixMillis(deadline));
                assert_eq!(term.day(), day);
            }
        }
    }
}
