//! The ledger against an independent naive model: random histories, every verdict and every
//! balance compared, over restarts and snapshots.
//!
//! `HOLDFAST_MODEL_COMMANDS` says how many commands; a difference is printed with its seed and the
//! shortest history that still shows it.

#![expect(
    clippy::unwrap_used,
    clippy::unreachable,
    clippy::panic,
    reason = "test code"
)]
#![expect(clippy::print_stdout, reason = "what was measured is shown on request")]

#[path = "../support/mod.rs"]
mod support;

#[path = "../support/promises.rs"]
mod promises;

#[path = "../support/proved.rs"]
mod proved;

#[path = "../support/forged.rs"]
mod forged;

mod asleep;
mod dated;
mod engine;
mod forgeries;
mod proof;
mod rule_book;
