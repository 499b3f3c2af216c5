//! The remote ledger: Redis or Valkey as the engine, decided by scripts inside the store.
//!
//! Any number of instances serve one ledger. None holds any truth: what a command does is decided
//! and written by one script call in the store, in the same step as its key and its event. An
//! instance packs concurrent commands into batches and reads the answers out of the replies.

pub mod batcher;
mod deficits;
mod export;
mod feed;
mod format;
pub mod history;
mod import;
mod lease;
pub mod link;
mod loss;
mod mirror;
mod moved;
mod naming;
mod open;
mod partitions;
mod policy;
pub mod preflight;
mod random;
pub mod recount;
#[cfg(feature = "sabotage")]
mod sabotage;
pub mod script;
mod several;
mod stand;
mod trim;
mod upkeep;
pub mod wire;

use std::sync::{Arc, Mutex};

pub use batcher::Threads;
pub use import::import;
pub use open::{OpenError, RemoteConfig, accept_loss, inspect};
pub use random::Random;

use self::batcher::Batcher;
use self::feed::Rare;
use self::format::{Packed, WireFormat};
use self::lease::Leases;
use self::mirror::{Mirror, Seen, Way};
use self::naming::Naming;
use self::open::FIRST;
use self::partitions::Partitions;
use self::several::Leftovers;
use self::stand::Stand;
use self::wire::command::Read;
use self::wire::reply::{BatchReply, Item};
use super::policy::SkuPolicy;
use super::{
    About, Answer, Availability, Consistency, Gauges, Health, LedgerError, Position, StockView,
};
use crate::clock::Clock;
use crate::domain::command::{Command, Keyed};
use crate::domain::hash::Hasher;
use crate::domain::policy::Claim;
use crate::domain::{
    ChannelIx, Day, NodeIx, Outcome, Refusal, Reservation, ReservationId, Settings, Sku, Stock,
    UnixMillis,
};
use crate::ledger::embedded::Retention;

/// The remote ledger. See the module's documentation.
pub struct RemoteLedger {
    batcher: Batcher<WireFormat>,
    rare: Rare,
    mirror: Option<Mirrored>,
    partitions: Partitions,
    /// Until then keys are looked for that were used before the ledger moved here.
    moved_until: Option<UnixMillis>,
    naming: Naming,
    policy: policy::Known,
    stand: Arc<Stand>,
    clock: Clock,
    retention: Retention,
    /// Events that stay in the stream.
    retain_events: u64,
    leases: Leases,
    leftovers: Leftovers,
    /// LOCK: held for the few lines that read or move it.
    upkeep: Mutex<upkeep::Rounds>,
    /// For what names a thing once.
    random: Random,
}

/// The mirror, and the thread that keeps it up.
struct Mirrored {
    mirror: Arc<Mirror>,
    thread: Rare,
}

/// The stock of a SKU as the store has it.
struct SeenStock {
    stock: Stock,
    /// When.
    now: UnixMillis,
    /// The version of the policy that its partition decides by.
    policy: u64,
}

impl SeenStock {
    /// What was read there; `None`: unknown.
    fn read((reply, at): Place) -> Result<Option<Self>, LedgerError> {
        let header = reply.header();
        let stock = reply.stock(at).map_err(senseless)?;
        Ok(stock.map(|stock| Self {
            stock,
            now: header.now,
            policy: header.policy,
        }))
    }
}

/// The reply to a batch, and the place of one command in it.
type Place = (Arc<BatchReply>, usize);

impl RemoteLedger {
    /// Executes one command; returns when its answer is as durable as the level says.
    ///
    /// The command is on its way when this is first polled: a caller that goes away afterwards only
    /// misses the answer, or leaves a command over several partitions to whoever comes next. Where
    /// keys from before the ledger moved are looked for, its key is on its way, and if the caller
    /// goes away then, nothing happens.
    pub async fn execute(&self, keyed: &Keyed<'_>) -> Result<Answer, LedgerError> {
        self.stand.admit()?;
        #[cfg(feature = "sabotage")]
        if let Some(answer) = self.accept_by_mirror(keyed) {
            return Ok(answer);
        }
        if let Some(answer) = self.answer_of_before(keyed).await? {
            return Ok(answer);
        }
        if self.partitions.count() > 1 {
            return self.execute_in_some(keyed).await;
        }
        match self.decide(keyed, FIRST).await? {
            Way::Store(place) => self.answer(place, keyed).await,
            Way::Refused(seen) => Ok(refused(seen)),
        }
    }

    /// Has a command that needs no other partition decided in this one, unless the mirror refuses
    /// it.
    async fn decide(&self, keyed: &Keyed<'_>, partition: u16) -> Result<Way<Place>, LedgerError> {
        Ok(match self.pack(keyed, partition) {
            Way::Store(packed) => {
                let decided = self.batcher.submit(packed).await;
                #[cfg(feature = "sabotage")]
                self.release_unknown(keyed, partition, decided.as_ref().err())
                    .await;
                Way::Store(decided?)
            }
            Way::Refused(seen) => Way::Refused(seen),
        })
    }

    /// A command for the store, unless the mirror refuses it.
    fn pack(&self, keyed: &Keyed<'_>, partition: u16) -> Way<Packed> {
        let packed = || Packed::command(keyed).to(partition);
        match (&self.mirror, &keyed.command) {
            (Some(Mirrored { mirror, .. }), Command::Reserve(reserve)) => {
                match mirror.admit(partition, keyed.key, reserve) {
                    Way::Store(ticket) => Way::Store(packed().with(ticket)),
                    Way::Refused(seen) => Way::Refused(seen),
                }
            }
            _ => Way::Store(packed()),
        }
    }

    /// Executes commands in order, each on its own; returns when all have an answer. Where there
    /// are several partitions, order is kept within each.
    pub async fn execute_batch(&self, commands: &[Keyed<'_>]) -> Vec<Result<Answer, LedgerError>> {
        if let Err(error) = self.stand.admit() {
            return vec![Err(error); commands.len()];
        }
        if self.remembers_moved_keys() {
            return self.execute_all_as_moved(commands).await;
        }
        self.execute_all(commands).await
    }

    async fn execute_all(&self, commands: &[Keyed<'_>]) -> Vec<Result<Answer, LedgerError>> {
        if self.partitions.count() > 1 {
            return self.execute_all_in_some(commands).await;
        }
        let submit = |keyed| match self.pack(keyed, FIRST) {
            Way::Store(packed) => Way::Store(self.batcher.submit(packed)),
            Way::Refused(seen) => Way::Refused(seen),
        };
        let ways: Vec<_> = commands.iter().map(submit).collect();
        let mut answers = Vec::with_capacity(commands.len());
        for (way, keyed) in ways.into_iter().zip(commands) {
            answers.push(match way {
                Way::Store(wait) => match wait.await {
                    Ok(place) => self.answer(place, keyed).await,
                    Err(error) => Err(error),
                },
                Way::Refused(seen) => Ok(refused(seen)),
            });
        }
        answers
    }

    async fn answer(&self, place: Place, keyed: &Keyed<'_>) -> Result<Answer, LedgerError> {
        let (reply, at) = place;
        match reply.answer(at, keyed) {
            Ok(Item::Answer(answer)) => {
                self.learn(keyed, &answer).await?;
                Ok(answer)
            }
            // The last place went to another name just now; the batcher asks again for what was
            // put off until it gives up.
            Ok(Item::Full | Item::Deferred) => Err(LedgerError::Overloaded),
            Ok(Item::Several) => Err(senseless(wire::Malformed)),
            Err(error) => Err(senseless(error)),
        }
    }

    /// Makes sure that what the answer names can be shown. Where that fails the command is decided all
    /// the same: nobody may be told that nothing happened.
    async fn learn(&self, keyed: &Keyed<'_>, answer: &Answer) -> Result<(), LedgerError> {
        let learned = self.learn_names(keyed, answer).await;
        learned.map_err(|_failure| LedgerError::Unknown)
    }

    async fn learn_names(&self, keyed: &Keyed<'_>, answer: &Answer) -> Result<(), LedgerError> {
        let is_new = match (&keyed.command, &answer.verdict) {
            (Command::Reserve(reserve), Ok(_)) => reserve.channel.index.is_none(),
            _ => false,
        };
        match &answer.verdict {
            Ok(Outcome::Reservation(reservation)) => self.know(reservation, is_new).await,
            Ok(Outcome::Stock(results)) => {
                self.know_nodes(results.iter().map(|result| result.node))
                    .await
            }
            Ok(Outcome::Inbound(results)) => {
                self.know_nodes(results.iter().map(|result| result.entry.node))
                    .await
            }
            Ok(Outcome::Settings { settings, .. }) => {
                self.know_nodes(settings.node_safety.places()).await
            }
            Ok(Outcome::Shares(_)) | Err(_) => Ok(()),
        }
    }

    async fn know(&self, reservation: &Reservation, is_new: bool) -> Result<(), LedgerError> {
        let lenders = reservation
            .lines
            .iter()
            .filter_map(|line| line.line.charged_to);
        let mut channels = lenders.chain([reservation.channel]);
        if is_new || channels.any(|channel| !self.naming.knows_channel(channel)) {
            self.read_names().await?;
        }
        let pins = reservation.lines.iter().filter_map(|line| line.line.pin);
        self.know_nodes(pins).await
    }

    async fn know_nodes(&self, nodes: impl Iterator<Item = NodeIx>) -> Result<(), LedgerError> {
        let mut nodes = nodes;
        if nodes.any(|node| !self.naming.knows_node(node)) {
            self.read_names().await?;
        }
        Ok(())
    }

    /// Reads in a partition, after what is past its deadline there has expired.
    async fn read(&self, read: &Read<'_>, partition: u16) -> Result<Place, LedgerError> {
        self.batcher.submit(Packed::read(read).to(partition)).await
    }

    /// Reads the stock of a SKU; `None`: unknown.
    async fn see(&self, sku: Sku<'_>) -> Result<Option<SeenStock>, LedgerError> {
        let partition = self.partitions.of_sku(sku);
        let seen = SeenStock::read(self.read(&Read::Stock(sku), partition).await?)?;
        if let Some(seen) = &seen {
            let nodes = seen.stock.nodes().iter().map(|place| place.node);
            let kept = seen.stock.settings().node_safety.places();
            self.know_nodes(nodes.chain(kept)).await?;
        }
        Ok(seen)
    }

    /// Stock of a SKU; `None`: unknown.
    pub async fn stock(&self, sku: Sku<'_>) -> Result<Option<StockView>, LedgerError> {
        let seen = self.see(sku).await?;
        Ok(seen.map(|seen| StockView::of(&seen.stock, Day::of(seen.now))))
    }

    /// Stock of a SKU as the rule book has it; `None`: unknown.
    pub async fn whole_stock(&self, sku: Sku<'_>) -> Result<Option<Stock>, LedgerError> {
        Ok(self.see(sku).await?.map(|seen| seen.stock))
    }

    /// Settings of a SKU; `None`: unknown.
    pub async fn settings(&self, sku: Sku<'_>) -> Result<Option<Settings>, LedgerError> {
        let seen = self.see(sku).await?;
        Ok(seen.map(|seen| seen.stock.settings().clone()))
    }

    /// What may be promised of a SKU now; `None`: unknown.
    pub async fn availability(
        &self,
        sku: Sku<'_>,
        about: About,
        consistency: Consistency,
    ) -> Result<Option<Availability>, LedgerError> {
        if let (Some(Mirrored { mirror, .. }), Consistency::Mirror) = (&self.mirror, consistency)
            && let Some(seen) = mirror.availability(self.partitions.of_sku(sku), sku, about)
        {
            return Ok(Some(seen));
        }
        let Some(seen) = self.see(sku).await? else {
            return Ok(None);
        };
        let policy = match about.channel {
            Some(_) => self.policy_of(seen.policy).await?,
            None => None,
        };
        let policy = policy.as_deref().map(|of| &of.policy);
        let rule = policy.and_then(|policy| policy.in_force(sku.as_str(), seen.now));
        let claim = about.channel.zip(rule);
        let claim = claim.map(|(channel, rule)| Claim { channel, rule });
        let found = Availability::for_claim(&seen.stock, about.node, claim, seen.now);
        Ok(Some(found))
    }

    /// What of the policy is in force for a SKU: for each channel with limits in its rule, or for
    /// the one asked for; `None`: unknown.
    pub async fn sku_policy(
        &self,
        sku: Sku<'_>,
        channel: Option<ChannelIx>,
    ) -> Result<Option<SkuPolicy>, LedgerError> {
        let Some(seen) = self.see(sku).await? else {
            return Ok(None);
        };
        let policy = self.policy_of(seen.policy).await?;
        let found = SkuPolicy::of(sku, &seen.stock, policy.as_deref(), channel, seen.now);
        Ok(Some(found))
    }

    /// A reservation; `None`: unknown or forgotten.
    pub async fn reservation(&self, id: ReservationId) -> Result<Option<Reservation>, LedgerError> {
        let home = self.partitions.of_id(id);
        let (reply, at) = self.read(&Read::Reservation(id), home).await?;
        self.shown(reply.reservation(at, id.0).map_err(senseless)?)
            .await
    }

    /// The latest reservation of a channel with this reference. Every partition is asked: each
    /// knows those that are at home there.
    pub async fn by_reference(
        &self,
        channel: ChannelIx,
        reference: &str,
    ) -> Result<Option<Reservation>, LedgerError> {
        let read = Read::Reference(channel, reference);
        let submit = |at| self.batcher.submit(Packed::read(&read).to(at));
        let waits: Vec<_> = self.partitions.numbers().map(submit).collect();
        let mut latest: Option<Reservation> = None;
        for wait in waits {
            let (reply, at) = wait.await?;
            let found = reply.by_reference(at).map_err(senseless)?;
            let is_later =
                |found: &Reservation, known: &Reservation| found.created_at >= known.created_at;
            match (found, &latest) {
                (Some(found), Some(known)) if !is_later(&found, known) => {}
                (Some(found), _) => latest = Some(found),
                (None, _) => {}
            }
        }
        self.shown(latest).await
    }

    async fn shown(&self, found: Option<Reservation>) -> Result<Option<Reservation>, LedgerError> {
        if let Some(reservation) = &found {
            self.know(reservation, false).await?;
        }
        Ok(found)
    }

    /// What the command with this identity was answered; `None`: nothing is known of it. Every
    /// partition is asked: the key alone does not say where it was decided.
    pub async fn settle(&self, id: u128) -> Result<Option<Answer>, LedgerError> {
        if let Some((_, answer)) = self.moved_answer(id).await? {
            return Ok(Some(answer));
        }
        let submit = |at| {
            let read = Read::Settle(self.partitions.id_at(id, at));
            self.batcher.submit(Packed::read(&read).to(at))
        };
        let asked = self.partitions.numbers();
        let waits: Vec<_> = asked.map(|at| (at, submit(at))).collect();
        let mut found = Vec::new();
        for (partition, wait) in waits {
            let (reply, at) = wait.await?;
            let id = self.partitions.id_at(id, partition);
            found.extend(reply.settled(at, id).map_err(senseless)?);
        }
        let answer = several::joined(found);
        if let Some(Answer {
            verdict: Ok(Outcome::Reservation(reservation)),
            ..
        }) = &answer
        {
            self.know(reservation, false).await?;
        }
        Ok(answer)
    }

    /// How many partitions it has.
    pub fn shards(&self) -> u16 {
        self.partitions.count()
    }

    /// The last change of a partition that any answer spoke of.
    pub fn durable(&self, partition: u16) -> Position {
        self.stand.position(partition)
    }

    /// How it is, as far as this instance has seen.
    pub fn health(&self) -> Health {
        let mirror = self.mirror.as_ref().map(|on| on.mirror.health());
        Health {
            mirror,
            ..self.stand.health()
        }
    }

    /// Now, by the clock of this instance; what is decided goes by the store's.
    pub fn now(&self) -> UnixMillis {
        self.clock.now()
    }

    /// The hashes of this ledger; every instance has the same.
    pub const fn hasher(&self) -> Hasher {
        self.partitions.hasher()
    }

    /// What the partitions count, when it was last looked at.
    pub fn gauges(&self) -> Gauges {
        self.stand.gauges()
    }

    /// Gives this thread's commands a queue and connections of their own. To be called on the
    /// thread's local runtime.
    pub fn install_lane(&self) {
        self.batcher.install_lane();
    }

    /// Sends what is queued and stops. Blocks.
    pub fn close(&self) {
        self.batcher.close();
        if let Some(Mirrored { thread, .. }) = &self.mirror {
            thread.close();
        }
        self.rare.close();
    }
}

/// The answer of the mirror, which is kept nowhere: it stands where it was true.
fn refused(seen: Seen<Refusal>) -> Answer {
    Answer {
        verdict: Err(seen.value),
        replayed: false,
        position: seen.position,
        told_after: seen.position,
        mirror_age: Some(seen.age),
    }
}

/// A reply that was checked when it came and makes no sense now: nobody knows what it said.
fn senseless(error: wire::Malformed) -> LedgerError {
    tracing::error!(%error, "a reply of the store cannot be read");
    LedgerError::Unknown
}
