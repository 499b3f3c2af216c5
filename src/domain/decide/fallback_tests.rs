//! Reservations of a channel that may use the shares of others.

use smallvec::smallvec;

use super::reserve::{Grant, reserve};
use crate::domain::calendar::{Calendar, Inbound, InboundKind};
use crate::domain::command::{LineRequest, Lines};
use crate::domain::day::Day;
use crate::domain::ids::{ChannelIx, NodeIx, Sku};
use crate::domain::policy::{Amount, Claim, Document, Entry, LimitOn, Policy, Rule, Scope};
use crate::domain::stock::{NodeStock, Settings, Stock};
use crate::domain::time::UnixMillis;
use crate::domain::units::Units;
use crate::domain::uses::Uses;
use crate::domain::verdict::{Limit, Refusal, Shortage};

const LIVE: ChannelIx = ChannelIx(0);
const SHOP: ChannelIx = ChannelIx(1);
const OUTLET: ChannelIx = ChannelIx(2);
const TODAY: Day = Day::FIRST;

fn units(n: u64) -> Units {
    Units::new(n).unwrap()
}

/// `live` may use the shares of `shop`, then of `outlet`; with these caps.
fn policy(caps: [Amount; 3]) -> Policy {
    let names = ["live", "shop", "outlet"];
    let fallback = vec!["shop".to_owned(), "outlet".to_owned()];
    let channels = names.map(|name| Entry {
        name: name.to_owned(),
        parent: None,
        rank: None,
        fallback: (name == "live").then(|| fallback.clone()),
    });
    let limits = names.into_iter().zip(caps).map(|(channel, cap)| LimitOn {
        channel: channel.to_owned(),
        cap: Some(cap),
        protection: None,
    });
    let rule = Rule {
        frees: false,
        terms: crate::domain::Terms::NONE,
        id: "all".to_owned(),
        scope: Scope::Default,
        from: None,
        until: None,
        every: None,
        limits: limits.collect(),
    };
    let document = Document {
        channels: channels.into(),
        rules: vec![rule],
        ..Document::default()
    };
    let index = |name: &str| names.iter().position(|known| *known == name);
    let index = |name: &str| Some(ChannelIx(u16::try_from(index(name)?).unwrap()));
    Policy::compile(&document, index).unwrap()
}

fn counted(caps: [u64; 3]) -> Policy {
    policy(caps.map(|cap| Amount::Units(units(cap))))
}

/// So many units on hand at one node, and none at another.
fn stock(on_hand: u64) -> Stock {
    let place = |node, on_hand| NodeStock {
        on_hand: units(on_hand),
        ..NodeStock::empty(NodeIx(node))
    };
    let (nodes, none) = (smallvec![place(0, on_hand), place(1, 2)], Units::ZERO);
    Stock::from_parts(nodes, none, none, Settings::default(), Uses::EMPTY, 1)
}

/// Lines by node, units, and days that the caller would wait.
fn ask(
    asked: &[(Option<u16>, u64, Option<u16>)],
    partial: bool,
    stock: &Stock,
    policy: &Policy,
) -> Result<Vec<Grant>, Box<[Shortage]>> {
    let lines = asked.iter().map(|(node, quantity, by)| LineRequest {
        sku: Sku::new("a").unwrap(),
        node: node.map(NodeIx),
        quantity: units(*quantity),
        by: by.map(|days| TODAY.later(days)),
    });
    let lines = Lines::try_new(lines).unwrap();
    let rule = policy.in_force("a", UnixMillis(0)).unwrap();
    let claim = Claim {
        channel: LIVE,
        rule,
    };
    match reserve(&lines, partial, TODAY, |_| Some(stock), |_| Some(claim)) {
        Ok(grants) => Ok(grants.to_vec()),
        Err(Refusal::InsufficientStock { shortages }) => Err(shortages),
        Err(other) => panic!("{other:?}"),
    }
}

/// Of one line: what it gets, and whose share it is.
fn one(quantity: u64, partial: bool, caps: [u64; 3]) -> (u64, Option<ChannelIx>) {
    let line = (None, quantity, None);
    let granted = ask(&[line], partial, &stock(20), &counted(caps)).unwrap();
    (granted[0].units.get(), granted[0].charged_to)
}

#[test]
fn a_line_is_of_the_first_share_that_carries_all_of_it() {
    assert_eq!(one(3, false, [3, 9, 9]), (3, None), "its own does");
    assert_eq!(one(4, false, [3, 9, 9]), (4, Some(SHOP)), "by rank");
    assert_eq!(one(6, false, [3, 5, 9]), (6, Some(OUTLET)), "all or none");
}

#[test]
fn part_of_a_line_is_of_the_share_with_the_most_room() {
    assert_eq!(one(9, true, [3, 6, 5]), (6, Some(SHOP)));
    assert_eq!(one(9, true, [3, 5, 6]), (6, Some(OUTLET)));
    assert_eq!(one(9, true, [6, 6, 6]), (6, None), "its own at a tie");
    assert_eq!(one(9, true, [3, 6, 6]), (6, Some(SHOP)), "the first");
    // More than the stock has no share can give: nothing speaks for another one then.
    assert_eq!(one(90, true, [22, 90, 90]), (22, None));
}

#[test]
fn a_pin_is_no_reason_to_use_the_share_of_another() {
    let policy = counted([3, 9, 9]);
    let granted = ask(&[(Some(1), 4, None)], true, &stock(20), &policy).unwrap();
    assert_eq!((granted[0].units, granted[0].charged_to), (units(2), None));
}

#[test]
fn a_refusal_tells_the_most_of_all_shares_and_how_its_own_stands() {
    let (policy, stock) = (counted([3, 5, 6]), stock(20));
    let refused = ask(&[(None, 9, None)], false, &stock, &policy).unwrap_err();
    let [short] = &*refused else {
        panic!("{refused:?}")
    };
    assert_eq!((short.available, short.limit), (units(6), Limit::Cap));
    let bound = short.bound.unwrap();
    assert_eq!((bound.channel, bound.units), (LIVE, units(3)));
    ask(&[(None, 6, None)], false, &stock, &policy).expect("that would have passed");
}

#[test]
fn lines_before_count_for_the_share_that_they_are_of() {
    let policy = counted([3, 5, 6]);
    let asked = [(None, 4, None), (Some(0), 5, None), (Some(1), 2, None)];
    let granted = ask(&asked, false, &stock(20), &policy).unwrap();
    let charged: Vec<_> = granted.iter().map(|of| of.charged_to).collect();
    assert_eq!(charged, [Some(SHOP), Some(OUTLET), None]);
}

/// Half of 4 today, of 8 in five days.
#[test]
fn an_earlier_day_goes_before_its_own_share() {
    let half = Amount::Percent(5_000);
    let all = Amount::Percent(10_000);
    let announced = Inbound {
        id: "po".into(),
        kind: InboundKind::InTransit,
        node: NodeIx::MAIN,
        due: TODAY.later(5),
        units: units(4),
    };
    let calendar = Calendar::from_parts(vec![announced], Vec::new());
    let stock = stock(2).with_calendar(calendar);
    let by = |days, policy: &Policy| {
        let granted = ask(&[(None, 4, Some(days))], false, &stock, policy).unwrap();
        (granted[0].day, granted[0].charged_to)
    };
    let lends = policy([half, half, all]);
    assert_eq!(by(9, &lends), (Some(TODAY), Some(OUTLET)));
    let lends_no_more = policy([half, half, half]);
    assert_eq!(by(9, &lends_no_more), (Some(TODAY.later(5)), None));
}
