//! What a reader sees.

use holdfast::domain::line::Line;
use holdfast::domain::stock::{NodeStock, Selling};
use holdfast::domain::verdict::{Limit, ReservationLine};
use holdfast::domain::{ChannelIx, NodeIx, Reservation, ReservationId, Settings, UnixMillis};
use holdfast::ledger::{Availability, StockView};

use super::{Booking, Model, Reply, Row, units};

impl Row {
    fn line(&self) -> Line {
        Line {
            pin: self.pin.map(NodeIx),
            day: None,
            charged_to: self.charged.map(ChannelIx),
            held: units(self.held),
            committed: units(self.committed),
            shipped: units(self.shipped),
            released: units(self.released),
            expired: units(self.expired),
            returned: units(self.returned),
        }
    }
}

impl Booking {
    pub(super) fn view(&self) -> Reservation {
        let lines = self.rows.iter().map(|row| ReservationLine {
            sku: row.sku.as_str().into(),
            requested: units(row.requested),
            line: row.line(),
        });
        Reservation {
            id: ReservationId(self.id),
            channel: ChannelIx(self.channel),
            reference: self.reference.as_deref().map(Into::into),
            created_at: UnixMillis(self.created),
            deadline: UnixMillis(self.deadline),
            lines: lines.collect(),
        }
    }
}

impl Model {
    /// The reservation that this key made.
    pub(crate) fn reservation(&self, key: &str) -> Option<Reservation> {
        self.bookings.get(key).map(Booking::view)
    }

    pub(crate) fn reservation_by_id(&self, id: u128) -> Option<Reservation> {
        self.bookings
            .values()
            .find(|booking| booking.id == id)
            .map(Booking::view)
    }

    pub(crate) fn by_reference(&self, channel: u16, reference: &str) -> Option<Reservation> {
        self.reservation(self.references.get(&(channel, reference.to_owned()))?)
    }

    pub(crate) fn settle(&self, key: &str) -> Option<Reply> {
        let answered = self.answers.get(key)?;
        Some(Reply {
            verdict: answered.verdict.clone(),
            replayed: true,
        })
    }

    pub(crate) fn settings(&self, sku: &str) -> Option<Settings> {
        self.items.get(sku).map(|item| item.settings.clone())
    }

    pub(crate) fn availability(
        &self,
        sku: &str,
        node: Option<u16>,
        now: i64,
    ) -> Option<Availability> {
        let item = self.items.get(sku)?;
        let (room, limit) = self.room_now(sku, node);
        let free = |node| (item.place(node).on_hand - self.pinned(sku, node)).max(0);
        let has_own = |node: &u16| item.settings.node_safety.places().any(|of| of.0 == *node);
        Some(Availability {
            available: units(room),
            limit: if item.settings.selling == Selling::Suspended || item.stops() {
                Limit::Suspended
            } else {
                limit
            },
            on_hand: units(item.on_hand()),
            promised: units(self.promised(sku)),
            safety_stock: units(item.kept_back()),
            at_node: node.map(|node| units(free(node))),
            safety_at_node: node.filter(has_own).map(|node| units(item.kept_at(node))),
            dates: Vec::new(),
            share: None,
            as_of: UnixMillis(now),
        })
    }

    /// Stock of a SKU; places where nothing is and nothing is pinned are left out.
    pub(crate) fn stock(&self, sku: &str) -> Option<StockView> {
        let item = self.items.get(sku)?;
        let nodes = item.places.iter().map(|(node, place)| NodeStock {
            node: NodeIx(*node),
            on_hand: units(place.on_hand),
            unavailable: units(place.apart),
            pinned: units(self.pinned(sku, *node)),
            counted: 0,
        });
        let nodes = nodes.filter(|n| *n != NodeStock::empty(n.node)).collect();
        let available = self.available(sku);
        let missing =
            |(node, place): (&u16, &super::Place)| (self.pinned(sku, *node) - place.on_hand).max(0);
        let at_nodes: i128 = item.places.iter().map(missing).sum();
        Some(StockView {
            on_hand: units(item.on_hand()),
            unavailable: units(item.apart()),
            held: units(self.sum(sku, |row| row.held)),
            committed: units(self.sum(sku, |row| row.committed)),
            safety_stock: units(item.kept_back()),
            available: units(available),
            deficit: units(at_nodes.max(self.promised(sku) - item.on_hand())),
            low: item.low,
            suspended: item.settings.selling == Selling::Suspended || item.stops(),
            version: item.moves,
            settings: item.settings.clone(),
            nodes,
            inbound: Vec::new(),
        })
    }
}
