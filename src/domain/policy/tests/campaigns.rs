//! The terms of a campaign, and who may not edit meanwhile.

use super::*;
use crate::domain::time::Ttl;

fn skus(names: &[&str]) -> Items {
    Items::Skus(names.iter().map(|name| (*name).into()).collect())
}

fn compiled(campaigns: Vec<Campaign>) -> Policy {
    let mut everything = rule("everything", Scope::Default);
    everything.limits = vec![limit("c0", Some(Amount::Percent(5_000)), None)];
    let document = Document {
        channels: vec![entry("c0", None, None)],
        rules: vec![everything],
        campaigns,
        ..Document::default()
    };
    Policy::compile(&document, index_of).unwrap()
}

fn name(policy: &Policy, sku: &str, now: i64) -> Option<String> {
    let campaign = policy.campaign_of(sku, UnixMillis(now))?;
    Some(campaign.name.to_string())
}

#[test]
fn campaign_is_on_from_its_first_moment_until_just_before_its_last() {
    let policy = compiled(vec![
        campaign("second", (20, 30), skus(&["S"])),
        campaign("first", (10, 20), skus(&["S", "T"])),
    ]);
    let found = [9, 10, 19, 20, 29, 30].map(|now| name(&policy, "S", now));
    let found: Vec<_> = found.iter().map(Option::as_deref).collect();
    let (first, second) = (Some("first"), Some("second"));
    assert_eq!(found, [None, first, first, second, second, None]);
    assert_eq!(name(&policy, "T", 20), None);
    assert_eq!(name(&policy, "other", 10), None);
}

#[test]
fn campaign_says_where_it_stands() {
    let mut drop = campaign("drop", (10, 20), skus(&["S"]));
    let states = |drop: &Campaign| [9, 10, 19, 20].map(|now| drop.state(UnixMillis(now)).as_str());
    assert_eq!(states(&drop), ["planned", "running", "running", "over"]);
    drop.freeze = true;
    assert_eq!(states(&drop), ["planned", "frozen", "frozen", "over"]);
}

#[test]
fn campaign_without_limits_leaves_those_that_there_are() {
    let policy = compiled(vec![campaign("only-terms", (10, 20), skus(&["S"]))]);
    let window = |now| policy.in_force("S", UnixMillis(now)).unwrap().window();
    assert_eq!(window(15), UnixMillis(0), "the ordinary rule");
}

#[test]
fn shortest_hold_of_all_lines_counts() {
    let with_hold = |name, sku, hold| Campaign {
        hold_seconds: hold,
        ..campaign(name, (10, 20), skus(&[sku]))
    };
    let policy = compiled(vec![
        with_hold("long", "L", Some(600)),
        with_hold("short", "S", Some(300)),
        with_hold("none", "N", None),
    ]);
    let hold = |skus: &[&str], now| policy.hold_of(skus.iter().copied(), UnixMillis(now));
    assert_eq!(hold(&["L", "S", "N"], 10), Ttl::from_millis(300_000));
    assert_eq!(hold(&["L", "other"], 10), Ttl::from_millis(600_000));
    assert_eq!(hold(&["N", "other"], 10), None);
    assert_eq!(hold(&["S"], 20), None);
}

#[test]
fn freeze_that_lasts_longest_is_named() {
    let frozen = |name, period, sku, freeze| Campaign {
        freeze,
        ..campaign(name, period, skus(&[sku]))
    };
    let policy = compiled(vec![
        frozen("early", (10, 20), "A", true),
        frozen("late", (15, 30), "B", true),
        frozen("open", (5, 90), "C", false),
    ]);
    let at = |now| {
        let frozen = policy.frozen(UnixMillis(now))?;
        Some((&*frozen.name, frozen.until))
    };
    assert_eq!(at(9), None);
    assert_eq!(at(10), Some(("early", UnixMillis(20))));
    assert_eq!(at(15), Some(("late", UnixMillis(30))));
    assert_eq!(at(30), None);
}

#[test]
fn who_may_edit_changes_only_where_a_freeze_begins_or_ends() {
    let mut freezing = campaign("drop", (10, 20), skus(&["A"]));
    freezing.freeze = true;
    let policy = compiled(vec![freezing, campaign("open", (5, 90), skus(&["B"]))]);
    let next = [0, 9, 10, 19, 20].map(|now| policy.next_freeze(UnixMillis(now)));
    let next = next.map(|at| at.map(|at| at.0));
    assert_eq!(next, [Some(10), Some(10), Some(20), Some(20), None]);
}
