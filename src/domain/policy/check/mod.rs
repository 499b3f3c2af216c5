//! Finds everything that is wrong with a document, all at once.

mod campaigns;
mod channels;
mod limits;
mod rules;
mod skus;
mod terms;

use std::collections::HashSet;
use std::fmt::Display;

use super::document::{Document, Every, Period};
use super::tree::Tree;
use crate::domain::ids::{Sku, check_name};
use crate::domain::time::UnixMillis;

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
    campaigns::check(document, tree, &mut faults);
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

    /// A period with an end, and how often a window begins in it.
    fn period(&mut self, path: &str, (from, until): Period, every: Option<Every>) {
        if until <= from {
            let path = format!("{path}.until");
            self.add(path, "empty_period", "the period ends before it begins");
            return;
        }
        let length = until.0.saturating_sub(from.0);
        if every.is_some_and(|every| every.as_millis() > length) {
            let path = format!("{path}.every");
            let message = "one window is longer than the period";
            self.add(path, "period_too_short", message);
        }
    }
}

/// The periods that begin before one that began no later has ended, each with that one. Empty ones
/// overlap nothing.
fn overlaps(mut periods: Vec<(Period, usize)>) -> Vec<(usize, usize)> {
    periods.retain(|((from, until), _)| from < until);
    periods.sort_unstable();
    let mut latest: Option<(UnixMillis, usize)> = None;
    let mut found = Vec::new();
    for ((from, until), at) in periods {
        if let Some((_, other)) = latest.filter(|(end, _)| from < *end) {
            found.push((at, other));
        }
        if latest.is_none_or(|(end, _)| end < until) {
            latest = Some((until, at));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn periods_that_touch_or_are_empty_overlap_nothing() {
        let found = |periods: &[(i64, i64)]| {
            let numbered = periods.iter().zip(0..);
            let period = |(from, until): (i64, i64)| (UnixMillis(from), UnixMillis(until));
            overlaps(numbered.map(|(of, at)| (period(*of), at)).collect())
        };
        assert_eq!(found(&[(10, 20), (0, 10), (20, 30)]), []);
        assert_eq!(found(&[(0, 10), (5, 5)]), []);
        assert_eq!(found(&[(9, 20), (0, 10)]), [(0, 1)]);
        // The first lasts longest: the others are inside of it, not of each other.
        assert_eq!(found(&[(0, 100), (10, 20), (30, 40)]), [(1, 0), (2, 0)]);
    }
}
