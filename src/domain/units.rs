//! Quantities of units: never negative, never above [`UNITS_MAX`], checked arithmetic only.

use std::fmt;

use crate::limits::UNITS_MAX;

/// A quantity of whole units, `0..=UNITS_MAX`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Units(u64);

impl Units {
    /// No units.
    pub const ZERO: Self = Self(0);
    /// The largest quantity.
    pub const MAX: Self = Self(UNITS_MAX);

    /// A quantity, or `None` above [`UNITS_MAX`].
    pub const fn new(value: u64) -> Option<Self> {
        if value <= UNITS_MAX {
            Some(Self(value))
        } else {
            None
        }
    }

    /// The number.
    pub const fn get(self) -> u64 {
        self.0
    }

    /// Whether this is zero.
    pub const fn is_zero(self) -> bool {
        self.0 == 0
    }

    /// Sum, or `None` above [`UNITS_MAX`].
    pub fn checked_add(self, other: Self) -> Option<Self> {
        self.0.checked_add(other.0).and_then(Self::new)
    }

    /// Difference, or `None` below zero.
    pub fn checked_sub(self, other: Self) -> Option<Self> {
        self.0.checked_sub(other.0).map(Self)
    }

    /// Difference, zero where it would be negative: "how much is left, if any".
    #[must_use]
    pub const fn left_after(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }

    /// Adds a signed change; `None` below zero or above [`UNITS_MAX`].
    pub fn checked_add_signed(self, delta: i64) -> Option<Self> {
        self.0.checked_add_signed(delta).and_then(Self::new)
    }

    /// This share of the quantity in basis points (hundredths of a percent), rounded up.
    #[must_use]
    pub fn share_up(self, basis_points: u16) -> Self {
        Self::clamped(self.ten_thousandths(basis_points).div_ceil(10_000))
    }

    /// The same, rounded down.
    #[must_use]
    pub fn share_down(self, basis_points: u16) -> Self {
        Self::clamped(self.ten_thousandths(basis_points) / 10_000)
    }

    fn ten_thousandths(self, basis_points: u16) -> u64 {
        const { assert!(UNITS_MAX < u64::MAX >> u16::BITS, "no product saturates") };
        self.0.saturating_mul(basis_points.into())
    }

    fn clamped(value: u64) -> Self {
        Self(value.min(UNITS_MAX))
    }
}

impl fmt::Display for Units {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arithmetic_stops_at_the_limits() {
        let max = Units::MAX;
        let one = Units::new(1).unwrap();
        assert_eq!(max.checked_add(one), None);
        assert_eq!(Units::ZERO.checked_sub(one), None);
        assert_eq!(Units::ZERO.left_after(one), Units::ZERO);
        assert_eq!(Units::new(UNITS_MAX + 1), None);
        assert_eq!(max.checked_add_signed(i64::MIN), None);
        assert_eq!(max.checked_add_signed(i64::MAX), None);
    }

    #[test]
    fn share_rounds_as_its_name_says() {
        let units = |n| Units::new(n).unwrap();
        assert_eq!(units(101).share_down(500), units(5));
        assert_eq!(Units::MAX.share_down(10_000), Units::MAX);
        assert_eq!(units(100).share_up(500), units(5));
        assert_eq!(units(101).share_up(500), units(6));
        assert_eq!(Units::MAX.share_up(10_000), Units::MAX);
        assert_eq!(Units::MAX.share_up(u16::MAX), Units::MAX);
        assert_eq!(Units::MAX.share_up(9_999).get(), UNITS_MAX / 10_000 * 9_999);
    }
}
