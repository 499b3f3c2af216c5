//! Reads and checks every key, and keeps count of what is wrong.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use figment::Figment;
use figment::providers::{Format, Toml};
use figment::value::{Dict, Value};

use super::{
    Config, DEFAULT_TOML, HttpSettings, JournalSettings, Problem, RemoteSettings,
    RetentionSettings, Setting, StoreSettings,
};
use crate::ledger::Durability;
use crate::ledger::remote::link::Address;
use crate::limits::{PARTITIONS_MAX, TTL_MS_MAX};
use crate::telemetry::logging::{LogFormat, check_filter};

pub(super) struct Reader<'a> {
    pub(super) figment: &'a Figment,
    pub(super) settings: Vec<Setting>,
    pub(super) problems: Vec<Problem>,
}

const MIB: u64 = 1024 * 1024;

/// Longest namespace in bytes; it is part of every key of a store.
const NAMESPACE_MAX: usize = 32;

const DURABILITIES: [Durability; 5] = [
    Durability::Disk,
    Durability::Os,
    Durability::Memory,
    Durability::Replica,
    Durability::ReplicaDisk,
];

/// An address as it may be shown: `redis://user:word@host` without the word.
fn without_password(store: &str) -> String {
    let scheme = store.split_once("://").map_or("", |(scheme, _)| scheme);
    match (store.rsplit_once('@'), store.split_once('?')) {
        (None, None) => store.to_owned(),
        (None, Some((place, _))) => format!("{place}?..."),
        // Either sign may be part of a password that ends at the other.
        (Some((login, _)), Some(_)) if login.contains('?') => format!("{scheme}://..."),
        (Some((_, place)), _) => {
            let place = place.split_once('?').map_or(place, |(place, _)| place);
            format!("{scheme}://...@{place}")
        }
    }
}

impl Reader<'_> {
    pub(super) fn config(&mut self) -> Config {
        let listen = self.parsed("listen", "an address and a port, such as 127.0.0.1:8080");
        let data = PathBuf::from(self.text("data"));
        let store = self.store();
        Config {
            listen: listen.unwrap_or_else(|| SocketAddr::from(([127, 0, 0, 1], 0))),
            data,
            store,
            durability: self
                .word("durability", &DURABILITIES.map(|d| (d.as_str(), d)))
                .unwrap_or(Durability::Disk),
            remote: self.remote(),
            journal: JournalSettings {
                segment_bytes: self.number("journal.segment_mib", 8..=1024) * MIB,
                queue_bytes: narrow(self.number("journal.queue_mib", 1..=4096) * MIB),
                retain_bytes: self.number("journal.retain_mib", 0..=1 << 24) * MIB,
            },
            snapshot_every_records: self.number("snapshot.every_records", 1_000..=1_000_000_000),
            retention: self.retention(),
            http: self.http(),
            hold_ttl_ms: self.hold_ttl_ms(),
            log_level: self.log_level(),
            log_format: self
                .word(
                    "log.format",
                    &[
                        ("auto", LogFormat::Auto),
                        ("text", LogFormat::Text),
                        ("json", LogFormat::Json),
                    ],
                )
                .unwrap_or(LogFormat::Auto),
        }
    }

    fn retention(&mut self) -> RetentionSettings {
        RetentionSettings {
            keys: Duration::from_hours(self.number("retention.idempotency_hours", 1..=8760)),
            refusals: Duration::from_mins(self.number("retention.refusal_minutes", 1..=525_600)),
            records_max: self.number("retention.records_max", 1_000..=10_000_000_000),
        }
    }

    fn http(&mut self) -> HttpSettings {
        let threads = NonZeroUsize::new(narrow(self.number("http.threads", 0..=1024)));
        let cores = || std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
        HttpSettings {
            threads: threads.unwrap_or_else(cores),
            connections_max: narrow(self.number("http.connections_max", 1..=1_000_000)),
            connections_each: narrow(
                self.number("http.connections_per_address_max", 1..=1_000_000),
            ),
            streams_max: narrow(self.number("http.streams_max", 0..=100_000)),
            header_timeout: self.seconds("http.header_timeout_seconds", 1..=300),
            request_timeout: self.seconds("http.request_timeout_seconds", 1..=3600),
            work_timeout: self.seconds("http.work_timeout_seconds", 1..=3600),
            write_timeout: self.seconds("http.write_timeout_seconds", 1..=3600),
            idle_timeout: self.seconds("http.idle_timeout_seconds", 1..=86_400),
            drain: self.seconds("http.drain_seconds", 0..=3600),
        }
    }

    fn store(&mut self) -> StoreSettings {
        let store = self.text("store");
        if let Some(shown) = self.settings.last_mut() {
            shown.value = without_password(&store);
        }
        if store == "embedded" {
            return StoreSettings::Embedded;
        }
        match store.parse::<Address>() {
            Ok(address) => StoreSettings::Remote(Box::new(address)),
            Err(error) => {
                self.problem(
                    "store",
                    format!("must be \"embedded\" or an address: {error}"),
                );
                StoreSettings::Embedded
            }
        }
    }

    fn remote(&mut self) -> RemoteSettings {
        let namespace = self.text("remote.namespace");
        let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        if namespace.is_empty()
            || namespace.len() > NAMESPACE_MAX
            || !namespace.chars().all(is_plain)
        {
            let fix = format!("must be 1 to {NAMESPACE_MAX} letters, digits, -, _ or .");
            self.problem("remote.namespace", fix);
        }
        let mirror = self.number("remote.mirror_milliseconds", 0..=10_000);
        let accept = self.text("remote.accept");
        let accept = accept.split(',').map(str::trim);
        RemoteSettings {
            namespace,
            replicas: u16::try_from(self.number("remote.replicas", 0..=64)).unwrap_or(0),
            wait: Duration::from_millis(self.number("remote.wait_milliseconds", 1..=60_000)),
            accept: accept
                .filter(|name| !name.is_empty())
                .map(str::to_owned)
                .collect(),
            partitions: self.partitions(),
            retain_events: self.number("remote.retain_events", 1_000..=1_000_000_000_000),
            mirror: Duration::from_millis(mirror),
        }
    }

    fn partitions(&mut self) -> Option<u16> {
        let most = u64::from(PARTITIONS_MAX);
        let number = u16::try_from(self.number("remote.partitions", 0..=most));
        number.ok().filter(|number| *number > 0)
    }

    fn hold_ttl_ms(&mut self) -> u32 {
        let max = u64::from(TTL_MS_MAX / 1_000);
        let seconds = self.number("hold.ttl_seconds", 1..=max);
        u32::try_from(seconds * 1_000).unwrap_or(TTL_MS_MAX)
    }

    fn log_level(&mut self) -> String {
        let level = self.text("log.level");
        if let Err(error) = check_filter(&level) {
            self.problem("log.level", error.to_string());
        }
        level
    }

    pub(super) fn relations(&mut self, config: &Config) {
        if Duration::from_millis(config.hold_ttl_ms.into()) > config.retention.keys {
            let fix = "is longer than retention.idempotency_hours; a key must outlive its hold";
            self.problem("hold.ttl_seconds", fix.to_owned());
        }
        if config.retention.refusals > config.retention.keys {
            let fix = "is longer than retention.idempotency_hours; a refusal is not kept longer";
            self.problem("retention.refusal_minutes", fix.to_owned());
        }
        self.durability_fits(config);
        if config.data.as_os_str().is_empty() {
            self.problem("data", "must name a folder".to_owned());
        }
    }

    fn durability_fits(&mut self, config: &Config) {
        let (durability, replicas) = (config.durability, config.remote.replicas);
        let fix = match (&config.store, durability) {
            (StoreSettings::Embedded, Durability::Disk | Durability::Os)
            | (StoreSettings::Remote(_), Durability::Disk | Durability::Memory) => return,
            (StoreSettings::Embedded, _) => "is for a ledger in a store; use disk or os",
            (StoreSettings::Remote(_), Durability::Os) => {
                "is for the embedded ledger; use memory, disk, replica or replica+disk"
            }
            (StoreSettings::Remote(_), _) if replicas > 0 => return,
            (StoreSettings::Remote(_), _) => {
                "needs remote.replicas: the number of replicas that could be promoted"
            }
        };
        self.problem("durability", format!("\"{}\" {fix}", durability.as_str()));
    }

    fn origin(&self, key: &str) -> String {
        let found = self.figment.find_metadata(key).map(|m| m.name.to_string());
        found
            .filter(|name| name != "TOML source string")
            .unwrap_or_else(|| "default".to_owned())
    }

    fn problem(&mut self, key: &str, fix: String) {
        self.problems.push(Problem {
            key: key.to_owned(),
            origin: self.origin(key),
            fix,
        });
    }

    /// The value as text. Environment and flags are texts anyway; a file may hold a number.
    fn raw(&mut self, key: &'static str, is_number: bool) -> Option<String> {
        let value = match self.figment.find_value(key) {
            Ok(Value::String(_, text)) => Some(text),
            Ok(Value::Num(_, n)) if is_number => n
                .to_u128()
                .map(|n| n.to_string())
                .or_else(|| n.to_i128().map(|n| n.to_string())),
            Ok(_) | Err(_) => None,
        };
        if let Some(value) = value.clone() {
            let origin = self.origin(key);
            self.settings.push(Setting {
                key,
                value,
                is_number,
                origin,
            });
        } else {
            let kind = if is_number {
                "a whole number"
            } else {
                "a text"
            };
            self.problem(key, format!("must be {kind}"));
        }
        value
    }

    fn text(&mut self, key: &'static str) -> String {
        self.raw(key, false).unwrap_or_default()
    }

    fn parsed<T: std::str::FromStr>(&mut self, key: &'static str, what: &str) -> Option<T> {
        let text = self.raw(key, false)?;
        let parsed = text.parse().ok();
        if parsed.is_none() {
            self.problem(key, format!("\"{text}\" is not {what}"));
        }
        parsed
    }

    fn word<T: Copy>(&mut self, key: &'static str, words: &[(&str, T)]) -> Option<T> {
        let text = self.raw(key, false)?;
        let found = words
            .iter()
            .find(|(word, _)| *word == text)
            .map(|(_, value)| *value);
        if found.is_none() {
            let words: Vec<String> = words
                .iter()
                .map(|(word, _)| format!("\"{word}\""))
                .collect();
            self.problem(key, format!("\"{text}\" must be {}", words.join(" or ")));
        }
        found
    }

    fn number(&mut self, key: &'static str, range: RangeInclusive<u64>) -> u64 {
        let Some(text) = self.raw(key, true) else {
            return *range.start();
        };
        match text.parse::<u64>() {
            Ok(number) if range.contains(&number) => number,
            Ok(_) | Err(_) => {
                let (low, high) = (range.start(), range.end());
                let fix = format!("{text} must be a whole number from {low} to {high}");
                self.problem(key, fix);
                *range.start()
            }
        }
    }

    fn seconds(&mut self, key: &'static str, range: RangeInclusive<u64>) -> Duration {
        Duration::from_secs(self.number(key, range))
    }

    /// Keys that were set and that nobody reads: a typing mistake would otherwise be silent.
    pub(super) fn unknown_keys(&mut self) {
        let Ok(defaults) = Figment::from(Toml::string(DEFAULT_TOML)).extract::<Dict>() else {
            return;
        };
        let Ok(dict) = self.figment.extract::<Dict>() else {
            return;
        };
        let known: BTreeSet<String> = leaves(&defaults, "").into_iter().collect();
        for key in leaves(&dict, "") {
            if known.contains(&key) {
                continue;
            }
            let nearest = known.iter().map(|k| (distance(k, &key), k)).min();
            let fix = match nearest {
                Some((distance, near)) if distance <= 3 => {
                    format!("no such key; did you mean {near}?")
                }
                _ => "no such key; `holdfast config init` lists all".to_owned(),
            };
            self.problem(&key, fix);
        }
    }
}

fn narrow(n: u64) -> usize {
    usize::try_from(n).unwrap_or(usize::MAX)
}

pub(super) fn leaves(dict: &Dict, prefix: &str) -> Vec<String> {
    let mut keys = Vec::new();
    for (name, value) in dict {
        let key = if prefix.is_empty() {
            name.clone()
        } else {
            format!("{prefix}.{name}")
        };
        match value.as_dict() {
            Some(dict) if !dict.is_empty() => keys.extend(leaves(dict, &key)),
            Some(_) | None => keys.push(key),
        }
    }
    keys
}

/// How many letters must be put in, taken out or exchanged to get from one text to the other.
pub(super) fn distance(from: &str, to: &str) -> usize {
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (at, a) in from.bytes().enumerate() {
        let mut diagonal = at;
        let mut left = at + 1;
        for (b, above) in to.bytes().zip(row.iter_mut().skip(1)) {
            left = (diagonal + usize::from(a != b))
                .min(*above + 1)
                .min(left + 1);
            diagonal = std::mem::replace(above, left);
        }
        if let Some(first) = row.first_mut() {
            *first = at + 1;
        }
    }
    row.last().copied().unwrap_or_default()
}
