//! Which promises a deficit touches: those that would be left without units if everything else were
//! shipped.

use std::cmp::Reverse;

use super::calendar::{Calendar, Inbound, Timeline};
use super::day::Day;
use super::ids::{ChannelIx, NodeIx, ReservationId};
use super::line::{Inconsistent, Line, Move};
use super::stock::{NodeStock, Settings, Stock};
use super::time::UnixMillis;
use super::units::Units;
use super::uses::Uses;

/// A line with open units.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Promise {
    /// Of which reservation.
    pub reservation: ReservationId,
    /// Who sold.
    pub channel: ChannelIx,
    /// Of whose share it is, where that is another channel.
    pub charged_to: Option<ChannelIx>,
    /// When it was made.
    pub made: UnixMillis,
    /// The node that must ship; `None`: any.
    pub pin: Option<NodeIx>,
    /// The day by which its units must be there; `None`: they were when it was made.
    pub day: Option<Day>,
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
    /// Channels of the largest rank number, and of each who came last.
    LowestRank,
}

impl Order {
    /// The words of the API, in the order of the variants.
    pub const WORDS: [(&'static str, Self); 4] = [
        ("newest", Self::Newest),
        ("oldest", Self::Oldest),
        ("held", Self::Held),
        ("lowest_rank", Self::LowestRank),
    ];

    /// The word of the API.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Newest => "newest",
            Self::Oldest => "oldest",
            Self::Held => "held",
            Self::LowestRank => "lowest_rank",
        }
    }

    /// The order of that word.
    pub fn named(word: &str) -> Option<Self> {
        let found = Self::WORDS.iter().find(|(name, _)| *name == word);
        found.map(|(_, order)| *order)
    }

    fn sort(self, promises: &mut [Promise], rank: impl Fn(ChannelIx) -> u16) {
        // The id decides between those of one moment, so that everybody gives the same answer.
        promises.sort_by_key(|of| (of.made, of.reservation.0, of.pin));
        match self {
            Self::Oldest => {}
            Self::Newest => promises.reverse(),
            Self::Held => {
                promises.reverse();
                promises.sort_by_key(|of| of.held.is_zero());
            }
            Self::LowestRank => {
                promises.reverse();
                promises.sort_by_key(|of| Reverse(rank(of.channel)));
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

/// What there is of a SKU for promises to be kept with.
#[derive(Debug, Clone, Copy)]
pub struct Means<'a> {
    /// What each node has.
    pub nodes: &'a [NodeStock],
    /// What is announced.
    pub inbound: &'a [Inbound],
    /// From when on that counts.
    pub today: Day,
}

/// The promises of a SKU that cannot be kept, in order, first those to go.
///
/// Promises are kept one by one, the last to go first, as long as there are units for them. Sets of
/// units that can be served together are the independent sets of a gammoid, and there the greedy
/// choice is right in both ways: no smaller number of units would do, and nobody goes without for
/// the sake of somebody who comes before in the order. (J. Edmonds, *Matroids and the greedy
/// algorithm*, Mathematical Programming 1, 1971.) Afterwards
/// [`Stock::deficit`](super::Stock::deficit) is zero.
pub fn at_risk(
    means: Means<'_>,
    mut promises: Vec<Promise>,
    order: Order,
    rank: impl Fn(ChannelIx) -> u16,
) -> Result<Vec<AtRisk>, Inconsistent> {
    order.sort(&mut promises, rank);
    let mut kept = means.unpromised();
    let mut found = Vec::new();
    for promise in promises.into_iter().rev() {
        let line = Line {
            day: promise.day,
            ..Line::pinned(promise.pin)
        };
        let fits = promise.open().min(means.room(&kept, &line));
        kept.move_units(&line, Move::Hold(fits))?;
        let units = promise.open().left_after(fits);
        if !units.is_zero() {
            found.push(AtRisk { promise, units });
        }
    }
    found.reverse();
    Ok(found)
}

impl Means<'_> {
    /// The stock without any promise, and without anything that is kept back.
    fn unpromised(&self) -> Stock {
        let nodes = self.nodes.iter().map(|node| NodeStock {
            pinned: Units::ZERO,
            ..*node
        });
        let (none, settings) = (Units::ZERO, Settings::default());
        let stock = Stock::from_parts(nodes.collect(), none, none, settings, Uses::default(), 0);
        stock.with_calendar(Calendar::from_parts(self.inbound.to_vec(), Vec::new()))
    }

    fn room(&self, stock: &Stock, line: &Line) -> Units {
        if self.inbound.is_empty() {
            stock.room(line.pin, Units::ZERO, None).0
        } else {
            Timeline::of(stock, self.today).room(line.day, line.pin).0
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn units(n: u64) -> Units {
        Units::new(n).unwrap()
    }

    fn promise(id: u128, made: i64, pin: Option<u16>, held: u64, committed: u64) -> Promise {
        Promise {
            reservation: ReservationId(id),
            channel: ChannelIx(0),
            charged_to: None,
            made: UnixMillis(made),
            pin: pin.map(NodeIx),
            day: None,
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

    fn means(nodes: &[NodeStock]) -> Means<'_> {
        Means {
            nodes,
            inbound: &[],
            today: Day::FIRST,
        }
    }

    fn found(nodes: &[NodeStock], promises: &[Promise], order: Order) -> Vec<(u128, u64)> {
        // The lower the index, the better the rank.
        let rank = |channel: ChannelIx| channel.0.saturating_add(1);
        let found = at_risk(means(nodes), promises.to_vec(), order, rank).unwrap();
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

        let mut of_channels = promises.clone();
        for (promise, channel) in of_channels.iter_mut().zip([2, 0, 2]) {
            promise.channel = ChannelIx(channel);
        }
        let by_rank = found(&nodes, &of_channels, Order::LowestRank);
        assert_eq!(by_rank, [(3, 5), (1, 1)]);
        for (word, order) in Order::WORDS {
            assert_eq!((order.word(), Order::named(word)), (word, Some(order)));
        }
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
    fn a_promise_for_a_day_is_kept_with_what_comes_by_then() {
        let inbound = |due: Day| Inbound {
            id: "po".into(),
            kind: super::super::calendar::InboundKind::InTransit,
            node: NodeIx(0),
            due,
            units: units(5),
        };
        let day = |later| Some(Day::FIRST.later(later));
        let now = promise(1, 10, None, 0, 3);
        let dated = Promise {
            day: day(4),
            ..promise(2, 20, None, 0, 5)
        };
        for (due, gone) in [(4, vec![]), (5, vec![(2, 5)])] {
            let (nodes, inbound) = ([node(0, 3, 0)], [inbound(Day::FIRST.later(due))]);
            let means = Means {
                inbound: &inbound,
                ..means(&nodes)
            };
            let found = at_risk(
                means,
                vec![now.clone(), dated.clone()],
                Order::Newest,
                |_| 0,
            )
            .unwrap();
            let of = |of: &AtRisk| (of.promise.reservation.0, of.units.get());
            assert_eq!(found.iter().map(of).collect::<Vec<_>>(), gone);
        }
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
            let risk = at_risk(means(before.nodes()), promises.clone(), order, |_| 0).unwrap();
            assert_eq!(risk.is_empty(), before.deficit(Day::FIRST).is_zero());
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
            assert_eq!(stock(&after, on_hand).deficit(Day::FIRST), Units::ZERO);
        }
    }
}
