//! What happened, in order: the records of the journal, the entries of the event feed.

use smallvec::SmallVec;

use super::Position;
use crate::domain::command::CommandKey;
use crate::domain::line::Move;
use crate::domain::{
    ChannelIx, Day, Inbound, Line, NodeIx, Refusal, ReservationId, Settings, Stock, Terms, Units,
    UnixMillis,
};

/// One change. Texts are borrowed from the bytes it was read from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event<'a> {
    /// Where it stands.
    pub position: Position,
    /// When it was decided.
    pub at: UnixMillis,
    /// What happened.
    pub body: Body<'a>,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Body<'a> {
    /// The ledger was opened: the first record of an epoch.
    Opened {
        /// The epoch of the record before; 0 where there is none, or where it is no longer kept.
        before: u32,
    },
    /// A node got an index.
    NodeNamed {
        /// The index.
        node: NodeIx,
        /// The name.
        name: &'a str,
    },
    /// A channel got an index.
    ChannelNamed {
        /// The index.
        channel: ChannelIx,
        /// The name.
        name: &'a str,
    },
    /// A reservation was made; its id is its key's.
    Reserved(Reserved<'a>),
    /// A reservation moved on by command.
    Acted(Acted<'a>),
    /// Held units of one line went back because the deadline passed.
    Expired {
        /// The reservation.
        id: ReservationId,
        /// The line's place in the reservation.
        line: u16,
        /// The SKU.
        sku: &'a str,
        /// Units that went back.
        units: Units,
    },
    /// Stock was set, adjusted or transferred.
    StockChanged(StockChanged<'a>),
    /// The settings of a SKU changed.
    SettingsPut {
        /// The command.
        key: CommandKey,
        /// The SKU.
        sku: &'a str,
        /// The settings before.
        before: Settings,
        /// The settings after.
        after: Settings,
        /// Why the freeze of a campaign was overridden; empty where none was.
        over: &'a str,
    },
    /// Share moved between channels.
    SharesMoved(SharesMoved<'a>),
    /// A version of the policy was put, and is in force for what comes after.
    PolicyPut {
        /// Which.
        version: u64,
        /// By whom.
        operator: &'a str,
        /// Why.
        reason: &'a str,
        /// Why a freeze was overridden; empty where none was.
        over: &'a str,
        /// The document as canonical JSON.
        text: &'a str,
    },
    /// What the policy says of a SKU beside limits is another than before.
    TermsNoted(TermsNoted<'a>),
    /// A SKU became low, or is not any more; right after what it became so by.
    LowWater(LowWaterTold<'a>),
    /// More or less of a SKU is promised beyond what there is; right after what made it so.
    Deficit(DeficitTold<'a>),
    /// Dated supply was announced or received.
    InboundChanged(InboundChanged<'a>),
    /// A command was refused; kept so that its key gives the same answer again.
    Refused {
        /// The command.
        key: CommandKey,
        /// The refusal.
        refusal: Refusal,
    },
}

/// See [`Body::TermsNoted`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TermsNoted<'a> {
    /// The SKU.
    pub sku: &'a str,
    /// What is in force by the policy, where the SKU has no setting of its own.
    pub terms: Terms,
}

/// See [`Body::LowWater`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LowWaterTold<'a> {
    /// The SKU.
    pub sku: &'a str,
    /// It is low now.
    pub low: bool,
    /// Units that can still be promised.
    pub available: Units,
    /// It takes no new holds now.
    pub suspended: bool,
}

impl<'a> LowWaterTold<'a> {
    /// How this stock stands.
    pub fn of(sku: &'a str, stock: &Stock, today: Day) -> Self {
        Self {
            sku,
            low: stock.is_low(),
            available: stock.available(today),
            suspended: stock.is_suspended(),
        }
    }
}

/// See [`Body::Deficit`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeficitTold<'a> {
    /// The SKU.
    pub sku: &'a str,
    /// Units that are promised beyond what there is; zero: none any more.
    pub deficit: Units,
    /// What was told before.
    pub was: Units,
}

/// See [`Body::Reserved`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reserved<'a> {
    /// The reservation and the command that made it.
    pub id: ReservationId,
    /// Fingerprint of that command.
    pub fingerprint: u64,
    /// Who sells.
    pub channel: ChannelIx,
    /// The caller's own name for it.
    pub reference: Option<&'a str>,
    /// Time to live, milliseconds.
    pub ttl_ms: u32,
    /// The lines, sorted by SKU then node.
    pub lines: SmallVec<[ReservedLine<'a>; 1]>,
}

/// A line of a new reservation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReservedLine<'a> {
    /// What.
    pub sku: &'a str,
    /// The node that must ship.
    pub pin: Option<NodeIx>,
    /// The day by which its units are promised; `None`: of what was on hand.
    pub day: Option<Day>,
    /// The channel of whose share they are; `None`: that of the reservation.
    pub charged_to: Option<ChannelIx>,
    /// Units asked for.
    pub requested: Units,
    /// Units held.
    pub held: Units,
}

impl ReservedLine<'_> {
    /// The line before its units are held.
    pub fn empty(&self) -> Line {
        Line {
            day: self.day,
            charged_to: self.charged_to,
            ..Line::pinned(self.pin)
        }
    }

    /// The line as it was made.
    pub fn made(&self) -> Line {
        Line {
            held: self.held,
            ..self.empty()
        }
    }
}

/// The verb of an [`Acted`] event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum VerbKind {
    /// Held became committed.
    Confirm = 1,
    /// Units went back by command.
    Release = 2,
    /// The deadline moved.
    Extend = 3,
    /// Units left the stock.
    Ship = 4,
    /// Shipped units came back.
    Return = 5,
    /// Lines were pinned to another node.
    Transfer = 6,
}

/// See [`Body::Acted`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Acted<'a> {
    /// The reservation.
    pub id: ReservationId,
    /// The command.
    pub key: CommandKey,
    /// What was done.
    pub verb: VerbKind,
    /// Who sells.
    pub channel: ChannelIx,
    /// The caller's own name for the reservation.
    pub reference: Option<&'a str>,
    /// When the reservation was made.
    pub created_at: UnixMillis,
    /// The deadline afterwards.
    pub deadline: UnixMillis,
    /// All lines of the reservation.
    pub lines: SmallVec<[ActedLine<'a>; 1]>,
}

/// A line of a reservation that moved on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ActedLine<'a> {
    /// What.
    pub sku: &'a str,
    /// Units asked for when it was made.
    pub requested: Units,
    /// Where its units are afterwards.
    pub after: Line,
    /// The moves that led there, in order; empty for a line that was not touched.
    pub moves: SmallVec<[Move; 1]>,
    /// Beginning of the window in which units that were shipped count against caps; 0 where none is
    /// in force, and for any other verb.
    pub window: UnixMillis,
}

/// How stock was changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum StockVerb {
    /// Set to an absolute amount.
    Set = 1,
    /// Changed by a difference.
    Adjust = 2,
    /// Moved between nodes: items come in pairs, the giving node first.
    Transfer = 3,
}

/// See [`Body::StockChanged`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StockChanged<'a> {
    /// The command.
    pub key: CommandKey,
    /// How.
    pub verb: StockVerb,
    /// Why.
    pub reason: &'a str,
    /// Who.
    pub operator: Option<&'a str>,
    /// What, where, before and after.
    pub items: Vec<StockItem<'a>>,
}

/// See [`Body::SharesMoved`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SharesMoved<'a> {
    /// The command.
    pub key: CommandKey,
    /// Why; may be empty.
    pub reason: &'a str,
    /// Who.
    pub operator: Option<&'a str>,
    /// What, from whom, to whom.
    pub items: Vec<ShareMove<'a>>,
}

/// One move of share.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ShareMove<'a> {
    /// Of what.
    pub sku: &'a str,
    /// Whose share becomes smaller.
    pub from: ChannelIx,
    /// Whose share becomes larger.
    pub to: ChannelIx,
    /// By how much.
    pub units: Units,
    /// Beginning of the window that it counts in.
    pub window: UnixMillis,
}

/// One item of a stock change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StockItem<'a> {
    /// What.
    pub sku: &'a str,
    /// Where.
    pub node: NodeIx,
    /// Usable units before.
    pub on_hand_before: Units,
    /// Usable units after.
    pub on_hand: Units,
    /// Units apart before.
    pub unavailable_before: Units,
    /// Units apart after.
    pub unavailable: Units,
    /// Units of the SKU that could be promised afterwards.
    pub available: Units,
    /// Version of the SKU's stock afterwards.
    pub version: u64,
}

/// What was done with dated supply.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum InboundVerb {
    /// Announced, in place of what had the same name.
    Put = 1,
    /// Arrived.
    Receive = 2,
}

/// See [`Body::InboundChanged`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InboundChanged<'a> {
    /// The command.
    pub key: CommandKey,
    /// How.
    pub verb: InboundVerb,
    /// What.
    pub items: Vec<InboundItem<'a>>,
}

/// One item of dated supply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InboundItem<'a> {
    /// What.
    pub sku: &'a str,
    /// What is still to come afterwards.
    pub entry: Inbound,
    /// Units that are on hand from now on.
    pub received: Units,
    /// Usable units of the node afterwards.
    pub on_hand: Units,
    /// Version of the SKU's stock afterwards.
    pub version: u64,
}

/// A place in the event feed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Cursor {
    /// Which order.
    pub shard: u16,
    /// The epoch of the record there, if it is known: it tells whether that record is still there.
    pub epoch: Option<u32>,
    /// The sequence; 0 is the beginning.
    pub sequence: u64,
}

impl From<Position> for Cursor {
    fn from(position: Position) -> Self {
        Self {
            shard: position.shard,
            epoch: Some(position.epoch),
            sequence: position.sequence,
        }
    }
}

/// A page of the event feed: encoded records in order, decoded one by one by
/// [`EventPage::iter`](super::embedded).
#[derive(Debug, Clone, Default)]
pub struct EventPage {
    /// Epoch, sequence and encoded record of each event.
    pub records: Vec<(Position, Vec<u8>)>,
    /// Where to continue after.
    pub next: Position,
}
