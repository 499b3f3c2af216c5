//! What one policy changes of another.

use std::collections::{HashMap, HashSet};

use crate::domain::policy::Document;

/// What is different in one part of a document, by name.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Difference {
    /// Only in the later one.
    pub added: Vec<String>,
    /// Only in the earlier one.
    pub removed: Vec<String>,
    /// In both, but not the same.
    pub changed: Vec<String>,
}

/// What is different, by part of the document; parts without a difference are left out.
pub type Differences = Vec<(&'static str, Difference)>;

/// Compares two documents. The order in which things are written says nothing, but for channels of
/// one rank; that is no difference here.
pub fn compare(before: &Document, after: &Document) -> Differences {
    let parts = [
        (
            "channels",
            part(&before.channels, &after.channels, |of| &of.name),
        ),
        ("sets", part(&before.sets, &after.sets, |of| &of.name)),
        ("tags", part(&before.tags, &after.tags, |of| &of.name)),
        ("rules", part(&before.rules, &after.rules, |of| &of.id)),
        (
            "change_sets",
            part(&before.change_sets, &after.change_sets, |of| &of.name),
        ),
        (
            "campaigns",
            part(&before.campaigns, &after.campaigns, |of| &of.name),
        ),
        ("deficits", deficits(before, after)),
    ];
    let mut differences = Vec::from(parts);
    differences.retain(|(_, difference)| *difference != Difference::default());
    differences
}

fn deficits(before: &Document, after: &Document) -> Difference {
    let is_changed = before.deficit_order != after.deficit_order;
    Difference {
        changed: is_changed.then(|| "order".to_owned()).into_iter().collect(),
        ..Difference::default()
    }
}

fn part<T: PartialEq>(before: &[T], after: &[T], name: fn(&T) -> &String) -> Difference {
    let known: HashMap<&str, &T> = before.iter().map(|of| (name(of).as_str(), of)).collect();
    let mut difference = Difference::default();
    for of in after {
        match known.get(name(of).as_str()) {
            None => difference.added.push(name(of).clone()),
            Some(was) if *was != of => difference.changed.push(name(of).clone()),
            Some(_) => {}
        }
    }
    let named: HashSet<&str> = after.iter().map(|of| name(of).as_str()).collect();
    let gone = before
        .iter()
        .filter(|of| !named.contains(name(of).as_str()));
    difference.removed = gone.map(|of| name(of).clone()).collect();
    difference
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::policy::Entry;

    fn channels(of: &[(&str, Option<u16>)]) -> Document {
        let entry = |(name, rank): &(&str, Option<u16>)| Entry {
            name: (*name).to_owned(),
            parent: None,
            rank: *rank,
            fallback: None,
        };
        Document {
            channels: of.iter().map(entry).collect(),
            ..Document::default()
        }
    }

    #[test]
    fn parts_are_compared_by_name() {
        let before = channels(&[("a", None), ("b", None), ("c", Some(1))]);
        let after = channels(&[("c", Some(2)), ("a", None), ("d", None)]);
        let difference = Difference {
            added: vec!["d".to_owned()],
            removed: vec!["b".to_owned()],
            changed: vec!["c".to_owned()],
        };
        assert_eq!(compare(&before, &after), [("channels", difference)]);
        assert_eq!(compare(&after, &after), []);
    }
}
