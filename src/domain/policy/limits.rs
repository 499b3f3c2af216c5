//! The limits of one rule, and what can be said of all of them together.

use super::compile::InForce;
use super::document::{Amount, LimitOn, Protection};
use super::room::{Supply, add};
use super::tree::{Place, Tree};
use crate::domain::units::Units;
use crate::domain::uses::Uses;

/// The limits of one entry in one rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EntryLimit {
    /// Where the entry stands.
    pub place: Place,
    /// The nearest entry above it that has limits in this rule, by position there.
    pub parent: Option<u16>,
    /// How many such entries are above it.
    pub depth: u16,
    /// The most that it may use.
    pub cap: Option<Amount>,
    /// The least that is kept for it.
    pub protection: Option<Protection>,
}

/// See the module's documentation.
#[derive(Debug, Default)]
pub struct Limits {
    each: Box<[EntryLimit]>,
    kept: Kept,
    least: LeastCap,
}

/// No more than this is kept by the protections of a rule together: a share and units.
#[derive(Debug, Clone, Copy, Default)]
pub struct Kept {
    /// In basis points.
    pub share: u64,
    /// With one for each share, which is rounded up by itself.
    pub units: u64,
}

/// No cap of a rule is less than this, neither the share nor the units.
#[derive(Debug, Clone, Copy)]
pub struct LeastCap {
    /// In basis points, where a cap is a share.
    pub share: Option<u16>,
    /// [`Units::MAX`] where no cap is in units.
    pub units: Units,
}

impl Limits {
    pub(super) fn new(limits: &[LimitOn], tree: &Tree<'_>) -> Self {
        let each = in_preorder(limits, tree);
        Self {
            kept: Kept::of(&each),
            least: LeastCap::of(&each),
            each,
        }
    }

    /// In preorder.
    pub const fn each(&self) -> &[EntryLimit] {
        &self.each
    }

    /// All that is kept.
    pub const fn kept(&self) -> Kept {
        self.kept
    }

    /// The least of the caps.
    pub const fn least(&self) -> LeastCap {
        self.least
    }
}

impl Kept {
    fn of(limits: &[EntryLimit]) -> Self {
        let mut kept = Self::default();
        for protection in limits.iter().filter_map(|limit| limit.protection) {
            match protection.amount {
                Amount::Units(units) => kept.units = kept.units.saturating_add(units.get()),
                Amount::Percent(share) => {
                    kept.share = kept.share.saturating_add(share.into());
                    kept.units = kept.units.saturating_add(1);
                }
            }
        }
        kept
    }

    /// No more than this is kept of a supply for all together; `None` where that is more than can
    /// be counted.
    fn at_most(&self, supply: Units) -> Option<Units> {
        let share = supply.get().checked_mul(self.share)? / 10_000;
        Units::new(share.checked_add(self.units)?)
    }
}

impl Default for LeastCap {
    fn default() -> Self {
        Self {
            share: None,
            units: Units::MAX,
        }
    }
}

impl LeastCap {
    fn of(limits: &[EntryLimit]) -> Self {
        let mut least = Self::default();
        for cap in limits.iter().filter_map(|limit| limit.cap) {
            match cap {
                Amount::Units(units) => least.units = least.units.min(units),
                Amount::Percent(share) => {
                    least.share = Some(least.share.map_or(share, |least| least.min(share)));
                }
            }
        }
        least
    }

    fn of_supply(&self, supply: Units) -> Units {
        let share = self.share.map(|share| supply.share_down(share));
        share.map_or(self.units, |share| share.min(self.units))
    }
}

impl InForce<'_> {
    /// Whether so many units are within every limit, whoever asks for them: what is free, and what
    /// all together leave of the smallest cap, both have room for them beside all that is kept for
    /// anybody. Then no limit has to be looked at by itself: on the way from the top to a channel
    /// nothing else is taken off, and nothing twice. Shares that were moved may add up otherwise.
    pub(super) fn suffices(&self, asked: Units, supply: Supply, uses: &Uses, taken: Units) -> bool {
        let (mut used, mut total) = (taken, supply.on_hand);
        for of in uses.in_window(self.window()) {
            if of.moved != 0 {
                return false;
            }
            used = add(used, of.total());
            total = add(total, of.shipped);
        }
        let Limits { kept, least, .. } = self.limits;
        let beside = |kept| {
            let under_caps = least.of_supply(total).left_after(used);
            asked <= supply.free.min(under_caps).left_after(kept)
        };
        kept.at_most(total).is_some_and(beside)
    }
}

/// The limits of a rule in preorder, each with the nearest one above it.
fn in_preorder(limits: &[LimitOn], tree: &Tree<'_>) -> Box<[EntryLimit]> {
    let placed = limits.iter().filter_map(|limit| {
        Some(EntryLimit {
            place: tree.find(&limit.channel).and_then(|at| tree.place(at))?,
            parent: None,
            depth: 0,
            cap: limit.cap,
            protection: limit.protection,
        })
    });
    let mut placed: Vec<_> = placed.collect();
    placed.sort_by_key(|limit| limit.place.low);
    let mut path: Vec<(u16, Place)> = Vec::new();
    for (at, limit) in placed.iter_mut().enumerate() {
        while path
            .pop_if(|(_, above)| !above.contains(limit.place.low))
            .is_some()
        {}
        limit.parent = path.last().map(|(above, _)| *above);
        limit.depth = u16::try_from(path.len()).unwrap_or(u16::MAX);
        path.push((u16::try_from(at).unwrap_or(u16::MAX), limit.place));
    }
    placed.into()
}
