//! Calls of scripts over a connection that is replaced when in doubt.
//!
//! A link carries one call at a time: the script and, where the level asks for it, the wait for
//! copies go out together on one connection, and nothing of another call is between them. The wait
//! counts from the last write *of that connection*, so a wait on its own would prove nothing.
//! Nothing is ever repeated here but the call of a script that the server had forgotten; whoever
//! calls decides what to do about an unknown result.

mod address;
mod cluster;
mod connection;
mod dial;
mod failure;
mod level;
mod race;
mod ready;
mod sentinel;
mod tls;

use std::borrow::Cow;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use redis::{Pipeline, Value};

pub use address::{Address, AddressError, Endpoint, Entry, Login, Place};
pub use cluster::Cluster;
pub(in crate::ledger::remote) use cluster::{primaries, primary};
pub(in crate::ledger::remote) use connection::Connection;
pub use connection::Patience;
pub use dial::{Dial, Dialling, Stream};
pub use failure::{CallError, Why};
pub(in crate::ledger::remote) use level::version;
pub use level::{Level, Wait};
pub(in crate::ledger::remote) use sentinel::follow;

use crate::clock::{Monotonic, monotonic};
use crate::domain::UnixMillis;
use crate::ledger::remote::history::{Contact, History, Question};
use crate::telemetry::{Meters, Script};
use failure::{Redirect, Refusal};
use ready::Ready;

/// Short waits in a row after which the server is suspected of not being the primary any more.
const SHORT_WAITS_MAX: u32 = 3;

/// How long after a failed attempt to connect calls fail at once.
const CONNECT_PAUSE: Duration = Duration::from_millis(50);

/// How long a call is sent from node to node of a cluster while nothing happens.
const DETOUR_MAX: Duration = Duration::from_secs(3);

/// The first pause before a node is asked again that could not serve the call; each is twice the
/// one before.
const DETOUR_PAUSE: Duration = Duration::from_millis(2);

/// Everything that a link must know. All links of a ledger share it.
#[derive(Debug)]
pub struct Target {
    /// Where the store is.
    pub address: Address,
    /// What the connections are called in the server's list of clients.
    pub name: String,
    /// Source of every script, in the order of [`Script::ALL`].
    pub scripts: Vec<Cow<'static, str>>,
    /// Keys of each partition, as every script takes them.
    pub keys: Vec<Vec<Vec<u8>>>,
    /// What an acknowledgement waits for.
    pub level: Level,
    /// Time limits.
    pub patience: Patience,
    /// Where calls are counted.
    pub meters: Meters,
    /// How often the primary has moved.
    pub moves: Moves,
    /// What was seen of each partition's history.
    pub histories: Vec<History>,
    /// Which node serves which slot, where the address is that of a cluster.
    pub cluster: Cluster,
}

impl Target {
    /// Number of partitions.
    pub const fn partitions(&self) -> usize {
        self.keys.len()
    }

    /// The keys of a partition.
    pub(in crate::ledger::remote) fn keys_of(&self, partition: u16) -> &[Vec<u8>] {
        self.keys
            .get(usize::from(partition))
            .map_or(&[], Vec::as_slice)
    }

    /// The node of a cluster that serves a partition, as the last map says, stale or not.
    pub(in crate::ledger::remote) fn node_of(&self, partition: u16) -> Option<Endpoint> {
        self.cluster.last_of_slot(cluster::slot_of(partition))
    }

    /// What was seen of a partition's history.
    pub(in crate::ledger::remote) fn history(&self, partition: u16) -> Option<&History> {
        self.histories.get(usize::from(partition))
    }

    fn is_lost(&self, partition: u16) -> bool {
        self.history(partition).is_some_and(History::is_lost)
    }

    /// Returns when a partition lacks what was seen that did not lack it before.
    pub(super) async fn until_lost(&self) {
        let whole = self.histories.iter().filter(|history| !history.is_lost());
        let mut waits: Vec<_> = whole
            .map(|history| Box::pin(history.until_lost()))
            .collect();
        std::future::poll_fn(|context| {
            for wait in &mut waits {
                if wait.as_mut().poll(context).is_ready() {
                    return Poll::Ready(());
                }
            }
            Poll::Pending
        })
        .await;
    }

    /// Adds questions about the history of every partition.
    pub(super) fn ask_for_history(&self, commands: &mut Pipeline) -> Vec<Question> {
        let partitions = self.histories.iter().zip(&self.keys);
        partitions
            .map(|(history, keys)| Question::add_to(history, keys, commands))
            .collect()
    }

    /// Takes note of the answers. A server that does not have a partition says nothing of it.
    pub(super) fn meet(
        &self,
        questions: Vec<Question>,
        replies: &mut impl Iterator<Item = Value>,
    ) -> Vec<Contact> {
        let answer = |question: Question| question.answer(replies);
        let contacts: Vec<Contact> = questions.into_iter().map(answer).collect();
        for (history, contact) in self.histories.iter().zip(&contacts) {
            history.meet(contact);
        }
        contacts
    }
}

/// Counts how often the primary has moved, as far as we were told or have found.
#[derive(Debug, Default)]
pub struct Moves {
    count: AtomicU64,
    /// LOCK: a comparison, once for each connection that is made.
    last: Mutex<Option<Endpoint>>,
}

impl Moves {
    fn count(&self) {
        self.count.fetch_add(1, Ordering::AcqRel);
    }

    fn get(&self) -> u64 {
        self.count.load(Ordering::Acquire)
    }

    /// The primary was found there. True if it was elsewhere before, which counts as a move.
    fn found(&self, primary: &Endpoint) -> bool {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let is_other = last.as_ref().is_some_and(|last| last != primary);
        if is_other {
            self.count();
        }
        *last = Some(primary.clone());
        is_other
    }
}

/// One call of a script.
#[derive(Debug, Clone, Copy)]
pub struct Call<'a> {
    /// Which.
    pub script: Script,
    /// Of which partition.
    pub partition: u16,
    /// The packed batch.
    pub argument: &'a [u8],
    /// Echoed in the reply.
    pub batch_id: &'a [u8; 16],
    /// The time that the script shall believe it is; only tests have one.
    pub time: Option<UnixMillis>,
}

/// What the script replied.
#[derive(Debug)]
pub struct Reply {
    /// The reply itself.
    pub bytes: Bytes,
    /// The copies that the level asks for exist. If not, the batch is done, but nobody may be told.
    pub durable: bool,
}

/// Makes calls, one at a time. A fake one stands in for it in tests.
pub trait Caller {
    /// Calls a script.
    fn call(&mut self, call: Call<'_>) -> impl Future<Output = Result<Reply, CallError>>;

    /// What was replied makes no sense: the connection may be out of step.
    fn distrust(&mut self);
}

/// Connections to the primaries of a ledger, each made anew when it is lost or in doubt.
#[derive(Debug)]
pub struct Link {
    target: Arc<Target>,
    /// One for each node that was needed so far.
    doors: Vec<Door>,
}

/// What a link has of one node.
#[derive(Debug, Default)]
struct Door {
    /// Which node of a cluster; `None`: whichever is the primary.
    node: Option<Endpoint>,
    ready: Option<Ready>,
    short_waits: u32,
    /// The last attempt to connect, if it failed.
    failed: Option<(Monotonic, CallError)>,
}

/// Why one attempt has no reply that counts.
enum Turned {
    /// Another node serves it, or this one not yet; nothing happened.
    Away(Redirect, Why),
    /// It failed.
    Back(CallError),
}

impl From<CallError> for Turned {
    fn from(error: CallError) -> Self {
        Self::Back(error)
    }
}

impl Link {
    /// A link that connects when it is first used.
    pub const fn new(target: Arc<Target>) -> Self {
        Self {
            target,
            doors: Vec::new(),
        }
    }

    /// The node to ask; `None`: whichever is the primary.
    async fn node(&self, partition: u16) -> Result<Option<Endpoint>, CallError> {
        if !matches!(self.target.address.place, Place::Cluster(_)) {
            return Ok(None);
        }
        let limit = self.target.patience.connect;
        match tokio::time::timeout(limit, primary(&self.target, partition)).await {
            Ok(Ok(node)) => Ok(Some(node)),
            Ok(Err(error)) => Err(failure::of_connecting(&error)),
            Err(_) => {
                let why = format!("no node of the cluster answers within {limit:?}");
                Err(CallError::NothingHappened(Why(why)))
            }
        }
    }

    fn door(&mut self, node: Option<Endpoint>) -> &mut Door {
        let known = self.doors.iter().position(|door| door.node == node);
        let at = known.unwrap_or_else(|| {
            self.doors.push(Door {
                node,
                ..Door::default()
            });
            self.doors.len() - 1
        });
        &mut self.doors[at]
    }

    /// One attempt, at the node that was named by another, or at the one that should serve it.
    async fn attempt(
        &mut self,
        call: Call<'_>,
        sent_to: Option<Endpoint>,
    ) -> Result<Reply, Turned> {
        let was_sent = sent_to.is_some();
        let node = match sent_to {
            Some(node) => Some(node),
            None => self.node(call.partition).await?,
        };
        let target = Arc::clone(&self.target);
        let done = self.door(node).call(&target, call, was_sent).await;
        if let Err(Turned::Back(_)) = &done {
            target.cluster.doubt();
        }
        done
    }
}

impl Caller for Link {
    async fn call(&mut self, call: Call<'_>) -> Result<Reply, CallError> {
        let started = monotonic();
        let mut pause = DETOUR_PAUSE;
        let mut sent_to = None;
        loop {
            let (redirect, why) = match self.attempt(call, sent_to.take()).await {
                Ok(reply) => return Ok(reply),
                Err(Turned::Back(error)) => return Err(error),
                Err(Turned::Away(redirect, why)) => (redirect, why),
            };
            tracing::debug!(%why, "sent elsewhere");
            match redirect {
                Redirect::Moved(slot, node) => self.target.cluster.moved(slot, node),
                Redirect::Ask(node) => sent_to = Some(node),
                Redirect::Again => self.target.cluster.doubt(),
            }
            // Two nodes that name each other must not be asked without end.
            if started.elapsed() + pause > DETOUR_MAX {
                return Err(CallError::NothingHappened(why));
            }
            if sent_to.is_none() {
                tokio::time::sleep(pause).await;
                pause *= 2;
            }
        }
    }

    fn distrust(&mut self) {
        // Which of them said it is not known here.
        self.doors.iter_mut().for_each(|door| door.ready = None);
    }
}

impl Door {
    async fn connect(&mut self, target: &Target, partition: u16) -> Result<Ready, CallError> {
        if let Some((when, error)) = &self.failed
            && when.elapsed() < CONNECT_PAUSE
        {
            return Err(error.clone());
        }
        let limit = target.patience.connect;
        let moves = target.moves.get();
        let node = self.node.clone();
        let opened = tokio::time::timeout(limit, async {
            if let Some(node) = node {
                return Ready::open(target, node, moves).await;
            }
            let mut ready = Ready::open(target, primary(target, 0).await?, moves).await?;
            // Only now it is known to be one: a Sentinel may still name the one before.
            ready.moves += u64::from(target.moves.found(&ready.endpoint));
            Ok(ready)
        });
        let error = match opened.await {
            Ok(Ok(_)) if target.is_lost(partition) => lost(),
            Ok(Ok(ready)) => {
                self.failed = None;
                self.short_waits = 0;
                return Ok(ready);
            }
            Ok(Err(error)) => CallError::NothingHappened(Why(error.to_string())),
            Err(_) => CallError::NothingHappened(Why(format!("no connection within {limit:?}"))),
        };
        tracing::debug!(%error, "no connection to the store");
        self.failed = Some((monotonic(), error.clone()));
        Err(error)
    }

    async fn call(
        &mut self,
        target: &Target,
        call: Call<'_>,
        was_sent: bool,
    ) -> Result<Reply, Turned> {
        // Taken, and put back only when it is known to be good: a caller that gives up in the
        // middle must not leave half a call behind for the next one.
        let usable = self.ready.take();
        if target.is_lost(call.partition) {
            return Err(lost().into());
        }
        let usable = usable.filter(|ready| ready.is_good(target));
        let mut ready = match usable {
            Some(ready) => ready,
            None => self.connect(target, call.partition).await?,
        };
        for _attempt in 0..2 {
            let replies = ready.send(target, call, was_sent).await;
            let replies = replies.map_err(|error| failure::of_transport(&error))?;
            match judge(target, call, replies, &ready.endpoint) {
                // It may have decided in a history that is not the ledger's any more.
                Ok(_) if ready.is_replaced(target) => {
                    let why = "the primary was replaced before it answered";
                    return Err(CallError::Unknown(Why(why.to_owned())).into());
                }
                Ok(reply) => {
                    self.ready = Some(ready);
                    self.count_waits(reply.durable);
                    return Ok(reply);
                }
                // It was only looked up; nothing has happened, so this is still the first attempt.
                Err(Refusal::NoScript) => {
                    let loaded = ready.load(target).await;
                    loaded.map_err(|error| failure::of_connecting(&error))?;
                }
                Err(Refusal::Redirected(redirect, why)) => {
                    self.ready = Some(ready);
                    return Err(Turned::Away(redirect, why));
                }
                Err(Refusal::Failed(error, fate)) => {
                    if fate == failure::Connection::Keep {
                        self.ready = Some(ready);
                    }
                    return Err(error.into());
                }
            }
        }
        let why = "the server forgets a script as soon as it is loaded";
        Err(CallError::NothingHappened(Why(why.to_owned())).into())
    }

    /// A primary that cannot reach its replicas may have been replaced.
    fn count_waits(&mut self, durable: bool) {
        self.short_waits = if durable { 0 } else { self.short_waits + 1 };
        if self.short_waits >= SHORT_WAITS_MAX {
            self.ready = None;
        }
    }
}

/// Judges both replies of a call.
fn judge(
    target: &Target,
    call: Call<'_>,
    replies: [Value; 2],
    node: &Endpoint,
) -> Result<Reply, Refusal> {
    let [reply, waited] = replies;
    let unknown = |why| Refusal::Failed(CallError::Unknown(why), failure::Connection::Drop);
    if let Value::ServerError(error) = &reply {
        return Err(match target.address.place {
            Place::Cluster(_) => failure::of_node(error, node),
            Place::Server(_) | Place::Sentinel { .. } => failure::of_script(error),
        });
    }
    let Value::BulkString(bytes) = reply else {
        let script = call.script.as_str();
        return Err(unknown(Why(format!("script {script} replied {reply:?}"))));
    };
    Ok(Reply {
        bytes: Bytes::from(bytes),
        // Where this is an error, the script has run, and nobody knows how safe its effects are.
        durable: target.level.reached(&waited).map_err(unknown)?,
    })
}

fn lost() -> CallError {
    CallError::Quarantined(Why(
        "what was acknowledged is missing in the store".to_owned()
    ))
}
