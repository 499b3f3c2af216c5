//! The identity of a data folder: the seed of its hashes, made once.
//!
//! File `ledger.id`: 8 bytes magic, 4 bytes format version, 4 bytes zero, 8 bytes seed, 4 bytes
//! CRC32C over all that; little-endian. The seed is part of every stored key and of the choice of
//! shards, so a folder whose identity is gone cannot be read.

use std::hash::{BuildHasher, RandomState};
use std::io;

use super::storage::Storage;

const NAME: &str = "ledger.id";
const DRAFT: &str = "ledger.id.new";
const MAGIC: &[u8; 8] = b"HOLDFAST";
const VERSION: u32 = 1;
const BYTES: usize = 28;

/// Reads the seed, or makes the identity of an empty folder.
pub(super) fn read_or_make(storage: &dyn Storage) -> io::Result<u64> {
    let names = storage.list()?;
    if names.iter().any(|name| name == NAME) {
        return read(storage);
    }
    if names.iter().any(|name| parts_of_a_ledger(name)) {
        let what =
            format!("{NAME} is missing, but there are files of a journal or snapshots; restore it");
        return Err(io::Error::new(io::ErrorKind::InvalidData, what));
    }
    // The standard library's hasher keys are random per process; no more than that is needed to
    // keep callers from aiming for collisions.
    let seed = RandomState::new().hash_one(MAGIC);
    write(storage, seed)?;
    Ok(seed)
}

/// Makes the identity of a folder that has none.
pub(super) fn write(storage: &dyn Storage, seed: u64) -> io::Result<()> {
    let file = storage.create(DRAFT)?;
    file.write_at(&encode(seed), 0)?;
    file.sync_all()?;
    storage.rename(DRAFT, NAME)?;
    storage.sync_dir()
}

/// Refuses a folder that has a ledger, or a part of one.
pub(super) fn expect_none(storage: &dyn Storage) -> io::Result<()> {
    let names = storage.list()?;
    match names
        .iter()
        .find(|name| *name == NAME || parts_of_a_ledger(name))
    {
        None => Ok(()),
        Some(name) => {
            let what = format!("{name} is there: a whole ledger goes into an empty folder only");
            Err(io::Error::new(io::ErrorKind::AlreadyExists, what))
        }
    }
}

fn parts_of_a_ledger(name: &str) -> bool {
    let extension = std::path::Path::new(name).extension();
    extension.is_some_and(|ext| ext == "seg" || ext == "snapshot")
}

fn encode(seed: u64) -> [u8; BYTES] {
    let mut bytes = [0; BYTES];
    let parts = MAGIC
        .iter()
        .copied()
        .chain(VERSION.to_le_bytes())
        .chain([0; 4]);
    let parts = parts.chain(seed.to_le_bytes());
    bytes
        .iter_mut()
        .zip(parts)
        .for_each(|(to, from)| *to = from);
    let (head, crc) = bytes.split_at_mut(BYTES - 4);
    crc.copy_from_slice(&crc32c::crc32c(head).to_le_bytes());
    bytes
}

fn read(storage: &dyn Storage) -> io::Result<u64> {
    let mut bytes = [0; BYTES];
    let read = storage.open(NAME)?.read_at(&mut bytes, 0)?;
    let seed = bytes
        .get(16..24)
        .and_then(|part| part.try_into().ok())
        .map(u64::from_le_bytes);
    match seed {
        Some(seed) if read == BYTES && bytes == encode(seed) => Ok(seed),
        _ => {
            let what = format!("{NAME} is damaged or of another version; restore it from a backup");
            Err(io::Error::new(io::ErrorKind::InvalidData, what))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::embedded::storage::sim::{Files, SimStorage};

    #[test]
    fn a_folder_with_parts_of_a_ledger_gets_no_new_identity() {
        for name in ["00000000000000000007.snapshot", "00000000000000000001.seg"] {
            let files = Files::from([(name.to_owned(), b"x".to_vec())]);
            let storage = SimStorage::with_files(files.clone());
            let error = read_or_make(&storage).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidData, "{error}");
            assert_eq!(storage.files(), files);
            assert_eq!(storage.moment(), 0, "nothing is written");
        }
    }

    #[test]
    fn the_identity_is_made_once() {
        let storage = SimStorage::new();
        let seed = read_or_make(&storage).unwrap();
        assert_eq!(read_or_make(&storage).unwrap(), seed);
    }
}
