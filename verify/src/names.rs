//! Names as small numbers.

use std::collections::HashMap;

use crate::Fault;
use crate::stock::Name;

/// An id of a reservation or a command, without the prefix that says which.
pub(crate) type Id = [u8; 26];

/// Reads an id.
pub(crate) fn id(text: &str, prefix: &str) -> Result<Id, Fault> {
    let digits = text.strip_prefix(prefix).map(str::as_bytes);
    let id = digits.and_then(|digits| digits.try_into().ok());
    id.ok_or_else(|| {
        let expected = format!("`{prefix}` and 26 digits");
        Fault::new(format!("an id {text:?}"), expected)
    })
}

/// Names that occurred.
#[derive(Debug, Default)]
pub(crate) struct Names {
    numbers: HashMap<Box<str>, Name>,
}

impl Names {
    /// The number of a name, which may be new.
    pub(crate) fn number(&mut self, name: &str) -> Name {
        if let Some(number) = self.numbers.get(name) {
            return *number;
        }
        let number = Name::try_from(self.numbers.len()).unwrap_or(Name::MAX);
        self.numbers.insert(name.into(), number);
        number
    }
}

/// Names of SKUs, nodes and channels.
#[derive(Debug, Default)]
pub(crate) struct AllNames {
    pub(crate) skus: Names,
    pub(crate) nodes: Names,
    pub(crate) channels: Names,
}
