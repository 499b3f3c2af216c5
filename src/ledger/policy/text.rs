//! A policy's document as JSON text, in both directions.
//!
//! What is read may be written in any order and with any white space; what is written is canonical:
//! of two documents that say the same in the same order the texts are equal.

use std::fmt;

use serde::Deserialize;

use super::form::DocumentForm;
use super::shape::Shaped;
use crate::domain::policy::Document;
use crate::limits::POLICY_BYTES_MAX;

/// Why a text is no document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TextFault {
    /// Where, like `rules[3].limits[0].cap.percent`; empty for the whole text.
    pub path: String,
    /// What is wrong, with line and column.
    pub message: String,
}

impl fmt::Display for TextFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.path.is_empty() {
            f.write_str(&self.message)
        } else {
            write!(f, "{}: {}", self.path, self.message)
        }
    }
}

fn of_whole(message: String) -> TextFault {
    TextFault {
        path: String::new(),
        message,
    }
}

fn check_length(text: &str) -> Result<(), TextFault> {
    if text.len() > POLICY_BYTES_MAX {
        return Err(of_whole(format!("longer than {POLICY_BYTES_MAX} bytes")));
    }
    Ok(())
}

fn read<'t, T: Deserialize<'t>>(text: &'t str) -> Result<T, TextFault> {
    let mut reader = serde_json::Deserializer::from_str(text);
    let found = serde_path_to_error::deserialize(&mut reader).map_err(|error| TextFault {
        path: Some(error.path().to_string())
            .filter(|path| path != ".")
            .unwrap_or_default(),
        message: error.inner().to_string(),
    })?;
    let end = reader.end();
    end.map_err(|error| of_whole(error.to_string()))?;
    Ok(found)
}

/// Reads a document.
pub fn parse(text: &str) -> Result<Document, TextFault> {
    check_length(text)?;
    if !text.trim_ascii_start().starts_with('{') {
        return Err(of_whole("must be a JSON object".to_owned()));
    }
    read::<Shaped>(text)?;
    let form: DocumentForm = read(text)?;
    Ok(form.into())
}

/// Reads a document, with its canonical text.
pub fn canonical(text: &str) -> Result<(Document, String), TextFault> {
    let document = parse(text)?;
    let canonical = write(&document);
    // What is left out is written all the same, if it has to be there.
    check_length(&canonical)?;
    Ok((document, canonical))
}

/// The canonical text of a document.
pub fn write(document: &Document) -> String {
    // Nothing in a document can fail to be written: no map, no number that is not finite.
    serde_json::to_string(&DocumentForm::from(document)).unwrap_or_default()
}
