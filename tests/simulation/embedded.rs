//! The embedded ledger as a world: lives of an engine on a disk that crashes, fails and is slow.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;

use holdfast::engine::{Engine, EngineConfig, OpenError};
use holdfast::ledger::Durability;
use holdfast::ledger::embedded::journal::{Journal, JournalConfig, Step, Writer};
use holdfast::ledger::embedded::{Retention, SnapshotStep};
use holdfast::telemetry::Meters;

use crate::crowd::at_once;
use crate::disk::Disk;
use crate::faults::{Fault, Sometimes};
use crate::judge::Judge;
use crate::scheduler::{Signal, Sim, race};
use crate::support::driven::try_give_names;
use crate::world::{Door, Life, Plan};

/// What happens at the next opportunity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Armed {
    Nothing,
    /// A power cut within the next group commit that writes something.
    CutInCommit,
    /// A power cut within the end of the next snapshot.
    CutInSnapshot,
    /// The server is closed in good order.
    Close,
}

/// See the module's documentation.
pub(crate) struct Embedded {
    sim: Sim,
    plan: Plan,
    pub(crate) door: Door,
    judge: Rc<RefCell<Judge>>,
    /// Of all lives: nobody looks at them, and to make them takes longer than to open a ledger.
    meters: Meters,
    pub(crate) disk: Disk,
    pub(crate) armed: Cell<Armed>,
    /// The next opening is cut off.
    pub(crate) cut_recovery: Cell<bool>,
    /// Until then the disk is slow.
    pub(crate) slow_until: Cell<i64>,
    /// There is no server, and none is being opened.
    down: Signal,
    open_failed: Cell<bool>,
}

impl Embedded {
    pub(crate) fn new(sim: &Sim, plan: Plan, door: &Door, judge: &Rc<RefCell<Judge>>) -> Rc<Self> {
        let world = Self {
            sim: sim.clone(),
            plan,
            door: door.clone(),
            judge: Rc::clone(judge),
            meters: Meters::new(),
            disk: Disk::new(sim, plan),
            armed: Cell::new(Armed::Nothing),
            cut_recovery: Cell::new(false),
            slow_until: Cell::new(0),
            down: Signal::default(),
            open_failed: Cell::new(false),
        };
        world.down.raise();
        Rc::new(world)
    }

    fn config(&self) -> EngineConfig {
        let clock = self.sim.ledger_clock().clone();
        let mut config = EngineConfig::new(clock, self.meters.clone());
        config.journal = JournalConfig {
            segment_bytes: 16 * 1024,
            durability: Durability::Disk,
            queue_bytes_max: self.plan.queue_bytes_max,
            retain_bytes: 0,
        };
        config.retention = Retention {
            keys_ms: self.plan.keeping.answers,
            refusals_ms: self.plan.keeping.refusals,
            records_max: 1_000_000,
        };
        config
    }

    /// Opens the server whenever there is none.
    pub(crate) async fn supervise(self: Rc<Self>) {
        loop {
            self.down.raised().await;
            self.sim.sleep(self.sim.between(0, 60)).await;
            if self.open() {
                self.down.lower();
            }
        }
    }

    /// Tries to open the server; false when something came in between.
    fn open(self: &Rc<Self>) -> bool {
        let (disk, from) = (&self.disk, self.disk.moment());
        let journal = Journal::open(Arc::new(disk.storage()), self.config().journal);
        if journal.is_ok_and(|journal| journal.cut().is_some()) {
            self.sim.saw(Sometimes::TailCut);
        }
        if disk.count("snapshot") > 0 {
            self.sim.saw(Sometimes::FromSnapshot);
        }
        let opened = Engine::open_stepped(Arc::new(disk.storage()), self.config());
        let begun = opened.map(|(engine, mut writer)| {
            let named = try_give_names(&engine).is_ok();
            (named && writer.step().is_ok()).then_some((engine, writer))
        });
        let has_failed = self.disk.count_errors();
        if self.cut_recovery.get() && disk.moment() > from {
            self.cut_recovery.set(false);
            self.sim.fired(Fault::CutInRecovery);
            drop(begun);
            self.cut_power(from, disk.moment());
            return false;
        }
        let (engine, mut writer) = match begun {
            Ok(Some(begun)) => begun,
            Ok(None) if has_failed => return self.opening_failed("the first write fails"),
            Err(error) if has_failed && !matches!(error, OpenError::Damaged(_)) => {
                return self.opening_failed(&error.to_string());
            }
            Ok(None) => return self.broke("the first write fails on a sound disk"),
            Err(error) => return self.broke(&format!("does not open: {error}")),
        };
        let durable = engine.health().durable;
        self.sim.note("server", format_args!("opens at {durable}"));
        let write = || writer.step().is_ok();
        let judged = self.judge.borrow_mut().opened_anew(&engine, write);
        self.sim.check(judged);
        if self.disk.count_errors() && engine.health().poisoned {
            return self.opening_failed("a write fails");
        }
        if self.open_failed.take() {
            self.sim.saw(Sometimes::OpenFailed);
        }
        self.begin(engine, writer);
        true
    }

    fn opening_failed(&self, why: &str) -> bool {
        self.sim
            .note("server", format_args!("does not open: {why}"));
        self.open_failed.set(true);
        self.disk.outlive_process();
        false
    }

    fn broke(&self, what: &str) -> bool {
        self.sim.violated(what.to_owned());
        false
    }

    fn begin(self: &Rc<Self>, engine: Engine, writer: Writer) {
        let life = self.door.open(engine);
        // What the judge has read may have expired.
        life.work.raise();
        let sim = &self.sim;
        let tasks: [std::pin::Pin<Box<dyn Future<Output = ()>>>; 3] = [
            Box::pin(Rc::clone(self).write(Rc::clone(&life), writer)),
            Box::pin(Rc::clone(self).look_after(Rc::clone(&life))),
            Box::pin(Rc::clone(self).make_snapshots(Rc::clone(&life))),
        ];
        let lane = life.engine.lane().filter(|_| sim.percent(50));
        if let Some(lane) = lane {
            let ended = life.ended.clone();
            sim.spawn_prompt(async move {
                race(ended.raised(), lane).await;
            });
        }
        for task in tasks {
            let ended = life.ended.clone();
            sim.spawn(async move {
                race(ended.raised(), task).await;
            });
        }
    }

    /// The writer of a life, step by step.
    async fn write(self: Rc<Self>, life: Rc<Life>, mut writer: Writer) {
        loop {
            life.work.raised().await;
            self.wait_for_disk().await;
            life.work.lower();
            let (before, kept) = (self.disk.moment(), self.disk.count("seg"));
            if self.armed.get() == Armed::Close {
                return self.close(&life, writer).await;
            }
            let stepped = writer.step();
            let after = self.disk.moment();
            self.disk.count_errors();
            if self.armed.get() == Armed::CutInCommit && after > before {
                self.armed.set(Armed::Nothing);
                self.sim.fired(Fault::CutInCommit);
                if self.disk.count("seg") > kept {
                    self.sim.saw(Sometimes::CutWhileRotating);
                }
                self.end_life();
                return self.cut_power(before, after);
            }
            match stepped {
                Ok(Step::Idle | Step::Committed { .. }) => {}
                Ok(Step::Closed) | Err(_) => {
                    self.sim.saw(Sometimes::Poisoned);
                    self.sim.note("server", format_args!("fails"));
                    return self.end_process();
                }
            }
            if life.decided.take() > 1 {
                self.sim.saw(Sometimes::Group);
            }
            if self.sim.percent(5) {
                self.read(&life.engine);
            }
        }
    }

    fn read(&self, engine: &Engine) {
        let read = self.judge.borrow_mut().read(engine);
        self.sim.check(read);
    }

    async fn wait_for_disk(&self) {
        let sim = &self.sim;
        if sim.now() < self.slow_until.get() {
            sim.sleep(sim.between(20, 200)).await;
        } else if sim.percent(50) {
            sim.sleep(sim.between(1, 5)).await;
        } else {
            sim.pause().await;
        }
    }

    /// Ends the service in good order: those who still wait may be told.
    async fn close(&self, life: &Life, mut writer: Writer) {
        self.armed.set(Armed::Nothing);
        self.sim.fired(Fault::Restart);
        // There is no thread to wait for: the writer closes with its next steps.
        life.engine.close().unwrap_or_default();
        while matches!(writer.step(), Ok(Step::Committed { .. })) {}
        self.disk.count_errors();
        self.sim.sleep(1).await;
        self.end_process();
    }

    /// What runs in the background of a server.
    async fn look_after(self: Rc<Self>, life: Rc<Life>) {
        loop {
            self.sim.sleep(self.sim.between(20, 400)).await;
            let ticked = at_once(life.engine.tick());
            life.work.raise();
            if ticked.is_none() {
                self.broke("a round of upkeep waits");
            }
        }
    }

    async fn make_snapshots(self: Rc<Self>, life: Rc<Life>) {
        loop {
            self.sim.sleep(self.sim.between(10, 300)).await;
            self.make_snapshot(&life).await;
        }
    }

    async fn make_snapshot(&self, life: &Life) {
        let decided = life.decided_ever.get();
        let Ok(Some(mut snapshot)) = life.engine.begin_snapshot() else {
            self.disk.count_errors();
            return;
        };
        loop {
            for _ in 0..self.sim.between(1, 120) {
                match snapshot.step() {
                    Ok(SnapshotStep::Wrote) => {}
                    Ok(SnapshotStep::Waits(_)) => {
                        life.work.raise();
                        break;
                    }
                    Ok(SnapshotStep::Ready) => {
                        if life.decided_ever.get() > decided {
                            self.sim.saw(Sometimes::DuringSnapshot);
                        }
                        // Afterwards the journal may drop what it has not read.
                        self.read(&life.engine);
                        return self.finish_snapshot(|| snapshot.finish().is_ok());
                    }
                    Err(_) => {
                        self.disk.count_errors();
                        return;
                    }
                }
            }
            self.sim.sleep(self.sim.between(0, 3)).await;
        }
    }

    fn finish_snapshot(&self, finish: impl FnOnce() -> bool) {
        let disk = &self.disk;
        let (before, kept) = (disk.moment(), disk.count("seg"));
        let is_done = finish();
        self.disk.count_errors();
        self.sim
            .note("server", format_args!("snapshot, done: {is_done}"));
        if is_done {
            self.sim.saw(Sometimes::Snapshot);
        }
        if disk.count("seg") < kept {
            self.sim.saw(Sometimes::Pruned);
        }
        if self.armed.get() == Armed::CutInSnapshot && disk.moment() > before {
            self.armed.set(Armed::Nothing);
            self.sim.fired(Fault::CutInSnapshot);
            self.end_life();
            self.cut_power(before, disk.moment());
        }
    }

    /// Cuts the power now.
    pub(crate) fn cut_now(&self) {
        if self.end_life().is_none() {
            return;
        }
        self.sim.fired(Fault::CutBetween);
        let now = self.disk.moment();
        self.cut_power(now, now);
    }

    fn cut_power(&self, from: usize, to: usize) {
        self.disk.cut_power(from, to);
        self.down.raise();
    }

    /// Kills the process: what it has written stays, in the memory of the system.
    pub(crate) fn kill(&self) {
        if self.end_life().is_some() {
            self.sim.fired(Fault::Kill);
            self.end_process();
        }
    }

    /// Ends the life that there is, suddenly: what was decided and not written is lost.
    fn end_life(&self) -> Option<Rc<Life>> {
        let life = self.door.close()?;
        if life.decided.get() > 0 && life.engine.health().queued_bytes > 0 {
            self.sim.saw(Sometimes::LostUnacknowledged);
        }
        Some(life)
    }

    fn end_process(&self) {
        self.door.close();
        self.disk.outlive_process();
        self.down.raise();
    }
}
