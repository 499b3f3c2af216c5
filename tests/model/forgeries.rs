//! Proofs that somebody changed: none is accepted, and the place is named.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use holdfast_verify::{Refusal, verify};
use serde_json::{Value, json};

use crate::forged::{Lines, chained, hash_of};
use crate::proved::{proved, range, rejected};
use crate::support::check::run;
use crate::support::driven::Driven;
use crate::support::history::Maker;
use crate::support::rng::Rng;

/// Records that move units in a way that nothing later can hide.
const MOVING: [&str; 8] = [
    "reservation.created",
    "reservation.confirmed",
    "reservation.released",
    "reservation.expired",
    "reservation.shipped",
    "reservation.returned",
    "stock.set",
    "stock.adjusted",
];

/// A proof of a random history.
fn proof(seed: u64) -> Vec<u8> {
    let mut maker = Maker::new(seed);
    maker.policies = true;
    let history = maker.history(500);
    let mut driven = Driven::new(seed, None);
    run(&mut driven, &history).unwrap();
    proved(driven.as_ref(), &range(i64::MAX)).1
}

/// Each with its line feed.
fn lines(bytes: &[u8]) -> Vec<&[u8]> {
    bytes.split_inclusive(|byte| *byte == b'\n').collect()
}

/// It is rejected in one of these lines, counted from 1.
fn rejects(bytes: &[u8], at: RangeInclusive<usize>, what: &str) {
    match verify(bytes) {
        Ok(_) => panic!("{what}: accepted"),
        Err(Refusal::Other | Refusal::Version(_)) => assert_eq!(*at.start(), 1, "{what}"),
        Err(refusal) => {
            let line = usize::try_from(rejected(&refusal).line).unwrap();
            assert!(at.contains(&line), "{what}: {refusal}, not in {at:?}");
        }
    }
}

#[test]
fn a_byte_that_was_changed_is_found_in_its_line() {
    let bytes = proof(1);
    let mut rng = Rng::new(1);
    for _ in 0..300 {
        let at = rng.index(bytes.len());
        let mut forged = bytes.clone();
        forged[at] ^= 1 << rng.below(8);
        let line = lines(&bytes[..=at]).len();
        rejects(&forged, line..=line, &format!("byte {at}"));
    }
}

#[test]
fn lines_that_are_gone_doubled_or_elsewhere_are_found() {
    let bytes = proof(2);
    let lines = lines(&bytes);
    let mut rng = Rng::new(2);
    let last = lines.len() - 1;
    for _ in 0..100 {
        let at = rng.index(last);
        let without = [&lines[..at], &lines[at + 1..]].concat().concat();
        rejects(&without, at + 1..=at + 1, "a line is gone");
        let doubled = [&lines[..=at], &lines[at..]].concat().concat();
        rejects(&doubled, at + 2..=at + 2, "a line is doubled");
        let mut swapped = lines.clone();
        swapped.swap(at, at + 1);
        rejects(&swapped.concat(), at + 1..=at + 1, "two lines are swapped");
    }
}

#[test]
fn a_file_that_breaks_off_or_goes_on_is_found_there() {
    let bytes = proof(3);
    let number = lines(&bytes).len() + 1;
    let mut rng = Rng::new(3);
    for _ in 0..50 {
        let cut = 1 + rng.index(bytes.len() - 1);
        let line = lines(&bytes[..cut]).len();
        rejects(&bytes[..cut], line..=line, &format!("cut at {cut}"));
    }
    rejects(b"", 1..=1, "empty");
    let longer = [&bytes[..], b"\n"].concat();
    rejects(&longer, number..=number, "a line after the last");
    let twice = [&bytes[..], &bytes[..]].concat();
    rejects(&twice, number..=number, "a proof after the last line");
}

#[test]
fn a_line_that_was_changed_with_its_hash_does_not_fit_the_next() {
    let bytes = proof(4);
    let lines = lines(&bytes);
    let mut rng = Rng::new(4);
    for _ in 0..100 {
        let at = 1 + rng.index(lines.len() - 2);
        let text = str::from_utf8(lines[at]).unwrap();
        let mut value: Value = serde_json::from_str(text).unwrap();
        value.as_object_mut().unwrap().remove("hash");
        grow(&mut value, &mut rng);
        let (line, _) = chained(hash_of(lines[at - 1]), &value.to_string());
        let forged = [&lines[..at], &[&line[..]], &lines[at + 1..]].concat();
        rejects(&forged.concat(), at + 1..=at + 2, "a line and its hash");
    }
}

/// Makes one number of a line larger.
fn grow(value: &mut Value, rng: &mut Rng) {
    fn numbers<'v>(value: &'v mut Value, found: &mut Vec<&'v mut Value>) {
        match value {
            Value::Number(_) => found.push(value),
            Value::Array(values) => values.iter_mut().for_each(|of| numbers(of, found)),
            Value::Object(map) => map.values_mut().for_each(|of| numbers(of, found)),
            Value::Null | Value::Bool(_) | Value::String(_) => {}
        }
    }
    let mut found = Vec::new();
    numbers(value, &mut found);
    assert!(!found.is_empty(), "every line has a number");
    let at = rng.index(found.len());
    *found[at] = json!(found[at].as_u64().unwrap() + 1);
}

#[test]
fn the_last_hash_is_that_of_the_last_line() {
    let bytes = proof(5);
    let last = lines(&bytes).len();
    let mut rng = Rng::new(5);
    for _ in 0..50 {
        let mut forged = bytes.clone();
        let at = bytes.len() - 4 - rng.index(60);
        forged[at] = if forged[at] == b'0' { b'1' } else { b'0' };
        rejects(&forged, last..=last, "the last hash");
    }
}

#[test]
fn another_version_is_named() {
    let bytes = proof(6);
    let mut lines = Lines::of(&bytes);
    lines.0[0]["proof"]["version"] = json!(2);
    assert!(matches!(
        verify(&lines.chained()[..]),
        Err(Refusal::Version(2))
    ));
    lines.0[0]["proof"]["format"] = json!("holdfast ledger");
    assert!(matches!(verify(&lines.chained()[..]), Err(Refusal::Other)));
}

/// A way to tell another story, with every hash made anew: changes lines from a position on, or says
/// that it has nothing to change there.
type Story = fn(&mut Lines, usize, &mut Rng) -> bool;

const STORIES: [(&str, &[&str], Story); 11] = [
    (
        "one unit more is promised",
        &["reservation.created"],
        |lines, at, _| {
            let held = &mut lines.0[at]["record"]["lines"][0]["held"];
            *held = json!(held.as_u64().unwrap() + 1);
            true
        },
    ),
    (
        "the deadline is a day later",
        &["reservation.created"],
        |lines, at, _| {
            let deadline = &mut lines.0[at]["record"]["deadline"];
            *deadline = json!(deadline.as_i64().unwrap() + 86_400_000);
            true
        },
    ),
    (
        "the deadline is earlier",
        &["reservation.created"],
        |lines, at, _| {
            let deadline = &mut lines.0[at]["record"]["deadline"];
            *deadline = json!(deadline.as_i64().unwrap() - 1);
            is_left_alone(lines, at)
        },
    ),
    (
        "units expire before their deadline",
        &["reservation.expired"],
        |lines, at, _| {
            let id = lines.0[at]["record"]["id"].clone();
            let before = lines.0[..at].iter().rev();
            let mut deadlines = before.filter(|line| line["record"]["id"] == id);
            let deadline = deadlines.find_map(|line| line["record"]["deadline"].as_i64());
            lines.0[at]["record"]["at"] = json!(deadline.unwrap() - 1);
            true
        },
    ),
    (
        "what expired is confirmed",
        &["reservation.expired"],
        |lines, at, _| {
            let gone = &lines.0[at]["record"];
            let line = json!({
                "line": gone["line"], "sku": gone["sku"],
                "moves": [{"move": "commit", "units": gone["units"]}],
                "held": 0, "committed": gone["units"], "shipped": 0, "released": 0, "expired": 0,
                "returned": 0,
            });
            let confirmed = json!({
                "seq": 0, "epoch": gone["epoch"], "at": gone["at"], "kind": "reservation.confirmed",
                "id": gone["id"], "command": "cmd_00000000000000000000000000",
                "deadline": gone["at"], "lines": [line],
            });
            lines.0.insert(at + 1, json!({"record": confirmed}));
            true
        },
    ),
    ("a record never was", &MOVING, |lines, at, _| {
        let said = lines.0.remove(at);
        has_moved(&said["record"])
    }),
    ("a record was twice", &MOVING, |lines, at, _| {
        let again = lines.0[at].clone();
        lines.0.insert(at, again);
        true
    }),
    (
        "one unit more was there",
        &["stock.set", "stock.adjusted"],
        |lines, at, _| {
            let on_hand = &mut lines.0[at]["record"]["items"][0]["on_hand"];
            *on_hand = json!(on_hand.as_u64().unwrap() + 1);
            true
        },
    ),
    (
        "one unit more is confirmed",
        &["reservation.confirmed"],
        |lines, at, _| {
            if !has_moved(&lines.0[at]["record"]) {
                return false;
            }
            let units = &mut lines.0[at]["record"]["lines"][0]["moves"][0]["units"];
            *units = json!(units.as_u64().unwrap() + 1);
            true
        },
    ),
    (
        "a record is of another reservation",
        &["reservation.confirmed", "reservation.shipped"],
        |lines, at, rng| {
            let made = lines.records(&["reservation.created"]);
            let other = lines.0[made[rng.index(made.len())]]["record"]["id"].clone();
            let id = &mut lines.0[at]["record"]["id"];
            let is_other = *id != other;
            *id = other;
            is_other && has_moved(&lines.0[at]["record"])
        },
    ),
    ("it happened a day earlier", &MOVING, |lines, at, _| {
        let moment = &mut lines.0[at]["record"]["at"];
        *moment = json!(moment.as_i64().unwrap() - 86_400_000);
        let sku = sku_of(&lines.0[at]["record"]);
        let before = lines
            .records(&MOVING)
            .into_iter()
            .take_while(|other| *other < at);
        let mut before = before.map(|other| sku_of(&lines.0[other]["record"]));
        before.any(|other| other.is_some() && other == sku)
    }),
];

/// The SKU of the first line or item of a record; none where it moves nothing.
fn sku_of(record: &Value) -> Option<&str> {
    let parts = [
        &record["sku"],
        &record["lines"][0]["sku"],
        &record["items"][0]["sku"],
    ];
    parts.into_iter().find_map(Value::as_str)
}

/// Whether a record left anything as it was not before.
fn has_moved(record: &Value) -> bool {
    let items = record["items"].as_array();
    let is_change = |item: &Value| {
        item["on_hand"] != item["on_hand_before"]
            || item["unavailable"] != item["unavailable_before"]
    };
    let is_same = items.is_some_and(|items| !items.iter().any(is_change));
    !is_same
        && record["lines"]
            .as_array()
            .is_none_or(|lines| !lines.is_empty())
}

/// Whether what is said of it next says what its deadline was.
fn is_left_alone(lines: &Lines, at: usize) -> bool {
    let id = &lines.0[at]["record"]["id"];
    let mut later = lines.0[at + 1..].iter();
    let next = later.find(|line| line["record"]["id"] == *id || line["reservation"]["id"] == *id);
    next.is_some_and(|line| {
        let is_extended = line["record"]["kind"] == "reservation.extended";
        let is_told = line["record"]["deadline"].is_i64() || line["reservation"].is_object();
        is_told && !is_extended
    })
}

#[test]
fn another_story_with_every_hash_made_anew_does_not_add_up() {
    let mut rng = Rng::new(7);
    let mut told: BTreeMap<&str, u32> = BTreeMap::new();
    for seed in 10..15 {
        let bytes = proof(seed);
        let lines = Lines::of(&bytes);
        assert!(verify(&lines.chained()[..]).is_ok(), "made anew, unchanged");
        for (what, kinds, story) in STORIES {
            let places = lines.records(kinds);
            for _ in 0..10.min(places.len()) {
                let at = places[rng.index(places.len())];
                let mut forged = lines.clone();
                if !story(&mut forged, at, &mut rng) {
                    continue;
                }
                forged.renumber();
                *told.entry(what).or_default() += 1;
                let from = at + 1;
                rejects(&forged.chained(), from..=forged.0.len(), what);
            }
        }
    }
    let fewest = told.values().min();
    assert!(
        told.len() == STORIES.len() && fewest >= Some(&10),
        "{told:?}"
    );
    assert!(told.values().sum::<u32>() >= 300, "{told:?}");
}

#[test]
fn another_end_does_not_follow() {
    let bytes = proof(8);
    let lines = Lines::of(&bytes);
    let closing = lines.0.iter().rposition(|line| line["closing"].is_object());
    let closing = closing.unwrap();
    let mut rng = Rng::new(8);
    for at in closing..lines.0.len() {
        let mut forged = lines.clone();
        grow(&mut forged.0[at], &mut rng);
        rejects(&forged.chained(), at + 1..=at + 1, "another end");
        if at > closing && at + 1 < lines.0.len() {
            let mut forged = lines.clone();
            forged.0.remove(at);
            forged.renumber();
            rejects(
                &forged.chained(),
                at + 1..=forged.0.len(),
                "something is left out",
            );
        }
    }
}
