//! Use cases: the boundary that HTTP, the command line, benches and tests call.

use std::sync::Arc;

use crate::domain::command::{Command, CommandKey, Keyed};
use crate::domain::{ChannelIx, NodeIx, Reservation, ReservationId, Settings, Sku, UnixMillis};
use crate::ledger::event::EventPage;
use crate::ledger::{Answer, Availability, Health, LedgerError, Recount, StockView};

/// Why a name was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NameError {
    /// Not a valid name.
    Invalid(crate::domain::ids::IdError),
    /// The table of names is full.
    Full,
    /// The ledger could not record a new name.
    Ledger(LedgerError),
}

/// The engine. Cheap to clone.
#[derive(Clone)]
pub struct Engine {
    _private: Arc<()>,
}

impl Engine {
    /// The index of a channel's name; a new name is recorded.
    pub fn channel(&self, name: &str) -> Result<ChannelIx, NameError> {
        let _ = name;
        Err(NameError::Full)
    }
    /// The index of a node's name; a new name is recorded.
    pub fn node(&self, name: &str) -> Result<NodeIx, NameError> {
        let _ = name;
        Err(NameError::Full)
    }
    /// The index of a node's name, if it is known.
    pub fn known_node(&self, name: &str) -> Option<NodeIx> {
        let _ = name;
        None
    }
    /// The index of a channel's name, if it is known.
    pub fn known_channel(&self, name: &str) -> Option<ChannelIx> {
        let _ = name;
        None
    }
    /// The name of a channel.
    pub fn channel_name(&self, channel: ChannelIx) -> Arc<str> {
        let _ = channel;
        Arc::from("")
    }
    /// The name of a node.
    pub fn node_name(&self, node: NodeIx) -> Arc<str> {
        let _ = node;
        Arc::from("")
    }
    /// The identity of a command that came with this idempotency key.
    pub fn key(&self, key: &str, command: &Command<'_>) -> CommandKey {
        let _ = (key, command);
        CommandKey {
            id: 0,
            fingerprint: 0,
        }
    }
    /// Executes one command; returns when the answer is durable.
    pub async fn execute(&self, command: &Keyed<'_>) -> Result<Answer, LedgerError> {
        let _ = command;
        Err(LedgerError::Unavailable)
    }
    /// Executes commands in order, each on its own; returns when all answers are durable.
    pub async fn execute_batch(&self, commands: &[Keyed<'_>]) -> Vec<Result<Answer, LedgerError>> {
        let _ = commands;
        Vec::new()
    }
    /// Stock of a SKU.
    pub fn stock(&self, sku: Sku<'_>) -> Option<StockView> {
        let _ = sku;
        None
    }
    /// Settings of a SKU.
    pub fn settings(&self, sku: Sku<'_>) -> Option<Settings> {
        let _ = sku;
        None
    }
    /// What may be promised now; `None`: unknown SKU.
    pub fn availability(&self, sku: Sku<'_>, node: Option<NodeIx>) -> Option<Availability> {
        let _ = (sku, node);
        None
    }
    /// A reservation.
    pub fn reservation(&self, id: ReservationId) -> Option<Reservation> {
        let _ = id;
        None
    }
    /// What the command with this idempotency key was answered; `None`: nothing happened under it.
    pub fn settle(&self, key: &str) -> Option<Answer> {
        let _ = key;
        None
    }
    /// The latest reservation with this reference.
    pub fn by_reference(&self, channel: ChannelIx, reference: &str) -> Option<Reservation> {
        let _ = (channel, reference);
        None
    }
    /// Durable events after a sequence, at most `limit`. Reads files: call it off the hot threads.
    pub fn events(&self, after: u64, limit: usize) -> Result<EventPage, LedgerError> {
        let _ = (after, limit);
        Err(LedgerError::Unavailable)
    }
    /// How the ledger is.
    pub fn health(&self) -> Health {
        unreachable!()
    }
    /// Recounts everything against the records.
    pub fn recount(&self) -> Recount {
        Recount::default()
    }
    /// Now, by the ledger's clock.
    pub fn now(&self) -> UnixMillis {
        UnixMillis(0)
    }
}
