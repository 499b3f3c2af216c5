//! What each channel uses of one SKU: what caps and protections are measured against.

use smallvec::SmallVec;

use super::ids::ChannelIx;
use super::line::{Inconsistent, Move};
use super::time::UnixMillis;
use super::units::Units;

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
    /// Builds them from their stored parts.
    pub fn from_parts(window: UnixMillis, channels: impl IntoIterator<Item = ChannelUse>) -> Self {
        let mut channels: SmallVec<[ChannelUse; 1]> = channels.into_iter().collect();
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

    /// Does the move of a line of that channel. What is shipped counts in `window`.
    pub fn apply(
        &mut self,
        channel: ChannelIx,
        step: Move,
        window: UnixMillis,
    ) -> Result<(), Inconsistent> {
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
            // Units that come back are a receipt; they were used all the same.
            Move::Commit(_) | Move::Restock(..) | Move::Quarantine(..) | Move::Repin(_) => {}
        }
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
