//! What several tests share: the model, histories, and the check of one against the other.

pub(crate) mod amount;
pub(crate) mod assignment;
pub(crate) mod book;
pub(crate) mod check;
pub(crate) mod driven;
pub(crate) mod history;
pub(crate) mod memory;
pub(crate) mod model;
pub(crate) mod policies;
pub(crate) mod rng;
pub(crate) mod script;

/// How many commands the model tests run: 300,000, or what `HOLDFAST_MODEL_COMMANDS` says.
pub(crate) fn commands_wanted() -> usize {
    amount::asked("HOLDFAST_MODEL_COMMANDS").unwrap_or(300_000)
}
