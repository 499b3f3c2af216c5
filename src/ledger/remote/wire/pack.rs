//! MessagePack: the part of it that is used here.

use super::Malformed;

/// Extension type of a command id or reservation id: 16 bytes.
pub(super) const EXT_ID: u8 = 1;
/// Extension type of a reservation id that is acted on or read.
pub(super) const EXT_TARGET: u8 = 2;
/// Extension type of a SKU.
pub(super) const EXT_SKU: u8 = 3;
/// Extension type of a channel and reference to look up.
pub(super) const EXT_FIELD: u8 = 4;

/// Appends values to a buffer.
#[derive(Debug, Default)]
pub(super) struct Writer(pub(super) Vec<u8>);

impl Writer {
    pub(super) fn uint(&mut self, value: u64) {
        let bytes = value.to_be_bytes();
        let [.., b4, b5, b6, b7] = bytes;
        match value {
            0..=0x7f => self.0.push(b7),
            0x80..=0xff => self.0.extend([0xcc, b7]),
            0x100..=0xffff => self.0.extend([0xcd, b6, b7]),
            0x1_0000..=0xffff_ffff => self.0.extend([0xce, b4, b5, b6, b7]),
            _ => {
                self.0.push(0xcf);
                self.0.extend(bytes);
            }
        }
    }

    pub(super) fn int(&mut self, value: i64) {
        if let Ok(value) = u64::try_from(value) {
            self.uint(value);
        } else {
            self.0.push(0xd3);
            self.0.extend(value.to_be_bytes());
        }
    }

    pub(super) fn count(&mut self, value: usize) {
        self.uint(u64::try_from(value).unwrap_or(u64::MAX));
    }

    pub(super) fn flag(&mut self, value: bool) {
        self.0.push(if value { 0xc3 } else { 0xc2 });
    }

    pub(super) fn bytes(&mut self, value: &[u8]) {
        let long = u32::try_from(value.len()).unwrap_or(u32::MAX);
        match u8::try_from(long) {
            Ok(short @ 0..=31) => self.0.push(0xa0 | short),
            Ok(short) => self.0.extend([0xd9, short]),
            Err(_) => {
                self.0.push(0xdb);
                self.0.extend(long.to_be_bytes());
            }
        }
        self.0.extend_from_slice(value);
    }

    pub(super) fn array(&mut self, count: usize) {
        let long = u32::try_from(count).unwrap_or(u32::MAX);
        match u8::try_from(long) {
            Ok(short @ 0..=15) => self.0.push(0x90 | short),
            Ok(_) | Err(_) => {
                self.0.push(0xdd);
                self.0.extend(long.to_be_bytes());
            }
        }
    }

    /// An extension value of at most 255 bytes.
    pub(super) fn ext(&mut self, kind: u8, value: &[u8]) {
        let length = u8::try_from(value.len()).unwrap_or(u8::MAX);
        self.0.extend([0xc7, length, kind]);
        self.0.extend(value.iter().take(usize::from(length)));
    }

    pub(super) fn id(&mut self, kind: u8, id: u128) {
        self.ext(kind, &id.to_be_bytes());
    }
}

/// One value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Value<'a> {
    Int(i64),
    Flag(bool),
    Bytes(&'a [u8]),
    /// So many values follow.
    Array(usize),
    Ext(u8, &'a [u8]),
}

/// Takes values from the front of a slice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Reader<'a>(pub(super) &'a [u8]);

impl<'a> Reader<'a> {
    pub(super) fn take(&mut self, count: usize) -> Result<&'a [u8], Malformed> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or(Malformed)?;
        self.0 = rest;
        Ok(taken)
    }

    /// A big-endian number of that many bytes, at most 8.
    fn number(&mut self, bytes: usize) -> Result<u64, Malformed> {
        let taken = self.take(bytes)?.iter();
        Ok(taken.fold(0, |sum, byte| (sum << 8) | u64::from(*byte)))
    }

    fn length(&mut self, bytes: usize) -> Result<usize, Malformed> {
        usize::try_from(self.number(bytes)?).or(Err(Malformed))
    }

    fn unsigned(&mut self, bytes: usize) -> Result<Value<'a>, Malformed> {
        let number = self.number(bytes)?;
        i64::try_from(number).map(Value::Int).or(Err(Malformed))
    }

    fn signed(&mut self, bytes: usize) -> Result<Value<'a>, Malformed> {
        let shift = 64 - 8 * u32::try_from(bytes).or(Err(Malformed))?;
        let number = self.number(bytes)?;
        Ok(Value::Int((number << shift).cast_signed() >> shift))
    }

    fn string(&mut self, length: usize) -> Result<Value<'a>, Malformed> {
        self.take(length).map(Value::Bytes)
    }

    pub(super) fn value(&mut self) -> Result<Value<'a>, Malformed> {
        let first = *self.take(1)?.first().ok_or(Malformed)?;
        match first {
            0x00..=0x7f => Ok(Value::Int(i64::from(first))),
            0xe0..=0xff => Ok(Value::Int(i64::from(first.cast_signed()))),
            0x90..=0x9f => Ok(Value::Array(usize::from(first & 0x0f))),
            0xa0..=0xbf => self.string(usize::from(first & 0x1f)),
            0xc2 | 0xc3 => Ok(Value::Flag(first == 0xc3)),
            0xc4 | 0xd9 => self.length(1).and_then(|length| self.string(length)),
            0xc5 | 0xda => self.length(2).and_then(|length| self.string(length)),
            0xc6 | 0xdb => self.length(4).and_then(|length| self.string(length)),
            0xc7 => {
                let length = self.length(1)?;
                let kind = *self.take(1)?.first().ok_or(Malformed)?;
                Ok(Value::Ext(kind, self.take(length)?))
            }
            0xcc..=0xcf => self.unsigned(1 << (first - 0xcc)),
            0xd0..=0xd3 => self.signed(1 << (first - 0xd0)),
            0xdc => self.length(2).map(Value::Array),
            0xdd => self.length(4).map(Value::Array),
            _ => Err(Malformed),
        }
    }

    pub(super) fn int(&mut self) -> Result<i64, Malformed> {
        match self.value()? {
            Value::Int(value) => Ok(value),
            Value::Flag(_) | Value::Bytes(_) | Value::Array(_) | Value::Ext(..) => Err(Malformed),
        }
    }

    /// A number that must fit a narrower type.
    pub(super) fn narrow<T: TryFrom<i64>>(&mut self) -> Result<T, Malformed> {
        T::try_from(self.int()?).or(Err(Malformed))
    }

    pub(super) fn bytes(&mut self) -> Result<&'a [u8], Malformed> {
        match self.value()? {
            Value::Bytes(bytes) => Ok(bytes),
            Value::Int(_) | Value::Flag(_) | Value::Array(_) | Value::Ext(..) => Err(Malformed),
        }
    }

    pub(super) fn text(&mut self) -> Result<&'a str, Malformed> {
        str::from_utf8(self.bytes()?).or(Err(Malformed))
    }

    /// A text, or `false` for none.
    pub(super) fn maybe_text(&mut self) -> Result<Option<&'a str>, Malformed> {
        match self.value()? {
            Value::Flag(false) => Ok(None),
            Value::Bytes(bytes) => str::from_utf8(bytes).map(Some).or(Err(Malformed)),
            Value::Flag(true) | Value::Int(_) | Value::Array(_) | Value::Ext(..) => Err(Malformed),
        }
    }

    pub(super) fn id(&mut self) -> Result<u128, Malformed> {
        id(self.bytes()?)
    }

    /// How many values the list has that begins here. Each takes a byte at least, so a count
    /// beyond what is left is damage.
    pub(super) fn array(&mut self) -> Result<usize, Malformed> {
        match self.value()? {
            Value::Array(count) if count <= self.0.len() => Ok(count),
            Value::Array(_) | Value::Int(_) | Value::Flag(_) | Value::Bytes(_) | Value::Ext(..) => {
                Err(Malformed)
            }
        }
    }

    /// Passes over one value with all that is in it.
    pub(super) fn skip(&mut self) -> Result<(), Malformed> {
        let mut left = 1_usize;
        while left > 0 {
            left -= 1;
            if let Value::Array(count) = self.value()? {
                left = left.checked_add(count).ok_or(Malformed)?;
            }
        }
        Ok(())
    }

    /// That many values as they are packed.
    pub(super) fn raw(&mut self, count: usize) -> Result<&'a [u8], Malformed> {
        let before = self.0;
        self.skip_many(count)?;
        before.get(..before.len() - self.0.len()).ok_or(Malformed)
    }

    /// Passes over that many values.
    pub(super) fn skip_many(&mut self, count: usize) -> Result<(), Malformed> {
        (0..count).try_for_each(|_| self.skip())
    }
}

/// An id from its 16 bytes.
pub(super) fn id(bytes: &[u8]) -> Result<u128, Malformed> {
    bytes.try_into().map(u128::from_be_bytes).or(Err(Malformed))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_every_width_come_back() {
        let mut writer = Writer::default();
        let numbers = [
            0,
            127,
            128,
            255,
            256,
            65_535,
            65_536,
            4_294_967_295,
            4_294_967_296,
            i64::MAX,
            -1,
            i64::MIN,
        ];
        numbers.iter().for_each(|number| writer.int(*number));
        let mut reader = Reader(&writer.0);
        for number in numbers {
            assert_eq!(reader.int(), Ok(number));
        }
        assert!(reader.0.is_empty());
        let narrow = [
            0xe0_u8, 0xff, 0xd0, 0x80, 0xd1, 0xff, 0x00, 0xd2, 0xff, 0xff, 0xff, 0xfe,
        ];
        let mut reader = Reader(&narrow);
        for number in [-32, -1, -128, -256, -2] {
            assert_eq!(reader.int(), Ok(number));
        }
    }

    #[test]
    fn texts_of_every_length_come_back_and_can_be_passed_over() {
        for length in [0, 31, 32, 255, 256, 70_000] {
            let text = "x".repeat(length);
            let mut writer = Writer::default();
            writer.array(2);
            writer.bytes(text.as_bytes());
            writer.id(EXT_ID, 7);
            let mut reader = Reader(&writer.0);
            assert_eq!(reader.array(), Ok(2));
            assert_eq!(reader.text(), Ok(text.as_str()));
            assert_eq!(
                reader.value(),
                Ok(Value::Ext(EXT_ID, &7_u128.to_be_bytes()))
            );
            let mut reader = Reader(&writer.0);
            reader.skip().unwrap();
            assert!(reader.0.is_empty());
        }
    }

    #[test]
    fn bytes_that_end_too_early_are_malformed() {
        let mut writer = Writer::default();
        writer.array(3);
        writer.int(-5_000_000_000);
        writer.bytes(&[b'x'; 300]);
        writer.ext(EXT_SKU, b"sku");
        for end in 0..writer.0.len() {
            let mut reader = Reader(&writer.0[..end]);
            assert_eq!(reader.skip(), Err(Malformed), "{end}");
        }
        assert_eq!(
            Reader(&[0xdd, 0xff, 0xff, 0xff, 0xff]).array(),
            Err(Malformed)
        );
    }
}
