//! Counters and histograms that cost a few nanoseconds and a fixed amount of memory.
//!
//! WHY: the usual exporter keeps every histogram sample (16 bytes and a reading of the clock each)
//! until the next scrape and files it under a lock. At a million reservations a second with four
//! samples each that is the largest cost of a reservation and 64 MB for every second that nobody
//! scrapes. Here a sample is two relaxed additions to counters that no other thread is likely to
//! touch, and a scrape adds up the stripes.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use crossbeam::utils::CachePadded;

/// Copies of each cell. Threads are dealt out over them, so that the few threads of a server
/// rarely write to the same cache line. More threads than stripes are slower, not wrong.
const STRIPES: usize = 8;

/// Most buckets of a histogram, the last (`+Inf`) included.
pub(super) const BUCKETS_MAX: usize = 20;

static NEXT_STRIPE: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    static STRIPE: usize = NEXT_STRIPE.fetch_add(1, Relaxed) % STRIPES;
}

/// One copy of `T` per stripe.
#[derive(Debug)]
pub(super) struct Striped<T>([CachePadded<T>; STRIPES]);

impl<T: Default> Striped<T> {
    pub(super) fn new() -> Self {
        Self(std::array::from_fn(|_| CachePadded::new(T::default())))
    }

    /// The copy of this thread.
    fn mine(&self) -> &T {
        let [first, ..] = &self.0;
        STRIPE.with(|at| self.0.get(*at).unwrap_or(first))
    }

    fn sum(&self, read: impl Fn(&T) -> u64) -> u64 {
        self.0
            .iter()
            .fold(0, |sum, stripe| sum.wrapping_add(read(stripe)))
    }
}

/// `N` counters that are written together.
#[derive(Debug)]
pub(super) struct Counters<const N: usize>(Striped<CounterBlock<N>>);

#[derive(Debug)]
struct CounterBlock<const N: usize>([AtomicU64; N]);

impl<const N: usize> Default for CounterBlock<N> {
    fn default() -> Self {
        Self(std::array::from_fn(|_| AtomicU64::new(0)))
    }
}

impl<const N: usize> Counters<N> {
    pub(super) fn new() -> Self {
        Self(Striped::new())
    }

    /// Adds to one of the counters; an index beyond the last is ignored.
    pub(super) fn add(&self, index: usize, n: u64) {
        if let Some(cell) = self.0.mine().0.get(index) {
            cell.fetch_add(n, Relaxed);
        }
    }

    pub(super) fn get(&self, index: usize) -> u64 {
        self.0
            .sum(|block| block.0.get(index).map_or(0, |cell| cell.load(Relaxed)))
    }
}

#[derive(Debug, Default)]
struct HistogramBlock {
    buckets: [AtomicU64; BUCKETS_MAX],
    sum: AtomicU64,
}

/// A histogram with fixed bounds. Values are integers in the smallest unit: nanoseconds or pieces.
#[derive(Debug)]
pub(super) struct Histogram {
    bounds: &'static [u64],
    stripes: Striped<HistogramBlock>,
}

/// What a histogram held at one moment.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct HistogramSnapshot {
    /// Samples at or below each bound, cumulative.
    pub(super) cumulative: Vec<(u64, u64)>,
    /// All samples.
    pub(super) count: u64,
    /// Their sum.
    pub(super) sum: u64,
}

impl Histogram {
    /// A histogram with these upper bounds, which ascend and are fewer than [`BUCKETS_MAX`].
    pub(super) fn new(bounds: &'static [u64]) -> Self {
        debug_assert!(bounds.len() < BUCKETS_MAX && bounds.is_sorted());
        Self {
            bounds,
            stripes: Striped::new(),
        }
    }

    /// Files the same value `n` times, at the cost of once.
    pub(super) fn record_many(&self, value: u64, n: u64) {
        let block = self.stripes.mine();
        let at = self.bounds.partition_point(|bound| *bound < value);
        if let Some(bucket) = block.buckets.get(at) {
            bucket.fetch_add(n, Relaxed);
        }
        block.sum.fetch_add(value.saturating_mul(n), Relaxed);
    }

    /// Files one value.
    pub(super) fn record(&self, value: u64) {
        self.record_many(value, 1);
    }

    /// Files one duration.
    pub(super) fn record_duration(&self, value: Duration) {
        self.record(u64::try_from(value.as_nanos()).unwrap_or(u64::MAX));
    }

    /// Adds up the stripes. Samples filed meanwhile may be in or not; the buckets and the count
    /// always agree with each other.
    pub(super) fn snapshot(&self) -> HistogramSnapshot {
        let bucket = |at: usize| {
            self.stripes
                .sum(|block| block.buckets.get(at).map_or(0, |cell| cell.load(Relaxed)))
        };
        let mut count = 0_u64;
        let mut cumulative = Vec::with_capacity(self.bounds.len());
        for (at, bound) in self.bounds.iter().enumerate() {
            count = count.wrapping_add(bucket(at));
            cumulative.push((*bound, count));
        }
        count = count.wrapping_add(bucket(self.bounds.len()));
        HistogramSnapshot {
            cumulative,
            count,
            sum: self.stripes.sum(|b| b.sum.load(Relaxed)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_on_a_bound_belongs_to_that_bucket() {
        let histogram = Histogram::new(&[10, 20]);
        for value in [0, 10, 11, 20, 21, 1_000] {
            histogram.record(value);
        }
        let snapshot = histogram.snapshot();
        assert_eq!(snapshot.cumulative, [(10, 2), (20, 4)]);
        assert_eq!((snapshot.count, snapshot.sum), (6, 1_062));
    }

    #[test]
    fn recording_many_equals_recording_each() {
        let (one, many) = (Histogram::new(&[1, 2]), Histogram::new(&[1, 2]));
        (0..1_000).for_each(|_| one.record(2));
        many.record_many(2, 1_000);
        assert_eq!(one.snapshot(), many.snapshot());
    }

    #[test]
    fn nothing_is_lost_over_more_threads_than_stripes() {
        let histogram = Histogram::new(&[100]);
        let counters = Counters::<3>::new();
        let work = || {
            for value in 0..1_000 {
                histogram.record(value);
                counters.add(2, 1);
            }
        };
        std::thread::scope(|scope| {
            for _ in 0..STRIPES * 2 {
                scope.spawn(work);
            }
        });
        let expected = 1_000 * u64::try_from(STRIPES * 2).unwrap();
        assert_eq!(histogram.snapshot().count, expected);
        assert_eq!((counters.get(0), counters.get(2)), (0, expected));
        counters.add(3, 1);
    }
}
