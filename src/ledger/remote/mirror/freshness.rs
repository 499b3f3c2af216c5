//! How far the mirror has come and how fresh it is, for readers that take no lock.

use std::sync::atomic::{AtomicI64, AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use crate::clock::{Clock, Monotonic, monotonic};
use crate::domain::UnixMillis;
use crate::ledger::Position;

/// How often a reader looks again when something changed meanwhile.
const LOOKS: u32 = 64;

/// What a clock may be wrong by from one reply of the store to the next, milliseconds.
const CLOCK_MARGIN_MS: i64 = 10;

/// [`Freshness::stamp`] while there is no content.
const EMPTY: u64 = u64::MAX;

/// Something that was seen in the mirror.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::ledger::remote) struct Seen<T> {
    pub(in crate::ledger::remote) value: T,
    /// It was so after this change and before the next.
    pub(in crate::ledger::remote) position: Position,
    /// A moment of the store, not long ago, at which there was nothing after it.
    pub(super) as_of: UnixMillis,
    /// How long ago that was.
    pub(in crate::ledger::remote) age: Duration,
}

/// See the module's documentation. Written by one thread at a time.
#[derive(Debug)]
pub(super) struct Freshness {
    partition: u16,
    born: Monotonic,
    /// Twice the sequence of the last change that is in; odd while the next one is put in.
    stamp: AtomicU64,
    epoch: AtomicU32,
    /// The last change that this instance has told anybody of, in the latest epoch that it knows.
    told: AtomicU64,
    told_epoch: AtomicU32,
    /// Nanoseconds from `born` to a moment at which the store had no change that is not in; 0:
    /// there was none.
    proved: AtomicU64,
    /// That moment by the store's clock.
    as_of: AtomicI64,
    /// What to add to the milliseconds since `born` for a moment that the store's clock has not
    /// passed.
    ahead: AtomicI64,
}

impl Freshness {
    pub(super) fn new(partition: u16) -> Self {
        Self {
            partition,
            born: monotonic(),
            stamp: AtomicU64::new(EMPTY),
            epoch: AtomicU32::new(0),
            told: AtomicU64::new(0),
            told_epoch: AtomicU32::new(0),
            proved: AtomicU64::new(0),
            as_of: AtomicI64::new(0),
            ahead: AtomicI64::new(0),
        }
    }

    /// There is content now.
    pub(super) fn begin(&self, position: Position) {
        self.proved.store(0, Ordering::Release);
        self.epoch.store(position.epoch, Ordering::Release);
        self.stamp.store(position.sequence * 2, Ordering::Release);
    }

    /// There is no content any more.
    pub(super) fn end(&self) {
        self.stamp.store(EMPTY, Ordering::Release);
        self.proved.store(0, Ordering::Release);
    }

    /// The change after this one is about to be put in.
    pub(super) fn changing(&self, after: u64) {
        self.stamp.store(after * 2 + 1, Ordering::Release);
    }

    /// It is in.
    pub(super) fn changed(&self, sequence: u64) {
        self.stamp.store(sequence * 2, Ordering::Release);
    }

    /// From now on nobody sees less than this.
    pub(super) fn tell(&self, position: Position) {
        if self.told() < position {
            self.told_epoch.store(position.epoch, Ordering::Release);
            self.told.store(position.sequence, Ordering::Release);
        }
    }

    /// The last change that this instance has told anybody of.
    pub(super) fn told(&self) -> Position {
        Position {
            shard: self.partition,
            epoch: self.told_epoch.load(Ordering::Acquire),
            sequence: self.told.load(Ordering::Acquire),
        }
    }

    /// The store, asked at this moment of ours, said what time it was.
    pub(super) fn heard_the_time(&self, asked: Monotonic, now: UnixMillis) {
        let ahead = now.0.saturating_sub(self.millis(asked));
        self.ahead.store(ahead, Ordering::Relaxed);
    }

    /// At that moment the store had no change that is not in.
    pub(super) fn prove(&self, at: Monotonic, as_of: UnixMillis) {
        let nanos = u64::try_from(at.since(self.born).as_nanos()).unwrap_or(u64::MAX);
        if nanos > self.proved.load(Ordering::Relaxed) {
            self.as_of.store(as_of.0, Ordering::Relaxed);
            self.proved.store(nanos, Ordering::Release);
        }
    }

    /// How long ago that was; `None`: there is no proof.
    pub(super) fn age(&self) -> Option<Duration> {
        let proved = self.proved.load(Ordering::Acquire);
        let since = self
            .born
            .elapsed()
            .saturating_sub(Duration::from_nanos(proved));
        (proved > 0).then_some(since)
    }

    /// The moment that was proved, by the store's clock.
    pub(super) fn as_of(&self) -> UnixMillis {
        UnixMillis(self.as_of.load(Ordering::Relaxed))
    }

    fn millis(&self, at: Monotonic) -> i64 {
        i64::try_from(at.since(self.born).as_millis()).unwrap_or(i64::MAX)
    }

    /// A moment that the store's clock has not passed.
    fn latest(&self, now: Monotonic) -> UnixMillis {
        let ahead = self.ahead.load(Ordering::Relaxed);
        UnixMillis(ahead.saturating_add(self.millis(now) + CLOCK_MARGIN_MS))
    }

    /// Looks at the content, if it is known to have been all that there was at some moment within
    /// `bound`, and holds everything that this instance has told anybody of. `look` gets a moment
    /// that the store's clock has not passed; its answer is of one position, or is not given.
    pub(super) fn look<T>(
        &self,
        bound: Duration,
        clock: Option<&Clock>,
        mut look: impl FnMut(UnixMillis) -> Option<T>,
    ) -> Option<Seen<T>> {
        let now = monotonic();
        let proved = self.proved.load(Ordering::Acquire);
        let age = now
            .since(self.born)
            .checked_sub(Duration::from_nanos(proved))?;
        if proved == 0 || age > bound {
            return None;
        }
        let by = clock.map_or_else(|| self.latest(now), Clock::now);
        for _ in 0..LOOKS {
            let before = self.stamp.load(Ordering::Acquire);
            if before == EMPTY {
                return None;
            }
            if before % 2 == 1 {
                std::hint::spin_loop();
                continue;
            }
            let position = Position {
                shard: self.partition,
                epoch: self.epoch.load(Ordering::Acquire),
                sequence: before / 2,
            };
            if position < self.told() {
                return None;
            }
            let as_of = self.as_of();
            let value = look(by)?;
            if self.stamp.load(Ordering::Acquire) == before {
                return Some(Seen {
                    value,
                    position,
                    as_of,
                    age,
                });
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUND: Duration = Duration::from_hours(1);
    const POSITION: Position = Position {
        shard: 5,
        epoch: 3,
        sequence: 7,
    };
    const NOON: UnixMillis = UnixMillis(43_200_000);

    /// With content and a proof.
    fn fresh() -> Freshness {
        let fresh = Freshness::new(POSITION.shard);
        fresh.begin(POSITION);
        while fresh.born.elapsed().is_zero() {}
        fresh.prove(monotonic(), NOON);
        fresh
    }

    fn seen(fresh: &Freshness) -> Option<Seen<()>> {
        fresh.look(BOUND, None, |_| Some(()))
    }

    #[test]
    fn what_is_seen_has_its_position_and_moment() {
        let found = seen(&fresh()).unwrap();
        assert_eq!((found.position, found.as_of), (POSITION, NOON));
        assert!(found.age <= BOUND);
    }

    #[test]
    fn nothing_is_seen_without_a_proof_or_after_the_bound() {
        let unproved = Freshness::new(POSITION.shard);
        unproved.begin(POSITION);
        assert_eq!(seen(&unproved), None);
        let fresh = fresh();
        let is_old = |age| fresh.look(age, None, |_| Some(())).is_none();
        while !is_old(Duration::ZERO) {}
        fresh.end();
        assert_eq!(seen(&fresh), None, "and nothing without content");
        fresh.begin(POSITION);
        assert_eq!(
            seen(&fresh),
            None,
            "nor by the proof of what was there before"
        );
    }

    #[test]
    fn nothing_is_seen_that_lacks_what_was_told() {
        let fresh = fresh();
        fresh.tell(Position {
            sequence: 8,
            ..POSITION
        });
        assert_eq!(seen(&fresh), None);
        fresh.changing(7);
        fresh.changed(8);
        assert_eq!(seen(&fresh).unwrap().position.sequence, 8);
    }

    #[test]
    fn what_changes_while_it_is_looked_at_is_looked_at_again() {
        let fresh = fresh();
        let mut looks = 0;
        let found = fresh.look(BOUND, None, |_| {
            looks += 1;
            if looks < 3 {
                let sequence = POSITION.sequence + looks;
                fresh.changing(sequence - 1);
                fresh.changed(sequence);
            }
            Some(looks)
        });
        let found = found.unwrap();
        assert_eq!((found.value, found.position.sequence), (3, 9));
        fresh.changing(9);
        assert_eq!(seen(&fresh), None, "half of a change is never seen");
    }

    #[test]
    fn the_moment_is_never_before_the_stores() {
        let fresh = fresh();
        let asked = monotonic();
        fresh.heard_the_time(asked, NOON);
        let by = |clock| fresh.look(BOUND, clock, Some).unwrap().value;
        assert!(by(None) > NOON);
        let clock = Clock::manual(UnixMillis(5));
        assert_eq!(by(Some(&clock)), UnixMillis(5));
    }
}
