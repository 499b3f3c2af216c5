//! How share would have to be moved between channels so that what is left of it goes where it is
//! needed.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use crate::domain::ids::ChannelIx;
use crate::domain::units::Units;

/// By what the units that are left are shared out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Weight {
    /// By what each channel uses: who sells more gets more. Evenly where none uses any.
    #[default]
    Use,
    /// To each the same.
    Even,
}

/// What a channel has of a SKU.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holding {
    /// Whose.
    pub channel: ChannelIx,
    /// What is left of its share, also under the caps of the groups above.
    pub left: Units,
    /// What it uses.
    pub used: Units,
    /// Whether its share is a cap; else it is a protection.
    pub is_cap: bool,
    /// What the caps of the groups above leave, each with the group's position in the rule.
    pub groups: Box<[(usize, Units)]>,
}

/// What the channels have of a SKU.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Holdings {
    /// Of each channel with a share and no limits below it, in the order of the tree.
    pub each: Vec<Holding>,
    /// What protections gave to caps, and may have back.
    pub returnable: Units,
}

/// Share that goes from one channel to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ShareStep {
    /// Whose share becomes smaller.
    pub from: ChannelIx,
    /// Whose share becomes larger.
    pub to: ChannelIx,
    /// By how much.
    pub units: Units,
}

/// Moves that bring the units that are left of all these shares to where they are by weight, as
/// far as moves may: nobody gives more than he may, so that each of them passes, in any order.
/// Units that do not divide go by the largest remainders (Hamilton's method), of two alike to the
/// first.
pub fn rebalance(of: &Holdings, weight: Weight) -> Vec<ShareStep> {
    let holdings = &of.each;
    let left: Vec<Units> = holdings.iter().map(|of| of.left).collect();
    let parts = apportioned(&left, &weights(holdings, weight));
    let each = holdings.iter().zip(left).zip(parts);
    let (mut givers, mut takers) = (Vec::new(), Vec::new());
    for ((of, left), part) in each {
        givers.push((of, left.left_after(part)));
        takers.push((of, part.left_after(left)));
    }
    givers.retain(|(_, units)| !units.is_zero());
    takers.retain(|(_, units)| !units.is_zero());
    steps(givers, takers, Bounds::of(of))
}

/// Whose weight counts how much.
fn weights(holdings: &[Holding], weight: Weight) -> Vec<u64> {
    let is_any_used = holdings.iter().any(|of| !of.used.is_zero());
    let weight = |of: &Holding| match weight {
        Weight::Use if is_any_used => of.used.get(),
        Weight::Use | Weight::Even => 1,
    };
    holdings.iter().map(weight).collect()
}

/// All that is left in whole parts by weight.
fn apportioned(left: &[Units], weights: &[u64]) -> Vec<Units> {
    // A product of a weight and a sum of shares is far below 2^128: nothing here saturates.
    let total = left
        .iter()
        .fold(0_u128, |sum, of| sum.saturating_add(of.get().into()));
    let sum = { weights.iter() }.fold(0_u128, |sum, of| sum.saturating_add((*of).into()));
    let product = |weight: &u64| total.saturating_mul((*weight).into());
    let whole = |weight| product(weight).checked_div(sum).unwrap_or(0);
    let rest = |weight| product(weight).checked_rem(sum).unwrap_or(0);
    let mut parts: Vec<u128> = weights.iter().map(whole).collect();
    let given = parts
        .iter()
        .fold(0, |sum: u128, of| sum.saturating_add(*of));
    let mut by_rest: Vec<(&u64, &mut u128)> = weights.iter().zip(&mut parts).collect();
    by_rest.sort_by_key(|(weight, _)| Reverse(rest(*weight)));
    let more = usize::try_from(total.saturating_sub(given)).unwrap_or(usize::MAX);
    for (_, part) in by_rest.into_iter().take(more) {
        *part = part.saturating_add(1);
    }
    let units = |part: u128| u64::try_from(part).ok().and_then(Units::new);
    { parts.into_iter() }
        .map(|part| units(part).unwrap_or(Units::MAX))
        .collect()
}

/// What may still be moved. That a move makes some of it larger is left out: then the order of the
/// moves does not count.
struct Bounds {
    /// Out of each group, by position.
    groups: BTreeMap<usize, Units>,
    /// From caps to protections.
    returnable: Units,
}

impl Bounds {
    fn of(holdings: &Holdings) -> Self {
        let groups = holdings.each.iter().flat_map(|of| &of.groups);
        Self {
            groups: groups.copied().collect(),
            returnable: holdings.returnable,
        }
    }

    /// Takes as much of a move as may be.
    fn take(&mut self, from: &Holding, to: &Holding, units: Units) -> Units {
        let is_left = |at: &usize| to.groups.iter().all(|(other, _)| other != at);
        let left: Vec<usize> = from
            .groups
            .iter()
            .map(|(at, _)| *at)
            .filter(is_left)
            .collect();
        let is_returned = from.is_cap && !to.is_cap;
        let room = left.iter().filter_map(|at| self.groups.get(at)).copied();
        let room = room.chain(is_returned.then_some(self.returnable));
        let units = room.fold(units, Units::min);
        for at in left {
            self.groups
                .entry(at)
                .and_modify(|room| *room = room.left_after(units));
        }
        if is_returned {
            self.returnable = self.returnable.left_after(units);
        }
        units
    }
}

/// Pairs who gives with who takes, both in order.
fn steps(
    givers: Vec<(&Holding, Units)>,
    mut takers: Vec<(&Holding, Units)>,
    mut bounds: Bounds,
) -> Vec<ShareStep> {
    let mut steps = Vec::new();
    for (from, mut spare) in givers {
        for (to, wanted) in &mut takers {
            let wished = Some(spare.min(*wanted)).filter(|units| !units.is_zero());
            let units = wished.map_or(Units::ZERO, |units| bounds.take(from, to, units));
            if units.is_zero() {
                continue;
            }
            spare = spare.left_after(units);
            *wanted = wanted.left_after(units);
            steps.push(ShareStep {
                from: from.channel,
                to: to.channel,
                units,
            });
        }
    }
    steps
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::policy::tests::Rng;

    fn units(n: u64) -> Units {
        Units::new(n).unwrap()
    }

    /// Of shares and uses, all caps.
    fn holdings(of: &[(u64, u64)]) -> Holdings {
        let holding = |(channel, (share, used)): (u16, &(u64, u64))| Holding {
            channel: ChannelIx(channel),
            left: units(share.saturating_sub(*used)),
            used: units(*used),
            is_cap: true,
            groups: [].into(),
        };
        Holdings {
            each: (0..).zip(of).map(holding).collect(),
            returnable: Units::ZERO,
        }
    }

    fn moved(of: &[(u64, u64)], weight: Weight) -> Vec<(u16, u16, u64)> {
        told(&holdings(of), weight)
    }

    fn told(of: &Holdings, weight: Weight) -> Vec<(u16, u16, u64)> {
        let steps = rebalance(of, weight);
        let step = |step: ShareStep| (step.from.0, step.to.0, step.units.get());
        steps.into_iter().map(step).collect()
    }

    #[test]
    fn what_is_left_goes_to_who_sells() {
        // 40 and 60 are left, 60 and 20 are used: three quarters of 100 for the first.
        assert_eq!(moved(&[(100, 60), (80, 20)], Weight::Use), [(1, 0, 35)]);
        assert_eq!(moved(&[(100, 60), (80, 20)], Weight::Even), [(1, 0, 10)]);
        assert_eq!(
            moved(&[(10, 10), (10, 0), (10, 0)], Weight::Use),
            [(1, 0, 10), (2, 0, 10)]
        );
        assert_eq!(moved(&[(10, 0), (20, 0)], Weight::Use), [(1, 0, 5)]);
        assert_eq!(moved(&[(5, 9), (5, 5)], Weight::Use), []);
        assert_eq!(moved(&[], Weight::Use), []);
    }

    #[test]
    fn units_that_do_not_divide_go_to_the_largest_remainders() {
        assert_eq!(
            moved(&[(0, 1), (0, 1), (5, 1)], Weight::Use),
            [(2, 0, 2), (2, 1, 1)]
        );
        assert_eq!(
            moved(&[(0, 1), (0, 2), (7, 0)], Weight::Use),
            [(2, 0, 2), (2, 1, 5)]
        );
    }

    #[test]
    fn no_more_leaves_a_group_than_its_cap_has_and_none_becomes_a_protection_but_what_was_one() {
        let mut of = holdings(&[(40, 0), (40, 0), (50, 100)]);
        of.each[0].groups = [(7, units(50))].into();
        of.each[1].groups = [(7, units(50))].into();
        assert_eq!(told(&of, Weight::Use), [(0, 2, 40), (1, 2, 10)]);
        of.each[2].is_cap = false;
        assert_eq!(told(&of, Weight::Use), []);
        of.returnable = units(3);
        assert_eq!(told(&of, Weight::Use), [(0, 2, 3)]);
        of.each[2].groups = [(7, units(50))].into();
        of.each[2].is_cap = true;
        assert_eq!(told(&of, Weight::Use), [(0, 2, 40), (1, 2, 40)]);
    }

    /// Random shares of which nothing is lost, and of which nobody gives more than he has left.
    #[test]
    fn everybody_has_his_part_afterwards_and_nothing_is_left_to_move() {
        let mut rng = Rng(17);
        for _ in 0..20_000 {
            let most = 1 << rng.below(36);
            let of = 0..rng.below(12);
            let of: Vec<_> = of.map(|_| (rng.below(most), rng.below(most))).collect();
            let weight = if rng.one_in(2) {
                Weight::Use
            } else {
                Weight::Even
            };
            let before = holdings(&of);
            let mut left: Vec<u64> = before.each.iter().map(|of| of.left.get()).collect();
            let total: u64 = left.iter().sum();
            for step in rebalance(&before, weight) {
                assert!(!step.units.is_zero() && step.from != step.to, "{step:?}");
                let from = &mut left[usize::from(step.from.0)];
                *from = from.checked_sub(step.units.get()).unwrap();
                left[usize::from(step.to.0)] += step.units.get();
            }
            assert_eq!(left.iter().sum::<u64>(), total);
            let weights = weights(&before.each, weight);
            let sum: u128 = weights.iter().map(|of| u128::from(*of)).sum();
            for (left, weight) in left.iter().zip(weights) {
                let exact = u128::from(total) * u128::from(weight) / sum;
                assert!(u128::from(*left).abs_diff(exact) <= 1, "{left} of {exact}");
            }
            let mut after = before.clone();
            for (of, left) in after.each.iter_mut().zip(&left) {
                of.left = units(*left);
            }
            assert_eq!(rebalance(&after, weight), []);
        }
    }
}
