//! Channel policy: what each channel may take of a SKU at most, and what is kept for it at least.
//!
//! A policy is one document that is checked and put in force as a whole. `docs/POLICY.md` has its
//! meaning; here are the document, the check that finds every fault at once, and what the rule
//! book asks of a policy in force.

mod check;
mod compile;
mod document;
mod room;
#[cfg(test)]
mod tests;

pub use check::{Fault, check};
pub use compile::{InForce, Policy};
pub use document::{
    Against, Amount, Document, Entry, Every, LimitOn, Protection, Rule, Scope, Selector, Set, Tag,
};
pub use room::{Bound, Claim, Shares, Supply};
