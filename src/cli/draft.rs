//! Files that are there whole or not at all.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use super::{Exit, Failure, advice};

/// A file that gets its name when it is whole.
pub(super) struct Draft<'p> {
    name: &'p Path,
    path: PathBuf,
    file: File,
    is_finished: bool,
}

impl<'p> Draft<'p> {
    /// Begins one where nothing is yet.
    pub(super) fn create(name: &'p Path) -> Result<Self, Failure> {
        let mut path = name.as_os_str().to_owned();
        path.push(".part");
        let path = PathBuf::from(path);
        if name.exists() {
            let found = format!("{} is there already", name.display());
            return Err(Failure::new(
                Exit::Usage,
                advice::joined(found, "choose another name"),
            ));
        }
        let file = File::create(&path).map_err(|error| refused(&path, &error))?;
        Ok(Self {
            name,
            path,
            file,
            is_finished: false,
        })
    }

    /// The name it will have.
    pub(super) const fn name(&self) -> &Path {
        self.name
    }

    /// Where it is until then.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// What to write into.
    pub(super) const fn file(&self) -> &File {
        &self.file
    }

    /// Gives it its name, once it is on the disk.
    pub(super) fn finish(mut self) -> Result<(), Failure> {
        let synced = self.file.sync_all();
        let named = synced.and_then(|()| fs::rename(&self.path, self.name));
        named.map_err(|error| refused(self.name, &error))?;
        self.is_finished = true;
        Ok(())
    }
}

impl Drop for Draft<'_> {
    fn drop(&mut self) {
        if !self.is_finished {
            // Nobody could do anything with a part; if it stays, its name says what it is.
            drop(fs::remove_file(&self.path));
        }
    }
}

fn refused(path: &Path, error: &io::Error) -> Failure {
    let found = format!("cannot write {}: {error}", path.display());
    Failure::new(Exit::Failed, advice::joined(found, advice::on_file(error)))
}
