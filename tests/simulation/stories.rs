//! What seeds have found, each as a test of its own.

use std::sync::Arc;

use holdfast::clock::Clock;
use holdfast::domain::command::Keyed;
use holdfast::domain::{ReservationId, UnixMillis};
use holdfast::engine::{Engine, EngineConfig};
use holdfast::ledger::embedded::SnapshotStep;
use holdfast::ledger::embedded::journal::Writer;
use holdfast::ledger::embedded::storage::sim::SimStorage;
use holdfast::limits::RECORD_SHARDS;
use holdfast::telemetry::Meters;

use crate::crowd::at_once;
use crate::support::check::START;
use crate::support::driven::{give_names, id_of};
use crate::support::script::{Ask, Script, SetAsk};

const MINUTE: i64 = 60_000;

fn open(storage: &SimStorage, clock: &Clock) -> (Engine, Writer) {
    let mut config = EngineConfig::new(clock.clone(), Meters::new());
    config.retention.keys_ms = MINUTE;
    let (engine, writer) = Engine::open_stepped(Arc::new(storage.clone()), config).unwrap();
    give_names(&engine);
    (engine, writer)
}

fn send(engine: &Engine, key: &str, script: &Script) {
    let command = script.command(0);
    let key = engine.key(key, &command);
    let answer = engine.submit(&Keyed { key, command }).unwrap();
    assert!(answer.verdict.is_ok() && !answer.replayed, "{answer:?}");
}

/// A hold had expired and its key was forgotten while a snapshot was being written: after the shard of
/// its head, before that of its line. Under the same key another hold was made. A recovery took the
/// line of the new hold, which the snapshot had, for the old one's, forgot it with the old head, and
/// let the acknowledged hold go (seed 1134).
#[test]
fn a_key_forgotten_and_used_again_during_a_snapshot_keeps_its_reservation() {
    let (storage, clock) = (SimStorage::new(), Clock::manual(UnixMillis(START)));
    let (engine, mut writer) = open(&storage, &clock);
    let stock = Script::Set {
        reason: String::new(),
        items: vec![SetAsk {
            sku: "a".to_owned(),
            node: 0,
            on_hand: Some(5),
            unavailable: None,
            change_from: None,
        }],
    };
    send(&engine, "stock", &stock);
    let hold = Script::Reserve {
        channel: 0,
        reference: None,
        ttl: 1_000,
        partial: false,
        lines: vec![Ask {
            sku: "a".to_owned(),
            node: None,
            quantity: 2,
        }],
    };
    send(&engine, "key", &hold);
    let mut snapshot = engine.begin_snapshot().unwrap().unwrap();
    // The names, the policy and all records.
    for _ in 0..2 + RECORD_SHARDS {
        assert_eq!(snapshot.step(), Ok(SnapshotStep::Wrote));
    }
    clock.advance(3 * MINUTE);
    at_once(engine.tick()).unwrap().unwrap();
    send(&engine, "key", &hold);
    while snapshot.step().unwrap() != SnapshotStep::Ready {
        writer.step().unwrap();
    }
    snapshot.finish().unwrap();
    let id = ReservationId(id_of(&engine, "key"));
    let before = at_once(engine.reservation(id)).unwrap().unwrap();
    assert!(before.is_some());
    drop((engine, writer));
    let (engine, mut writer) = open(&storage, &clock);
    writer.step().unwrap();
    let after = at_once(engine.reservation(id)).unwrap().unwrap();
    assert_eq!(after, before);
    let counted = at_once(engine.recount()).unwrap().unwrap();
    assert_eq!(counted.violations, Vec::<String>::new());
}
