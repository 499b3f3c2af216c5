//! The timeline against its own definitions, done naively.

#![expect(
    clippy::arithmetic_side_effects,
    reason = "test code: overflow is a panic, which is a failure"
)]

mod matching;
mod random;
mod simulation;
mod worked;

use super::*;
use crate::domain::policy::tests::Rng;
use crate::domain::stock::{NodeSafety, NodeStock, Safety, Settings, Stock};
use crate::domain::units::Units;

/// What counts as today in these tests.
const TODAY: u16 = 100;

fn units(n: u64) -> Units {
    Units::new(n).unwrap()
}

fn day(n: u16) -> Day {
    Day::new(n).unwrap()
}

/// Supply and promises, written down one by one.
#[derive(Debug, Clone, Default)]
struct World {
    /// Node and units.
    on_hand: Vec<(u16, u64)>,
    /// Node, day and units.
    inbound: Vec<(u16, u16, u64)>,
    /// Day (none: now), node and units.
    promises: Vec<(Option<u16>, Option<u16>, u64)>,
    safety: Option<Safety>,
    /// Node, and what it keeps back.
    node_safety: Vec<(u16, Safety)>,
}

impl World {
    fn stock(&self) -> Stock {
        let nodes = self.on_hand.iter().map(|(node, on_hand)| {
            let mine = self
                .promises
                .iter()
                .filter(|(_, pin, _)| *pin == Some(*node));
            NodeStock {
                on_hand: units(*on_hand),
                pinned: units(mine.map(|(_, _, open)| open).sum()),
                ..NodeStock::empty(NodeIx(*node))
            }
        });
        let held = self.promises.iter().map(|(_, _, open)| open).sum();
        let of_node = |(node, safety): &(u16, Safety)| (NodeIx(*node), *safety);
        let node_safety = self.node_safety.iter().map(of_node).collect();
        let settings = Settings {
            node_safety: NodeSafety::new(node_safety).unwrap(),
            safety: self.safety.unwrap_or(Safety::Units(Units::ZERO)),
            ..Settings::default()
        };
        let uses = crate::domain::Uses::EMPTY;
        let nodes = nodes.collect();
        let stock = Stock::from_parts(nodes, units(held), Units::ZERO, settings, uses, 0);
        let mut calendar = Calendar::default();
        for (at, (node, due, open)) in self.inbound.iter().enumerate() {
            calendar.put(Inbound {
                id: at.to_string().into(),
                kind: InboundKind::InTransit,
                node: NodeIx(*node),
                due: day(*due),
                units: units(*open),
            });
        }
        for (promised, pin, open) in &self.promises {
            if let Some(promised) = promised {
                let pin = pin.map(NodeIx);
                calendar.promise(day(*promised), pin, units(*open)).unwrap();
            }
        }
        stock.with_calendar(calendar)
    }

    fn random(rng: &mut Rng) -> Self {
        let nodes = 1 + rng.below(3);
        let days = 1 + rng.below(4);
        let some_day = |rng: &mut Rng| {
            // Now and then one that has passed.
            let of = u16::try_from(rng.below(days + 1)).unwrap();
            if rng.one_in(8) { TODAY - 1 } else { TODAY + of }
        };
        let some_node = |rng: &mut Rng| u16::try_from(rng.below(nodes)).unwrap();
        let on_hand = (0..nodes).map(|node| (u16::try_from(node).unwrap(), rng.below(5)));
        let on_hand = on_hand.collect();
        let inbound = (0..rng.below(4)).map(|_| (some_node(rng), some_day(rng), 1 + rng.below(3)));
        let inbound = inbound.collect();
        let promises = (0..rng.below(5)).map(|_| {
            let by = (!rng.one_in(3)).then(|| some_day(rng));
            let pin = rng.one_in(2).then(|| some_node(rng));
            (by, pin, 1 + rng.below(3))
        });
        let promises = promises.collect();
        let some_safety = |rng: &mut Rng| match rng.below(4) {
            0 => Some(Safety::Units(units(rng.below(4)))),
            1 => Some(Safety::Percent(u16::try_from(rng.below(10_001)).unwrap())),
            _ => None,
        };
        let safety = some_safety(rng);
        let of_node = |node| Some((u16::try_from(node).unwrap(), some_safety(rng)?));
        let node_safety = (0..nodes).filter_map(of_node).collect();
        Self {
            on_hand,
            inbound,
            promises,
            safety,
            node_safety,
        }
    }
}
