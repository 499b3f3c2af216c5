//! Names of nodes and channels, each with a small index; never forgotten.
//!
//! Names are few and long-lived, and appear in every line and every record: the index is what is
//! stored, the name what is shown.

use std::collections::HashMap;
use std::sync::Arc;

/// The first node of every ledger, with index 0.
pub const DEFAULT_NODE: &str = "main";

/// A table of names. Index 0 may be given by the owner at the start.
#[derive(Debug, Default)]
pub struct Names {
    by_name: HashMap<Arc<str>, u16>,
    names: Vec<Arc<str>>,
    max: usize,
}

impl Names {
    /// An empty table for at most `max` names.
    pub fn new(max: usize) -> Self {
        Self {
            max,
            ..Self::default()
        }
    }

    /// The index of a name.
    pub fn find(&self, name: &str) -> Option<u16> {
        self.by_name.get(name).copied()
    }

    /// The name of an index.
    pub fn name(&self, index: u16) -> Option<Arc<str>> {
        self.names.get(usize::from(index)).map(Arc::clone)
    }

    /// Adds a name that is not there yet; `None` when the table is full.
    pub fn add(&mut self, name: &str) -> Option<u16> {
        if self.is_full() {
            return None;
        }
        let index = u16::try_from(self.names.len()).ok()?;
        let name: Arc<str> = Arc::from(name);
        self.names.push(Arc::clone(&name));
        self.by_name.insert(name, index);
        Some(index)
    }

    /// Whether no more names fit in.
    pub const fn is_full(&self) -> bool {
        self.names.len() >= self.max
    }

    /// All names in index order.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.names.iter().map(|name| &**name)
    }

    /// Number of names.
    pub const fn len(&self) -> usize {
        self.names.len()
    }

    /// Whether there is no name.
    pub const fn is_empty(&self) -> bool {
        self.names.is_empty()
    }
}
