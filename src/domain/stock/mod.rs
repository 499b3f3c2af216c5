//! Stock of one SKU over all its nodes, what is promised of it, and its settings.

mod change;
mod deficit;

use std::borrow::Cow;

use smallvec::SmallVec;

pub use self::deficit::Change;
use super::calendar::Calendar;
use super::day::Day;
use super::ids::NodeIx;
use super::policy::{Bound, Supply};
use super::settings::Terms;
pub use super::settings::{NodeSafety, Safety, Selling, Settings};
use super::units::Units;
use super::uses::Uses;
use super::verdict::Limit;
use super::water::{LowWater, Water, WhileLow};

/// What one node has of a SKU.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NodeStock {
    /// Where.
    pub node: NodeIx,
    /// Physically there and usable.
    pub on_hand: Units,
    /// There, but damaged or in inspection.
    pub unavailable: Units,
    /// Open units of lines pinned here.
    pub pinned: Units,
    /// When its units were last set, in seconds since 1970; 0: never.
    pub counted: u32,
}

impl NodeStock {
    /// An empty place.
    pub const fn empty(node: NodeIx) -> Self {
        Self {
            node,
            on_hand: Units::ZERO,
            unavailable: Units::ZERO,
            pinned: Units::ZERO,
            counted: 0,
        }
    }

    /// Usable units that no pin needs.
    pub const fn unpinned(&self) -> Units {
        self.on_hand.left_after(self.pinned)
    }
}

/// Stock of one SKU.
///
/// INVARIANT of every hold that was accepted: for each node `pinned <= on_hand`, and
/// `held + committed + safety <= on_hand` over all nodes; a hold pinned to a node leaves what that
/// node keeps back as well, which is part of the safety over all. That is exact for mixed pinned and
/// unpinned lines, by Hall's theorem on the two-level case: a set of lines that contains an
/// unpinned one may draw on every node, any other only on its own pins' nodes. A count or a loss
/// may break it afterwards; the gap is [`Stock::deficit`].
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Stock {
    nodes: SmallVec<[NodeStock; 1]>,
    held: Units,
    committed: Units,
    version: u64,
    /// `None`: nothing of it; a million SKUs that nobody asks for cost a pointer each.
    rest: Option<Box<Rest>>,
}

/// What not every SKU has.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Rest {
    settings: Settings,
    water: Water,
    uses: Uses,
    rare: Option<Box<Rare>>,
}

/// What hardly any SKU has.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Rare {
    calendar: Calendar,
    /// The deficit that the feed told of last.
    deficit_told: Units,
}

static NO_USES: Uses = Uses::EMPTY;
static NO_CALENDAR: Calendar = Calendar::EMPTY;

impl Stock {
    /// Builds a stock from its stored parts; the nodes are sorted here.
    pub fn from_parts(
        mut nodes: SmallVec<[NodeStock; 1]>,
        held: Units,
        committed: Units,
        settings: Settings,
        uses: Uses,
        version: u64,
    ) -> Self {
        nodes.sort_by_key(|n| n.node);
        let rest = Rest {
            settings,
            water: Water::default(),
            uses,
            rare: None,
        };
        Self {
            nodes,
            held,
            committed,
            version,
            rest: (rest != Rest::default()).then(|| Box::new(rest)),
        }
    }

    /// The same stock, which stands so to its mark.
    #[must_use]
    pub fn with_water(mut self, water: Water) -> Self {
        if water != self.water() {
            self.rest.get_or_insert_default().water = water;
        }
        self
    }

    /// The same stock with this calendar.
    #[must_use]
    pub fn with_calendar(mut self, calendar: Calendar) -> Self {
        if !calendar.is_empty() {
            self.rare_mut().calendar = calendar;
        }
        self
    }

    /// The nodes, sorted.
    pub fn nodes(&self) -> &[NodeStock] {
        &self.nodes
    }

    /// What a node has; an empty place where the SKU was never there.
    pub fn node(&self, node: NodeIx) -> NodeStock {
        self.nodes
            .iter()
            .find(|n| n.node == node)
            .copied()
            .unwrap_or(NodeStock::empty(node))
    }

    /// Open units held.
    pub const fn held(&self) -> Units {
        self.held
    }

    /// Open units committed.
    pub const fn committed(&self) -> Units {
        self.committed
    }

    /// The settings.
    pub fn settings(&self) -> &Settings {
        let rest = self.rest.as_deref();
        rest.map_or(Settings::DEFAULT, |rest| &rest.settings)
    }

    /// What each channel uses.
    pub fn uses(&self) -> &Uses {
        self.rest.as_deref().map_or(&NO_USES, |rest| &rest.uses)
    }

    /// What is announced, and what is promised for days.
    pub fn calendar(&self) -> &Calendar {
        self.rare().map_or(&NO_CALENDAR, |rare| &rare.calendar)
    }

    fn rare(&self) -> Option<&Rare> {
        self.rest.as_deref().and_then(|rest| rest.rare.as_deref())
    }

    /// Counts the changes of this stock.
    pub const fn version(&self) -> u64 {
        self.version
    }

    fn sum(&self, part: impl Fn(&NodeStock) -> Units) -> Units {
        let sum = self
            .nodes
            .iter()
            .try_fold(Units::ZERO, |sum, n| sum.checked_add(part(n)));
        sum.unwrap_or(Units::MAX)
    }

    /// Usable units over all nodes.
    pub fn on_hand(&self) -> Units {
        self.sum(|n| n.on_hand)
    }

    /// Units apart over all nodes.
    pub fn unavailable(&self) -> Units {
        self.sum(|n| n.unavailable)
    }

    /// Units kept back now.
    pub fn safety(&self) -> Units {
        self.rest.as_deref().map_or(Units::ZERO, |rest| {
            let Settings {
                safety,
                node_safety,
                ..
            } = &rest.settings;
            safety
                .of(self.on_hand())
                .max(node_safety.of_all(&self.nodes))
        })
    }

    /// Units kept back at a node now, where the SKU has a safety stock of its own for it.
    pub fn safety_at(&self, place: &NodeStock) -> Option<Units> {
        let node_safety = &self.rest.as_deref()?.settings.node_safety;
        node_safety.of(place.node, place.on_hand)
    }

    /// Held and committed.
    pub fn promised(&self) -> Units {
        self.held.checked_add(self.committed).unwrap_or(Units::MAX)
    }

    /// Units that can be promised now, of what is on hand, unpinned: on hand less safety less
    /// promised, unless what is announced serves some of the promises.
    pub fn available(&self, today: Day) -> Units {
        match self.timeline(today) {
            Some(timeline) => timeline.room(None, None).0,
            None => self.unclaimed(),
        }
    }

    /// On hand less safety less promised.
    fn unclaimed(&self) -> Units {
        self.on_hand()
            .left_after(self.safety())
            .left_after(self.promised())
    }

    /// How it stands to its mark.
    pub fn water(&self) -> Water {
        self.rest
            .as_deref()
            .map(|rest| rest.water)
            .unwrap_or_default()
    }

    /// Whether it is low: kept from change to change, see [`Self::settle_water`].
    pub fn is_low(&self) -> bool {
        self.water().low
    }

    /// Decides anew whether it is low, and says whether the feed was told otherwise. To be called
    /// after every command that changed stock, promises or settings, once all of it is done: what
    /// stands in between counts for nothing.
    pub fn settle_water(&mut self, today: Day) -> bool {
        let Some(Rest {
            settings, water, ..
        }) = self.rest.as_deref()
        else {
            return false;
        };
        if settings.low_water.is_none() && *water == Water::default() {
            return false;
        }
        let is_low = settings
            .low_water
            .is_some_and(|mark| mark.is_low(water.low, self.on_hand(), self.available(today)));
        let water = &mut self.rest.get_or_insert_default().water;
        water.low = is_low;
        water.low != water.told
    }

    /// Whether what the policy says of it is noted in its settings.
    pub fn follows(&self, terms: &Terms) -> bool {
        self.settings().follow(terms)
    }

    /// Notes what the policy says of it from now on, and decides anew whether it is low; see
    /// [`Self::settle_water`].
    pub fn note_terms(&mut self, terms: &Terms, today: Day) -> bool {
        self.rest.get_or_insert_default().settings.note(terms);
        self.settle_water(today)
    }

    /// As it will be once that is noted.
    pub fn in_terms(&self, terms: &Terms, today: Day) -> Cow<'_, Self> {
        if self.follows(terms) {
            return Cow::Borrowed(self);
        }
        let mut stock = self.clone();
        stock.note_terms(terms, today);
        Cow::Owned(stock)
    }

    /// The feed tells that it is low, or is not.
    pub fn put_water_told(&mut self, low: bool) {
        self.rest.get_or_insert_default().water = Water { low, told: low };
    }

    /// Whether it takes no new holds: by its settings, or because it is low.
    pub fn is_suspended(&self) -> bool {
        self.rest.as_deref().is_some_and(|rest| {
            let stops = |mark: LowWater| mark.then == WhileLow::Suspend;
            rest.settings.selling == Selling::Suspended
                || (rest.water.low && rest.settings.low_water.is_some_and(stops))
        })
    }

    /// The most that one more line could take after `taken` units went to other lines of the same
    /// command, and what binds it. Lines of one command never share a pin, so what they took
    /// matters only for the sum. `bound` is what the rule in force leaves to the channel of
    /// [`Self::supply`], where it leaves less than all. For a SKU of which nothing is announced;
    /// see [`Self::timeline`].
    #[inline]
    pub fn room(&self, pin: Option<NodeIx>, taken: Units, bound: Option<&Bound>) -> (Units, Limit) {
        if self.is_suspended() {
            return (Units::ZERO, Limit::Suspended);
        }
        let unpromised = self.on_hand().left_after(self.promised()).left_after(taken);
        let above_safety = unpromised.left_after(self.safety());
        let mut room = (unpromised, Limit::Stock);
        if above_safety < room.0 {
            room = (above_safety, Limit::Safety);
        }
        if let Some(bound) = bound
            && bound.room < room.0
        {
            room = (bound.room, bound.limit);
        }
        if let Some(node) = pin {
            let place = self.node(node);
            let unpinned = place.unpinned();
            if unpinned < room.0 {
                room = (unpinned, Limit::Node);
            }
            if let Some(safety) = self.safety_at(&place)
                && unpinned.left_after(safety) < room.0
            {
                room = (unpinned.left_after(safety), Limit::Safety);
            }
        }
        room
    }

    /// What there is after `taken` units went to other lines of the same command.
    pub fn supply(&self, taken: Units) -> Supply {
        Supply {
            on_hand: self.on_hand(),
            free: self.unclaimed().left_after(taken),
        }
    }

    /// Whether the sums over all nodes stay within [`Units::MAX`], with all that is announced.
    pub fn fits(&self) -> bool {
        let total = |part: fn(&NodeStock) -> Units| {
            self.nodes
                .iter()
                .try_fold(Units::ZERO, |sum, n| sum.checked_add(part(n)))
                .is_some()
        };
        total(|n| n.on_hand)
            && total(|n| n.unavailable)
            && self.calendar().with_all(self.on_hand()).is_some()
    }
}
