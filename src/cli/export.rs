//! `holdfast export`: the whole ledger into a file.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;

use super::args::Export;
use super::{Exit, Failure, advice, load_config, open, whole};
use crate::blocking::wait_for;
use crate::engine::Engine;
use crate::ledger::export::file::{FileError, Writer};
use crate::ledger::export::{Head, Tally};

/// Writes the export and prints what is in it.
pub fn run(arguments: &Export) -> Result<(), Failure> {
    let config = load_config(&arguments.ledger.flags())?.config;
    let draft = Draft::create(&arguments.to)?;
    let opened = open::engine_to_look(&config)?;
    let written = write(&opened.engine, &draft);
    opened.engine.close()?;
    let (head, tally) = written?;
    draft.finish()?;
    let is_json = arguments.output.is_json();
    whole::summary(is_json, &arguments.to, head.sequence, &tally)
}

/// A file that gets its name when it is whole.
struct Draft<'p> {
    name: &'p Path,
    path: PathBuf,
    file: File,
    is_finished: bool,
}

impl<'p> Draft<'p> {
    fn create(name: &'p Path) -> Result<Self, Failure> {
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

    fn finish(mut self) -> Result<(), Failure> {
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

fn write(engine: &Engine, draft: &Draft<'_>) -> Result<(Head, Tally), Failure> {
    let failed = |error: FileError| whole::about(&draft.path, &error);
    let file = BufWriter::new(&draft.file);
    if draft.name.extension().is_some_and(|ending| ending == "gz") {
        let mut packed = GzEncoder::new(file, Compression::default());
        let written = copy(engine, &mut packed, failed)?;
        let ended = packed.finish().and_then(|mut file| file.flush());
        ended.map_err(|error| failed(error.into()))?;
        return Ok(written);
    }
    copy(engine, file, failed)
}

fn copy(
    engine: &Engine,
    to: impl Write,
    failed: impl Fn(FileError) -> Failure,
) -> Result<(Head, Tally), Failure> {
    wait_for(engine.settle_all())?;
    let mut walk = wait_for(engine.walk())?;
    let head = walk.head().clone();
    let mut writer = Writer::new(to, &head).map_err(&failed)?;
    while let Some(items) = wait_for(walk.next())? {
        for item in &items {
            writer.add(item).map_err(&failed)?;
        }
    }
    let (_, tally) = writer.finish().map_err(&failed)?;
    Ok((head, tally))
}
