//! A storage in memory that can crash: the seam for tests.
//!
//! It keeps a log of everything that was done to it. [`SimStorage::crashes`] walks along that log
//! and builds, at any point, folders that a power cut could have left there: bytes that were not
//! synced are there, missing, or partly there, in any order, down to single sectors of 512 bytes;
//! names that were not synced likewise. It can also fail ([`SimStorage::fail`]) and lie
//! ([`SimStorage::lie`]), which is how tests prove that they would notice.

mod crashes;

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

pub use crashes::{Crashes, Dice, Loss};

use self::crashes::Held;
use super::{Storage, StorageFile, to_len, to_offset};

/// What a disk writes as a whole.
const SECTOR_BYTES: usize = 512;

/// The files of a folder.
pub type Files = BTreeMap<String, Vec<u8>>;

/// An operation that can fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Site {
    /// Creating a file.
    Create,
    /// Writing bytes; half of them are written when it fails.
    Write,
    /// Syncing a file.
    Sync,
    /// Renaming a file.
    Rename,
    /// Removing a file.
    Remove,
    /// Syncing the names.
    SyncDir,
}

impl Site {
    /// All sites.
    pub const ALL: [Self; 6] = [
        Self::Create,
        Self::Write,
        Self::Sync,
        Self::Rename,
        Self::Remove,
        Self::SyncDir,
    ];
}

/// A fault to come.
#[derive(Debug, Clone, Copy)]
pub struct Fault {
    /// Which operation fails.
    pub site: Site,
    /// How many of these still succeed.
    pub after: u64,
    /// The error.
    pub kind: io::ErrorKind,
    /// All later ones fail too.
    pub stays: bool,
}

#[derive(Debug, Clone)]
enum Op {
    Write {
        file: usize,
        offset: u64,
        bytes: Vec<u8>,
    },
    SetLen {
        file: usize,
        len: u64,
    },
    Sync {
        file: usize,
    },
    Create {
        name: String,
        file: usize,
    },
    Rename {
        file: usize,
        from: String,
        to: String,
    },
    Remove {
        name: String,
    },
    SyncDir,
}

#[derive(Debug, Clone, Default)]
struct State {
    start: Files,
    names: BTreeMap<String, usize>,
    files: Vec<Vec<u8>>,
    log: Vec<Op>,
    fault: Option<Fault>,
    fired: u64,
    lies: Vec<Site>,
    counts: HashMap<Site, u64>,
}

impl State {
    /// Counts an operation and fails it when its time has come.
    fn pass(&mut self, site: Site) -> io::Result<()> {
        *self.counts.entry(site).or_default() += 1;
        let Some(fault) = self.fault.as_mut().filter(|fault| fault.site == site) else {
            return Ok(());
        };
        if fault.after > 0 {
            fault.after -= 1;
            return Ok(());
        }
        let kind = fault.kind;
        if !fault.stays {
            self.fault = None;
        }
        self.fired += 1;
        Err(io::Error::from(kind))
    }

    fn file(&self, name: &str) -> io::Result<usize> {
        self.names
            .get(name)
            .copied()
            .ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))
    }

    fn content(&mut self, file: usize) -> io::Result<&mut Vec<u8>> {
        self.files
            .get_mut(file)
            .ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))
    }

    fn write(&mut self, file: usize, bytes: &[u8], offset: u64) -> io::Result<()> {
        put(self.content(file)?, bytes, offset);
        self.log.push(Op::Write {
            file,
            offset,
            bytes: bytes.to_vec(),
        });
        Ok(())
    }
}

/// Writes bytes into a file's content, which grows as needed.
fn put(content: &mut Vec<u8>, bytes: &[u8], offset: u64) {
    let start = to_len(offset);
    let end = start + bytes.len();
    if content.len() < end {
        content.resize(end, 0);
    }
    if let Some(target) = content.get_mut(start..end) {
        target.copy_from_slice(bytes);
    }
}

/// A folder in memory. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct SimStorage {
    state: Arc<Mutex<State>>,
}

impl SimStorage {
    /// An empty folder.
    pub fn new() -> Self {
        Self::default()
    }

    /// A folder with these files, all durable.
    pub fn with_files(files: Files) -> Self {
        let sim = Self::new();
        {
            let mut state = sim.lock();
            for (name, content) in &files {
                let file = state.files.len();
                state.files.push(content.clone());
                state.names.insert(name.clone(), file);
            }
            state.start = files;
        }
        sim
    }

    /// A folder of its own with the same content and past: what is done to this one from now on is
    /// not done to it.
    #[must_use]
    pub fn fork(&self) -> Self {
        let state = self.lock().clone();
        Self {
            state: Arc::new(Mutex::new(state)),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The files as a process sees them now.
    pub fn files(&self) -> Files {
        let state = self.lock();
        let content = |file: &usize| state.files.get(*file).cloned().unwrap_or_default();
        state
            .names
            .iter()
            .map(|(name, file)| (name.clone(), content(file)))
            .collect()
    }

    /// Number of operations so far: a moment at which [`Crashes`] can stop.
    pub fn moment(&self) -> usize {
        self.lock().log.len()
    }

    /// How often an operation was tried.
    pub fn count(&self, site: Site) -> u64 {
        self.lock().counts.get(&site).copied().unwrap_or(0)
    }

    /// Plans a fault; replaces one that was planned.
    pub fn fail(&self, fault: Fault) {
        self.lock().fault = Some(fault);
    }

    /// How many operations failed by a planned fault.
    pub fn fired(&self) -> u64 {
        self.lock().fired
    }

    /// From now on, syncs of this kind say that they are done and do nothing. For negative
    /// controls.
    pub fn lie(&self, site: Site) {
        self.lock().lies.push(site);
    }

    /// The folders that crashes can leave, from the first moment on.
    pub fn crashes(&self) -> Crashes {
        let state = self.lock();
        let names = state
            .start
            .keys()
            .enumerate()
            .map(|(file, name)| (name.clone(), file));
        Crashes {
            names: names.collect(),
            files: state
                .start
                .values()
                .map(|content| Held::new(content.clone()))
                .collect(),
            moved: Vec::new(),
            log: state.log.clone(),
            moment: 0,
        }
    }
}

impl Storage for SimStorage {
    fn list(&self) -> io::Result<Vec<String>> {
        Ok(self.lock().names.keys().cloned().collect())
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn StorageFile>> {
        let file = self.lock().file(name)?;
        Ok(Box::new(SimFile {
            state: Arc::clone(&self.state),
            file,
        }))
    }

    fn create(&self, name: &str) -> io::Result<Box<dyn StorageFile>> {
        let mut state = self.lock();
        state.pass(Site::Create)?;
        if let Ok(file) = state.file(name) {
            state.content(file)?.clear();
            state.log.push(Op::SetLen { file, len: 0 });
            return Ok(Box::new(SimFile {
                state: Arc::clone(&self.state),
                file,
            }));
        }
        let file = state.files.len();
        state.files.push(Vec::new());
        state.names.insert(name.to_owned(), file);
        state.log.push(Op::Create {
            name: name.to_owned(),
            file,
        });
        Ok(Box::new(SimFile {
            state: Arc::clone(&self.state),
            file,
        }))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut state = self.lock();
        let file = state.file(from)?;
        state.pass(Site::Rename)?;
        state.names.remove(from);
        state.names.insert(to.to_owned(), file);
        state.log.push(Op::Rename {
            file,
            from: from.to_owned(),
            to: to.to_owned(),
        });
        Ok(())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let mut state = self.lock();
        state.file(name)?;
        state.pass(Site::Remove)?;
        state.names.remove(name);
        state.log.push(Op::Remove {
            name: name.to_owned(),
        });
        Ok(())
    }

    fn sync_dir(&self) -> io::Result<()> {
        let mut state = self.lock();
        state.pass(Site::SyncDir)?;
        if !state.lies.contains(&Site::SyncDir) {
            state.log.push(Op::SyncDir);
        }
        Ok(())
    }
}

/// A file of a [`SimStorage`].
#[derive(Debug)]
struct SimFile {
    state: Arc<Mutex<State>>,
    file: usize,
}

impl SimFile {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl StorageFile for SimFile {
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let mut state = self.lock();
        match state.pass(Site::Write) {
            Ok(()) => state.write(self.file, bytes, offset),
            Err(error) => {
                let half = bytes.get(..bytes.len() / 2).unwrap_or(&[]);
                state.write(self.file, half, offset)?;
                Err(error)
            }
        }
    }

    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut state = self.lock();
        let content = state.content(self.file)?;
        let rest = content.get(to_len(offset)..).unwrap_or(&[]);
        let count = rest.len().min(bytes.len());
        bytes[..count].copy_from_slice(&rest[..count]);
        Ok(count)
    }

    fn len(&self) -> io::Result<u64> {
        Ok(to_offset(self.lock().content(self.file)?.len()))
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut state = self.lock();
        state.content(self.file)?.resize(to_len(len), 0);
        state.log.push(Op::SetLen {
            file: self.file,
            len,
        });
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut state = self.lock();
        state.pass(Site::Sync)?;
        if !state.lies.contains(&Site::Sync) {
            state.log.push(Op::Sync { file: self.file });
        }
        Ok(())
    }

    fn sync_all(&self) -> io::Result<()> {
        self.sync_data()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at_end(sim: &SimStorage) -> Crashes {
        let mut crashes = sim.crashes();
        while crashes.advance() {}
        crashes
    }

    #[test]
    fn unsynced_bytes_and_names_can_be_lost_and_synced_ones_cannot() {
        let sim = SimStorage::new();
        let file = sim.create("a").unwrap();
        file.write_at(b"one", 0).unwrap();
        let mut dice = Dice::new(1);
        assert!(at_end(&sim).image(Loss::Everything, &mut dice).is_empty());
        sim.sync_dir().unwrap();
        assert_eq!(at_end(&sim).image(Loss::Everything, &mut dice)["a"], b"");
        file.sync_data().unwrap();
        file.write_at(b"two", 3).unwrap();
        assert_eq!(at_end(&sim).image(Loss::Everything, &mut dice)["a"], b"one");
        assert_eq!(at_end(&sim).image(Loss::Nothing, &mut dice)["a"], b"onetwo");
        sim.rename("a", "b").unwrap();
        assert!(
            at_end(&sim)
                .image(Loss::Everything, &mut dice)
                .contains_key("a")
        );
        assert_eq!(sim.files().keys().collect::<Vec<_>>(), ["b"]);
    }

    #[test]
    fn a_rename_is_of_the_file_and_not_of_whatever_had_its_name() {
        let sim = SimStorage::with_files(Files::from([("a".to_owned(), b"old".to_vec())]));
        sim.remove("a").unwrap();
        let file = sim.create("a").unwrap();
        file.write_at(b"new", 0).unwrap();
        file.sync_data().unwrap();
        sim.rename("a", "b").unwrap();
        let mut dice = Dice::new(5);
        let mut seen = 0;
        for _ in 0..100 {
            let image = at_end(&sim).image(Loss::Sectors, &mut dice);
            assert!(image.get("b").is_none_or(|content| content == b"new"));
            seen += usize::from(image.contains_key("a") && image.contains_key("b"));
        }
        assert!(seen > 0, "the old one may be there still");
    }

    #[test]
    fn sectors_are_lost_one_by_one_and_in_any_order() {
        let sim = SimStorage::new();
        let file = sim.create("a").unwrap();
        sim.sync_dir().unwrap();
        file.write_at(&[0; 1024], 0).unwrap();
        file.sync_data().unwrap();
        file.write_at(&[1; 1024], 0).unwrap();
        let crashes = at_end(&sim);
        let mut dice = Dice::new(3);
        let mut seen = std::collections::BTreeSet::new();
        for _ in 0..100 {
            let image = crashes.image(Loss::Sectors, &mut dice);
            seen.insert((image["a"][0], image["a"][600]));
        }
        assert_eq!(
            seen.len(),
            4,
            "old and new for each of two sectors: {seen:?}"
        );
    }

    #[test]
    fn faults_fire_once_or_for_good_and_are_counted() {
        let sim = SimStorage::new();
        let file = sim.create("a").unwrap();
        let kind = io::ErrorKind::StorageFull;
        sim.fail(Fault {
            site: Site::Write,
            after: 1,
            kind,
            stays: false,
        });
        file.write_at(b"aaaa", 0).unwrap();
        assert_eq!(file.write_at(b"bbbb", 4).unwrap_err().kind(), kind);
        assert_eq!((sim.fired(), sim.count(Site::Write)), (1, 2));
        assert_eq!(sim.files()["a"], b"aaaabb");
        file.write_at(b"cc", 6).unwrap();
        sim.fail(Fault {
            site: Site::Sync,
            after: 0,
            kind,
            stays: true,
        });
        assert!(file.sync_data().is_err() && file.sync_data().is_err());
        assert_eq!(sim.fired(), 3);
    }
}
