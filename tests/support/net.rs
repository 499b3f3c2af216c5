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

/// Links that are down.
type Cuts = BTreeSet<Link>;

/// The network; gone when dropped.
#[derive(Debug)]
pub(crate) struct Net {
    number: u8,
    hosts: u8,
    cuts: Arc<watch::Sender<Cuts>>,
    runtime: Runtime,
}

impl Net {
    pub(crate) fn new() -> Self {
        static NUMBER: AtomicU8 = AtomicU8::new(1);
        Self {
            number: NUMBER.fetch_add(1, Ordering::Relaxed),
            hosts: 0,
            cuts: Arc::new(watch::Sender::new(Cuts::new())),
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
        let cuts = Arc::clone(&self.cuts);
        self.runtime.spawn(async move {
            let listener = TcpListener::from_std(listener).unwrap();
            loop {
                let (caller, from): (TcpStream, SocketAddr) = listener.accept().await.unwrap();
                let IpAddr::V4(from) = from.ip() else {
                    continue;
                };
                let wire = Wire {
                    cuts: cuts.subscribe(),
                    link: link(from, host),
                };
                // A connection that breaks is what this is for.
                tokio::spawn(async move { drop(wire.carry(caller, port).await) });
            }
        });
    }

    /// Takes down every link between a host of the first and one of the second side.
    pub(crate) fn cut(&self, side: &[Ipv4Addr], other: &[Ipv4Addr]) {
        self.cuts.send_modify(|cuts| {
            for one in side {
                cuts.extend(other.iter().map(|other| link(*one, *other)));
            }
        });
    }

    /// All links are up again.
    pub(crate) fn heal(&self) {
        self.cuts.send_replace(Cuts::new());
    }
}

/// What connections between two hosts go over.
#[derive(Clone)]
struct Wire {
    cuts: watch::Receiver<Cuts>,
    link: Link,
}

impl Wire {
    async fn is_up(&mut self) {
        let link = self.link;
        // The network is gone with the sender; so is this.
        drop(self.cuts.wait_for(|cuts| !cuts.contains(&link)).await);
    }

    async fn carry(mut self, caller: TcpStream, port: u16) -> std::io::Result<()> {
        self.is_up().await;
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
            self.is_up().await;
            if read == 0 {
                return Ok(());
            }
            to.write_all(&bytes[..read]).await?;
        }
    }
}
