//! Reservations decided, of stock and of what is announced.

use smallvec::smallvec;

use super::reserve::{Grant, reserve};
use crate::domain::calendar::{Calendar, Inbound, InboundKind};
use crate::domain::command::{LineRequest, Lines};
use crate::domain::day::Day;
use crate::domain::ids::{ChannelIx, NodeIx, Sku};
use crate::domain::policy::{Amount, Claim, Document, Entry, LimitOn, Policy, Rule, Scope};
use crate::domain::stock::{NodeStock, Safety, Selling, Settings, Stock};
use crate::domain::time::UnixMillis;
use crate::domain::units::Units;
use crate::domain::uses::Uses;
use crate::domain::verdict::{Limit, Refusal};

fn units(n: u64) -> Units {
    Units::new(n).unwrap()
}

/// Two nodes with 6 and 4 units, 1 pinned at the second, 2 held in all.
fn two_nodes(settings: Settings) -> Stock {
    let place = |node, on_hand, pinned| NodeStock {
        on_hand: units(on_hand),
        pinned: units(pinned),
        ..NodeStock::empty(NodeIx(node))
    };
    let nodes = smallvec![place(1, 6, 0), place(2, 4, 1)];
    Stock::from_parts(nodes, units(2), Units::ZERO, settings, Uses::EMPTY, 7)
}

fn ask(lines: &[(Option<u16>, u64)], partial: bool, stock: &Stock) -> Result<Vec<u64>, Refusal> {
    let lines = lines.iter().map(|(node, quantity)| LineRequest {
        sku: Sku::new("a").unwrap(),
        node: node.map(NodeIx),
        quantity: units(*quantity),
        by: None,
    });
    let lines = Lines::try_new(lines).unwrap();
    let grants = reserve(&lines, partial, Day::FIRST, |_| Some(stock), |_| None)?;
    Ok(grants.iter().map(|grant| grant.units.get()).collect())
}

fn short(refusal: Result<Vec<u64>, Refusal>) -> Vec<(u64, u64, Limit)> {
    let Err(Refusal::InsufficientStock { shortages }) = refusal else {
        panic!("{refusal:?}")
    };
    shortages
        .iter()
        .map(|s| (s.available.get(), s.short().get(), s.limit))
        .collect()
}

#[test]
fn takes_up_to_what_is_unpromised() {
    let stock = two_nodes(Settings::default());
    assert_eq!(ask(&[(None, 8)], false, &stock), Ok(vec![8]));
    assert_eq!(
        short(ask(&[(None, 9)], false, &stock)),
        [(8, 1, Limit::Stock)]
    );
    assert_eq!(ask(&[(None, 9)], true, &stock), Ok(vec![8]));
}

#[test]
fn pin_is_bound_by_its_node() {
    let stock = two_nodes(Settings::default());
    assert_eq!(ask(&[(Some(2), 3)], false, &stock), Ok(vec![3]));
    assert_eq!(
        short(ask(&[(Some(2), 4)], false, &stock)),
        [(3, 1, Limit::Node)]
    );
    assert_eq!(
        short(ask(&[(Some(9), 1)], false, &stock)),
        [(0, 1, Limit::Node)]
    );
}

#[test]
fn lines_of_one_sku_share_what_is_there() {
    let stock = two_nodes(Settings::default());
    assert_eq!(
        ask(&[(None, 5), (Some(2), 3)], false, &stock),
        Ok(vec![5, 3])
    );
    assert_eq!(
        short(ask(&[(None, 6), (Some(2), 3)], false, &stock)),
        [(2, 1, Limit::Stock)]
    );
}

#[test]
fn safety_and_suspension_are_named() {
    let mut settings = Settings {
        safety: Safety::Percent(2_500),
        ..Settings::default()
    };
    let stock = two_nodes(settings.clone());
    assert_eq!(
        short(ask(&[(None, 6)], false, &stock)),
        [(5, 1, Limit::Safety)]
    );
    settings.selling = Selling::Suspended;
    let stock = two_nodes(settings);
    assert_eq!(
        short(ask(&[(None, 1)], true, &stock)),
        [(0, 1, Limit::Suspended)]
    );
}

#[test]
fn unknown_sku_comes_before_any_shortage() {
    let lines = Lines::try_new([LineRequest {
        sku: Sku::new("nope").unwrap(),
        node: None,
        quantity: units(1),
        by: None,
    }])
    .unwrap();
    let refusal = reserve(&lines, true, Day::FIRST, |_| None, |_| None).unwrap_err();
    assert_eq!(refusal, Refusal::UnknownSku { sku: "nope".into() });
}

/// Two on hand, three due in two days, four in five.
fn dated() -> Stock {
    let entry = |days, units_due| Inbound {
        id: days_text(days),
        kind: InboundKind::InTransit,
        node: NodeIx::MAIN,
        due: TODAY.later(days),
        units: units(units_due),
    };
    let place = NodeStock {
        on_hand: units(2),
        ..NodeStock::empty(NodeIx::MAIN)
    };
    let (none, settings) = (Units::ZERO, Settings::default());
    Stock::from_parts(smallvec![place], none, none, settings, Uses::EMPTY, 1).with_calendar(
        Calendar::from_parts(vec![entry(2, 3), entry(5, 4)], Vec::new()),
    )
}

fn days_text(days: u16) -> Box<str> {
    days.to_string().into()
}

const TODAY: Day = Day::FIRST;

fn ahead_of(day: Day) -> u16 {
    day.get().checked_sub(TODAY.get()).unwrap()
}

fn ask_by(
    asked: &[(Option<u16>, u64, Option<u16>)],
    partial: bool,
    claim: Option<Claim<'_>>,
) -> Result<Vec<(u64, Option<u16>)>, Refusal> {
    let lines = asked.iter().map(|(node, quantity, by)| LineRequest {
        sku: Sku::new("a").unwrap(),
        node: node.map(NodeIx),
        quantity: units(*quantity),
        by: by.map(|days| TODAY.later(days)),
    });
    let lines = Lines::try_new(lines).unwrap();
    let stock = dated();
    let grants = reserve(&lines, partial, TODAY, |_| Some(&stock), |_| claim)?;
    let grant = |of: &Grant| (of.units.get(), of.day.map(ahead_of));
    Ok(grants.iter().map(grant).collect())
}

fn short_by(refusal: Result<Vec<(u64, Option<u16>)>, Refusal>) -> (u64, Limit, Option<u16>) {
    let Err(Refusal::InsufficientStock { shortages }) = refusal else {
        panic!("{refusal:?}")
    };
    let next = shortages[0].next.map(ahead_of);
    (shortages[0].available.get(), shortages[0].limit, next)
}

#[test]
fn a_line_gets_the_first_day_that_has_all_of_it() {
    assert_eq!(ask_by(&[(None, 2, None)], false, None), Ok(vec![(2, None)]));
    assert_eq!(
        ask_by(&[(None, 2, Some(9))], false, None),
        Ok(vec![(2, Some(0))])
    );
    assert_eq!(
        ask_by(&[(None, 3, Some(9))], false, None),
        Ok(vec![(3, Some(2))])
    );
    assert_eq!(
        ask_by(&[(None, 9, Some(5))], false, None),
        Ok(vec![(9, Some(5))])
    );
    // Each line sees what the one before it took, and when.
    let both = [(None, 4, Some(9)), (Some(0), 2, Some(9))];
    assert_eq!(
        ask_by(&both, false, None),
        Ok(vec![(4, Some(2)), (2, Some(5))])
    );
}

#[test]
fn a_refusal_says_when_more_could_be_had() {
    assert_eq!(
        short_by(ask_by(&[(None, 3, None)], false, None)),
        (2, Limit::Date, Some(2))
    );
    let by = |days, quantity| ask_by(&[(None, quantity, Some(days))], false, None);
    assert_eq!(short_by(by(4, 6)), (5, Limit::Date, Some(5)));
    assert_eq!(short_by(by(9, 10)), (9, Limit::Inbound, None));
    assert_eq!(
        ask_by(&[(None, 10, Some(9))], true, None),
        Ok(vec![(9, Some(5))])
    );
    assert_eq!(
        ask_by(&[(None, 6, Some(4))], true, None),
        Ok(vec![(5, Some(2))])
    );
}

#[test]
fn a_day_that_has_passed_is_refused_with_the_next_one() {
    let line = LineRequest {
        sku: Sku::new("a").unwrap(),
        node: None,
        quantity: units(1),
        by: Some(TODAY),
    };
    let lines = Lines::try_new([line]).unwrap();
    let tomorrow = TODAY.later(1);
    for stock in [dated(), two_nodes(Settings::default())] {
        let refused = reserve(&lines, true, tomorrow, |_| Some(&stock), |_| None);
        let Err(Refusal::InsufficientStock { shortages }) = refused else {
            panic!("{refused:?}")
        };
        let short = &shortages[0];
        assert_eq!((short.available, short.limit), (Units::ZERO, Limit::Date));
        assert_eq!(short.next, Some(tomorrow));
    }
    // Another day helps nobody while it is not on sale.
    let suspended = two_nodes(Settings {
        selling: Selling::Suspended,
        ..Settings::default()
    });
    let refused = reserve(&lines, true, tomorrow, |_| Some(&suspended), |_| None);
    let Err(Refusal::InsufficientStock { shortages }) = refused else {
        panic!("{refused:?}")
    };
    assert_eq!(
        (shortages[0].limit, shortages[0].next),
        (Limit::Suspended, None)
    );
    let stock = two_nodes(Settings::default());
    let granted = reserve(&lines, false, TODAY, |_| Some(&stock), |_| None).unwrap();
    assert_eq!(granted[0].day, Some(TODAY), "today is in time");
}

/// Half of what there is by the day of the claim: 1 of 2, 2 of 5, 4 of 9.
#[test]
fn a_cap_in_percent_is_of_the_supply_of_the_day() {
    let limit = LimitOn {
        channel: "web".to_owned(),
        cap: Some(Amount::Percent(5_000)),
        protection: None,
    };
    let rule = Rule {
        frees: false,
        terms: crate::domain::Terms::NONE,
        id: "half".to_owned(),
        scope: Scope::Default,
        from: None,
        until: None,
        every: None,
        limits: vec![limit],
    };
    let web = Entry {
        name: "web".to_owned(),
        parent: None,
        rank: None,
        fallback: None,
    };
    let document = Document {
        channels: vec![web],
        rules: vec![rule],
        ..Document::default()
    };
    let policy = Policy::compile(&document, |_| Some(ChannelIx(1))).unwrap();
    let rule = policy.in_force("a", UnixMillis(0)).unwrap();
    let claim = Claim {
        channel: ChannelIx(1),
        rule,
    };
    let by = |days, quantity| ask_by(&[(None, quantity, Some(days))], false, Some(claim));
    assert_eq!(by(9, 1), Ok(vec![(1, Some(0))]));
    assert_eq!(by(9, 2), Ok(vec![(2, Some(2))]));
    assert_eq!(by(9, 4), Ok(vec![(4, Some(5))]));
    assert_eq!(short_by(by(9, 5)), (4, Limit::Cap, None));
    assert_eq!(short_by(by(3, 4)), (2, Limit::Cap, Some(5)));
}
