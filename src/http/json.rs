//! Writes JSON into one buffer, without building values first.

use crate::domain::percent::Percent;
use crate::domain::{Day, Units, UnixMillis};
use crate::ledger::time_text;

/// Bytes that most answers fit into.
const USUAL_BYTES: usize = 768;

/// A growing JSON text. The caller puts the commas.
#[derive(Debug, Clone, Default)]
pub struct Json(Vec<u8>);

impl Json {
    /// An empty text with room for a usual answer.
    pub fn new() -> Self {
        Self(Vec::with_capacity(USUAL_BYTES))
    }

    /// An empty text with room for this many bytes.
    pub fn with_capacity(bytes: usize) -> Self {
        Self(Vec::with_capacity(bytes))
    }

    /// The text.
    pub fn into_bytes(self) -> Vec<u8> {
        self.0
    }

    /// Bytes so far.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether nothing was written yet.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// JSON as it is.
    pub fn raw(&mut self, json: &str) -> &mut Self {
        self.0.extend_from_slice(json.as_bytes());
        self
    }

    /// Another text.
    pub fn append(&mut self, other: &Self) -> &mut Self {
        self.0.extend_from_slice(&other.0);
        self
    }

    /// A comma unless this is the first.
    pub fn comma(&mut self, first: bool) -> &mut Self {
        if !first {
            self.0.push(b',');
        }
        self
    }

    /// A string of ASCII that needs no escaping: ids, SKUs, names, codes.
    pub fn plain(&mut self, ascii: &str) -> &mut Self {
        self.0.push(b'"');
        self.0.extend_from_slice(ascii.as_bytes());
        self.0.push(b'"');
        self
    }

    /// Any string, escaped as RFC 8259 asks: quotes, backslash and control characters.
    pub fn text(&mut self, text: &str) -> &mut Self {
        self.0.push(b'"');
        let mut rest = text.as_bytes();
        while let Some(at) = rest
            .iter()
            .position(|b| *b < 0x20 || *b == b'"' || *b == b'\\')
        {
            let (before, after) = rest.split_at(at);
            self.0.extend_from_slice(before);
            if let Some((byte, after)) = after.split_first() {
                self.escape(*byte);
                rest = after;
            }
        }
        self.0.extend_from_slice(rest);
        self.0.push(b'"');
        self
    }

    fn escape(&mut self, byte: u8) {
        let short = match byte {
            b'"' => b'"',
            b'\\' => b'\\',
            b'\n' => b'n',
            b'\r' => b'r',
            b'\t' => b't',
            0x08 => b'b',
            0x0c => b'f',
            other => {
                let hex = |nibble: u8| b"0123456789abcdef".get(usize::from(nibble)).copied();
                self.0.extend_from_slice(b"\\u00");
                self.0.extend(hex(other >> 4));
                self.0.extend(hex(other & 15));
                return;
            }
        };
        self.0.extend_from_slice(&[b'\\', short]);
    }

    /// A string or null.
    pub fn maybe_text(&mut self, text: Option<&str>) -> &mut Self {
        match text {
            Some(text) => self.text(text),
            None => self.raw("null"),
        }
    }

    /// A number.
    pub fn number(&mut self, value: impl itoa::Integer) -> &mut Self {
        self.0
            .extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
        self
    }

    /// A quantity.
    pub fn units(&mut self, units: Units) -> &mut Self {
        self.number(units.get())
    }

    /// A percentage, given in basis points.
    pub fn percent(&mut self, points: u16) -> &mut Self {
        if points.is_multiple_of(100) {
            self.number(points / 100)
        } else {
            self.raw(&Percent(points).to_string())
        }
    }

    /// A moment.
    pub fn time(&mut self, at: UnixMillis) -> &mut Self {
        self.0.push(b'"');
        self.0.extend_from_slice(&time_text::to_text(at));
        self.0.push(b'"');
        self
    }

    /// A day.
    pub fn day(&mut self, day: Day) -> &mut Self {
        let text = time_text::to_text(day.begins());
        let date = text.first_chunk::<{ time_text::DATE_TEXT_BYTES }>();
        self.0.push(b'"');
        self.0.extend_from_slice(date.map_or(&[], |date| date));
        self.0.push(b'"');
        self
    }

    /// `true` or `false`.
    pub fn bool(&mut self, value: bool) -> &mut Self {
        self.raw(if value { "true" } else { "false" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_like_serde() {
        let all: String = (0..0x2_0000_u32).filter_map(char::from_u32).collect();
        let mut json = Json::new();
        json.text(&all);
        assert_eq!(json.into_bytes(), serde_json::to_vec(&all).unwrap());
        for text in ["", "\"", "a\\", "\u{1f}x\n\t\r\u{8}\u{c}"] {
            let mut json = Json::new();
            json.text(text);
            assert_eq!(json.into_bytes(), serde_json::to_vec(text).unwrap());
        }
    }
}
