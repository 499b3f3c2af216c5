//! Quantities in five bytes, ids in two words: what there are millions of is kept in as few cache lines as possible.

use std::num::NonZeroU16;

use crate::domain::line::{Inconsistent, Move};
use crate::domain::{Line, NodeIx, Units};
use crate::limits::{NODES_MAX, UNITS_MAX};

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

/// [`Line`].
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
}
