//! Which rule is in force, and since when.

use super::*;
use crate::domain::deficit::Order;
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

/// A cap of that many units, by which a rule is known again.
fn numbered(number: usize) -> Vec<LimitOn> {
    let cap = Amount::Units(units(u64::try_from(number).unwrap()));
    vec![limit("c0", Some(cap), None)]
}

/// Each rule, then each of a change set, then each campaign has its number.
fn document(rules: Vec<Rule>, change_sets: Vec<ChangeSet>, campaigns: Vec<Campaign>) -> Document {
    let set = |name: &str, selector| Set {
        name: name.into(),
        selector,
    };
    let mut document = Document {
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
        change_sets,
        deficit_order: Order::default(),
        campaigns,
    };
    let changes = document.change_sets.iter_mut();
    let rules = document.rules.iter_mut();
    let rules = rules.chain(changes.flat_map(|set| &mut set.rules));
    let limits = rules.map(|rule| &mut rule.limits);
    let campaigns = document.campaigns.iter_mut().map(|of| &mut of.limits);
    for (at, limits) in limits.chain(campaigns).enumerate() {
        *limits = numbered(at);
    }
    document
}

fn of_rules(rules: Vec<Rule>) -> Document {
    document(rules, Vec::new(), Vec::new())
}

fn found(policy: &Policy, sku: &str, now: i64) -> Option<(u64, i64)> {
    let in_force = policy.in_force(sku, UnixMillis(now))?;
    let Some(Amount::Units(number)) = in_force.limits().each()[0].cap else {
        panic!("{in_force:?}")
    };
    Some((number.get(), in_force.window().0))
}

#[test]
fn most_specific_scope_with_a_rule_in_force_decides() {
    let set = |name: &str| Scope::Set(name.into());
    let document = of_rules(vec![
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
    let document = of_rules(vec![
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

/// How specific a scope is that a SKU is in.
fn specific(document: &Document, scope: &Scope, sku: &str) -> Option<usize> {
    match scope {
        Scope::Sku(of) => (of == sku).then_some(1_000),
        Scope::Default => Some(0),
        Scope::Set(name) => match &document.set(name)?.selector {
            Selector::Prefix(prefix) => sku.starts_with(prefix.as_str()).then_some(prefix.len()),
            of @ (Selector::Skus(_) | Selector::Tag(_)) => {
                document.selection(of).contains(sku).then_some(100)
            }
        },
    }
}

/// What might be in force, with its place in the order of precedence.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Candidate {
    layer: u8,
    specific: usize,
    is_dated: bool,
    number: u64,
    from: i64,
    until: i64,
    every: i64,
}

fn candidates(document: &Document, sku: &str) -> Vec<Candidate> {
    let ordinary = document.rules.iter().map(|rule| (0, rule, rule.period()));
    let changes = document.change_sets.iter().flat_map(|set| {
        let rules = set.rules.iter();
        rules.map(|rule| (1, rule, Some(set.period(rule))))
    });
    let rules = (0..).zip(ordinary.chain(changes));
    let mut found: Vec<_> = rules
        .filter_map(|(number, (layer, rule, period))| {
            let (from, until) = period.unwrap_or((UnixMillis(0), UnixMillis(i64::MAX)));
            Some(Candidate {
                layer,
                specific: specific(document, &rule.scope, sku)?,
                is_dated: period.is_some(),
                number,
                from: from.0,
                until: until.0,
                every: rule.every.map_or(0, Every::as_millis),
            })
        })
        .collect();
    let changes: usize = document.change_sets.iter().map(|set| set.rules.len()).sum();
    let first = u64::try_from(document.rules.len() + changes).unwrap();
    let campaigns = (first..).zip(&document.campaigns);
    let campaigns = campaigns.filter(|(_, of)| document.sold(&of.items).contains(sku));
    found.extend(campaigns.map(|(number, of)| Candidate {
        layer: 2,
        specific: 0,
        is_dated: true,
        number,
        from: of.from.0,
        until: of.until.0,
        every: of.every.map_or(0, Every::as_millis),
    }));
    found
}

/// Everything is looked at, and the best of what applies is taken.
fn naive(document: &Document, sku: &str, now: i64) -> Option<(u64, i64)> {
    let mut all = candidates(document, sku);
    all.retain(|of| (of.from..of.until).contains(&now));
    let best = all.into_iter().max()?;
    let mut window = best.from;
    while best.every > 0 && window + best.every <= now {
        window += best.every;
    }
    Some((best.number, window))
}

fn random_rules(rng: &mut Rng, max: u64, is_dated: bool) -> Vec<Rule> {
    let mut rules = Vec::new();
    for at in 0..=rng.below(max) {
        let scope = match rng.below(7) {
            0 => Scope::Default,
            1 => Scope::Sku("ab1".into()),
            2 => Scope::Sku("ab2".into()),
            3 => Scope::Set("list".into()),
            4 => Scope::Set("tag".into()),
            5 => Scope::Set("short".into()),
            _ => Scope::Set("long".into()),
        };
        let (from, until) = random_period(rng);
        let until = (!rng.one_in(5)).then_some(until);
        let every = rng.one_in(3).then_some(Every::Day);
        rules.push(if is_dated && !rng.one_in(3) {
            dated(&at.to_string(), scope, from, until, every)
        } else {
            rule(&at.to_string(), scope)
        });
    }
    rules
}

fn random_period(rng: &mut Rng) -> (i64, i64) {
    let day = |n: u64| i64::try_from(n).unwrap() * DAY;
    let from = day(rng.below(20)) + day(rng.below(2)) / 2;
    (from, from + day(1 + rng.below(10)))
}

fn random_change_set(rng: &mut Rng, at: u64) -> ChangeSet {
    let (from, until) = random_period(rng);
    ChangeSet {
        name: at.to_string(),
        from: UnixMillis(from),
        until: (!rng.one_in(4)).then_some(UnixMillis(until)),
        rules: random_rules(rng, 2, false),
    }
}

fn random_campaign(rng: &mut Rng, at: u64) -> Campaign {
    let (from, until) = random_period(rng);
    let set = |name: &str| Items::Set(name.into());
    Campaign {
        every: rng.one_in(3).then_some(Every::Day),
        ..campaign(
            &at.to_string(),
            (from, until),
            match rng.below(5) {
                0 => Items::Skus(vec!["ab1".into(), "y".into(), "y".into()]),
                1 => set("list"),
                2 => set("tag"),
                3 => set("long"),
                _ => set("short"),
            },
        )
    }
}

#[test]
fn resolution_is_what_a_search_of_everything_finds() {
    let mut rng = Rng(11);
    let mut compared = [0; 3];
    while compared.iter().sum::<u32>() < 30_000 {
        let rules = random_rules(&mut rng, 6, true);
        let changes = (0..rng.below(3)).map(|at| random_change_set(&mut rng, at));
        let changes = changes.collect();
        let campaigns = (0..rng.below(4)).map(|at| random_campaign(&mut rng, at));
        let document = document(rules, changes, campaigns.collect());
        let Ok(policy) = Policy::compile(&document, index_of) else {
            continue;
        };
        for _ in 0..20 {
            let sku = ["ab", "ab1", "ab2", "ab3", "a", "x", "y"][rng.index(7)];
            let now = i64::try_from(rng.below(120)).unwrap() * DAY / 4;
            let expected = naive(&document, sku, now);
            let context = || format!("{document:?} {sku} {now}");
            assert_eq!(found(&policy, sku, now), expected, "{}", context());
            let layer = candidates(&document, sku)
                .into_iter()
                .find(|of| Some(of.number) == expected.map(|(number, _)| number))
                .map_or(0, |of| of.layer);
            compared[usize::from(layer)] += 1;
            let campaign = policy.campaign_of(sku, UnixMillis(now));
            assert_eq!(campaign.is_some(), layer == 2, "{}", context());
        }
    }
    assert!(compared.iter().all(|count| *count > 1_000), "{compared:?}");
}
