//! Files of separated values: the separator is found, the header says what the columns mean.

use super::parse::{Found, QUANTITY_WORDS, Role, SKU_WORDS, Sink, role};

fn separator(bytes: &[u8]) -> u8 {
    let mut counts = [(b',', 0_usize), (b';', 0), (b'\t', 0)];
    let mut is_quoted = false;
    for byte in bytes.iter().take_while(|b| **b != b'\n') {
        is_quoted ^= *byte == b'"';
        for (separator, count) in &mut counts {
            *count += usize::from(!is_quoted && separator == byte);
        }
    }
    // The first of equal counts: a comma.
    let best = counts.iter().rev().max_by_key(|(_, count)| *count);
    best.map_or(b',', |(separator, _)| *separator)
}

/// Place of each column that means something.
struct Columns {
    sku: usize,
    quantity: usize,
    node: Option<usize>,
}

fn columns(header: &csv::ByteRecord, ignored: &mut Vec<String>) -> Result<Columns, String> {
    let mut places: [Option<usize>; 3] = [None; 3];
    for (at, name) in header.iter().enumerate() {
        let name = str::from_utf8(name).map_err(|_error| {
            "the header is not UTF-8; save the file as \"CSV UTF-8\"".to_owned()
        })?;
        let Some(role) = role(name) else {
            ignored.push(name.trim().to_owned());
            continue;
        };
        let [sku, quantity, node] = &mut places;
        let place = match role {
            Role::Sku => sku,
            Role::Quantity => quantity,
            Role::Node => node,
        };
        if place.replace(at).is_some() {
            return Err(format!(
                "two columns of the header mean the same; one is \"{name}\""
            ));
        }
    }
    let [sku, quantity, node] = places;
    let missing = |what: &str, words: &[&str]| {
        format!(
            "the header has no column for {what}; one of: {}",
            words.join(", ")
        )
    };
    Ok(Columns {
        sku: sku.ok_or_else(|| missing("the SKU", &SKU_WORDS))?,
        quantity: quantity.ok_or_else(|| missing("the quantity", &QUANTITY_WORDS))?,
        node,
    })
}

/// Counts lines up to each record. The reader's own count is one behind after `\r\n`, because it
/// takes the line feed for the beginning of the next record.
struct Lines<'a> {
    rest: &'a [u8],
    at: u64,
    line: u64,
}

impl Lines<'_> {
    fn line_at(&mut self, record: &csv::ByteRecord) -> u64 {
        let start = record.position().map_or(0, csv::Position::byte);
        while let Some((byte, rest)) = self.rest.split_first() {
            if self.at >= start && !matches!(byte, b'\r' | b'\n') {
                break;
            }
            self.line += u64::from(*byte == b'\n');
            self.at += 1;
            self.rest = rest;
        }
        self.line
    }
}

/// Reads the rows of a file with a header line.
pub(super) fn rows(bytes: &[u8], sink: &mut Sink<'_>) -> Result<(), String> {
    let mut reader = csv::ReaderBuilder::new()
        .delimiter(separator(bytes))
        .has_headers(false)
        .flexible(true)
        .from_reader(bytes);
    let mut record = csv::ByteRecord::new();
    let mut read = |record: &mut csv::ByteRecord| {
        reader
            .read_byte_record(record)
            .map_err(|e| format!("cannot read the file: {e}"))
    };
    if !read(&mut record)? {
        return Err("the file is empty".to_owned());
    }
    let columns = columns(&record, &mut sink.parsed.ignored)?;
    let mut lines = Lines {
        rest: bytes,
        at: 0,
        line: 1,
    };
    while read(&mut record)? {
        let line = lines.line_at(&record);
        let text = || {
            let fields: Vec<_> = record.iter().map(String::from_utf8_lossy).collect();
            fields.join(",")
        };
        if record.iter().all(<[u8]>::is_empty) {
            continue;
        }
        let field = |at: usize| record.get(at).map_or(Ok(""), str::from_utf8);
        let node = columns.node.map_or(Ok(""), field);
        match (field(columns.sku), field(columns.quantity), node) {
            (Ok(sku), Ok(quantity), Ok(node)) => {
                sink.take(
                    &Found {
                        line,
                        sku,
                        quantity,
                        node,
                    },
                    text,
                );
            }
            _ => sink.reject(line, "the row is not UTF-8".to_owned(), text()),
        }
    }
    Ok(())
}
