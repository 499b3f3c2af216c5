//! What must happen by itself while the server runs: deadlines, forgetting, checking, snapshots.

use std::time::Duration;

use tokio::task::{JoinError, JoinHandle, spawn_blocking};
use tokio::time::{MissedTickBehavior, interval};

use crate::cli::{Exit, Failure};
use crate::clock::{Monotonic, monotonic};
use crate::engine::Engine;
use crate::ledger::LedgerError;

/// From one round of upkeep to the next: how late a deadline may be noticed when nobody asks.
const UPKEEP_PAUSE: Duration = Duration::from_millis(50);

/// After a failed snapshot, before the next: doubled with each that fails again.
const SNAPSHOT_PAUSE: Duration = Duration::from_mins(1);

/// The longest of these pauses.
const SNAPSHOT_PAUSE_MAX: Duration = Duration::from_hours(1);

/// When to try the next snapshot: at once, unless the last one failed.
#[derive(Debug, Default)]
struct SnapshotPace(Option<(Monotonic, Duration)>);

impl SnapshotPace {
    fn is_due(&self, now: Monotonic) -> bool {
        self.0
            .is_none_or(|(failed, pause)| now.since(failed) >= pause)
    }

    fn failed(&mut self, now: Monotonic) {
        let pause = self.0.map_or(SNAPSHOT_PAUSE, |(_, pause)| pause * 2);
        self.0 = Some((now, pause.min(SNAPSHOT_PAUSE_MAX)));
    }

    const fn succeeded(&mut self) {
        self.0 = None;
    }
}

fn out_of_service() -> Failure {
    Failure::new(
        Exit::Failed,
        "a write or sync of the journal failed, or a panic left work half done; what was \
         acknowledged is safe, and this process must not promise any more. Check the log and the \
         disk, then start again",
    )
}

/// How a snapshot ended: whether one was due, or why there is none.
type Ended = Result<Result<bool, LedgerError>, JoinError>;

/// One round after the other, until the ledger fails.
pub(super) async fn run(engine: &Engine) -> Failure {
    let mut timer = interval(UPKEEP_PAUSE);
    timer.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut upkeep = Upkeep::of(engine);
    loop {
        timer.tick().await;
        if let Err(failure) = upkeep.round(monotonic()).await {
            return failure;
        }
    }
}

/// The rounds, and the snapshot that one of them began.
struct Upkeep<'e> {
    engine: &'e Engine,
    snapshot: Option<JoinHandle<Result<bool, LedgerError>>>,
    pace: SnapshotPace,
    /// How the last round failed.
    failing: Option<LedgerError>,
}

impl<'e> Upkeep<'e> {
    fn of(engine: &'e Engine) -> Self {
        Self {
            engine,
            snapshot: None,
            pace: SnapshotPace::default(),
            failing: None,
        }
    }

    /// Once for as long as rounds fail alike: they come twenty times a second.
    fn tell(&mut self, failing: Option<LedgerError>) {
        if failing == self.failing {
            return;
        }
        match failing {
            Some(error) => tracing::warn!(%error, "upkeep fails"),
            None => tracing::info!("upkeep goes on"),
        }
        self.failing = failing;
    }

    /// One round; fails when the ledger has failed.
    async fn round(&mut self, now: Monotonic) -> Result<(), Failure> {
        if self.engine.health().poisoned {
            return Err(out_of_service());
        }
        match self.engine.tick().await {
            // A loss is told once, where it is found.
            Ok(()) | Err(LedgerError::Quarantined) => self.tell(None),
            Err(LedgerError::Poisoned) => return Err(out_of_service()),
            Err(error) => self.tell(Some(error)),
        }
        if let Some(ended) = self.snapshot.take_if(|snapshot| snapshot.is_finished()) {
            self.note(ended.await, now)?;
        }
        if self.snapshot.is_none() && self.pace.is_due(now) {
            let engine = self.engine.clone();
            self.snapshot = Some(spawn_blocking(move || engine.snapshot_if_due()));
        }
        Ok(())
    }

    /// Takes note of how a snapshot ended.
    fn note(&mut self, ended: Ended, now: Monotonic) -> Result<(), Failure> {
        match ended {
            Ok(Ok(_)) => self.pace.succeeded(),
            Ok(Err(LedgerError::Poisoned)) => return Err(out_of_service()),
            Ok(Err(error)) => {
                self.pace.failed(now);
                tracing::error!(%error, "no snapshot; the journal keeps growing");
            }
            Err(error) => {
                self.pace.failed(now);
                tracing::error!(%error, "the snapshot panicked; the journal keeps growing");
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::ErrorKind;

    use super::*;
    use crate::app::tests::{break_journal, open, set_stock};
    use crate::blocking::wait_for;
    use crate::clock::Clock;
    use crate::domain::command::{Command, Keyed, LineRequest, Lines, Reserve};
    use crate::domain::{HoldTtl, ReservationId, Sku, Ttl, Units, UnixMillis};
    use crate::engine::EngineConfig;
    use crate::ledger::embedded::storage::sim::{Fault, SimStorage, Site};
    use crate::limits::{RECORD_SHARDS, STOCK_SHARDS};
    use crate::telemetry::Meters;

    const TTL_MS: u32 = 60_000;

    fn hold(engine: &Engine) -> ReservationId {
        let line = LineRequest {
            sku: Sku::new("A").unwrap(),
            node: None,
            quantity: Units::new(2).unwrap(),
            by: None,
        };
        let command = Command::Reserve(Reserve {
            channel: engine.channel("web").unwrap(),
            reference: None,
            ttl: HoldTtl::Asked(Ttl::from_millis(TTL_MS).unwrap()),
            allow_partial: false,
            lines: Lines::try_new([line]).unwrap(),
        });
        let key = engine.key("hold", &command);
        let answer = engine.execute_blocking(&Keyed { key, command });
        assert!(answer.unwrap().verdict.is_ok());
        ReservationId(key.id)
    }

    /// The value of a series of the metrics page, by its name without the program's.
    fn metric(engine: &Engine, series: &str) -> u64 {
        let page = engine.meters().render();
        let named = |line: &str| {
            let (_program, rest) = line.split_once('_')?;
            rest.strip_prefix(series)?.trim().parse().ok()
        };
        page.lines().find_map(named).unwrap()
    }

    fn snapshots(storage: &SimStorage) -> usize {
        let files = storage.files();
        files
            .keys()
            .filter(|name| name.ends_with(".snapshot"))
            .count()
    }

    /// Rounds at this moment until the snapshot that was begun has ended and was taken note of.
    async fn rounds_until_idle(upkeep: &mut Upkeep<'_>, now: Monotonic) {
        upkeep.round(now).await.unwrap();
        while let Some(snapshot) = &mut upkeep.snapshot {
            let ended = snapshot.await;
            upkeep.snapshot = None;
            upkeep.note(ended, now).unwrap();
        }
    }

    #[tokio::test]
    async fn a_round_gives_back_what_is_due_and_forgets_what_is_old() {
        let clock = Clock::manual(UnixMillis(1_000));
        let engine = open(&SimStorage::new(), |config| config.clock = clock.clone());
        let mut upkeep = Upkeep::of(&engine);
        set_stock(&engine, 5).unwrap();
        let id = hold(&engine);
        let expired = || metric(&engine, "expirations_total");
        upkeep.round(monotonic()).await.unwrap();
        assert_eq!((expired(), metric(&engine, "reservations_active")), (0, 1));
        clock.advance(TTL_MS.into());
        upkeep.round(monotonic()).await.unwrap();
        assert_eq!((expired(), metric(&engine, "reservations_active")), (1, 0));
        let kept = |id| wait_for(engine.reservation(id)).unwrap().is_some();
        assert!(kept(id));
        clock.advance(
            EngineConfig::new(Clock::system(), Meters::new())
                .retention
                .keys_ms
                + 1,
        );
        upkeep.round(monotonic()).await.unwrap();
        assert!(!kept(id));
    }

    /// Locks are counted in bunches, so that only a whole turn of the shards is counted exactly.
    #[tokio::test]
    async fn each_round_checks_one_shard() {
        let engine = open(&SimStorage::new(), |_| {});
        let locks = || metric(&engine, "lock_wait_seconds_count{kind=\"shard\"}");
        let turn = u64::try_from(STOCK_SHARDS).unwrap();
        let of_records = u64::try_from(RECORD_SHARDS).unwrap();
        let mut upkeep = Upkeep::of(&engine);
        let before = locks();
        for _ in 0..turn {
            upkeep.round(monotonic()).await.unwrap();
        }
        // Every shard for what is due, what is to be forgotten and what is open, and the one that
        // is checked.
        assert_eq!(locks() - before, turn * (turn + of_records + turn + 1));
    }

    #[tokio::test]
    async fn a_snapshot_is_made_when_enough_has_changed_and_not_before() {
        let storage = SimStorage::new();
        let engine = open(&storage, |config| config.snapshot_every = 8);
        let mut upkeep = Upkeep::of(&engine);
        for on_hand in 0..20 {
            set_stock(&engine, on_hand).unwrap();
            let due = engine.health().durable.sequence >= 8;
            rounds_until_idle(&mut upkeep, monotonic()).await;
            assert_eq!(snapshots(&storage) > 0, due, "{on_hand}");
        }
        assert_eq!(snapshots(&storage), 2);
    }

    #[tokio::test]
    async fn a_failed_snapshot_is_made_up_for_after_a_pause() {
        let storage = SimStorage::new();
        let engine = open(&storage, |config| config.snapshot_every = 1);
        set_stock(&engine, 1).unwrap();
        let fault = Fault {
            site: Site::Rename,
            after: 0,
            kind: ErrorKind::Other,
            stays: false,
        };
        storage.fail(fault);
        let mut upkeep = Upkeep::of(&engine);
        let failed = monotonic();
        rounds_until_idle(&mut upkeep, failed).await;
        assert_eq!((storage.fired(), snapshots(&storage)), (1, 0));
        let too_early = failed.after(SNAPSHOT_PAUSE / 2);
        rounds_until_idle(&mut upkeep, too_early).await;
        assert_eq!(snapshots(&storage), 0);
        rounds_until_idle(&mut upkeep, failed.after(SNAPSHOT_PAUSE)).await;
        assert_eq!(snapshots(&storage), 1);
    }

    #[tokio::test]
    async fn a_failed_sync_ends_the_process() {
        let storage = SimStorage::new();
        let engine = open(&storage, |_| {});
        let mut upkeep = Upkeep::of(&engine);
        assert_eq!(upkeep.round(monotonic()).await, Ok(()));
        break_journal(&storage, &engine);
        let failure = run(&engine).await;
        assert_eq!(failure.exit, Exit::Failed);
        assert!(
            failure.message.contains("sync of the journal failed"),
            "{failure}"
        );
    }

    #[test]
    fn failed_snapshots_are_tried_again_ever_more_seldom() {
        let mut pace = SnapshotPace::default();
        let now = monotonic();
        assert!(pace.is_due(now));
        let mut pauses = Vec::new();
        for _ in 0..8 {
            pace.failed(now);
            assert!(!pace.is_due(now));
            pauses.push(pace.0.unwrap().1.as_secs() / 60);
        }
        assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 60, 60]);
        pace.succeeded();
        assert!(pace.is_due(now));
    }
}
