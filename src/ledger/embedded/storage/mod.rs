//! Where the journal and the snapshots are kept: a flat folder of files, behind two small traits.
//!
//! The traits say what a crash may do, so that [`sim::SimStorage`] can do it: bytes count as safe
//! only after a sync of their file, and names (created, renamed, removed) only after
//! [`Storage::sync_dir`].

mod disk;
pub mod sim;

use std::fmt;
use std::io;

pub use disk::{DiskStorage, OpenStorageError};

/// A flat folder of files.
pub trait Storage: fmt::Debug + Send + Sync {
    /// The names of all files, in no particular order.
    fn list(&self) -> io::Result<Vec<String>>;

    /// Opens a file that exists, for reading and writing.
    fn open(&self, name: &str) -> io::Result<Box<dyn StorageFile>>;

    /// Creates an empty file; one that exists is emptied.
    fn create(&self, name: &str) -> io::Result<Box<dyn StorageFile>>;

    /// Renames a file; one that has the new name already is replaced. Open handles stay valid.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;

    /// Removes a file. Open handles stay valid.
    fn remove(&self, name: &str) -> io::Result<()>;

    /// Makes all names durable: what was created, renamed and removed before the call.
    fn sync_dir(&self) -> io::Result<()>;
}

/// An open file. Reads and writes name their place, so that threads can share it.
pub trait StorageFile: fmt::Debug + Send + Sync {
    /// Writes all bytes at an offset; the file grows as needed.
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;

    /// Reads from an offset and returns how many bytes it got: fewer than asked for only at the
    /// end of the file.
    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<usize>;

    /// Length in bytes.
    fn len(&self) -> io::Result<u64>;

    /// True for a file without bytes.
    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }

    /// Cuts the file, or extends it with zeros.
    fn set_len(&self, len: u64) -> io::Result<()>;

    /// Makes all bytes written before the call durable, and the length as far as it is needed to
    /// read them.
    fn sync_data(&self) -> io::Result<()>;

    /// As [`sync_data`](Self::sync_data), with all attributes of the file.
    fn sync_all(&self) -> io::Result<()>;
}

/// A length in memory as an offset in a file.
pub(super) fn to_offset(len: usize) -> u64 {
    u64::try_from(len).unwrap_or(u64::MAX)
}

/// An offset in a file as a length in memory; one that memory cannot hold becomes the largest,
/// which every bounds check refuses.
pub(super) fn to_len(offset: u64) -> usize {
    usize::try_from(offset).unwrap_or(usize::MAX)
}
