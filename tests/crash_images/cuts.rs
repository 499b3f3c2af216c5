//! A short life that is cut between what happened to a SKU and what the feed tells of that.

use std::convert::Infallible;
use std::sync::Arc;

use holdfast::blocking::wait_for;
use holdfast::clock::Clock;
use holdfast::domain::UnixMillis;
use holdfast::engine::Engine;
use holdfast::ledger::embedded::journal::{Journal, JournalConfig};
use holdfast::ledger::embedded::storage::Storage;
use holdfast::ledger::embedded::storage::sim::SimStorage;
use holdfast::ledger::event::{Body, Cursor};
use holdfast::telemetry::Meters;

use crate::support::check::START;
use crate::support::driven::{id_of, open, submit};
use crate::support::script::{AdjustAsk, Ask, Script, SetAsk};

/// An encoded event with its sequence.
pub(crate) type Record = (u64, Vec<u8>);

pub(crate) fn engine(storage: &SimStorage) -> Engine {
    let clock = Clock::manual(UnixMillis(START));
    open(Arc::new(storage.clone()), clock, None)
}

pub(crate) fn count(on_hand: u64) -> Script {
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

/// One more of it, which leaves nearly everything as it is.
pub(crate) fn one_more() -> Script {
    let item = AdjustAsk {
        sku: "a".to_owned(),
        node: 0,
        on_hand: 1,
        unavailable: 0,
        change_from: None,
    };
    Script::Adjust {
        reason: "found".to_owned(),
        items: vec![item],
    }
}

pub(crate) fn reserve(quantity: u64) -> Script {
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

/// Waits until all that was told so far is in the feed.
pub(crate) fn settled(engine: &Engine) {
    let nothing = Script::Set {
        reason: "the end".to_owned(),
        items: Vec::new(),
    };
    let last = submit(engine, "last", &nothing, 0).unwrap();
    engine.wait_blocking(last.position).unwrap();
}

/// Lives through the scripts. Every event but names and openings, and from which sequence on the SKU
/// stood how.
pub(crate) fn life<T: Default>(
    scripts: &[Script],
    stands: impl Fn(&Engine) -> T,
) -> (Vec<Record>, Vec<(u64, T)>) {
    let engine = engine(&SimStorage::new());
    let mut stood = vec![(0, T::default())];
    for (at, script) in scripts.iter().enumerate() {
        let target = script.target().map_or(0, |target| id_of(&engine, target));
        let answer = submit(&engine, &at.to_string(), script, target).unwrap();
        assert!(answer.verdict.is_ok(), "{script:?}");
        stood.push((answer.position.sequence, stands(&engine)));
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
pub(crate) fn folder(records: &[Record]) -> SimStorage {
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
