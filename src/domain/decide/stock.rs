//! Decides changes of stock: set, adjust, transfer. All items or none.

use std::collections::BTreeMap;

use super::super::command::{AdjustItem, SetItem, StockChange, TransferItem};
use super::super::day::Day;
use super::super::ids::{NodeIx, Sku};
use super::super::stock::{NodeStock, Stock};
use super::super::units::Units;
use super::super::verdict::{Limit, Refusal, Shortage, Stale};

/// One place that gets new amounts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place<'a> {
    /// What.
    pub sku: Sku<'a>,
    /// What the node had just before.
    pub before: NodeStock,
    /// Usable units afterwards.
    pub on_hand: Units,
    /// Units apart afterwards.
    pub unavailable: Units,
}

/// Decides a change of stock. Items are taken in order, each seeing the ones before it. A set
/// gives one place per item, an adjustment too, a transfer two: the giving node, then the
/// receiving one.
pub fn stock<'a, 's>(
    change: &StockChange<'a>,
    today: Day,
    stock_of: impl Fn(Sku<'a>) -> Option<&'s Stock>,
) -> Result<Vec<Place<'a>>, Refusal> {
    let mut draft = Draft {
        stock_of,
        today,
        running: BTreeMap::new(),
        places: Vec::new(),
    };
    match change {
        StockChange::Set(items) => draft.set(items)?,
        StockChange::Adjust(items) => draft.adjust(items)?,
        StockChange::Transfer(items) => draft.transfer(items)?,
    }
    Ok(draft.places)
}

struct Draft<'a, F> {
    stock_of: F,
    today: Day,
    running: BTreeMap<Sku<'a>, Stock>,
    places: Vec<Place<'a>>,
}

impl<'a, 's, F: Fn(Sku<'a>) -> Option<&'s Stock>> Draft<'a, F> {
    fn node(&self, sku: Sku<'a>, node: NodeIx) -> NodeStock {
        match self.running.get(&sku) {
            Some(stock) => stock.node(node),
            None => (self.stock_of)(sku).map_or(NodeStock::empty(node), |stock| stock.node(node)),
        }
    }

    fn spare(&self, sku: Sku<'a>, node: NodeIx) -> Units {
        let stock = self.running.get(&sku).or_else(|| (self.stock_of)(sku));
        stock.map_or(Units::ZERO, |stock| stock.spare(node, self.today))
    }

    fn known(&self, sku: Sku<'a>) -> Result<(), Refusal> {
        let known = (self.stock_of)(sku).is_some();
        if known {
            Ok(())
        } else {
            Err(Refusal::UnknownSku {
                sku: sku.as_str().into(),
            })
        }
    }

    fn put(
        &mut self,
        sku: Sku<'a>,
        before: NodeStock,
        on_hand: Units,
        unavailable: Units,
    ) -> Result<(), Refusal> {
        let stock = self
            .running
            .entry(sku)
            .or_insert_with(|| (self.stock_of)(sku).cloned().unwrap_or_default());
        if stock.set_node(before.node, on_hand, unavailable).is_err() || !stock.fits() {
            return Err(Refusal::TooMany {
                sku: sku.as_str().into(),
            });
        }
        self.places.push(Place {
            sku,
            before,
            on_hand,
            unavailable,
        });
        Ok(())
    }

    fn set(&mut self, items: &[SetItem<'a>]) -> Result<(), Refusal> {
        let checks = items
            .iter()
            .map(|item| (item.sku, item.node, item.change_from));
        self.compare(checks)?;
        for item in items {
            let before = self.node(item.sku, item.node);
            let on_hand = item.on_hand.unwrap_or(before.on_hand);
            self.put(
                item.sku,
                before,
                on_hand,
                item.unavailable.unwrap_or(before.unavailable),
            )?;
        }
        Ok(())
    }

    fn adjust(&mut self, items: &[AdjustItem<'a>]) -> Result<(), Refusal> {
        for item in items {
            self.known(item.sku)?;
        }
        let checks = items
            .iter()
            .map(|item| (item.sku, item.node, item.change_from));
        self.compare(checks)?;
        for item in items {
            let before = self.node(item.sku, item.node);
            let on_hand = changed(item, before, before.on_hand, item.on_hand)?;
            let unavailable = changed(item, before, before.unavailable, item.unavailable)?;
            self.put(item.sku, before, on_hand, unavailable)?;
        }
        Ok(())
    }

    /// Compare and set: every item against what is there before the command.
    fn compare(
        &self,
        checks: impl Iterator<Item = (Sku<'a>, NodeIx, Option<Units>)>,
    ) -> Result<(), Refusal> {
        let stale: Vec<Stale> = checks
            .filter_map(|(sku, node, change_from)| {
                let change_from = change_from?;
                let on_hand = self.node(sku, node).on_hand;
                (on_hand != change_from).then(|| Stale {
                    sku: sku.as_str().into(),
                    node,
                    change_from,
                    on_hand,
                })
            })
            .collect();
        if stale.is_empty() {
            Ok(())
        } else {
            Err(Refusal::ChangeFromStale {
                items: stale.into(),
            })
        }
    }

    fn transfer(&mut self, items: &[TransferItem<'a>]) -> Result<(), Refusal> {
        for item in items {
            self.known(item.sku)?;
        }
        for item in items {
            let from = self.node(item.sku, item.from);
            let room = self.spare(item.sku, item.from);
            if item.quantity > room {
                let shortage = Shortage {
                    sku: item.sku.as_str().into(),
                    node: Some(item.from),
                    requested: item.quantity,
                    available: room,
                    limit: Limit::Node,
                    next: None,
                    bound: None,
                };
                return Err(Refusal::InsufficientStock {
                    shortages: Box::new([shortage]),
                });
            }
            let left = from.on_hand.left_after(item.quantity);
            self.put(item.sku, from, left, from.unavailable)?;
            let to = self.node(item.sku, item.to);
            let sum = to.on_hand.checked_add(item.quantity);
            let sum = sum.ok_or_else(|| Refusal::TooMany {
                sku: item.sku.as_str().into(),
            })?;
            self.put(item.sku, to, sum, to.unavailable)?;
        }
        Ok(())
    }
}

fn changed(
    item: &AdjustItem<'_>,
    before: NodeStock,
    amount: Units,
    delta: i64,
) -> Result<Units, Refusal> {
    amount.checked_add_signed(delta).ok_or_else(|| {
        if delta < 0 {
            Refusal::NegativeStock {
                sku: item.sku.as_str().into(),
                node: item.node,
                on_hand: before.on_hand,
                unavailable: before.unavailable,
            }
        } else {
            Refusal::TooMany {
                sku: item.sku.as_str().into(),
            }
        }
    })
}
