//! The whole ledger as a file that either backend writes and reads: `docs/EXPORT.md`.
//!
//! An export holds what must not be lost when a ledger moves: the seed of its hashes, names, the policy,
//! stock and settings, reservations, and what each idempotency key was answered. References and
//! deadlines are part of the reservations; counters and indexes are made anew.

mod dated;
pub mod file;
pub(in crate::ledger) mod hex;
mod item;
mod policy;
mod tally;
mod uses;
mod walk;
mod water;

use serde::{Deserialize, Serialize};

pub use self::hex::{CommandId, Print};
pub(in crate::ledger) use self::item::Making;
pub use self::item::{Answer, BadItem, Held, Item, Line, Name, Node, Sku};
pub use self::policy::Policy;
pub use self::tally::Tally;
pub use self::uses::Use;
pub use self::walk::{Page, Place, Walk, WalkError};
pub use self::water::{Amount, Mark, OwnSettings};

/// What is exported, and where it stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Head {
    /// Of the ledger's hashes: command ids are keyed hashes of idempotency keys.
    pub seed: Print,
    /// The epoch in force.
    pub epoch: u32,
    /// Sequence of the last change, the highest of all partitions; the ledger that is made of it goes
    /// on after it, in each of its own.
    pub sequence: u64,
    /// The latest moment anything was decided at, milliseconds.
    pub now_ms: i64,
    /// Some ids come from a ledger of several partitions: their lowest bits name one, and are not of
    /// their keys' hashes.
    pub labelled: bool,
}
