//! A ledger in a store, made of the items of an export.
//!
//! Each partition is made by itself, the first one last at every step, since whoever opens the ledger
//! asks that one what it is. Records stand where their ids say; the lines of a reservation where their
//! SKUs are; and signposts where keys do not name the ids of their records.

use std::collections::HashMap;
use std::future::Future;

use redis::RedisError;

use super::feed::{Caller, MetaError, Rare, no_older, read_meta};
use super::open::{self, FIRST, OpenError, RemoteConfig, partitions_of_new};
use super::partitions::Partitions;
use super::script::{BadMeta, IMPORT, Keys, SCHEMA};
use super::wire::import::{Counts, Made, Part};
use super::wire::policy;
use crate::blocking::wait_for;
use crate::domain::command::CommandKey;
use crate::domain::hash::Hasher;
use crate::domain::{ChannelIx, Sku, UnixMillis};
use crate::ledger::LedgerError;
use crate::ledger::export::{BadItem, Head, Held, Item, Line};
use crate::ledger::policy::{PolicyInForce, PolicyVersion};
use crate::limits::CHANNELS_MAX;

/// Most items, and about the most bytes, that go into the store between two calls.
const PART_ITEMS: usize = 500;
const PART_BYTES: usize = 256 * 1024;

/// An import on its way.
struct Import<'c> {
    rare: Rare,
    config: &'c RemoteConfig,
    partitions: Partitions,
    /// Tells this import from any other.
    token: String,
    /// Whether keys may not name the ids of their records.
    has_signposts: bool,
    /// The channels so far, and the last version of the policy.
    channels: HashMap<String, ChannelIx>,
    policy: Option<PolicyVersion>,
    /// What goes in next, and what went in, of each partition.
    parts: Vec<(Part, Counts)>,
}

/// Makes a ledger where there is none. `again` throws away what an import that was broken off has
/// left. Blocks.
pub fn import<E: From<OpenError>>(
    config: &RemoteConfig,
    head: &Head,
    items: impl Iterator<Item = Result<Item, E>>,
    again: bool,
) -> Result<(), E> {
    let mut import = Import::begin(config, head, again)?;
    for (count, item) in (1..).zip(items) {
        let added = import.add(&item?);
        added.map_err(|bad| OpenError::Unusable(bad.to_string()))?;
        if count % PART_ITEMS == 0 || import.bytes() >= PART_BYTES {
            import.put()?;
        }
    }
    import.put()?;
    import.finish(head)?;
    Ok(())
}

impl<'c> Import<'c> {
    fn begin(config: &'c RemoteConfig, head: &Head, again: bool) -> Result<Self, OpenError> {
        let count = partitions_of_new(config);
        let keys: Vec<Keys> = (0..count)
            .map(|partition| Keys::new(&config.namespace, partition))
            .collect();
        let at = UnixMillis(head.now_ms.max(0));
        let import = Self {
            rare: open::for_import(config, &keys)?,
            config,
            channels: HashMap::new(),
            policy: None,
            parts: keys
                .iter()
                .map(|_| (Part::default(), Counts::at(at)))
                .collect(),
            partitions: Partitions::new(keys, Hasher::new(head.seed.0)),
            token: format!("{:032x}", config.batcher.random.whole()),
            // A label that came with the export may be any here, and one of the hash is lost as soon
            // as there are several partitions.
            has_signposts: head.labelled || count > 1,
        };
        let given = match (import.previous()?, again) {
            (Some(_), false) => return Err(OpenError::Importing(config.address.to_string())),
            (None, false) => String::new(),
            (previous, true) => format!("again{}", previous.unwrap_or_default()),
        };
        // Into nothing the first one first: it says that there is an import. Of one that is thrown away
        // it says which, until it is the only one left.
        let mut order: Vec<u16> = import.first_last().collect();
        if given.is_empty() {
            order.reverse();
        }
        for partition in order {
            import.call(partition, "begin", given.as_bytes())?;
        }
        Ok(import)
    }

    /// All partitions, the first one last.
    fn first_last(&self) -> impl Iterator<Item = u16> + use<> {
        (0..self.partitions.count()).rev()
    }

    /// The token of an import that was not finished; an error where there is a ledger.
    fn previous(&self) -> Result<Option<String>, OpenError> {
        let place = || self.config.address.to_string();
        let (caller, namespace) = (self.rare.caller(FIRST), self.config.namespace.clone());
        match self.run(async move { left_by(&caller, &namespace).await })? {
            Ok(Left::Nothing) => Ok(None),
            Ok(Left::Import(token, of)) if of == self.partitions.count() => Ok(Some(token)),
            Ok(Left::Import(_, of)) => Err(OpenError::Unusable(format!(
                "the import that was not finished is into {of} partitions; choose as many again"
            ))),
            Ok(Left::Ledger) => Err(OpenError::Taken(place())),
            Err(error) => Err(refused(place(), &error)),
        }
    }

    fn add(&mut self, item: &Item) -> Result<(), BadItem> {
        match item {
            Item::Node(name) => self.on(FIRST, |part, counts| part.node(name, counts)),
            Item::Channel(name) => {
                self.channels
                    .insert(name.name.clone(), ChannelIx(name.index));
                self.on(FIRST, |part, counts| part.channel(name, counts))
            }
            Item::Policy(policy) => {
                let (version, last) = (policy.version(), self.policy.as_ref());
                if last.is_some_and(|last| last.version + 1 != version.version) {
                    return Err(BadItem::POLICY);
                }
                self.on(FIRST, |part, _| {
                    part.version(&version);
                    Ok(())
                })?;
                self.policy = Some(version);
                Ok(())
            }
            Item::Sku(sku) => {
                let partition = self.of_sku(&sku.sku)?;
                self.on(partition, |part, counts| part.sku(sku, counts))
            }
            Item::Reservation(held) => {
                self.reservation(held)?;
                self.signpost(held.key(), held.sequence)
            }
            Item::Answer(answer) => {
                let partition = self.partitions.of_id(answer.id());
                let key = self.on(partition, |part, counts| part.answer(answer, counts))?;
                self.signpost(key, answer.sequence)
            }
        }
    }

    /// Does something to what goes into a partition.
    fn on<T>(
        &mut self,
        partition: u16,
        add: impl FnOnce(&mut Part, &mut Counts) -> Result<T, BadItem>,
    ) -> Result<T, BadItem> {
        let into = self.parts.get_mut(usize::from(partition));
        let (part, counts) = into.ok_or(BadItem::LINE)?;
        add(part, counts)
    }

    fn of_sku(&self, sku: &str) -> Result<u16, BadItem> {
        let sku = Sku::new(sku).or(Err(BadItem::LINE))?;
        Ok(self.partitions.of_sku(sku))
    }

    /// Home has all lines and says what becomes of them; each other partition has its own.
    fn reservation(&mut self, held: &Held) -> Result<(), BadItem> {
        let home = self.partitions.of_id(held.id());
        let of = |line: &Line| self.of_sku(&line.sku);
        let places: Vec<u16> = held.lines.iter().map(of).collect::<Result<_, _>>()?;
        let elsewhere = places.iter().map(|place| *place != home).collect();
        self.on(home, |part, counts| part.home(held, elsewhere, counts))?;
        let mut others: Vec<u16> = places.iter().copied().filter(|at| *at != home).collect();
        others.sort_unstable();
        others.dedup();
        for other in others {
            let lines = held.lines.iter().zip(&places);
            let lines: Vec<&Line> = lines
                .filter_map(|(line, place)| (*place == other).then_some(line))
                .collect();
            self.on(other, |part, counts| part.part(held, &lines, counts))?;
        }
        Ok(())
    }

    fn signpost(&mut self, key: CommandKey, sequence: u64) -> Result<(), BadItem> {
        let (partition, id) = self.partitions.signpost(key.id);
        if !self.has_signposts || id == key.id {
            return Ok(());
        }
        self.on(partition, |part, counts| {
            part.signpost(id, key, sequence, counts);
            Ok(())
        })
    }

    fn bytes(&self) -> usize {
        self.parts.iter().map(|(part, _)| part.bytes()).sum()
    }

    /// Writes what was added.
    fn put(&mut self) -> Result<(), OpenError> {
        for partition in self.first_last() {
            let Some((part, _)) = self.parts.get_mut(usize::from(partition)) else {
                continue;
            };
            let part = std::mem::take(part);
            if part.bytes() > 0 {
                self.call(partition, "put", &part.pack())?;
            }
        }
        Ok(())
    }

    /// Puts the last version of the policy in force in all partitions.
    fn enforce(&self) -> Result<(), OpenError> {
        let Some(version) = self.policy.clone() else {
            return Ok(());
        };
        let index_of = |name: &str| self.channels.get(name).copied();
        let policy = PolicyInForce::read(version, index_of)
            .map_err(|error| OpenError::Unusable(error.to_string()))?;
        let mut part = Part::default();
        for field in policy::fields(&policy.policy) {
            part.policy(&field);
            if part.bytes() >= PART_BYTES {
                self.put_everywhere(&std::mem::take(&mut part))?;
            }
        }
        self.put_everywhere(&part)
    }

    fn put_everywhere(&self, part: &Part) -> Result<(), OpenError> {
        self.first_last()
            .try_for_each(|partition| self.call(partition, "put", &part.pack()))
    }

    /// Makes a ledger of what was written.
    fn finish(&self, head: &Head) -> Result<(), OpenError> {
        self.enforce()?;
        let made = Made {
            head,
            has_signposts: self.has_signposts,
            ledger: self.config.batcher.random.whole(),
            schema: SCHEMA,
            partitions: self.partitions.count(),
            policy: self.policy.as_ref().map_or(0, |of| of.version),
        };
        for partition in self.first_last() {
            let Some((_, counts)) = self.parts.get(usize::from(partition)) else {
                continue;
            };
            let given = (partition != FIRST).then_some(CHANNELS_MAX);
            self.call(partition, "put", &counts.last_part(given).pack())?;
            self.call(partition, "finish", &counts.finish(&made))?;
        }
        Ok(())
    }

    fn call(&self, partition: u16, step: &str, given: &[u8]) -> Result<(), OpenError> {
        let keys = self.partitions.keys(partition);
        let keys = keys.map_err(|error| self.unreachable(error))?;
        let mut call = redis::cmd("EVAL");
        call.arg(IMPORT).arg(keys.all().len());
        call.arg(&keys.all()[..]);
        call.arg(step).arg(&self.token).arg(given);
        call.arg(self.partitions.count());
        let caller = self.rare.caller(partition);
        let called = self.run(async move { caller.ask::<u64>(&call).await })?;
        let done = called.map(|_one| ());
        done.map_err(|error| refused(self.config.address.to_string(), &error))
    }

    fn run<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> Result<T, OpenError> {
        wait_for(self.rare.run(work)).map_err(|error| self.unreachable(error))
    }

    fn unreachable(&self, error: LedgerError) -> OpenError {
        OpenError::Unreachable {
            place: self.config.address.to_string(),
            why: error.to_string(),
        }
    }
}

/// What stands where a ledger is to be made.
enum Left {
    Nothing,
    /// A part of the import with this token, into so many partitions.
    Import(String, u16),
    Ledger,
}

async fn left_by(caller: &Caller, namespace: &str) -> Result<Left, RedisError> {
    let keys = Keys::new(namespace, FIRST);
    let meta = keys.meta();
    let mut found = read_meta(caller, meta).await.map(drop);
    if let Err(MetaError::Bad(BadMeta::Missing)) = found {
        found = no_older(caller, namespace, FIRST).await;
        if found.is_ok() {
            return Ok(Left::Nothing);
        }
    }
    match found {
        Err(MetaError::Bad(BadMeta::Importing)) => {
            let mut question = redis::cmd("HMGET");
            question.arg(meta).arg("importing").arg("partitions");
            let (token, of) = caller.ask(&question).await?;
            Ok(Left::Import(token, of))
        }
        Err(MetaError::Store(error)) => Err(error),
        Ok(()) | Err(MetaError::Bad(_)) => Ok(Left::Ledger),
    }
}

fn refused(place: String, error: &RedisError) -> OpenError {
    match error.code() {
        Some("IMPORTING") => OpenError::Importing(place),
        Some("EXISTS") => OpenError::Taken(place),
        _ => OpenError::Unreachable {
            place,
            why: error.to_string(),
        },
    }
}
