//! What a policy lets channels take, through the whole engine.

use holdfast::domain::Refusal;
use holdfast::domain::verdict::Limit;

use crate::desk::{Desk, everything, live_cap};

#[test]
fn a_policy_binds_from_the_next_command_on() {
    let desk = Desk::new();
    desk.set("stock", "s", 100);
    desk.hold("before", "live", "s", 70).unwrap();
    desk.put(&live_cap(60), 0).unwrap();
    let Err(Refusal::InsufficientStock { shortages }) = desk.hold("after", "live", "s", 1) else {
        panic!("more than the cap is used")
    };
    assert_eq!(shortages[0].limit, Limit::Cap);
    desk.hold("other", "shop", "s", 30).unwrap();
}

#[test]
fn what_was_shipped_counts_until_its_window_ends() {
    let desk = Desk::new();
    desk.set("stock", "s", 100);
    let daily = r#"{"channels":[{"name":"live"}],"rules":[{"id":"daily","default":true,
        "from":"1970-01-01T00:00:00Z","every":"day",
        "limits":[{"channel":"live","cap":{"units":10}}]}]}"#;
    desk.put(daily, 0).unwrap();
    desk.sell("first", "live", "s", 10);
    let mut desk = desk.restarted();
    assert_eq!(desk.room("live", "s"), 0);
    desk.clock.advance(12 * 3_600_000 - 1);
    assert_eq!(desk.room("live", "s"), 0);
    desk.clock.advance(1);
    assert_eq!(desk.room("live", "s"), 10);
    desk.sell("second", "live", "s", 4);
    desk = desk.restarted();
    assert_eq!(desk.room("live", "s"), 6);
}

#[test]
fn protection_keeps_units_until_its_channel_has_taken_them() {
    let desk = Desk::new();
    desk.set("stock", "s", 100);
    let text = everything(
        r#"{"name":"live"},{"name":"shop"}"#,
        r#"{"channel":"shop","protection":{"units":30}}"#,
    );
    desk.put(&text, 0).unwrap();
    assert_eq!((desk.room("live", "s"), desk.room("shop", "s")), (70, 100));
    desk.hold("shop", "shop", "s", 20).unwrap();
    assert_eq!((desk.room("live", "s"), desk.room("shop", "s")), (70, 80));
}
