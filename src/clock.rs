//! Time as a parameter: the only file that reads the clocks of the machine.
//!
//! Deadlines and records use the wall clock ([`Clock`]), which tests replace by a manual one;
//! measuring how long something took uses the monotonic clock ([`Monotonic`]), which never jumps.
//! The wall clock may jump either way; what must not go back (the time of journal records) is
//! kept from going back by the ledger, which knows the last time it wrote.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::domain::UnixMillis;

/// Where the time of day comes from. Cheap to clone; clones of a manual clock share its time.
#[derive(Debug, Clone)]
pub struct Clock(Source);

#[derive(Debug, Clone)]
enum Source {
    System,
    Manual(Arc<AtomicI64>),
}

impl Clock {
    /// The clock of the machine.
    pub const fn system() -> Self {
        Self(Source::System)
    }

    /// A clock that stands still until it is told otherwise.
    pub fn manual(start: UnixMillis) -> Self {
        Self(Source::Manual(Arc::new(AtomicI64::new(start.0))))
    }

    /// The moment it is now.
    pub fn now(&self) -> UnixMillis {
        match &self.0 {
            Source::System => system_now(),
            Source::Manual(millis) => UnixMillis(millis.load(Ordering::Acquire)),
        }
    }

    /// Moves a manual clock by some milliseconds, backwards if negative, and returns the new
    /// moment. The clock of the machine stays as it is.
    pub fn advance(&self, millis: i64) -> UnixMillis {
        match &self.0 {
            Source::System => system_now(),
            Source::Manual(now) => UnixMillis(
                now.fetch_add(millis, Ordering::AcqRel)
                    .saturating_add(millis),
            ),
        }
    }

    /// Sets a manual clock. The clock of the machine stays as it is.
    pub fn set(&self, moment: UnixMillis) {
        match &self.0 {
            Source::System => {}
            Source::Manual(now) => now.store(moment.0, Ordering::Release),
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "this is the clock module")]
fn system_now() -> UnixMillis {
    let millis = |d: Duration| i64::try_from(d.as_millis()).unwrap_or(i64::MAX);
    match SystemTime::now().duration_since(UNIX_EPOCH) {
        Ok(since) => UnixMillis(millis(since)),
        Err(before) => UnixMillis(millis(before.duration()).saturating_neg()),
    }
}

/// A point on the clock that only moves forward, good for differences alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Monotonic(Instant);

/// Now, on the clock that only moves forward: the machine's, or that of a runtime whose time is
/// paused, which only tests can have.
#[expect(clippy::disallowed_methods, reason = "this is the clock module")]
pub fn monotonic() -> Monotonic {
    Monotonic(tokio::time::Instant::now().into_std())
}

impl Monotonic {
    /// Time since this point.
    pub fn elapsed(self) -> Duration {
        monotonic().since(self)
    }

    /// Time from an earlier point to this one; zero if it is not earlier.
    pub fn since(self, earlier: Self) -> Duration {
        self.0.saturating_duration_since(earlier.0)
    }

    /// The point this much later.
    pub(crate) fn after(self, time: Duration) -> Self {
        Self(self.0 + time)
    }

    /// The same point for timers that ask for an [`Instant`].
    pub const fn instant(self) -> Instant {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manual_clock_moves_only_when_told_and_its_clones_agree() {
        let clock = Clock::manual(UnixMillis(1_000));
        let clone = clock.clone();
        assert_eq!(clock.now(), UnixMillis(1_000));
        assert_eq!(clock.advance(500), UnixMillis(1_500));
        assert_eq!(clone.now(), UnixMillis(1_500));
        clone.set(UnixMillis(7));
        assert_eq!(clock.now(), UnixMillis(7));
        assert_eq!(
            clock.advance(-10),
            UnixMillis(-3),
            "clocks of machines jump back, so may ours"
        );
    }

    #[test]
    fn the_system_clock_is_past_2020_and_cannot_be_set() {
        let clock = Clock::system();
        clock.set(UnixMillis(0));
        clock.advance(-10_000_000_000);
        assert!(clock.now() > UnixMillis(1_577_836_800_000));
    }

    #[test]
    fn elapsed_time_is_never_negative() {
        let early = monotonic();
        let late = monotonic();
        assert_eq!(early.since(late), Duration::ZERO);
        assert!(early.elapsed() >= late.since(early));
    }
}
