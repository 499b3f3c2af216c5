//! Cuts between what made a SKU low, or ended that, and the event that tells of it.

use std::convert::Infallible;
use std::sync::Arc;

use holdfast::blocking::wait_for;
use holdfast::clock::Clock;
use holdfast::domain::command::Verb;
use holdfast::domain::{Level, LowWater, Sku, UnixMillis, WhileLow};
use holdfast::engine::Engine;
use holdfast::ledger::embedded::journal::{Journal, JournalConfig};
use holdfast::ledger::embedded::storage::Storage;
use holdfast::ledger::embedded::storage::sim::SimStorage;
use holdfast::ledger::event::{Body, Cursor};
use holdfast::telemetry::Meters;

use crate::support::check::START;
use crate::support::driven::{id_of, open, submit};
use crate::support::script::{Ask, Script, SetAsk, units};

/// An encoded event with its sequence.
type Record = (u64, Vec<u8>);

fn engine(storage: &SimStorage) -> Engine {
    let clock = Clock::manual(UnixMillis(START));
    open(Arc::new(storage.clone()), clock, None)
}

fn count(on_hand: u64) -> Script {
    let item = SetAsk {
        sku: "a".to_owned(),
        node: 0,
        on_hand: Some(on_hand),
        unavailable: None,
        change_from: None,
    };
    Script::Set {
        reason: "count".to_owned(),
        items: vec![item],
    }
}

fn reserve(quantity: u64) -> Script {
    let sku = "a".to_owned();
    let node = None;
    let line = Ask {
        sku,
        node,
        quantity,
    };
    Script::Reserve {
        channel: 0,
        reference: None,
        ttl: 60_000,
        partial: false,
        lines: vec![line],
    }
}

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
        low_water: Some(Some(mark)),
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

/// Waits until all that was told so far is in the feed.
fn settled(engine: &Engine) {
    let nothing = Script::Set {
        reason: "the end".to_owned(),
        items: Vec::new(),
    };
    let last = submit(engine, "last", &nothing, 0).unwrap();
    engine.wait_blocking(last.position).unwrap();
}

/// Lives through the scripts. Every event but names and openings, and from which sequence on the SKU was
/// low or was not.
fn life() -> (Vec<Record>, Vec<(u64, bool)>) {
    let engine = engine(&SimStorage::new());
    let mut stood = vec![(0, false)];
    for (at, script) in scripts().into_iter().enumerate() {
        let target = script.target().map_or(0, |target| id_of(&engine, target));
        let answer = submit(&engine, &at.to_string(), &script, target).unwrap();
        assert!(answer.verdict.is_ok(), "{script:?}");
        stood.push((answer.position.sequence, is_low(&engine)));
    }
    settled(&engine);
    let page = wait_for(engine.events(Cursor::default(), 1_000)).unwrap();
    let bodies = page.iter().map(|event| event.unwrap().body);
    let is_named = |body: Body<'_>| {
        matches!(
            body,
            Body::Opened { .. } | Body::NodeNamed { .. } | Body::ChannelNamed { .. }
        )
    };
    let records = page.records.iter().zip(bodies);
    let records = records
        .filter(|(_, body)| !is_named(body.clone()))
        .map(|((position, bytes), _)| (position.sequence, bytes.clone()))
        .collect();
    (records, stood)
}

/// A folder whose journal ends after these events.
fn folder(records: &[Record]) -> SimStorage {
    let storage = SimStorage::new();
    engine(&storage).close().unwrap();
    let shared: Arc<dyn Storage> = Arc::new(storage.clone());
    let mut recovery = Journal::open(shared, JournalConfig::default()).unwrap();
    recovery.replay(0, |_, _| Ok::<(), Infallible>(())).unwrap();
    let journal = recovery.start(Meters::new()).unwrap();
    for (_, record) in records {
        let mut bytes = u32::try_from(record.len()).unwrap().to_le_bytes().to_vec();
        bytes.extend_from_slice(record);
        journal.append(&bytes, 1);
    }
    journal.close().unwrap();
    storage
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
fn what_was_not_told_before_a_cut_is_told_with_the_next_touch() {
    let (records, stood) = life();
    let mut untold = 0;
    for end in 1..=records.len() {
        let (last, _) = records[end - 1];
        let engine = engine(&folder(&records[..end]));
        let stands = stood.iter().rev().find(|(from, _)| *from <= last);
        let (_, low) = stands.unwrap();
        assert_eq!(is_low(&engine), *low, "after {last}");
        untold += u64::from(told(&engine) != *low);

        // Taken or refused, what is told afterwards is how it stands.
        submit(&engine, "touch", &reserve(1), 0).unwrap();
        settled(&engine);
        assert_eq!(told(&engine), is_low(&engine), "after {last}");
        engine.close().unwrap();
    }
    assert_eq!(untold, 4, "a cut after each cause");
}
