//! The tree of channels.

use super::Faults;
use crate::domain::policy::document::{Document, Entry};
use crate::domain::policy::tree::Tree;
use crate::limits::{CHANNELS_MAX, POLICY_FALLBACKS_MAX, POLICY_LEVELS_MAX};

pub(super) fn check(document: &Document, tree: &Tree<'_>, faults: &mut Faults) {
    let entries = &document.channels;
    faults.at_most("channels", "too_many_channels", entries.len(), CHANNELS_MAX);
    faults.names(
        "channels",
        "name",
        entries.iter().map(|of| of.name.as_str()),
    );
    for (at, entry) in entries.iter().enumerate() {
        if entry.rank == Some(0) {
            let path = format!("channels[{at}].rank");
            faults.add(path, "bad_rank", "ranks begin with 1");
        }
        fallback(at, entry, tree, faults);
        let Some(parent) = &entry.parent else {
            continue;
        };
        if tree.find(parent).is_none() {
            let path = format!("channels[{at}].parent");
            faults.add(path, "unknown_channel", format!("no channel {parent}"));
        }
        if tree.level(at) > POLICY_LEVELS_MAX {
            let path = format!("channels[{at}].parent");
            let message = format!("deeper than {POLICY_LEVELS_MAX} levels");
            faults.add(path, "too_deep", message);
        }
    }
    for at in tree.cyclic() {
        let path = format!("channels[{at}].parent");
        faults.add(path, "cycle", "the channel is above itself");
    }
}

/// Whose shares an entry may use: those of entries above it too, but of none below, for which else
/// nothing would be kept from it.
fn fallback(at: usize, entry: &Entry, tree: &Tree<'_>, faults: &mut Faults) {
    let names = entry.fallback.as_deref().unwrap_or_default();
    let path = format!("channels[{at}].fallback");
    let count = names.len();
    faults.at_most(&path, "too_many_fallbacks", count, POLICY_FALLBACKS_MAX);
    let place = tree.place(at);
    for (rank, name) in names.iter().enumerate() {
        let path = format!("{path}[{rank}]");
        let found = tree.find(name).and_then(|of| tree.place(of));
        let is_below = |of| place.is_some_and(|place| place.contains(of));
        if names.iter().take(rank).any(|before| before == name) {
            let message = format!("{name} is there already");
            faults.add(path, "duplicate_fallback", message);
        } else if *name == entry.name {
            faults.add(path, "own_fallback", "the share is its own");
        } else if found.is_none() {
            faults.add(path, "unknown_channel", format!("no channel {name}"));
        } else if found.is_some_and(|of| is_below(of.low)) {
            let message = format!("{name} is below {}", entry.name);
            faults.add(path, "fallback_below", message);
        }
    }
}
