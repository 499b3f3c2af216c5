//! Decides what is announced and what arrives. All items or none.

use std::collections::BTreeMap;

use super::super::calendar::Inbound;
use super::super::command::{InboundCommand, PutInbound, ReceiveInbound};
use super::super::day::Day;
use super::super::ids::Sku;
use super::super::stock::Stock;
use super::super::units::Units;
use super::super::verdict::Refusal;
use crate::limits::{INBOUND_DAYS_MAX, INBOUND_OPEN_MAX};

/// One item as it is carried out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Arrival<'a> {
    /// What.
    pub sku: Sku<'a>,
    /// What is still to come afterwards; zero units: nothing.
    pub entry: Inbound,
    /// Units that are on hand from now on.
    pub received: Units,
}

/// Decides an inbound command. Items are taken in order, each seeing the ones before it.
pub fn inbound<'a, 's>(
    command: &InboundCommand<'a>,
    today: Day,
    stock_of: impl Fn(Sku<'a>) -> Option<&'s Stock>,
) -> Result<Vec<Arrival<'a>>, Refusal> {
    let mut draft = Draft {
        stock_of,
        running: BTreeMap::new(),
        arrivals: Vec::new(),
    };
    match command {
        InboundCommand::Put(items) => {
            for item in items {
                draft.put(item, today)?;
            }
        }
        InboundCommand::Receive(items) => {
            for item in items {
                draft.receive(item)?;
            }
        }
    }
    Ok(draft.arrivals)
}

struct Draft<'a, F> {
    stock_of: F,
    running: BTreeMap<Sku<'a>, Stock>,
    arrivals: Vec<Arrival<'a>>,
}

impl<'a, 's, F: Fn(Sku<'a>) -> Option<&'s Stock>> Draft<'a, F> {
    fn stock(&mut self, sku: Sku<'a>) -> &mut Stock {
        self.running
            .entry(sku)
            .or_insert_with(|| (self.stock_of)(sku).cloned().unwrap_or_default())
    }

    fn put(&mut self, item: &PutInbound<'a>, today: Day) -> Result<(), Refusal> {
        let latest = today.later(INBOUND_DAYS_MAX);
        if item.due > latest {
            return Err(Refusal::DueTooLate {
                sku: item.sku.as_str().into(),
                id: item.id.into(),
                due: item.due,
                latest,
            });
        }
        let calendar = self.stock(item.sku).calendar();
        let is_new = calendar.find(item.id).is_none() && !item.quantity.is_zero();
        if is_new && calendar.inbound().len() >= INBOUND_OPEN_MAX {
            return Err(Refusal::TooManyInbound {
                sku: item.sku.as_str().into(),
            });
        }
        let entry = Inbound {
            id: item.id.into(),
            kind: item.kind,
            node: item.node,
            due: item.due,
            units: item.quantity,
        };
        self.arrive(item.sku, entry, Units::ZERO)
    }

    fn receive(&mut self, item: &ReceiveInbound<'a>) -> Result<(), Refusal> {
        if (self.stock_of)(item.sku).is_none() {
            return Err(Refusal::UnknownSku {
                sku: item.sku.as_str().into(),
            });
        }
        let (sku, id) = (item.sku.as_str(), item.id);
        let Some(entry) = self.stock(item.sku).calendar().find(id).cloned() else {
            return Err(Refusal::UnknownInbound {
                sku: sku.into(),
                id: id.into(),
            });
        };
        let Some(left) = entry.units.checked_sub(item.quantity) else {
            return Err(Refusal::OverReceipt {
                sku: sku.into(),
                id: id.into(),
                requested: item.quantity,
                open: entry.units,
            });
        };
        let units = if item.is_final { Units::ZERO } else { left };
        self.arrive(item.sku, Inbound { units, ..entry }, item.quantity)
    }

    fn arrive(&mut self, sku: Sku<'a>, entry: Inbound, received: Units) -> Result<(), Refusal> {
        let stock = self.stock(sku);
        if stock.receive_inbound(entry.clone(), received).is_err() || !stock.fits() {
            return Err(Refusal::TooMany {
                sku: sku.as_str().into(),
            });
        }
        self.arrivals.push(Arrival {
            sku,
            entry,
            received,
        });
        Ok(())
    }
}
