//! How share would have to be moved between channels so that what is left of it goes where it is
//! needed.

use std::cmp::Reverse;

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

/// What a channel has of a SKU: its share, which is its cap, or where it has none its protection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Holding {
    /// Whose.
    pub channel: ChannelIx,
    /// The share in units.
    pub share: Units,
    /// What it uses.
    pub used: Units,
}

impl Holding {
    fn left(&self) -> Units {
        self.share.left_after(self.used)
    }
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

/// Moves after which the units that are left of all these shares are shared out by weight. Nobody
/// gives more than is left to him, so that each of them passes, in any order. Units that do not
/// divide go by the largest remainders (Hamilton's method), of two alike to the first.
pub fn rebalance(holdings: &[Holding], weight: Weight) -> Vec<ShareStep> {
    let left: Vec<Units> = holdings.iter().map(Holding::left).collect();
    let parts = apportioned(&left, &weights(holdings, weight));
    let each = holdings.iter().zip(left).zip(parts);
    let differences = each.map(|((of, left), part)| (of.channel, left, part));
    let (givers, takers): (Vec<_>, Vec<_>) = differences.partition(|(_, left, part)| left > part);
    let givers = givers
        .iter()
        .map(|(of, left, part)| (*of, left.left_after(*part)));
    let takers = takers
        .iter()
        .map(|(of, left, part)| (*of, part.left_after(*left)));
    steps(givers, takers.filter(|(_, units)| !units.is_zero()))
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

/// Pairs who gives with who takes, both in order.
fn steps(
    givers: impl Iterator<Item = (ChannelIx, Units)>,
    mut takers: impl Iterator<Item = (ChannelIx, Units)>,
) -> Vec<ShareStep> {
    let mut steps = Vec::new();
    let mut taker = takers.next();
    for (from, mut spare) in givers {
        while let Some((to, wanted)) = taker.filter(|_| !spare.is_zero()) {
            let units = spare.min(wanted);
            steps.push(ShareStep { from, to, units });
            spare = spare.left_after(units);
            taker = match wanted.left_after(units) {
                Units::ZERO => takers.next(),
                rest => Some((to, rest)),
            };
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

    fn holdings(of: &[(u64, u64)]) -> Vec<Holding> {
        let holding = |(channel, (share, used)): (u16, &(u64, u64))| Holding {
            channel: ChannelIx(channel),
            share: units(*share),
            used: units(*used),
        };
        (0..).zip(of).map(holding).collect()
    }

    fn moved(of: &[(u64, u64)], weight: Weight) -> Vec<(u16, u16, u64)> {
        let steps = rebalance(&holdings(of), weight);
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
            let mut left: Vec<u64> = before.iter().map(|of| of.left().get()).collect();
            let total: u64 = left.iter().sum();
            for step in rebalance(&before, weight) {
                assert!(!step.units.is_zero() && step.from != step.to, "{step:?}");
                let from = &mut left[usize::from(step.from.0)];
                *from = from.checked_sub(step.units.get()).unwrap();
                left[usize::from(step.to.0)] += step.units.get();
            }
            assert_eq!(left.iter().sum::<u64>(), total);
            let weights = weights(&before, weight);
            let sum: u128 = weights.iter().map(|of| u128::from(*of)).sum();
            for (left, weight) in left.iter().zip(weights) {
                let exact = u128::from(total) * u128::from(weight) / sum;
                assert!(u128::from(*left).abs_diff(exact) <= 1, "{left} of {exact}");
            }
            let share = |(of, left): (&Holding, &u64)| Holding {
                share: units(of.used.get() + left),
                ..*of
            };
            let after: Vec<Holding> = before.iter().zip(&left).map(share).collect();
            assert_eq!(rebalance(&after, weight), []);
        }
    }
}
