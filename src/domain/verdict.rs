//! What the ledger answers: an outcome or a refusal. Both are values; neither is an error.

use smallvec::SmallVec;

use super::calendar::Inbound;
use super::day::Day;
use super::ids::{ChannelIx, NodeIx, ReservationId};
use super::line::{Line, LineState};
use super::policy::Amount;
use super::stock::Settings;
use super::time::UnixMillis;
use super::units::Units;

/// An outcome, or a refusal. A refusal has changed nothing.
pub type Verdict = Result<Outcome, Refusal>;

/// What a command achieved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The reservation after a reserve or an act.
    Reservation(Reservation),
    /// The items of a stock command afterwards, in order.
    Stock(Vec<StockResult>),
    /// The moves of share that were made, in order.
    Shares(Vec<MovedShare>),
    /// The items of an inbound command afterwards, in order.
    Inbound(Vec<InboundResult>),
    /// The settings of a SKU afterwards.
    Settings {
        /// What.
        sku: Box<str>,
        /// The settings.
        settings: Settings,
    },
}

/// A move of share.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MovedShare {
    /// Of what.
    pub sku: Box<str>,
    /// Whose share became smaller.
    pub from: ChannelIx,
    /// Whose share became larger.
    pub to: ChannelIx,
    /// By how much.
    pub units: Units,
    /// Beginning of the window that it counts in.
    pub window: UnixMillis,
}

/// A reservation as its caller sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reservation {
    /// Its identity.
    pub id: ReservationId,
    /// Who sells.
    pub channel: ChannelIx,
    /// The caller's own name for it.
    pub reference: Option<Box<str>>,
    /// When it was made.
    pub created_at: UnixMillis,
    /// When its held units go back; meaningless once nothing is held.
    pub deadline: UnixMillis,
    /// Its lines, sorted by SKU then node.
    pub lines: SmallVec<[ReservationLine; 1]>,
}

/// One line of a reservation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReservationLine {
    /// What.
    pub sku: Box<str>,
    /// Units asked for; more than the line's quantity where partial was allowed.
    pub requested: Units,
    /// Where its units are now.
    pub line: Line,
}

impl Reservation {
    /// The state all its units agree on, or [`LineState::Mixed`].
    pub fn state(&self) -> LineState {
        LineState::joint(self.lines.iter().map(|l| &l.line))
    }

    /// When its held units go back; `None` when nothing is held.
    pub fn expires_at(&self) -> Option<UnixMillis> {
        let held = self.lines.iter().any(|l| !l.line.held.is_zero());
        held.then_some(self.deadline)
    }
}

/// One item of a stock command afterwards.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StockResult {
    /// What.
    pub sku: Box<str>,
    /// Where; the receiving node of a transfer.
    pub node: NodeIx,
    /// Usable units of that node.
    pub on_hand: Units,
    /// Units apart of that node.
    pub unavailable: Units,
    /// Units of the SKU, over all nodes, that can still be promised.
    pub available: Units,
    /// Version of the SKU's stock.
    pub version: u64,
}

/// One item of an inbound command afterwards.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InboundResult {
    /// What.
    pub sku: Box<str>,
    /// What is still to come.
    pub entry: Inbound,
    /// Units that are on hand with this command.
    pub received: Units,
    /// Usable units of its node.
    pub on_hand: Units,
    /// Version of the SKU's stock.
    pub version: u64,
}

/// Which limit bound. Ordered by precedence: where two limits bind alike, the first is named.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Limit {
    /// Selling is suspended.
    Suspended,
    /// Nothing more is there, over all nodes.
    Stock,
    /// What is left is safety stock.
    Safety,
    /// The channel, or a group that it belongs to, uses all that it may.
    Cap,
    /// What is left is kept for other channels.
    Protection,
    /// Nothing more is free at the node named.
    Node,
    /// Nothing more is there, with all that is due by then.
    Inbound,
    /// What is left is needed for promises of later days.
    Later,
    /// The units are there, but on a later day than the caller takes.
    Date,
}

impl Limit {
    /// The word of the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Suspended => "suspended",
            Self::Stock => "stock",
            Self::Safety => "safety",
            Self::Cap => "cap",
            Self::Protection => "protection",
            Self::Node => "node",
            Self::Inbound => "inbound",
            Self::Later => "later",
            Self::Date => "date",
        }
    }
}

/// A line that could not be served as asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shortage {
    /// What.
    pub sku: Box<str>,
    /// The pin asked for.
    pub node: Option<NodeIx>,
    /// Units asked for.
    pub requested: Units,
    /// The largest quantity that would have passed for this line.
    pub available: Units,
    /// What bound.
    pub limit: Limit,
    /// The first day by which all of them could be promised, after those that the caller takes.
    pub next: Option<Day>,
    /// The cap or protection that did, where it is known how it stood.
    pub bound: Option<BoundBy>,
}

/// A cap or a protection at the moment when it bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BoundBy {
    /// Whose cap, or for whom units are kept.
    pub channel: ChannelIx,
    /// How it is written.
    pub amount: Amount,
    /// What a percentage is taken of: the supply of the window.
    pub supply: Units,
    /// It in units, with what was moved.
    pub units: Units,
    /// What the entry used.
    pub used: Units,
}

impl Shortage {
    /// Units short.
    pub fn short(&self) -> Units {
        self.requested.left_after(self.available)
    }
}

/// A line of an act that asks for more than the reservation can give.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Excess {
    /// What.
    pub sku: Box<str>,
    /// The pin asked for.
    pub node: Option<NodeIx>,
    /// Units asked for.
    pub requested: Units,
    /// The most that would have passed.
    pub possible: Units,
}

/// A compare-and-set that found another value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stale {
    /// What.
    pub sku: Box<str>,
    /// Where.
    pub node: NodeIx,
    /// What the caller thought.
    pub change_from: Units,
    /// What is there.
    pub on_hand: Units,
}

/// Why a command was not done. Stable codes; nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// The same key came with another content before.
    KeyReused,
    /// No such SKU.
    UnknownSku {
        /// The SKU asked for.
        sku: Box<str>,
    },
    /// Not enough to promise; one entry per line that is short.
    InsufficientStock {
        /// The lines that are short, in line order.
        shortages: Box<[Shortage]>,
    },
    /// No such reservation, or it was forgotten after its retention.
    UnknownReservation,
    /// The reservation has no line of this SKU (and pin).
    UnknownLine {
        /// The SKU asked for.
        sku: Box<str>,
        /// The pin asked for.
        node: Option<NodeIx>,
    },
    /// The deadline has passed; held units went back.
    Expired,
    /// It was released.
    Released,
    /// Everything was shipped already.
    Shipped,
    /// Nothing is held any more, so there is no deadline to move.
    NotHeld,
    /// Held units must be confirmed before they ship.
    NotConfirmed,
    /// Nothing was shipped, so nothing can come back.
    NotShipped,
    /// More than is held, for confirm.
    OverConfirm {
        /// The lines that ask too much.
        lines: Box<[Excess]>,
    },
    /// More than is held and committed, for release.
    OverRelease {
        /// The lines that ask too much.
        lines: Box<[Excess]>,
    },
    /// More than is committed, for ship.
    OverShip {
        /// The lines that ask too much.
        lines: Box<[Excess]>,
    },
    /// More than was shipped and not yet returned.
    OverReturn {
        /// The lines that ask too much.
        lines: Box<[Excess]>,
    },
    /// A transfer moves whole lines only; the quantity named is not the line's open quantity.
    PartialTransfer {
        /// The lines that do not fit.
        lines: Box<[Excess]>,
    },
    /// Compare-and-set found another value.
    ChangeFromStale {
        /// The items that differ.
        items: Box<[Stale]>,
    },
    /// An adjustment would leave less than nothing.
    NegativeStock {
        /// What.
        sku: Box<str>,
        /// Where.
        node: NodeIx,
        /// Units there now.
        on_hand: Units,
        /// Units apart there now.
        unavailable: Units,
    },
    /// A counter would pass the largest quantity.
    TooMany {
        /// What.
        sku: Box<str>,
    },
    /// The settings' version is another one.
    VersionMismatch {
        /// The version there is.
        actual: u32,
    },
    /// A campaign has frozen what would change.
    Frozen(Frozen),
    /// A channel has less of its share left than is to be moved, or has none at all.
    OverShare {
        /// Of what.
        sku: Box<str>,
        /// Who.
        channel: ChannelIx,
        /// Units to be moved.
        requested: Units,
        /// The most that could be.
        possible: Units,
    },
    /// Nothing is announced under that name.
    UnknownInbound {
        /// What.
        sku: Box<str>,
        /// The name asked for.
        id: Box<str>,
    },
    /// More arrived than was announced.
    OverReceipt {
        /// What.
        sku: Box<str>,
        /// The name that it was announced under.
        id: Box<str>,
        /// Units that arrived.
        requested: Units,
        /// Units that were still to come.
        open: Units,
    },
    /// Supply is announced for a day too far ahead.
    DueTooLate {
        /// What.
        sku: Box<str>,
        /// The name that it is announced under.
        id: Box<str>,
        /// The day asked for.
        due: Day,
        /// The last day that could be.
        latest: Day,
    },
    /// The SKU has as many open announcements as it can have.
    TooManyInbound {
        /// What.
        sku: Box<str>,
    },
}

/// A campaign that keeps what it rests on as it is while it runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frozen {
    /// Its name.
    pub campaign: Box<str>,
    /// The first moment after it.
    pub until: UnixMillis,
}

impl Refusal {
    /// The stable code of the API and the metrics.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::KeyReused => "idempotency_key_reused",
            Self::UnknownSku { .. } => "unknown_sku",
            Self::InsufficientStock { .. } => "insufficient_stock",
            Self::UnknownReservation => "unknown_reservation",
            Self::UnknownLine { .. } => "unknown_line",
            Self::Expired => "reservation_expired",
            Self::Released => "reservation_released",
            Self::Shipped => "reservation_shipped",
            Self::NotHeld => "reservation_not_held",
            Self::NotConfirmed => "reservation_not_confirmed",
            Self::NotShipped => "reservation_not_shipped",
            Self::OverConfirm { .. } => "over_confirm",
            Self::OverRelease { .. } => "over_release",
            Self::OverShip { .. } => "over_ship",
            Self::OverReturn { .. } => "over_return",
            Self::PartialTransfer { .. } => "partial_transfer",
            Self::ChangeFromStale { .. } => "change_from_stale",
            Self::NegativeStock { .. } => "negative_stock",
            Self::TooMany { .. } => "too_many_units",
            Self::VersionMismatch { .. } => "version_mismatch",
            Self::Frozen(_) => "policy_frozen",
            Self::OverShare { .. } => "over_share",
            Self::UnknownInbound { .. } => "unknown_inbound",
            Self::OverReceipt { .. } => "over_receipt",
            Self::DueTooLate { .. } => "due_too_late",
            Self::TooManyInbound { .. } => "too_many_inbound",
        }
    }
}
