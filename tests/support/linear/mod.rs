//! A search-based check of concurrent histories, which trusts nothing that the ledger says about its
//! own order: it sees when each call began and ended, what it asked and what it was told, and looks
//! for an order of all calls, one at a time, that gives every answer and contradicts nothing that
//! callers saw happen one after the other (Herlihy and Wing, "Linearizability", 1990).
//!
//! The search is that of Wing and Gong ("Testing and verifying concurrent objects", 1993) with the
//! memory of Lowe ("Testing for linearizability", 2017): a set of calls put in order, and the state
//! that they led to, is tried once. What changes nothing and is told the right thing is put in order as
//! soon as it may be, since it cannot matter to any other call where it stands. SKUs that no call
//! connects are judged apart, which decides the same (Herlihy and Wing's locality; Horn and Kroening,
//! "Faster linearizability checking via P-compositionality", 2015).
//!
//! A call whose end nobody saw may have taken effect at any time after its beginning, or never. What
//! is not decided within a number of states is not decided, which a test must take for a failure.
//!
//! What an answer says of positions and versions is left out on purpose: the witness check judges it.

pub(crate) mod crowd;
pub(crate) mod judge;
pub(crate) mod names;
pub(crate) mod parts;
pub(crate) mod plan;
pub(crate) mod said;
pub(crate) mod search;
pub(crate) mod shelf;
pub(crate) mod words;

use crate::support::amount::asked;

/// How many small histories: 20,000, or what `HOLDFAST_LINEAR_HISTORIES` says. There are a tenth as many
/// large ones, and ledgers in stores have shares of both.
pub(crate) fn wanted() -> u64 {
    asked("HOLDFAST_LINEAR_HISTORIES").unwrap_or(20_000)
}
