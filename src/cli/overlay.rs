//! A storage that reads a data folder and keeps every change in memory.
//!
//! Opening a ledger writes: it cuts a torn tail, counts the opening, makes room ahead. A command
//! that only looks opens the ledger on this, so that the folder stays as it was, byte for byte.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::ledger::embedded::storage::{DiskStorage, Storage, StorageFile};

const PAGE_BYTES: usize = 4096;

/// See the module.
#[derive(Debug)]
pub(crate) struct Overlay {
    files: Mutex<HashMap<String, Arc<File>>>,
    /// Holds the lock of the folder.
    _disk: DiskStorage,
}

impl Overlay {
    /// Lays a memory over a folder.
    pub(crate) fn over(disk: DiskStorage) -> io::Result<Self> {
        let mut files = HashMap::new();
        for name in disk.list()? {
            let base = disk.open(&name)?;
            let len = base.len()?;
            let state = State {
                pages: BTreeMap::new(),
                len,
                base_len: len,
            };
            files.insert(
                name,
                Arc::new(File {
                    base: Some(base),
                    state: Mutex::new(state),
                }),
            );
        }
        Ok(Self {
            files: Mutex::new(files),
            _disk: disk,
        })
    }

    fn files(&self) -> MutexGuard<'_, HashMap<String, Arc<File>>> {
        self.files.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Storage for Overlay {
    fn list(&self) -> io::Result<Vec<String>> {
        Ok(self.files().keys().cloned().collect())
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn StorageFile>> {
        let file = self.files().get(name).map(Arc::clone);
        Ok(Box::new(file.map(Handle).ok_or(io::ErrorKind::NotFound)?))
    }

    fn create(&self, name: &str) -> io::Result<Box<dyn StorageFile>> {
        let file = Arc::new(File {
            base: None,
            state: Mutex::default(),
        });
        self.files().insert(name.to_owned(), Arc::clone(&file));
        Ok(Box::new(Handle(file)))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut files = self.files();
        let file = files.remove(from).ok_or(io::ErrorKind::NotFound)?;
        files.insert(to.to_owned(), file);
        Ok(())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.files()
            .remove(name)
            .map(drop)
            .ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn sync_dir(&self) -> io::Result<()> {
        Ok(())
    }
}

struct File {
    base: Option<Box<dyn StorageFile>>,
    state: Mutex<State>,
}

/// What was written to a page.
enum Page {
    /// Only zeros: room that a journal makes ahead costs no memory.
    Zeros,
    Bytes(Box<[u8; PAGE_BYTES]>),
}

#[derive(Default)]
struct State {
    pages: BTreeMap<u64, Page>,
    len: u64,
    /// Bytes of the file below that can still be seen; a cut hides the rest for good.
    base_len: u64,
}

impl fmt::Debug for File {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("File").finish_non_exhaustive()
    }
}

impl File {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The page as it is now.
    fn page(&self, state: &State, number: u64) -> io::Result<[u8; PAGE_BYTES]> {
        match state.pages.get(&number) {
            Some(Page::Bytes(bytes)) => return Ok(**bytes),
            Some(Page::Zeros) => return Ok([0; PAGE_BYTES]),
            None => {}
        }
        let mut bytes = [0; PAGE_BYTES];
        let start = number * to_u64(PAGE_BYTES);
        let seen = to_usize(state.base_len.saturating_sub(start)).min(PAGE_BYTES);
        if let (Some(base), Some(part)) = (&self.base, bytes.get_mut(..seen)) {
            base.read_at(part, start)?;
        }
        Ok(bytes)
    }
}

/// The page that an offset lies in, and where in it.
fn place(offset: u64) -> (u64, usize) {
    let page = to_u64(PAGE_BYTES);
    (offset / page, to_usize(offset % page))
}

fn to_u64(n: usize) -> u64 {
    u64::try_from(n).unwrap_or(u64::MAX)
}

fn to_usize(n: u64) -> usize {
    usize::try_from(n).unwrap_or(usize::MAX)
}

#[derive(Debug)]
struct Handle(Arc<File>);

impl StorageFile for Handle {
    fn write_at(&self, mut bytes: &[u8], mut offset: u64) -> io::Result<()> {
        let mut state = self.0.state();
        while !bytes.is_empty() {
            let (number, at) = place(offset);
            let (now, rest) = bytes.split_at(bytes.len().min(PAGE_BYTES - at));
            let mut page = self.0.page(&state, number)?;
            if let Some(part) = page.get_mut(at..at + now.len()) {
                part.copy_from_slice(now);
            }
            let is_zero = page == [0; PAGE_BYTES];
            let page = if is_zero {
                Page::Zeros
            } else {
                Page::Bytes(Box::new(page))
            };
            state.pages.insert(number, page);
            offset += to_u64(now.len());
            bytes = rest;
        }
        state.len = state.len.max(offset);
        Ok(())
    }

    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<usize> {
        let state = self.0.state();
        let wanted = to_usize(state.len.saturating_sub(offset)).min(bytes.len());
        let mut done = 0;
        while done < wanted {
            let (number, at) = place(offset + to_u64(done));
            let count = (wanted - done).min(PAGE_BYTES - at);
            let page = self.0.page(&state, number)?;
            let from = page.get(at..at + count);
            let to = bytes.get_mut(done..done + count);
            if let (Some(from), Some(to)) = (from, to) {
                to.copy_from_slice(from);
            }
            done += count;
        }
        Ok(wanted)
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.0.state().len)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut state = self.0.state();
        let (number, at) = place(len);
        if len < state.len && at > 0 {
            let mut page = self.0.page(&state, number)?;
            if let Some(rest) = page.get_mut(at..) {
                rest.fill(0);
            }
            state.pages.insert(number, Page::Bytes(Box::new(page)));
        }
        let beyond = number + u64::from(at > 0);
        drop(state.pages.split_off(&beyond));
        state.base_len = state.base_len.min(len);
        state.len = len;
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }

    fn sync_all(&self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_are_seen_above_and_never_below() {
        let folder = tempfile::tempdir().unwrap();
        let old: Vec<u8> = (0..10_000_u32).map(|n| n.to_le_bytes()[0]).collect();
        std::fs::write(folder.path().join("a"), &old).unwrap();
        let overlay = Overlay::over(DiskStorage::open(folder.path()).unwrap()).unwrap();
        let file = overlay.open("a").unwrap();
        let mut expected = old.clone();
        let check = |file: &dyn StorageFile, expected: &[u8]| {
            let mut read = vec![0xff; expected.len() + 10];
            assert_eq!(file.read_at(&mut read, 0).unwrap(), expected.len());
            assert_eq!(&read[..expected.len()], expected);
        };
        check(&*file, &expected);
        file.write_at(&[7; 5_000], 4_000).unwrap();
        expected[4_000..9_000].fill(7);
        check(&*file, &expected);
        file.set_len(4_500).unwrap();
        file.set_len(12_000).unwrap();
        expected.truncate(4_500);
        expected.resize(12_000, 0);
        check(&*file, &expected);
        overlay.rename("a", "b").unwrap();
        overlay.create("a").unwrap().write_at(b"new", 1).unwrap();
        check(&*overlay.open("a").unwrap(), b"\0new");
        check(&*overlay.open("b").unwrap(), &expected);
        overlay.remove("b").unwrap();
        assert!(overlay.open("b").is_err());
        assert_eq!(std::fs::read(folder.path().join("a")).unwrap(), old);
    }
}
