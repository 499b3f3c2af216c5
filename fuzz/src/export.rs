//! Exports: any bytes are one or have a reason; and of any lines that are items a whole file can be
//! made, which reads back the same and becomes a ledger or says why not.

use std::sync::Arc;

use holdfast::blocking::wait_for;
use holdfast::clock::Clock;
use holdfast::domain::UnixMillis;
use holdfast::engine::{Engine, OpenError};
use holdfast::ledger::embedded::storage::Storage;
use holdfast::ledger::embedded::storage::sim::SimStorage;
use holdfast::ledger::export::file::{FileError, Reader, Writer};
use holdfast::ledger::export::{Head, Item, Tally};

use super::support::driven::config;

/// Reads the file, then makes a whole one of its lines.
pub fn check(bytes: &[u8]) -> bool {
    let Ok(reader) = Reader::new(bytes) else {
        return false;
    };
    let head = reader.head().clone();
    reader.for_each(drop);
    let lines = bytes.split(|byte| *byte == b'\n').skip(1);
    let items: Vec<Item> = { lines }
        .filter_map(|line| serde_json::from_slice(line).ok())
        .collect();
    let (file, tally) = write(&head, &items);
    assert_eq!(read(&file).unwrap(), (head.clone(), items.clone(), tally));
    import(&head, items, tally)
}

fn write(head: &Head, items: &[Item]) -> (Vec<u8>, Tally) {
    let mut writer = Writer::new(Vec::new(), head).unwrap();
    items.iter().for_each(|item| writer.add(item).unwrap());
    writer.finish().unwrap()
}

fn read(file: &[u8]) -> Result<(Head, Vec<Item>, Tally), FileError> {
    let mut reader = Reader::new(file)?;
    let items = reader.by_ref().collect::<Result<_, _>>()?;
    Ok((reader.head().clone(), items, *reader.tally()))
}

/// A ledger that was made of these items opens. What it holds is theirs, or it shows: that is what
/// `holdfast import --ledger` looks at afterwards.
fn import(head: &Head, items: Vec<Item>, tally: Tally) -> bool {
    let sim = SimStorage::new();
    let storage: Arc<dyn Storage> = Arc::new(sim.clone());
    let config = || config(Clock::manual(UnixMillis(head.now_ms)), None);
    let items = items.into_iter().map(Ok::<_, OpenError>);
    if Engine::import_on(&storage, config(), head, items).is_err() {
        return false;
    }
    let Ok(engine) = Engine::open_on(storage, config()) else {
        return false;
    };
    let counted = wait_for(engine.recount()).unwrap();
    let walked = wait_for(async { engine.walk().await?.tally().await });
    engine.close().unwrap();
    if counted.violation_count > 0 || walked.ok() != Some(tally) {
        return false;
    }
    let again = Engine::open_on(Arc::new(sim), config()).unwrap();
    assert_eq!(wait_for(again.recount()).unwrap(), counted);
    again.close().unwrap();
    true
}
