//! Paths and queries.

/// A path from fixed pieces and values; values are percent-encoded.
#[derive(Debug)]
pub(crate) struct Path {
    text: String,
    queried: bool,
}

impl Path {
    pub(crate) fn new(start: &str) -> Self {
        Self {
            text: start.into(),
            queried: false,
        }
    }

    pub(crate) fn fixed(mut self, piece: &str) -> Self {
        self.text.push_str(piece);
        self
    }

    pub(crate) fn value(mut self, value: &str) -> Self {
        for byte in value.bytes() {
            if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~' | b':') {
                self.text.push(char::from(byte));
            } else {
                self.text.extend(['%', hex(byte >> 4), hex(byte & 15)]);
            }
        }
        self
    }

    /// A member of the query, when there is a value.
    pub(crate) fn query(mut self, name: &str, value: Option<&str>) -> Self {
        let Some(value) = value else { return self };
        self.text.push(if self.queried { '&' } else { '?' });
        self.queried = true;
        self.text.push_str(name);
        self.text.push('=');
        self.value(value)
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.text
    }
}

fn hex(digit: u8) -> char {
    char::from_digit(u32::from(digit), 16)
        .unwrap_or('0')
        .to_ascii_uppercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_cannot_break_out_of_their_place() {
        let path = Path::new("/v1/x/")
            .value("a/../b?c")
            .query("q", Some("1&2=3 ä"))
            .query("r", None);
        assert_eq!(path.as_str(), "/v1/x/a%2F..%2Fb%3Fc?q=1%262%3D3%20%C3%A4");
        let path = Path::new("/v1/x")
            .query("a", Some("1"))
            .query("b", Some("2"))
            .fixed("");
        assert_eq!(path.as_str(), "/v1/x?a=1&b=2");
    }
}
