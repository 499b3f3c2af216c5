//! Opening an engine on a folder or on any storage.

use std::path::Path;
use std::sync::Arc;

use super::{Engine, OpenError, Parts};
use crate::clock::Clock;
use crate::ledger::embedded::journal::JournalConfig;
use crate::ledger::embedded::recover::LedgerConfig;
use crate::ledger::embedded::storage::{DiskStorage, Storage};
use crate::ledger::embedded::{EmbeddedLedger, Retention};
use crate::telemetry::Meters;

/// What an engine needs to open.
#[derive(Debug, Clone)]
pub struct EngineConfig {
    /// The journal's knobs.
    pub journal: JournalConfig,
    /// What is remembered, and for how long.
    pub retention: Retention,
    /// Changes after which a snapshot is due.
    pub snapshot_every: u64,
    /// Where time comes from.
    pub clock: Clock,
    /// Where figures go.
    pub meters: Meters,
}

impl EngineConfig {
    /// The defaults, with these parts.
    pub fn new(clock: Clock, meters: Meters) -> Self {
        Self {
            journal: JournalConfig::default(),
            retention: Retention::default(),
            snapshot_every: 2_000_000,
            clock,
            meters,
        }
    }
}

impl Engine {
    /// Opens the engine on a data folder, which no other process may have open.
    pub fn open(folder: &Path, config: EngineConfig) -> Result<Self, OpenError> {
        let storage = DiskStorage::open(folder).map_err(OpenError::Folder)?;
        Self::open_on(Arc::new(storage), config)
    }

    /// Opens the engine on any storage.
    pub fn open_on(storage: Arc<dyn Storage>, config: EngineConfig) -> Result<Self, OpenError> {
        let EngineConfig {
            journal,
            retention,
            snapshot_every,
            clock,
            meters,
        } = config;
        let ledger = EmbeddedLedger::open(
            storage,
            &LedgerConfig { journal, retention },
            clock.clone(),
            meters.clone(),
        )?;
        Ok(Self {
            parts: Arc::new(Parts {
                ledger,
                meters,
                clock,
                snapshot_every,
            }),
        })
    }
}
