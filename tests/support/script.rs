//! Commands that own their texts, so that a history can be kept, changed and run again.

use std::collections::BTreeMap;

use holdfast::domain::command::{
    Act, AdjustItem, Channel, Command, LineRequest, Lines, MoveShares, PutSettings, Reserve,
    SetItem, ShareItem, StockChange, StockCommand, TransferItem, Verb,
};
use holdfast::domain::stock::{Safety, Selling};
use holdfast::domain::{
    ChannelIx, HoldTtl, LowWater, NodeIx, NodeSafety, ReservationId, Setting, Sku, Ttl, Units,
};

use super::history::CHANNEL_NAMES;

/// Units of a SKU, from a node or any.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ask {
    pub(crate) sku: String,
    pub(crate) node: Option<u16>,
    pub(crate) quantity: u64,
}

/// What a node is to have of a SKU.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SetAsk {
    pub(crate) sku: String,
    pub(crate) node: u16,
    pub(crate) on_hand: Option<u64>,
    pub(crate) unavailable: Option<u64>,
    pub(crate) change_from: Option<u64>,
}

/// By how much a node's stock is to change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct AdjustAsk {
    pub(crate) sku: String,
    pub(crate) node: u16,
    pub(crate) on_hand: i64,
    pub(crate) unavailable: i64,
    pub(crate) change_from: Option<u64>,
}

/// What is to go from node to node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MoveAsk {
    pub(crate) sku: String,
    pub(crate) from: u16,
    pub(crate) to: u16,
    pub(crate) quantity: u64,
}

/// Share that is to go from channel to channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ShareAsk {
    pub(crate) sku: String,
    pub(crate) from: u16,
    pub(crate) to: u16,
    pub(crate) units: u64,
}

/// One command. A reservation is named by the key that made it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Script {
    Reserve {
        channel: u16,
        reference: Option<String>,
        ttl: u32,
        partial: bool,
        lines: Vec<Ask>,
    },
    Act {
        target: String,
        verb: Verb,
        lines: Option<Vec<Ask>>,
    },
    Set {
        reason: String,
        items: Vec<SetAsk>,
    },
    Adjust {
        reason: String,
        items: Vec<AdjustAsk>,
    },
    Move {
        reason: String,
        items: Vec<MoveAsk>,
    },
    Shares {
        items: Vec<ShareAsk>,
    },
    Settings {
        sku: String,
        safety: Option<Setting<Safety>>,
        node_safety: Option<NodeSafety>,
        selling: Option<Selling>,
        low_water: Option<Setting<Option<LowWater>>>,
        if_version: Option<u32>,
    },
}

pub(crate) fn units(value: u64) -> Units {
    Units::new(value).unwrap()
}

fn sku(text: &str) -> Sku<'_> {
    Sku::new(text).unwrap()
}

fn lines(asks: &[Ask]) -> Lines<'_> {
    let requests = asks.iter().map(|ask| LineRequest {
        sku: sku(&ask.sku),
        node: ask.node.map(NodeIx),
        quantity: units(ask.quantity),
        by: None,
    });
    Lines::try_new(requests).unwrap()
}

/// The same lines sorted and summed: what a caller asks for does not depend on their order.
pub(crate) fn summed(asks: &[Ask]) -> Vec<Ask> {
    let mut sums: BTreeMap<(&str, Option<u16>), u64> = BTreeMap::new();
    for ask in asks {
        *sums.entry((&ask.sku, ask.node)).or_default() += ask.quantity;
    }
    let line = |((sku, node), quantity): ((&str, _), _)| Ask {
        sku: sku.to_owned(),
        node,
        quantity,
    };
    sums.into_iter().map(line).collect()
}

impl Script {
    /// The same command with its lines sorted and summed.
    pub(crate) fn canonical(&self) -> Self {
        let mut same = self.clone();
        match &mut same {
            Self::Reserve { lines, .. }
            | Self::Act {
                lines: Some(lines), ..
            } => *lines = summed(lines),
            Self::Act { lines: None, .. }
            | Self::Set { .. }
            | Self::Adjust { .. }
            | Self::Move { .. }
            | Self::Shares { .. }
            | Self::Settings { .. } => {}
        }
        same
    }

    /// The key of the reservation this acts on.
    pub(crate) fn target(&self) -> Option<&str> {
        if let Self::Act { target, .. } = self {
            Some(target)
        } else {
            None
        }
    }

    /// As the ledger takes it; `target` is the identity of the reservation it acts on.
    pub(crate) fn command(&self, target: u128) -> Command<'_> {
        match self {
            Self::Reserve {
                channel,
                reference,
                ttl,
                partial,
                lines: asks,
            } => Command::Reserve(Reserve {
                channel: Channel {
                    name: CHANNEL_NAMES[usize::from(*channel)],
                    index: Some(ChannelIx(*channel)),
                },
                reference: reference.as_deref(),
                ttl: HoldTtl::Asked(Ttl::from_millis(*ttl).unwrap()),
                allow_partial: *partial,
                lines: lines(asks),
            }),
            Self::Act {
                verb, lines: asks, ..
            } => Command::Act(Act {
                id: ReservationId(target),
                verb: *verb,
                lines: asks.as_deref().map(lines),
            }),
            Self::Set { reason, items } => stock(
                reason,
                StockChange::Set(items.iter().map(SetAsk::item).collect()),
            ),
            Self::Adjust { reason, items } => stock(
                reason,
                StockChange::Adjust(items.iter().map(AdjustAsk::item).collect()),
            ),
            Self::Move { reason, items } => stock(
                reason,
                StockChange::Transfer(items.iter().map(MoveAsk::item).collect()),
            ),
            Self::Shares { items } => Command::MoveShares(MoveShares {
                items: items.iter().map(ShareAsk::item).collect(),
                reason: "",
                operator: None,
            }),
            Self::Settings {
                sku: name,
                safety,
                node_safety,
                selling,
                low_water,
                if_version,
            } => Command::PutSettings(PutSettings {
                sku: sku(name),
                safety: *safety,
                node_safety: node_safety.as_ref(),
                selling: *selling,
                low_water: *low_water,
                if_version: *if_version,
                over: None,
            }),
        }
    }
}

fn stock<'a>(reason: &'a str, change: StockChange<'a>) -> Command<'a> {
    Command::Stock(StockCommand {
        change,
        reason,
        operator: None,
    })
}

impl SetAsk {
    fn item(&self) -> SetItem<'_> {
        SetItem {
            sku: sku(&self.sku),
            node: NodeIx(self.node),
            on_hand: self.on_hand.map(units),
            unavailable: self.unavailable.map(units),
            change_from: self.change_from.map(units),
        }
    }
}

impl AdjustAsk {
    fn item(&self) -> AdjustItem<'_> {
        AdjustItem {
            sku: sku(&self.sku),
            node: NodeIx(self.node),
            on_hand: self.on_hand,
            unavailable: self.unavailable,
            change_from: self.change_from.map(units),
        }
    }
}

impl ShareAsk {
    fn item(&self) -> ShareItem<'_> {
        ShareItem {
            sku: sku(&self.sku),
            from: ChannelIx(self.from),
            to: ChannelIx(self.to),
            units: units(self.units),
        }
    }
}

impl MoveAsk {
    fn item(&self) -> TransferItem<'_> {
        TransferItem {
            sku: sku(&self.sku),
            from: NodeIx(self.from),
            to: NodeIx(self.to),
            quantity: units(self.quantity),
        }
    }
}
