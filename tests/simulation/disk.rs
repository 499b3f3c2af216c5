//! The disk of a simulated server: it loses power, fails, and lies where that is the sabotage.

use std::cell::{Cell, RefCell};
use std::io::ErrorKind;
use std::path::Path;

use holdfast::ledger::embedded::storage::Storage;
use holdfast::ledger::embedded::storage::sim::{self, Dice, Files, Loss, SimStorage, Site};

use crate::faults::Fault;
use crate::scheduler::Sim;
use crate::support::memory::identity;
use crate::world::{Plan, Sabotage};

/// Where the disk fails; those that are seldom passed more often than others.
const SITES: [Site; 10] = [
    Site::Write,
    Site::Sync,
    Site::Create,
    Site::Create,
    Site::Rename,
    Site::Rename,
    Site::SyncDir,
    Site::Remove,
    Site::Remove,
    Site::Remove,
];

/// A disk error that is planned.
#[derive(Debug, Clone, Copy)]
struct Broken {
    site: Site,
    kind: ErrorKind,
    stays: bool,
}

/// See the module's documentation.
pub(crate) struct Disk {
    sim: Sim,
    plan: Plan,
    storage: RefCell<SimStorage>,
    /// What of its errors has been counted.
    errors: Cell<u64>,
    broken: Cell<Option<Broken>>,
}

impl Disk {
    /// A disk with a ledger's identity and nothing else.
    pub(crate) fn new(sim: &Sim, plan: Plan) -> Self {
        let files = Files::from([("ledger.id".to_owned(), identity(plan.seed))]);
        let disk = Self {
            sim: sim.clone(),
            plan,
            storage: RefCell::default(),
            errors: Cell::new(0),
            broken: Cell::new(None),
        };
        disk.become_of(SimStorage::with_files(files));
        disk
    }

    fn become_of(&self, storage: SimStorage) {
        if self.plan.is_sabotaged(Sabotage::SyncLies) {
            storage.lie(Site::Sync);
        }
        if self.plan.is_sabotaged(Sabotage::SyncDirLies) {
            storage.lie(Site::SyncDir);
        }
        self.errors.set(storage.fired());
        *self.storage.borrow_mut() = storage;
    }

    /// What a process sees of it.
    pub(crate) fn storage(&self) -> SimStorage {
        self.storage.borrow().clone()
    }

    /// Number of operations so far.
    pub(crate) fn moment(&self) -> usize {
        self.storage.borrow().moment()
    }

    /// Files whose names end so.
    pub(crate) fn count(&self, extension: &str) -> usize {
        let names = self.storage.borrow().list().unwrap();
        let is_such = |name: &&String| {
            Path::new(name)
                .extension()
                .is_some_and(|of| of == extension)
        };
        names.iter().filter(is_such).count()
    }

    /// A process is gone: what it still does to its files must not be seen, and an error that stays is
    /// gone with it.
    pub(crate) fn outlive_process(&self) {
        self.broken.set(None);
        let fork = self.storage().fork();
        fork.fail(sim::Fault {
            site: Site::Create,
            after: u64::MAX,
            kind: ErrorKind::Other,
            stays: false,
        });
        self.become_of(fork);
    }

    /// Power was cut when the disk had done a number of operations between these two.
    pub(crate) fn cut_power(&self, from: usize, to: usize) {
        let sim = &self.sim;
        let (from, to) = (to_u64(from), to_u64(to));
        let mut moment = sim.between(from, to);
        if self.plan.is_sabotaged(Sabotage::RecordDropped) {
            moment = moment.saturating_sub(4);
        }
        let loss = sim.pick(&Loss::ALL);
        sim.fired(match loss {
            Loss::Nothing => Fault::LossNothing,
            Loss::Everything => Fault::LossEverything,
            Loss::Torn => Fault::LossTorn,
            Loss::Writes => Fault::LossWrites,
            Loss::Sectors => Fault::LossSectors,
        });
        let mut crashes = self.storage().crashes();
        while to_u64(crashes.moment()) < moment && crashes.advance() {}
        let mut dice = Dice::new(sim.below(u64::MAX));
        self.become_of(SimStorage::with_files(crashes.image(loss, &mut dice)));
        self.broken.set(None);
    }

    /// Has the disk fail.
    pub(crate) fn fail_soon(&self) {
        let sim = &self.sim;
        let broken = Broken {
            site: sim.pick(&SITES),
            kind: sim.pick(&[ErrorKind::StorageFull, ErrorKind::Other]),
            stays: sim.percent(30),
        };
        self.storage().fail(sim::Fault {
            site: broken.site,
            after: sim.below(3),
            kind: broken.kind,
            stays: broken.stays,
        });
        self.broken.set(Some(broken));
    }

    /// Counts errors that the disk has made since the last look; whether there were any.
    pub(crate) fn count_errors(&self) -> bool {
        let fired = self.storage().fired();
        let is_new = self.errors.replace(fired) < fired;
        if let (Some(broken), true) = (self.broken.get(), is_new) {
            let sim = &self.sim;
            sim.fired(match broken.site {
                Site::Create => Fault::ErrorCreate,
                Site::Write => Fault::ErrorWrite,
                Site::Sync => Fault::ErrorSync,
                Site::Rename => Fault::ErrorRename,
                Site::Remove => Fault::ErrorRemove,
                Site::SyncDir => Fault::ErrorSyncDir,
            });
            sim.fired(if broken.kind == ErrorKind::StorageFull {
                Fault::ErrorFull
            } else {
                Fault::ErrorBroken
            });
            if broken.stays {
                sim.fired(Fault::ErrorStays);
            }
        }
        is_new
    }
}

fn to_u64(of: usize) -> u64 {
    u64::try_from(of).unwrap()
}
