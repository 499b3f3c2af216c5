//! Events and what stands, as lines.

use super::ProveError;
use super::shape::{
    Acted, Announced, Charged, Inbound, Line, Move, Node, Record, Reservation, Reserved, Settings,
    Sku, Standing, States, Stock, Terms, What, command,
};
use super::stand::{Known, Stand};
use crate::domain::{self, ChannelIx, NodeIx, ReservationId, UnixMillis, line};
use crate::ledger::event::{self, Body, Event};
use crate::ledger::port::Ledger;

/// Names of nodes and channels.
#[derive(Clone, Copy)]
pub(super) struct Names<'l>(pub(super) &'l Ledger);

impl Names<'_> {
    fn node(self, node: NodeIx) -> String {
        self.0.node_name(node).as_ref().to_owned()
    }

    fn channel(self, channel: ChannelIx) -> String {
        self.0.channel_name(channel).as_ref().to_owned()
    }

    fn settings(self, of: &domain::Settings) -> Settings {
        Settings::new(of, |node| self.node(node))
    }

    fn terms(self, line: &domain::Line) -> Terms {
        Terms {
            node: line.pin.map(|node| self.node(node)),
            day: line.day.map(domain::Day::get),
            charged_to: line.charged_to.map(|channel| self.channel(channel)),
        }
    }

    fn announced(self, entry: &domain::Inbound) -> Announced<'_> {
        Announced {
            id: &entry.id,
            node: self.node(entry.node),
            due: entry.due.get(),
            units: entry.units.get(),
        }
    }

    fn step(self, step: line::Move) -> Move {
        let (verb, units, node) = match step {
            line::Move::Hold(units) => ("hold", Some(units), None),
            line::Move::Commit(units) => ("commit", Some(units), None),
            line::Move::ReleaseHeld(units) => ("release_held", Some(units), None),
            line::Move::ReleaseCommitted(units) => ("release_committed", Some(units), None),
            line::Move::Expire(units) => ("expire", Some(units), None),
            line::Move::Ship(node, units) => ("ship", Some(units), Some(node)),
            line::Move::Restock(node, units) => ("restock", Some(units), Some(node)),
            line::Move::Quarantine(node, units) => ("quarantine", Some(units), Some(node)),
            line::Move::Repin(node) => ("repin", None, Some(node)),
        };
        Move {
            verb,
            units: units.map(domain::Units::get),
            node: node.map(|node| self.node(node)),
        }
    }

    /// A SKU as it stands. What is not there is left out, so that it stands so in one way only.
    pub(super) fn sku<'a>(self, sku: &'a str, stock: &'a domain::Stock) -> Line<'a> {
        let node = |place: &domain::stock::NodeStock| Node {
            node: self.node(place.node),
            on_hand: place.on_hand.get(),
            unavailable: place.unavailable.get(),
            pinned: place.pinned.get(),
        };
        let is_empty = |node: &Node| node.on_hand == 0 && node.unavailable == 0 && node.pinned == 0;
        let nodes = stock.nodes().iter().map(node);
        let users = stock.uses().channels().iter();
        let users = users.filter(|user| !user.open.is_zero());
        Line::Sku(Sku {
            sku,
            settings: self.settings(stock.settings()),
            held: stock.held().get(),
            committed: stock.committed().get(),
            nodes: nodes.filter(|node| !is_empty(node)).collect(),
            channels: users
                .map(|user| Charged {
                    channel: self.channel(user.channel),
                    units: user.open.get(),
                })
                .collect(),
            inbound: { stock.calendar().inbound().iter() }
                .map(|entry| self.announced(entry))
                .collect(),
        })
    }

    /// A reservation as it stands.
    pub(super) fn reservation(self, id: u128, known: &Known) -> Line<'_> {
        let lines = known.lines.iter().map(|(sku, line)| Standing {
            sku,
            terms: self.terms(line),
            units: States::new(line),
        });
        Line::Reservation(Reservation {
            id: ReservationId(id).to_string(),
            channel: self.channel(known.channel),
            deadline: known.deadline.0,
            touched: known.touched.0,
            lines: lines.collect(),
        })
    }

    /// An event, as it comes after what stands.
    pub(super) fn record<'a>(
        self,
        event: &'a Event<'_>,
        stand: &Stand,
    ) -> Result<Line<'a>, ProveError> {
        Ok(Line::Record(Record {
            seq: event.position.sequence,
            epoch: event.position.epoch,
            at: event.at.0,
            kind: event.body.kind(),
            what: self.what(event, stand)?,
        }))
    }

    fn what<'a>(self, event: &'a Event<'_>, stand: &Stand) -> Result<What<'a>, ProveError> {
        Ok(match &event.body {
            Body::Reserved(made) => self.reserved(made, event.at),
            Body::Acted(acted) => self.acted(acted),
            Body::Expired {
                id,
                line,
                sku,
                units,
            } => {
                let known = stand.reservations.get(&id.0);
                let line = known.and_then(|known| known.expiring(sku, *line, *units));
                What::Expired {
                    id: id.to_string(),
                    line: line.ok_or(ProveError::Unfit(event.position))?,
                    sku,
                    units: units.get(),
                }
            }
            Body::StockChanged(changed) => self.stock(changed),
            Body::InboundChanged(changed) => self.inbound(changed),
            Body::SettingsPut {
                key, sku, after, ..
            } => What::Settings {
                command: command(*key),
                sku,
                settings: self.settings(after),
            },
            Body::TermsNoted(noted) => What::Terms {
                sku: noted.sku,
                settings: self.settings(&stand.settings_after(noted)),
            },
            Body::PolicyPut { version, text, .. } => What::Policy {
                version: *version,
                text,
            },
            Body::Opened { .. }
            | Body::NodeNamed { .. }
            | Body::ChannelNamed { .. }
            | Body::SharesMoved(_)
            | Body::LowWater(_)
            | Body::Deficit(_)
            | Body::Refused { .. } => What::Nothing {},
        })
    }

    fn reserved<'a>(self, made: &'a event::Reserved<'_>, at: UnixMillis) -> What<'a> {
        let line = |line: &'a event::ReservedLine<'_>| Reserved {
            sku: line.sku,
            terms: self.terms(&line.empty()),
            held: line.held.get(),
        };
        What::Reserved {
            id: made.id.to_string(),
            channel: self.channel(made.channel),
            deadline: at.0.saturating_add(i64::from(made.ttl_ms)),
            lines: made.lines.iter().map(line).collect(),
        }
    }

    fn acted<'a>(self, acted: &'a event::Acted<'_>) -> What<'a> {
        let line = |(number, line): (usize, &'a event::ActedLine<'_>)| Acted {
            line: number,
            sku: line.sku,
            moves: line.moves.iter().map(|step| self.step(*step)).collect(),
            units: States::new(&line.after),
        };
        let lines = acted.lines.iter().enumerate();
        let moved = lines.filter(|(_, line)| !line.moves.is_empty());
        What::Acted {
            id: acted.id.to_string(),
            command: command(acted.key),
            deadline: acted.deadline.0,
            lines: moved.map(line).collect(),
        }
    }

    fn stock<'a>(self, changed: &'a event::StockChanged<'_>) -> What<'a> {
        let item = |item: &'a event::StockItem<'_>| Stock {
            sku: item.sku,
            node: self.node(item.node),
            on_hand_before: item.on_hand_before.get(),
            on_hand: item.on_hand.get(),
            unavailable_before: item.unavailable_before.get(),
            unavailable: item.unavailable.get(),
        };
        What::Stock {
            command: command(changed.key),
            items: changed.items.iter().map(item).collect(),
        }
    }

    fn inbound<'a>(self, changed: &'a event::InboundChanged<'_>) -> What<'a> {
        let item = |item: &'a event::InboundItem<'_>| Inbound {
            sku: item.sku,
            entry: self.announced(&item.entry),
            received: item.received.get(),
            on_hand: item.on_hand.get(),
        };
        What::Inbound {
            command: command(changed.key),
            items: changed.items.iter().map(item).collect(),
        }
    }
}
