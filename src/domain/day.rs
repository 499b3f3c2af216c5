//! Days as values: what supply is announced for and promises are made for.

use std::num::NonZeroU16;

use super::time::UnixMillis;

const MILLIS_PER_DAY: i64 = 24 * 3_600 * 1_000;

/// A day, UTC, counted from 1970-01-01. That day itself is none, so that a day that may be missing
/// takes two bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Day(NonZeroU16);

impl Day {
    /// The first day that can be named.
    pub const FIRST: Self = Self(NonZeroU16::MIN);

    /// The day that is so many after 1970-01-01; `None` for zero.
    pub const fn new(days: u16) -> Option<Self> {
        match NonZeroU16::new(days) {
            Some(days) => Some(Self(days)),
            None => None,
        }
    }

    /// The day of a moment; the nearest one for moments that no day can name.
    pub fn of(at: UnixMillis) -> Self {
        let days = at.0.div_euclid(MILLIS_PER_DAY).max(1);
        let days = u16::try_from(days).unwrap_or(u16::MAX);
        Self::new(days).unwrap_or(Self::FIRST)
    }

    /// Days since 1970-01-01.
    pub const fn get(self) -> u16 {
        self.0.get()
    }

    /// The day so many days later; the last one where there is none.
    #[must_use]
    pub const fn later(self, days: u16) -> Self {
        Self(self.0.saturating_add(days))
    }

    /// The moment at which it begins.
    pub fn begins(self) -> UnixMillis {
        UnixMillis(i64::from(self.get()).saturating_mul(MILLIS_PER_DAY))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_ends_with_its_last_millisecond() {
        let day = Day::new(20_811).unwrap();
        assert_eq!(Day::of(day.begins()), day);
        assert_eq!(Day::of(UnixMillis(day.begins().0 - 1)).get(), 20_810);
        assert_eq!(day.later(1).begins().0 - day.begins().0, MILLIS_PER_DAY);
    }

    #[test]
    fn moments_that_no_day_can_name_have_the_nearest() {
        assert_eq!(Day::of(UnixMillis(0)), Day::FIRST);
        assert_eq!(Day::of(UnixMillis(i64::MIN)), Day::FIRST);
        assert_eq!(Day::of(UnixMillis(i64::MAX)).get(), u16::MAX);
    }
}
