//! What events are called, and whose answers they are, wherever that is asked.

use super::event::{Body, InboundVerb, StockVerb, VerbKind};
use crate::domain::CommandKey;

impl Body<'_> {
    /// The event's name.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Opened { .. } => "ledger.opened",
            Self::NodeNamed { .. } => "node.named",
            Self::ChannelNamed { .. } => "channel.named",
            Self::Reserved(_) => "reservation.created",
            Self::Acted(acted) => match acted.verb {
                VerbKind::Confirm => "reservation.confirmed",
                VerbKind::Release => "reservation.released",
                VerbKind::Extend => "reservation.extended",
                VerbKind::Ship => "reservation.shipped",
                VerbKind::Return => "reservation.returned",
                VerbKind::Transfer => "reservation.transferred",
            },
            Self::Expired { .. } => "reservation.expired",
            Self::StockChanged(changed) => match changed.verb {
                StockVerb::Set => "stock.set",
                StockVerb::Adjust => "stock.adjusted",
                StockVerb::Transfer => "stock.transferred",
            },
            Self::InboundChanged(changed) => match changed.verb {
                InboundVerb::Put => "inbound.put",
                InboundVerb::Receive => "inbound.received",
            },
            Self::SettingsPut { .. } => "sku.settings_changed",
            Self::SharesMoved(_) => "shares.moved",
            Self::PolicyPut { .. } => "policy.put",
            Self::TermsNoted(_) => "sku.terms_changed",
            Self::LowWater(_) => "sku.low_water",
            Self::Deficit(_) => "sku.deficit",
            Self::Refused { .. } => "command.refused",
        }
    }

    /// The command that it is the answer to; `None` for what no caller asked for.
    pub const fn key(&self) -> Option<CommandKey> {
        match self {
            Self::Reserved(reserved) => Some(CommandKey {
                id: reserved.id.0,
                fingerprint: reserved.fingerprint,
            }),
            Self::Acted(acted) => Some(acted.key),
            Self::StockChanged(changed) => Some(changed.key),
            Self::SharesMoved(moved) => Some(moved.key),
            Self::InboundChanged(changed) => Some(changed.key),
            Self::SettingsPut { key, .. } | Self::Refused { key, .. } => Some(*key),
            Self::Opened { .. }
            | Self::NodeNamed { .. }
            | Self::ChannelNamed { .. }
            | Self::Expired { .. }
            | Self::PolicyPut { .. }
            | Self::TermsNoted(_)
            | Self::LowWater(_)
            | Self::Deficit(_) => None,
        }
    }
}
