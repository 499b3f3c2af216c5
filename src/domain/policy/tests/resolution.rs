//! Which rule is in force, and since when.

use super::*;
use crate::domain::time::UnixMillis;

const DAY: i64 = 24 * 3_600 * 1_000;

fn dated(id: &str, scope: Scope, from: i64, until: Option<i64>, every: Option<Every>) -> Rule {
    Rule {
        from: Some(UnixMillis(from)),
        until: until.map(UnixMillis),
        every,
        ..rule(id, scope)
    }
}

/// Each rule has a cap of its own number, by which it is known again.
fn numbered(mut rules: Vec<Rule>) -> Document {
    for (at, rule) in rules.iter_mut().enumerate() {
        let cap = Amount::Units(units(u64::try_from(at).unwrap()));
        rule.limits = vec![limit("c0", Some(cap), None)];
    }
    let set = |name: &str, selector| Set {
        name: name.into(),
        selector,
    };
    Document {
        channels: vec![entry("c0", None, None)],
        sets: vec![
            set("list", Selector::Skus(vec!["ab1".into(), "x".into()])),
            set("tag", Selector::Tag("tagged".into())),
            set("short", Selector::Prefix("a".into())),
            set("long", Selector::Prefix("ab".into())),
        ],
        tags: vec![Tag {
            name: "tagged".into(),
            skus: vec!["ab2".into()],
        }],
        rules,
    }
}

fn found(policy: &Policy, sku: &str, now: i64) -> Option<(u64, i64)> {
    let in_force = policy.in_force(sku, UnixMillis(now))?;
    let Some(Amount::Units(number)) = in_force.limits[0].cap else {
        panic!("{in_force:?}")
    };
    Some((number.get(), in_force.window().0))
}

#[test]
fn most_specific_scope_with_a_rule_in_force_decides() {
    let set = |name: &str| Scope::Set(name.into());
    let document = numbered(vec![
        rule("0", Scope::Default),
        rule("1", set("short")),
        dated("2", set("long"), 100, Some(200), None),
        rule("3", set("tag")),
        dated("4", set("list"), 100, None, None),
        dated("5", Scope::Sku("ab1".into()), 150, Some(160), None),
    ]);
    let policy = Policy::compile(&document, index_of).unwrap();
    for (sku, now, expected) in [
        ("z", 0, (0, 0)),
        ("x", 99, (0, 0)),
        ("x", 100, (4, 100)),
        ("a", 150, (1, 0)),
        ("ab", 99, (1, 0)),
        ("ab", 100, (2, 100)),
        ("ab", 199, (2, 100)),
        ("ab", 200, (1, 0)),
        ("ab2", 150, (3, 0)),
        ("ab1", 149, (4, 100)),
        ("ab1", 150, (5, 150)),
        ("ab1", 160, (4, 100)),
        ("ab1", 0, (1, 0)),
    ] {
        assert_eq!(found(&policy, sku, now), Some(expected), "{sku} {now}");
    }
    let none = Policy::compile(&Document::default(), index_of).unwrap();
    assert!(none.in_force("ab", UnixMillis(0)).is_none());
}

#[test]
fn rule_that_repeats_begins_a_window_every_time() {
    let document = numbered(vec![
        rule("0", Scope::Default),
        dated("1", Scope::Default, 7, Some(7 + 3 * DAY), Some(Every::Day)),
        dated("2", Scope::Default, 30 * DAY, None, Some(Every::Week)),
    ]);
    let policy = Policy::compile(&document, index_of).unwrap();
    for (now, expected) in [
        (6, (0, 0)),
        (7, (1, 7)),
        (6 + DAY, (1, 7)),
        (7 + DAY, (1, 7 + DAY)),
        (6 + 3 * DAY, (1, 7 + 2 * DAY)),
        (7 + 3 * DAY, (0, 0)),
        (30 * DAY, (2, 30 * DAY)),
        (37 * DAY - 1, (2, 30 * DAY)),
        (45 * DAY, (2, 44 * DAY)),
    ] {
        assert_eq!(found(&policy, "any", now), Some(expected), "{now}");
    }
}

/// Every rule is looked at, and the best of those that apply is taken.
fn naive(document: &Document, sku: &str, now: i64) -> Option<(u64, i64)> {
    let specific = |scope: &Scope| match scope {
        Scope::Sku(of) => (of == sku).then_some(1_000),
        Scope::Default => Some(0),
        Scope::Set(name) => match &document.set(name)?.selector {
            Selector::Prefix(prefix) => sku.starts_with(prefix.as_str()).then_some(prefix.len()),
            of @ (Selector::Skus(_) | Selector::Tag(_)) => document
                .listed(of)
                .iter()
                .any(|listed| listed == sku)
                .then_some(100),
        },
    };
    let mut best: Option<((usize, bool), (u64, i64))> = None;
    for (at, rule) in document.rules.iter().enumerate() {
        let from = rule.from.map_or(i64::MIN, |from| from.0);
        let until = rule.until.map_or(i64::MAX, |until| until.0);
        let Some(specific) = specific(&rule.scope).filter(|_| (from..until).contains(&now)) else {
            continue;
        };
        let mut window = rule.from.map_or(0, |from| from.0);
        if let Some(every) = rule.every {
            while window + every.as_millis() <= now {
                window += every.as_millis();
            }
        }
        let rank = (specific, rule.from.is_some());
        if best.is_none_or(|(other, _)| other < rank) {
            best = Some((rank, (u64::try_from(at).unwrap(), window)));
        }
    }
    best.map(|(_, found)| found)
}

#[test]
fn resolution_is_what_a_search_of_all_rules_finds() {
    let mut rng = Rng(11);
    let mut compared = 0;
    while compared < 20_000 {
        let mut rules = Vec::new();
        for at in 0..=rng.below(7) {
            let scope = match rng.below(7) {
                0 => Scope::Default,
                1 => Scope::Sku("ab1".into()),
                2 => Scope::Sku("ab2".into()),
                3 => Scope::Set("list".into()),
                4 => Scope::Set("tag".into()),
                5 => Scope::Set("short".into()),
                _ => Scope::Set("long".into()),
            };
            let day = |n: u64| i64::try_from(n).unwrap() * DAY;
            let from = day(rng.below(20)) + day(rng.below(2)) / 2;
            let until = from + day(1 + rng.below(10));
            let until = (!rng.one_in(5)).then_some(until);
            let every = rng.one_in(3).then_some(Every::Day);
            rules.push(if rng.one_in(3) {
                rule(&at.to_string(), scope)
            } else {
                dated(&at.to_string(), scope, from, until, every)
            });
        }
        let document = numbered(rules);
        let Ok(policy) = Policy::compile(&document, index_of) else {
            continue;
        };
        for _ in 0..20 {
            let sku = ["ab", "ab1", "ab2", "ab3", "a", "x", "y"][rng.index(7)];
            let now = i64::try_from(rng.below(120)).unwrap() * DAY / 4;
            let expected = naive(&document, sku, now);
            assert_eq!(
                found(&policy, sku, now),
                expected,
                "{document:?} {sku} {now}"
            );
            compared += 1;
        }
    }
}
