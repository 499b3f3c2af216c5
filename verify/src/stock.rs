//! Units of one SKU: what is there, what is promised, what is announced.

use std::collections::BTreeMap;

use crate::Fault;
use crate::form::Keeps;

/// The number of a name.
pub(crate) type Name = u32;

/// Whose promise, and of what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Terms {
    /// The SKU.
    pub(crate) sku: Name,
    /// The node that must ship; none: any.
    pub(crate) node: Option<Name>,
    /// The day by which the units must be there; none: they were there.
    pub(crate) day: Option<u16>,
    /// The channel that they count as.
    pub(crate) channel: Name,
}

/// What a node has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Node {
    pub(crate) on_hand: u64,
    pub(crate) unavailable: u64,
    /// Promised units that it must ship.
    pub(crate) pinned: u64,
}

/// Units that are announced for a day at a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Announced {
    pub(crate) node: Name,
    pub(crate) due: u16,
    pub(crate) units: u64,
}

/// What a SKU keeps back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Settings {
    pub(crate) safety: Keeps,
    pub(crate) node_safety: BTreeMap<Name, Keeps>,
    pub(crate) suspended: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            safety: Keeps::Units(0),
            node_safety: BTreeMap::new(),
            suspended: false,
        }
    }
}

impl Keeps {
    /// In units, where so many are there.
    pub(crate) fn of(self, supply: u64) -> u64 {
        match self {
            Self::Units(units) => units,
            Self::Share(points) => {
                let share = (u128::from(supply) * u128::from(points)).div_ceil(10_000);
                u64::try_from(share).unwrap_or(u64::MAX)
            }
        }
    }
}

/// See the module's documentation.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Stock {
    pub(crate) settings: Settings,
    pub(crate) held: u64,
    pub(crate) committed: u64,
    /// None that has nothing.
    pub(crate) nodes: BTreeMap<Name, Node>,
    /// Promised units by the channel that they count as; none of zero.
    pub(crate) channels: BTreeMap<Name, u64>,
    /// By name; none of zero units.
    pub(crate) inbound: BTreeMap<Box<str>, Announced>,
    /// Promised units by day and node; none of zero.
    pub(crate) dated: BTreeMap<(u16, Option<Name>), u64>,
}

fn add(to: &mut u64, units: u64) -> Result<(), Fault> {
    let sum = to.checked_add(units);
    *to = sum.ok_or_else(|| Fault::new("more units than can be counted", "fewer"))?;
    Ok(())
}

fn take(from: &mut u64, units: u64, of: &str) -> Result<(), Fault> {
    let left = from.checked_sub(units);
    *from = left.ok_or_else(|| {
        Fault::new(
            format!("{units} units leave those {of}"),
            format!("at most {from}"),
        )
    })?;
    Ok(())
}

/// Changes an entry of a table that has none of nothing.
fn change<K: Ord + Clone, V: Default + PartialEq>(
    table: &mut BTreeMap<K, V>,
    key: &K,
    change: impl FnOnce(&mut V) -> Result<(), Fault>,
) -> Result<(), Fault> {
    let value = table.entry(key.clone()).or_default();
    change(value)?;
    if *value == V::default() {
        table.remove(key);
    }
    Ok(())
}

impl Stock {
    /// Units there, over all nodes.
    pub(crate) fn on_hand(&self) -> u128 {
        self.nodes
            .values()
            .map(|node| u128::from(node.on_hand))
            .sum()
    }

    /// Units promised.
    pub(crate) fn promised(&self) -> u128 {
        u128::from(self.held) + u128::from(self.committed)
    }

    pub(crate) fn node(&self, node: Name) -> Node {
        self.nodes.get(&node).copied().unwrap_or_default()
    }

    /// Changes what a node has.
    pub(crate) fn change_node(
        &mut self,
        node: Name,
        with: impl FnOnce(&mut Node) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        change(&mut self.nodes, &node, with)
    }

    /// Units are promised to a channel.
    pub(crate) fn charge(&mut self, channel: Name, units: u64) -> Result<(), Fault> {
        change(&mut self.channels, &channel, |of| add(of, units))
    }

    /// Units are not promised to a channel any more.
    pub(crate) fn discharge(&mut self, channel: Name, units: u64) -> Result<(), Fault> {
        change(&mut self.channels, &channel, |of| {
            take(of, units, "promised to the channel")
        })
    }

    /// Units must be at a node, or there by a day.
    pub(crate) fn bind(&mut self, to: &Terms, units: u64) -> Result<(), Fault> {
        if let Some(node) = to.node {
            self.change_node(node, |node| add(&mut node.pinned, units))?;
        }
        match to.day {
            Some(day) => change(&mut self.dated, &(day, to.node), |of| add(of, units)),
            None => Ok(()),
        }
    }

    /// Units need not be there any more.
    pub(crate) fn unbind(&mut self, from: &Terms, units: u64) -> Result<(), Fault> {
        if let Some(node) = from.node {
            self.change_node(node, |node| take(&mut node.pinned, units, "promised there"))?;
        }
        match from.day {
            Some(day) => change(&mut self.dated, &(day, from.node), |of| {
                take(of, units, "promised for the day")
            }),
            None => Ok(()),
        }
    }

    pub(crate) fn hold(&mut self, units: u64) -> Result<(), Fault> {
        add(&mut self.held, units)
    }

    pub(crate) fn unhold(&mut self, units: u64) -> Result<(), Fault> {
        take(&mut self.held, units, "held of the SKU")
    }

    pub(crate) fn commit(&mut self, units: u64) -> Result<(), Fault> {
        add(&mut self.committed, units)
    }

    pub(crate) fn uncommit(&mut self, units: u64) -> Result<(), Fault> {
        take(&mut self.committed, units, "committed of the SKU")
    }

    /// Units leave a node.
    pub(crate) fn leave(&mut self, node: Name, units: u64) -> Result<(), Fault> {
        self.change_node(node, |node| {
            take(&mut node.on_hand, units, "on hand at the node")
        })
    }

    /// Units come to a node, usable or not.
    pub(crate) fn arrive(&mut self, node: Name, units: u64, usable: bool) -> Result<(), Fault> {
        self.change_node(node, |node| {
            let place = if usable {
                &mut node.on_hand
            } else {
                &mut node.unavailable
            };
            add(place, units)
        })
    }

    /// Units of an opening are promised for a day: a SKU does not say so by itself.
    pub(crate) fn dated_of_opening(&mut self, of: &Terms, units: u64) -> Result<(), Fault> {
        match of.day {
            Some(day) => change(&mut self.dated, &(day, of.node), |sum| add(sum, units)),
            None => Ok(()),
        }
    }

    /// The same without what is kept back and announced: what promises add up to.
    pub(crate) fn sums(&self) -> Self {
        let mut sums = self.clone();
        sums.settings = Settings::default();
        sums.inbound.clear();
        for node in sums.nodes.values_mut() {
            (node.on_hand, node.unavailable) = (0, 0);
        }
        sums.nodes.retain(|_, node| *node != Node::default());
        sums
    }
}
