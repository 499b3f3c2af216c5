//! The identity of a data folder: the seed of its hashes, made once.
//!
//! File `ledger.id`: 8 bytes magic, 4 bytes format version, 4 bytes that are 1 where ids came from a
//! ledger of partitions and 0 elsewhere, 8 bytes seed, 4 bytes CRC32C over all that; little-endian.
//! The seed is part of every stored key and of the choice of shards, so a folder whose identity is
//! gone cannot be read.

use std::hash::{BuildHasher, RandomState};
use std::io;

use super::storage::Storage;

const NAME: &str = "ledger.id";
const DRAFT: &str = "ledger.id.new";
const MAGIC: &[u8; 8] = b"HOLDFAST";
const VERSION: u32 = 1;
const BYTES: usize = 28;

/// What makes a ledger this one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Identity {
    /// Of its hashes.
    pub(super) seed: u64,
    /// See [`Head::labelled`](crate::ledger::export::Head::labelled).
    pub(super) labelled: bool,
}

/// Reads the identity, or makes that of an empty folder.
pub(super) fn read_or_make(storage: &dyn Storage) -> io::Result<Identity> {
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
    let identity = Identity {
        seed: RandomState::new().hash_one(MAGIC),
        labelled: false,
    };
    write(storage, identity)?;
    Ok(identity)
}

/// Makes the identity of a folder that has none.
pub(super) fn write(storage: &dyn Storage, identity: Identity) -> io::Result<()> {
    let file = storage.create(DRAFT)?;
    file.write_at(&encode(identity), 0)?;
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

fn encode(identity: Identity) -> [u8; BYTES] {
    let mut bytes = [0; BYTES];
    let parts = MAGIC
        .iter()
        .copied()
        .chain(VERSION.to_le_bytes())
        .chain(u32::from(identity.labelled).to_le_bytes());
    let parts = parts.chain(identity.seed.to_le_bytes());
    bytes
        .iter_mut()
        .zip(parts)
        .for_each(|(to, from)| *to = from);
    let (head, crc) = bytes.split_at_mut(BYTES - 4);
    crc.copy_from_slice(&crc32c::crc32c(head).to_le_bytes());
    bytes
}

fn read(storage: &dyn Storage) -> io::Result<Identity> {
    let mut bytes = [0; BYTES];
    let read = storage.open(NAME)?.read_at(&mut bytes, 0)?;
    let seed = bytes.get(16..24).and_then(|part| part.try_into().ok());
    let seed = seed.map(u64::from_le_bytes).unwrap_or_default();
    let known = [false, true].map(|labelled| Identity { seed, labelled });
    let found = known
        .into_iter()
        .find(|identity| read == BYTES && bytes == encode(*identity));
    found.ok_or_else(|| {
        let what = format!("{NAME} is damaged or of another version; restore it from a backup");
        io::Error::new(io::ErrorKind::InvalidData, what)
    })
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
        let made = read_or_make(&storage).unwrap();
        assert_eq!(read_or_make(&storage).unwrap(), made);
        for labelled in [true, false] {
            let identity = Identity { labelled, ..made };
            write(&storage, identity).unwrap();
            assert_eq!(read_or_make(&storage).unwrap(), identity);
        }
    }
}
