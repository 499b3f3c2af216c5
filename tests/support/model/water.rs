//! Low water, by the words of `docs/LOW_WATER.md`: once a command is done, what is available is
//! compared with the mark, and a SKU that was low with what ends that.

use holdfast::domain::WhileLow;

use super::{Bug, Item, Model, level};

impl Item {
    /// Whether it is low and takes no new holds for it.
    pub(super) fn stops(&self) -> bool {
        let then = self.settings.low_water.map(|water| water.then);
        self.low && then == Some(WhileLow::Suspend)
    }
}

impl Model {
    /// Decides anew whether a SKU is low, now that a command is done.
    pub(super) fn settle_water(&mut self, sku: &str) {
        let Some(item) = self.items.get(sku) else {
            return;
        };
        let low = item.settings.low_water.is_some_and(|water| {
            let available = self.available(sku);
            let resume = water.resume.filter(|_| !self.has(Bug::ResumeForgotten));
            let stays = resume.is_some_and(|resume| available < level(resume, item.on_hand()));
            available <= level(water.mark, item.on_hand()) || (item.low && stays)
        });
        self.items.get_mut(sku).unwrap().low = low;
    }
}
