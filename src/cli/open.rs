//! Opening an engine on a data folder, and what to say when that does not work.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::overlay::Overlay;
use super::{Exit, Failure, advice};
use crate::clock::{Clock, monotonic};
use crate::config::{Config, RemoteSettings, StoreSettings};
use crate::engine::{Engine, EngineConfig, OpenError};
use crate::ledger::embedded::Retention;
use crate::ledger::embedded::storage::{DiskStorage, OpenStorageError, Storage};
use crate::ledger::export::{Head, Item};
use crate::ledger::remote::batcher::BatcherConfig;
use crate::ledger::remote::link::{Address, Level, Patience};
use crate::ledger::remote::{self, RemoteConfig, preflight};
use crate::telemetry::Meters;

/// An open engine and how long that took.
pub struct Opened {
    /// The engine.
    pub engine: Engine,
    /// Its meters.
    pub meters: Meters,
    /// How long recovery took.
    pub took: Duration,
}

/// Why a data folder was not opened.
#[derive(Debug)]
pub struct NotOpened {
    /// What is wrong, with the folder's name.
    pub found: String,
    /// What to do; empty where that is said already.
    pub fix: &'static str,
    /// What kind of reason it is.
    pub why: Why,
}

/// Kinds of reasons that commands treat each in its own way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// Another process has it open.
    Locked,
    /// There is no ledger in it; one could be made there.
    New,
    /// The store does not answer.
    Away,
    /// Anything else.
    Other,
}

impl NotOpened {
    fn new(found: String, fix: &'static str) -> Self {
        let why = Why::Other;
        Self { found, fix, why }
    }

    fn no_ledger(found: String) -> Self {
        Self {
            found,
            fix: "check --data",
            why: Why::New,
        }
    }

    fn explain(data: &Path, error: &OpenError) -> Self {
        let found = match error {
            // These name the folder themselves.
            OpenError::Folder(error) => error.to_string(),
            OpenError::Journal(_)
            | OpenError::Snapshot(_)
            | OpenError::Damaged(_)
            | OpenError::Storage(_) => format!("data folder {}: {error}", data.display()),
        };
        let is_locked = matches!(error, OpenError::Folder(OpenStorageError::InUse { .. }));
        let why = if is_locked { Why::Locked } else { Why::Other };
        Self {
            found,
            fix: advice::on_opening(error),
            why,
        }
    }
}

impl From<NotOpened> for Failure {
    fn from(NotOpened { found, fix, why }: NotOpened) -> Self {
        let exit = match why {
            Why::Locked | Why::New | Why::Other => Exit::Data,
            Why::Away => Exit::Unreachable,
        };
        Self::new(exit, advice::joined(found, fix))
    }
}

/// Makes a data folder where there is none.
pub fn make(data: &Path) -> Result<(), NotOpened> {
    fs::create_dir_all(data).map_err(|error| {
        let found = format!("cannot make the data folder {}: {error}", data.display());
        NotOpened::new(found, advice::on_file(&error))
    })
}

/// Whether a ledger is made in a store that has none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InStore {
    /// It must be there.
    Expected,
    /// It may be made.
    Made,
}

/// Opens the engine on the configured ledger; makes a new data folder where there is nothing.
pub fn engine(config: &Config, in_store: InStore) -> Result<Opened, NotOpened> {
    match &config.store {
        StoreSettings::Embedded => embedded(config),
        StoreSettings::Remote(address) => remote(config, address, in_store),
    }
}

fn remote(config: &Config, address: &Address, in_store: InStore) -> Result<Opened, NotOpened> {
    let timer = monotonic();
    let meters = Meters::new();
    let settings = remote_settings(config, address, in_store, meters.clone());
    let opened = Engine::open_remote(settings);
    let engine = opened.map_err(|error| {
        let why = match error {
            remote::OpenError::Unreachable { .. } => Why::Away,
            remote::OpenError::Threads(_)
            | remote::OpenError::Missing(_)
            | remote::OpenError::Importing(_)
            | remote::OpenError::Taken(_)
            | remote::OpenError::Unusable(_)
            | remote::OpenError::Unsafe(_) => Why::Other,
        };
        NotOpened {
            why,
            ..NotOpened::new(error.to_string(), advice::on_store(&error))
        }
    })?;
    Ok(Opened {
        engine,
        meters,
        took: timer.elapsed(),
    })
}

/// What a ledger in a store is opened with.
pub fn remote_settings(
    config: &Config,
    address: &Address,
    in_store: InStore,
    meters: Meters,
) -> RemoteConfig {
    let RemoteSettings {
        namespace,
        replicas,
        wait,
        accept,
        partitions,
        retain_events,
        mirror,
    } = config.remote.clone();
    RemoteConfig {
        address: address.clone(),
        namespace,
        level: Level {
            durability: config.durability,
            replicas,
            wait,
        },
        patience: Patience::default(),
        batcher: BatcherConfig::default(),
        retention: retention(config),
        retain_events,
        accept,
        init: in_store == InStore::Made,
        partitions,
        mirror,
        name: format!("holdfast-{}", std::process::id()),
        look_every: preflight::EVERY,
        clock: Clock::system(),
        meters,
    }
}

fn embedded(config: &Config) -> Result<Opened, NotOpened> {
    let data = &config.data;
    make(data)?;
    let timer = monotonic();
    let meters = Meters::new();
    let engine = Engine::open(data, settings(config, meters.clone()))
        .map_err(|error| NotOpened::explain(data, &error))?;
    Ok(Opened {
        engine,
        meters,
        took: timer.elapsed(),
    })
}

/// Opens the engine on the configured ledger as it is; a data folder is left as it was.
pub fn engine_to_look(config: &Config) -> Result<Opened, NotOpened> {
    match &config.store {
        StoreSettings::Embedded => embedded_to_look(config),
        StoreSettings::Remote(address) => remote(config, address, InStore::Expected),
    }
}

fn embedded_to_look(config: &Config) -> Result<Opened, NotOpened> {
    let data = &config.data;
    if !data.is_dir() {
        let found = format!("there is no data folder {}", data.display());
        return Err(NotOpened::no_ledger(found));
    }
    let has_ledger = has_ledger(data).map_err(|error| {
        let found = format!("cannot read the data folder {}: {error}", data.display());
        NotOpened::new(found, advice::on_file(&error))
    })?;
    if !has_ledger {
        let shown = data.display();
        let found = format!("{shown} is not a data folder: it holds no ledger.id");
        return Err(NotOpened::no_ledger(found));
    }
    let timer = monotonic();
    let meters = Meters::new();
    let settings = settings(config, meters.clone());
    let engine = DiskStorage::open(data)
        .map_err(OpenError::from)
        .and_then(|disk| Ok(Overlay::over(disk)?))
        .and_then(|overlay| Engine::open_on(Arc::new(overlay), settings))
        .map_err(|error| NotOpened::explain(data, &error))?;
    Ok(Opened {
        engine,
        meters,
        took: timer.elapsed(),
    })
}

/// Makes a ledger of the items of an export in the configured data folder, which must be empty.
pub fn import<E: From<OpenError>>(
    config: &Config,
    head: &Head,
    items: impl Iterator<Item = Result<Item, E>>,
) -> Result<(), E> {
    let disk = DiskStorage::open(&config.data).map_err(OpenError::from)?;
    let disk: Arc<dyn Storage> = Arc::new(disk);
    Engine::import_on(&disk, settings(config, Meters::new()), head, items)
}

/// Whether there is a ledger in a folder, or what is left of one.
fn has_ledger(data: &Path) -> io::Result<bool> {
    for entry in fs::read_dir(data)? {
        let name = entry?.file_name();
        let extension = Path::new(&name).extension();
        if name == "ledger.id" || extension.is_some_and(|e| e == "seg" || e == "snapshot") {
            return Ok(true);
        }
    }
    Ok(false)
}

fn settings(config: &Config, meters: Meters) -> EngineConfig {
    let mut settings = EngineConfig::new(Clock::system(), meters);
    settings.journal.segment_bytes = config.journal.segment_bytes;
    settings.journal.queue_bytes_max = config.journal.queue_bytes;
    settings.journal.retain_bytes = config.journal.retain_bytes;
    settings.journal.durability = config.durability;
    settings.retention = retention(config);
    settings.snapshot_every = config.snapshot_every_records;
    settings
}

fn retention(config: &Config) -> Retention {
    let millis = |time: Duration| time.as_millis().try_into().unwrap_or(i64::MAX);
    Retention {
        keys_ms: millis(config.retention.keys),
        refusals_ms: millis(config.retention.refusals),
        records_max: config.retention.records_max,
    }
}

/// A folder that is given to one command. A temporary one goes away with this.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    is_temporary: bool,
}

impl Folder {
    /// A folder of the user's, which must be empty or not there yet.
    pub fn empty(path: &Path) -> Result<Self, Failure> {
        let has_entries = fs::read_dir(path).is_ok_and(|mut entries| entries.next().is_some());
        if has_entries {
            let message = format!("--data {} must be a new or empty folder", path.display());
            return Err(Failure::new(Exit::Usage, message));
        }
        Ok(Self {
            path: path.to_owned(),
            is_temporary: false,
        })
    }

    /// A new folder inside another.
    pub fn temporary(inside: &Path, purpose: &str) -> Result<Self, Failure> {
        let process = std::process::id();
        let failure = |e: io::Error| {
            let found = format!("cannot make a folder in {}: {e}", inside.display());
            Failure::new(Exit::Failed, advice::joined(found, advice::on_file(&e)))
        };
        for n in 0..1_000 {
            let path = inside.join(format!("holdfast-{purpose}-{process}-{n}"));
            match fs::create_dir(&path) {
                Ok(()) => {
                    return Ok(Self {
                        path,
                        is_temporary: true,
                    });
                }
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                Err(error) => return Err(failure(error)),
            }
        }
        Err(failure(ErrorKind::AlreadyExists.into()))
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if self.is_temporary
            && let Err(error) = fs::remove_dir_all(&self.path)
        {
            let path = self.path.display();
            super::output::note(&format!("holdfast: {path} could not be removed: {error}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Flags, load_from};

    #[test]
    fn the_default_file_says_what_the_engine_does_without_one() {
        let loaded = load_from(&Flags::default(), []).unwrap();
        let said = settings(&loaded.config, Meters::new());
        let done = EngineConfig::new(Clock::system(), Meters::new());
        assert_eq!(said.journal, done.journal);
        assert_eq!(said.retention, done.retention);
        assert_eq!(said.snapshot_every, done.snapshot_every);
    }
}
