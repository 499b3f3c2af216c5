//! `holdfast completions`

use clap::CommandFactory;

use super::args::Arguments;
use super::{Failure, output};

/// Prints the completions for a shell.
pub fn run(shell: clap_complete::Shell) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Arguments::command(), "holdfast", &mut script);
    output::line(String::from_utf8_lossy(&script).trim_end())
}
