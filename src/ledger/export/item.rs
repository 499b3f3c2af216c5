//! What an export consists of, each as it stands in one line of the file.

use serde::{Deserialize, Serialize};

use super::Policy;
use super::dated::{self, Announced, Promised};
use super::hex::{self, CommandId, Print};
use super::uses::Use;
use super::water::{Mark, NodeLevel, OwnSettings};
use crate::domain::command::CommandKey;
use crate::domain::stock::{NodeStock, Safety, Selling};
use crate::domain::verdict::Reservation;
use crate::domain::{
    self, ChannelIx, Day, NodeIx, ReservationId, Settings, Stock, Ttl, Units, UnixMillis, Uses,
    Water,
};
use crate::ledger::Position;
use crate::ledger::embedded::record::{decode, encode};
use crate::ledger::event::{Body, Event};

/// An item that no ledger would have written, and what is wrong with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not {0} that a ledger writes")]
pub struct BadItem(pub(super) &'static str);

impl BadItem {
    pub(in crate::ledger) const NAME: Self = Self("a name");
    pub(in crate::ledger) const POLICY: Self = Self("a policy");
    pub(in crate::ledger) const LINE: Self = Self("a line");
    pub(in crate::ledger) const ANSWER: Self = Self("an answer");
}

/// A part of the ledger. Those that others rest on come first: names, then the policy, then stock, then
/// records.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Item {
    /// The name of a node.
    Node(Name),
    /// The name of a channel.
    Channel(Name),
    /// A version of the policy; in order, the last one is in force.
    Policy(Policy),
    /// A SKU with its stock and settings.
    Sku(Sku),
    /// A reservation, which is also what its key stands for.
    Reservation(Held),
    /// What another command was answered.
    Answer(Answer),
}

/// A name and its index.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Name {
    /// The index.
    pub index: u16,
    /// The name.
    pub name: String,
}

/// A SKU with its stock and settings.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sku {
    /// The SKU.
    pub sku: String,
    /// Counts the changes of its stock.
    pub version: u64,
    /// Open units held.
    pub held: u64,
    /// Open units committed.
    pub committed: u64,
    /// Units to keep back; a share where `safety_is_share`.
    pub safety: u64,
    /// The safety stock is a share of what is on hand, in basis points.
    pub safety_is_share: bool,
    /// Units to keep back at single nodes, sorted by node.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub node_safety: Vec<NodeLevel>,
    /// No new holds.
    pub suspended: bool,
    /// When it is low, and what then.
    pub low_water: Option<Mark>,
    /// It is low.
    pub low: bool,
    /// The deficit that the feed told of last.
    pub deficit_told: u64,
    /// Which settings are its own, and not what the policy said.
    pub own: OwnSettings,
    /// Counts the changes of its own settings.
    pub settings_version: u32,
    /// What each node has.
    pub nodes: Vec<Node>,
    /// Beginning of the window that `shipped` and `moved` of the uses belong to.
    pub window_ms: i64,
    /// What each channel uses, sorted.
    pub uses: Vec<Use>,
    /// What is announced, sorted by day, then name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub inbound: Vec<Announced>,
    /// Open units that are promised for days, sorted by day, then node.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub promises: Vec<Promised>,
}

/// What a node has of a SKU.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Node {
    /// Index of its name.
    pub node: u16,
    /// Usable units.
    pub on_hand: u64,
    /// Units apart.
    pub unavailable: u64,
    /// Open units of lines pinned here.
    pub pinned: u64,
    /// Seconds since 1970 when the units were last set, not changed by a difference; 0: never.
    pub counted: u32,
}

pub(super) fn units(number: u64) -> Result<Units, BadItem> {
    Units::new(number).ok_or(BadItem("a quantity"))
}

impl Sku {
    pub(in crate::ledger) fn new(sku: &str, stock: &Stock) -> Self {
        let settings = stock.settings();
        let (safety, safety_is_share) = match settings.safety {
            Safety::Units(units) => (units.get(), false),
            Safety::Percent(points) => (u64::from(points), true),
        };
        let node = |place: &NodeStock| Node {
            node: place.node.0,
            on_hand: place.on_hand.get(),
            unavailable: place.unavailable.get(),
            pinned: place.pinned.get(),
            counted: place.counted,
        };
        Self {
            sku: sku.to_owned(),
            version: stock.version(),
            held: stock.held().get(),
            committed: stock.committed().get(),
            safety,
            safety_is_share,
            node_safety: NodeLevel::all(&settings.node_safety),
            suspended: settings.selling == Selling::Suspended,
            low_water: settings.low_water.map(Mark::new),
            low: stock.is_low(),
            deficit_told: stock.deficit_told().get(),
            own: OwnSettings::new(settings.own),
            settings_version: settings.version,
            nodes: stock.nodes().iter().map(node).collect(),
            window_ms: stock.uses().window().0,
            uses: stock.uses().channels().iter().map(Use::new).collect(),
            inbound: stock
                .calendar()
                .inbound()
                .iter()
                .map(Announced::new)
                .collect(),
            promises: stock
                .calendar()
                .promises()
                .iter()
                .map(Promised::new)
                .collect(),
        }
    }

    /// The stock, if it is one.
    pub(in crate::ledger) fn stock(&self) -> Result<Stock, BadItem> {
        domain::Sku::new(&self.sku).map_err(|_bad| BadItem("a SKU"))?;
        let safety = if self.safety_is_share {
            Safety::Percent(u16::try_from(self.safety).or(Err(BadItem("a share")))?)
        } else {
            Safety::Units(units(self.safety)?)
        };
        let selling = if self.suspended {
            Selling::Suspended
        } else {
            Selling::On
        };
        let settings = Settings {
            safety,
            node_safety: NodeLevel::read(&self.node_safety)?,
            selling,
            low_water: self.low_water.map(Mark::read).transpose()?,
            own: self.own.read(),
            version: self.settings_version,
        };
        let node = |node: &Node| {
            Ok(NodeStock {
                node: NodeIx(node.node),
                on_hand: units(node.on_hand)?,
                unavailable: units(node.unavailable)?,
                pinned: units(node.pinned)?,
                counted: node.counted,
            })
        };
        let nodes = self
            .nodes
            .iter()
            .map(node)
            .collect::<Result<_, BadItem>>()?;
        let (held, committed) = (units(self.held)?, units(self.committed)?);
        let uses = self.uses.iter().map(Use::read);
        let uses = Uses::from_parts(
            UnixMillis(self.window_ms),
            uses.collect::<Result<Vec<_>, BadItem>>()?,
        );
        let stock = Stock::from_parts(nodes, held, committed, settings, uses, self.version);
        // The feed of the ledger that it comes to begins anew.
        let (low, told) = (self.low, self.low);
        let stock = stock.with_water(Water { low, told });
        let stock = stock.with_deficit_told(units(self.deficit_told)?);
        let stock = stock.with_calendar(dated::calendar(&self.inbound, &self.promises)?);
        Some(stock).filter(Stock::fits).ok_or(BadItem("a stock"))
    }
}

/// A reservation as it stands, and what is remembered of how it was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Held {
    /// Its id, which is that of the command that made it.
    pub id: CommandId,
    /// Fingerprint of that command.
    pub fingerprint: Print,
    /// Sequence of that command's event.
    pub sequence: u64,
    /// Index of the channel's name.
    pub channel: u16,
    /// The caller's own name for it.
    pub reference: Option<String>,
    /// Time to live that it was made with.
    pub ttl_ms: u32,
    /// When it was made.
    pub created_ms: i64,
    /// When it was last acted on.
    pub touched_ms: i64,
    /// When its held units go back.
    pub deadline_ms: i64,
    /// Its lines.
    pub lines: Vec<Line>,
}

/// A line of a reservation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Line {
    /// What.
    pub sku: String,
    /// Units asked for.
    pub requested: u64,
    /// Index of the node it was pinned to when it was made.
    pub made_at: Option<u16>,
    /// Index of the node it is pinned to.
    pub pin: Option<u16>,
    /// The day that it is promised for, in days since 1970; none: of what was on hand.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub day: Option<u16>,
    /// Index of the channel of whose share it is; none: that of the reservation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub charged_to: Option<u16>,
    /// Units by state.
    pub held: u64,
    /// See [`domain::Line`].
    pub committed: u64,
    /// See [`domain::Line`].
    pub shipped: u64,
    /// See [`domain::Line`].
    pub released: u64,
    /// See [`domain::Line`].
    pub expired: u64,
    /// See [`domain::Line`].
    pub returned: u64,
}

/// What a record knows of a reservation beside what readers are shown.
#[derive(Debug, Clone, Copy)]
pub(in crate::ledger) struct Making {
    pub(in crate::ledger) fingerprint: u64,
    pub(in crate::ledger) sequence: u64,
    pub(in crate::ledger) ttl: Ttl,
    pub(in crate::ledger) touched: UnixMillis,
}

impl Held {
    /// `pins` are those that its lines were made with.
    pub(in crate::ledger) fn new(
        making: Making,
        view: &Reservation,
        pins: impl Iterator<Item = Option<NodeIx>>,
    ) -> Self {
        let pin = |pin: Option<NodeIx>| pin.map(|node| node.0);
        let lines = view.lines.iter().zip(pins).map(|(shown, made_at)| Line {
            sku: shown.sku.to_string(),
            requested: shown.requested.get(),
            made_at: pin(made_at),
            pin: pin(shown.line.pin),
            day: shown.line.day.map(Day::get),
            charged_to: shown.line.charged_to.map(|channel| channel.0),
            held: shown.line.held.get(),
            committed: shown.line.committed.get(),
            shipped: shown.line.shipped.get(),
            released: shown.line.released.get(),
            expired: shown.line.expired.get(),
            returned: shown.line.returned.get(),
        });
        Self {
            id: CommandId(view.id.0),
            fingerprint: Print(making.fingerprint),
            sequence: making.sequence,
            channel: view.channel.0,
            reference: view.reference.as_deref().map(str::to_owned),
            ttl_ms: making.ttl.as_millis(),
            created_ms: view.created_at.0,
            touched_ms: making.touched.0,
            deadline_ms: view.deadline.0,
            lines: lines.collect(),
        }
    }

    pub(in crate::ledger) const fn id(&self) -> ReservationId {
        ReservationId(self.id.0)
    }

    pub(in crate::ledger) const fn channel(&self) -> ChannelIx {
        ChannelIx(self.channel)
    }

    pub(in crate::ledger) const fn key(&self) -> CommandKey {
        CommandKey {
            id: self.id.0,
            fingerprint: self.fingerprint.0,
        }
    }

    pub(in crate::ledger) fn ttl(&self) -> Result<Ttl, BadItem> {
        Ttl::from_millis(self.ttl_ms).ok_or(BadItem("a time to live"))
    }
}

impl Line {
    pub(in crate::ledger) fn requested(&self) -> Result<Units, BadItem> {
        units(self.requested)
    }

    pub(in crate::ledger) fn made_at(&self) -> Option<NodeIx> {
        self.made_at.map(NodeIx)
    }

    /// Where its units are.
    pub(in crate::ledger) fn state(&self) -> Result<domain::Line, BadItem> {
        Ok(domain::Line {
            pin: self.pin.map(NodeIx),
            day: self.day.and_then(Day::new),
            charged_to: self.charged_to.map(ChannelIx),
            held: units(self.held)?,
            committed: units(self.committed)?,
            shipped: units(self.shipped)?,
            released: units(self.released)?,
            expired: units(self.expired)?,
            returned: units(self.returned)?,
        })
    }
}

/// What a command was answered, as the event that it caused; without the reason and the operator,
/// which belong to the event's history and not to the answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Answer {
    /// The command.
    pub id: CommandId,
    /// Sequence of its event.
    pub sequence: u64,
    /// The event as the journal's record of it: see `docs/JOURNAL.md`.
    pub event: String,
}

/// Bytes before an encoded event: its length.
const LENGTH_BYTES: usize = 4;

impl Answer {
    pub(in crate::ledger) const fn id(&self) -> ReservationId {
        ReservationId(self.id.0)
    }

    /// `None` for an event that is no command's, or that made a reservation.
    pub(in crate::ledger) fn new(
        sequence: u64,
        at: UnixMillis,
        mut body: Body<'_>,
    ) -> Option<Self> {
        if let Body::StockChanged(changed) = &mut body {
            (changed.reason, changed.operator) = ("", None);
        }
        if let Body::SharesMoved(moved) = &mut body {
            (moved.reason, moved.operator) = ("", None);
        }
        let id = CommandId(key_of(&body)?.id);
        let mut bytes = Vec::new();
        encode(at, &body, &mut bytes);
        Some(Self {
            id,
            sequence,
            event: hex::text(bytes.get(LENGTH_BYTES..)?),
        })
    }

    /// The encoded event.
    pub(in crate::ledger) fn bytes(&self) -> Result<Vec<u8>, BadItem> {
        hex::bytes(&self.event)
    }

    /// The command, and the event that it caused.
    pub(in crate::ledger) fn read<'b>(
        &self,
        epoch: u32,
        bytes: &'b [u8],
    ) -> Result<(CommandKey, Event<'b>), BadItem> {
        let sequence = self.sequence;
        let position = Position {
            shard: 0,
            epoch,
            sequence,
        };
        let event = decode(position, bytes).or(Err(BadItem("an event")))?;
        match key_of(&event.body) {
            Some(key) if key.id == self.id.0 => Ok((key, event)),
            _ => Err(BadItem::ANSWER),
        }
    }
}

/// The command that an answer is of. What made a reservation is in the reservation, not in an answer.
fn key_of(body: &Body<'_>) -> Option<CommandKey> {
    body.key().filter(|_| !matches!(body, Body::Reserved(_)))
}
