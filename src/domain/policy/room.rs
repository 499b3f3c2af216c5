//! How much a channel may still take of a SKU, and what says so.
//!
//! Everything here looks at the entries that have limits in the rule in force and at nothing else:
//! "above", "below" and "siblings" are meant among those.

use smallvec::SmallVec;

use super::compile::{EntryIx, InForce};
use super::document::{Against, Amount};
use super::lending::Taken;
use super::limits::EntryLimit;
use crate::domain::ids::ChannelIx;
use crate::domain::units::Units;
use crate::domain::uses::{ChannelUse, Uses};
use crate::domain::verdict::{BoundBy, Limit};

/// A channel that wants units under the rule in force.
#[derive(Debug, Clone, Copy)]
pub struct Claim<'a> {
    /// Who.
    pub channel: ChannelIx,
    /// The rule.
    pub rule: InForce<'a>,
}

/// What there is of a SKU.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Supply {
    /// Usable units over all nodes.
    pub on_hand: Units,
    /// What nobody has and anybody might: on hand less safety, less held, less committed, less
    /// what earlier lines of the same command took.
    pub free: Units,
}

/// A limit that lets a channel take less than what is free.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bound {
    /// The most that it lets pass.
    pub room: Units,
    /// [`Limit::Cap`] or [`Limit::Protection`].
    pub limit: Limit,
    /// Whose cap, or for whom units are kept. Where they are kept for several, the entry that most
    /// are kept for.
    pub entry: EntryIx,
    /// The cap or protection as it is written.
    pub amount: Amount,
    /// What a percentage is taken of: the supply of the window.
    pub supply: Units,
    /// The cap or protection in units.
    pub units: Units,
    /// What the entry uses.
    pub used: Units,
}

/// How a channel stands with a SKU.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// What it uses, with all below it.
    pub used: Units,
    /// Its own cap in units.
    pub cap: Option<Units>,
    /// Its own protection in units.
    pub protected: Option<Units>,
    /// The most that it could take now.
    pub left: Units,
    /// What keeps it from all that is free.
    pub bound: Option<Bound>,
}

impl Claim<'_> {
    /// What its own share keeps the channel from of all that is free, unless what it asks for surely
    /// is within every limit.
    pub fn bound(&self, asked: Units, supply: Supply, uses: &Uses, taken: &Taken) -> Option<Bound> {
        if self.rule.suffices(asked, supply, uses, taken.all()) {
            return None;
        }
        self.rule.room(self.channel, supply, uses, taken)
    }
}

impl InForce<'_> {
    /// The most that a channel may take, and what says so; `None` where it may have all that is
    /// free.
    pub fn room(
        &self,
        channel: ChannelIx,
        supply: Supply,
        uses: &Uses,
        taken: &Taken,
    ) -> Option<Bound> {
        if self.limits.each().is_empty() {
            return None;
        }
        self.accounts(channel, supply, uses, taken)
            .bound(supply.free)
    }

    /// A bound in terms that outlast the policy.
    pub fn explain(&self, bound: &Bound) -> Option<BoundBy> {
        Some(BoundBy {
            channel: self.policy.channel(bound.entry)?,
            amount: bound.amount,
            supply: bound.supply,
            units: bound.units,
            used: bound.used,
        })
    }

    /// How a channel stands by its own share.
    pub fn standing(&self, channel: ChannelIx, supply: Supply, uses: &Uses) -> Standing {
        let accounts = self.accounts(channel, supply, uses, &Taken::default());
        let bound = accounts.bound(supply.free);
        let (number, _) = self.policy.find(channel);
        let own = accounts.of(number);
        let used = own.map(|(_, account)| account.used);
        Standing {
            used: used.unwrap_or_else(|| self.used(channel, number, uses)),
            cap: own.and_then(|(limit, account)| limit.cap.map(|_| account.cap)),
            protected: own.and_then(|(limit, account)| limit.protection.map(|_| account.kept)),
            left: bound.map_or(supply.free, |bound| bound.room),
            bound,
        }
    }

    /// What a channel uses with all below it, whether or not it has limits in this rule.
    fn used(&self, channel: ChannelIx, number: Option<u16>, uses: &Uses) -> Units {
        let below = number.and_then(|number| self.policy.place(number));
        let counts = |of: &ChannelUse| {
            let number = self.policy.find(of.channel).0;
            let inside = below
                .zip(number)
                .is_some_and(|(place, number)| place.contains(number));
            inside || of.channel == channel
        };
        let counted = uses.in_window(self.window()).filter(counts);
        counted.fold(Units::ZERO, |sum, of| add(sum, of.total()))
    }

    /// Sums up what every limit stands at, as it looks to that channel. Some kilobytes that are made
    /// where they stay: moving them costs as much as summing up.
    #[inline]
    pub(super) fn accounts(
        &self,
        channel: ChannelIx,
        supply: Supply,
        uses: &Uses,
        taken: &Taken,
    ) -> Accounts<'_> {
        let (number, rank) = self.policy.find(channel);
        let limits = self.limits.each();
        let mut accounts = Accounts {
            limits,
            supply: supply.on_hand,
            each: SmallVec::new(),
            path: path(limits, number),
        };
        accounts.each.resize(limits.len(), Account::default());
        for of in uses.in_window(self.window()) {
            accounts.supply = add(accounts.supply, of.shipped);
            let (number, _) = self.policy.find(of.channel);
            accounts.charge(number, of.total(), of.moved);
        }
        for (channel, units) in taken.each() {
            accounts.charge(self.policy.find(channel).0, units, 0);
        }
        accounts.sum(rank);
        accounts
    }
}

/// What one limit stands at.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Account {
    pub(super) used: Units,
    /// By how much its cap was moved.
    moved: i64,
    /// By how much its protection was: with the shares there and below that are protections.
    pub(super) moved_kept: i64,
    /// The cap in units; everything there can be where it has none.
    cap: Units,
    pub(super) cap_left: Units,
    /// The protection in units.
    kept: Units,
    /// Units that must stay there for this entry and those below it: against the channel that
    /// asks, and against anybody.
    need: Needs,
    /// The needs of those right below it.
    below: Needs,
    /// The largest protection that is still open here or below, with its position.
    largest: Largest,
}

#[derive(Debug, Clone, Copy, Default)]
struct Needs {
    binding: Units,
    core: Units,
}

impl Needs {
    fn add(&mut self, other: Self) {
        self.binding = add(self.binding, other.binding);
        self.core = add(self.core, other.core);
    }
}

#[derive(Debug, Clone, Copy, Default)]
struct Largest {
    open: Units,
    at: usize,
}

impl Largest {
    /// Of two that are alike the first in the tree is kept.
    fn or(&mut self, other: Self) {
        if (other.open, self.at) > (self.open, other.at) {
            *self = other;
        }
    }
}

/// What a channel must leave to the siblings of an entry on its path.
#[derive(Debug, Clone, Copy, Default)]
struct Siblings {
    /// To all of them.
    all: Units,
    /// To those that come before, by protections against anybody.
    before: Units,
    largest: Largest,
}

pub(super) struct Accounts<'p> {
    limits: &'p [EntryLimit],
    /// The supply of the window.
    supply: Units,
    /// As `limits`.
    pub(super) each: SmallVec<[Account; 32]>,
    /// The positions of the limits that apply to the channel that asks, outermost first.
    path: SmallVec<[usize; 16]>,
}

impl Accounts<'_> {
    /// The limits of exactly that entry.
    fn of(&self, number: Option<u16>) -> Option<(&EntryLimit, &Account)> {
        let at = *self.path.last()?;
        let (limit, account) = (self.limits.get(at)?, self.each.get(at)?);
        (Some(limit.place.low) == number).then_some((limit, account))
    }

    /// Counts units for the innermost entry with limits that contains that number; [`Self::sum`]
    /// carries them outwards.
    fn charge(&mut self, number: Option<u16>, units: Units, moved: i64) {
        let at = number.and_then(|number| innermost(self.limits, number));
        let found = at.and_then(|at| self.limits.get(at).zip(self.each.get_mut(at)));
        if let Some((limit, account)) = found {
            account.used = add(account.used, units);
            account.moved = account.moved.saturating_add(moved);
            if limit.cap.is_none() {
                account.moved_kept = account.moved_kept.saturating_add(moved);
            }
        }
    }

    /// Innermost first: whatever is below an entry is settled when its turn comes.
    fn sum(&mut self, rank: u16) {
        for (at, limit) in self.limits.iter().enumerate().rev() {
            let supply = self.supply;
            let (above, rest) = self.each.split_at_mut(at);
            let Some(settled) = rest.first_mut() else {
                continue;
            };
            settled.settle(at, limit, supply, rank);
            let parent = limit.parent.map(usize::from);
            if let Some(above) = parent.and_then(|parent| above.get_mut(parent)) {
                above.used = add(above.used, settled.used);
                above.moved = above.moved.saturating_add(settled.moved);
                above.moved_kept = above.moved_kept.saturating_add(settled.moved_kept);
                above.below.add(settled.need);
                above.largest.or(settled.largest);
            }
        }
    }

    /// Walks from all that is free down to the channel and takes away, level by level, what the
    /// others need and what the caps forbid.
    fn bound(&self, free: Units) -> Option<Bound> {
        let mut room = free;
        let mut bound = None;
        for (level, siblings) in self.siblings().iter().enumerate() {
            let next = self.path.get(level).copied();
            let account = next.and_then(|at| self.each.get(at));
            let left = match account {
                Some(account) => siblings.leave(room, account.need.core),
                None => room.left_after(siblings.all),
            };
            if left < room {
                room = left;
                bound = Some((Limit::Protection, siblings.largest.at));
            }
            let (Some(at), Some(account)) = (next, account) else {
                break;
            };
            // Where both bind alike the cap is named, unless a cap further out is already.
            let cap_first = matches!(bound, Some((Limit::Protection, _)));
            if account.cap_left < room || (cap_first && account.cap_left == room) {
                room = account.cap_left;
                bound = Some((Limit::Cap, at));
            }
        }
        let (limit, at) = bound?;
        self.describe(room, limit, at)
    }

    /// For each level of the path: what is next to it.
    fn siblings(&self) -> SmallVec<[Siblings; 17]> {
        let levels = self.path.len().saturating_add(1);
        let mut siblings: SmallVec<[Siblings; 17]> =
            smallvec::smallvec![Siblings::default(); levels];
        for (at, (limit, account)) in self.limits.iter().zip(&self.each).enumerate() {
            let level = usize::from(limit.depth);
            let on_path = level.checked_sub(1).and_then(|above| self.path.get(above));
            let is_next_to = limit.parent.map(usize::from) == on_path.copied();
            let next = self.path.get(level).copied();
            let Some(here) = siblings
                .get_mut(level)
                .filter(|_| is_next_to && next != Some(at))
            else {
                continue;
            };
            here.all = add(here.all, account.need.binding);
            if next.is_some_and(|next| at < next) {
                here.before = add(here.before, account.need.core);
            }
            here.largest.or(account.largest);
        }
        siblings
    }

    fn describe(&self, room: Units, limit: Limit, at: usize) -> Option<Bound> {
        let (on, account) = (self.limits.get(at)?, self.each.get(at)?);
        let (amount, units) = if limit == Limit::Cap {
            (on.cap?, account.cap)
        } else {
            (on.protection?.amount, account.kept)
        };
        Some(Bound {
            room,
            limit,
            entry: EntryIx(on.place.low),
            amount,
            supply: self.supply,
            units,
            used: account.used,
        })
    }
}

impl Account {
    /// What is left of its share, which is its cap, or where it has none its protection; of that
    /// nothing is left which those below it need.
    pub(super) fn share_left(&self, limit: &EntryLimit) -> Units {
        match limit.cap {
            Some(_) => self.cap_left,
            None => self
                .kept
                .left_after(self.used)
                .left_after(self.below.binding),
        }
    }

    fn settle(&mut self, at: usize, limit: &EntryLimit, supply: Units, rank: u16) {
        self.cap = match limit.cap {
            None => Units::MAX,
            Some(Amount::Percent(share)) => moved(supply.share_down(share), self.moved),
            Some(Amount::Units(units)) => moved(units, self.moved),
        };
        self.cap_left = match limit.cap {
            None => Units::MAX,
            Some(_) => self.cap.left_after(self.used),
        };
        let mut open = Needs::default();
        if let Some(protection) = limit.protection {
            self.kept = match protection.amount {
                Amount::Percent(share) => moved(supply.share_up(share), self.moved_kept),
                Amount::Units(units) => moved(units, self.moved_kept),
            };
            let rest = self.kept.left_after(self.used);
            match protection.against {
                Against::All => {
                    open = Needs {
                        binding: rest,
                        core: rest,
                    }
                }
                Against::LowerRanks if rank > limit.place.rank => open.binding = rest,
                Against::LowerRanks => {}
            }
        }
        // What its cap would not let it take need not be kept for it.
        self.need = Needs {
            binding: open.binding.max(self.below.binding).min(self.cap_left),
            core: open.core.max(self.below.core).min(self.cap_left),
        };
        self.largest.or(Largest {
            open: open.binding,
            at,
        });
        self.largest.open = self.largest.open.min(self.need.binding);
    }
}

impl Siblings {
    /// What is left of `room` to an entry with that much kept for it.
    ///
    /// The rest after all others, in general. Where more is kept in sum than there is, that would
    /// be nothing for anybody; so an entry may always take what is kept for it and what the
    /// entries before it do not need.
    fn leave(self, room: Units, kept: Units) -> Units {
        let first = room.left_after(self.before).min(kept);
        room.left_after(self.all).max(first)
    }
}

pub(super) fn add(a: Units, b: Units) -> Units {
    a.checked_add(b).unwrap_or(Units::MAX)
}

/// A share, changed by what was moved to it or away from it.
fn moved(share: Units, by: i64) -> Units {
    let limit = if by < 0 { Units::ZERO } else { Units::MAX };
    share.checked_add_signed(by).unwrap_or(limit)
}

/// The position of the innermost limit that contains a number.
pub(super) fn innermost(limits: &[EntryLimit], number: u16) -> Option<usize> {
    let begun = limits.partition_point(|limit| limit.place.low <= number);
    let mut at = begun.checked_sub(1)?;
    loop {
        let limit = limits.get(at)?;
        if limit.place.contains(number) {
            return Some(at);
        }
        at = usize::from(limit.parent?);
    }
}

/// The positions of the limits that contain a number, outermost first.
pub(super) fn path(limits: &[EntryLimit], number: Option<u16>) -> SmallVec<[usize; 16]> {
    let innermost = number.and_then(|number| innermost(limits, number));
    let parent = |at: &usize| limits.get(*at)?.parent.map(usize::from);
    let mut path: SmallVec<_> = std::iter::successors(innermost, parent).collect();
    path.reverse();
    path
}
