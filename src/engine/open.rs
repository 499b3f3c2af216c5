//! Opening an engine on a folder or on any storage.

use std::path::Path;
use std::sync::Arc;

use super::{Engine, OpenError, Parts};
use crate::blocking::wait_for;
use crate::clock::Clock;
use crate::ledger::embedded::journal::{JournalConfig, Writer};
use crate::ledger::embedded::recover::LedgerConfig;
use crate::ledger::embedded::storage::{DiskStorage, Storage};
use crate::ledger::embedded::{EmbeddedLedger, Retention};
use crate::ledger::export::{Head, Item};
use crate::ledger::port::Ledger;
use crate::ledger::remote::{self, RemoteConfig, RemoteLedger, Threads};
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

    const fn of_ledger(&self) -> LedgerConfig {
        LedgerConfig {
            journal: self.journal,
            retention: self.retention,
        }
    }
}

impl Engine {
    /// Opens the engine on a data folder, which no other process may have open.
    pub fn open(folder: &Path, config: EngineConfig) -> Result<Self, OpenError> {
        let storage = DiskStorage::open(folder).map_err(OpenError::Folder)?;
        Self::open_on(Arc::new(storage), config)
    }

    /// Opens the engine on a store that several instances share. Blocks.
    pub fn open_remote(config: RemoteConfig) -> Result<Self, remote::OpenError> {
        wait_for(Self::open_remote_on(config, Threads::Own))
    }

    /// Opens the engine on such a store, with the ledger's work on these threads.
    pub async fn open_remote_on(
        config: RemoteConfig,
        threads: Threads,
    ) -> Result<Self, remote::OpenError> {
        let (meters, clock) = (config.meters.clone(), config.clock.clone());
        let ledger = RemoteLedger::open(config, threads).await?;
        Ok(Self {
            parts: Arc::new(Parts {
                ledger: Ledger::Remote(Arc::new(ledger)),
                meters,
                clock,
                snapshot_every: u64::MAX,
            }),
        })
    }

    /// Makes a ledger of the items of an export in an empty storage.
    pub fn import_on<E: From<OpenError>>(
        storage: &Arc<dyn Storage>,
        config: EngineConfig,
        head: &Head,
        items: impl Iterator<Item = Result<Item, E>>,
    ) -> Result<(), E> {
        let of_ledger = config.of_ledger();
        EmbeddedLedger::import(
            storage,
            &of_ledger,
            config.clock,
            config.meters,
            head,
            items,
        )
    }

    /// Opens the engine on any storage.
    pub fn open_on(storage: Arc<dyn Storage>, config: EngineConfig) -> Result<Self, OpenError> {
        let (clock, meters) = (config.clock.clone(), config.meters.clone());
        let ledger = EmbeddedLedger::open(storage, &config.of_ledger(), clock, meters)?;
        Ok(Self::over(ledger, config))
    }

    /// Opens the engine on any storage without any thread: the caller drives the journal's writer.
    /// For simulations.
    pub fn open_stepped(
        storage: Arc<dyn Storage>,
        config: EngineConfig,
    ) -> Result<(Self, Writer), OpenError> {
        let (clock, meters) = (config.clock.clone(), config.meters.clone());
        let ledger = EmbeddedLedger::open_stepped(storage, &config.of_ledger(), clock, meters);
        ledger.map(|(ledger, writer)| (Self::over(ledger, config), writer))
    }

    fn over(ledger: EmbeddedLedger, config: EngineConfig) -> Self {
        Self {
            parts: Arc::new(Parts {
                ledger: Ledger::Embedded(Arc::new(ledger)),
                meters: config.meters,
                clock: config.clock,
                snapshot_every: config.snapshot_every,
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::blocking::wait_for;
    use std::io::ErrorKind;

    use super::*;
    use crate::domain::UnixMillis;
    use crate::ledger::embedded::storage::sim::{Fault, SimStorage, Site};
    use crate::ledger::event::{Body, Cursor};

    fn open(storage: &SimStorage) -> Engine {
        let clock = Clock::manual(UnixMillis(1_000));
        let mut config = EngineConfig::new(clock, Meters::new());
        config.journal.segment_bytes = 64 * 1024;
        Engine::open_on(Arc::new(storage.clone()), config).unwrap()
    }

    /// Epoch of each opening in the feed, and of the record before it.
    fn openings(engine: &Engine) -> Vec<(u32, u32)> {
        let page = wait_for(engine.events(Cursor::default(), 1_000)).unwrap();
        let events: Vec<_> = page.iter().map(Result::unwrap).collect();
        let mut openings = Vec::new();
        for event in events {
            if let Body::Opened { before } = event.body {
                openings.push((event.position.epoch, before));
            }
        }
        openings
    }

    #[test]
    fn every_epoch_begins_with_a_record_that_names_the_one_before() {
        let storage = SimStorage::new();
        for _ in 0..2 {
            open(&storage).close().unwrap();
        }
        // One that is gone before its record was written has left none.
        let engine = open(&storage);
        storage.fail(Fault {
            site: Site::Write,
            after: 0,
            kind: ErrorKind::Other,
            stays: true,
        });
        assert!(engine.close().is_err());
        let storage = SimStorage::with_files(storage.files());
        open(&storage).close().unwrap();
        assert_eq!(openings(&open(&storage)), [(1, 0), (2, 1), (4, 2)]);
    }
}
