//! Names of nodes and channels: the store gives the indexes, every instance remembers them.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use tokio::sync::Semaphore;

use super::format::Packed;
use super::wire::command::{CHANNEL_LETTER, NODE_LETTER, Read, Table};
use super::wire::reply::NamedIndexes;
use super::{RemoteLedger, senseless};
use crate::domain::{ChannelIx, NodeIx};
use crate::ledger::LedgerError;
use crate::ledger::names::Names;
use crate::limits::{CHANNELS_MAX, NODES_MAX};

/// The partition that gives indexes to names.
const AUTHORITY: u16 = 0;

/// The names that this instance has seen. An index never changes, so none of it becomes wrong.
#[derive(Debug)]
pub(super) struct Naming {
    nodes: RwLock<Names>,
    channels: RwLock<Names>,
    /// Times that the store was asked for news, each by one caller for all who wait.
    asked: AtomicU64,
    turn: Semaphore,
}

fn with<T>(table: &RwLock<Names>, look: impl FnOnce(&Names) -> T) -> T {
    look(&table.read().unwrap_or_else(PoisonError::into_inner))
}

impl Naming {
    pub(super) fn new() -> Self {
        Self {
            nodes: RwLock::new(Names::new(NODES_MAX)),
            channels: RwLock::new(Names::new(CHANNELS_MAX)),
            asked: AtomicU64::new(0),
            turn: Semaphore::new(1),
        }
    }

    /// How many names there are of each kind.
    fn counts(&self) -> [usize; 2] {
        [&self.nodes, &self.channels].map(|table| with(table, Names::len))
    }

    pub(super) fn knows_node(&self, node: NodeIx) -> bool {
        with(&self.nodes, |names| usize::from(node.0) < names.len())
    }

    pub(super) fn knows_channel(&self, channel: ChannelIx) -> bool {
        with(&self.channels, |names| usize::from(channel.0) < names.len())
    }

    /// Adds what is new of all names that the store has.
    fn take(&self, mut all: NamedIndexes) {
        all.sort_by_key(|(_, _, index)| *index);
        for (table, name, index) in all {
            let table = match table {
                Table::Nodes => &self.nodes,
                Table::Channels => &self.channels,
            };
            let mut names = table.write().unwrap_or_else(PoisonError::into_inner);
            if names.len() == usize::from(index) {
                names.add(&name);
            }
        }
    }
}

impl RemoteLedger {
    /// Reads all names from the store.
    pub(super) async fn read_names(&self) -> Result<(), LedgerError> {
        let (reply, at) = self.read(&Read::Names, AUTHORITY).await?;
        self.naming.take(reply.names(at).map_err(senseless)?);
        Ok(())
    }

    /// Reads what names are new, for a caller that has come across one which this instance did not
    /// know. However many ask, the store is asked by one at a time, and for two numbers. Others may
    /// read the names meanwhile, so that nothing is new here says nothing to the caller.
    pub async fn refresh_names(&self) -> Result<(), LedgerError> {
        let came = self.naming.asked.load(Ordering::Acquire);
        let turn = self.naming.turn.acquire().await;
        let _turn = turn.or(Err(LedgerError::Unavailable))?;
        if self.naming.asked.load(Ordering::Acquire) > came {
            // Somebody asked after this caller came.
            return Ok(());
        }
        self.naming.asked.fetch_add(1, Ordering::AcqRel);
        let mut ask = redis::cmd("HMGET");
        ask.arg(self.partitions.keys(AUTHORITY)?.names());
        ask.arg(&[NODE_LETTER, CHANNEL_LETTER]);
        let caller = self.rare.caller(AUTHORITY);
        let counts = self.rare.run(async move { caller.ask(&ask).await }).await?;
        let counts: [usize; 2] = counts.or(Err(LedgerError::Unavailable))?;
        if counts != self.naming.counts() {
            self.read_names().await?;
        }
        Ok(())
    }

    async fn make_name(&self, table: Table, name: &str) -> Result<Option<u16>, LedgerError> {
        self.stand.admit()?;
        let named = Packed::name(table, name).to(AUTHORITY);
        let (reply, at) = self.batcher.submit(named).await?;
        let index = reply.named(at).map_err(senseless)?;
        self.read_names().await?;
        Ok(index)
    }

    /// The index of a channel's name, if this instance knows it.
    pub fn find_channel(&self, name: &str) -> Option<ChannelIx> {
        with(&self.naming.channels, |names| names.find(name)).map(ChannelIx)
    }

    /// The index of a channel's name, asked of the store if this instance does not know it.
    pub async fn look_up_channel(&self, name: &str) -> Result<Option<ChannelIx>, LedgerError> {
        let known = self.find_channel(name);
        if known.is_some() {
            return Ok(known);
        }
        self.read_names().await?;
        Ok(self.find_channel(name))
    }

    /// Whether another channel can get an index.
    pub fn has_room_for_channel(&self) -> bool {
        !with(&self.naming.channels, Names::is_full)
    }

    /// The index of a channel's name, recorded if it is new; `None`: no room for more.
    pub async fn make_channel(&self, name: &str) -> Result<Option<ChannelIx>, LedgerError> {
        let index = self.make_name(Table::Channels, name).await?;
        Ok(index.map(ChannelIx))
    }

    /// The name of a channel; empty for an index that was never given.
    pub fn channel_name(&self, channel: ChannelIx) -> Arc<str> {
        with(&self.naming.channels, |names| names.name(channel.0)).unwrap_or_default()
    }

    /// The index of a node's name, if this instance knows it.
    pub fn find_node(&self, name: &str) -> Option<NodeIx> {
        with(&self.naming.nodes, |names| names.find(name)).map(NodeIx)
    }

    /// The index of a node's name, recorded if it is new; `None`: no room for more.
    pub async fn make_node(&self, name: &str) -> Result<Option<NodeIx>, LedgerError> {
        let index = self.make_name(Table::Nodes, name).await?;
        Ok(index.map(NodeIx))
    }

    /// The name of a node; empty for an index that was never given.
    pub fn node_name(&self, node: NodeIx) -> Arc<str> {
        with(&self.naming.nodes, |names| names.name(node.0)).unwrap_or_default()
    }
}
