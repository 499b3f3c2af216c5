//! The rules of supply: counted, changed, moved between nodes, announced, received.

use crate::Fault;
use crate::form::{Item, Record};
use crate::record::{Step, wanted};
use crate::stock::Announced;

impl Step<'_> {
    pub(crate) fn change_stock(&mut self, record: &Record<'_>) -> Result<(), Fault> {
        wanted(record.command, "command")?;
        let items = wanted(record.items.as_ref(), "items")?;
        for item in items {
            let node = self.names.nodes.number(item.node);
            let unavailable = wanted(item.unavailable, "unavailable")?;
            let stock = self.stock(item.sku, true)?;
            let there = stock.node(node);
            let said = (item.on_hand_before, item.unavailable_before);
            if said != (Some(there.on_hand), Some(there.unavailable)) {
                return Err(Fault::new(
                    format!("{said:?} units of {} were there before", item.sku),
                    format!("{} and {}", there.on_hand, there.unavailable),
                ));
            }
            stock.change_node(node, |place| {
                (place.on_hand, place.unavailable) = (item.on_hand, unavailable);
                Ok(())
            })?;
        }
        if record.kind == "stock.transferred" {
            return keeps_sums(items);
        }
        Ok(())
    }

    pub(crate) fn change_inbound(&mut self, record: &Record<'_>) -> Result<(), Fault> {
        wanted(record.command, "command")?;
        for item in wanted(record.items.as_ref(), "items")? {
            let node = self.names.nodes.number(item.node);
            let received = wanted(item.received, "received")?;
            let entry = Announced {
                node,
                due: wanted(item.due, "due")?,
                units: wanted(item.units, "units")?,
            };
            let id = wanted(item.id.as_deref(), "id")?;
            if record.kind == "inbound.put" && received > 0 {
                return Err(Fault::new(format!("{received} units arrive"), "none"));
            }
            let stock = self.stock(item.sku, true)?;
            stock.arrive(node, received, true)?;
            let there = stock.node(node).on_hand;
            if there != item.on_hand {
                let found = format!("{} units are there", item.on_hand);
                return Err(Fault::new(found, there.to_string()));
            }
            if entry.units > 0 {
                stock.inbound.insert(id.into(), entry);
            } else {
                stock.inbound.remove(id);
            }
        }
        Ok(())
    }
}

/// Units that move between nodes stay as many.
fn keeps_sums(items: &[Item<'_>]) -> Result<(), Fault> {
    for item in items {
        let same = || items.iter().filter(|other| other.sku == item.sku);
        let before = |of: &Item<'_>| {
            u128::from(of.on_hand_before.unwrap_or(0))
                + u128::from(of.unavailable_before.unwrap_or(0))
        };
        let after =
            |of: &Item<'_>| u128::from(of.on_hand) + u128::from(of.unavailable.unwrap_or(0));
        let (before, after): (u128, u128) = (same().map(before).sum(), same().map(after).sum());
        if before != after {
            return Err(Fault::new(
                format!("{before} units of {} become {after}", item.sku),
                "as many as before",
            ));
        }
    }
    Ok(())
}
