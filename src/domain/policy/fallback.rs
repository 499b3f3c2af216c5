//! Whose shares a channel may use when its own does not do.

use super::document::Document;
use super::tree::Tree;
use crate::domain::ids::ChannelIx;

/// The lists of all channels, each its own or the one that it has from above.
#[derive(Debug, Default)]
pub(super) struct Fallbacks {
    /// By channel; nothing at all where no entry has a list.
    of: Box<[Box<[ChannelIx]>]>,
}

impl Fallbacks {
    pub(super) fn new(
        document: &Document,
        tree: &Tree<'_>,
        channel_index: impl Fn(&str) -> Option<ChannelIx>,
    ) -> Self {
        let entries = &document.channels;
        if entries.iter().all(|entry| entry.fallback.is_none()) {
            return Self::default();
        }
        let mut of: Vec<Box<[ChannelIx]>> = Vec::new();
        for (at, entry) in entries.iter().enumerate() {
            let Some(ChannelIx(channel)) = channel_index(&entry.name) else {
                continue;
            };
            let channel = usize::from(channel);
            if of.len() <= channel {
                of.resize(channel.saturating_add(1), Box::default());
            }
            let own = |at: usize| entries.get(at)?.fallback.as_deref();
            let list = tree.upwards(at).find_map(own).unwrap_or_default();
            if let Some(place) = of.get_mut(channel) {
                *place = list.iter().filter_map(|name| channel_index(name)).collect();
            }
        }
        Self { of: of.into() }
    }

    /// Of all channels that have any.
    pub(super) fn all(&self) -> impl Iterator<Item = (ChannelIx, &[ChannelIx])> {
        let lists = self.of.iter().map(AsRef::as_ref);
        let numbered = (0..).map(ChannelIx).zip(lists);
        numbered.filter(|(_, list): &(_, &[_])| !list.is_empty())
    }

    /// Of one channel, in the order in which they are asked.
    pub(super) fn of(&self, channel: ChannelIx) -> &[ChannelIx] {
        let list = self.of.get(usize::from(channel.0));
        list.map_or(&[], |list| list)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::policy::{Entry, Policy};

    fn entry(name: &str, parent: Option<&str>, fallback: Option<&[&str]>) -> Entry {
        Entry {
            name: name.into(),
            parent: parent.map(Into::into),
            rank: None,
            fallback: fallback.map(|names| names.iter().map(|name| (*name).to_owned()).collect()),
        }
    }

    #[test]
    fn a_list_is_that_of_the_nearest_entry_above_that_has_one() {
        let document = Document {
            channels: vec![
                entry("c0", None, Some(&["c4", "c3"])),
                entry("c1", Some("c0"), None),
                entry("c2", Some("c1"), Some(&["c0"])),
                entry("c3", None, Some(&[])),
                entry("c4", None, None),
                entry("c5", Some("c0"), Some(&[])),
            ],
            ..Document::default()
        };
        // The last is not named yet.
        let index = |name: &str| {
            let number = name
                .strip_prefix('c')
                .and_then(|number| number.parse().ok());
            number.filter(|number| *number < 5).map(ChannelIx)
        };
        let policy = Policy::compile(&document, index).unwrap();
        let of = |channel| -> Vec<u16> {
            let list = policy.fallbacks(ChannelIx(channel)).iter();
            list.map(|channel| channel.0).collect()
        };
        assert_eq!((of(0), of(1)), (vec![4, 3], vec![4, 3]));
        assert_eq!(of(2), [0], "its own list goes before");
        assert!((3..7).all(|channel| of(channel).is_empty()));
    }
}
