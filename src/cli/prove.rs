//! `holdfast prove`: the history of a ledger as a file that anybody can check.

use std::io::BufWriter;
use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde_json::json;

use super::args::{Ledger, Output};
use super::draft::Draft;
use super::{Exit, Failure, advice, load_config, open, output};
use crate::blocking::wait_for;
use crate::config::{Config, StoreSettings};
use crate::engine::Engine;
use crate::ledger::proof::{Edge, Proof, ProveError, Range};
use crate::ledger::time_text;

/// `holdfast prove`
#[derive(Debug, Args)]
pub struct ProveCommand {
    /// What to do.
    #[command(subcommand)]
    pub action: ProveAction,
}

/// What to do about proofs.
#[derive(Debug, Subcommand)]
pub enum ProveAction {
    /// Write a proof; a ledger in a store may be in use meanwhile
    Export(ProveExport),
}

/// `holdfast prove export`
#[derive(Debug, Args)]
pub struct ProveExport {
    /// The file, which must not be there
    pub file: PathBuf,
    /// Of which ledger.
    #[command(flatten)]
    pub ledger: Ledger,
    /// The first record: its number, or a moment such as 2026-11-27T00:00:00Z [default: the first
    /// that is kept]
    #[arg(long, value_name = "PLACE", value_parser = edge)]
    pub from: Option<Edge>,
    /// The last record, in the same way [default: the last that there is]
    #[arg(long, value_name = "PLACE", value_parser = edge)]
    pub to: Option<Edge>,
    /// How to print.
    #[command(flatten)]
    pub output: Output,
}

fn edge(text: &str) -> Result<Edge, String> {
    if let Ok(sequence) = text.parse() {
        return Ok(Edge::Sequence(sequence));
    }
    let at = time_text::parse(text).map(Edge::Moment);
    at.ok_or_else(|| "must be the number of a record, or a moment in RFC 3339".to_owned())
}

/// Does it.
pub fn run(command: &ProveCommand) -> Result<(), Failure> {
    match &command.action {
        ProveAction::Export(arguments) => export(arguments),
    }
}

fn export(arguments: &ProveExport) -> Result<(), Failure> {
    in_order(arguments)?;
    let config = load_config(&arguments.ledger.flags())?.config;
    let draft = Draft::create(&arguments.file)?;
    let opened = open::engine_to_look(&config)?;
    let range = range(arguments, &config, &opened.engine);
    let proved = wait_for(opened.engine.prove(&range, BufWriter::new(draft.file())));
    opened.engine.close()?;
    let proof = proved.map_err(|error| failure(&draft, &error))?;
    draft.finish()?;
    summary(arguments, &proof)
}

/// Whether the range has a beginning that is not after its end; a number and a moment cannot be told.
fn in_order(arguments: &ProveExport) -> Result<(), Failure> {
    let reversed = match (arguments.from, arguments.to) {
        (Some(Edge::Sequence(from)), Some(Edge::Sequence(to))) => from > to,
        (Some(Edge::Moment(from)), Some(Edge::Moment(to))) => from > to,
        (_, _) => false,
    };
    if reversed {
        let message = "--from is after --to: name a first record that is not after the last";
        return Err(Failure::new(Exit::Usage, message));
    }
    Ok(())
}

fn range(arguments: &ProveExport, config: &Config, engine: &Engine) -> Range {
    let retention_ms = config.retention.keys.as_millis().try_into();
    Range {
        from: arguments.from,
        to: arguments.to,
        retention_ms: retention_ms.unwrap_or(i64::MAX),
        without_epoch: match config.store {
            StoreSettings::Embedded => Some(engine.health().durable.epoch),
            StoreSettings::Remote(_) => None,
        },
    }
}

fn failure(draft: &Draft<'_>, error: &ProveError) -> Failure {
    let (exit, fix) = match error {
        ProveError::File(error) => {
            let found = format!("cannot write {}: {error}", draft.path().display());
            return Failure::new(Exit::Failed, advice::joined(found, advice::on_file(error)));
        }
        ProveError::Gone { .. } => (
            Exit::Failed,
            "begin later with --from, and write proofs before the events are dropped",
        ),
        ProveError::Sequences(_) => (Exit::Usage, "name moments with --from and --to"),
        ProveError::Unfit(_) | ProveError::Differs(_) => {
            (Exit::Violation, "look closer with holdfast verify")
        }
        ProveError::Damaged(_) => (Exit::Data, ""),
        ProveError::Ledger(_)
        | ProveError::Events(_)
        | ProveError::Snapshot(_)
        | ProveError::Walk(_) => (Exit::Failed, ""),
    };
    Failure::new(exit, advice::joined(error.to_string(), fix))
}

fn summary(arguments: &ProveExport, proof: &Proof) -> Result<(), Failure> {
    let file = arguments.file.display().to_string();
    if arguments.output.is_json() {
        return output::json(&json!({
            "file": file,
            "ledger": proof.ledger,
            "records": proof.records,
            "skus": proof.skus,
            "reservations": proof.reservations,
            "compared": proof.compared,
            "hash": proof.hash,
        }));
    }
    let compared = if proof.compared {
        "they lead to what the ledger has"
    } else {
        "not compared with what the ledger has"
    };
    output::table(&[
        ("file", file),
        ("ledger", proof.ledger.clone()),
        ("records", proof.records.to_string()),
        ("", compared.to_owned()),
        ("SKUs", proof.skus.to_string()),
        ("reservations", proof.reservations.to_string()),
        ("hash", proof.hash.clone()),
    ])
}
