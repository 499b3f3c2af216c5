//! The data folder on a real file system.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use super::{Storage, StorageFile};

/// Name of the file whose lock keeps a second process out.
const LOCK_NAME: &str = "lock";

/// Why a data folder could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenStorageError {
    /// Another process has it open.
    #[error("the data folder {path} is in use by another process{holder}")]
    InUse {
        /// The folder.
        path: PathBuf,
        /// ` (pid 123)` when the other process left its number, else empty.
        holder: String,
    },
    /// The path is there and is no folder.
    #[error("the data folder {path} is not a folder")]
    NotAFolder {
        /// The path.
        path: PathBuf,
    },
    /// The folder cannot be written.
    #[error("the data folder {path} cannot be written: {source}")]
    NotWritable {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Anything else.
    #[error("the data folder {path} cannot be opened: {source}")]
    Io {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl OpenStorageError {
    fn from_io(path: &Path, source: io::Error) -> Self {
        let path = path.to_path_buf();
        let kind = source.kind();
        if kind == io::ErrorKind::NotADirectory || kind == io::ErrorKind::AlreadyExists {
            Self::NotAFolder { path }
        } else if kind == io::ErrorKind::PermissionDenied
            || kind == io::ErrorKind::ReadOnlyFilesystem
        {
            Self::NotWritable { path, source }
        } else {
            Self::Io { path, source }
        }
    }
}

/// A folder of the file system, locked for this process while the value lives.
#[derive(Debug)]
pub struct DiskStorage {
    path: PathBuf,
    // Held for its lock: the system releases it when the process ends, however it ends.
    _lock: File,
    // An open folder is what a folder sync needs.
    folder: File,
}

impl DiskStorage {
    /// Opens a folder, creating it when it is not there, and locks it.
    pub fn open(path: &Path) -> Result<Self, OpenStorageError> {
        let failed = |source| OpenStorageError::from_io(path, source);
        fs::create_dir_all(path).map_err(failed)?;
        let mut lock = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path.join(LOCK_NAME))
            .map_err(failed)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let holder = holder_of(&mut lock);
                return Err(OpenStorageError::InUse {
                    path: path.to_path_buf(),
                    holder,
                });
            }
            Err(TryLockError::Error(source)) => return Err(failed(source)),
        }
        // The number is only for the message that a second process prints.
        lock.set_len(0).map_err(failed)?;
        lock.write_all(std::process::id().to_string().as_bytes())
            .map_err(failed)?;
        let folder = File::open(path).map_err(failed)?;
        Ok(Self {
            path: path.to_path_buf(),
            _lock: lock,
            folder,
        })
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn resolve(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }
}

fn holder_of(lock: &mut File) -> String {
    let mut text = String::new();
    match lock.read_to_string(&mut text) {
        Ok(_) if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) => {
            format!(" (pid {text})")
        }
        Ok(_) | Err(_) => String::new(),
    }
}

impl Storage for DiskStorage {
    fn list(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.path)? {
            let entry = entry?;
            if !entry.file_type()?.is_file() {
                continue;
            }
            // A name that is not Unicode is not one of ours.
            if let Ok(name) = entry.file_name().into_string()
                && name != LOCK_NAME
            {
                names.push(name);
            }
        }
        Ok(names)
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn StorageFile>> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .open(self.resolve(name))?;
        Ok(Box::new(DiskFile(file)))
    }

    fn create(&self, name: &str) -> io::Result<Box<dyn StorageFile>> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(true)
            .open(self.resolve(name))?;
        Ok(Box::new(DiskFile(file)))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        fs::rename(self.resolve(from), self.resolve(to))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        fs::remove_file(self.resolve(name))
    }

    fn sync_dir(&self) -> io::Result<()> {
        self.folder.sync_all()
    }
}

/// A file of a [`DiskStorage`].
#[derive(Debug)]
struct DiskFile(File);

impl StorageFile for DiskFile {
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.0.write_all_at(bytes, offset)
    }

    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut filled = 0;
        let mut at = offset;
        while let Some(rest) = bytes.get_mut(filled..)
            && !rest.is_empty()
        {
            match self.0.read_at(rest, at) {
                Ok(0) => break,
                Ok(count) => {
                    filled += count;
                    at = at.saturating_add(u64::try_from(count).unwrap_or(u64::MAX));
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(filled)
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.0.sync_data()
    }

    fn sync_all(&self) -> io::Result<()> {
        self.0.sync_all()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn second_opener_is_refused_with_the_first_ones_number() {
        let folder = tempfile::tempdir().unwrap();
        let first = DiskStorage::open(folder.path()).unwrap();
        let refused = DiskStorage::open(folder.path()).unwrap_err();
        let text = refused.to_string();
        assert!(matches!(refused, OpenStorageError::InUse { .. }), "{text}");
        assert!(text.contains("in use by another process"), "{text}");
        assert!(
            text.contains(&format!("(pid {})", std::process::id())),
            "{text}"
        );
        drop(first);
        DiskStorage::open(folder.path()).unwrap();
    }

    #[test]
    fn a_file_is_not_a_folder() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        fs::write(&path, b"").unwrap();
        let refused = DiskStorage::open(&path).unwrap_err();
        assert!(
            matches!(refused, OpenStorageError::NotAFolder { .. }),
            "{refused}"
        );
    }

    #[test]
    fn a_folder_that_cannot_be_written_says_so() {
        for kind in [
            io::ErrorKind::PermissionDenied,
            io::ErrorKind::ReadOnlyFilesystem,
        ] {
            let error = OpenStorageError::from_io(Path::new("/srv/stock"), io::Error::from(kind));
            let text = error.to_string();
            assert!(text.contains("/srv/stock cannot be written"), "{text}");
        }
    }

    #[test]
    fn files_are_written_read_renamed_and_listed() {
        let folder = tempfile::tempdir().unwrap();
        let storage = DiskStorage::open(folder.path()).unwrap();
        let file = storage.create("a").unwrap();
        file.write_at(b"hello", 3).unwrap();
        file.sync_data().unwrap();
        storage.rename("a", "b").unwrap();
        storage.sync_dir().unwrap();
        assert_eq!(storage.list().unwrap(), ["b"]);
        let file = storage.open("b").unwrap();
        let mut bytes = [0xff; 16];
        assert_eq!(file.read_at(&mut bytes, 0).unwrap(), 8);
        assert_eq!(&bytes[..8], b"\0\0\0hello");
        file.set_len(4).unwrap();
        assert_eq!(file.len().unwrap(), 4);
        storage.remove("b").unwrap();
        assert!(storage.open("b").is_err());
    }
}
