//! One line of a reservation: where its units are now.

use super::day::Day;
use super::ids::{ChannelIx, NodeIx};
use super::units::Units;

/// Units of one reservation line, by state. The sum of the first five is the line's quantity and
/// never changes; `returned` counts shipped units that came back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Line {
    /// The node that must ship; `None`: any.
    pub pin: Option<NodeIx>,
    /// The day by which its units must be there; `None`: they were when it was made.
    pub day: Option<Day>,
    /// The channel of whose share its units are; `None`: that of the reservation.
    pub charged_to: Option<ChannelIx>,
    /// Promised for a time.
    pub held: Units,
    /// Promised to a firm order, no deadline.
    pub committed: Units,
    /// Left the stock.
    pub shipped: Units,
    /// Given back by command.
    pub released: Units,
    /// Given back by the deadline.
    pub expired: Units,
    /// Came back after shipping.
    pub returned: Units,
}

/// A counter would leave its range: state and change do not belong together. Never caused by a
/// command; it means a bug or damaged data, and the ledger stops promising.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Inconsistent;

/// One move of units of a line. The same move is applied to the line and to the SKU's stock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Move {
    /// New held units.
    Hold(Units),
    /// Held becomes committed.
    Commit(Units),
    /// Held goes back to available.
    ReleaseHeld(Units),
    /// Committed goes back to available.
    ReleaseCommitted(Units),
    /// Held goes back to available because the deadline passed.
    Expire(Units),
    /// Committed leaves this node.
    Ship(NodeIx, Units),
    /// Shipped comes back to this node, on hand.
    Restock(NodeIx, Units),
    /// Shipped comes back to this node, unavailable.
    Quarantine(NodeIx, Units),
    /// The line's open units are pinned to this node from now on.
    Repin(NodeIx),
}

/// The state of a line or a reservation as one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LineState {
    /// All units held.
    Held,
    /// All units committed.
    Committed,
    /// All units shipped (returned or not).
    Shipped,
    /// All units released.
    Released,
    /// All units expired.
    Expired,
    /// Not all the same.
    Mixed,
}

impl LineState {
    /// The word of the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Held => "held",
            Self::Committed => "committed",
            Self::Shipped => "shipped",
            Self::Released => "released",
            Self::Expired => "expired",
            Self::Mixed => "mixed",
        }
    }

    /// The state that all units of these lines agree on.
    pub fn joint<'a>(lines: impl Iterator<Item = &'a Line>) -> Self {
        let mut joint: Option<Self> = None;
        for line in lines {
            for (units, state) in line.by_state() {
                if units.is_zero() || joint == Some(state) {
                    continue;
                }
                if joint.is_some() {
                    return Self::Mixed;
                }
                joint = Some(state);
            }
        }
        joint.unwrap_or(Self::Mixed)
    }
}

fn add(a: Units, b: Units) -> Result<Units, Inconsistent> {
    a.checked_add(b).ok_or(Inconsistent)
}

fn sub(a: Units, b: Units) -> Result<Units, Inconsistent> {
    a.checked_sub(b).ok_or(Inconsistent)
}

impl Line {
    /// A line with nothing in it yet.
    pub fn pinned(pin: Option<NodeIx>) -> Self {
        Self {
            pin,
            ..Self::default()
        }
    }

    fn by_state(&self) -> [(Units, LineState); 5] {
        [
            (self.held, LineState::Held),
            (self.committed, LineState::Committed),
            (self.shipped, LineState::Shipped),
            (self.released, LineState::Released),
            (self.expired, LineState::Expired),
        ]
    }

    /// The channel whose use its units are, in a reservation of `own`.
    pub fn user(&self, own: ChannelIx) -> ChannelIx {
        self.charged_to.unwrap_or(own)
    }

    /// Units the line got when it was made. Fixed over its life.
    pub fn quantity(&self) -> Units {
        let sum = self
            .by_state()
            .iter()
            .try_fold(Units::ZERO, |sum, (units, _)| sum.checked_add(*units));
        sum.unwrap_or(Units::MAX)
    }

    /// Units still promised: held and committed.
    pub fn open(&self) -> Units {
        self.held.checked_add(self.committed).unwrap_or(Units::MAX)
    }

    /// Units that were promised and went back to stock unshipped: released and expired.
    pub fn came_back(&self) -> Units {
        self.released
            .checked_add(self.expired)
            .unwrap_or(Units::MAX)
    }

    /// Shipped units that have not come back.
    pub fn returnable(&self) -> Units {
        self.shipped.left_after(self.returned)
    }

    /// The line as it was made: everything held, with this pin.
    #[must_use]
    pub fn as_made(&self, pin: Option<NodeIx>) -> Self {
        Self {
            pin,
            day: self.day,
            charged_to: self.charged_to,
            held: self.quantity(),
            ..Self::default()
        }
    }

    /// Does a move, or changes nothing.
    pub fn apply(&mut self, step: Move) -> Result<(), Inconsistent> {
        let mut next = *self;
        match step {
            Move::Hold(q) => next.held = add(next.held, q)?,
            Move::Commit(q) => {
                next.held = sub(next.held, q)?;
                next.committed = add(next.committed, q)?;
            }
            Move::ReleaseHeld(q) => {
                next.held = sub(next.held, q)?;
                next.released = add(next.released, q)?;
            }
            Move::ReleaseCommitted(q) => {
                next.committed = sub(next.committed, q)?;
                next.released = add(next.released, q)?;
            }
            Move::Expire(q) => {
                next.held = sub(next.held, q)?;
                next.expired = add(next.expired, q)?;
            }
            Move::Ship(_, q) => {
                next.committed = sub(next.committed, q)?;
                next.shipped = add(next.shipped, q)?;
            }
            Move::Restock(_, q) | Move::Quarantine(_, q) => {
                next.returned = add(next.returned, q)?;
                sub(next.shipped, next.returned)?;
            }
            Move::Repin(node) => next.pin = Some(node),
        }
        *self = next;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn units(n: u64) -> Units {
        Units::new(n).unwrap()
    }

    #[test]
    fn quantity_never_changes() {
        let mut line = Line::default();
        line.apply(Move::Hold(units(10))).unwrap();
        let node = NodeIx::MAIN;
        for step in [
            Move::Commit(units(6)),
            Move::ReleaseHeld(units(1)),
            Move::Expire(units(3)),
            Move::ReleaseCommitted(units(2)),
            Move::Ship(node, units(4)),
            Move::Restock(node, units(1)),
            Move::Quarantine(node, units(3)),
        ] {
            line.apply(step).unwrap();
            assert_eq!(line.quantity(), units(10), "{step:?}");
        }
        assert_eq!(LineState::joint([line].iter()), LineState::Mixed);
        assert_eq!(line.returnable(), Units::ZERO);
    }

    #[test]
    fn impossible_move_changes_nothing() {
        let mut line = Line::default();
        line.apply(Move::Hold(units(1))).unwrap();
        let before = line;
        for step in [
            Move::Commit(units(2)),
            Move::ReleaseCommitted(units(1)),
            Move::Ship(NodeIx::MAIN, units(1)),
            Move::Restock(NodeIx::MAIN, units(1)),
        ] {
            assert_eq!(line.apply(step), Err(Inconsistent), "{step:?}");
            assert_eq!(line, before);
        }
    }

    #[test]
    fn joint_state_needs_agreement() {
        let mut held = Line::default();
        held.apply(Move::Hold(units(2))).unwrap();
        let mut committed = held;
        committed.apply(Move::Commit(units(2))).unwrap();
        assert_eq!(LineState::joint([held, held].iter()), LineState::Held);
        assert_eq!(LineState::joint([held, committed].iter()), LineState::Mixed);
        assert_eq!(LineState::joint([committed].iter()), LineState::Committed);
    }
}
