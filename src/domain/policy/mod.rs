//! Which channel may take how much of a SKU: caps and protections, over a tree of channels.
//!
//! A [`Document`] is what an author writes, a [`Policy`] is what a ledger asks. What they mean is
//! in `docs/POLICY.md`.

mod campaign;
mod check;
mod classes;
mod compile;
mod document;
mod fallback;
mod layer;
mod lending;
mod limits;
mod moving;
mod parts;
pub mod preflight;
mod rebalance;
mod room;
mod terms;
#[cfg(test)]
pub(super) mod tests;
mod tree;

pub use campaign::{CampaignState, CampaignTerms};
pub use check::Fault;
pub use classes::ClassIx;
pub use compile::{EntryIx, InForce, Policy};
pub use document::{
    Against, Amount, Campaign, ChangeSet, Document, Entry, Every, Expected, Items, LimitOn, Period,
    Protection, Rule, Scope, Selection, Selector, Set, Tag,
};
pub use lending::{Lent, Taken};
pub use limits::{EntryLimit, Kept, LeastCap, Limits};
pub use parts::{Dated, Parts, Schedule};
pub use rebalance::{Holding, Holdings, ShareStep, Weight, rebalance};
pub use room::{Bound, Claim, Standing, Supply};
pub use terms::TermsInTime;
pub use tree::Place;
