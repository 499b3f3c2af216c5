//! Numbers and texts as bytes.

use super::BadRecord;
use crate::domain::Units;

/// Appends to a buffer.
pub(in super::super) struct Writer<'b>(pub(in super::super) &'b mut Vec<u8>);

impl Writer<'_> {
    pub(in super::super) fn byte(&mut self, value: u8) {
        self.0.push(value);
    }

    pub(in super::super) fn number(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(u8::try_from(value & 0x7f).unwrap_or(0) | 0x80);
            value >>= 7;
        }
        self.0.push(u8::try_from(value).unwrap_or(0));
    }

    pub(in super::super) fn signed(&mut self, value: i64) {
        self.number(((value << 1) ^ (value >> 63)).cast_unsigned());
    }

    pub(in super::super) fn fixed(&mut self, value: u64) {
        self.0.extend_from_slice(&value.to_le_bytes());
    }

    pub(in super::super) fn wide(&mut self, value: u128) {
        self.0.extend_from_slice(&value.to_le_bytes());
    }

    pub(in super::super) fn count(&mut self, value: usize) {
        self.number(u64::try_from(value).unwrap_or(u64::MAX));
    }

    pub(in super::super) fn text(&mut self, value: &str) {
        self.count(value.len());
        self.0.extend_from_slice(value.as_bytes());
    }

    /// A text that may be missing: its length plus one, 0 for none.
    pub(in super::super) fn maybe_text(&mut self, value: Option<&str>) {
        match value {
            None => self.number(0),
            Some(text) => {
                self.count(text.len() + 1);
                self.0.extend_from_slice(text.as_bytes());
            }
        }
    }

    pub(in super::super) fn units(&mut self, value: Units) {
        self.number(value.get());
    }
}

/// Takes from the front of a slice.
pub(in super::super) struct Reader<'a>(pub(in super::super) &'a [u8]);

impl<'a> Reader<'a> {
    pub(in super::super) fn byte(&mut self) -> Result<u8, BadRecord> {
        let (first, rest) = self.0.split_first().ok_or(BadRecord)?;
        self.0 = rest;
        Ok(*first)
    }

    pub(in super::super) fn take(&mut self, count: usize) -> Result<&'a [u8], BadRecord> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or(BadRecord)?;
        self.0 = rest;
        Ok(taken)
    }

    pub(in super::super) fn number(&mut self) -> Result<u64, BadRecord> {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            let part = u64::from(byte & 0x7f);
            if shift == 63 && part > 1 {
                return Err(BadRecord);
            }
            value |= part << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(BadRecord)
    }

    pub(in super::super) fn signed(&mut self) -> Result<i64, BadRecord> {
        let raw = self.number()?;
        Ok((raw >> 1).cast_signed() ^ -((raw & 1).cast_signed()))
    }

    /// A number that must fit a narrower type.
    pub(in super::super) fn narrow<T: TryFrom<u64>>(&mut self) -> Result<T, BadRecord> {
        T::try_from(self.number()?).or(Err(BadRecord))
    }

    pub(in super::super) fn fixed(&mut self) -> Result<u64, BadRecord> {
        let bytes = self.take(8)?;
        Ok(u64::from_le_bytes(bytes.try_into().or(Err(BadRecord))?))
    }

    pub(in super::super) fn wide(&mut self) -> Result<u128, BadRecord> {
        let bytes = self.take(16)?;
        Ok(u128::from_le_bytes(bytes.try_into().or(Err(BadRecord))?))
    }

    /// The count of a list. Every entry takes at least one byte, so a count beyond what is left
    /// is damage, and lists cannot be made to allocate more than the record is long.
    pub(in super::super) fn count(&mut self) -> Result<usize, BadRecord> {
        let count: usize = self.narrow()?;
        if count <= self.0.len() {
            Ok(count)
        } else {
            Err(BadRecord)
        }
    }

    pub(in super::super) fn text(&mut self) -> Result<&'a str, BadRecord> {
        let length = self.narrow()?;
        str::from_utf8(self.take(length)?).or(Err(BadRecord))
    }

    pub(in super::super) fn maybe_text(&mut self) -> Result<Option<&'a str>, BadRecord> {
        let length: usize = self.narrow()?;
        match length.checked_sub(1) {
            None => Ok(None),
            Some(length) => str::from_utf8(self.take(length)?)
                .map(Some)
                .or(Err(BadRecord)),
        }
    }

    pub(in super::super) fn units(&mut self) -> Result<Units, BadRecord> {
        Units::new(self.number()?).ok_or(BadRecord)
    }
}
