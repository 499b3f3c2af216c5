//! What is counted of promises beyond what there is.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::cells::Counters;
use super::text::{Kind, Page};
use crate::domain::Units;

/// See the module's documentation.
#[derive(Debug)]
pub struct DeficitMeters {
    /// SKUs that have none any more, and that came to have one.
    turns: Counters<2>,
    skus: AtomicU64,
    units: AtomicU64,
}

impl DeficitMeters {
    pub(super) fn new() -> Self {
        Self {
            turns: Counters::new(),
            skus: AtomicU64::new(0),
            units: AtomicU64::new(0),
        }
    }

    /// The feed told of a SKU that its deficit is another one.
    pub fn told(&self, was: Units, deficit: Units) {
        if was.is_zero() != deficit.is_zero() {
            self.turns.add(usize::from(!deficit.is_zero()), 1);
        }
    }

    /// What is missing now, of how many SKUs.
    pub fn stand(&self, skus: u64, units: u64) {
        self.skus.store(skus, Relaxed);
        self.units.store(units, Relaxed);
    }

    pub(super) fn render(&self, page: &mut Page) {
        let name = "holdfast_deficits_total";
        let help = "SKUs that came to be promised beyond what there is, or no longer are.";
        page.family(name, Kind::Counter, help);
        for (at, to) in ["none", "deficit"].into_iter().enumerate() {
            page.value(name, &[("to", to)], self.turns.get(at));
        }
        let name = "holdfast_deficit_skus";
        let help = "SKUs that are promised beyond what there is.";
        page.family(name, Kind::Gauge, help);
        page.value(name, &[], self.skus.load(Relaxed));
        let name = "holdfast_deficit_units";
        let help = "Units that are promised beyond what there is.";
        page.family(name, Kind::Gauge, help);
        page.value(name, &[], self.units.load(Relaxed));
    }
}
