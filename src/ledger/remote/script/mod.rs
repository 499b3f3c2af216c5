//! The scripts of `lua/`, joined at compile time, and the keys they are called with.
//!
//! A family of commands is made by a function, which itself is made when the first of them comes: a
//! function's price is that of finding what it uses of its surroundings. Within a family each
//! file stands in a block of its own, because a Lua function has room for 200 names. What is sent to
//! the store are the scripts with their constants [`inlined`].

mod constants;

use std::collections::HashMap;
use std::sync::LazyLock;

pub use constants::inlined;

use crate::ledger::{Gauges, Missing};
use crate::limits::CHANNELS_MAX;
use crate::telemetry::Script;

/// Version of the stored layout; part of every key.
pub const SCHEMA: u32 = 4;

/// The text of a file under `lua/`.
macro_rules! lua {
    ($name:literal) => {
        include_str!(concat!("../../../../lua/", $name, ".lua"))
    };
}

/// Files one after the other.
macro_rules! files {
    ($($name:literal)+) => {
        concat!($(lua!($name), "\n"),+)
    };
}

/// Files, each with names of its own.
macro_rules! blocks {
    ($($name:literal)+) => {
        concat!($("do\n", lua!($name), "end\n"),+)
    };
}

/// A family: its name, files that its commands share, then files with names of their own. Nothing
/// happens where the command that is looked for is made, or the family was made before.
macro_rules! family {
    ($name:ident ($($shared:literal)*) $($own:literal)+) => {
        concat!(
            "if not commands[kind] and not made.", stringify!($name), " then\n",
            "made.", stringify!($name), " = true; (function()\n",
            $(lua!($shared), "\n",)*
            blocks!($($own)+),
            "end)()\nend\n",
        )
    };
}

/// A whole script, with or without what several partitions have: decides, makes families one after the
/// other when a command needs one, writes.
macro_rules! script {
    ($flags:literal $ties:expr, $($families:expr),+) => {
        concat!(
            "#!lua", $flags, "\n",
            files!("lib/bind" "lib/words"),
            $ties,
            files!("lib/fields" "lib/uses" "lib/stock"),
            "local policy, swap_policy\nif policy_version > 0 then policy = {}; (function()\n",
            files!("lib/rule" "lib/policy"),
            "end)() end\n",
            files!("lib/room" "lib/deficit" "lib/water" "lib/terms" "lib/records"),
            "local calendars\ndated = function()\nif calendars then return calendars end\ncalendars = {}\n",
            files!("lib/calendar" "lib/timeline" "lib/offers"),
            "return calendars\nend\n",
            lua!("lib/prepare"), "\n",
            lua!("lib/decide"),
            "\nlocal kind, made = decide(), {}\nwhile kind do\n",
            $($families,)+
            "if not commands[kind] then malformed('command') end\nkind = decide()\nend\n",
            lua!("lib/batch")
        )
    };
}

/// What is allowed when the store is out of memory: nothing that promises more. With `many`, what
/// several partitions need as well; a family that lends its functions stands before who borrows.
macro_rules! relief {
    () => {
        concat!(
            family!(acts ("lib/amounts" "lib/act")
                "confirm" "release" "extend" "ship" "return" "transfer"),
            family!(reads () "reads" "forget" "expire"),
        )
    };
    (many) => {
        concat!(
            family!(acts ("lib/amounts" "lib/act" "lib/lend_act")
                "confirm" "release" "extend" "ship" "return" "transfer"),
            family!(several () "several"),
            family!(reads () "reads" "forget" "expire"),
        )
    };
}

macro_rules! growth {
    () => {
        concat!(
            family!(reserve ("lib/naming" "reserve") "names"),
            family!(stock ("lib/change") "stock" "inbound" "settings"),
            family!(policy () "policy"),
            family!(shares () "shares"),
        )
    };
    (many) => {
        concat!(
            family!(reserve ("lib/naming" "reserve" "lib/lend_reserve") "names"),
            family!(place () "place"),
            family!(stock ("lib/change") "stock" "inbound" "settings"),
            family!(policy () "policy"),
            family!(shares () "shares"),
        )
    };
}

/// Every command; refused by a store that is out of memory before it does anything.
pub const BATCH: &str = script!("" "local ties\n", growth!(), relief!());

/// Acts, reads, forgetting and expiry; allowed when the store is out of memory.
pub const RELIEF: &str = script!(" flags=allow-oom" "local ties\n", relief!());

/// [`BATCH`] where there are several partitions.
pub const BATCH_OF_MANY: &str = script!("" lua!("lib/ties"), growth!(many), relief!(many));

/// [`RELIEF`] where there are several partitions.
pub const RELIEF_OF_MANY: &str = script!(" flags=allow-oom" lua!("lib/ties"), relief!(many));

static SENT: [LazyLock<String>; 4] = [
    LazyLock::new(|| inlined(BATCH)),
    LazyLock::new(|| inlined(RELIEF)),
    LazyLock::new(|| inlined(BATCH_OF_MANY)),
    LazyLock::new(|| inlined(RELIEF_OF_MANY)),
];

/// The script as a store of so many partitions gets it, put together once.
pub(super) fn sent(script: Script, partitions: usize) -> &'static str {
    let [batch, relief, batch_of_many, relief_of_many] = &SENT;
    match (script, partitions) {
        (Script::Batch, 1) => batch,
        (Script::Relief, 1) => relief,
        (Script::Batch, _) => batch_of_many,
        (Script::Relief, _) => relief_of_many,
    }
}

/// Makes a partition, once; answers with its meta.
pub const INIT: &str = lua!("init");

/// Stops a partition whose history lacks what was acknowledged.
pub const QUARANTINE: &str = lua!("quarantine");

/// Accepts such a loss.
pub const ACCEPT: &str = lua!("accept");

/// Gives and takes back leases.
pub const LEASE: &str = concat!("#!lua\n", files!("lib/lease" "lease"));

/// Removes the oldest entries of the stream, under a lease.
pub const TRIM: &str = concat!("#!lua flags=allow-oom\n", files!("lib/lease" "trim"));

/// Brings a policy to a partition, part by part.
pub const STAGE: &str = lua!("stage");

/// Makes a partition of an export, part by part.
pub const IMPORT: &str = lua!("import");

/// The keys of one partition. They share a hash tag, so that one script may have them all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Keys([String; 11]);

/// Names of the keys, in the order in which the scripts take them.
const NAMES: [&str; 11] = [
    "meta", "stock", "records", "refs", "names", "due", "events", "ties", "policy", "staged",
    "versions",
];

impl Keys {
    /// Place of the stream of events among them.
    pub const EVENTS: usize = 6;

    /// The keys of a partition of the ledger with this namespace.
    pub fn new(namespace: &str, partition: u16) -> Self {
        Self(NAMES.map(|name| format!("{namespace}{SCHEMA}:{{{partition}}}:{name}")))
    }

    /// Each older layout, and where it has the meta of this partition.
    pub fn older_metas(namespace: &str, partition: u16) -> impl Iterator<Item = (u32, String)> {
        let meta = move |schema| format!("{namespace}{schema}:{{{partition}}}:meta");
        (1..SCHEMA).map(move |schema| (schema, meta(schema)))
    }

    /// All, in the order of `KEYS` of [`BATCH`] and [`RELIEF`].
    pub const fn all(&self) -> &[String; 11] {
        &self.0
    }

    /// `KEYS` of [`INIT`].
    pub fn of_init(&self) -> [&str; 2] {
        [self.meta(), self.names()]
    }

    /// Hash: what the partition is, and where it stands.
    pub fn meta(&self) -> &str {
        self.key(0)
    }

    /// Hash: the stock of each SKU.
    pub fn stock(&self) -> &str {
        self.key(1)
    }

    /// Hash: what each command id stands for.
    pub fn records(&self) -> &str {
        self.key(2)
    }

    /// Hash: names of nodes and channels.
    pub fn names(&self) -> &str {
        self.key(4)
    }

    /// Sorted set: deadlines.
    pub fn due(&self) -> &str {
        self.key(5)
    }

    /// Stream: what happened, an entry for each batch.
    pub fn events(&self) -> &str {
        self.key(Self::EVENTS)
    }

    /// Hash: the policy that is being brought here.
    pub fn staged(&self) -> &str {
        self.key(9)
    }

    /// Hash: the last versions of the policy as they were put.
    pub fn versions(&self) -> &str {
        self.key(10)
    }

    fn key(&self, at: usize) -> &str {
        self.0.get(at).map_or("", String::as_str)
    }
}

/// What a new partition is to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Identity {
    /// Of the ledger; random.
    pub ledger: u128,
    /// Number of partitions; never changes.
    pub partitions: u16,
    /// Of the ledger's hashes; never changes.
    pub seed: u64,
}

impl Identity {
    /// `ARGV` of [`INIT`] for one of the partitions. The first gives channels their indexes.
    pub fn arguments(&self, partition: u16) -> [String; 5] {
        let given = if partition == 0 { 0 } else { CHANNELS_MAX };
        [
            format!("{:032x}", self.ledger),
            SCHEMA.to_string(),
            self.partitions.to_string(),
            self.seed.to_string(),
            given.to_string(),
        ]
    }
}

/// What a partition is, and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Meta {
    /// Made once, by the first instance.
    pub identity: Identity,
    /// Counts the times a suffix may have been lost.
    pub epoch: u32,
    /// Sequence of the last event.
    pub sequence: u64,
    /// Sequence of the last event that is not in the stream by right: it came from elsewhere, or was
    /// trimmed.
    pub base: u64,
    /// The chain there.
    pub base_tip: String,
    /// The chain over all batches with events: 40 hex digits, empty before the first.
    pub tip: String,
    /// The latest moment anything was decided at.
    pub now: i64,
    /// What it counts.
    pub gauges: Gauges,
    /// The latest decision of the ledger that it came from, where some keys lead to ids that they do
    /// not name.
    pub moved: Option<i64>,
}

/// Why a partition cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadMeta {
    /// Nothing is there.
    #[error("there is no ledger at this place of the store; initialise it first")]
    Missing,
    /// It is being made of an export, or that was broken off.
    #[error("an import into this ledger was not finished")]
    Importing,
    /// Written by another version.
    #[error("the ledger has schema {0}, this program needs {SCHEMA}")]
    Schema(String),
    /// A field is missing or senseless.
    #[error("the ledger's field {0} is missing or damaged")]
    Damaged(&'static str),
}

impl Meta {
    /// Reads fields and values, as [`INIT`] and `HGETALL` give them.
    pub fn parse(fields: &HashMap<String, String>) -> Result<Self, BadMeta> {
        if fields.is_empty() {
            return Err(BadMeta::Missing);
        }
        if fields.contains_key("importing") {
            return Err(BadMeta::Importing);
        }
        let schema = fields.get("schema").ok_or(BadMeta::Damaged("schema"))?;
        if *schema != SCHEMA.to_string() {
            return Err(BadMeta::Schema(schema.clone()));
        }
        let ledger = fields.get("ledger");
        let ledger = ledger.and_then(|text| u128::from_str_radix(text, 16).ok());
        Ok(Self {
            identity: Identity {
                ledger: ledger.ok_or(BadMeta::Damaged("ledger"))?,
                partitions: number(fields, "partitions")?,
                seed: number(fields, "seed")?,
            },
            epoch: number(fields, "epoch")?,
            sequence: number(fields, "seq")?,
            base: match fields.get("base") {
                Some(_) => number(fields, "base")?,
                None => 0,
            },
            base_tip: fields.get("base_tip").cloned().unwrap_or_default(),
            tip: fields.get("tip").ok_or(BadMeta::Damaged("tip"))?.clone(),
            now: number(fields, "now")?,
            gauges: Gauges {
                open_lines: number(fields, "open")?,
                missing: Missing {
                    skus: number(fields, "short")?,
                    units: number(fields, "missing")?,
                },
            },
            moved: match fields.get("moved") {
                Some(_) => Some(number(fields, "moved")?),
                None => None,
            },
        })
    }
}

fn number<T: std::str::FromStr>(
    fields: &HashMap<String, String>,
    name: &'static str,
) -> Result<T, BadMeta> {
    let text = fields.get(name).ok_or(BadMeta::Damaged(name))?;
    text.parse().or(Err(BadMeta::Damaged(name)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_readme_lists_the_keys_in_the_order_of_the_scripts() {
        let readme = include_str!("../../../../lua/README.md");
        let rows = readme.lines().filter_map(|line| line.strip_prefix("| `"));
        let listed: Vec<&str> = rows.filter_map(|row| row.split('`').next()).collect();
        assert_eq!(listed, NAMES);
        let bound = "-- KEYS       meta, stock, records, refs, names, due, events, ties, policy, staged, versions\n";
        assert_eq!(bound, format!("-- KEYS       {}\n", NAMES.join(", ")));
        assert!(BATCH.contains(bound) && RELIEF.contains(bound));
    }

    #[test]
    fn no_script_builds_a_key() {
        for line in BATCH.lines().filter(|line| line.contains("KEYS")) {
            assert!(
                line.starts_with("--") || line.trim_start().starts_with("KEYS["),
                "{line}"
            );
        }
    }
}
