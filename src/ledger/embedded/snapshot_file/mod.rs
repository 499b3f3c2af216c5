//! The container of a snapshot: sections of opaque bytes, each with its checksum, and a footer
//! that says that all of them are there. `docs/JOURNAL.md` has the bytes.
//!
//! A snapshot is written under a temporary name, synced, renamed and the folder synced, so that a
//! file with the right name is whole. The two newest are kept: should the newest be damaged all
//! the same, the one before and a longer replay give the same state.

use std::sync::Arc;

use super::storage::{Storage, StorageFile, to_len, to_offset};

const MAGIC: [u8; 8] = *b"HOLDSNAP";
const VERSION: u32 = 5;
const HEADER_BYTES: usize = 32;
const SECTION_BYTES: usize = 24;
const TEMPORARY_NAME: &str = "snapshot.tmp";
const BUFFER_BYTES: usize = 1024 * 1024;

/// Kind of the footer; sections have smaller ones.
pub const FOOTER_KIND: u8 = u8::MAX;

/// Generations kept.
const GENERATIONS: usize = 2;

/// Why a snapshot could not be written or read.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// The system refused a file operation.
    #[error("cannot {action} {file}: {source}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// The file.
        file: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// The bytes are not what was written.
    #[error("the snapshot {file} is damaged at offset {offset}: {what}")]
    Damaged {
        /// The file.
        file: String,
        /// Offset of the part that is not valid.
        offset: u64,
        /// What is wrong with it.
        what: &'static str,
    },
    /// Written by another version of this program.
    #[error("{file} has format version {found}; this program reads version {known}")]
    Version {
        /// The file.
        file: String,
        /// Its version.
        found: u32,
        /// Our version.
        known: u32,
    },
}

impl SnapshotError {
    fn io(action: &'static str, file: &str) -> impl FnOnce(std::io::Error) -> Self {
        let file = file.to_owned();
        move |source| Self::Io {
            action,
            file,
            source,
        }
    }
}

fn name_of(sequence: u64) -> String {
    format!("{sequence:020}.snapshot")
}

fn parse_name(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(".snapshot")?;
    if digits.len() != 20 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    digits.parse().ok()
}

/// The generations in a folder, newest first.
fn generations(storage: &dyn Storage) -> Result<Vec<u64>, SnapshotError> {
    let names = storage
        .list()
        .map_err(SnapshotError::io("list", "the data folder"))?;
    let mut found: Vec<u64> = names.iter().filter_map(|name| parse_name(name)).collect();
    found.sort_unstable_by(|a, b| b.cmp(a));
    Ok(found)
}

fn le_u32(bytes: &[u8]) -> u32 {
    bytes
        .first_chunk()
        .map_or(0, |chunk| u32::from_le_bytes(*chunk))
}

fn le_u64(bytes: &[u8]) -> u64 {
    bytes
        .first_chunk()
        .map_or(0, |chunk| u64::from_le_bytes(*chunk))
}

/// What is known of a snapshot after it was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SnapshotInfo {
    /// Sequence of the last record in it.
    pub sequence: u64,
    /// Length of the file.
    pub bytes: u64,
    /// Sequence of the oldest snapshot kept: the journal up to here may be released.
    pub oldest_kept: u64,
}

/// Writes one snapshot.
#[derive(Debug)]
pub struct SnapshotWriter {
    storage: Arc<dyn Storage>,
    file: Box<dyn StorageFile>,
    sequence: u64,
    buffer: Vec<u8>,
    written: u64,
    sections: u32,
    payload_bytes: u64,
    /// Checksum over all section headers: notices sections that are missing or in another order.
    headers_crc: u32,
    /// It has its name: the temporary one is no longer its own.
    named: bool,
}

impl Drop for SnapshotWriter {
    fn drop(&mut self) {
        if !self.named {
            // A failed snapshot must not keep a full disk full.
            drop(self.storage.remove(TEMPORARY_NAME));
        }
    }
}

/// Removes what an earlier process left of a snapshot that it did not finish.
pub(super) fn remove_unfinished(storage: &dyn Storage) -> std::io::Result<()> {
    if storage.list()?.iter().any(|name| name == TEMPORARY_NAME) {
        storage.remove(TEMPORARY_NAME)?;
    }
    Ok(())
}

impl SnapshotWriter {
    /// Begins a snapshot of the state after a record. Unfinished ones of earlier runs are
    /// overwritten.
    pub fn create(storage: &Arc<dyn Storage>, sequence: u64) -> Result<Self, SnapshotError> {
        let created = storage.create(TEMPORARY_NAME);
        let file = created.map_err(SnapshotError::io("create", TEMPORARY_NAME))?;
        let mut buffer = Vec::with_capacity(BUFFER_BYTES);
        buffer.extend_from_slice(&MAGIC);
        buffer.extend_from_slice(&VERSION.to_le_bytes());
        buffer.extend_from_slice(&[0; 4]);
        buffer.extend_from_slice(&sequence.to_le_bytes());
        buffer.extend_from_slice(&[0; 4]);
        buffer.extend_from_slice(&crc32c::crc32c(&buffer).to_le_bytes());
        Ok(Self {
            storage: Arc::clone(storage),
            file,
            sequence,
            buffer,
            written: 0,
            sections: 0,
            payload_bytes: 0,
            headers_crc: 0,
            named: false,
        })
    }

    /// Adds a section. `kind` is at most 254.
    pub fn section(&mut self, kind: u8, index: u32, bytes: &[u8]) -> Result<(), SnapshotError> {
        debug_assert!(kind != FOOTER_KIND, "255 is the footer");
        let len = to_offset(bytes.len());
        let header = section_header(kind, index, len, crc32c::crc32c(bytes));
        self.headers_crc = crc32c::crc32c_append(self.headers_crc, &header);
        self.sections += 1;
        self.payload_bytes += len;
        self.put(&header)?;
        self.put(bytes)
    }

    fn put(&mut self, bytes: &[u8]) -> Result<(), SnapshotError> {
        if self.buffer.len() + bytes.len() > BUFFER_BYTES {
            self.flush()?;
        }
        if bytes.len() >= BUFFER_BYTES {
            return self.write(bytes);
        }
        self.buffer.extend_from_slice(bytes);
        Ok(())
    }

    fn flush(&mut self) -> Result<(), SnapshotError> {
        let buffer = std::mem::take(&mut self.buffer);
        self.write(&buffer)?;
        self.buffer = buffer;
        self.buffer.clear();
        Ok(())
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), SnapshotError> {
        let written = self.file.write_at(bytes, self.written);
        written.map_err(SnapshotError::io("write", TEMPORARY_NAME))?;
        self.written += to_offset(bytes.len());
        Ok(())
    }

    /// Makes the snapshot durable under its name and removes generations that are too old.
    pub fn finish(mut self) -> Result<SnapshotInfo, SnapshotError> {
        let (sections, crc) = (self.sections, self.headers_crc);
        let footer = section_header(FOOTER_KIND, sections, self.payload_bytes, crc);
        self.put(&footer)?;
        self.flush()?;
        let name = name_of(self.sequence);
        self.file
            .sync_all()
            .map_err(SnapshotError::io("sync", TEMPORARY_NAME))?;
        let renamed = self.storage.rename(TEMPORARY_NAME, &name);
        renamed.map_err(SnapshotError::io("rename to", &name))?;
        self.named = true;
        self.storage
            .sync_dir()
            .map_err(SnapshotError::io("sync the folder of", &name))?;
        let found = generations(&*self.storage)?;
        for old in found.iter().skip(GENERATIONS) {
            let old = name_of(*old);
            self.storage
                .remove(&old)
                .map_err(SnapshotError::io("remove", &old))?;
        }
        Ok(SnapshotInfo {
            sequence: self.sequence,
            bytes: self.written,
            // With a single generation nothing before it may go: it could be damaged.
            oldest_kept: found.get(GENERATIONS - 1).copied().unwrap_or(0),
        })
    }
}

fn section_header(kind: u8, index: u32, len: u64, crc: u32) -> [u8; SECTION_BYTES] {
    let mut header = [0; SECTION_BYTES];
    header[0] = kind;
    header[4..8].copy_from_slice(&index.to_le_bytes());
    header[8..16].copy_from_slice(&len.to_le_bytes());
    header[16..20].copy_from_slice(&crc.to_le_bytes());
    let own = crc32c::crc32c(&header[..20]);
    header[20..24].copy_from_slice(&own.to_le_bytes());
    header
}

/// A section.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Section<'a> {
    /// What it holds.
    pub kind: u8,
    /// Which one of its kind.
    pub index: u32,
    /// Its bytes.
    pub bytes: &'a [u8],
}

/// Reads one snapshot, section by section.
#[derive(Debug)]
pub struct SnapshotReader {
    file: Box<dyn StorageFile>,
    name: String,
    len: u64,
    sequence: u64,
    offset: u64,
    sections: u32,
    payload_bytes: u64,
    headers_crc: u32,
    buffer: Vec<u8>,
    ended: bool,
}

impl SnapshotReader {
    /// The newest snapshot that is whole; `None` when there is none at all. Every byte has been
    /// checked when it is returned. One that is damaged is left out and logged.
    ///
    /// # Errors
    /// When there are snapshots and none is whole: what the newest says.
    pub fn newest(storage: &dyn Storage) -> Result<Option<Self>, SnapshotError> {
        let mut first = None;
        for sequence in generations(storage)? {
            match Self::checked(storage, sequence) {
                Ok(reader) => return Ok(Some(reader)),
                Err(error @ SnapshotError::Version { .. }) => return Err(error),
                Err(error @ (SnapshotError::Io { .. } | SnapshotError::Damaged { .. })) => {
                    tracing::warn!(%error, "snapshot left out");
                    first.get_or_insert(error);
                }
            }
        }
        first.map_or(Ok(None), Err)
    }

    fn checked(storage: &dyn Storage, sequence: u64) -> Result<Self, SnapshotError> {
        let mut reader = Self::open(storage, sequence)?;
        while reader.next_section()?.is_some() {}
        reader.rewind();
        Ok(reader)
    }

    fn open(storage: &dyn Storage, sequence: u64) -> Result<Self, SnapshotError> {
        let name = name_of(sequence);
        let file = storage
            .open(&name)
            .map_err(SnapshotError::io("open", &name))?;
        let len = file.len().map_err(SnapshotError::io("measure", &name))?;
        let mut header = [0; HEADER_BYTES];
        let got = file
            .read_at(&mut header, 0)
            .map_err(SnapshotError::io("read", &name))?;
        let mut reader = Self {
            file,
            name,
            len,
            sequence,
            offset: 0,
            sections: 0,
            payload_bytes: 0,
            headers_crc: 0,
            buffer: Vec::new(),
            ended: false,
        };
        if got < HEADER_BYTES || header[..8] != MAGIC {
            return Err(reader.damaged("no snapshot header"));
        }
        if crc32c::crc32c(&header[..28]) != le_u32(&header[28..]) {
            return Err(reader.damaged("the checksum of the header does not fit"));
        }
        let found = le_u32(&header[8..]);
        if found != VERSION {
            return Err(SnapshotError::Version {
                file: reader.name,
                found,
                known: VERSION,
            });
        }
        if le_u64(&header[16..]) != sequence {
            return Err(reader.damaged("the name and the header disagree"));
        }
        reader.rewind();
        Ok(reader)
    }

    fn rewind(&mut self) {
        self.offset = to_offset(HEADER_BYTES);
        self.sections = 0;
        self.payload_bytes = 0;
        self.headers_crc = 0;
        self.ended = false;
    }

    fn damaged(&self, what: &'static str) -> SnapshotError {
        SnapshotError::Damaged {
            file: self.name.clone(),
            offset: self.offset,
            what,
        }
    }

    /// Sequence of the last record in the snapshot.
    pub fn sequence(&self) -> u64 {
        self.sequence
    }

    /// The next section; `None` after the last.
    pub fn next_section(&mut self) -> Result<Option<Section<'_>>, SnapshotError> {
        if self.ended {
            return Ok(None);
        }
        let mut header = [0; SECTION_BYTES];
        let got = self.read_into(&mut header)?;
        if got < SECTION_BYTES || crc32c::crc32c(&header[..20]) != le_u32(&header[20..]) {
            return Err(self.damaged("no section header"));
        }
        let (index, len) = (le_u32(&header[4..]), le_u64(&header[8..]));
        let crc = le_u32(&header[16..]);
        if header[0] == FOOTER_KIND {
            let complete = (index, len, crc)
                == (self.sections, self.payload_bytes, self.headers_crc)
                && self.offset + to_offset(SECTION_BYTES) == self.len;
            self.ended = true;
            return if complete {
                Ok(None)
            } else {
                Err(self.damaged("sections are missing"))
            };
        }
        let start = self.offset + to_offset(SECTION_BYTES);
        if start.checked_add(len).is_none_or(|end| end > self.len) {
            return Err(self.damaged("a section ends after the file"));
        }
        self.buffer.resize(to_len(len), 0);
        let read = self.file.read_at(&mut self.buffer, start);
        let got = read.map_err(SnapshotError::io("read", &self.name))?;
        if got < self.buffer.len() || crc32c::crc32c(&self.buffer) != crc {
            return Err(self.damaged("the checksum of a section does not fit"));
        }
        self.headers_crc = crc32c::crc32c_append(self.headers_crc, &header);
        self.sections += 1;
        self.payload_bytes += len;
        self.offset = start + len;
        Ok(Some(Section {
            kind: header[0],
            index,
            bytes: &self.buffer,
        }))
    }

    fn read_into(&self, bytes: &mut [u8]) -> Result<usize, SnapshotError> {
        self.file
            .read_at(bytes, self.offset)
            .map_err(SnapshotError::io("read", &self.name))
    }
}

#[cfg(test)]
mod tests;
