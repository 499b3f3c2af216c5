//! A whole ledger into an empty place: first the file is checked, then it is written, then what was
//! written is read again and compared.

use std::fs::File;
use std::io::{BufRead, BufReader, Read as _, Seek as _};
use std::path::Path;

use flate2::bufread::MultiGzDecoder;

use super::super::args::Import;
use super::super::open::{self, Folder, InStore};
use super::super::{Exit, Failure, advice, judge, load_config, unreadable, whole};
use crate::blocking::wait_for;
use crate::config::{Config, StoreSettings};
use crate::engine::OpenError;
use crate::ledger::export::file::{FileError, Reader};
use crate::ledger::export::{Head, Tally};
use crate::ledger::remote;
use crate::telemetry::Meters;

/// Imports the file and prints what is in it.
pub(super) fn run(arguments: &Import) -> Result<(), Failure> {
    let file = arguments.file.as_path();
    let (head, tally) = check(file)?;
    if !arguments.dry_run {
        let config = load_config(&arguments.ledger.flags())?.config;
        put(arguments, &config, &head)?;
        verify(&config, &tally)?;
    }
    whole::summary(arguments.output.is_json(), file, head.sequence, &tally)
}

fn read(file: &Path) -> Result<Reader<Box<dyn BufRead>>, Failure> {
    const PACKED: [u8; 2] = [0x1f, 0x8b];
    let cannot = |error: std::io::Error| unreadable(file, &error);
    let mut opened = File::open(file).map_err(cannot)?;
    let mut first = Vec::new();
    opened
        .by_ref()
        .take(2)
        .read_to_end(&mut first)
        .map_err(cannot)?;
    opened.rewind().map_err(cannot)?;
    let plain = BufReader::new(opened);
    let from: Box<dyn BufRead> = if first == PACKED {
        Box::new(BufReader::new(MultiGzDecoder::new(plain)))
    } else {
        Box::new(plain)
    };
    Reader::new(from).map_err(|error| whole::about(file, &error))
}

/// Reads the file to its end: nothing is written of one that is not whole.
fn check(file: &Path) -> Result<(Head, Tally), Failure> {
    let mut reader = read(file)?;
    let read = reader.by_ref().try_for_each(|item| item.map(drop));
    read.map_err(|error| whole::about(file, &error))?;
    Ok((reader.head().clone(), *reader.tally()))
}

/// Why an import broke off.
#[derive(Debug, thiserror::Error)]
enum Broken {
    #[error(transparent)]
    File(#[from] FileError),
    #[error(transparent)]
    Folder(#[from] OpenError),
    #[error(transparent)]
    Store(#[from] remote::OpenError),
}

impl From<Broken> for Failure {
    fn from(broken: Broken) -> Self {
        let (exit, fix) = match &broken {
            Broken::File(_) => (Exit::Failed, ""),
            Broken::Folder(error) => (Exit::Data, advice::on_opening(error)),
            Broken::Store(error @ remote::OpenError::Unreachable { .. }) => {
                (Exit::Unreachable, advice::on_store(error))
            }
            Broken::Store(error) => (Exit::Data, advice::on_store(error)),
        };
        Self::new(exit, advice::joined(broken, fix))
    }
}

fn put(arguments: &Import, config: &Config, head: &Head) -> Result<(), Failure> {
    let items = read(&arguments.file)?.map(|item| item.map_err(Broken::from));
    match &config.store {
        StoreSettings::Embedded => {
            let folder = Folder::empty(&config.data)?;
            open::make(folder.path())?;
            open::import(config, head, items)?;
        }
        StoreSettings::Remote(address) => {
            let settings = open::remote_settings(config, address, InStore::Expected, Meters::new());
            remote::import(&settings, head, items, arguments.again)?;
        }
    }
    Ok(())
}

/// Opens what was written as any command would, counts it again and compares.
fn verify(config: &Config, expected: &Tally) -> Result<(), Failure> {
    let opened = open::engine_to_look(config)?;
    let recount = wait_for(opened.engine.recount());
    let found = whole::tally(&opened.engine);
    opened.engine.close()?;
    judge(&recount?)?;
    if found? == Some(*expected) {
        return Ok(());
    }
    let message = "what was written is not what the file holds; it must not be used";
    Err(Failure::new(Exit::Violation, message))
}
