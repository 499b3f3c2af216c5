//! What a seed decides before anything happens, and how callers reach what is simulated: a server that
//! is there for one life after the other.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use holdfast::engine::Engine;

use crate::scheduler::{Signal, Sim};
use crate::support::model::Keeping;

/// A fault of the world itself, put in to see that the judge notices.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sabotage {
    /// Syncs of files do nothing.
    SyncLies,
    /// Syncs of the folder do nothing.
    SyncDirLies,
    /// Answers are given before what they say is durable.
    ToldBeforeSync,
    /// The ledger's clock is ahead, so that holds expire early.
    ClockAhead,
    /// A disk loses the last of what it had synced.
    RecordDropped,
}

impl Sabotage {
    pub(crate) const ALL: [Self; 5] = [
        Self::SyncLies,
        Self::SyncDirLies,
        Self::ToldBeforeSync,
        Self::ClockAhead,
        Self::RecordDropped,
    ];
}

/// What a seed decides before anything happens.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Plan {
    pub(crate) seed: u64,
    /// How many commands all callers send together, retries not counted.
    pub(crate) commands: u64,
    pub(crate) callers: u64,
    /// Whether policies are put.
    pub(crate) has_policies: bool,
    /// Of a hundred commands, those about dated supply.
    pub(crate) dated: u64,
    pub(crate) keeping: Keeping,
    pub(crate) queue_bytes_max: usize,
    pub(crate) sabotage: Option<Sabotage>,
}

const MINUTE: i64 = 60_000;

impl Plan {
    pub(crate) fn draw(sim: &Sim, seed: u64, commands: u64) -> Self {
        let forgets_soon = sim.percent(25);
        Self {
            seed,
            commands,
            callers: sim.between(2, 12),
            has_policies: sim.percent(50),
            dated: sim.pick(&[0, 10, 30]),
            keeping: if forgets_soon {
                Keeping {
                    answers: 20 * MINUTE,
                    refusals: 10 * MINUTE,
                }
            } else {
                Keeping {
                    answers: 48 * 60 * MINUTE,
                    refusals: 60 * MINUTE,
                }
            },
            queue_bytes_max: if sim.percent(20) { 1_024 } else { 1 << 26 },
            sabotage: None,
        }
    }

    pub(crate) fn is_sabotaged(&self, by: Sabotage) -> bool {
        self.sabotage == Some(by)
    }
}

/// A server from its opening to its end, however that comes.
pub(crate) struct Life {
    pub(crate) number: u64,
    pub(crate) engine: Engine,
    /// Raised when it is gone: whoever waits for an answer will get none.
    pub(crate) ended: Signal,
    /// Raised when there may be something for its writer to do.
    pub(crate) work: Signal,
    /// Commands decided since the writer's last step.
    pub(crate) decided: Cell<u64>,
    /// Commands decided since its opening.
    pub(crate) decided_ever: Cell<u64>,
}

/// Where callers find the server.
#[derive(Clone, Default)]
pub(crate) struct Door(Rc<Place>);

#[derive(Default)]
struct Place {
    life: RefCell<Option<Rc<Life>>>,
    opened: Signal,
    lives: Cell<u64>,
}

impl Door {
    pub(crate) fn open(&self, engine: Engine) -> Rc<Life> {
        self.0.lives.set(self.0.lives.get() + 1);
        let life = Rc::new(Life {
            number: self.0.lives.get(),
            engine,
            ended: Signal::default(),
            work: Signal::default(),
            decided: Cell::new(0),
            decided_ever: Cell::new(0),
        });
        *self.0.life.borrow_mut() = Some(Rc::clone(&life));
        self.0.opened.raise();
        life
    }

    /// Ends the life that there is, and returns it.
    pub(crate) fn close(&self) -> Option<Rc<Life>> {
        let life = self.0.life.borrow_mut().take();
        self.0.opened.lower();
        life.inspect(|life| life.ended.raise())
    }

    pub(crate) fn life(&self) -> Option<Rc<Life>> {
        self.0.life.borrow().clone()
    }

    /// Waits for a server, however long that takes.
    pub(crate) async fn opened(&self) -> Rc<Life> {
        loop {
            self.0.opened.raised().await;
            if let Some(life) = self.life() {
                return life;
            }
        }
    }
}
