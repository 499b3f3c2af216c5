//! The file: one JSON value a line, first what it is, last how much came before it and its hash.

use std::io::{self, BufRead, Read, Write};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{Head, Item, Tally, hex};
use crate::limits::POLICY_BYTES_MAX;

const FORMAT: &str = "holdfast ledger";
const VERSION: u32 = 5;

/// Longest line: a reservation has bounds, and so have the nodes of a SKU. The longest is a policy,
/// each character of whose text may have to be escaped.
const LINE_BYTES_MAX: u64 = 3 * 1024 * 1024;
const _: () = assert!(POLICY_BYTES_MAX < 1_200_000, "twice that fits a line");

/// Why an export cannot be written or read.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// The system refused.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// It is not an export at all.
    #[error("this is not the export of a ledger")]
    Other,
    /// It was written by another version of this program.
    #[error("the export has format version {0}, this program knows {VERSION}")]
    Version(u32),
    /// A line is not what an export has there.
    #[error("line {line} of the export is damaged: {what}")]
    Damaged {
        /// Which, from 1.
        line: u64,
        /// What is wrong with it.
        what: String,
    },
    /// The last line is missing.
    #[error("the export ends too early, after line {0}")]
    Short(u64),
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct First {
    format: String,
    version: u32,
    ledger: Head,
}

/// Enough of any version's first line to say which it is.
#[derive(Deserialize)]
struct AnyFirst {
    format: String,
    version: u32,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Last {
    end: End,
}

/// How the last line begins, and no other.
const LAST: &[u8] = b"{\"end\":";

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct End {
    tally: Tally,
    /// Of all lines before this one.
    sha256: String,
}

fn line_of(value: &impl Serialize) -> io::Result<Vec<u8>> {
    serde_json::to_vec(value).map_err(io::Error::from)
}

/// How an item stands in a file, for its hash.
pub(super) fn line(item: &Item) -> io::Result<Vec<u8>> {
    line_of(item)
}

/// Writes an export.
pub struct Writer<W> {
    to: W,
    tally: Tally,
    hash: Sha256,
}

impl<W: Write> Writer<W> {
    /// Begins with what it is of.
    pub fn new(to: W, head: &Head) -> Result<Self, FileError> {
        let mut writer = Self {
            to,
            tally: Tally::new(head),
            hash: Sha256::new(),
        };
        let first = First {
            format: FORMAT.to_owned(),
            version: VERSION,
            ledger: head.clone(),
        };
        writer.put(line_of(&first)?)?;
        Ok(writer)
    }

    fn put(&mut self, mut line: Vec<u8>) -> io::Result<()> {
        line.push(b'\n');
        self.hash.update(&line);
        self.to.write_all(&line)
    }

    /// Adds an item.
    pub fn add(&mut self, item: &Item) -> Result<(), FileError> {
        let line = line(item)?;
        self.tally.add(item, &line);
        Ok(self.put(line)?)
    }

    /// Ends it; what was written to, and what was counted.
    pub fn finish(mut self) -> Result<(W, Tally), FileError> {
        let end = End {
            tally: self.tally,
            sha256: hex::text(&self.hash.clone().finalize()),
        };
        self.put(line_of(&Last { end })?)?;
        self.to.flush()?;
        Ok((self.to, self.tally))
    }
}

/// Reads an export, item by item.
pub struct Reader<R> {
    from: R,
    head: Head,
    tally: Tally,
    hash: Sha256,
    lines: u64,
    is_over: bool,
}

impl<R: BufRead> Reader<R> {
    /// Reads what it is of.
    pub fn new(mut from: R) -> Result<Self, FileError> {
        let mut hash = Sha256::new();
        let first = next_line(&mut from)?;
        let known: AnyFirst = serde_json::from_slice(&first).or(Err(FileError::Other))?;
        if known.format != FORMAT {
            return Err(FileError::Other);
        }
        if known.version != VERSION {
            return Err(FileError::Version(known.version));
        }
        hash.update(&first);
        let parsed: First = serde_json::from_slice(&first).map_err(|why| damaged(1, &why))?;
        Ok(Self {
            from,
            tally: Tally::new(&parsed.ledger),
            head: parsed.ledger,
            hash,
            lines: 1,
            is_over: false,
        })
    }

    /// What it is of.
    pub const fn head(&self) -> &Head {
        &self.head
    }

    /// What was counted; all of it after the last item.
    pub const fn tally(&self) -> &Tally {
        &self.tally
    }

    fn step(&mut self) -> Result<Option<Item>, FileError> {
        let line = next_line(&mut self.from)?;
        if line.is_empty() {
            return Err(FileError::Short(self.lines));
        }
        self.lines += 1;
        let bad = |why: serde_json::Error| damaged(self.lines, &why);
        if line.starts_with(LAST) {
            let last: Last = serde_json::from_slice(&line).map_err(bad)?;
            return self.end(&last.end).map(|()| None);
        }
        let item = serde_json::from_slice(&line).map_err(bad)?;
        self.hash.update(&line);
        self.tally
            .add(&item, line.strip_suffix(b"\n").unwrap_or(&line));
        Ok(Some(item))
    }

    fn end(&mut self, end: &End) -> Result<(), FileError> {
        let whole = hex::text(&self.hash.clone().finalize()) == end.sha256;
        let nothing_follows = self.from.fill_buf()?.is_empty();
        if whole && nothing_follows && self.tally == end.tally {
            return Ok(());
        }
        Err(damaged(
            self.lines,
            &"what came before it is not what it says",
        ))
    }
}

impl<R: BufRead> Iterator for Reader<R> {
    type Item = Result<Item, FileError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.is_over {
            return None;
        }
        let step = self.step().transpose();
        self.is_over = !matches!(step, Some(Ok(_)));
        step
    }
}

/// The next line with its line feed; empty at the end, and for a line that nobody wrote so.
fn next_line(from: &mut impl BufRead) -> Result<Vec<u8>, FileError> {
    let mut line = Vec::new();
    from.by_ref()
        .take(LINE_BYTES_MAX)
        .read_until(b'\n', &mut line)?;
    if line.last() != Some(&b'\n') {
        line.clear();
    }
    Ok(line)
}

fn damaged(line: u64, what: &impl ToString) -> FileError {
    let what = what.to_string();
    FileError::Damaged { line, what }
}

#[cfg(test)]
mod tests {
    use super::super::{Name, Print};
    use super::*;

    fn written() -> Vec<u8> {
        let head = Head {
            seed: Print(u64::MAX - 1),
            epoch: 3,
            sequence: 9,
            now_ms: 1_000,
            labelled: true,
        };
        let mut writer = Writer::new(Vec::new(), &head).unwrap();
        for (index, name) in ["main", "north"].into_iter().enumerate() {
            let index = u16::try_from(index).unwrap();
            let name = name.to_owned();
            writer.add(&Item::Node(Name { index, name })).unwrap();
        }
        writer.finish().unwrap().0
    }

    fn read(bytes: &[u8]) -> Result<Tally, FileError> {
        let mut reader = Reader::new(bytes)?;
        reader.by_ref().try_for_each(|item| item.map(drop))?;
        Ok(*reader.tally())
    }

    #[test]
    fn no_byte_of_an_export_can_change_unseen() {
        let bytes = written();
        assert_eq!(read(&bytes).unwrap().names, 2);
        for at in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[at] ^= 1;
            assert!(read(&damaged).is_err(), "byte {at}");
            assert!(read(&bytes[..at]).is_err(), "cut at {at}");
        }
        let followed = [&bytes[..], b"\n"].concat();
        assert!(read(&followed).is_err());
    }

    #[test]
    fn another_version_is_named() {
        let text = String::from_utf8(written()).unwrap();
        for other in [3, 4, 6] {
            let other_text = text.replace("\"version\":5", &format!("\"version\":{other}"));
            let refused = read(other_text.as_bytes()).unwrap_err();
            assert!(matches!(refused, FileError::Version(found) if found == other));
            let said = format!("the export has format version {other}, this program knows 5");
            assert_eq!(refused.to_string(), said);
        }
    }

    #[test]
    fn the_order_of_items_does_not_count() {
        let text = String::from_utf8(written()).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        let mut tally = read(text.as_bytes()).unwrap();
        let head = Reader::new(text.as_bytes()).unwrap().head().clone();
        let mut turned = Tally::new(&head);
        for line in [lines[2], lines[1]] {
            turned.add(&serde_json::from_str(line).unwrap(), line.as_bytes());
        }
        assert_eq!(turned, tally);
        let extra = lines[1];
        tally.add(&serde_json::from_str(extra).unwrap(), extra.as_bytes());
        assert_ne!(turned.content, tally.content);
    }
}
