//! Commands: every change the ledger accepts, already parsed and checked for form.

use smallvec::SmallVec;

use super::calendar::InboundKind;
use super::day::Day;
use super::ids::{ChannelIx, NodeIx, ReservationId, Sku};
use super::settings::Setting;
use super::time::{HoldTtl, Ttl};
use super::units::Units;
use super::water::LowWater;
use crate::limits::LINES_MAX;

/// Identity of a command: the keyed 128-bit hash of its idempotency key, and the fingerprint of
/// what it asks for. Same id and same fingerprint: the same command again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct CommandKey {
    /// Keyed hash of the caller's idempotency key.
    pub id: u128,
    /// Hash of the command's content, see [`Command::fingerprint`](super::hash).
    pub fingerprint: u64,
}

/// A command with its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Keyed<'a> {
    /// Who this is.
    pub key: CommandKey,
    /// What it asks for.
    pub command: Command<'a>,
}

/// Every change the ledger accepts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command<'a> {
    /// Hold units for one caller.
    Reserve(Reserve<'a>),
    /// Move an existing reservation on.
    Act(Act<'a>),
    /// Set, adjust or transfer stock; all items or none.
    Stock(StockCommand<'a>),
    /// Change the settings of one SKU.
    PutSettings(PutSettings<'a>),
    /// Move share between channels; all items or none.
    MoveShares(MoveShares<'a>),
    /// Announce or receive dated supply; all items or none.
    Inbound(InboundCommand<'a>),
}

impl<'a> Command<'a> {
    /// The SKU of each item, in order, where the command is a list of changes.
    pub fn changed_skus(&self) -> Vec<Sku<'a>> {
        match self {
            Self::Stock(stock) => stock.change.skus(),
            Self::MoveShares(moves) => moves.items.iter().map(|item| item.sku).collect(),
            Self::Inbound(inbound) => inbound.skus(),
            Self::Reserve(_) | Self::Act(_) | Self::PutSettings(_) => Vec::new(),
        }
    }
}

/// Move share between channels, in the windows in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MoveShares<'a> {
    /// What, from whom, to whom.
    pub items: Vec<ShareItem<'a>>,
    /// Why, for the change log; may be empty.
    pub reason: &'a str,
    /// Who, for the change log.
    pub operator: Option<&'a str>,
}

/// One item of [`MoveShares`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ShareItem<'a> {
    /// What.
    pub sku: Sku<'a>,
    /// Whose share becomes smaller.
    pub from: ChannelIx,
    /// Whose share becomes larger.
    pub to: ChannelIx,
    /// By how many units, at least one.
    pub units: Units,
}

/// One line asked for: units of a SKU, pinned to a node or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LineRequest<'a> {
    /// What.
    pub sku: Sku<'a>,
    /// From which node; `None`: any.
    pub node: Option<NodeIx>,
    /// How many, at least one.
    pub quantity: Units,
    /// The latest day on which the caller takes them; `None`: they must be there. Means nothing
    /// but to a new reservation.
    pub by: Option<Day>,
}

/// Why lines are senseless.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LinesError {
    /// No line at all.
    Empty,
    /// More than [`LINES_MAX`] lines after summing.
    TooMany,
    /// The line at this position asks for zero units.
    ZeroQuantity(usize),
    /// The line at this position, with the equal ones before it, is above the largest quantity.
    TooLarge(usize),
}

/// Lines of a command: at least one, at most [`LINES_MAX`], sorted by SKU then node (unpinned
/// first), equal ones summed and due when the first of them is, none of zero units.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lines<'a>(SmallVec<[LineRequest<'a>; 2]>);

impl<'a> Lines<'a> {
    /// Sorts and sums; refuses what is senseless.
    pub fn try_new(lines: impl IntoIterator<Item = LineRequest<'a>>) -> Result<Self, LinesError> {
        let mut sorted: SmallVec<[(usize, LineRequest<'a>); 2]> =
            lines.into_iter().enumerate().collect();
        if let Some((at, _)) = sorted.iter().find(|(_, line)| line.quantity.is_zero()) {
            return Err(LinesError::ZeroQuantity(*at));
        }
        if sorted.len() > 1 {
            sorted.sort_by_key(|(at, line)| (line.sku, line.node, *at));
        }
        let mut merged: SmallVec<[LineRequest<'a>; 2]> = SmallVec::new();
        for (at, line) in sorted {
            match merged.last_mut() {
                Some(last) if last.sku == line.sku && last.node == line.node => {
                    let sum = last.quantity.checked_add(line.quantity);
                    last.quantity = sum.ok_or(LinesError::TooLarge(at))?;
                    last.by = last.by.min(line.by);
                }
                _ => merged.push(line),
            }
        }
        match merged.len() {
            0 => Err(LinesError::Empty),
            n if n > LINES_MAX => Err(LinesError::TooMany),
            _ => Ok(Self(merged)),
        }
    }

    /// The lines, sorted.
    pub fn as_slice(&self) -> &[LineRequest<'a>] {
        &self.0
    }
}

/// Who sells. A command is known by the name; what is stored is the index, which a name gets with
/// its first reservation or with a policy, so that refused requests with made-up names leave nothing
/// behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Channel<'a> {
    /// The name.
    pub name: &'a str,
    /// Its index, where it is known to have one.
    pub index: Option<ChannelIx>,
}

/// Hold units of one or more SKUs for one caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reserve<'a> {
    /// Who sells.
    pub channel: Channel<'a>,
    /// The caller's own name for it, for instance its order id.
    pub reference: Option<&'a str>,
    /// How long the hold lives.
    pub ttl: HoldTtl,
    /// Take what there is instead of all or nothing.
    pub allow_partial: bool,
    /// What to hold.
    pub lines: Lines<'a>,
}

/// Move a reservation on, whole or by lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Act<'a> {
    /// Which reservation.
    pub id: ReservationId,
    /// What to do.
    pub verb: Verb,
    /// Which lines and quantities; `None`: everything the verb can move. A line without a node
    /// takes from all lines of that SKU in order; with a node, only from lines pinned there.
    pub lines: Option<Lines<'a>>,
}

/// What can be done with a reservation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Verb {
    /// Held becomes committed: no deadline any more.
    Confirm,
    /// Held, then committed units go back to available.
    Release,
    /// The deadline moves to now plus this, never backwards. Always the whole reservation.
    Extend(Ttl),
    /// Committed units leave the stock, from this node, or where unpinned and `None`: from the
    /// nodes in order, each up to what it has free.
    Ship {
        /// The node that ships.
        from: Option<NodeIx>,
    },
    /// Shipped units come back.
    Return {
        /// Usable again (on hand), or kept apart (unavailable).
        restock: bool,
        /// The node they come back to; `None`: the pin, else the default node.
        to: Option<NodeIx>,
    },
    /// Held and committed units of whole lines are pinned to another node.
    Transfer {
        /// The new pin.
        to: NodeIx,
    },
}

/// A change of stock, with who and why for the change log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StockCommand<'a> {
    /// What to change; at most [`STOCK_ITEMS_MAX`](crate::limits::STOCK_ITEMS_MAX).
    pub change: StockChange<'a>,
    /// Why, for the change log.
    pub reason: &'a str,
    /// Who, for the change log.
    pub operator: Option<&'a str>,
}

/// The three ways to change stock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StockChange<'a> {
    /// Absolute; creates SKUs that are not there yet.
    Set(Vec<SetItem<'a>>),
    /// By difference; only known SKUs.
    Adjust(Vec<AdjustItem<'a>>),
    /// From node to node; only units that no pin needs.
    Transfer(Vec<TransferItem<'a>>),
}

impl<'a> StockChange<'a> {
    /// The SKU of each item.
    pub fn skus(&self) -> Vec<Sku<'a>> {
        match self {
            Self::Set(items) => items.iter().map(|item| item.sku).collect(),
            Self::Adjust(items) => items.iter().map(|item| item.sku).collect(),
            Self::Transfer(items) => items.iter().map(|item| item.sku).collect(),
        }
    }

    /// Number of items.
    pub fn len(&self) -> usize {
        match self {
            Self::Set(items) => items.len(),
            Self::Adjust(items) => items.len(),
            Self::Transfer(items) => items.len(),
        }
    }

    /// Whether there is no item.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Set what a node has of a SKU.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SetItem<'a> {
    /// What.
    pub sku: Sku<'a>,
    /// Where.
    pub node: NodeIx,
    /// Usable units from now on; `None` leaves them.
    pub on_hand: Option<Units>,
    /// Damaged or in inspection from now on; `None` leaves them.
    pub unavailable: Option<Units>,
    /// Refuse unless on hand is this now (compare and set).
    pub change_from: Option<Units>,
}

/// Change what a node has of a SKU by a difference.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AdjustItem<'a> {
    /// What.
    pub sku: Sku<'a>,
    /// Where.
    pub node: NodeIx,
    /// Difference of usable units.
    pub on_hand: i64,
    /// Difference of unavailable units.
    pub unavailable: i64,
    /// Refuse unless on hand is this now.
    pub change_from: Option<Units>,
}

/// Move usable units between nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TransferItem<'a> {
    /// What.
    pub sku: Sku<'a>,
    /// From where.
    pub from: NodeIx,
    /// To where.
    pub to: NodeIx,
    /// How many, at least one.
    pub quantity: Units,
}

/// What is done with dated supply; at most
/// [`INBOUND_ITEMS_MAX`](crate::limits::INBOUND_ITEMS_MAX) items.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InboundCommand<'a> {
    /// Announced, in place of what had the same name. Creates SKUs that are not there yet.
    Put(Vec<PutInbound<'a>>),
    /// Arrived.
    Receive(Vec<ReceiveInbound<'a>>),
}

impl<'a> InboundCommand<'a> {
    /// The SKU of each item.
    pub fn skus(&self) -> Vec<Sku<'a>> {
        match self {
            Self::Put(items) => items.iter().map(|item| item.sku).collect(),
            Self::Receive(items) => items.iter().map(|item| item.sku).collect(),
        }
    }

    /// Number of items.
    pub fn len(&self) -> usize {
        match self {
            Self::Put(items) => items.len(),
            Self::Receive(items) => items.len(),
        }
    }

    /// Whether there is no item.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Announce supply for a day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PutInbound<'a> {
    /// What.
    pub sku: Sku<'a>,
    /// The caller's name for it.
    pub id: &'a str,
    /// What kind of supply.
    pub kind: InboundKind,
    /// Where it will be.
    pub node: NodeIx,
    /// The day on which it will be there.
    pub due: Day,
    /// Units that are still to come; zero: none will.
    pub quantity: Units,
}

/// Receive supply that was announced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReceiveInbound<'a> {
    /// What.
    pub sku: Sku<'a>,
    /// The name that it was announced under.
    pub id: &'a str,
    /// Units that arrived.
    pub quantity: Units,
    /// Nothing more of it will come.
    pub is_final: bool,
}

/// Change the settings of one SKU; what is `None` stays. Creates a SKU that is not there yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PutSettings<'a> {
    /// Which SKU.
    pub sku: Sku<'a>,
    /// Units to keep back.
    pub safety: Option<Setting<super::stock::Safety>>,
    /// Units to keep back at single nodes, in place of all that were.
    pub node_safety: Option<&'a super::stock::NodeSafety>,
    /// On sale, or suspended.
    pub selling: Option<super::stock::Selling>,
    /// When it is low, and what then; an own `None`: never.
    pub low_water: Option<Setting<Option<LowWater>>>,
    /// Refuse unless the settings' version is this.
    pub if_version: Option<u32>,
    /// Why the freeze of a campaign is overridden; `None`: it is not.
    pub over: Option<&'a str>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(sku: &str, node: Option<u16>, quantity: u64) -> LineRequest<'_> {
        let quantity = Units::new(quantity).unwrap();
        LineRequest {
            sku: Sku::new(sku).unwrap(),
            node: node.map(NodeIx),
            quantity,
            by: None,
        }
    }

    #[test]
    fn lines_are_sorted_and_summed() {
        let lines = Lines::try_new([
            line("b", None, 1),
            line("a", Some(1), 2),
            line("b", None, 3),
        ])
        .unwrap();
        assert_eq!(
            lines.as_slice(),
            [line("a", Some(1), 2), line("b", None, 4)]
        );
    }

    #[test]
    fn senseless_lines_are_refused_with_their_place() {
        let max = Units::MAX.get();
        assert_eq!(Lines::try_new([]), Err(LinesError::Empty));
        assert_eq!(
            Lines::try_new([line("a", None, 1), line("b", None, 0)]),
            Err(LinesError::ZeroQuantity(1))
        );
        assert_eq!(
            Lines::try_new([line("a", None, max), line("b", None, 1), line("a", None, 1)]),
            Err(LinesError::TooLarge(2))
        );
        let names: Vec<String> = (0..=LINES_MAX).map(|n| format!("s{n}")).collect();
        assert_eq!(
            Lines::try_new(names.iter().map(|n| line(n, None, 1))),
            Err(LinesError::TooMany)
        );
    }

    #[test]
    fn a_change_names_the_sku_of_each_item() {
        let (node, quantity) = (NodeIx(0), Units::new(1).unwrap());
        let item = |name| TransferItem {
            sku: Sku::new(name).unwrap(),
            from: node,
            to: NodeIx(1),
            quantity,
        };
        let change = StockChange::Transfer(vec![item("b"), item("a"), item("b")]);
        let names = |skus: Vec<Sku<'_>>| skus.iter().map(|sku| sku.as_str()).collect::<String>();
        assert_eq!((change.len(), change.is_empty()), (3, false));
        assert_eq!(names(change.skus()), "bab");
        let command = Command::Stock(StockCommand {
            change,
            reason: "",
            operator: None,
        });
        assert_eq!(names(command.changed_skus()), "bab");
        let (none, arrived) = (StockChange::Set(vec![]), InboundCommand::Receive(vec![]));
        assert_eq!((none.len(), none.is_empty()), (0, true));
        assert_eq!((arrived.len(), arrived.is_empty()), (0, true));
        let received = ReceiveInbound {
            sku: Sku::new("c").unwrap(),
            id: "ship 1",
            quantity,
            is_final: true,
        };
        let arrived = InboundCommand::Receive(vec![received, received]);
        assert_eq!((arrived.len(), arrived.is_empty()), (2, false));
        assert_eq!(names(arrived.skus()), "cc");
    }
}
