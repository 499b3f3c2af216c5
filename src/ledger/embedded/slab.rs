//! Slots with stable small addresses: a list of fixed-size chunks, so that growing never moves or
//! copies what is there, and memory grows in small steps.

/// Slots per chunk. One less than a power of two: values that fill cache lines are aligned to them,
/// and with that the allocator has the chunk just fit, where it would else waste a quarter.
const CHUNK: usize = 255;

/// Slots made ready at once: few enough to be in the cache still when their turn comes.
const AHEAD: usize = 15;

/// A store of values under `u32` slots; freed slots are used again.
#[derive(Debug)]
pub(super) struct Slab<T> {
    /// Some slots behind the last used one are there and empty, so that the next one can be read
    /// ahead of time.
    chunks: Vec<Vec<Option<T>>>,
    free: Vec<u32>,
    /// Slots ever used.
    used: u32,
    len: usize,
}

impl<T> Default for Slab<T> {
    fn default() -> Self {
        Self {
            chunks: Vec::new(),
            free: Vec::new(),
            used: 0,
            len: 0,
        }
    }
}

fn split(slot: u32) -> Option<(usize, usize)> {
    let slot = usize::try_from(slot).ok()?;
    Some((slot / CHUNK, slot % CHUNK))
}

impl<T> Slab<T> {
    /// Number of values.
    pub(super) const fn len(&self) -> usize {
        self.len
    }

    /// One past the highest slot ever used.
    pub(super) const fn slots(&self) -> u32 {
        self.used
    }

    /// Puts a value in a free slot. `None` when all 2^32 are taken.
    pub(super) fn insert(&mut self, value: T) -> Option<u32> {
        let slot = match self.free.pop() {
            Some(slot) => slot,
            None => self.unused()?,
        };
        *self.place(slot)? = Some(value);
        self.len += 1;
        Some(slot)
    }

    /// The next slot that was never used.
    fn unused(&mut self) -> Option<u32> {
        let slot = self.used;
        self.used = slot.checked_add(1)?;
        let (chunk, at) = split(slot)?;
        if chunk == self.chunks.len() {
            self.chunks.push(Vec::with_capacity(CHUNK));
        }
        let chunk = self.chunks.get_mut(chunk)?;
        if at == chunk.len() {
            chunk.resize_with(CHUNK.min(at + AHEAD), || None);
        }
        Some(slot)
    }

    /// Fetches the place of the next value.
    pub(super) fn warm_next(&self) {
        let next = self.free.last().copied().unwrap_or(self.used);
        std::hint::black_box(self.get(next).is_some());
    }

    fn place(&mut self, slot: u32) -> Option<&mut Option<T>> {
        let (chunk, at) = split(slot)?;
        self.chunks.get_mut(chunk)?.get_mut(at)
    }

    /// The value at a slot.
    pub(super) fn get(&self, slot: u32) -> Option<&T> {
        let (chunk, at) = split(slot)?;
        self.chunks.get(chunk)?.get(at)?.as_ref()
    }

    /// The value at a slot.
    pub(super) fn get_mut(&mut self, slot: u32) -> Option<&mut T> {
        self.place(slot)?.as_mut()
    }

    /// Takes the value out; the slot is free again.
    pub(super) fn remove(&mut self, slot: u32) -> Option<T> {
        let value = self.place(slot)?.take()?;
        self.free.push(slot);
        self.len -= 1;
        Some(value)
    }

    /// All values with their slots, in slot order.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u32, &T)> {
        let all = self.chunks.iter().flatten();
        (0..self.used)
            .zip(all)
            .filter_map(|(slot, value)| value.as_ref().map(|value| (slot, value)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_stable_and_used_again() {
        let mut slab = Slab::default();
        let slots: Vec<u32> = (0..1_000).map(|n| slab.insert(n).unwrap()).collect();
        assert_eq!(slots, (0..1_000).collect::<Vec<u32>>());
        assert_eq!(slab.remove(300), Some(300));
        assert_eq!(slab.remove(300), None);
        assert_eq!(slab.get(300), None);
        assert_eq!(slab.insert(7), Some(300));
        assert_eq!((slab.len(), slab.slots()), (1_000, 1_000));
        assert_eq!(
            slab.iter().filter(|(slot, value)| slot == *value).count(),
            999
        );
    }
}
