//! What is said of SKUs beside limits, and by whom.

use super::*;
use crate::domain::settings::Terms;
use crate::domain::water::{Level, LowWater};

fn keeps(units_kept: u64) -> Terms {
    Terms {
        safety: Some(Level::Units(units(units_kept))),
        low_water: None,
    }
}

fn marks(mark: u64) -> Terms {
    Terms {
        safety: None,
        low_water: Some(LowWater::at(Level::Units(units(mark)))),
    }
}

fn says(id: &str, scope: Scope, terms: Terms) -> Rule {
    Rule {
        terms,
        ..rule(id, scope)
    }
}

fn during(rule: Rule, from: i64, until: i64) -> Rule {
    Rule {
        from: Some(UnixMillis(from)),
        until: Some(UnixMillis(until)),
        ..rule
    }
}

/// `S` is in a set, by its prefix; it has a campaign from 50 to 60.
fn policy() -> Policy {
    let mut limited = rule("limited", Scope::Default);
    limited.limits = vec![limit("c0", Some(Amount::Units(units(9))), None)];
    limited.terms = keeps(1).or(marks(2));
    let set = Set {
        name: "summer".into(),
        selector: Selector::Prefix("S".into()),
    };
    let of_set = Scope::Set("summer".into());
    let week = ChangeSet {
        name: "week".into(),
        from: UnixMillis(20),
        until: Some(UnixMillis(40)),
        rules: vec![says("more", Scope::Default, keeps(30))],
    };
    let sold = Items::Set("summer".into());
    let document = Document {
        channels: vec![entry("c0", None, None)],
        sets: vec![set],
        rules: vec![
            limited,
            says("set", of_set.clone(), keeps(10)),
            during(says("evening", of_set, marks(11)), 10, 30),
        ],
        change_sets: vec![week],
        campaigns: vec![Campaign {
            terms: marks(50),
            ..campaign("drop", (50, 60), sold)
        }],
        ..Document::default()
    };
    Policy::compile(&document, index_of).unwrap()
}

#[test]
fn each_term_is_that_of_the_first_that_says_it() {
    let policy = policy();
    for (now, kept, mark) in [
        (0, 10, 2),
        // Within a scope, a rule without a period goes on saying what one with a period does not.
        (10, 10, 11),
        (20, 30, 11),
        (29, 30, 11),
        (30, 30, 2),
        (40, 10, 2),
        (50, 10, 50),
        (60, 10, 2),
    ] {
        let found = policy.terms("S1", UnixMillis(now));
        assert_eq!(found, keeps(kept).or(marks(mark)), "at {now}");
    }
    let other = |now| policy.terms("other", UnixMillis(now));
    assert_eq!(other(0), keeps(1).or(marks(2)));
    assert_eq!(other(25), keeps(30).or(marks(2)));
}

/// A rule that is there for something else says nothing of limits.
#[test]
fn who_says_no_limits_leaves_those_that_are_in_force() {
    let policy = policy();
    for now in [0, 10, 20, 50] {
        let rule = policy.in_force("S1", UnixMillis(now)).unwrap();
        assert_eq!(rule.id(), "limited", "at {now}");
    }
    let silent = Policy::compile(&Document::default(), index_of).unwrap();
    assert_eq!(silent.terms("S1", UnixMillis(0)), Terms::NONE);
}

/// An empty list of limits beside something else says that there are none.
#[test]
fn who_says_that_there_are_no_limits_frees() {
    let mut limited = rule("limited", Scope::Default);
    limited.limits = vec![limit("c0", Some(Amount::Units(units(9))), None)];
    let in_force = |frees| {
        let one = Rule {
            frees,
            ..says("one", Scope::Sku("S".into()), keeps(1))
        };
        let document = Document {
            channels: vec![entry("c0", None, None)],
            rules: vec![limited.clone(), one],
            ..Document::default()
        };
        let policy = Policy::compile(&document, index_of).unwrap();
        let id = policy
            .in_force("S", UnixMillis(0))
            .map(|rule| rule.id().to_owned());
        id.unwrap()
    };
    assert_eq!(in_force(true), "one");
    assert_eq!(in_force(false), "limited");
}

#[test]
fn every_fault_of_terms_is_named() {
    let terms = Terms {
        safety: Some(Level::Percent(10_001)),
        low_water: Some(LowWater {
            resume: Some(Level::Percent(20_000)),
            ..LowWater::at(Level::Percent(20_001))
        }),
    };
    let document = Document {
        rules: vec![says("bad", Scope::Default, terms)],
        campaigns: vec![Campaign {
            terms: keeps(1),
            ..campaign("drop", (0, 1), Items::Skus(vec!["S".into()]))
        }],
        ..Document::default()
    };
    let faults = Policy::compile(&document, index_of).unwrap_err();
    let faults: Vec<_> = faults
        .iter()
        .map(|of| (of.path.as_str(), of.code))
        .collect();
    let expected = [
        ("rules[0].safety_stock.percent", "percent_over_100"),
        ("rules[0].low_water.percent", "percent_over_100"),
        ("rules[0].low_water.resume.percent", "percent_over_100"),
        ("rules[0].low_water.resume", "not_above_mark"),
    ];
    assert_eq!(faults, expected);
}
