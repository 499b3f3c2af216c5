//! A whole engine in memory, and what the tests ask of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use holdfast::blocking::wait_for;
use holdfast::clock::Clock;
use holdfast::domain::command::{
    Act, Channel, Command, Keyed, LineRequest, Lines, Reserve, SetItem, StockChange, StockCommand,
    Verb,
};
use holdfast::domain::{
    HoldTtl, NodeIx, Outcome, ReservationId, Sku, Ttl, Units, UnixMillis, Verdict,
};
use holdfast::engine::{Engine, EngineConfig};
use holdfast::ledger::embedded::storage::sim::SimStorage;
use holdfast::ledger::policy::{PolicyPut, PolicyVersion, PutPolicyError};
use holdfast::telemetry::Meters;

/// Noon of the first day.
pub(crate) const NOON: i64 = 43_200_000;

/// An engine on a storage that outlives it.
pub(crate) struct Desk {
    pub(crate) storage: SimStorage,
    pub(crate) clock: Clock,
    pub(crate) engine: Engine,
    tries: AtomicU64,
}

pub(crate) fn config(clock: &Clock) -> EngineConfig {
    let mut config = EngineConfig::new(clock.clone(), Meters::new());
    config.journal.segment_bytes = 64 * 1024;
    config
}

impl Desk {
    pub(crate) fn new() -> Self {
        Self::over(SimStorage::new(), Clock::manual(UnixMillis(NOON)))
    }

    pub(crate) fn over(storage: SimStorage, clock: Clock) -> Self {
        let engine = Engine::open_on(Arc::new(storage.clone()), config(&clock)).unwrap();
        Self {
            storage,
            clock,
            engine,
            tries: AtomicU64::default(),
        }
    }

    /// Closes the engine and opens it again.
    pub(crate) fn restarted(self) -> Self {
        self.engine.close().unwrap();
        Self {
            tries: self.tries,
            ..Self::over(self.storage, self.clock)
        }
    }

    /// Puts a policy after that version.
    pub(crate) fn put(&self, text: &str, after: u64) -> Result<PolicyVersion, PutPolicyError> {
        self.put_over(text, after, "")
    }

    /// [`Self::put`], whatever is frozen, for that reason.
    pub(crate) fn put_over(
        &self,
        text: &str,
        after: u64,
        over: &str,
    ) -> Result<PolicyVersion, PutPolicyError> {
        let put = PolicyPut {
            text,
            expected: Some(after),
            operator: "anna",
            reason: "spring",
            over,
        };
        wait_for(self.engine.put_policy(&put))
    }

    pub(crate) fn execute(&self, key: &str, command: Command<'_>) -> Verdict {
        let key = self.engine.key(key, &command);
        let answer = self.engine.execute_blocking(&Keyed { key, command });
        answer.unwrap().verdict
    }

    pub(crate) fn set(&self, key: &str, sku: &str, on_hand: u64) {
        let item = SetItem {
            sku: Sku::new(sku).unwrap(),
            node: NodeIx::MAIN,
            on_hand: Some(units(on_hand)),
            unavailable: None,
            change_from: None,
        };
        let command = Command::Stock(StockCommand {
            change: StockChange::Set(vec![item]),
            reason: "count",
            operator: None,
        });
        self.execute(key, command).unwrap();
    }

    pub(crate) fn hold(&self, key: &str, channel: &str, sku: &str, quantity: u64) -> Verdict {
        let ttl = HoldTtl::Asked(Ttl::from_millis(3_600_000).unwrap());
        self.hold_for(key, channel, &[(sku, quantity)], ttl)
    }

    pub(crate) fn hold_for(
        &self,
        key: &str,
        channel: &str,
        lines: &[(&str, u64)],
        ttl: HoldTtl,
    ) -> Verdict {
        let lines = lines.iter().map(|(sku, quantity)| LineRequest {
            sku: Sku::new(sku).unwrap(),
            node: None,
            quantity: units(*quantity),
            by: None,
        });
        let command = Command::Reserve(Reserve {
            channel: Channel {
                name: channel,
                index: None,
            },
            reference: None,
            ttl,
            allow_partial: false,
            lines: Lines::try_new(lines).unwrap(),
        });
        self.execute(key, command)
    }

    pub(crate) fn act(&self, key: &str, id: ReservationId, verb: Verb) -> Verdict {
        let act = Act {
            id,
            verb,
            lines: None,
        };
        self.execute(key, Command::Act(act))
    }

    /// Holds, confirms and ships.
    pub(crate) fn sell(&self, key: &str, channel: &str, sku: &str, quantity: u64) {
        let held = self.hold(key, channel, sku, quantity);
        let id = id_of(&held);
        self.act(&format!("{key}-confirm"), id, Verb::Confirm)
            .unwrap();
        self.act(&format!("{key}-ship"), id, Verb::Ship { from: None })
            .unwrap();
    }

    /// The most that a channel can hold now, found by trying.
    pub(crate) fn room(&self, channel: &str, sku: &str) -> u64 {
        let all = Units::MAX.get();
        let verdict = self.hold(&format!("room-{}", self.next()), channel, sku, all);
        match verdict {
            Err(holdfast::domain::Refusal::InsufficientStock { shortages }) => {
                shortages[0].available.get()
            }
            other => panic!("everything and more was not refused: {other:?}"),
        }
    }

    /// A number that was not there before. Also after a restart, since the keys are kept.
    fn next(&self) -> u64 {
        self.tries.fetch_add(1, Ordering::Relaxed) + 1
    }
}

pub(crate) fn units(n: u64) -> Units {
    Units::new(n).unwrap()
}

pub(crate) fn id_of(verdict: &Verdict) -> ReservationId {
    match verdict {
        Ok(Outcome::Reservation(made)) => made.id,
        other => panic!("no reservation: {other:?}"),
    }
}

/// One rule for everything, with these limits.
pub(crate) fn everything(channels: &str, limits: &str) -> String {
    format!(
        r#"{{"channels":[{channels}],"rules":[{{"id":"all","default":true,"limits":[{limits}]}}]}}"#
    )
}

/// A cap in percent for `live`.
pub(crate) fn live_cap(percent: u64) -> String {
    everything(
        r#"{"name":"live"}"#,
        &format!(r#"{{"channel":"live","cap":{{"percent":{percent}}}}}"#),
    )
}
