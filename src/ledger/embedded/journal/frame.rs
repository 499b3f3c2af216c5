//! The frame: what one group commit writes. A header of 64 bytes, then the records, then zeros up
//! to the next multiple of 8.
//!
//! ```text
//! offset size
//!  0     4   magic "HFJ1"
//!  4     4   payload length in bytes
//!  8     8   sequence of the first record
//! 16     4   number of records; 0 for a marker (written at every start and clean end)
//! 20     4   epoch
//! 24     8   durable_to: bytes of this segment that were durable when the frame was written
//! 32    16   chain: SHA-256(previous chain || payload), first 16 bytes
//! 48     8   segment id
//! 56     4   CRC32C of the payload
//! 60     4   CRC32C of bytes 0..60, seeded with that of the ledger id
//! ```
//!
//! All numbers are little-endian. The payload is `count` times a length (4 bytes) and a record.

use sha2::{Digest as _, Sha256};

use crate::sabotage::{self, Fault};

/// Bytes of a frame header.
pub(super) const HEADER_BYTES: usize = 64;

/// Frames start at multiples of this.
pub(super) const ALIGN: usize = 8;

/// Bytes of a record's length.
pub(super) const LENGTH_BYTES: usize = 4;

const MAGIC: [u8; 4] = *b"HFJ1";

/// The first half of a SHA-256 over everything before.
pub(super) type Chain = [u8; 16];

/// The chain after one more payload.
pub(super) fn extend_chain(previous: &Chain, payload: &[u8]) -> Chain {
    let digest = Sha256::new()
        .chain_update(previous)
        .chain_update(payload)
        .finalize();
    let mut chain = Chain::default();
    chain.copy_from_slice(&digest[..16]);
    chain
}

/// Bytes that a frame takes in the segment.
pub(super) const fn padded(payload: usize) -> usize {
    (HEADER_BYTES + payload).next_multiple_of(ALIGN)
}

/// A frame header; see the module text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FrameHeader {
    pub(super) payload_bytes: u32,
    pub(super) first_sequence: u64,
    pub(super) count: u32,
    pub(super) epoch: u32,
    pub(super) durable_to: u64,
    pub(super) chain: Chain,
    pub(super) segment: u64,
    pub(super) payload_crc: u32,
}

/// Why bytes are no frame header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum HeaderFault {
    /// All zero: nothing was written here.
    Blank,
    /// Not the magic.
    Magic,
    /// The checksum does not fit.
    Checksum,
}

impl FrameHeader {
    /// Writes the header to the first 64 bytes.
    pub(super) fn encode(&self, seed: u32, out: &mut [u8; HEADER_BYTES]) {
        out[0..4].copy_from_slice(&MAGIC);
        out[4..8].copy_from_slice(&self.payload_bytes.to_le_bytes());
        out[8..16].copy_from_slice(&self.first_sequence.to_le_bytes());
        out[16..20].copy_from_slice(&self.count.to_le_bytes());
        out[20..24].copy_from_slice(&self.epoch.to_le_bytes());
        out[24..32].copy_from_slice(&self.durable_to.to_le_bytes());
        out[32..48].copy_from_slice(&self.chain);
        out[48..56].copy_from_slice(&self.segment.to_le_bytes());
        out[56..60].copy_from_slice(&self.payload_crc.to_le_bytes());
        let crc = crc32c::crc32c_append(seed, &out[..60]);
        out[60..64].copy_from_slice(&crc.to_le_bytes());
    }

    /// Reads a header and checks its checksum.
    pub(super) fn decode(seed: u32, bytes: &[u8; HEADER_BYTES]) -> Result<Self, HeaderFault> {
        if bytes[..4] != MAGIC {
            let blank = bytes.iter().all(|byte| *byte == 0);
            return Err(if blank {
                HeaderFault::Blank
            } else {
                HeaderFault::Magic
            });
        }
        let crc = crc32c::crc32c_append(seed, &bytes[..60]);
        if crc != le_u32(&bytes[60..]) && !sabotage::is_on(Fault::NoChecksum) {
            return Err(HeaderFault::Checksum);
        }
        let mut chain = Chain::default();
        chain.copy_from_slice(&bytes[32..48]);
        Ok(Self {
            payload_bytes: le_u32(&bytes[4..]),
            first_sequence: le_u64(&bytes[8..]),
            count: le_u32(&bytes[16..]),
            epoch: le_u32(&bytes[20..]),
            durable_to: le_u64(&bytes[24..]),
            chain,
            segment: le_u64(&bytes[48..]),
            payload_crc: le_u32(&bytes[56..]),
        })
    }

    /// Bytes can be a header: the cheap first look of a search.
    pub(super) fn may_start(bytes: &[u8]) -> bool {
        bytes.starts_with(&MAGIC)
    }

    /// Sequence that the next frame starts with.
    pub(super) fn next_sequence(&self) -> u64 {
        self.first_sequence.saturating_add(u64::from(self.count))
    }
}

/// The first 4 bytes as a number; 0 when there are fewer.
pub(super) fn le_u32(bytes: &[u8]) -> u32 {
    bytes
        .first_chunk()
        .map_or(0, |chunk| u32::from_le_bytes(*chunk))
}

/// The first 8 bytes as a number; 0 when there are fewer.
pub(super) fn le_u64(bytes: &[u8]) -> u64 {
    bytes
        .first_chunk()
        .map_or(0, |chunk| u64::from_le_bytes(*chunk))
}

/// The records of a payload.
#[derive(Debug, Clone)]
pub(super) struct Records<'a> {
    rest: &'a [u8],
}

impl<'a> Records<'a> {
    pub(super) const fn new(payload: &'a [u8]) -> Self {
        Self { rest: payload }
    }

    /// The payload consists of exactly `count` records.
    pub(super) fn fits(payload: &'a [u8], count: u32) -> bool {
        let mut records = Self::new(payload);
        let mut seen = 0_u64;
        while records.next().is_some() {
            seen += 1;
        }
        records.rest.is_empty() && seen == u64::from(count)
    }
}

impl<'a> Iterator for Records<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let (length, rest) = self.rest.split_first_chunk::<LENGTH_BYTES>()?;
        let length = usize::try_from(u32::from_le_bytes(*length)).ok()?;
        let (record, rest) = rest.split_at_checked(length)?;
        self.rest = rest;
        Some(record)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header() -> FrameHeader {
        FrameHeader {
            payload_bytes: 12,
            first_sequence: 77,
            count: 3,
            epoch: 5,
            durable_to: 4_096,
            chain: [9; 16],
            segment: 4,
            payload_crc: 0xdead_beef,
        }
    }

    #[test]
    fn header_survives_encoding_and_every_bit_flip_is_seen() {
        let mut bytes = [0; HEADER_BYTES];
        header().encode(7, &mut bytes);
        assert_eq!(FrameHeader::decode(7, &bytes), Ok(header()));
        assert_eq!(FrameHeader::decode(8, &bytes), Err(HeaderFault::Checksum));
        for bit in 0..HEADER_BYTES * 8 {
            let mut flipped = bytes;
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(FrameHeader::decode(7, &flipped).is_err(), "bit {bit}");
        }
        assert_eq!(
            FrameHeader::decode(7, &[0; HEADER_BYTES]),
            Err(HeaderFault::Blank)
        );
    }

    #[test]
    fn records_are_split_and_counted() {
        let payload = [2, 0, 0, 0, 1, 2, 0, 0, 0, 0, 1, 0, 0, 0, 3];
        let records: Vec<&[u8]> = Records::new(&payload).collect();
        assert_eq!(records, [&[1, 2][..], &[], &[3]]);
        assert!(Records::fits(&payload, 3));
        assert!(!Records::fits(&payload, 2));
        assert!(!Records::fits(&payload[..14], 3));
        assert!(!Records::fits(&payload[..10], 3));
        assert!(Records::fits(&[], 0));
    }

    #[test]
    fn the_chain_depends_on_everything_before() {
        let first = extend_chain(&Chain::default(), b"a");
        assert_ne!(
            extend_chain(&first, b"b"),
            extend_chain(&Chain::default(), b"b")
        );
        assert_ne!(extend_chain(&first, b""), first);
    }
}
