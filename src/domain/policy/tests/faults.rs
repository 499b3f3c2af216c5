//! Each fault alone, and all of them together.

use super::*;
use crate::domain::time::UnixMillis;
use crate::limits::{CHANNELS_MAX, POLICY_FALLBACKS_MAX, POLICY_RULES_MAX, POLICY_SKUS_MAX};

const DAY: i64 = 24 * 3_600 * 1_000;

/// One change that makes one fault: its path, its code, the change.
type Case = (&'static str, &'static str, fn(&mut Document));

fn faults(document: &Document) -> Vec<(String, &'static str)> {
    let faults = Policy::compile(document, index_of)
        .err()
        .unwrap_or_default();
    let found = faults.into_iter().map(|fault| (fault.path, fault.code));
    found.collect()
}

fn percent(share: u16) -> Amount {
    Amount::Percent(share)
}

fn count(n: u64) -> Amount {
    Amount::Units(units(n))
}

/// `c0` with `c1` and `c2` below it, two lists, and a rule for a SKU for each case to change.
fn base() -> Document {
    let channels = vec![
        entry("c0", None, Some(1)),
        entry("c1", Some("c0"), None),
        entry("c2", Some("c0"), Some(2)),
    ];
    let list = |name: &str, sku: &str| Set {
        name: name.into(),
        selector: Selector::Skus(vec![sku.into()]),
    };
    let mut first = rule("first", Scope::Sku("S".into()));
    first.limits = vec![limit("c0", Some(percent(6_000)), Some(percent(2_000)))];
    Document {
        channels,
        sets: vec![list("one", "L1"), list("two", "L2")],
        tags: Vec::new(),
        rules: vec![first],
        ..Document::default()
    }
}

fn expected(channel: &str, sku: Option<&str>) -> Expected {
    Expected {
        channel: channel.into(),
        units: units(1),
        sku: sku.map(Into::into),
    }
}

fn add_rule(document: &mut Document, scope: Scope, limits: Vec<LimitOn>) {
    let id = format!("r{}", document.rules.len());
    let mut added = rule(&id, scope);
    added.limits = limits;
    document.rules.push(added);
}

fn add_period(
    document: &mut Document,
    from: Option<i64>,
    until: Option<i64>,
    every: Option<Every>,
) {
    let scope = Scope::Sku("P".into());
    add_rule(document, scope, Vec::new());
    let added = document.rules.last_mut().unwrap();
    added.from = from.map(UnixMillis);
    added.until = until.map(UnixMillis);
    added.every = every;
}

fn limits(document: &mut Document, limits: Vec<LimitOn>) {
    add_rule(document, Scope::Sku("X".into()), limits);
}

/// A change set in force from 10 to 20, with rules for a SKU that has no other.
fn add_change_set(document: &mut Document, rules: Vec<Rule>) {
    document.change_sets.push(ChangeSet {
        name: format!("set{}", document.change_sets.len()),
        from: UnixMillis(10),
        until: Some(UnixMillis(20)),
        rules,
    });
}

/// A rule of a change set.
fn changed(from: Option<i64>, until: Option<i64>) -> Rule {
    Rule {
        from: from.map(UnixMillis),
        until: until.map(UnixMillis),
        ..rule("changed", Scope::Sku("Y".into()))
    }
}

fn add_fallbacks(document: &mut Document, at: usize, names: &[&str]) {
    let list = document.channels[at].fallback.get_or_insert_default();
    list.extend(names.iter().map(|name| (*name).to_owned()));
}

fn add_campaign(document: &mut Document, change: fn(&mut Campaign)) {
    let at = document.campaigns.len();
    let items = Items::Skus(vec![format!("C{at}")]);
    let mut added = campaign(&format!("campaign{at}"), (10, 20), items);
    change(&mut added);
    document.campaigns.push(added);
}

const CASES: &[Case] = &[
    ("channels[3].name", "bad_name", |d| {
        d.channels.push(entry("c 3", None, None));
    }),
    ("channels[3].name", "duplicate_name", |d| {
        d.channels.push(entry("c1", None, None));
    }),
    ("channels[1].rank", "bad_rank", |d| {
        d.channels[1].rank = Some(0);
    }),
    ("channels[1].fallback[0]", "unknown_channel", |d| {
        add_fallbacks(d, 1, &["nobody"]);
    }),
    ("channels[1].fallback[1]", "own_fallback", |d| {
        add_fallbacks(d, 1, &["c0", "c1"]);
    }),
    ("channels[0].fallback[0]", "fallback_below", |d| {
        add_fallbacks(d, 0, &["c2"]);
    }),
    ("channels[1].fallback[2]", "duplicate_fallback", |d| {
        add_fallbacks(d, 1, &["c2", "c0", "c2"]);
    }),
    ("channels[1].fallback", "too_many_fallbacks", |d| {
        for n in 0..=POLICY_FALLBACKS_MAX {
            let name = format!("f{n}");
            add_fallbacks(d, 1, &[&name]);
            d.channels.push(entry(&name, None, None));
        }
    }),
    ("channels[3].parent", "unknown_channel", |d| {
        d.channels.push(entry("c3", Some("nobody"), None));
    }),
    ("channels[3].parent", "cycle", |d| {
        d.channels.push(entry("c4", Some("c4"), None));
    }),
    ("channels[19].parent", "too_deep", |d| {
        d.channels.push(entry("d0", None, None));
        for at in 1..17 {
            let parent = format!("d{}", at - 1);
            d.channels
                .push(entry(&format!("d{at}"), Some(&parent), None));
        }
    }),
    ("sets[0].skus[1]", "bad_sku", |d| {
        d.sets[0].selector = Selector::Skus(vec!["L1".into(), String::new()]);
    }),
    ("sets[2].tag", "unknown_tag", |d| {
        d.sets.push(Set {
            name: "t".into(),
            selector: Selector::Tag("gone".into()),
        });
    }),
    ("sets[2].name", "duplicate_name", |d| {
        d.sets.push(Set {
            name: "one".into(),
            selector: Selector::Prefix("p".into()),
        });
    }),
    ("sets[3].prefix", "duplicate_prefix", |d| {
        for name in ["p1", "p2"] {
            d.sets.push(Set {
                name: name.into(),
                selector: Selector::Prefix("p".into()),
            });
            add_rule(d, Scope::Set(name.into()), Vec::new());
        }
    }),
    ("sets[1]", "sku_in_two_sets", |d| {
        d.sets[1].selector = Selector::Skus(vec!["L1".into()]);
        add_rule(d, Scope::Set("one".into()), Vec::new());
        add_rule(d, Scope::Set("two".into()), Vec::new());
    }),
    ("rules[1].set", "unknown_set", |d| {
        add_rule(d, Scope::Set("gone".into()), Vec::new());
    }),
    ("rules[1].sku", "bad_sku", |d| {
        add_rule(d, Scope::Sku("a b".into()), Vec::new());
    }),
    ("rules[1].id", "duplicate_name", |d| {
        d.rules.push(rule("first", Scope::Default));
    }),
    ("rules[1]", "duplicate_scope", |d| {
        add_rule(d, Scope::Sku("S".into()), Vec::new());
    }),
    ("rules[2]", "overlapping_periods", |d| {
        add_period(d, Some(1), Some(10), None);
        add_period(d, Some(9), None, None);
    }),
    ("rules[1].until", "empty_period", |d| {
        add_period(d, Some(5), Some(5), None);
    }),
    ("rules[1].until", "missing_from", |d| {
        add_period(d, None, Some(5), None);
    }),
    ("rules[1].every", "missing_from", |d| {
        add_period(d, None, None, Some(Every::Day));
    }),
    ("rules[1].every", "period_too_short", |d| {
        add_period(d, Some(0), Some(DAY - 1), Some(Every::Day));
    }),
    ("rules[1].limits[0].cap.percent", "percent_over_100", |d| {
        limits(d, vec![limit("c1", Some(percent(10_001)), None)]);
    }),
    ("rules[1].limits[0].channel", "unknown_channel", |d| {
        limits(d, vec![limit("c77", Some(count(1)), None)]);
    }),
    ("rules[1].limits[1].channel", "duplicate_limit", |d| {
        limits(
            d,
            vec![
                limit("c1", Some(count(1)), None),
                limit("c1", Some(count(1)), None),
            ],
        );
    }),
    ("rules[1].limits[0]", "empty_limit", |d| {
        limits(d, vec![limit("c1", None, None)]);
    }),
    (
        "rules[1].limits[0].protection",
        "protection_over_cap",
        |d| {
            limits(d, vec![limit("c1", Some(count(5)), Some(count(6)))]);
        },
    ),
    ("rules[1].limits[1].cap", "protections_over_cap", |d| {
        let below = |name| limit(name, None, Some(percent(3_000)));
        limits(
            d,
            vec![
                below("c1"),
                limit("c0", Some(percent(5_000)), None),
                below("c2"),
            ],
        );
    }),
    ("rules[1].limits", "protections_over_100", |d| {
        let half = |name| limit(name, None, Some(percent(5_001)));
        limits(d, vec![half("c1"), half("c2")]);
    }),
    ("rules[1].limits[1]", "protections_over_100", |d| {
        let half = |name| limit(name, None, Some(percent(5_001)));
        let above = limit("c0", None, Some(percent(1)));
        limits(d, vec![half("c1"), above, half("c2")]);
    }),
    ("change_sets[0].until", "empty_period", |d| {
        add_change_set(d, Vec::new());
        d.change_sets[0].until = Some(UnixMillis(10));
    }),
    ("change_sets[1].name", "duplicate_name", |d| {
        add_change_set(d, Vec::new());
        let same = d.change_sets[0].clone();
        d.change_sets.insert(0, same);
    }),
    ("change_sets[0].rules[0]", "outside_change_set", |d| {
        add_change_set(d, vec![changed(Some(9), None)]);
    }),
    ("change_sets[0].rules[0].limits[0]", "empty_limit", |d| {
        let mut rule = changed(None, None);
        rule.limits = vec![limit("c1", None, None)];
        rule.scope = Scope::Sku("Z".into());
        add_change_set(d, vec![rule]);
    }),
    ("change_sets[1].rules[0]", "overlapping_periods", |d| {
        add_change_set(d, vec![changed(None, Some(15))]);
        add_change_set(d, vec![changed(Some(14), None)]);
    }),
    ("campaigns[0].until", "empty_period", |d| {
        add_campaign(d, |of| of.until = of.from);
    }),
    ("campaigns[0].name", "bad_name", |d| {
        add_campaign(d, |of| of.name = "a b".into());
    }),
    ("campaigns[0].skus", "no_skus", |d| {
        add_campaign(d, |of| of.items = Items::Skus(Vec::new()));
    }),
    ("campaigns[0].set", "unknown_set", |d| {
        add_campaign(d, |of| of.items = Items::Set("gone".into()));
    }),
    ("campaigns[0].limits[0].channel", "unknown_channel", |d| {
        add_campaign(d, |of| of.limits = vec![limit("c77", Some(count(1)), None)]);
    }),
    ("campaigns[0].hold_seconds", "out_of_range", |d| {
        add_campaign(d, |of| of.hold_seconds = Some(0));
    }),
    ("campaigns[0].payment_seconds", "out_of_range", |d| {
        add_campaign(d, |of| of.payment_seconds = Some(2_592_001));
    }),
    ("campaigns[0].nodes[1]", "duplicate_name", |d| {
        add_campaign(d, |of| of.nodes = vec!["n".into(), "n".into()]);
    }),
    ("campaigns[0].expected[0].channel", "unknown_channel", |d| {
        add_campaign(d, |of| of.expected = vec![expected("c77", None)]);
    }),
    ("campaigns[0].expected[0].sku", "sku_not_in_campaign", |d| {
        add_campaign(d, |of| of.expected = vec![expected("c1", Some("S"))]);
    }),
    ("campaigns[0].expected[1]", "duplicate_expected", |d| {
        add_campaign(d, |of| {
            of.expected = vec![expected("c1", None), expected("c1", None)];
        });
    }),
    ("campaigns[1]", "sku_in_two_campaigns", |d| {
        add_campaign(d, |of| of.items = Items::Set("one".into()));
        add_campaign(d, |of| {
            of.items = Items::Skus(vec!["L1".into()]);
            of.from = UnixMillis(19);
            of.until = UnixMillis(30);
        });
    }),
];

#[test]
fn document_without_faults_has_none() {
    assert_eq!(faults(&base()), []);
}

#[test]
fn each_fault_is_found_alone() {
    for (path, code, change) in CASES {
        let mut document = base();
        change(&mut document);
        let found = faults(&document);
        assert!(
            found.contains(&((*path).to_owned(), *code)),
            "{path} {code}: {found:?}"
        );
        let unexpected = found.iter().filter(|(_, other)| other != code);
        assert_eq!(unexpected.count(), 0, "{path} {code}: {found:?}");
    }
}

/// One step less than what is a fault.
#[test]
fn what_is_just_allowed_is_no_fault() {
    let allowed: [fn(&mut Document); 6] = [
        |d| limits(d, vec![limit("c1", Some(percent(500)), Some(percent(500)))]),
        |d| {
            let half = |name| limit(name, None, Some(percent(5_000)));
            limits(d, vec![half("c1"), half("c2")]);
        },
        |d| add_change_set(d, vec![changed(Some(10), Some(20))]),
        |d| add_change_set(d, vec![changed(None, None)]),
        |d| add_period(d, Some(0), Some(DAY), Some(Every::Day)),
        |d| add_campaign(d, |of| of.hold_seconds = Some(2_592_000)),
    ];
    for (at, change) in allowed.iter().enumerate() {
        let mut document = base();
        change(&mut document);
        assert_eq!(faults(&document), [], "{at}");
    }
    let mut document = base();
    add_change_set(&mut document, vec![changed(None, Some(21))]);
    document.change_sets[0].until = Some(UnixMillis(20));
    let outside = ("change_sets[0].rules[0]".to_owned(), "outside_change_set");
    assert_eq!(faults(&document), [outside]);
}

#[test]
fn all_faults_are_found_at_once() {
    let mut document = base();
    for (_, _, change) in CASES {
        change(&mut document);
    }
    let found = faults(&document);
    for (_, code, _) in CASES {
        assert!(
            found.iter().any(|(_, other)| other == code),
            "{code}: {found:?}"
        );
    }
}

#[test]
fn too_much_of_anything_is_found() {
    let mut document = base();
    for at in 3..=CHANNELS_MAX {
        document.channels.push(entry(&format!("c{at}"), None, None));
    }
    for at in 0..POLICY_RULES_MAX {
        document
            .rules
            .push(rule(&format!("s{at}"), Scope::Sku(format!("K{at}"))));
    }
    let skus = (0..POLICY_SKUS_MAX).map(|at| format!("M{at}")).collect();
    let name = "many".to_owned();
    document.tags.push(Tag { name, skus });
    let codes: Vec<_> = faults(&document)
        .into_iter()
        .map(|(_, code)| code)
        .collect();
    assert_eq!(
        codes,
        ["too_many_channels", "too_many_skus", "too_many_rules"]
    );
}
