//! How much a channel may take under the rule in force.
//!
//! Caps: what an entry and all below it use, with the units asked for, stays within its cap, for
//! every entry on the way from the channel to the root. Protections: a subtree that the channel is
//! not in still needs `max(protection - use, what the entries below it need)`; what all of them need
//! together is not free for the channel. It needs no more than that, since one unit that is kept for
//! an entry serves its groups as well.

use smallvec::{SmallVec, smallvec};

use super::super::ids::ChannelIx;
use super::super::units::Units;
use super::super::uses::Uses;
use super::compile::{InForce, Limited};
use super::document::{Against, Amount};

/// What there is of a SKU.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Supply {
    /// Usable units, over all nodes.
    pub on_hand: Units,
    /// Of them those that are neither promised nor kept back as safety stock.
    pub free: Units,
}

/// A channel that wants units under the rule in force.
#[derive(Debug, Clone, Copy)]
pub struct Claim<'a> {
    /// Who; `None`: a channel that no policy names.
    pub channel: Option<ChannelIx>,
    /// The rule.
    pub rule: InForce<'a>,
}

/// What is left for a channel, and the entry of the policy that says so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bound<'a> {
    /// Units.
    pub room: Units,
    /// The name of the entry.
    pub entry: &'a str,
}

/// What the rule in force leaves to a channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shares<'a> {
    /// By the tightest cap over it.
    pub cap: Option<Bound<'a>>,
    /// By what is kept for others; the entry is the one that most is kept for.
    pub protection: Option<Bound<'a>>,
}

/// Units of a channel that is in the tree.
struct Used {
    number: u16,
    total: u64,
    moved: i64,
}

/// Everything that one question is about.
struct Asked {
    by: Option<(u16, u16)>,
    /// On hand, and what has left in the window.
    supply: Units,
    used: SmallVec<[Used; 8]>,
}

impl<'a> InForce<'a> {
    /// What is left for a channel that got `taken` units for other lines of the same command.
    pub fn shares(
        &self,
        channel: Option<ChannelIx>,
        supply: Supply,
        uses: &Uses,
        taken: Units,
    ) -> Shares<'a> {
        let asked = self.asked(channel, supply, uses, taken);
        let mut cap: Option<Bound<'a>> = None;
        let mut kept: Option<(Units, &'a str)> = None;
        let mut blocked = Units::ZERO;
        let limits = &self.rule.limits;
        let mut needed: SmallVec<[Units; 16]> = smallvec![Units::ZERO; limits.len()];
        for (place, limit) in limits.iter().enumerate().rev() {
            let below = needed.get(place).copied().unwrap_or_default();
            let is_over = asked.is_over_the_channel(limit);
            if is_over
                && let Some(room) = asked.cap_left(limit)
                && cap.is_none_or(|tightest| room <= tightest.room)
            {
                let entry = self.policy.name(limit.at.low);
                cap = Some(Bound { room, entry });
            }
            let need = if is_over {
                below
            } else {
                asked.need(limit).max(below)
            };
            if !is_over && kept.is_none_or(|(most, _)| need >= most) && !need.is_zero() {
                kept = Some((need, self.policy.name(limit.at.low)));
            }
            let sum = match limit.parent.and_then(|parent| needed.get_mut(parent)) {
                Some(above) => above,
                None => &mut blocked,
            };
            *sum = sum.checked_add(need).unwrap_or(Units::MAX);
        }
        let protection = kept.map(|(_, entry)| Bound {
            room: supply.free.left_after(blocked),
            entry,
        });
        Shares { cap, protection }
    }

    fn asked(
        &self,
        channel: Option<ChannelIx>,
        supply: Supply,
        uses: &Uses,
        taken: Units,
    ) -> Asked {
        let by = channel.and_then(|channel| self.policy.standing(channel));
        let mut shipped = Units::ZERO;
        let mut used: SmallVec<[Used; 8]> = SmallVec::new();
        for of in uses.in_window(self.window()) {
            shipped = shipped.checked_add(of.shipped).unwrap_or(Units::MAX);
            if let Some(at) = self.policy.standing(of.channel) {
                used.push(Used {
                    number: at.low,
                    total: of.total().get(),
                    moved: of.moved,
                });
            }
        }
        if let (Some(at), false) = (by, taken.is_zero()) {
            used.push(Used {
                number: at.low,
                total: taken.get(),
                moved: 0,
            });
        }
        Asked {
            by: by.map(|at| (at.low, at.rank)),
            supply: supply.on_hand.checked_add(shipped).unwrap_or(Units::MAX),
            used,
        }
    }
}

impl Asked {
    fn is_over_the_channel(&self, limit: &Limited) -> bool {
        self.by.is_some_and(|(number, _)| limit.at.contains(number))
    }

    fn use_of(&self, limit: &Limited) -> Units {
        let below = self.used.iter().filter(|of| limit.at.contains(of.number));
        let sum = below.fold(0_u64, |sum, of| sum.saturating_add(of.total));
        Units::new(sum).unwrap_or(Units::MAX)
    }

    /// A share in units, with what was moved to it and away from it.
    fn share(&self, limit: &Limited, share: Units) -> Units {
        let below = self.used.iter().filter(|of| limit.at.contains(of.number));
        let moved = below.fold(0_i64, |sum, of| sum.saturating_add(of.moved));
        let floor = if moved < 0 { Units::ZERO } else { Units::MAX };
        share.checked_add_signed(moved).unwrap_or(floor)
    }

    /// At most: rounded down.
    fn cap_left(&self, limit: &Limited) -> Option<Units> {
        let cap = match limit.cap? {
            Amount::Units(units) => units,
            Amount::Percent(points) => self.supply.share_down(points),
        };
        Some(self.share(limit, cap).left_after(self.use_of(limit)))
    }

    /// Units that are still kept for an entry: at least, so rounded up. No more than its cap leaves.
    fn need(&self, limit: &Limited) -> Units {
        let Some((amount, against)) = limit.protection else {
            return Units::ZERO;
        };
        let rank = self.by.map_or(u16::MAX, |(_, rank)| rank);
        if against == Against::LowerRanks && rank <= limit.at.rank {
            return Units::ZERO;
        }
        let kept = match amount {
            Amount::Units(units) => units,
            Amount::Percent(points) => self.supply.share_up(points),
        };
        let need = self.share(limit, kept).left_after(self.use_of(limit));
        self.cap_left(limit).map_or(need, |left| need.min(left))
    }
}
