//! A disk that does not answer.

use std::fmt;
use std::io;
use std::sync::{Arc, Condvar, Mutex, PoisonError};

use holdfast::ledger::embedded::storage::{DiskStorage, Storage, StorageFile};

/// While it is shut, no sync of a file ends.
#[derive(Debug, Default)]
pub(crate) struct Gate {
    shut: Mutex<bool>,
    changed: Condvar,
}

impl Gate {
    pub(crate) fn set_shut(&self, shut: bool) {
        *self.shut.lock().unwrap_or_else(PoisonError::into_inner) = shut;
        self.changed.notify_all();
    }

    fn pass(&self) {
        let shut = self.shut.lock().unwrap_or_else(PoisonError::into_inner);
        drop(self.changed.wait_while(shut, |shut| *shut));
    }
}

/// Opens the gate however a test ends: a server that closes waits for its disk.
pub(crate) struct Opened<'a>(pub(crate) &'a Gate);

impl Drop for Opened<'_> {
    fn drop(&mut self) {
        self.0.set_shut(false);
    }
}

/// A folder behind a gate.
pub(crate) struct Gated {
    pub(crate) disk: DiskStorage,
    pub(crate) gate: Arc<Gate>,
}

impl fmt::Debug for Gated {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Gated")
    }
}

impl Gated {
    fn file(&self, file: Box<dyn StorageFile>) -> Box<dyn StorageFile> {
        let gate = Arc::clone(&self.gate);
        Box::new(GatedFile { file, gate })
    }
}

impl Storage for Gated {
    fn list(&self) -> io::Result<Vec<String>> {
        self.disk.list()
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn StorageFile>> {
        Ok(self.file(self.disk.open(name)?))
    }

    fn create(&self, name: &str) -> io::Result<Box<dyn StorageFile>> {
        Ok(self.file(self.disk.create(name)?))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.disk.rename(from, to)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.disk.remove(name)
    }

    fn sync_dir(&self) -> io::Result<()> {
        self.disk.sync_dir()
    }
}

#[derive(Debug)]
struct GatedFile {
    file: Box<dyn StorageFile>,
    gate: Arc<Gate>,
}

impl StorageFile for GatedFile {
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.file.write_at(bytes, offset)
    }

    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<usize> {
        self.file.read_at(bytes, offset)
    }

    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.file.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.gate.pass();
        self.file.sync_data()
    }

    fn sync_all(&self) -> io::Result<()> {
        self.gate.pass();
        self.file.sync_all()
    }
}
