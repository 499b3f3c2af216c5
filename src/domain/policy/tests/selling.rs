//! What the limits are for, over random histories: no cap is passed, what is kept for others stays
//! there, and in the end everything can be sold.

use super::*;
use crate::domain::ids::NodeIx;
use crate::domain::line::Move;
use crate::domain::time::UnixMillis;
use crate::domain::uses::{Charge, Uses};
use crate::domain::verdict::Limit;

const WINDOW: UnixMillis = UnixMillis(0);

struct Shop<'p> {
    in_force: InForce<'p>,
    channels: u16,
    on_hand: Units,
    uses: Uses,
    /// Holds after which what is kept for others was looked at.
    checked: u32,
}

impl Shop<'_> {
    fn supply(&self) -> Supply {
        let open = self.uses.channels().iter().map(|of| of.open.get());
        Supply {
            on_hand: self.on_hand,
            free: self.on_hand.left_after(units(open.sum())),
        }
    }

    fn standing(&self, channel: u16) -> Standing {
        self.in_force
            .standing(ChannelIx(channel), self.supply(), &self.uses)
    }

    fn apply(&mut self, channel: u16, step: Move) {
        let channel = ChannelIx(channel);
        let window = WINDOW;
        self.uses.apply(step, Charge { channel, window }).unwrap();
    }

    /// Units that a channel could have and that are kept for it.
    fn secured(&self, channel: u16) -> Units {
        let standing = self.standing(channel);
        let kept = standing.protected.unwrap_or(Units::ZERO);
        kept.left_after(standing.used).min(standing.left)
    }

    /// Whether all that is kept can be had: by what is free, and under every cap. Otherwise those
    /// that come first are served first.
    fn has_all_that_is_kept(&self) -> bool {
        let open = |channel: u16| {
            let standing = self.standing(channel);
            let kept = standing.protected.unwrap_or(Units::ZERO);
            kept.left_after(standing.used).get()
        };
        let below = |above: u16| {
            let inside = (0..self.channels).filter(|channel| self.contains(above, *channel));
            inside.map(open).sum::<u64>()
        };
        let fits_cap = |channel: u16| {
            let standing = self.standing(channel);
            let left = standing.cap.map(|cap| cap.left_after(standing.used).get());
            left.is_none_or(|left| below(channel) <= left)
        };
        let all: u64 = (0..self.channels).map(open).sum();
        all <= self.supply().free.get() && (0..self.channels).all(fits_cap)
    }

    /// Holds something, and looks at what that has done to everybody.
    fn hold(&mut self, rng: &mut Rng, channel: u16) {
        let left = self.standing(channel).left.get();
        let asked = units(1 + rng.below(left.max(1)));
        if asked.get() > left {
            return;
        }
        let is_kept = self.has_all_that_is_kept();
        self.checked += u32::from(is_kept);
        let others: Vec<_> = (0..self.channels)
            .filter(|other| *other != channel)
            .collect();
        let before: Vec<_> = others.iter().map(|other| self.secured(*other)).collect();
        self.apply(channel, Move::Hold(asked));
        for (other, before) in others.iter().zip(before) {
            let above = self.standing(*other);
            let cap = above.cap.unwrap_or(Units::MAX);
            let contains_channel = self.contains(*other, channel);
            assert!(!contains_channel || above.used <= cap, "{above:?}");
            assert!(
                !is_kept || self.is_group(*other) || self.secured(*other) >= before,
                "{above:?} {before}"
            );
        }
        let own = self.standing(channel);
        assert!(own.used <= own.cap.unwrap_or(Units::MAX), "{own:?}");
    }

    /// What is kept for a group may all be kept for those below it.
    fn is_group(&self, channel: u16) -> bool {
        let mut others = (0..self.channels).filter(|other| *other != channel);
        others.any(|other| self.contains(channel, other))
    }

    fn contains(&self, above: u16, channel: u16) -> bool {
        let number = |channel| self.in_force.policy.find(ChannelIx(channel)).0.unwrap();
        let place = self.in_force.policy.place(number(above)).unwrap();
        place.contains(number(channel))
    }

    fn step(&mut self, rng: &mut Rng) {
        let channel = u16::try_from(rng.below(self.channels.into())).unwrap();
        let of = self
            .uses
            .channels()
            .iter()
            .find(|of| of.channel.0 == channel);
        let open = of.map_or(0, |of| of.open.get());
        match rng.below(8) {
            0 if open > 0 => {
                let shipped = units(1 + rng.below(open));
                self.apply(channel, Move::Ship(NodeIx::MAIN, shipped));
                self.on_hand = self.on_hand.left_after(shipped);
            }
            1 if open > 0 => self.apply(channel, Move::ReleaseHeld(units(1 + rng.below(open)))),
            // A receipt, or units that come back: both are there again.
            2 => self.on_hand = self.on_hand.checked_add(units(rng.below(10))).unwrap(),
            _ => self.hold(rng, channel),
        }
    }

    /// Lets everybody take what they may until nobody can.
    fn sell_out(&mut self) {
        let mut before = None;
        while before != Some(self.supply().free) {
            before = Some(self.supply().free);
            for channel in 0..self.channels {
                let left = self.standing(channel).left;
                self.apply(channel, Move::Hold(left));
            }
        }
    }
}

/// A random policy whose protections bind everybody.
fn core_document(rng: &mut Rng) -> Document {
    let mut document = random_document(rng, 7);
    for limit in &mut document.rules[0].limits {
        if let Some(protection) = &mut limit.protection {
            protection.against = Against::All;
        }
    }
    document
}

fn shop<'p>(rng: &mut Rng, document: &Document, policy: &'p Policy) -> Shop<'p> {
    Shop {
        in_force: policy.in_force("any", WINDOW).unwrap(),
        channels: u16::try_from(document.channels.len()).unwrap(),
        on_hand: units(rng.below(200)),
        uses: Uses::default(),
        checked: 0,
    }
}

#[test]
fn hold_passes_no_cap_and_takes_nothing_that_is_kept_for_others() {
    let mut rng = Rng(3);
    let mut checked = 0;
    for _ in 0..3_000 {
        let document = core_document(&mut rng);
        let Ok(policy) = Policy::compile(&document, index_of) else {
            continue;
        };
        let mut shop = shop(&mut rng, &document, &policy);
        for _ in 0..30 {
            shop.step(&mut rng);
        }
        checked += shop.checked;
    }
    assert!(checked > 1_000, "{checked}");
}

#[test]
fn only_caps_leave_anything_unsold() {
    let mut rng = Rng(5);
    for round in 0..3_000 {
        // With and without protections that only bind lower ranks.
        let document = match round % 2 {
            0 => core_document(&mut rng),
            _ => random_document(&mut rng, 7),
        };
        let Ok(policy) = Policy::compile(&document, index_of) else {
            continue;
        };
        let mut shop = shop(&mut rng, &document, &policy);
        for _ in 0..rng.below(20) {
            let channel = u16::try_from(rng.below(shop.channels.into())).unwrap();
            let asked = units(rng.below(shop.standing(channel).left.get() + 1));
            shop.apply(channel, Move::Hold(asked));
        }
        shop.sell_out();
        let free = shop.supply().free;
        let bounds: Vec<_> = (0..shop.channels)
            .map(|channel| shop.standing(channel).bound)
            .collect();
        let by_cap = |bound: &Option<Bound>| bound.is_some_and(|bound| bound.limit == Limit::Cap);
        let kept_for_nobody = bounds.iter().all(Option::is_some) && bounds.iter().any(by_cap);
        assert!(
            free.is_zero() || kept_for_nobody,
            "{document:?} {free} {bounds:?}"
        );
    }
}
