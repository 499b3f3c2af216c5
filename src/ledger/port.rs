//! The port: what every backend answers. The engine knows no other door to units.

use std::sync::Arc;

use super::answer::withhold;
use super::embedded::EmbeddedLedger;
use super::event::{Cursor, EventPage};
use super::policy::{PolicyInForce, PolicyPut, PolicyVersion, PutPolicyError, SkuPolicy};
use super::remote::RemoteLedger;
use super::{
    About, Answer, Availability, Consistency, Deficit, EventsError, Gauges, Health, LedgerError,
    Position, Recount, StockView, export,
};
use crate::blocking::wait_for;
use crate::domain::command::{Keyed, Lines};
use crate::domain::decide;
use crate::domain::hash::Hasher;
use crate::domain::{
    ChannelIx, NodeIx, Reservation, ReservationId, Settings, Sku, Stock, Ttl, UnixMillis,
};
use crate::telemetry::Store;

/// A ledger. Cheap to clone.
///
/// What it reads may wait for the store or the disk; nothing that anyone is shown can be lost.
#[derive(Clone)]
pub enum Ledger {
    /// In this process's memory, with a journal.
    Embedded(Arc<EmbeddedLedger>),
    /// In a store that several instances share.
    Remote(Arc<RemoteLedger>),
}

impl Ledger {
    /// The label of this backend in metrics.
    pub const fn store(&self) -> Store {
        match self {
            Self::Embedded(_) => Store::Embedded,
            Self::Remote(_) => Store::Remote,
        }
    }

    /// The one in this process's memory, if it is that.
    pub fn embedded(&self) -> Option<&EmbeddedLedger> {
        match self {
            Self::Embedded(ledger) => Some(ledger),
            Self::Remote(_) => None,
        }
    }

    /// Decides a command. The answer may be given when [`Self::wait`] for its `told_after` is done.
    pub async fn decide(&self, command: &Keyed<'_>) -> Result<Answer, LedgerError> {
        match self {
            Self::Embedded(ledger) => ledger.submit(command),
            Self::Remote(ledger) => ledger.execute(command).await,
        }
    }

    /// Decides commands in order, each on its own. The answers may be given after
    /// [`Self::finish_batch`].
    pub async fn decide_batch(&self, commands: &[Keyed<'_>]) -> Vec<Result<Answer, LedgerError>> {
        match self {
            Self::Embedded(_) => self.submit_batch(commands),
            Self::Remote(ledger) => ledger.execute_batch(commands).await,
        }
    }

    /// [`Self::decide`] on a thread that may block.
    pub fn submit(&self, command: &Keyed<'_>) -> Result<Answer, LedgerError> {
        match self {
            Self::Embedded(ledger) => ledger.submit(command),
            Self::Remote(ledger) => wait_for(ledger.execute(command)),
        }
    }

    /// [`Self::decide_batch`] on a thread that may block.
    pub fn submit_batch(&self, commands: &[Keyed<'_>]) -> Vec<Result<Answer, LedgerError>> {
        match self {
            Self::Embedded(ledger) => commands.iter().map(|c| ledger.submit(c)).collect(),
            Self::Remote(ledger) => wait_for(ledger.execute_batch(commands)),
        }
    }

    /// Waits until everything up to a sequence is durable. What a store answers is so already.
    pub async fn wait(&self, sequence: u64) -> Result<(), LedgerError> {
        match self {
            Self::Embedded(ledger) => ledger.wait(sequence).await,
            Self::Remote(_) => Ok(()),
        }
    }

    /// Returns when all answers may be given; takes back those that may not.
    pub async fn finish_batch(&self, answers: &mut [Result<Answer, LedgerError>]) {
        let told_after = answers.iter().flatten().map(|a| a.told_after.sequence);
        if let Err(error) = self.wait(told_after.max().unwrap_or_default()).await {
            withhold(answers, self.health().durable.sequence, error);
        }
    }

    /// Stock of a SKU; `None`: unknown.
    pub async fn stock(&self, sku: Sku<'_>) -> Result<Option<StockView>, LedgerError> {
        match self {
            Self::Embedded(ledger) => ledger.stock(sku),
            Self::Remote(ledger) => ledger.stock(sku).await,
        }
    }

    /// Stock of a SKU as the rule book has it; `None`: unknown.
    pub async fn whole_stock(&self, sku: Sku<'_>) -> Result<Option<Stock>, LedgerError> {
        match self {
            Self::Embedded(ledger) => ledger.whole_stock(sku),
            Self::Remote(ledger) => ledger.whole_stock(sku).await,
        }
    }

    /// Settings of a SKU; `None`: unknown.
    pub async fn settings(&self, sku: Sku<'_>) -> Result<Option<Settings>, LedgerError> {
        match self {
            Self::Embedded(ledger) => ledger.settings(sku),
            Self::Remote(ledger) => ledger.settings(sku).await,
        }
    }

    /// What may be promised of a SKU now; `None`: unknown.
    pub async fn availability(
        &self,
        sku: Sku<'_>,
        about: About,
        consistency: Consistency,
    ) -> Result<Option<Availability>, LedgerError> {
        match self {
            // It has one copy of everything.
            Self::Embedded(ledger) => ledger.availability(sku, about),
            Self::Remote(ledger) => ledger.availability(sku, about, consistency).await,
        }
    }

    /// What of the policy is in force for a SKU: for each channel with limits in its rule, or for
    /// the one asked for; `None`: unknown.
    pub async fn sku_policy(
        &self,
        sku: Sku<'_>,
        channel: Option<ChannelIx>,
    ) -> Result<Option<SkuPolicy>, LedgerError> {
        match self {
            Self::Embedded(ledger) => settled(ledger, ledger.sku_policy(sku, channel)?).await,
            Self::Remote(ledger) => ledger.sku_policy(sku, channel).await,
        }
    }

    /// SKUs that are promised beyond what is there, in the order of their names, those after a
    /// name, at most `limit`. Goes through everything: not for a thread that must not block.
    pub async fn deficits(&self, after: &str, limit: usize) -> Result<Vec<Deficit>, LedgerError> {
        match self {
            Self::Embedded(ledger) => ledger.deficits(after, limit),
            Self::Remote(ledger) => ledger.deficits(after, limit).await,
        }
    }

    /// The same of one SKU; `None`: unknown, or nothing is missing.
    pub async fn deficit(&self, sku: Sku<'_>) -> Result<Option<Deficit>, LedgerError> {
        match self {
            Self::Embedded(ledger) => ledger.deficit(sku),
            Self::Remote(ledger) => ledger.deficit(sku).await,
        }
    }

    /// A reservation; `None`: unknown or forgotten.
    pub async fn reservation(&self, id: ReservationId) -> Result<Option<Reservation>, LedgerError> {
        match self {
            Self::Embedded(ledger) => settled(ledger, ledger.reservation(id)?).await,
            Self::Remote(ledger) => ledger.reservation(id).await,
        }
    }

    /// The latest reservation of a channel with this reference.
    pub async fn by_reference(
        &self,
        channel: ChannelIx,
        reference: &str,
    ) -> Result<Option<Reservation>, LedgerError> {
        match self {
            Self::Embedded(ledger) => {
                settled(ledger, ledger.by_reference(channel, reference)?).await
            }
            Self::Remote(ledger) => ledger.by_reference(channel, reference).await,
        }
    }

    /// What the command with this identity was answered; `None`: nothing is known of it.
    pub async fn settle(&self, id: u128) -> Result<Option<Answer>, LedgerError> {
        match self {
            Self::Embedded(ledger) => {
                let answer = ledger.settle(id)?;
                if let Some(answer) = &answer {
                    ledger.wait(answer.told_after.sequence).await?;
                }
                Ok(answer)
            }
            Self::Remote(ledger) => ledger.settle(id).await,
        }
    }

    /// Durable events after a place in the feed, at most `limit`. May read files: not for a thread
    /// that must not block.
    pub async fn events(&self, after: Cursor, limit: usize) -> Result<EventPage, EventsError> {
        match self {
            Self::Embedded(ledger) => ledger.events(after, limit),
            Self::Remote(ledger) => ledger.events(after, limit).await,
        }
    }

    /// Recounts everything against the records.
    pub async fn recount(&self) -> Result<Recount, LedgerError> {
        match self {
            Self::Embedded(ledger) => ledger.recount(),
            Self::Remote(ledger) => ledger.recount().await,
        }
    }

    /// Brings to an end what others have left half done.
    pub async fn settle_all(&self) -> Result<(), export::WalkError> {
        match self {
            Self::Embedded(_) => Ok(()),
            Self::Remote(ledger) => ledger.settle_all().await,
        }
    }

    /// Has everything expire that is past its deadline, so that all parts of it say the same.
    pub async fn even_out(&self) -> Result<(), export::WalkError> {
        match self {
            Self::Embedded(_) => Ok(()),
            Self::Remote(ledger) => ledger.even_out().await,
        }
    }

    /// Where it stands: numbers that are the same as long as nothing is decided.
    pub async fn export_stand(&self) -> Result<Vec<u64>, LedgerError> {
        match self {
            Self::Embedded(ledger) => Ok(ledger.export_stand()),
            Self::Remote(ledger) => ledger.export_stand().await,
        }
    }

    /// What an export of it is of.
    pub async fn export_head(&self) -> Result<export::Head, LedgerError> {
        match self {
            Self::Embedded(ledger) => Ok(ledger.export_head()),
            Self::Remote(ledger) => ledger.export_head().await,
        }
    }

    /// Part of what an export of it holds: see [`export::Walk`].
    pub async fn export_page(
        &self,
        place: export::Place,
    ) -> Result<export::Page, export::WalkError> {
        match self {
            Self::Embedded(ledger) => Ok(ledger.export_page(place)?),
            Self::Remote(ledger) => ledger.export_page(place).await,
        }
    }

    /// The last durable change of a shard, as far as it is known here.
    pub fn durable(&self, shard: u16) -> Position {
        match self {
            Self::Embedded(ledger) => ledger.health().durable,
            Self::Remote(ledger) => ledger.durable(shard),
        }
    }

    /// How it is.
    pub fn health(&self) -> Health {
        match self {
            Self::Embedded(ledger) => ledger.health(),
            Self::Remote(ledger) => ledger.health(),
        }
    }

    /// Now, by its clock.
    pub fn now(&self) -> UnixMillis {
        match self {
            Self::Embedded(ledger) => ledger.now(),
            Self::Remote(ledger) => ledger.now(),
        }
    }

    /// Its hashes.
    pub fn hasher(&self) -> Hasher {
        match self {
            Self::Embedded(ledger) => ledger.hasher(),
            Self::Remote(ledger) => ledger.hasher(),
        }
    }

    /// Reads the names that others gave since; whether there may be any.
    pub async fn refresh_names(&self) -> Result<bool, LedgerError> {
        match self {
            Self::Embedded(_) => Ok(false),
            Self::Remote(ledger) => ledger.refresh_names().await.map(|()| true),
        }
    }

    /// The index of a channel's name, if it is known to have one.
    pub fn find_channel(&self, name: &str) -> Option<ChannelIx> {
        match self {
            Self::Embedded(ledger) => ledger.find_channel(name),
            Self::Remote(ledger) => ledger.find_channel(name),
        }
    }

    /// The index of a channel's name, looked for as far as it takes.
    pub async fn look_up_channel(&self, name: &str) -> Result<Option<ChannelIx>, LedgerError> {
        match self {
            Self::Embedded(ledger) => Ok(ledger.find_channel(name)),
            Self::Remote(ledger) => ledger.look_up_channel(name).await,
        }
    }

    /// Whether another channel can get an index.
    pub fn has_room_for_channel(&self) -> bool {
        match self {
            Self::Embedded(ledger) => ledger.has_room_for_channel(),
            Self::Remote(ledger) => ledger.has_room_for_channel(),
        }
    }

    /// The index of a channel's name, recorded if it is new; `None`: no room for more.
    pub async fn make_channel(&self, name: &str) -> Result<Option<ChannelIx>, LedgerError> {
        match self {
            Self::Embedded(ledger) => ledger.make_channel(name),
            Self::Remote(ledger) => ledger.make_channel(name).await,
        }
    }

    /// The name of a channel; empty for an index that was never given.
    pub fn channel_name(&self, channel: ChannelIx) -> Arc<str> {
        match self {
            Self::Embedded(ledger) => ledger.channel_name(channel),
            Self::Remote(ledger) => ledger.channel_name(channel),
        }
    }

    /// The index of a node's name, if it is known to have one.
    pub fn find_node(&self, name: &str) -> Option<NodeIx> {
        match self {
            Self::Embedded(ledger) => ledger.find_node(name),
            Self::Remote(ledger) => ledger.find_node(name),
        }
    }

    /// The index of a node's name, recorded if it is new; `None`: no room for more.
    pub async fn make_node(&self, name: &str) -> Result<Option<NodeIx>, LedgerError> {
        match self {
            Self::Embedded(ledger) => ledger.make_node(name),
            Self::Remote(ledger) => ledger.make_node(name).await,
        }
    }

    /// The name of a node; empty for an index that was never given.
    pub fn node_name(&self, node: NodeIx) -> Arc<str> {
        match self {
            Self::Embedded(ledger) => ledger.node_name(node),
            Self::Remote(ledger) => ledger.node_name(node),
        }
    }

    /// The policy that commands are decided by; it may not be durable yet.
    pub fn policy(&self) -> Option<Arc<PolicyInForce>> {
        match self {
            Self::Embedded(ledger) => ledger.policy(),
            Self::Remote(ledger) => ledger.policy(),
        }
    }

    /// How long a hold of these lines lives whose caller names no time.
    pub fn usual_hold(&self, lines: &Lines<'_>, usual: Ttl) -> Ttl {
        match self {
            // It looks when it decides, under the locks that it takes anyway.
            Self::Embedded(_) => usual,
            Self::Remote(ledger) => {
                let policy = self.policy();
                let policy = policy.as_deref().map(|of| &of.policy);
                let skus = lines.as_slice().iter().map(|line| line.sku.as_str());
                decide::usual_hold(skus, usual, policy, ledger.now())
            }
        }
    }

    /// [`Self::policy`], once it cannot be lost.
    pub async fn read_policy(&self) -> Result<Option<Arc<PolicyInForce>>, LedgerError> {
        match self {
            Self::Embedded(ledger) => settled(ledger, ledger.policy()).await,
            Self::Remote(ledger) => ledger.read_policy().await,
        }
    }

    /// The last versions of the policy, newest first.
    pub async fn policy_versions(&self) -> Result<Vec<PolicyVersion>, LedgerError> {
        match self {
            Self::Embedded(ledger) => {
                let versions = settled(ledger, Some(ledger.policy_versions())).await?;
                Ok(versions.unwrap_or_default())
            }
            Self::Remote(ledger) => ledger.policy_versions().await,
        }
    }

    /// Puts a policy in force. Checking it may take long: not for a thread that must not block.
    pub async fn put_policy(&self, put: &PolicyPut<'_>) -> Result<PolicyVersion, PutPolicyError> {
        match self {
            Self::Embedded(ledger) => {
                let (version, sequence) = ledger.put_policy(put)?;
                ledger.wait(sequence).await?;
                Ok(version)
            }
            Self::Remote(ledger) => ledger.put_policy(put).await,
        }
    }

    /// Lets waits of this thread be answered without a shared lock. Called once, on a thread that
    /// runs a local runtime.
    pub fn install_lane(&self) {
        match self {
            Self::Embedded(ledger) => ledger.install_lane(),
            Self::Remote(ledger) => ledger.install_lane(),
        }
    }

    /// One round of what must happen by itself: held units whose deadline has passed go back, old
    /// records are forgotten, a part of the counters is checked.
    pub async fn tick(&self) -> Result<(), LedgerError> {
        match self {
            Self::Embedded(ledger) => {
                ledger.reap()?;
                ledger.prune()?;
                ledger.audit_next()
            }
            Self::Remote(ledger) => ledger.tick().await,
        }
    }

    /// What is counted: reservation lines with open units, promises beyond what there is.
    pub fn gauges(&self) -> Result<Gauges, LedgerError> {
        match self {
            Self::Embedded(ledger) => ledger.gauges(),
            Self::Remote(ledger) => Ok(ledger.gauges()),
        }
    }

    /// Changes since the last snapshot; 0 where the backend keeps none.
    pub fn since_snapshot(&self) -> u64 {
        self.embedded().map_or(0, EmbeddedLedger::since_snapshot)
    }

    /// Writes a snapshot, where the backend keeps any. Returns the sequence it starts at.
    pub fn snapshot(&self) -> Result<u64, LedgerError> {
        match self {
            Self::Embedded(ledger) => ledger.snapshot(),
            Self::Remote(_) => Ok(0),
        }
    }

    /// Removes the ledger from the store that holds it.
    pub async fn discard(&self) -> Result<(), LedgerError> {
        match self {
            Self::Embedded(_) => Ok(()),
            Self::Remote(ledger) => ledger.discard().await,
        }
    }

    /// Ends the service in good order; later commands are refused as unavailable. Blocks.
    pub fn close(&self) -> Result<(), LedgerError> {
        match self {
            Self::Embedded(ledger) => ledger.close(),
            Self::Remote(ledger) => {
                ledger.close();
                Ok(())
            }
        }
    }
}

/// Waits until what was read is durable.
///
/// What changes a reservation is in the journal before its lock is given back, so that the last
/// record now is not before what was read.
async fn settled<T>(ledger: &EmbeddedLedger, read: Option<T>) -> Result<Option<T>, LedgerError> {
    if read.is_some() {
        ledger.wait(ledger.last()).await?;
    }
    Ok(read)
}

#[cfg(test)]
#[path = "port_tests.rs"]
mod tests;
