//! The API document.

/// The document as JSON.
pub const fn text() -> &'static str {
    "{}"
}
