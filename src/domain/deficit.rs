//! Which promises a deficit touches: those that would be left without units if everything else were
//! shipped.

use super::ids::{ChannelIx, NodeIx, ReservationId};
use super::stock::NodeStock;
use super::time::UnixMillis;
use super::units::Units;

/// A line with open units.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Promise {
    /// Of which reservation.
    pub reservation: ReservationId,
    /// Who sold.
    pub channel: ChannelIx,
    /// When it was made.
    pub made: UnixMillis,
    /// The node that must ship; `None`: any.
    pub pin: Option<NodeIx>,
    /// Promised for a time.
    pub held: Units,
    /// Promised to a firm order.
    pub committed: Units,
}

impl Promise {
    /// Held and committed.
    pub fn open(&self) -> Units {
        self.held.checked_add(self.committed).unwrap_or(Units::MAX)
    }
}

/// Who is the first to go without.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Order {
    /// Who came last: what was promised first is kept longest.
    #[default]
    Newest,
    /// Who came first.
    Oldest,
    /// Held units before committed ones, and of each who came last.
    Held,
}

impl Order {
    /// The words of the API, in the order of the variants.
    pub const WORDS: [(&'static str, Self); 3] = [
        ("newest", Self::Newest),
        ("oldest", Self::Oldest),
        ("held", Self::Held),
    ];

    fn sort(self, promises: &mut [Promise]) {
        // The id decides between those of one moment, so that everybody gives the same answer.
        promises.sort_by_key(|of| (of.made, of.reservation.0, of.pin));
        match self {
            Self::Oldest => {}
            Self::Newest => promises.reverse(),
            Self::Held => {
                promises.reverse();
                promises.sort_by_key(|of| of.held.is_zero());
            }
        }
    }
}

/// A promise and how many of its units there are not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AtRisk {
    /// The promise.
    pub promise: Promise,
    /// Units of it.
    pub units: Units,
}

/// The promises of a SKU that what is on hand does not reach, in order, first those to go.
///
/// What a node lacks can only be made good by lines that are pinned to it. What is missing beyond
/// that may be taken from any line that is not needed for a node's gap already. So no smaller number
/// of units would do, and after these went back [`Stock::deficit`](super::Stock::deficit) is zero.
pub fn at_risk(nodes: &[NodeStock], mut promises: Vec<Promise>, order: Order) -> Vec<AtRisk> {
    let sum = |of: &mut dyn Iterator<Item = Units>| {
        of.fold(Units::ZERO, |sum, units| {
            sum.checked_add(units).unwrap_or(Units::MAX)
        })
    };
    let on_hand = sum(&mut nodes.iter().map(|node| node.on_hand));
    let promised = sum(&mut promises.iter().map(Promise::open));
    order.sort(&mut promises);
    let mut gaps: Vec<(NodeIx, Units)> = nodes
        .iter()
        .map(|node| (node.node, node.pinned.left_after(node.on_hand)))
        .collect();
    let at_nodes = sum(&mut gaps.iter().map(|(_, gap)| *gap));
    let mut anywhere = promised.left_after(on_hand).left_after(at_nodes);
    let mut found = Vec::new();
    for promise in promises {
        let gap = gaps.iter_mut().find(|(node, _)| promise.pin == Some(*node));
        let at_node = gap.map_or(Units::ZERO, |(_, gap)| take(gap, promise.open()));
        let rest = promise.open().left_after(at_node);
        let units = at_node
            .checked_add(take(&mut anywhere, rest))
            .unwrap_or(Units::MAX);
        if !units.is_zero() {
            found.push(AtRisk { promise, units });
        }
    }
    found
}

/// Takes up to so many units off what is wanted; how many that were.
fn take(wanted: &mut Units, most: Units) -> Units {
    let taken = (*wanted).min(most);
    *wanted = wanted.left_after(taken);
    taken
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Settings, Stock, Uses};

    fn units(n: u64) -> Units {
        Units::new(n).unwrap()
    }

    fn promise(id: u128, made: i64, pin: Option<u16>, held: u64, committed: u64) -> Promise {
        Promise {
            reservation: ReservationId(id),
            channel: ChannelIx(0),
            made: UnixMillis(made),
            pin: pin.map(NodeIx),
            held: units(held),
            committed: units(committed),
        }
    }

    fn node(node: u16, on_hand: u64, pinned: u64) -> NodeStock {
        NodeStock {
            on_hand: units(on_hand),
            pinned: units(pinned),
            ..NodeStock::empty(NodeIx(node))
        }
    }

    fn found(nodes: &[NodeStock], promises: &[Promise], order: Order) -> Vec<(u128, u64)> {
        let found = at_risk(nodes, promises.to_vec(), order);
        let of = |of: AtRisk| (of.promise.reservation.0, of.units.get());
        found.into_iter().map(of).collect()
    }

    #[test]
    fn the_order_says_who_goes_without() {
        let promises = [
            promise(1, 10, None, 0, 4),
            promise(2, 20, None, 3, 0),
            promise(3, 30, None, 0, 5),
        ];
        let nodes = [node(0, 6, 0)];
        assert_eq!(found(&nodes, &promises, Order::Newest), [(3, 5), (2, 1)]);
        assert_eq!(found(&nodes, &promises, Order::Oldest), [(1, 4), (2, 2)]);
        assert_eq!(found(&nodes, &promises, Order::Held), [(2, 3), (3, 3)]);
        assert_eq!(found(&[node(0, 12, 0)], &promises, Order::Newest), []);
    }

    #[test]
    fn what_a_node_lacks_is_taken_from_its_own_pins() {
        let promises = [
            promise(1, 10, Some(1), 4, 0),
            promise(2, 20, Some(2), 4, 0),
            promise(3, 30, None, 2, 0),
        ];
        // Node 1 lacks two units; over all there are enough.
        let nodes = [node(1, 2, 4), node(2, 9, 4)];
        assert_eq!(found(&nodes, &promises, Order::Newest), [(1, 2)]);
        // And one more over all.
        let nodes = [node(1, 2, 4), node(2, 5, 4)];
        assert_eq!(found(&nodes, &promises, Order::Newest), [(3, 1), (1, 2)]);
    }

    /// A stock with these promises and two nodes.
    fn stock(promises: &[Promise], on_hand: [u64; 2]) -> Stock {
        let sum = |of: &dyn Fn(&Promise) -> u64| promises.iter().map(of).sum();
        let at = |node: u16| {
            let is_here = |p: &&Promise| p.pin == Some(NodeIx(node));
            promises
                .iter()
                .filter(is_here)
                .map(|p| p.open().get())
                .sum()
        };
        let nodes = [node(0, on_hand[0], at(0)), node(1, on_hand[1], at(1))];
        Stock::from_parts(
            nodes.into_iter().collect(),
            units(sum(&|p| p.held.get())),
            units(sum(&|p| p.committed.get())),
            Settings::default(),
            Uses::default(),
            0,
        )
    }

    #[test]
    fn afterwards_nothing_is_missing() {
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let mut below = |end: u64| {
            state ^= state >> 12;
            state ^= state << 25;
            state ^= state >> 27;
            (state.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % end
        };
        for _ in 0..20_000 {
            let promises: Vec<_> = (0..below(6))
                .map(|id| {
                    let pin = [None, Some(0), Some(1)][usize::try_from(below(3)).unwrap()];
                    let (made, held) = (i64::try_from(below(9)).unwrap(), below(4));
                    promise(u128::from(id), made, pin, held, below(4))
                })
                .collect();
            let on_hand = [below(9), below(9)];
            let order = Order::WORDS[usize::try_from(below(3)).unwrap()].1;
            let before = stock(&promises, on_hand);
            let risk = at_risk(before.nodes(), promises.clone(), order);
            assert_eq!(risk.is_empty(), before.deficit().is_zero());
            let mut after = promises;
            for of in &risk {
                let left = after
                    .iter_mut()
                    .find(|p| p.reservation == of.promise.reservation);
                let left = left.unwrap();
                let from_held = left.held.min(of.units);
                left.held = left.held.left_after(from_held);
                left.committed = left
                    .committed
                    .checked_sub(of.units.left_after(from_held))
                    .unwrap();
            }
            assert_eq!(stock(&after, on_hand).deficit(), Units::ZERO);
        }
    }
}
