//! The policy of a ledger in a store: one instance puts it, all decide by it.

use std::pin::pin;

use holdfast::blocking::wait_for;
use holdfast::domain::policy::{Amount, Campaign, Document, Entry, Items, LimitOn, Rule, Scope};
use holdfast::domain::verdict::Limit;
use holdfast::domain::{Refusal, UnixMillis};
use holdfast::ledger::event::{Body, Cursor};
use holdfast::ledger::policy::{PolicyPut, PolicyVersion, PutPolicyError, text};
use holdfast::ledger::remote::script::Keys;

use crate::halves::cut;
use crate::instance::{Instance, Place, hold, set};
use crate::live;
use crate::server::{Kind, Server};
use crate::support::driven::put_policy;
use crate::support::history::CHANNEL_NAMES;
use crate::support::script::units;

const TTL: u32 = 600_000;

/// The first channel may use that many units of everything.
fn capped(most: u64) -> Document {
    let limit = LimitOn {
        channel: CHANNEL_NAMES[0].to_owned(),
        cap: Some(Amount::Units(units(most))),
        protection: None,
    };
    let rule = Rule {
        frees: false,
        terms: holdfast::domain::Terms::NONE,
        id: "all".to_owned(),
        scope: Scope::Default,
        from: None,
        until: None,
        every: None,
        limits: vec![limit],
    };
    let entry = Entry {
        name: CHANNEL_NAMES[0].to_owned(),
        parent: None,
        rank: None,
        fallback: None,
    };
    Document {
        channels: vec![entry],
        rules: vec![rule],
        ..Document::default()
    }
}

fn put(instance: &Instance, most: u64) -> PolicyVersion {
    put_policy(&instance.0, &capped(most)).unwrap().unwrap()
}

/// What a hold of everything would get.
fn room(instance: &Instance, key: &str, sku: &str) -> (u64, Limit) {
    let answer = instance.execute(key, &hold(sku, 1_000, TTL));
    let Err(Refusal::InsufficientStock { shortages }) = answer.verdict else {
        panic!("{:?}", answer.verdict);
    };
    (shortages[0].available.get(), shortages[0].limit)
}

fn version_of(instance: &Instance) -> u64 {
    let policy = wait_for(instance.0.policy()).unwrap();
    policy.map_or(0, |of| of.version.version)
}

#[test]
fn what_one_instance_puts_all_decide_by() {
    for kind in Kind::ALL {
        let server = Server::start(kind);
        for partitions in [1, 4] {
            let mut place = Place::new(&server);
            place.partitions = Some(partitions);
            let (one, other) = (place.open_named(), place.open());
            let mirrored = place.open_mirrored();
            let skus: Vec<String> = (0..8).map(|n| format!("sku-{n}")).collect();
            for sku in &skus {
                one.execute(&format!("set {sku}"), &set(sku, 100));
            }
            assert_eq!(version_of(&other), 0);
            let first = put(&one, 7);
            assert_eq!((first.version, first.at), (1, place.clock.now()));
            for sku in &skus {
                assert_eq!(room(&other, &format!("1 {sku}"), sku), (7, Limit::Cap));
            }
            assert_eq!(version_of(&other), 1);
            assert_eq!(put(&other, 3).version, 2);
            for sku in &skus {
                assert_eq!(room(&one, &format!("2 {sku}"), sku), (3, Limit::Cap));
                assert_eq!(room(&other, &format!("3 {sku}"), sku), (3, Limit::Cap));
                // Whoever has heard of another policy than its own asks the store.
                mirrored.execute(&format!("heard {sku}"), &set(sku, 100));
                assert_eq!(room(&mirrored, &format!("4 {sku}"), sku), (3, Limit::Cap));
            }
            wait_for(mirrored.0.tick()).unwrap();
            for sku in &skus {
                assert_eq!(room(&mirrored, &format!("5 {sku}"), sku), (3, Limit::Cap));
            }
            let versions = wait_for(one.0.policy_versions()).unwrap();
            let numbers: Vec<u64> = versions.iter().map(|of| of.version).collect();
            assert_eq!(numbers, [2, 1]);
            assert_eq!(&*versions[1].text, text::write(&capped(7)));
            assert_eq!(told(&one), [1, 2]);
            one.recounts_clean();
        }
    }
}

/// The versions that the feed of the first partition tells of.
fn told(instance: &Instance) -> Vec<u64> {
    let page = wait_for(instance.0.events(Cursor::default(), 1_000)).unwrap();
    let versions = page.iter().filter_map(|event| {
        let Body::PolicyPut { version, .. } = event.unwrap().body else {
            return None;
        };
        Some(version)
    });
    versions.collect()
}

#[test]
fn a_policy_is_put_by_who_knows_what_is_in_force() {
    let server = Server::start(Kind::Valkey);
    let place = Place::new(&server);
    let (one, other) = (place.open_named(), place.open());
    let try_put = |instance: &Instance, expected, text: &str| {
        let put = PolicyPut {
            text,
            expected: Some(expected),
            operator: "ann",
            reason: "less for the shop",
            over: "",
        };
        wait_for(instance.0.put_policy(&put))
    };
    let text = text::write(&capped(5));
    let put = try_put(&one, 0, &text).unwrap();
    assert_eq!((&*put.operator, &*put.reason), ("ann", "less for the shop"));
    let late = try_put(&other, 0, &text);
    assert_eq!(late, Err(PutPolicyError::VersionMismatch { current: 1 }));
    assert!(matches!(
        try_put(&other, 1, "{"),
        Err(PutPolicyError::Malformed(_))
    ));
    let mut faulty = capped(5);
    faulty.rules[0].limits[0].channel = "nobody".to_owned();
    assert!(matches!(
        try_put(&other, 1, &text::write(&faulty)),
        Err(PutPolicyError::Faults(_))
    ));
    assert_eq!(try_put(&other, 1, &text).unwrap().version, 2);
    for _ in 2..20 {
        put_policy(&one.0, &capped(5)).unwrap();
    }
    let versions = wait_for(other.0.policy_versions()).unwrap();
    assert_eq!((versions.len(), versions[0].version), (16, 20));
    // Whoever comes later knows it as well.
    assert_eq!(version_of(&place.open()), 20);
}

/// Whoever put it was broken off before the last partition had it.
#[test]
fn a_partition_that_lacks_the_policy_gets_it_from_any_instance() {
    let server = Server::start(Kind::Redis);
    let mut place = Place::new(&server);
    place.partitions = Some(3);
    let one = place.open_named();
    let skus: Vec<String> = (0..12).map(|n| format!("sku-{n}")).collect();
    for sku in &skus {
        one.execute(&format!("set {sku}"), &set(sku, 100));
    }
    put(&one, 7);
    for lacking in [1, 2] {
        let keys = Keys::new(&place.namespace, lacking);
        let _gone: u64 = place.ask(&["HDEL", keys.meta(), "policy"]);
        let [.., policy, _, _] = keys.all();
        let _gone: u64 = place.ask(&["DEL", policy]);
    }
    let free = |key: &str| {
        let rooms = skus
            .iter()
            .map(|sku| room(&one, &format!("{key} {sku}"), sku));
        rooms.filter(|(_, limit)| *limit != Limit::Cap).count()
    };
    assert!(free("before") > 0, "some partition decides without it");
    let other = place.open();
    wait_for(other.0.tick()).unwrap();
    assert_eq!(free("after"), 0);
}

/// Puts by several tasks of one instance and by another instance, beside the upkeep of both: each
/// gets a version of its own, and the last one is in force everywhere.
#[test]
fn puts_at_the_same_time_get_one_version_each() {
    const EACH: u64 = 5;
    const TICKS: usize = 50;
    for kind in Kind::ALL {
        let server = Server::start(kind);
        let mut place = Place::new(&server);
        place.partitions = Some(4);
        let (one, other, third) = (place.open_named(), place.open(), place.open_mirrored());
        let skus: Vec<String> = (0..12).map(|n| format!("sku-{n}")).collect();
        for sku in &skus {
            one.execute(&format!("set {sku}"), &set(sku, 100));
        }
        let putting = |instance: &Instance, first: u64| -> Vec<u64> {
            let most = (0..EACH).map(|n| first + n);
            most.map(|most| put(instance, most).version).collect()
        };
        let mut versions: Vec<u64> = std::thread::scope(|scope| {
            for instance in [&one, &other, &third] {
                scope.spawn(|| {
                    for _ in 0..TICKS {
                        wait_for(instance.0.tick()).unwrap();
                    }
                });
            }
            let putting = &putting;
            let puts = [(&one, 10), (&one, 20), (&other, 30)];
            let puts = puts.map(|(by, first)| scope.spawn(move || putting(by, first)));
            let versions = puts.into_iter().map(|put| put.join().unwrap());
            versions.flatten().collect()
        });
        versions.sort_unstable();
        assert_eq!(versions, (1..=3 * EACH).collect::<Vec<_>>());
        let last = wait_for(one.0.policy_versions()).unwrap().remove(0);
        let capped_at = [10, 20, 30]
            .into_iter()
            .flat_map(|first| first..first + EACH);
        let most = { capped_at }
            .find(|most| *last.text == *text::write(&capped(*most)))
            .unwrap();
        for (number, instance) in [&one, &other, &third].into_iter().enumerate() {
            wait_for(instance.0.tick()).unwrap();
            assert_eq!(version_of(instance), 3 * EACH);
            for sku in &skus {
                let key = format!("{number} {sku}");
                assert_eq!(room(instance, &key, sku), (most, Limit::Cap));
            }
        }
    }
}

#[test]
fn dated_rules_come_and_go_by_the_time_of_the_store() {
    let server = Server::start(Kind::Valkey);
    let place = Place::new(&server);
    let one = place.open_named();
    one.execute("set", &set("a", 100));
    let UnixMillis(now) = place.clock.now();
    let mut document = capped(9);
    let mut dated = capped(4).rules.remove(0);
    dated.id = "sale".to_owned();
    (dated.from, dated.until) = (Some(UnixMillis(now + 10)), Some(UnixMillis(now + 20)));
    document.rules.push(dated);
    put_policy(&one.0, &document).unwrap().unwrap();
    let at = |key: &str, moment: i64| {
        place.clock.set(UnixMillis(now + moment));
        room(&one, key, "a")
    };
    assert_eq!(at("before", 9), (9, Limit::Cap));
    assert_eq!(at("during", 10), (4, Limit::Cap));
    assert_eq!(at("after", 20), (9, Limit::Cap));
}

#[test]
fn a_live_channel_gets_at_most_its_cap_over_three_instances() {
    for kind in Kind::ALL {
        let server = Server::start(kind);
        let place = Place::new(&server);
        let instances = [place.open_named(), place.open(), place.open_mirrored()];
        let engines: Vec<_> = instances
            .iter()
            .map(|instance| instance.0.clone())
            .collect();
        live::a_live_channel_gets_at_most_its_cap(&engines);
    }
}

/// Nothing is sold but what is frozen from that moment on.
fn frozen_from(from: i64) -> Document {
    let campaign = Campaign {
        terms: holdfast::domain::Terms::NONE,
        name: "drop".to_owned(),
        from: UnixMillis(from),
        until: UnixMillis(from + 60_000),
        items: Items::Skus(vec!["A".to_owned()]),
        limits: Vec::new(),
        every: None,
        hold_seconds: None,
        payment_seconds: None,
        nodes: Vec::new(),
        expected: Vec::new(),
        freeze: true,
    };
    Document {
        campaigns: vec![campaign],
        ..capped(5)
    }
}

/// However far a put has come when the freeze begins: it is before it, or it is refused.
#[test]
fn no_policy_is_put_once_a_freeze_has_begun() {
    let server = Server::start(Kind::Redis);
    let mut refused = 0;
    for steps in 1.. {
        let place = Place::new(&server);
        let instance = place.open_named();
        let begins = place.clock.now().0 + 1_000;
        put_policy(&instance.0, &frozen_from(begins))
            .unwrap()
            .unwrap();
        let next = text::write(&capped(7));
        let next = PolicyPut {
            text: &next,
            expected: None,
            operator: "",
            reason: "",
            over: "",
        };
        let mut putting = pin!(instance.0.put_policy(&next));
        if let Some(done) = cut(putting.as_mut(), steps) {
            assert_eq!(done.unwrap().version, 2);
            break;
        }
        place.clock.set(UnixMillis(begins));
        match wait_for(putting) {
            Ok(version) => assert!(version.at.0 < begins, "after {steps} steps"),
            Err(PutPolicyError::Frozen { campaign, .. }) => {
                assert_eq!(&*campaign, "drop");
                refused += 1;
            }
            Err(error) => panic!("after {steps} steps: {error}"),
        }
    }
    assert!(refused > 0);
}
