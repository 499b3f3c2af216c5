//! Cuts between what made a SKU low, or ended that, and the event that tells of it.

use holdfast::blocking::wait_for;
use holdfast::domain::command::Verb;
use holdfast::domain::{Level, LowWater, Setting, Sku, WhileLow};
use holdfast::engine::Engine;
use holdfast::ledger::event::{Body, Cursor};

use crate::cuts::{count, engine, folder, life, one_more, reserve, settled};
use crate::support::driven::submit;
use crate::support::script::{Script, units};

/// Four changes to and fro: at 4 of 10, 14 of 20, 3 of 9 and 9 of 9.
fn scripts() -> [Script; 6] {
    let mark = LowWater {
        mark: Level::Units(units(4)),
        resume: Some(Level::Units(units(8))),
        then: WhileLow::Suspend,
    };
    let settings = Script::Settings {
        sku: "a".to_owned(),
        safety: None,
        node_safety: None,
        selling: None,
        low_water: Some(Setting::Own(Some(mark))),
        if_version: None,
    };
    let release = Script::Act {
        target: "2".to_owned(),
        verb: Verb::Release,
        lines: None,
    };
    [
        count(10),
        settings,
        reserve(6),
        count(20),
        count(9),
        release,
    ]
}

fn is_low(engine: &Engine) -> bool {
    let stock = wait_for(engine.stock(Sku::new("a").unwrap())).unwrap();
    stock.is_some_and(|stock| stock.low)
}

/// What the feed told last of whether the SKU is low.
fn told(engine: &Engine) -> bool {
    let page = wait_for(engine.events(Cursor::default(), 1_000)).unwrap();
    let lows = page.iter().filter_map(|event| {
        if let Body::LowWater(told) = event.unwrap().body {
            Some(told.low)
        } else {
            None
        }
    });
    lows.last().unwrap_or_default()
}

#[test]
fn what_was_not_told_before_a_cut_is_told_with_the_next_change() {
    let (records, stood) = life(&scripts(), is_low);
    let mut untold = 0;
    for end in 1..=records.len() {
        let (last, _) = records[end - 1];
        let engine = engine(&folder(&records[..end]));
        let stands = stood.iter().rev().find(|(from, _)| *from <= last);
        let (_, low) = stands.unwrap();
        assert_eq!(is_low(&engine), *low, "after {last}");
        untold += u64::from(told(&engine) != *low);

        // What is told afterwards is how it stands.
        submit(&engine, "change", &one_more(), 0).unwrap();
        settled(&engine);
        assert_eq!(told(&engine), is_low(&engine), "after {last}");
        engine.close().unwrap();
    }
    assert_eq!(untold, 4, "a cut after each cause");
}
