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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::calendar::InboundKind;
    use crate::domain::ids::NodeIx;
    use crate::limits::UNITS_MAX;

    const TODAY: Day = Day::FIRST;

    fn units(n: u64) -> Units {
        Units::new(n).unwrap()
    }

    fn put(id: &str, days: u16, quantity: u64) -> PutInbound<'_> {
        PutInbound {
            sku: Sku::new("a").unwrap(),
            id,
            kind: InboundKind::Return,
            node: NodeIx(2),
            due: TODAY.later(days),
            quantity: units(quantity),
        }
    }

    fn receive(id: &str, quantity: u64, is_final: bool) -> ReceiveInbound<'_> {
        ReceiveInbound {
            sku: Sku::new("a").unwrap(),
            id,
            quantity: units(quantity),
            is_final,
        }
    }

    fn announced(items: &[PutInbound<'_>]) -> Stock {
        let mut stock = Stock::default();
        let command = InboundCommand::Put(items.to_vec());
        for arrival in inbound(&command, TODAY, |_| None).unwrap() {
            stock.put_inbound(arrival.entry).unwrap();
        }
        stock
    }

    fn ask(stock: &Stock, command: &InboundCommand<'_>) -> Result<Vec<(u64, u64)>, Refusal> {
        let arrivals = inbound(command, TODAY, |_| Some(stock))?;
        let of = |of: &Arrival<'_>| (of.entry.units.get(), of.received.get());
        Ok(arrivals.iter().map(of).collect())
    }

    #[test]
    fn each_item_sees_the_ones_before_it() {
        let stock = announced(&[put("one", 3, 5)]);
        let items = vec![receive("one", 2, false), receive("one", 1, true)];
        let done = ask(&stock, &InboundCommand::Receive(items));
        assert_eq!(done, Ok(vec![(3, 2), (0, 1)]));
        let items = vec![receive("one", 5, false), receive("one", 0, false)];
        let refused = ask(&stock, &InboundCommand::Receive(items));
        assert!(matches!(refused, Err(Refusal::UnknownInbound { .. })));
    }

    #[test]
    fn what_is_not_announced_or_too_much_is_not_received() {
        let stock = announced(&[put("one", 3, 5)]);
        let refused = ask(
            &stock,
            &InboundCommand::Receive(vec![receive("two", 1, false)]),
        );
        let unknown = Refusal::UnknownInbound {
            sku: "a".into(),
            id: "two".into(),
        };
        assert_eq!(refused, Err(unknown));
        let refused = ask(
            &stock,
            &InboundCommand::Receive(vec![receive("one", 6, true)]),
        );
        let over = Refusal::OverReceipt {
            sku: "a".into(),
            id: "one".into(),
            requested: units(6),
            open: units(5),
        };
        assert_eq!(refused, Err(over));
        let command = InboundCommand::Receive(vec![receive("one", 1, false)]);
        let refused = inbound(&command, TODAY, |_| None);
        assert_eq!(refused, Err(Refusal::UnknownSku { sku: "a".into() }));
    }

    #[test]
    fn days_too_far_ahead_and_too_many_announcements_are_refused() {
        let stock = Stock::default();
        let last = put("one", INBOUND_DAYS_MAX, 1);
        assert!(ask(&stock, &InboundCommand::Put(vec![last])).is_ok());
        let refused = ask(
            &stock,
            &InboundCommand::Put(vec![put("one", INBOUND_DAYS_MAX + 1, 1)]),
        );
        assert!(matches!(refused, Err(Refusal::DueTooLate { latest, .. }) if latest == last.due));

        let names: Vec<String> = (0..=INBOUND_OPEN_MAX).map(|n| n.to_string()).collect();
        let all: Vec<_> = names.iter().map(|name| put(name, 1, 1)).collect();
        let (last, most) = all.split_last().unwrap();
        let stock = announced(most);
        let refused = ask(&stock, &InboundCommand::Put(vec![*last]));
        assert_eq!(refused, Err(Refusal::TooManyInbound { sku: "a".into() }));
        // What is there may change, and what is nothing is not one more.
        assert!(ask(&stock, &InboundCommand::Put(vec![put("7", 2, 3)])).is_ok());
        assert!(ask(&stock, &InboundCommand::Put(vec![put("new", 2, 0)])).is_ok());
    }

    #[test]
    fn all_that_is_announced_could_be_on_hand_at_once() {
        let stock = announced(&[put("one", 3, UNITS_MAX)]);
        let refused = ask(&stock, &InboundCommand::Put(vec![put("two", 3, 1)]));
        assert_eq!(refused, Err(Refusal::TooMany { sku: "a".into() }));
        let done = ask(&stock, &InboundCommand::Put(vec![put("one", 4, 1)]));
        assert_eq!(done, Ok(vec![(1, 0)]));
    }
}
