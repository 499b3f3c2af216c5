//! The command line: each command reads its input, calls the engine or a server, prints a result.
//!
//! Results go to standard output, everything else to standard error. No command ends the process;
//! each returns, and `main` hands the exit code to the system.

pub(crate) mod advice;
pub mod args;
pub mod bench;
pub mod completions;
pub mod config_command;
pub mod demo;
pub mod doctor;
mod draft;
pub mod export;
pub mod healthcheck;
pub mod import;
mod number;
pub mod open;
mod output;
mod overlay;
pub mod policy;
pub mod preflight;
pub(crate) mod probe;
pub mod prove;
pub mod replay;
mod target;
pub mod verify;
mod whole;
mod wire;

use std::fmt;
use std::path::Path;
use std::process::ExitCode;

use crate::config::{self, Flags, Loaded};
use crate::ledger::Recount;

/// How a command ended, as the exit code says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Done.
    Done = 0,
    /// It did not work.
    Failed = 1,
    /// The command line makes no sense.
    Usage = 2,
    /// The configuration is wrong.
    Config = 3,
    /// The data folder is locked or damaged.
    Data = 4,
    /// Something needed cannot be reached.
    Unreachable = 5,
    /// Verification found a violation, or a pre-flight a finding.
    Violation = 6,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        let code: u8 = match exit {
            Exit::Done => 0,
            Exit::Failed => 1,
            Exit::Usage => 2,
            Exit::Config => 3,
            Exit::Data => 4,
            Exit::Unreachable => 5,
            Exit::Violation => 6,
        };
        code.into()
    }
}

/// Why a command did not work: what the user reads, and the exit code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The exit code.
    pub exit: Exit,
    /// What the user reads.
    pub message: String,
}

impl Failure {
    /// A failure with its exit code.
    pub fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self {
            exit,
            message: message.into(),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Failure {}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self::new(Exit::Failed, error.to_string())
    }
}

/// Reads the configuration; all its mistakes are one failure.
pub fn load_config(flags: &Flags) -> Result<Loaded, Failure> {
    config::load(flags).map_err(|problems| Failure::new(Exit::Config, problems.to_string()))
}

/// Why a file of the user's cannot be read.
fn unreadable(file: &Path, error: &std::io::Error) -> Failure {
    let found = format!("cannot read {}: {error}", file.display());
    Failure::new(Exit::Failed, advice::joined(found, advice::on_file(error)))
}

/// Tells the user why a command did not work.
pub fn report(failure: &Failure) {
    output::note(&format!("holdfast: {failure}"));
}

/// Tells the user something beside the result.
pub fn tell(text: &str) {
    output::note(text);
}

/// Prints a result.
pub fn print(text: &str) -> Result<(), Failure> {
    output::line(text.trim_end())
}

/// What a recount says about the ledger: any violation is a failure of its own.
fn judge(recount: &Recount) -> Result<(), Failure> {
    match recount.violation_count {
        0 => Ok(()),
        n => {
            let message = format!("{n} violations: {}", recount.violations.join("; "));
            Err(Failure::new(Exit::Violation, message))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_violation_is_6_and_says_which() {
        let mut recount = Recount::default();
        assert_eq!(judge(&recount), Ok(()));
        recount.violation_count = 2;
        recount.violations = vec!["SKU A: held 3, lines say 2".to_owned()];
        let failure = judge(&recount).unwrap_err();
        assert_eq!(ExitCode::from(failure.exit), ExitCode::from(6));
        assert!(failure.message.contains("2 violations: SKU A"), "{failure}");
    }
}
