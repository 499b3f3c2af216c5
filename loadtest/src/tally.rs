//! What a run counted.

use std::time::Duration;

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

use crate::Failure;

/// Counts and latencies of one kind of answer.
#[derive(Debug, Clone)]
pub(crate) struct Outcome {
    /// Reservations, or whatever is asked for; a batch counts each of its own.
    pub(crate) count: u64,
    /// Microseconds of requests.
    latency: Histogram<u64>,
}

/// Everything a run counts, accepted and refused apart.
#[derive(Debug, Clone)]
pub(crate) struct Tally {
    pub(crate) accepted: Outcome,
    pub(crate) refused: Outcome,
    pub(crate) errors: u64,
    /// One of the errors.
    pub(crate) error: Option<String>,
    /// Reservations accepted at any time, the measured time and around it.
    pub(crate) reserved_ever: u64,
}

/// Figures of one kind of answer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Figures {
    pub(crate) count: u64,
    pub(crate) per_second: f64,
    pub(crate) p50_ms: f64,
    pub(crate) p99_ms: f64,
    pub(crate) p999_ms: f64,
    pub(crate) max_ms: f64,
}

/// The result of a run.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Report {
    pub(crate) seconds: f64,
    pub(crate) accepted: Figures,
    pub(crate) refused: Figures,
    pub(crate) errors: u64,
    pub(crate) error: Option<String>,
    pub(crate) reserved_ever: u64,
    /// Processor seconds of this process, as a share of one core.
    pub(crate) generator_cores: f64,
}

impl Report {
    /// The answers that the scenario is about: refusals when nothing was accepted.
    pub(crate) fn main(&self) -> Figures {
        if self.accepted.count == 0 {
            self.refused
        } else {
            self.accepted
        }
    }
}

impl Outcome {
    fn new() -> Result<Self, Failure> {
        Ok(Self {
            count: 0,
            latency: Histogram::new_with_bounds(1, 60_000_000, 3)?,
        })
    }

    pub(crate) fn add(&mut self, count: u64, took: Duration) {
        self.count += count;
        self.latency
            .saturating_record(u64::try_from(took.as_micros()).unwrap_or(u64::MAX));
    }

    fn merge(&mut self, other: &Self) -> Result<(), Failure> {
        self.count += other.count;
        self.latency.add(&other.latency)?;
        Ok(())
    }

    fn figures(&self, seconds: f64) -> Figures {
        let millis = |micros: u64| Duration::from_micros(micros).as_secs_f64() * 1e3;
        let at = |quantile: f64| millis(self.latency.value_at_quantile(quantile));
        let at_least_one = !self.latency.is_empty();
        Figures {
            count: self.count,
            // Through microseconds, because there is no lossless way from u64 to f64.
            per_second: Duration::from_micros(self.count).as_secs_f64() * 1e6 / seconds,
            p50_ms: if at_least_one { at(0.5) } else { 0.0 },
            p99_ms: if at_least_one { at(0.99) } else { 0.0 },
            p999_ms: if at_least_one { at(0.999) } else { 0.0 },
            max_ms: millis(self.latency.max()),
        }
    }
}

impl Tally {
    pub(crate) fn new() -> Result<Self, Failure> {
        Ok(Self {
            accepted: Outcome::new()?,
            refused: Outcome::new()?,
            errors: 0,
            error: None,
            reserved_ever: 0,
        })
    }

    /// Counts the answers to one request.
    pub(crate) fn add(&mut self, accepted: u64, refused: u64, took: Duration) {
        if accepted > 0 {
            self.accepted.add(accepted, took);
        }
        if refused > 0 {
            self.refused.add(refused, took);
        }
    }

    pub(crate) fn fail(&mut self, why: impl std::fmt::Display) {
        self.errors += 1;
        self.error.get_or_insert_with(|| why.to_string());
    }

    pub(crate) fn merge(&mut self, other: Self) -> Result<(), Failure> {
        self.accepted.merge(&other.accepted)?;
        self.refused.merge(&other.refused)?;
        self.errors += other.errors;
        self.error = self.error.take().or(other.error);
        self.reserved_ever += other.reserved_ever;
        Ok(())
    }

    pub(crate) fn report(self, seconds: f64, generator_cores: f64) -> Report {
        Report {
            seconds,
            accepted: self.accepted.figures(seconds),
            refused: self.refused.figures(seconds),
            errors: self.errors,
            error: self.error,
            reserved_ever: self.reserved_ever,
            generator_cores,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepted_and_refused_stay_apart() {
        let mut one = Tally::new().unwrap();
        let mut two = one.clone();
        one.accepted.add(10, Duration::from_millis(2));
        two.refused.add(1, Duration::from_millis(40));
        two.fail("broken");
        one.merge(two).unwrap();
        let report = one.report(2.0, 0.0);
        assert_eq!(
            (report.accepted.count, report.refused.count, report.errors),
            (10, 1, 1)
        );
        assert!((report.accepted.per_second - 5.0).abs() < 1e-9);
        assert!((report.accepted.p99_ms - 2.0).abs() < 0.01, "{report:?}");
        assert!((report.refused.p50_ms - 40.0).abs() < 0.1, "{report:?}");
    }
}
