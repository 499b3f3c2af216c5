//! `holdfast export`: the whole ledger into a file.

use std::io::{BufWriter, Write};

use flate2::Compression;
use flate2::write::GzEncoder;

use super::args::Export;
use super::draft::Draft;
use super::{Failure, load_config, open, whole};
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

fn write(engine: &Engine, draft: &Draft<'_>) -> Result<(Head, Tally), Failure> {
    let failed = |error: FileError| whole::about(draft.path(), &error);
    let file = BufWriter::new(draft.file());
    if draft
        .name()
        .extension()
        .is_some_and(|ending| ending == "gz")
    {
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
