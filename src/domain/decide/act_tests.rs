//! What may be done with a reservation, state by state, and which node ships.

use smallvec::smallvec;

use super::act::{LineFacts, act};
use crate::domain::command::{Act, LineRequest, Lines, Verb};
use crate::domain::day::Day;
use crate::domain::ids::{NodeIx, ReservationId, Sku};
use crate::domain::line::{Line, Move};
use crate::domain::stock::{NodeStock, Settings, Stock};
use crate::domain::time::{Ttl, UnixMillis};
use crate::domain::units::Units;
use crate::domain::uses::Uses;
use crate::domain::verdict::{Excess, Limit, Refusal};

const SHIP: Verb = Verb::Ship { from: None };
const RETURN: Verb = Verb::Return {
    restock: true,
    to: None,
};
const TRANSFER: Verb = Verb::Transfer { to: NodeIx(2) };

fn units(n: u64) -> Units {
    Units::new(n).unwrap()
}

/// A line with one unit in each of these states.
fn line(states: &str) -> Line {
    let one = |state| units(u64::from(states.contains(state)));
    Line {
        held: one("held"),
        committed: one("committed"),
        shipped: one("shipped"),
        returned: one("returned"),
        released: one("released"),
        expired: one("expired"),
        ..Line::pinned(Some(NodeIx(1)))
    }
}

/// Two nodes with 5 and 3 units, of which so many are pinned; 8 are committed in all.
fn two_nodes(pinned: [u64; 2]) -> Stock {
    let place = |node, on_hand, pinned| NodeStock {
        on_hand: units(on_hand),
        pinned: units(pinned),
        ..NodeStock::empty(NodeIx(node))
    };
    let nodes = smallvec![place(1, 5, pinned[0]), place(2, 3, pinned[1])];
    let (settings, uses) = (Settings::default(), Uses::EMPTY);
    Stock::from_parts(nodes, Units::ZERO, units(8), settings, uses, 7)
}

type Moves = Vec<(usize, Move)>;

fn decide(
    verb: Verb,
    asked: &[(&str, Option<u16>, u64)],
    lines: &[(&str, Line)],
) -> Result<Moves, Refusal> {
    decide_on(&two_nodes([2, 1]), verb, asked, lines)
}

fn decide_on(
    stock: &Stock,
    verb: Verb,
    asked: &[(&str, Option<u16>, u64)],
    lines: &[(&str, Line)],
) -> Result<Moves, Refusal> {
    let asked = asked.iter().map(|(sku, node, quantity)| LineRequest {
        sku: Sku::new(sku).unwrap(),
        node: node.map(NodeIx),
        quantity: units(*quantity),
        by: None,
    });
    let asked = Act {
        id: ReservationId(1),
        verb,
        lines: Lines::try_new(asked).ok(),
    };
    let facts = lines.iter().map(|&(sku, line)| LineFacts { sku, line });
    let facts: Vec<LineFacts<'_>> = facts.collect();
    let (deadline, now) = (UnixMillis(1_000), UnixMillis(0));
    let plan = act(&asked, deadline, now, &facts, |_| Some(stock))?;
    Ok(plan.moves.into_vec())
}

fn whole(verb: Verb, states: &str) -> Result<usize, Refusal> {
    decide(verb, &[], &[("A", line(states))]).map(|moves| moves.len())
}

#[test]
fn what_is_not_open_any_more_is_refused_by_what_became_of_it_or_done_already() {
    use Refusal::{Expired, NotConfirmed, NotShipped, Released, Shipped};
    let table = [
        ("held", [Ok(1), Ok(1), Err(NotConfirmed), Err(NotShipped)]),
        ("committed", [Ok(0), Ok(1), Ok(1), Err(NotShipped)]),
        ("shipped", [Ok(0), Err(Shipped), Ok(0), Ok(1)]),
        ("shipped, returned", [Ok(0), Err(Shipped), Ok(0), Ok(0)]),
        (
            "released",
            [Err(Released), Ok(0), Err(Released), Err(NotShipped)],
        ),
        (
            "expired",
            [Err(Expired), Ok(0), Err(Expired), Err(NotShipped)],
        ),
        ("released, shipped", [Ok(0), Ok(0), Ok(0), Ok(1)]),
        ("held, committed", [Ok(1), Ok(2), Ok(1), Err(NotShipped)]),
    ];
    for (states, expected) in table {
        let verbs = [Verb::Confirm, Verb::Release, SHIP, RETURN];
        let found = verbs.map(|verb| whole(verb, states));
        assert_eq!(found, expected, "{states}");
    }
}

#[test]
fn only_what_is_open_is_pinned_elsewhere() {
    use Refusal::{Expired, Released, Shipped};
    let table = [
        ("held", Ok(1)),
        ("committed", Ok(1)),
        ("expired", Err(Expired)),
        ("released", Err(Released)),
        ("released, shipped", Err(Shipped)),
        ("shipped", Err(Shipped)),
    ];
    for (states, expected) in table {
        assert_eq!(whole(TRANSFER, states), expected, "{states}");
    }
}

#[test]
fn only_what_is_held_is_extended_and_never_to_an_earlier_deadline() {
    use Refusal::{Expired, NotHeld, Released};
    let extend = |states, ms| {
        let asked = Act {
            id: ReservationId(1),
            verb: Verb::Extend(Ttl::from_millis(ms).unwrap()),
            lines: None,
        };
        let (sku, line) = ("A", line(states));
        let (deadline, now) = (UnixMillis(1_000), UnixMillis(500));
        let plan = act(&asked, deadline, now, &[LineFacts { sku, line }], |_| None)?;
        assert!(plan.moves.is_empty());
        Ok(plan.deadline.map(|at| at.0))
    };
    assert_eq!(extend("held", 501), Ok(Some(1_001)));
    assert_eq!(extend("held", 400), Ok(Some(1_000)));
    assert_eq!(extend("expired", 1), Err(Expired));
    assert_eq!(extend("released", 1), Err(Released));
    assert_eq!(extend("committed", 1), Err(NotHeld));
    assert_eq!(extend("released, committed", 1), Err(NotHeld));
    assert_eq!(extend("released, shipped", 1), Err(NotHeld));
}

/// `A` is held at node 1 and at node 2, two units each; `B` is held once, anywhere.
fn three_lines() -> [(&'static str, Line); 3] {
    let held = |pin: Option<u16>, held| Line {
        held: units(held),
        ..Line::pinned(pin.map(NodeIx))
    };
    [
        ("A", held(Some(1), 2)),
        ("A", held(Some(2), 2)),
        ("B", held(None, 1)),
    ]
}

#[test]
fn a_line_without_a_node_takes_from_all_of_its_sku_in_order() {
    let confirm = |asked: &[_]| decide(Verb::Confirm, asked, &three_lines());
    let commit = |at, n| (at, Move::Commit(units(n)));
    assert_eq!(
        confirm(&[("A", None, 3)]),
        Ok(vec![commit(0, 2), commit(1, 1)])
    );
    assert_eq!(confirm(&[("A", Some(2), 1)]), Ok(vec![commit(1, 1)]));
    assert_eq!(
        confirm(&[("A", None, 1), ("A", Some(1), 1), ("B", None, 1)]),
        Ok(vec![commit(0, 1), commit(0, 1), commit(2, 1)]),
        "what one line took the next does not have"
    );
}

#[test]
fn lines_that_are_not_there_or_have_less_are_named() {
    let ask = |verb, asked: &[_]| decide(verb, asked, &three_lines()).unwrap_err();
    let unknown = |sku: &str, node: Option<u16>| Refusal::UnknownLine {
        sku: sku.into(),
        node: node.map(NodeIx),
    };
    assert_eq!(ask(Verb::Confirm, &[("C", None, 1)]), unknown("C", None));
    assert_eq!(
        ask(Verb::Confirm, &[("B", Some(1), 1)]),
        unknown("B", Some(1))
    );
    let excess = |node: Option<u16>, requested, possible| -> Box<[Excess]> {
        Box::new([Excess {
            sku: "A".into(),
            node: node.map(NodeIx),
            requested: units(requested),
            possible: units(possible),
        }])
    };
    assert_eq!(
        ask(Verb::Confirm, &[("A", None, 5), ("B", None, 1)]),
        Refusal::OverConfirm {
            lines: excess(None, 5, 4)
        }
    );
    assert_eq!(
        ask(Verb::Release, &[("A", Some(1), 3)]),
        Refusal::OverRelease {
            lines: excess(Some(1), 3, 2)
        }
    );
    // Elsewhere goes a line as a whole, or not at all.
    assert_eq!(
        ask(TRANSFER, &[("A", Some(1), 1)]),
        Refusal::PartialTransfer {
            lines: excess(Some(1), 1, 2)
        }
    );
}

#[test]
fn what_came_back_before_is_released_again_by_lines_without_a_change() {
    let gone = [("A", line("released")), ("B", line("expired"))];
    let release = |asked: &[_]| decide(Verb::Release, asked, &gone);
    assert_eq!(release(&[("A", None, 1), ("B", None, 1)]), Ok(vec![]));
    assert!(matches!(
        release(&[("A", None, 2)]),
        Err(Refusal::OverRelease { .. })
    ));
}

#[test]
fn held_units_are_released_before_committed_ones() {
    let both = Line {
        held: units(2),
        committed: units(3),
        ..Line::default()
    };
    let release = |n| decide(Verb::Release, &[("A", None, n)], &[("A", both)]).unwrap();
    let held = |n| (0, Move::ReleaseHeld(units(n)));
    assert_eq!(release(1), [held(1)]);
    assert_eq!(release(2), [held(2)]);
    let committed = (0, Move::ReleaseCommitted(units(2)));
    assert_eq!(release(4), [held(2), committed]);
}

fn committed(pin: Option<u16>, n: u64) -> Line {
    Line {
        committed: units(n),
        ..Line::pinned(pin.map(NodeIx))
    }
}

fn shipped(from: Option<u16>, line: Line) -> Result<Moves, (u64, Option<NodeIx>, Limit)> {
    let stock = two_nodes(if line.pin.is_some() { [5, 0] } else { [2, 1] });
    let from = from.map(NodeIx);
    decide_on(&stock, Verb::Ship { from }, &[], &[("A", line)]).map_err(|refusal| {
        let Refusal::InsufficientStock { shortages } = refusal else {
            panic!("{refusal:?}")
        };
        let short = &shortages[0];
        (short.available.get(), short.node, short.limit)
    })
}

#[test]
fn a_pinned_line_ships_from_its_node_alone() {
    let (one, other) = (NodeIx(1), NodeIx(2));
    let all = vec![(0, Move::Ship(one, units(5)))];
    assert_eq!(shipped(None, committed(Some(1), 5)), Ok(all.clone()));
    assert_eq!(shipped(Some(1), committed(Some(1), 5)), Ok(all));
    assert_eq!(
        shipped(None, committed(Some(1), 6)),
        Err((5, Some(one), Limit::Node))
    );
    assert_eq!(
        shipped(Some(2), committed(Some(1), 1)),
        Err((0, Some(other), Limit::Node))
    );
}

#[test]
fn an_unpinned_line_ships_what_no_pin_needs_from_the_nodes_in_order() {
    let ship = |node, n| (0, Move::Ship(NodeIx(node), units(n)));
    assert_eq!(shipped(None, committed(None, 3)), Ok(vec![ship(1, 3)]));
    assert_eq!(
        shipped(None, committed(None, 5)),
        Ok(vec![ship(1, 3), ship(2, 2)])
    );
    assert_eq!(
        shipped(None, committed(None, 6)),
        Err((5, None, Limit::Stock))
    );
    assert_eq!(shipped(Some(2), committed(None, 2)), Ok(vec![ship(2, 2)]));
    assert_eq!(
        shipped(Some(2), committed(None, 3)),
        Err((2, Some(NodeIx(2)), Limit::Node))
    );
}

#[test]
fn lines_of_one_sku_ship_from_what_the_ones_before_left() {
    let ship = |lines: &[_]| decide(SHIP, &[], lines);
    let (two, three) = (committed(None, 2), committed(None, 3));
    assert_eq!(
        ship(&[("A", three), ("A", two)]).unwrap(),
        [
            (0, Move::Ship(NodeIx(1), units(3))),
            (1, Move::Ship(NodeIx(2), units(2)))
        ]
    );
    assert!(ship(&[("A", three), ("A", three)]).is_err());
    assert!(ship(&[("A", three), ("B", three)]).is_ok());
}

#[test]
fn lines_of_one_sku_are_pinned_to_what_the_ones_before_left() {
    let transfer = |lines: &[_]| decide(TRANSFER, &[], lines).map(|moves| moves.len());
    let one = committed(Some(1), 1);
    assert_eq!(transfer(&[("A", one), ("A", one)]), Ok(2));
    assert_eq!(transfer(&[("B", one), ("A", committed(None, 2))]), Ok(2));
    let short = transfer(&[("A", one), ("A", committed(None, 2))]);
    let Err(Refusal::InsufficientStock { shortages }) = short else {
        panic!("{short:?}")
    };
    assert_eq!(shortages[0].available, units(1));
    assert_eq!(
        transfer(&[("A", committed(Some(2), 9))]),
        Ok(0),
        "it is there already"
    );
}

#[test]
fn what_comes_back_goes_to_its_pin_unless_another_node_takes_it() {
    let back = |restock, to: Option<u16>, line| {
        let to = to.map(NodeIx);
        decide(Verb::Return { restock, to }, &[], &[("A", line)]).unwrap()
    };
    let at = |pin: Option<u16>| Line {
        shipped: units(3),
        returned: units(1),
        ..Line::pinned(pin.map(NodeIx))
    };
    let restock = |node, n| vec![(0, Move::Restock(node, units(n)))];
    assert_eq!(back(true, None, at(Some(1))), restock(NodeIx(1), 2));
    assert_eq!(back(true, Some(2), at(Some(1))), restock(NodeIx(2), 2));
    assert_eq!(back(true, None, at(None)), restock(NodeIx::MAIN, 2));
    assert_eq!(
        back(false, None, at(Some(1))),
        [(0, Move::Quarantine(NodeIx(1), units(2)))]
    );
}

#[test]
fn no_more_comes_back_than_can_be_counted() {
    let line = Line {
        shipped: Units::MAX,
        ..Line::pinned(Some(NodeIx(1)))
    };
    assert_eq!(
        decide(RETURN, &[], &[("A", line)]),
        Err(Refusal::TooMany { sku: "A".into() })
    );
}

/// Eight units are there and eight are promised for now: a ninth, for a later day, is not there yet.
#[test]
fn a_line_whose_day_is_to_come_ships_only_what_nobody_else_was_promised() {
    let ship = |day| {
        let mut stock = two_nodes([2, 1]);
        let unmade = Line {
            day,
            ..Line::default()
        };
        let one = units(1);
        stock.move_units(&unmade, Move::Hold(one)).unwrap();
        stock.move_units(&unmade, Move::Commit(one)).unwrap();
        let line = Line {
            committed: one,
            ..unmade
        };
        let asked = Act {
            id: ReservationId(1),
            verb: SHIP,
            lines: None,
        };
        let facts = [LineFacts { sku: "A", line }];
        let now = UnixMillis(0);
        act(&asked, now, now, &facts, |_| Some(&stock)).is_ok()
    };
    assert!(ship(None));
    assert!(!ship(Day::new(30)));
}
