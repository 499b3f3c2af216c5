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

/// A setting of a SKU that it may have by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Setting<T> {
    /// This, whatever the policy says.
    Own(T),
    /// As the policy says; nothing where it says nothing.
    AsPolicy,
}

/// Which settings a SKU has by itself; the others are left to the policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Own {
    /// Units to keep back.
    pub safety: bool,
    /// When it is low.
    pub low_water: bool,
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

    /// Units to keep back: none where they say nothing.
    fn kept(&self) -> Safety {
        match self.safety {
            None | Some(Level::Percent(0)) => NOTHING,
            Some(level) => level,
        }
    }

    /// Whether they say nothing.
    pub const fn is_none(&self) -> bool {
        self.safety.is_none() && self.low_water.is_none()
    }
}

/// Nothing is kept back.
const NOTHING: Safety = Safety::Units(Units::ZERO);

/// Settings of one SKU as they are in force. What the policy says is noted in them with every command
/// that touches the SKU, so that nobody who reads them needs the policy.
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
    /// Which of them are the SKU's own.
    pub own: Own,
    /// Counts the changes of its own settings; the entity tag of the API.
    pub version: u32,
}

impl Settings {
    /// Those of a SKU that was never given any.
    pub const DEFAULT: &'static Self = &Self {
        safety: NOTHING,
        node_safety: NodeSafety::NONE,
        selling: Selling::On,
        low_water: None,
        own: Own {
            safety: false,
            low_water: false,
        },
        version: 0,
    };

    /// What of them the policy said.
    pub fn terms(&self) -> Terms {
        let safety = Some(self.safety).filter(|of| *of != NOTHING);
        Terms {
            safety: safety.filter(|_| !self.own.safety),
            low_water: self.low_water.filter(|_| !self.own.low_water),
        }
    }

    /// Whether what the policy says is noted in them.
    pub fn follow(&self, terms: &Terms) -> bool {
        (self.own.safety || self.safety == terms.kept())
            && (self.own.low_water || self.low_water == terms.low_water)
    }

    /// Notes what the policy says.
    pub fn note(&mut self, terms: &Terms) {
        if !self.own.safety {
            self.safety = terms.kept();
        }
        if !self.own.low_water {
            self.low_water = terms.low_water;
        }
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self::DEFAULT.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn units(n: u64) -> Level {
        Level::Units(Units::new(n).unwrap())
    }

    #[test]
    fn what_a_sku_has_by_itself_no_policy_changes() {
        let said = Terms {
            safety: Some(units(5)),
            low_water: Some(LowWater::at(units(2))),
        };
        let mut settings = Settings {
            own: Own {
                safety: true,
                low_water: false,
            },
            ..Settings::default()
        };
        assert!(!settings.follow(&said));
        settings.note(&said);
        assert!(settings.follow(&said));
        assert_eq!(
            (settings.safety, settings.low_water),
            (NOTHING, said.low_water)
        );
        let noted = Terms {
            safety: None,
            ..said
        };
        assert_eq!(settings.terms(), noted, "only what the policy said");
        settings.note(&Terms::NONE);
        assert_eq!(settings.terms(), Terms::NONE);
    }

    #[test]
    fn to_keep_no_share_back_is_to_keep_nothing_back() {
        let mut settings = Settings::default();
        let said = Terms {
            safety: Some(Level::Percent(0)),
            low_water: None,
        };
        assert!(settings.follow(&said));
        settings.note(&said);
        assert_eq!(settings, Settings::default());
        let said = Terms {
            safety: Some(units(5)),
            ..said
        };
        settings.note(&said);
        assert_eq!(settings.terms(), said);
    }
}
