//! A storage in memory that survives the ledger that uses it, but promises nothing about crashes.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use holdfast::ledger::embedded::storage::{Storage, StorageFile};

/// A folder of files.
#[derive(Debug, Default)]
pub(crate) struct Memory(Mutex<BTreeMap<String, File>>);

#[derive(Debug, Clone, Default)]
struct File(Arc<Mutex<Vec<u8>>>);

/// The identity file of a ledger that hashes with a seed, as the ledger would have made it.
pub(crate) fn identity(seed: u64) -> Vec<u8> {
    let mut identity = b"HOLDFAST\x01\0\0\0\0\0\0\0".to_vec();
    identity.extend(seed.to_le_bytes());
    identity.extend(crc32c::crc32c(&identity).to_le_bytes());
    identity
}

impl Memory {
    /// A folder whose ledger hashes with a fixed seed, so that a history runs the same way each
    /// time.
    pub(crate) fn with_seed(seed: u64) -> Self {
        let memory = Self::default();
        let file = File(Arc::new(Mutex::new(identity(seed))));
        locked(&memory.0).insert("ledger.id".to_owned(), file);
        memory
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn missing() -> io::Error {
    io::ErrorKind::NotFound.into()
}

impl Storage for Memory {
    fn list(&self) -> io::Result<Vec<String>> {
        Ok(locked(&self.0).keys().cloned().collect())
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn StorageFile>> {
        let file = locked(&self.0).get(name).cloned().ok_or_else(missing)?;
        Ok(Box::new(file))
    }

    fn create(&self, name: &str) -> io::Result<Box<dyn StorageFile>> {
        let file = File::default();
        locked(&self.0).insert(name.to_owned(), file.clone());
        Ok(Box::new(file))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut files = locked(&self.0);
        let file = files.remove(from).ok_or_else(missing)?;
        files.insert(to.to_owned(), file);
        Ok(())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        locked(&self.0).remove(name).map(drop).ok_or_else(missing)
    }

    fn sync_dir(&self) -> io::Result<()> {
        Ok(())
    }
}

impl StorageFile for File {
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let mut content = locked(&self.0);
        let from = usize::try_from(offset).unwrap();
        let end = from + bytes.len();
        if content.len() < end {
            content.resize(end, 0);
        }
        content[from..end].copy_from_slice(bytes);
        Ok(())
    }

    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<usize> {
        let content = locked(&self.0);
        let from = usize::try_from(offset).unwrap().min(content.len());
        let count = bytes.len().min(content.len() - from);
        bytes[..count].copy_from_slice(&content[from..from + count]);
        Ok(count)
    }

    fn len(&self) -> io::Result<u64> {
        Ok(u64::try_from(locked(&self.0).len()).unwrap())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        locked(&self.0).resize(usize::try_from(len).unwrap(), 0);
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }

    fn sync_all(&self) -> io::Result<()> {
        Ok(())
    }
}
