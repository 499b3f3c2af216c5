//! What goes into the store and comes out of it, as bytes.
//!
//! MessagePack, as far as the store's own `cmsgpack` writes it, for commands and results; flat
//! lists of 64-bit integers for what is stored of a stock and of a reservation's lines. The numbers
//! that stand for words are those of `lua/lib/words.lua`.

pub mod batch;
mod calendar;
pub mod command;
pub mod event;
pub mod export;
mod grant;
pub mod import;
mod inbound;
mod kept;
#[cfg(test)]
mod kept_tests;
mod node_safety;
mod pack;
pub mod policy;
pub mod record;
mod refusal;
pub mod reply;
mod result;
mod settings;
pub mod several;
mod ties;
mod told;
mod water;

/// Bytes that are not what the scripts write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not what the store's scripts write")]
pub struct Malformed;
