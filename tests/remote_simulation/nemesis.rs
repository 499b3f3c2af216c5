//! What goes wrong with nodes and instances: one thing after the other, each of which ends.

use std::rc::Rc;

use holdfast::ledger::remote::script::Keys;

use crate::fake_store::store::Store;
use crate::faults::Fault;
use crate::instance::{Instance, open};
use crate::network::Rings;
use crate::sim::counts::Named;
use crate::world::{NAMESPACE, Sabotage, World};

/// Instances of the engine, if none is stopped just now.
pub(crate) const INSTANCES: usize = 2;

/// Makes things go wrong until the world is calm.
pub(crate) async fn torment(world: World, rings: Rings) {
    while !world.is_calm() {
        world.pause(20, 800).await;
        match world.below(16) {
            0 | 1 => freeze(&world).await,
            2 => crash_replica(&world).await,
            3 | 4 => restart_primary(&world).await,
            5 | 6 => fail_over(&world, &world.store()).await,
            7 | 8 => replace(&world).await,
            9 => forget_scripts(&world),
            10 => fill_memory(&world).await,
            11 => set_clock(&world),
            12 => cut_off(&world).await,
            13 | 14 => move_slot(&world).await,
            _ => end_instance(&world, &rings).await,
        }
    }
}

/// The Sentinels ask the replicas how far they are, now and then.
pub(crate) async fn watch(world: World) {
    while !world.is_calm() {
        world.pause(200, 2_000).await;
        world.stores().iter().for_each(|store| store.report());
    }
}

fn note(world: &World, fault: Fault, which: usize) {
    world.fired(fault);
    world.note("nemesis", format_args!("{}: {which}", fault.name()));
}

/// A node that is not the primary.
fn replica(world: &World, store: &Store) -> usize {
    let nodes: Vec<usize> = (0..store.count())
        .filter(|at| *at != store.primary())
        .collect();
    nodes[world.index(nodes.len())]
}

async fn freeze(world: &World) {
    let store = world.store();
    let at = replica(world, &store);
    note(world, Fault::ReplicaFrozen, at);
    store.freeze(at);
    world.pause(10, 1_500).await;
    // A primary may have gone meanwhile.
    if world.percent(30) {
        fail_over(world, &store).await;
    }
    store.thaw(at);
}

async fn crash_replica(world: &World) {
    let store = world.store();
    let at = replica(world, &store);
    note(world, Fault::ReplicaCrashed, at);
    store.crash(at, world.percent(50));
    world.pause(10, 1_000).await;
    store.start(at);
}

/// A slot moves to another node, key by key. Nothing else happens to the nodes until all replicas
/// know: a node that dies before loses what came to it, or has again what it gave away.
async fn move_slot(world: &World) {
    let Some(cluster) = world.cluster() else {
        return;
    };
    let partition = u16::try_from(world.below(u64::from(world.plan().partitions))).unwrap();
    note(world, Fault::SlotMoved, usize::from(partition));
    cluster.begin_move(Keys::new(NAMESPACE, partition).meta());
    while cluster.move_key() {
        world.pause(0, 40).await;
    }
    while !world.stores().iter().all(|store| store.is_even()) {
        world.pause(1, 20).await;
    }
}

async fn restart_primary(world: &World) {
    let store = world.store();
    let at = store.primary();
    note(world, Fault::PrimaryRestarted, at);
    store.crash(at, world.percent(50));
    world.pause(10, 1_000).await;
    store.start(at);
}

/// The primary dies; the Sentinels notice after a while; it comes back as a replica.
async fn fail_over(world: &World, store: &Store) {
    let old = store.primary();
    note(world, Fault::FailedOver, old);
    store.crash(old, world.percent(50));
    world.pause(10, 1_000).await;
    let new = store.fail_over();
    world.note("sentinels", format_args!("the primary is {new:?}"));
    world.pause(10, 1_000).await;
    store.start(old);
}

/// The Sentinels think that the primary is dead; it learns of that later.
async fn replace(world: &World) {
    let store = world.store();
    let old = store.primary();
    note(world, Fault::Replaced, old);
    let new = store.fail_over();
    world.note("sentinels", format_args!("the primary is {new:?}"));
    world.pause(0, 1_500).await;
    store.demote(old);
}

fn forget_scripts(world: &World) {
    let store = world.store();
    let at = store.primary();
    note(world, Fault::ScriptsForgotten, at);
    store.forget_scripts(at);
}

async fn fill_memory(world: &World) {
    let store = world.store();
    note(world, Fault::MemoryFull, store.primary());
    store.fill_memory(true);
    world.pause(10, 500).await;
    store.fill_memory(false);
}

fn set_clock(world: &World) {
    let store = world.store();
    let at = world.index(store.count());
    let millis = i64::try_from(world.below(8_000)).unwrap() - 4_000;
    let fault = if millis < 0 {
        Fault::ClockBack
    } else {
        Fault::ClockForward
    };
    note(world, fault, at);
    store.skew(at, millis);
}

fn victim(world: &World) -> Option<Rc<Instance>> {
    let open = world.instances();
    (!open.is_empty()).then(|| Rc::clone(&open[world.index(open.len())]))
}

async fn cut_off(world: &World) {
    if let Some(instance) = victim(world) {
        note(world, Fault::CutOff, instance.number);
        instance.cut_off(true);
        world.pause(10, 2_000).await;
        instance.cut_off(false);
    }
}

/// An instance ends, and another begins. Where losses are to be named, those who know must live on.
async fn end_instance(world: &World, rings: &Rings) {
    let Some(instance) = victim(world).filter(|_| !world.is_sabotaged(Sabotage::NothingAwaited))
    else {
        return;
    };
    if world.percent(50) {
        note(world, Fault::InstanceKilled, instance.number);
        instance.kill();
    } else {
        note(world, Fault::InstanceStopped, instance.number);
        instance.stop();
    }
    world.pause(0, 500).await;
    open(world, rings).await;
}
