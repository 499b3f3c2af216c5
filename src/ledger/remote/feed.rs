//! What is asked rarely or may take long: the stream of events, the recount. On a thread and a
//! connection of its own, so that it holds up no command.

use std::cmp::Ordering;
use std::collections::HashMap;
use std::future::Future;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use redis::aio::MultiplexedConnection;
use redis::{Cmd, FromRedisValue, Pipeline, RedisError, RedisResult, Value};
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::task::AbortHandle;

use super::RemoteLedger;
use super::batcher::Threads;
use super::format::Packed;
use super::history::{Contact, History, Question};
use super::link::{Connection, Endpoint, Target, primary};
use super::script::{BadMeta, Keys, Meta};
use super::wire::event::Entry;
use crate::domain::Line;
use crate::ledger::embedded::record::encode;
use crate::ledger::event::{Cursor, Event, EventPage, ReservedLine};
use crate::ledger::{EventsError, LedgerError, Position};

/// Entries of the stream that are read at once; each may hold the events of a whole batch.
const ENTRIES: usize = 16;

/// Times that a question is asked anew because its slot is served elsewhere, and the pause before.
pub(super) const REDIRECTS_MAX: usize = 40;
const REDIRECT_PAUSE: Duration = Duration::from_millis(50);

/// Bytes before an encoded record: its length.
const LENGTH_BYTES: usize = 4;

/// A thread with a connection for what is rare.
pub(super) struct Rare {
    /// LOCK: taken once, by whoever closes the ledger.
    home: Mutex<Option<Home>>,
    handle: Handle,
    target: Arc<Target>,
    connections: Connections,
}

/// Where the work is done, and what ends it.
enum Home {
    /// A thread of its own.
    Own(Runtime),
    /// The thread of whoever opened the ledger; what goes on there for as long as the ledger is open.
    Callers(Vec<AbortHandle>),
}

impl Rare {
    pub(super) fn start(target: Arc<Target>, name: &str, threads: Threads) -> io::Result<Self> {
        let (handle, home) = match threads {
            Threads::Own => {
                let runtime = Builder::new_multi_thread()
                    .worker_threads(1)
                    .max_blocking_threads(2)
                    .thread_name(name)
                    .enable_all()
                    .build()?;
                (runtime.handle().clone(), Home::Own(runtime))
            }
            Threads::Callers => (Handle::current(), Home::Callers(Vec::new())),
        };
        Ok(Self {
            handle,
            home: Mutex::new(Some(home)),
            target,
            connections: Arc::default(),
        })
    }

    /// Does work on the thread; the caller may wait on any other, with or without a runtime.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> Result<T, LedgerError> {
        let done = self.handle.spawn(work);
        done.await.map_err(|_ended| LedgerError::Unavailable)
    }

    /// Begins work that nobody waits for; it ends with the ledger.
    pub(super) fn begin(&self, work: impl Future<Output = ()> + Send + 'static) {
        let begun = self.handle.spawn(work).abort_handle();
        let mut home = self.home.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(Home::Callers(works)) = &mut *home {
            works.push(begun);
        }
    }

    /// What calls need, apart from the thread.
    pub(super) fn caller(&self, partition: u16) -> Caller {
        Caller {
            target: Arc::clone(&self.target),
            connections: Arc::clone(&self.connections),
            partition,
        }
    }

    pub(super) fn close(&self) {
        let home = self.home.lock();
        match home.unwrap_or_else(PoisonError::into_inner).take() {
            Some(Home::Own(runtime)) => runtime.shutdown_background(),
            Some(Home::Callers(works)) => works.iter().for_each(AbortHandle::abort),
            None => {}
        }
    }
}

impl Drop for Rare {
    fn drop(&mut self) {
        self.close();
    }
}

/// Makes rare calls to the node of a partition.
#[derive(Clone)]
pub(super) struct Caller {
    target: Arc<Target>,
    /// LOCK: copies only.
    connections: Connections,
    partition: u16,
}

/// By node.
type Connections = Arc<Mutex<HashMap<Endpoint, MultiplexedConnection>>>;

impl Caller {
    /// The connection, made where there is none, and the node it leads to.
    pub(super) async fn connection(&self) -> RedisResult<MultiplexedConnection> {
        Ok(self.connected().await?.1)
    }

    async fn connected(&self) -> RedisResult<(Endpoint, MultiplexedConnection)> {
        let Target {
            address, patience, ..
        } = &*self.target;
        let node = primary(&self.target, self.partition).await?;
        let known = self.lock().get(&node).cloned();
        if let Some(known) = known {
            return Ok((node, known));
        }
        let opened = Connection::open(&node, address.entry(), *patience).await?;
        let socket = opened.into_socket();
        self.lock().insert(node.clone(), socket.clone());
        Ok((node, socket))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<Endpoint, MultiplexedConnection>> {
        let connections = self.connections.lock();
        connections.unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks one question, which may be repeated; a connection that failed is not used again.
    pub(super) async fn ask<T: FromRedisValue>(&self, question: &Cmd) -> RedisResult<T> {
        for _ in 0..REDIRECTS_MAX {
            let (node, mut connection) = self.connected().await?;
            match question.query_async(&mut connection).await {
                Err(error) if is_elsewhere(&error) => self.look_anew().await,
                Err(error) => {
                    self.lock().remove(&node);
                    self.target.cluster.doubt();
                    return Err(error);
                }
                answer => return answer,
            }
        }
        Err(elsewhere())
    }

    /// Asks several questions at once; a connection that failed is not used again.
    pub(super) async fn ask_all(&self, questions: &Pipeline) -> RedisResult<Vec<Value>> {
        let mut connection = self.connection().await?;
        let sent = connection.send_packed_commands(questions, 0, questions.len());
        let replies = sent.await;
        if replies.is_err() {
            self.forget();
        }
        replies
    }

    /// Asks several questions in one step; a connection that failed is not used again.
    pub(super) async fn ask_in_one<T: FromRedisValue>(&self, step: &Pipeline) -> RedisResult<T> {
        let mut connection = self.connection().await?;
        let answers = step.query_async(&mut connection).await;
        if answers.is_err() {
            self.forget();
        }
        answers
    }

    /// Asks the store for a partition's history.
    pub(super) async fn meet(&self, history: &History, partition: u16) -> RedisResult<Contact> {
        let mut questions = redis::pipe();
        let keys = self.target.keys_of(partition);
        let question = Question::add_to(history, keys, &mut questions);
        let replies = self.ask_all(&questions).await?;
        Ok(question.answer(&mut replies.into_iter()))
    }

    /// The slot is served elsewhere, or not now: asks for the map again, a moment later.
    pub(super) async fn look_anew(&self) {
        self.target.cluster.doubt();
        tokio::time::sleep(REDIRECT_PAUSE).await;
    }

    pub(super) fn forget(&self) {
        self.lock().clear();
        self.target.cluster.doubt();
    }
}

pub(super) fn elsewhere() -> RedisError {
    let kind = redis::ErrorKind::ClusterConnectionNotFound;
    (kind, "no node of the cluster serves the slot").into()
}

/// Whether the node that was asked does not serve the slot, or not now.
pub(super) fn is_elsewhere(error: &RedisError) -> bool {
    let code = error.code().unwrap_or_default();
    ["EXECABORT", "MOVED", "ASK", "TRYAGAIN", "CLUSTERDOWN"].contains(&code)
}

/// Entries of the stream from this id on.
async fn entries(caller: &Caller, question: &mut Cmd) -> Result<Vec<Entry>, EventsError> {
    type Raw = Vec<(String, Vec<Bytes>)>;
    let raw: Raw = caller
        .ask(question)
        .await
        .map_err(|error| unreadable(&error))?;
    let parse = |(_, fields): (String, Vec<Bytes>)| {
        let [_, argument, _, reply]: [Bytes; 4] = fields.try_into().ok()?;
        Entry::parse(argument, reply).ok()
    };
    let parsed: Option<Vec<Entry>> = raw.into_iter().map(parse).collect();
    parsed.ok_or_else(|| EventsError::Unreadable("an entry is not what the scripts write".into()))
}

fn unreadable(error: &RedisError) -> EventsError {
    EventsError::Unreadable(error.to_string())
}

/// Reads up to `limit` events after a place, none beyond the end.
async fn page(
    caller: Caller,
    keys: Keys,
    after: Cursor,
    end: Position,
    limit: usize,
) -> Result<EventPage, EventsError> {
    let Cursor {
        shard,
        epoch,
        sequence,
    } = after;
    let mut page = EventPage {
        next: Position {
            shard,
            epoch: epoch.unwrap_or_default(),
            sequence,
        },
        ..EventPage::default()
    };
    let last = end.sequence;
    if sequence > last {
        return Err(EventsError::Lost { sequence });
    }
    if sequence == last && epoch.is_none_or(|epoch| epoch == end.epoch) {
        return Ok(page);
    }
    let (there, mut from) = place(&caller, &keys, sequence, last).await?;
    if epoch.is_some() && there.is_some() && epoch != there {
        return Err(EventsError::Lost { sequence });
    }
    while page.records.len() < limit && from <= last {
        let mut question = redis::cmd("XRANGE");
        question.arg(keys.events()).arg(from).arg("+");
        question.arg("COUNT").arg(ENTRIES);
        let found = entries(&caller, &mut question).await?;
        let Some(end) = found.last().map(|entry| entry.header().last) else {
            break;
        };
        for entry in &found {
            add(&mut page, entry, last, limit)?;
        }
        from = end + 1;
    }
    Ok(page)
}

/// The epoch of the event with this sequence, if there is one, and the id of the entry that holds
/// the next. An entry has the sequence of its first event as its id.
async fn place(
    caller: &Caller,
    keys: &Keys,
    sequence: u64,
    last: u64,
) -> Result<(Option<u32>, u64), EventsError> {
    let mut question = redis::cmd("XREVRANGE");
    question.arg(keys.events()).arg(sequence).arg("-");
    question.arg("COUNT").arg(1);
    if let Some(entry) = entries(caller, &mut question).await?.first() {
        let header = entry.header();
        return match header.last.cmp(&sequence) {
            Ordering::Greater => Ok((Some(header.epoch), header.before + 1)),
            Ordering::Equal => Ok((Some(header.epoch), sequence + 1)),
            Ordering::Less => {
                let what = format!("the entry of event {sequence} is missing");
                Err(EventsError::Unreadable(what))
            }
        };
    }
    let mut question = redis::cmd("XRANGE");
    question.arg(keys.events()).arg("-").arg("+");
    let oldest = entries(caller, question.arg("COUNT").arg(1)).await?;
    // A ledger that came from elsewhere begins without a stream.
    let before = oldest.first().map_or(last, |entry| entry.header().before);
    if before != sequence {
        return Err(EventsError::Gone { oldest: before + 1 });
    }
    let mut question = redis::cmd("HGET");
    question.arg(keys.meta()).arg("base_epoch");
    let epoch = caller.ask(&question).await;
    Ok((epoch.map_err(|error| unreadable(&error))?, sequence + 1))
}

fn add(page: &mut EventPage, entry: &Entry, last: u64, limit: usize) -> Result<(), EventsError> {
    let damaged = |_| EventsError::Unreadable("an entry is not what the scripts write".into());
    let wanted = page.next.sequence + 1..=last;
    let events = entry.events().map_err(damaged)?;
    for event in events {
        if !wanted.contains(&event.position.sequence) || page.records.len() >= limit {
            continue;
        }
        let Event { position, at, body } = event;
        let position = Position {
            shard: page.next.shard,
            ..position
        };
        let mut record = Vec::new();
        encode(at, &body, &mut record);
        page.records
            .push((position, record.split_off(LENGTH_BYTES)));
        page.next = position;
    }
    Ok(())
}

impl RemoteLedger {
    /// Events of a partition after a place in its feed, at most `limit`. Of a reservation over
    /// several partitions each tells of its own lines. What is shown is durable at the level:
    /// a call of our own that waits for it goes before.
    pub async fn events(&self, after: Cursor, limit: usize) -> Result<EventPage, EventsError> {
        let away = |error: LedgerError| EventsError::Unreadable(error.to_string());
        let shards = self.partitions.count();
        if after.shard >= shards {
            return Err(EventsError::NoShard { shards });
        }
        let end = self.proven_end(after.shard).await;
        #[cfg(feature = "sabotage")]
        let end = self.unproven_end(end, after.shard).await;
        let end = end.map_err(away)?;
        let keys = self.partitions.keys(after.shard).map_err(away)?.clone();
        let read = page(self.rare.caller(after.shard), keys, after, end, limit);
        let page = self.rare.run(read).await.map_err(away)??;
        self.know_all_of(&page).await.map_err(away)?;
        Ok(page)
    }

    /// The last event of a partition that is durable at the level.
    async fn proven_end(&self, shard: u16) -> Result<Position, LedgerError> {
        let (reply, _) = self.batcher.submit(Packed::expire().to(shard)).await?;
        Ok(Position {
            shard,
            epoch: reply.header().epoch,
            sequence: reply.header().last,
        })
    }

    /// Makes sure that what a page names can be shown.
    async fn know_all_of(&self, page: &EventPage) -> Result<(), LedgerError> {
        let is_unknown = page.iter().flatten().any(|event| self.is_unknown(&event));
        if is_unknown {
            self.read_names().await?;
        }
        Ok(())
    }

    fn is_unknown(&self, event: &Event<'_>) -> bool {
        use crate::ledger::event::Body;
        let new_node = |node| !self.naming.knows_node(node);
        let new_channel = |channel| !self.naming.knows_channel(channel);
        let new_line = |line: &Line| {
            line.pin.is_some_and(new_node) || line.charged_to.is_some_and(new_channel)
        };
        match &event.body {
            Body::Reserved(made) => {
                let is_new = |line: &ReservedLine<'_>| new_line(&line.empty());
                new_channel(made.channel) || made.lines.iter().any(is_new)
            }
            Body::Acted(acted) => {
                new_channel(acted.channel) || acted.lines.iter().any(|line| new_line(&line.after))
            }
            Body::StockChanged(changed) => changed.items.iter().any(|item| new_node(item.node)),
            Body::SettingsPut { before, after, .. } => {
                let (before, after) = (&before.node_safety, &after.node_safety);
                before.places().chain(after.places()).any(new_node)
            }
            Body::SharesMoved(moved) => {
                let mut channels = moved.items.iter().flat_map(|item| [item.from, item.to]);
                channels.any(new_channel)
            }
            Body::InboundChanged(changed) => {
                let nodes = changed.items.iter().map(|item| item.entry.node);
                nodes.into_iter().any(new_node)
            }
            Body::Opened { .. }
            | Body::NodeNamed { .. }
            | Body::ChannelNamed { .. }
            | Body::Expired { .. }
            | Body::TermsNoted(_)
            | Body::LowWater(_)
            | Body::Deficit(_)
            | Body::PolicyPut { .. }
            | Body::Refused { .. } => false,
        }
    }

    /// Removes the ledger from the store.
    pub async fn discard(&self) -> Result<(), LedgerError> {
        for (partition, keys) in self.partitions.numbered() {
            let (caller, keys) = (self.rare.caller(partition), keys.clone());
            let removed = self.rare.run(async move {
                let mut question = redis::cmd("UNLINK");
                question.arg(&keys.all()[..]);
                caller.ask::<u64>(&question).await
            });
            removed.await?.map_err(|error| {
                tracing::error!(%error, "the ledger cannot be removed");
                LedgerError::Unavailable
            })?;
        }
        Ok(())
    }
}

/// Reads where a partition stands.
pub(super) async fn read_meta(caller: &Caller, meta: &str) -> Result<Meta, MetaError> {
    let mut question = redis::cmd("HGETALL");
    let fields = caller.ask(question.arg(meta)).await?;
    Ok(Meta::parse(&fields)?)
}

/// Refuses a ledger of an older layout, whose keys have other names.
pub(super) async fn no_older(
    caller: &Caller,
    namespace: &str,
    partition: u16,
) -> Result<(), MetaError> {
    for (schema, meta) in Keys::older_metas(namespace, partition) {
        let mut question = redis::cmd("EXISTS");
        if caller.ask::<u64>(question.arg(meta)).await? > 0 {
            return Err(MetaError::Bad(BadMeta::Schema(schema.to_string())));
        }
    }
    Ok(())
}

/// Why it is not known where a partition stands.
#[derive(Debug, thiserror::Error)]
pub(super) enum MetaError {
    /// The store does not answer.
    #[error("the store cannot be read: {0}")]
    Store(#[from] RedisError),
    /// There is no ledger that can be used.
    #[error(transparent)]
    Bad(#[from] BadMeta),
}
