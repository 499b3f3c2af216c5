//! What events are called, wherever they are told.

use super::event::{Body, InboundVerb, StockVerb, VerbKind};

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
}
