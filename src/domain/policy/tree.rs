//! The tree of channels, numbered so that a group is an interval.

use std::collections::HashMap;

use super::document::Entry;

/// The rank of who has none: last.
pub(super) const LAST: u16 = u16::MAX;

/// Where an entry stands. Its subtree is every number in `low..high`, itself first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Its own number.
    pub low: u16,
    /// The first number after its subtree.
    pub high: u16,
    /// Its own rank, or that of the nearest entry above that has one, or [`LAST`].
    pub rank: u16,
}

impl Place {
    pub(super) const fn contains(self, number: u16) -> bool {
        self.low <= number && number < self.high
    }
}

/// The entries of a document as a tree.
///
/// A document with faults has one as well, so that everything else in it can be checked: there an
/// entry whose parent is unknown, or that is above itself, stands at the top.
#[derive(Debug)]
pub(super) struct Tree<'d> {
    by_name: HashMap<&'d str, usize>,
    parents: Vec<Option<usize>>,
    places: Vec<Place>,
    cyclic: Vec<usize>,
}

impl<'d> Tree<'d> {
    pub(super) fn new(entries: &'d [Entry]) -> Self {
        let mut by_name = HashMap::with_capacity(entries.len());
        for (at, entry) in entries.iter().enumerate() {
            by_name.entry(entry.name.as_str()).or_insert(at);
        }
        let named = |entry: &Entry| {
            let parent = entry.parent.as_deref()?;
            by_name.get(parent).copied()
        };
        let mut parents: Vec<_> = entries.iter().map(named).collect();
        let on_cycle = |at: &usize| above(&parents, *at).any(|above| above == *at);
        let cyclic: Vec<_> = (0..entries.len()).filter(on_cycle).collect();
        for at in &cyclic {
            if let Some(parent) = parents.get_mut(*at) {
                *parent = None;
            }
        }
        let places = number(entries, &parents);
        Self {
            by_name,
            parents,
            places,
            cyclic,
        }
    }

    /// The entry of that name.
    pub(super) fn find(&self, name: &str) -> Option<usize> {
        self.by_name.get(name).copied()
    }

    /// Where an entry stands.
    pub(super) fn place(&self, at: usize) -> Option<Place> {
        self.places.get(at).copied()
    }

    /// The entries that are above themselves.
    pub(super) fn cyclic(&self) -> &[usize] {
        &self.cyclic
    }

    /// An entry and those above it, nearest first.
    pub(super) fn upwards(&self, at: usize) -> impl Iterator<Item = usize> {
        std::iter::once(at).chain(above(&self.parents, at))
    }

    /// On which level an entry is; 1 is the top.
    pub(super) fn level(&self, at: usize) -> usize {
        above(&self.parents, at).count().saturating_add(1)
    }
}

/// The entries above one, nearest first; no more than there are, should they go round.
fn above(parents: &[Option<usize>], at: usize) -> impl Iterator<Item = usize> {
    let parent = move |at: &usize| parents.get(*at).copied().flatten();
    std::iter::successors(parent(&at), parent).take(parents.len())
}

/// Numbers the entries in preorder. Siblings come by rank, then as they are written: so the smaller
/// number goes first wherever two compete.
fn number(entries: &[Entry], parents: &[Option<usize>]) -> Vec<Place> {
    let mut children: Vec<Vec<usize>> = vec![Vec::new(); entries.len()];
    let mut top = Vec::new();
    for (at, parent) in parents.iter().enumerate() {
        let siblings = parent.and_then(|parent| children.get_mut(parent));
        siblings.unwrap_or(&mut top).push(at);
    }
    let own = |at: usize| entries.get(at).and_then(|entry| entry.rank);
    for siblings in children.iter_mut().chain([&mut top]) {
        siblings.sort_by_key(|at| own(*at).unwrap_or(LAST));
    }
    let nowhere = Place {
        low: 0,
        high: 0,
        rank: LAST,
    };
    let mut places = vec![nowhere; entries.len()];
    let mut next = 0_u16;
    let mut path: Vec<(usize, std::slice::Iter<'_, usize>)> = vec![(usize::MAX, top.iter())];
    while let Some((parent, rest)) = path.last_mut() {
        let Some(at) = rest.next().copied() else {
            if let Some(place) = places.get_mut(*parent) {
                place.high = next;
            }
            path.pop();
            continue;
        };
        let inherited = places.get(*parent).map_or(LAST, |place| place.rank);
        if let Some(place) = places.get_mut(at) {
            place.low = next;
            place.rank = own(at).unwrap_or(inherited);
        }
        next = next.saturating_add(1);
        path.push((at, children.get(at).map_or([].iter(), |below| below.iter())));
    }
    places
}
