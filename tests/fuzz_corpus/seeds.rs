//! The files of the corpora that real values make, and not people: a journal, a snapshot and an
//! export of a small ledger, random policies and histories, and what a real store says.

use std::fs;
use std::sync::Arc;

use holdfast::blocking::wait_for;
use holdfast::clock::Clock;
use holdfast::config::DEFAULT_TOML;
use holdfast::domain::UnixMillis;
use holdfast::domain::policy::Policy;
use holdfast::engine::Engine;
use holdfast::ledger::embedded::journal::Journal;
use holdfast::ledger::embedded::snapshot_file::SnapshotReader;
use holdfast::ledger::embedded::storage::sim::SimStorage;
use holdfast::ledger::export::file::Writer;
use holdfast::ledger::policy::text;

use crate::checks::folder::SMALL;
use crate::root;
use crate::stored;
use crate::support::check::START;
use crate::support::driven::config;
use crate::support::policies;
use crate::support::rng::Rng;

/// Names and contents.
pub(crate) type Files = Vec<(String, Vec<u8>)>;

/// The files of a target are those whose names begin so.
const MADE: &str = "made-";

#[test]
#[expect(
    clippy::disallowed_methods,
    reason = "the tests have no configuration file"
)]
fn corpora_are_written_on_demand() {
    if std::env::var("UPDATE_FUZZ_CORPUS").is_err() {
        return;
    }
    write(
        "config",
        vec![(String::from("default"), DEFAULT_TOML.into())],
    );
    write("export", vec![(String::from("small"), export())]);
    write("journal", records());
    write("model", histories());
    write("policy", documents());
    write("reply", stored::replies());
    write("snapshot", sections());
}

fn write(target: &str, files: Files) {
    let folder = root().join("fuzz/corpus").join(target);
    for entry in fs::read_dir(&folder).unwrap() {
        let entry = entry.unwrap();
        if entry.file_name().to_string_lossy().starts_with(MADE) {
            fs::remove_file(entry.path()).unwrap();
        }
    }
    for (name, bytes) in files {
        fs::write(folder.join(format!("{MADE}{name}")), bytes).unwrap();
    }
}

fn small() -> SimStorage {
    SimStorage::with_files(SMALL.clone())
}

/// The records of the small ledger, all of them and its first ones.
fn records() -> Files {
    let journal = config(Clock::manual(UnixMillis(START)), None).journal;
    let mut recovery = Journal::open(Arc::new(small()), journal).unwrap();
    let from = recovery.oldest() - 1;
    let mut records = Vec::new();
    let replayed = recovery.replay(from, |_, record| {
        let length = u16::try_from(record.len()).unwrap().to_le_bytes();
        records.push([&length, record].concat());
        Ok::<(), std::convert::Infallible>(())
    });
    replayed.unwrap();
    let of = |records: &[Vec<u8>]| [b"r".as_slice(), &records.concat()].concat();
    vec![
        (String::from("records"), of(&records)),
        (
            String::from("first-records"),
            of(&records[..records.len() / 3]),
        ),
        (
            String::from("edits"),
            b"e\0\x10\0\x01\0\x40\x01\xff".to_vec(),
        ),
    ]
}

/// The sections of the small ledger's snapshot that hold something, then all of them; and a file.
fn sections() -> Files {
    let storage = small();
    let mut reader = SnapshotReader::newest(&storage).unwrap().unwrap();
    let (mut all, mut full) = (vec![b's'], vec![b's']);
    while let Some(section) = reader.next_section().unwrap() {
        let index = u16::try_from(section.index).unwrap().to_le_bytes();
        let length = u16::try_from(section.bytes.len()).unwrap().to_le_bytes();
        let bytes = [&[section.kind], &index[..], &length, section.bytes].concat();
        all.extend(&bytes);
        if section.bytes.len() > 4 {
            full.extend(bytes);
        }
    }
    vec![(String::from("all"), all), (String::from("full"), full)]
}

fn export() -> Vec<u8> {
    let clock = Clock::manual(UnixMillis(START));
    let engine = Engine::open_on(Arc::new(small()), config(clock, None)).unwrap();
    let file = wait_for(async {
        let mut walk = engine.walk().await.unwrap();
        let mut writer = Writer::new(Vec::new(), walk.head()).unwrap();
        while let Some(items) = walk.next().await.unwrap() {
            items.iter().for_each(|item| writer.add(item).unwrap());
        }
        writer.finish().unwrap().0
    });
    engine.close().unwrap();
    file
}

fn documents() -> Files {
    let documents = (1..).map(|seed| policies::random(&mut Rng::new(seed), seed % 2 == 0));
    let sound = documents.filter(|of| Policy::compile(of, |_| None).is_ok());
    let files = (1..).zip(sound.take(4));
    let file = |(number, document)| (format!("random-{number}"), text::write(&document).into());
    files.map(file).collect()
}

/// Tapes of random numbers.
fn histories() -> Files {
    let of = |seed: u64| {
        let mut rng = Rng::new(seed);
        let numbers: Vec<u8> = (0..100).flat_map(|_| rng.next().to_le_bytes()).collect();
        let choice = [b"0123"[rng.index(4)]];
        (
            format!("random-{seed}"),
            [&choice, numbers.as_slice()].concat(),
        )
    };
    (1..=6).map(of).collect()
}
