//! What a stock has to promise for a day.

use super::{Bucket, Timeline};
use crate::domain::day::Day;
use crate::domain::ids::NodeIx;
use crate::domain::policy::Claim;
use crate::domain::stock::Stock;
use crate::domain::units::Units;
use crate::domain::verdict::Limit;

impl Stock {
    /// Supply and promises from today on, where something is announced. Else there is no other
    /// supply than what is on hand, and a promise for a later day needs the same units as any.
    pub fn timeline(&self, today: Day) -> Option<Timeline<'_>> {
        let announced = !self.calendar().inbound().is_empty();
        announced.then(|| Timeline::of(self, today))
    }

    /// [`Self::room`] of a claim for a day on the timeline of this stock, which holds what other
    /// lines of the same command took already; `taken` is that for the channel.
    pub fn room_on(
        &self,
        timeline: &Timeline<'_>,
        (day, pin): (Option<Day>, Option<NodeIx>),
        taken: Units,
        claim: Option<Claim<'_>>,
    ) -> (Units, Limit) {
        if self.is_suspended() {
            return (Units::ZERO, Limit::Suspended);
        }
        let room = timeline.room(day, pin);
        let bound = claim.and_then(|Claim { channel, rule }| {
            rule.room(channel, timeline.supplied(day), self.uses(), taken)
        });
        match bound {
            Some(bound) if bound.room < room.0 => (bound.room, bound.limit),
            _ => room,
        }
    }

    /// What can be promised from each day on at which it changes, now first.
    pub fn profile(
        &self,
        today: Day,
        pin: Option<NodeIx>,
        claim: Option<Claim<'_>>,
    ) -> Vec<Bucket> {
        let timeline = Timeline::of(self, today);
        let bucket = |day| {
            let (available, limit) = self.room_on(&timeline, (day, pin), Units::ZERO, claim);
            Bucket {
                day,
                available,
                limit,
            }
        };
        let days = timeline.days().map(Some);
        let mut profile: Vec<Bucket> = std::iter::once(None).chain(days).map(bucket).collect();
        profile.dedup_by_key(|bucket| (bucket.available, bucket.limit));
        profile
    }

    /// Units at a node that no pin needs, now or later.
    pub fn spare(&self, node: NodeIx, today: Day) -> Units {
        match self.timeline(today) {
            Some(timeline) => timeline.spare(node),
            None => self.node(node).unpinned(),
        }
    }
}
