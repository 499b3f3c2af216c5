//! Names of channels and nodes at the engine's boundary.

use std::sync::Arc;

use super::Engine;
use crate::domain::ids::{IdError, check_name};
use crate::domain::{ChannelIx, NodeIx};
use crate::ledger::LedgerError;

/// Why a name was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NameError {
    /// Not a valid name.
    Invalid(IdError),
    /// The table of names is full.
    Full,
    /// The ledger could not record a new name.
    Ledger(LedgerError),
}

impl Engine {
    /// The index of a channel's name; a new name is recorded.
    pub fn channel(&self, name: &str) -> Result<ChannelIx, NameError> {
        if let Some(known) = self.known_channel(name) {
            return Ok(known);
        }
        check_name(name).map_err(NameError::Invalid)?;
        let made = self
            .parts
            .ledger
            .make_channel(name)
            .map_err(NameError::Ledger)?;
        made.ok_or(NameError::Full)
    }

    /// The index of a node's name; a new name is recorded.
    pub fn node(&self, name: &str) -> Result<NodeIx, NameError> {
        if let Some(known) = self.known_node(name) {
            return Ok(known);
        }
        check_name(name).map_err(NameError::Invalid)?;
        let made = self
            .parts
            .ledger
            .make_node(name)
            .map_err(NameError::Ledger)?;
        made.ok_or(NameError::Full)
    }

    /// The index of a channel's name, if it is known.
    pub fn known_channel(&self, name: &str) -> Option<ChannelIx> {
        self.parts.ledger.find_channel(name)
    }

    /// The index of a node's name, if it is known.
    pub fn known_node(&self, name: &str) -> Option<NodeIx> {
        self.parts.ledger.find_node(name)
    }

    /// The name of a channel; empty for an index that was never given.
    pub fn channel_name(&self, channel: ChannelIx) -> Arc<str> {
        self.parts.ledger.channel_name(channel)
    }

    /// The name of a node; empty for an index that was never given.
    pub fn node_name(&self, node: NodeIx) -> Arc<str> {
        self.parts.ledger.node_name(node)
    }
}
