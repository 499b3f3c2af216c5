//! What a caller asks for. Borrowed throughout: a request is written into a buffer at once.

use serde::Serialize;

use crate::key::IdempotencyKey;

/// Units of one SKU.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Line<'a> {
    /// What.
    pub sku: &'a str,
    /// How many, at least one.
    pub quantity: u64,
    /// The node that must ship; `None` leaves the choice to the server.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node: Option<&'a str>,
    /// Of a new reservation: the latest day, UTC, on which they are taken, such as `2026-12-24`;
    /// `None`: they must be on hand.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by: Option<&'a str>,
}

impl<'a> Line<'a> {
    /// Units of a SKU from any node.
    pub const fn new(sku: &'a str, quantity: u64) -> Self {
        Self {
            sku,
            quantity,
            node: None,
            by: None,
        }
    }

    /// The same, taken up to that day.
    #[must_use]
    pub const fn by(self, day: &'a str) -> Self {
        Self {
            by: Some(day),
            ..self
        }
    }
}

/// A reservation to make: all lines or none, unless partial is allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reserve<'a> {
    /// Who sells.
    pub channel: &'a str,
    /// The caller's own name for it, for instance its order id.
    pub reference: Option<&'a str>,
    /// How long the hold lives; the server's default when left out.
    pub ttl_seconds: Option<u32>,
    /// Take what there is instead of all or nothing.
    pub allow_partial: bool,
    /// What to hold.
    pub lines: &'a [Line<'a>],
}

impl<'a> Reserve<'a> {
    /// All lines or none, for the server's usual time.
    pub const fn new(channel: &'a str, lines: &'a [Line<'a>]) -> Self {
        Self {
            channel,
            reference: None,
            ttl_seconds: None,
            allow_partial: false,
            lines,
        }
    }

    /// The same, held for so many seconds.
    #[must_use]
    pub const fn ttl_seconds(self, seconds: u32) -> Self {
        Self {
            ttl_seconds: Some(seconds),
            ..self
        }
    }

    /// The same, with the caller's own name for it.
    #[must_use]
    pub const fn reference(self, reference: &'a str) -> Self {
        Self {
            reference: Some(reference),
            ..self
        }
    }

    /// The same, taking what there is.
    #[must_use]
    pub const fn partial(self) -> Self {
        Self {
            allow_partial: true,
            ..self
        }
    }

    /// Appends the request as JSON, with its key as a member when one is given (batch route).
    /// By hand: this runs once a call at several hundred thousand calls a second.
    pub(crate) fn write(&self, key: Option<&IdempotencyKey>, out: &mut Vec<u8>) {
        out.push(b'{');
        if let Some(key) = key {
            out.extend_from_slice(b"\"key\":\"");
            key.write(out);
            out.extend_from_slice(b"\",");
        }
        out.extend_from_slice(b"\"channel\":");
        write_string(self.channel, out);
        if let Some(reference) = self.reference {
            out.extend_from_slice(b",\"reference\":");
            write_string(reference, out);
        }
        if let Some(seconds) = self.ttl_seconds {
            out.extend_from_slice(b",\"ttl_seconds\":");
            out.extend_from_slice(itoa::Buffer::new().format(seconds).as_bytes());
        }
        if self.allow_partial {
            out.extend_from_slice(b",\"allow_partial\":true");
        }
        out.extend_from_slice(b",\"lines\":[");
        for (at, line) in self.lines.iter().enumerate() {
            if at > 0 {
                out.push(b',');
            }
            line.write(out);
        }
        out.extend_from_slice(b"]}");
    }
}

impl Line<'_> {
    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"sku\":");
        write_string(self.sku, out);
        out.extend_from_slice(b",\"quantity\":");
        out.extend_from_slice(itoa::Buffer::new().format(self.quantity).as_bytes());
        if let Some(node) = self.node {
            out.extend_from_slice(b",\"node\":");
            write_string(node, out);
        }
        if let Some(by) = self.by {
            out.extend_from_slice(b",\"by\":");
            write_string(by, out);
        }
        out.push(b'}');
    }
}

fn write_string(text: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    let plain = text.bytes().all(|b| b >= 0x20 && b != b'"' && b != b'\\');
    if plain {
        out.extend_from_slice(text.as_bytes());
    } else {
        for byte in text.bytes() {
            write_escaped(byte, out);
        }
    }
    out.push(b'"');
}

fn write_escaped(byte: u8, out: &mut Vec<u8>) {
    match byte {
        b'"' | b'\\' => out.extend_from_slice(&[b'\\', byte]),
        0x20.. => out.push(byte),
        control => out.extend_from_slice(format!("\\u{control:04x}").as_bytes()),
    }
}

/// Which lines of a reservation an action concerns.
///
/// An enum and not an empty list, so that a list that happens to be empty never means all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part<'a> {
    /// Everything.
    Whole,
    /// These units.
    Lines(&'a [Line<'a>]),
}

impl<'a> Part<'a> {
    pub(crate) const fn lines(self) -> Option<&'a [Line<'a>]> {
        match self {
            Self::Whole => None,
            Self::Lines(lines) => Some(lines),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::KeyMaker;

    #[test]
    fn written_requests_are_json_with_every_member() {
        let mut lines = [Line::new("A\"\\\u{1}ä", 2), Line::new("B", u64::MAX)];
        lines[1].node = Some("east");
        lines[1].by = Some("2026-12-24");
        let request = Reserve::new("web", &lines)
            .ttl_seconds(60)
            .reference("o-1\n")
            .partial();
        let key = KeyMaker::new().next();
        let mut out = Vec::new();
        request.write(Some(&key), &mut out);
        let json: serde_json::Value = serde_json::from_slice(&out).unwrap();
        assert_eq!(
            json,
            serde_json::json!({
                "key": key.to_string(), "channel": "web", "reference": "o-1\n",
                "ttl_seconds": 60, "allow_partial": true,
                "lines": [
                    {"sku": "A\"\\\u{1}ä", "quantity": 2},
                    {"sku": "B", "quantity": u64::MAX, "node": "east", "by": "2026-12-24"},
                ],
            })
        );
    }
}
