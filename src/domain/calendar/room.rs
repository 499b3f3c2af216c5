//! What a stock has to promise for a day.

use super::{Bucket, Timeline};
use crate::domain::day::Day;
use crate::domain::ids::NodeIx;
use crate::domain::policy::{Bound, Supply};
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

    /// What there is of it for a promise that nothing announced can serve.
    pub fn supply_now(&self, today: Day) -> Supply {
        match self.timeline(today) {
            Some(timeline) => timeline.supplied(None),
            None => self.supply(Units::ZERO),
        }
    }

    /// [`Self::room`] for a day on the timeline of this stock, which holds what other lines of the
    /// same command took already. `bound` is of what [`Timeline::supplied`] says of that day.
    pub fn room_on(
        &self,
        timeline: &Timeline<'_>,
        (day, pin): (Option<Day>, Option<NodeIx>),
        bound: Option<&Bound>,
    ) -> (Units, Limit) {
        if self.is_suspended() {
            return (Units::ZERO, Limit::Suspended);
        }
        let room = timeline.room(day, pin);
        match bound {
            Some(bound) if bound.room < room.0 => (bound.room, bound.limit),
            _ => room,
        }
    }

    /// What can be promised from each day on at which it changes, now first. `bound_on` is what a
    /// rule leaves of the supply of a day, as for [`Self::room_on`].
    pub fn profile(
        &self,
        timeline: &Timeline<'_>,
        pin: Option<NodeIx>,
        bound_on: impl Fn(Option<Day>) -> Option<Bound>,
    ) -> Vec<Bucket> {
        let bucket = |day| {
            let (available, limit) = self.room_on(timeline, (day, pin), bound_on(day).as_ref());
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
