//! Settings of a SKU.

use super::ids::NodeIx;
use super::stock::NodeStock;
use super::units::Units;
use super::water::{Level, LowWater};
use crate::limits::SAFETY_NODES_MAX;

/// Units to keep back; no caller may hold them.
pub type Safety = Level;

/// Whether new holds are accepted. Confirm, release and ship always are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Selling {
    /// On sale.
    On,
    /// No new holds.
    Suspended,
}

/// Units to keep back at single nodes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NodeSafety(Vec<(NodeIx, Safety)>);

impl NodeSafety {
    /// At none.
    const NONE: Self = Self(Vec::new());

    /// At these nodes; `None` where one comes twice, or there are too many.
    pub fn new(mut nodes: Vec<(NodeIx, Safety)>) -> Option<Self> {
        nodes.sort_by_key(|(node, _)| *node);
        let fits = nodes.len() <= SAFETY_NODES_MAX && nodes.is_sorted_by(|(a, _), (b, _)| a < b);
        fits.then_some(Self(nodes))
    }

    /// Sorted by node.
    pub fn nodes(&self) -> &[(NodeIx, Safety)] {
        &self.0
    }

    /// The nodes.
    pub fn places(&self) -> impl Iterator<Item = NodeIx> {
        self.0.iter().map(|(node, _)| *node)
    }

    /// Units that a node keeps back of so many, if it keeps any: no more than there are, for what one
    /// node lacks is not kept at another.
    pub fn of(&self, node: NodeIx, supply: Units) -> Option<Units> {
        let found = self.0.binary_search_by_key(&node, |(node, _)| *node);
        let (_, level) = self.0.get(found.ok()?)?;
        Some(level.of(supply).min(supply))
    }

    /// Units that these nodes keep back, in sum.
    pub(super) fn of_all(&self, nodes: &[NodeStock]) -> Units {
        if self.0.is_empty() {
            return Units::ZERO;
        }
        let at = |place: &NodeStock| self.of(place.node, place.on_hand);
        let mut kept = nodes.iter().filter_map(at);
        kept.try_fold(Units::ZERO, Units::checked_add)
            .unwrap_or(Units::MAX)
    }
}

/// What the policy says for SKUs whose own settings leave it to the policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Terms {
    /// Units to keep back.
    pub safety: Option<Safety>,
    /// When a SKU is low, and what then.
    pub low_water: Option<LowWater>,
}

impl Terms {
    /// Nothing.
    pub const NONE: Self = Self {
        safety: None,
        low_water: None,
    };

    /// These; where they say nothing, those.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        Self {
            safety: self.safety.or(other.safety),
            low_water: self.low_water.or(other.low_water),
        }
    }

    /// Whether they say nothing.
    pub const fn is_none(&self) -> bool {
        self.safety.is_none() && self.low_water.is_none()
    }
}

/// Settings of one SKU.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Units to keep back.
    pub safety: Safety,
    /// Units to keep back at single nodes. Over all nodes the larger of `safety` and the sum of
    /// these is kept back.
    pub node_safety: NodeSafety,
    /// On sale or not.
    pub selling: Selling,
    /// When it is low, and what then.
    pub low_water: Option<LowWater>,
    /// Counts the changes of these settings; the entity tag of the API.
    pub version: u32,
}

impl Settings {
    /// Those of a SKU that was never given any.
    pub const DEFAULT: &'static Self = &Self {
        safety: Safety::Units(Units::ZERO),
        node_safety: NodeSafety::NONE,
        selling: Selling::On,
        low_water: None,
        version: 0,
    };
}

impl Default for Settings {
    fn default() -> Self {
        Self::DEFAULT.clone()
    }
}
