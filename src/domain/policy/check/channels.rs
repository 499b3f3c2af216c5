//! The tree of channels.

use super::Faults;
use crate::domain::policy::document::Document;
use crate::domain::policy::tree::Tree;
use crate::limits::{CHANNELS_MAX, POLICY_LEVELS_MAX};

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
