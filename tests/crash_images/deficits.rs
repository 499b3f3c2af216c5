//! Cuts between what made or mended a deficit, and the event that tells of it.

use holdfast::blocking::wait_for;
use holdfast::domain::command::Verb;
use holdfast::domain::{Sku, Units};
use holdfast::engine::Engine;
use holdfast::ledger::embedded::storage::sim::SimStorage;
use holdfast::ledger::event::Cursor;

use crate::cuts::{count, engine, folder, life, one_more, reserve, settled};
use crate::deficits_told::Deficits;
use crate::support::driven::submit;
use crate::support::script::{Script, units};

/// Three missing of seven, then five, then one; none after the release.
fn scripts() -> [Script; 7] {
    let release = Script::Act {
        target: "2".to_owned(),
        verb: Verb::Release,
        lines: None,
    };
    [
        count(10),
        reserve(6),
        reserve(1),
        count(4),
        count(2),
        count(6),
        release,
    ]
}

fn deficit(engine: &Engine) -> Units {
    let stock = wait_for(engine.stock(Sku::new("a").unwrap())).unwrap();
    stock.map_or(Units::ZERO, |stock| stock.deficit)
}

/// What the feed told last.
fn told(engine: &Engine) -> Units {
    let page = wait_for(engine.events(Cursor::default(), 1_000)).unwrap();
    let mut told = Deficits::default();
    page.iter()
        .for_each(|event| told.note(&event.unwrap().body));
    told.standing().get("a").copied().unwrap_or_default()
}

/// Units that are missing, by the gauge.
fn gauge(engine: &Engine) -> String {
    wait_for(engine.tick()).unwrap();
    let page = engine.meters().render();
    let found = page
        .lines()
        .find(|line| line.starts_with("holdfast_deficit_units "));
    found.unwrap().replace("holdfast_deficit_units ", "")
}

#[test]
fn what_was_not_told_of_a_deficit_before_a_cut_is_told_with_the_next_change() {
    let (records, stood) = life(&scripts(), deficit);
    let mut untold = 0;
    for end in 1..=records.len() {
        let (last, _) = records[end - 1];
        let engine = engine(&folder(&records[..end]));
        let stands = stood.iter().rev().find(|(from, _)| *from <= last);
        let (_, missing) = stands.unwrap();
        assert_eq!(deficit(&engine), *missing, "after {last}");
        untold += u64::from(told(&engine) != *missing);

        // What is told afterwards is how it stands.
        submit(&engine, "change", &one_more(), 0).unwrap();
        settled(&engine);
        assert_eq!(told(&engine), deficit(&engine), "after {last}");
        engine.close().unwrap();
    }
    assert_eq!(untold, 4, "a cut after each cause");
}

#[test]
fn what_was_told_is_known_after_a_replay_and_from_a_snapshot() {
    let (storage, lived) = (SimStorage::new(), scripts());
    let running = engine(&storage);
    for (at, script) in lived.iter().take(4).enumerate() {
        submit(&running, &at.to_string(), script, 0).unwrap();
    }
    assert_eq!(gauge(&running), "3");
    running.close().unwrap();
    for with_snapshot in [false, true] {
        let again = engine(&storage);
        assert_eq!((gauge(&again).as_str(), told(&again)), ("3", units(3)));
        assert_eq!(
            wait_for(again.recount()).unwrap().violations,
            Vec::<String>::new()
        );
        if !with_snapshot {
            again.snapshot().unwrap();
        }
        again.close().unwrap();
    }
    let last = engine(&storage);
    submit(&last, "mend", &count(7), 0).unwrap();
    settled(&last);
    assert_eq!((gauge(&last).as_str(), told(&last)), ("0", Units::ZERO));
    last.close().unwrap();
}
