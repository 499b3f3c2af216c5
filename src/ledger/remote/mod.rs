//! The ledger over Redis or Valkey.

pub mod batcher;
pub mod link;
pub mod preflight;
