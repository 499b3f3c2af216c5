//! Finds everything that is wrong with a document, all at once.

mod channels;
mod rules;
mod skus;

use std::collections::HashSet;
use std::fmt::Display;

use super::document::Document;
use super::tree::Tree;
use crate::domain::ids::{Sku, check_name};

/// Something wrong with a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Where, like `rules[3].limits[0].cap.percent`.
    pub path: String,
    /// What, for a program.
    pub code: &'static str,
    /// What, for a person.
    pub message: String,
}

/// Every fault of the document, whose tree is given.
pub(super) fn check(document: &Document, tree: &Tree<'_>) -> Vec<Fault> {
    let mut faults = Faults::default();
    channels::check(document, tree, &mut faults);
    skus::check(document, &mut faults);
    rules::check(document, tree, &mut faults);
    faults.found
}

#[derive(Default)]
struct Faults {
    found: Vec<Fault>,
}

impl Faults {
    fn add(&mut self, path: impl Into<String>, code: &'static str, message: impl Into<String>) {
        self.found.push(Fault {
            path: path.into(),
            code,
            message: message.into(),
        });
    }

    fn name(&mut self, path: impl Display, text: &str) {
        if let Err(error) = check_name(text) {
            self.add(path.to_string(), "bad_name", error.to_string());
        }
    }

    fn sku(&mut self, path: impl Display, text: &str) {
        if let Err(error) = Sku::new(text) {
            self.add(path.to_string(), "bad_sku", error.to_string());
        }
    }

    /// The names of one kind of things: each well-formed, and none twice.
    fn names<'d>(&mut self, of: &str, key: &str, names: impl Iterator<Item = &'d str>) {
        let mut seen = HashSet::new();
        for (at, name) in names.enumerate() {
            let path = format!("{of}[{at}].{key}");
            self.name(&path, name);
            if !seen.insert(name) {
                self.add(path, "duplicate_name", format!("{name} is there already"));
            }
        }
    }

    fn at_most(&mut self, path: &str, code: &'static str, count: usize, max: usize) {
        if count > max {
            self.add(path, code, format!("{count} are more than {max}"));
        }
    }
}
