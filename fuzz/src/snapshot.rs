//! Arbitrary bytes as a snapshot: reading it may refuse but must not panic, hang or take memory that
//! the file does not justify.
//!
//! The first byte chooses. `f`: the rest is the file. Otherwise the rest are the sections of a whole
//! one, in place of that of a small folder: kind, two bytes of index, two of length, what it holds.
//! The ledger opens with it or not.

use std::sync::Arc;

use holdfast::ledger::embedded::snapshot_file::{FOOTER_KIND, SnapshotReader, SnapshotWriter};
use holdfast::ledger::embedded::storage::Storage;
use holdfast::ledger::embedded::storage::sim::{Files, SimStorage};

use super::folder::{SMALL, open_and_read};

/// The file's name, and the sequence that it says.
fn snapshot_of(files: &Files) -> (String, u64) {
    let of = |name: &String| name.strip_suffix(".snapshot")?.parse().ok();
    let mut found = files
        .keys()
        .filter_map(|name| Some((name.clone(), of(name)?)));
    found.next().unwrap()
}

/// The small folder with these sections in its snapshot.
fn with_sections(mut sections: &[u8]) -> Files {
    let mut files = SMALL.clone();
    let (name, sequence) = snapshot_of(&files);
    files.remove(&name);
    let sim = SimStorage::with_files(files);
    let storage: Arc<dyn Storage> = Arc::new(sim.clone());
    let mut writer = SnapshotWriter::create(&storage, sequence).unwrap();
    while let Some(([kind, index @ .., short, long], rest)) = sections.split_first_chunk::<5>() {
        let index = index
            .iter()
            .rfold(0, |sum, byte| (sum << 8) | u32::from(*byte));
        let length = usize::from(u16::from_le_bytes([*short, *long]));
        let (content, rest) = rest.split_at(length.min(rest.len()));
        writer.section(kind % FOOTER_KIND, index, content).unwrap();
        sections = rest;
    }
    writer.finish().unwrap();
    sim.files()
}

/// Reads a snapshot to its end.
fn read(file: &[u8]) -> bool {
    let name = format!("{:020}.snapshot", 4);
    let sim = SimStorage::with_files(Files::from([(name, file.to_vec())]));
    let Ok(Some(mut reader)) = SnapshotReader::newest(&sim) else {
        return false;
    };
    while reader.next_section().unwrap().is_some() {}
    true
}

/// Reads a snapshot, or opens a ledger with it.
pub fn check(bytes: &[u8]) -> bool {
    match bytes.split_first() {
        None => false,
        Some((b'f', file)) => read(file),
        Some((_, sections)) => open_and_read(with_sections(sections)),
    }
}
