//! A connection to a node, or to a Sentinel: commands come in, replies go out, in order.

use std::future::Future;
use std::rc::Rc;
use std::time::Duration;

use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::sleep_until;

use super::database::{Command, is_word};
use super::node::{Answer, Session};
use super::reply::{Protocol, Reply, take_command};
use super::store::{Store, now};

/// What the network does to one command and its reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// Both arrive, after this long each.
    Arrives(Duration, Duration),
    /// The command is lost, and the connection with it.
    CommandLost,
    /// The command is done; of the reply come so many hundredths, then the connection is lost.
    ReplyLost(usize),
    /// The node refuses it with these words before it does anything.
    Refused(&'static str),
}

/// The network between one connection's ends.
pub(crate) trait Network {
    /// Decides about the next command.
    fn fate(&self, command: &[bytes::Bytes]) -> Fate;
}

/// One that does nothing to anybody.
pub(crate) struct Calm;

impl Network for Calm {
    fn fate(&self, _: &[bytes::Bytes]) -> Fate {
        Fate::Arrives(Duration::ZERO, Duration::ZERO)
    }
}

/// The other end is gone, or the connection is.
struct Over;

impl From<std::io::Error> for Over {
    fn from(_: std::io::Error) -> Self {
        Self
    }
}

/// Serves one connection to a node until either end or the network is tired of it.
pub(crate) async fn serve(
    store: Rc<Store>,
    at: usize,
    stream: impl AsyncRead + AsyncWrite + Unpin,
    network: impl Network,
) {
    let life = store.life(at);
    let mut connection = Connection {
        store,
        at,
        life,
        stream,
        network,
        session: Session::default(),
    };
    let mut received = BytesMut::new();
    while let Ok(command) = connection.next(&mut received).await {
        if connection.answer(&command).await.is_err() {
            return;
        }
    }
}

struct Connection<S, N> {
    store: Rc<Store>,
    at: usize,
    /// The node's life when it was connected to.
    life: u64,
    stream: S,
    network: N,
    session: Session,
}

impl<S: AsyncRead + AsyncWrite + Unpin, N: Network> Connection<S, N> {
    fn is_over(&self) -> bool {
        !self.store.is_up(self.at) || self.store.life(self.at) != self.life
    }

    async fn next(&mut self, received: &mut BytesMut) -> Result<Command, Over> {
        loop {
            if let Some(command) = take_command(received) {
                return Ok(command);
            }
            let changed = self.store.changed.notified();
            if !self.store.is_up(self.at) || self.store.life(self.at) != self.life {
                return Err(Over);
            }
            let read = self.stream.read_buf(received);
            if first(read, changed).await.transpose()? == Some(0) {
                return Err(Over);
            }
        }
    }

    async fn answer(&mut self, command: &Command) -> Result<(), Over> {
        let fate = self.network.fate(command);
        let (there, back) = match fate {
            Fate::Arrives(there, back) => (there, back),
            Fate::CommandLost => return Err(Over),
            Fate::Refused(words) => return self.write(&Reply::error(words), usize::MAX).await,
            Fate::ReplyLost(_) => (Duration::ZERO, Duration::ZERO),
        };
        pause(there).await;
        if self.is_over() {
            return Err(Over);
        }
        let reply = match self.store.execute(self.at, &mut self.session, command) {
            Answer::Now(reply) => reply,
            Answer::Copies {
                replicas,
                disks,
                limit,
            } => self.copies(replicas, disks, limit).await?,
        };
        pause(back).await;
        if let Fate::ReplyLost(hundredths) = fate {
            self.write(&reply, hundredths).await?;
            return Err(Over);
        }
        self.write(&reply, usize::MAX).await
    }

    /// Writes a reply, or so many hundredths of it.
    async fn write(&mut self, reply: &Reply, hundredths: usize) -> Result<(), Over> {
        let mut bytes = Vec::new();
        reply.write(self.session.protocol, &mut bytes);
        if hundredths < 100 {
            bytes.truncate(bytes.len() * hundredths / 100);
        }
        self.stream.write_all(&bytes).await?;
        Ok(self.stream.flush().await?)
    }

    /// Waits for copies of what this connection wrote, and no longer than it was told.
    async fn copies(
        &self,
        replicas: usize,
        disks: Option<usize>,
        limit: u64,
    ) -> Result<Reply, Over> {
        let end = now() + Duration::from_millis(limit);
        loop {
            let changed = self.store.changed.notified();
            if !self.store.is_primary(self.at) {
                let words = "UNBLOCKED force unblock from blocking operation, \
                             instance state changed (master -> replica?)";
                return Ok(Reply::error(words));
            }
            if self.is_over() {
                return Err(Over);
            }
            let length = self.session.wrote;
            let (here, copies) = self.store.copies(self.at, length, disks.is_some());
            let is_enough = copies >= replicas && here >= disks.unwrap_or(0);
            if is_enough || end <= now() {
                let (here, copies) = (Reply::count(here), Reply::count(copies));
                return Ok(match disks {
                    Some(_) => Reply::Array(vec![here, copies]),
                    None => copies,
                });
            }
            let until = self.store.next_arrival().map_or(end, |next| next.min(end));
            let _either = first(sleep_until(until), changed).await;
        }
    }
}

async fn pause(time: Duration) {
    if !time.is_zero() {
        tokio::time::sleep(time).await;
    }
}

/// The first future's result; nothing if the second one is earlier.
async fn first<T>(one: impl Future<Output = T>, other: impl Future<Output = ()>) -> Option<T> {
    tokio::select! {
        biased;
        result = one => Some(result),
        () = other => None,
    }
}

/// Where the nodes of a store are, as the Sentinels name them.
pub(crate) const HOST: &str = "node";

/// Serves one connection to a Sentinel.
pub(crate) async fn serve_sentinel(
    store: Rc<Store>,
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
) {
    let mut protocol = Protocol::Two;
    let mut received = BytesMut::new();
    let mut told = None;
    loop {
        let mut bytes = Vec::new();
        while let Some(command) = take_command(&mut received) {
            if is_word(command.first(), "HELLO") {
                protocol = Protocol::Three;
            }
            if is_word(command.first(), "SUBSCRIBE") {
                told = Some(store.primary());
            }
            sentinel(&store, &command).write(protocol, &mut bytes);
        }
        let changed = store.changed.notified();
        if told.is_some_and(|told| told != store.primary()) {
            told = Some(store.primary());
            let words = ["message", "+switch-master", "another"].map(Reply::bulk);
            Reply::Push(words.into()).write(protocol, &mut bytes);
        }
        if stream.write_all(&bytes).await.is_err() || stream.flush().await.is_err() {
            return;
        }
        let read = first(stream.read_buf(&mut received), changed).await;
        if matches!(read, Some(Ok(0) | Err(_))) {
            return;
        }
    }
}

fn sentinel(store: &Store, command: &Command) -> Reply {
    let text = |text: &str| Reply::bulk(text);
    let pair = |name: &str, value: usize| (text(name), text(&value.to_string()));
    if is_word(command.first(), "HELLO") {
        return Reply::Map(vec![
            (text("server"), text("redis")),
            (text("proto"), Reply::Int(3)),
        ]);
    }
    if is_word(command.first(), "SUBSCRIBE") {
        let channel = Reply::bulk(&command[1]);
        return Reply::Push(vec![text("subscribe"), channel, Reply::Int(1)]);
    }
    if is_word(command.get(1), "GET-MASTER-ADDR-BY-NAME") {
        return Reply::Array(vec![text(HOST), text(&store.primary().to_string())]);
    }
    if is_word(command.get(1), "MASTER") {
        return Reply::Map(vec![
            pair("down-after-milliseconds", 5_000),
            pair("quorum", 2),
            pair("num-other-sentinels", 2),
            pair("num-slaves", store.count() - 1),
        ]);
    }
    Reply::OK
}
