//! The HTTP API over real sockets: every call, every problem, limits, slow callers, stopping.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::format_push_string,
    reason = "test code: a failure is a panic, and speed does not matter"
)]
#![expect(clippy::print_stdout, reason = "what was measured is shown on request")]

#[path = "../support/amount.rs"]
mod amount;
mod campaigns;
mod connections;
mod crowd;
mod deficits;
mod dribble;
mod events;
mod inbound;
mod limit_cases;
mod limits;
mod low_water;
mod mistakes;
mod node_safety;
#[path = "../support/open_files.rs"]
mod open_files;
mod operation;
mod policy;
mod reservations;
mod stock;
mod strict;
mod stuck;
mod support;
mod terms;
