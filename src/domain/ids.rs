//! Identifiers, each a type of its own, checked once where they enter.

use std::fmt;

use crate::limits::{NAME_BYTES_MAX, SKU_BYTES_MAX};

/// Why a text is not a valid identifier.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IdError {
    /// The text is empty.
    Empty,
    /// The text is longer than the limit, in bytes.
    TooLong(usize),
    /// A character outside `A-Z a-z 0-9 . _ : -`.
    BadCharacter,
}

impl fmt::Display for IdError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("must not be empty"),
            Self::TooLong(max) => write!(f, "must be at most {max} bytes"),
            Self::BadCharacter => {
                f.write_str("may hold only ASCII letters, digits and the characters . _ : -")
            }
        }
    }
}

fn check(text: &str, max: usize) -> Result<(), IdError> {
    if text.is_empty() {
        return Err(IdError::Empty);
    }
    if text.len() > max {
        return Err(IdError::TooLong(max));
    }
    let good = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b':' | b'-');
    if text.bytes().all(good) {
        Ok(())
    } else {
        Err(IdError::BadCharacter)
    }
}

/// Checks the name of a node or a channel: the alphabet of a SKU, at most
/// [`NAME_BYTES_MAX`] bytes.
pub fn check_name(text: &str) -> Result<&str, IdError> {
    check(text, NAME_BYTES_MAX).map(|()| text)
}

/// A sellable item: the key of the pool. 1 to 64 bytes of `A-Z a-z 0-9 . _ : -`.
///
/// A borrowed, validated text; owners keep the text and build this again with [`Sku::new`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Sku<'a>(&'a str);

impl<'a> Sku<'a> {
    /// Checks the text.
    pub fn new(text: &'a str) -> Result<Self, IdError> {
        check(text, SKU_BYTES_MAX).map(|()| Self(text))
    }

    /// The text.
    pub const fn as_str(self) -> &'a str {
        self.0
    }
}

impl fmt::Display for Sku<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

/// A fulfilment node, as the index of its name in the ledger's name table. Index 0 is `main`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeIx(pub u16);

impl NodeIx {
    /// The default node, named `main`.
    pub const MAIN: Self = Self(0);
}

/// A channel, as the index of its name in the ledger's name table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChannelIx(pub u16);

impl ChannelIx {
    /// Stands for a channel whose name has no index yet: no policy names it. There are far fewer.
    pub const UNNAMED: Self = Self(u16::MAX);
}

/// Identity of a reservation; its text form is `rsv_` and 26 characters of Crockford base 32.
///
/// It is the keyed hash of the idempotency key that created the reservation, so that a caller who
/// lost the answer finds the same reservation again, and no second index is needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReservationId(pub u128);

const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
const PREFIX: &[u8; 4] = b"rsv_";

/// Length of the text form of a [`ReservationId`], in bytes.
pub const RESERVATION_ID_BYTES: usize = 30;

impl ReservationId {
    /// The text form, as ASCII bytes.
    pub fn to_text(self) -> [u8; RESERVATION_ID_BYTES] {
        let mut out = [0_u8; RESERVATION_ID_BYTES];
        let mut rest = self.0;
        for slot in out.iter_mut().rev() {
            let low = usize::try_from(rest & 31).unwrap_or_default();
            *slot = ALPHABET.get(low).copied().unwrap_or(b'0');
            rest >>= 5;
        }
        for (slot, byte) in out.iter_mut().zip(PREFIX) {
            *slot = *byte;
        }
        out
    }

    /// Reads the text form back; `None` when it is not one.
    pub fn parse(text: &str) -> Option<Self> {
        let body = text.strip_prefix("rsv_")?;
        if body.len() != 26 {
            return None;
        }
        let mut value: u128 = 0;
        for (at, byte) in body.bytes().enumerate() {
            let digit = ALPHABET.iter().position(|b| *b == byte)?;
            if at == 0 && digit > 7 {
                return None;
            }
            value = (value << 5) | u128::try_from(digit).ok()?;
        }
        Some(Self(value))
    }
}

impl fmt::Display for ReservationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(str::from_utf8(&self.to_text()).unwrap_or_default())
    }
}

/// The lowest bits of a command's id. Where a ledger has several partitions they are the number of
/// the one that decided the command; elsewhere they are of the hash as all others.
pub const LABEL_BITS: u32 = 10;

/// What an idempotency key says of its command's id, wherever that was decided.
pub const fn stem(id: u128) -> u128 {
    id >> LABEL_BITS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reservation_id_text_round_trips() {
        for value in [
            0,
            1,
            31,
            32,
            u128::MAX,
            0x0123_4567_89ab_cdef_0123_4567_89ab_cdef,
        ] {
            let text = ReservationId(value).to_string();
            assert_eq!(text.len(), RESERVATION_ID_BYTES);
            assert_eq!(
                ReservationId::parse(&text),
                Some(ReservationId(value)),
                "{text}"
            );
        }
        for bad in [
            "",
            "rsv_",
            "rsv_0",
            "rsv_zzzzzzzzzzzzzzzzzzzzzzzzzz",
            "ord_00000000000000000000000000",
        ] {
            assert_eq!(ReservationId::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn sku_alphabet_and_length_are_checked() {
        assert!(Sku::new("A-1.b_2:c").is_ok());
        assert_eq!(Sku::new(""), Err(IdError::Empty));
        assert_eq!(Sku::new("a b"), Err(IdError::BadCharacter));
        assert_eq!(Sku::new("{x}"), Err(IdError::BadCharacter));
        assert_eq!(Sku::new(&"x".repeat(65)), Err(IdError::TooLong(64)));
    }
}
