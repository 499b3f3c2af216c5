//! Versions: which may be put, which are kept, and what a start finds.

use std::sync::Arc;

use holdfast::blocking::wait_for;
use holdfast::clock::Clock;
use holdfast::domain::UnixMillis;
use holdfast::engine::{Engine, OpenError};
use holdfast::ledger::embedded::storage::Storage;
use holdfast::ledger::embedded::storage::sim::SimStorage;
use holdfast::ledger::event::{Body, Cursor};
use holdfast::ledger::policy::PutPolicyError;

use crate::desk::{Desk, NOON, config, everything, live_cap};

#[test]
fn a_version_follows_the_one_in_force_and_no_other() {
    let desk = Desk::new();
    assert!(wait_for(desk.engine.policy()).unwrap().is_none());
    let stale = desk.put(&live_cap(60), 1);
    assert_eq!(stale, Err(PutPolicyError::VersionMismatch { current: 0 }));
    let first = desk.put(&live_cap(60), 0).unwrap();
    assert_eq!((first.version, first.at), (1, UnixMillis(NOON)));
    assert_eq!((&*first.operator, &*first.reason), ("anna", "spring"));
    let stale = desk.put(&live_cap(50), 0);
    assert_eq!(stale, Err(PutPolicyError::VersionMismatch { current: 1 }));
    for version in 1..20 {
        desk.put(&live_cap(version), version).unwrap();
    }
    let versions = wait_for(desk.engine.policy_versions()).unwrap();
    let numbers: Vec<u64> = versions.iter().map(|of| of.version).collect();
    assert_eq!(numbers, (5..=20).rev().collect::<Vec<_>>());
    let in_force = wait_for(desk.engine.policy()).unwrap().unwrap();
    assert_eq!(in_force.version, versions[0]);
    assert_eq!(&*versions[0].text, live_cap(19));
}

#[test]
fn a_policy_with_faults_changes_nothing() {
    let desk = Desk::new();
    let malformed = desk.put("{\"rules\":1}", 0);
    assert!(matches!(malformed, Err(PutPolicyError::Malformed(_))));
    let text = everything(
        r#"{"name":"new"},{"name":"new","rank":0}"#,
        r#"{"channel":"who","cap":{"percent":101}}"#,
    );
    let Err(PutPolicyError::Faults(faults)) = desk.put(&text, 0) else {
        panic!("it has faults")
    };
    let codes: Vec<_> = faults.iter().map(|fault| fault.code).collect();
    assert!(codes.len() >= 4, "all at once: {codes:?}");
    assert!(wait_for(desk.engine.policy()).unwrap().is_none());
    let known = desk.engine.known_channel("new");
    assert!(known.is_none(), "its names were given no index");
}

#[test]
fn a_restart_finds_the_same_policy_with_and_without_a_snapshot() {
    let mut desk = Desk::new();
    desk.set("stock", "s", 100);
    desk.put(&live_cap(60), 0).unwrap();
    for cap in [60, 50, 40, 30] {
        assert_eq!(desk.room("live", "s"), cap);
        let before = wait_for(desk.engine.policy_versions()).unwrap();
        desk = desk.restarted();
        assert_eq!(wait_for(desk.engine.policy_versions()).unwrap(), before);
        assert_eq!(desk.room("live", "s"), cap);
        desk.engine.snapshot().unwrap();
        desk = desk.restarted();
        assert_eq!(wait_for(desk.engine.policy_versions()).unwrap(), before);
        assert_eq!(desk.room("live", "s"), cap);
        let current = before[0].version;
        desk.put(&live_cap(cap - 10), current).unwrap();
    }
}

/// A text of nearly the largest length: one set with as many SKUs as there may be.
fn long_text() -> String {
    let skus: Vec<String> = (0..95_000).map(|n| format!("\"s{n:07}\"")).collect();
    format!(
        r#"{{"channels":[],"sets":[{{"name":"all","skus":[{}]}}],"rules":[]}}"#,
        skus.join(",")
    )
}

#[test]
fn the_feed_tells_of_a_policy_without_stopping_at_a_long_one() {
    let mut desk = Desk::new();
    let text = long_text();
    assert!(text.len() > 1_000_000);
    desk.put(&text, 0).unwrap();
    desk.put(&live_cap(60), 1).unwrap();
    desk.put(&text, 2).unwrap();
    desk.engine.snapshot().unwrap();
    desk = desk.restarted();
    let (mut after, mut told) = (Cursor::default(), Vec::new());
    loop {
        let page = wait_for(desk.engine.events(after, 1)).unwrap();
        for event in page.iter().map(Result::unwrap) {
            if let Body::PolicyPut {
                version,
                operator,
                text,
                ..
            } = event.body
            {
                assert_eq!(operator, "anna");
                told.push((version, text.len()));
            }
        }
        if page.records.is_empty() {
            break;
        }
        after = page.next.into();
    }
    let lengths = [text.len(), live_cap(60).len(), text.len()];
    assert_eq!(told, (1..).zip(lengths).collect::<Vec<_>>());
}

#[test]
fn an_export_takes_the_policy_with_it() {
    let desk = Desk::new();
    desk.set("stock", "s", 100);
    desk.put(&live_cap(60), 0).unwrap();
    desk.put(&live_cap(40), 1).unwrap();
    let mut walk = wait_for(desk.engine.walk()).unwrap();
    let (head, mut items) = (walk.head().clone(), Vec::new());
    while let Some(page) = wait_for(walk.next()).unwrap() {
        items.extend(page);
    }
    let storage = SimStorage::new();
    let clock = Clock::manual(UnixMillis(NOON));
    let items = items.into_iter().map(Ok::<_, OpenError>);
    let place: Arc<dyn Storage> = Arc::new(storage.clone());
    Engine::import_on(&place, config(&clock), &head, items).unwrap();
    let moved = Desk::over(storage, clock);
    assert_eq!(
        wait_for(moved.engine.policy_versions()).unwrap(),
        wait_for(desk.engine.policy_versions()).unwrap()
    );
    assert_eq!(moved.room("live", "s"), 40);
    moved.put(&live_cap(30), 2).unwrap();
}
