//! Calls of scripts over a connection that is replaced when in doubt.
//!
//! A link carries one call at a time: the script and, where the level asks for it, the wait for
//! copies go out together on one connection, and nothing of another call is between them. The wait
//! counts from the last write *of that connection*, so a wait on its own would prove nothing.
//! Nothing is ever repeated here but the call of a script that the server had forgotten; whoever
//! calls decides what to do about an unknown result.

mod address;
mod connection;
mod failure;
mod level;
mod sentinel;
mod tls;

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use redis::{Pipeline, RedisResult, Value};

pub use address::{Address, AddressError, Endpoint, Entry, Login, Place};
pub(in crate::ledger::remote) use connection::Connection;
pub use connection::Patience;
pub use failure::{CallError, Why};
pub(in crate::ledger::remote) use level::version;
pub use level::{Level, Wait};
pub(in crate::ledger::remote) use sentinel::{follow, primary_of};

use crate::clock::{Monotonic, monotonic};
use crate::domain::UnixMillis;
use crate::ledger::remote::history::{Contact, History, Question};
use crate::telemetry::{Meters, Script};
use connection::unexpected;
use failure::Refusal;

/// Short waits in a row after which the server is suspected of not being the primary any more.
const SHORT_WAITS_MAX: u32 = 3;

/// How long after a failed attempt to connect calls fail at once.
const CONNECT_PAUSE: Duration = Duration::from_millis(50);

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

/// Counts how often the primary has moved, as far as we were told.
#[derive(Debug, Default)]
pub struct Moves(AtomicU64);

impl Moves {
    fn count(&self) {
        self.0.fetch_add(1, Ordering::AcqRel);
    }

    fn get(&self) -> u64 {
        self.0.load(Ordering::Acquire)
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

/// A connection to a partition's primary, made anew when it is lost or in doubt.
#[derive(Debug)]
pub struct Link {
    target: Arc<Target>,
    ready: Option<Ready>,
    short_waits: u32,
    /// The last attempt to connect, if it failed.
    failed: Option<(Monotonic, CallError)>,
}

/// A connection with the scripts loaded.
#[derive(Debug)]
struct Ready {
    connection: Connection,
    /// What the server calls our scripts.
    shas: Vec<String>,
    wait: Wait,
    /// Moves of the primary before it was looked for.
    moves: u64,
}

impl Ready {
    /// Whether it leads to the primary as far as anybody knows.
    fn is_good(&self, target: &Target) -> bool {
        !self.connection.is_closed() && self.moves == target.moves.get()
    }
}

impl Link {
    /// A link that connects when it is first used.
    pub const fn new(target: Arc<Target>) -> Self {
        Self {
            target,
            ready: None,
            short_waits: 0,
            failed: None,
        }
    }

    async fn connect(&mut self, partition: u16) -> Result<Ready, CallError> {
        if let Some((when, error)) = &self.failed
            && when.elapsed() < CONNECT_PAUSE
        {
            return Err(error.clone());
        }
        let limit = self.target.patience.connect;
        let opened = tokio::time::timeout(limit, Ready::open(&self.target)).await;
        let error = match opened {
            Ok(Ok(_)) if self.target.is_lost(partition) => lost(),
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

    /// Judges both replies of a call.
    fn judge(&self, call: Call<'_>, replies: [Value; 2]) -> Result<Reply, Refusal> {
        let [reply, waited] = replies;
        let unknown = |why| Refusal::Failed(CallError::Unknown(why), failure::Connection::Drop);
        if let Value::ServerError(error) = &reply {
            return Err(failure::of_script(error));
        }
        let Value::BulkString(bytes) = reply else {
            let script = call.script.as_str();
            return Err(unknown(Why(format!("script {script} replied {reply:?}"))));
        };
        Ok(Reply {
            bytes: Bytes::from(bytes),
            // Where this is an error, the script has run, and nobody knows how safe its effects are.
            durable: self.target.level.reached(&waited).map_err(unknown)?,
        })
    }

    /// A primary that cannot reach its replicas may have been replaced.
    fn count_waits(&mut self, durable: bool) {
        self.short_waits = if durable { 0 } else { self.short_waits + 1 };
        if self.short_waits >= SHORT_WAITS_MAX {
            self.ready = None;
        }
    }
}

impl Caller for Link {
    async fn call(&mut self, call: Call<'_>) -> Result<Reply, CallError> {
        // Taken, and put back only when it is known to be good: a caller that gives up in the
        // middle must not leave half a call behind for the next one.
        let usable = self.ready.take();
        if self.target.is_lost(call.partition) {
            return Err(lost());
        }
        let usable = usable.filter(|ready| ready.is_good(&self.target));
        let mut ready = match usable {
            Some(ready) => ready,
            None => self.connect(call.partition).await?,
        };
        for _attempt in 0..2 {
            let replies = ready.send(&self.target, call).await;
            let replies = replies.map_err(|error| failure::of_transport(&error))?;
            match self.judge(call, replies) {
                Ok(reply) => {
                    self.ready = Some(ready);
                    self.count_waits(reply.durable);
                    return Ok(reply);
                }
                // It was only looked up; nothing has happened, so this is still the first attempt.
                Err(Refusal::NoScript) => {
                    let loaded = ready.load(&self.target).await;
                    loaded.map_err(|error| failure::of_connecting(&error))?;
                }
                Err(Refusal::Failed(error, fate)) => {
                    if fate == failure::Connection::Keep {
                        self.ready = Some(ready);
                    }
                    return Err(error);
                }
            }
        }
        let why = "the server forgets a script as soon as it is loaded";
        Err(CallError::NothingHappened(Why(why.to_owned())))
    }

    fn distrust(&mut self) {
        self.ready = None;
    }
}

impl Ready {
    /// Finds the primary, connects to it and loads the scripts.
    async fn open(target: &Target) -> RedisResult<Self> {
        let moves = target.moves.get();
        let endpoint = primary_of(&target.address, target.patience).await?;
        let Patience { connect, reply } = target.patience;
        let patience = Patience {
            connect,
            reply: reply + target.level.wait,
        };
        let connection = Connection::open(&endpoint, target.address.entry(), patience);
        let mut ready = Self {
            connection: connection.await?,
            shas: Vec::new(),
            wait: Wait::Nothing,
            moves,
        };
        ready.introduce(target).await?;
        ready.load(target).await?;
        tracing::debug!(%endpoint, "connected to the store");
        Ok(ready)
    }

    /// Says who we are, and asks what the server is.
    async fn introduce(&mut self, target: &Target) -> RedisResult<()> {
        let mut commands = redis::pipe();
        commands.cmd("CLIENT").arg("SETNAME").arg(&target.name);
        commands.cmd("ROLE");
        commands.cmd("INFO").arg("server");
        let questions = target.ask_for_history(&mut commands);
        let mut replies = self.connection.send(&commands).await?.into_iter();
        // The name is for the operator's eyes only: a server that forbids it is good enough.
        let _named = next(&mut replies)?;
        let role = next(&mut replies)?.extract_error()?;
        let role = role.as_sequence().and_then(|parts| parts.first());
        if !matches!(role, Some(Value::BulkString(word)) if word == b"master") {
            return Err(unexpected("the server is not a primary"));
        }
        let info: String = redis::from_redis_value(next(&mut replies)?.extract_error()?)?;
        self.wait = target.level.on_server(&info)?;
        target.meet(questions, &mut replies);
        Ok(())
    }

    async fn load(&mut self, target: &Target) -> RedisResult<()> {
        let mut commands = redis::pipe();
        for source in &target.scripts {
            commands.cmd("SCRIPT").arg("LOAD").arg(source.as_bytes());
        }
        let replies = self.connection.send(&commands).await?;
        let shas = replies.into_iter().map(|reply| {
            let reply = reply.extract_error()?;
            Ok(redis::from_redis_value::<String>(reply)?)
        });
        self.shas = shas.collect::<RedisResult<_>>()?;
        Ok(())
    }

    /// Sends the script and the wait as one. The second reply is nil where nothing is waited for.
    async fn send(&mut self, target: &Target, call: Call<'_>) -> RedisResult<[Value; 2]> {
        let sha = self.shas.get(call.script.index());
        let sha = sha.ok_or(unexpected("every script has a source"))?;
        let mut commands = Pipeline::with_capacity(2);
        let keys = target.keys_of(call.partition);
        commands.cmd("EVALSHA").arg(sha).arg(keys.len());
        for key in keys {
            commands.arg(key.as_slice());
        }
        commands.arg(call.argument).arg(call.batch_id.as_slice());
        match call.time {
            None => commands.arg(""),
            Some(time) => commands.arg(time.0),
        };
        self.wait.add_to(&mut commands, target.level.wait);
        let started = monotonic();
        let replies = self.connection.send(&commands).await;
        target.meters.store_call(call.script, started.elapsed());
        let mut replies = replies?.into_iter();
        match (replies.next(), replies.next()) {
            (Some(reply), waited) => Ok([reply, waited.unwrap_or(Value::Nil)]),
            (None, _) => Err(unexpected("a reply is missing")),
        }
    }
}

fn next(replies: &mut impl Iterator<Item = Value>) -> RedisResult<Value> {
    replies.next().ok_or(unexpected("a reply is missing"))
}

fn lost() -> CallError {
    CallError::Quarantined(Why(
        "what was acknowledged is missing in the store".to_owned()
    ))
}
