//! Small timelines worked out by hand.

use super::*;
use crate::domain::verdict::Limit;

fn rooms(world: &World) -> Vec<(Option<u16>, u64, Limit)> {
    let stock = world.stock();
    let buckets = stock.profile(&Timeline::of(&stock, day(TODAY)), None, |_| None);
    let bucket = |of: &Bucket| (of.day.map(Day::get), of.available.get(), of.limit);
    buckets.iter().map(bucket).collect()
}

#[test]
fn a_promise_for_later_is_not_eaten_by_one_for_now() {
    let world = World {
        on_hand: vec![(0, 10)],
        inbound: vec![(0, TODAY + 5, 20)],
        promises: vec![(Some(TODAY + 7), None, 25)],
        ..World::default()
    };
    // 30 units in all, 25 of them are promised: five are left, whenever they are asked for.
    assert_eq!(rooms(&world), [(None, 5, Limit::Later)]);
}

#[test]
fn supply_that_comes_later_is_there_for_those_who_take_it_later() {
    let world = World {
        on_hand: vec![(0, 10)],
        inbound: vec![(0, TODAY + 5, 20), (1, TODAY - 1, 50)],
        promises: vec![(None, None, 4)],
        ..World::default()
    };
    // What is overdue counts for nothing.
    let expected = [
        (None, 6, Limit::Stock),
        (Some(TODAY + 5), 26, Limit::Inbound),
    ];
    assert_eq!(rooms(&world), expected);
}

#[test]
fn what_is_due_today_is_not_on_hand_yet() {
    let world = World {
        on_hand: vec![(0, 1)],
        inbound: vec![(0, TODAY, 2)],
        ..World::default()
    };
    let expected = [(None, 1, Limit::Stock), (Some(TODAY), 3, Limit::Inbound)];
    assert_eq!(rooms(&world), expected);
}

#[test]
fn a_pin_takes_the_units_that_only_it_can_have() {
    // Node 0 has a unit now; node 1 gets one on day 2, for which it is pinned.
    let world = World {
        on_hand: vec![(0, 1), (1, 0)],
        inbound: vec![(1, TODAY + 2, 1)],
        promises: vec![(Some(TODAY + 2), Some(1), 1)],
        ..World::default()
    };
    let stock = world.stock();
    let timeline = Timeline::of(&stock, day(TODAY));
    let room = |by: u16, pin| timeline.room(Some(day(by)), pin);
    assert_eq!(room(TODAY, None), (units(1), Limit::Stock));
    assert_eq!(room(TODAY + 2, Some(NodeIx(1))), (Units::ZERO, Limit::Node));
    assert_eq!(timeline.deficit(), Units::ZERO);
}

#[test]
fn safety_stock_is_kept_back_of_what_comes_as_well() {
    let world = World {
        on_hand: vec![(0, 2)],
        inbound: vec![(0, TODAY + 1, 10)],
        safety: Some(Safety::Units(units(5))),
        ..World::default()
    };
    let expected = [
        (None, 0, Limit::Safety),
        (Some(TODAY + 1), 7, Limit::Safety),
    ];
    assert_eq!(rooms(&world), expected);
}

/// Of six units on hand and ten to come at a node that keeps half, a pin may have what is left of each.
#[test]
fn a_node_keeps_its_own_safety_stock_of_what_comes() {
    let world = World {
        on_hand: vec![(0, 6), (1, 4)],
        inbound: vec![(0, TODAY + 1, 10)],
        promises: vec![(None, Some(0), 2)],
        safety: Some(Safety::Units(units(1))),
        node_safety: vec![(0, Safety::Percent(5_000)), (1, Safety::Units(units(9)))],
    };
    let stock = world.stock();
    let timeline = Timeline::of(&stock, day(TODAY));
    let room = |day, node: Option<u16>| timeline.room(day, node.map(NodeIx));
    assert_eq!(room(None, Some(0)), (units(1), Limit::Safety));
    assert_eq!(
        room(Some(day(TODAY + 1)), Some(0)),
        (units(6), Limit::Safety)
    );
    // A node keeps no more than it has, and what it lacks is kept nowhere else.
    assert_eq!(room(None, Some(1)), (Units::ZERO, Limit::Safety));
    assert_eq!(room(None, None), (units(1), Limit::Safety));
    assert_eq!(room(Some(day(TODAY + 1)), None), (units(6), Limit::Safety));
    let beyond = timeline.room_beyond_safety(None, Some(NodeIx(0)));
    assert_eq!(beyond, (units(4), Limit::Node));
    assert_eq!(timeline.spare(NodeIx(0)), units(4));
    assert_eq!(timeline.deficit(), Units::ZERO);
}

#[test]
fn a_late_arrival_leaves_a_deficit_until_it_has_a_new_date() {
    let mut world = World {
        on_hand: vec![(0, 1)],
        inbound: vec![(0, TODAY - 1, 5)],
        promises: vec![(Some(TODAY + 3), None, 4)],
        ..World::default()
    };
    let deficit = |world: &World| Timeline::of(&world.stock(), day(TODAY)).deficit().get();
    assert_eq!(deficit(&world), 3);
    world.inbound[0].1 = TODAY + 3;
    assert_eq!(deficit(&world), 0);
    world.inbound[0].1 = TODAY + 4;
    assert_eq!(deficit(&world), 3);
}

#[test]
fn units_that_a_pin_needs_later_are_kept_for_it_where_it_is() {
    let world = World {
        on_hand: vec![(0, 1), (1, 5)],
        promises: vec![(Some(TODAY + 2), Some(1), 3)],
        ..World::default()
    };
    assert_eq!(rooms(&world), [(None, 3, Limit::Later)]);
}

#[test]
fn of_limits_that_leave_the_same_the_widest_is_named() {
    let world = World {
        on_hand: vec![(0, 5)],
        inbound: vec![(0, TODAY + 1, 2)],
        ..World::default()
    };
    let stock = world.stock();
    let timeline = Timeline::of(&stock, day(TODAY));
    let pinned = timeline.room(None, Some(NodeIx(0)));
    assert_eq!(pinned, (units(5), Limit::Stock));
}

#[test]
fn announcements_are_kept_by_day_then_name() {
    let mut stock = Stock::default();
    let names = [("b", 9), ("a", 9), ("c", 3), ("d", 12), ("b", 5)];
    for (id, days) in names {
        let entry = Inbound {
            id: id.into(),
            kind: InboundKind::Presale,
            node: NodeIx(0),
            due: day(TODAY + days),
            units: units(1),
        };
        stock.put_inbound(entry).unwrap();
    }
    let kept = stock.calendar().inbound().iter();
    let kept: Vec<_> = kept.map(|of| (&*of.id, of.due.get() - TODAY)).collect();
    assert_eq!(kept, [("c", 3), ("b", 5), ("a", 9), ("d", 12)]);
}
