//! What a channel may take with the shares of its fallbacks.
//!
//! A line is of one share, its own channel's if that does, so that what it gives back goes where it
//! came from.

use smallvec::SmallVec;

use super::room::{Bound, Claim, Standing, Supply, add};
use crate::domain::ids::ChannelIx;
use crate::domain::units::Units;
use crate::domain::uses::Uses;

/// What earlier lines of the same command took of a SKU.
#[derive(Debug, Default)]
pub struct Taken {
    all: Units,
    by: SmallVec<[(ChannelIx, Units); 1]>,
}

impl Taken {
    /// So many units that are charged to that channel.
    pub fn of(channel: ChannelIx, units: Units) -> Self {
        let mut taken = Self::default();
        taken.add(Some(channel), units);
        taken
    }

    /// All of it.
    pub const fn all(&self) -> Units {
        self.all
    }

    /// Counts units that are charged to a channel, where a rule is in force.
    pub fn add(&mut self, channel: Option<ChannelIx>, units: Units) {
        self.all = add(self.all, units);
        let Some(channel) = channel else { return };
        match self.by.iter_mut().find(|(by, _)| *by == channel) {
            Some((_, taken)) => *taken = add(*taken, units),
            None => self.by.push((channel, units)),
        }
    }

    /// Nothing, as before the first line of another SKU.
    pub fn clear(&mut self) {
        self.all = Units::ZERO;
        self.by.clear();
    }

    /// What is charged to each channel.
    pub(super) fn each(&self) -> impl Iterator<Item = (ChannelIx, Units)> {
        self.by.iter().copied()
    }
}

/// Of whose share a channel may take most, and what keeps it from more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lent {
    /// What its own share says, with the room there is; `None`: it may have all that is free.
    pub bound: Option<Bound>,
    /// The channel whose share it is; `None`: its own.
    pub charged_to: Option<ChannelIx>,
}

impl Claim<'_> {
    /// Whether the channel may use the share of any other.
    pub fn may_be_lent(&self) -> bool {
        !self.rule.fallbacks(self.channel).is_empty()
    }

    /// Whose share does for that many units: its own, or else the first of its fallbacks' that does,
    /// or else the one with the most room, of which the first. `own` is what its own share leaves.
    #[cold]
    pub fn lent(
        &self,
        own: Bound,
        wanted: Units,
        (supply, uses): (Supply, &Uses),
        taken: &Taken,
    ) -> Lent {
        let mut best = Lent {
            bound: Some(own),
            charged_to: None,
        };
        let mut most = own.room;
        for channel in self.rule.fallbacks(self.channel) {
            if most >= wanted {
                break;
            }
            let bound = self.rule.room(*channel, supply, uses, taken);
            let room = bound.map_or(supply.free, |bound| bound.room);
            if room > most {
                most = room;
                best = Lent {
                    bound: bound.map(|_| Bound { room, ..own }),
                    charged_to: Some(*channel),
                };
            }
        }
        best
    }

    /// How the channel stands. What is left to it is the most that one line could take.
    pub fn standing(&self, supply: Supply, uses: &Uses) -> Standing {
        let own = self.rule.standing(self.channel, supply, uses);
        let taken = Taken::default();
        let lent = |own| self.lent(own, Units::MAX, (supply, uses), &taken).bound;
        let bound = own.bound.and_then(lent);
        Standing {
            left: bound.map_or(supply.free, |bound| bound.room),
            bound,
            ..own
        }
    }
}
