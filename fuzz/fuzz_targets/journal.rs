//! Arbitrary bytes as segments and snapshots: opening and reading them may refuse but must not
//! panic, hang or take memory that the files do not justify; what opens must take new records and
//! open again with them.
//!
//! The first byte chooses. Odd: the rest are the files themselves. Even: the rest are edits of a
//! whole journal (place, value), which get behind the checksums of what they leave alone.

#![no_main]

use std::convert::Infallible;
use std::sync::{Arc, LazyLock};

use holdfast::ledger::Durability;
use holdfast::ledger::embedded::journal::{Journal, JournalConfig, JournalRecovery};
use holdfast::ledger::embedded::snapshot_file::{SnapshotReader, SnapshotWriter};
use holdfast::ledger::embedded::storage::Storage;
use holdfast::ledger::embedded::storage::sim::{Files, SimStorage};
use libfuzzer_sys::fuzz_target;

const CONFIG: JournalConfig = JournalConfig {
    segment_bytes: 8 * 1024,
    durability: Durability::Disk,
    queue_bytes_max: 1 << 20,
    retain_bytes: 0,
};

fn open(sim: &SimStorage) -> Option<JournalRecovery> {
    let storage: Arc<dyn Storage> = Arc::new(sim.clone());
    Journal::open(storage, CONFIG).ok()
}

/// The last sequence, when the journal can be opened and read.
fn read(sim: &SimStorage) -> Option<(JournalRecovery, u64)> {
    let mut recovery = open(sim)?;
    let (from, last) = (recovery.oldest() - 1, recovery.last());
    let mut next = from + 1;
    let replayed = recovery.replay(from, |position, _| {
        assert_eq!(position.sequence, next);
        next += 1;
        Ok::<(), Infallible>(())
    });
    replayed.ok()?;
    assert_eq!(next, last + 1);
    Some((recovery, last))
}

static WHOLE: LazyLock<Files> = LazyLock::new(|| {
    let sim = SimStorage::new();
    let (journal, mut writer) = open(&sim).unwrap().start_stepped().unwrap();
    for len in 0..120_u32 {
        let mut bytes = len.to_le_bytes().to_vec();
        bytes.resize(4 + len as usize, 7);
        journal.append(&bytes, 1);
        writer.step().unwrap();
    }
    let storage: Arc<dyn Storage> = Arc::new(sim.clone());
    let mut snapshot = SnapshotWriter::create(&storage, 100).unwrap();
    snapshot.section(1, 0, b"section").unwrap();
    snapshot.finish().unwrap();
    sim.files()
});

fn files(data: &[u8]) -> Files {
    let Some((choice, rest)) = data.split_first() else { return Files::new() };
    if choice % 2 == 1 {
        let cut = rest.len() / 3;
        let names = [format!("{:020}.seg", 1), format!("{:020}.seg", 9), format!("{:020}.snapshot", 4)];
        let parts = [&rest[..cut], &rest[cut..2 * cut], &rest[2 * cut..]];
        return names.into_iter().zip(parts.map(<[u8]>::to_vec)).collect();
    }
    let mut files = WHOLE.clone();
    for edit in rest.chunks_exact(4) {
        let name = files.keys().nth(usize::from(edit[0]) % files.len()).cloned();
        if let Some(content) = name.and_then(|name| files.get_mut(&name)) {
            let place = usize::from(u16::from_le_bytes([edit[1], edit[2]])) % content.len().max(1);
            if let Some(byte) = content.get_mut(place) {
                *byte = edit[3];
            }
        }
    }
    files
}

fuzz_target!(|data: &[u8]| {
    let sim = SimStorage::with_files(files(data));
    if let Ok(Some(mut reader)) = SnapshotReader::newest(&sim) {
        while let Ok(Some(_)) = reader.next_section() {}
    }
    let Some((recovery, last)) = read(&sim) else { return };
    // A sequence or an epoch at the end of its range is refused or stays, but does not wrap.
    if last > u64::MAX / 2 || recovery.epoch() == u32::MAX {
        return;
    }
    let Ok((journal, mut writer)) = recovery.start_stepped() else { return };
    assert_eq!(journal.append(&[0, 0, 0, 0], 1), last + 1);
    writer.step().unwrap();
    assert_eq!(read(&sim).map(|read| read.1), Some(last + 1));
});
