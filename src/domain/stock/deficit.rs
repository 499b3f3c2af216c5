//! By how much a SKU is promised beyond what there is, and what the feed told of that.

use super::Stock;
use crate::domain::day::Day;
use crate::domain::units::Units;

/// What a command changed of a SKU, as far as a deficit may follow of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// What is there, or announced: a deficit may have begun.
    Supply,
    /// What is promised: that makes none, and may end one.
    Promises,
}

impl Stock {
    /// The same stock, of which the feed told this deficit last.
    #[must_use]
    pub fn with_deficit_told(mut self, deficit: Units) -> Self {
        self.put_deficit_told(deficit);
        self
    }

    /// Units by which promises exceed what there is for them, over all nodes or at single nodes.
    /// Never caused by a hold; only by a count, a loss, a transfer out of band, or supply that was
    /// announced and does not come as announced.
    pub fn deficit(&self, today: Day) -> Units {
        if let Some(timeline) = self.timeline(today) {
            return timeline.deficit();
        }
        let at_nodes = self.sum(|n| n.pinned.left_after(n.on_hand));
        self.promised().left_after(self.on_hand()).max(at_nodes)
    }

    /// The deficit that the feed told of last.
    pub fn deficit_told(&self) -> Units {
        self.rare().map_or(Units::ZERO, |rare| rare.deficit_told)
    }

    /// The deficit as it is, where the feed told of another one. To be asked after every command, once
    /// all of it is done.
    pub fn untold_deficit(&self, change: Change, today: Day) -> Option<Units> {
        let told = self.deficit_told();
        let is_asked = match change {
            Change::Supply => true,
            Change::Promises => !told.is_zero(),
        };
        let deficit = is_asked.then(|| self.deficit(today));
        deficit.filter(|deficit| *deficit != told)
    }

    /// The feed tells of this deficit.
    pub fn put_deficit_told(&mut self, deficit: Units) {
        if deficit != self.deficit_told() {
            self.rare_mut().deficit_told = deficit;
            self.forget_empty_rare();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::calendar::{Inbound, InboundKind};
    use crate::domain::ids::NodeIx;
    use crate::domain::line::{Line, Move};

    const TODAY: Day = Day::FIRST;

    fn units(n: u64) -> Units {
        Units::new(n).unwrap()
    }

    fn stock(on_hand: u64, promised: u64, day: Option<Day>) -> Stock {
        let mut stock = Stock::default();
        let line = Line {
            day,
            ..Line::pinned(None)
        };
        stock
            .set_node(NodeIx::MAIN, units(on_hand), Units::ZERO)
            .unwrap();
        stock
            .move_units(&line, Move::Hold(units(promised)))
            .unwrap();
        stock
    }

    fn announce(stock: &mut Stock, due: Day, quantity: u64) {
        let entry = Inbound {
            id: "po".into(),
            kind: InboundKind::InTransit,
            node: NodeIx::MAIN,
            due,
            units: units(quantity),
        };
        stock.put_inbound(entry).unwrap();
    }

    #[test]
    fn what_was_told_is_not_told_again() {
        let mut stock = stock(3, 5, None);
        assert_eq!(stock.untold_deficit(Change::Promises, TODAY), None);
        assert_eq!(stock.untold_deficit(Change::Supply, TODAY), Some(units(2)));
        stock.put_deficit_told(units(2));
        assert_eq!(stock.untold_deficit(Change::Supply, TODAY), None);
        let (node, none) = (NodeIx::MAIN, Units::ZERO);
        stock.set_node(node, units(5), none).unwrap();
        assert_eq!(stock.untold_deficit(Change::Supply, TODAY), Some(none));
        stock.put_deficit_told(none);
        assert_eq!(stock.rare(), None, "nothing is kept of a SKU that has none");
    }

    #[test]
    fn of_a_dated_sku_the_days_are_gone_through_where_supply_changed_or_one_was_told() {
        let due = TODAY.later(2);
        let mut stock = stock(0, 4, Some(due));
        announce(&mut stock, due, 4);
        assert_eq!(stock.untold_deficit(Change::Supply, TODAY), None);
        let after = due.later(1);
        assert_eq!(stock.deficit(after), units(4));
        assert_eq!(stock.untold_deficit(Change::Promises, after), None);
        assert_eq!(stock.untold_deficit(Change::Supply, after), Some(units(4)));
        stock.put_deficit_told(units(1));
        assert_eq!(
            stock.untold_deficit(Change::Promises, after),
            Some(units(4))
        );
    }
}
