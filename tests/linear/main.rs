//! Histories of the embedded ledger, and the check that judges them: a search for an order of the calls
//! that trusts nothing of what the ledger says about its own order. Ledgers in stores are judged by the
//! same check in `tests/remote` and `tests/remote_simulation`.
//!
//! `HOLDFAST_LINEAR_HISTORIES` says how many.

#![expect(
    clippy::unwrap_used,
    clippy::unreachable,
    clippy::panic,
    reason = "test code"
)]
#![expect(dead_code, reason = "the model tests use the rest of what they share")]
#![expect(clippy::print_stdout, reason = "what was judged is shown on request")]

mod embedded;
#[path = "../support/linear/mod.rs"]
mod linear;
mod mutants;
mod replay;
mod small;
#[path = "../support/mod.rs"]
mod support;
