//! Numbers that a double cannot hold, as fixed hexadecimal digits.

use serde::{Deserialize, Serialize};

use super::BadItem;
use crate::domain::ReservationId;

/// A seed or a fingerprint: 16 hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Print(pub u64);

impl From<Print> for String {
    fn from(print: Print) -> Self {
        format!("{:016x}", print.0)
    }
}

impl TryFrom<String> for Print {
    type Error = BadItem;

    fn try_from(text: String) -> Result<Self, BadItem> {
        let number = u64::from_str_radix(&text, 16).or(Err(BadItem("a number")))?;
        // One number has one text, so that one item has one hash.
        Some(Self(number))
            .filter(|print| String::from(*print) == text)
            .ok_or(BadItem("a number"))
    }
}

/// The id of a command, as reservations show theirs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct CommandId(pub u128);

impl From<CommandId> for String {
    fn from(id: CommandId) -> Self {
        ReservationId(id.0).to_string()
    }
}

impl TryFrom<String> for CommandId {
    type Error = BadItem;

    fn try_from(text: String) -> Result<Self, BadItem> {
        let id = ReservationId::parse(&text).ok_or(BadItem("an id"))?;
        Ok(Self(id.0))
    }
}

/// Bytes as hexadecimal digits.
pub(in crate::ledger) fn text(bytes: &[u8]) -> String {
    let halves = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    halves
        .filter_map(|half| char::from_digit(half.into(), 16))
        .collect()
}

/// The bytes of such a text.
pub(super) fn bytes(text: &str) -> Result<Vec<u8>, BadItem> {
    let (pairs, []) = text.as_bytes().as_chunks::<2>() else {
        return Err(BadItem("bytes"));
    };
    let byte = |pair: &[u8; 2]| {
        let digits = str::from_utf8(pair).or(Err(BadItem("bytes")))?;
        u8::from_str_radix(digits, 16).or(Err(BadItem("bytes")))
    };
    pairs.iter().map(byte).collect()
}
