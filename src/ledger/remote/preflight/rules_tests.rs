use std::time::Duration;

use super::*;
use crate::ledger::Position;
use crate::ledger::remote::history::{Contact, Marker};

fn at(sequence: u64, tip: &[u8]) -> Marker {
    Marker {
        position: Position {
            shard: 0,
            epoch: 2,
            sequence,
        },
        tip: tip.to_vec(),
    }
}

/// A store without a fault, for any level.
fn sound() -> Facts {
    Facts {
        is_local: true,
        is_encrypted: false,
        version: Some((7, 2)),
        is_primary: Some(true),
        maxmemory: Some(1 << 30),
        eviction: Some("noeviction".to_owned()),
        has_aof: Some(true),
        appendfsync: Some("always".to_owned()),
        has_waitaof: Some(true),
        replicas: Some(2),
        min_replicas: Some(1),
        is_cluster: true,
        replica_migration: Some(false),
        full_coverage: Some(false),
        is_open: Some(false),
        sentinel: Some(SentinelFacts {
            down_after_ms: 5_000,
            quorum: 2,
            sentinels: 3,
            replicas: 2,
        }),
        contacts: vec![standing(at(7, b"tip"))],
    }
}

/// A store whose ledger stands there; the change 7 was seen before.
fn standing(marker: Marker) -> Contact {
    Contact {
        at_seen: Some(marker.clone()).filter(|marker| marker.position.sequence >= 7),
        marker: Some(marker),
        seen: Some(at(7, b"tip")),
        ..Contact::default()
    }
}

fn expected(durability: Durability) -> Expected {
    Expected {
        level: Level {
            durability,
            replicas: 2,
            wait: Duration::from_secs(1),
        },
        accepted: Vec::new(),
    }
}

fn names(report: &Report) -> Vec<&'static str> {
    report.findings.iter().map(|finding| finding.name).collect()
}

const LEVELS: [Durability; 4] = [
    Durability::Memory,
    Durability::Disk,
    Durability::Replica,
    Durability::ReplicaDisk,
];

#[test]
fn a_sound_store_has_no_findings_at_any_level() {
    for durability in LEVELS {
        let report = judge(&sound(), &expected(durability));
        assert_eq!(report, Report::default(), "{durability:?}");
        assert!(report.is_safe());
    }
}

type Change = Box<dyn Fn(&mut Facts)>;

fn sentinel(change: impl Fn(&mut SentinelFacts) + 'static) -> Change {
    Box::new(move |facts| facts.sentinel.iter_mut().for_each(&change))
}

type Unsafe = (&'static str, Change, &'static [Durability]);

/// Every unsafe setting: its name, how to make it, and the levels that mind.
fn unsafe_settings() -> Vec<Unsafe> {
    let mut all = minded_by_some();
    let by_all = minded_by_all().into_iter();
    all.extend(by_all.map(|(name, change)| (name, change, LEVELS.as_slice())));
    all
}

fn minded_by_some() -> Vec<Unsafe> {
    use Durability::{Disk, Replica, ReplicaDisk};
    let disk: &[Durability] = &[Disk, ReplicaDisk];
    let replica: &[Durability] = &[Replica, ReplicaDisk];
    let sync = |word: Option<&'static str>| -> Change {
        Box::new(move |f| f.appendfsync = word.map(str::to_owned))
    };
    vec![
        ("aof", Box::new(|f| f.has_aof = Some(false)), disk),
        ("appendfsync", sync(Some("everysec")), disk),
        ("appendfsync", sync(None), disk),
        (
            "waitaof",
            Box::new(|f| f.has_waitaof = Some(false)),
            &[ReplicaDisk],
        ),
        ("replicas", Box::new(|f| f.replicas = Some(1)), replica),
        ("promotable", Box::new(|f| f.replicas = Some(3)), replica),
        ("promotable", sentinel(|s| s.replicas = 3), replica),
        (
            "min-replicas",
            Box::new(|f| f.min_replicas = Some(0)),
            replica,
        ),
    ]
}

fn minded_by_all() -> Vec<(&'static str, Change)> {
    let contact =
        |contact: Contact| -> Change { Box::new(move |f| f.contacts = vec![contact.clone()]) };
    let stopped = Contact {
        stopped: Some("0.1.7".to_owned()),
        ..standing(at(7, b"tip"))
    };
    vec![
        ("version", Box::new(|f| f.version = Some((6, 2)))),
        ("role", Box::new(|f| f.is_primary = Some(false))),
        (
            "eviction",
            Box::new(|f| f.eviction = Some("allkeys-lru".into())),
        ),
        ("maxmemory", Box::new(|f| f.maxmemory = Some(0))),
        (
            "replica-migration",
            Box::new(|f| f.replica_migration = Some(true)),
        ),
        ("full-coverage", Box::new(|f| f.full_coverage = Some(true))),
        ("sentinel-down-after", sentinel(|s| s.down_after_ms = 4_999)),
        ("sentinel-quorum", sentinel(|s| s.quorum = 1)),
        ("plaintext", Box::new(|f| f.is_local = false)),
        ("marker", contact(Contact::default())),
        ("history", contact(standing(at(6, b"tip")))),
        ("history", contact(standing(at(7, b"another")))),
        ("history", contact(stopped)),
    ]
}

#[test]
fn each_unsafe_setting_is_the_one_finding_at_the_levels_that_mind() {
    for (name, change, minding) in unsafe_settings() {
        let mut facts = sound();
        change(&mut facts);
        for durability in LEVELS {
            let report = judge(&facts, &expected(durability));
            let wanted: &[&str] = if minding.contains(&durability) {
                &[name]
            } else {
                &[]
            };
            assert_eq!(names(&report), wanted, "{durability:?}");
            let warned_only = name == "maxmemory";
            assert_eq!(report.is_safe(), wanted.is_empty() || warned_only, "{name}");
        }
    }
}

#[test]
fn an_open_door_matters_only_on_a_network() {
    let mut facts = sound();
    facts.is_open = Some(true);
    let expected = expected(Durability::Memory);
    assert_eq!(judge(&facts, &expected), Report::default());
    facts.is_local = false;
    assert_eq!(
        names(&judge(&facts, &expected)),
        ["plaintext", "default-user"]
    );
    facts.is_encrypted = true;
    assert_eq!(names(&judge(&facts, &expected)), ["default-user"]);
}

#[test]
fn the_operator_may_accept_a_finding_by_its_name() {
    for (name, change, minding) in unsafe_settings() {
        let mut facts = sound();
        change(&mut facts);
        let mut expected = expected(minding[0]);
        expected.accepted = vec![name.to_owned()];
        let report = judge(&facts, &expected);
        // A loss is accepted by its own name, once, and not here.
        assert_eq!(report.is_safe(), name != "history", "{name}");
        assert_eq!(names(&report), [name], "accepted is not forgotten");
    }
}

#[test]
fn what_cannot_be_found_out_is_said() {
    let facts = Facts {
        contacts: vec![standing(at(7, b"tip"))],
        has_aof: Some(true),
        appendfsync: Some("always".to_owned()),
        is_cluster: true,
        ..Facts::default()
    };
    let report = judge(&facts, &expected(Durability::ReplicaDisk));
    let unverified = [
        "version",
        "role",
        "eviction",
        "maxmemory",
        "replicas",
        "min-replicas",
        "replica-migration",
        "full-coverage",
        "default-user",
    ];
    assert_eq!(report.unverified, unverified);
}

#[test]
fn more_history_than_was_seen_is_no_fault() {
    let mut facts = sound();
    facts.contacts = vec![Contact {
        at_seen: Some(at(7, b"tip")),
        ..standing(at(8, b"next"))
    }];
    assert!(judge(&facts, &expected(Durability::Memory)).is_safe());
}
