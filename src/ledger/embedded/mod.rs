//! The embedded ledger: sharded pool in memory, journal on disk, snapshots.

pub mod journal;
pub mod record;
pub mod storage;
