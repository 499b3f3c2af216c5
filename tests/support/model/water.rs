//! Low water, by the words of `docs/LOW_WATER.md`: once a command is done, what is available is
//! compared with the mark, and a SKU that was low with what ends that.

use holdfast::domain::{Level, WhileLow};

use super::{Bug, Item, Model};

impl Item {
    fn level(&self, level: Level) -> i128 {
        match level {
            Level::Units(units) => i128::from(units.get()),
            Level::Percent(points) => (self.on_hand() * i128::from(points) + 9_999) / 10_000,
        }
    }

    /// Whether it is low and takes no new holds for it.
    pub(super) fn stops(&self) -> bool {
        let then = self.settings.low_water.map(|water| water.then);
        self.low && then == Some(WhileLow::Suspend)
    }
}

impl Model {
    /// Decides anew whether a SKU is low, now that a command is done.
    pub(super) fn settle_water(&mut self, sku: &str) {
        if !self.items.contains_key(sku) {
            return;
        }
        let available = self.available(sku);
        let item = &self.items[sku];
        let low = item.settings.low_water.is_some_and(|water| {
            let resume = water.resume.filter(|_| !self.has(Bug::ResumeForgotten));
            let stays = resume.is_some_and(|resume| available < item.level(resume));
            available <= item.level(water.mark) || (item.low && stays)
        });
        self.items.get_mut(sku).unwrap().low = low;
    }
}
