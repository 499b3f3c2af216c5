//! One seed, from the first instance to the judgement.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::time::Duration;

use holdfast::engine::Engine;
use holdfast::ledger::event::{Body, Cursor};
use holdfast::ledger::{Answer, Position};
use tokio::runtime::{Builder, LocalOptions};
use tokio::task::JoinSet;

use crate::caller::{AGAIN, call, try_once};
use crate::fake_store::interpreter::Interpreter;
use crate::fake_store::node::Sync;
use crate::fake_store::store::{Settings, Store};
use crate::faults::{Fault, Sometimes};
use crate::instance::{Instance, REPLICAS, open};
use crate::nemesis::{INSTANCES, torment, watch};
use crate::network::{Rings, listen};
use crate::sim::film::Reel;
use crate::sim::seeds;
use crate::support::driven::id_of;
use crate::support::history::{Maker, NODES, entry_names};
use crate::support::model::is_recorded;
use crate::witness::{Call, Fed, judge};
use crate::world::{Sabotage, Sent, World};

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

/// The words about a command that was done as often as it was sent.
pub(crate) const TWICE: &str = "was done twice";

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
    seeds::shown(seed.number, REPLAY, || simulate(seed))
}

fn simulate(seed: &Seed) -> Result<Ended, String> {
    let runtime = Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build_local(LocalOptions::default());
    runtime.unwrap().block_on(async {
        let world = World::new(seed);
        let ended = tokio::time::timeout(LIMIT, live(&world)).await;
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

async fn live(world: &World) -> Result<Ended, String> {
    world.set_store(store(world));
    let rings = listen(world);
    let first = open(world, &rings).await;
    give_names(&first.engine).await;
    for _ in 1..INSTANCES {
        open(world, &rings).await;
    }
    world.set_calm(false);
    let nemesis = tokio::task::spawn_local(torment(world.clone(), rings.clone()));
    let sentinels = tokio::task::spawn_local(watch(world.clone()));
    let mut callers = JoinSet::new();
    for number in 0..CALLERS {
        callers.spawn_local(call(world.clone(), number, maker(world, number), COMMANDS));
    }
    while let Some(ended) = callers.join_next().await {
        ended.map_err(|error| error.to_string())?;
    }
    world.set_calm(true);
    nemesis.await.map_err(|error| error.to_string())?;
    sentinels.await.map_err(|error| error.to_string())?;
    world.pause(5_000, 5_000).await;
    conclude(world, &rings).await
}

/// Callers 0 and 1 send the same under the same keys; 2 and 3 other things under the same keys; the
/// others keep to themselves. All are after the same few SKUs.
fn maker(world: &World, caller: u64) -> Maker {
    let seed = world.below(u64::MAX);
    let (seed, prefix) = match caller {
        0 | 1 => (7, "same".to_owned()),
        2 | 3 => (seed, "mixed".to_owned()),
        own => (seed, format!("own{own}")),
    };
    let mut maker = Maker::new(seed);
    maker.prefix = prefix;
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
    let last = open(world, rings).await;
    let feed = read(world, &last).await?;
    let recount = last
        .engine
        .recount()
        .await
        .map_err(|error| error.to_string())?;
    if !recount.violations.is_empty() {
        return Err(recount.violations.join("\n"));
    }
    if world.all_instances().iter().any(|one| one.lost() > 0) {
        return Err("an instance says that something was lost".to_owned());
    }
    once(world, &last, &feed)?;
    let calls = settled(world, &last, &feed).await?;
    judge(&calls, &feed)?;
    mirrors(world, &feed)?;
    Ok(ended(world, 0))
}

fn ended(world: &World, lost: usize) -> Ended {
    let found = Found {
        counts: world.counts(),
        film: world.film(),
    };
    Ended { found, lost }
}

async fn read(world: &World, instance: &Instance) -> Result<Vec<Fed>, String> {
    let mut feed: Vec<Fed> = Vec::new();
    loop {
        let after = feed
            .last()
            .map_or_else(Cursor::default, |fed| fed.position.into());
        let page = instance.engine.events(after, 1_000).await;
        let page = page.map_err(|error| error.to_string())?;
        if page.records.is_empty() {
            return Ok(feed);
        }
        for event in page.iter() {
            let event = event.map_err(|error| error.to_string())?;
            if matches!(event.body, Body::Expired { .. }) {
                world.saw(Sometimes::Expired);
            }
            feed.push(Fed::of(&event));
        }
    }
}

/// What a caller asked for, however often, was done once.
fn once(world: &World, last: &Instance, feed: &[Fed]) -> Result<(), String> {
    let done: BTreeSet<u128> = feed.iter().filter_map(|fed| fed.command).collect();
    let mut asked = BTreeSet::new();
    for key in world.sent().keys() {
        let is_done = done.contains(&id_of(&last.engine, key));
        if is_done && !asked.insert(key.split(AGAIN).next().map(str::to_owned)) {
            return Err(format!("{key} {TWICE}"));
        }
    }
    Ok(())
}

/// The calls as the witness takes them. Where nobody heard the first answer to a command, because it
/// was lost or its caller heard that of another attempt, the store is asked for it once more.
async fn settled(world: &World, last: &Instance, feed: &[Fed]) -> Result<Vec<Call>, String> {
    let mut calls = world.calls();
    let is_first = |call: &&Call| !call.answer.replayed && is_recorded(&call.answer.verdict);
    let heard: BTreeSet<u128> = calls.iter().filter(is_first).map(|call| call.id).collect();
    let sent = world.sent();
    let keys = sent
        .iter()
        .map(|(key, sent)| (id_of(&last.engine, key), (key, sent)));
    let keys: BTreeMap<u128, (&String, &Sent)> = keys.collect();
    let done = feed.iter().filter_map(|fed| fed.command);
    for id in done.filter(|id| !heard.contains(id)) {
        let (key, sent) = keys
            .get(&id)
            .ok_or("an event of a command that nobody sent")?;
        calls.push(asked_again(world, last, (key, sent), id).await?);
    }
    Ok(calls)
}

async fn asked_again(
    world: &World,
    last: &Instance,
    (key, sent): (&str, &Sent),
    id: u128,
) -> Result<Call, String> {
    for script in &sent.scripts {
        let answer = try_once(last, key, script).await;
        let answer = answer.map_err(|error| error.to_string())?;
        if answer.replayed {
            return Ok(Call {
                sent: sent.ticket,
                answered: world.ticket(),
                key: key.to_owned(),
                id,
                script: script.clone(),
                answer: Answer {
                    replayed: false,
                    ..answer
                },
            });
        }
    }
    Err(format!(
        "{key} was done, and its answer is not known any more"
    ))
}

/// No mirror refused what was granted where it stood.
fn mirrors(world: &World, feed: &[Fed]) -> Result<(), String> {
    let granted = feed
        .iter()
        .filter_map(|fed| Some((fed.command?, fed.position)));
    let granted: BTreeMap<u128, Position> = granted.collect();
    for (id, as_of) in world.all_mirrored() {
        if granted.get(&id).is_some_and(|at| *at <= as_of) {
            return Err(format!(
                "a mirror refused, as of {as_of}, what was decided before"
            ));
        }
    }
    Ok(())
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
