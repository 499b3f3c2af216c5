//! A hash index of slots: what it points to lives elsewhere.
//!
//! Each entry keeps 32 bits of the hash beside the slot, so that growing the table touches no
//! value, and a look-up touches none but the one it wants.

use hashbrown::HashTable;

/// See the module's documentation.
#[derive(Debug, Default)]
pub(super) struct Index {
    table: HashTable<Entry>,
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    tag: u32,
    slot: u32,
}

/// Spreads a tag over 64 bits: the table wants entropy in the low and in the top bits.
fn spread(tag: u32) -> u64 {
    u64::from(tag).wrapping_mul(0x9E37_79B9_7F4A_7C15)
}

fn tag(hash: u64) -> u32 {
    u32::try_from(hash & u64::from(u32::MAX)).unwrap_or(0)
}

impl Index {
    /// The slot with this hash that `is` accepts. Uses the low 32 bits of the hash.
    pub(super) fn find(&self, hash: u64, is: impl Fn(u32) -> bool) -> Option<u32> {
        let tag = tag(hash);
        let same = |entry: &Entry| entry.tag == tag && is(entry.slot);
        self.table.find(spread(tag), same).map(|entry| entry.slot)
    }

    /// Adds a slot that is not there yet.
    pub(super) fn insert(&mut self, hash: u64, slot: u32) {
        let tag = tag(hash);
        self.table
            .insert_unique(spread(tag), Entry { tag, slot }, |entry| spread(entry.tag));
    }

    /// Removes a slot.
    pub(super) fn remove(&mut self, hash: u64, slot: u32) {
        let tag = tag(hash);
        if let Ok(entry) = self
            .table
            .find_entry(spread(tag), |entry| entry.slot == slot)
        {
            entry.remove();
        }
    }
}
