//! Random timelines: what the timeline says is what the definition says, set by set, and what an
//! assignment of units to promises says.

use super::matching::{Matching, Want, moment};
use super::*;
use crate::domain::deficit::{Means, Order, Promise, at_risk};
use crate::domain::ids::{ChannelIx, ReservationId};
use crate::domain::time::UnixMillis;

/// How many.
const TIMELINES: u64 = 1_000_000;

/// A claim that may be asked for.
fn claim(rng: &mut Rng, world: &World) -> (Option<u16>, Option<u16>) {
    let by = (!rng.one_in(3)).then(|| TODAY + u16::try_from(rng.below(6)).unwrap());
    let nodes = u64::try_from(world.on_hand.len()).unwrap();
    let pin = rng
        .one_in(2)
        .then(|| u16::try_from(rng.below(nodes)).unwrap());
    (by, pin)
}

/// Sums of a world at the moments that matter, one after the other.
struct Table {
    moments: Vec<u16>,
    /// Per node and moment: supply less what is promised with that pin.
    free: Vec<Vec<i64>>,
    unpinned: Vec<i64>,
    safety: Vec<i64>,
    /// Per node and moment: what it keeps back itself.
    kept: Vec<Vec<i64>>,
}

/// What is kept back of so many units.
fn kept_of(safety: Option<Safety>, supply: i64) -> i64 {
    match safety {
        None => 0,
        Some(Safety::Units(count)) => i64::try_from(count.get()).unwrap(),
        Some(Safety::Percent(points)) => (supply * i64::from(points) + 9_999) / 10_000,
    }
}

impl Table {
    fn of(world: &World) -> Self {
        let moments: Vec<u16> = std::iter::once(0).chain(TODAY..TODAY + 6).collect();
        let int = |count: u64| i64::try_from(count).unwrap();
        let inbound = |node: u16, at: u16| {
            let mine = world
                .inbound
                .iter()
                .filter(move |(of, due, _)| *of == node && *due >= TODAY && *due <= at);
            int(mine.map(|(_, _, count)| count).sum())
        };
        let promised = |pin: Option<u16>, at: u16| {
            let mine = world.promises.iter();
            let mine = mine.filter(|(day, of, _)| *of == pin && moment(*day, TODAY) <= at);
            int(mine.map(|(_, _, count)| count).sum())
        };
        let supply = |node: &(u16, u64), at: u16| int(node.1) + inbound(node.0, at);
        let kept = |node: &(u16, u64), at: u16| {
            let mut found = world.node_safety.iter();
            let found = found.find(|(of, _)| *of == node.0);
            let there = supply(node, at);
            kept_of(found.map(|(_, safety)| *safety), there).min(there)
        };
        let safety = |at: u16| {
            let all: i64 = world.on_hand.iter().map(|node| supply(node, at)).sum();
            let at_nodes: i64 = world.on_hand.iter().map(|node| kept(node, at)).sum();
            kept_of(world.safety, all).max(at_nodes)
        };
        let kept_there = |node: &(u16, u64)| moments.iter().map(|at| kept(node, *at)).collect();
        let free = |node: &(u16, u64)| {
            let at = |at: &u16| supply(node, *at) - promised(Some(node.0), *at);
            moments.iter().map(at).collect()
        };
        Self {
            free: world.on_hand.iter().map(free).collect(),
            unpinned: moments.iter().map(|at| promised(None, *at)).collect(),
            safety: moments.iter().map(|at| safety(*at)).collect(),
            kept: world.on_hand.iter().map(kept_there).collect(),
            moments,
        }
    }

    /// The least that any set of promises leaves over which the claim joins: everything unpinned
    /// up to one moment, and of each node everything pinned up to one that is not before it; or of
    /// the claim's node alone.
    fn room(&self, day: Option<u16>, pin: Option<u16>) -> u64 {
        let claimed = moment(day, TODAY);
        let mut room = i64::MAX;
        for first in 0..self.moments.len() {
            if pin.is_none() && self.moments[first] < claimed {
                continue;
            }
            let kept = self.unpinned[first] + self.safety[first];
            room = room.min(self.least(0, first, (claimed, pin)) - kept);
        }
        if let Some(node) = pin {
            let node = usize::from(node);
            let free = self.free[node].iter().zip(&self.kept[node]);
            let free = free.map(|(free, kept)| free - kept).zip(&self.moments);
            let free = free.filter(|(_, at)| **at >= claimed);
            room = room.min(free.map(|(free, _)| free).min().unwrap());
        }
        u64::try_from(room.max(0)).unwrap()
    }

    /// The same for the nodes from one on, every choice tried.
    fn least(&self, node: usize, first: usize, claim: (u16, Option<u16>)) -> i64 {
        let Some(free) = self.free.get(node) else {
            return 0;
        };
        let joins = claim.1 == Some(u16::try_from(node).unwrap());
        let mine = (first..free.len()).filter(|at| !joins || self.moments[*at] >= claim.0);
        let each = mine.map(|at| free[at] + self.least(node + 1, first, claim));
        each.min().unwrap()
    }
}

#[test]
fn a_timeline_is_what_sets_of_promises_and_assignments_of_units_say() {
    let mut rng = Rng(20_041);
    let (mut kept, mut broken) = (0_u64, 0_u64);
    for round in 0..TIMELINES {
        let world = World::random(&mut rng);
        let stock = world.stock();
        let timeline = Timeline::of(&stock, day(TODAY));
        let (by, pin) = claim(&mut rng, &world);
        let told = timeline.room(by.map(day), pin.map(NodeIx)).0.get();
        let context = || format!("round {round}: {world:?}, claim {by:?} {pin:?}");
        assert_eq!(told, Table::of(&world).room(by, pin), "{}", context());

        let assigned = Matching::of(&world);
        assert_eq!(
            timeline.deficit().get(),
            assigned.unserved(),
            "{}",
            context()
        );
        let until = moment(by, TODAY);
        let want = Want { until, pin };
        let beyond_safety = timeline.room_beyond_safety(by.map(day), pin.map(NodeIx)).0;
        if assigned.unserved() == 0 {
            kept += 1;
            assert_eq!(beyond_safety.get(), assigned.room(want), "{}", context());
        } else {
            // What breaks no condition takes nothing from anybody who can be served.
            broken += 1;
            assert!(beyond_safety.get() <= assigned.room(want), "{}", context());
        }
    }
    assert!(kept > TIMELINES / 5, "{kept} of the timelines can be kept");
    assert!(
        broken > TIMELINES / 5,
        "{broken} of the timelines are broken"
    );
}

/// After those that go without went, all others are served; and no fewer could have gone.
#[test]
fn as_few_promises_as_can_be_go_without() {
    let mut rng = Rng(31);
    for round in 0..TIMELINES / 20 {
        let mut world = World::random(&mut rng);
        let stock = world.stock();
        let promises = (0..)
            .zip(&world.promises)
            .map(|(id, (by, pin, open))| Promise {
                reservation: ReservationId(id),
                channel: ChannelIx(0),
                charged_to: None,
                made: UnixMillis(i64::try_from(rng.below(5)).unwrap()),
                pin: pin.map(NodeIx),
                day: by.map(day),
                held: units(*open),
                committed: Units::ZERO,
            });
        let promises = promises.collect();
        let order = Order::WORDS[rng.index(3)].1;
        let means = Means {
            nodes: stock.nodes(),
            inbound: stock.calendar().inbound(),
            today: day(TODAY),
        };
        let gone = at_risk(means, promises, order, |channel| channel.0).unwrap();
        let sum: u64 = gone.iter().map(|of| of.units.get()).sum();
        assert_eq!(
            sum,
            Matching::of(&world).unserved(),
            "round {round}: {world:?}"
        );
        for of in gone {
            let at = usize::try_from(of.promise.reservation.0).unwrap();
            world.promises[at].2 -= of.units.get();
        }
        assert_eq!(
            Matching::of(&world).unserved(),
            0,
            "round {round}: {world:?}"
        );
    }
}

/// Safety in units is a promise for now to nobody.
#[test]
fn safety_stock_is_kept_back_like_a_promise_for_now() {
    let mut rng = Rng(77);
    for round in 0..TIMELINES / 10 {
        let mut world = World::random(&mut rng);
        let kept = rng.below(4);
        world.safety = Some(Safety::Units(units(kept)));
        world.node_safety.clear();
        let stock = world.stock();
        let (by, pin) = claim(&mut rng, &world);
        let told = Timeline::of(&stock, day(TODAY)).room(by.map(day), pin.map(NodeIx));
        let mut assigned = Matching::of(&world);
        let want = Want {
            until: 0,
            pin: None,
        };
        let all_kept = (0..kept).all(|_| assigned.want(want));
        if all_kept && assigned.unserved() == 0 {
            let until = moment(by, TODAY);
            let room = assigned.room(Want { until, pin });
            assert_eq!(
                told.0.get(),
                room,
                "round {round}: {world:?} {by:?} {pin:?}"
            );
        }
    }
}
