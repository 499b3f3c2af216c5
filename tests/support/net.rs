//! A network of hosts that can be cut: each host is an address of the loopback network, with a
//! listener that passes on to a server on this machine. Who calls is told by the source address, so
//! servers must be bound to theirs; everybody else is the client.
//!
//! Namespaces would be closer to the real thing, but need root; this works everywhere. A cut holds
//! bytes back and delivers them when it is healed, as TCP does after a partition.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener as StdListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::watch;

/// The source address of everybody who is no host.
pub(crate) const CLIENT: Ipv4Addr = Ipv4Addr::LOCALHOST;

/// Both ends, the smaller one first.
type Link = (Ipv4Addr, Ipv4Addr);

fn link(one: Ipv4Addr, other: Ipv4Addr) -> Link {
    (one.min(other), one.max(other))
}

/// What does not work.
#[derive(Debug, Default)]
struct Faults {
    /// Links that are down.
    cuts: BTreeSet<Link>,
    /// Hosts that are dead: what was on its way from or to them is lost.
    dead: BTreeSet<Ipv4Addr>,
}

/// The network; gone when dropped.
#[derive(Debug)]
pub(crate) struct Net {
    number: u8,
    hosts: u8,
    faults: Arc<watch::Sender<Faults>>,
    runtime: Runtime,
}

impl Net {
    pub(crate) fn new() -> Self {
        static NUMBER: AtomicU8 = AtomicU8::new(1);
        Self {
            number: NUMBER.fetch_add(1, Ordering::Relaxed),
            hosts: 0,
            faults: Arc::default(),
            runtime: Builder::new_multi_thread()
                .worker_threads(1)
                .enable_all()
                .build()
                .unwrap(),
        }
    }

    /// An address that nobody has.
    pub(crate) fn address(&mut self) -> Ipv4Addr {
        self.hosts += 1;
        Ipv4Addr::new(127, 77, self.number, self.hosts)
    }

    /// Listens at the port of that address, in front of the server at the same port.
    pub(crate) fn listen(&self, host: Ipv4Addr, port: u16) {
        let listener = StdListener::bind((host, port)).unwrap();
        listener.set_nonblocking(true).unwrap();
        let faults = Arc::clone(&self.faults);
        self.runtime.spawn(async move {
            let listener = TcpListener::from_std(listener).unwrap();
            loop {
                let (caller, from): (TcpStream, SocketAddr) = listener.accept().await.unwrap();
                let IpAddr::V4(from) = from.ip() else {
                    continue;
                };
                let wire = Wire {
                    faults: faults.subscribe(),
                    link: link(from, host),
                };
                // A connection that breaks is what this is for.
                tokio::spawn(async move { drop(wire.carry(caller, port).await) });
            }
        });
    }

    /// Takes down every link between a host of the first and one of the second side.
    pub(crate) fn cut(&self, side: &[Ipv4Addr], other: &[Ipv4Addr]) {
        self.faults.send_modify(|faults| {
            for one in side {
                let links = other.iter().map(|other| link(*one, *other));
                faults.cuts.extend(links);
            }
        });
    }

    /// All links are up again.
    pub(crate) fn heal(&self) {
        self.faults.send_modify(|faults| faults.cuts.clear());
    }

    /// The machine dies. Its server has to be killed as well.
    pub(crate) fn die(&self, host: Ipv4Addr) {
        self.faults.send_modify(|faults| {
            faults.dead.insert(host);
        });
    }

    /// The machine is there again.
    pub(crate) fn revive(&self, host: Ipv4Addr) {
        self.faults.send_modify(|faults| {
            faults.dead.remove(&host);
        });
    }
}

/// What connections between two hosts go over.
#[derive(Clone)]
struct Wire {
    faults: watch::Receiver<Faults>,
    link: Link,
}

impl Wire {
    /// Waits until the link is up; an error where one of its ends has died.
    async fn up(&mut self) -> std::io::Result<()> {
        let (one, other) = self.link;
        let is_dead = |faults: &Faults| faults.dead.contains(&one) || faults.dead.contains(&other);
        let decided = |faults: &Faults| is_dead(faults) || !faults.cuts.contains(&(one, other));
        match self.faults.wait_for(decided).await {
            Ok(faults) if !is_dead(&faults) => Ok(()),
            // The network is gone with the sender; so is this.
            _ => Err(std::io::ErrorKind::ConnectionReset.into()),
        }
    }

    async fn carry(mut self, caller: TcpStream, port: u16) -> std::io::Result<()> {
        self.up().await?;
        let server = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await?;
        caller.set_nodelay(true)?;
        server.set_nodelay(true)?;
        let (from_caller, to_caller) = caller.into_split();
        let (from_server, to_server) = server.into_split();
        let back = self.clone().pass(from_server, to_caller);
        tokio::select! {
            ended = self.pass(from_caller, to_server) => ended,
            ended = back => ended,
        }
    }

    async fn pass(
        mut self,
        mut from: OwnedReadHalf,
        mut to: OwnedWriteHalf,
    ) -> std::io::Result<()> {
        let mut bytes = vec![0; 1 << 16];
        loop {
            let read = from.read(&mut bytes).await?;
            self.up().await?;
            if read == 0 {
                return Ok(());
            }
            to.write_all(&bytes[..read]).await?;
        }
    }
}
