//! The command line, as types.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

pub use super::prove::ProveCommand;
use crate::config::Flags;

/// Inventory and available-to-promise engine: one stock, many channels, no oversell.
#[derive(Debug, Parser)]
#[command(name = "holdfast", version, about, arg_required_else_help = true)]
pub struct Arguments {
    /// What to do.
    #[command(subcommand)]
    pub command: Action,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Action {
    /// Start the server
    Serve(Serve),
    /// Exit 0 when the local server is ready (for containers)
    Healthcheck(Healthcheck),
    /// Check this machine and the data folder before a promotion
    Doctor(Doctor),
    /// Recount everything from the journal; exit 0 clean, 6 on any violation
    Verify(Verify),
    /// Load stock from CSV or NDJSON into a data folder or a running server; or a whole ledger
    Import(Import),
    /// Write the whole ledger into a file that `import --ledger` reads
    Export(Export),
    /// Write what happened into a file that `holdfast-verify` checks without this program
    Prove(ProveCommand),
    /// Reserve the orders of a trace one by one and report what was accepted
    Replay(Replay),
    /// Find what would go wrong in a campaign; exit 0 clean, 6 on any finding
    Preflight(Preflight),
    /// Measure throughput and latency in this process
    Bench(Bench),
    /// Read, check or change which channel may take how much, on a running server
    Policy(PolicyCommand),
    /// Check, show or write the configuration
    Config(ConfigCommand),
    /// Print the OpenAPI document
    Openapi,
    /// Print the completions for a shell
    Completions {
        /// Which shell.
        shell: clap_complete::Shell,
    },
}

/// What a data folder is opened with.
#[derive(Debug, Clone, Args)]
pub struct Ledger {
    /// Configuration file
    #[arg(long, value_name = "FILE", env = "HOLDFAST_CONFIG")]
    pub config: Option<PathBuf>,
    /// Folder of the journal and the snapshots [default: ./data]
    #[arg(long, value_name = "FOLDER")]
    pub data: Option<PathBuf>,
    /// The ledger: embedded, or the address of a Redis or Valkey [default: embedded]
    #[arg(long, value_name = "STORE")]
    pub store: Option<String>,
    /// What an acknowledged change survives: disk or os, in a store also memory, replica or
    /// replica+disk [default: disk]
    #[arg(long, value_name = "LEVEL")]
    pub durability: Option<String>,
}

impl Ledger {
    /// These flags as a source of the configuration.
    pub fn flags(&self) -> Flags {
        let data = self
            .data
            .as_ref()
            .map(|path| path.to_string_lossy().into_owned());
        let named = [
            ("data", data),
            ("store", self.store.clone()),
            ("durability", self.durability.clone()),
        ];
        let values = named
            .into_iter()
            .filter_map(|(key, value)| Some((key, value?)))
            .collect();
        Flags {
            file: self.config.clone(),
            values,
        }
    }
}

/// `holdfast serve`
#[derive(Debug, Args)]
pub struct Serve {
    /// What to serve.
    #[command(flatten)]
    pub ledger: Ledger,
    /// Address and port; port 0 takes a free one [default: 127.0.0.1:8080]
    #[arg(long, value_name = "ADDRESS")]
    pub listen: Option<String>,
    /// Fill in a small catalogue and let simulated buyers shop
    #[arg(long)]
    pub demo: bool,
    /// Make a new ledger where the store has none (a data folder is always made)
    #[arg(long)]
    pub init: bool,
}

impl Serve {
    /// These flags as a source of the configuration.
    pub fn flags(&self) -> Flags {
        let mut flags = self.ledger.flags();
        flags
            .values
            .extend(self.listen.clone().map(|listen| ("listen", listen)));
        flags
    }
}

/// `holdfast healthcheck`
#[derive(Debug, Args)]
pub struct Healthcheck {
    /// Where the server listens
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8080")]
    pub server: String,
}

/// How a command prints its result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Shape {
    /// For people.
    #[default]
    Text,
    /// For programs.
    Json,
}

/// `--json`, or `--output json`.
#[derive(Debug, Clone, Copy, Args)]
pub struct Output {
    /// Shape of the result
    #[arg(long, value_enum, default_value_t)]
    pub output: Shape,
    /// The same as --output json
    #[arg(long)]
    pub json: bool,
}

impl Output {
    /// Whether the result is for programs.
    pub fn is_json(self) -> bool {
        self.json || self.output == Shape::Json
    }
}

/// `holdfast doctor`
#[derive(Debug, Args)]
pub struct Doctor {
    /// What to look at.
    #[command(flatten)]
    pub ledger: Ledger,
    /// Go on without the acknowledged changes that a store has lost; LOSS is the name that doctor
    /// and the log gave it
    #[arg(long, value_name = "LOSS")]
    pub accept_loss: Option<String>,
    /// Address that the server will use [default: 127.0.0.1:8080]
    #[arg(long, value_name = "ADDRESS")]
    pub listen: Option<String>,
    /// How to print.
    #[command(flatten)]
    pub output: Output,
}

impl Doctor {
    /// These flags as a source of the configuration.
    pub fn flags(&self) -> Flags {
        let mut flags = self.ledger.flags();
        flags
            .values
            .extend(self.listen.clone().map(|listen| ("listen", listen)));
        flags
    }
}

/// `holdfast verify`
#[derive(Debug, Args)]
pub struct Verify {
    /// What to verify.
    #[command(flatten)]
    pub ledger: Ledger,
    /// How to print.
    #[command(flatten)]
    pub output: Output,
}

/// What the numbers of an imported file mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Mode {
    /// On hand from now on
    #[default]
    Set,
    /// Differences
    Adjust,
}

impl Mode {
    /// The word on the command line.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Set => "set",
            Self::Adjust => "adjust",
        }
    }
}

/// `holdfast export`
#[derive(Debug, Args)]
pub struct Export {
    /// What to export; nobody may change it meanwhile.
    #[command(flatten)]
    pub ledger: Ledger,
    /// The file, which must not be there; compressed if its name ends in .gz
    #[arg(long, value_name = "FILE")]
    pub to: PathBuf,
    /// How to print.
    #[command(flatten)]
    pub output: Output,
}

/// `holdfast import`
#[derive(Debug, Args)]
pub struct Import {
    /// The stock: .csv, .tsv, .txt or .ndjson; columns sku, quantity and optionally node. With
    /// --ledger: what `export` wrote
    pub file: PathBuf,
    /// The file is a whole ledger; it goes into an empty folder or store only
    #[arg(long = "ledger", conflicts_with_all = ["server", "node", "mode"])]
    pub whole: bool,
    /// Where to, when no server runs.
    #[command(flatten)]
    pub ledger: Ledger,
    /// Import into a running server instead, for example <http://127.0.0.1:8080>
    #[arg(long, value_name = "URL", conflicts_with = "data")]
    pub server: Option<String>,
    /// Node of the rows that name none
    #[arg(long, default_value = "main")]
    pub node: String,
    /// What the numbers mean
    #[arg(long, value_enum, default_value_t)]
    pub mode: Mode,
    /// Only read the file and say what would be done
    #[arg(long)]
    pub dry_run: bool,
    /// Import a file that was imported before once more. With --ledger: throw away what an import
    /// into the store that was broken off has left, and begin anew
    #[arg(long)]
    pub again: bool,
    /// How to print.
    #[command(flatten)]
    pub output: Output,
}

/// The way a replay takes to the ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Via {
    /// Calls in this process
    #[default]
    Engine,
    /// A server in this process, over real connections
    Http,
}

impl Via {
    /// The word on the command line.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Engine => "engine",
            Self::Http => "http",
        }
    }
}

/// `holdfast replay`
#[derive(Debug, Args)]
pub struct Replay {
    /// The trace: CSV, gzip or not, with `order_ref`, sku and quantity; an order's lines together
    pub trace: PathBuf,
    /// A new folder to keep the result in; without it a temporary one is used
    #[command(flatten)]
    pub ledger: Ledger,
    /// Each SKU starts with this share of its demand
    #[arg(long, default_value_t = 0.8)]
    pub fill: f64,
    /// The way to the ledger
    #[arg(long, value_enum, default_value_t)]
    pub via: Via,
    /// Callers at once
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub clients: u16,
    /// How to print.
    #[command(flatten)]
    pub output: Output,
}

/// `holdfast preflight`
#[derive(Debug, Args)]
pub struct Preflight {
    /// The campaign
    pub campaign: String,
    /// Look at the campaign of this policy, which is not put, instead of the one in force
    #[arg(long, value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// Counts older than this are stale [default: a day]
    #[arg(long, value_name = "SECONDS")]
    pub stale_after: Option<u64>,
    /// Where.
    #[command(flatten)]
    pub of: PolicyServer,
}

/// `holdfast bench`
#[derive(Debug, Args)]
pub struct Bench {
    /// Folder to measure in (a temporary folder inside it is used), and the configuration.
    #[command(flatten)]
    pub ledger: Ledger,
    /// SKUs of the spread runs
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    pub skus: u32,
    /// Reservations of each run
    #[arg(long, default_value_t = 500_000, value_parser = clap::value_parser!(u32).range(1..=100_000_000))]
    pub reservations: u32,
    /// Threads: runs with one and with this many
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..=256))]
    pub threads: u16,
    /// How to print.
    #[command(flatten)]
    pub output: Output,
}

/// `holdfast policy`
#[derive(Debug, Args)]
pub struct PolicyCommand {
    /// What to do.
    #[command(subcommand)]
    pub action: PolicyAction,
}

/// What to do with the policy.
#[derive(Debug, Subcommand)]
pub enum PolicyAction {
    /// Print the policy in force
    Get {
        /// Where.
        #[command(flatten)]
        of: PolicyServer,
    },
    /// Put a policy in force and say what that changed
    Put {
        /// The policy, as docs/POLICY.md describes it
        file: PathBuf,
        /// Only if this version is in force (0: none); left out: whatever is
        #[arg(long, value_name = "VERSION")]
        after: Option<u64>,
        /// Who and why.
        #[command(flatten)]
        author: Author,
        /// Where.
        #[command(flatten)]
        of: PolicyServer,
    },
    /// Find every fault of a policy, and say what it would change where a server is named
    Check {
        /// The policy
        file: PathBuf,
        /// The server whose policy it is compared with; left out: the document alone is looked at
        #[arg(long, value_name = "URL")]
        server: Option<String>,
        /// How to print.
        #[command(flatten)]
        output: Output,
    },
    /// List the versions that are kept, newest first
    Versions {
        /// Where.
        #[command(flatten)]
        of: PolicyServer,
    },
    /// Put the policy of an earlier version in force again, as a new version
    Rollback {
        /// That version
        version: u64,
        /// Who and why.
        #[command(flatten)]
        author: Author,
        /// Where.
        #[command(flatten)]
        of: PolicyServer,
    },
}

/// Whose policy it is.
#[derive(Debug, Args)]
pub struct PolicyServer {
    /// The server
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8080")]
    pub server: String,
    /// How to print.
    #[command(flatten)]
    pub output: Output,
}

/// Who changes the policy, for the change log.
#[derive(Debug, Args)]
pub struct Author {
    /// Who
    #[arg(long, default_value = "")]
    pub operator: String,
    /// Why
    #[arg(long, default_value = "")]
    pub reason: String,
    /// Why the freeze of a campaign is overridden
    #[arg(long = "override", value_name = "REASON", default_value = "")]
    pub over: String,
}

/// `holdfast config`
#[derive(Debug, Args)]
pub struct ConfigCommand {
    /// What to do.
    #[command(subcommand)]
    pub action: ConfigAction,
}

/// What to do with the configuration.
#[derive(Debug, Subcommand)]
pub enum ConfigAction {
    /// Report every mistake; exit 0 when there is none, 3 otherwise
    Check(ConfigFlags),
    /// Print each value in force and where it came from
    Show(ConfigFlags),
    /// Write a commented file with every default
    Init {
        /// The file; must not exist. Without it the text goes to standard output
        file: Option<PathBuf>,
    },
}

/// Flags of `config check` and `config show`.
#[derive(Debug, Args)]
pub struct ConfigFlags {
    /// Where the values come from.
    #[command(flatten)]
    pub ledger: Ledger,
    /// Address and port
    #[arg(long, value_name = "ADDRESS")]
    pub listen: Option<String>,
    /// How to print.
    #[command(flatten)]
    pub output: Output,
}

impl ConfigFlags {
    /// These flags as a source of the configuration.
    pub fn flags(&self) -> Flags {
        let mut flags = self.ledger.flags();
        flags
            .values
            .extend(self.listen.clone().map(|listen| ("listen", listen)));
        flags
    }
}
