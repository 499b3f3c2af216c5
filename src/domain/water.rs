//! Low-water marks: when a SKU is low, and what follows of it.

use super::units::Units;

/// That many units, or that share of what is on hand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// That many.
    Units(Units),
    /// That share of what is on hand, in basis points (500 = 5 %), rounded up.
    Percent(u16),
}

impl Level {
    /// In units, with so many on hand.
    pub fn of(self, on_hand: Units) -> Units {
        match self {
            Self::Units(units) => units,
            Self::Percent(basis_points) => on_hand.share_up(basis_points),
        }
    }
}

/// What a SKU does while it is low.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WhileLow {
    /// It goes on; an event tells of it.
    Sell,
    /// It takes no new holds.
    Suspend,
}

/// The low-water mark of a SKU.
///
/// A SKU becomes low when what is available falls to the mark, and is so until as much as `resume`
/// is available again: in between it stays what it was, so that a SKU at the mark does not go to and
/// fro with every unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LowWater {
    /// Available units at or under which the SKU is low.
    pub mark: Level,
    /// Available units at which it is not low any more; `None`: any above the mark.
    pub resume: Option<Level>,
    /// What follows.
    pub then: WhileLow,
}

impl LowWater {
    /// A mark that only tells.
    pub const fn at(mark: Level) -> Self {
        Self {
            mark,
            resume: None,
            then: WhileLow::Sell,
        }
    }

    /// Whether a SKU is low that was low before, or was not.
    pub fn is_low(&self, was_low: bool, on_hand: Units, available: Units) -> bool {
        // A share and a number of units may change places as the stock changes: the mark counts.
        let is_below = |level: Level| available < level.of(on_hand);
        available <= self.mark.of(on_hand) || (was_low && self.resume.is_some_and(is_below))
    }

    /// Whether the end of being low is above its beginning, as far as that can be told without
    /// knowing what is on hand.
    pub fn resumes_above_mark(&self) -> bool {
        match (self.mark, self.resume) {
            (Level::Units(mark), Some(Level::Units(resume))) => resume > mark,
            (Level::Percent(mark), Some(Level::Percent(resume))) => resume > mark,
            (Level::Units(_), Some(Level::Percent(_)))
            | (Level::Percent(_), Some(Level::Units(_)))
            | (_, None) => true,
        }
    }
}

/// How a SKU stands to its mark.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Water {
    /// It is low.
    pub low: bool,
    /// It was when the feed told of it last. What changed with the last step before a crash may
    /// have been lost before it was told.
    pub told: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn units(n: u64) -> Units {
        Units::new(n).unwrap()
    }

    /// Whether it is low at each of these amounts in turn, with 100 on hand.
    fn course(water: &LowWater, available: &[u64]) -> Vec<bool> {
        let mut low = false;
        let mut next = |n: &u64| {
            low = water.is_low(low, units(100), units(*n));
            low
        };
        available.iter().map(&mut next).collect()
    }

    #[test]
    fn without_a_resume_a_sku_is_low_at_and_under_its_mark() {
        let water = LowWater::at(Level::Units(units(5)));
        assert_eq!(course(&water, &[6, 5, 0, 6]), [false, true, true, false]);
        let share = LowWater::at(Level::Percent(550));
        assert_eq!(course(&share, &[7, 6, 7]), [false, true, false]);
    }

    #[test]
    fn what_became_low_stays_so_until_it_reaches_its_resume() {
        let water = LowWater {
            resume: Some(Level::Percent(2_000)),
            ..LowWater::at(Level::Units(units(5)))
        };
        let expected = [false, true, true, false, false];
        assert_eq!(course(&water, &[19, 5, 19, 20, 6]), expected);
    }

    #[test]
    fn where_the_resume_is_under_the_mark_the_mark_counts() {
        let water = LowWater {
            resume: Some(Level::Percent(100)),
            ..LowWater::at(Level::Units(units(5)))
        };
        assert!(water.resumes_above_mark(), "it depends on what is on hand");
        assert_eq!(course(&water, &[4, 1, 5, 6]), [true, true, true, false]);
        let senseless = LowWater {
            resume: Some(Level::Units(units(5))),
            ..water
        };
        assert!(!senseless.resumes_above_mark());
        let shares = |mark, resume| LowWater {
            resume: Some(Level::Percent(resume)),
            ..LowWater::at(Level::Percent(mark))
        };
        let ends_above = [(5, 4), (5, 5), (5, 6)].map(|(a, b)| shares(a, b).resumes_above_mark());
        assert_eq!(ends_above, [false, false, true]);
    }
}
