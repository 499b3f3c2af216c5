//! Stock of one SKU over all its nodes, what is promised of it, and its settings.

use smallvec::SmallVec;

use super::ids::NodeIx;
use super::line::{Inconsistent, Move};
use super::policy::{Claim, Supply};
use super::time::UnixMillis;
use super::units::Units;
use super::uses::{Charge, Uses};
use super::verdict::{BoundBy, Limit};

/// Units to keep back; no caller may hold them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Safety {
    /// That many.
    Units(Units),
    /// That share of what is on hand, in basis points (500 = 5 %), rounded up.
    Percent(u16),
}

/// Whether new holds are accepted. Confirm, release and ship always are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Selling {
    /// On sale.
    On,
    /// No new holds.
    Suspended,
}

/// Settings of one SKU.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// Units to keep back.
    pub safety: Safety,
    /// On sale or not.
    pub selling: Selling,
    /// Threshold of available units at or under which the SKU is low.
    pub low_water: Option<Units>,
    /// Counts the changes of these settings; the entity tag of the API.
    pub version: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            safety: Safety::Units(Units::ZERO),
            selling: Selling::On,
            low_water: None,
            version: 0,
        }
    }
}

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
/// `held + committed + safety <= on_hand` over all nodes. That is exact for mixed pinned and
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
    uses: Uses,
}

static NO_USES: Uses = Uses::EMPTY;

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
        let rest = Rest { settings, uses };
        Self {
            nodes,
            held,
            committed,
            version,
            rest: (rest != Rest::default()).then(|| Box::new(rest)),
        }
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
    pub fn settings(&self) -> Settings {
        self.rest
            .as_deref()
            .map(|rest| rest.settings)
            .unwrap_or_default()
    }

    /// What each channel uses.
    pub fn uses(&self) -> &Uses {
        self.rest.as_deref().map_or(&NO_USES, |rest| &rest.uses)
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
        match self.rest.as_deref().map(|rest| rest.settings.safety) {
            None => Units::ZERO,
            Some(Safety::Units(units)) => units,
            Some(Safety::Percent(basis_points)) => self.on_hand().share_up(basis_points),
        }
    }

    /// Held and committed.
    pub fn promised(&self) -> Units {
        self.held.checked_add(self.committed).unwrap_or(Units::MAX)
    }

    /// Units that can still be promised, unpinned: on hand less safety less promised.
    pub fn available(&self) -> Units {
        self.on_hand()
            .left_after(self.safety())
            .left_after(self.promised())
    }

    /// Units by which promises exceed what is there, over all nodes or at single nodes. Never
    /// caused by a hold; only by a count, a loss or a transfer out of band.
    pub fn deficit(&self) -> Units {
        let at_nodes = self.sum(|n| n.pinned.left_after(n.on_hand));
        self.promised().left_after(self.on_hand()).max(at_nodes)
    }

    /// Whether available units are at or under the low-water threshold.
    pub fn is_low(&self) -> bool {
        let mark = self
            .rest
            .as_deref()
            .and_then(|rest| rest.settings.low_water);
        mark.is_some_and(|mark| self.available() <= mark)
    }

    /// The most that one more line could take after `taken` units went to other lines of the same
    /// command, and what binds it. Lines of one command never share a pin, so what they took
    /// matters only for the sum. `claim` is the channel under the rule in force, where one is.
    pub fn room(
        &self,
        pin: Option<NodeIx>,
        taken: Units,
        claim: Option<Claim<'_>>,
    ) -> (Units, Limit) {
        if self
            .rest
            .as_deref()
            .is_some_and(|rest| rest.settings.selling == Selling::Suspended)
        {
            return (Units::ZERO, Limit::Suspended);
        }
        let unpromised = self.on_hand().left_after(self.promised()).left_after(taken);
        let above_safety = unpromised.left_after(self.safety());
        let mut room = (unpromised, Limit::Stock);
        if above_safety < room.0 {
            room = (above_safety, Limit::Safety);
        }
        if let Some(Claim { channel, rule }) = claim {
            let supply = self.supply(taken);
            if let Some(bound) = rule.room(channel, supply, self.uses(), taken)
                && bound.room < room.0
            {
                room = (bound.room, bound.limit);
            }
        }
        if let Some(node) = pin {
            let at_node = self.node(node).unpinned();
            if at_node < room.0 {
                room = (at_node, Limit::Node);
            }
        }
        room
    }

    /// The cap or protection that made [`Self::room`] say `limit`; `None` for any other limit.
    pub fn bound(&self, claim: Claim<'_>, taken: Units, limit: Limit) -> Option<BoundBy> {
        let Claim { channel, rule } = claim;
        let bound = rule.room(channel, self.supply(taken), self.uses(), taken);
        rule.explain(&bound.filter(|bound| bound.limit == limit)?)
    }

    /// What there is after `taken` units went to other lines of the same command.
    pub fn supply(&self, taken: Units) -> Supply {
        Supply {
            on_hand: self.on_hand(),
            free: self.available().left_after(taken),
        }
    }

    /// Whether the sums over all nodes stay within [`Units::MAX`].
    pub fn fits(&self) -> bool {
        let total = |part: fn(&NodeStock) -> Units| {
            self.nodes
                .iter()
                .try_fold(Units::ZERO, |sum, n| sum.checked_add(part(n)))
                .is_some()
        };
        total(|n| n.on_hand) && total(|n| n.unavailable)
    }

    fn place(&mut self, node: NodeIx) -> Result<&mut NodeStock, Inconsistent> {
        let at = match self.nodes.binary_search_by_key(&node, |n| n.node) {
            Ok(at) => at,
            Err(at) => {
                self.nodes.insert(at, NodeStock::empty(node));
                at
            }
        };
        self.nodes.get_mut(at).ok_or(Inconsistent)
    }

    fn unpin(&mut self, pin: Option<NodeIx>, units: Units) -> Result<(), Inconsistent> {
        if let Some(node) = pin {
            let place = self.place(node)?;
            place.pinned = place.pinned.checked_sub(units).ok_or(Inconsistent)?;
        }
        Ok(())
    }

    fn pin(&mut self, pin: Option<NodeIx>, units: Units) -> Result<(), Inconsistent> {
        if let Some(node) = pin {
            let place = self.place(node)?;
            place.pinned = place.pinned.checked_add(units).ok_or(Inconsistent)?;
        }
        Ok(())
    }

    /// Does the move of a line, which is pinned to `pin` and has `open` units before the move, and
    /// charges its channel. On `Err` the stock may be half changed and must not be used any more.
    pub fn apply(
        &mut self,
        pin: Option<NodeIx>,
        open: Units,
        step: Move,
        charge: Charge,
    ) -> Result<(), Inconsistent> {
        if Uses::is_changed_by(step) {
            self.rest.get_or_insert_default().uses.apply(step, charge)?;
        }
        self.move_units(pin, open, step)
    }

    /// [`Self::apply`] without the channel: for a copy that is only tried on.
    pub(crate) fn move_units(
        &mut self,
        pin: Option<NodeIx>,
        open: Units,
        step: Move,
    ) -> Result<(), Inconsistent> {
        let add = |a: Units, b| a.checked_add(b).ok_or(Inconsistent);
        let sub = |a: Units, b| a.checked_sub(b).ok_or(Inconsistent);
        match step {
            Move::Hold(q) => {
                self.held = add(self.held, q)?;
                self.pin(pin, q)?;
            }
            Move::Commit(q) => {
                self.held = sub(self.held, q)?;
                self.committed = add(self.committed, q)?;
            }
            Move::ReleaseHeld(q) | Move::Expire(q) => {
                self.held = sub(self.held, q)?;
                self.unpin(pin, q)?;
            }
            Move::ReleaseCommitted(q) => {
                self.committed = sub(self.committed, q)?;
                self.unpin(pin, q)?;
            }
            Move::Ship(node, q) => {
                self.committed = sub(self.committed, q)?;
                self.unpin(pin, q)?;
                let place = self.place(node)?;
                place.on_hand = sub(place.on_hand, q)?;
            }
            Move::Restock(node, q) => {
                let place = self.place(node)?;
                place.on_hand = add(place.on_hand, q)?;
            }
            Move::Quarantine(node, q) => {
                let place = self.place(node)?;
                place.unavailable = add(place.unavailable, q)?;
            }
            Move::Repin(node) => {
                self.unpin(pin, open)?;
                self.pin(Some(node), open)?;
            }
        }
        self.version = self.version.checked_add(1).ok_or(Inconsistent)?;
        Ok(())
    }

    /// Puts these amounts at a node, whatever was there.
    pub fn set_node(
        &mut self,
        node: NodeIx,
        on_hand: Units,
        unavailable: Units,
    ) -> Result<(), Inconsistent> {
        let place = self.place(node)?;
        place.on_hand = on_hand;
        place.unavailable = unavailable;
        self.version = self.version.checked_add(1).ok_or(Inconsistent)?;
        Ok(())
    }

    /// Notes that what a node has was set, not changed by a difference.
    pub fn note_count(&mut self, node: NodeIx, at: UnixMillis) -> Result<(), Inconsistent> {
        let seconds = u32::try_from(at.0.div_euclid(1_000));
        self.place(node)?.counted = seconds.unwrap_or_default();
        Ok(())
    }

    /// Puts these settings in force; their version is set by the caller.
    pub fn put_settings(&mut self, settings: Settings) {
        self.rest.get_or_insert_default().settings = settings;
    }
}
