//! Configuration: defaults, file, environment, flags; read once, checked as a whole.
//!
//! Every mistake is reported, not only the first, with the key, where the value came from and what
//! would be right.

mod reader;
mod sources;

use std::ffi::OsString;
use std::fmt;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use reader::Reader;

use crate::ledger::Durability;
use crate::ledger::remote::link::Address;
use crate::telemetry::logging::LogFormat;

/// Every key with its comment and default; also the text of `holdfast config init`.
pub const DEFAULT_TOML: &str = include_str!("config.default.toml");

/// The configuration in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Where to listen.
    pub listen: SocketAddr,
    /// Folder of the journal and the snapshots.
    pub data: PathBuf,
    /// Where the ledger is.
    pub store: StoreSettings,
    /// What an acknowledged change survives.
    pub durability: Durability,
    /// A ledger in a store.
    pub remote: RemoteSettings,
    /// The journal.
    pub journal: JournalSettings,
    /// Journal records from one snapshot to the next.
    pub snapshot_every_records: u64,
    /// What is remembered, and for how long.
    pub retention: RetentionSettings,
    /// The HTTP server.
    pub http: HttpSettings,
    /// Time to live of a hold whose caller names none, milliseconds.
    pub hold_ttl_ms: u32,
    /// Filter of the log, in the syntax of `tracing_subscriber::EnvFilter`.
    pub log_level: String,
    /// Shape of the log.
    pub log_format: LogFormat,
}

/// See `store`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoreSettings {
    /// In this process, with a journal in the data folder.
    Embedded,
    /// In a store that several instances share.
    Remote(Box<Address>),
}

/// See `remote.*`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemoteSettings {
    /// First part of every key.
    pub namespace: String,
    /// Replicas that could be promoted.
    pub replicas: u16,
    /// How long the store may wait for them.
    pub wait: Duration,
    /// Names of unsafe settings that are accepted.
    pub accept: Vec<String>,
    /// Partitions of the ledger; `None`: as the address suggests.
    pub partitions: Option<u16>,
    /// Events that stay in the store for readers.
    pub retain_events: u64,
    /// How old what the mirror says may be; zero: there is no mirror.
    pub mirror: Duration,
}

/// See `journal.*`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JournalSettings {
    /// Size of a segment file.
    pub segment_bytes: u64,
    /// Most bytes of records not yet written.
    pub queue_bytes: usize,
    /// Journal kept behind the newest snapshot.
    pub retain_bytes: u64,
}

/// See `retention.*`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetentionSettings {
    /// Keys and finished reservations.
    pub keys: Duration,
    /// Keys of refused commands.
    pub refusals: Duration,
    /// Most keys and reservations at once.
    pub records_max: u64,
}

/// See `http.*`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HttpSettings {
    /// Threads that serve.
    pub threads: NonZeroUsize,
    /// Most connections open at once.
    pub connections_max: usize,
    /// Most of them from one address.
    pub connections_each: usize,
    /// Most event streams open at once.
    pub streams_max: usize,
    /// Time for the head of a request.
    pub header_timeout: Duration,
    /// Time for head and body of a request together.
    pub request_timeout: Duration,
    /// Time for the work on a request; then its result is unknown.
    pub work_timeout: Duration,
    /// Time in which the caller must take any byte of an answer.
    pub write_timeout: Duration,
    /// Time between requests of a connection.
    pub idle_timeout: Duration,
    /// Time for open requests to finish at the end.
    pub drain: Duration,
}

/// What the command line says; `None` where it says nothing.
#[derive(Debug, Clone, Default)]
pub struct Flags {
    /// `--config`.
    pub file: Option<PathBuf>,
    /// Key and value of each flag that stands for a key.
    pub values: Vec<(&'static str, String)>,
}

/// One mistake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The key, or the file where the file itself is wrong.
    pub key: String,
    /// Where the value came from.
    pub origin: String,
    /// What is wrong, and what would be right.
    pub fix: String,
}

/// All mistakes of a configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problems(pub Vec<Problem>);

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { key, origin, fix } = self;
        write!(f, "{key} ({origin}): {fix}")
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let [only] = self.0.as_slice() {
            return write!(f, "a mistake in the configuration: {only}");
        }
        write!(f, "{} mistakes in the configuration:", self.0.len())?;
        self.0
            .iter()
            .try_for_each(|problem| write!(f, "\n  {problem}"))
    }
}

impl std::error::Error for Problems {}

/// A key in force, for `config show`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// The key, sections joined with dots.
    pub key: &'static str,
    /// The value as it was written.
    pub value: String,
    /// Whether the value is a number in TOML.
    pub is_number: bool,
    /// Where the value came from.
    pub origin: String,
}

/// The configuration with the origin of each value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loaded {
    /// The configuration.
    pub config: Config,
    /// Its keys, in the order of the default file.
    pub settings: Vec<Setting>,
}

/// Reads the configuration of this process.
pub fn load(flags: &Flags) -> Result<Loaded, Problems> {
    load_from(flags, std::env::vars_os())
}

/// Reads the configuration from these flags, the file they name and this environment.
pub fn load_from(
    flags: &Flags,
    environment: impl IntoIterator<Item = (OsString, OsString)>,
) -> Result<Loaded, Problems> {
    let (figment, problems) = sources::join(flags, environment);
    let mut reader = Reader {
        figment: &figment,
        settings: Vec::new(),
        problems,
    };
    let config = reader.config();
    reader.unknown_keys();
    reader.relations(&config);
    if reader.problems.is_empty() {
        Ok(Loaded {
            config,
            settings: reader.settings,
        })
    } else {
        Err(Problems(reader.problems))
    }
}

#[cfg(test)]
mod tests {
    use super::reader::{distance, leaves};
    use super::*;
    use figment::Figment;
    use figment::providers::{Format, Toml};
    use figment::value::Dict;

    fn load_with(env: &[(&str, &str)], flags: &[(&'static str, &str)]) -> Result<Loaded, Problems> {
        let values = flags
            .iter()
            .map(|(key, value)| (*key, (*value).to_owned()))
            .collect();
        let env = env
            .iter()
            .map(|(name, value)| (OsString::from(name), OsString::from(value)));
        load_from(&Flags { file: None, values }, env)
    }

    #[test]
    fn defaults_are_valid_and_every_key_is_read() {
        let loaded = load_with(&[], &[]).unwrap();
        assert_eq!(
            loaded.config.listen,
            SocketAddr::from(([127, 0, 0, 1], 8080))
        );
        let dict: Dict = Figment::from(Toml::string(DEFAULT_TOML)).extract().unwrap();
        let mut read: Vec<&str> = loaded.settings.iter().map(|s| s.key).collect();
        read.sort_unstable();
        assert_eq!(read, leaves(&dict, ""));
        assert!(loaded.settings.iter().all(|s| s.origin == "default"));
    }

    #[test]
    fn flag_beats_environment_beats_default() {
        let env = [
            ("HOLDFAST_DURABILITY", "os"),
            ("HOLDFAST_HTTP__THREADS", "3"),
        ];
        let loaded = load_with(&env, &[("durability", "disk")]).unwrap();
        assert_eq!(loaded.config.durability, Durability::Disk);
        assert_eq!(loaded.config.http.threads.get(), 3);
        let origin = |key| {
            loaded
                .settings
                .iter()
                .find(|s| s.key == key)
                .unwrap()
                .origin
                .clone()
        };
        assert_eq!(origin("durability"), "command line");
        assert_eq!(
            origin("http.threads"),
            "environment variable HOLDFAST_HTTP__THREADS"
        );
    }

    #[test]
    fn every_mistake_is_reported_with_its_key() {
        let env = [
            ("HOLDFAST_DURABILITI", "os"),
            ("HOLDFAST_JOURNAL__SEGMENT_MIB", "many"),
            ("HOLDFAST_HOLD__TTL_SECONDS", "7200"),
            ("HOLDFAST_RETENTION__IDEMPOTENCY_HOURS", "1"),
            ("HOLDFAST_RETENTION__REFUSAL_MINUTES", "90"),
            ("OTHER", "ignored"),
        ];
        let flags = [("listen", "here"), ("store", "embeded")];
        let Problems(problems) = load_with(&env, &flags).unwrap_err();
        let of = |key: &str| problems.iter().find(|p| p.key == key).unwrap();
        assert!(of("durabiliti").fix.contains("did you mean durability?"));
        assert!(
            of("journal.segment_mib")
                .fix
                .contains("whole number from 8 to 1024")
        );
        assert!(of("hold.ttl_seconds").fix.contains("must outlive"));
        let refusals = &of("retention.refusal_minutes").fix;
        assert!(refusals.contains("idempotency_hours"), "{refusals}");
        assert!(of("listen").fix.contains("127.0.0.1:8080"));
        assert!(of("store").fix.contains("\"embedded\" or an address"));
        assert_eq!(of("listen").origin, "command line");
        assert_eq!(problems.len(), 6);
    }

    #[test]
    fn a_level_must_be_one_of_its_store() {
        let store = ("store", "redis://cache:6379");
        let fix = |flags: &[(&'static str, &str)], env: &[(&str, &str)]| {
            let Problems(problems) = load_with(env, flags).unwrap_err();
            let [problem] = problems.try_into().unwrap();
            assert_eq!(problem.key, "durability");
            problem.fix
        };
        assert!(fix(&[("durability", "memory")], &[]).contains("use disk or os"));
        assert!(fix(&[store, ("durability", "os")], &[]).contains("use memory, disk"));
        let replica = [store, ("durability", "replica+disk")];
        assert!(fix(&replica, &[]).contains("needs remote.replicas"));
        let loaded = load_with(&[("HOLDFAST_REMOTE__REPLICAS", "2")], &replica).unwrap();
        assert_eq!(loaded.config.durability, Durability::ReplicaDisk);
        assert_eq!(loaded.config.remote.replicas, 2);
    }

    #[test]
    fn no_password_is_shown() {
        for store in [
            "redis://user:secret@cache:6379/1",
            "redis://:secret@cache",
            "unix:/run/cache.sock?password=secret",
            "redis+sentinel://a:26379/main?sentinel_password=secret",
        ] {
            let loaded = load_with(&[], &[("store", store)]).unwrap();
            let shown = format!("{:?}", loaded.settings);
            assert!(!shown.contains("secret"), "{shown}");
            assert!(!format!("{:?}", loaded.config).contains("secret"));
        }
    }

    #[test]
    fn distance_counts_edits() {
        for (from, to, edits) in [
            ("", "", 0),
            ("abc", "abc", 0),
            ("abc", "ac", 1),
            ("listn", "listen", 1),
        ] {
            assert_eq!(distance(from, to), edits, "{from} {to}");
        }
    }
}
