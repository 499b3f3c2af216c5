//! How often the store is asked for what is next in its streams, over all partitions.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::sleep;

use crate::clock::{Monotonic, monotonic};

/// From one look at a stream to the next: this part of the mirror's bound, and these limits.
const LOOKS_IN_BOUND: u32 = 4;
const PACE_MIN: Duration = Duration::from_millis(5);
const PACE_MAX: Duration = Duration::from_millis(50);

/// Where there are many partitions, each is looked at as much less often: looks that nobody asked
/// for come to 200 a second at most.
const SHARE: Duration = Duration::from_millis(5);

/// From one look to the next of all partitions, also where replies show that there is something.
const TURN: Duration = Duration::from_millis(1);

/// Partitions that are filled at once.
const FILLS_MAX: usize = 4;

/// See the module's documentation.
#[derive(Debug)]
pub(super) struct Turns {
    /// From one look at a stream to the next, while nothing shows that it has something.
    pub(super) pace: Duration,
    /// LOCK: copies only. When the next look may be.
    next: Mutex<Monotonic>,
    fills: Semaphore,
}

impl Turns {
    /// For so many partitions.
    pub(super) fn new(partitions: u16, bound: Duration) -> Self {
        let pace = (bound / LOOKS_IN_BOUND).clamp(PACE_MIN, PACE_MAX);
        Self {
            pace: pace.max(SHARE * u32::from(partitions)),
            next: Mutex::new(monotonic()),
            fills: Semaphore::new(FILLS_MAX),
        }
    }

    /// Waits until a stream may be looked at.
    pub(super) async fn look(&self) {
        let wait = self.take(monotonic());
        if !wait.is_zero() {
            sleep(wait).await;
        }
    }

    /// The next turn, and how long it is until then.
    fn take(&self, now: Monotonic) -> Duration {
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        let at = now.max(*next);
        *next = at.after(TURN);
        at.since(now)
    }

    /// Waits until a partition may be filled, which takes as long as the permit is there.
    pub(super) async fn fill(&self) -> Option<SemaphorePermit<'_>> {
        // It is never closed.
        self.fills.acquire().await.ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUND: Duration = Duration::from_millis(250);

    #[test]
    fn many_partitions_are_looked_at_no_more_often_than_few() {
        for partitions in [1, 8, 64, 1_024] {
            let pace = Turns::new(partitions, BOUND).pace;
            let looks = u128::from(partitions) * 1_000 / pace.as_millis();
            assert!(looks <= 200, "{partitions}: {looks} looks a second");
        }
        assert_eq!(Turns::new(1, Duration::from_millis(8)).pace, PACE_MIN);
    }

    #[test]
    fn looks_come_one_after_the_other() {
        let turns = Turns::new(64, BOUND);
        let now = monotonic().after(Duration::from_secs(1));
        assert_eq!([turns.take(now), turns.take(now)], [Duration::ZERO, TURN]);
        let later = now.after(TURN * 5);
        let waits = [turns.take(later), turns.take(later)];
        assert_eq!(
            waits,
            [Duration::ZERO, TURN],
            "what nobody took is not kept"
        );
    }
}
