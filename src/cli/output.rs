//! Standard output and standard error, as values that can fail.

use std::io::{self, Write};

use super::Failure;

/// Writes a text and a line feed to standard output. A reader that has gone away is no failure.
pub(crate) fn line(text: &str) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    match out
        .write_all(text.as_bytes())
        .and_then(|()| out.write_all(b"\n"))
    {
        Ok(()) => out.flush().map_err(Failure::from),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Writes a JSON value to standard output.
pub(crate) fn json(value: &serde_json::Value) -> Result<(), Failure> {
    line(&format!("{value:#}"))
}

/// Tells the user something beside the result.
pub(crate) fn note(text: &str) {
    let mut err = io::stderr().lock();
    // A closed standard error leaves nobody to tell.
    drop(err.write_all(format!("{text}\n").as_bytes()));
}

/// Writes names and values, one pair a line.
pub(crate) fn table(rows: &[(&str, String)]) -> Result<(), Failure> {
    let width = rows.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    let lines: Vec<_> = rows
        .iter()
        .map(|(name, value)| format!("{name:<width$}  {value}"))
        .collect();
    line(&lines.join("\n"))
}
