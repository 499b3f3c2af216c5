//! One seed from its beginning to its end.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use holdfast::domain::hash::Hasher;

use crate::client::Caller;
use crate::crowd::Crowd;
use crate::embedded::{Armed, Embedded};
use crate::faults::{Fault, Sometimes};
use crate::judge::Judge;
use crate::nemesis;
use crate::scheduler::Sim;
use crate::sim::film::Reel;
use crate::sim::seeds;
use crate::support::model::{Bug, Model};
use crate::world::{Door, Plan, Sabotage};

/// How much the ledger's clock is ahead where that is the sabotage.
const AHEAD_MS: i64 = 60_000;

/// What is to be run.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Seed {
    number: u64,
    commands: u64,
    reel: Reel,
    pub(crate) sabotage: Option<Sabotage>,
    /// What the model does wrong.
    pub(crate) bug: Option<Bug>,
}

impl Seed {
    pub(crate) const fn new(number: u64, commands: u64, reel: Reel) -> Self {
        Self {
            number,
            commands,
            reel,
            sabotage: None,
            bug: None,
        }
    }
}

/// What came of it.
pub(crate) type Found = seeds::Found<Fault, Sometimes>;

/// What shows a seed again.
const REPLAY: &str = "HOLDFAST_SIM_FILM=1 cargo test --test simulation film -- --nocapture";

/// Runs a seed; `Err` says which promise was broken, and how to see it again.
pub(crate) fn run(seed: &Seed) -> Result<Found, String> {
    seeds::shown(seed.number, REPLAY, || simulate(seed))
}

fn simulate(seed: &Seed) -> Result<Found, String> {
    let sim = Sim::new(seed.number, seed.reel);
    let mut plan = Plan::draw(&sim, seed.number, seed.commands);
    plan.sabotage = seed.sabotage;
    if plan.is_sabotaged(Sabotage::ClockAhead) {
        sim.set_ahead(AHEAD_MS);
    }
    sim.note("seed", format_args!("{plan:?}"));
    let model = seed.bug.map_or_else(Model::default, Model::with_bug);
    let judge = Judge::new(&sim, Hasher::new(plan.seed), plan.keeping, model);
    let judge = Rc::new(RefCell::new(judge));
    let door = Door::default();
    let world = Embedded::new(&sim, plan, &door, &judge);
    let crowd = Rc::new(Crowd {
        sim: sim.clone(),
        plan,
        door: door.clone(),
        judge: Rc::clone(&judge),
        left: Cell::new(plan.commands),
        busy: Cell::new(plan.callers),
        idle_until: Cell::new(0),
    });
    sim.spawn(Rc::clone(&world).supervise());
    for number in 0..plan.callers {
        sim.spawn(Caller::new(&crowd, number).live());
    }
    sim.spawn(nemesis::rage(
        sim.clone(),
        Rc::clone(&world),
        Rc::clone(&crowd),
    ));
    let is_over = Rc::new(Cell::new(false));
    sim.spawn(finish(sim.clone(), world, crowd, Rc::clone(&is_over)));
    let ended = sim.run(&is_over);
    let found = Found {
        counts: sim.counts(),
        film: sim.film(),
    };
    ended?;
    judge.borrow().end()?;
    Ok(found)
}

/// Waits until nobody has anything left to ask, then closes and opens the ledger once more.
async fn finish(sim: Sim, world: Rc<Embedded>, crowd: Rc<Crowd>, is_over: Rc<Cell<bool>>) {
    while crowd.busy.get() > 0 {
        sim.sleep(50).await;
    }
    world.cut_recovery.set(false);
    let last = crowd.door.opened().await;
    world.armed.set(Armed::Close);
    last.work.raise();
    last.ended.raised().await;
    crowd.door.opened().await;
    is_over.set(true);
}
