//! `holdfast import`: stock from a file into a data folder or a running server, or a whole ledger.
//!
//! Each chunk, or each row where differences are imported, goes under a key made from the file's
//! hash, so a broken import is simply started again: what was done already is answered from before
//! and not done twice.

pub mod parse;
mod separated;
mod whole;

use std::fs;
use std::path::{Path, PathBuf};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::json;
use sha2::{Digest, Sha256};

use super::args::{Import, Mode};
use super::open::{self, InStore, NotOpened, Why};
use super::target::{Done, StockCall, StockItem, Target};
use super::wire::{Connection, authority};
use super::{Exit, Failure, load_config, number, output, unreadable};
use crate::clock::Clock;
use crate::limits::STOCK_ITEMS_MAX;
use parse::{Format, Parsed, Reject, Row};

/// Largest file; more is better split.
const FILE_BYTES_MAX: u64 = 512 * 1024 * 1024;
/// Items sent at once: enough to share a sync, few enough that a bad one is found quickly.
const CHUNK: usize = 500;
const _: () = assert!(CHUNK <= STOCK_ITEMS_MAX);

/// Imports a file and prints a summary.
pub fn run(arguments: &Import) -> Result<(), Failure> {
    if arguments.whole {
        return whole::run(arguments);
    }
    let bytes = read(&arguments.file)?;
    let format = format(&arguments.file);
    let parsed = parse::stock(&bytes, format, &arguments.node, arguments.mode)
        .map_err(|reason| failure(&arguments.file, &reason))?;
    if arguments.dry_run {
        return dry_run(arguments, &parsed);
    }
    let run = identity(&bytes, arguments);
    let (sent, parsed) = if let Some(server) = &arguments.server {
        let target = Target::Http(Connection::open(authority(server)?)?);
        send(target, &run, arguments, parsed)?
    } else {
        let config = load_config(&arguments.ledger.flags())?.config;
        let opened = open::engine(&config, InStore::Expected).map_err(hint)?;
        let result = send(Target::engine(&opened.engine)?, &run, arguments, parsed);
        opened.engine.close()?;
        result?
    };
    let rejects = write_rejects(&arguments.file, &parsed.rejects)?;
    summary(arguments, &parsed, &sent, rejects.as_deref())
}

fn failure(file: &Path, reason: &dyn std::fmt::Display) -> Failure {
    Failure::new(Exit::Failed, format!("{}: {reason}", file.display()))
}

/// A locked folder mostly means that the server runs: say what to do then.
fn hint(failure: NotOpened) -> Failure {
    let fix = match failure.why {
        Why::Locked => "if a server runs there, import with --server http://HOST:PORT",
        Why::New | Why::Away | Why::Other => failure.fix,
    };
    Failure::from(NotOpened { fix, ..failure })
}

fn read(file: &Path) -> Result<Vec<u8>, Failure> {
    let length = fs::metadata(file).map_err(|e| unreadable(file, &e))?.len();
    if length > FILE_BYTES_MAX {
        return Err(failure(
            file,
            &format!("has more than {FILE_BYTES_MAX} bytes; split it"),
        ));
    }
    fs::read(file).map_err(|e| unreadable(file, &e))
}

fn format(file: &Path) -> Format {
    let extension = file
        .extension()
        .and_then(|e| e.to_str())
        .unwrap_or_default();
    if ["ndjson", "jsonl"].contains(&extension) {
        Format::Ndjson
    } else {
        Format::Csv
    }
}

/// The beginning of all keys of this import.
fn identity(bytes: &[u8], arguments: &Import) -> String {
    let mut hash = Sha256::new();
    hash.update(bytes);
    let digest = number::hex(&hash.finalize());
    let part: String = digest.chars().take(24).collect();
    let mode = arguments.mode.as_str();
    let again = if arguments.again {
        Clock::system().now().0.to_string()
    } else {
        String::new()
    };
    format!("import-{part}-{mode}-{}-{again}", arguments.node)
}

/// What was sent.
#[derive(Debug, Default)]
struct Sent {
    imported: usize,
    before: usize,
}

/// Sends all rows; rows that the ledger refuses become rejects.
fn send(
    mut target: Target,
    run: &str,
    arguments: &Import,
    mut parsed: Parsed,
) -> Result<(Sent, Parsed), Failure> {
    let reason = format!("import {}", file_name(&arguments.file));
    let bar = progress(parsed.rows.len());
    let mut sent = Sent::default();
    let mut refused = Vec::new();
    for (n, rows) in parsed.rows.chunks(CHUNK).enumerate() {
        let mut call = |key: &str, rows: &[Row]| {
            let items: Vec<_> = rows.iter().map(item).collect();
            let mode = arguments.mode;
            target.stock(StockCall {
                key,
                mode,
                reason: &reason,
                items: &items,
            })
        };
        let together = match arguments.mode {
            Mode::Set => Some(call(&format!("{run}-{n}"), rows)?),
            // A chunk that is refused today and passes tomorrow would adjust rows again that went
            // in one by one in between: each difference has one key, always.
            Mode::Adjust => None,
        };
        match together {
            Some(Done::Now(())) => sent.imported += rows.len(),
            Some(Done::Before(())) => sent.before += rows.len(),
            // One bad row refuses its chunk: find out which, row by row.
            Some(Done::Refused(_)) | None => {
                for row in rows {
                    let key = format!("{run}-{n}-{}", row.line);
                    match call(&key, std::slice::from_ref(row))? {
                        Done::Now(()) => sent.imported += 1,
                        Done::Before(()) => sent.before += 1,
                        Done::Refused(code) => refused.push(reject(row, &code)),
                    }
                }
            }
        }
        bar.inc(u64::try_from(rows.len()).unwrap_or(0));
    }
    bar.finish_and_clear();
    parsed.rejects.extend(refused);
    parsed.rejects.sort_by_key(|reject| reject.line);
    Ok((sent, parsed))
}

fn item(row: &Row) -> StockItem<'_> {
    StockItem {
        sku: &row.sku,
        node: &row.node,
        quantity: row.quantity,
    }
}

fn reject(row: &Row, code: &str) -> Reject {
    Reject {
        line: row.line,
        reason: format!("refused: {code}"),
        text: format!("{},{},{}", row.sku, row.node, row.quantity),
    }
}

fn file_name(file: &Path) -> String {
    let name = file
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    name.chars().take(100).collect()
}

/// A bar on a terminal, nothing elsewhere.
fn progress(rows: usize) -> ProgressBar {
    let rows = u64::try_from(rows).unwrap_or(u64::MAX);
    let bar = ProgressBar::with_draw_target(Some(rows), ProgressDrawTarget::stderr());
    let template = "{bar:40} {pos}/{len} rows, {per_sec}, {eta} left";
    match ProgressStyle::with_template(template) {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}

fn write_rejects(file: &Path, rejects: &[Reject]) -> Result<Option<PathBuf>, Failure> {
    let mut name = file.as_os_str().to_owned();
    name.push(".rejects.csv");
    let path = PathBuf::from(name);
    if rejects.is_empty() {
        return Ok(None);
    }
    let failed = |e: csv::Error| failure(&path, &e);
    let mut writer = csv::Writer::from_path(&path).map_err(failed)?;
    writer
        .write_record(["line", "reason", "row"])
        .map_err(failed)?;
    for Reject { line, reason, text } in rejects {
        writer
            .write_record([&line.to_string(), reason, text])
            .map_err(failed)?;
    }
    writer.flush().map_err(|e| failure(&path, &e))?;
    Ok(Some(path))
}

fn dry_run(arguments: &Import, parsed: &Parsed) -> Result<(), Failure> {
    for Reject { line, reason, .. } in parsed.rejects.iter().take(20) {
        output::note(&format!("line {line}: {reason}"));
    }
    let total: i64 = parsed
        .rows
        .iter()
        .map(|row| row.quantity)
        .fold(0, i64::saturating_add);
    if arguments.output.is_json() {
        return output::json(&json!({
            "dry_run": true,
            "mode": arguments.mode.as_str(),
            "rows": parsed.rows.len(),
            "units": total,
            "rejected": parsed.rejects.len(),
            "ignored_columns": parsed.ignored,
        }));
    }
    let verb = match arguments.mode {
        Mode::Set => "set",
        Mode::Adjust => "adjusted",
    };
    output::line(&format!(
        "dry run, nothing was changed: {} rows would be {verb} ({total} units), {} are rejected{}",
        parsed.rows.len(),
        parsed.rejects.len(),
        ignored(parsed),
    ))
}

fn ignored(parsed: &Parsed) -> String {
    match parsed.ignored.as_slice() {
        [] => String::new(),
        columns => format!("; columns ignored: {}", columns.join(", ")),
    }
}

fn summary(
    arguments: &Import,
    parsed: &Parsed,
    sent: &Sent,
    rejects: Option<&Path>,
) -> Result<(), Failure> {
    let rejects_file = rejects.map(|path| path.display().to_string());
    if arguments.output.is_json() {
        output::json(&json!({
            "dry_run": false,
            "mode": arguments.mode.as_str(),
            "imported": sent.imported,
            "imported_before": sent.before,
            "rejected": parsed.rejects.len(),
            "rejects_file": rejects_file,
            "ignored_columns": parsed.ignored,
        }))?;
    } else {
        let mut parts = vec![format!("imported {} rows", sent.imported)];
        if sent.before > 0 {
            let before = sent.before;
            parts.push(format!(
                "{before} rows of this file were imported before and left alone (--again repeats them)"
            ));
        }
        if let Some(path) = &rejects_file {
            parts.push(format!("{} rejected, see {path}", parsed.rejects.len()));
        }
        let text = format!("{}{}", parts.join("; "), ignored(parsed));
        output::line(&text)?;
    }
    match parsed.rejects.len() {
        0 => Ok(()),
        n => Err(Failure::new(
            Exit::Failed,
            format!("{n} rows were rejected"),
        )),
    }
}
