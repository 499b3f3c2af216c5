//! What is counted of the mirror of the remote store.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use super::cells::Counters;
use super::labels::MirrorAnswer;
use super::text::{Kind, Page};
use crate::clock::{Monotonic, monotonic};

/// See the module's documentation.
#[derive(Debug)]
pub struct MirrorMeters {
    born: Monotonic,
    /// Nanoseconds from `born` to the last moment at which the mirror was whole; 0: there is none.
    whole_at: AtomicU64,
    answers: Counters<{ MirrorAnswer::ALL.len() }>,
    fills: Counters<1>,
}

impl MirrorMeters {
    pub(super) fn new() -> Self {
        Self {
            born: monotonic(),
            whole_at: AtomicU64::new(0),
            answers: Counters::new(),
            fills: Counters::new(),
        }
    }

    /// It is known to have been whole this long ago.
    pub fn age(&self, age: Duration) {
        let at = self.born.elapsed().saturating_sub(age).as_nanos();
        let at = u64::try_from(at).unwrap_or(u64::MAX).max(1);
        self.whole_at.store(at, Relaxed);
    }

    /// It answered instead of the store.
    pub fn answered(&self, what: MirrorAnswer) {
        self.answers.add(what.index(), 1);
    }

    /// It was filled from the store.
    pub fn filled(&self) {
        self.fills.add(0, 1);
    }

    fn lag(&self) -> Duration {
        match self.whole_at.load(Relaxed) {
            0 => Duration::ZERO,
            at => (self.born.elapsed()).saturating_sub(Duration::from_nanos(at)),
        }
    }

    pub(super) fn render(&self, page: &mut Page) {
        let name = "holdfast_mirror_lag_seconds";
        page.family(name, Kind::Gauge, "Age of the mirror of the remote store.");
        page.seconds(name, &[], self.lag());
        let name = "holdfast_mirror_answers_total";
        page.family(
            name,
            Kind::Counter,
            "Answers that the mirror gave instead of the store.",
        );
        for what in MirrorAnswer::ALL {
            let answers = self.answers.get(what.index());
            page.value(name, &[("kind", what.as_str())], answers);
        }
        let name = "holdfast_mirror_fills_total";
        page.family(
            name,
            Kind::Counter,
            "Times that the mirror was filled from the store.",
        );
        page.value(name, &[], self.fills.get(0));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lag_grows_while_nothing_is_heard() {
        let meters = MirrorMeters::new();
        assert_eq!(meters.lag(), Duration::ZERO, "there is no mirror");
        let age = Duration::from_hours(1);
        while meters.born.elapsed().is_zero() {}
        meters.age(age);
        let (first, begun) = (meters.lag(), monotonic());
        while begun.elapsed().is_zero() {}
        assert!(meters.lag() > first);
    }
}
