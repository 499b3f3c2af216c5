//! When a call is repeated, how long it waits, and what remains when it gives up.

use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout_at};

use crate::answer::{AnyProblem, Error};
use crate::clock::now;
use crate::config::Config;
use crate::connection::{Failure, Head, Message, Route};
use crate::key::IdempotencyKey;

/// Cost of a repetition in the units of the budget; a call earns one unit.
const REPETITION: u64 = 10;

/// Policy and state of repetitions, shared by all calls of a client.
pub(crate) struct Retry {
    attempts_max: u32,
    first: Duration,
    max: Duration,
    attempt_timeout: Duration,
    budget: AtomicU64,
    budget_max: u64,
    random: AtomicU64,
}

/// An answer that stays.
#[derive(Debug)]
pub(crate) struct Answered {
    pub(crate) head: Head,
    /// An attempt before it was lost, and may have taken effect.
    pub(crate) after_loss: bool,
}

/// What an attempt showed.
#[derive(Debug)]
enum Attempt {
    /// An answer that stays: an outcome, a refusal or a rejection.
    Final(Head),
    /// Nothing was changed by this attempt.
    Shed(Shed),
    /// It may have taken effect.
    Lost,
}

/// Why nothing was changed.
#[derive(Debug, Clone)]
pub(crate) struct Shed {
    pub(crate) overloaded: bool,
    pub(crate) retry_after: Option<Duration>,
    pub(crate) what: Box<str>,
}

impl Shed {
    pub(crate) fn into_error(self) -> Error {
        if self.overloaded {
            Error::Overloaded {
                retry_after: self.retry_after,
            }
        } else {
            Error::Unavailable(self.what)
        }
    }
}

/// Sorts an exchange. The body is looked at only where the status does not tell.
fn classify(result: Result<Head, Failure>, body: &[u8]) -> Attempt {
    let head = match result {
        Ok(head) => head,
        Err(failure) if failure.sent => return Attempt::Lost,
        Err(failure) => {
            return Attempt::Shed(Shed {
                overloaded: false,
                retry_after: None,
                what: failure.what,
            });
        }
    };
    match head.status {
        409 if AnyProblem::read(body).code == "idempotency_in_progress" => Attempt::Lost,
        // 408: the server gave up on the request before it had read it.
        408 | 429 | 503 => Attempt::Shed(shed(head.retry_after, &AnyProblem::read(body))),
        200..=499 => Attempt::Final(head),
        _ => Attempt::Lost,
    }
}

fn cut_off(sent: &AtomicBool) -> Attempt {
    if sent.load(Ordering::Relaxed) {
        return Attempt::Lost;
    }
    let what = "no connection in time".into();
    Attempt::Shed(Shed {
        overloaded: false,
        retry_after: None,
        what,
    })
}

/// Reads a 503 or 429.
pub(crate) fn shed(retry_after: Option<Duration>, problem: &AnyProblem) -> Shed {
    let exact = problem.retry_after_ms.map(Duration::from_millis);
    Shed {
        overloaded: matches!(problem.code.as_str(), "overloaded" | "rate_limited"),
        retry_after: exact.or(retry_after),
        what: problem.code.as_str().into(),
    }
}

/// What is known of a call whose attempts failed so far.
#[derive(Debug, Clone, Default)]
pub(crate) struct Doubt {
    attempts: u32,
    lost: bool,
    shed: Option<Shed>,
}

impl Doubt {
    pub(crate) fn shed(&mut self, shed: Shed) {
        self.attempts += 1;
        self.shed = Some(shed);
    }

    pub(crate) fn lost(&mut self) {
        self.attempts += 1;
        self.lost = true;
        self.shed = None;
    }

    /// It may have happened.
    pub(crate) fn is_lost(&self) -> bool {
        self.lost
    }

    /// What an error says of a call of which this is known: nothing was changed by its last attempt.
    pub(crate) fn or_unknown(&self, error: Error, key: &IdempotencyKey) -> Error {
        let changed_nothing = matches!(error, Error::Overloaded { .. } | Error::Unavailable(_));
        if self.lost && changed_nothing {
            Error::Unknown { key: key.clone() }
        } else {
            error
        }
    }

    /// The error to end with. Once an attempt was lost, no later refusal to work can tell that
    /// nothing was changed. A call without a key changes nothing.
    pub(crate) fn into_error(self, key: Option<&IdempotencyKey>) -> Error {
        match (self.lost, key, self.shed) {
            (true, Some(key), _) => Error::Unknown { key: key.clone() },
            (_, _, Some(shed)) => shed.into_error(),
            (true, None, None) => Error::Unavailable("the connection broke".into()),
            (false, _, None) => Error::Unavailable("the deadline passed".into()),
        }
    }
}

impl Retry {
    pub(crate) fn new(config: &Config) -> Self {
        let budget_max = u64::from(config.retry_budget) * REPETITION;
        Self {
            attempts_max: config.attempts_max.max(1),
            first: config.backoff_first,
            max: config.backoff_max,
            attempt_timeout: config.attempt_timeout,
            budget: AtomicU64::new(budget_max),
            budget_max,
            random: AtomicU64::new(RandomState::new().hash_one(0_u8)),
        }
    }

    /// A call begins: the budget earns.
    fn earn(&self) {
        if self.budget.load(Ordering::Relaxed) < self.budget_max {
            self.budget.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Waits before the next attempt; `false` when there is to be none.
    pub(crate) async fn pause(&self, doubt: &Doubt, deadline: Instant) -> bool {
        if doubt.attempts >= self.attempts_max || !self.spend() {
            return false;
        }
        let pause = self.pause_for(doubt);
        if now() + pause >= deadline {
            return false;
        }
        sleep(pause).await;
        true
    }

    /// Sends a message, and sends it again until an answer stays or it is to be given up. The
    /// answer's body is then in `reply`.
    pub(crate) async fn run(
        &self,
        deadline: Instant,
        authority: &str,
        message: &Message<'_>,
        mut route: Route<'_>,
        reply: &mut Vec<u8>,
    ) -> Result<Answered, Doubt> {
        self.earn();
        let mut doubt = Doubt::default();
        loop {
            let until = deadline.min(now() + self.attempt_timeout);
            message.sent.store(false, Ordering::Relaxed);
            let shown = match timeout_at(until, route.exchange(authority, message, reply)).await {
                Ok(result) => classify(result, reply),
                Err(_elapsed) => cut_off(&message.sent),
            };
            match shown {
                Attempt::Final(head) => {
                    let after_loss = doubt.is_lost();
                    return Ok(Answered { head, after_loss });
                }
                Attempt::Shed(shed) => doubt.shed(shed),
                Attempt::Lost => doubt.lost(),
            }
            if !self.pause(&doubt, deadline).await {
                return Err(doubt);
            }
        }
    }

    fn spend(&self) -> bool {
        let spent = self
            .budget
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |budget| {
                budget.checked_sub(REPETITION)
            });
        spent.is_ok()
    }

    /// Full jitter under a doubling bound, on top of what the server asks for.
    fn pause_for(&self, doubt: &Doubt) -> Duration {
        let doublings = doubt.attempts.saturating_sub(1).min(16);
        let bound = self.first.saturating_mul(1 << doublings).min(self.max);
        let asked = doubt
            .shed
            .as_ref()
            .and_then(|shed| shed.retry_after)
            .unwrap_or_default();
        asked + bound.mul_f64(self.fraction())
    }

    /// Evenly between zero and one (splitmix64).
    fn fraction(&self) -> f64 {
        let mut z = self
            .random
            .fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let high = u32::try_from((z ^ (z >> 31)) >> 32).unwrap_or_default();
        f64::from(high) / f64::from(u32::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn retry(change: impl FnOnce(&mut Config)) -> Retry {
        let mut config = Config::new("http://h").unwrap();
        change(&mut config);
        Retry::new(&config)
    }

    #[test]
    fn pauses_are_jittered_under_a_doubling_bound_and_honour_the_server() {
        let retry = retry(|_| ());
        for attempts in 1..40 {
            let doubt = Doubt {
                attempts,
                ..Doubt::default()
            };
            let bound = Duration::from_millis(20 << (attempts - 1).min(7)).min(retry.max);
            assert!(retry.pause_for(&doubt) <= bound);
        }
        let asked = Duration::from_secs(3);
        let shed = Shed {
            overloaded: true,
            retry_after: Some(asked),
            what: "".into(),
        };
        let doubt = Doubt {
            attempts: 1,
            lost: false,
            shed: Some(shed),
        };
        assert!(retry.pause_for(&doubt) >= asked);
        let draws: Vec<f64> = (0..1_000).map(|_| retry.fraction()).collect();
        assert!(draws.iter().any(|f| *f < 0.05) && draws.iter().any(|f| *f > 0.95));
    }

    /// Attempts of so many calls whose attempts are all lost.
    async fn tries(retry: Retry, calls: u32, deadline: Instant) -> u32 {
        let mut tries = 0;
        for _ in 0..calls {
            retry.earn();
            let mut doubt = Doubt::default();
            doubt.lost();
            while retry.pause(&doubt, deadline).await {
                doubt.lost();
            }
            tries += doubt.attempts;
        }
        tries
    }

    #[tokio::test(start_paused = true)]
    async fn repetitions_are_bounded_by_attempts_and_by_the_budget() {
        let deadline = now() + Duration::from_mins(10);
        assert_eq!(tries(retry(|_| ()), 1, deadline).await, 5);
        // 100 calls that all fail: the budget of 8 repetitions, and one more for each ten calls.
        let spent = tries(retry(|config| config.retry_budget = 8), 100, deadline).await;
        assert!((100 + 8..=100 + 8 + 10).contains(&spent), "{spent}");
    }

    #[test]
    fn doubt_stays_after_a_lost_attempt() {
        let key = IdempotencyKey::new("k").unwrap();
        let shed = Shed {
            overloaded: true,
            retry_after: None,
            what: "".into(),
        };
        let mut doubt = Doubt::default();
        doubt.lost();
        doubt.shed(shed.clone());
        assert_eq!(
            doubt.into_error(Some(&key)),
            Error::Unknown { key: key.clone() }
        );
        let mut doubt = Doubt::default();
        doubt.shed(shed);
        assert_eq!(
            doubt.into_error(Some(&key)),
            Error::Overloaded { retry_after: None }
        );
    }
}
