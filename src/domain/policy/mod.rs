//! Which channel may take how much of a SKU: caps and protections, over a tree of channels.
//!
//! A [`Document`] is what an author writes, a [`Policy`] is what a ledger asks. What they mean is
//! in `docs/POLICY.md`.

mod check;
mod compile;
mod document;
mod room;
#[cfg(test)]
pub(super) mod tests;
mod tree;

pub use check::Fault;
pub use compile::{EntryIx, InForce, Policy};
pub use document::{
    Against, Amount, Document, Entry, Every, LimitOn, Protection, Rule, Scope, Selector, Set, Tag,
};
pub use room::{Bound, Claim, Standing, Supply};
