//! One seed, from the first instance to the judgement.

use std::rc::Rc;
use std::time::Duration;

use holdfast::engine::Engine;
use tokio::runtime::{Builder, LocalOptions};
use tokio::task::JoinSet;

use crate::caller::call;
use crate::fake_store::interpreter::Interpreter;
use crate::fake_store::node::Sync;
use crate::fake_store::store::{Settings, Store};
use crate::faults::{Fault, Sometimes};
use crate::instance::{REPLICAS, open};
use crate::nemesis::{INSTANCES, torment, watch};
use crate::network::{Rings, listen};
use crate::sim::film::Reel;
use crate::sim::seeds;
use crate::support::history::{Maker, NODES, entry_names};
use crate::support::model::is_recorded;
use crate::witness::Call;
use crate::world::{Sabotage, World};
use crate::{order, parts};

/// What is simulated.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Seed {
    pub(crate) number: u64,
    pub(crate) sabotage: Option<Sabotage>,
    pub(crate) reel: Reel,
}

impl Seed {
    pub(crate) const fn new(number: u64) -> Self {
        Self {
            number,
            sabotage: None,
            reel: Reel::None,
        }
    }
}

/// What came of it.
pub(crate) struct Ended {
    pub(crate) found: Found,
    /// Acknowledged commands that the store lost.
    pub(crate) lost: usize,
}

pub(crate) type Found = seeds::Found<Fault, Sometimes>;

/// Callers, and commands of each.
const CALLERS: u64 = 6;
const COMMANDS: usize = 60;

/// Longest that a seed may take, in its own time: after that somebody waits for ever.
const LIMIT: Duration = Duration::from_mins(10);

thread_local! {
    /// Compiling the scripts takes longer than a seed.
    static INTERPRETER: Rc<Interpreter> = Rc::new(Interpreter::new());
}

/// What shows a seed again.
const REPLAY: &str = "cargo test --test remote_simulation film -- --nocapture";

/// Simulates a seed; `Err` says what is wrong, and how to see it again.
pub(crate) fn run(seed: &Seed) -> Result<Ended, String> {
    seeds::shown(seed.number, REPLAY, || live(seed, simulate))
}

/// A world from its beginning to its end.
pub(crate) fn live<T>(
    seed: &Seed,
    simulate: impl AsyncFnOnce(&World) -> Result<T, String>,
) -> Result<T, String> {
    let runtime = Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build_local(LocalOptions::default());
    runtime.unwrap().block_on(async {
        let world = World::new(seed);
        let ended = tokio::time::timeout(LIMIT, simulate(&world)).await;
        let ended = ended.unwrap_or_else(|_| Err("somebody waits for ever".to_owned()));
        world.end();
        world.broken().map_or(ended, Err)
    })
}

fn store(world: &World) -> Rc<Store> {
    let clock = world.clone();
    let settings = Settings {
        replicas: usize::from(REPLICAS),
        sync: Sync::Always,
        lag: world.between(0, 40),
        wall: Box::new(move || clock.wall()),
        seed: world.below(u64::MAX),
        counts_nothing: world.is_sabotaged(Sabotage::VacuousWait),
    };
    Store::new(INTERPRETER.with(Rc::clone), settings)
}

async fn simulate(world: &World) -> Result<Ended, String> {
    let rings = begin(world).await;
    let mut callers = JoinSet::new();
    for number in 0..CALLERS {
        callers.spawn_local(call(world.clone(), number, maker(world, number), COMMANDS));
    }
    storm(world, &rings, callers).await?;
    conclude(world, &rings).await
}

/// Stores, and instances that know the names of histories.
pub(crate) async fn begin(world: &World) -> Rings {
    let stores = (0..world.plan().stores).map(|_| store(world));
    world.set_stores(stores.collect());
    let rings = listen(world);
    let first = open(world, &rings).await;
    world.survey();
    give_names(&first.engine).await;
    for _ in 1..INSTANCES {
        open(world, &rings).await;
    }
    world.set_calm(false);
    rings
}

/// Everything goes wrong until the callers have done what they came for.
pub(crate) async fn storm(
    world: &World,
    rings: &Rings,
    mut callers: JoinSet<()>,
) -> Result<(), String> {
    let nemesis = tokio::task::spawn_local(torment(world.clone(), rings.clone()));
    let sentinels = tokio::task::spawn_local(watch(world.clone()));
    while let Some(ended) = callers.join_next().await {
        ended.map_err(|error| error.to_string())?;
    }
    world.set_calm(true);
    nemesis.await.map_err(|error| error.to_string())?;
    sentinels.await.map_err(|error| error.to_string())?;
    world.pause(5_000, 5_000).await;
    Ok(())
}

/// Callers 0 and 1 send the same under the same keys; 2 and 3 other things under the same keys; the
/// others keep to themselves. All are after the same few SKUs.
fn maker(world: &World, caller: u64) -> Maker {
    let seed = world.below(u64::MAX);
    let in_parts = !world.plan().has_one_order();
    let (seed, prefix) = match caller {
        0 | 1 => (7, "same".to_owned()),
        2 | 3 if !in_parts => (seed, "mixed".to_owned()),
        own => (seed, format!("own{own}")),
    };
    let mut maker = Maker::new(seed);
    (maker.prefix, maker.in_parts) = (prefix, in_parts);
    maker
}

async fn give_names(engine: &Engine) {
    for node in 1..NODES {
        engine.node(&format!("n{node}")).await.unwrap();
    }
    for name in entry_names() {
        engine.make_channel(name).await.unwrap();
    }
}

/// A fresh instance reads everything that there is, and it is held against what was told.
async fn conclude(world: &World, rings: &Rings) -> Result<Ended, String> {
    if world.is_sabotaged(Sabotage::NothingAwaited) {
        return concede(world);
    }
    order::kept(world)?;
    let last = open(world, rings).await;
    if world.plan().has_one_order() {
        order::judge(world, &last).await?;
    } else {
        parts::judge(world, &last).await?;
    }
    if world.all_instances().iter().any(|one| one.lost() > 0) {
        return Err("an instance says that something was lost".to_owned());
    }
    Ok(ended(world, 0))
}

fn ended(world: &World, lost: usize) -> Ended {
    let found = Found {
        counts: world.counts(),
        film: world.film(),
    };
    Ended { found, lost }
}

/// Where nothing was waited for: what was acknowledged and is gone must have been named.
fn concede(world: &World) -> Result<Ended, String> {
    let is_kept = |call: &Call| world.is_recorded(call.id);
    let calls = world.calls();
    let is_first = |call: &&Call| !call.answer.replayed && is_recorded(&call.answer.verdict);
    let gone = calls.iter().filter(is_first).filter(|call| !is_kept(call));
    let gone: Vec<&Call> = gone.collect();
    let named: u64 = world.all_instances().iter().map(|one| one.lost()).sum();
    if u64::try_from(gone.len()).unwrap() > named {
        return Err(format!("{named} were named, and these are gone: {gone:?}"));
    }
    Ok(ended(world, gone.len()))
}
