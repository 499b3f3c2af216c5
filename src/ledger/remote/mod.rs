//! The remote ledger: Redis or Valkey as the engine, decided by scripts inside the store.

pub mod batcher;
pub mod link;
pub mod preflight;
pub mod recount;
pub mod script;
pub mod wire;
