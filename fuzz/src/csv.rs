//! Stock files: any bytes give rows that the ledger's own types accept, or a reason.

use holdfast::cli::args::Mode;
use holdfast::cli::import::parse::{Format, stock};
use holdfast::domain::Sku;
use holdfast::domain::ids::check_name;
use holdfast::limits::UNITS_MAX;

/// Reads a file of stock; its first byte says which format, and what its numbers mean.
pub fn check(bytes: &[u8]) -> bool {
    let Some((choice, file)) = bytes.split_first() else {
        return false;
    };
    let format = if choice & 1 == 0 {
        Format::Csv
    } else {
        Format::Ndjson
    };
    let mode = if choice & 2 == 0 {
        Mode::Set
    } else {
        Mode::Adjust
    };
    let Ok(parsed) = stock(file, format, "main", mode) else {
        return false;
    };
    let lines = file.split(|byte| *byte == b'\n').count();
    assert!(parsed.rows.len() + parsed.rejects.len() <= file.len());
    for row in &parsed.rows {
        assert!(Sku::new(&row.sku).is_ok() && check_name(&row.node).is_ok());
        assert!(row.quantity.unsigned_abs() <= UNITS_MAX);
        assert!(mode == Mode::Adjust || row.quantity >= 0);
        assert!((1..=lines).contains(&usize::try_from(row.line).unwrap()));
    }
    for reject in &parsed.rejects {
        assert!(!reject.reason.is_empty());
        assert!((1..=lines).contains(&usize::try_from(reject.line).unwrap()));
    }
    !parsed.rows.is_empty()
}
