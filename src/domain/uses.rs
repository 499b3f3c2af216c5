//! What each channel uses of one SKU: what caps and protections are measured against.

use smallvec::SmallVec;

use super::ids::ChannelIx;
use super::line::{Inconsistent, Move};
use super::time::UnixMillis;
use super::units::Units;
use crate::limits::SHARE_MOVED_MAX;

/// Whose units move, and the beginning of the window in which they count if they are shipped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Charge {
    /// Who sells.
    pub channel: ChannelIx,
    /// Without a policy there is one window, which began long ago: [`UnixMillis::default`].
    pub window: UnixMillis,
}

/// Units that a channel has taken of a SKU.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChannelUse {
    /// Who.
    pub channel: ChannelIx,
    /// Held and committed, whenever that was.
    pub open: Units,
    /// Shipped in the window.
    pub shipped: Units,
    /// Units by which the channel's share was moved in the window: taken from other channels, or
    /// given to them.
    pub moved: i64,
}

impl ChannelUse {
    /// Nothing used.
    pub const fn none(channel: ChannelIx) -> Self {
        Self {
            channel,
            open: Units::ZERO,
            shipped: Units::ZERO,
            moved: 0,
        }
    }

    /// What counts against a cap.
    pub fn total(&self) -> Units {
        self.open.checked_add(self.shipped).unwrap_or(Units::MAX)
    }

    fn is_nothing(&self) -> bool {
        self.open.is_zero() && self.shipped.is_zero() && self.moved == 0
    }
}

/// The uses of one SKU.
///
/// `open` is true at any time. `shipped` and `moved` belong to one window, which is known by its
/// beginning: they begin anew with the first shipment or move of another one, so that nothing has
/// to happen at the moment when a window ends.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Uses {
    window: UnixMillis,
    /// Sorted by channel; none that is nothing.
    channels: SmallVec<[ChannelUse; 1]>,
}

impl Uses {
    /// Nothing.
    pub const EMPTY: Self = Self {
        window: UnixMillis(0),
        channels: SmallVec::new_const(),
    };

    /// Builds them from their stored parts.
    pub fn from_parts(window: UnixMillis, channels: impl IntoIterator<Item = ChannelUse>) -> Self {
        let used = channels.into_iter().filter(|of| !of.is_nothing());
        let mut channels: SmallVec<[ChannelUse; 1]> = used.collect();
        channels.sort_by_key(|of| of.channel);
        Self { window, channels }
    }

    /// The beginning of the window that `shipped` and `moved` belong to.
    pub const fn window(&self) -> UnixMillis {
        self.window
    }

    /// The uses as they stand, sorted by channel.
    pub fn channels(&self) -> &[ChannelUse] {
        &self.channels
    }

    /// Whether nothing is used.
    pub fn is_empty(&self) -> bool {
        self.channels.is_empty()
    }

    /// The uses that count in a window: of another one than theirs only what is open.
    pub fn in_window(&self, window: UnixMillis) -> impl Iterator<Item = ChannelUse> {
        let is_theirs = window == self.window;
        self.channels.iter().map(move |of| {
            if is_theirs {
                *of
            } else {
                ChannelUse {
                    open: of.open,
                    ..ChannelUse::none(of.channel)
                }
            }
        })
    }

    /// Whether a move is one of units between used and not. Units that come back after shipping are
    /// a receipt; they were used all the same.
    pub const fn is_changed_by(step: Move) -> bool {
        match step {
            Move::Hold(q)
            | Move::ReleaseHeld(q)
            | Move::ReleaseCommitted(q)
            | Move::Expire(q)
            | Move::Ship(_, q) => !q.is_zero(),
            Move::Commit(_) | Move::Restock(..) | Move::Quarantine(..) | Move::Repin(_) => false,
        }
    }

    /// Does the move of a line.
    pub fn apply(&mut self, step: Move, charge: Charge) -> Result<(), Inconsistent> {
        let Charge { channel, window } = charge;
        if !Self::is_changed_by(step) {
            return Ok(());
        }
        match step {
            Move::Hold(q) => {
                let of = self.entry(channel);
                of.open = of.open.checked_add(q).ok_or(Inconsistent)?;
            }
            Move::ReleaseHeld(q) | Move::ReleaseCommitted(q) | Move::Expire(q) => {
                self.close(channel, q)?;
            }
            Move::Ship(_, q) => {
                self.roll(window);
                let of = self.entry(channel);
                of.open = of.open.checked_sub(q).ok_or(Inconsistent)?;
                of.shipped = of.shipped.checked_add(q).unwrap_or(Units::MAX);
            }
            Move::Commit(_) | Move::Restock(..) | Move::Quarantine(..) | Move::Repin(_) => {}
        }
        Ok(())
    }

    /// Moves share between channels in a window.
    pub fn move_share(
        &mut self,
        (from, to): (ChannelIx, ChannelIx),
        units: Units,
        window: UnixMillis,
    ) -> Result<(), Inconsistent> {
        self.roll(window);
        let by = i64::try_from(units.get()).or(Err(Inconsistent))?;
        for (channel, by) in [(from, by.saturating_neg()), (to, by)] {
            let of = self.entry(channel);
            let moved = of.moved.checked_add(by);
            let moved = moved.filter(|moved| moved.abs() <= SHARE_MOVED_MAX);
            of.moved = moved.ok_or(Inconsistent)?;
        }
        self.channels.retain(|of| !of.is_nothing());
        Ok(())
    }

    fn close(&mut self, channel: ChannelIx, units: Units) -> Result<(), Inconsistent> {
        let of = self.entry(channel);
        of.open = of.open.checked_sub(units).ok_or(Inconsistent)?;
        if of.is_nothing() {
            self.channels.retain(|of| !of.is_nothing());
        }
        Ok(())
    }

    /// Begins another window, unless it is the one there is.
    fn roll(&mut self, window: UnixMillis) {
        if self.window == window {
            return;
        }
        self.window = window;
        for of in &mut self.channels {
            of.shipped = Units::ZERO;
            of.moved = 0;
        }
        self.channels.retain(|of| !of.is_nothing());
    }

    fn entry(&mut self, channel: ChannelIx) -> &mut ChannelUse {
        let at = match self
            .channels
            .binary_search_by_key(&channel, |of| of.channel)
        {
            Ok(at) => at,
            Err(at) => {
                self.channels.insert(at, ChannelUse::none(channel));
                at
            }
        };
        // The index was found or made above.
        #[expect(clippy::indexing_slicing, reason = "just found or inserted")]
        &mut self.channels[at]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ids::NodeIx;

    const LIVE: ChannelIx = ChannelIx(3);
    const SHOP: ChannelIx = ChannelIx(1);

    fn units(n: u64) -> Units {
        Units::new(n).unwrap()
    }

    fn charge(channel: ChannelIx, window: i64) -> Charge {
        Charge {
            channel,
            window: UnixMillis(window),
        }
    }

    fn used(uses: &Uses, window: i64) -> Vec<(u16, u64, u64)> {
        let of = |of: ChannelUse| (of.channel.0, of.open.get(), of.shipped.get());
        uses.in_window(UnixMillis(window)).map(of).collect()
    }

    #[test]
    fn units_are_used_until_they_go_back_or_the_window_of_their_shipment_ends() {
        let mut uses = Uses::default();
        uses.apply(Move::Hold(units(5)), charge(LIVE, 7)).unwrap();
        uses.apply(Move::Hold(units(2)), charge(SHOP, 7)).unwrap();
        uses.apply(Move::Commit(units(4)), charge(LIVE, 7)).unwrap();
        assert_eq!(used(&uses, 7), [(1, 2, 0), (3, 5, 0)]);
        let ship = Move::Ship(NodeIx::MAIN, units(4));
        uses.apply(ship, charge(LIVE, 7)).unwrap();
        let back = Move::Restock(NodeIx::MAIN, units(4));
        uses.apply(back, charge(LIVE, 7)).unwrap();
        uses.apply(Move::Expire(units(1)), charge(LIVE, 7)).unwrap();
        assert_eq!(used(&uses, 7), [(1, 2, 0), (3, 0, 4)]);
        assert_eq!(used(&uses, 8), [(1, 2, 0), (3, 0, 0)]);

        uses.apply(Move::ReleaseHeld(units(1)), charge(SHOP, 8))
            .unwrap();
        assert_eq!(
            uses.window(),
            UnixMillis(7),
            "only a shipment begins a window"
        );
        let ship = Move::Ship(NodeIx::MAIN, units(1));
        uses.apply(ship, charge(SHOP, 8)).unwrap();
        assert_eq!(used(&uses, 8), [(1, 0, 1)]);
    }

    #[test]
    fn nothing_more_goes_back_than_was_used() {
        let mut uses = Uses::default();
        let hold = Move::Hold(units(1));
        uses.apply(hold, charge(LIVE, 0)).unwrap();
        let too_much = Move::ReleaseHeld(units(2));
        assert_eq!(
            uses.clone().apply(too_much, charge(LIVE, 0)),
            Err(Inconsistent)
        );
        assert_eq!(
            uses.apply(Move::Expire(units(1)), charge(SHOP, 0)),
            Err(Inconsistent)
        );
    }
}
