//! Reads stock from CSV or NDJSON bytes. Pure: bytes in, rows and rejects out.
//!
//! What spreadsheets do to such files is expected: a byte order mark, semicolons or tabs, headers
//! in other words, and long numbers turned into `6.90E+12`. The last one lost digits, so that row
//! is rejected, never guessed.

use std::collections::HashMap;

use super::separated;
use crate::cli::args::Mode;
use crate::domain::Sku;
use crate::domain::ids::check_name;
use crate::limits::UNITS_MAX;

/// Shape of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Separated values with a header line; the separator is found.
    Csv,
    /// One JSON object a line.
    Ndjson,
}

/// One row that can be imported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// Line of the file, from 1.
    pub line: u64,
    /// What; a valid SKU.
    pub sku: String,
    /// Where; a valid name.
    pub node: String,
    /// On hand (never negative), or the difference.
    pub quantity: i64,
}

/// One row that cannot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reject {
    /// Line of the file, from 1.
    pub line: u64,
    /// Why.
    pub reason: String,
    /// The row as it stands in the file.
    pub text: String,
}

/// A whole file.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Parsed {
    /// What can be imported, in file order.
    pub rows: Vec<Row>,
    /// What cannot, in file order.
    pub rejects: Vec<Reject>,
    /// Columns that mean nothing here.
    pub ignored: Vec<String>,
}

pub(super) const SKU_WORDS: [&str; 8] = [
    "sku",
    "sku_id",
    "sku_code",
    "item",
    "货号",
    "商家编码",
    "商品编码",
    "规格编码",
];
pub(super) const QUANTITY_WORDS: [&str; 9] = [
    "on_hand",
    "onhand",
    "qty",
    "quantity",
    "stock",
    "delta",
    "库存",
    "数量",
    "库存数量",
];
const NODE_WORDS: [&str; 6] = ["node", "warehouse", "location", "仓库", "仓库编码", "仓"];

/// What a column or a member means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    Sku,
    Quantity,
    Node,
}

/// What a header means, if anything here.
pub(super) fn role(header: &str) -> Option<Role> {
    let word = header.trim().to_lowercase().replace([' ', '-'], "_");
    let is = |words: &[&str]| words.contains(&word.as_str());
    if is(&SKU_WORDS) {
        Some(Role::Sku)
    } else if is(&QUANTITY_WORDS) {
        Some(Role::Quantity)
    } else if is(&NODE_WORDS) {
        Some(Role::Node)
    } else {
        None
    }
}

/// Reads a file; `node` is that of rows that name none. `Err` is a reason to import nothing.
pub fn stock(bytes: &[u8], format: Format, node: &str, mode: Mode) -> Result<Parsed, String> {
    check_name(node).map_err(|e| format!("--node: a node's name {e}"))?;
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let mut sink = Sink {
        parsed: Parsed::default(),
        node,
        mode,
        seen: HashMap::new(),
    };
    match format {
        Format::Csv => separated::rows(bytes, &mut sink)?,
        Format::Ndjson => ndjson_rows(bytes, &mut sink),
    }
    Ok(sink.parsed)
}

/// A row as it was found, not yet checked.
pub(super) struct Found<'a> {
    pub(super) line: u64,
    pub(super) sku: &'a str,
    pub(super) quantity: &'a str,
    pub(super) node: &'a str,
}

/// Checks rows and sorts them into good and bad.
pub(super) struct Sink<'a> {
    pub(super) parsed: Parsed,
    node: &'a str,
    mode: Mode,
    /// Line on which a SKU and node were set first.
    seen: HashMap<(String, String), u64>,
}

impl Sink<'_> {
    /// Takes a row; `text` is what stands in the file.
    pub(super) fn take(&mut self, found: &Found<'_>, text: impl FnOnce() -> String) {
        match self.check(found) {
            Ok(row) => self.parsed.rows.push(row),
            Err(reason) => self.reject(found.line, reason, text()),
        }
    }

    /// Notes a row that cannot be read.
    pub(super) fn reject(&mut self, line: u64, reason: String, text: String) {
        self.parsed.rejects.push(Reject { line, reason, text });
    }

    fn check(&mut self, found: &Found<'_>) -> Result<Row, String> {
        let sku = found.sku.trim();
        if is_exponent(sku) {
            return Err(format!(
                "SKU {sku} was shortened by a spreadsheet and has lost digits; \
                 format the column as text and export again"
            ));
        }
        Sku::new(sku).map_err(|e| format!("SKU {e}"))?;
        let node = match found.node.trim() {
            "" => self.node,
            node => node,
        };
        check_name(node).map_err(|e| format!("node {e}"))?;
        let quantity = quantity(found.quantity.trim(), self.mode)?;
        if self.mode == Mode::Set {
            let key = (sku.to_owned(), node.to_owned());
            if let Some(first) = self.seen.get(&key) {
                return Err(format!("SKU and node were set on line {first} already"));
            }
            self.seen.insert(key, found.line);
        }
        Ok(Row {
            line: found.line,
            sku: sku.to_owned(),
            node: node.to_owned(),
            quantity,
        })
    }
}

fn quantity(text: &str, mode: Mode) -> Result<i64, String> {
    if text.is_empty() {
        return Err("quantity is missing".to_owned());
    }
    if is_exponent(text) {
        return Err(format!(
            "quantity {text} was shortened by a spreadsheet and has lost digits"
        ));
    }
    let whole = match text.split_once('.') {
        Some((whole, zeros)) if !whole.is_empty() && zeros.bytes().all(|b| b == b'0') => whole,
        Some(_) => return Err(format!("quantity {text} is not a whole number")),
        None => text,
    };
    let number: i64 = whole
        .parse()
        .map_err(|_error| format!("quantity {text} is not a whole number"))?;
    if number < 0 && mode == Mode::Set {
        return Err(format!(
            "quantity {text} is negative; differences need --mode adjust"
        ));
    }
    if number.unsigned_abs() > UNITS_MAX {
        return Err(format!("quantity {text} is above {UNITS_MAX}"));
    }
    Ok(number)
}

/// `6.90E+12` and its like: what is left of a long number.
fn is_exponent(text: &str) -> bool {
    let Some((mantissa, exponent)) = text.split_once(['e', 'E']) else {
        return false;
    };
    let digits = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
    let is_number = |t: &str| !t.is_empty() && t.bytes().all(|b| b.is_ascii_digit());
    let mantissa = mantissa.strip_prefix('-').unwrap_or(mantissa);
    let is_signed = exponent.len() > digits.len();
    let has_point = mantissa.contains('.');
    // "12E4" alone may be a real SKU; a point or a sign is only written by a spreadsheet.
    is_number(digits) && is_number(&mantissa.replacen('.', "", 1)) && (is_signed || has_point)
}

fn ndjson_rows(bytes: &[u8], sink: &mut Sink<'_>) {
    for (line, raw) in (1_u64..).zip(bytes.split(|b| *b == b'\n')) {
        if raw.trim_ascii().is_empty() {
            continue;
        }
        let text = || String::from_utf8_lossy(raw.trim_ascii()).into_owned();
        match object(raw) {
            Ok((sku, quantity, node)) => {
                let found = Found {
                    line,
                    sku: &sku,
                    quantity: &quantity,
                    node: &node,
                };
                sink.take(&found, text);
            }
            Err(reason) => sink.reject(line, reason, text()),
        }
    }
}

fn object(raw: &[u8]) -> Result<(String, String, String), String> {
    use serde_json::Value;
    let object: serde_json::Map<String, Value> =
        serde_json::from_slice(raw).map_err(|e| format!("not a JSON object: {e}"))?;
    let mut parts: [Option<String>; 3] = [None, None, None];
    for (name, value) in object {
        let Some(role) = role(&name) else { continue };
        let [sku, quantity, node] = &mut parts;
        let (place, text) = match (role, value) {
            (Role::Sku, Value::String(text)) => (sku, text),
            (Role::Sku, _) => return Err("the SKU must be a JSON string".to_owned()),
            (Role::Node, Value::String(text)) => (node, text),
            (Role::Node, _) => return Err("the node must be a JSON string".to_owned()),
            (Role::Quantity, Value::String(text)) => (quantity, text),
            (Role::Quantity, value) => (quantity, value.to_string()),
        };
        if place.replace(text).is_some() {
            return Err(format!("two members mean the same; one is \"{name}\""));
        }
    }
    let [sku, quantity, node] = parts;
    let sku = sku.ok_or("the SKU is missing")?;
    let quantity = quantity.ok_or("the quantity is missing")?;
    Ok((sku, quantity, node.unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Parsed {
        stock(text.as_bytes(), Format::Csv, "main", Mode::Set).unwrap()
    }

    fn row(line: u64, sku: &str, node: &str, quantity: i64) -> Row {
        Row {
            line,
            sku: sku.to_owned(),
            node: node.to_owned(),
            quantity,
        }
    }

    #[test]
    fn headers_have_synonyms_and_separators_are_found() {
        for text in [
            "sku,qty\n007,3\n",
            "\u{feff}SKU;On Hand\r\n007;3\r\n",
            "name\t货号\t库存\nlamp\t007\t3",
            "商家编码,数量\n\"007\",\" 3 \"\n\n",
        ] {
            assert_eq!(parse(text).rows, [row(2, "007", "main", 3)], "{text}");
        }
    }

    #[test]
    fn bad_rows_are_rejected_with_line_and_reason() {
        let parsed = parse(
            "sku,node,qty\nA,n1,1\n6.90E+12,,5\nB,,-1\nC,,1.5\nD,,2.00\n,,4\nA,n1,2\nE F,,1\nG,,\nH,,1e+3\n",
        );
        assert_eq!(parsed.rows, [row(2, "A", "n1", 1), row(6, "D", "main", 2)]);
        let lines: Vec<u64> = parsed.rejects.iter().map(|r| r.line).collect();
        assert_eq!(lines, [3, 4, 5, 7, 8, 9, 10, 11]);
        for (reject, part) in parsed.rejects.iter().zip([
            "lost digits",
            "negative",
            "not a whole number",
            "must not be empty",
            "set on line 2",
            "ASCII letters",
            "missing",
            "lost digits",
        ]) {
            assert!(reject.reason.contains(part), "{reject:?}");
        }
        assert_eq!(parsed.rejects[0].text, "6.90E+12,,5");
    }

    #[test]
    fn only_what_a_spreadsheet_wrote_is_taken_for_a_shortened_number() {
        for (text, expected) in [
            ("6.90E+12", true),
            ("6E+12", true),
            ("-6.9e12", true),
            ("12E4", false),
            ("E12", false),
            ("1.2", false),
            ("A1.E+2", false),
        ] {
            assert_eq!(is_exponent(text), expected, "{text}");
        }
    }

    #[test]
    fn adjust_takes_signs_and_repeated_rows() {
        let parsed = stock(
            b"sku,delta\nA,-2\nA,+3\n",
            Format::Csv,
            "main",
            Mode::Adjust,
        )
        .unwrap();
        assert_eq!(
            parsed.rows,
            [row(2, "A", "main", -2), row(3, "A", "main", 3)]
        );
    }

    #[test]
    fn ndjson_rows() {
        let text = "{\"sku\":\"007\",\"on_hand\":3,\"note\":1}\n\n{\"sku\":7,\"qty\":1}\nnonsense\n\
                    {\"sku\":\"B\",\"qty\":\"4\",\"warehouse\":\"w\"}\n{\"sku\":\"C\",\"qty\":1.5}";
        let parsed = stock(text.as_bytes(), Format::Ndjson, "main", Mode::Set).unwrap();
        assert_eq!(parsed.rows, [row(1, "007", "main", 3), row(5, "B", "w", 4)]);
        assert_eq!(
            parsed.rejects.iter().map(|r| r.line).collect::<Vec<_>>(),
            [3, 4, 6]
        );
    }

    #[test]
    fn a_file_without_the_needed_columns_imports_nothing() {
        for (bytes, part) in [
            (&b""[..], "empty"),
            (b"name,qty\n", "no column for the SKU"),
            (b"sku,price\n", "no column for the quantity"),
            (b"sku,qty,stock\n", "mean the same"),
            (b"\xff\xfe,qty\n", "not UTF-8"),
        ] {
            let error = stock(bytes, Format::Csv, "main", Mode::Set).unwrap_err();
            assert!(error.contains(part), "{error}");
        }
    }
}
