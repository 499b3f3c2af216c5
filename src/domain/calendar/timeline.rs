//! How many units of a SKU can be promised for a day: cumulative available-to-promise with
//! look-ahead.
//!
//! Time is a row of moments: *now*, with what is on hand, then every day from today on, with what
//! is announced for days up to it. What was announced for a day that has passed and was not
//! received counts for nothing. A promise names the latest moment at which its units must be there
//! (none, or a day that has passed: now), and a node or none. A unit that is at node `n` from
//! moment `a` on can serve a promise for moment `d` of node `p` if `a <= d` and `p` is `n` or none.
//!
//! # When all promises can be kept
//!
//! With `S_n(t)` the supply of node `n` up to `t`, `P_n(t)` the units promised for moments up to
//! `t` and pinned to `n`, and `U(t)` those that are not pinned:
//!
//! 1. `P_n(t) <= S_n(t)` for every node and moment, and
//! 2. `U(t) + safety(t) <= F(t)` for every moment, where `F(t)` is the sum over the nodes of the
//!    least that `S_n(s) - P_n(s)` is at any moment `s` from `t` on.
//!
//! That is exact, by Hall's theorem (P. Hall, *On Representatives of Subsets*, J. London Math. Soc.
//! 10, 1935), or the cut of least capacity where promises and supply are a flow network: all
//! promises can be served together if and only if no set of them needs more units than there are
//! for it. Of the sets that need the most, one consists of everything unpinned up to some moment
//! `t` and, per node, everything pinned up to some moment `s_n >= t`; it can draw on `S_n(s_n)`. Or
//! of pinned promises of one node alone. These are the two conditions. No unit has to be assigned to
//! a promise, so a receipt, a loss or a new date needs no second assignment either: units go to the
//! earliest promise by themselves.
//!
//! With one node and no pins the second condition is the textbook rule of cumulative ATP with
//! look-ahead: a day can give away no more than the least that is left over at any later day (T. E.
//! Vollmann, W. L. Berry, D. C. Whybark, F. R. Jacobs, *Manufacturing Planning and Control for
//! Supply Chain Management*, chapter on demand management; M. O. Ball, C.-Y. Chen, Z.-Y. Zhao,
//! *Available to Promise*, in: Handbook of Quantitative Supply Chain Analysis, 2004, 447-483).
//!
//! Safety stock is kept back of the total at every moment, as if it was promised without a pin to
//! somebody who never fetches it; in percent it is a share of `S(t)`, the supply up to that moment.
//! Where nodes have a safety stock of their own, `safety_n(t)` is that of node `n`, in percent of
//! `S_n(t)` and no more than that; `safety(t)` is at least the sum of these, and a claim that is
//! pinned to `n` has to leave `P_n(t) + safety_n(t) <= S_n(t)`.
//!
//! # What a claim may take
//!
//! The largest quantity after which every condition that it enters still holds. Conditions that
//! were broken before (by a loss, a late arrival) and that the claim does not make worse keep
//! nobody from units that come later. The room never shrinks with a later day, and grows only with
//! days on which something is due: only those need to be tried.

use smallvec::SmallVec;

use super::Calendar;
use crate::domain::day::Day;
use crate::domain::ids::NodeIx;
use crate::domain::policy::Supply;
use crate::domain::stock::{NodeStock, Settings, Stock};
use crate::domain::units::Units;
use crate::domain::verdict::Limit;

/// Signed units: differences of sums, each of which is within [`Units::MAX`].
type Balance = i64;

fn balance(units: Units) -> Balance {
    i64::try_from(units.get()).unwrap_or(Balance::MAX)
}

fn at_least_zero(balance: Balance) -> Units {
    let value = u64::try_from(balance).unwrap_or(0);
    Units::new(value).unwrap_or(Units::MAX)
}

fn add(place: Option<&mut Balance>, change: Balance) {
    if let Some(place) = place {
        *place = place.saturating_add(change);
    }
}

/// Supply and promises of a SKU from now on.
#[derive(Debug)]
pub struct Timeline<'a> {
    nodes: &'a [NodeStock],
    today: Day,
    /// Where anything changes, in order; the first is *now*, of day 0.
    moments: Vec<Moment>,
    /// What changes at the nodes, sorted by node; nodes without any change have none.
    changes: Vec<Change>,
    /// `safety_n(t)` at each moment, of the nodes that keep any.
    kept: Vec<(NodeIx, Course)>,
}

/// How the SKU stands from a moment on, until the next one.
#[derive(Debug, Clone, Copy, Default)]
struct Moment {
    day: u16,
    /// `S(t)` over all nodes.
    supply: Balance,
    /// `F(t) - U(t)`.
    unpromised: Balance,
    /// `safety(t)`.
    safety: Balance,
    /// Whether `F(t)` is less than what the nodes have left over at this moment itself.
    looks_ahead: bool,
}

/// A change of `S_n - P_n`.
#[derive(Debug, Clone, Copy)]
struct Change {
    node: NodeIx,
    at: usize,
    units: Balance,
}

/// What is available for a day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bucket {
    /// From this day on, until the next bucket; `None`: now, of what is on hand.
    pub day: Option<Day>,
    /// The most that can be promised for it.
    pub available: Units,
    /// What keeps it from being more.
    pub limit: Limit,
}

impl<'a> Timeline<'a> {
    /// Lays out what there is and what is promised of a SKU. Takes time in proportion to nodes and
    /// to dated entries times the nodes that have any.
    pub fn of(stock: &'a Stock, today: Day) -> Self {
        let calendar = stock.calendar();
        let mut timeline = Self {
            nodes: stock.nodes(),
            today,
            moments: moments(calendar, today),
            changes: Vec::new(),
            kept: Vec::new(),
        };
        timeline.count_supply(stock);
        timeline.count_safety(stock.settings());
        timeline.count_promises(stock);
        timeline.changes.sort_by_key(|change| change.node);
        timeline.count_nodes();
        timeline
    }

    fn count_supply(&mut self, stock: &Stock) {
        let on_hand = balance(stock.on_hand());
        let mut arrivals: Vec<Balance> = self.moments.iter().map(|_| 0).collect();
        for entry in stock.calendar().inbound() {
            if entry.due >= self.today {
                let (at, units) = (self.index(Some(entry.due)), balance(entry.units));
                add(arrivals.get_mut(at), units);
                self.changes.push(Change {
                    node: entry.node,
                    at,
                    units,
                });
            }
        }
        let mut supply = on_hand;
        for (moment, arrived) in self.moments.iter_mut().zip(arrivals) {
            supply = supply.saturating_add(arrived);
            moment.supply = supply;
        }
    }

    /// What is kept back, over all and at the nodes. So far supply is all that changes.
    fn count_safety(&mut self, settings: &Settings) {
        let mut sums: Course = self.moments.iter().map(|_| 0).collect();
        for (node, level) in settings.node_safety.nodes() {
            let place = self.nodes.iter().find(|place| place.node == *node);
            let on_hand = place.map_or(0, |place| balance(place.on_hand));
            let arrivals = self.changes.iter().filter(|change| change.node == *node);
            let mut course = self.running(on_hand, arrivals);
            for (sum, units) in sums.iter_mut().zip(&mut course) {
                *units = (*units).min(balance(level.of(at_least_zero(*units))));
                *sum = sum.saturating_add(*units);
            }
            self.kept.push((*node, course));
        }
        for (moment, sum) in self.moments.iter_mut().zip(sums) {
            let over_all = settings.safety.of(at_least_zero(moment.supply));
            moment.safety = balance(over_all).max(sum);
        }
    }

    /// Subtracts what is promised without a pin, and notes where pins are for later than now.
    fn count_promises(&mut self, stock: &Stock) {
        let pinned = self.nodes.iter().map(|node| balance(node.pinned));
        let pinned = pinned.fold(0, Balance::saturating_add);
        let mut unpinned = balance(stock.promised()).saturating_sub(pinned);
        let mut later: Vec<Balance> = self.moments.iter().map(|_| 0).collect();
        for promise in stock.calendar().promises() {
            let (at, units) = (self.index(Some(promise.day)), balance(promise.units));
            match promise.pin {
                None => {
                    unpinned = unpinned.saturating_sub(units);
                    add(later.get_mut(at), units);
                }
                Some(_) if at == 0 => {}
                Some(node) => {
                    let now = Change { node, at: 0, units };
                    let then = Change {
                        node,
                        at,
                        units: units.saturating_neg(),
                    };
                    self.changes.extend([now, then]);
                }
            }
        }
        for (moment, more) in self.moments.iter_mut().zip(later) {
            unpinned = unpinned.saturating_add(more);
            moment.unpromised = unpinned.saturating_neg();
        }
    }

    /// Adds what each node contributes to `F`.
    fn count_nodes(&mut self) {
        for node in self.nodes {
            let course = self.course(node);
            let least = least_from(&course);
            for ((moment, free), least) in self.moments.iter_mut().zip(&course).zip(&least) {
                moment.unpromised = moment.unpromised.saturating_add(*least);
                moment.looks_ahead |= least < free;
            }
        }
    }

    /// `S_n - P_n` at each moment.
    fn course(&self, node: &NodeStock) -> Course {
        let begin = self.changes.partition_point(|c| c.node < node.node);
        let mine = self.changes.get(begin..).unwrap_or_default();
        let mine = mine.iter().take_while(|change| change.node == node.node);
        let free = balance(node.on_hand).saturating_sub(balance(node.pinned));
        self.running(free, mine)
    }

    /// So many units, with these changes, at each moment.
    fn running<'c>(&self, units: Balance, changes: impl Iterator<Item = &'c Change>) -> Course {
        let mut steps: Course = self.moments.iter().map(|_| 0).collect();
        for change in changes {
            add(steps.get_mut(change.at), change.units);
        }
        let mut units = units;
        for step in &mut steps {
            units = units.saturating_add(*step);
            *step = units;
        }
        steps
    }

    fn course_at(&self, node: NodeIx) -> Course {
        let found = self.nodes.iter().find(|place| place.node == node);
        self.course(&found.copied().unwrap_or(NodeStock::empty(node)))
    }

    /// `S_n - P_n` from now on, at its least: what a node can give away, or (below zero) lacks.
    fn free_at(&self, node: NodeIx) -> Course {
        least_from(&self.course_at(node))
    }

    /// The same from one moment on with `safety_n` kept back.
    fn free_beside_safety(&self, node: NodeIx, from: usize) -> Option<Balance> {
        let (_, kept) = self.kept.iter().find(|(kept_at, _)| *kept_at == node)?;
        let course = self.course_at(node);
        let beside = course.iter().zip(kept).skip(from);
        beside.map(|(free, kept)| free.saturating_sub(*kept)).min()
    }

    /// The position of the moment that a day belongs to. Days that have passed are now.
    fn index(&self, day: Option<Day>) -> usize {
        let day = day.filter(|day| *day >= self.today).map_or(0, Day::get);
        let after = self.moments.partition_point(|moment| moment.day <= day);
        after.saturating_sub(1)
    }

    /// The most that can be promised for a day, pinned or not, and what keeps it from being more.
    /// `None`: now, of what is on hand.
    pub fn room(&self, day: Option<Day>, pin: Option<NodeIx>) -> (Units, Limit) {
        self.slack(day, pin).room()
    }

    /// The same if safety stock could be promised as well.
    pub fn room_beyond_safety(&self, day: Option<Day>, pin: Option<NodeIx>) -> (Units, Limit) {
        let slack = self.slack(day, pin);
        Slack {
            beside_safety: slack.over_all,
            beside_node_safety: None,
            ..slack
        }
        .room()
    }

    fn slack(&self, day: Option<Day>, pin: Option<NodeIx>) -> Slack {
        let from = self.index(day);
        let least = pin.map(|node| self.free_at(node));
        let mut slack = Slack {
            over_all: Balance::MAX,
            limit: Limit::Stock,
            beside_safety: Balance::MAX,
            at_node: least.as_ref().and_then(|least| least.get(from).copied()),
            beside_node_safety: pin.and_then(|node| self.free_beside_safety(node, from)),
        };
        for (at, moment) in self.moments.iter().enumerate() {
            let spared = match &least {
                None if at < from => continue,
                None => 0,
                // Earlier promises lose only what the node is left with afterwards.
                Some(least) => gain(least, at, from),
            };
            let over_all = moment.unpromised.saturating_add(spared);
            if over_all < slack.over_all {
                slack.over_all = over_all;
                slack.limit = self.reason(from, at);
            }
            let beside_safety = over_all.saturating_sub(moment.safety);
            slack.beside_safety = slack.beside_safety.min(beside_safety);
        }
        slack
    }

    /// Why nothing more can be promised for the moment `from` when what is unpromised is least at
    /// another one.
    fn reason(&self, from: usize, least: usize) -> Limit {
        let supply = |at: usize| self.moments.get(at).map(|moment| moment.supply);
        let looks_ahead = self.moments.get(least).is_some_and(|m| m.looks_ahead);
        if least > from || looks_ahead {
            Limit::Later
        } else if supply(from) > supply(0) {
            Limit::Inbound
        } else {
            Limit::Stock
        }
    }

    /// Supply up to a day: on hand, and what is due by then.
    pub fn supply(&self, day: Option<Day>) -> Units {
        let moment = self.moments.get(self.index(day));
        at_least_zero(moment.map_or(0, |moment| moment.supply))
    }

    /// What caps and protections of a claim for a day are measured against.
    pub fn supplied(&self, day: Option<Day>) -> Supply {
        Supply {
            on_hand: self.supply(day),
            free: self.room(day, None).0,
        }
    }

    /// Units that no pin needs at that node, now or later.
    pub fn spare(&self, node: NodeIx) -> Units {
        self.spare_from(node, None)
    }

    /// Units that no pin needs at that node from a day on.
    pub fn spare_from(&self, node: NodeIx, day: Option<Day>) -> Units {
        let from = self.index(day);
        at_least_zero(self.free_at(node).get(from).copied().unwrap_or(0))
    }

    /// Whether promises that can be kept here cannot be there: the same SKU after pins were moved.
    pub fn is_harmed_in(&self, other: &Self) -> bool {
        let mut moments = self.moments.iter().zip(&other.moments);
        moments.any(|(here, there)| there.unpromised < here.unpromised.min(0))
    }

    /// Units of promises that cannot be kept as things stand.
    pub fn deficit(&self) -> Units {
        let over_all = self.moments.iter().map(|moment| moment.unpromised).min();
        let at_nodes = self.nodes.iter().map(|node| {
            let least = self.course(node).iter().copied().min();
            least.unwrap_or(0).min(0).saturating_neg()
        });
        let at_nodes = at_nodes.fold(0, Balance::saturating_add);
        at_least_zero(over_all.unwrap_or(0).saturating_neg().max(at_nodes))
    }

    /// The days at which what can be promised may grow, from today on.
    pub fn days(&self) -> impl Iterator<Item = Day> + '_ {
        let supply = |at: usize| self.moments.get(at).map(|moment| moment.supply);
        let grows = move |at: &usize| supply(*at) > supply(at.saturating_sub(1));
        let later = (1..self.moments.len()).filter(grows);
        let later = later.filter_map(|at| Day::new(self.moments.get(at)?.day));
        let today = self.today;
        std::iter::once(today).chain(later.filter(move |day| *day > today))
    }
}

type Course = SmallVec<[Balance; 8]>;

/// By how much the conditions that a claim enters hold, each at its least.
struct Slack {
    /// Of all that is there, at which moment of what kind.
    over_all: Balance,
    limit: Limit,
    /// The same with safety stock kept back.
    beside_safety: Balance,
    /// Of what the node has, for a pinned claim.
    at_node: Option<Balance>,
    /// The same with the node's own safety stock kept back, where it has one.
    beside_node_safety: Option<Balance>,
}

impl Slack {
    fn room(&self) -> (Units, Limit) {
        let mut room = (at_least_zero(self.over_all), self.limit);
        let beside_safety = at_least_zero(self.beside_safety);
        if beside_safety < room.0 {
            room = (beside_safety, Limit::Safety);
        }
        if let Some(at_node) = self.at_node.map(at_least_zero)
            && at_node < room.0
        {
            room = (at_node, Limit::Node);
        }
        if let Some(beside_safety) = self.beside_node_safety.map(at_least_zero)
            && beside_safety < room.0
        {
            room = (beside_safety, Limit::Safety);
        }
        room
    }
}

/// The least of each value and all that follow.
fn least_from(course: &[Balance]) -> Course {
    let mut least = Balance::MAX;
    let mut all: Course = course.iter().map(|_| 0).collect();
    for (place, value) in all.iter_mut().zip(course).rev() {
        least = least.min(*value);
        *place = least;
    }
    all
}

/// By how much a node has more left over from `from` on than from `at` on.
fn gain(least: &[Balance], at: usize, from: usize) -> Balance {
    let value = |at: usize| least.get(at).copied().unwrap_or(0);
    value(at.max(from)).saturating_sub(value(at))
}

/// Now, and every day from today on at which something is due or promised.
fn moments(calendar: &Calendar, today: Day) -> Vec<Moment> {
    let due = calendar.inbound().iter().map(|entry| entry.due);
    let promised = calendar.promises().iter().map(|promise| promise.day);
    let later = due.chain(promised).filter(|day| *day >= today);
    let mut days: Vec<u16> = std::iter::once(0).chain(later.map(Day::get)).collect();
    days.sort_unstable();
    days.dedup();
    let moment = |day| Moment {
        day,
        ..Moment::default()
    };
    days.into_iter().map(moment).collect()
}
