//! Segments: files named after their first sequence, each with a header page.
//!
//! ```text
//! offset size
//!  0     8   magic "HOLDFSEG"
//!  8     4   format version
//! 12     4   epoch in which the segment was begun
//! 16     8   segment id; ids of neighbours differ by one
//! 24     8   sequence of the first record
//! 32    16   ledger id, random, the same in all segments
//! 48    16   chain before the first frame
//! 64     4   CRC32C of bytes 0..64
//! 68  4028   zero
//! ```

use std::collections::VecDeque;
use std::sync::Arc;

use super::error::JournalError;
use super::frame::{Chain, le_u32, le_u64};
use crate::ledger::embedded::storage::{Storage, StorageFile, to_len, to_offset};

/// Bytes of the header page; the first frame follows.
pub(super) const PAGE_BYTES: usize = 4_096;

/// Offset of the first frame.
pub(super) const FRAMES_START: u64 = 4_096;

/// File that becomes the next segment.
pub(super) const SPARE_NAME: &str = "spare";

const MAGIC: [u8; 8] = *b"HOLDFSEG";
const VERSION: u32 = 4;
const HEADER_BYTES: usize = 68;

/// Names the ledger, so that segments of two ledgers are never mixed.
pub(super) type LedgerId = [u8; 16];

/// The name of the segment that begins with a sequence.
pub(super) fn name_of(first_sequence: u64) -> String {
    format!("{first_sequence:020}.seg")
}

/// The first sequence in a segment's name; `None`: not the name of a segment.
pub(super) fn parse_name(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(".seg")?;
    if digits.len() != 20 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    digits.parse().ok()
}

/// The header of a segment; see the module text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct SegmentHeader {
    pub(super) epoch: u32,
    pub(super) id: u64,
    pub(super) first_sequence: u64,
    pub(super) ledger: LedgerId,
    pub(super) chain: Chain,
}

impl SegmentHeader {
    /// The header page.
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut page = Vec::with_capacity(PAGE_BYTES);
        page.extend_from_slice(&MAGIC);
        page.extend_from_slice(&VERSION.to_le_bytes());
        page.extend_from_slice(&self.epoch.to_le_bytes());
        page.extend_from_slice(&self.id.to_le_bytes());
        page.extend_from_slice(&self.first_sequence.to_le_bytes());
        page.extend_from_slice(&self.ledger);
        page.extend_from_slice(&self.chain);
        page.extend_from_slice(&crc32c::crc32c(&page).to_le_bytes());
        page.resize(PAGE_BYTES, 0);
        page
    }

    /// Reads and checks the header of a segment.
    pub(super) fn read(file: &dyn StorageFile, name: &str) -> Result<Self, JournalError> {
        let mut bytes = [0; HEADER_BYTES];
        let got = file
            .read_at(&mut bytes, 0)
            .map_err(JournalError::io("read", name))?;
        let damaged = |what| JournalError::damaged(name, 0, what);
        if got < HEADER_BYTES || bytes[..8] != MAGIC {
            return Err(damaged("no segment header"));
        }
        if crc32c::crc32c(&bytes[..64]) != le_u32(&bytes[64..]) {
            return Err(damaged("the checksum of the segment header does not fit"));
        }
        let version = le_u32(&bytes[8..]);
        if version != VERSION {
            return Err(JournalError::Version {
                file: name.to_owned(),
                found: version,
                known: VERSION,
            });
        }
        let mut header = Self {
            epoch: le_u32(&bytes[12..]),
            id: le_u64(&bytes[16..]),
            first_sequence: le_u64(&bytes[24..]),
            ledger: LedgerId::default(),
            chain: Chain::default(),
        };
        header.ledger.copy_from_slice(&bytes[32..48]);
        header.chain.copy_from_slice(&bytes[48..64]);
        if header.first_sequence == 0 || parse_name(name) != Some(header.first_sequence) {
            return Err(damaged(
                "the name and the header disagree on the first record",
            ));
        }
        Ok(header)
    }
}

/// Seed of the frame checksums. The ledger id is secret enough that no caller can write a record
/// that looks like a frame.
pub(super) fn seed_of(ledger: &LedgerId) -> u32 {
    crc32c::crc32c(ledger)
}

/// A random ledger id.
pub(super) fn new_ledger_id() -> LedgerId {
    use std::hash::{BuildHasher as _, RandomState};
    let mut id = LedgerId::default();
    for half in id.chunks_exact_mut(8) {
        half.copy_from_slice(&RandomState::new().hash_one(0_u8).to_le_bytes());
    }
    id
}

/// Distance between two entries of a segment's index.
const INDEX_STEP: u64 = 64 * 1024;

/// A segment that holds records.
#[derive(Debug, Clone)]
pub(super) struct Segment {
    pub(super) name: String,
    pub(super) id: u64,
    pub(super) first_sequence: u64,
    pub(super) bytes: u64,
    /// First sequence and offset of some frames, in order.
    index: Arc<Vec<(u64, u64)>>,
}

impl Segment {
    pub(super) fn new(header: &SegmentHeader, bytes: u64) -> Self {
        Self {
            name: name_of(header.first_sequence),
            id: header.id,
            first_sequence: header.first_sequence,
            bytes,
            index: Arc::default(),
        }
    }

    /// Remembers where a frame is, when it is far enough from the last one remembered.
    pub(super) fn index(&mut self, first_sequence: u64, offset: u64) {
        let last = self.index.last().map_or(FRAMES_START, |entry| entry.1);
        if offset >= last.saturating_add(INDEX_STEP) {
            Arc::make_mut(&mut self.index).push((first_sequence, offset));
        }
    }

    /// Takes over an index that knows more.
    pub(super) fn learn(&mut self, other: Self) {
        if other.index.len() > self.index.len() {
            self.index = other.index;
        }
    }

    /// Offset of a frame at or before the one with this sequence.
    pub(super) fn seek(&self, sequence: u64) -> u64 {
        let after = self.index.partition_point(|entry| entry.0 <= sequence);
        after
            .checked_sub(1)
            .and_then(|at| self.index.get(at))
            .map_or(FRAMES_START, |entry| entry.1)
    }
}

/// The segments, oldest first, and those that wait to be used again.
#[derive(Debug, Default)]
pub(super) struct Catalog {
    pub(super) segments: VecDeque<Segment>,
    /// Name and length of a segment whose records are no longer needed.
    pub(super) recycle: Option<(String, u64)>,
}

impl Catalog {
    /// Takes out the segments whose records all have a sequence of at most `sequence`, oldest
    /// first, as long as those that stay have `retain_bytes`. Returns what is to be removed; one
    /// segment is kept aside to be used again.
    pub(super) fn release(&mut self, sequence: u64, retain_bytes: u64) -> Vec<String> {
        let mut kept: u64 = self.segments.iter().map(|segment| segment.bytes).sum();
        let mut removed = Vec::new();
        while let (Some(oldest), Some(next)) = (self.segments.front(), self.segments.get(1)) {
            let rest = kept.saturating_sub(oldest.bytes);
            if next.first_sequence > sequence.saturating_add(1) || rest < retain_bytes {
                break;
            }
            kept = rest;
            if let Some(oldest) = self.segments.pop_front() {
                if self.recycle.is_none() {
                    self.recycle = Some((oldest.name, oldest.bytes));
                } else {
                    removed.push(oldest.name);
                }
            }
        }
        removed
    }
}

/// A file that is ready to become a segment.
#[derive(Debug)]
pub(super) struct Spare {
    pub(super) file: Box<dyn StorageFile>,
    pub(super) bytes: u64,
}

/// Makes the spare file: an old segment, renamed, or a new file full of zeros. Writing zeros, not
/// only reserving blocks, is what makes later syncs cheap.
pub(super) fn prepare_spare(
    storage: &dyn Storage,
    segment_bytes: u64,
    recycle: Option<(String, u64)>,
) -> Result<Spare, JournalError> {
    if let Some((name, bytes)) = recycle {
        storage
            .rename(&name, SPARE_NAME)
            .map_err(JournalError::io("rename", &name))?;
        // Before anything is written to it: else a crash could show new bytes under the old name.
        storage
            .sync_dir()
            .map_err(JournalError::io("sync the folder of", &name))?;
        if bytes == segment_bytes {
            let file = storage
                .open(SPARE_NAME)
                .map_err(JournalError::io("open", SPARE_NAME))?;
            return Ok(Spare { file, bytes });
        }
    }
    let file = storage
        .create(SPARE_NAME)
        .map_err(JournalError::io("create", SPARE_NAME))?;
    let zeros = vec![0; to_len(segment_bytes.min(1024 * 1024))];
    let mut offset = 0;
    while offset < segment_bytes {
        let count = to_len(segment_bytes - offset).min(zeros.len());
        let chunk = zeros.get(..count).unwrap_or(&zeros);
        file.write_at(chunk, offset)
            .map_err(JournalError::io("fill", SPARE_NAME))?;
        offset += to_offset(count);
    }
    file.sync_all()
        .map_err(JournalError::io("sync", SPARE_NAME))?;
    Ok(Spare {
        file,
        bytes: segment_bytes,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::embedded::storage::sim::SimStorage;

    #[test]
    fn names_sort_like_sequences() {
        assert_eq!(name_of(42), "00000000000000000042.seg");
        assert_eq!(parse_name(&name_of(u64::MAX)), Some(u64::MAX));
        assert_eq!(parse_name("42.seg"), None);
        assert_eq!(parse_name("99999999999999999999.seg"), None);
        assert_eq!(parse_name("00000000000000000042.tmp"), None);
        assert_eq!(parse_name(SPARE_NAME), None);
    }

    fn segment(id: u64, first_sequence: u64) -> Segment {
        let (ledger, chain) = (LedgerId::default(), Chain::default());
        Segment::new(
            &SegmentHeader {
                epoch: 1,
                id,
                first_sequence,
                ledger,
                chain,
            },
            100,
        )
    }

    #[test]
    fn release_keeps_what_readers_and_the_next_start_need() {
        let mut catalog = Catalog::default();
        catalog.segments.extend([segment(1, 1), segment(2, 11)]);
        assert!(catalog.release(9, 0).is_empty());
        assert!(
            catalog.release(10, 0).is_empty(),
            "it waits to be used again"
        );
        assert_eq!(catalog.segments.len(), 1, "nobody needs record 10");
        let mut catalog = Catalog::default();
        catalog.segments.extend([
            segment(1, 1),
            segment(2, 11),
            segment(3, 21),
            segment(4, 31),
        ]);
        assert!(catalog.release(9, 0).is_empty());
        assert_eq!(catalog.segments.len(), 4, "record 10 is still needed");
        assert!(catalog.release(20, 300).is_empty());
        assert_eq!(catalog.segments.len(), 3, "the feed keeps 300 bytes");
        assert_eq!(
            catalog.recycle.as_ref().map(|old| old.0.as_str()),
            Some(&*name_of(1))
        );
        assert_eq!(catalog.release(u64::MAX, 0), [name_of(11), name_of(21)]);
        assert_eq!(catalog.segments.len(), 1, "the active segment stays");
    }

    #[test]
    fn the_index_finds_the_last_frame_before() {
        let mut segment = segment(1, 1);
        segment.index(1, FRAMES_START);
        segment.index(50, 60_000);
        segment.index(90, 80_000);
        segment.index(300, 200_000);
        assert_eq!(segment.seek(1), FRAMES_START);
        assert_eq!(segment.seek(89), FRAMES_START);
        assert_eq!(segment.seek(90), 80_000);
        assert_eq!(segment.seek(1_000), 200_000);
    }

    #[test]
    fn what_another_read_learned_is_kept_unless_more_is_known() {
        let (mut known, mut read) = (segment(1, 1), segment(1, 1));
        read.index(90, 80_000);
        read.index(300, 200_000);
        known.learn(read.clone());
        assert_eq!(known.seek(300), 200_000);
        known.learn(segment(1, 1));
        assert_eq!(known.seek(300), 200_000);
    }

    #[test]
    fn ledgers_seal_their_frames_differently() {
        assert_ne!(seed_of(&[1; 16]), seed_of(&[2; 16]));
    }

    #[test]
    fn a_spare_is_as_long_as_a_segment() {
        let sim = SimStorage::new();
        let spare = prepare_spare(&sim, 1_500_000, None).unwrap();
        assert_eq!(spare.bytes, 1_500_000);
        assert_eq!(sim.files()[SPARE_NAME].len(), 1_500_000);
    }
}
