//! What share may be moved from a channel to another.
//!
//! A channel's share is its cap, or where it has none its protection. A move changes the shares of
//! both, the caps of the groups that only one of them is in, and, where a share is a protection,
//! the protections of its groups. It never makes share that nobody gave.

use super::compile::{EntryIx, InForce};
use super::lending::Taken;
use super::limits::EntryLimit;
use super::rebalance::{Holding, Holdings};
use super::room::{Account, Accounts, Supply, innermost, path};
use crate::domain::ids::ChannelIx;
use crate::domain::units::Units;
use crate::domain::uses::Uses;

impl InForce<'_> {
    /// The most that may be moved: what is left of the giver's share, and of the cap of each group
    /// that only the giver is in; and from a cap to a protection no more than protections gave to
    /// caps before. Or who has no share that could be moved: none at all, or, of two of which one
    /// is above the other, the taker.
    pub fn movable(
        &self,
        (from, to): (ChannelIx, ChannelIx),
        supply: Supply,
        uses: &Uses,
    ) -> Result<Units, ChannelIx> {
        let (giver, gives) = self.own(from).ok_or(from)?;
        let (_, gets) = self.own(to).ok_or(to)?;
        if gives.place.contains(gets.place.low) || gets.place.contains(gives.place.low) {
            return Err(to);
        }
        // As it looks to who comes last: every protection binds.
        let accounts = self.accounts(ChannelIx::UNNAMED, supply, uses, &Taken::default());
        let account = accounts.each.get(giver).ok_or(from)?;
        let limits = self.limits().each();
        let shared = path(limits, Some(gets.place.low));
        let groups = path(limits, Some(gives.place.low)).into_iter();
        let groups = groups.filter(|at| *at != giver && !shared.contains(at));
        let caps = groups.filter_map(|at| accounts.each.get(at).map(|group| group.cap_left));
        let is_returned = gives.cap.is_some() && gets.cap.is_none();
        let returned = is_returned.then(|| returnable(limits, &accounts));
        Ok(caps
            .chain(returned)
            .fold(account.share_left(gives), Units::min))
    }

    /// The shares of all entries that have no limits below them.
    pub fn holdings(&self, supply: Supply, uses: &Uses) -> Holdings {
        let accounts = self.accounts(ChannelIx::UNNAMED, supply, uses, &Taken::default());
        let limits = self.limits().each();
        let found = limits.iter().zip(&accounts.each).enumerate();
        let holding = |(at, (limit, account)): (usize, (&EntryLimit, &Account))| {
            // In preorder what is right below comes right after.
            let next = limits.get(at.saturating_add(1));
            if next.and_then(|next| next.parent).map(usize::from) == Some(at) {
                return None;
            }
            let groups = path(limits, Some(limit.place.low)).into_iter();
            let groups = groups.filter(|above| *above != at);
            let group = |at: usize| Some((at, accounts.each.get(at)?.cap_left));
            let groups: Box<[(usize, Units)]> = groups.filter_map(group).collect();
            let caps = groups.iter().map(|(_, left)| *left);
            Some(Holding {
                channel: self.policy.channel(EntryIx(limit.place.low))?,
                left: caps.fold(account.share_left(limit), Units::min),
                used: account.used,
                is_cap: limit.cap.is_some(),
                groups,
            })
        };
        Holdings {
            each: found.filter_map(holding).collect(),
            returnable: returnable(limits, &accounts),
        }
    }

    /// The limits of exactly that channel, with their position.
    fn own(&self, channel: ChannelIx) -> Option<(usize, &EntryLimit)> {
        let number = self.policy.find(channel).0?;
        let limits = self.limits().each();
        let at = innermost(limits, number)?;
        let limit = limits.get(at).filter(|limit| limit.place.low == number)?;
        Some((at, limit))
    }
}

/// What protections gave to caps in the window: as much may become protection again.
fn returnable(limits: &[EntryLimit], accounts: &Accounts<'_>) -> Units {
    let outermost = limits.iter().zip(&accounts.each);
    let outermost = outermost.filter(|(limit, _)| limit.parent.is_none());
    let moved = outermost.fold(0_i64, |sum, (_, account)| {
        sum.saturating_add(account.moved_kept)
    });
    let given = u64::try_from(moved.saturating_neg()).unwrap_or_default();
    Units::new(given).unwrap_or(Units::MAX)
}
