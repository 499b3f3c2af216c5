//! The store that cells share: one that is there already, or a private one for each cell.

mod private;

use std::path::{Path, PathBuf};

use deadpool_redis::redis::{self, Client, Connection, FromRedisValue};
use serde::Serialize;

use crate::Failure;
use crate::server::{Durability, Setting};
use crate::template::run_name;
use private::Private;

/// Where stores come from.
#[derive(Debug, Clone)]
pub(crate) enum Source {
    /// This address. It is left as it was found.
    Given(String),
    /// This program, started for each cell with the settings that its level needs.
    Program(PathBuf),
}

/// A store for one cell.
pub(crate) struct Store {
    /// Its address, as every client takes it.
    pub(crate) url: String,
    pub(crate) level: Durability,
    /// First part of every key.
    pub(crate) namespace: String,
    /// Primary and replica; they end with this value.
    _processes: Vec<Private>,
}

/// What a store says about itself.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub(crate) struct Figures {
    /// Microseconds in scripts that were called by their hash.
    pub(crate) script_us: f64,
    /// Processor seconds.
    pub(crate) processor_seconds: f64,
}

impl Source {
    /// A store for a cell with this level.
    pub(crate) fn open(&self, scratch: &Path, level: Durability) -> Result<Store, Failure> {
        let (url, processes) = match self {
            Self::Given(url) => (url.clone(), Vec::new()),
            Self::Program(program) => {
                let processes = private::start(program, scratch, level)?;
                let primary = processes.first().ok_or("no primary")?;
                (primary.url(), processes)
            }
        };
        Ok(Store {
            url,
            level,
            namespace: format!("compare-{}", run_name()),
            _processes: processes,
        })
    }
}

impl Store {
    /// The environment in which a holdfast uses this store.
    pub(crate) fn settings(&self) -> [Setting; 4] {
        let replicas = u8::from(self.level == Durability::Replica);
        [
            ("HOLDFAST_STORE", self.url.clone()),
            self.level.setting(),
            ("HOLDFAST_REMOTE__NAMESPACE", self.namespace.clone()),
            ("HOLDFAST_REMOTE__REPLICAS", replicas.to_string()),
        ]
    }

    /// A connection of its own.
    pub(crate) fn connect(&self) -> Result<Connection, Failure> {
        Ok(Client::open(self.url.as_str())?.get_connection()?)
    }

    /// What it says about itself now.
    pub(crate) fn figures(&self) -> Result<Figures, Failure> {
        let connection = &mut self.connect()?;
        let stats: String = info(connection, "commandstats")?;
        let cpu: String = info(connection, "cpu")?;
        let seconds = |name| number(&cpu, name).unwrap_or(0.0);
        let evalsha = line(&stats, "cmdstat_evalsha:").unwrap_or_default();
        let spent = evalsha
            .split(',')
            .find_map(|part| part.strip_prefix("usec="));
        Ok(Figures {
            script_us: spent.map_or(Ok(0.0), str::parse)?,
            processor_seconds: seconds("used_cpu_user:") + seconds("used_cpu_sys:"),
        })
    }

    /// Name and version.
    pub(crate) fn about(&self) -> Result<String, Failure> {
        let server: String = info(&mut self.connect()?, "server")?;
        let version = line(&server, "valkey_version:").map(|version| format!("Valkey {version}"));
        let other = || {
            let version = line(&server, "redis_version:").unwrap_or("of an unknown version");
            format!("Redis {version}")
        };
        Ok(version.unwrap_or_else(other))
    }
}

fn info<T: FromRedisValue>(connection: &mut Connection, section: &str) -> Result<T, Failure> {
    Ok(redis::cmd("INFO").arg(section).query(connection)?)
}

/// What stands behind a word at the beginning of a line.
fn line<'a>(text: &'a str, word: &str) -> Option<&'a str> {
    text.lines()
        .find_map(|line| line.strip_prefix(word))
        .map(str::trim)
}

fn number(text: &str, word: &str) -> Option<f64> {
    line(text, word)?.parse().ok()
}
