//! What applies for a time: change sets and campaigns, by a clock that the test moves.

use holdfast::blocking::wait_for;
use holdfast::domain::command::{Command, PutSettings};
use holdfast::domain::stock::Safety;
use holdfast::domain::{
    Frozen, HoldTtl, Outcome, Refusal, Setting, Settings, Sku, Ttl, UnixMillis, Verdict,
};
use holdfast::engine::preflight::Bounds;
use holdfast::ledger::event::{Body, Cursor};
use holdfast::ledger::policy::PutPolicyError;

use crate::desk::{Desk, NOON, live_cap, units};

const HOUR: i64 = 3_600_000;

/// A cap of 60 for `live`; 50 from one until four o'clock by a change set; 40 for `s` from two
/// until three, in a campaign that freezes.
const DAY: &str = r#"{
    "channels": [{"name": "live"}],
    "rules": [
        {"id": "usual", "default": true, "limits": [{"channel": "live", "cap": {"units": 60}}]}
    ],
    "change_sets": [{
        "name": "afternoon",
        "from": "1970-01-01T13:00:00Z",
        "until": "1970-01-01T16:00:00Z",
        "rules": [
            {"id": "less", "default": true, "limits": [{"channel": "live", "cap": {"units": 50}}]}
        ]
    }],
    "campaigns": [{
        "name": "drop",
        "from": "1970-01-01T14:00:00Z",
        "until": "1970-01-01T15:00:00Z",
        "skus": ["s"],
        "limits": [{"channel": "live", "cap": {"units": 40}}],
        "hold_seconds": 90,
        "freeze": true
    }]
}"#;

/// Everything that follows happens while the campaign is on.
fn in_campaign() -> Desk {
    let desk = Desk::new();
    desk.set("stock-s", "s", 100);
    desk.set("stock-other", "other", 100);
    desk.put(DAY, 0).unwrap();
    desk.clock.advance(2 * HOUR);
    desk
}

#[test]
fn each_applies_and_reverts_to_the_millisecond() {
    let mut desk = Desk::new();
    desk.set("stock-s", "s", 100);
    desk.set("stock-other", "other", 100);
    desk.put(DAY, 0).unwrap();
    let mut at = 0;
    for (hour, s, other) in [
        (0, 60, 60),
        (1, 50, 50),
        (2, 40, 50),
        (3, 50, 50),
        (4, 60, 60),
    ] {
        desk.clock.advance(hour * HOUR - at);
        let before = (desk.room("live", "s"), desk.room("live", "other"));
        assert_eq!(before, (s, other), "from {hour} hours after noon on");
        // Also for who starts just before the next change.
        desk.clock.advance(HOUR - 1);
        at = (hour + 1) * HOUR - 1;
        desk = desk.restarted();
        let still = (desk.room("live", "s"), desk.room("live", "other"));
        assert_eq!(still, before, "until {hour} hours after noon are over");
    }
}

#[test]
fn holds_live_as_long_as_the_campaign_says_unless_their_caller_does() {
    let ttl = |ms| Ttl::from_millis(ms).unwrap();
    let usual = HoldTtl::Default(ttl(600_000));
    let lives = |verdict: Verdict| match verdict {
        Ok(Outcome::Reservation(made)) => made.deadline.0 - made.created_at.0,
        other => panic!("{other:?}"),
    };
    let desk = in_campaign();
    let both = [("other", 1), ("s", 1)];
    assert_eq!(lives(desk.hold_for("both", "live", &both, usual)), 90_000);
    let asked = HoldTtl::Asked(ttl(300_000));
    assert_eq!(lives(desk.hold_for("asked", "live", &both, asked)), 300_000);
    let other = [("other", 1)];
    assert_eq!(
        lives(desk.hold_for("other", "live", &other, usual)),
        600_000
    );
    desk.clock.advance(HOUR);
    // The same command, asked again when the campaign is over, is still the same.
    assert_eq!(lives(desk.hold_for("both", "live", &both, usual)), 90_000);
    assert_eq!(lives(desk.hold_for("after", "live", &both, usual)), 600_000);
}

#[test]
fn policy_is_not_edited_while_it_is_frozen_unless_a_reason_is_given() {
    let mut desk = in_campaign();
    let frozen = Err(PutPolicyError::Frozen {
        campaign: "drop".into(),
        until: UnixMillis(NOON + 3 * HOUR),
    });
    assert_eq!(desk.put(&live_cap(10), 1), frozen);
    assert_eq!(desk.put(DAY, 1), frozen, "not even the same");
    desk.put_over(&live_cap(10), 1, "recall of the lot")
        .unwrap();
    // What is in force now freezes nothing; the roll-back brings the freeze with it.
    desk.put_over(DAY, 2, "not needed").unwrap();
    assert_eq!(desk.put(&live_cap(10), 3), frozen);
    desk.clock.advance(HOUR);
    desk.put(&live_cap(20), 3).unwrap();
    for _ in 0..2 {
        let versions = wait_for(desk.engine.policy_versions()).unwrap();
        let over: Vec<_> = versions.iter().map(|of| &*of.over).collect();
        assert_eq!(over, ["", "", "recall of the lot", ""], "newest first");
        desk = desk.restarted();
    }
}

fn set_safety(desk: &Desk, key: &str, sku: &str, over: Option<&str>) -> Result<Settings, Refusal> {
    let put = PutSettings {
        sku: Sku::new(sku).unwrap(),
        safety: Some(Setting::Own(Safety::Units(units(7)))),
        node_safety: None,
        selling: None,
        low_water: None,
        if_version: None,
        over,
    };
    let Outcome::Settings { settings, .. } = desk.execute(key, Command::PutSettings(put))? else {
        panic!("settings are answered with settings")
    };
    Ok(settings)
}

#[test]
fn settings_of_what_a_campaign_sells_are_frozen_with_it() {
    let mut desk = in_campaign();
    let frozen = Err(Refusal::Frozen(Frozen {
        campaign: "drop".into(),
        until: UnixMillis(NOON + 3 * HOUR),
    }));
    assert_eq!(set_safety(&desk, "first", "s", None), frozen);
    set_safety(&desk, "other", "other", None).unwrap();
    let put = set_safety(&desk, "over", "s", Some("lot is damaged")).unwrap();
    desk.clock.advance(HOUR);
    set_safety(&desk, "late", "s", Some("not needed")).unwrap();
    desk = desk.restarted();
    assert_eq!(
        set_safety(&desk, "first", "s", None),
        frozen,
        "kept under its key"
    );
    let again = set_safety(&desk, "over", "s", Some("lot is damaged"));
    assert_eq!(again, Ok(put));
    let page = wait_for(desk.engine.events(Cursor::default(), 100)).unwrap();
    let mut over = Vec::new();
    for event in page.iter() {
        if let Body::SettingsPut { sku, over: why, .. } = event.unwrap().body {
            over.push((sku.to_owned(), why.to_owned()));
        }
    }
    let expected = [("other", ""), ("s", "lot is damaged"), ("s", "")];
    let expected = expected.map(|(sku, over)| (sku.to_owned(), over.to_owned()));
    assert_eq!(over, expected);
}

#[test]
fn count_grows_stale_until_the_next_one() {
    let mut desk = Desk::new();
    desk.set("first", "s", 100);
    desk.put(DAY, 0).unwrap();
    let stale = |desk: &Desk| {
        let bounds = Bounds {
            usual_hold: Ttl::from_millis(600_000).unwrap(),
            stale_after_seconds: 3_600,
        };
        let report = wait_for(desk.engine.preflight("drop", bounds))
            .unwrap()
            .unwrap();
        report.findings.iter().any(|of| of.code == "stale_count")
    };
    desk.clock.advance(HOUR);
    assert!(!stale(&desk));
    desk.clock.advance(1_000);
    assert!(stale(&desk));
    // What is known of the last count outlives a restart, with and without a snapshot.
    desk = desk.restarted();
    assert!(stale(&desk));
    desk.set("second", "s", 90);
    desk = desk.restarted();
    assert!(!stale(&desk));
    desk.engine.snapshot().unwrap();
    desk.clock.advance(HOUR);
    desk = desk.restarted();
    assert!(!stale(&desk));
    desk.clock.advance(1_000);
    assert!(stale(&desk));
}
