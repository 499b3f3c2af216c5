//! What `export`, `import --ledger` and `verify` say of a whole ledger.

use std::path::Path;

use serde_json::{Map, Value, json};

use super::{Exit, Failure, advice, output};
use crate::blocking::wait_for;
use crate::engine::Engine;
use crate::ledger::export::file::FileError;
use crate::ledger::export::{Tally, WalkError};

impl From<WalkError> for Failure {
    fn from(error: WalkError) -> Self {
        let fix = match error {
            WalkError::Ledger(error) => return error.into(),
            WalkError::Moved => "; stop all instances first",
            WalkError::Underway(_) => {
                "; stop all instances, start one alone for a minute, stop it, and try again"
            }
            WalkError::Uneven => "; set them by a time server, and try again",
            WalkError::Text(_) => "",
        };
        Self::new(Exit::Failed, format!("{error}{fix}"))
    }
}

/// Why a file with an export is not read or written.
pub(super) fn about(file: &Path, error: &FileError) -> Failure {
    let found = format!("{}: {error}", file.display());
    Failure::new(
        Exit::Failed,
        advice::joined(found, advice::on_export(error)),
    )
}

/// Counts everything that an export would hold; `None` where there can be none, or others change it
/// meanwhile.
pub(super) fn tally(engine: &Engine) -> Result<Option<Tally>, Failure> {
    let counted = wait_for(async { engine.walk().await?.tally().await });
    match counted {
        Ok(tally) => Ok(Some(tally)),
        Err(WalkError::Moved | WalkError::Underway(_) | WalkError::Uneven) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Prints what was written or read, in the same words on both sides.
pub(super) fn summary(
    is_json: bool,
    file: &Path,
    sequence: u64,
    tally: &Tally,
) -> Result<(), Failure> {
    let rows = [
        ("sequence", sequence),
        ("names", tally.names),
        ("policies", tally.policies),
        ("skus", tally.skus),
        ("reservations", tally.reservations),
        ("answers", tally.answers),
        ("units_on_hand", tally.units_on_hand),
        ("units_promised", tally.units_promised),
    ];
    let (file, content) = (file.display().to_string(), tally.content.to_string());
    if is_json {
        let mut map: Map<_, _> = rows
            .into_iter()
            .map(|(name, count)| (name.to_owned(), json!(count)))
            .collect();
        map.insert("file".to_owned(), file.into());
        map.insert("content".to_owned(), content.into());
        return output::json(&Value::Object(map));
    }
    let words: Vec<_> = rows
        .iter()
        .map(|(name, count)| (name.replace('_', " "), count.to_string()))
        .collect();
    let mut table = vec![("file", file)];
    table.extend(
        words
            .iter()
            .map(|(name, count)| (name.as_str(), count.clone())),
    );
    table.push(("content", content));
    output::table(&table)
}
