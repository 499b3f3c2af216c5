//! Each rule: what it lets pass, and the first record that it does not.

#![expect(clippy::panic, reason = "test code")]

mod support;

use holdfast_verify::{Refusal, verify};
use serde_json::{Value, json};
use support::{Story, confirmed, created, expired, proof};

/// A story is accepted.
fn accepts(story: &Story) {
    let bytes = proof(story);
    if let Err(refusal) = verify(&bytes[..]) {
        panic!("{refusal}\n{}", String::from_utf8_lossy(&bytes));
    }
}

/// A story is rejected at its last record, for this.
fn rejects(story: &Story, what: &str) {
    match verify(&proof(story)[..]) {
        Err(Refusal::Rejected(rejection)) => {
            let last = u64::try_from(story.records.len()).ok();
            assert_eq!(rejection.sequence, last, "{what}: {rejection}");
            assert!(rejection.found.contains(what), "{what}: {rejection}");
        }
        other => panic!("{what}: {other:?}"),
    }
}

/// Five units of A at north.
fn five() -> Story {
    let mut story = Story::new();
    story.add(json!({
        "kind": "stock.set", "command": support::command(0),
        "items": [{"sku": "A", "node": "north", "on_hand_before": 0, "on_hand": 5,
                   "unavailable_before": 0, "unavailable": 0}],
    }));
    story
}

fn settings(safety: &Value, node_safety: &Value, suspended: bool) -> Value {
    json!({
        "kind": "sku.settings_changed", "command": support::command(90), "sku": "A",
        "settings": {"safety": safety, "node_safety": node_safety, "suspended": suspended},
    })
}

fn inbound(number: u64, due: u16, units: u64) -> Value {
    json!({
        "kind": "inbound.put", "command": support::command(number),
        "items": [{"sku": "A", "id": "po", "node": "north", "due": due, "units": units,
                   "received": 0, "on_hand": 5}],
    })
}

fn shipped(id: u64, node: &str, units: u64) -> Value {
    json!({
        "kind": "reservation.shipped", "id": support::id(id), "command": support::command(80 + id),
        "deadline": 1_000,
        "lines": [{"line": 0, "sku": "A", "moves": [{"move": "ship", "units": units, "node": node}],
                   "held": 0, "committed": 0, "shipped": units, "released": 0, "expired": 0,
                   "returned": 0}],
    })
}

#[test]
fn no_unit_is_promised_twice() {
    let mut story = five();
    story.add(created(1, 5, 1_000));
    story.add(created(2, 1, 1_000));
    rejects(&story, "1 units are promised that are not there");

    let mut pinned = five();
    let mut elsewhere = created(1, 1, 1_000);
    elsewhere["lines"][0]["node"] = json!("south");
    pinned.add(elsewhere);
    rejects(
        &pinned,
        "1 units are promised at the node that are not there",
    );
}

#[test]
fn what_is_kept_back_is_not_promised() {
    let mut share = five();
    share.add(settings(&json!({"share": 2_001}), &json!([]), false));
    share.add(created(1, 4, 1_000));
    rejects(&share, "1 units are promised");

    let north = json!([{"node": "north", "keeps": {"units": 3}}]);
    let mut node = five();
    node.add(settings(&json!({"units": 0}), &north, false));
    node.add(created(1, 2, 1_000));
    node.add(created(2, 1, 1_000));
    rejects(&node, "1 units are promised");

    let mut suspended = five();
    suspended.add(settings(&json!({"units": 0}), &json!([]), true));
    suspended.add(created(1, 1, 1_000));
    rejects(&suspended, "suspended");
}

#[test]
fn promises_for_a_day_are_covered_by_what_is_announced() {
    let dated = |id, units, day: u16| {
        let mut record = created(id, units, 1_000);
        record["lines"][0]["day"] = json!(day);
        record
    };
    let mut story = five();
    story.add(inbound(1, 10, 3));
    story.add(dated(1, 4, 10));
    story.add(created(2, 4, 1_000));
    story.add(dated(3, 1, 10));
    rejects(&story, "1 units are promised that are not there by day 10");

    let mut early = five();
    early.add(inbound(1, 10, 3));
    early.add(dated(1, 6, 9));
    rejects(&early, "1 units are promised that are not there by day 9");

    // A later promise takes what an earlier one needs.
    let mut later = five();
    later.add(inbound(1, 10, 3));
    later.add(dated(1, 7, 12));
    later.add(created(2, 2, 1_000));
    rejects(&later, "1 units are promised that are not there by day 12");
}

#[test]
fn units_expire_at_their_deadline_and_not_before() {
    let mut story = five();
    story.add(created(1, 2, 1_000));
    story.add_at(999, expired(1, 2));
    rejects(&story, "units expire at 999");

    let mut late = five();
    late.add(created(1, 2, 1_000));
    late.add_at(1_000, confirmed(1, 2, 1_000));
    rejects(&late, "held units are acted on at 1000");

    let mut moved = five();
    moved.add(created(1, 2, 1_000));
    moved.add(confirmed(1, 2, 1_001));
    rejects(&moved, "deadline 1001");
}

#[test]
fn units_go_from_state_to_state_in_one_way() {
    let mut story = five();
    story.add(created(1, 2, 1_000));
    story.add(shipped(1, "north", 2));
    rejects(&story, "2 units change their state");

    let mut south = five();
    let mut pinned = created(1, 2, 1_000);
    pinned["lines"][0]["node"] = json!("north");
    south.add(pinned);
    south.add(confirmed(1, 2, 1_000));
    south.add(shipped(1, "south", 2));
    rejects(&south, "another node ships");

    let mut wrong = five();
    wrong.add(created(1, 2, 1_000));
    let mut confirm = confirmed(1, 2, 1_000);
    confirm["lines"][0]["moves"][0]["move"] = json!("release_held");
    wrong.add(confirm);
    rejects(&wrong, "reservation.confirmed does \"release_held\"");
}

#[test]
fn ids_and_commands_come_once() {
    let mut story = five();
    story.add(created(1, 1, 1_000));
    story.add(created(1, 1, 1_000));
    rejects(&story, "made again");

    let mut twice = five();
    twice.add(json!({
        "kind": "stock.adjusted", "command": support::command(0),
        "items": [{"sku": "A", "node": "north", "on_hand_before": 5, "on_hand": 6,
                   "unavailable_before": 0, "unavailable": 0}],
    }));
    rejects(&twice, "done again");

    let mut unknown = five();
    unknown.add(confirmed(7, 1, 1_000));
    rejects(&unknown, "not known");
}

#[test]
fn moments_of_a_sku_never_go_back() {
    let mut story = five();
    story.add_at(500, created(1, 1, 1_000));
    story.add_at(499, created(2, 1, 1_000));
    rejects(&story, "moment 499");
}

#[test]
fn stock_moves_between_nodes_without_a_loss() {
    let item = |node: &str, before: u64, after: u64| {
        json!({"sku": "A", "node": node, "on_hand_before": before, "on_hand": after,
               "unavailable_before": 0, "unavailable": 0})
    };
    let mut story = five();
    story.add(json!({
        "kind": "stock.transferred", "command": support::command(5),
        "items": [item("north", 5, 3), item("south", 0, 3)],
    }));
    rejects(&story, "5 units of A become 6");
}

#[test]
fn records_of_other_kinds_move_nothing_and_unknown_ones_are_named() {
    let mut story = five();
    for kind in [
        "ledger.opened",
        "shares.moved",
        "sku.deficit",
        "command.refused",
    ] {
        story.add(json!({"kind": kind}));
    }
    story.add(json!({"kind": "sku.vanished"}));
    rejects(&story, "sku.vanished");
}

#[test]
fn a_whole_life_is_accepted() {
    let mut story = five();
    story.add(created(1, 2, 1_000));
    story.add(confirmed(1, 2, 1_000));
    story.add(shipped(1, "north", 2));
    story.add(created(2, 3, 1_000));
    story.add_at(1_000, expired(2, 3));
    story.sku = Some(json!({
        "sku": "A", "settings": {"safety": {"units": 0}, "suspended": false},
        "held": 0, "committed": 0, "channels": [],
        "nodes": [{"node": "north", "on_hand": 3, "unavailable": 0, "pinned": 0}],
    }));
    story.reservation = Some(json!({
        "id": support::id(1), "channel": "web", "deadline": 1_000, "touched": 1,
        "lines": [{"sku": "A", "held": 0, "committed": 0, "shipped": 2, "released": 0,
                   "expired": 0, "returned": 0}],
    }));
    accepts(&story);

    story.sku.as_mut().unwrap()["nodes"][0]["on_hand"] = json!(4);
    assert!(verify(&proof(&story)[..]).is_err());
}
