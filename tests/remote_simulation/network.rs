//! The network: connections of instances lead to nodes and Sentinels over streams in memory, and the
//! seed decides what becomes of each command and each reply.

use std::io;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use holdfast::ledger::remote::link::{Dial, Dialling, Endpoint, Stream};
use tokio::io::{DuplexStream, duplex};
use tokio::sync::{mpsc, oneshot};

use crate::fake_store::cluster::PORTS;
use crate::fake_store::serve::{Fate, HOST, Network, serve, serve_sentinel};
use crate::faults::Fault;
use crate::sim::counts::Named;
use crate::world::World;

/// Bytes that a stream takes before its other end has read any.
const BUFFER: usize = 1 << 20;

/// Connections that wait to be taken.
const WAITING: usize = 256;

pub(crate) const SENTINEL: &str = "sentinel";

/// An instance that calls, and whom.
pub(crate) struct Ring {
    instance: usize,
    to: Endpoint,
    answer: oneshot::Sender<io::Result<DuplexStream>>,
}

pub(crate) type Rings = mpsc::Sender<Ring>;

/// How an instance calls.
pub(crate) fn dial(rings: Rings, instance: usize) -> Dial {
    Dial::new(move |to| -> Dialling {
        let (answer, answered) = oneshot::channel();
        let ring = Ring {
            instance,
            to: to.clone(),
            answer,
        };
        let rings = rings.clone();
        Box::pin(async move {
            let gone = || io::Error::from(io::ErrorKind::ConnectionRefused);
            rings.send(ring).await.map_err(|_ended| gone())?;
            let stream = answered.await.map_err(|_ended| gone())??;
            let stream: Box<dyn Stream> = Box::new(stream);
            Ok(stream)
        })
    })
}

/// Begins to take calls.
pub(crate) fn listen(world: &World) -> Rings {
    let (rings, mut rung) = mpsc::channel::<Ring>(WAITING);
    let world = world.clone();
    tokio::task::spawn_local(async move {
        while let Some(ring) = rung.recv().await {
            let taken = take(&world, ring.instance, &ring.to);
            // Whoever called may have given up.
            drop(ring.answer.send(taken));
        }
    });
    rings
}

fn take(world: &World, instance: usize, to: &Endpoint) -> io::Result<DuplexStream> {
    let refused = || io::Error::from(io::ErrorKind::ConnectionRefused);
    let Endpoint::Tcp(host, port) = to else {
        return Err(refused());
    };
    if !world
        .all_instances()
        .get(instance)
        .is_none_or(|one| one.is_reached())
    {
        return Err(refused());
    }
    let (near, far) = duplex(BUFFER);
    let (store, node) = (usize::from(*port) / PORTS, usize::from(*port) % PORTS);
    let store = Rc::clone(world.stores().get(store).ok_or_else(refused)?);
    if host == SENTINEL {
        world.begin(serve_sentinel(store, far));
        return Ok(near);
    }
    if host != HOST || !store.is_up(node) {
        return Err(refused());
    }
    let weather = Weather {
        world: world.clone(),
        instance,
    };
    world.begin(serve(store, node, far, weather));
    Ok(near)
}

/// What happens between an instance and a node.
struct Weather {
    world: World,
    instance: usize,
}

const REFUSALS: [&str; 4] = [
    "BUSY Redis is busy running a script.",
    "LOADING Redis is loading the dataset in memory",
    "MISCONF Errors writing to the AOF file",
    "NOREPLICAS Not enough good replicas to write.",
];

impl Network for Weather {
    fn fate(&self, command: &[Bytes]) -> Fate {
        let instances = self.world.all_instances();
        let instance = instances.get(self.instance);
        if !instance.is_none_or(|one| one.is_reached()) {
            return Fate::CommandLost;
        }
        let world = &self.world;
        if world.is_calm() {
            return Fate::Arrives(Duration::ZERO, Duration::ZERO);
        }
        let (fate, fault) = match world.below(400) {
            0 => (Fate::CommandLost, Fault::CommandLost),
            1 => (Fate::ReplyLost(0), Fault::ReplyLost),
            2 => {
                let hundredths = world.between(1, 99);
                let cut = Fate::ReplyLost(usize::try_from(hundredths).unwrap());
                (cut, Fault::ReplyCut)
            }
            3 if command[0].eq_ignore_ascii_case(b"EVALSHA") => {
                let words = REFUSALS[world.index(REFUSALS.len())];
                (Fate::Refused(words), Fault::Refused)
            }
            4..=30 => {
                let late = || Duration::from_millis(world.below(400));
                (Fate::Arrives(late(), late()), Fault::Delayed)
            }
            _ => {
                let soon = || Duration::from_millis(world.below(3));
                return Fate::Arrives(soon(), soon());
            }
        };
        world.fired(fault);
        world.note(
            &format!("net {}", self.instance),
            format_args!("{}", fault.name()),
        );
        fate
    }
}
