//! The scripts inside real servers against the rule book: the same random histories, in batches of
//! random size, to the scripts, to the independent model and to the embedded ledger; every verdict,
//! every balance and every event compared.
//!
//! `HOLDFAST_DIFFERENTIAL_COMMANDS` says how many commands over all servers; a difference is printed
//! with its seed and the shortest history that still shows it.

#![expect(
    clippy::unwrap_used,
    clippy::unreachable,
    clippy::panic,
    reason = "test code"
)]

#[path = "../support/mod.rs"]
#[expect(dead_code, reason = "the model tests use the rest of what they share")]
mod support;

#[path = "../support/dated.rs"]
mod dated_commands;
#[path = "../support/deficits_told.rs"]
mod deficits_told;
#[path = "../support/fake_store/mod.rs"]
#[expect(dead_code, reason = "the simulation uses the rest of it")]
mod fake_store;
#[path = "../support/partition.rs"]
mod partition;
#[path = "../support/server.rs"]
mod server;

mod batches;
mod dated;
mod documents;
mod edges;
mod events;
mod faults;
mod fidelity;
mod histories;
mod mutants;
mod rules;
