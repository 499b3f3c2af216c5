//! What changes a stock. None of it asks whether it may.

use super::{NodeStock, Rare, Stock};
use crate::domain::calendar::{Calendar, Inbound};
use crate::domain::ids::{ChannelIx, NodeIx};
use crate::domain::line::{Inconsistent, Line, Move};
use crate::domain::settings::Settings;
use crate::domain::time::UnixMillis;
use crate::domain::units::Units;
use crate::domain::uses::{Charge, Uses};

impl Stock {
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

    /// Takes units of a line from what is promised at its node and for its day.
    fn settle(&mut self, line: &Line, units: Units) -> Result<(), Inconsistent> {
        if let Some(node) = line.pin {
            let place = self.place(node)?;
            place.pinned = place.pinned.checked_sub(units).ok_or(Inconsistent)?;
        }
        if let Some(day) = line.day
            && !units.is_zero()
        {
            self.calendar_mut().settle(day, line.pin, units)?;
            self.forget_empty_rare();
        }
        Ok(())
    }

    /// Adds units of a line to what is promised at its node and for its day.
    fn promise(&mut self, line: &Line, units: Units) -> Result<(), Inconsistent> {
        if let Some(node) = line.pin {
            let place = self.place(node)?;
            place.pinned = place.pinned.checked_add(units).ok_or(Inconsistent)?;
        }
        if let Some(day) = line.day
            && !units.is_zero()
        {
            self.calendar_mut().promise(day, line.pin, units)?;
        }
        Ok(())
    }

    pub(super) fn rare_mut(&mut self) -> &mut Rare {
        let rest = self.rest.get_or_insert_default();
        rest.rare.get_or_insert_default()
    }

    fn calendar_mut(&mut self) -> &mut Calendar {
        &mut self.rare_mut().calendar
    }

    pub(super) fn forget_empty_rare(&mut self) {
        if let Some(rest) = &mut self.rest {
            rest.rare.take_if(|rare| **rare == Rare::default());
        }
    }

    /// Does the move of a line, which is as it was before the move, and charges its channel. On
    /// `Err` the stock may be half changed and must not be used any more.
    pub fn apply(&mut self, line: &Line, step: Move, charge: Charge) -> Result<(), Inconsistent> {
        if Uses::is_changed_by(step) {
            self.rest.get_or_insert_default().uses.apply(step, charge)?;
        }
        self.move_units(line, step)
    }

    /// [`Self::apply`] without the channel: for a copy that is only tried on.
    pub(crate) fn move_units(&mut self, line: &Line, step: Move) -> Result<(), Inconsistent> {
        let add = |a: Units, b| a.checked_add(b).ok_or(Inconsistent);
        let sub = |a: Units, b| a.checked_sub(b).ok_or(Inconsistent);
        match step {
            Move::Hold(q) => {
                self.held = add(self.held, q)?;
                self.promise(line, q)?;
            }
            Move::Commit(q) => {
                self.held = sub(self.held, q)?;
                self.committed = add(self.committed, q)?;
            }
            Move::ReleaseHeld(q) | Move::Expire(q) => {
                self.held = sub(self.held, q)?;
                self.settle(line, q)?;
            }
            Move::ReleaseCommitted(q) => {
                self.committed = sub(self.committed, q)?;
                self.settle(line, q)?;
            }
            Move::Ship(node, q) => {
                self.committed = sub(self.committed, q)?;
                self.settle(line, q)?;
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
                self.settle(line, line.open())?;
                let pin = Some(node);
                self.promise(&Line { pin, ..*line }, line.open())?;
            }
        }
        self.count_change()
    }

    fn count_change(&mut self) -> Result<(), Inconsistent> {
        self.version = self.version.checked_add(1).ok_or(Inconsistent)?;
        Ok(())
    }

    /// Announces supply, in place of what has the same name.
    pub fn put_inbound(&mut self, entry: Inbound) -> Result<(), Inconsistent> {
        self.place(entry.node)?;
        self.calendar_mut().put(entry);
        self.forget_empty_rare();
        self.count_change()
    }

    /// Units of announced supply are on hand now; `entry` is what is still to come of it.
    pub fn receive_inbound(&mut self, entry: Inbound, units: Units) -> Result<(), Inconsistent> {
        let place = self.place(entry.node)?;
        place.on_hand = place.on_hand.checked_add(units).ok_or(Inconsistent)?;
        self.put_inbound(entry)
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
        self.count_change()
    }

    /// Notes that what a node has was set, not changed by a difference.
    pub fn note_count(&mut self, node: NodeIx, at: UnixMillis) -> Result<(), Inconsistent> {
        let seconds = u32::try_from(at.0.div_euclid(1_000));
        self.place(node)?.counted = seconds.unwrap_or_default();
        Ok(())
    }

    /// Moves share between channels in a window.
    pub fn move_share(
        &mut self,
        from: ChannelIx,
        to: ChannelIx,
        units: Units,
        window: UnixMillis,
    ) -> Result<(), Inconsistent> {
        let uses = &mut self.rest.get_or_insert_default().uses;
        uses.move_share((from, to), units, window)?;
        self.count_change()
    }

    /// Puts these settings in force; their version is set by the caller.
    pub fn put_settings(&mut self, settings: Settings) {
        self.rest.get_or_insert_default().settings = settings;
    }
}
