//! Reading frames from a segment: through a window, so that memory is bounded by the longest
//! frame and never by what damaged bytes claim.

use super::error::JournalError;
use super::frame::{FrameHeader, HEADER_BYTES, HeaderFault, Records, padded};
use super::segment::FRAMES_START;
use crate::ledger::embedded::storage::{StorageFile, to_len, to_offset};
use crate::sabotage::{self, Fault as Sabotage};

/// Bytes read at once.
const WINDOW_BYTES: usize = 1024 * 1024;

/// A frame that passed its checks.
#[derive(Debug, Clone, Copy)]
pub(super) struct Frame<'a> {
    pub(super) header: FrameHeader,
    pub(super) payload: &'a [u8],
    /// Where the next frame begins.
    pub(super) next: u64,
}

/// Why there is no valid frame at an offset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// The segment has no room for a header here.
    End,
    /// Zeros: nothing was written.
    Blank,
    /// No header that passes its checksum.
    Header,
    /// A frame that this file held before it became this segment.
    OtherSegment,
    /// The header is good, the payload is not.
    Payload,
}

impl Fault {
    pub(super) const fn what(self) -> &'static str {
        match self {
            Self::End => "the segment ends before its last record",
            Self::Blank => "zeros where a frame should be",
            Self::Header => "the checksum of a frame header does not fit",
            Self::OtherSegment => "a frame of another segment",
            Self::Payload => "the checksum of a frame does not fit",
        }
    }
}

/// Reads one segment.
pub(super) struct FrameReader<'a> {
    file: &'a dyn StorageFile,
    name: &'a str,
    len: u64,
    segment: u64,
    seed: u32,
    window: Vec<u8>,
    /// Offset of the window in the file.
    base: u64,
}

impl<'a> FrameReader<'a> {
    pub(super) fn new(
        file: &'a dyn StorageFile,
        name: &'a str,
        segment: u64,
        seed: u32,
    ) -> Result<Self, JournalError> {
        let len = file.len().map_err(JournalError::io("measure", name))?;
        Ok(Self {
            file,
            name,
            len,
            segment,
            seed,
            window: Vec::new(),
            base: 0,
        })
    }

    /// The bytes at an offset; `None` when the file ends before.
    fn fetch(&mut self, offset: u64, count: usize) -> Result<Option<&[u8]>, JournalError> {
        if offset
            .checked_add(to_offset(count))
            .is_none_or(|end| end > self.len)
        {
            return Ok(None);
        }
        let inside = offset.checked_sub(self.base).map(to_len);
        let hit = inside.is_some_and(|at| at.saturating_add(count) <= self.window.len());
        if !hit {
            let wanted = count.max(WINDOW_BYTES).min(to_len(self.len - offset));
            self.window.resize(wanted, 0);
            let got = self
                .file
                .read_at(&mut self.window, offset)
                .map_err(JournalError::io("read", self.name))?;
            self.window.truncate(got);
            self.base = offset;
        }
        let at = to_len(offset - self.base);
        Ok(self.window.get(at..at.saturating_add(count)))
    }

    /// The header at an offset, when it is a good one of this segment whose payload can fit.
    fn header(&mut self, offset: u64) -> Result<Result<FrameHeader, Fault>, JournalError> {
        let (seed, segment, len) = (self.seed, self.segment, self.len);
        let Some(bytes) = self
            .fetch(offset, HEADER_BYTES)?
            .and_then(<[u8]>::first_chunk)
        else {
            return Ok(Err(Fault::End));
        };
        Ok(match FrameHeader::decode(seed, bytes) {
            Err(HeaderFault::Blank) => Err(Fault::Blank),
            Err(HeaderFault::Magic | HeaderFault::Checksum) => Err(Fault::Header),
            Ok(header) if header.segment != segment => Err(Fault::OtherSegment),
            Ok(header) if frame_end(offset, &header) > len => Err(Fault::Payload),
            Ok(header) => Ok(header),
        })
    }

    /// The frame at an offset.
    pub(super) fn frame(&mut self, offset: u64) -> Result<Result<Frame<'_>, Fault>, JournalError> {
        let header = match self.header(offset)? {
            Ok(header) => header,
            Err(fault) => return Ok(Err(fault)),
        };
        let count = to_len(u64::from(header.payload_bytes));
        let start = offset + to_offset(HEADER_BYTES);
        let Some(payload) = self.fetch(start, count)? else {
            return Ok(Err(Fault::Payload));
        };
        let is_whole =
            crc32c::crc32c(payload) == header.payload_crc || sabotage::is_on(Sabotage::NoChecksum);
        if !is_whole || !Records::fits(payload, header.count) {
            return Ok(Err(Fault::Payload));
        }
        Ok(Ok(Frame {
            header,
            payload,
            next: frame_end(offset, &header),
        }))
    }

    /// Looks through the rest of the segment for headers of its own frames, from an offset where
    /// there is no valid frame.
    pub(super) fn look_beyond(&mut self, offset: u64) -> Result<Beyond, JournalError> {
        let mut beyond = Beyond::default();
        let mut at = offset;
        let end = self.len.saturating_sub(to_offset(HEADER_BYTES));
        while at <= end {
            let may_start = self
                .fetch(at, HEADER_BYTES)?
                .is_some_and(FrameHeader::may_start);
            if may_start && let Ok(header) = self.header(at)? {
                beyond.own_frames = true;
                beyond.durable_to = beyond.durable_to.max(header.durable_to);
            }
            at += FRAME_STEP;
        }
        Ok(beyond)
    }
}

/// What lies beyond the last valid frame.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Beyond {
    /// There are headers of frames of this segment.
    pub(super) own_frames: bool,
    /// The largest claim of these about what had been durable when they were written.
    pub(super) durable_to: u64,
}

/// Frames begin at multiples of this.
const FRAME_STEP: u64 = 8;

const _: () = assert!(FRAMES_START.is_multiple_of(FRAME_STEP));

fn frame_end(offset: u64, header: &FrameHeader) -> u64 {
    offset.saturating_add(to_offset(padded(to_len(u64::from(header.payload_bytes)))))
}
