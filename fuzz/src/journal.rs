//! Arbitrary bytes as segments and as records: opening and reading them may refuse but must not
//! panic, hang or take memory that the files do not justify; what opens must take new records and
//! open again with them.
//!
//! The first byte chooses. `f`: the rest are two segments. `e`: the rest are edits of a whole journal
//! (file, place, value), which get behind the checksums of what they leave alone. `r`: the rest are
//! records, each after its length in two bytes, in a whole journal of a ledger, which opens or not.

use std::convert::Infallible;
use std::sync::{Arc, LazyLock};

use holdfast::ledger::Durability;
use holdfast::ledger::embedded::journal::{Journal, JournalConfig, JournalRecovery};
use holdfast::ledger::embedded::storage::Storage;
use holdfast::ledger::embedded::storage::sim::{Files, SimStorage};

use super::folder::{identity, open_and_read};

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
    for len in 0..120_u8 {
        let mut bytes = u32::from(len).to_le_bytes().to_vec();
        bytes.resize(4 + usize::from(len), 7);
        journal.append(&bytes, 1);
        writer.step().unwrap();
    }
    sim.files()
});

fn edited(edits: &[u8]) -> Files {
    let mut files = WHOLE.clone();
    for edit in edits.chunks_exact(4) {
        let name = files
            .keys()
            .nth(usize::from(edit[0]) % files.len())
            .cloned();
        if let Some(content) = name.and_then(|name| files.get_mut(&name)) {
            let place = usize::from(u16::from_le_bytes([edit[1], edit[2]])) % content.len().max(1);
            if let Some(byte) = content.get_mut(place) {
                *byte = edit[3];
            }
        }
    }
    files
}

fn two(segments: &[u8]) -> Files {
    let parts = segments.split_at(segments.len() / 2);
    let name = |first: u64| format!("{first:020}.seg");
    Files::from([(name(1), parts.0.to_vec()), (name(9), parts.1.to_vec())])
}

/// Reads files, and goes on with them; false if that is not possible.
fn go_on(files: Files) -> bool {
    let sim = SimStorage::with_files(files);
    let Some((recovery, last)) = read(&sim) else {
        return false;
    };
    // A sequence or an epoch at the end of its range is refused or stays, but does not wrap.
    if last > u64::MAX / 2 || recovery.epoch() == u32::MAX {
        return true;
    }
    let Ok((journal, mut writer)) = recovery.start_stepped() else {
        return false;
    };
    assert_eq!(journal.append(&[0, 0, 0, 0], 1), last + 1);
    writer.step().unwrap();
    assert_eq!(read(&sim).map(|read| read.1), Some(last + 1));
    true
}

/// A folder whose journal holds these records.
fn holding(mut records: &[u8]) -> Files {
    let sim = SimStorage::with_files(identity());
    let (journal, mut writer) = open(&sim).unwrap().start_stepped().unwrap();
    while let Some((length, rest)) = records.split_first_chunk() {
        let length = u16::from_le_bytes(*length);
        let (record, rest) = rest.split_at(usize::from(length).min(rest.len()));
        let prefix = u32::try_from(record.len()).unwrap().to_le_bytes();
        journal.append(&[&prefix, record].concat(), 1);
        records = rest;
    }
    writer.step().unwrap();
    sim.files()
}

/// Opens, reads, and writes on.
pub fn check(bytes: &[u8]) -> bool {
    let Some((choice, rest)) = bytes.split_first() else {
        return false;
    };
    match choice {
        b'f' => go_on(two(rest)),
        b'e' => go_on(edited(rest)),
        _ => open_and_read(holding(rest)),
    }
}
