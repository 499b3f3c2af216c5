//! A hash index of slots: what it points to lives elsewhere.
//!
//! Cells of 32 bits of the hash, the tag, and the slot stand in the order of their tags, each at
//! the place that its tag asks for or in the next free one behind it (ordered linear probing). So
//! a look-up touches one cache line, whether it finds something or not, and no value but the one
//! it wants; and growing is one pass over the old cells and over the new ones, by a third, since
//! any capacity will do.
//!
//! Tags are taken from hashes with a secret seed: nobody can aim for one place.

/// See the module's documentation.
#[derive(Debug, Default)]
pub(super) struct Index {
    /// As many as tags are spread over, and some more, so that the last ones find room without
    /// going round.
    cells: Vec<Cell>,
    /// Cells that tags are spread over.
    spread: usize,
    len: usize,
}

/// A place for one slot. Slabs have no slot `u32::MAX`: it marks a free cell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Cell {
    tag: u32,
    slot: u32,
}

const FREE: Cell = Cell {
    tag: u32::MAX,
    slot: u32::MAX,
};

/// Cells behind those that tags are spread over.
const SPARE: usize = 32;

impl Cell {
    const fn is_free(self) -> bool {
        self.slot == FREE.slot
    }
}

fn tag(hash: u64) -> u32 {
    u32::try_from(hash & u64::from(u32::MAX)).unwrap_or(0)
}

/// The place of a tag: in the order of tags, evenly spread.
fn home(tag: u32, spread: usize) -> usize {
    let place = u64::from(tag).saturating_mul(u64::try_from(spread).unwrap_or(0)) >> 32;
    usize::try_from(place).unwrap_or(0)
}

impl Index {
    /// The slot with this hash that `is` accepts. Uses the low 32 bits of the hash.
    pub(super) fn find(&self, hash: u64, is: impl Fn(u32) -> bool) -> Option<u32> {
        let tag = tag(hash);
        let from = self.cells.get(home(tag, self.spread)..)?;
        from.iter()
            .take_while(|cell| !cell.is_free() && cell.tag <= tag)
            .filter(|cell| cell.tag == tag)
            .map(|cell| cell.slot)
            .find(|slot| is(*slot))
    }

    /// Adds a slot that is not there yet.
    pub(super) fn insert(&mut self, hash: u64, slot: u32) {
        // Three quarters full: look-ups that find nothing still end within a few cells.
        if self.len >= self.spread / 4 * 3 {
            self.grow();
        }
        let tag = tag(hash);
        let mut moving = Cell { tag, slot };
        let mut at = home(tag, self.spread);
        // Whatever has a larger tag moves on by one, up to the next free cell.
        loop {
            let Some(cell) = self.cells.get_mut(at) else {
                self.cells.push(moving);
                break;
            };
            if cell.is_free() {
                *cell = moving;
                break;
            }
            if cell.tag > moving.tag {
                std::mem::swap(cell, &mut moving);
            }
            at += 1;
        }
        self.len += 1;
    }

    /// Removes a slot.
    pub(super) fn remove(&mut self, hash: u64, slot: u32) {
        let tag = tag(hash);
        let mut at = home(tag, self.spread);
        loop {
            match self.cells.get(at) {
                Some(cell) if !cell.is_free() && cell.slot != slot => at += 1,
                Some(cell) if !cell.is_free() => break,
                _ => return,
            }
        }
        self.len -= 1;
        // Those behind it that are not where their tags ask for come nearer by one.
        loop {
            let next = self.cells.get(at + 1).copied().unwrap_or(FREE);
            let comes = !next.is_free() && home(next.tag, self.spread) <= at;
            if let Some(cell) = self.cells.get_mut(at) {
                *cell = if comes { next } else { FREE };
            }
            if !comes {
                return;
            }
            at += 1;
        }
    }

    fn grow(&mut self) {
        let spread = (self.spread + self.spread / 3).next_multiple_of(16);
        let spread = spread.max(self.spread + 16);
        let mut cells = Vec::with_capacity(spread + SPARE);
        for cell in self.cells.iter().filter(|cell| !cell.is_free()) {
            let home = home(cell.tag, spread);
            if cells.len() < home {
                cells.resize(home, FREE);
            }
            cells.push(*cell);
        }
        if cells.len() < spread + SPARE {
            cells.resize(spread + SPARE, FREE);
        }
        self.cells = cells;
        self.spread = spread;
    }

    /// Fetches what a look-up of this hash will read.
    pub(super) fn warm(&self, hash: u64) {
        let cell = self.cells.get(home(tag(hash), self.spread));
        std::hint::black_box(cell.map(|cell| cell.slot));
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    /// The cells as the module's documentation says, and how many of them are taken.
    fn taken(index: &Index) -> usize {
        let mut last = None;
        for (at, cell) in index.cells.iter().enumerate() {
            if cell.is_free() {
                last = None;
                continue;
            }
            let home = home(cell.tag, index.spread);
            assert!(home == at || home < at && last <= Some(cell.tag) && last.is_some());
            last = Some(cell.tag);
        }
        index.cells.iter().filter(|cell| !cell.is_free()).count()
    }

    /// Random additions and removals, against a table known to be right. Few tags make long runs;
    /// the largest tags run over the end.
    fn against_a_table(tags: &[u64], steps: u32) {
        let mut index = Index::default();
        let mut table: HashMap<u32, u64> = HashMap::new();
        let mut random = 7_u64;
        for slot in 0..steps {
            random = random.wrapping_mul(6_364_136_223_846_793_005) + 1;
            let pick = usize::try_from(random >> 33).unwrap();
            let hash = tags
                .get(pick % tags.len().max(1))
                .copied()
                .unwrap_or(random >> 16);
            index.insert(hash, slot);
            table.insert(slot, hash);
            if random >> 62 == 0 {
                let old = u32::try_from(random >> 32).unwrap() % (slot + 1);
                if let Some(hash) = table.remove(&old) {
                    index.remove(hash, old);
                    assert_eq!(index.find(hash, |slot| slot == old), None);
                }
            }
        }
        assert_eq!((taken(&index), index.len), (table.len(), table.len()));
        for (slot, hash) in table {
            assert_eq!(index.find(hash, |found| found == slot), Some(slot));
        }
    }

    #[test]
    fn finds_what_is_in_it_and_nothing_else() {
        against_a_table(&[], 20_000);
        against_a_table(&[3, 3 << 28, u64::from(u32::MAX)], 500);
    }
}
