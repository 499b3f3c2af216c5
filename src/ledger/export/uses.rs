//! What a channel uses of a SKU as it stands in an export.

use serde::{Deserialize, Serialize};

use super::item::{BadItem, units};
use crate::domain::{ChannelIx, ChannelUse};

/// What a channel uses of a SKU.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Use {
    /// Index of its name.
    pub channel: u16,
    /// Held and committed units.
    pub open: u64,
    /// Units shipped in the window.
    pub shipped: u64,
    /// Units by which its share was moved in the window.
    pub moved: i64,
}

impl Use {
    pub(super) fn new(of: &ChannelUse) -> Self {
        Self {
            channel: of.channel.0,
            open: of.open.get(),
            shipped: of.shipped.get(),
            moved: of.moved,
        }
    }

    pub(super) fn read(&self) -> Result<ChannelUse, BadItem> {
        Ok(ChannelUse {
            channel: ChannelIx(self.channel),
            open: units(self.open)?,
            shipped: units(self.shipped)?,
            moved: self.moved,
        })
    }
}
