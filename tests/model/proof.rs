//! Proofs of what the embedded ledger did in random histories.

use std::path::Path;
use std::sync::Arc;

use holdfast::blocking::wait_for;
use holdfast::clock::{Clock, monotonic};
use holdfast::domain::UnixMillis;
use holdfast::domain::command::Verb;
use holdfast::engine::{Engine, EngineConfig};
use holdfast::ledger::embedded::journal::JournalConfig;
use holdfast::ledger::event::Cursor;
use holdfast::ledger::proof::{Edge, ProveError, Range};
use holdfast::ledger::{Durability, EventsError};
use holdfast::telemetry::Meters;
use holdfast_verify::verify;

use crate::forged::Lines;
use crate::promises::{Home, agrees_with_an_assignment};
use crate::proved::{proved, range, written};
use crate::support::amount::asked;
use crate::support::check::{START, run};
use crate::support::commands_wanted;
use crate::support::driven::{Driven, give_names, id_of, open, submit};
use crate::support::history::Maker;
use crate::support::memory::Memory;
use crate::support::model::Keeping;
use crate::support::rng::Rng;
use crate::support::script::{Ask, Script, SetAsk};

/// One history in three is of a ledger that forgets.
fn keeping(seed: u64) -> Option<Keeping> {
    seed.is_multiple_of(3).then_some(Keeping {
        answers: 20_000,
        refusals: 5_000,
    })
}

#[test]
fn every_random_history_is_accepted() {
    let mut left = commands_wanted() / 10;
    for seed in 0.. {
        let mut maker = Maker::new(seed);
        maker.policies = seed % 2 == 1;
        maker.share_moves = 4;
        let history = maker.history(1_000);
        let keeping = keeping(seed);
        let mut driven = Driven::new(seed, keeping);
        run(&mut driven, &history).unwrap();
        let retention_ms = keeping.map_or(i64::MAX, |keeping| keeping.answers);
        let (proof, _) = proved(driven.as_ref(), &range(retention_ms));
        assert!(proof.made > 0, "seed {seed}");
        left = left.saturating_sub(history.len());
        if left == 0 {
            break;
        }
    }
}

/// A folder whose ledger is proved whenever it would be opened anew.
struct Proved(Arc<Memory>);

impl Home for Proved {
    fn open(&self, clock: &Clock) -> Engine {
        open(Arc::<Memory>::clone(&self.0), clock.clone(), None)
    }

    fn reopen(&self, engine: &mut Engine, _clock: &Clock, _rng: &mut Rng) {
        proved(engine, &range(i64::MAX));
    }
}

#[test]
fn dated_supply_and_promises_are_accepted() {
    agrees_with_an_assignment(0..6, |seed| Proved(Arc::new(Memory::with_seed(seed))));
}

/// A ledger whose journal keeps as little as it can.
fn forgetful(data: &Path) -> Engine {
    let mut config = EngineConfig::new(Clock::manual(UnixMillis(START)), Meters::new());
    config.journal = JournalConfig {
        segment_bytes: 64 * 1024,
        retain_bytes: 0,
        durability: Durability::Os,
        ..JournalConfig::default()
    };
    config.snapshot_every = u64::MAX;
    let engine = Engine::open(data, config).unwrap();
    give_names(&engine);
    engine
}

fn reserves(engine: &Engine, keys: std::ops::Range<u32>) {
    for key in keys {
        let script = hold("a", 1 + u64::from(key % 3));
        let answer = submit(engine, &format!("k{key}"), &script, 0).unwrap();
        engine.wait_blocking(answer.position).unwrap();
    }
}

fn hold(sku: &str, quantity: u64) -> Script {
    Script::Reserve {
        channel: 0,
        reference: None,
        ttl: 60_000,
        partial: false,
        lines: vec![Ask {
            sku: sku.to_owned(),
            node: None,
            quantity,
        }],
    }
}

#[test]
fn where_the_journal_is_trimmed_a_proof_begins_at_the_snapshot() {
    let folder = tempfile::tempdir().unwrap();
    let engine = forgetful(folder.path());
    let stock = Script::Set {
        reason: String::new(),
        items: vec![SetAsk {
            sku: "a".to_owned(),
            node: 0,
            on_hand: Some(100_000),
            unavailable: None,
            change_from: None,
        }],
    };
    let counted = submit(&engine, "stock", &stock, 0).unwrap();
    engine.wait_blocking(counted.position).unwrap();
    let mut last = 0;
    for part in 0..4 {
        reserves(&engine, part * 1_500..(part + 1) * 1_500);
        last = engine.snapshot().unwrap();
    }
    reserves(&engine, 6_000..6_100);

    let gone = wait_for(engine.events(Cursor::default(), 1));
    assert!(matches!(gone, Err(EventsError::Gone { .. })), "{gone:?}");
    let (proof, bytes) = proved(&engine, &range(i64::MAX));
    assert_eq!((proof.made, proof.reservations), (100, 6_100));
    let opening = Lines::of(&bytes).0[1]["opening"]["sequence"].as_u64();
    assert_eq!(opening, Some(last));

    let early = Range {
        from: Some(Edge::Sequence(last)),
        ..range(i64::MAX)
    };
    let refused = wait_for(engine.prove(&early, Vec::new()));
    assert!(
        matches!(refused, Err(ProveError::Gone { shard: 0, oldest }) if oldest == last + 1),
        "{refused:?}"
    );
    let middle = Range {
        from: Some(Edge::Sequence(last + 51)),
        to: Some(Edge::Sequence(last + 60)),
        ..range(i64::MAX)
    };
    assert_eq!(proved(&engine, &middle).0.records, 10);
    engine.close().unwrap();
}

/// Stock of many SKUs; then each reservation is made, confirmed, and every other one shipped.
fn sell(engine: &Engine, reservations: u32) {
    let sku = |number: u32| format!("sku-{}", number % 1_000);
    let send = |key: String, script: &Script, target| {
        let answer = submit(engine, &key, script, target).unwrap();
        assert!(answer.verdict.is_ok(), "{:?}", answer.verdict);
        if answer.position.sequence.is_multiple_of(1_024) {
            engine.wait_blocking(answer.position).unwrap();
        }
    };
    for number in 0..1_000 {
        let items = vec![SetAsk {
            sku: sku(number),
            node: 0,
            on_hand: Some(u64::from(reservations)),
            unavailable: None,
            change_from: None,
        }];
        let reason = String::new();
        send(format!("s{number}"), &Script::Set { reason, items }, 0);
    }
    for number in 0..reservations {
        let made = format!("r{number}");
        send(made.clone(), &hold(&sku(number), 1), 0);
        let id = id_of(engine, &made);
        let verbs = [Verb::Confirm, Verb::Ship { from: None }];
        for (at, verb) in verbs
            .into_iter()
            .take(if number.is_multiple_of(2) { 1 } else { 2 })
            .enumerate()
        {
            let target = made.clone();
            let lines = None;
            send(
                format!("a{at}-{number}"),
                &Script::Act {
                    target,
                    verb,
                    lines,
                },
                id,
            );
        }
    }
}

#[test]
fn a_long_history_is_written_and_read_in_little_time() {
    let reservations = asked("HOLDFAST_PROOF_RESERVATIONS").unwrap_or(20_000);
    let clock = Clock::manual(UnixMillis(START));
    let engine = open(Arc::new(Memory::with_seed(6)), clock, None);
    sell(&engine, reservations);
    let timer = monotonic();
    let (written, bytes) = written(&engine, &range(48 * 3_600_000));
    let writing = timer.elapsed();
    let timer = monotonic();
    let proof = verify(&bytes[..]).unwrap();
    let reading = timer.elapsed();
    assert_eq!(
        (proof.made, proof.hash),
        (u64::from(reservations), written.hash)
    );
    let (records, mib) = (proof.records, bytes.len() >> 20);
    println!("{records} records, {mib} MiB: written in {writing:.1?}, read in {reading:.1?}");
}

#[test]
fn one_proof_begins_where_another_ends() {
    let mut driven = Driven::new(9, None);
    run(&mut driven, &Maker::new(9).history(500)).unwrap();
    let engine = driven.as_ref();
    let whole = proved(engine, &range(i64::MAX)).0;
    let edge = |sequence| Some(Edge::Sequence(sequence));
    let cuts = [0, whole.records / 3, whole.records / 2, whole.records];
    let parts = cuts.windows(2).map(|cut| {
        let between = Range {
            from: edge(cut[0] + 1),
            to: edge(cut[1]),
            ..range(i64::MAX)
        };
        proved(engine, &between).0
    });
    let parts: Vec<_> = parts.collect();
    assert_eq!(parts[0].opening, whole.opening);
    assert_eq!(parts[0].closing, parts[1].opening);
    assert_eq!(parts[1].closing, parts[2].opening);
    assert_eq!(parts[2].closing, whole.closing);
    let made: u64 = parts.iter().map(|part| part.made).sum();
    assert_eq!(made, whole.made);
}
